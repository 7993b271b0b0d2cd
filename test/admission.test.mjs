/* Tokens: which sessions may join which room, over all transports, and that nothing repeats a token. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { describe } from 'node:test';
import {
	Raw, addressed, broadcast, handshake, joined, left, members, open, packet, ping, quit, refused, request,
} from './client.mjs';
import { serveFaulty } from './faults.mjs';
import { Peer, transports as clientTransports, versions } from './peer.mjs';
import { bounded, reopened, test } from './server.mjs';
import { Receiver, ask, batch, fresh, kinds, send, transports, under, visit } from './sockjs.mjs';
import { DAY, FIRST, REFUSED, SECOND, connectWith, now, serveTokens, sign } from './tokens.mjs';

const USER = 'ann', ROOM = 'kitchen';
const query = token => `token=${token}`;

/* Each cause, with claims or a token that have it for USER in ROOM. */
const causes = {
	'token needed': '',
	'token is not valid': `${sign({})}x`,
	'token has expired': { exp: now() - 1 },
	'token is not valid yet': { nbf: now() + DAY / 2 },
	'token is for another room': { room: 'garden' },
	'token is for another user': { sub: 'bob' },
};
const tokenOf = cause => typeof cause === 'string' ? cause : sign({ room: ROOM, sub: USER, ...cause });

async function ends(peer) {
	peer.destroy();
	peer.server?.clients.delete(peer);
}

describe('a connect', () => {
	for (const kind of transports)
		test(`over ${kind} is accepted, or refused with the cause`, async t => {
			const { server } = await serveTokens(t);
			for (const [cause, how] of Object.entries(causes)) {
				const token = tokenOf(how), error = refused(cause, USER, ROOM);
				const before = await visit(server, kind, query(token));
				for (let i = 0; i < 2; i++)
					before.join(USER, ROOM);
				await before.gets(error, error);
				const within = await visit(server, kind);
				within.send(connectWith(token, USER, ROOM));
				await within.gets(error);
				/* A refusal is not the end: the next packet can have a valid token. */
				for (const each of [before, within]) {
					each.send(connectWith(sign({ room: ROOM, sub: USER }), USER, ROOM));
					await each.gets(joined(USER, ROOM, true));
					each.send(quit(USER, ROOM));
					each.join(USER, ROOM);
					await each.gets(each === before ? error : refused('token needed', USER, ROOM));
					await ends(each);
				}
			}
			for (const claims of [{}, { room: ROOM }, { sub: USER }, { room: ROOM, sub: USER, nbf: now() - 1 }]) {
				const before = await visit(server, kind, query(sign(claims)));
				before.join(USER, ROOM);
				await before.gets(joined(USER, ROOM, true));
				const within = await visit(server, kind);
				within.send(connectWith(sign(claims), USER, ROOM));
				await within.gets(joined(USER, ROOM, true));
				assert.equal((await before.closed()).code, 4001);
				await ends(within);
			}
		});

	test('is refused while the clock is not set, and accepted once it is', async t => {
		const { server: { server, set } } = await serveTokens(t, { start: serveFaulty, at: { realtime: -now() } });
		const error = refused('the server\'s clock is not set', USER, ROOM);
		const before = await open(server, { path: `/echo/websocket?${query(sign({}))}` });
		before.join(USER, ROOM);
		await before.gets(error);
		before.send(connectWith(sign({}), USER, ROOM));
		await before.gets(error);
		const [, cause] = await server.lines.match(REFUSED);
		assert.equal(cause, 'the server\'s clock is not set');
		await set({});
		before.join(USER, ROOM);
		await before.gets(joined(USER, ROOM, true));
	});

	test('with two Payloads is refused, because peers would get the token of the first', async t => {
		const { server } = await serveTokens(t);
		const bob = await visit(server, 'plain', query(sign({})));
		bob.join('bob', ROOM);
		await bob.gets(joined('bob', ROOM, true));
		for (const kind of transports) {
			const peer = await visit(server, kind, query(sign({})));
			const text = connectWith(sign({}), USER, ROOM);
			peer.send(`${text.slice(0, -1)},"Payload":"{}"}`);
			await peer.gets(refused('Payload is given twice', USER, ROOM));
			await bob.none();
			await ends(peer);
		}
	});

	test('with the id of another user does not take over its session', async t => {
		const { server } = await serveTokens(t);
		const ann = await visit(server, 'plain', query(sign({ sub: USER })));
		ann.join(USER, ROOM);
		await ann.gets(joined(USER, ROOM, true));
		for (const kind of transports) {
			const bob = await visit(server, kind, query(sign({ sub: 'bob' })));
			bob.join(USER, ROOM);
			await bob.gets(refused('token is for another user', USER, ROOM));
			bob.send(broadcast(USER, ROOM, 'x'));
			await bob.gets(refused('not in this room', USER, ROOM));
			await ends(bob);
		}
		await ann.none();
	});

	test('needs a token if Tokens is set, which the log says at the start', async t => {
		const { server } = await serveTokens(t);
		await server.lines.match(/ info - each connect needs a token: Tokens is set$/);
	});

	test('needs no token if there are no secrets', async t => {
		const { server } = await serveTokens(t, { conf: { Tokens: '' } });
		const peer = await visit(server, 'plain', query('x'));
		peer.send(connectWith('x', USER, ROOM));
		await peer.gets(joined(USER, ROOM, true));
	});

	test('of a peer that is already in the room needs a token too; a refusal changes nothing', async t => {
		const { server } = await serveTokens(t);
		const ann = await visit(server, 'plain');
		ann.send(connectWith(sign({}), USER, ROOM));
		await ann.gets(joined(USER, ROOM, true));
		ann.join(USER, ROOM);
		await ann.gets(refused('token needed', USER, ROOM));
		ann.send(ping(USER, ROOM));
		await ann.gets(members(USER, ROOM, USER));
	});
});

