/* SockJS's use of HTTP: URLs, header fields, and the pages without a session. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { describe } from 'node:test';
import { Raw, handshake } from './client.mjs';
import { serve, test } from './server.mjs';
import {
	Receiver, ask, begin, exchange, exists, fresh, head, message, receivers, requests, send,
	serveEcho, streams, take,
} from './sockjs.mjs';

const PLAIN = 'text/plain; charset=UTF-8';
const GREETING = 'Welcome to SockJS!\n';
const UPGRADE = {
	Upgrade: 'websocket',
	Connection: 'Upgrade',
	'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
	'Sec-WebSocket-Version': '13',
};

/* The status of each path below the prefix. */
async function statuses(server, paths, options) {
	const got = {};
	for (const path of paths)
		got[path] = (await ask(server, server.prefix + path, options)).status;
	return got;
}

const all = (paths, status) => Object.fromEntries(paths.map(path => [path, status]));

describe('URLs (section 2)', () => {
	test('the query is ignored', async t => {
		const server = await serveEcho(t);
		const paths = ['?', '?x', '/?x=/a/b', '/info?t=1', '/iframe.html?t=1', '/iframe-1.html?'];
		assert.deepEqual(await statuses(server, paths), all(paths, 200));
		const session = await begin(server);
		for (const end of ['?t=1700000000000', '?', '?/a.b//']) {
			const { status } = await ask(server, `/echo${session}/xhr_send${end}`,
				{ method: 'POST', body: '["x"]' });
			assert.equal(status, 204, end);
			const { body } = await ask(server, `/echo${session}/xhr${end}`, { method: 'POST' });
			assert.equal(body, 'a["x"]\n');
		}
		const { status } = await ask(server, `/echo${session}/jsonp_send?i=a1`,
			{ method: 'POST', body: '[]' });
		assert.equal(status, 200);
	});

	test('SERVER and SESSION are any characters but slash and dot', async t => {
		const server = await serveEcho(t);
		for (const session of ['/a/a', '/_/_', '/1/1', '/abcdefgh_i-j%20/abcdefg_i-j%20', '/-/~',
			'/0/%2E', '/0/%2F', '/0/%', '/0/a:b@c;d,e!$&()*+=\'', '/0/[]', '/xhr/xhr', '/info/info',
			'/websocket/websocket', `/${'s'.repeat(200)}/one`])
			await begin(server, session);
	});

	test('ids are compared as they are written', async t => {
		const server = await serveEcho(t);
		for (const id of ['ab', 'a%62', 'a%62c', 'a b'.replace(' ', '%20'), 'a+b', 'AB', 'a%2Eb', 'a%2eb'])
			await begin(server, `/0/${id}`);
	});

	test('SERVER is ignored', async t => {
		const server = await serveEcho(t);
		await begin(server, '/000/one');
		await send(server, '/001/one', 'x');
		assert.equal((await take(server, '/abc/one')).frame, 'a["x"]');
	});

	test('paths are not normalised', async t => {
		const server = await serveEcho(t);
		const wrong = ['/a', '/a.html', '//', '///', '/a/a', '/a/a/', '/a/'];
		assert.deepEqual(await statuses(server, wrong), all(wrong, 404));
		const sessions = ['//', '/a./a', '/a/a.', '/./.', '/', '///', '/a//b', '//a/b', '/a/b/c', '/a/b/',
			'/a/../a/b', '/a/..', '/../echo/a/b'].map(path => `${path}/xhr`);
		for (const method of ['GET', 'POST'])
			assert.deepEqual(await statuses(server, sessions, { method }), all(sessions, 404));
	});

	test('an unknown path is 404', async t => {
		const server = await serveEcho(t);
		const wrong = ['/infos', '/inf', '/INFO', '/a/b/XHR', '/a/b/xhr2', '/a/b/xh', '/a/b/xhr/x', '/xhr',
			'/a/xhr', '/a/b/c/xhr', '/a/b/info', '/a/b/iframe.html', '/a/b/c/websocket', '/a/websocket',
			'/websocket2', '/a/b/xhr_sen', '/a/b/chunking_test', '/%69nfo', '/a/b/x%68r'];
		for (const method of ['GET', 'POST', 'HEAD', 'PUT'])
			assert.deepEqual(await statuses(server, wrong, { method }), all(wrong, 404), method);
		for (const path of ['/', '/ech', '/echox', '/Echo', '/echo%2Finfo', '//echo', '/x/echo', '/echo.'])
			assert.equal((await ask(server, path)).status, 404, path);
		const { headers, body } = await ask(server, '/echo/nowhere');
		assert.equal(headers['content-type'], PLAIN);
		assert.match(body, /^.{3,80}$/s);
	});

	test('one trailing slash is accepted everywhere, two are not', async t => {
		const server = await serveEcho(t);
		const session = await begin(server);
		const cases = [
			['', { status: 200 }],
			['/info', { status: 200 }],
			['/info', { status: 204, method: 'OPTIONS' }],
			['/iframe.html', { status: 200 }],
			['/iframe-1.2.html', { status: 200 }],
			['/websocket', { status: 400 }],
			[`${session}/websocket`, { status: 400 }],
			[`${session}/xhr_send`, { status: 204, method: 'POST', body: '[]' }],
			[`${session}/jsonp_send`, { status: 200, method: 'POST', body: '[]' }],
			...['/xhr', '/xhr_send', '/xhr_streaming']
				.map(path => [session + path, { status: 204, method: 'OPTIONS' }]),
			[`${session}/jsonp`, { status: 500 }],
			[`${session}/htmlfile`, { status: 500 }],
			[`${session}/eventsource`, { status: 405, method: 'POST' }],
			[`${session}/xhr_streaming`, { status: 405, method: 'GET' }],
			['/0/new/xhr', { status: 200, method: 'POST' }],
			[`/0/other/jsonp`, { status: 200, query: '?c=cb' }],
		];
		for (const [path, { status, query = '', ...options }] of cases) {
			const target = end => `/echo${path}${end}${query}`;
			const missing = options.method === 'OPTIONS' ? 204 : 404;
			assert.equal((await ask(server, target('//'), options)).status, missing, path);
			assert.equal((await ask(server, target('/'), options)).status, status, path);
		}
		for (const path of ['/xhr_streaming', '/eventsource', '/htmlfile']) {
			const { method, path: plain } = Object.values(receivers).find(r => r.path.startsWith(path));
			const raw = await Raw.connect(server);
			raw.write(message(`/echo${fresh()}${plain.replace(path, `${path}/`)}`, { method }));
			assert.equal((await head(raw)).status, 200);
		}
		const raw = await Raw.connect(server);
		raw.write(handshake('/echo/websocket/') + handshake('/echo/0/0/websocket//'));
		assert.equal(await raw.status(), 101);
	});

	test('iframe pages have versions in lower case', async t => {
		const server = await serveEcho(t);
		const names = ['iframe.html', 'iframe-a.html', 'iframe-.html', 'iframe-0.1.2.html',
			'iframe-0.1.2abc-dirty.2144.html', 'iframe0.html', 'iframe_.html', 'iframe.html.html']
			.map(name => `/${name}`);
		assert.deepEqual(await statuses(server, names), all(names, 200));
		const wrong = ['iframe.htm', 'iframe', 'IFRAME.HTML', 'IFRAME', 'iframe.HTML', 'iframe.xml',
			'iframe-/.html', 'iframeXhtml', 'iframe-A.html', 'iframe-1html', 'iframehtml', 'iframe-%20.html',
			'iframe+.html', 'xiframe.html', 'iframe.html.', 'iframe.htmlx'].map(name => `/${name}`);
		assert.deepEqual(await statuses(server, wrong), all(wrong, 404));
	});

	describe('a wrong method is 405 with Allow, and nothing else', () => {
		const allowed = {
			'': 'GET, OPTIONS',
			'/': 'GET, OPTIONS',
			'/iframe.html': 'GET, OPTIONS',
			'/info': 'GET, OPTIONS',
			'/websocket': 'GET, OPTIONS',
			'/0/0/websocket': 'GET, OPTIONS',
			'/0/0/xhr': 'POST, OPTIONS',
			'/0/0/xhr_send': 'POST, OPTIONS',
			'/0/0/xhr_streaming': 'POST, OPTIONS',
			'/0/0/eventsource': 'GET, OPTIONS',
			'/0/0/htmlfile': 'GET, OPTIONS',
			'/0/0/htmlfile?c=cb': 'GET, OPTIONS',
			'/0/0/jsonp': 'GET, OPTIONS',
			'/0/0/jsonp_send': 'POST, OPTIONS',
		};
		test('OPTIONS is 204 with Allow, without CORS', async t => {
			const server = await serveEcho(t);
			const cors = /info|xhr/;
			for (const [path, allow] of Object.entries(allowed).filter(([path]) => !cors.test(path))) {
				const { status, headers, body } = await ask(server, `/echo${path}`, { method: 'OPTIONS' });
				assert.deepEqual([status, headers.allow, body], [204, allow, ''], path);
				assert(!Object.keys(headers).some(name => name.startsWith('access-control')));
			}
		});
		for (const [path, allow] of Object.entries(allowed)) {
			test(`at ${path === '' ? 'the prefix' : path}`, async t => {
				const server = await serveEcho(t);
				const methods = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'PATCH', 'TRACE'];
				for (const method of methods.filter(name => !allow.split(', ').includes(name))) {
					for (const body of method === 'HEAD' ? [undefined] : [undefined, '["x"]']) {
						const got = await ask(server, `/echo${path}`, { method, body });
						assert.equal(got.status, 405, method);
						assert.equal(got.headers.allow, allow, method);
						assert(!('content-type' in got.headers), method);
						assert.equal(got.body, '');
					}
				}
				assert.equal(await exists(server, '/0/0'), false);
			});
		}
	});

	test('an upgrade by another method is 405', async t => {
		const server = await serveEcho(t);
		for (const path of ['/echo/websocket', '/echo/0/0/websocket']) {
			const { status, headers, body } = await ask(server, path, { method: 'POST', ...UPGRADE });
			assert.equal(status, 405);
			assert.equal(headers.allow, 'GET, OPTIONS');
			assert(!('content-type' in headers));
			assert.equal(body, '');
		}
	});

	test('WebSocket that is switched off is 404', async t => {
		const server = await serveEcho(t);
		for (const path of ['/websocket', '/websocket/', '/0/0/websocket'])
			for (const options of [{}, UPGRADE])
				assert.equal((await ask(server, `/disabled_websocket_echo${path}`, options)).status, 404);
		const { body } = await ask(server, '/disabled_websocket_echo/0/0/xhr', { method: 'POST' });
		assert.equal(body, 'o\n');
	});
});

