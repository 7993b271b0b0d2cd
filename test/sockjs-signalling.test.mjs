/* The signalling over each transport, and in rooms where each peer comes over another one. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe } from 'node:test';
import {
	OPCODE, Raw, addressed, broadcast, frame, joined, left, members, packet, ping, quit, refused, request,
	silence,
} from './client.mjs';
import { apart, emptied, serve, test } from './server.mjs';
import {
	DELAY, Receiver, ask, batch, begin, cuts, exists, join, kinds, meet, polls, send, take,
	transports, visit,
} from './sockjs.mjs';

const { room, first, second, packets } =
	JSON.parse(await readFile(new URL('call.json', import.meta.url), 'utf8'));
const users = { first, second };

const REPLACED = { code: 4001, reason: 'replaced' };
const overSockjs = transports.filter(kind => kind !== 'plain');

for (const kind of overSockjs) {
	describe(`peers over ${kind}`, () => {
		const pair = async (t, conf) => {
			const server = await serve(t, { conf });
			return [server, ...await meet(server, 'r', ['a', kind], ['b', kind])];
		};

		test('connect, and are notified of the initiator', async t => {
			const [server, a, b] = await pair(t);
			const c = await visit(server, 'plain');
			c.join('c', 'r');
			for (const each of [a, b, c])
				await each.gets(joined('c', 'r', false));
			b.join('b', 's');
			await b.gets(joined('b', 's', true));
			for (const each of [a, c])
				await each.gets(left('b', 'r'));
			a.join('a2', 'r');
			await a.gets(joined('a2', 'r', false));
			await c.gets(left('a', 'r'), joined('c', 'r', true), joined('a2', 'r', false));
			await silence(a, b, c);
		});

		test('broadcast to the others, unchanged and in order', async t => {
			const [server, a, b] = await pair(t);
			const c = await visit(server, kind);
			c.join('c', 'r');
			for (const each of [a, b, c])
				await each.gets(joined('c', 'r', false));
			const texts = Array.from({ length: 50 }, (_, i) =>
				`{ "Header" : {"Event":"broadcast","UserId":"a","RoomId":"r"}, "n":${i}, "Payload":` +
				'{"Type":"Ice Offer","é":"\\u00e9\\n\u2028%<\\ud83d\\ude00😀","x":1.0e0} }');
			texts.forEach(text => a.send(text));
			for (const each of [b, c])
				await each.gets(...texts);
			await silence(a, b, c);
		});

		test('broadcast to one peer alone, over the same transport and another', async t => {
			const [server, a, b] = await pair(t);
			const c = await visit(server, 'plain');
			c.join('c', 'r');
			for (const each of [a, b, c])
				await each.gets(joined('c', 'r', false));
			for (const [to, peer] of [['b', b], ['c', c], ['a', a]]) {
				const texts = [addressed('broadcast', 'a', 'r', to, '"é\\😀%<\n'),
					`{"Header":{"Event":"broadcast","UserId":"a","RoomId":"r","\\u0054o":"${to}"}}`];
				texts.forEach(text => a.send(text));
				await peer.gets(...texts);
			}
			c.send(addressed('broadcast', 'c', 'r', 'b'));
			await b.gets(addressed('broadcast', 'c', 'r', 'b'));
			a.send(addressed('broadcast', 'a', 'r', 'd'));
			await a.gets(refused('no such peer', 'a', 'r'));
			a.send(addressed('broadcast', 'a', 'r', 5));
			await a.gets(refused('To must be a string of 1 to 128 bytes', 'a', 'r'));
			await silence(a, b, c);
		});

		test('ping, and get the list of peers', async t => {
			const [, a, b] = await pair(t);
			b.send(ping('b', 'r'));
			await b.gets(members('b', 'r', 'a', 'b'));
			b.send(ping('b', 'elsewhere'));
			await b.gets(members('b', 'elsewhere'));
			await silence(a, b);
		});

		test('disconnect, and may connect again', async t => {
			const [, a, b] = await pair(t);
			b.send(quit('b', 'r'));
			await a.gets(quit('b', 'r'));
			await silence(b, a);
			b.join('b', 'r');
			await b.gets(joined('b', 'r', false));
			await a.gets(joined('b', 'r', false));
		});

		test('get their errors alone, and stay', async t => {
			const [, a, b] = await pair(t);
			b.send(broadcast('b', 's', 1));
			await b.gets(refused('not in this room', 'b', 's'));
			b.send(packet('Connect', 'b', 'r'));
			await b.gets(refused('unknown Event "Connect"', 'b', 'r'));
			b.send('');
			assert.match(JSON.parse(await b.next()).Payload, /^not JSON at byte \d+$/);
			b.send('{}');
			await b.gets(refused('Header is missing'));
			await silence(b, a);
			b.send(broadcast('b', 'r', 1));
			await a.gets(broadcast('b', 'r', 1));
		});

		test('are replaced with 4001', async t => {
			const [server, a, b] = await pair(t);
			const next = await visit(server, kind);
			next.join('b', 'r');
			await next.gets(joined('b', 'r', false));
			await a.gets(left('b', 'r'), joined('b', 'r', false));
			assert.deepEqual(await b.closed(), REPLACED);
			b.destroy();
			await silence(next, a);
			next.send(ping('b', 'r'));
			await next.gets(members('b', 'r', 'a', 'b'));
		});

		for (const way of ['destroy', 'reset']) {
			test(`leave their room immediately if their connection ends (${way})`, async t => {
				const [server, a, b] = await pair(t);
				const c = await visit(server, 'plain');
				c.join('c', 'r');
				for (const each of [a, b, c])
					await each.gets(joined('c', 'r', false));
				await b.attached();
				const from = performance.now();
				b[way]();
				for (const each of [a, c])
					await each.gets(left('b', 'r'));
				assert(performance.now() - from < DELAY - 500, 'no timer was needed');
				await silence(await visit(server, kind), a, c);
			});
		}

		test('are closed with 1001 when the server stops, and no peer is notified', async t => {
			const [server, a, b] = await pair(t);
			for (const each of [a, b])
				await each.attached();
			server.signal('SIGTERM');
			for (const each of [a, b])
				assert.equal((await each.closed()).code, 1001);
		});

		test('may send the largest packet; one byte more ends the session', async t => {
			const [server, a, b] = await pair(t, { MaxPacket: 5000 });
			const sized = size => {
				const text = filler => broadcast('a', 'r', filler);
				return text('x'.repeat(size - text('').length));
			};
			for (let i = 0; i < 2; i++) {
				a.send(sized(5000));
				await b.gets(sized(5000));
			}
			/* Each byte of it is two when quoted, or six. */
			const dense = `${broadcast('a', 'r', '')}${'\t'.repeat(5000 - broadcast('a', 'r', '').length)}`;
			a.send(dense);
			await b.gets(dense);
			a.send(sized(5001));
			await b.gets(left('a', 'r'));
			/* A sender over HTTP is told by 413, and may see that before its receiver the close. */
			assert([1009, 1006].includes((await a.closed()).code));
			await silence(b);
		});

		test('receive nothing from other rooms', async t => {
			const [server, a, b] = await pair(t);
			const [c, d] = await meet(server, 's', ['a', kind], ['b', kind]);
			c.send(broadcast('a', 's', 1));
			await d.gets(broadcast('a', 's', 1));
			await silence(c, d, a, b);
		});

		test('leave all tables empty', async t => {
			const [server, a, b] = await pair(t);
			a.send(broadcast('a', 'r', 'x'.repeat(10_000)));
			await b.next();
			a.destroy();
			b.destroy();
			await emptied(server);
		});
	});
}

