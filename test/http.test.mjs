/* HTTP/1.1 as hostile or careless clients speak it. */
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { OPCODE, Raw, frame, handshake, members, packet, request } from './client.mjs';
import { serve, test } from './server.mjs';
import { begin } from './sockjs.mjs';

const LIMIT = 16384; /* bytes of a request's head */
const NOWHERE = '/nowhere';

const dial = async (t, conf) => Raw.connect(await serve(t, { conf }));

/* A request with a body to nowhere. */
const post = (headers, body = '') => request(NOWHERE, { method: 'POST', ...headers }) + body;
const chunked = body => post({ 'Transfer-Encoding': 'chunked' }, body);

/* The connection is still in step: the next request on it is understood. */
async function goesOn(raw) {
	raw.write(handshake());
	assert.equal(await raw.status(), 101);
}

/* The answer says that the connection ends, and it does. */
async function ends(raw, status) {
	const answer = await raw.response();
	assert.equal(answer.status, status);
	assert.equal(answer.headers.connection, 'close');
	await raw.ended();
}

describe('a connection', () => {
	test('is kept for the next request', async t => {
		const raw = await dial(t);
		for (let i = 0; i < 3; i++) {
			raw.write(request(NOWHERE));
			const { status, headers, body } = await raw.response();
			assert.equal(status, 404);
			assert.notEqual(headers.connection, 'close');
			assert.equal(Number(headers['content-length']), body.length);
		}
		await goesOn(raw);
	});

	test('ends if the client requests it', async t => {
		const server = await serve(t);
		for (const value of ['close', 'Close', 'keep-alive, close']) {
			const raw = await Raw.connect(server);
			raw.write(request(NOWHERE, { Connection: value }));
			await ends(raw, 404);
		}
	});

	test('answers pipelined requests in their order', async t => {
		const raw = await dial(t);
		raw.write(request(NOWHERE) + post({ 'Content-Length': '5' }, 'hello') +
			chunked('0\r\n\r\n') + handshake(undefined, { 'Sec-WebSocket-Version': '8' }) +
			request(NOWHERE) + handshake());
		for (const status of [404, 404, 404, 426, 404, 101])
			assert.equal(await raw.status(), status);
	});

	test('answers a hundred pipelined requests', async t => {
		const raw = await dial(t);
		raw.write(request(NOWHERE).repeat(100));
		for (let i = 0; i < 100; i++)
			assert.equal(await raw.status(), 404);
		await goesOn(raw);
	});

	test('of HTTP/1.0 ends after the answer, which is not chunked', async t => {
		const raw = await dial(t);
		raw.write(request(NOWHERE, { version: '1.0', Host: undefined }));
		const { status, headers } = await raw.response();
		assert.equal(status, 404);
		assert(!('transfer-encoding' in headers));
		await raw.ended();
	});

	test('of HTTP/1.0 that requests keep-alive is kept, or the response denies it', async t => {
		const raw = await dial(t);
		raw.write(request(NOWHERE, { version: '1.0', Connection: 'Keep-Alive' }));
		const { status, headers } = await raw.response();
		assert.equal(status, 404);
		assert(!('transfer-encoding' in headers));
		if (headers.connection?.toLowerCase() === 'keep-alive')
			await goesOn(raw);
		else
			await raw.ended();
	});

	test('skips empty lines before a request', async t => {
		const raw = await dial(t);
		raw.write('\r\n\r\n');
		await goesOn(raw);
	});

	test('may bring a request byte by byte', async t => {
		const raw = await dial(t);
		await raw.trickle(request(NOWHERE, { 'X-Header': 'x' }));
		assert.equal(await raw.status(), 404);
		await raw.trickle(chunked('3;a=b\r\nabc\r\n0\r\nTrailer: x\r\n\r\n'));
		assert.equal(await raw.status(), 404);
		await goesOn(raw);
	});

	test('half closed by the client still brings the answers', async t => {
		const raw = await dial(t);
		raw.write(request(NOWHERE));
		raw.end();
		assert.equal(await raw.status(), 404);
		await raw.ended();
	});

	test('half closed within a request is closed', async t => {
		const raw = await dial(t);
		raw.write('GET / HT');
		raw.end();
		await raw.ended();
	});
});

