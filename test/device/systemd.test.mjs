/* The unit for systemd, checked without a running systemd. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmod, copyFile, mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { pair } from '../certificate.mjs';
import { gather } from '../client.mjs';
import { built, run, scratch, serve, start, test, wrapped } from '../server.mjs';
import { root } from './targets.mjs';

const execute = promisify(execFile);
const analyze = async (...args) => (await execute('systemd-analyze', args)).stdout;
const binary = built('VIDERE_PLAIN', 'videre');
const unit = path.join(root, 'device/videre.service');

/* The values of a setting, which may be given more than once. */
const settings = async name => [...(await readFile(unit, 'utf8')).matchAll(
	new RegExp(`^${name}=(.*)$`, 'gm'))].map(([, value]) => value);

test('systemd understands all of it', async t => {
	const copy = path.join(await scratch(t), 'videre.service');
	const text = await readFile(unit, 'utf8');
	await writeFile(copy, text.replace('=/usr/sbin/videre ', `=${binary} `)); /* it has to be there */
	const { stderr } = await execute('systemd-analyze', ['verify', '--man=no', copy]);
	assert.equal(stderr, '');
});

test('it is started at each boot once it is enabled', async t => {
	const there = await scratch(t), system = path.join(there, 'etc/systemd/system');
	await mkdir(system, { recursive: true });
	await copyFile(unit, path.join(system, 'videre.service'));
	await execute('systemctl', [`--root=${there}`, 'enable', 'videre.service']);
	assert.deepEqual(await readdir(path.join(system, 'multi-user.target.wants')), ['videre.service']);
});

/* What doc/devices.md has `systemctl edit` add for a port below 1024. */
const [, override] = /`systemctl edit videre`:\n\n((?: {4}.*\n)+)/.exec(await readFile(path.join(root, 'doc/devices.md'), 'utf8'));
const added = name => new RegExp(`^ {4}${name}=(.*)$`, 'm').exec(override)[1];

test('it opens a port below 1024 with what the documentation adds, and not without', async t => {
	const directory = await scratch(t), there = path.join(directory, 'videre.service.d');
	await mkdir(there);
	await writeFile(path.join(there, 'override.conf'), override.replace(/^ {4}/gm, ''));
	const text = await readFile(unit, 'utf8');
	const copy = path.join(directory, 'videre.service');
	await writeFile(copy, text.replace('=/usr/sbin/videre ', `=${binary} `));
	assert.equal((await execute('systemd-analyze', ['verify', '--man=no', copy])).stderr, '');
	await analyze('security', '--offline=yes', '--no-pager', '--threshold=25', copy);

	assert.equal(added('PrivateUsers'), 'no'); /* a capability of another user namespace opens no port */
	if (process.getuid() !== 0)
		return t.skip('needs root');
	const capability = added('AmbientCapabilities').replace(/^CAP_/, '+').toLowerCase();
	assert.equal(added('CapabilityBoundingSet'), added('AmbientCapabilities'));
	/* The server with these capabilities, as another user, in a network of its own. */
	const program = async (name, caps) => {
		const file = path.join(directory, name);
		await writeFile(file, `#!/bin/sh\nexec unshare --net setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs ` +
			`--bounding-set=-all${caps} --inh-caps=-all${caps} --ambient-caps=-all${caps} ${binary} "$@"\n`, { mode: 0o755 });
		return file;
	};
	await chmod(directory, 0o755);
	const conf = path.join(directory, 'conf.json');
	await writeFile(conf, JSON.stringify({ Port: 443, Log: '' }));
	const refused = await run(['-c', conf], { binary: await program('without', '') });
	assert.equal(refused.code, 1);
	assert.match(refused.stderr, /Permission denied/);
	const server = await start({ conf: null, args: ['-c', conf], binary: await program('with', `,${capability}`) });
	t.after(() => server.stop());
	assert.equal(server.port, 443);
});

test('it leaves the service exposed to next to nothing', () =>
	analyze('security', '--offline=yes', '--no-pager', '--threshold=15', unit));

/* The system calls of a filter, its sets taken apart. */
async function callsOf(name) {
	if (!name.startsWith('@'))
		return [name];
	const lines = (await analyze('syscall-filter', name)).split('\n').slice(1);
	const names = lines.map(line => line.trim()).filter(line => /^[@a-z]/.test(line));
	return (await Promise.all(names.map(callsOf))).flat();
}

test('the server asks for nothing that the unit forbids', async t => {
	const [granted, denied] = await settings('SystemCallFilter');
	assert.match(denied, /^~/);
	const allowed = new Set(await callsOf(granted));
	for (const name of denied.slice(1).split(' '))
		for (const call of await callsOf(name))
			allowed.delete(call);
	const families = (await settings('RestrictAddressFamilies'))[0].split(' ');

	const directory = await scratch(t);
	const calls = path.join(directory, 'calls');
	const traced = await wrapped(directory, binary, `strace -D -o ${calls}`);
	const server = await serve(t, { binary: traced, tls: await pair('P-256'),
		conf: { Log: 'syslog', MaxConnections: 2000 }, allow: [/ warn - Log syslog /] });
	await gather(server, 'r', 'a', 'b');
	server.signal('SIGHUP');
	await server.lines.match(/ info - certificate loaded/);
	await server.stop();

	const lines = (await readFile(calls, 'utf8')).split('\n').slice(1)
		.filter(line => /^\w+\(/.test(line));
	assert(lines.length > 100, `only ${lines.length} calls`);
	for (const line of lines) {
		assert(allowed.has(/^\w+/.exec(line)[0]), line);
		const family = /^socket\((AF_\w+)/.exec(line)?.[1];
		assert(family === undefined || families.includes(family), line);
		assert(!(line.includes('PROT_WRITE') && line.includes('PROT_EXEC')), line);
	}
});