describe('the token of a URL', () => {
	for (const kind of kinds)
		test(`over ${kind} is the one of the first request`, async t => {
			const { server } = await serveTokens(t);
			const session = fresh();
			const first = await Receiver.attach(server, session, 'xhr', { query: query(sign({ room: ROOM })) });
			await first.gets('o');
			const next = async token => {
				const receiver = await Receiver.attach(server, session, kind, { query: query(token) });
				await send(server, session, packet('connect', USER, ROOM, '{}'), packet('connect', USER, 'x', '{}'));
				return receiver;
			};
			const receiver = await next(sign({ room: 'x' }));
			const texts = [joined(USER, ROOM, true), refused('token is for another room', USER, 'x')];
			/* A poll has one frame, and both messages come in one request. */
			if (receiver.streams)
				await receiver.gets(batch(texts[0]), batch(texts[1]));
			else
				await receiver.gets(batch(texts[0]));
			receiver.destroy();
		});

	for (const version of Object.keys(versions))
		for (const transport of clientTransports)
			test(`is sent by sockjs-client ${version} over ${transport}`, async t => {
				const { server } = await serveTokens(t);
				const peer = await Peer.open(under(server, `/echo?${query(sign({ room: ROOM }))}`), [version, transport]);
				peer.join(USER, 'garden');
				await peer.gets(refused('token is for another room', USER, 'garden'));
				peer.join(USER, ROOM);
				await peer.gets(joined(USER, ROOM, true));
			});
});

test('a ping of another room needs a token for that room', async t => {
	const { server } = await serveTokens(t);
	for (const kind of transports) {
		const room = `room of ${kind}`, other = `not the room of ${kind}`;
		const none = await visit(server, kind), some = await visit(server, kind, query(sign({ room })));
		const peer = await visit(server, kind);
		peer.send(connectWith(sign({ room }), USER, room));
		await peer.gets(joined(USER, room, true));
		/* The own room, by any name. */
		peer.send(ping('x', room));
		await peer.gets(members('x', room, USER));
		some.send(ping('x', room));
		await some.gets(members('x', room, USER));
		for (const each of [none, peer, some]) {
			each.send(ping(USER, other));
			await each.gets(refused('not in this room', USER, other));
		}
		none.send(ping(USER, room));
		await none.gets(refused('not in this room', USER, room));
		/* The token of a Payload is for a connect. */
		none.send(packet('ping', USER, room, { Token: sign({}) }));
		await none.gets(refused('not in this room', USER, room));
		for (const each of [none, some, peer])
			await ends(each);
	}
});

