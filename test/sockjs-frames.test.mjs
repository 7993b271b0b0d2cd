/* What SockJS carries: frames and their wrapping, JSON both ways, and each HTTP transport. */
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { Raw } from './client.mjs';
import { test } from './server.mjs';
import {
	CALLBACK, GO_AWAY, Receiver, answer, ask, batch, begin, chunk, exists, fresh, head, kinds,
	message, polls, post, receivers, send, serveEcho, streams, take, under,
} from './sockjs.mjs';

const BROKEN = { status: 500, body: 'Broken JSON encoding.' };
const EXPECTED = { status: 500, body: 'Payload expected.' };

/* The part of an answer that the tables below speak of. */
const brief = ({ status, body }) => ({ status, body });
const xhrSend = async (server, session, body, headers) => brief(await ask(server,
	`/echo${session}/xhr_send`, { method: 'POST', body, ...headers }));
const jsonpSend = async (server, session, body, headers) => brief(await ask(server,
	`/echo${session}/jsonp_send`, { method: 'POST', body, ...headers }));

/* A session's next frame, by polling. */
const poll = async (server, session) => (await take(server, session)).frame;

describe('frames (section 7)', () => {
	for (const kind of kinds) {
		test(`${kind} receives open, messages and close`, async t => {
			const server = await serveEcho(t);
			const session = fresh();
			let receiver = await Receiver.attach(server, session, kind);
			await receiver.gets('o');
			if (polls.includes(kind))
				receiver = await receiver.again(server, session);
			await send(server, session, 'a "b" \\c/');
			await receiver.gets('a["a \\"b\\" \\\\c/"]');

			const there = under(server, '/close');
			const other = fresh();
			receiver = await Receiver.attach(there, other, kind);
			await receiver.gets('o');
			if (polls.includes(kind))
				receiver = await receiver.again(there, other);
			await receiver.gets(GO_AWAY);
			await receiver.ends();
		});

		test(`${kind} receives all queued messages in one frame`, async t => {
			const server = await serveEcho(t);
			const session = await begin(server);
			const texts = ['1', '', 'two', '%', '"', '\\', '\u0000', 'é', ']'];
			for (const text of texts)
				await send(server, session, text);
			await send(server, session, ...texts);
			await (await Receiver.attach(server, session, kind)).gets(batch(...texts, ...texts));
		});
	}

	for (const kind of streams) {
		test(`${kind} receives each message immediately, in a chunk of its own`, async t => {
			const server = await serveEcho(t);
			const session = fresh();
			const receiver = await Receiver.attach(server, session, kind);
			await receiver.gets('o');
			for (let i = 0; i < 3; i++) {
				await send(server, session, `${i}a`, `${i}b`, `${i}c`);
				await receiver.gets(batch(`${i}a`), batch(`${i}b`), batch(`${i}c`));
			}
			await send(server, session);
			await send(server, session, '');
			await receiver.gets('a[""]');
		});

		test(`${kind} begins each response with its prelude`, async t => {
			const server = await serveEcho(t);
			const session = await begin(server);
			for (let i = 0; i < 3; i++) {
				await send(server, session, 'x'.repeat(4096));
				const receiver = await Receiver.attach(server, session, kind);
				await receiver.gets(batch('x'.repeat(4096)));
				await receiver.ends();
			}
		});
	}

	for (const kind of polls) {
		test(`${kind} receives exactly one frame`, async t => {
			const server = await serveEcho(t);
			const session = await begin(server);
			for (let i = 0; i < 3; i++) {
				const receiver = await Receiver.attach(server, session, kind);
				await send(server, session, 'x');
				await receiver.gets('a["x"]');
				await receiver.ends();
			}
			/* What comes of several messages at a poll that waits is theirs to choose, but all of it. */
			const receiver = await Receiver.attach(server, session, kind);
			await send(server, session, 'x', 'y', 'z');
			const got = JSON.parse((await receiver.frame()).slice(1));
			while (got.length < 3)
				got.push(...JSON.parse((await poll(server, session)).slice(1)));
			assert.deepEqual(got, ['x', 'y', 'z']);
		});

		test(`${kind} receives only o of a session that is closed immediately`, async t => {
			const server = await serveEcho(t);
			const { wrap, method, path } = receivers[kind];
			const raw = await Raw.connect(server);
			const session = fresh();
			for (const frame of ['o', GO_AWAY, GO_AWAY]) {
				raw.write(message(`/close${session}${path}`, { method }));
				assert.equal((await answer(raw)).body, wrap(frame));
			}
		});
	}
});

