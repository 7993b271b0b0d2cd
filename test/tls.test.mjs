/* TLS: negotiation, resumption, records, the end of a connection, and clear text. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { describe } from 'node:test';
import { bystanders } from './bystanders.mjs';
import { chain, inDirectory, pair } from './certificate.mjs';
import {
	OPCODE, Raw, frame, gather, handshake, packet, request,
} from './client.mjs';
import { bounded, emptied, lessThan, serve, test } from './server.mjs';
import {
	GREETING, RECORD, curl, flushed, inClear, over, sClient, saysGoodbye, shake, shakeFails,
	wiredThrough,
} from './tls.mjs';

const served = async (t, kind = 'P-256', options) =>
	serve(t, { tls: await pair(kind), ...options });

const suites = {
	ECDSA: ['AES128-GCM-SHA256', 'AES256-GCM-SHA384', 'CHACHA20-POLY1305']
		.map(name => `ECDHE-ECDSA-${name}`),
	RSA: ['AES128-GCM-SHA256', 'AES256-GCM-SHA384', 'CHACHA20-POLY1305']
		.map(name => `ECDHE-RSA-${name}`),
};
const keys = {
	'RSA 2048': suites.RSA, 'P-256': suites.ECDSA, 'P-384': suites.ECDSA, 'P-521': suites.ECDSA,
};

/* The curve of the key exchange in the client's output. */
const temporary = {
	'X25519': /Server Temp Key: X25519/,
	'P-256': /Server Temp Key: ECDH, prime256v1/,
	'P-384': /Server Temp Key: ECDH, secp384r1/,
	'P-521': /Server Temp Key: ECDH, secp521r1/,
};

/* OpenSSL's names of suites, with options for those that it does not offer by default. */
const offering = (...names) => `${names.join(':')}:@SECLEVEL=0`;

/* An HTTP request in the client's output. */
const asked = request('/echo', { Connection: 'close' });

describe('TLS: a handshake', () => {
	for (const [kind, names] of Object.entries(keys))
		for (const suite of names)
			test(`of openssl s_client and of curl, with a key ${kind} and ${suite}`, async t => {
				const server = await served(t, kind);
				const args = ['-tls1_2', '-cipher', offering(suite), '-ign_eof'];
				const { code, output } = await sClient(server, args, { input: asked });
				assert.equal(code, 0, output);
				assert.match(output, new RegExp(`New, TLSv1\\.2, Cipher is ${suite}\n`));
				assert.match(output, /Verify return code: 0 \(ok\)/);
				assert(output.includes(GREETING), output);
				assert.deepEqual(
					await curl(server, ['--tls-max', '1.2', '--ciphers', offering(suite)]),
					{ code: 0, output: GREETING });
				await emptied(server);
			});

	test('of clients that prefer TLS 1.3', async t => {
		const server = await served(t);
		const { code, output } = await sClient(server, ['-ign_eof'], { input: asked });
		assert.equal(code, 0, output);
		assert.match(output, /New, TLSv1\.2, /);
		assert.deepEqual(await curl(server), { code: 0, output: GREETING });
	});

	for (const curve of Object.keys(temporary))
		test(`over ${curve}`, async t => {
			/* A client with a single curve can not use an EC key on another curve. */
			const server = await served(t, 'RSA 2048');
			const args = ['-tls1_2', '-curves', curve, '-ign_eof'];
			const { code, output } = await sClient(server, args, { input: asked });
			assert.equal(code, 0, output);
			assert.match(output, temporary[curve]);
			assert(output.includes(GREETING), output);
		});

	test('with a certificate signed by an intermediate certificate', async t => {
		const { texts, key, ca } = await chain('P-256', 'a chain');
		const cert = inDirectory('a-chain.pem');
		await writeFile(cert, texts.join(''));
		const server = await serve(t, { tls: { cert, key, ca } });
		const socket = await shake(server);
		assert(socket.authorized);
	});

	/* Offers the suites in two orders, and after each handshake without the selected one. */
	for (const [kind, names] of Object.entries({ 'RSA 2048': suites.RSA, 'P-256': suites.ECDSA }))
		test(`with a key ${kind} selects the suite that the server prefers`, async t => {
			const server = await served(t, kind);
			const order = async offered => {
				const taken = [];
				while (offered.length > 0) {
					const socket = await shake(server,
						{ ciphers: offering(...offered), maxVersion: 'TLSv1.2' });
					const { name } = socket.getCipher();
					socket.destroy();
					taken.push(name);
					offered = offered.filter(one => one !== name);
				}
				return taken;
			};
			const liked = await order(names);
			assert.equal(liked.length, names.length);
			assert.deepEqual(await order([...names].reverse()), liked);
		});
});

