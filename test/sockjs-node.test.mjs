/*
 * The services of test/echo.c compared with the same services on npm's sockjs, the reference server.  Both
 * respond alike to every request, except for `free` and `differences`.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { describe } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import sockjs from 'sockjs';
import { KEY, OPCODE, Raw, closeFrame, frame } from './client.mjs';
import { test } from './server.mjs';
import { ask, chunk, head, message, serveEcho } from './sockjs.mjs';

const LIMIT = 4096; /* response limit of /echo */
const YEAR = 31_536_000; /* seconds */
/* What receives, and by which method. */
const streams = { xhr_streaming: 'POST', eventsource: 'GET', 'htmlfile?c=cb': 'GET' };
const polls = { xhr: 'POST', 'jsonp?c=cb': 'GET' };
const receivers = { ...streams, ...polls };
const FORM = 'application/x-www-form-urlencoded';

const clear = ends => ends.forEach(end => end.destroy());

/* The services on npm's sockjs; `options` are those of all of them. */
function install(server, options) {
	const echo = session => session.on('data', data => session.write(data));
	const services = {
		'/echo': { act: echo, response_limit: LIMIT },
		'/close': { act: session => session.close(3000, 'Go away!') },
		'/disabled_websocket_echo': { act: echo, websocket: false },
		'/cookie_needed_echo': { act: echo, jsessionid: true },
	};
	for (const [prefix, { act, ...own }] of Object.entries(services)) {
		const service = sockjs.createServer({ prefix, log() {}, ...options, ...own });
		service.on('connection', act);
		service.installHandlers(server);
	}
}

/* Both, with the same client script in their iframe's page; `heartbeat` is in seconds. */
async function serveBoth(t, { heartbeat = 25 } = {}) {
	const server = http.createServer((request, response) => response.writeHead(404).end());
	const clients = new Set(), sockets = new Set();
	server.on('connection', socket => sockets.add(socket));
	t.after(() => {
		server.close();
		clear(clients);
		clear(sockets);
	});
	server.listen(0, '127.0.0.1');
	await once(server, 'listening');

	const videre = await serveEcho(t, heartbeat);
	const { body } = await ask(videre, '/echo/iframe.html');
	const [, script] = /<script src="((?:\/|http)[^"]*)">/.exec(body) ?? assert.fail(body);
	install(server, { heartbeat_delay: heartbeat * 1000, sockjs_url: script });
	return { videre, node: { host: '127.0.0.1', port: server.address().port, clients } };
}

/*
 * What of an answer is not compared, and why: `omit` tells which of the headers, from their
 * value and the answer's status; `replace` puts the same text for what is alike enough.
 */
const free = [
	{
		why: 'the time of day is nobody\'s choice',
		omit: { date: () => true },
	},
	{
		why: 'chunks, a length and the end of the connection all tell where a body ends; ' +
			'that each of them does is looked at when it is read',
		omit: { 'transfer-encoding': () => true, 'content-length': () => true },
	},
	{
		why: 'a connection is kept or closed as its server likes',
		omit: { connection: value => value !== 'Upgrade', 'keep-alive': () => true },
	},
	{
		why: 'an iframe page\'s tag may be any; that of an answer 304 is known to its client',
		omit: { etag: (_, status) => status === 304 },
		replace: { etag: /^"[\w-]+"$/ },
	},
	{
		why: 'a date a year ahead depends on the time of day',
		replace: {
			expires: value => Math.abs(Date.parse(value) - Date.now() - YEAR * 1000) < 60_000,
		},
	},
	{
		why: 'the type of an error\'s text interests nobody; a later sockjs-node has one',
		omit: { 'content-type': (_, status) => status === 400 || status === 500 },
	},
	{
		why: 'proxies are asked not to hold a stream back, on top of what sockjs-node says',
		omit: { 'x-accel-buffering': value => value === 'no' },
	},
];

/* Allow without OPTIONS, which videre answers at every URL, as RFC 9110 section 9.3.7 wants it. */
const others = (name, value) => name === 'allow' ? value.split(', ').filter(method => method !== 'OPTIONS') : value;

/* Of a body: the random number in the information, and the text of 400 and 404, may be any. */
function essence(status, type = '', body) {
	if (status === 400 || status === 404)
		return body !== '' && 'some text';
	if (status === 200 && type.startsWith('application/json')) {
		const info = JSON.parse(body);
		const good = Number.isInteger(info.entropy) && info.entropy >= 0 && info.entropy < 2 ** 32;
		return { ...info, entropy: good || info.entropy };
	}
	return body;
}

function compared({ status, headers, body }) {
	const judge = (rule, value) =>
		rule instanceof RegExp ? rule.test(value) : rule?.(value, status);
	const kept = Object.entries(headers)
		.filter(([name, value]) => !free.some(({ omit }) => judge(omit?.[name], value)))
		.map(([name, value]) =>
			[name, free.some(({ replace }) => judge(replace?.[name], value)) ? 'good' : others(name, value)]);
	return {
		status,
		headers: Object.fromEntries(kept),
		body: essence(status, headers['content-type'], body),
	};
}

/* What is asked for is the beginning of a stream: its first `count` chunks. */
async function beginning(server, target, { count = 2, ...options }) {
	const raw = await Raw.connect(server);
	raw.write(message(target, options));
	const answer = await head(raw);
	let body = [];
	if (answer.headers['transfer-encoding'] === 'chunked' && answer.status === 200)
		while (body.length < count)
			body.push(await chunk(raw));
	else
		body = 'no stream';
	raw.destroy();
	return { ...answer, body };
}

