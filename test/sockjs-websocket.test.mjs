/* SockJS over WebSocket, with its frames and without (section 13). */
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { ACCEPT, OPCODE, Raw, closeFrame, frame, handshake, request } from './client.mjs';
import { test } from './server.mjs';
import { AT_ONCE, GO_AWAY, ask, batch, begin, post, send, serveEcho, take } from './sockjs.mjs';

const FRAMED = '/000/one/websocket';

/* A connection with its handshake done, and o read. */
async function open(t, path = FRAMED, heartbeat = undefined) {
	const raw = await Raw.websocket(await serveEcho(t, heartbeat), { path: `/echo${path}` });
	if (path !== '/websocket')
		await raw.gets('o');
	return raw;
}

/* A message comes back, and nothing but heartbeats before it. */
async function alive(raw, text = '["alive?"]', expected = `a${text}`) {
	raw.text(text);
	let got;
	do
		got = await raw.frame();
	while (got.opcode === OPCODE.ping || got.text === 'h');
	assert.equal(got.text, expected);
}

/* The server ends it: the Close is answered, as a client does, and TCP's end follows at once. */
async function closes(raw, code, reason) {
	assert.deepEqual(await raw.close(), { code, reason });
	raw.write(closeFrame(code));
	const last = performance.now();
	await raw.ended();
	assert(performance.now() - last < AT_ONCE, 'TCP ends at once');
}

for (const path of ['/websocket', FRAMED]) {
	describe(`the handshake (section 13.1) of ${path}`, () => {
		test('is an upgrade, without length, protocol or extension', async t => {
			const server = await serveEcho(t);
			for (const changes of [{}, { Connection: 'keep-alive, Upgrade' }, { Connection: 'UPGRADE' },
				{ Upgrade: 'WebSocket' }, { Upgrade: 'WEBSOCKET', Connection: 'x,upgrade,y' },
				{ Origin: 'http://a.example' },
				{ 'Sec-WebSocket-Protocol': 'a, b', 'Sec-WebSocket-Extensions': 'permessage-deflate' }]) {
				const raw = await Raw.connect(server);
				raw.write(handshake(`/echo${path}`, changes));
				const { status, headers } = await raw.response();
				assert.equal(status, 101);
				assert.equal(headers.upgrade, 'websocket');
				assert.equal(headers.connection, 'Upgrade');
				assert.equal(headers['sec-websocket-accept'], ACCEPT);
				for (const name of ['content-length', 'transfer-encoding', 'content-type',
					'sec-websocket-protocol', 'sec-websocket-extensions', 'set-cookie'])
					assert(!(name in headers), name);
			}
		});

		test('that is no upgrade is 400', async t => {
			const server = await serveEcho(t);
			const raw = await Raw.connect(server);
			for (const text of [
				request(`/echo${path}`),
				handshake(`/echo${path}`, { Upgrade: undefined }),
				handshake(`/echo${path}`, { Upgrade: 'WebSockets' }),
				handshake(`/echo${path}`, { Upgrade: 'h2c' }),
				handshake(`/echo${path}`, { Connection: 'keep-alive' }),
				handshake(`/echo${path}`, { Connection: 'upgraded' }),
				handshake(`/echo${path}`, { Connection: undefined }),
			]) {
				raw.write(text);
				assert.equal(await raw.status(), 400);
			}
			raw.write(handshake(`/echo${path}`, { Upgrade: 'WebSocket', Connection: 'close' }));
			const { status, headers } = await raw.response();
			assert.equal(status, 400);
			assert.equal(headers.connection, 'close');
			await raw.ended();
		});

		test('of another version is 426 and names the supported one', async t => {
			const server = await serveEcho(t);
			const raw = await Raw.connect(server);
			for (const version of ['8', '7', '14', '0', '130']) {
				raw.write(handshake(`/echo${path}`, { 'Sec-WebSocket-Version': version }));
				const { status, headers } = await raw.response();
				assert.equal(status, 426, version);
				assert.equal(headers['sec-websocket-version'], '13');
			}
		});

		test('may arrive with frames after it, and in pieces', async t => {
			const server = await serveEcho(t);
			const hello = frame(OPCODE.text, '["hello"]');
			const raw = await Raw.websocket(server, { path: `/echo${path}`, more: hello });
			const other = await Raw.connect(server);
			await other.trickle(Buffer.concat([Buffer.from(handshake(`/echo${path}`)), hello]));
			assert.equal(await other.status(), 101);
			for (const each of [raw, other])
				if (path === FRAMED) {
					await each.gets('o');
					await each.gets('a["hello"]');
				} else {
					await each.gets('["hello"]');
				}
		});
	});
}

