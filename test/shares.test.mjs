/*
 * Input beyond a connection's share of a turn is handled later, completely and in order, and is not
 * received before that.  test/fuzz/server_fuzz.c checks the budget of a turn; `make attacks` measures it.
 */
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { Raw, frame, OPCODE, handshake, joined, open, packet, request } from './client.mjs';
import { serve, test, until } from './server.mjs';
import { Receiver, begin, exists, fresh, message, post, take } from './sockjs.mjs';

const CROWD = 12, MESSAGES = 1024;

const numbers = Array.from({ length: MESSAGES }, (_, i) => i);
const messages = room => [packet('connect', 'flood', room, '{}'),
	...numbers.slice(1).map(i => packet('broadcast', 'flood', room, i))];

/* Sends all messages of a room at once; resolves when the server has taken them. */
const floods = {
	'frames of a plain WebSocket': async (server, room) => {
		const raw = await Raw.websocket(server);
		raw.write(Buffer.concat(messages(room).map(text => frame(OPCODE.text, text))));
	},
	'one payload of a SockJS WebSocket': async (server, room) => {
		const raw = await Raw.websocket(server, { path: `/echo${fresh()}/websocket` });
		raw.write(frame(OPCODE.text, JSON.stringify(messages(room))));
		raw.write(frame(OPCODE.text, JSON.stringify(packet('broadcast', 'flood', room, 'last'))));
		return 'last';
	},
	'one payload of xhr_send': async (server, room) => {
		const session = fresh();
		await take(server, session, 'xhr_streaming');
		const raw = await Raw.connect(server);
		const target = `/echo${session}/xhr_send`;
		const last = JSON.stringify([packet('broadcast', 'flood', room, 'last')]);
		raw.write(message(target, { method: 'POST', body: JSON.stringify(messages(room)) }));
		raw.write(message(target, { method: 'POST', body: last }));
		assert.deepEqual([await raw.status(), await raw.status()], [204, 204]);
		return 'last';
	},
	'one payload of jsonp_send': async (server, room) => {
		const session = fresh();
		await take(server, session, 'xhr_streaming');
		const raw = await Raw.connect(server);
		const body = `x=1&d=${encodeURIComponent(JSON.stringify(messages(room)))}&y=2`;
		const { status } = await post(raw, `/echo${session}/jsonp_send`, body,
			{ 'Content-Type': 'application/x-www-form-urlencoded' });
		assert.equal(status, 200);
	},
};

describe('more messages than a share are all handled, in order', () => {
	for (const [what, flood] of Object.entries(floods))
		test(`as ${what}`, async t => {
			const server = await serve(t);
			await Promise.all(Array.from({ length: CROWD }, async (_, i) => {
				const room = `room ${i}`, witness = await open(server);
				witness.join('witness', room);
				await witness.gets(joined('witness', room, true));
				const last = await flood(server, room);
				await witness.gets(joined('flood', room, false));
				for (const number of numbers.slice(1))
					await witness.gets(packet('broadcast', 'flood', room, number));
				if (last !== undefined)
					await witness.gets(packet('broadcast', 'flood', room, last));
			}));
		});

	test('up to the one that closes the session', async t => {
		const server = await serve(t, { conf: { MaxPacket: 2000 } });
		const [session, witness] = [fresh(), await open(server)];
		await take(server, session, 'xhr_streaming');
		witness.join('witness', 'r');
		await witness.gets(joined('witness', 'r', true));
		const all = messages('r').slice(0, 60);
		all.push('x'.repeat(2001), packet('broadcast', 'flood', 'r', 'never'));
		const { status } = await post(await Raw.connect(server), `/echo${session}/xhr_send`,
			JSON.stringify(all));
		assert.equal(status, 413);
		await witness.gets(joined('flood', 'r', false));
		for (const number of numbers.slice(1, 60))
			await witness.gets(packet('broadcast', 'flood', 'r', number));
		await witness.gets(packet('disconnect', 'flood', 'r', '{}'));
		await witness.none();
	});

	test('as pipelined requests', async t => {
		const server = await serve(t);
		await Promise.all(Array.from({ length: CROWD }, async () => {
			const raw = await Raw.connect(server);
			raw.write(numbers.map(i => request(i % 3 ? '/nowhere' : '/echo')).join(''));
			for (const i of numbers)
				assert.equal(await raw.status(), i % 3 ? 404 : 200);
		}));
	});

	test('as input behind a poll, which waits for its end', async t => {
		const server = await serve(t);
		await Promise.all(Array.from({ length: CROWD }, async () => {
			const session = await begin(server);
			const poll = await Receiver.attach(server, session, 'xhr');
			poll.raw.write(numbers.map(() => request('/nowhere')).join('') + handshake());
			poll.raw.write(Buffer.concat(numbers.map(() => frame(OPCODE.text, 'x'))));
			const { status } = await post(await Raw.connect(server), `/echo${session}/xhr_send`, '["x"]');
			assert.equal(status, 204);
			assert.match(await poll.frame(), /^a\["/);
			for (const _ of numbers)
				assert.equal(await poll.raw.status(), 404);
			assert.equal(await poll.raw.status(), 101);
			for (const _ of numbers)
				assert.equal((await poll.raw.frame()).payload.toString(),
					packet('error', '', '', 'not JSON at byte 0'));
		}));
	});
});

/* Bytes of a request's head, at most; the server's limit. */
const HEAD = 16384;

describe('behind a request in hand', () => {
	const stuff = Buffer.alloc(1 << 20, request('/nowhere'));

	/* A poll and a lot of input behind it, as much of it as the server receives. */
	async function stuffed(server) {
		const session = await begin(server);
		const { received_bytes: before } = await server.counters();
		const poll = await Receiver.attach(server, session, 'xhr');
		poll.raw.write(stuff);
		const received = async () => (await server.counters()).received_bytes - before;
		await until('a head is received', received, bytes => bytes > HEAD);
		return { session, poll, received };
	}

	test('no more than one head is received', async t => {
		const server = await serve(t);
		const { session, poll, received } = await stuffed(server);
		for (let i = 0; i < 5; i++) {
			await setTimeout(50); /* for what must not come */
			const bytes = await received();
			assert(bytes <= 2 * HEAD, `${bytes} bytes`);
		}
		assert((await server.counters()).blocks <= 2);
		await post(await Raw.connect(server), `/echo${session}/xhr_send`, '["x"]');
		assert.match(await poll.frame(), /^a\["/);
		for (let i = 0; i < 1000; i++)
			assert.equal(await poll.raw.status(), 404);
	});

	for (const [how, end] of [['FIN', raw => raw.end()], ['reset', raw => raw.reset()]])
		test(`a ${how} is noticed all the same`, async t => {
			const server = await serve(t, { conf: { Heartbeat: 60 } });
			const session = await begin(server);
			const poll = await Receiver.attach(server, session, 'xhr');
			/* What TCP takes, so that the end follows it. */
			poll.raw.write(stuff.subarray(0, 3 * HEAD));
			await setTimeout(50);
			assert(await exists(server, session));
			end(poll.raw);
			await until('the session is over', () => exists(server, session), yes => !yes);
		});
});
