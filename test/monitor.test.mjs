/* /health and /metrics: their contents, what changes them, and which addresses may request them. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { copyFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { SignJWT } from 'jose';
import { inDirectory, pair } from './certificate.mjs';
import {
	OPCODE, Raw, addressed, closeFrame, forwarded, frame, gather, handshake, joined, left, members, open,
	packet, refused, request,
} from './client.mjs';
import { serveFaulty } from './faults.mjs';
import { failures as tlsFailures } from './hello.mjs';
import { bounded, counted, lessThan, scratch, serve, test, until } from './server.mjs';
import {
	Receiver, answer, ask, begin, exchange, fresh, kinds, send, streams, visit,
} from './sockjs.mjs';
import { inClear, shake } from './tls.mjs';
import { DAY, FIRST, REFUSED, connectWith, now, sign } from './tokens.mjs';

const TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/*
 * Reads the text format strictly: each family once, with HELP, TYPE and then its samples, all of one
 * label or none.  Returns the samples as { 'name{value}': number }, without `videre_`, and of each
 * family its type and label.
 */
function parse(text) {
	const families = {}, samples = {};
	let family, helped;
	assert.match(text, /\n$/);
	for (const line of text.slice(0, -1).split('\n')) {
		const [, word, about, rest] = /^# (HELP|TYPE) videre_([a-z][a-z_]*[a-z]) (\S.*)$/.exec(line) ?? [];
		if (word === 'HELP') {
			assert(!(about in families), `${about} comes twice`);
			assert(family === undefined || family.count > 0, 'a family without samples');
			assert.match(rest, /^[A-Z]\S*( [^\s\\]+)+\.$/);
			helped = about;
			family = undefined;
		} else if (word === 'TYPE') {
			assert.equal(about, helped);
			assert.equal(rest, about.endsWith('_total') ? 'counter' : 'gauge');
			families[about] = family = { type: rest, count: 0 };
		} else {
			const [, name, label, value, number] = /^videre_([a-z_]+)(?:\{([a-z]+)="([\w.-]+)"\})? (\d+)$/.exec(line)
				?? assert.fail(`no sample: ${line}`);
			assert.equal(families[name], family, `${name} among those of ${helped}`);
			assert(family.count++ === 0 || (label !== undefined && label === family.label), line);
			family.label = label;
			const key = label === undefined ? name : `${name}{${value}}`;
			assert(!(key in samples), `${key} comes twice`);
			samples[key] = Number(number);
			assert(Number.isSafeInteger(samples[key]), line);
		}
	}
	assert(family?.count > 0, 'the last family without samples');
	return { families, samples };
}

/* These move by themselves. */
const RESTLESS = /^(uptime_seconds|loop_turns_total|(received|sent)_bytes_total|resident_memory_bytes|blocks)$/;
const covered = new Set();

/* Asks on a connection of its own, and tells what has happened between. */
class Watch {
	static async of(server) {
		const watch = new Watch();
		watch.raw = await Raw.connect(server);
		await watch.mark();
		return watch;
	}

	async samples() {
		const { status, headers, body } = await exchange(this.raw, '/metrics');
		assert.equal(status, 200);
		assert.equal(headers['content-type'], TYPE);
		this.asked++;
		return parse(body).samples;
	}

	async mark() {
		this.before = await this.samples();
		this.asked = 0;
	}

	/* What has moved, and by how much, but for what the asking moves. */
	async moved(about = /./) {
		const now = await this.samples();
		now.http_requests_total -= this.asked;
		now['http_responses_total{200}'] -= this.asked;
		return Object.fromEntries(Object.keys(now)
			.filter(key => !RESTLESS.test(key) && about.test(key) && now[key] !== this.before[key])
			.map(key => [key, now[key] - this.before[key]]));
	}

	/* Exactly this moves, sooner or later. */
	async sees(expected, about) {
		let moved;
		const seen = async () => {
			while (!isDeepStrictEqual(moved = await this.moved(about), expected))
				await sleep(20);
		};
		await bounded(seen(), 'it').catch(() => assert.deepEqual(moved, expected));
		for (const key of Object.keys(expected))
			covered.add(key);
	}
}

/* What several things move together. */
const sum = (...parts) => {
	const total = {};
	for (const part of parts)
		for (const [key, count] of Object.entries(part))
			total[key] = (total[key] ?? 0) + count;
	return Object.fromEntries(Object.entries(total).filter(([, count]) => count !== 0));
};

const connection = { connections_accepted_total: 1 };
const response = (code, count = 1) => ({ http_requests_total: count, [`http_responses_total{${code}}`]: count });
const carried = transport => ({ [`transport_connections_opened_total{${transport}}`]: 1 });
const carries = transport => ({ [`transport_connections{${transport}}`]: 1 });
const session = { sessions_opened_total: 1 };
const received = (event, text) => ({
	[`packets_received_total{${event}}`]: 1, [`packet_received_bytes_total{${event}}`]: text.length,
});
const sent = (event, ...texts) => ({
	[`packets_sent_total{${event}}`]: texts.length,
	[`packet_sent_bytes_total{${event}}`]: texts.reduce((all, text) => all + text.length, 0),
});

/*
 * What moves the counters: `act` does it to a server and returns by how much what is to have moved,
 * in all or of what `about` names.
 */
const events = [];
const counts = (name, act, { about, ...options } = {}) => events.push({ name, act, about, options });

