/* Connections that carry SockJS, and the bodies of requests (section 15). */
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { Raw, request } from './client.mjs';
import { test } from './server.mjs';
import {
	AT_ONCE, GO_AWAY, Receiver, answer, ask, batch, begin, chunk, exchange, fresh, head, kinds, message,
	post, receivers, requests, send, serveEcho, streams, take,
} from './sockjs.mjs';

const GREETING = 'Welcome to SockJS!\n';

/* The connection is in step: a next request on it is answered. */
async function goesOn(raw) {
	assert.equal((await exchange(raw, '/echo')).body, GREETING);
}

describe('a connection (section 15)', () => {
	for (const name of Object.keys(requests)) {
		test(`is kept after ${name}`, async t => {
			const server = await serveEcho(t);
			const session = await begin(server);
			const [path, options] = requests[name];
			const target = `/echo${path.replace('S', session)}`;
			const raw = await Raw.connect(server);
			for (let i = 0; i < 2; i++) {
				await send(server, session, 'x'.repeat(4096));
				raw.write(message(target, options));
				const { headers } = await answer(raw, options.method);
				assert([undefined, 'keep-alive'].includes(headers.connection));
				await goesOn(raw);
			}
		});
	}

	test('is kept after a 405, whose body is skipped, and a 400', async t => {
		const server = await serveEcho(t);
		const raw = await Raw.connect(server);
		for (const [path, body] of [['/info', GREETING], ['', request('/echo')], ['/iframe.html', '']]) {
			assert.equal((await post(raw, `/echo${path}`, body)).status, 405);
			await goesOn(raw);
		}
		assert.equal((await exchange(raw, '/echo/websocket')).status, 400);
		await goesOn(raw);
		assert.equal((await exchange(raw, '/echo/0/0/xhr', { method: 'HEAD' })).status, 405);
		await goesOn(raw);
	});

	test('ends after a response if the client requests that', async t => {
		const server = await serveEcho(t);
		for (const name of Object.keys(requests)) {
			const session = await begin(server);
			await send(server, session, 'x'.repeat(4096));
			const [path, options] = requests[name];
			const raw = await Raw.connect(server);
			raw.write(message(`/echo${path.replace('S', session)}`, { ...options, Connection: 'close' }));
			const { headers } = await answer(raw, options.method);
			assert.equal(headers.connection, 'close', name);
			await raw.ended();
		}
	});

	for (const Connection of [undefined, 'Keep-Alive']) {
		const called = Connection ? 'that would be kept' : 'as such';

		test(`of HTTP/1.0 ${called} carries fixed responses without chunks`, async t => {
			const server = await serveEcho(t);
			for (const name of Object.keys(requests).filter(each => !streams.includes(each))) {
				const session = await begin(server);
				await send(server, session, 'x');
				const [path, { method, body }] = requests[name];
				const raw = await Raw.connect(server);
				raw.write(message(`/echo${path.replace('S', session)}`,
					{ method, body, version: '1.0', Connection }));
				const { headers } = await answer(raw, method);
				assert(!('transfer-encoding' in headers), name);
				if (headers.connection?.toLowerCase() === 'keep-alive')
					await goesOn(raw);
				else
					await raw.ended();
			}
		});

		for (const kind of streams) {
			test(`of HTTP/1.0 ${called} carries ${kind} without chunks, and ends with it`, async t => {
				const server = await serveEcho(t);
				const { method, path, wrap, begins } = receivers[kind];
				const raw = await Raw.connect(server);
				raw.write(message(`/close${fresh()}${path}`, { method, version: '1.0', Connection }));
				const { status, headers } = await head(raw);
				assert.equal(status, 200);
				assert.equal(headers['content-type'], receivers[kind].type);
				for (const name of ['transfer-encoding', 'content-length'])
					assert(!(name in headers), name);
				assert.notEqual(headers.connection?.toLowerCase(), 'keep-alive');
				const prelude = await raw.through(wrap('o'));
				begins(prelude.slice(0, -wrap('o').length));
				assert.equal((await raw.read(wrap(GO_AWAY).length)).toString(), wrap(GO_AWAY));
				const last = performance.now();
				await raw.ended();
				assert(performance.now() - last < AT_ONCE, 'closed at once');
			});
		}
	}

	for (const kind of streams) {
		test(`carries the last chunk of ${kind} immediately, and then the next request`, async t => {
			const server = await serveEcho(t);
			const { method, path, wrap, begins } = receivers[kind];
			const raw = await Raw.connect(server);
			for (let i = 0; i < 3; i++) {
				raw.write(message(`/close${fresh()}${path}`, { method }));
				const { headers } = await head(raw);
				assert.equal(headers['transfer-encoding'], 'chunked');
				assert(!('content-length' in headers));
				begins(await chunk(raw));
				assert.equal(await chunk(raw), wrap('o'));
				assert.equal(await chunk(raw), wrap(GO_AWAY));
				assert.equal(await chunk(raw), '');
			}
			await goesOn(raw);
		});
	}

	for (const kind of kinds) {
		test(`may carry further requests after ${kind}, which is no abort`, async t => {
			const server = await serveEcho(t);
			const session = await begin(server);
			const receiver = await Receiver.attach(server, session, kind);
			receiver.raw.write(request('/echo'));
			receiver.raw.write(message(`/echo${session}/xhr_send`, { method: 'POST', body: '[]' }));
			await send(server, session, 'x'.repeat(4096));
			await receiver.gets(batch('x'.repeat(4096)));
			await receiver.ends();
			assert.equal((await answer(receiver.raw)).body, GREETING);
			assert.equal((await answer(receiver.raw)).status, 204);
		});
	}

	test('may carry a whole session as pipelined requests', async t => {
		const raw = await Raw.connect(await serveEcho(t));
		const target = name => `/echo/0/pipelined/${name}`;
		raw.write(Buffer.concat([
			message(target('xhr'), { method: 'POST' }),
			message(target('xhr_send'), { method: 'POST', body: '["a"]' }),
			message(target('xhr'), { method: 'POST' }),
			message(target('jsonp_send'), { method: 'POST', body: '["c"]' }),
			message(target('jsonp?c=cb')),
			message('/echo'),
		]));
		for (const wanted of ['o\n', '', 'a["a"]\n', 'ok', '/**/cb("a[\\"c\\"]");\r\n', GREETING])
			assert.equal((await answer(raw)).body, wanted);
	});
});

