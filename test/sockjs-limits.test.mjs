/* The limits of sessions over HTTP, and that nothing remains of sessions that are gone. */
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import {
	OPCODE, Raw, broadcast, closeFrame, frame, joined, left, members, overflow, packet, ping, quit,
	request, silence,
} from './client.mjs';
import { emptied, serve, test } from './server.mjs';
import {
	Receiver, ask, batch, begin, cuts, fresh, join, kinds, meet, message, receivers, send, streams,
	take, transports,
} from './sockjs.mjs';


describe('the queue of a session has a maximum size', () => {
	/* Sends packets to the room until it is told that `user` has gone. */
	async function flood(sender, user, size = 60_000) {
		const filler = 'x'.repeat(size);
		const gone = left(user, 'r');
		for (let number = 0; number < 3000; number++) {
			sender.send(broadcast('witness', 'r', { number, filler }));
			sender.send(ping('witness', 'x'));
			const got = await sender.next();
			if (got === gone) {
				await sender.gets(members('witness', 'x'));
				return number;
			}
			assert.equal(got, members('witness', 'x'));
		}
		return assert.fail(`${user} is still there`);
	}

	test('without a receiver: the session ends, and its room is notified', async t => {
		const server = await serve(t, { expect: [/ warn \S+ closed: queue full, the client is not fetching/] });
		const [witness] = await meet(server, 'r', ['witness', 'plain']);
		const session = await join(server, 'r', 'a', witness);
		const [other] = await meet(server, 's', ['b', 'xhr']);
		const packets = await flood(witness, 'a');
		assert(packets >= 2, `${packets} of the largest packets find room`);
		const { frame } = await take(server, session);
		assert.match(frame, /^(o$|c\[)/);
		await silence(witness, other);
	});

	test('in bytes, so that many small messages end the session too', async t => {
		const server = await serve(t, { expect: [/ warn \S+ closed: queue full, the client is not fetching/] });
		const [witness] = await meet(server, 'r', ['witness', 'plain']);
		await join(server, 'r', 'a', witness);
		/* Larger packets, but within the 5 s that such a session has in any case. */
		await flood(witness, 'a', 20_000);
	});

	test('and messages within it arrive, in their largest form', async t => {
		const server = await serve(t);
		const [witness] = await meet(server, 'r', ['witness', 'plain']);
		for (const kind of kinds)
			for (const unit of ['x', '\\"', '\u0001', '😀', '\u2028', '%', '<']) {
				const session = await join(server, 'r', 'a', witness);
				const text = broadcast('witness', 'r', '');
				const count = Math.floor((65536 - Buffer.byteLength(text)) / Buffer.byteLength(unit));
				/* Control characters are JSON only behind the packet, as white space. */
				const full = unit === '\u0001' ? text + '\t'.repeat(count)
					: text.replace('""', `"${unit.repeat(count)}"`);
				witness.send(full);
				witness.send(full);
				await witness.none();
				/* A page's frame holds only one packet of nothing but "<". */
				const frames = kind === 'htmlfile' && unit === '<'
					? [batch(full), batch(full)] : [batch(full, full)];
				let receiver;
				for (const expected of frames) {
					receiver = await Receiver.attach(server, session, kind);
					const got = await receiver.frame();
					assert(got === expected, `${kind} ${JSON.stringify(unit)}`);
				}
				receiver.destroy();
				if (receiver.streams)
					await receiver.raw.ended().catch(() => {});
				await send(server, session, quit('a', 'r')).catch(() => {});
				const gone = await witness.next();
				assert([left('a', 'r'), quit('a', 'r')].includes(gone), gone);
			}
	});

	for (const kind of streams) {
		test(`with a receiver by ${kind} that does not read: it ends, and the others receive everything`, async t => {
			const server = await serve(t, { expect: [/ warn \S+ closed: queue full, the client is not fetching/] });
			const [witness, reader] = await meet(server, 'r', ['witness', 'plain'], ['reader', 'xhr']);
			const session = await begin(server);
			const receiver = await Receiver.attach(server, session, kind);
			receiver.raw.socket.pause();
			await send(server, session, packet('connect', 'a', 'r', '{}'));
			for (const each of [witness, reader])
				await each.gets(joined('a', 'r', false));
			await overflow(witness, 'witness', reader, left('a', 'r'));
			await silence(witness, reader);
		});
	}
});

describe('a message above MaxPacket through a sender over HTTP', () => {
	const FORM = { 'Content-Type': 'application/x-www-form-urlencoded' };
	const long = broadcast('a', 'r', 'x'.repeat(66_000));
	const json = JSON.stringify([long]);
	const ways = {
		xhr_send: [`/xhr_send`, { body: json }],
		'xhr_send behind a good one': ['/xhr_send', { body: JSON.stringify([broadcast('a', 'r', 1), long]) }],
		'xhr_send in a chunk': ['/xhr_send',
			{ 'Transfer-Encoding': 'chunked' }, `${json.length.toString(16)}\r\n${json}\r\n0\r\n\r\n`],
		jsonp_send: ['/jsonp_send', { body: json }],
		'jsonp_send in a form': ['/jsonp_send', { body: `d=${encodeURIComponent(json)}`, ...FORM }],
	};
	for (const [name, [path, options, body = '']] of Object.entries(ways)) {
		test(`${name} gets 413, its receiver c[1009,...], its room is notified once`, async t => {
			const server = await serve(t);
			const [witness] = await meet(server, 'r', ['witness', 'plain']);
			for (const kind of kinds) {
				const session = await join(server, 'r', 'a', witness);
				const receiver = await Receiver.attach(server, session, kind);
				const raw = await Raw.connect(server);
				raw.write(message(`/echo${session}${path}`, { method: 'POST', ...options }));
				raw.write(body);
				assert.equal((await raw.response()).status, 413);
				assert.match(await receiver.frame(), /^c\[1009,".+"\]$/);
				await receiver.ends();
				assert.match((await take(server, session)).frame, /^c\[1009,".+"\]$/);
				const told = await witness.next();
				if (told !== left('a', 'r')) {
					assert.equal(told, broadcast('a', 'r', 1));
					await witness.gets(left('a', 'r'));
				}
			}
			await witness.none();
		});
	}

	test('is refused before it arrives, if its Content-Length is too large', async t => {
		const server = await serve(t);
		const [witness] = await meet(server, 'r', ['witness', 'plain']);
		for (const length of ['100000000', '18446744073709551615'.slice(1)]) {
			const session = await join(server, 'r', 'a', witness);
			const raw = await Raw.connect(server);
			raw.write(request(`/echo${session}/xhr_send`, { method: 'POST', 'Content-Length': length }));
			assert.equal(await raw.status(), 413);
			await raw.drained();
			await witness.gets(left('a', 'r'));
			assert.match((await take(server, session)).frame, /^c\[1009,/);
		}
	});

	test('is refused while it arrives, if it is chunked', async t => {
		const server = await serve(t);
		const [witness] = await meet(server, 'r', ['witness', 'plain']);
		const session = await join(server, 'r', 'a', witness);
		const raw = await Raw.connect(server);
		raw.write(request(`/echo${session}/xhr_send`, { method: 'POST', 'Transfer-Encoding': 'chunked' }));
		const piece = `8000\r\n${'"'.padEnd(0x8000, 'x')}\r\n`;
		raw.write(piece.replace('"', '[') + piece.repeat(30));
		assert.equal(await raw.status(), 413);
		raw.destroy();
		await witness.gets(left('a', 'r'));
		assert.match((await take(server, session)).frame, /^c\[1009,/);
	});

	test('to an unknown session is an error as well', async t => {
		const server = await serve(t);
		const { status } = await ask(server, '/echo/0/nobody/xhr_send', { method: 'POST', body: json });
		assert([404, 413].includes(status), status);
	});

	test('is measured without its escapes in JSON', async t => {
		const server = await serve(t);
		const [witness] = await meet(server, 'r', ['witness', 'plain']);
		const session = await join(server, 'r', 'a', witness);
		const text = filler => broadcast('a', 'r', filler);
		const full = text('x'.repeat(65536 - text('').length));
		const escaped = Array.from(full, char =>
			`\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`).join('');
		for (const body of [JSON.stringify([full]), `["${escaped}"]`, `[${' '.repeat(1000)}"${escaped}"]`]) {
			const { status } = await ask(server, `/echo${session}/xhr_send`, { method: 'POST', body });
			assert.equal(status, 204);
			assert(await witness.next() === full);
		}
		const form = `d=${Array.from(JSON.stringify([full]), char =>
			`%${char.charCodeAt(0).toString(16)}`).join('')}`;
		const { status } = await ask(server, `/echo${session}/jsonp_send`,
			{ method: 'POST', body: form, ...FORM });
		assert.equal(status, 200);
		assert(await witness.next() === full);
	});

	test('is measured without the other messages of its array', async t => {
		const server = await serve(t);
		const [witness] = await meet(server, 'r', ['witness', 'plain']);
		const session = await join(server, 'r', 'a', witness);
		const texts = Array.from({ length: 30 }, (_, i) => broadcast('a', 'r', { i, text: 'x'.repeat(3000) }));
		await send(server, session, ...texts);
		await witness.gets(...texts);
	});
});

describe('a message above MaxPacket over the WebSocket of SockJS', () => {
	test('ends the session with 1009', async t => {
		const server = await serve(t);
		const [witness] = await meet(server, 'r', ['witness', 'plain']);
		for (const text of [JSON.stringify(['x'.repeat(65537)]), `"${'x'.repeat(65537)}"`,
			JSON.stringify(['x'.repeat(900_000)])]) {
			const raw = await Raw.websocket(server, { path: '/echo/0/0/websocket' });
			await raw.gets('o');
			raw.text(JSON.stringify([packet('connect', 'a', 'r', '{}')]));
			await raw.gets(batch(joined('a', 'r', false)));
			await witness.gets(joined('a', 'r', false));
			raw.text(text);
			let got = await raw.frame();
			if (got.opcode === OPCODE.text) {
				assert.match(got.text, /^c\[1009,".+"\]$/);
				got = await raw.frame();
			} else {
				assert.equal(got.payload.readUInt16BE(), 1009);
			}
			assert.equal(got.opcode, OPCODE.close);
			raw.write(closeFrame(1000));
			await witness.gets(left('a', 'r'));
			raw.destroy();
		}
		await witness.none();
	});

	test('is measured without its escapes in JSON', async t => {
		const server = await serve(t);
		const raw = await Raw.websocket(server, { path: '/echo/0/0/websocket' });
		await raw.gets('o');
		const text = filler => packet('ping', 'me', 'x', filler);
		const full = text('x'.repeat(65536 - text('').length));
		const escaped = Array.from(full, char =>
			`\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`).join('');
		for (const json of [JSON.stringify([full]), `["${escaped}"]`, `"${escaped}"`]) {
			raw.text(json);
			await raw.gets(batch(members('me', 'x')));
		}
	});
});

/*
 * States in which a session may be dropped: each opens one, and leaves it so.  The second
 * list are those that only the 5 s timer ends.
 */
const post = (server, path, body) => ask(server, `/echo${path}`, { method: 'POST', body });
const enter = (server, session, room = fresh()) =>
	send(server, session, packet('connect', 'a', room, '{}'));

const dropped = {
	'a new one, by its first receiver': async (server, kind, cut) => {
		const { method, path } = receivers[kind];
		const raw = await Raw.connect(server);
		raw.write(message(`/echo${fresh()}${path}`, { method }));
		await cut(raw);
	},
	'one that waits': async (server, kind, cut) => {
		await cut((await Receiver.attach(server, await begin(server), kind)).raw);
	},
	'one that waits, in a room': async (server, kind, cut) => {
		const session = await begin(server);
		await enter(server, session);
		await take(server, session);
		await cut((await Receiver.attach(server, session, kind)).raw);
	},
	'one to which much has been sent': async (server, kind, cut) => {
		const session = await begin(server);
		const raw = await Raw.connect(server);
		raw.socket.pause();
		const { method, path } = receivers[kind];
		raw.write(message(`/echo${session}${path}`, { method }));
		for (let i = 0; i < 3; i++)
			await send(server, session, ping('me', 'x'.repeat(100)), '?');
		await cut(raw);
	},
	'one with a second receiver': async (server, kind, cut) => {
		const session = await begin(server);
		const receiver = await Receiver.attach(server, session, kind);
		await cut((await Receiver.attach(server, session, 'xhr_streaming')).raw);
		await cut(receiver.raw);
	},
	'one with a request behind its receiver': async (server, kind, cut) => {
		const receiver = await Receiver.attach(server, await begin(server), kind);
		receiver.raw.write(request('/echo'));
		await cut(receiver.raw);
	},
	'one over a WebSocket, whatever the state': async (server, kind, cut) => {
		const framed = kinds.indexOf(kind) % 2 === 0;
		const path = `/echo${framed ? fresh() : ''}/websocket`;
		const raw = await Raw.websocket(server, { path });
		const hello = packet('connect', 'a', fresh(), '{}');
		raw.text(framed ? JSON.stringify([hello]) : hello);
		await raw.frame();
		switch (kinds.indexOf(kind)) {
		case 0: raw.write(frame(OPCODE.text, '["x', { fin: false })); break;
		case 1: raw.write(closeFrame(1000)); break;
		case 2: raw.text('broken'); break;
		case 3: raw.write(Buffer.from([0x81])); break;
		default: break;
		}
		await cut(raw);
	},
};

const abandoned = {
	'one that is never returned to': async server => {
		await begin(server);
	},
	'one in a room': async server => {
		await enter(server, await begin(server));
	},
	'one for which something waits': async server => {
		const session = await begin(server);
		await enter(server, session);
		await send(server, session, ping('me', 'x'), ping('me', 'x'));
	},
	'one that is closing': async server => {
		const session = await begin(server), room = fresh();
		await enter(server, session, room);
		await enter(server, await begin(server), room);
	},
	'one that is closing and knows it': async server => {
		const session = await begin(server);
		await post(server, `${session}/xhr_send`, JSON.stringify(['x'.repeat(65537)]));
		await take(server, session);
	},
	'one whose sender is cut': async server => {
		const session = await begin(server);
		const raw = await Raw.connect(server);
		raw.write(request(`/echo${session}/xhr_send`, { method: 'POST', 'Content-Length': '1000' }));
		raw.write('["');
		raw.destroy();
	},
	'one whose response was full': async server => {
		const session = await begin(server);
		await enter(server, session);
		const receiver = await Receiver.attach(server, session, 'xhr');
		await receiver.frame();
		receiver.destroy();
	},
};

test('a thousand sessions dropped in every state leave every table empty', async t => {
	const server = await serve(t, { conf: { MaxConnections: 500 } });
	const ways = Object.values(cuts);
	let count = 0;
	while (count < 1000) {
		const work = [];
		for (const drop of Object.values(dropped))
			for (const kind of kinds)
				work.push(drop(server, kind, ways[(count + work.length) % ways.length]));
		for (const leave of Object.values(abandoned))
			work.push(leave(server));
		await Promise.all(work);
		count += work.length;
	}
	await emptied(server);
	/* They can all be used again. */
	const peers = await meet(server, 'r', ...transports.map(kind => [kind, kind]));
	await silence(...peers);
	peers.forEach(peer => peer.destroy());
	await emptied(server);
});