counts('a connection', async server => {
	(await Raw.connect(server)).destroy();
	return connection;
});

counts('an open connection', async server => {
	await Raw.connect(server);
	return sum(connection, { connections: 1 });
});

const LIMIT = 16384; /* bytes of a request's head */

/* Requests and what is answered. */
const requests = {
	101: handshake(),
	200: request('/echo'),
	204: request('/echo/info', { method: 'OPTIONS' }),
	304: request('/echo/iframe.html', { 'If-None-Match': '*' }),
	400: request('/', { Host: undefined }),
	403: request('/echo', { Origin: 'https://b.example' }),
	404: request('/nowhere'),
	405: request('/echo', { method: 'DELETE' }),
	413: request('/echo/0/s/xhr_send', { method: 'POST', 'Content-Length': '100000000' }),
	414: `GET /${'x'.repeat(LIMIT)}`,
	417: request('/echo', { Expect: 'a miracle' }),
	426: handshake(undefined, { 'Sec-WebSocket-Version': '8' }),
	431: `GET / HTTP/1.1\r\nX: ${'x'.repeat(LIMIT)}`,
	500: request('/echo/0/s/jsonp'),
	501: request('/echo', { 'Transfer-Encoding': 'gzip, chunked' }),
	505: request('/echo', { version: '2.0' }),
};
for (const [code, text] of Object.entries(requests))
	counts(`an answer with ${code}`, async server => {
		const raw = await Raw.connect(server);
		raw.write(text);
		assert.equal(await raw.status(), Number(code));
		raw.destroy();
		return sum(connection, response(code), code === '101' ? { ...session, ...carried('websocket') } : {},
			/* It is counted when its head ends. */
			['414', '431'].includes(code) ? { http_requests_total: -1 } : {});
	}, { conf: { Origins: ['https://a.example'] } });

counts('a request that does not come to its end', async server => {
	const raw = await Raw.connect(server);
	raw.write('GET / HT');
	assert.equal(await raw.status(), 408);
	return { ...connection, 'http_responses_total{408}': 1 };
}, { conf: { HandshakeTimeout: 3 } });

/* Limits. */
counts('a connection past MaxConnections', async (server, watch) => {
	await Raw.connect(server);
	await watch.mark();
	assert.equal(await (await Raw.connect(server)).status(), 503);
	return { 'connections_refused_total{full}': 1 };
}, { conf: { MaxConnections: 2 } });

counts('a connection past the last place', async (server, watch) => {
	await Raw.connect(server);
	await watch.mark();
	for (let i = 0; i < 30; i++)
		await Raw.connect(server);
	return { 'connections_refused_total{full}': 30 };
}, { conf: { MaxConnections: 2 } });

const proxied = { conf: { TrustedProxies: ['127.0.0.1'], MaxPerAddress: 1 } };
counts('a WebSocket past MaxPerAddress', async (server, watch) => {
	const shook = async () => {
		const raw = await Raw.connect(server);
		raw.write(handshake(undefined, forwarded('203.0.113.1')));
		return raw.status();
	};
	assert.equal(await shook(), 101);
	await watch.mark();
	assert.equal(await shook(), 503);
	return sum(connection, response(503), { 'connections_refused_total{address}': 1 });
}, proxied);

counts('a session past MaxPerAddress', async (server, watch) => {
	const poll = async () => (await ask(server, `/echo${fresh()}/xhr`,
		{ method: 'POST', ...forwarded('203.0.113.1') })).status;
	assert.equal(await poll(), 200);
	await watch.mark();
	assert.equal(await poll(), 503);
	return sum(connection, response(503), { 'sessions_refused_total{address}': 1 });
}, { ...proxied, about: /^(?!sessions|connections$)|refused/ });

counts('a session past all places', async (server, watch) => {
	for (const count of [14, 14]) /* together, because a session lasts 5 s */
		await Promise.all(Array.from({ length: count }, () => begin(server)));
	await watch.mark();
	assert.equal((await ask(server, `/echo${fresh()}/xhr`, { method: 'POST' })).status, 503);
	return { 'sessions_refused_total{full}': 1 };
}, { conf: { MaxConnections: 20 }, about: /refused/ });

/* WebSockets that fail. */
const failures = { 1002: frame(3), 1007: frame(OPCODE.text, Buffer.of(0xff)), 1009: frame(OPCODE.text, 'x'.repeat(65537)) };
for (const [code, bytes] of Object.entries(failures))
	counts(`a WebSocket that fails with ${code}`, async server => {
		const raw = await Raw.websocket(server);
		raw.write(bytes);
		await raw.fails(Number(code));
		raw.destroy();
		return sum(connection, response(101), session, carried('websocket'), { [`websocket_closes_total{${code}}`]: 1 });
	});

counts('a WebSocket that the client closes', async server => {
	const raw = await Raw.websocket(server);
	raw.write(closeFrame(1000));
	assert.equal((await raw.close()).code, 1000);
	raw.destroy();
	return sum(connection, response(101), session, carried('websocket'));
});

const framed = async server => {
	const raw = await Raw.websocket(server, { path: `/echo${fresh()}/websocket` });
	await raw.gets('o');
	return raw;
};

counts('SockJS that is broken', async server => {
	const raw = await framed(server);
	raw.text('[');
	await raw.fails(3000);
	raw.destroy();
	return sum(connection, response(101), session, carried('sockjs-websocket'), { 'websocket_closes_total{3000}': 1 });
});