/*
 * Section 3
 */

const NOCACHE = 'no-store, no-cache, no-transform, must-revalidate, max-age=0';

/*
 * What the headers of each kind of answer are: Content-Type, how long it is kept, CORS,
 * whether a cookie.
 */
const text = PLAIN;
const any = Symbol('any type');
const policies = {
	greeting: { status: 200, type: text },
	'404': { status: 404, type: text },
	iframe: { status: 200, type: 'text/html; charset=UTF-8', cache: 'year' },
	info: { status: 200, type: 'application/json; charset=UTF-8', cache: 'no', cors: true },
	'OPTIONS of info': { status: 204, type: any, cache: 'year', cors: true, cookie: true },
	xhr: { status: 200, type: receivers.xhr.type, cache: 'no', cors: true, cookie: true },
	xhr_send: { status: 204, type: text, cache: 'no', cors: true, cookie: true },
	'xhr_send of nothing': { status: 500, type: any, cache: 'no', cors: true, cookie: true },
	'xhr_send of no JSON': { status: 500, type: any, cache: 'no', cors: true, cookie: true },
	'xhr_send to nobody': { status: 404, type: any, cache: 'no', cors: true, cookie: true },
	xhr_streaming: { status: 200, type: receivers.xhr.type, cache: 'no', cors: true, cookie: true },
	'OPTIONS of xhr': { status: 204, type: any, cache: 'year', cors: true, cookie: true },
	'OPTIONS of xhr_send': { status: 204, type: any, cache: 'year', cors: true, cookie: true },
	'OPTIONS of xhr_streaming': { status: 204, type: any, cache: 'year', cors: true, cookie: true },
	eventsource: { status: 200, type: 'text/event-stream', cache: 'no', cors: true, cookie: true },
	htmlfile: { status: 200, type: 'text/html; charset=UTF-8', cache: 'no', cookie: true },
	'htmlfile without a callback': { status: 500, type: any, cache: 'no', cookie: true },
	jsonp: { status: 200, type: receivers.jsonp.type, cache: 'no', cookie: true },
	'jsonp without a callback': { status: 500, type: any, cache: 'no', cookie: true },
	jsonp_send: { status: 200, type: text, cache: 'no', cookie: true },
	'jsonp_send of nothing': { status: 500, type: any, cache: 'no', cookie: true },
	'jsonp_send to nobody': { status: 404, type: any, cache: 'no', cookie: true },
};

