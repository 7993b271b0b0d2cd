/*
 * Tests that slow.test.mjs runs in a network namespace.  The server is at one end of a virtual cable; the
 * other end is in the namespace of a child process, which runs this file too.  Then the cable is cut.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { beside } from './bystanders.mjs';
import { gather, joined, left, open, packet } from './client.mjs';
import { bounded, serve, test, until } from './server.mjs';

const NEAR = '192.0.2.1', FAR = '192.0.2.2';
const run = (command, ...args) => execFileSync(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });

/* The far end: peers that join, and answer heartbeats until the test ends. */
async function far() {
	const [{ port, users }] = await once(process, 'message');
	const server = { host: NEAR, port, prefix: '/echo', clients: new Set() };
	for (const user of users) {
		const peer = await open(server);
		peer.join(user, 'r');
		await peer.gets(joined(user, 'r', false));
	}
	process.send('there');
	process.on('disconnect', () => process.exit());
}

/* Lays the cable.  Returns the child at its far end, and what cuts it. */
async function lay(t) {
	const child = spawn('unshare', ['--net', process.execPath, fileURLToPath(import.meta.url), 'far'],
		{ stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
	t.after(() => child.kill('SIGKILL'));
	t.after(() => run('ip', 'link', 'delete', 'near0')); /* both ends */
	const { pid } = child;
	const there = (...args) => run('nsenter', '--target', `${pid}`, '--net', 'ip', ...args);
	await until('its namespace', async () => run('readlink', `/proc/${pid}/ns/net`).toString(),
		name => name !== run('readlink', '/proc/self/ns/net').toString());
	run('ip', 'link', 'add', 'near0', 'type', 'veth', 'peer', 'name', 'far0', 'netns', `${pid}`);
	run('ip', 'address', 'add', `${NEAR}/24`, 'dev', 'near0');
	run('ip', 'link', 'set', 'near0', 'up');
	there('address', 'add', `${FAR}/24`, 'dev', 'far0');
	there('link', 'set', 'far0', 'up');
	return { child, cut: () => there('link', 'set', 'far0', 'down') };
}

async function cutCable(t, meanwhile) {
	const users = ['far one', 'far two'];
	const server = await serve(t, { conf: { Host: '0.0.0.0', Heartbeat: 1 } });
	const here = { ...server, host: '127.0.0.1', prefix: server.prefix, clients: server.clients };
	await beside(t, here, async () => {
		const [a] = await gather(here, 'r', 'a');
		const { child, cut } = await lay(t);
		child.send({ port: server.port, users });
		assert.equal((await bounded(once(child, 'message'), 'those at the far end'))[0], 'there');
		for (const user of users)
			await a.gets(joined(user, 'r', false));
		cut();
		const begin = performance.now();
		const told = new Set();
		const stop = meanwhile(a);
		while (told.size < users.length)
			told.add(await a.next());
		stop();
		/* A heartbeat, two missed ones, a second until the sweep, and a reserve for a busy machine. */
		assert(performance.now() - begin < 7000, `${performance.now() - begin} ms`);
		assert.deepEqual([...told].sort(), users.map(user => left(user, 'r')));
		await a.none();
		await a.close();
	});
	return until('the server forgets them', () => server.counters(),
		({ connections, blocks }) => connections === 0 && blocks === 0);
}

if (process.argv[2] === 'far') {
	await far();
} else {
	test('a cut cable ends the sessions of idle peers', t => cutCable(t, () => () => {}));

	test('a cut cable ends the sessions of peers that receive packets', async t => {
		const counters = await cutCable(t, a => {
			const timer = setInterval(() => a.send(packet('broadcast', 'a', 'r', 'x')), 20);
			return () => clearInterval(timer);
		});
		assert.equal(counters.connections_dropped, 2);
	});
}