/* All code units but the surrogates, in texts of 256. */
const blocks = Array.from({ length: 256 }, (_, high) =>
	String.fromCharCode(...Array.from({ length: 256 }, (_, low) => high << 8 | low)));
const scalars = blocks.filter(text => !/[\ud800-\udfff]/.test(text));

/* JSON that writes each code unit as an escape, or as much as can be as it is. */
const escapes = (text, upper) => `"${Array.from({ length: text.length }, (_, i) => {
	const hex = text.charCodeAt(i).toString(16).padStart(4, '0');
	return `\\u${upper ? hex.toUpperCase() : hex}`;
}).join('')}"`;

describe('JSON strings (section 8)', () => {
	/* Sends these JSON strings, some at a time, and takes the frame of each lot. */
	async function passes(t, strings, texts) {
		const server = await serveEcho(t);
		const session = await begin(server);
		for (let i = 0; i < texts.length; i += 16) {
			const got = await xhrSend(server, session, `[${strings.slice(i, i + 16).join(',')}]`);
			assert.deepEqual(got, { status: 204, body: '' });
			const wanted = batch(...texts.slice(i, i + 16));
			assert(await poll(server, session) === wanted, `units from ${i.toString(16)}00 on`);
		}
	}

	test('each code unit as an escape of lower-case digits', t =>
		passes(t, blocks.map(text => escapes(text, false)), blocks));
	test('each code unit as an escape of upper-case digits', t =>
		passes(t, blocks.map(text => escapes(text, true)), blocks));
	test('each code unit as it is, where that is JSON', t =>
		passes(t, scalars.map(text => JSON.stringify(text)), scalars));

	test('the exact list of what is escaped', async t => {
		const server = await serveEcho(t);
		const session = await begin(server);
		const escaped = [];
		for (const text of blocks) {
			await xhrSend(server, session, `[${escapes(text)}]`);
			const frame = await poll(server, session);
			assert.deepEqual(JSON.parse(frame.slice(1)), [text]);
			for (const [, hex] of frame.matchAll(/\\u([0-9a-f]{4})/g))
				escaped.push(parseInt(hex, 16));
			assert.doesNotMatch(frame, /\\u(?![0-9a-f]{4})/, 'hex is of lower case');
		}
		const range = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => from + i);
		const short = [8, 9, 10, 12, 13];
		assert.deepEqual(escaped, [
			...range(0, 0x1f).filter(unit => !short.includes(unit)),
			...range(0x200c, 0x200f), ...range(0x2028, 0x202f), ...range(0x2060, 0x206f),
			...range(0xd800, 0xdfff), ...range(0xfff0, 0xffff),
		]);
	});

	test('the bytes of the short escapes, and of characters that need none', async t => {
		const server = await serveEcho(t);
		const session = await begin(server);
		await xhrSend(server, session, '["\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\\u001f\\u007f\\u0080/"]');
		assert.equal(await poll(server, session),
			'a["\\"\\\\/\\b\\f\\n\\r\\t\\u0000\\u001f\u007f\u0080/"]');
	});

	test('characters beyond the BMP leave as two escapes', async t => {
		const server = await serveEcho(t);
		const session = await begin(server);
		for (const json of ['"😀"', '"\\ud83d\\ude00"', '"\\uD83D\\uDE00"']) {
			await xhrSend(server, session, `[${json}]`);
			assert.equal(await poll(server, session), 'a["\\ud83d\\ude00"]');
		}
		for (const [text, frame] of [['\u{10000}', 'a["\\ud800\\udc00"]'],
			['\u{10ffff}', 'a["\\udbff\\udfff"]'], ['a\u{1f600}b', 'a["a\\ud83d\\ude00b"]']]) {
			await send(server, session, text);
			assert.equal(await poll(server, session), frame);
		}
	});

	for (const kind of kinds) {
		test(`lone surrogates are kept, and escaped again over ${kind}`, async t => {
			const server = await serveEcho(t);
			const session = await begin(server);
			const texts = ['\ud800', '\udfff', 'a\udc00b', '\udc00\ud800', '\ud800\ud800\udc00', '\ud83d',
				'\ude00', '\udbff\ue000', 'é\ud83dé', '\udbff\u0000'];
			await send(server, session, ...texts);
			await (await Receiver.attach(server, session, kind)).gets(batch(...texts));
		});
	}

	test('lone surrogates are kept over WebSocket', async t => {
		const server = await serveEcho(t);
		const raw = await Raw.websocket(server, { path: '/echo/0/0/websocket' });
		await raw.gets('o');
		for (const text of ['\ud800', 'a\udc00b', '\udc00\ud800', '\ud83d', '\ude00', '😀']) {
			raw.text(JSON.stringify([text]));
			await raw.gets(batch(text));
			raw.text(JSON.stringify(text));
			await raw.gets(batch(text));
		}
	});

	const invalid = {
		'a byte that never occurs': [0xff],
		'a lone continuation': [0x80],
		'an overlong form': [0xc0, 0x80],
		'an overlong form of three': [0xe0, 0x80, 0xaf],
		'a form cut short': [0xe2, 0x82],
		'a longer form cut short': [0xf0, 0x9f, 0x98],
		'a form broken off': [0xe2, 0x28, 0xa1],
		'a surrogate': [0xed, 0xa0, 0x80],
		'a pair of surrogates': [0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80],
		'beyond U+10FFFF': [0xf4, 0x90, 0x80, 0x80],
		'a form of five bytes': [0xf8, 0x88, 0x80, 0x80, 0x80],
		'two in a row': [0xff, 0xfe],
	};
	for (const [name, bytes] of Object.entries(invalid)) {
		test(`invalid UTF-8, ${name}, is replaced by U+FFFD`, async t => {
			const server = await serveEcho(t);
			const session = await begin(server);
			const text = Buffer.from(bytes).toString();
			assert.match(text, /\ufffd/);
			for (const [before, after] of [['', ''], ['a', 'b'], ['é', '😀'], ['\\n', '\\"']]) {
				const body = Buffer.concat([Buffer.from(`["${before}`), Buffer.from(bytes),
					Buffer.from(`${after}"]`)]);
				const wanted = batch(JSON.parse(`"${before}`.concat(text, `${after}"`)));
				assert.deepEqual(await xhrSend(server, session, body), { status: 204, body: '' });
				assert.equal(await poll(server, session), wanted);
				assert.equal((await jsonpSend(server, session, body)).body, 'ok');
				assert.equal(await poll(server, session), wanted);
				const form = `d=${Array.from(body, byte => `%${byte.toString(16).padStart(2, '0')}`).join('')}`;
				assert.equal((await jsonpSend(server, session, form,
					{ 'Content-Type': 'application/x-www-form-urlencoded' })).body, 'ok');
				assert.equal(await poll(server, session), wanted);
			}
		});
	}

	test('invalid UTF-8 outside a string is broken JSON', async t => {
		const server = await serveEcho(t);
		const session = await begin(server);
		for (const bytes of [[0xff], [0x5b, 0xff, 0x5d], [0xef, 0xbb, 0xbf, 0x5b, 0x5d]])
			assert.deepEqual(await xhrSend(server, session, Buffer.from(bytes)), BROKEN);
	});
});

