/* RFC 6455 on the wire: handshake, frames, closing, signs of life. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe } from 'node:test';
import {
	ACCEPT, OPCODE, Raw, closeFrame, frame, frameHeader, gather, handshake, joined, left, members,
	open, packet,
} from './client.mjs';
import { apart, built, serve, test } from './server.mjs';

const ping = packet('ping', 'me', 'nowhere', '{}');
const pong = members('me', 'nowhere');

/* A ping of exactly this many bytes, and its answer. */
function sizedPing(length, room = 'nowhere', ...users) {
	const text = filler => `{"Filler":"${filler}",${packet('ping', 'me', room, '{}').slice(1)}`;
	const filler = 'x'.repeat(length - text('').length);
	return [text(filler), `{"Filler":"${filler}",${members('me', room, ...users).slice(1)}`];
}

/* A message in as many frames as it has bytes. */
function inPieces(text) {
	const bytes = [...Buffer.from(text)];
	return Buffer.concat(bytes.map((byte, i) => frame(i === 0 ? OPCODE.text : OPCODE.more,
		Buffer.of(byte), { fin: i === bytes.length - 1 })));
}

/* A raw client in room r beside an ordinary one, who is told when it has gone. */
async function pair(t, options) {
	const server = await serve(t, options);
	const [watcher] = await gather(server, 'r', 'watcher');
	const raw = await Raw.websocket(server, { more: frame(OPCODE.text, packet('connect', 'raw', 'r', '{}')) });
	await raw.gets(joined('raw', 'r', false));
	await watcher.gets(joined('raw', 'r', false));
	return { server, watcher, raw };
}