counts('SockJS with too many messages', async server => {
	const raw = await framed(server);
	raw.text(JSON.stringify(Array(1025).fill('')));
	await raw.gets('c[1009,"too many messages"]');
	await raw.fails(1000);
	raw.destroy();
	return sum(connection, response(101), session, carried('sockjs-websocket'), { 'websocket_closes_total{1000}': 1 });
});

counts('a user that joins again', async (server, watch) => {
	const [older] = await gather(server, 'r', 'a');
	const newer = await open(server);
	await watch.mark();
	newer.join('a', 'r');
	await newer.gets(joined('a', 'r', true));
	assert.equal((await older.closed()).code, 4001);
	return { 'websocket_closes_total{4001}': 1 };
}, { about: /closes/ });

counts('a WebSocket that answers no ping', async (server, watch) => {
	await Raw.websocket(server);
	await watch.mark();
	return sum({ websockets_silent_total: 1, connections: -1, sessions: -1, 'transport_connections{websocket}': -1 });
}, { conf: { Heartbeat: 1 } });

/* Peers that do not read. */
async function deaf(server) {
	const [a] = await gather(server, 'r', 'a');
	const lazy = await Raw.websocket(server);
	lazy.socket.pause();
	lazy.text(packet('connect', 'lazy', 'r', '{}'));
	await a.gets(joined('lazy', 'r', false));
	return { lazy, tell: () => a.send(packet('broadcast', 'a', 'r', 'x'.repeat(60_000))), a };
}

counts('a peer that has too much to read', async server => {
	const { tell, a } = await deaf(server);
	const gone = a.gets(left('lazy', 'r')).then(() => true);
	for (let i = 0; i < 5000 && !await Promise.race([gone, sleep(0, false)]); i++)
		tell();
	await gone;
	return { 'connections_dropped_total{unread}': 1 };
}, { about: /drop/, expect: [/ warn \S+ closed: output buffer full, the client is not reading/] });

counts('a peer that reads for too long', async (server, watch) => {
	const { lazy, tell, a } = await deaf(server);
	const gone = a.gets(left('lazy', 'r')).then(() => true);
	/* One packet at a time, until some of it waits: besides there is the block of who asks. */
	while (!await Promise.race([gone, sleep(10, false)])) {
		lazy.write(frame(OPCODE.pong)); /* It is not silent. */
		if ((await watch.samples()).blocks === 1)
			tell();
	}
	return { 'connections_dropped_total{stalled}': 1 };
}, { about: /drop/, conf: { Heartbeat: 1 } });

counts('a session that does not fetch', async server => {
	const [a] = await gather(server, 'r', 'a');
	const lazy = await begin(server);
	await send(server, lazy, packet('connect', 'lazy', 'r', '{}'));
	await a.gets(joined('lazy', 'r', false));
	const gone = a.gets(left('lazy', 'r')).then(() => true);
	while (!await Promise.race([gone, sleep(0, false)]))
		a.send(packet('broadcast', 'a', 'r', 'x'.repeat(900)));
	return { sessions_dropped_total: 1 };
}, { about: /drop/, conf: { MaxPacket: 1024, MaxPeers: 2 }, expect: [/ warn \S+ closed: queue full, the client is not fetching/] });

/* Sessions, by what carries them. */
const label = kind => kind === 'plain' ? 'websocket' : kind === 'websocket' ? 'sockjs-websocket' : kind.replace('_', '-');

for (const kind of ['plain', 'websocket'])
	counts(`a session over ${label(kind)}`, async server => {
		await visit(server, kind);
		return sum(connection, { connections: 1, sessions: 1 }, response(101), session, carries(label(kind)), carried(label(kind)));
	});

for (const kind of kinds)
	counts(`a session over ${label(kind)}`, async (server, watch) => {
		const path = await begin(server);
		await watch.sees(sum(connection, response(404), response(200), session, carried('xhr'), { sessions: 1, sessions_polled: 1 }));
		await watch.mark();
		await Receiver.attach(server, path, kind);
		return sum(connection, { connections: 1 }, response(200), carries(label(kind)), carried(label(kind)),
			/* Which helps to see that a poll has come. */
			streams.includes(kind) ? {} : response(404));
	});

counts('a second receiver', async (server, watch) => {
	const path = await begin(server);
	await Receiver.attach(server, path, 'xhr_streaming');
	await watch.mark();
	const second = await Receiver.attach(server, path, 'xhr_streaming');
	await second.gets('c[2010,"Another connection still open"]');
	return sum(connection, response(200), { connections: 1 });
});

/* Packets. */
const connect = packet('connect', 'a', 'r', '{}');

counts('a peer that joins', async (server, watch) => {
	const [first] = await gather(server, 'r', 'first');
	const a = await open(server);
	await watch.mark();
	a.send(connect);
	const text = joined('a', 'r', false);
	await first.gets(text);
	await a.gets(text);
	return sum({ peers: 1 }, received('connect', connect), sent('connect', text, text));
});

counts('the first peer of a room', async (server, watch) => {
	const a = await open(server);
	await watch.mark();
	a.send(connect);
	await a.gets(joined('a', 'r', true));
	return sum({ rooms: 1, peers: 1 }, received('connect', connect), sent('connect', joined('a', 'r', true)));
});