describe('TLS: refused, with an alert that gives the reason,', () => {
	const VERSION = 70, NOTHING = 40; /* protocol_version, handshake_failure */
	const refusals = {
		'TLS 1.0': [['-tls1', '-cipher', 'ALL:@SECLEVEL=0'], VERSION],
		'TLS 1.1': [['-tls1_1', '-cipher', 'ALL:@SECLEVEL=0'], VERSION],
		'CBC': [['-tls1_2', '-cipher',
			offering(...Object.keys(suites).flatMap(key => [`ECDHE-${key}-AES128-SHA`,
				`ECDHE-${key}-AES128-SHA256`, `ECDHE-${key}-AES256-SHA384`]))], NOTHING],
		'CCM': [['-tls1_2', '-cipher',
			offering(...['AES128-CCM', 'AES256-CCM', 'AES128-CCM8', 'AES256-CCM8']
				.map(name => `ECDHE-ECDSA-${name}`))], NOTHING],
		'RSA key exchange': [['-tls1_2', '-cipher', offering('AES128-GCM-SHA256',
			'AES256-GCM-SHA384', 'AES128-SHA256', 'AES128-SHA', 'AES128-CCM')], NOTHING],
		'finite-field Diffie-Hellman': [['-tls1_2', '-cipher',
			offering('DHE-RSA-AES128-GCM-SHA256', 'DHE-RSA-CHACHA20-POLY1305')], NOTHING],
		'no authentication': [['-tls1_2', '-cipher',
			offering('AECDH-AES128-SHA', 'ADH-AES128-GCM-SHA256')], NOTHING],
		'no common curve': [['-tls1_2', '-curves', 'X448'], NOTHING],
	};
	for (const [what, [args, number]] of Object.entries(refusals))
		for (const kind of ['RSA 2048', 'P-256'])
			test(`${what}, with a key ${kind}`, async t => {
				const server = await served(t, kind);
				const { talk, leave } = await bystanders(server);
				const { code, output } = await sClient(server, args);
				assert.notEqual(code, 0);
				assert.match(output, new RegExp(`SSL alert number ${number}\n`));
				assert.doesNotMatch(output, /ServerHelloDone/);
				await talk();
				await leave();
				await emptied(server);
			});

	test('the suites of the other kind of key', async t => {
		for (const [kind, names] of [['RSA 2048', suites.ECDSA], ['P-256', suites.RSA]]) {
			const { output } = await sClient(await served(t, kind),
				['-tls1_2', '-cipher', offering(...names)]);
			assert.match(output, /SSL alert number 40\n/);
		}
	});

	test('a second handshake on the same connection', async t => {
		const server = await served(t);
		const { talk, leave } = await bystanders(server);
		let wanted = false;
		const { output } = await sClient(server, ['-tls1_2', '-no_ticket'], {
			react(text, stdin) {
				if (!wanted && text.includes('Verify return code')) {
					wanted = true;
					stdin.write('R\n');
				}
				if (wanted && /no_renegotiation|:error:/.test(text))
					stdin.end();
			},
		});
		assert.match(output, /RENEGOTIATING/);
		assert.match(output, /no_renegotiation|:error:/);
		assert.equal(output.match(/<<< .* ServerHello$/gm).length, 1);
		await talk();
		await leave();
		await emptied(server);
	});
});