/* The head of the answer to one of those requests. */
async function headOf(server, name, headers = {}, prefix = '/echo') {
	const [path, options] = requests[name];
	const session = fresh();
	if (path.startsWith('S')) {
		const opened = await ask(server, `${prefix}${session}/xhr`, { method: 'POST' });
		assert.equal(opened.body, 'o\n');
		/* Something waits, so that a poll is answered. */
		const { status } = await ask(server, `${prefix}${session}/xhr_send`,
			{ method: 'POST', body: '["x"]' });
		assert.equal(status, 204);
	}
	const raw = await Raw.connect(server);
	raw.write(message(prefix + path.replace('S', session), { ...options, ...headers }));
	return head(raw);
}

describe('headers (section 3)', () => {
	for (const [name, { status, type, cache }] of Object.entries(policies)) {
		test(`${name}: status, type and caching`, async t => {
			const got = await headOf(await serveEcho(t), name);
			const { headers } = got;
			assert.equal(got.status, status);
			if (type !== any)
				assert.equal(headers['content-type'], type);
			assert(!('last-modified' in headers));
			if (cache === 'year') {
				assert.equal(headers['cache-control'], 'public, max-age=31536000');
				const ahead = new Date(headers.expires) - new Date();
				assert(Math.abs(ahead / 1000 - 31536000) < 86400, `${headers.expires} is in a year`);
				assert.equal(new Date(headers.expires).toUTCString(), headers.expires);
			} else {
				assert(!('expires' in headers));
				assert.equal(headers['cache-control'], cache === 'no' ? NOCACHE : undefined);
			}
			if (status === 204)
				assert(!('content-length' in headers && headers['content-length'] !== '0'));
		});
	}

	const names = ['access-control-allow-origin', 'access-control-allow-credentials', 'vary',
		'access-control-allow-headers', 'access-control-allow-methods', 'access-control-max-age'];
	const corsOf = ({ headers }) => names.map(name => headers[name]);

	for (const [name, { cors }] of Object.entries(policies)) {
		test(`${name}: ${cors ? '' : 'no '}CORS`, async t => {
			const server = await serveEcho(t);
			const [, { method }] = requests[name];
			const options = method !== 'OPTIONS' ? [undefined, undefined]
				: [name.endsWith('info') ? 'OPTIONS, GET' : 'OPTIONS, POST', '31536000'];
			const nobody = name === 'eventsource' ? ['*', undefined] : ['null', 'true'];
			const cases = [
				[{}, ['*', undefined, 'Origin', undefined]],
				[{ Origin: 'http://a.example:81' }, ['http://a.example:81', 'true', 'Origin', undefined]],
				[{ Origin: 'whatever it is' }, ['whatever it is', 'true', 'Origin', undefined]],
				[{ Origin: 'null' }, [...nobody, 'Origin', undefined]],
				[{ Origin: 'x', 'Access-Control-Request-Headers': 'a, b,C' },
					['x', 'true', 'Origin', 'a, b,C']],
				[{ Origin: 'x', 'Access-Control-Request-Headers': '' }, ['x', 'true', 'Origin', undefined]],
			];
			for (const [headers, wanted] of cases)
				assert.deepEqual(corsOf(await headOf(server, name, headers)),
					cors ? [...wanted, ...options] : names.map(() => undefined), JSON.stringify(headers));
		});
	}

	test('OPTIONS need no session, make none and have no body', async t => {
		const server = await serveEcho(t);
		for (const path of ['/info', '/0/0/xhr', '/0/0/xhr_send', '/0/0/xhr_streaming']) {
			const raw = await Raw.connect(server);
			for (let i = 0; i < 2; i++) {
				const { status, body } = await exchange(raw, `/echo${path}`, { method: 'OPTIONS' });
				assert.deepEqual({ status, body }, { status: 204, body: '' });
			}
		}
		assert.equal(await exists(server, '/0/0'), false);
	});

	const cookies = {
		'JSESSIONID=dummy; path=/': [undefined, 'a=b', 'xJSESSIONID=c', 'JSESSIONIDx=d', ''],
		'JSESSIONID=abc; path=/': ['JSESSIONID=abc', 'a=b; JSESSIONID=abc', 'JSESSIONID=abc; a=b',
			'a=b;JSESSIONID=abc;c=d', 'a=b; xJSESSIONID=x; JSESSIONID=abc'],
	};
	for (const [name, { cookie }] of Object.entries(policies)) {
		test(`${name}: ${cookie ? 'a cookie where wanted' : 'no cookie'}`, async t => {
			const server = await serveEcho(t);
			for (const [set, values] of Object.entries(cookies))
				for (const Cookie of values) {
					const { headers } = await headOf(server, name, { Cookie }, '/cookie_needed_echo');
					assert.equal(headers['set-cookie'], cookie ? set : undefined, Cookie);
				}
			const { headers } = await headOf(server, name, { Cookie: 'JSESSIONID=abc' });
			assert(!('set-cookie' in headers));
		});
	}

	test('WebSocket gets no cookie', async t => {
		const server = await serveEcho(t);
		for (const path of ['/websocket', '/0/0/websocket']) {
			const raw = await Raw.connect(server);
			raw.write(handshake(`/cookie_needed_echo${path}`, { Cookie: 'JSESSIONID=abc' }));
			const { status, headers } = await raw.response();
			assert.equal(status, 101);
			assert(!('set-cookie' in headers));
		}
	});

	test('an echoed cookie has a maximum size', async t => {
		const server = await serveEcho(t);
		for (const value of ['x'.repeat(6000), '"a b"', 'a,b', '<script>', '\\', '\u00e9']) {
			const { status, headers } = await headOf(server, 'xhr', { Cookie: `JSESSIONID=${value}` },
				'/cookie_needed_echo');
			assert.equal(status, 200);
			assert.match(headers['set-cookie'], /^JSESSIONID=[^;\s]*; path=\/$/);
			assert(headers['set-cookie'].length < 1000);
		}
	});

	test('streams ask proxies not to buffer them', async t => {
		const server = await serveEcho(t);
		for (const kind of streams) {
			const { headers } = await Receiver.attach(server, fresh(), kind);
			assert.equal(headers['x-accel-buffering'], 'no', kind);
		}
	});

	test('an Origin and request headers of 2 KB each are answered', async t => {
		const server = await serveEcho(t);
		const value = 'x'.repeat(2000);
		for (const [path, method] of [['/info', 'GET'], ['/info', 'OPTIONS'], ['/0/0/xhr', 'OPTIONS'],
			['/0/1/xhr', 'POST'], ['/0/0/xhr_send', 'POST']]) {
			const { status, headers } = await ask(server, `/echo${path}`,
				{ method, Origin: value, 'Access-Control-Request-Headers': value });
			assert([200, 204, 500].includes(status), `${method} ${path}: ${status}`);
			assert.equal(headers['access-control-allow-origin'], value);
			assert.equal(headers['access-control-allow-headers'], value);
		}
	});
});