describe('rooms of mixed transports', () => {
	const pairs = transports.map((kind, i) => [`user ${i}`, kind]);

	test('all peers receive all packets, in order', async t => {
		const server = await serve(t);
		const peers = await meet(server, 'r', ...pairs);
		for (const [i, peer] of peers.entries()) {
			const texts = Array.from({ length: 10 }, (_, n) =>
				broadcast(`user ${i}`, 'r', { n, text: '"é\\😀%<' }));
			texts.forEach(text => peer.send(text));
			for (const other of peers)
				if (other !== peer)
					await other.gets(...texts);
		}
		await silence(...peers);
	});

	test('all peers are notified of each that leaves, however it leaves', async t => {
		const server = await serve(t);
		const peers = await meet(server, 'r', ...pairs);
		while (peers.length > 1) {
			const i = pairs.length - peers.length;
			const peer = peers.shift();
			peer[['destroy', 'reset', 'close'][i % 3]]?.();
			if (i % 3 === 1 && peer.reset === undefined)
				peer.destroy();
			for (const other of peers)
				await other.gets(left(`user ${i}`, 'r'));
		}
		await silence(...peers);
	});

	for (const kind of transports) {
		test(`a session over ${kind} takes over from one over any transport`, async t => {
			const server = await serve(t);
			const [witness] = await meet(server, 'r', ['witness', 'plain']);
			for (const before of transports) {
				const user = `over ${before}`; /* another each time: takeovers of one are limited */
				const older = await visit(server, before);
				older.join(user, 'r');
				await older.gets(joined(user, 'r', false));
				await witness.gets(joined(user, 'r', false));
				const next = await visit(server, kind);
				next.join(user, 'r');
				await next.gets(joined(user, 'r', false));
				await witness.gets(left(user, 'r'), joined(user, 'r', false));
				assert.deepEqual(await older.closed(), REPLACED);
				next.destroy();
				await witness.gets(left(user, 'r'));
				older.destroy();
			}
			await witness.none();
		});
	}

	for (const [mine, other] of [...kinds.map((kind, i) => [kind, kinds[(i + 1) % kinds.length]]),
		['websocket', 'xhr'], ['plain', 'eventsource']]) {
		test(`a call between ${mine} and ${other}`, async t => {
			const server = await serve(t);
			const pages = { first: await visit(server, mine), second: await visit(server, other) };
			for (const { page, text } of packets) {
				pages[page].send(text);
				const { Event } = JSON.parse(text).Header;
				const answer = joined(users[page], room, page === 'first');
				if (Event === 'connect')
					for (const each of page === 'first' ? ['first'] : ['first', 'second'])
						await pages[each].gets(answer);
				else if (Event === 'ping')
					await pages[page].gets(members(users[page], room, first, second));
				else
					await pages[page === 'first' ? 'second' : 'first'].gets(text);
			}
			await pages.second.none();
			pages.second.destroy();
			await pages.first.gets(left(second, room));
			await pages.first.none();
		});
	}
});