describe('TLS: ALPN', () => {
	const agreed = { 'http/1.1': ['http/1.1'], 'http/1.1 after others': ['h2', 'http/1.1'] };
	for (const [what, ALPNProtocols] of Object.entries(agreed))
		test(`${what} is chosen`, async t => {
			const socket = await shake(await served(t), { ALPNProtocols });
			assert.equal(socket.alpnProtocol, 'http/1.1');
		});

	test('is not sent to a client that does not offer it', async t => {
		const socket = await shake(await served(t));
		assert.equal(socket.alpnProtocol, false);
	});

	/* RFC 7301 section 3.2: a client of another protocol is not served by mistake. */
	test('of unknown protocols is refused', async t => {
		const server = await served(t);
		for (const ALPNProtocols of [['h2'], ['h2', 'http/1.0'], ['ftp', 'http/1.1\0']]) {
			const error = await shakeFails(server, { ALPNProtocols });
			assert.match(error.message, /no application protocol/);
		}
		assert.deepEqual(await curl(server), { code: 0, output: GREETING });
	});
});

describe('TLS: a session', () => {
	/* Exchanges data first, so that the client has received the session. */
	async function had(server, options) {
		const socket = await shake(server, { maxVersion: 'TLSv1.2', ...options });
		const session = socket.getSession(), reused = socket.isSessionReused();
		socket.resume().end();
		await bounded(once(socket, 'close'), 'the close');
		return { session, reused };
	}

	for (const kind of Object.keys(keys))
		test(`is resumed repeatedly, with a key ${kind}`, async t => {
			const server = await served(t, kind);
			let { session, reused } = await had(server);
			assert(!reused);
			for (let i = 0; i < 3; i++) {
				({ session, reused } = await had(server, { session }));
				assert(reused);
			}
			await emptied(server);
		});

	test('is resumed by openssl s_client', async t => {
		const { code, output } = await sClient(await served(t), ['-tls1_2', '-no_ticket', '-reconnect']);
		assert.equal(code, 0, output);
		assert.equal(output.match(/^New, TLSv1\.2/gm).length, 1);
		assert.equal(output.match(/^Reused, TLSv1\.2/gm).length, 5);
	});

	test('carries packets when it is resumed', async t => {
		const server = await served(t);
		const { session } = await had(server);
		const raw = new Raw(await shake(server, { session, maxVersion: 'TLSv1.2' }));
		assert(raw.socket.isSessionReused());
		raw.write(asked);
		assert.equal((await raw.response()).body, GREETING);
	});

	test('that is no longer in the cache gets a full handshake', async t => {
		const server = await served(t);
		const first = await had(server);
		/* The cache has room for 163 sessions. */
		for (let i = 0; i < 20; i++)
			await Promise.all(Array.from({ length: 10 }, () => had(server)));
		const again = await had(server, { session: first.session });
		assert(!again.reused, 'the cache is not that large');
		assert((await had(server, { session: again.session })).reused);
		await emptied(server);
	});

	test('of another server gets a full handshake', async t => {
		const { session } = await had(await served(t));
		assert(!(await had(await served(t), { session })).reused);
	});
});