describe('a request\'s body (section 15)', () => {
	const text = JSON.stringify(['hello', 'wörld', 'x'.repeat(20)]);
	const echoed = `a${text}\n`;
	const chunked = { method: 'POST', 'Transfer-Encoding': 'chunked' };
	const oneChunk = bytes => Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes,
		Buffer.from('\r\n')]);
	const LAST = Buffer.from('0\r\n\r\n');
	const pieces = size => {
		const bytes = Buffer.from(text);
		return Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
			bytes.subarray(i * size, (i + 1) * size));
	};

	/* The session gets the text. */
	async function arrives(server, session, raw) {
		assert.equal((await answer(raw)).status, 204);
		const { body } = await ask(server, `/echo${session}/xhr`, { method: 'POST' });
		assert.equal(body, echoed);
	}

	test('may arrive in chunks of any size', async t => {
		const server = await serveEcho(t);
		const session = await begin(server);
		const raw = await Raw.connect(server);
		for (const size of [1, 2, 3, 7, 15, 16, 17, 1000]) {
			raw.write(Buffer.concat([Buffer.from(request(`/echo${session}/xhr_send`, chunked)),
				...pieces(size).map(oneChunk), LAST]));
			await arrives(server, session, raw);
		}
	});

	test('may be cut into segments anywhere', async t => {
		const server = await serveEcho(t);
		const session = await begin(server);
		const raw = await Raw.connect(server);
		const bodies = [
			Buffer.concat([Buffer.from(request(`/echo${session}/xhr_send`, chunked)),
				...pieces(9).map(oneChunk), LAST]),
			message(`/echo${session}/xhr_send`, { method: 'POST', body: text }),
		];
		for (const bytes of bodies) {
			for (let at = 1; at < bytes.length; at++) {
				await new Promise(resolve => raw.socket.write(bytes.subarray(0, at), resolve));
				await new Promise(setImmediate);
				raw.write(bytes.subarray(at));
				await arrives(server, session, raw);
			}
			await raw.trickle(bytes);
			await arrives(server, session, raw);
		}
	});

	test('in chunks may have extensions and trailers', async t => {
		const server = await serveEcho(t);
		const session = await begin(server);
		const raw = await Raw.connect(server);
		const bytes = Buffer.from(text);
		raw.write(request(`/echo${session}/xhr_send`, chunked));
		raw.write(`00${bytes.length.toString(16).toUpperCase()};a=b;c="d"\r\n`);
		raw.write(bytes);
		raw.write('\r\n000;x\r\nTrailer: y\r\nAnother: 5\r\n\r\n');
		await arrives(server, session, raw);
		raw.write(Buffer.concat([Buffer.from(request(`/echo${session}/xhr_send`, chunked)), LAST]));
		assert.equal((await answer(raw)).body, 'Payload expected.');
		await goesOn(raw);
	});

	test('in invalid chunks delivers no message', async t => {
		const server = await serveEcho(t);
		const session = await begin(server);
		const raw = await Raw.connect(server);
		raw.write(`${request(`/echo${session}/xhr_send`, chunked)}5\r\n["x"]\r\nx\r\n\r\n`);
		assert.equal((await answer(raw)).status, 400);
		await raw.ended();
		await send(server, session, 'next');
		assert.equal((await take(server, session)).frame, 'a["next"]');
	});

	test('that ends too early delivers no message, and the session stays', async t => {
		const server = await serveEcho(t);
		const session = await begin(server);
		for (const cut of ['destroy', 'reset', 'end'])
			for (const bytes of [message(`/echo${session}/xhr_send`, { method: 'POST', body: '["x"]' })
				.subarray(0, -1), request(`/echo${session}/xhr_send`, chunked) + '5\r\n["x"]\r\n']) {
				const raw = await Raw.connect(server);
				await new Promise(resolve => raw.socket.write(bytes, resolve));
				raw[cut]();
			}
		await send(server, session, 'next');
		assert.equal((await take(server, session)).frame, 'a["next"]');
	});

	test('gets 100 Continue if it is expected', async t => {
		const server = await serveEcho(t);
		const session = await begin(server);
		for (const [headers, body] of [
			[{ 'Content-Length': String(Buffer.byteLength(text)) }, Buffer.from(text)],
			[chunked, Buffer.concat([oneChunk(Buffer.from(text)), LAST])],
		]) {
			const raw = await Raw.connect(server);
			for (let i = 0; i < 2; i++) {
				raw.write(request(`/echo${session}/xhr_send`,
					{ ...headers, method: 'POST', Expect: '100-continue' }));
				assert.equal(await raw.through('\r\n\r\n'), 'HTTP/1.1 100 Continue\r\n\r\n');
				raw.write(body);
				await arrives(server, session, raw);
			}
		}
	});

	test('needs no 100 Continue if it has arrived already', async t => {
		const server = await serveEcho(t);
		const session = await begin(server);
		const raw = await Raw.connect(server);
		raw.write(message(`/echo${session}/xhr_send`,
			{ method: 'POST', body: text, Expect: '100-continue' }));
		let got = await answer(raw);
		if (got.status === 100)
			got = await answer(raw);
		assert.equal(got.status, 204);
		assert.equal((await take(server, session)).frame, `a${text}`);
	});

	test('of a request for frames is skipped, whatever it is', async t => {
		const server = await serveEcho(t);
		const session = await begin(server);
		const raw = await Raw.connect(server);
		for (const body of ['', '["y"]', request('/echo'), 'x'.repeat(3000)]) {
			await send(server, session, 'x');
			assert.equal((await post(raw, `/echo${session}/xhr`, body)).body, 'a["x"]\n');
			await send(server, session, 'x');
			raw.write(Buffer.concat([Buffer.from(request(`/echo${session}/xhr`, chunked)),
				...body === '' ? [] : [oneChunk(Buffer.from(body))], LAST]));
			assert.equal((await answer(raw)).body, 'a["x"]\n');
		}
		await goesOn(raw);
	});

	test('may be absent without a length, and its type empty', async t => {
		const server = await serveEcho(t);
		const raw = await Raw.connect(server);
		raw.write(`POST /echo${fresh()}/xhr HTTP/1.1\r\nHost: x\r\nContent-Type:\r\nX: \r\n\r\n`);
		assert.equal((await answer(raw)).body, 'o\n');
		await goesOn(raw);
	});
});
