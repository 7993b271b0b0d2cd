/*
 * What an operator learns from the log at level info about each kind of refusal: what, whose,
 * which key. Two more kinds, of an address that is not loopback, are in elsewhere.mjs.
 */
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { Raw, gather, handshake, open, packet, refused, request } from './client.mjs';
import { REPORT, serve, test } from './server.mjs';
import { exchange, fresh } from './sockjs.mjs';

const LogLevel = 'info';
const reports = server => server.lines.all.map(line => REPORT.exec(line)).filter(Boolean);

/* The first report, which is the only one so far. */
async function reported(server, text, value, from) {
	const [, what, count, client, seen] = await server.lines.match(REPORT);
	assert.match(what, text);
	assert.equal(count, '1');
	assert.match(client, from);
	if (value instanceof RegExp)
		assert.match(seen, value);
	else
		assert.equal(seen, value);
	assert.equal(reports(server).length, 1);
}

/* The status of a request on a connection of its own. */
async function asks(server, path, headers) {
	const raw = await Raw.connect(server);
	raw.write(request(path, headers));
	return raw.status();
}

const kinds = {
	'more than MaxConnections': {
		conf: { MaxConnections: 1 },
		async act(server) {
			await open(server);
			assert.equal(await (await Raw.connect(server)).status(), 503);
		},
		text: /^refused: too many connections.*\(MaxConnections\)$/,
	},
	'more sessions over HTTP than MaxConnections': {
		conf: { MaxConnections: 2 },
		async act(server) {
			const raw = await Raw.connect(server);
			const statuses = [];
			while (statuses.length < 20 && statuses.at(-1) !== 503)
				statuses.push((await exchange(raw, `/echo${fresh()}/xhr`, { method: 'POST' })).status);
			assert.equal(statuses.at(-1), 503);
		},
		text: /^refused: too many connections or sessions \(MaxConnections\)$/,
	},
	'a client of a trusted proxy with more than MaxPerAddress': {
		conf: { MaxPerAddress: 1, TrustedProxies: ['127.0.0.1'] },
		async act(server) {
			for (const expected of [101, 503]) {
				const raw = await Raw.connect(server);
				raw.write(handshake('/echo/websocket', { 'X-Forwarded-For': '203.0.113.1' }));
				assert.equal(await raw.status(), expected);
			}
		},
		text: /^refused: too many connections.* from one address \(MaxPerAddress\)$/,
		client: /^203\.0\.113\.1:\d+$/,
	},
	'metrics for an address outside Monitor': {
		conf: { Monitor: ['192.0.2.1'] },
		act: async server => assert.equal(await asks(server, '/metrics'), 404),
		text: /^refused: \/health or \/metrics .*\(Monitor\)$/,
		value: '127.0.0.1',
	},
	'metrics through a proxy': {
		act: async server => assert.equal(await asks(server, '/health', { 'X-Forwarded-For': '203.0.113.1' }), 404),
		text: /^refused: \/health or \/metrics .*\(Monitor\)$/,
		value: '203.0.113.1',
	},
	'metrics through a proxy that names no address': {
		act: async server => assert.equal(await asks(server, '/health', { 'X-Forwarded-For': 'unknown' }), 404),
		text: /^refused: \/health or \/metrics .*\(Monitor\)$/,
		value: 'X-Forwarded-For',
	},
	'metrics under a name that the certificate lacks': {
		act: async server => assert.equal(await asks(server, '/metrics', { Host: 'router.example:80' }), 404),
		text: /^refused: \/health or \/metrics with a Host .*\(Cert\)$/,
		value: 'router.example:80',
	},
	'a head that is too large': {
		act: async server => assert.equal(await asks(server, '/', { Cookie: 'x'.repeat(17_000) }), 431),
		text: /^refused: head of a request, or a field in it, too large: 16384 bytes/,
	},
	'a field that is too large': {
		act: async server => assert.equal(await asks(server, '/', { Origin: `https://${'x'.repeat(5000)}` }), 431),
		text: /^refused: head of a request, or a field in it, too large/,
	},
	'a Host that is no host': {
		act: async server => assert.equal(await asks(server, '/', { Host: 'a:b:c' }), 400),
		text: /^refused: Host that is not a name or address with an optional port$/,
		value: 'a:b:c',
	},
	'an Origin that Origins lacks': {
		conf: { Origins: ['https://good.example'] },
		act: async server => assert.equal(await asks(server, '/echo/info', { Origin: 'https://evil.example' }), 403),
		text: /^refused: Origin that is not listed \(Origins\)$/,
		value: 'https://evil.example',
	},
	'an Origin that looks like a line of the log': {
		conf: { Origins: ['https://good.example'] },
		act: async server => assert.equal(await asks(server, '/echo/info', { Origin: `"\xff${'x'.repeat(100)}` }), 403),
		text: /^refused: Origin that is not listed \(Origins\)$/,
		value: `\\x22\\xc3\\xbf${'x'.repeat(61)}`,
	},
	'a room that is full': {
		conf: { MaxPeers: 1 },
		async act(server) {
			await gather(server, 'the room', 'a');
			const late = await open(server);
			late.join('b', 'the room');
			await late.gets(refused('room is full', 'b', 'the room'));
		},
		text: /^refused: room is full \(MaxPeers\)$/,
		value: /^~[0-9a-f]{8}$/,
	},
	'a takeover': {
		async act(server) {
			const [first] = await gather(server, 'the room', 'a user');
			(await open(server)).join('a user', 'the room');
			assert.equal((await first.closed()).code, 4001);
		},
		text: /^closed with 4001: .*\(UserId\)$/,
		value: 'a user',
	},
};

