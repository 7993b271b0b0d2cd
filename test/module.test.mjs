/*
 * The module videre.js: how it is served, its types, and rooms in Chromium and Firefox, on pages of
 * another origin.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { describe } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { Raw, gather, request } from './client.mjs';
import { smaller } from './pages.mjs';
import { baseOf, enter, eventsOf, gatherPages, happens, isOpen, openExample, playing, see, sees, server, until, userOf } from './rooms.mjs';
import { freePort, scratch, serve, start, test } from './server.mjs';
import { FIRST, REFUSED, SECOND, serveTokens, sign } from './tokens.mjs';

const require = createRequire(import.meta.url);
const source = new URL('../videre.js', import.meta.url);

async function ask(server, options = {}) {
	const raw = await Raw.connect(server);
	raw.write(request('/videre.js', { Connection: 'close', ...options }));
	const answer = await raw.response({ bytes: true, bodiless: options.method === 'HEAD' });
	await raw.ended();
	return answer;
}

describe('the module', () => {
	test('is the file videre.js without comments and indentation, for pages of all origins', async t => {
		const { status, headers, body } = await ask(await serve(t, { conf: { Prefix: '/a/b' } }));
		assert.equal(status, 200);
		const commented = await readFile(source, 'utf8');
		assert.equal(gunzipSync(body).toString(), smaller(commented));
		const expected = {
			'content-type': 'text/javascript; charset=UTF-8',
			'content-encoding': 'gzip',
			'vary': 'Accept-Encoding',
			'cache-control': 'no-cache',
			'x-content-type-options': 'nosniff',
			'access-control-allow-origin': '*',
			'access-control-expose-headers': 'Link',
			'cross-origin-resource-policy': 'cross-origin',
			'link': '<./a/b/websocket>; rel="service"',
			'content-security-policy': undefined,
		};
		for (const [name, value] of Object.entries(expected))
			assert.equal(headers[name], value, name);
	});

	test('has a different ETag from the page', async t => {
		const server = await serve(t);
		const { etag } = (await ask(server)).headers;
		assert.match(etag, /^"[0-9a-f]{16}"$/);
		assert.equal((await ask(server, { 'If-None-Match': etag })).status, 304);
		const raw = await Raw.connect(server);
		raw.write(request('/', { Connection: 'close', 'If-None-Match': etag }));
		assert.equal((await raw.response()).status, 200, 'the page has another');
	});

	test('has at most 12 KB together with the page', async t => {
		const server = await serve(t);
		const raw = await Raw.connect(server);
		raw.write(request('/', { Connection: 'close' }));
		const { body } = await raw.response({ bytes: true });
		assert(body.length + (await ask(server)).body.length <= 12 * 1024);
	});

	test('is for pages that Origins does not allow too', async t => {
		const server = await serve(t, { conf: { Origins: ['https://good.example'] } });
		for (const Origin of ['https://good.example', 'https://bad.example'])
			assert.equal((await ask(server, { Origin })).status, 200);
	});

	test('is not served if Page is false', async t => {
		assert.equal((await ask(await serve(t, { conf: { Page: false } }))).status, 404);
	});

	test('passes type checks', async t => {
		const dir = await scratch(t), use = path.join(dir, 'use.js');
		await writeFile(use, `import { Room } from ${JSON.stringify(fileURLToPath(source))};
const room = new Room('kitchen', { stream: new MediaStream(), socket: url => new WebSocket(url) });
const video = document.createElement('video');
room.addEventListener('peer', ({ peer }) => video.srcObject = peer.stream);
room.addEventListener('close', ({ code }) => code?.length);
room.opened.then(() => room.peers[0].send('x'));
// @ts-expect-error
room.addEventListener('peers', () => {});
// @ts-expect-error
room.addEventListener('left', ({ data }) => data);
// @ts-expect-error
new Room('kitchen', { stream: 1 });
`);
		const tsc = require.resolve('typescript/bin/tsc');
		await promisify(execFile)(process.execPath, [tsc, '--allowJs', '--checkJs', '--strict', '--noEmit', '--target', 'es2022',
			'--module', 'es2022', '--moduleResolution', 'bundler', '--lib', 'es2022,dom,dom.iterable', use], { cwd: dir })
			.catch(({ stdout }) => assert.fail(stdout));
	});
});

describe('a room', { concurrency: 2 }, () => {
	for (const kinds of [['chromium', 'chromium'], ['chromium', 'firefox'], ['firefox', 'chromium'], ['firefox', 'firefox'],
		['firefox', 'chromium', 'firefox']])
		test(`of ${kinds.join(', ')}`, async t => {
			const pages = await gatherPages(t, ...kinds.map(kind => [kind, { name: `it is ${kind}` }]));
			for (const [i, page] of pages.entries()) {
				const others = pages.filter(other => other !== page);
				await until(page, 'messages that are sent', count => room.send('hello') === count, others.length);
				for (const other of others)
					await happens(other, { type: 'message', id: await userOf(page), data: 'hello' });
				const names = await page.evaluate(() => room.peers.map(peer => peer.name));
				assert.deepEqual(names.sort(), kinds.filter((_, j) => j !== i).map(kind => `it is ${kind}`).sort());
			}
		});

	for (const sockjs of ['websocket', 'xhr-streaming'])
		test(`with a peer over SockJS's ${sockjs}`, async t => {
			await gatherPages(t, ['chromium', { sockjs }], ['firefox', {}], ['chromium', { sockjs }]);
		});

	test('a message to one peer reaches only that peer', async t => {
		const [a, b, c] = await gatherPages(t, ['chromium', {}], ['chromium', {}], ['chromium', {}]);
		await until(a, 'two channels', () => room.send('all') === 2);
		await a.evaluate(id => room.peers.find(peer => peer.id === id).send('one'), await userOf(c));
		await a.evaluate(() => room.send('last'));
		for (const [page, texts] of [[b, ['all', 'last']], [c, ['all', 'one', 'last']]]) {
			await happens(page, { type: 'message', data: 'last' });
			assert.deepEqual([...new Set((await eventsOf(page, 'message')).map(({ data }) => data))], texts);
		}
	});

	test('peers see immediately that a user leaves or closes the page', async t => {
		const [a, b, c] = await gatherPages(t, ['chromium', {}], ['firefox', {}], ['chromium', {}]);
		const users = [await userOf(b), await userOf(c)];
		await b.evaluate(() => room.leave());
		await happens(a, { type: 'left', id: users[0] });
		await happens(b, { type: 'close', code: undefined });
		assert.equal(await b.evaluate(() => room.state), 'closed');
		await c.close();
		await happens(a, { type: 'left', id: users[1] });
		assert.deepEqual(await a.evaluate(() => room.peers.length), 0);
	});

	test('setting the stream replaces the tracks without a new connection', async t => {
		const [a, b] = await gatherPages(t, ['chromium', {}], ['firefox', {}]);
		for (const [page, other] of [[a, b], [b, a]]) {
			await page.evaluate(() => {
				window.kept = room.stream;
				room.stream = undefined;
			});
			/* Without a track, Firefox sends a frame a second. */
			await until(other, 'a video that stands', async () => {
				const frames = async () => [...await room.peers[0].connection.getStats()].map(([, one]) => one)
					.find(({ type, kind }) => type === 'inbound-rtp' && kind === 'video').framesDecoded;
				const before = await frames();
				await new Promise(done => setTimeout(done, 2000));
				return await frames() - before <= 3;
			});
			await page.evaluate(() => room.stream = kept);
			await sees(other, 1);
			assert.equal((await eventsOf(other, 'state')).filter(({ id }) => id).length, 1, 'one connection');
		}
	});

	test('calls survive the restart of the server', async t => {
		const Port = await freePort();
		const conf = { Port };
		const old = await start({ conf });
		const [a, b] = await gatherPages(t, ['chromium', { at: old }], ['firefox', { at: old }]);
		await old.stop();
		for (const page of [a, b])
			await happens(page, { type: 'state', state: 'connecting', code: 'unreachable' });
		await see([a, b]);
		const again = await serve(t, { conf });
		for (const page of [a, b]) {
			await isOpen(page);
			assert.equal((await eventsOf(page, 'open')).length, 2);
			assert.deepEqual(await eventsOf(page, 'left'), []);
		}
		const c = await enter(t, 'chromium', { at: again });
		await see([a, b, c]);
	});

	test('a user that joins from another page takes over', async t => {
		const [a, b] = await gatherPages(t, ['chromium', {}], ['chromium', { user: 'bob' }]);
		const c = await enter(t, 'chromium', { user: 'bob' });
		await happens(b, { type: 'close', code: 'replaced' });
		await happens(a, { type: 'left', id: 'bob' });
		await see([a, c]);
	});

	test('closes with the reason if it is full', async t => {
		await gather(server, t.name, 'a', 'b', 'c', 'd');
		const page = await enter(t, 'chromium');
		await happens(page, { type: 'close', code: 'room is full' });
		assert.match(await page.evaluate(() => room.opened.catch(String)), /room is full/);
	});

	test('takes its user from the token, and closes if the token is refused', async t => {
		const { server: at } = await serveTokens(t);
		const into = t.name, token = sign({ room: into, sub: 'Zoë' });
		const a = await enter(t, 'chromium', { at, into, token });
		await isOpen(a);
		assert.equal(await userOf(a), 'Zoë');
		const b = await enter(t, 'firefox', { at, into, token: sign({ room: into }) });
		await see([a, b]);
		for (const [token, code] of [[undefined, 'token needed'], ['x', 'token is not valid'],
			[sign({ room: 'other' }), 'token is for another room'], [sign({ exp: 1 }), 'token has expired']]) {
			const c = await enter(t, 'chromium', { at, into, token });
			await happens(c, { type: 'close', code });
		}
	});

	test('gets a new token for each attempt to reach the server', async t => {
		const Port = await freePort();
		const first = await serveTokens(t, { conf: { Port }, start: (_, options) => start(options) });
		const page = await enter(t, 'chromium', { at: first.server });
		await happens(page, { type: 'close', code: 'token needed' });
		await page.evaluate((base, name, tokens) => {
			window.given = [...tokens];
			window.second = new room.constructor(name, { url: base, token: async () => given.length > 1 ? given.shift() : given[0] });
			second.addEventListener('close', ({ code }) => events.push({ type: 'second', code }));
		}, baseOf(first.server), t.name, [sign({}), sign({ exp: 1 })]);
		await until(page, 'an open room', () => second.state === 'open');
		await first.server.stop();
		await serve(t, { conf: { Port, Tokens: first.file }, allow: [REFUSED] });
		await happens(page, { type: 'second', code: 'token has expired' });
	});

	test('keeps its calls while the server rejects its token, and reconnects later', async t => {
		const { server: at, put } = await serveTokens(t);
		const pages = await gatherPages(t, ['chromium', { at, token: sign({}) }], ['firefox', { at, token: sign({}) }]);
		await put(SECOND);
		at.signal('SIGHUP');
		await at.lines.match(/ info - file of Tokens loaded$/);
		for (const page of pages) {
			await page.evaluate(() => sockets.at(-1).close());
			await happens(page, { type: 'state', state: 'connecting', code: 'token is not valid' });
		}
		await see(pages);
		await put(FIRST);
		at.signal('SIGHUP');
		await at.lines.match(/ info - file of Tokens loaded$/, at.lines.all.length);
		for (const page of pages) {
			await page.evaluate(() => dispatchEvent(new Event('online')) && undefined);
			await isOpen(page);
			assert.deepEqual(await eventsOf(page, 'left'), []);
		}
	});

	test('uses the ICE servers of the server, even if they need a token', async t => {
		const urls = ['stun:127.0.0.1', 'stun:[::1]'];
		const { server: at } = await serveTokens(t, { conf: { IceServers: urls } });
		const pages = await gatherPages(t, ['chromium', { at, token: sign({}) }], ['firefox', { at, token: sign({}) }]);
		for (const page of pages)
			assert.deepEqual(await page.evaluate(() => room.peers[0].connection.getConfiguration().iceServers.map(one => one.urls).flat()), urls);
	});

	test('works without the ICE servers if the browser rejects one', async t => {
		const at = await serve(t, { conf: { IceServers: ['stun:127.0.0.1', 'stun:127.0.0.1:9'] } }); /* Firefox blocks the port */
		const [, b] = await gatherPages(t, ['chromium', { at }], ['firefox', { at }]);
		await happens(b, { type: 'error', code: 'ice' });
	});

	test('reports that the server does not allow the page', async t => {
		const strict = await serve(t, { conf: { Origins: ['https://good.example'] }, expect: [/Origins/] });
		const page = await enter(t, 'chromium');
		await page.evaluate(base => {
			window.other = new room.constructor('x', { url: base });
			window.codes = [];
			other.addEventListener('state', ({ code }) => codes.push(code));
		}, baseOf(strict).replace('http', 'ws') + 'echo/websocket');
		await until(page, 'refused', () => codes.includes('refused'));
	});

	test('a name that is too long is an error', async t => {
		const page = await enter(t, 'chromium');
		assert.match(await page.evaluate(() => {
			try {
				new room.constructor('\u00e9'.repeat(65));
			} catch (error) {
				return String(error);
			}
		}), /RangeError.*128 bytes/);
	});
});

describe('examples/own-page', () => {
	const names = ['index', 'sockjs', 'plain'];

	for (const order of [names, [...names].reverse()])
		test(`${order.join(', then ')} see each other`, async t => {
			const at = await serve(t), entered = [];
			for (const name of order) {
				entered.push(await openExample(t, name, at));
				for (const one of entered)
					await playing(one, entered.length - 1);
			}
			await entered[1].close();
			for (const page of [entered[0], entered[2]])
				await until(page, 'a video less', () => document.querySelectorAll('video').length === 1);
		});
});
