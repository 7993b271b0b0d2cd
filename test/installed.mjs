/* Installs authorities in browsers, for tests that do not accept all certificates. */
import { execFile } from 'node:child_process';
import { copyFile, mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { slowCameraOptions } from './chromium.mjs';
import { firefoxOptions } from './firefox.mjs';

/*
 * Returns the options of a Chromium whose NSS database, in this home directory, trusts the authorities, as its
 * manual says.
 */
export async function installInChromium(home, ...caFiles) {
	const database = path.join(home, '.pki', 'nssdb');
	await mkdir(database, { recursive: true });
	const certutil = (...args) => promisify(execFile)('certutil', ['-d', `sql:${database}`, ...args]);
	await certutil('-N', '--empty-password');
	for (const [i, file] of caFiles.entries())
		await certutil('-A', '-n', `videre ${i}`, '-t', 'C,,', '-i', file);
	return {
		...slowCameraOptions, env: { ...process.env, HOME: home },
		args: [...slowCameraOptions.args.filter(arg => !/^--(ignore-cert|host-resolver)/.test(arg)),
			'--host-resolver-rules=MAP localhost 127.0.0.1'],
	};
}

/*
 * Returns the options of a Firefox with a policy that installs the authorities.  It reads policies from its own
 * directory or from /etc, which is not the test's: so it runs from a directory of links.
 */
export async function installInFirefox(home, ...caFiles) {
	const system = '/usr/lib/firefox-esr', binary = path.join(home, 'firefox-esr');
	for (const name of await readdir(system))
		if (name === 'firefox-esr')
			await copyFile(path.join(system, name), binary);
		else if (name !== 'distribution')
			await symlink(path.join(system, name), path.join(home, name));
	await mkdir(path.join(home, 'distribution'));
	await writeFile(path.join(home, 'distribution', 'policies.json'), JSON.stringify({
		policies: { Certificates: { Install: caFiles }, DisableTelemetry: true, DisableAppUpdate: true },
	}));
	return { ...firefoxOptions, executablePath: binary, env: { ...process.env, HOME: home } };
}