describe('a room is notified, once, of a session', { concurrency: apart }, () => {
	for (const kind of kinds) {
		for (const [name, cut] of Object.entries(cuts)) {
			test(`whose receiver by ${kind} ends with ${name}`, async t => {
				const server = await serve(t);
				const [witness] = await meet(server, 'r', ['witness', 'plain']);
				for (let i = 0; i < 5; i++) {
					const session = await join(server, 'r', 'a', witness);
					const receiver = await Receiver.attach(server, session, kind);
					const from = performance.now();
					await cut(receiver.raw);
					await witness.gets(left('a', 'r'));
					assert(performance.now() - from < DELAY - 500, 'no timer was needed');
					assert.equal(await exists(server, session), false);
				}
				await witness.none();
				const { sessions, peers } = await server.counters();
				assert.deepEqual({ sessions, peers }, { sessions: 1, peers: 1 });
			});
		}
	}

	test('that is cut and opened again: it is another one, in no room', async t => {
		const server = await serve(t);
		const [witness] = await meet(server, 'r', ['witness', 'plain']);
		const session = await join(server, 'r', 'a', witness);
		const receiver = await Receiver.attach(server, session, 'xhr');
		receiver.destroy();
		assert.equal((await take(server, session)).frame, 'o');
		await witness.gets(left('a', 'r'));
		await send(server, session, broadcast('a', 'r', 1));
		assert.equal((await take(server, session)).frame, batch(refused('not in this room', 'a', 'r')));
		await witness.none();
	});

	test('that no client returns to, after 5 s', async t => {
		const server = await serve(t);
		const [witness] = await meet(server, 'r', ['witness', 'plain']);
		for (const kind of polls) {
			const peer = await visit(server, kind);
			peer.join('a', 'r');
			await witness.gets(joined('a', 'r', false));
			await peer.gets(joined('a', 'r', false));
			peer.leave();
			const from = performance.now();
			/* Ends the poll that may be pending; what comes now waits for nobody. */
			witness.send(broadcast('witness', 'r', 1));
			await peer.gets(broadcast('witness', 'r', 1));
			await witness.gets(left('a', 'r'));
			assert(performance.now() - from > DELAY - 100, 'not too early');
			await witness.none();
		}
	});

	test('whose receiver is cut after a flood of further requests', async t => {
		const server = await serve(t);
		const [witness] = await meet(server, 'r', ['witness', 'plain']);
		for (const count of [10, 1000, 5000]) {
			const session = await join(server, 'r', 'a', witness);
			const receiver = await Receiver.attach(server, session, 'xhr');
			receiver.raw.write(request('/echo').repeat(count));
			await witness.none();
			receiver.raw.reset();
			await witness.gets(left('a', 'r'));
		}
		await witness.none();
	});

	test('that sends a last packet and leaves', async t => {
		const server = await serve(t);
		const [witness] = await meet(server, 'r', ['witness', 'plain']);
		const session = await join(server, 'r', 'a', witness);
		const receiver = await Receiver.attach(server, session, 'xhr_streaming');
		await send(server, session, quit('a', 'r'));
		receiver.destroy();
		await witness.gets(quit('a', 'r'));
		await witness.none();
	});
});