for (const kind of ['plain', ...kinds])
	counts(`a broadcast over ${label(kind)}`, async (server, watch) => {
		const others = await gather(server, 'r', 'b', 'c', 'd');
		const a = await visit(server, kind);
		a.send(connect);
		for (const each of [a, ...others])
			await each.gets(joined('a', 'r', false));
		await watch.mark();
		/* As SockJS has it, it is longer. */
		const text = packet('broadcast', 'a', 'r', '"\\\n\u2028');
		a.send(text);
		await Promise.all(others.map(each => each.gets(text)));
		const bytes = Buffer.from(text);
		return sum(received('broadcast', bytes), sent('broadcast', bytes, bytes, bytes));
	}, { about: /packet/ });

counts('a broadcast to one peer', async (server, watch) => {
	const [a, b] = await gather(server, 'r', 'a', 'b', 'c');
	await watch.mark();
	const text = addressed('broadcast', 'a', 'r', 'b');
	a.send(text);
	await b.gets(text);
	return sum(received('broadcast', text), sent('broadcast', text), { broadcasts_to_one_peer_total: 1 });
});

counts('a broadcast to a peer that is not there', async (server, watch) => {
	const [a] = await gather(server, 'r', 'a');
	await watch.mark();
	const text = addressed('broadcast', 'a', 'r', 'b'), error = refused('no such peer', 'a', 'r');
	a.send(text);
	await a.gets(error);
	return sum(received('broadcast', text), sent('error', error),
		{ broadcasts_to_one_peer_total: 1, 'packets_refused_total{no-such-peer}': 1 });
});

counts('a ping', async (server, watch) => {
	const [a] = await gather(server, 'r', 'a', 'b');
	await watch.mark();
	const text = packet('ping', 'a', 'r', '{}'), pong = members('a', 'r', 'a', 'b');
	a.send(text);
	await a.gets(pong);
	return sum(received('ping', text), sent('ping', pong));
});

counts('a disconnect', async (server, watch) => {
	const [a, b, c] = await gather(server, 'r', 'a', 'b', 'c');
	await watch.mark();
	const text = packet('disconnect', 'a', 'r', '{"bye":1}');
	a.send(text);
	await b.gets(text);
	await c.gets(text);
	return sum({ peers: -1 }, received('disconnect', text), sent('disconnect', text, text));
});

counts('a peer that is gone', async (server, watch) => {
	const [a, b] = await gather(server, 'r', 'a', 'b');
	await watch.mark();
	a.reset();
	await b.gets(left('a', 'r'));
	return sum({ peers: -1, connections: -1, sessions: -1, 'transport_connections{websocket}': -1 },
		sent('disconnect', left('a', 'r')));
});

for (const text of ['{', packet('dance', 'a', 'r', '{}'), packet('connect', '', 'r', '{}')])
	counts(`what is no packet: ${text}`, async (server, watch) => {
		const a = await open(server);
		await watch.mark();
		a.send(text);
		const error = await a.next();
		return sum(received('error', text), sent('error', error), { 'packets_refused_total{unreadable}': 1 });
	});

counts('a packet for a full room', async (server, watch) => {
	await gather(server, 'r', 'b');
	const a = await open(server);
	await watch.mark();
	a.send(connect);
	const error = refused('room is full', 'a', 'r');
	await a.gets(error);
	return sum(received('connect', connect), sent('error', error), { 'packets_refused_total{room-full}': 1 });
}, { conf: { MaxPeers: 1 } });

counts('a packet that would take over a user again and again', async (server, watch) => {
	await gather(server, 'r', 'a');
	for (let i = 0; i < 3; i++) {
		const next = await open(server);
		next.join('a', 'r');
		await next.gets(joined('a', 'r', true));
	}
	const last = await open(server);
	await watch.mark();
	last.send(connect);
	const error = refused('user is in use', 'a', 'r');
	await last.gets(error);
	return { 'packets_refused_total{user-in-use}': 1 };
}, { about: /packets_refused/ });

/* The server's own directory has the secrets. */
const withTokens = { conf: { Tokens: 'secrets' }, shell: `umask 077; echo ${FIRST} >secrets`, allow: [REFUSED] };

counts('a connect with a token', async (server, watch) => {
	const a = await open(server);
	await watch.mark();
	const text = connectWith(sign({}), 'a', 'r');
	a.send(text);
	await a.gets(joined('a', 'r', true));
	return sum({ rooms: 1, peers: 1, tokens_accepted_total: 1 }, received('connect', text),
		sent('connect', joined('a', 'r', true)));
}, withTokens);

for (const [cause, reason, token] of [
	['needed', 'token needed', ''],
	['invalid', 'token is not valid', 'x'],
	['expired', 'token has expired', sign({ exp: 1 })],
	['early', 'token is not valid yet', sign({ nbf: now() + DAY / 2 })],
	['other-room', 'token is for another room', sign({ room: 'x' })],
	['other-user', 'token is for another user', sign({ sub: 'x' })],
])
	counts(`a connect whose token is refused: ${cause}`, async (server, watch) => {
		const a = await open(server);
		await watch.mark();
		const text = connectWith(token, 'a', 'r'), error = refused(reason, 'a', 'r');
		a.send(text);
		await a.gets(error);
		return sum(received('connect', text), sent('error', error),
			{ [`tokens_refused_total{${cause}}`]: 1, 'packets_refused_total{token}': 1 });
	}, withTokens);