describe('a target', () => {
	test('may be absolute', async t => {
		const server = await serve(t);
		for (const start of ['http://localhost', 'http://localhost:1111', 'HTTP://x.example']) {
			const raw = await Raw.connect(server);
			raw.write(handshake(`${start}/echo/websocket?x=1`));
			assert.equal(await raw.status(), 101);
		}
	});

	test('that is not there is 404, whatever the method', async t => {
		const raw = await dial(t);
		for (const method of ['GET', 'PUT', 'DELETE', 'PATCH', 'TRACE'])
			for (const target of [NOWHERE, '//', '/ech', '/echo/../echo/websocket', '*']) {
				raw.write(request(target, { method }));
				assert.equal(await raw.status(), 404, `${method} ${target}`);
			}
	});
});

describe('a method', () => {
	test('that nobody knows is 501, and the connection closed', async t => {
		const server = await serve(t);
		for (const [method, target] of [['BREW', '/'], ['get', '/echo'], ['CONNECT', 'example.org:443'],
			['CONNECT', '/'], ['PROPFIND', NOWHERE]]) {
			const raw = await Raw.connect(server);
			raw.write(request(target, { method }));
			await ends(raw, 501);
		}
	});

	/* Health checks of proxies: HAProxy's is the first one. */
	test('OPTIONS is 204 with Allow anywhere', async t => {
		for (const Page of [true, false]) {
			const server = await serve(t, { conf: { Page } });
			const old = await Raw.connect(server);
			old.write('OPTIONS / HTTP/1.0\r\n\r\n');
			await ends(old, 204);
			const raw = await Raw.connect(server);
			for (const target of ['*', '/', NOWHERE, '/echo', '/echo/websocket', '/echo/0/0/nothing', '/metrics',
				'http://localhost/']) {
				raw.write(request(target, { method: 'OPTIONS', 'Content-Length': '2' }) + 'ab');
				const { status, headers, body } = await raw.response();
				assert.deepEqual([status, body.length], [204, 0], target);
				assert.match(headers.allow, /^GET(, HEAD)?(, POST)?, OPTIONS$/, target);
				assert(!('content-length' in headers));
			}
			await goesOn(raw);
		}
	});

	test('OPTIONS of CORS is answered as SockJS wants it', async t => {
		const raw = await dial(t);
		raw.write(request('/echo/info', { method: 'OPTIONS', Origin: 'https://any.example' }));
		const { status, headers } = await raw.response();
		assert.equal(status, 204);
		assert.equal(headers['access-control-allow-methods'], 'OPTIONS, GET');
		assert(!('allow' in headers));
	});
});

describe('a body', () => {
	const bodies = {
		'of a length': post({ 'Content-Length': '11' }, 'hello world'),
		'of no bytes': post({ 'Content-Length': '0' }),
		'without a length': post({}),
		'that looks like a request': post({ 'Content-Length': request('/').length }, request('/')),
		'in chunks': chunked('5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n'),
		'in no chunks': chunked('0\r\n\r\n'),
		'in chunks of leading zeros': chunked('0005\r\nhello\r\n0000\r\n\r\n'),
		'in chunks of hexadecimal lengths': chunked(`aB\r\n${'x'.repeat(0xab)}\r\n0\r\n\r\n`),
		'in chunks with extensions': chunked('5;a;b="c"\r\nhello\r\n0;x=y\r\n\r\n'),
		'in chunks with trailers': chunked('5\r\nhello\r\n0\r\nA: b\r\nC: d\r\n\r\n'),
		'of a chunk that looks like an end': chunked('7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n'),
		'with another case of chunked': post({ 'Transfer-Encoding': 'Chunked' }, '0\r\n\r\n'),
	};
	for (const [name, text] of Object.entries(bodies)) {
		test(`${name} ends where the next request begins`, async t => {
			const raw = await dial(t);
			raw.write(text + handshake());
			assert.equal(await raw.status(), 404);
			assert.equal(await raw.status(), 101);
		});
	}

	test('that comes late is awaited', async t => {
		const raw = await dial(t);
		raw.write(post({ 'Content-Length': '10' }));
		raw.write('01234');
		await raw.trickle('56789');
		assert.equal(await raw.status(), 404);
		await goesOn(raw);
	});

	test('that is announced may be asked for, or refused, before it comes', async t => {
		const raw = await dial(t);
		raw.write(post({ 'Content-Length': '5', Expect: '100-continue' }));
		const { status } = await raw.response();
		assert([100, 404].includes(status), status);
		if (status === 404)
			return;
		raw.write('hello');
		assert.equal(await raw.status(), 404);
		await goesOn(raw);
	});

	test('with an unknown expectation is refused', async t => {
		const raw = await dial(t);
		raw.write(post({ 'Content-Length': '5', Expect: 'miracles' }));
		assert.equal(await raw.status(), 417);
	});
});