describe('TLS: records', () => {
	const MOST = 16384; /* bytes of a record's contents (RFC 5246 section 6.2.1) */
	const FRAME = 8; /* bytes of a client's frame header with a length of 16 bits */

	/* Frames that the server does not answer. */
	const pongs = Buffer.alloc(MOST, frame(OPCODE.pong, 'x'.repeat(122)));

	test(`of every size from 1 to ${MOST} are read`, async t => {
		const server = await served(t);
		const raw = await wiredThrough(server);
		raw.write(handshake());
		assert.equal(await raw.status(), 101);
		let at = 0;
		const before = raw.wire.sent.length;
		for (let size = 1; size <= MOST; size++) {
			const start = at % 128;
			const bytes = start + size <= MOST ? pongs.subarray(start, start + size)
				: Buffer.concat([pongs.subarray(start), pongs.subarray(0, start + size - MOST)]);
			await flushed(raw.socket, bytes);
			at += size;
		}
		raw.write(pongs.subarray(at % 128, 128));
		raw.write(frame(OPCODE.ping, 'after all'));
		const { opcode, text } = await raw.frame();
		assert.deepEqual({ opcode, text }, { opcode: OPCODE.pong, text: 'after all' });
		const [first, ...lengths] = raw.wire.sent.slice(before, before + MOST)
			.map(({ length }) => length);
		assert(lengths.every((length, i) => length === first + i + 1), 'the sizes that were meant');
	});

	/* Packet sizes near the limits of records, including the server's own records. */
	const borders = [...new Set([256, 512, 1024, 2048, 4096, 8192, MOST, 2 * MOST, 3 * MOST, 65536]
		.flatMap(border => Array.from({ length: 50 }, (_, i) => border - 40 + i))
		.filter(size => size <= 65536))];

	test('carry packets of every size near their limits, in both directions', async t => {
		const server = await served(t);
		const [a, b] = await gather(server, 'r', 'a', 'b');
		const bare = packet('broadcast', 'a', 'r', '').length;
		for (const size of borders) {
			const text = packet('broadcast', 'a', 'r', 'x'.repeat(size - bare));
			assert.equal(text.length, size);
			a.send(text);
			assert(await b.next() === text, `a packet of ${size} bytes`);
		}
		await a.none();
	});

	test('may hold many packets, or a part of one', async t => {
		const server = await served(t);
		const [a, b] = await Promise.all([0, 1].map(() => wiredThrough(server)));
		for (const raw of [a, b]) {
			raw.write(handshake());
			assert.equal(await raw.status(), 101);
		}
		for (const [raw, user] of [[a, 'a'], [b, 'b']]) {
			raw.text(packet('connect', user, 'r', '{}'));
			await raw.frame();
		}
		await a.frame();
		const texts = Array.from({ length: 100 }, (_, i) =>
			packet('broadcast', 'a', 'r', `${i} ${'x'.repeat(i)}`));
		const bytes = Buffer.concat(texts.map(text => frame(OPCODE.text, text)));
		assert(bytes.length > FRAME * 100 && bytes.length < MOST);
		for (const size of [bytes.length, 1000, 100, 7]) {
			for (let i = 0; i < bytes.length; i += size)
				await flushed(a.socket, bytes.subarray(i, i + size));
			for (const text of texts)
				await b.gets(text);
		}
	});

	for (const [what, options] of Object.entries({
		'cut into bytes, both ways,': {
			crumbs: true,
			async send(tcp, record) {
				for (const byte of record)
					await flushed(tcp, Buffer.of(byte));
			},
		},
		/* The unencrypted part of the handshake: ClientHello and ClientKeyExchange. */
		'of one byte each, for handshake messages,': {
			async send(tcp, record, index) {
				if (index > 1)
					return flushed(tcp, record);
				const header = Buffer.of(...record.subarray(0, 3), 0, 1);
				for (const byte of record.subarray(5))
					await flushed(tcp, Buffer.concat([header, Buffer.of(byte)]));
			},
		},
	}))
		test(`${what} are reassembled`, async t => {
			for (const kind of ['RSA 2048', 'P-256']) {
				const server = await served(t, kind);
				const raw = await wiredThrough(server, { maxVersion: 'TLSv1.2', ...options });
				raw.write(handshake());
				assert.equal(await raw.status(), 101);
				const ping = size => packet('ping', 'a', 'r', 'x'.repeat(size));
				raw.text(packet('connect', 'a', 'r', '{}'));
				await raw.frame();
				for (const size of [1, 1000, 20_000]) {
					raw.text(ping(size));
					assert.equal(JSON.parse((await raw.frame()).text).Payload, '["a"]');
				}
				raw.destroy();
				await emptied(server);
			}
		});

	test('beyond the largest size are refused', async t => {
		const server = await served(t);
		const raw = await wiredThrough(server);
		raw.wire.tcp.write(Buffer.of(RECORD.data, 3, 3, 0x60, 0));
		raw.wire.tcp.write(Buffer.alloc(0x6000));
		await raw.drained();
		raw.destroy();
		await emptied(server);
	});
});