describe('secrets', () => {
	test('are rotated by SIGHUP while clients join', async t => {
		const { server, put } = await serveTokens(t);
		const load = async secrets => {
			await put(...secrets);
			const from = server.lines.all.length;
			server.signal('SIGHUP');
			await server.lines.match(/ info - file of Tokens loaded$/, from);
		};
		let secret = FIRST, isOver = false;
		const counts = transports.map(() => 0);
		/* Each transport joins again and again, by a token in the URL and one in a Payload. */
		const joins = async (kind, i) => {
			while (!isOver) {
				const user = `${kind} ${++counts[i]}`, token = sign({ room: kind, sub: user }, secret);
				const peer = await visit(server, kind, counts[i] % 2 ? query(token) : '');
				peer.send(counts[i] % 2 ? packet('connect', user, kind, '{}') : connectWith(token, user, kind));
				await peer.gets(joined(user, kind, true));
				peer.send(quit(user, kind));
				await peer.none();
				await ends(peer);
			}
		};
		const all = Promise.all(transports.map(joins));
		const more = () => bounded((async () => {
			const before = [...counts];
			while (!counts.every((count, i) => count > before[i] + 2))
				await Promise.race([all, new Promise(resolve => setTimeout(resolve, 10))]);
		})(), 'further joins');
		const stays = await visit(server, 'plain', query(sign({ room: ROOM })));
		stays.join(USER, ROOM);
		await stays.gets(joined(USER, ROOM, true));
		try {
			await more();
			await load([SECOND, FIRST]);
			await more();
			secret = SECOND;
			/* Each peer that joins now has a token of the second secret. */
			await more();
			await more();
			await load([SECOND]);
			await more();
		} finally {
			isOver = true;
			await all;
		}
		/* A session with a token of the first one stays in its room, and can join no other. */
		stays.send(ping(USER, ROOM));
		await stays.gets(members(USER, ROOM, USER));
		stays.join(USER, ROOM);
		await stays.gets(refused('token is not valid', USER, ROOM));
		stays.send(connectWith(sign({}), USER, ROOM));
		await stays.gets(refused('token is not valid', USER, ROOM));
		stays.send(connectWith(sign({}, SECOND), USER, ROOM));
		await stays.gets(joined(USER, ROOM, true));
	});
});

/*
 * Secrecy
 */