describe('handshake', () => {
	const answer = async (t, text) => {
		const raw = await Raw.connect(await serve(t));
		raw.write(text);
		return { raw, ...await raw.response() };
	};

	test('is answered as the RFC has it, without a length', async t => {
		const { raw, status, headers } = await answer(t, handshake());
		assert.equal(status, 101);
		assert.equal(headers.upgrade.toLowerCase(), 'websocket');
		assert.equal(headers.connection.toLowerCase(), 'upgrade');
		assert.equal(headers['sec-websocket-accept'], ACCEPT);
		assert(!('content-length' in headers) && !('transfer-encoding' in headers));
		raw.text(ping);
		await raw.gets(pong);
	});

	test('chooses no subprotocol and no extension', async t => {
		const { status, headers } = await answer(t, handshake(undefined, {
			'Sec-WebSocket-Protocol': 'chat, superchat',
			'Sec-WebSocket-Extensions': 'permessage-deflate; client_max_window_bits',
		}));
		assert.equal(status, 101);
		assert(!('sec-websocket-protocol' in headers) && !('sec-websocket-extensions' in headers));
	});

	const good = {
		'a list in Connection': { Connection: 'keep-alive, Upgrade' },
		'another case': { Connection: 'UPGRADE', Upgrade: 'WebSocket' },
		'repeated Connection headers': { Connection: ['keep-alive', 'upgrade'] },
		'an Origin': { Origin: 'https://any.example' },
		'spaces around the values': {
			Connection: ' \t Upgrade \t', 'Sec-WebSocket-Version': '  13  ', Upgrade: '\twebsocket ',
		},
		'many other headers': Object.fromEntries(
			Array.from({ length: 100 }, (_, i) => [`X-Header-${i}`, 'x'])),
		'a length of nothing': { 'Content-Length': '0' },
	};
	for (const [name, changes] of Object.entries(good)) {
		test(`with ${name} is accepted`, async t => {
			const { raw, status } = await answer(t, handshake(undefined, changes));
			assert.equal(status, 101);
			raw.text(ping);
			await raw.gets(pong);
		});
	}

	test('with header names of any case is accepted', async t => {
		for (const turn of ['toLowerCase', 'toUpperCase']) {
			const text = handshake().replace(/^[\w-]+:/gm, name => name[turn]());
			assert.equal((await answer(t, text)).status, 101);
		}
	});

	test('with a query is accepted', async t => {
		assert.equal((await answer(t, handshake('/echo/websocket?t=1&x=/'))).status, 101);
	});

	const bad = {
		'no upgrade': [400, { Connection: undefined, Upgrade: undefined }],
		'Connection: close': [400, { Connection: 'close', Upgrade: 'WebSocket' }],
		'no Connection': [400, { Connection: undefined }],
		'a token that only begins with upgrade': [400, { Connection: 'upgraded' }],
		'no Upgrade': [400, { Upgrade: undefined }],
		'an upgrade to something else': [400, { Upgrade: 'h2c' }],
		'no Host': [400, { Host: undefined }],
		'no key': [400, { 'Sec-WebSocket-Key': undefined }],
		'an empty key': [400, { 'Sec-WebSocket-Key': '' }],
		'a key of 15 bytes': [400, { 'Sec-WebSocket-Key': Buffer.alloc(15).toString('base64') }],
		'a key of 17 bytes': [400, { 'Sec-WebSocket-Key': Buffer.alloc(17).toString('base64') }],
		'a key without padding': [400, { 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ' }],
		'a key that is not Base64': [400, { 'Sec-WebSocket-Key': 'dGhlIHNhbXBs*SBub25jZQ==' }],
		'version 8': [426, { 'Sec-WebSocket-Version': '8' }],
		'version 14': [426, { 'Sec-WebSocket-Version': '14' }],
		'a version that is no number': [426, { 'Sec-WebSocket-Version': '13x' }],
		'POST': [405, { method: 'POST', 'Content-Length': '0' }],
		'PUT': [405, { method: 'PUT' }],
		'HEAD': [405, { method: 'HEAD' }],
		'HTTP/1.0': [400, { version: '1.0' }],
	};
	for (const [name, [wanted, changes]] of Object.entries(bad)) {
		test(`with ${name} is refused with ${wanted}`, async t => {
			const { status, headers } = await answer(t, handshake(undefined, changes));
			assert.equal(status, wanted);
			assert.equal(headers['sec-websocket-version'], wanted === 426 ? '13' : undefined);
			/* RFC 9110 section 7.8: a sender of Upgrade must send the option too. */
			assert.equal(headers.upgrade, wanted === 426 ? 'websocket' : undefined);
			if (wanted === 426)
				assert.equal(headers.connection, 'upgrade');
			if (wanted === 405)
				assert.equal(headers.allow, 'GET, OPTIONS');
		});
	}

	test('of another version on a connection that closes says both', async t => {
		const { status, headers } = await answer(t, handshake(undefined,
			{ Connection: 'Upgrade, close', 'Sec-WebSocket-Version': '8' }));
		assert.deepEqual([status, headers.connection, headers.upgrade], [426, 'close, upgrade', 'websocket']);
	});

	test('without a version is refused', async t => {
		const changes = { 'Sec-WebSocket-Version': undefined };
		const { status } = await answer(t, handshake(undefined, changes));
		assert([400, 426].includes(status), status);
	});

	test('with a body is refused, or the body taken for no frame', async t => {
		const body = frame(OPCODE.ping, 'body');
		const raw = await Raw.connect(await serve(t));
		raw.write(handshake(undefined, { 'Content-Length': String(body.length) }));
		raw.write(Buffer.concat([body, frame(OPCODE.ping, 'frame')]));
		const status = await raw.status();
		assert([101, 400].includes(status), status);
		if (status === 101)
			assert.equal((await raw.frame()).text, 'frame');
	});

	test('elsewhere is told where to go', async t => {
		const raw = await Raw.connect(await serve(t));
		const paths = ['/', '/echo', '/echo/', '/nowhere', '//', '/websocket', '/echo/websockets', '/echoo/websocket', '/Echo/websocket',
			'/echo//websocket', '//echo/websocket', '/echo/./websocket', '/echo/%77ebsocket'];
		for (const path of paths) {
			raw.write(handshake(path));
			const { status, body } = await raw.response();
			assert.deepEqual([path, status, body.toString()],
				[path, 400, 'WebSocket is at /echo/websocket\n']);
		}
		const renamed = await Raw.connect(await serve(t, { conf: { Prefix: '/a/b', Page: false } }));
		renamed.write(handshake('/echo/websocket'));
		assert.equal((await renamed.response()).body.toString(), 'WebSocket is at /a/b/websocket\n');
	});

	test('at an endpoint of HTTP is an ordinary request', async t => {
		const server = await serve(t);
		for (const [path, wanted] of [['/echo/info', 200], ['/echo/0/0/xhr', 405]]) {
			const raw = await Raw.connect(server);
			raw.write(handshake(path));
			assert.equal(await raw.status(), wanted);
		}
	});

	test('may come byte by byte', async t => {
		const raw = await Raw.connect(await serve(t));
		await raw.trickle(handshake());
		assert.equal(await raw.status(), 101);
		await raw.trickle(frame(OPCODE.text, ping));
		await raw.gets(pong);
	});

	test('may be followed by frames in the same segment', async t => {
		const more = Buffer.concat([frame(OPCODE.text, ping), frame(OPCODE.ping, 'x')]);
		const raw = await Raw.websocket(await serve(t), { more });
		await raw.gets(pong);
		assert.equal((await raw.frame()).text, 'x');
	});

	test('may be followed by half a frame in the same segment', async t => {
		const bytes = frame(OPCODE.text, ping);
		for (const cut of [1, 3, 6, 20]) {
			const raw = await Raw.websocket(await serve(t), { more: bytes.subarray(0, cut) });
			raw.write(bytes.subarray(cut));
			await raw.gets(pong);
		}
	});
});

describe('frames', () => {
	for (const length of [125, 126, 127, 65535, 65536]) {
		test(`of ${length} bytes are read and written`, async t => {
			const raw = await Raw.websocket(await serve(t));
			const [text, answer] = sizedPing(length);
			raw.text(text);
			await raw.gets(answer);
		});
	}

	test('without payload are read', async t => {
		const raw = await Raw.websocket(await serve(t));
		raw.text('');
		assert.equal(JSON.parse((await raw.frame()).text).Header.Event, 'error');
		raw.write(frame(OPCODE.ping));
		assert.deepEqual((await raw.frame()).opcode, OPCODE.pong);
	});

	test('may be masked with zeros', async t => {
		const raw = await Raw.websocket(await serve(t));
		raw.text(ping, { mask: Buffer.alloc(4) });
		await raw.gets(pong);
	});

	test('are unmasked whatever their length', async t => {
		const raw = await Raw.websocket(await serve(t));
		raw.text(packet('connect', 'me', 'r', '{}'));
		await raw.gets(joined('me', 'r', true));
		for (let length = 100; length < 140; length++) {
			const [text, answer] = sizedPing(length, 'r', 'me');
			raw.text(text, { mask: Buffer.of(length, 0xff, 0x80, 1) });
			await raw.gets(answer);
		}
	});

	test('may come byte by byte', async t => {
		const raw = await Raw.websocket(await serve(t));
		const [text, answer] = sizedPing(300);
		await raw.trickle(Buffer.concat([frame(OPCODE.text, text), frame(OPCODE.text, ping)]));
		await raw.gets(answer);
		await raw.gets(pong);
	});

	test('may come many in a segment', async t => {
		const raw = await Raw.websocket(await serve(t));
		raw.text(packet('connect', 'me', 'r', '{}'));
		await raw.gets(joined('me', 'r', true));
		raw.write(Buffer.concat(Array(500).fill(frame(OPCODE.text, packet('ping', 'me', 'r', '{}')))));
		for (let i = 0; i < 500; i++)
			await raw.gets(members('me', 'r', 'me'));
	});

	const wrong = {
		'16 bits for a length below 126': frame(1, ping.slice(0, 20), { form: 16 }),
		'64 bits for a length below 126': frame(1, ping.slice(0, 20), { form: 64 }),
		'64 bits for a length below 65536': frame(1, 'x'.repeat(65535), { form: 64 }),
		'the highest bit of the length': frameHeader(1, 1n << 63n, { form: 64 }),
		'no mask': frame(1, ping, { mask: null }),
		'the first reserved bit': frame(1, ping, { rsv: 4 }),
		'the second reserved bit': frame(1, ping, { rsv: 2 }),
		'the third reserved bit': frame(1, ping, { rsv: 1 }),
		'a reserved bit in a control frame': frame(OPCODE.ping, 'x', { rsv: 1 }),
		'a Ping in fragments': frame(OPCODE.ping, 'x', { fin: false }),
		'a Close in fragments': frame(OPCODE.close, '', { fin: false }),
		'a Ping of 126 bytes': frame(OPCODE.ping, 'x'.repeat(126)),
		'a short Ping with a long form': frame(OPCODE.ping, 'x', { form: 16 }),
		'a continuation of nothing': frame(OPCODE.more, ping),
		'a beginning within fragments': Buffer.concat([
			frame(OPCODE.text, ping, { fin: false }), frame(OPCODE.text, ping)]),
		'a binary within text': Buffer.concat([
			frame(OPCODE.text, ping, { fin: false }), frame(OPCODE.binary, ping)]),
		...Object.fromEntries([3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map(opcode =>
			[`the reserved opcode ${opcode}`, frame(opcode, '')])),
	};
	for (const [name, bytes] of Object.entries(wrong)) {
		test(`with ${name} end the session`, async t => {
			const { raw, watcher } = await pair(t);
			raw.write(bytes);
			await raw.fails(1002);
			await watcher.gets(left('raw', 'r'));
		});
	}

	test('are refused at their header, before their payload has come', async t => {
		const server = await serve(t);
		for (const [header, code] of [
			[frameHeader(OPCODE.text, 65537), 1009],
			[frameHeader(OPCODE.text, 2n ** 62n), 1009],
			[frameHeader(OPCODE.text, 100, { mask: null }), 1002],
			[frameHeader(OPCODE.ping, 65535), 1002],
		]) {
			const raw = await Raw.websocket(server);
			raw.write(header);
			await raw.fails(code);
		}
	});
});

describe('fragments', () => {
	test('make one message', async t => {
		const raw = await Raw.websocket(await serve(t));
		raw.text(ping.slice(0, 10), { fin: false });
		raw.write(frame(OPCODE.more, '', { fin: false }));
		raw.write(frame(OPCODE.more, ping.slice(10, 40), { fin: false, mask: Buffer.from('abcd') }));
		raw.write(frame(OPCODE.more, ping.slice(40)));
		await raw.gets(pong);
	});

	test('of a byte each make a message of 10,000', async t => {
		const raw = await Raw.websocket(await serve(t));
		const [text, answer] = sizedPing(10_000);
		raw.write(inPieces(text));
		await raw.gets(answer);
	});

	test('without a byte do not end it', async t => {
		const raw = await Raw.websocket(await serve(t));
		raw.text('', { fin: false });
		raw.write(Buffer.concat(Array(10_000).fill(frame(OPCODE.more, '', { fin: false }))));
		raw.write(frame(OPCODE.more, ping));
		await raw.gets(pong);
	});

	test('let control frames through', async t => {
		const raw = await Raw.websocket(await serve(t));
		raw.text(ping.slice(0, 30), { fin: false });
		raw.write(frame(OPCODE.ping, 'within'));
		const { opcode, text } = await raw.frame();
		assert.deepEqual([opcode, text], [OPCODE.pong, 'within']);
		raw.write(frame(OPCODE.pong, 'unasked'));
		raw.write(frame(OPCODE.more, ping.slice(30)));
		await raw.gets(pong);
	});

	test('let a Close through', async t => {
		const { raw, watcher } = await pair(t);
		raw.text(ping.slice(0, 30), { fin: false });
		raw.write(closeFrame(1000));
		assert.equal((await raw.close()).code, 1000);
		await raw.ended();
		await watcher.gets(left('raw', 'r'));
	});
});

describe('text', () => {
	const invalid = {
		'a lone continuation': '80',
		'a lead without its continuation': 'c328',
		'an overlong form': 'c080',
		'an overlong form of three': 'e0809f',
		'a surrogate': 'eda080',
		'what is above U+10FFFF': 'f4908080',
		'a lead that never is': 'ff',
	};
	for (const [name, hex] of Object.entries(invalid)) {
		for (const kind of ['text', 'binary']) {
			test(`with ${name} in a ${kind} message is refused at once`, async t => {
				const { raw, watcher } = await pair(t);
				const bytes = Buffer.concat([Buffer.from('{"a":"é'), Buffer.from(hex, 'hex')]);
				raw.write(frame(OPCODE[kind], bytes, { fin: false }));
				await raw.fails(1007);
				await watcher.gets(left('raw', 'r'));
			});
		}
	}

	test('is refused in the middle of a frame', async t => {
		const raw = await Raw.websocket(await serve(t));
		const payload = Buffer.alloc(1000, 'x').fill(0xff, 1, 2);
		raw.write(frame(OPCODE.text, payload).subarray(0, 100));
		await raw.fails(1007);
	});

	test('is refused across fragments', async t => {
		const raw = await Raw.websocket(await serve(t));
		raw.text(Buffer.of(0x22, 0xe6), { fin: false });
		raw.write(frame(OPCODE.more, Buffer.of(0xbc, 0x22), { fin: false }));
		await raw.fails(1007);
	});

	test('is refused if it ends within a character', async t => {
		const raw = await Raw.websocket(await serve(t));
		raw.text(Buffer.of(0x22, 0xf0, 0x9f, 0x98));
		await raw.fails(1007);
	});

	test('may have a character in several fragments', async t => {
		const raw = await Raw.websocket(await serve(t));
		const text = `{"Filler":"é漢😀\uffff",${ping.slice(1)}`;
		raw.write(inPieces(text));
		await raw.gets(`{"Filler":"é漢😀\uffff",${pong.slice(1)}`);
	});
});

describe('closing', () => {
	const codes = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999];
	for (const code of codes) {
		test(`with ${code} is answered with it, then TCP ends`, async t => {
			const { raw, watcher } = await pair(t);
			raw.write(closeFrame(code, 'é'));
			assert.equal((await raw.close()).code, code);
			await raw.ended();
			await watcher.gets(left('raw', 'r'));
		});
	}

	test('without a code is answered', async t => {
		const raw = await Raw.websocket(await serve(t));
		raw.write(frame(OPCODE.close));
		assert([undefined, 1000].includes((await raw.close()).code));
		await raw.ended();
	});

	const wrong = {
		...Object.fromEntries([0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535].map(code =>
			[`the code ${code}`, closeFrame(code)])),
		'half a code': frame(OPCODE.close, 'x'),
	};
	for (const [name, bytes] of Object.entries(wrong)) {
		test(`with ${name} is a protocol error`, async t => {
			const raw = await Raw.websocket(await serve(t));
			raw.write(bytes);
			await raw.fails(1002);
		});
	}

	test('with a reason that is not UTF-8 is an error', async t => {
		const raw = await Raw.websocket(await serve(t));
		raw.write(closeFrame(1000, Buffer.of(0xc3, 0x28)));
		await raw.fails(1007);
	});

	test('makes what follows unheard', async t => {
		const { raw, watcher } = await pair(t);
		const late = packet('broadcast', 'raw', 'r', 'late');
		raw.write(Buffer.concat([
			closeFrame(1000), frame(OPCODE.text, late), frame(OPCODE.ping, 'x')]));
		assert.equal((await raw.close()).code, 1000);
		await watcher.gets(left('raw', 'r'));
		await watcher.none();
	});

	test('by the server waits for the answer, then ends TCP', async t => {
		const raw = await Raw.websocket(await serve(t));
		raw.write(frame(OPCODE.more, ''));
		assert.equal((await raw.close()).code, 1002);
		raw.write(frame(OPCODE.text, ping)); /* crossed the Close: not answered */
		raw.write(closeFrame(1002));
		await raw.ended();
	});

	test('by the server is not held up by a client that never answers', async t => {
		const raw = await Raw.websocket(await serve(t, { conf: { Heartbeat: 1 } }));
		raw.write(frame(OPCODE.more, ''));
		assert.equal((await raw.close()).code, 1002);
		await raw.ended();
	});

	test('by the server is not held up by a client that never stops sending', async t => {
		const raw = await Raw.websocket(await serve(t, { conf: { Heartbeat: 1 } }));
		const sending = setInterval(() => raw.text(ping), 20);
		t.after(() => clearInterval(sending));
		raw.write(frame(OPCODE.text, ping, { rsv: 1 }));
		let last;
		do
			last = await raw.frame();
		while (last.opcode !== OPCODE.close);
		await raw.ended();
	});

	test('of TCP without a Close ends the session', async t => {
		const { raw, watcher } = await pair(t);
		const last = packet('broadcast', 'raw', 'r', 'last words');
		raw.text(last);
		raw.end();
		await watcher.gets(last, left('raw', 'r'));
		await raw.ended();
	});

	test('of TCP within a frame ends the session', async t => {
		const { raw, watcher } = await pair(t);
		raw.write(frame(OPCODE.text, ping).subarray(0, 20));
		raw.end();
		await watcher.gets(left('raw', 'r'));
	});
});

describe('signs of life', { concurrency: apart }, () => {
	const conf = { Heartbeat: 1 };

	test('a Ping is answered with its payload', async t => {
		const raw = await Raw.websocket(await serve(t));
		for (const payload of ['', 'x', '\u0000é', 'x'.repeat(125)]) {
			raw.write(frame(OPCODE.ping, payload));
			const { opcode, text } = await raw.frame();
			assert.deepEqual([opcode, text], [OPCODE.pong, payload]);
		}
	});

	test('a Pong that nobody asked for is ignored', async t => {
		const raw = await Raw.websocket(await serve(t));
		raw.write(frame(OPCODE.pong, 'x'));
		raw.text(ping);
		await raw.gets(pong);
	});

	test('a silent client is pinged, and two missed end its session', async t => {
		const { raw, watcher } = await pair(t, { conf });
		let pings = 0;
		for (let last; last !== OPCODE.close; pings += last === OPCODE.ping) {
			last = (await raw.frame().catch(() => ({ opcode: OPCODE.close }))).opcode;
			assert([OPCODE.ping, OPCODE.close].includes(last), `opcode ${last}`);
		}
		assert(pings >= 1 && pings <= 2, `${pings} pings`);
		await watcher.gets(left('raw', 'r'));
		await raw.ended();
		await watcher.none();
	});

	/* What a client may do at each ping to be taken for alive. */
	const lives = {
		'answers': (raw, payload) => raw.write(frame(OPCODE.pong, payload)),
		'sends packets': raw => raw.text(ping),
		'pings by itself': raw => raw.write(frame(OPCODE.ping, 'alive')),
	};
	for (const [name, act] of Object.entries(lives)) {
		test(`a client that ${name} stays`, async t => {
			const { raw, watcher } = await pair(t, { conf });
			for (let count = 0; count < 4;) {
				const { opcode, payload } = await raw.frame();
				assert.notEqual(opcode, OPCODE.close);
				if (opcode === OPCODE.ping) {
					act(raw, payload);
					count++;
				}
			}
			await watcher.none();
		});
	}

	/* What is begun and never finished, and what then comes regularly. */
	const begun = {
		'a message': [frame(OPCODE.text, ping.slice(0, 9), { fin: false }), frame(OPCODE.pong)],
		'a message in fragments': [frame(OPCODE.text, '{', { fin: false }),
			frame(OPCODE.more, ' ', { fin: false })],
		'a frame': [frameHeader(OPCODE.text, 60_000), Buffer.alloc(4, 'm4sk')],
	};
	for (const [name, [start, more]] of Object.entries(begun)) {
		test(`${name} that is begun must end within two heartbeats`, async t => {
			const { raw, watcher } = await pair(t, { conf });
			raw.write(start);
			const sending = setInterval(() => raw.write(more), 200);
			t.after(() => clearInterval(sending));
			await watcher.gets(left('raw', 'r'));
			clearInterval(sending);
		});
	}

	test('a client that never answers a Close is cut', async t => {
		const { server, raw } = await pair(t);
		const next = await open(server);
		next.join('raw', 'r'); /* and so replaces it */
		assert.equal((await raw.close()).code, 4001);
		await raw.ended();
	});

	test('a client that has not joined a room stays as long as it answers', async t => {
		const idle = await open(await serve(t, { conf }));
		for (let i = 0; i < 4; i++)
			await once(idle.socket, 'ping');
		await idle.none();
	});
});

describe('another service on the same server', () => {
	const echo = t => serve(t, { binary: built('ECHO', 'build/san/echo'), conf: null, args: ['0'] });

	for (const kind of ['text', 'binary']) {
		test(`gets ${kind} of any length and answers ${kind}`, async t => {
			const raw = await Raw.websocket(await echo(t));
			for (const length of [0, 1, 125, 126, 65535, 65536, 1 << 20]) {
				const payload = Buffer.alloc(length, 'payload');
				raw.write(frame(OPCODE[kind], payload));
				const answer = await raw.frame();
				assert.equal(answer.opcode, OPCODE[kind]);
				assert(answer.payload.equals(payload), `${length} bytes`);
			}
		});
	}

	test('outlives clients that leave without reading', async t => {
		const server = await echo(t);
		const messages = Buffer.concat(Array(60).fill(frame(OPCODE.text, 'x'.repeat(20_000))));
		for (let i = 0; i < 30; i++) {
			const { socket } = await Raw.websocket(server);
			socket.pause();
			await new Promise(written => socket.end(messages, written));
			socket.destroy();
		}
		const raw = await Raw.websocket(server);
		raw.write(frame(OPCODE.text, 'still there'));
		assert.equal(`${(await raw.frame()).payload}`, 'still there');
	});

	test('gets binary that is no text', async t => {
		const raw = await Raw.websocket(await echo(t));
		const payload = Buffer.of(0xff, 0, 0xc3, 0x28, 0x80);
		raw.write(frame(OPCODE.binary, payload.subarray(0, 2), { fin: false }));
		raw.write(frame(OPCODE.more, payload.subarray(2)));
		assert((await raw.frame()).payload.equals(payload));
		raw.write(frame(OPCODE.text, payload));
		await raw.fails(1007);
	});

	test('closes with a code and a reason of its own', async t => {
		const raw = await Raw.websocket(await echo(t), { path: '/close/websocket' });
		assert.deepEqual(await raw.close(), { code: 3000, reason: 'Go away!' });
		raw.write(closeFrame(3000));
		await raw.ended();
	});
});