describe('TLS: the end of a connection', () => {
	test('is a close_notify after the last answer', async t => {
		const raw = await wiredThrough(await served(t));
		raw.write(asked);
		assert.equal((await raw.response()).body, GREETING);
		await raw.ended();
		await saysGoodbye(raw);
	});

	test('by close_notify of the client is answered', async t => {
		const server = await served(t);
		const raw = await wiredThrough(server);
		raw.end();
		await raw.ended();
		await saysGoodbye(raw);
		raw.destroy();
		await emptied(server);
	});

	test('is a close_notify after the WebSocket closing handshake', async t => {
		const server = await served(t);
		const raw = await wiredThrough(server);
		raw.write(handshake());
		assert.equal(await raw.status(), 101);
		raw.write(frame(OPCODE.close, Buffer.of(3, 232)));
		assert.equal((await raw.close()).code, 1000);
		await raw.ended();
		await saysGoodbye(raw);
		raw.destroy();
		await emptied(server);
	});

	test('reaches all clients within a second of SIGTERM, by close_notify', async t => {
		await lessThan(1000, async () => {
			const server = await served(t);
			const peers = await Promise.all(Array.from({ length: 5 }, () => wiredThrough(server)));
			for (const raw of peers) {
				raw.write(handshake());
				assert.equal(await raw.status(), 101);
			}
			const idle = await wiredThrough(server);
			const begun = await Raw.connect(inClear(server));
			server.signal('SIGTERM');
			for (const raw of peers) {
				assert.equal((await raw.close()).code, 1001);
				raw.write(frame(OPCODE.close, Buffer.of(3, 233)));
				await raw.ended();
				await saysGoodbye(raw);
			}
			await idle.ended();
			await saysGoodbye(idle);
			await begun.drained();
			await bounded(server.exited, 'the exit');
			return server.lines.time('stopped') - server.lines.time('stopping');
		});
	});

	test('without close_notify counts immediately, and the room is notified', async t => {
		const server = await served(t);
		const { leave } = await bystanders(server);
		const [watcher] = await gather(server, 'r', 'watcher');
		const raw = await wiredThrough(server);
		raw.write(handshake());
		assert.equal(await raw.status(), 101);
		raw.text(packet('connect', 'cut', 'r', '{}'));
		await raw.frame();
		await watcher.gets(packet('connect', 'cut', 'r', 'false'));
		raw.wire.tcp.end(); /* no close_notify */
		await watcher.gets(packet('disconnect', 'cut', 'r', '{}'));
		await over(raw.wire.tcp);
		raw.destroy();
		await watcher.none();
		await watcher.close();
		await leave();
		await emptied(server);
	});
});