/* As many as asked for in `stream`, else the whole answer. */
const fetch = async (server, { target, stream, ...options }) => compared(await (stream
	? beginning(server, target, { count: stream, ...options })
	: ask(server, target, options)));

/* All these requests, each on a connection of its own; tells of the unlike ones. */
async function alike({ videre, node }, requests) {
	const ours = {}, theirs = {};
	assert(requests.length > 0);
	for (const wanted of requests) {
		const [our, their] = await Promise.all([fetch(videre, wanted), fetch(node, wanted)]);
		if (isDeepStrictEqual(our, their))
			continue;
		const name = JSON.stringify(wanted);
		ours[name] = our;
		theirs[name] = their;
	}
	assert.deepEqual(ours, theirs);
}

let sessions = 0;
const fresh = () => `/000/session${++sessions}`;

const prefixes = ['/echo', '/close', '/disabled_websocket_echo', '/cookie_needed_echo'];
const methods = ['GET', 'POST', 'OPTIONS', 'HEAD', 'PUT', 'DELETE', 'PATCH'];
const origins = [undefined, 'http://example.com', 'null'];

/* Below a prefix, with the method that they are for, and how many chunks a stream begins with. */
const endpoints = [
	{ path: () => '', method: 'GET' },
	{ path: () => '/iframe.html', method: 'GET' },
	{ path: () => '/info', method: 'GET' },
	{ path: () => '/websocket', method: 'GET' },
	{ path: () => `${fresh()}/websocket`, method: 'GET' },
	{ path: () => `${fresh()}/xhr`, method: 'POST' },
	{ path: () => `${fresh()}/xhr_send`, method: 'POST', body: '["a"]' },
	{ path: () => `${fresh()}/xhr_streaming`, method: 'POST', stream: 2 },
	{ path: () => `${fresh()}/eventsource`, method: 'GET', stream: 2 },
	{ path: () => `${fresh()}/htmlfile`, query: 'c=cb', method: 'GET', stream: 2 },
	{ path: () => `${fresh()}/jsonp`, query: 'c=cb', method: 'GET' },
	{ path: () => `${fresh()}/jsonp_send`, method: 'POST', body: '["a"]' },
];

/* A request to one of them; `tail` goes between path and query. */
function to({ path, query, ...rest }, { prefix = '/echo', tail = '', more, ...options } = {}) {
	const queries = [query, more].filter(Boolean).join('&');
	const wanted = {
		target: `${prefix}${path()}${tail}${queries && '?'}${queries}`, ...rest, ...options,
	};
	if (wanted.method !== rest.method) /* that is no stream, nor has a body */
		['stream', 'body'].forEach(name => delete wanted[name]);
	return wanted;
}

/* With WebSocket off, its paths are a row of `differences`. */
const off = ({ target }) => /^\/disabled_.*\/websocket/.test(target);
/* So are OPTIONS where there is no CORS. */
const asks = ({ target, method }) =>
	method === 'OPTIONS' && !/\/(info|xhr|xhr_send|xhr_streaming)\/?(\?|$)/.test(target);
const same = wanted => !off(wanted) && !asks(wanted);

