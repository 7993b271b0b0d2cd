/* Clients beyond a limit are refused or closed, and other clients are not disturbed. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { describe } from 'node:test';
import { fileURLToPath } from 'node:url';
import { pair } from './certificate.mjs';
import {
	Raw, broadcast, deliver, gather, handshake, joined, left, open, overflow, packet, request,
	silence,
} from './client.mjs';
import { counted, serve, test, until } from './server.mjs';
import { inClear } from './tls.mjs';

/* They hear each other, and have heard nothing else. */
async function talk(room, users, clients) {
	const text = packet('broadcast', users[0], room, 'hello');
	clients[0].send(text);
	for (const client of clients.slice(1))
		await client.gets(text);
	await silence(...clients);
}

test('more than MaxConnections are refused at once with 503, the others not disturbed', async t => {
	const server = await serve(t, { conf: { MaxConnections: 3 } });
	const clients = await gather(server, 'r', 'a', 'b');
	const third = await Raw.connect(server);
	third.write(request('/nowhere'));
	assert.equal(await third.status(), 404);
	for (let i = 0; i < 10; i++) {
		const late = await Raw.connect(server);
		late.write(request('/nowhere'));
		const { status, headers } = await late.response();
		assert.deepEqual([status, headers['retry-after']], [503, '5']);
		late.end();
		await late.ended();
	}
	await talk('r', ['a', 'b'], clients);
	third.write(handshake());
	assert.equal(await third.status(), 101);
});

test('a place is free again after a client has left', async t => {
	const server = await serve(t, { conf: { MaxConnections: 2 } });
	const [a, b] = await gather(server, 'r', 'a', 'b');
	for (let i = 0; i < 5; i++) {
		const late = await Raw.connect(server);
		assert.equal(await late.status(), 503);
		late.destroy();
	}
	await b.close();
	await a.gets(left('b', 'r'));
	await counted(server, 'connections', 1);
	const c = await open(server);
	c.join('c', 'r');
	await a.gets(joined('c', 'r', false));
});

test('refused clients that do not close take no place', async t => {
	const server = await serve(t, { conf: { MaxConnections: 2 } });
	const clients = await gather(server, 'r', 'a', 'b');
	const stubborn = [];
	for (let i = 0; i < 50; i++) {
		const late = await Raw.connect(server);
		late.write(request('/nowhere'));
		stubborn.push(late);
	}
	for (const late of stubborn)
		await late.drained();
	await talk('r', ['a', 'b'], clients);
	await clients[1].close();
	await counted(server, 'connections', 1);
	await open(server);
});

/* That others are refused cannot be shown from loopback, the only place tests speak from. */
test('MaxPerAddress does not count loopback', async t => {
	for (const Host of ['127.0.0.1', '::1']) {
		const server = await serve(t, { conf: { Host, MaxPerAddress: 1 } });
		await gather(server, 'r', 'a', 'b', 'c');
	}
});

test('MaxPeers bounds a room, not the server', async t => {
	const server = await serve(t, { conf: { MaxPeers: 1 } });
	await gather(server, 'r', 'a');
	await gather(server, 's', 'a');
	const b = await open(server);
	b.join('b', 'r');
	await b.gets(packet('error', 'b', 'r', 'room is full'));
});

test('a peer that does not read is closed; the others get everything in order', async t => {
	const server = await serve(t, { expect: [/ warn \S+ closed: output buffer full, the client is not reading/] });
	const [a, b] = await gather(server, 'r', 'a', 'b');
	const lazy = await Raw.websocket(server);
	lazy.socket.pause();
	lazy.text(packet('connect', 'lazy', 'r', '{}'));
	await a.gets(joined('lazy', 'r', false));
	await b.gets(joined('lazy', 'r', false));
	await overflow(a, 'a', b, left('lazy', 'r'));
	await deliver(b, a, broadcast('b', 'r', 'still here'));
	await silence(b, a);
	await counted(server, 'connections', 2);
	assert.equal((await server.counters()).connections_dropped, 1);
});