describe('SockJS over WebSocket (section 13.2)', () => {
	test('each member of an array is a message, and each message a frame', async t => {
		const raw = await open(t);
		raw.text('["a"]');
		await raw.gets('a["a"]');
		raw.text('["b","c",""]');
		for (const text of ['b', 'c', ''])
			await raw.gets(batch(text));
		raw.text(' [ "d" , "e" ] ');
		await raw.gets('a["d"]');
		await raw.gets('a["e"]');
	});

	test('a string is one message', async t => {
		const raw = await open(t);
		for (const [json, text] of [['"a"', 'a'], [' \n"b"\t', 'b'], ['""', ''], ['"[\\"c\\"]"', '["c"]'],
			['"\\u0000"', '\0']]) {
			raw.text(json);
			await raw.gets(batch(text));
		}
	});

	test('an empty text and an empty array are ignored', async t => {
		const raw = await open(t);
		for (const text of ['', '[]', ' [ ] ', ''])
			raw.text(text);
		await alive(raw);
	});

	test('fragments are reassembled', async t => {
		const raw = await open(t);
		const text = Buffer.from('["wörld"]');
		for (let at = 0; at <= text.length; at++) {
			raw.write(frame(OPCODE.text, text.subarray(0, at), { fin: false }));
			raw.write(frame(OPCODE.ping, 'between'));
			raw.write(frame(OPCODE.more, text.subarray(at)));
			const { opcode, text: data } = await raw.frame();
			assert.deepEqual({ opcode, data }, { opcode: OPCODE.pong, data: 'between' });
			await raw.gets('a["wörld"]');
		}
	});

	test('output is escaped as on every transport', async t => {
		const raw = await open(t);
		const text = '"\\\u0000\u001f\u007f\u2028\u200c%</script>é😀\ufffe';
		raw.text(JSON.stringify([text]));
		await raw.gets(batch(text));
	});

	test('the response limit does not apply', async t => {
		const raw = await open(t);
		for (const size of [4096, 60_000, 4096]) {
			raw.text(JSON.stringify(['x'.repeat(size)]));
			await raw.gets(batch('x'.repeat(size)));
		}
		for (let i = 0; i < 100; i++) {
			raw.text(JSON.stringify([`${i}${'x'.repeat(100)}`]));
			await raw.gets(batch(`${i}${'x'.repeat(100)}`));
		}
	});

	const broken = ['["a', '[', ']', '{', 'x', ' ', '["a",]', '["a"]x', '["a" "b"]', '"a', '["\\x"]',
		'["\n"]', "['a']"];
	const strange = ['[1]', '["a",1]', '[null]', '[["a"]]', '{}', '{"a":"b"}', '1', 'null', 'true', '[{}]'];
	for (const text of [...broken, ...strange]) {
		test(`${JSON.stringify(text)} ends the session, after all earlier output`, async t => {
			const raw = await open(t);
			raw.write(Buffer.concat([frame(OPCODE.text, '["before"]'), frame(OPCODE.text, text),
				frame(OPCODE.text, '["after"]')]));
			await raw.gets('a["before"]');
			await closes(raw, 3000, 'Broken framing.');
		});
	}

	test('text that is not UTF-8 fails with 1007', async t => {
		const raw = await open(t);
		raw.text(Buffer.from('["\xff"]', 'latin1'));
		await raw.fails(1007);
	});

	test('a close of the service is a frame, a Close and the end', async t => {
		const server = await serveEcho(t);
		const raw = await Raw.websocket(server, { path: '/close/0/0/websocket' });
		await raw.gets('o');
		await raw.gets(GO_AWAY);
		await closes(raw, 1000, 'Normal closure');
	});

	test('a client that does not answer the Close loses its connection', async t => {
		const server = await serveEcho(t);
		const raw = await Raw.websocket(server, { path: '/close/0/0/websocket' });
		await raw.gets('o');
		await raw.gets(GO_AWAY);
		assert.equal((await raw.close()).code, 1000);
		raw.text('["too late"]');
		await raw.ended();
	});

	test('ids are not shared: not among WebSockets, nor with HTTP', async t => {
		const server = await serveEcho(t);
		const path = '/echo/000/one/websocket';
		const first = await Raw.websocket(server, { path }), second = await Raw.websocket(server, { path });
		for (const raw of [first, second])
			await raw.gets('o');
		for (const raw of [first, second])
			await alive(raw);
		const { status } = await ask(server, '/echo/000/one/xhr_send', { method: 'POST', body: '["x"]' });
		assert.equal(status, 404);
		await begin(server, '/000/one');
		await send(server, '/000/one', 'x');
		for (const raw of [first, second])
			await alive(raw);
		assert.equal((await take(server, '/000/one')).frame, 'a["x"]');
		first.write(closeFrame(1000));
		assert.equal((await first.close()).code, 1000);
		await first.ended();
		await alive(second);
		const third = await Raw.websocket(server, { path });
		await third.gets('o');
		await alive(third);
	});

	test('a Close of the client is answered', async t => {
		const raw = await open(t);
		raw.write(closeFrame(3333, 'enough'));
		assert.equal((await raw.close()).code, 3333);
		await raw.ended();
	});
});

