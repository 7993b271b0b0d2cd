/* Tests that limits.test.mjs runs in a network namespace, whose loopback has more addresses. */
import assert from 'node:assert/strict';
import { Raw, handshake, request } from './client.mjs';
import { counted, serve, test } from './server.mjs';

const conf = { Host: '192.0.2.1', MaxPerAddress: 2 };
const allow = [/ warn - refused connections: \d+$/];

async function upgraded(server) {
	const raw = await Raw.connect(server);
	raw.write(handshake());
	assert.equal(await raw.status(), 101);
	return raw;
}

test('an address has its share of connections, and of sessions over HTTP', async t => {
	const server = await serve(t, { conf, allow });
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
	const server = await serve(t, { conf: { ...conf, MaxConnections: 20 }, allow });
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
	const server = await serve(t, { conf: { ...conf, TrustedProxies: ['192.0.2.1'] }, allow });
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
