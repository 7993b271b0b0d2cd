/* TrustedProxies: the client that a trusted proxy forwards for is counted and logged. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { Raw, forwarded, handshake, request } from './client.mjs';
import { counted, eventually, serve, test, until } from './server.mjs';
import { ask, exchange, fresh, post } from './sockjs.mjs';

const A = '203.0.113.1', B = '2001:db8::1';
const conf = { TrustedProxies: ['127.0.0.1', '10.0.0.0/8'], MaxPerAddress: 2 };
const behind = (t, changes) => serve(t, { conf: { ...conf, ...changes } });
const xhr = () => `/echo${fresh()}/xhr`;

/* A handshake for these hops, and its connection and status. */
async function shake(server, hops, target = '/echo/websocket') {
	const raw = await Raw.connect(server);
	raw.write(handshake(target, forwarded(hops)));
	return { raw, status: await raw.status() };
}

async function upgraded(server, hops, target) {
	const { raw, status } = await shake(server, hops, target);
	assert.equal(status, 101, `${hops}`);
	return raw;
}

async function refused(server, hops, target) {
	const { raw, status } = await shake(server, hops, target);
	assert.equal(status, 503, `${hops}`);
	raw.end();
	await raw.ended();
}

/* The status of a first poll for these hops, which makes a session. */
const poll = async (server, hops) =>
	(await ask(server, xhr(), { method: 'POST', ...forwarded(hops) })).status;

for (const [name, target] of [['plain', () => '/echo/websocket'], ['SockJS', () => `/echo${fresh()}/websocket`]]) {
	test(`a ${name} WebSocket counts for its forwarded address until it ends`, async t => {
		const server = await behind(t);
		for (const client of [A, B]) {
			const first = await upgraded(server, client, target());
			await upgraded(server, client, target());
			await refused(server, client, target());
			await refused(server, client, target());
			first.destroy();
			await counted(server, 'connections', 1);
			await upgraded(server, client, target());
			await refused(server, client, target());
			for (const raw of server.clients)
				raw.destroy();
			await counted(server, 'connections', 0);
		}
		assert.equal((await server.counters()).sessions, 0);
	});
}

test('a session over HTTP counts for the forwarded address of the request that made it', async t => {
	const server = await behind(t);
	for (const client of [A, B]) {
		assert.equal(await poll(server, client), 200);
		assert.equal(await poll(server, client), 200);
		assert.equal(await poll(server, client), 503);
	}
	await eventually('no sessions', () => server.counters(), counters => counters.sessions === 0);
	assert.equal(await poll(server, A), 200);
	assert.equal(await poll(server, A), 200);
	assert.equal(await poll(server, A), 503);
});

test('each request of a kept connection has its own client', async t => {
	const server = await behind(t, { MaxPerAddress: 1 });
	const raw = await Raw.connect(server);
	const status = async hops => (await post(raw, xhr(), undefined, forwarded(hops))).status;
	assert.equal(await status(A), 200);
	assert.equal(await status(A), 503);
	assert.equal(await status(B), 200);
	assert.equal(await status(B), 503);
	assert.equal(await status(A), 503);
	/* Nobody is told: it is the proxy's own, and loopback. */
	assert.equal(await status(undefined), 200);
	assert.equal(await status(undefined), 200);
	/* The connection may still become anybody's, just once. */
	raw.write(handshake(undefined, forwarded(A)));
	assert.equal(await raw.status(), 101);
	await refused(server, A);
	await upgraded(server, B);
});

/* A proxy forwards a body as it comes, so its client can keep the connection for as long. */
for (const [what, target, status] of [['a wanted', () => `/echo${fresh()}/xhr_send`, 404],
	['an unwanted', () => '/nowhere', 404]])
	test(`a connection counts for its forwarded address while ${what} body is awaited`, async t => {
		const server = await behind(t);
		const head = hops => request(target(),
			{ method: 'POST', 'Content-Length': '5', ...forwarded(hops) });
		const begin = async hops => {
			const raw = await Raw.connect(server);
			raw.write(`${head(hops)}["`);
			return raw;
		};
		for (const client of [A, B]) {
			const first = await begin(client);
			const second = await begin(client);
			await counted(server, 'http_requests', client === A ? 2 : 10);
			const third = await begin(client);
			assert.equal(await third.status(), 503);
			await third.ended();
			await refused(server, client);
			/* Complete, it counts no more, and the connection is anybody's. */
			for (const raw of [first, second]) {
				raw.write('x"]');
				assert.equal(await raw.status(), status);
			}
			await upgraded(server, client);
			first.write(head(client));
			await counted(server, 'http_requests', client === A ? 6 : 14);
			await refused(server, client);
			first.destroy();
			second.write(request('/echo', forwarded(client)));
			assert.equal(await second.status(), 200);
		}
	});

