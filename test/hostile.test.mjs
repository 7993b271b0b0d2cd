/* Attacks over plain HTTP and WebSocket, which must not disturb two other peers. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { bystanders } from './bystanders.mjs';
import {
	OPCODE, Raw, frame, frameHeader, gather, handshake, left, members, open, packet, request,
} from './client.mjs';
import { bounded, emptied, lessThan, serve, test } from './server.mjs';

/*
 * A test with two bystanders, which exchange packets before and after `body`, and when it calls `talk`.  Nothing
 * else reaches them, and nothing of any client is left.
 */
function hostile(name, body) {
	test(name, async t => {
		const server = await serve(t);
		const { talk, leave } = await bystanders(server);
		await body(server, talk);
		await leave();
		await emptied(server);
	});
}

hostile('an upgrade of PREFIX/upgrade', async (server, talk) => {
	const raw = await Raw.connect(server);
	raw.write(handshake('/echo/upgrade'));
	assert.equal(await raw.status(), 400);
	await talk();
	raw.destroy();
});

for (const text of ['null', '5', '[]', '{}', '{"Header":null}']) {
	hostile(`the packet ${text}`, async (server, talk) => {
		const client = await open(server);
		client.send(text);
		assert.equal(JSON.parse(await client.next()).Header.Event, 'error');
		await talk();
		await client.none();
		await client.close();
	});
}

for (const event of ['broadcast', 'ping', 'disconnect']) {
	for (const room of ['unknown', 'toString', 'constructor', '__proto__']) {
		hostile(`${event} to the room ${room}`, async (server, talk) => {
			const client = await open(server);
			client.send(packet(event, 'a', room, '{}'));
			await talk();
			await client.gets(event === 'ping' ? members('a', room)
				: packet('error', 'a', room, 'not in this room'));
			await client.close();
		});
	}
}

for (const room of ['toString', 'constructor', '__proto__']) {
	hostile(`a whole stay in the room ${room}`, async (server, talk) => {
		const [a, b] = await gather(server, room, '__proto__', 'constructor');
		a.send(packet('broadcast', '__proto__', room, {}));
		await b.gets(packet('broadcast', '__proto__', room, {}));
		await talk();
		await a.close();
		await b.gets(left('__proto__', room));
		await b.close();
	});
}

for (const [open_, close] of [['[', ']'], ['{"a":', '}'], ['[', '']]) {
	hostile(`5,000 times ${open_} and ${close || 'nothing'}`, async (server, talk) => {
		const client = await open(server);
		const [before, after] = packet('ping', 'a', 'r', 'deep').split('"deep"');
		const nested = `${open_.repeat(5000)}1${close.repeat(5000)}`;
		for (const text of [nested, `${before}${nested}${after}`]) {
			client.send(text);
			const { Header, Payload } = JSON.parse(await client.next());
			assert.equal(Header.Event, 'error');
			if (text !== nested)
				assert.equal(Payload, 'nested too deep');
		}
		await talk();
		await client.close();
	});
}

for (const [name, length] of [['70 MB', 70 << 20], ['2^63 - 1 bytes', 2n ** 63n - 1n]]) {
	hostile(`a frame header of ${name}`, async (server, talk) => {
		const raw = await Raw.websocket(server);
		raw.write(frameHeader(OPCODE.text, length));
		await talk();
		await raw.fails(1009);
		raw.destroy();
	});
}

hostile('70 MB in fragments', async (server, talk) => {
	const raw = await Raw.websocket(server);
	const piece = 'x'.repeat(60_000);
	raw.write(frame(OPCODE.text, piece, { fin: false }));
	raw.write(frame(OPCODE.more, piece, { fin: false }));
	await talk();
	assert.equal((await raw.close()).code, 1009);
	raw.destroy();
});

hostile('random bytes for an HTTP server', async (server, talk) => {
	for (let i = 0; i < 50; i++) {
		const raw = await Raw.connect(server);
		raw.write(randomBytes(1 + i * 200));
		raw.end();
		if (i % 10 === 0)
			await talk();
		await raw.drained();
		raw.destroy();
	}
});

hostile('random bytes for a WebSocket', async (server, talk) => {
	for (let i = 0; i < 50; i++) {
		const raw = await Raw.websocket(server, { more: randomBytes(1 + i * 200) });
		raw.end();
		if (i % 10 === 0)
			await talk();
		await raw.drained();
		raw.destroy();
	}
});

hostile('random packets', async (server, talk) => {
	const client = await open(server);
	const valid = packet('connect', 'a"\\é', 'r', { a: [1, -2.5e3, true, null, '\u0000😀'] });
	for (let i = 0; i < 500; i++) {
		const at = Math.floor(Math.random() * valid.length);
		const junk = '{}[]",:\\u0e-. \0'[i % 15];
		client.send(valid.slice(0, at) + junk + valid.slice(at + i % 3));
		const answer = await client.next();
		assert.doesNotThrow(() => JSON.parse(answer), answer);
		if (i % 100 === 0)
			await talk();
	}
	await client.close();
});

/* The ways in which a client may come and go. */
const visits = [
	async server => (await Raw.connect(server)).reset(),
	async server => (await Raw.connect(server)).destroy(),
	async server => {
		const raw = await Raw.connect(server);
		raw.write(handshake().slice(0, 50));
		raw.reset();
	},
	async server => {
		const raw = await Raw.connect(server);
		raw.write(request('/nowhere').repeat(20));
		raw.destroy();
	},
	async server => (await Raw.websocket(server)).reset(),
	async (server, i) => {
		const raw = await Raw.websocket(server);
		raw.text(packet('connect', `visitor ${i}`, `room ${i % 7}`, '{}'));
		raw.reset();
	},
	async (server, i) => {
		const raw = await Raw.websocket(server);
		raw.text(packet('connect', 'everybody', 'one room', '{}'));
		raw.text(packet('broadcast', 'everybody', 'one room', 'x'.repeat(i)), { fin: false });
		await raw.frame();
		raw.destroy();
	},
	async server => {
		const client = await open(server);
		client.join('a', 'r');
		await client.close();
	},
];

hostile('a thousand clients that connect and leave', async (server, talk) => {
	for (let i = 0; i < 1000; i += 10) {
		await Promise.all(Array.from({ length: 10 }, (_, k) =>
			visits[(i + k) % visits.length](server, i + k)));
		await talk();
	}
});

test('clients that keep the server busy do not keep signals out', async t => {
	const pongs = Buffer.concat(Array.from({ length: 10_000 }, () => frame(OPCODE.pong, '')));
	/* Within a second, and some for the machine. */
	await lessThan(2000, async () => {
		const server = await serve(t);
		for (let i = 0; i < 3; i++) {
			const { socket } = await Raw.websocket(server);
			const flood = () => {
				while (!socket.destroyed && socket.write(pongs))
					;
			};
			socket.on('drain', flood);
			flood();
		}
		await server.counters();
		const from = Date.now();
		server.signal('SIGTERM');
		assert.deepEqual(await bounded(server.exited, 'the exit'), [0, null]);
		/* The server's own time, for this process is busy as well. */
		return server.lines.time('stopped') - from;
	});
});