/* Acts on a server in all ways that have a token, and returns the tokens. */
async function useTokens(server) {
	const tokens = [];
	const made = (claims = {}, secret = FIRST) => {
		tokens.push(sign({ jti: `${tokens.length}`, ...claims }, secret));
		return tokens.at(-1);
	};
	const watcher = await visit(server, 'plain', query(made()));
	watcher.join('watcher', ROOM);
	await watcher.gets(joined('watcher', ROOM, true));
	for (const kind of transports) {
		/* What peers get has no token, also of a takeover. */
		const one = await visit(server, kind, query(made()));
		one.join(USER, ROOM);
		await one.gets(joined(USER, ROOM, false));
		const two = await visit(server, kind, query(made()));
		two.send(connectWith(made(), USER, ROOM));
		await two.gets(joined(USER, ROOM, false));
		assert.equal((await one.closed()).code, 4001);
		await watcher.gets(joined(USER, ROOM, false), left(USER, ROOM), joined(USER, ROOM, false));
		/* Answers to the sender. */
		two.send(packet('ping', USER, ROOM, { Token: made() }));
		await two.gets(members(USER, ROOM, 'watcher', USER));
		two.send(packet('ping', USER, 'garden', { Token: made() }));
		await two.gets(members(USER, 'garden'));
		const errors = [
			['token has expired', connectWith(made({ exp: 1 }), USER, ROOM)],
			['token is not valid', connectWith(made({}, SECOND), USER, ROOM)],
			['token is for another room', connectWith(made({ room: 'x' }), USER, ROOM)],
			['not in this room', packet('broadcast', USER, ROOM.toUpperCase(), { Token: made() }), ROOM.toUpperCase()],
			['unknown Event "x"', packet('x', USER, ROOM, { Token: made() })],
			['no such peer', addressed('broadcast', USER, ROOM, 'nobody', { Token: made() })],
		];
		for (const [reason, text, room = ROOM] of errors) {
			two.send(text);
			await two.gets(refused(reason, USER, room));
		}
		two.send(`{"Payload":{"Token":"${made()}"},"Header":{}`);
		assert.match(await two.next(), /"Event":"error".*"not JSON at byte \d+"\}$/);
		await watcher.none();
		await ends(two);
		await watcher.gets(left(USER, ROOM));
	}
	/* Other requests, valid or not. */
	for (const target of ['/', '/health', '/metrics', '/nowhere', '/echo', '/echo/info', '/echo/iframe.html',
		'/echo/0/s/xhr_send', '/echo/0/s/jsonp', '/echo/websocket', `/${'x'.repeat(16384)}`])
		for (const more of [{}, { method: 'POST', body: 'x' }, { method: 'OPTIONS' }, { Host: 'a b' },
			{ Origin: 'https://b.example' }]) {
			const answer = ask(server, `${target}?${query(made())}`, more);
			/* A request line that is too long has no answer of its own. */
			const { body, headers } = await (target.length > 16384 ? answer.catch(() => ({ body: '', headers: {} })) : answer);
			for (const part of [body, JSON.stringify(headers)])
				assert(!part.includes(tokens.at(-1)), target);
		}
	for (const target of ['/', '/echo', '/echo/websocket']) {
		const raw = await Raw.connect(server);
		raw.write(handshake(`${target}?${query(made())}`, { 'Sec-WebSocket-Version': target === '/' ? '13' : '8' }));
		assert(!(await raw.response()).body.includes('token'), target);
		raw.destroy();
	}
	const raw = await Raw.connect(server);
	raw.write(request(`/?${query(made())}`, { Cookie: made().repeat(200) }));
	assert.equal(await raw.status(), 431);
	return tokens;
}

test('no log line (at level trace), metric or response contains a token or a query', async t => {
	const conf = { Log: 'log', LogLevel: 'trace', LogSize: 0, Origins: ['https://a.example'] };
	const { server } = await serveTokens(t, { conf });
	const tokens = await useTokens(server);
	await server.counters();
	await reopened(server);
	const { body: metrics } = await ask(server, '/metrics');
	assert.match(metrics, /^videre_tokens_refused_total\{cause="expired"\} 7$/m);
	await server.counters();
	server.signal('SIGTERM');
	await bounded(server.exited, 'the end');
	const log = await readFile(path.join(server.dir, 'log'), 'utf8');
	for (const pattern of [/ trace \S+ packet connect, \d+ bytes: user "ann", room "kitchen"\n/,
		/ trace \S+ packet unreadable, \d+ bytes: user "", room ""\n/,
		/ requests \/echo\/websocket\n/, / requests \/echo\/000\/\S+\/jsonp\n/,
		/ warn \S+ refused: token has expired \(Tokens\): room ~/])
		assert.match(log, pattern);
	/* A part of a token, and anything of a packet's body. */
	const parts = tokens.flatMap(token => token.split('.').slice(1)).map(part => part.slice(0, 40));
	for (const text of [log, server.stderr, metrics]) {
		assert.deepEqual(parts.filter(part => text.includes(part)), []);
		assert.doesNotMatch(text, /token=|\?|Payload|"Token|eyJ/);
	}
});
