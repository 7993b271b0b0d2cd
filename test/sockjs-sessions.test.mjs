/* Sessions over HTTP: what happens to them, and when (section 14). */
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { Raw, joined, left, open, packet } from './client.mjs';
import { eventually, serve, test } from './server.mjs';
import {
	DELAY, SECOND, GO_AWAY, Receiver, answer, ask, batch, begin, cuts, exchange, exists, fresh,
	kinds, message, polls, receivers, send, serveEcho, streams, take, under,
} from './sockjs.mjs';

const REPLACED = 'c[4001,"replaced"]';

/* One frame for each kind of receiver, in turn. */
async function takeAll(server, session, frame) {
	for (const kind of kinds) {
		const { frame: got, receiver } = await take(server, session, kind);
		assert.equal(got, frame, kind);
		await receiver.ends();
	}
}

describe('a new session (section 14)', () => {
	for (const kind of kinds) {
		test(`is opened by ${kind}, once`, async t => {
			const server = await serveEcho(t);
			const session = fresh();
			assert.equal(await exists(server, session), false);
			const { frame, receiver } = await take(server, session, kind);
			assert.equal(frame, 'o');
			assert.equal(await exists(server, session), true);
			const next = receiver.streams ? receiver : await Receiver.attach(server, session, kind);
			await send(server, session, 'x');
			await next.gets('a["x"]');
		});
	}

	test('is identified by service and id', async t => {
		const server = await serveEcho(t);
		const other = under(server, '/cookie_needed_echo');
		await begin(server, '/0/one');
		assert.equal(await exists(other, '/0/one'), false);
		await begin(other, '/0/one');
		await send(server, '/0/one', 'here');
		await send(other, '/0/one', 'there');
		assert.equal((await take(server, '/0/one')).frame, 'a["here"]');
		assert.equal((await take(other, '/0/one')).frame, 'a["there"]');
	});

	test('has an id of up to 128 bytes', async t => {
		const server = await serveEcho(t);
		const id = 'i'.repeat(128);
		await begin(server, `/0/${id}`);
		await send(server, `/1/${id}`, 'x');
		assert.equal((await take(server, `/0/${id}`)).frame, 'a["x"]');
		for (const kind of kinds) {
			const { method, path } = receivers[kind];
			assert.equal((await ask(server, `/echo/0/${id}i${path}`, { method })).status, 404, kind);
		}
		for (const path of ['xhr_send', 'jsonp_send'])
			assert.equal((await ask(server, `/echo/0/${id}i/${path}`, { method: 'POST', body: '[]' })).status,
				404, path);
	});
});

describe('a second receiver (section 14)', () => {
	for (const first of kinds) {
		test(`is refused while ${first} is attached, which stays`, async t => {
			const server = await serveEcho(t);
			const session = await begin(server);
			const receiver = await Receiver.attach(server, session, first);
			for (let i = 0; i < 2; i++)
				await takeAll(server, session, SECOND);
			await send(server, session, 'x');
			await receiver.gets('a["x"]');
			if (receiver.streams)
				await takeAll(server, session, SECOND);
			else
				await (await receiver.again(server, session)).destroy();
		});
	}

	test('that disconnects changes nothing', async t => {
		const server = await serveEcho(t);
		const session = await begin(server);
		const receiver = await Receiver.attach(server, session, 'xhr');
		for (const cut of Object.values(cuts)) {
			const second = await Receiver.attach(server, session, 'xhr_streaming');
			await cut(second.raw);
		}
		await takeAll(server, session, SECOND);
		await send(server, session, 'x');
		await receiver.gets('a["x"]');
	});

	test('pipelined after the first on one connection follows it', async t => {
		const server = await serveEcho(t);
		const session = await begin(server);
		const receiver = await Receiver.attach(server, session, 'xhr');
		receiver.raw.write(message(`/echo${session}/xhr`, { method: 'POST' }));
		await send(server, session, 'x');
		await receiver.gets('a["x"]');
		await send(server, session, 'y');
		/* Either it was run at once and saw the first, or afterwards. */
		const { body } = await answer(receiver.raw);
		assert([`${SECOND}\n`, 'a["y"]\n'].includes(body), body);
	});
});