describe('what is ambiguous is refused, and the connection closed', () => {
	const smuggled = request('/smuggled');
	const line = text => `GET / HTTP/1.1\r\nHost: x\r\n${text}\r\n\r\n`;
	const cases = {
		'a length and chunks': post({ 'Content-Length': 5, 'Transfer-Encoding': 'chunked' },
			'0\r\n\r\n'),
		'two lengths': post({ 'Content-Length': ['5', '6'] }, 'hello'),
		'a list of lengths': post({ 'Content-Length': '5, 6' }, 'hello'),
		'a length with a plus': post({ 'Content-Length': '+5' }, 'hello'),
		'a length below zero': post({ 'Content-Length': '-1' }),
		'a length in hexadecimal': post({ 'Content-Length': '0x5' }, 'hello'),
		'a length with a fraction': post({ 'Content-Length': '5.0' }, 'hello'),
		'a length with a space in it': post({ 'Content-Length': '1 1' }, 'hello world'),
		'a length of nothing': post({ 'Content-Length': '' }),
		'a length of 2^64': post({ 'Content-Length': '18446744073709551616' }),
		'a length of forty digits': post({ 'Content-Length': '9'.repeat(40) }),
		'chunks in HTTP/1.0': post({ version: '1.0', 'Transfer-Encoding': 'chunked' }, '0\r\n\r\n'),
		'a space in a header name': line('Bad Name: x'),
		'a space behind a header name': line('Content-Length : 5'),
		'no header name': line(': x'),
		'no colon': line('Header'),
		'a header name that is no token': line('He(ad)er: x'),
		'a header name that is not ASCII': line('Héader: x'),
		'a NUL in a header': line('Header: a\0b'),
		'a control character in a header': line('Header: a\x01b'),
		'a bare LF between headers': line('A: b\nC: d'),
		'a bare LF at the end': 'GET / HTTP/1.1\r\nHost: x\r\n\n',
		'a bare LF behind the request line': 'GET / HTTP/1.1\nHost: x\r\n\r\n',
		'a bare CR in a header': line('A: b\rC: d'),
		'a bare CR in the request line': 'GET /\r HTTP/1.1\r\nHost: x\r\n\r\n',
		'a folded header': line('A: b\r\n c'),
		'a header folded with a tab': line('A: b\r\n\tc'),
		'a first header that is folded': 'GET / HTTP/1.1\r\n Host: x\r\n\r\n',
		'no Host': request('/', { Host: undefined }),
		'two Hosts': request('/', { Host: ['x', 'y'] }),
		'a Host of two ports': request('/', { Host: 'a:b:c' }),
		'a Host that is half a bracket': request('/', { Host: '[' }),
		'a Host whose port is no number': request('/', { Host: 'a:xyz' }),
		'a Host with a percent sign alone': request('/', { Host: 'a%zz' }),
		'a folded Transfer-Encoding': line('Transfer-Encoding: gzip,\r\n chunked'),
		'a transfer coding after chunked': post({ 'Transfer-Encoding': 'chunked, gzip' }, '0\r\n\r\n'),
		'a transfer coding that is not chunked': post({ 'Transfer-Encoding': 'gzip' }, 'hello'),
		'chunked twice': post({ 'Transfer-Encoding': 'chunked, chunked' }, '0\r\n\r\n'),
		'a target that is not ASCII': request('/\xe9'),
		'a quotation mark in the target': request('/"'),
		'a brace in the query': request('/?a={b}'),
		'a backslash in the target': request('/\\'),
		'two spaces in the request line': 'GET  / HTTP/1.1\r\nHost: x\r\n\r\n',
		'a space behind the request line': 'GET / HTTP/1.1 \r\nHost: x\r\n\r\n',
		'a tab in the request line': 'GET\t/ HTTP/1.1\r\nHost: x\r\n\r\n',
		'a space in the target': 'GET /a b HTTP/1.1\r\nHost: x\r\n\r\n',
		'no version': 'GET /\r\nHost: x\r\n\r\n',
		'no target': 'GET HTTP/1.1\r\nHost: x\r\n\r\n',
		'a relative target': 'GET echo HTTP/1.1\r\nHost: x\r\n\r\n',
		'a method that is no token': 'G(T / HTTP/1.1\r\nHost: x\r\n\r\n',
		'another protocol': 'GET / HTTQ/1.1\r\nHost: x\r\n\r\n',
		'a protocol in lower case': 'GET / http/1.1\r\nHost: x\r\n\r\n',
		'a version of three digits': 'GET / HTTP/1.10\r\nHost: x\r\n\r\n',
		'the hello of TLS': '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n',
	};
	for (const [name, text] of Object.entries(cases)) {
		test(name, async t => {
			const raw = await dial(t);
			raw.write(Buffer.from(text + smuggled, 'latin1'));
			await ends(raw, 400);
		});
	}

	test('two equal lengths are refused, or read as one', async t => {
		const raw = await dial(t);
		raw.write(post({ 'Content-Length': ['5', '5'] }, 'hello'));
		const status = await raw.status();
		assert([400, 404].includes(status), status);
		if (status === 404)
			await goesOn(raw);
	});

	/* What is wrong with a body may show after the answer: then only the end can tell it. */
	const chunks = {
		'a chunk length that is none': chunked('x\r\n'),
		'an empty chunk length': chunked('\r\nhello\r\n'),
		'a chunk length below zero': chunked('-5\r\nhello\r\n'),
		'a chunk length of 2^64': chunked('10000000000000000\r\n'),
		'a chunk length in C': chunked('0x5\r\nhello\r\n'),
		'a chunk that is longer than it says': chunked('4\r\nhello\r\n0\r\n\r\n'),
		'a chunk line that ends in a bare LF': chunked('5\nhello\r\n0\r\n\r\n'),
		'a chunk extension without a name': chunked('5;\r\nhello\r\n0\r\n\r\n'),
		'a chunk extension that is not closed': chunked('5;a="b\r\nhello\r\n0\r\n\r\n'),
		'a trailer without a colon': chunked('0\r\nTrailer\r\n\r\n'),
		'a trailer that is folded': chunked('0\r\nA: b\r\n c\r\n\r\n'),
	};
	for (const [name, text] of Object.entries(chunks)) {
		test(name, async t => {
			const raw = await dial(t);
			raw.write(text + smuggled);
			const status = await raw.status();
			assert([400, 404].includes(status), status);
			await raw.ended();
		});
	}

	for (const coding of ['gzip, chunked', 'chunked, chunked', ['chunked', 'chunked'], 'xchunked']) {
		test(`the transfer coding ${coding}`, async t => {
			const raw = await dial(t);
			raw.write(post({ 'Transfer-Encoding': coding }, '0\r\n\r\n') + smuggled);
			const status = await raw.status();
			assert([400, 501].includes(status), status);
			await raw.ended();
		});
	}

	test('another major version is refused', async t => {
		const raw = await dial(t);
		raw.write(request('/', { version: '2.0' }));
		const status = await raw.status();
		assert([400, 505].includes(status), status);
		await raw.ended();
	});
});