describe('the greeting (section 4)', () => {
	test('is 19 bytes of plain text, without a cookie', async t => {
		const server = await serveEcho(t);
		for (const prefix of ['/echo', '/echo/', '/close', '/cookie_needed_echo']) {
			const { status, headers, body } = await ask(server, prefix, { Cookie: 'JSESSIONID=a' });
			assert.deepEqual({ status, body }, { status: 200, body: GREETING });
			assert.equal(headers['content-type'], PLAIN);
			assert.equal(headers['content-length'], '19');
			assert(!('set-cookie' in headers));
		}
	});
});

const page = url => `<!DOCTYPE html>
<html>
<head>
  <meta http-equiv="X-UA-Compatible" content="IE=edge" />
  <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
  <script src="${url}"></script>
  <script>
    document.domain = document.domain;
    SockJS.bootstrap_iframe();
  </script>
</head>
<body>
  <h2>Don't panic!</h2>
  <p>This is a SockJS hidden iframe. It's used for cross domain magic.</p>
</body>
</html>`;

const jsDelivr = 'https://cdn.jsdelivr.net/npm/sockjs-client@1.6.1/dist/sockjs.min.js';
/* jsDelivr serves the very file of the npm package. */
const integrity = `sha384-${createHash('sha384')
	.update(await readFile(new URL('node_modules/sockjs-client/dist/sockjs.min.js', import.meta.url)))
	.digest('base64')}`;