describe('at level info the log says what was refused, to whom, and which key changes it:', () => {
	for (const [name, { conf, act, text, value, client = /^127\.0\.0\.1:\d+$/ }] of Object.entries(kinds))
		test(name, async t => {
			const server = await serve(t, { conf: { LogLevel, ...conf } });
			await act(server);
			await reported(server, text, value, client);
		});
});

test('refusals after the first are counted, not logged one by one', async t => {
	const server = await serve(t, { conf: { LogLevel, Origins: ['https://good.example'] } });
	for (let i = 0; i < 50; i++)
		assert.equal(await asks(server, '/echo/info', { Origin: 'https://evil.example' }), 403);
	assert.equal(await asks(server, '/', { Cookie: 'x'.repeat(17_000) }), 431);
	await server.lines.match(/ warn - refused: head /);
	assert.deepEqual(reports(server).map(([, , count]) => count), ['1', '1']);
});

/* It takes that minute. */
test('their number is logged after a minute, also if nobody is connected then', async t => {
	const server = await serve(t, { conf: { LogLevel } });
	for (let i = 0; i < 3; i++)
		assert.equal(await asks(server, '/metrics', { Host: 'evil.example' }), 404);
	for (const raw of server.clients)
		raw.destroy();
	await server.lines.match(/ warn - refused: .* \(Cert\): 2 in the last minute, such as 127\.0\.0\.1:\d+ with "evil\.example"$/, 0, 120_000);
}, 150_000);

test('what is served is not reported', async t => {
	const server = await serve(t, { conf: { LogLevel, Origins: ['https://good.example'] } });
	const Origin = 'https://good.example';
	assert.equal(await asks(server, '/metrics'), 200);
	assert.equal(await asks(server, '/echo/info', { Origin }), 200);
	assert.equal(await asks(server, '/nowhere', { Host: 'evil.example' }), 404);
	const [a] = await gather(server, 'r', 'a', 'b');
	a.send(packet('broadcast', 'a', 'r', 'x'));
	await server.counters();
	assert.deepEqual(reports(server), []);
});
