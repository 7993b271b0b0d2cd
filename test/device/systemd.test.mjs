/* The unit for systemd, checked without a running systemd. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { pair } from '../certificate.mjs';
import { gather } from '../client.mjs';
import { built, scratch, serve, test } from '../server.mjs';
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
	const calls = path.join(directory, 'calls'), traced = path.join(directory, 'videre');
	await writeFile(traced, `#!/bin/sh\nexec strace -D -o ${calls} ${binary} "$@"\n`, { mode: 0o755 });
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