describe('the iframe page (section 5)', () => {
	test('is 404 without a script', async t => {
		const server = await serve(t, { conf: { SockJS: '' } });
		for (const path of ['/iframe.html', '/iframe-1.html'])
			assert.equal((await ask(server, `/echo${path}`)).status, 404);
	});

	test('is the same under each name, with jsDelivr\'s script', async t => {
		const server = await serve(t);
		for (const path of ['/iframe.html', '/iframe-0.1.2.html', '/iframe-a.html?t=1']) {
			const { status, headers, body } = await ask(server, `/echo${path}`);
			assert.equal(status, 200);
			assert.equal(body.trim(), page(`${jsDelivr}" integrity="${integrity}" crossorigin="anonymous`));
			assert.match(headers.etag, /^"[^"\s]+"$/);
		}
	});

	for (const url of ['/sockjs.min.js', 'http://scripts.example/a/b.js?c=d']) {
		test(`has the script ${url} if configured`, async t => {
			const server = await serve(t, { conf: { SockJS: url } });
			assert.equal((await ask(server, '/echo/iframe.html')).body.trim(), page(url));
		});
	}

	test('is not sent again to a client that has it', async t => {
		const server = await serveEcho(t);
		const { headers: { etag } } = await ask(server, '/echo/iframe.html');
		const raw = await Raw.connect(server);
		for (const value of [etag, `W/${etag}`, `"x", ${etag}`, `${etag},"x"`, `"x",W/${etag} , "y"`,
			`"a,b", ${etag}`]) {
			const { status, headers, body } =
				await exchange(raw, '/echo/iframe-1.html', { 'If-None-Match': value });
			assert.deepEqual({ status, body }, { status: 304, body: '' }, value);
			assert(!('content-type' in headers));
			assert(!('last-modified' in headers));
		}
		for (const value of ['"x"', etag.slice(1, -1), `${etag.slice(0, -1)}x"`, `"x${etag.slice(1)}`,
			'', `"x", "y"`, `"${etag.slice(1, -1).toUpperCase()}x"`]) {
			const { status, headers } =
				await exchange(raw, '/echo/iframe-1.html', { 'If-None-Match': value });
			assert.equal(status, 200, value);
			assert.equal(headers.etag, etag);
		}
	});

	test('has another ETag if it is another page', async t => {
		const tags = [];
		for (const SockJS of [undefined, '/a.js', '/b.js'])
			tags.push((await ask(await serve(t, { conf: { SockJS } }), '/echo/iframe.html')).headers.etag);
		assert.equal(new Set(tags).size, 3, tags.join());
	});
});