describe('TLS: clear text', () => {
	const SIZE = 16_384; /* bytes of the largest head */
	const GET = request('/echo');
	const refused = {
		'a POST': `${request('/echo/1/2/xhr', { method: 'POST', 'Content-Length': '4' })}body`,
		'an unknown method': request('/', { method: 'BREW' }),
		'a method in lower case': request('/', { method: 'get' }),
		'a method that begins like GET': request('/', { method: 'GETS' }),
		'the first byte of another protocol': 'S',
		'OPTIONS': request('*', { method: 'OPTIONS' }),
		'a GET without a Host': request('/', { Host: undefined }),
		'a GET of HTTP/1.0 without a Host': request('/', { Host: undefined, version: '1.0' }),
		'an empty Host': request('/', { Host: '' }),
		'a Host without a name': request('/', { Host: ':1111' }),
		'two Hosts': request('/', { Host: ['a', 'b'] }),
		'a Host with user information': request('/', { Host: 'me@here' }),
		'a Host with a path': request('/', { Host: 'here/there' }),
		'a Host with a space': request('/', { Host: 'here there' }),
		'a Host that is not ASCII': request('/', { Host: 'h\u00e4' }),
		'a Host with a line break': request('/', { Host: 'here\nX: y' }),
		'a target that is not ASCII': request('/\u00e4'),
		'a query that is not ASCII': request('/?\u00e4'),
		'a target with a line break': 'GET /\nX: y HTTP/1.1\r\nHost: here\r\n\r\n',
		'a target with a NUL': request('/\0'),
		'a target without a slash': request('echo'),
		'the target *': request('*'),
		'HTTP/2.0': request('/', { version: '2.0' }),
		'a head that is too long': request(`/${'x'.repeat(SIZE)}`),
		'a head without an end': 'GET /'.padEnd(SIZE + 1, 'x'),
	};
	for (const [what, text] of Object.entries(refused))
		test(`${what} is answered with 400 and a hint to use https`, async t => {
			const server = await served(t);
			const raw = await Raw.connect(inClear(server));
			raw.write(text);
			const { status, headers, body } = await raw.response();
			assert.equal(status, 400);
			assert.match(headers['content-type'], /^text\/plain/);
			assert.match(body, /https/);
			await raw.ended();
			raw.end();
			await emptied(server);
		});

	const redirected = {
		'a GET': [GET, 'https://localhost/echo'],
		'a HEAD': [request('/', { method: 'HEAD' }), 'https://localhost/'],
		'an opening handshake': [handshake(), 'https://localhost/echo/websocket'],
		'a query': [request('/a%0d%0aX:y?b=c&d=//e?f'), 'https://localhost/a%0d%0aX:y?b=c&d=//e?f'],
		'a Host with a port': [request('/', { Host: 'example.lan:1111' }), 'https://example.lan:1111/'],
		'a Host with an IPv6 address': [request('//x', { Host: '[::1]:80' }), 'https://[::1]:80//x'],
		'a Host in HTTP/1.0': [request('/', { version: '1.0' }), 'https://localhost/'],
		'an absolute target': [request('http://example.lan:1111?x'), 'https://example.lan:1111/?x'],
	};
	for (const [what, [text, location]] of Object.entries(redirected))
		test(`${what} is redirected to the same URL with https`, async t => {
			const server = await served(t);
			const raw = await Raw.connect(inClear(server));
			raw.write(text);
			const { status, headers, body } = await raw.response();
			assert.equal(status, 301);
			assert.deepEqual(headers, {
				location, 'cache-control': 'no-store', 'content-length': '0', connection: 'close',
			});
			assert.equal(body, '');
			await raw.ended();
			raw.end();
			await emptied(server);
		});

	test('the largest head is redirected, and whatever follows is ignored', async t => {
		const server = await served(t);
		const raw = await Raw.connect(inClear(server));
		const rest = request('/').length - 1;
		const target = `/${'x'.repeat(SIZE - rest - 1)}`;
		raw.write(request(target) + GET);
		const { status, headers } = await raw.response();
		assert.equal(status, 301);
		assert.equal(headers.location, `https://localhost${target}`);
		await raw.ended();
		raw.destroy();
		await emptied(server);
	});

	test('is answered if it arrives byte by byte', async t => {
		const server = await served(t);
		for (const [text, status] of [[GET, 301], ['GETS', 400], ['HEY', 400]]) {
			const raw = await Raw.connect(inClear(server));
			await raw.trickle(text);
			assert.equal(await raw.status(), status);
			raw.destroy();
		}
		await emptied(server);
	});

	test('that does not come to its end is closed after HandshakeTimeout', async t => {
		const server = await served(t, 'P-256', { conf: { HandshakeTimeout: 3 } });
		const { talk, leave } = await bystanders(server);
		const raw = await Raw.connect(inClear(server));
		raw.write(GET.slice(0, -1));
		await talk();
		await raw.ended();
		raw.destroy();
		await leave();
		await emptied(server);
	});

	test('of curl is redirected to what the server serves', async t => {
		const server = await served(t);
		const args = ['--location', `http://localhost:${server.port}/echo?x`];
		assert.deepEqual(await curl(Object.assign(Object.create(server), { host: 'localhost' }), args),
			{ code: 0, output: GREETING.repeat(2) });
		await emptied(server);
	});

	test('is refused after a handshake', async t => {
		const server = await served(t);
		const raw = await wiredThrough(server);
		raw.wire.tcp.write(asked);
		await raw.drained();
		raw.destroy();
		await emptied(server);
	});

	test('a TLS client that rejects the certificate does no harm', async t => {
		const server = await served(t);
		const error = await shakeFails(server, { ca: [] });
		assert.match(error.code, /SELF_SIGNED|UNABLE_TO/);
		assert.deepEqual(await curl(server), { code: 0, output: GREETING });
		await emptied(server);
	});
});