counts('a connect while the clock is not set', async (server, watch) => {
	const a = await open(server);
	await watch.mark();
	a.send(connectWith(sign({}), 'a', 'r'));
	await a.gets(refused('the server\'s clock is not set', 'a', 'r'));
	return { 'tokens_refused_total{no-clock}': 1, 'packets_refused_total{token}': 1 };
}, { ...withTokens, about: /refused/, at: { realtime: -now() } });

counts('a packet from outside of its room', async (server, watch) => {
	const a = await open(server);
	await watch.mark();
	const text = packet('broadcast', 'a', 'r', {}), error = refused('not in this room', 'a', 'r');
	a.send(text);
	await a.gets(error);
	return sum(received('broadcast', text), sent('error', error), { 'packets_refused_total{not-in-room}': 1 });
});

counts('pings too many of another room', async (server, watch) => {
	const COUNT = 20;
	const raw = await Raw.connect(server);
	raw.write(handshake('/echo/websocket', { 'X-Forwarded-For': '203.0.113.1' }));
	assert.equal(await raw.status(), 101);
	const text = packet('ping', 'a', 'r', '{}'), error = refused('too many pings of other rooms', 'a', 'r');
	const answers = async () => {
		const got = [];
		for (let i = 0; i < COUNT; i++)
			raw.text(text);
		while (got.length < COUNT)
			got.push((await raw.frame()).text);
		return got;
	};
	await answers();
	await watch.mark();
	const got = await answers(), errors = got.filter(answer => answer === error);
	assert(errors.length > 0);
	return sum(...Array(COUNT).fill(received('ping', text)), sent('error', ...errors),
		sent('ping', ...got.filter(answer => answer !== error)),
		{ 'packets_refused_total{too-many-pings}': errors.length });
}, { conf: { TrustedProxies: ['127.0.0.1'] } });

/* ICE servers. */
const tokens = inDirectory('tokens'), SECRET = 's'.repeat(32);
await writeFile(tokens, `${SECRET}\n`, { mode: 0o600 });
const signed = claims => new SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).sign(Buffer.from(SECRET));
const icy = { conf: { Tokens: tokens }, allow: [REFUSED], about: /^(?!connections)/ };

for (const [result, claims] of Object.entries({
	answered: { exp: 4e9 },
	'token-needed': undefined,
	'token-invalid': {},
	'token-expired': { exp: 1 },
	'token-early': { exp: 4e9, nbf: 3e9 },
}))
	counts(`a request for /ice: ${result}`, async server => {
		const code = result === 'answered' ? 200 : 401;
		const { status } = await ask(server, claims ? `/ice?token=${await signed(claims)}` : '/ice');
		assert.equal(status, code);
		return sum(response(code), { [`ice_requests_total{${result}}`]: 1 });
	}, icy);

counts('a request for /ice without a clock', async server => {
	const { status } = await ask(server, `/ice?token=${await signed({ exp: 4e9 })}`);
	assert.equal(status, 503);
	return sum(response(503), { 'ice_requests_total{no-clock}': 1 });
}, { ...icy, at: { realtime: -1e9 }, expect: [/ warn - no ICE servers: the clock is not set/] });

/* TLS. */
const secure = { tls: await pair('P-256') };

counts('a TLS handshake', async server => {
	await shake(server);
	return sum(connection, { connections: 1, tls_handshakes_total: 1 });
}, secure);

counts('a TLS handshake that resumes a session', async (server, watch) => {
	const first = await shake(server, { maxVersion: 'TLSv1.2' });
	const earlier = first.getSession(), closed = once(first.resume(), 'close');
	first.end();
	await bounded(closed, 'the close');
	await watch.mark();
	const second = await shake(server, { session: earlier, maxVersion: 'TLSv1.2' });
	assert(second.isSessionReused());
	return sum({ connections_accepted_total: 1, tls_handshakes_total: 1, tls_resumed_total: 1 });
}, { ...secure, about: /^(?!connections$)/ });

for (const [name, said, bytes] of tlsFailures)
	counts(`a TLS failure: ${said}`, async server => {
		const raw = await Raw.connect(inClear(server));
		raw.write(bytes);
		await raw.drained();
		raw.destroy();
		return sum(connection, { [`tls_failures_total{${name}}`]: 1 });
	}, secure);

counts('want of descriptors', async (server, watch) => {
	const raws = [];
	for (let i = 0; i < 20; i++)
		raws.push(await Raw.connect(server));
	await server.lines.match(/Too many open files/);
	/* It tries again each second, until these have gone. */
	for (const raw of raws)
		raw.destroy();
	await counted(server, 'connections', 1);
	const { accept_shortages_total: count } = await watch.moved(/shortages/);
	assert(count > 0);
	return { accept_shortages_total: count };
}, {
	about: /shortages/, shell: 'ulimit -n 20',
	expect: [/ warn - too few file descriptors for MaxConnections: \d+ needed, ulimit -Hn allows 20$/, / warn - .*(Too many open files|EMFILE)/],
});

describe('counters move with', { concurrency: 4 }, () => {
	for (const { name, act, about, options } of events)
		test(name, async t => {
			const server = options.at === undefined ? await serve(t, options)
				: (await serveFaulty(t, options)).server;
			const watch = await Watch.of(server);
			await watch.sees(await act(server, watch), about);
		});
});