describe('invalid Unicode', () => {
	/* A room of a sender, whose messages are written out, and one peer a transport. */
	async function audience(t) {
		const server = await serve(t);
		const peers = await meet(server, 'r', ['plain', 'plain'], ['websocket', 'websocket'], ['xhr', 'xhr'],
			['eventsource', 'eventsource']);
		const session = await begin(server);
		await send(server, session, packet('connect', 'a', 'r', '{}'));
		for (const peer of peers)
			await peer.gets(joined('a', 'r', false));
		await take(server, session);
		return { server, session, plain: peers[0], others: peers.slice(1), peers };
	}

	test('bytes that are not UTF-8 are replaced on arrival', async t => {
		const { server, session, peers } = await audience(t);
		const [before, after] = JSON.stringify([broadcast('a', 'r', 'x!x')]).split('!');
		const body = Buffer.concat([Buffer.from(before), Buffer.from([0xff, 0xe2, 0x82]),
			Buffer.from(after)]);
		for (const path of ['xhr_send', 'jsonp_send']) {
			await ask(server, `/echo${session}/${path}`, { method: 'POST', body });
			for (const peer of peers)
				await peer.gets(broadcast('a', 'r', 'x\ufffd\ufffdx'));
		}
	});

	test('lone surrogates are kept among SockJS clients, and U+FFFD to a plain WebSocket', async t => {
		const { server, session, plain, others } = await audience(t);
		for (const half of ['\ud800', '\udfff', '\udc00\ud800']) {
			/* The packet itself has the lone surrogate, which only the outer JSON can escape. */
			const text = broadcast('a', 'r', 'x!x').replace('!', half);
			await send(server, session, text);
			for (const peer of others)
				await peer.gets(text);
			await plain.gets(text.replaceAll(/[\ud800-\udfff]/g, '\ufffd'));
		}
	});

	test('an escape within the packet is relayed unchanged', async t => {
		const { server, session, peers } = await audience(t);
		const text = broadcast('a', 'r', '\ud800');
		assert.match(text, /\\ud800/);
		await send(server, session, text);
		for (const peer of peers)
			await peer.gets(text);
	});

	test('a lone surrogate in an id is an error, however it is written', async t => {
		const { server, session, peers } = await audience(t);
		const reason = 'UserId must be a string of 1 to 128 bytes';
		for (const user of ['\ud800', 'x\udc00', '\udc00\ud800']) {
			await send(server, session, `{"Header":{"Event":"ping","UserId":"${user}","RoomId":"r"}}`);
			assert.equal((await take(server, session)).frame, batch(refused(reason, '', 'r')));
		}
		await send(server, session, ping('\u{1f600}', 'none'));
		const { frame } = await take(server, session);
		assert.equal(frame, batch(members('😀', 'none')));
		await silence(...peers);
	});

	test('lone surrogates that an error repeats are escaped as well', async t => {
		const { server, session, peers } = await audience(t);
		const raw = await Raw.websocket(server, { path: '/echo/0/0/websocket' });
		await raw.gets('o');
		const text = '{"Header":{"Event":"x\ud800","UserId":"a","RoomId":"r"}}';
		raw.text(JSON.stringify([text]));
		assert.match(JSON.parse((await raw.frame()).text.slice(1))[0], /"Event":"error"/);
		await send(server, session, text);
		const { frame } = await take(server, session);
		assert.match(JSON.parse(JSON.parse(frame.slice(1))[0]).Payload, /^unknown Event "x/);
		await silence(...peers);
	});

	test('a high half and a low half in two messages are not joined', async t => {
		const { server, session, others } = await audience(t);
		const texts = ['\ud83d', '\ude00'].map(half => broadcast('a', 'r', '!').replace('!', half));
		await send(server, session, ...texts);
		for (const peer of others)
			await peer.gets(...texts);
	});
});

describe('a binary message over the WebSocket of SockJS', () => {
	test('is read as text', async t => {
		const server = await serve(t);
		const raw = await Raw.websocket(server, { path: '/echo/0/0/websocket' });
		await raw.gets('o');
		raw.write(frame(OPCODE.binary, JSON.stringify([ping('me', 'x')])));
		await raw.gets(batch(members('me', 'x')));
	});

	test('is refused if it is no UTF-8', async t => {
		const server = await serve(t);
		const raw = await Raw.websocket(server, { path: '/echo/0/0/websocket' });
		await raw.gets('o');
		raw.write(frame(OPCODE.binary, Buffer.from('["\xff"]', 'latin1')));
		await raw.fails(1007);
	});
});
