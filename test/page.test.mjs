/*
 * The page at /, in Chromium: how it is served, and calls between two and more of it.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { Raw, request } from './client.mjs';
import { serve, test } from './server.mjs';

const source = new URL('../index.html', import.meta.url);

/* Asks for the page, or whatever else is there. */
async function ask(server, target = '/', options = {}) {
	const raw = await Raw.connect(server);
	raw.write(request(target, { Connection: 'close', ...options }));
	const answer = await raw.response({ bytes: true, bodiless: options.method === 'HEAD' });
	await raw.ended();
	return answer;
}

describe('the page', () => {
	test('is what index.html says, packed', async t => {
		const server = await serve(t);
		for (const target of ['/', '/?', '/?a=b', 'http://localhost', 'http://localhost/']) {
			const { status, headers, body } = await ask(server, target);
			assert.equal(status, 200);
			assert.equal(headers['content-type'], 'text/html; charset=UTF-8');
			assert.equal(headers['content-encoding'], 'gzip');
			assert.equal(gunzipSync(body).toString(), await readFile(source, 'utf8'));
		}
	});

	test('has at most 12 KB', async () => {
		assert((await readFile(source)).length <= 12_288);
	});

	test('is alone outside the prefix', async t => {
		const server = await serve(t);
		for (const target of ['//', '/index.html', '/%2F', '/.', '*', '/page'])
			for (const method of ['GET', 'HEAD', 'POST', 'OPTIONS'])
				assert.equal((await ask(server, target, { method })).status, 404, target);
	});

	test('to HEAD is all but itself', async t => {
		const server = await serve(t);
		const { headers: { date, ...got } } = await ask(server);
		const { status, headers, body } = await ask(server, '/', { method: 'HEAD' });
		delete headers.date;
		assert.deepEqual([status, headers, body.length], [200, got, 0]);
	});

	test('has no other methods', async t => {
		const server = await serve(t);
		for (const method of ['POST', 'PUT', 'OPTIONS', 'BREW']) {
			const { status, headers } = await ask(server, '/', { method });
			assert.equal(status, 405);
			assert.equal(headers.allow, 'GET, HEAD');
		}
	});

	test('is only sent to who has not got it', async t => {
		const server = await serve(t);
		const { etag, 'cache-control': cache, vary } = (await ask(server)).headers;
		assert.match(etag, /^"[0-9a-f]{16}"$/);
		assert.deepEqual([cache, vary], ['no-cache', 'Accept-Encoding']);
		for (const list of [etag, `W/${etag}`, `"x", ${etag}`, '*']) {
			const { status, headers } = await ask(server, '/', { 'If-None-Match': list });
			assert.equal(status, 304);
			assert.equal(headers.etag, etag);
			assert.equal(headers['content-encoding'], undefined);
		}
		assert.equal((await ask(server, '/', { 'If-None-Match': '"x"' })).status, 200);
	});

	test('is refused to who cannot unpack it', async t => {
		const server = await serve(t);
		for (const coding of ['identity', 'gzip;q=0', '']) {
			const { status, headers, body } = await ask(server, '/', { 'Accept-Encoding': coding });
			assert.equal(status, 406);
			assert.equal(headers['content-encoding'], undefined);
			assert.equal(headers.vary, 'Accept-Encoding');
			assert.match(body.toString(), /gzip/);
		}
		for (const coding of ['gzip', 'deflate, gzip;q=0.5', '*'])
			assert.equal((await ask(server, '/', { 'Accept-Encoding': coding })).status, 200);
	});

	test('may do little, and be framed by nobody', async t => {
		const { headers } = await ask(await serve(t));
		const policy = headers['content-security-policy'];
		assert.doesNotMatch(policy, /unsafe/);
		for (const rule of ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'",
			"require-trusted-types-for 'script'"])
			assert(policy.split('; ').includes(rule), rule);
		assert.equal(headers['x-content-type-options'], 'nosniff');
		assert.equal(headers['referrer-policy'], 'no-referrer');
	});

	test('can be switched off', async t => {
		const server = await serve(t, { conf: { Page: false } });
		for (const method of ['GET', 'HEAD', 'POST'])
			assert.equal((await ask(server, '/', { method })).status, 404);
	});

	for (const [prefix, there] of [['/', 'a Prefix'], ['/a/b', 'another Prefix']])
		test(`names the service at ${there}`, async t => {
			const server = await serve(t, prefix === '/' ? {} : { conf: { Prefix: prefix } });
			const { link } = (await ask(server)).headers;
			assert.equal(link, `<.${server.prefix}/websocket>; rel="service"`);
		});

	test('gives way to a service that has everything', async t => {
		const server = await serve(t, { conf: { Prefix: '' } });
		assert.equal((await ask(server)).body.toString(), 'Welcome to SockJS!\n');
	});

	test('is sent to a connection that goes on', async t => {
		const raw = await Raw.connect(await serve(t));
		for (let i = 0; i < 3; i++) {
			raw.write(request('/', { method: 'POST', 'Content-Length': '3' }) + 'abc' + request('/'));
			assert.equal(await raw.status(), 405);
			assert.equal(await raw.status(), 200);
		}
	});
});