test('a forwarded address from the client itself is ignored', async t => {
	const server = await behind(t, { MaxPerAddress: 1 });
	await upgraded(server, A);
	for (const hops of [`198.51.100.1, ${A}`, `10.0.0.1, ${A}`, `x, ${A}`, ['198.51.100.2', A],
		`::ffff:${A}`, `${A}:5678`, `"${A}:1"`])
		await refused(server, hops);
	await upgraded(server, B);
	await refused(server, `"[${B}]:4711"`);
	await refused(server, '2001:db8::2'); /* of the same 64 bits */
});

test('a chain of trusted proxies is followed to its client', async t => {
	const server = await behind(t, { MaxPerAddress: 1 });
	await upgraded(server, `${A}, 10.1.1.1`);
	await refused(server, `${A}, 10.2.2.2`);
	await refused(server, [`198.51.100.1, ${A}, 10.1.1.1`, '10.2.2.2']);
	await upgraded(server, `${B}, 10.1.1.1`);
	/* Up to what cannot be read: who stands behind that is the client. */
	await upgraded(server, `${A}, x, 10.3.3.3`);
	await refused(server, `${B}, y, 10.3.3.3, 10.4.4.4`);
});

test('an untrusted proxy cannot name a client', async t => {
	for (const TrustedProxies of [[], ['127.0.0.2', '::1', '10.0.0.0/8']]) {
		const server = await behind(t, { TrustedProxies, MaxPerAddress: 1, Log: 'log', LogLevel: 'debug' });
		for (let i = 0; i < 3; i++)
			await upgraded(server, A);
		for (let i = 0; i < 3; i++)
			assert.equal(await poll(server, A), 200);
		const log = await readFile(path.join(server.dir, 'log'), 'utf8');
		assert(!log.includes(A));
	}
});

test('a proxy on this machine that is not trusted is logged once', async t => {
	const hint = / info 127\.0\.0\.1:\d+ X-Forwarded-For ignored: .*\(TrustedProxies\)$/;
	const hints = server => server.lines.all.filter(line => hint.test(line)).length;
	for (const [TrustedProxies, hops, expected] of [[[], A, 1], [['127.0.0.1'], A, 0], [[], undefined, 0], [[], '127.0.0.1', 0]]) {
		const server = await behind(t, { TrustedProxies, LogLevel: 'info' });
		for (let i = 0; i < 2; i++)
			await upgraded(server, hops);
		await server.counters();
		assert.equal(hints(server), expected, `${TrustedProxies} ${hops}`);
	}
});

test('loopback is excepted where it is the client, and only there', async t => {
	const server = await behind(t, { MaxPerAddress: 1 });
	for (let i = 0; i < 3; i++) {
		await upgraded(server, undefined);
		await upgraded(server, '127.0.0.9');
		assert.equal(await poll(server, '::1'), 200);
	}
	await upgraded(server, A);
	await refused(server, A);
});

test('a failed handshake is not counted', async t => {
	const server = await behind(t, { MaxPerAddress: 1 });
	const raw = await Raw.connect(server);
	for (let i = 0; i < 3; i++) {
		const { status } = await exchange(raw, '/echo/websocket', forwarded(A));
		assert.equal(status, 400);
	}
	await upgraded(server, A);
	await refused(server, A);
});

test('the log names the forwarded address, with the port of the connection', async t => {
	const server = await behind(t, { MaxPerAddress: 1, Log: 'log', LogLevel: 'debug' });
	const logged = pattern => until(`${pattern} in the log`,
		() => readFile(path.join(server.dir, 'log'), 'utf8'), text => pattern.test(text));
	const raw = await upgraded(server, `198.51.100.1, ${A}`);
	const { localPort } = raw.socket;
	await logged(new RegExp(` debug 127\\.0\\.0\\.1:${localPort} connected`));
	const name = `203\\.0\\.113\\.1:${localPort}`;
	await logged(new RegExp(` debug ${name} requests /echo/websocket`));
	await logged(new RegExp(` debug ${name} session opened`));
	const late = await shake(server, `${A}:77`);
	assert.equal(late.status, 503);
	await logged(new RegExp(` debug 203\\.0\\.113\\.1:${late.raw.socket.localPort} refused: too many connections from this address \\(MaxPerAddress\\)\n`));
	raw.destroy();
	await logged(new RegExp(` debug ${name} session closed`));
	assert.equal(await poll(server, `[${B}]:4711`), 200);
	await logged(/ debug \[2001:db8::1\]:\d+ session opened/);
	/* Without the field it is the proxy again. */
	const kept = await Raw.connect(server);
	await exchange(kept, '/one', forwarded(B));
	await exchange(kept, '/two');
	await logged(new RegExp(` debug \\[2001:db8::1\\]:${kept.socket.localPort} requests /one`));
	await logged(new RegExp(` debug 127\\.0\\.0\\.1:${kept.socket.localPort} requests /two`));
});