describe('the same responses as sockjs-node', () => {
	for (const prefix of prefixes)
		test(`every method on every endpoint below ${prefix}, for every kind of origin`, async t => {
			const requests = endpoints.flatMap(endpoint => methods.flatMap(method =>
				origins.map(Origin => to(endpoint, { prefix, method, Origin }))));
			await alike(await serveBoth(t), requests.filter(same));
		});

	test('headers that a page wants to send', async t => {
		const wishes = ['a, b, c', 'X-Custom', 'content-type,x-y'];
		await alike(await serveBoth(t), endpoints.flatMap(endpoint =>
			[endpoint.method, 'OPTIONS'].flatMap(method => ['', ...wishes].map(wish => to(endpoint, {
				method, Origin: 'http://example.com', 'Access-Control-Request-Headers': wish,
			})))).filter(same));
	});

	test('one or two slashes after an endpoint', async t => {
		await alike(await serveBoth(t), endpoints.flatMap(endpoint =>
			['/', '//', '/.', '/x'].map(tail => to(endpoint, { tail }))
				.map(({ stream, ...wanted }) => (wanted.target.split('?')[0].match(/[^/]\/$/)
					? { stream, ...wanted } : wanted))));
	});

	test('an unexpected query', async t => {
		/* The greeting with one is a row of `differences`. */
		const [, ...others] = endpoints;
		await alike(await serveBoth(t), [
			...others.flatMap(endpoint => ['t=123', '', 'a/b', 'a?b', '%zz&&=', 'x=/../'].map(more =>
				to(endpoint, { more }))),
			{ target: '/echo/?t=123' },
			{ target: '/echo/info?' },
		]);
	});

	test('an iframe\'s page, under any name', async t => {
		const both = await serveBoth(t);
		await alike(both, [
			'iframe.html', 'iframe-a.html', 'iframe-.html', 'iframe-0.1.2.html',
			'iframe-0.1.2abc-dirty.2144.html', 'iframe_.html', 'iframe.html.html', 'iframe...html',
			'iframe.htm', 'iframe', 'IFRAME.HTML', 'IFRAME', 'iframe.HTML', 'iframe.xml',
			'iframe-/.html', 'iframe-A.html', 'iframe%2d.html', 'iframe-+.html', 'xiframe.html',
			'iframe.html/x', 'iframe.htmlx',
		].flatMap(name => ['', '?t=1', '/'].map(tail => ({ target: `/echo/${name}${tail}` }))));
	});

	test('an iframe\'s page with its ETag', async t => {
		const both = await serveBoth(t);
		const again = async (server, make) => {
			const { headers } = await ask(server, '/echo/iframe.html');
			return fetch(server, { target: '/echo/iframe.html', 'If-None-Match': make(headers.etag) });
		};
		for (const make of [tag => tag, () => '"other"', () => '""', () => '', tag => tag.slice(1, -1)])
			assert.deepEqual(await again(both.videre, make), await again(both.node, make));
		assert.equal((await again(both.videre, tag => tag)).status, 304);
	});

	test('unknown paths, and paths close to them', async t => {
		const ids = [
			'//', '/a./a', '/a/a.', '/./.', '/', '///', '/a', '/a/b/c', '/../a', '/%2e/1', '/a/%2E',
			'/a/%2f', '/%20/a%20b', '/_/-', '/a/\'', '/a/b;c=d', '/a/%00', '/a/%zz', '/,/~',
			'/server/session.', '/.a/b', '/a//b', '/-1/0',
		];
		const tails = ['', '/a', '/a.html', '//', '///', '/a/a', '/a/a/', '/a/', '/a/a/a', '/Info',
			'/info.html', '/infos', '/inf', '/xhr', '/websocket/x', '/./info', '/../echo/info'];
		await alike(await serveBoth(t), [
			...ids.flatMap(id => ['GET', 'POST'].map(method => ({ target: `/echo${id}/xhr`, method }))),
			...['XHR', 'xhr_', 'xhr_send.', 'xhr-send', 'Jsonp', 'event', 'stream'].flatMap(name =>
				['GET', 'POST'].map(method => ({ target: `/echo/0/a/${name}`, method }))),
			...tails.map(tail => ({ target: `/echo${tail}` })),
		].map(wanted => ({ ...wanted, target: Buffer.from(wanted.target).toString('latin1') })));
	});

	test('callbacks', async t => {
		const good = ['c=cb', 'callback=cb', '%63allback=cb', '%63=cb', 'c=a.b-c_D9', 'c=a%2Eb',
			`c=${'x'.repeat(32)}`, 'c=a&callback=b', 'callback=b&c=a', 'x=y&c=cb', 'c=cb&x', 'c=_jp.a123456',
			'c=%5Fjp', 'c=...', 'c=-'];
		const bad = ['', 'c', 'd=cb', 'C=cb', 'x=c', 'c=%20', 'c=*', 'c=abc(', 'c=abc%28', 'c=a+b',
			'c=%zz', 'c=%ff', 'c=a%', 'c=a%00', 'c=%c3%a9', 'c=a;b', 'c=a=b', 'c=%3Cscript%3E', 'c=a%0d%0ab',
			'callback=a%20b', 'c=*&callback=good', 'cc=good'];
		const callback = query => ['htmlfile', 'jsonp'].flatMap(name => [
			{ target: `/echo${fresh()}/${name}?${query}` },
			{ target: `/cookie_needed_echo${fresh()}/${name}?${query}`, Origin: 'http://example.com' },
		]);
		const stream = wanted =>
			wanted.target.includes('/htmlfile') ? { ...wanted, stream: 2 } : wanted;
		await alike(await serveBoth(t), [
			...good.flatMap(callback).map(stream),
			/* An empty one is a row of `differences`. */
			...bad.filter(query => query !== 'c').flatMap(callback),
			{ target: `/echo${fresh()}/jsonp?c=${'x'.repeat(33)}` },
			{ target: `/echo${fresh()}/jsonp` },
			{ target: `/echo${fresh()}/htmlfile` },
		]);
	});

	test('cookies', async t => {
		const cookies = ['JSESSIONID=abcdef', 'JSESSIONID=', 'a=b', 'a=b; JSESSIONID=x; c=d',
			'a=b;JSESSIONID=x', 'JSESSIONID = spaced ', 'jsessionid=small', 'XJSESSIONID=x', '',
			'JSESSIONID', 'JSESSIONID=x.y-z_0!', 'a; b; ;=; JSESSIONID=x'];
		await alike(await serveBoth(t), endpoints.flatMap(endpoint => cookies.flatMap(Cookie => [
			to(endpoint, { prefix: '/cookie_needed_echo', Cookie }),
			to(endpoint, { prefix: '/cookie_needed_echo', Cookie, method: 'OPTIONS' }),
			to(endpoint, { Cookie }),
		])).filter(same));
	});

	test('errors of a service with cookies, requested from another origin', async t => {
		const options = {
			prefix: '/cookie_needed_echo', method: 'POST', Cookie: 'JSESSIONID=x', Origin: 'http://a.b',
		};
		await alike(await serveBoth(t), ['', 'x', '{}', '[]', '["a"]'].flatMap(body =>
			['xhr_send', 'jsonp_send'].map(name =>
				to({ path: () => `${fresh()}/${name}` }, { ...options, body }))));
	});

	test('HTTP/1.0, with responses of a known length', async t => {
		await alike(await serveBoth(t), endpoints.filter(({ stream }) => !stream).flatMap(endpoint =>
			[undefined, 'Keep-Alive', 'close'].flatMap(Connection =>
				[endpoint.method, 'OPTIONS'].map(method =>
					to(endpoint, { version: '1.0', Connection, method })))).filter(same));
	});

	test('HTTP/1.0, with streams', async t => {
		const { videre, node } = await serveBoth(t);
		const opened = { xhr_streaming: 'o\n', eventsource: ': o\r\n\r\n', 'htmlfile?c=cb': '</script>\r\n' };
		const get = async (server, name, Connection) => {
			const raw = await Raw.connect(server);
			raw.write(message(`/echo${fresh()}/${name}`, {
				method: streams[name], version: '1.0', Connection,
			}));
			const { status, headers } = await head(raw);
			assert(!('transfer-encoding' in headers) && !('content-length' in headers));
			const body = await raw.through(opened[name]);
			raw.destroy();
			return compared({ status, headers, body });
		};
		for (const name of Object.keys(opened))
			for (const Connection of [undefined, 'Keep-Alive'])
				assert.deepEqual(await get(videre, name, Connection), await get(node, name, Connection));
	});

	test('plain requests to WebSocket endpoints, and upgrades at others', async t => {
		const upgrade = {
			Upgrade: 'websocket', Connection: 'Upgrade',
			'Sec-WebSocket-Key': KEY, 'Sec-WebSocket-Version': '13',
		};
		const paths = ['/echo/websocket', '/echo/0/a/websocket'];
		await alike(await serveBoth(t), [
			...paths.flatMap(target => [
				{ ...upgrade, Connection: 'close' },
				{ ...upgrade, Upgrade: undefined },
				{ ...upgrade, Upgrade: 'h2c' },
				{ Upgrade: 'WebSocket', Connection: 'close' },
				...['POST', 'PUT', 'DELETE', 'HEAD'].flatMap(method =>
					[{ method }, { ...upgrade, method }]),
			].map(options => ({ target, ...options }))),
			/* Asked so for /info, sockjs-node writes behind its answer's end, and dies of it. */
			{ target: '/echo/0/a/xhr', ...upgrade },
		]);
	});

	test('an upgrade', async t => {
		const { videre, node } = await serveBoth(t);
		const get = async (server, target, changes) => {
			const raw = await Raw.connect(server);
			raw.write(message(target, {
				Upgrade: 'websocket', Connection: 'Upgrade',
				'Sec-WebSocket-Key': KEY, 'Sec-WebSocket-Version': '13', ...changes,
			}));
			const answer = compared({ ...await head(raw), body: '' });
			raw.destroy();
			return answer;
		};
		for (const target of ['/echo/websocket', '/echo/0/a/websocket', '/echo/websocket/',
			'/echo/0/a/websocket?x=y', '/close/0/a/websocket', '/cookie_needed_echo/0/a/websocket'])
			for (const changes of [
				{}, { Connection: 'keep-alive, Upgrade' }, { Connection: 'upgrade' }, { Upgrade: 'WebSocket' },
				{ Origin: 'http://example.com' }, { Origin: 'null' }, { Cookie: 'JSESSIONID=x' },
				{ 'Sec-WebSocket-Protocol': 'chat' },
			]) {
				const ours = await get(videre, target, changes);
				assert.deepEqual(ours, await get(node, target, changes), `${target} ${JSON.stringify(changes)}`);
				assert.equal(ours.status, 101);
			}
	});
});