describe('heartbeats over WebSocket (sections 13.2, 19)', { concurrency: true }, () => {
	/* An h frame and a ping, in either order. */
	async function beat(raw) {
		const got = [await raw.frame(), await raw.frame()];
		const ping = got.find(({ opcode }) => opcode === OPCODE.ping);
		const text = got.find(({ opcode }) => opcode === OPCODE.text);
		assert(ping && text, 'a ping and a text');
		assert.equal(text.text, 'h');
		return ping.payload;
	}

	test('are an h frame and a ping, as long as the pings are answered', async t => {
		const raw = await open(t, FRAMED, 1);
		for (let i = 0; i < 5; i++)
			raw.write(frame(OPCODE.pong, await beat(raw)));
		await alive(raw);
	});

	test('need no pong from a client that sends', async t => {
		const raw = await open(t, FRAMED, 1);
		for (let i = 0; i < 5; i++) {
			await beat(raw);
			await alive(raw);
		}
	});

	test('end the session if two are missed', async t => {
		const raw = await open(t, FRAMED, 1);
		await beat(raw);
		await beat(raw);
		await raw.gets('c[3000,"No response from heartbeat"]');
		assert.equal((await raw.close()).code, 1000);
		await raw.ended();
	});

	test('have no h on a plain WebSocket', async t => {
		const raw = await open(t, '/websocket', 1);
		for (let i = 0; i < 2; i++) {
			const { opcode, payload } = await raw.frame();
			assert.equal(opcode, OPCODE.ping);
			raw.write(frame(OPCODE.pong, payload));
		}
		await alive(raw, 'alive?', 'alive?');
	});
});

describe('WebSocket without SockJS (section 13.3)', () => {
	test('messages have no framing, both ways', async t => {
		const raw = await open(t, '/websocket');
		for (const text of ['x', '', '[]', '["a"]', '{', 'o', '\uffff', '\u2028\ufffd\0', 'é😀%<',
			'x'.repeat(5000)]) {
			raw.text(text);
			await raw.gets(text);
		}
	});

	test('binary comes back as binary', async t => {
		const raw = await open(t, '/websocket');
		for (const bytes of [[], [0xff, 0x00, 0xc0], [0x5b, 0x5d]]) {
			raw.write(frame(OPCODE.binary, Buffer.from(bytes)));
			const { opcode, payload } = await raw.frame();
			assert.equal(opcode, OPCODE.binary);
			assert.deepEqual([...payload], bytes);
		}
	});

	test('a close of the service is a Close of its code and reason', async t => {
		const raw = await Raw.websocket(await serveEcho(t), { path: '/close/websocket' });
		await closes(raw, 3000, 'Go away!');
	});

	test('no frame is sent by itself, and it is no session of HTTP', async t => {
		const server = await serveEcho(t);
		const raw = await Raw.websocket(server, { path: '/echo/websocket' });
		const web = await Raw.connect(server);
		assert.equal((await post(web, '/echo/websocket/websocket/xhr_send', '["x"]')).status, 404);
		raw.text('first');
		await raw.gets('first');
	});
});