describe('info (section 6)', () => {
	const info = async (server, prefix) => {
		const { status, headers, body } = await ask(server, `${prefix}/info`);
		assert.equal(status, 200);
		assert.equal(headers['content-type'], 'application/json; charset=UTF-8');
		return JSON.parse(body);
	};

	test('describes the service', async t => {
		const echo = await serveEcho(t), videre = await serve(t);
		for (const [server, prefix, websocket, cookie] of [
			[echo, '/echo', true, false],
			[echo, '/close', true, false],
			[echo, '/disabled_websocket_echo', false, false],
			[echo, '/cookie_needed_echo', true, true],
			[videre, '/echo', true, false],
		]) {
			const { entropy, ...rest } = await info(server, prefix);
			assert.deepEqual(rest, { websocket, cookie_needed: cookie, origins: ['*:*'] });
			assert.equal(typeof entropy, 'number');
		}
	});

	test('is below any prefix', async t => {
		const server = await serve(t, { conf: { Prefix: '/a/b-c' } });
		assert.equal((await info(server, '/a/b-c')).websocket, true);
		assert.equal((await ask(server, '/echo/info')).status, 404);
	});

	test('has different entropy each time, of 32 bits', async t => {
		const server = await serveEcho(t);
		const raw = await Raw.connect(server);
		const seen = [];
		for (let i = 0; i < 64; i++) {
			const { body } = await exchange(raw, '/echo/info');
			const [, digits] = /"entropy":(\d+)[,}]/.exec(body) ?? assert.fail(body);
			seen.push(Number(digits));
		}
		assert(seen.every(value => value < 2 ** 32));
		assert(new Set(seen).size > 60, 'nearly all differ');
		assert(seen.some(value => value >= 2 ** 31));
		assert(seen.some(value => value < 2 ** 31));
	});
});