/*
 * Payloads, each followed by one that is known to arrive, so that what came of it can be seen.
 */

const payloads = [
	'[]', '["a"]', '["a","b"]', ' [ "a" , "b" ] ', '\n["a"]\r\n\t', '[""]', '["a","",""]',
	'', ' ', 'x', '[', ']', '["x', '["x"', '["x",', '["x",]', '[,]', '["x"]]', '["x"][]', '["x"] y', '{',
	'{}', '{"a":"b"}', '"a"', '"[]"', '1', '-0.5e+3', 'null', 'true', 'false', 'nul', '01', '\'a\'',
	'["\\x"]', '["\\u12"]', '["\\"]', '["\t"]', '["\u0000"]', '\ufeff["a"]', '["a"]\u0000', '[a]',
	'["a" "b"]',
	'["\\u0000\\u001f\\b\\f\\n\\r\\t\\"\\\\\\/"]', '["\u2028\u2029\ufffe\uffff\ufeff\u007f"]',
	'["é\u200b\u200c \u{1f600} \\ud83d\\ude00"]', '["\\ud800","\\udc00\\ud800","\\ud800\\ud800\\udc00"]',
	'["%61bc","%","%%25","+","a+b","&=;"]', '["</script>"]', '["[\\"nested\\"]"]',
	`["${'x'.repeat(100_000)}"]`, JSON.stringify(Array(200).fill('many')),
];
/* Bytes that are not UTF-8 become U+FFFD. */
const broken = ['5b22c3225d', '5b2261ff62225d', '5b22eda080225d', '5b22f09f98225d', '5b22c080225d',
	'5bff5d'].map(hex => Buffer.from(hex, 'hex'));