describe('a head', () => {
	const sized = length => {
		const head = filler => request(NOWHERE, { 'X-Filler': filler });
		return head('x'.repeat(length - head('').length));
	};

	test('may have 16 KB', async t => {
		const raw = await dial(t);
		raw.write(sized(LIMIT));
		assert.equal(await raw.status(), 404);
		await goesOn(raw);
	});

	test('of more than 16 KB is refused', async t => {
		const raw = await dial(t);
		raw.write(sized(LIMIT + 1));
		await ends(raw, 431);
	});

	/* Cookies of other services on the host make some 9 KB. */
	test('of 16 KB may have the largest body, in chunks or not, and requests behind it', async t => {
		const server = await serve(t, { conf: { MaxPacket: 1024, MaxPeers: 1 } });
		const session = await begin(server);
		/* As long as a payload may be: one byte is six of it. */
		const body = `["${'\\u0020'.repeat(1024)}"]`;
		const framed = { 'Content-Length': body, 'Transfer-Encoding': [...body].map(c => `1;x\r\n${c}\r\n`).join('') + '0\r\n\r\n' };
		for (const [name, text] of Object.entries(framed)) {
			const head = filler => request(`/echo${session}/xhr_send`, {
				method: 'POST', [name]: name === 'Content-Length' ? body.length : 'chunked', Cookie: filler,
			});
			const raw = await Raw.connect(server);
			raw.write(head('x'.repeat(LIMIT - head('').length)) + text + request(NOWHERE).repeat(1000));
			assert.equal(await raw.status(), 204);
			for (let i = 0; i < 1000; i++)
				assert.equal(await raw.status(), 404);
			await goesOn(raw);
		}
	});

	test('has a limit of 4 KB for what an answer repeats', async t => {
		const server = await serve(t);
		for (const name of ['Origin', 'Access-Control-Request-Headers']) {
			const ask = length => request('/echo/info', { method: 'OPTIONS', [name]: 'x'.repeat(length) });
			const raw = await Raw.connect(server);
			raw.write(ask(4096));
			const { status, headers } = await raw.response();
			assert.equal(status, 204);
			const answered = name === 'Origin' ? 'access-control-allow-origin' : 'access-control-allow-headers';
			assert.equal(headers[answered].length, 4096);
			raw.write(ask(4097));
			await ends(raw, 431);
		}
		const raw = await Raw.connect(server);
		raw.write(request('/echo/info', {
			method: 'OPTIONS', Origin: 'o'.repeat(4096), 'Access-Control-Request-Headers': 'x'.repeat(4096),
		}));
		const { status, headers } = await raw.response();
		assert.equal(status, 204);
		assert.equal(headers['access-control-max-age'], '31536000');
	});

	for (const [name, [status, text]] of Object.entries({
		'header that never ends': [431, `GET / HTTP/1.1\r\nX: ${'x'.repeat(LIMIT)}`],
		'target that never ends': [414, `GET /${'x'.repeat(LIMIT)}`],
		'request line that ends too late': [414, `GET /${'x'.repeat(LIMIT - 5)} HTTP/1.1\r\n\r\n`],
		'long target and more headers than fit':
			[431, `GET /${'x'.repeat(LIMIT - 100)} HTTP/1.1\r\nX: ${'x'.repeat(100)}`],
		'series of headers that never ends': [431, `GET / HTTP/1.1\r\n${'A: b\r\n'.repeat(LIMIT / 6)}`],
	})) {
		test(`with a ${name} is refused before its end`, async t => {
			const raw = await dial(t);
			raw.write(text);
			await ends(raw, status);
		});
	}
});

