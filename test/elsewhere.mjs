/* Tests that limits.test.mjs runs in a network namespace, whose loopback has more addresses. */
import assert from 'node:assert/strict';
import { Raw, handshake, request } from './client.mjs';
import { REPORT, counted, serve, test, until } from './server.mjs';

const conf = { Host: '192.0.2.1', MaxPerAddress: 2 };

async function upgraded(server) {
	const raw = await Raw.connect(server);
	raw.write(handshake());
	assert.equal(await raw.status(), 101);
	return raw;
}

test('an address has its share of connections, and of sessions over HTTP', async t => {
	const server = await serve(t, { conf });
	const first = await upgraded(server);
	await upgraded(server);
	const third = await Raw.connect(server);
	assert.equal(await third.status(), 503);
	first.destroy();
	await counted(server, 'connections', 1);
	const next = await upgraded(server);
	next.destroy();
	const statuses = [];
	for (let i = 0; i < 3; i++) {
		await counted(server, 'connections', 1);
		const raw = await Raw.connect(server);
		raw.write(request(`/echo/0/session${i}/xhr`, { method: 'POST', Connection: 'close' }));
		statuses.push(await raw.status());
		raw.destroy();
	}
	assert.deepEqual(statuses, [200, 200, 503]);
});

test('an address past its share does not take the places of the others', async t => {
	const server = await serve(t, { conf: { ...conf, MaxConnections: 20 } });
	const first = await upgraded(server);
	await upgraded(server);
	const refused = await Promise.all(Array.from({ length: 60 }, () =>
		Raw.connect(server).catch(() => null)));
	const other = await Raw.connect(server, { localAddress: '192.0.2.2' });
	other.write(handshake());
	assert.equal(await other.status(), 101);
	for (const raw of refused)
		raw?.destroy();
	first.destroy();
});

test('a connection of a trusted proxy counts for the client that it names', async t => {
	const server = await serve(t, { conf: { ...conf, TrustedProxies: ['192.0.2.1'] } });
	const raws = await Promise.all(Array.from({ length: 7 }, () => Raw.connect(server)));
	/* Without a name it counts for the proxy; loopback is not counted. */
	const clients = ['203.0.113.1', '203.0.113.1', '203.0.113.1', undefined, undefined, undefined, '127.0.0.1'];
	const statuses = [];
	for (const [i, raw] of raws.entries()) {
		raw.write(handshake(undefined, { 'X-Forwarded-For': clients[i] }));
		statuses.push(await raw.status());
	}
	assert.deepEqual(statuses, [101, 101, 503, 101, 101, 503, 101]);
	const other = await Raw.connect(server, { localAddress: '192.0.2.2' });
	other.write(handshake(undefined, { 'X-Forwarded-For': '203.0.113.1' }));
	assert.equal(await other.status(), 101);
});

/* The first report of a text. */
async function reported(server, text) {
	const [line] = await server.lines.match(new RegExp(` warn - ${text}.*`));
	return REPORT.exec(line) ?? assert.fail(line);
}

test('the report of a full share names MaxPerAddress and the address', async t => {
	const server = await serve(t, { conf });
	await upgraded(server);
	await upgraded(server);
	const third = await Raw.connect(server);
	assert.equal(await third.status(), 503);
	const [, text, count, client] = await reported(server, 'refused: ');
	assert.match(text, /from one address \(MaxPerAddress\)$/);
	assert.deepEqual([count, client], ['1', `192.0.2.1:${third.socket.localPort}`]);
	/* An address that forwards nothing, or only for itself, is no proxy. */
	for (const raw of server.clients)
		raw.destroy();
	await counted(server, 'connections', 0);
	for (let i = 0; i < 2; i++) {
		const raw = await Raw.connect(server);
		raw.write(request('/health', { 'X-Forwarded-For': '192.0.2.1' }));
		assert.equal(await raw.status(), 404);
	}
	assert.equal(await (await Raw.connect(server)).status(), 503);
	assert.doesNotMatch(server.stderr, /TrustedProxies/);
});

test('the report of a full share names TrustedProxies where the address forwards requests', async t => {
	const server = await serve(t, { conf });
	for (const client of ['203.0.113.1', '203.0.113.2']) {
		const raw = await Raw.connect(server);
		raw.write(handshake('/echo/websocket', { 'X-Forwarded-For': client }));
		assert.equal(await raw.status(), 101);
	}
	const third = await Raw.connect(server);
	const { status, body } = await third.response();
	assert.equal(status, 503);
	assert.equal(body, 'Too many connections from one address: add it to TrustedProxies if it is a proxy of yours');
	const [, text, , client] = await reported(server, 'refused: ');
	assert.match(text, /X-Forwarded-For \(MaxPerAddress, or TrustedProxies if it is a proxy of yours\)$/);
	assert.equal(client, `192.0.2.1:${third.socket.localPort}`);
	/* It is another's share that is full now. */
	const others = await Promise.all([1, 2, 3].map(() => Raw.connect(server, { localAddress: '192.0.2.2' })));
	assert.equal((await others[2].response()).body, 'Too many connections');
	await reported(server, 'refused: .* \\(MaxPerAddress\\): ');
	for (const raw of others)
		raw.destroy();
});