/* What comes of each payload: the answer to it, and what the service got. */
async function fates(server, path, all, wrap = body => ({ body })) {
	const session = `/cookie_needed_echo${fresh()}`;
	const results = [(await ask(server, `${session}/xhr`, { method: 'POST' })).body];
	for (const payload of all) {
		const answer = await fetch(server, { target: session + path, method: 'POST', ...wrap(payload) });
		await ask(server, `${session}/xhr_send`, { method: 'POST', body: '["the end"]' });
		const { body } = await ask(server, `${session}/xhr`, { method: 'POST' });
		results.push({ payload, ...answer, echoed: body });
	}
	return results;
}

async function sameFates(t, ...rest) {
	const { videre, node } = await serveBoth(t);
	const [ours, theirs] = await Promise.all([fates(videre, ...rest), fates(node, ...rest)]);
	const unlike = ours.map((our, i) => !isDeepStrictEqual(our, theirs[i]));
	assert.deepEqual(ours.filter((_, i) => unlike[i]), theirs.filter((_, i) => unlike[i]));
}

const percent = bytes => Buffer.from(bytes).toString('hex').replace(/../g, '%$&');

describe('payloads have the same effect as with sockjs-node', () => {
	test('payloads of xhr_send', t => sameFates(t, '/xhr_send', [...payloads, ...broken]));

	test('payloads of xhr_send in chunks', t => sameFates(t, '/xhr_send', payloads, payload => ({
		'Transfer-Encoding': 'chunked', 'Content-Length': undefined,
		/* Thousands of chunks could take Node longer than the 5 s of a session without a receiver. */
		body: (payload.match(payload.length < 1000 ? /[^]{1,7}/g : /[^]{1,999}/g) ?? []).map(part =>
			`${Buffer.byteLength(part).toString(16)}\r\n${part}\r\n`).join('') + '0\r\n\r\n',
	})));

	test('payloads of xhr_send with each supported type', t => sameFates(t, '/xhr_send',
		['text/plain', 'T', 'application/json', 'application/xml', 'text/xml', '', undefined,
			'application/json; charset=utf-8', 'text/xml; charset=utf-8', 'text/plain;charset=UTF-8'],
		type => ({ body: `["${type}"]`, 'Content-Type': type })));

	test('a request to xhr_send that has no length', t => sameFates(t, '/xhr_send', [undefined]));

	/* JSON in a JSON string is a row of `differences`. */
	const plain = payloads.filter(payload => !/^"[^"]*"$/.test(payload));
	for (const type of ['text/plain', 'text/plain; charset=UTF-8', undefined])
		test(`payloads of jsonp_send of type ${type}`, t => sameFates(t, '/jsonp_send',
			[...plain, ...broken], body => ({ body, 'Content-Type': type })));

	test('payloads of jsonp_send in a form', t => sameFates(t, '/jsonp_send', [
		...payloads.map(payload => `d=${encodeURIComponent(payload)}`),
		...broken.map(payload => `d=${percent(payload)}`),
		'', 'd', 'd=', 'p=p', 'd=["raw"]', 'd=["a+b"]', 'd=%5B%22%61bc%22%5D', 'd=[%22%2561%22]', 'd=[%22a',
		'a=b&d=["x"]', 'd=["x"]&a=b', 'D=["x"]', '%64=["x"]', 'dd=["x"]', 'd=["%zz"]', 'd=["a=b"]',
		'&d=["x"]&', '["x"]',
	], body => ({ body, 'Content-Type': FORM })));

	test('payloads of jsonp_send in a form of a named charset', t => sameFates(t, '/jsonp_send',
		['d=["x"]', 'd='], body => ({ body, 'Content-Type': `${FORM}; charset=UTF-8` })));

	test('payloads of jsonp_send of any other type', t => sameFates(t, '/jsonp_send',
		['["x"]', 'd=["x"]', ''].flatMap(body => ['application/json', 'text/xml', 'T', 'multipart/form-data']
			.map(type => ({ body, 'Content-Type': type }))), wanted => wanted));

	test('payloads to an unknown session', async t => {
		await alike(await serveBoth(t), ['[]', '["a"]', '', 'x', '{}'].flatMap(body => [
			{ target: `/echo${fresh()}/xhr_send`, method: 'POST', body },
			{ target: `/echo${fresh()}/jsonp_send`, method: 'POST', body },
			{ target: `/echo${fresh()}/jsonp_send`, method: 'POST', body: `d=${body}`, 'Content-Type': FORM },
		]));
	});
});

/*
 * Sessions, frame by frame: a script is played to both servers, and its transcripts compared.
 */

async function sameTranscript(t, script, options) {
	const { videre, node } = await serveBoth(t, options);
	const play = async server => {
		const transcript = [];
		await script(server, line => transcript.push(line));
		return transcript;
	};
	const [ours, theirs] = await Promise.all([play(videre), play(node)]);
	assert.deepEqual(ours, theirs);
	assert(ours.length > 0);
}

const texts = [
	'plain', '', '"\\/\b\f\n\r\t', '100 % of %25 and %0D', 'a+b&c=d', 'é ü ß \u20ac',
	'\u{1f600}\u{10ffff}',
	'\ud800', 'a\udc00\ud800b', '\u0000\u0001\u001f\u007f\u0080\u009f\u00ad', '[1,"a"]', '\'\'', 'h', 'o',
	...[[0x200b, 0x2010], [0x2027, 0x2030], [0x205f, 0x2070], [0xffef, 0xffff], [0xfefe, 0xff00],
		[0xd7ff, 0xd801], [0xdffe, 0xe000]].map(([first, last]) => String.fromCharCode(
		...Array.from({ length: last - first + 1 }, (_, i) => first + i))),
];