describe('receivers (section 14)', () => {
	test('of any kind follow one another', async t => {
		const server = await serveEcho(t);
		const session = await begin(server);
		for (const kind of [...kinds, ...kinds.toReversed()]) {
			await send(server, session, 'x'.repeat(4096));
			const { frame, receiver } = await take(server, session, kind);
			assert.equal(frame, batch('x'.repeat(4096)));
			await receiver.ends();
		}
	});

	for (const kind of kinds) {
		test(`of ${kind} get all queued messages in one frame, in order`, async t => {
			const server = await serveEcho(t);
			const session = await begin(server);
			const texts = Array.from({ length: 100 }, (_, i) => `${i}`);
			for (const text of texts)
				await send(server, session, text);
			const receiver = await Receiver.attach(server, session, kind);
			await receiver.gets(batch(...texts));
		});
	}

	test('get all messages that arrive between them', async t => {
		const server = await serveEcho(t);
		const session = await begin(server);
		const sender = await Raw.connect(server);
		const texts = Array.from({ length: 500 }, (_, i) => `${i}`);
		for (const text of texts)
			sender.write(message(`/echo${session}/xhr_send`, { method: 'POST', body: JSON.stringify([text]) }));
		const got = [];
		for (let i = 0; got.length < texts.length; i++) {
			const { frame, receiver } = await take(server, session, polls[i % polls.length]);
			assert.match(frame, /^a/);
			got.push(...JSON.parse(frame.slice(1)));
			receiver.destroy();
		}
		assert.deepEqual(got, texts);
		for (let i = 0; i < texts.length; i++)
			assert.equal((await answer(sender, 'POST')).status, 204);
	});
});

describe('a session that is closed (section 14)', () => {
	test('sends the close frame to each further receiver', async t => {
		const server = under(await serveEcho(t), '/close');
		const session = await begin(server);
		for (let i = 0; i < 3; i++)
			await takeAll(server, session, GO_AWAY);
		assert.equal(await exists(server, session), true);
	});

	for (const kind of kinds) {
		test(`sends the close frame to an attached ${kind}`, async t => {
			const server = await serve(t);
			const session = await begin(server);
			await send(server, session, packet('connect', 'a', 'r', '{}'));
			assert.equal((await take(server, session)).frame, batch(joined('a', 'r', true)));
			const receiver = await Receiver.attach(server, session, kind);
			const next = await open(server);
			next.join('a', 'r');
			await receiver.gets(REPLACED);
			await receiver.ends();
			await takeAll(server, session, REPLACED);
		});

		test(`sends queued messages to ${kind} before the close frame`, async t => {
			const server = await serve(t);
			const session = await begin(server);
			await send(server, session, packet('connect', 'a', 'r', '{}'));
			assert.equal((await take(server, session)).frame, batch(joined('a', 'r', true)));
			const b = await open(server), next = await open(server);
			b.join('b', 'r');
			await b.gets(joined('b', 'r', false));
			next.join('a', 'r');
			await next.gets(joined('a', 'r', false));
			const waited = batch(joined('b', 'r', false));
			const receiver = await Receiver.attach(server, session, kind);
			await receiver.gets(waited);
			if (receiver.streams)
				await receiver.gets(REPLACED);
			await receiver.ends();
			await takeAll(server, session, REPLACED);
		});
	}

	for (const [count, more] of [['one message', []], ['messages', ['{}']]])
		test(`discards later input, even ${count}`, async t => {
			const server = await serve(t);
			const session = await begin(server);
			await send(server, session, packet('connect', 'a', 'r', '{}'));
			const next = await open(server);
			next.join('a', 'r');
			await next.gets(joined('a', 'r', true));
			await send(server, session, packet('connect', 'ghost', 'r', '{}'), ...more);
			const { rooms, peers } = await server.counters();
			assert.deepEqual({ rooms, peers }, { rooms: 1, peers: 1 });
			await next.none();
		});

	test('is gone 5 s after the last receiver', async t => {
		const server = await serve(t);
		const session = await begin(server);
		await send(server, session, packet('connect', 'a', 'r', '{}'));
		const next = await open(server);
		next.join('a', 'r');
		await next.gets(joined('a', 'r', false)).catch(() => {});
		await take(server, session); /* what waited */
		const from = performance.now();
		assert.equal((await take(server, session)).frame, REPLACED);
		await eventually('the session to go', () => exists(server, session), there => !there);
		assert(performance.now() - from > DELAY - 100, 'not too early');
		assert.equal((await take(server, session)).frame, 'o');
	});
});