/* Bodies that no sender takes; [1] and the like are no messages. */
const refusals = [
	...['["x', '[', ']', '{', '["a"] x', '["a" "b"]', '["a",]', '[,]', '["a",,"b"]', "['a']", ' ', 'nul', 'x',
		'["\\x"]', '["\\u12g4"]', '["\u0001"]', '["\n"]', '["a"]["b"]', '{"a":}', '"a', '\u0000', '["a"]\u0000',
		'["\t"]'].map(body => [body, BROKEN]),
	...['{}', '{"0":"a","length":1}', '"a"', '"[\\"a\\"]"', '1', '-1.5e3', 'null', 'true', 'false', '0', '""']
		.map(body => [body, EXPECTED]),
];
const members = ['[1]', '["a",1]', '[null]', '[["a"]]', '[{}]', '[true,"a"]', '["a",{"b":"c"}]', '[[]]'];

/* Bodies of messages, and the frame of them. */
const accepted = [
	['[]', undefined],
	[' [ ] ', undefined],
	['["a"]', 'a["a"]'],
	[' [ "a" ,\t"b"\r\n] ', 'a["a","b"]'],
	['[""]', 'a[""]'],
	['["%61+b&d=1"]', 'a["%61+b&d=1"]'],
	['["[\\"x\\"]"]', 'a["[\\"x\\"]"]'],
	[JSON.stringify(Array(200).fill('m')), batch(...Array(200).fill('m'))],
];