const send = async (server, session, ...messages) => fetch(server, {
	target: `${session}/xhr_send`, method: 'POST', body: JSON.stringify(messages),
});

/* A stream, with what comes of it put down. */
async function attach(server, note, session, name) {
	const raw = await Raw.connect(server);
	raw.write(message(`${session}/${name}`, { method: streams[name] }));
	note(compared({ ...await head(raw), body: '' }));
	const take = async () => {
		const text = await chunk(raw);
		note(text);
		return text;
	};
	await take(); /* the prelude */
	return { raw, take };
}

describe('the same frames as sockjs-node', () => {
	for (const name of Object.keys(streams)) {
		test(`${name}: messages, one by one and several at once`, t =>
			sameTranscript(t, async (server, note) => {
				const session = `/cookie_needed_echo${fresh()}`;
				const { raw, take } = await attach(server, note, session, name);
				await take();
				for (const text of texts) {
					note(await send(server, session, text));
					await take();
				}
				note(await send(server, session, ...texts));
				for (const _ of texts)
					await take();
				raw.destroy();
			}));

		test(`${name}: the response limit, and messages queued for the next response`, t =>
			sameTranscript(t, async (server, note) => {
				const session = `/echo${fresh()}`;
				for (const size of [1, 119, 128, 1000, LIMIT, 3 * LIMIT]) {
					const { raw, take } = await attach(server, note, session, name);
					let total = 0;
					if (size === 1) /* the first one, which opens */
						total += (await take()).length;
					while (total < LIMIT) {
						await send(server, session, 'x'.repeat(size));
						total += (await take()).length;
					}
					assert.equal(await chunk(raw), '', 'the end of the response');
					raw.destroy();
					for (const text of texts.slice(0, 3))
						note(await send(server, session, text));
					const { raw: next, take: takeNext } = await attach(server, note, session, name);
					await takeNext();
					/* Filled up again, so that it ends in order. */
					await send(server, session, 'x'.repeat(LIMIT));
					await takeNext();
					assert.equal(await chunk(next), '', 'the end of the response');
					next.destroy();
				}
			}));
	}

	for (const name of Object.keys(polls))
		test(`${name}: a frame a response`, t => sameTranscript(t, async (server, note) => {
			const session = `/cookie_needed_echo${fresh()}`;
			const poll = async () => note(await fetch(server,
				{ target: `${session}/${name}`, method: polls[name] }));
			await poll();
			for (const text of texts) {
				note(await send(server, session, text));
				await poll();
			}
			note(await send(server, session, ...texts));
			await poll();
			for (const text of texts)
				await send(server, session, text, text);
			await poll();
		}));

	test('a session whose receivers change', t => sameTranscript(t, async (server, note) => {
		const session = `/echo${fresh()}`;
		note(await fetch(server, { target: `${session}/xhr`, method: 'POST' }));
		for (const name of Object.keys(receivers).flatMap(first => [first, 'xhr'])) {
			await send(server, session.replace('/000/', '/other-server/'), `to ${name}`, 'x'.repeat(LIMIT));
			note(await fetch(server, { target: `${session}/${name}`, method: receivers[name] }));
		}
	}));

	for (const first of ['xhr', ...Object.keys(streams)])
		test(`a second receiver beside ${first}`, t => sameTranscript(t, async (server, note) => {
			const session = `/echo${fresh()}`;
			let poll;
			if (first === 'xhr') {
				note(await fetch(server, { target: `${session}/xhr`, method: 'POST' }));
				/* A poll that waits is behind the answer to the request before it. */
				poll = await Raw.connect(server);
				poll.write(Buffer.concat([message('/echo'), message(`${session}/xhr`, { method: 'POST' })]));
				note((await head(poll)).status);
				await poll.through('Welcome to SockJS!\n');
			} else {
				const stream = await attach(server, note, session, first);
				await stream.take();
			}
			for (const name of Object.keys(receivers))
				note(await fetch(server, { target: `${session}/${name}`, method: receivers[name] }));
			poll?.destroy();
		}));

	for (const name of Object.keys(receivers))
		test(`${name}: a session that the service closes`, t => sameTranscript(t, async (server, note) => {
			const session = `/close${fresh()}`;
			for (let i = 0; i < 3; i++) {
				note(await fetch(server, { target: `${session}/${name}`, method: receivers[name] }));
				note(await send(server, session, 'too late'));
			}
			for (const other of Object.keys(receivers))
				note(await fetch(server, { target: `${session}/${other}`, method: receivers[other] }));
		}));

	test('heartbeats', t => sameTranscript(t, async (server, note) => {
		await Promise.all([
			...Object.keys(streams).map(async name => {
				const lines = [];
				const stream = await attach(server, line => lines.push(line), `/echo${fresh()}`, name);
				for (let i = 0; i < 5; i++)
					await stream.take();
				stream.raw.destroy();
				return lines;
			}),
			...Object.keys(polls).map(async name => {
				const session = `/echo${fresh()}`;
				const lines = [];
				for (let i = 0; i < 4; i++)
					lines.push(await fetch(server, { target: `${session}/${name}`, method: polls[name] }));
				return lines;
			}),
		]).then(all => all.forEach(note));
	}, { heartbeat: 1 }));
});

/* WebSockets: what is sent, and the frames that come back. */