describe('a receiver that is cut (section 14)', () => {
	for (const kind of kinds) {
		for (const [name, cut] of Object.entries(cuts)) {
			test(`${kind} by ${name}: the session ends immediately`, async t => {
				const server = await serveEcho(t);
				for (let i = 0; i < 60; i++) {
					const session = await begin(server);
					/* The next request comes right behind, on another connection, new or waiting. */
					const waiting = i % 3 > 0 ? await Raw.connect(server) : undefined;
					const receiver = await Receiver.attach(server, session, kind);
					if (i % 3 > 1)
						await exchange(waiting, '/echo');
					await cut(receiver.raw);
					const next = await Receiver.attach(server, session, 'xhr_streaming', { raw: waiting });
					const frame = await next.frame();
					assert(['o', 'c[1002,"Connection interrupted"]'].includes(frame), frame);
					next.destroy();
				}
			});
		}
	}

	for (const [name, cut] of Object.entries(cuts)) {
		test(`by ${name}, with messages in flight`, async t => {
			const server = await serveEcho(t);
			for (const kind of streams) {
				const session = await begin(server);
				const receiver = await Receiver.attach(server, session, kind);
				await send(server, session, 'x'.repeat(1000));
				await cut(receiver.raw);
				await eventually('the session to go', () => exists(server, session), there => !there);
			}
		});
	}

	test('after the end of its response is not an abort', async t => {
		const server = await serveEcho(t);
		for (const cut of Object.values(cuts)) {
			const session = await begin(server);
			const receiver = await Receiver.attach(server, session, 'xhr');
			await send(server, session, 'x');
			await receiver.gets('a["x"]');
			await cut(receiver.raw);
			await ask(server, '/echo/info');
			assert.equal(await exists(server, session), true);
		}
	});

	test('while its session sends loses no message of another session', async t => {
		const server = await serveEcho(t);
		const [one, two] = [await begin(server), await begin(server)];
		const cut = await Receiver.attach(server, one, 'xhr_streaming');
		const kept = await Receiver.attach(server, two, 'xhr_streaming');
		cut.raw.reset();
		await send(server, two, 'x');
		await kept.gets('a["x"]');
	});
});