describe('time', { concurrency: true }, () => {
	const slow = { HandshakeTimeout: 3, Heartbeat: 60 };

	test('runs out for a silent client', async t => {
		await (await dial(t, slow)).ended();
	});

	test('runs out for a head that comes slowly, however steadily', async t => {
		const raw = await dial(t, slow);
		raw.write('GET / HTTP/1.1\r\n');
		const sending = setInterval(() => raw.write('A: b\r\n'), 50);
		t.after(() => clearInterval(sending));
		/* Closed at once or with a word about it. */
		const answer = await raw.response().catch(() => undefined);
		assert([undefined, 408].includes(answer?.status), answer?.status);
		await raw.ended();
	});

	test('does not run out after a handshake', async t => {
		const server = await serve(t, { conf: slow });
		const raw = await Raw.websocket(server);
		const witness = await Raw.connect(server); /* later than raw, and cut for its time */
		await witness.ended();
		raw.write(frame(OPCODE.text, packet('ping', 'me', 'x', 1)));
		await raw.gets(members('me', 'x'));
	});

	test('runs out for a body that is never finished', async t => {
		const raw = await dial(t, { Heartbeat: 1 });
		raw.write(post({ 'Content-Length': '1000' }));
		const sending = setInterval(() => raw.write('x'), 200);
		t.after(() => clearInterval(sending));
		if (await raw.status() === 404)
			await raw.ended();
	});

	test('runs out for a connection that is kept and not used', async t => {
		const raw = await dial(t, { Heartbeat: 1 });
		raw.write(request(NOWHERE));
		assert.equal(await raw.status(), 404);
		await raw.ended();
	});
});

describe('Origins', () => {
	const conf = { Origins: ['https://good.example', 'http://also.example:8080'] };
	const from = async (t, Origin) => {
		const raw = await dial(t, conf);
		raw.write(handshake(undefined, { Origin }));
		return raw.status();
	};

	test('that are listed pass', async t => {
		for (const origin of conf.Origins)
			assert.equal(await from(t, origin), 101);
	});

	test('that are not listed are refused', async t => {
		for (const origin of ['https://bad.example', 'http://good.example', 'null', '',
			'https://good.example:444', 'https://good.example.bad.example', 'https://good.exampl'])
			assert.equal(await from(t, origin), 403, origin);
	});

	test('may be written in other ways than browsers send them', async t => {
		const Origins = ['HTTPS://Good.Example:443', 'https://*.wild.example', 'null', 'http://[0::1]:8080'];
		for (const [Origin, status] of [['https://good.example', 101], ['https://a.b.wild.example', 101],
			['null', 101], ['http://[::1]:8080', 101], ['https://wild.example', 403],
			['https://evil.example/.wild.example', 403]]) {
			const raw = await dial(t, { Origins });
			raw.write(handshake(undefined, { Origin }));
			assert.equal(await raw.status(), status, Origin);
		}
	});

	test('may be absent', async t => {
		assert.equal(await from(t, undefined), 101);
	});

	test('pass all unless configured', async t => {
		const raw = await dial(t);
		raw.write(handshake(undefined, { Origin: 'https://any.example' }));
		assert.equal(await raw.status(), 101);
	});
});