async function frames(server, note, path, messages, count) {
	const raw = await Raw.websocket(server, { path });
	for (const [opcode, payload] of messages)
		raw.write(frame(opcode, payload));
	for (let i = 0; i < count; i++) {
		const { fin, opcode, payload, text: got } = await raw.frame();
		if (opcode === OPCODE.close) {
			note(['close', payload.toString('latin1')]);
			raw.write(closeFrame(1000));
			await raw.ended();
			return;
		}
		if (opcode === OPCODE.ping) /* lest it wait for that */
			raw.write(frame(OPCODE.pong, got));
		note([fin, opcode, got]);
	}
	raw.destroy();
}

const words = (...list) => list.map(text => [OPCODE.text, text]);

describe('the same WebSocket frames as sockjs-node', () => {
	test('messages of a session', t => sameTranscript(t, (server, note) =>
		frames(server, note, `/echo${fresh()}/websocket`, words(
			'', '[]', '["a"]', '["b","c"]', '"alone"', '""', '', '["last"]',
			...texts.map(text => JSON.stringify([text]))), 7 + texts.length)));

	test('long messages of a session', t => sameTranscript(t, (server, note) =>
		frames(server, note, `/echo${fresh()}/websocket`, words(...[125, 126, 4096, 65_000, 70_000]
			.map(size => JSON.stringify(['x'.repeat(size)]))), 6)));

	for (const bad of ['[', '["a', 'x', '["a"]]', '["a",]', '{'])
		test(`a session that sends ${bad}`, t => sameTranscript(t, (server, note) =>
			frames(server, note, `/echo${fresh()}/websocket`, words('["good"]', bad), 3)));

	test('a session that the service closes', t => sameTranscript(t, (server, note) =>
		frames(server, note, `/close${fresh()}/websocket`, [], 3)));

	test('the same session twice at once, and unknown to senders', t =>
		sameTranscript(t, async (server, note) => {
			const session = `/echo${fresh()}`;
			const path = `${session}/websocket`;
			await Promise.all([frames(server, note, path, [], 1), frames(server, note, path, [], 1)]);
			const raw = await Raw.websocket(server, { path });
			note((await raw.frame()).text);
			note(await send(server, session, 'nobody'));
			note(await fetch(server, { target: `${session}/xhr`, method: 'POST' }));
			raw.destroy();
		}));

	test('plain messages', t => sameTranscript(t, (server, note) => {
		/* What no UTF-8 can carry does not come here. */
		const plain = texts.filter(text => !/\p{Surrogate}/u.test(text)).concat('[]', '["a"]', 'x'.repeat(70_000));
		return frames(server, note, '/echo/websocket', words(...plain), plain.length);
	}));

	test('a plain WebSocket that the service closes', t => sameTranscript(t, (server, note) =>
		frames(server, note, '/close/websocket', [], 1)));
});

/*
 * What is otherwise on purpose: an exchange, with what comes of it here and there.
 */

const status = (server, target, options) =>
	ask(server, target, options).then(answer => answer.status);
const upgradeWith = version => ({
	Upgrade: 'websocket', Connection: 'Upgrade',
	'Sec-WebSocket-Key': KEY, 'Sec-WebSocket-Version': version,
});

/* The status of a payload to an open session, and what a poll then brings of it and "end". */
async function sent(server, path, body, type) {
	const session = `/echo${fresh()}`;
	await ask(server, `${session}/xhr`, { method: 'POST' });
	const { status: got } = await ask(server, session + path,
		{ method: 'POST', body, 'Content-Type': type });
	await send(server, session, 'end');
	const { body: echoed } = await ask(server, `${session}/xhr`, { method: 'POST' });
	return [got, echoed];
}