describe('xhr (section 9)', () => {
	test('a new session\'s first answer is o and nothing else', async t => {
		const server = await serveEcho(t);
		const { status, headers, body } = await ask(server, `/echo${fresh()}/xhr`, { method: 'POST' });
		assert.deepEqual({ status, body }, { status: 200, body: 'o\n' });
		assert.equal(headers['content-type'], receivers.xhr.type);
	});

	test('xhr_streaming is a prelude of 2048 h and a chunk for each frame', async t => {
		const raw = await Raw.connect(await serveEcho(t));
		const session = fresh();
		raw.write(message(`/echo${session}/xhr_streaming`, { method: 'POST' }));
		assert.equal((await head(raw)).status, 200);
		assert.equal(await chunk(raw), `${'h'.repeat(2048)}\n`);
		assert.equal(await chunk(raw), 'o\n');
	});
});

describe('xhr_send (section 9)', () => {
	test('takes arrays of strings', async t => {
		const server = await serveEcho(t);
		const session = await begin(server);
		for (const [body, frame] of accepted) {
			const { status, headers, body: nothing } = await ask(server, `/echo${session}/xhr_send`,
				{ method: 'POST', body });
			assert.deepEqual({ status, nothing }, { status: 204, nothing: '' }, body);
			assert.equal(headers['content-type'], 'text/plain; charset=UTF-8');
			assert(!('content-length' in headers && headers['content-length'] !== '0'));
			if (frame !== undefined)
				assert.equal(await poll(server, session), frame);
		}
	});

	test('refuses all other bodies, and the session stays', async t => {
		const server = await serveEcho(t);
		const session = await begin(server);
		for (const body of ['', undefined])
			assert.deepEqual(await xhrSend(server, session, body), EXPECTED);
		for (const [body, wanted] of refusals)
			assert.deepEqual(await xhrSend(server, session, body), wanted, body);
		await send(server, session, 'x');
		assert.equal(await poll(server, session), 'a["x"]');
	});

	test('refuses members that are not strings, and delivers none of the others', async t => {
		const server = await serveEcho(t);
		const session = await begin(server);
		for (const body of members) {
			const { status, body: reason } = await xhrSend(server, session, body);
			assert.equal(status, 500, body);
			assert.match(reason, /^(Payload expected|Broken JSON encoding)\.$/);
		}
		await send(server, session, 'x');
		assert.equal(await poll(server, session), 'a["x"]');
	});

	test('to an unknown session is 404, opens none, and checks the payload first', async t => {
		const server = await serveEcho(t);
		for (let i = 0; i < 2; i++) {
			assert.equal((await xhrSend(server, '/0/nobody', '["x"]')).status, 404);
			assert.equal((await xhrSend(server, '/0/nobody', '[]')).status, 404);
			assert.deepEqual(await xhrSend(server, '/0/nobody', '["x'), BROKEN);
			assert.deepEqual(await xhrSend(server, '/0/nobody', ''), EXPECTED);
			assert.deepEqual(await xhrSend(server, '/0/nobody', '{}'), EXPECTED);
		}
		assert.equal((await take(server, '/0/nobody')).frame, 'o');
	});

	test('to a closing session is 204, and discards the messages', async t => {
		const server = await serveEcho(t);
		const there = under(server, '/close');
		const session = await begin(there);
		await send(there, session, 'x');
		assert.equal(await poll(there, session), GO_AWAY);
		await send(there, session, 'x');
		assert.equal(await poll(there, session), GO_AWAY);
	});

	test('ignores the Content-Type', async t => {
		const server = await serveEcho(t);
		const session = await begin(server);
		for (const type of ['text/plain', 'T', 'application/json', 'application/xml', 'text/xml', '',
			'application/json; charset=utf-8', 'text/xml; charset=utf-8', 'text/plain;charset=UTF-8',
			'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'image/png', undefined]) {
			assert.deepEqual(await xhrSend(server, session, '["x+%20"]', { 'Content-Type': type }),
				{ status: 204, body: '' }, type);
			assert.equal(await poll(server, session), 'a["x+%20"]');
		}
	});
});

describe('eventsource (section 10)', () => {
	test('is an empty line and lines of data', async t => {
		const server = await serveEcho(t);
		const session = fresh();
		const raw = await Raw.connect(server);
		raw.write(message(`/echo${session}/eventsource`));
		const { status, headers } = await head(raw);
		assert.equal(status, 200);
		assert.equal(headers['content-type'], 'text/event-stream');
		assert.equal(await chunk(raw), '\r\n');
		assert.equal(await chunk(raw), 'data: o\r\n\r\n');
		await send(server, session, '\u0000\n\r ');
		assert.equal(await chunk(raw), 'data: a["\\u0000\\n\\r "]\r\n\r\n');
	});

	test('only a percent sign is escaped', async t => {
		const server = await serveEcho(t);
		const session = fresh();
		const raw = await Raw.connect(server);
		raw.write(message(`/echo${session}/eventsource`));
		await raw.through('data: o\r\n\r\n\r\n');
		for (const [text, data] of [['%', '%25'], ['100%', '100%25'], ['%25', '%2525'],
			['%0A%00', '%250A%2500'], ['%%%', '%25%25%25'], ['+&=#?/é', '+&=#?/é'],
			['%u2028\u2028', '%25u2028\\u2028']]) {
			await send(server, session, text);
			assert.equal(await chunk(raw), `data: a["${data}"]\r\n\r\n`);
		}
	});

	test('a frame of only percent signs is complete', async t => {
		const server = await serveEcho(t);
		const session = await begin(server);
		await send(server, session, '%'.repeat(20_000));
		await (await Receiver.attach(server, session, 'eventsource')).gets(batch('%'.repeat(20_000)));
	});
});

/* What callbacks may be is the same in both transports that have one. */
function describeCallback(path, begins) {
	test(`${path} takes a callback by either name`, async t => {
		const server = await serveEcho(t);
		for (const [query, callback] of [['c=cb', 'cb'], ['callback=cb', 'cb'], ['c=%63allback', 'callback'],
			['callback=a%2Eb', 'a.b'], ['t=1&c=cb&x=y', 'cb'], ['c=a&callback=b', 'a'],
			['callback=b&c=a', 'a'], ['c=_jp.aAz09-_.', '_jp.aAz09-_.'],
			[`c=${'x'.repeat(32)}`, 'x'.repeat(32)],
			['c=0', '0'], ['cc=x&c=cb', 'cb']]) {
			const raw = await Raw.connect(server);
			raw.write(message(`/echo${fresh()}/${path}?${query}`));
			const { status } = await head(raw);
			assert.equal(status, 200, query);
			await raw.through(begins(callback));
		}
	});

	test(`${path} refuses without a callback, or with one that is none`, async t => {
		const server = await serveEcho(t);
		const raw = await Raw.connect(server);
		const refuses = async (query, body) => {
			raw.write(message(`/echo/0/0/${path}${query}`));
			assert.deepEqual(brief(await answer(raw)), { status: 500, body }, query);
		};
		for (const query of ['', '?', '?x=cb', '?c', '?c=', '?c=&x=y', '?callback=', '?C=cb', '?xc=cb'])
			await refuses(query, '"callback" parameter required');
		for (const value of ['%20', '*', 'abc(', 'abc%28', 'a%00', 'a%0Ab', 'a/b', 'a;b', 'a+b', '%C3%A9',
			'a%22', '%3C', '[0]', '$', 'x'.repeat(33), 'x'.repeat(1000)]) {
			await refuses(`?c=${value}`, 'invalid "callback" parameter');
			await refuses(`?callback=${value}`, 'invalid "callback" parameter');
		}
		assert.equal(await exists(server, '/0/0'), false);
	});
}

describe('htmlfile (section 11)', () => {
	describeCallback('htmlfile', callback => `var c = parent.${callback};\n`);

	test('is a page with a script for each frame', async t => {
		const server = await serveEcho(t);
		const session = fresh();
		const raw = await Raw.connect(server);
		raw.write(message(`/echo${session}/htmlfile?c=${CALLBACK}`));
		const { status, headers } = await head(raw);
		assert.equal(status, 200);
		assert.equal(headers['content-type'], 'text/html; charset=UTF-8');
		receivers.htmlfile.begins(await chunk(raw));
		assert.equal(await chunk(raw), '<script>\np("o");\n</script>\r\n');
		await send(server, session, 'x "\\\n');
		assert.equal(await chunk(raw),
			'<script>\np("a[\\"x \\\\\\"\\\\\\\\\\\\n\\"]");\n</script>\r\n');
	});

	test('is padded to more than 1024 bytes, whatever the callback', async t => {
		const server = await serveEcho(t);
		for (const callback of ['c', 'x'.repeat(32)]) {
			const raw = await Raw.connect(server);
			raw.write(message(`/echo${fresh()}/htmlfile?c=${callback}`));
			await head(raw);
			const page = await chunk(raw);
			assert(page.length > 1024);
			assert.match(page, /<\/script>\s+$/);
		}
	});

	test('a message cannot end the script', async t => {
		const server = await serveEcho(t);
		const session = fresh();
		const raw = await Raw.connect(server);
		raw.write(message(`/echo${session}/htmlfile?c=c`));
		await raw.through('</script>\r\n\r\n');
		await send(server, session, '</script><!--');
		assert.equal(await chunk(raw),
			'<script>\np("a[\\"\\u003c/script>\\u003c!--\\"]");\n</script>\r\n');
	});

	test('a frame of only less-than signs is complete', async t => {
		const server = await serveEcho(t);
		const session = await begin(server);
		await send(server, session, '<'.repeat(20_000));
		await (await Receiver.attach(server, session, 'htmlfile')).gets(batch('<'.repeat(20_000)));
	});
});

describe('jsonp (section 12)', () => {
	describeCallback('jsonp', callback => `/**/${callback}("o");\r\n`);

	test('is a script that calls', async t => {
		const server = await serveEcho(t);
		const session = fresh();
		const next = () => ask(server, `/echo${session}/jsonp?c=${CALLBACK}`);
		const { status, headers, body } = await next();
		assert.deepEqual({ status, body }, { status: 200, body: `/**/${CALLBACK}("o");\r\n` });
		assert.equal(headers['content-type'], receivers.jsonp.type);
		assert.equal(headers['x-content-type-options'], 'nosniff');
		await send(server, session, 'x "\\\n\u2028<');
		assert.equal((await next()).body,
			`/**/${CALLBACK}("a[\\"x \\\\\\"\\\\\\\\\\\\n\\\\u2028<\\"]");\r\n`);
	});
});

describe('jsonp_send (section 12)', () => {
	const FORM = { 'Content-Type': 'application/x-www-form-urlencoded' };
	const OK = { status: 200, body: 'ok' };
	const form = json => `d=${encodeURIComponent(json)}`;

	test('takes arrays of strings, in a form or as they are', async t => {
		const server = await serveEcho(t);
		const session = await begin(server);
		for (const [json, frame] of accepted)
			for (const [body, headers] of [[json, { 'Content-Type': 'text/plain' }], [json, {}],
				[json, { 'Content-Type': 'text/plain;charset=UTF-8' }], [form(json), FORM],
				[`x=1&${form(json)}&y=2`, FORM], [form(json),
					{ 'Content-Type': 'application/x-www-form-urlencoded; charset=UTF-8' }]]) {
				const got = await ask(server, `/echo${session}/jsonp_send`,
					{ method: 'POST', body, ...headers });
				assert.deepEqual(brief(got), OK, body);
				assert.equal(got.headers['content-type'], 'text/plain; charset=UTF-8');
				if (frame !== undefined)
					assert.equal(await poll(server, session), frame);
			}
	});

	test('decodes percent and plus in a form, and nothing elsewhere', async t => {
		const server = await serveEcho(t);
		const session = await begin(server);
		for (const [body, headers, frame] of [
			['d=%5B%22%61bc%22%5D', FORM, 'a["abc"]'],
			['d=["a+b%2Bc"]', FORM, 'a["a b+c"]'],
			['d=["%25%3d=%26"]', FORM, 'a["%==&"]'],
			['d=%5b%22%c3%A9%22%5d', FORM, 'a["é"]'],
			['d=["\\u00e9"]', FORM, 'a["é"]'],
			['["%61+bc"]', {}, 'a["%61+bc"]'],
			['["d=[]&x"]', { 'Content-Type': 'text/plain' }, 'a["d=[]&x"]'],
		]) {
			assert.deepEqual(await jsonpSend(server, session, body, headers), OK, body);
			assert.equal(await poll(server, session), frame);
		}
	});

	test('refuses all other bodies, and the session stays', async t => {
		const server = await serveEcho(t);
		const session = await begin(server);
		for (const body of ['', undefined, 'd=', 'p=p', 'd', 'D=["x"]', 'dd=["x"]'])
			assert.deepEqual(await jsonpSend(server, session, body, FORM), EXPECTED, body);
		for (const body of ['', undefined])
			assert.deepEqual(await jsonpSend(server, session, body), EXPECTED, body);
		for (const [json, wanted] of refusals) {
			assert.deepEqual(await jsonpSend(server, session, form(json), FORM), wanted, json);
			assert.deepEqual(await jsonpSend(server, session, json), wanted, json);
		}
		for (const json of members)
			for (const [body, headers] of [[json, {}], [form(json), FORM]])
				assert.equal((await jsonpSend(server, session, body, headers)).status, 500, body);
		for (const type of ['application/json', 'text/xml', 'T', 'multipart/form-data'])
			assert.deepEqual(await jsonpSend(server, session, '["x"]', { 'Content-Type': type }), EXPECTED,
				type);
		for (const body of ['d=%zz', 'd=["%', 'd=["%6'])
			assert.equal((await jsonpSend(server, session, body, FORM)).status, 500, body);
		assert.deepEqual(await jsonpSend(server, session, '["x"]'), OK);
		assert.equal(await poll(server, session), 'a["x"]');
	});

	test('to an unknown session is 404, to a closing one ok', async t => {
		const server = await serveEcho(t);
		assert.equal((await jsonpSend(server, '/0/nobody', '["x"]')).status, 404);
		assert.equal((await jsonpSend(server, '/0/nobody', form('["x"]'), FORM)).status, 404);
		assert.deepEqual(await jsonpSend(server, '/0/nobody', '["x'), BROKEN);
		const there = under(server, '/close');
		const session = await begin(there);
		assert.deepEqual(brief(await ask(server, `/close${session}/jsonp_send`,
			{ method: 'POST', body: '["x"]' })), OK);
		assert.equal((await take(there, session)).frame, GO_AWAY);
	});

	test('of a form in chunks and pieces is put together', async t => {
		const server = await serveEcho(t);
		const session = await begin(server);
		const raw = await Raw.connect(server);
		const body = form('["wörld"]');
		raw.write(message(`/echo${session}/jsonp_send`,
			{ method: 'POST', ...FORM, 'Transfer-Encoding': 'chunked' }));
		for (const byte of body)
			raw.write(`1\r\n${byte}\r\n`);
		raw.write('0\r\n\r\n');
		assert.deepEqual(brief(await answer(raw)), OK);
		assert.equal(await poll(server, session), 'a["wörld"]');
		assert.deepEqual(brief(await post(raw, `/echo${session}/jsonp_send`, body, FORM)), OK);
	});
});