describe('Origins (section 19)', () => {
	const conf = { Origins: ['https://good.example'] };
	const paths = {
		...requests,
		'iframe with a version': ['/iframe-1.html', {}],
		'a wrong method': ['/info', { method: 'POST' }],
		websocket: ['/websocket', UPGRADE],
		'websocket of SockJS': ['/0/0/websocket', UPGRADE],
		'websocket without an upgrade': ['/websocket', {}],
	};
	delete paths['404'];

	test('that are not listed get 403 everywhere, and nothing happens', async t => {
		const server = await serve(t, { conf });
		const before = await server.counters();
		for (const [name, [path, options]] of Object.entries(paths))
			for (const Origin of ['https://bad.example', 'null', 'https://good.example.bad', '']) {
				const { status, headers } = await ask(server, `/echo${path.replace('S', '/0/0')}`,
					{ ...options, Origin });
				assert.equal(status, 403, `${name} from "${Origin}"`);
				assert(!('access-control-allow-origin' in headers));
			}
		const { sessions } = await server.counters();
		assert.deepEqual({ sessions }, { sessions: before.sessions });
	});

	test('that are listed pass, and so does a request without', async t => {
		const server = await serve(t, { conf });
		for (const Origin of [undefined, 'https://good.example'])
			for (const [name, [path, options]] of Object.entries(paths)) {
				const raw = await Raw.connect(server);
				raw.write(message(`/echo${path.replace('S', fresh())}`, { ...options, Origin }));
				const { status, headers } = await head(raw);
				assert.notEqual(status, 403, name);
				if (policies[name]?.cors)
					assert.equal(headers['access-control-allow-origin'], Origin ?? '*', name);
				raw.destroy();
			}
	});
});