const differences = [
	{
		why: 'a wrong WebSocket version is told the right one, as RFC 6455 section 4.4 wants it',
		exchange: async server => {
			const { status: code, headers } = await ask(server, '/echo/websocket', upgradeWith('99'));
			return [code, headers['sec-websocket-version']];
		},
		videre: [426, '13'],
		node: [400, undefined],
	},
	...['', '/', '/nothing', '/0/a/nothing', '/0/a./websocket', '/websocket/x'].map(path => ({
		why: `a handshake at /echo${path} is told where WebSocket is`,
		exchange: async server => {
			const { status: code, body } = await ask(server, `/echo${path}`, upgradeWith('13'));
			return [code, body];
		},
		videre: [400, 'WebSocket is at /echo/websocket\n'],
		node: path.length < 2 ? [200, 'Welcome to SockJS!\n'] : [404, '404 Error: Page not found\n'],
	})),
	...['', '/iframe.html', '/websocket', '/0/a/eventsource', '/0/a/jsonp_send', '/nothing'].map(path => ({
		why: `OPTIONS of /echo${path} is answered as RFC 9110 section 9.3.7 wants it`,
		exchange: server => status(server, `/echo${path}`, { method: 'OPTIONS' }),
		videre: 204,
		node: path === '/nothing' ? 404 : 405,
	})),
	{
		why: 'a target has only characters that RFC 3986 allows',
		exchange: server => status(server, '/echo/0/"/nothing'),
		videre: 400,
		node: 404,
	},
	{
		why: 'a greeting may have a query, as it may in later versions of sockjs-node',
		exchange: server => status(server, '/echo?t=1'),
		videre: 200,
		node: 404,
	},
	{
		why: 'iframeXhtml is no page\'s name; sockjs-node\'s pattern takes any character for the dot',
		exchange: server => status(server, '/echo/iframeXhtml'),
		videre: 404,
		node: 200,
	},
	{
		why: 'chunking_test is not there: no client of today asks for it',
		exchange: server => status(server, '/echo/chunking_test', { method: 'POST' }),
		videre: 404,
		node: 200,
	},
	...['weak', 'list', 'any'].map(kind => ({
		why: `If-None-Match is read as RFC 9110 section 13.1.2 wants it: ${kind}`,
		exchange: async server => {
			const { headers: { etag } } = await ask(server, '/echo/iframe.html');
			const tags = { weak: `W/${etag}`, list: `"x", ${etag}`, any: '*' };
			return status(server, '/echo/iframe.html', { 'If-None-Match': tags[kind] });
		},
		videre: 304,
		node: 200,
	})),
	{
		why: 'where WebSocket is off, there is nothing to keep for a year, whatever the method',
		exchange: async server => {
			const { status: code, headers } = await ask(server, '/disabled_websocket_echo/websocket');
			return [code, headers['cache-control'] !== undefined,
				await status(server, '/disabled_websocket_echo/0/a/websocket', { method: 'POST' })];
		},
		videre: [404, false, 404],
		node: [404, true, 405],
	},
	...['htmlfile', 'jsonp'].map(name => ({
		why: `an empty callback of ${name} could be called by nobody`,
		exchange: async server => {
			const raw = await Raw.connect(server);
			raw.write(message(`/echo${fresh()}/${name}?c=`));
			const { status: code } = await head(raw);
			raw.destroy();
			return code;
		},
		videre: 500,
		node: 200,
	})),
	{
		why: 'a callback of htmlfile is as long as one of jsonp may be',
		exchange: async server => {
			const raw = await Raw.connect(server);
			raw.write(message(`/echo${fresh()}/htmlfile?c=${'x'.repeat(33)}`));
			const { status: code } = await head(raw);
			raw.destroy();
			return code;
		},
		videre: 500,
		node: 200,
	},
	{
		why: 'the type of what xhr_send is given says nothing: it is a JSON array or is not',
		exchange: server => sent(server, '/xhr_send', '["a"]', 'application/octet-stream'),
		videre: [204, 'a["a","end"]\n'],
		node: [500, 'a["end"]\n'],
	},
	...[['[1]', '1'], ['["a",null]', 'a', 'null'], ['[["a"]]', 'a'], ['[{}]', '[object Object]'],
		['[true]', 'true']].map(([body, ...texts]) => ({
		why: `messages are strings: ${body} is refused as a whole`,
		exchange: server => sent(server, '/xhr_send', body),
		videre: [500, 'a["end"]\n'],
		node: [204, `a${JSON.stringify([...texts, 'end'])}\n`],
	})),
	{
		why: 'JSON is read once: a string with JSON in it is a string',
		exchange: server => sent(server, '/jsonp_send', '"[\\"a\\"]"', 'text/plain'),
		videre: [500, 'a["end"]\n'],
		node: [200, 'a["a","end"]\n'],
	},
	{
		why: 'a session is its service\'s own: another service cannot reach it',
		exchange: async server => {
			const session = fresh();
			await ask(server, `/echo${session}/xhr`, { method: 'POST' });
			return (await send(server, `/cookie_needed_echo${session}`, 'a')).status;
		},
		videre: 404,
		node: 204,
	},
	{
		why: 'in a page, < could begin </script>: in htmlfile it is escaped',
		exchange: async server => {
			const session = `/echo${fresh()}`;
			const stream = await attach(server, () => {}, session, 'htmlfile?c=cb');
			await stream.take();
			await send(server, session, '</script>');
			return stream.take();
		},
		videre: '<script>\np("a[\\"\\u003c/script>\\"]");\n</script>\r\n',
		node: '<script>\np("a[\\"</script>\\"]");\n</script>\r\n',
	},
	{
		why: 'what is not an array is one message, wherever white space stands',
		exchange: async server => {
			const got = [];
			await frames(server, line => got.push(line[2]), `/echo${fresh()}/websocket`,
				words(' ["a","b"]', '["end"]'), 3);
			return got.slice(0, 2);
		},
		videre: ['o', 'a["a"]'],
		node: ['o', 'a["a,b"]'],
	},
	{
		why: 'over WebSocket a heartbeat is both a frame, which a page sees, and a ping',
		exchange: async server => {
			const got = [];
			await frames(server, ([, opcode, payload]) => got.push([opcode, payload]),
				`/echo${fresh()}/websocket`, [], 2);
			return got[1];
		},
		heartbeat: 1,
		videre: [OPCODE.text, 'h'],
		node: [OPCODE.ping, ''],
	},
	{
		why: 'bytes over a plain WebSocket are echoed as bytes; sockjs-node makes text of them',
		exchange: async server => {
			let opcode;
			await frames(server, line => [, opcode] = line, '/echo/websocket', [[OPCODE.binary, 'abc']], 1);
			return opcode;
		},
		videre: OPCODE.binary,
		node: OPCODE.text,
	},
];

describe('differences to sockjs-node', () => {
	for (const { why, exchange, heartbeat, videre, node } of differences)
		test(why, async t => {
			const both = await serveBoth(t, { heartbeat });
			assert.deepEqual(await exchange(both.node), node, 'sockjs-node');
			assert.deepEqual(await exchange(both.videre), videre, 'videre');
		});
});
