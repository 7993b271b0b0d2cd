/* What is packed for a device, and how others build it. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test as nodeTest } from 'node:test';
import { promisify } from 'node:util';
import { pair } from '../certificate.mjs';
import { gather } from '../client.mjs';
import { scratch, serve } from '../server.mjs';
import { emulate, root, targets } from './targets.mjs';

const execute = promisify(execFile);
const test = (name, body) => nodeTest(name, { timeout: 300_000 }, body);

/* As a user's shell would run it: nothing that this make was told goes on. */
const { MAKEFLAGS, MAKELEVEL, MFLAGS, ...env } = process.env;
const make = (cwd, ...args) => execute('make', ['--silent', ...args], { cwd, env });

/* What git has of the project, somewhere else. */
async function copy(t) {
	const there = await scratch(t);
	const { stdout } = await execute('git', ['ls-files', '-z'], { cwd: root });
	for (const file of stdout.split('\0').filter(name => name !== '')) {
		await mkdir(path.dirname(path.join(there, file)), { recursive: true });
		await cp(path.join(root, file), path.join(there, file));
	}
	return there;
}

const [target] = targets.filter(({ name }) => name === 'armel').concat(targets);

test('an archive has all that a device needs, and is the same wherever it is made', async t => {
	const there = await copy(t);
	await symlink(path.join(root, 'toolchain'), path.join(there, 'toolchain'));
	for (const directory of [root, there])
		await make(directory, 'dist', `TARGETS=${target.name}`);
	const [here, again] = await Promise.all([root, there].map(directory =>
		readFile(path.join(directory, 'dist/SHA256SUMS'), 'utf8')));
	assert.equal(again, here);
	const dist = path.join(there, 'dist');
	await execute('sha256sum', ['--check', 'SHA256SUMS'], { cwd: dist });
	const [, archive] = /^[0-9a-f]{64}  (\S+\.tar\.gz)\n$/.exec(here);
	await execute('tar', ['xzf', archive], { cwd: dist });
	const name = archive.replace('.tar.gz', '');
	const { stdout } = await execute('find', [name, '-type', 'f', '-printf', '%P %m\n'], { cwd: dist });
	assert.deepEqual(stdout.trim().split('\n').sort(), [
		'README.md 644', 'S50videre 755', 'conf.json 644', 'inittab 644', 'licences/BearSSL 644',
		'licences/libgcc 644', 'licences/musl 644', 'licences/videre 644', 'videre 755', 'videre.8 644',
	]);
});

/* The tools of somebody's own SDK, by the prefix that their names share. */
async function sdk(directory) {
	const prefix = path.join(directory, 'router-linux-musl-');
	const tools = {
		gcc: `${path.join(root, 'toolchain', target.name, 'bin/musl-gcc')} ` +
			`-idirafter /usr/${target.tools}/include`,
		ar: `${target.tools}-ar`,
	};
	for (const [name, command] of Object.entries(tools))
		await writeFile(prefix + name, `#!/bin/sh\nexec ${command} "$@"\n`, { mode: 0o755 });
	return prefix;
}

test('any SDK will do, with BearSSL\'s source beside it', async t => {
	const there = await copy(t);
	const bearssl = path.join(there, 'bearssl');
	await cp(path.join(root, 'toolchain/source/bearssl'), bearssl, { recursive: true });
	const prefix = await sdk(there);
	await make(there, '-j2', `CROSS_COMPILE=${prefix}`, `BEARSSL=${bearssl}`,
		'CFLAGS=-Os', 'LDFLAGS=-static');
	const binary = path.join(there, 'videre');
	const destination = path.join(there, 'destination');
	await make(there, 'install', `CROSS_COMPILE=${prefix}`, `BEARSSL=${bearssl}`, 'CC=false',
		`DESTDIR=${destination}`, 'PREFIX=/usr');
	assert((await readFile(binary)).equals(await readFile(path.join(destination, 'usr/sbin/videre'))));
	const { stdout } = await execute('readelf', ['-h', binary]);
	assert.match(stdout, /Machine: +ARM/);
	const server = await serve(t, { binary: await emulate(there, binary, 'arm:arm926'),
		tls: await pair('P-256') });
	await gather(server, 'r', 'a', 'b');
});