test('every counter and gauge has been seen to move', async t => {
	const { samples } = parse((await ask(await serve(t), '/metrics')).body);
	const rest = Object.keys(samples).filter(key => !covered.has(key) && !RESTLESS.test(key) && !/^limit\{/.test(key));
	assert.deepEqual(rest, ['build_info{0.1.0}', 'http_responses_total{406}']);
});

describe('/metrics', () => {
	test('has these families, with these labels', async t => {
		const { families } = parse((await ask(await serve(t), '/metrics')).body);
		const labels = Object.entries(families).filter(([, { label }]) => label !== undefined)
			.map(([name, { label }]) => [name, label]);
		assert.deepEqual(Object.fromEntries(labels), {
			build_info: 'version',
			limit: 'of',
			transport_connections: 'transport',
			connections_refused_total: 'cause',
			connections_dropped_total: 'cause',
			http_responses_total: 'code',
			websocket_closes_total: 'code',
			transport_connections_opened_total: 'transport',
			sessions_refused_total: 'cause',
			packets_received_total: 'event',
			packets_sent_total: 'event',
			packets_refused_total: 'cause',
			tokens_refused_total: 'cause',
			packet_received_bytes_total: 'event',
			packet_sent_bytes_total: 'event',
			ice_requests_total: 'result',
			tls_failures_total: 'error',
		});
		assert.equal(families.resident_memory_bytes.type, 'gauge');
	});

	test('has the limits', async t => {
		const limits = { MaxConnections: 12, MaxPerAddress: 3, MaxPeers: 4, MaxPacket: 5000 };
		const server = await serve(t, { conf: limits });
		const { samples } = parse((await ask(server, '/metrics')).body);
		const { 'limit{sessions}': sessions, ...rest } = Object.fromEntries(
			Object.entries(samples).filter(([key]) => key.startsWith('limit{')));
		assert.deepEqual(rest, {
			'limit{connections}': 12,
			'limit{per_address}': 3,
			'limit{peers}': 4,
			'limit{packet_bytes}': 5000,
			'limit{head_bytes}': 16384,
		});
		/* As many over HTTP as on WebSockets. */
		assert(sessions >= 24, `${sessions}`);
	});

	test('counts every byte, turns and time', async t => {
		const server = await serve(t);
		const raw = await Raw.connect(server);
		const text = request('/metrics');
		let before, length;
		const begin = performance.now();
		for (let i = 0; i < 3; i++) {
			raw.write(text);
			const head = await raw.through('\r\n\r\n');
			const body = (await raw.read(Number(/Content-Length: (\d+)/.exec(head)[1]))).toString();
			const { samples } = parse(body);
			if (before !== undefined) {
				assert.equal(samples.received_bytes_total - before.received_bytes_total, text.length);
				assert.equal(samples.sent_bytes_total - before.sent_bytes_total, length);
				assert(samples.loop_turns_total > before.loop_turns_total);
			}
			assert(samples.uptime_seconds <= (performance.now() - begin) / 1000 + 2);
			length = head.length + body.length;
			before = samples;
			if (i === 1)
				await sleep(1100);
		}
		assert(before.uptime_seconds >= 1);
	});

	test('fits into the smallest block', async t => {
		const server = await serve(t, { conf: { MaxPacket: 1024, MaxPeers: 1 } });
		const raw = await Raw.connect(server);
		raw.write(request('/metrics').repeat(2));
		for (let i = 0; i < 2; i++)
			parse((await answer(raw)).body);
	});

	test('goes back to nothing when everybody has left, again and again', async t => {
		const server = await serve(t);
		const watch = await Watch.of(server);
		const gauges = /^(connections|sessions|sessions_polled|rooms|peers|transport_connections\{.*)$/;
		for (let round = 0; round < 3; round++) {
			for (const [i, kind] of ['plain', 'websocket', ...kinds].entries()) {
				const peer = await visit(server, kind);
				peer.join(`user ${i}`, `room ${i % 2}`);
				await peer.next();
				await peer.attached?.();
			}
			const full = await watch.samples();
			assert.deepEqual([full.rooms, full.peers, full.sessions, full.sessions_polled], [2, 7, 7, 5]);
			assert(full.connections > 7);
			for (const client of server.clients)
				if (client !== watch.raw)
					client.destroy();
			await watch.sees({}, gauges);
			assert.equal((await watch.samples()).connections, 1);
		}
		const { samples } = parse((await ask(server, '/metrics')).body);
		assert.equal(samples.sessions_opened_total, 21);
		assert.equal(samples['packets_received_total{connect}'], 21);
		for (const transport of ['websocket', 'sockjs-websocket', 'xhr-streaming', 'eventsource', 'htmlfile'])
			assert.equal(samples[`transport_connections_opened_total{${transport}}`], 3, transport);
	});
});

describe('both', () => {
	for (const path of ['/health', '/metrics']) {
		test(`${path} is answered to GET and HEAD, and to nothing else`, async t => {
			const server = await serve(t);
			const raw = await Raw.connect(server);
			const { status, headers, body } = await exchange(raw, path);
			assert.equal(status, 200);
			assert.equal(headers['content-type'], path === '/metrics' ? TYPE : 'text/plain; charset=utf-8');
			assert.equal(headers['cache-control'], 'no-store');
			assert(path === '/metrics' ? body.length > 1000 : body === 'ok\n');
			raw.write(request(path, { method: 'HEAD' }));
			const head = await answer(raw, 'HEAD');
			assert.equal(head.status, 200);
			assert.equal(head.headers['content-type'], headers['content-type']);
			assert(Number(head.headers['content-length']) >= body.length);
			for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) {
				const { status, headers: { allow: methods } } = await exchange(raw, path, { method });
				assert.deepEqual({ status, methods },
					{ status: method === 'OPTIONS' ? 204 : 405, methods: 'GET, HEAD, OPTIONS' });
			}
			assert.equal((await exchange(raw, `${path}?a=b`)).status, 200);
			for (const other of [`${path}/`, `${path}x`, path.toUpperCase(), `/x${path}`, `${path}/x/xhr`])
				assert.equal((await exchange(raw, other)).status, 404, other);
		});
	}

	test('are there when the prefix is empty', async t => {
		const server = await serve(t, { conf: { Prefix: '' } });
		assert.equal((await ask(server, '/health')).body, 'ok\n');
		parse((await ask(server, '/metrics')).body);
		assert.equal((await ask(server, '/nowhere')).status, 404);
		assert.equal((await ask(server, '/')).body, 'Welcome to SockJS!\n');
	});

	test('are there over TLS', async t => {
		const server = await serve(t, secure);
		assert.equal((await ask(server, '/health')).body, 'ok\n');
		assert.equal(parse((await ask(server, '/metrics')).body).samples.tls_handshakes_total, 2);
	});
});

/* Whoever asks gets both, or finds nothing. */
async function may(server, yes, headers = {}, options = {}) {
	const raw = await Raw.connect(server, options);
	const nothing = await exchange(raw, '/nowhere', headers);
	delete nothing.headers.date;
	for (const [path, method] of [['/health', 'GET'], ['/metrics', 'GET'], ['/metrics', 'POST']]) {
		const found = await exchange(raw, path, { method, ...headers });
		delete found.headers.date;
		if (yes)
			assert.equal(found.status, method === 'GET' ? 200 : 405);
		else
			assert.deepEqual(found, nothing, `${path} is as if it were not there`);
	}
	raw.destroy();
}

describe('Monitor', () => {
	const ONE = { localAddress: '127.0.0.1' }, TWO = { localAddress: '127.0.0.2' };
	const OUTSIDE = '203.0.113.1';

	test('lets loopback in by default', async t => {
		const server = await serve(t);
		await may(server, true, {}, ONE);
		await may(server, true, {}, TWO);
		await may(await serve(t, { conf: { Host: '::1' } }), true);
	});

	test('admits the addresses that it lists, and no other', async t => {
		const server = await serve(t, { conf: { Monitor: ['127.0.0.1', 'fd00::/8'] } });
		await may(server, true, {}, ONE);
		await may(server, false, {}, TWO);
		await may(await serve(t, { conf: { Host: '::1', Monitor: ['127.0.0.0/8', '::2'] } }), false);
		await may(await serve(t, { conf: { Host: '::1', Monitor: ['::1'] } }), true);
		await may(await serve(t, { conf: { Monitor: ['127.0.0.2/31'] } }), false, {}, ONE);
		await may(await serve(t, { conf: { Monitor: [] } }), false);
	});

	test('does not take a trusted proxy for its client', async t => {
		const TrustedProxies = ['127.0.0.1', '10.0.0.0/8'];
		const server = await serve(t, { conf: { TrustedProxies } });
		for (const hops of [OUTSIDE, `127.0.0.1, ${OUTSIDE}`, `${OUTSIDE}, 127.0.0.1`, [`127.0.0.1`, OUTSIDE],
			`${OUTSIDE}, 10.0.0.1`, '2001:db8::1', '10.0.0.1'])
			await may(server, false, forwarded(hops), ONE);
		for (const hops of [undefined, '127.0.0.9', '::1', `${OUTSIDE}, 127.0.0.9`])
			await may(server, true, forwarded(hops), ONE);
		await may(server, false, forwarded(OUTSIDE), TWO);
		const named = await serve(t, { conf: { TrustedProxies, Monitor: ['203.0.113.0/24'] } });
		await may(named, true, forwarded(OUTSIDE), ONE);
		await may(named, false, forwarded(OUTSIDE), TWO);
		await may(named, false, {}, ONE);
	});

	test('judges each request of a kept connection for itself', async t => {
		const raw = await Raw.connect(await serve(t, { conf: { TrustedProxies: ['127.0.0.1'] } }));
		for (const [hops, status] of [['127.0.0.1', 200], [OUTSIDE, 404], [undefined, 200], [OUTSIDE, 404]])
			assert.equal((await exchange(raw, '/metrics', forwarded(hops))).status, status);
	});

	test('does not admit a client that an untrusted proxy names', async t => {
		const server = await serve(t);
		for (const hops of [OUTSIDE, `127.0.0.1, ${OUTSIDE}`, ['127.0.0.1', OUTSIDE]])
			await may(server, false, forwarded(hops));
		await may(server, true, forwarded('127.0.0.1'));
	});

	test('does not let in whom a proxy cannot name', async t => {
		for (const conf of [{}, { TrustedProxies: ['127.0.0.1'] }]) {
			const server = await serve(t, { conf });
			for (const hops of ['unknown', `${OUTSIDE}, unknown`, 'unix:', `${OUTSIDE}:70000`, 'fe80::1%eth0'])
				await may(server, false, forwarded(hops));
		}
	});
});

describe('Host of a request from loopback', () => {
	const addresses = ['127.0.0.1', '127.0.0.1:1111', '[::1]', '[::1]:1111', '192.0.2.1', 'localhost',
		'LocalHost:80', 'localhost.', 'localhost.:1111', ''];
	const strange = ['evil.example', 'evil.example:1111', 'evil.example.', 'localhost.evil.example',
		'evil.localhost', 'xlocalhost', 'localhostx', 'localhost..', '127.0.0.1.evil.example', '1.2.3',
		'.', '%31.2.3.4'];
	const each = async (server, yes, hosts, headers = {}) => {
		for (const Host of hosts)
			await may(server, yes, { Host, ...headers });
	};

	test('is an address or localhost', async t => {
		const server = await serve(t);
		await each(server, true, addresses);
		await each(server, false, strange);
		await each(await serve(t, { conf: { Host: '::1' } }), false, ['evil.example']);
	});

	test('is the one of the target, if that names one', async t => {
		const server = await serve(t);
		for (const [host, status] of [['evil.example', 404], ['127.0.0.1:80', 200]])
			assert.equal((await ask(server, `http://${host}/metrics`)).status, status);
	});

	test('is absent where no browser asks', async t => {
		const server = await serve(t);
		for (const [Host, status] of [[undefined, 200], ['evil.example', 404], ['localhost', 200]])
			assert.equal((await ask(server, '/health', { version: '1.0', Host })).status, status);
	});

	test('is a name of the certificate, the one that is loaded now', async t => {
		const dir = await scratch(t);
		const names = (...list) => `subjectAltName=IP:127.0.0.1,DNS:localhost,email:a@mail.example,URI:http://uri.example${
			list.map(name => `,DNS:${name}`).join('')}`;
		const old = await pair('P-256', 'cn.example', names('videre.example', '*.wild.example', 'x.*.example', 'f*.example'));
		const next = await pair('P-256', 'other.example', names('next.example'));
		const [cert, key] = ['cert.pem', 'key.pem'].map(name => path.join(dir, name));
		const put = one => Promise.all([copyFile(one.cert, cert), copyFile(one.key, key)]);
		await put(old);
		const server = await serve(t, { tls: { cert, key, ca: [old.ca, next.ca] } });
		const named = ['videre.example', 'VIDERE.example:443', 'videre.example.', 'a.wild.example', 'A.Wild.Example:1'];
		await each(server, true, [...addresses, ...named]);
		await each(server, false, [...strange, 'cn.example', 'mail.example', 'uri.example', 'wild.example', '.wild.example',
			'a.b.wild.example', 'x.y.example', 'fx.example', 'videre.exampl', 'videre.examplee', 'next.example']);
		await put(next);
		server.signal('SIGHUP');
		await server.lines.match(/ info - certificate loaded/);
		await each(server, true, ['next.example', 'localhost']);
		await each(server, false, named);
	});

	test('is any where the client is not on loopback', async t => {
		const conf = { TrustedProxies: ['127.0.0.1'], Monitor: ['203.0.113.0/24', '127.0.0.9', '127.0.0.1'] };
		const server = await serve(t, { conf });
		await each(server, true, ['public.example'], forwarded('203.0.113.1'));
		await each(server, false, ['public.example'], forwarded('127.0.0.9'));
		await each(server, true, ['localhost'], forwarded('127.0.0.9'));
		/* A page may send X-Forwarded-For too. */
		const { TrustedProxies, ...untrusted } = conf;
		await each(await serve(t, { conf: untrusted }), false, ['evil.example'], forwarded('203.0.113.1'));
	});
});

describe('a server that stops', () => {
	const stopping = async server => {
		server.signal('SIGTERM');
		await server.lines.match(/ info - stopping$/);
	};
	const drains = async raw => {
		const { status, headers, body } = await raw.response();
		assert.deepEqual([status, headers.connection, headers['retry-after'], body], [503, 'close', '5', 'draining\n']);
		raw.end();
		await raw.ended();
	};
	const stopped = async server => {
		const [code] = await bounded(server.exited, 'the exit');
		assert.equal(code, 0);
	};

	for (const [where, options] of [['', {}], [' over TLS', secure]])
		test(`says so on connections that are kept${where}`, async t => {
			const server = await serve(t, options);
			const [kept, idle, head, body, upgrade] =
				await Promise.all(Array.from({ length: 5 }, () => Raw.connect(server)));
			assert.equal((await exchange(kept, '/health')).body, 'ok\n');
			head.write('GET /health HT');
			body.write(request('/echo/0/s/xhr_send', { method: 'POST', 'Content-Length': '2' }));
			await until('all are in', () => server.counters(), ({ connections }) => connections === 5);
			await stopping(server);
			kept.write(request('/health'));
			head.write('TP/1.1\r\nHost: h\r\n\r\n');
			body.write('[]');
			upgrade.write(handshake());
			await Promise.all([kept, head, body, upgrade].map(drains));
			await assert.rejects(Raw.connect(server), 'nobody new is let in');
			await idle.ended();
			await stopped(server);
		});

	test('does not wait for those who do not ask once it has nobody', async t => {
		await lessThan(600, async () => {
			const server = await serve(t);
			const raw = await Raw.connect(server);
			assert.equal((await exchange(raw, '/health')).body, 'ok\n');
			const begin = performance.now();
			await stopping(server);
			raw.write(request('/metrics'));
			await drains(raw);
			raw.destroy();
			await stopped(server);
			return performance.now() - begin;
		});
	});
});