describe('the disconnect timer (section 14)', { concurrency: true }, () => {
	/* A session in a room, without a receiver since a moment after `from`, and another peer. */
	async function stay(t, kind = 'xhr', conf = {}) {
		const server = await serve(t, { conf });
		const witness = await open(server);
		witness.join('witness', 'r');
		await witness.gets(joined('witness', 'r', true));
		const session = await begin(server);
		await send(server, session, packet('connect', 'a', 'r', '{}'));
		await witness.gets(joined('a', 'r', false));
		const from = performance.now();
		const { frame, receiver } = await take(server, session, kind);
		assert.equal(frame, batch(joined('a', 'r', false)));
		return { server, witness, session, receiver, from };
	}

	test('ends a session 5 s after its last poll, and its room is notified once', async t => {
		const { server, witness, session, from } = await stay(t);
		await witness.gets(left('a', 'r'));
		assert(performance.now() - from > DELAY - 100, 'not too early');
		assert.equal(await exists(server, session), false);
		assert.equal((await take(server, session)).frame, 'o');
		await witness.none();
	});

	test('restarts with each receiver', async t => {
		const { server, witness, session } = await stay(t, 'xhr', { Heartbeat: 1 });
		const first = performance.now();
		let last;
		do {
			assert.equal((await take(server, session)).frame, 'h');
			last = performance.now();
		} while (last - first < DELAY + 2500);
		await witness.gets(left('a', 'r'));
		/* By when it was seen, which a stall of the machine may delay. */
		assert(performance.now() - last > DELAY - 700, 'not too early');
	});

	test('is not delayed by a client that only sends', async t => {
		const { server, witness, session, from } = await stay(t);
		await eventually('the session to go', () => exists(server, session), there => !there);
		assert(performance.now() - from > DELAY - 100, 'not too early');
		await witness.gets(left('a', 'r'));
	});

	for (const kind of kinds) {
		test(`does not run while ${kind} is attached`, async t => {
			const { server, witness, session, receiver } = await stay(t);
			receiver.destroy();
			const stays = await Receiver.attach(server, session, kind);
			/* Another session ends by the timer meanwhile. */
			const other = await begin(server);
			await eventually('the other to go', () => exists(server, other), there => !there);
			await send(server, session, packet('broadcast', 'a', 'r', 1));
			await witness.gets(packet('broadcast', 'a', 'r', 1));
			const from = performance.now();
			witness.send(packet('broadcast', 'witness', 'r', 2));
			await stays.gets(batch(packet('broadcast', 'witness', 'r', 2)));
			if (stays.streams)
				return;
			/* It runs from the end of the response, not from its beginning. */
			await witness.gets(left('a', 'r'));
			assert(performance.now() - from > DELAY - 100, 'not too early');
		});
	}

	for (const kind of streams) {
		test(`runs after a response of ${kind} that is full`, async t => {
			const server = await serveEcho(t);
			const session = await begin(server);
			const receiver = await Receiver.attach(server, session, kind);
			const from = performance.now();
			await send(server, session, 'x'.repeat(4096));
			await receiver.gets(batch('x'.repeat(4096)));
			await receiver.ends();
			await eventually('the session to go', () => exists(server, session), there => !there);
			assert(performance.now() - from > DELAY - 100, 'not too early');
		});
	}

	test('ends a session that no client returns to', async t => {
		const server = await serve(t);
		await begin(server);
		assert.equal((await server.counters()).sessions, 1);
		await eventually('no session', () => server.counters(), ({ sessions }) => sessions === 0);
	});
});

describe('the response limit (section 14)', () => {
	const LIMIT = 4096;

	/* Bytes that a message of n characters makes. */
	const size = (kind, n) => receivers[kind].wrap(batch('x'.repeat(n))).length;

	for (const kind of streams) {
		const around = size(kind, 0); /* what a message costs besides its characters */

		test(`counts frames of ${kind} with their wrapping, o among them`, async t => {
			const server = await serveEcho(t);
			const start = receivers[kind].wrap('o').length;
			for (const n of [1, 10, 127, 128, 500]) {
				const session = fresh();
				const receiver = await Receiver.attach(server, session, kind);
				await receiver.gets('o');
				const count = Math.ceil((LIMIT - start) / size(kind, n));
				for (let sent = 0; sent < count; sent += 50)
					await send(server, session, ...Array(Math.min(50, count - sent)).fill('x'.repeat(n)));
				for (let i = 0; i < count; i++)
					await receiver.gets(batch('x'.repeat(n)));
				await receiver.ends();
			}
		});

		test(`ends ${kind} at 4096 bytes, not at 4095`, async t => {
			const server = await serveEcho(t);
			const session = await begin(server);
			let receiver = await Receiver.attach(server, session, kind);
			await send(server, session, 'x'.repeat(LIMIT - around));
			await receiver.gets(batch('x'.repeat(LIMIT - around)));
			await receiver.ends();
			receiver = await receiver.again(server, session);
			await send(server, session, 'x'.repeat(LIMIT - 1 - around));
			await receiver.gets(batch('x'.repeat(LIMIT - 1 - around)));
			await send(server, session, '');
			await receiver.gets('a[""]');
			await receiver.ends();
		});

		test(`lets a whole frame of ${kind} pass, keeps the session and starts again at zero`, async t => {
			const server = await serveEcho(t);
			const session = fresh();
			let receiver = await Receiver.attach(server, session, kind);
			await receiver.gets('o');
			for (let i = 0; i < 3; i++) {
				await send(server, session, 'x'.repeat(20_000), 'late');
				await receiver.gets(batch('x'.repeat(20_000)));
				await receiver.ends();
				await send(server, session, 'later');
				receiver = await receiver.again(server, session);
				await receiver.gets('a["late","later"]');
			}
		});

		test(`of ${kind} is 128 KiB unless the service sets another`, async t => {
			const server = await serve(t);
			const sender = await member(server, 'b');
			const session = await begin(server);
			await send(server, session, packet('connect', 'a', 'r', '{}'));
			await sender.gets(joined('a', 'r', false));
			await take(server, session);
			const receiver = await Receiver.attach(server, session, kind);
			const text = packet('broadcast', 'b', 'r', 'x'.repeat(10_000));
			const each = receivers[kind].wrap(batch(text)).length;
			for (let sum = 0; sum < 131072; sum += each) {
				sender.send(text);
				await receiver.gets(batch(text));
			}
			await receiver.ends();
			sender.send(text);
			await (await receiver.again(server, session)).gets(batch(text));
		});
	}

	async function member(server, user) {
		const client = await open(server);
		client.join(user, 'r');
		await client.gets(joined(user, 'r', true));
		return client;
	}
});