test('a peer that reads late gets all that was kept for it', async t => {
	const server = await serve(t);
	const [a, b] = await gather(server, 'r', 'a', 'b');
	b.socket.pause();
	const texts = Array.from({ length: 40 }, (_, number) =>
		packet('broadcast', 'a', 'r', { number, filler: 'x'.repeat(1000) }));
	texts.forEach(text => a.send(text));
	await a.none();
	b.socket.resume();
	await b.gets(...texts);
});

test('without a free descriptor others wait, and are served when some have left', async t => {
	const server = await serve(t, {
		shell: 'ulimit -n 20',
		expect: [/ warn - too few file descriptors for MaxConnections: \d+ needed, ulimit -Hn allows 20$/, / warn - .*(Too many open files|EMFILE)/],
	});
	const clients = await gather(server, 'r', 'a', 'b');
	const crowd = [];
	for (let i = 0; i < 40; i++) {
		const raw = await Raw.connect(server);
		raw.write(request('/nowhere'));
		crowd.push(raw);
	}
	await server.lines.match(/ warn - .*(Too many open files|EMFILE)/);
	await talk('r', ['a', 'b'], clients);
	for (const raw of crowd) { /* in the order of their coming */
		assert.equal(await raw.status(), 404);
		raw.destroy();
	}
	await talk('r', ['a', 'b'], clients);
	await counted(server, 'connections', 2);
	await (await open(server)).none();
});

test('MaxPerAddress: an address other than loopback has its share and no more', async t => {
	const inside = 'ip link set lo up && ip addr add 192.0.2.1 dev lo && ip addr add 192.0.2.2 dev lo '
		+ '&& exec "$0" --test elsewhere.mjs';
	const child = spawn('unshare', ['--map-root-user', '--net', 'sh', '-c', inside, process.execPath],
		{ cwd: fileURLToPath(new URL('.', import.meta.url)), env: { ...process.env, NODE_TEST_CONTEXT: undefined } });
	t.after(() => child.kill('SIGKILL'));
	const output = [];
	child.stdout.on('data', data => output.push(data));
	child.stderr.on('data', data => output.push(data));
	const [code] = await once(child, 'close');
	assert.equal(code, 0, Buffer.concat(output).toString());
});

describe('the log names the configuration key', () => {
	const conf = { Log: 'log', LogLevel: 'debug' };
	const logged = (server, raw, reason, level = 'debug') => until(`"${reason}" in the log`,
		() => readFile(path.join(server.dir, 'log'), 'utf8'),
		text => text.includes(` ${level} 127.0.0.1:${raw.socket.localPort} ${reason}\n`));

	test('of a refused connection', async t => {
		const server = await serve(t, { conf: { ...conf, MaxConnections: 1 } });
		const first = await Raw.connect(server);
		first.write(request('/nowhere'));
		assert.equal(await first.status(), 404);
		const late = await Raw.connect(server);
		assert.equal(await late.status(), 503);
		await logged(server, late, 'refused: too many connections (MaxConnections)');
		late.destroy();
		first.destroy();
	});

	test('of a WebSocket that answers no heartbeat', async t => {
		const server = await serve(t, { conf: { ...conf, Heartbeat: 1 } });
		const raw = await Raw.websocket(server);
		await raw.drained();
		await logged(server, raw, 'closed: no answer to heartbeats (Heartbeat)', 'info');
	});

	test('of plain HTTP that is rejected', async t => {
		const server = await serve(t, { conf, tls: await pair('P-256') });
		const raw = await Raw.connect(inClear(server));
		raw.write(request('/', { method: 'POST' }));
		assert.equal(await raw.status(), 400);
		await logged(server, raw, 'rejected: plain HTTP on a TLS port (TLS)', 'info');
		raw.destroy();
	});
});