describe('heartbeats (section 14)', { concurrency: true }, () => {
	for (const kind of streams) {
		test(`arrive on ${kind} repeatedly, and need no response`, async t => {
			const server = await serveEcho(t, 1);
			const session = await begin(server);
			const receiver = await Receiver.attach(server, session, kind);
			for (let i = 0; i < 6; i++)
				await receiver.gets('h');
			await send(server, session, 'x');
			let frame;
			while ((frame = await receiver.frame()) === 'h')
				;
			assert.equal(frame, 'a["x"]');
		});

		test(`arrive on ${kind} whether or not messages flow`, async t => {
			const server = await serveEcho(t, 1);
			const session = await begin(server);
			const receiver = await Receiver.attach(server, session, kind);
			for (let beats = 0; beats < 2; ) {
				await send(server, session, 'x');
				let frame;
				while ((frame = await receiver.frame()) === 'h')
					beats++;
				assert.equal(frame, 'a["x"]');
				await new Promise(resolve => setTimeout(resolve, 100));
			}
		});
	}

	for (const kind of polls) {
		test(`end a poll of ${kind}, and the session stays`, async t => {
			const server = await serveEcho(t, 1);
			const session = await begin(server);
			let receiver = await Receiver.attach(server, session, kind);
			for (let i = 0; i < 4; i++) {
				await receiver.gets('h');
				receiver = await receiver.again(server, session);
			}
			await send(server, session, 'x');
			const frame = await receiver.frame();
			assert.equal(frame === 'h' ? (await take(server, session)).frame : frame, 'a["x"]');
		});
	}

	test('are timed from the start of the receiver', async t => {
		const server = await serveEcho(t, 3);
		const late = async (session, kind, ...before) => {
			const from = performance.now();
			const receiver = await Receiver.attach(server, session, kind);
			await receiver.gets(...before, 'h');
			/* By a clock that counts whole seconds. */
			assert(performance.now() - from > 1900, 'not too early');
		};
		const sessions = [];
		for (const kind of kinds)
			sessions.push([kind, await begin(server)]);
		await late(fresh(), 'xhr_streaming', 'o');
		await Promise.all(sessions.map(([kind, session]) => late(session, kind)));
	});

	test('are not sent without a receiver', async t => {
		const server = await serveEcho(t, 1);
		const other = await begin(server);
		const session = await begin(server);
		const witness = await Receiver.attach(server, other, 'xhr_streaming');
		await witness.gets('h', 'h');
		await send(server, session, 'x');
		assert.equal((await take(server, session)).frame, 'a["x"]');
	});
});
