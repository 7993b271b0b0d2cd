/*
 * The page at /: how it is served, and how it behaves in Chromium.  SCREENSHOT names a file for the picture
 * that the README shows.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { chromium } from 'playwright-core';
import { pair } from './certificate.mjs';
import { browserOptions } from './chromium.mjs';
import { Raw, gather, open, packet, request } from './client.mjs';
import {
	BOTH, alone, atTheDoor, join, others, press, says, sees, until, useSmallPictures,
} from './pages.mjs';
import { serve, start, test } from './server.mjs';
import { SECOND, now, serveTokens, sign } from './tokens.mjs';

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

	test('has at most 12 KB, packed', async t => {
		assert((await ask(await serve(t))).body.length <= 12_288);
	});

	test('is alone outside the prefix', async t => {
		const server = await serve(t);
		for (const target of ['//', '/index.html', '/%2F', '/.', '*', '/page'])
			for (const method of ['GET', 'HEAD', 'POST'])
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
		for (const method of ['POST', 'PUT', 'PATCH']) {
			const { status, headers } = await ask(server, '/', { method });
			assert.equal(status, 405);
			assert.equal(headers.allow, 'GET, HEAD, OPTIONS');
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
			const { status, headers, body } = await ask(server, '/',
				{ 'Accept-Encoding': coding, 'If-None-Match': '*' });
			assert.equal(status, 406);
			assert.deepEqual([headers['content-encoding'], headers.etag], [undefined, undefined]);
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

	for (const Prefix of ['/echo', '/a/b', '/x:y', '//z'])
		test(`names the service at ${Prefix}, below where it is itself`, async t => {
			const { link } = (await ask(await serve(t, { conf: { Prefix } }))).headers;
			const [, path] = /^<(.*)>; rel="service"$/.exec(link);
			for (const at of ['http://a.example/', 'https://a.example:1/below/a/proxy/'])
				assert.equal(new URL(path, at).href, `${at.slice(0, -1)}${Prefix}/websocket`);
		});

	test('names no service that no request could reach', async t => {
		const server = await serve(t, { conf: { Prefix: `/${'x'.repeat(10_000)}` } });
		const { status, headers, body } = await ask(server);
		assert.deepEqual([status, headers.link], [200, undefined]);
		assert.equal(gunzipSync(body).toString(), await readFile(source, 'utf8'));
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

/*
 * In Chromium, with a made-up camera.  Each test has a room of its own.
 */

/* A name for loopback that is not secure as an address of loopback is. */
const INSECURE = 'videre.test';

let browser, plain, secure, strict;

before(async () => {
	const args = browserOptions.args
		.filter(arg => arg !== '--use-fake-ui-for-media-stream') /* permissions are the context's */
		.map(arg => arg.startsWith('--use-fake-device') ? `${arg}=fps=5` : arg)
		.map(arg => arg.replace('-rules=', `-rules=MAP ${INSECURE} 127.0.0.1, `));
	browser = await chromium.launch({ ...browserOptions, args });
	plain = await start({ conf: { MaxPeers: 4 } });
	secure = await start({ tls: await pair('P-256'), conf: { Prefix: '/a/b' } });
	strict = await start({ conf: { Origins: ['https://good.example'] } });
});

after(async () => {
	await browser?.close();
	for (const server of [plain, secure, strict])
		await server?.stop();
});

/* What the browser says of a server that a test stops. */
const STOPPED = [/ERR_CONNECTION_REFUSED/, /ERR_CONNECTION_RESET/, /status of 503/];

/* Whatever the page waits for comes sooner. */
function hurry() {
	const really = setTimeout;
	window.setTimeout = (what, time, ...rest) => really(what, time / 5, ...rest);
}

/* The page's field takes no longer name. */
const roomOf = t => t.name.slice(0, 128).trim();

/* A token with these claims.  Its signature is not valid. */
const encode = value => Buffer.from(JSON.stringify(value)).toString('base64url');
const token = claims => `${encode({ alg: 'HS256' })}.${encode(claims)}.${'x'.repeat(43)}`;

/* Opens the page in a browser context of its own; at the end nothing may have gone wrong there. */
async function visit(t, server, options = {}) {
	const {
		room = roomOf(t), permissions = BOTH, host = server.host, fragment = encodeURIComponent(room), link, before,
		ice, allow = [], ...rest
	} = options;
	const context = await browser.newContext({ permissions, viewport: { width: 480, height: 360 }, ...rest });
	const page = await context.newPage();
	const origin = `${server.tls ? 'https' : 'http'}://${host}:${server.port}`;
	const wrong = [];
	page.on('console', message => message.type() === 'error' && wrong.push(message.text()));
	page.on('pageerror', error => wrong.push(String(error)));
	page.on('request', request => request.url().startsWith(`${origin}/`) || wrong.push(request.url()));
	t.after(async () => {
		await context.close();
		assert.deepEqual(wrong.filter(text => !allow.some(pattern => pattern.test(text))), []);
	});
	for (const script of [process.env.SCREENSHOT ? undefined : useSmallPictures, before])
		if (script)
			await page.addInitScript(script);
	if (ice)
		await page.route('**/ice', ice);
	await page.goto(link ?? `${origin}/#${fragment}`);
	return page;
}

async function enter(t, server, options) {
	const page = await visit(t, server, options);
	await join(page);
	return page;
}

describe('in a browser', { concurrency: 2 }, () => {
	for (const [scheme, server] of [['http', () => plain], ['https', () => secure]])
		test(`over ${scheme} two pages see each other`, async t => {
			const ann = await enter(t, server(), { room: 'kitchen', viewport: { width: 800, height: 500 } });
			await alone(ann);
			const bob = await enter(t, server(), { room: 'kitchen' });
			await Promise.all([sees(ann, 1), sees(bob, 1)]);
			if (scheme === 'https' && process.env.SCREENSHOT)
				await ann.screenshot({ path: process.env.SCREENSHOT, fullPage: true });
		});

	test('four pages all see each other', async t => {
		const pages = [];
		for (let i = 0; i < 4; i++)
			pages.push(await enter(t, plain));
		await Promise.all(pages.map(page => sees(page, 3)));
	});

	test('offers, answers and candidates go to one peer alone', async t => {
		const room = roomOf(t);
		const [witness] = await gather(plain, room, 'witness');
		const pages = [await enter(t, plain), await enter(t, plain)];
		await Promise.all(pages.map(page => says(page, 'Here with you: 2')));
		await until(pages[0], 'a picture', () => [...document.querySelectorAll('video')].slice(1)
			.some(video => video.getVideoPlaybackQuality().totalVideoFrames > 5));
		/* The witness has received what was sent before its last packet. */
		for (const page of pages) {
			const sender = await page.evaluate(() => {
				send('broadcast', { To: 'witness', Last: user });
				return user;
			});
			let last;
			do {
				const { Header, Payload } = JSON.parse(await witness.next());
				last = Payload?.Last;
				/* Pages of older versions send to all, and read the Payload's To only. */
				if (Header.Event === 'broadcast')
					assert.deepEqual([Header.To, Payload.To], ['witness', 'witness']);
			} while (last !== sender);
		}
	});

	test('a page that knows no To in the Header sees the others', async t => {
		const old = await visit(t, plain);
		await old.evaluate(() => {
			send = (Event, Payload) => socket.readyState === WebSocket.OPEN &&
				socket.send(JSON.stringify({ Header: { Event, UserId: user, RoomId: room }, Payload }));
		});
		const ann = await enter(t, plain);
		await alone(ann);
		await join(old);
		await says(ann, 'Here with you: 1');
		const bob = await enter(t, plain);
		await Promise.all([ann, old, bob].map(page => sees(page, 2)));
	});

	test('a server that stays away is tried more and more seldom, and never by all at once', async t => {
		const page = await visit(t, plain);
		const waits = await page.evaluate(() => {
			attempts = 0;
			return Array.from({ length: 400 }, (_, i) => {
				let wait;
				window.setTimeout = (what, time) => wait = time;
				attempts %= 10;
				retry(call);
				return [i % 10, wait];
			});
		});
		const most = [1, 2, 4, 8, 16, 30, 30, 30, 30, 30];
		assert(waits.every(([i, wait]) => wait >= 500 * most[i] && wait < 1000 * most[i]));
		assert(new Set(waits.map(([, wait]) => wait)).size > 390);
	});

	test('a room that is full says so', async t => {
		await gather(plain, roomOf(t), 'a', 'b', 'c', 'd');
		const page = await enter(t, plain);
		await says(page, 'room is full');
		await atTheDoor(page);
	});

	test('a server that refuses the page says so', async t => {
		const page = await enter(t, strict, { allow: [/WebSocket connection .* 403/] });
		await says(page, `refuses this page: it is full, or its Origins lack http://127.0.0.1:${strict.port}`);
	});

	test('a server that is too full to say where it is says so', async t => {
		const page = await visit(t, plain, { allow: [/status of 503/] });
		await page.route('**/*', route => route.request().method() === 'HEAD'
			? route.fulfill({ status: 503 }) : route.fallback());
		await join(page);
		await says(page, 'refuses this page: it is full');
	});

	test('a server that takes no packet as long as an offer is left', async t => {
		const small = await serve(t, { conf: { MaxPacket: 1024 } });
		const ann = await enter(t, small);
		await alone(ann);
		const bob = await enter(t, small, { allow: STOPPED });
		await says(ann, 'longer than the MaxPacket');
		await atTheDoor(ann);
		await alone(bob);
	});

	test('who takes the place of a page makes it say so, and stay away', async t => {
		const page = await enter(t, plain);
		await alone(page);
		const other = await open(plain);
		other.join(await page.evaluate(() => user), roomOf(t));
		await says(page, 'taken your place');
		await atTheDoor(page);
	});

	for (const [what, permissions, message, sent] of [
		['everything', [], 'without camera and microphone: the browser denies it', ''],
		['a camera', ['microphone'], 'Without camera: the browser denies it', 'audio'],
		['a microphone', ['camera'], 'Without microphone: the browser denies it', 'video'],
	])
		test(`who is denied ${what} joins with the rest`, async t => {
			const ann = await enter(t, plain);
			await alone(ann);
			const bob = await enter(t, plain, { permissions });
			await says(bob, message);
			await sees(bob, 1);
			await until(ann, `what comes is ${sent}`, expected => expected === [...peers.values()][0]
				.connection.getTransceivers()
				.filter(({ currentDirection }) => /recv/.test(currentDirection))
				.map(({ receiver }) => receiver.track.kind).join(), sent);
			await enter(t, plain);
			await sees(bob, 2);
		});

	test('a camera that is busy is named, and so is a browser without WebRTC', async t => {
		const busy = await enter(t, plain, {
			before: () => navigator.mediaDevices.getUserMedia = async ({ video }) => {
				if (video)
					throw new DOMException('', 'NotReadableError');
				return new MediaStream();
			},
		});
		await says(busy, 'Without camera: another program uses it');
		const old = await visit(t, plain, { before: () => delete window.RTCPeerConnection });
		await says(old, 'no WebRTC');
		assert(!await old.getByRole('button', { name: 'Join' }).isVisible());
	});

	test('a page that is not secure says what to do, and sees the others', async t => {
		const ann = await enter(t, plain);
		await alone(ann);
		const bob = await enter(t, plain, { host: INSECURE });
		await says(bob, 'https pages only. The server needs TLS: see videre -k');
		await sees(bob, 1);
	});

	test('the link that is copied leads to the room', async t => {
		const room = 'R & D + "ä" #1%';
		const ann = await enter(t, plain, { room, permissions: [...BOTH, 'clipboard-read', 'clipboard-write'] });
		await alone(ann);
		await press(ann, 'Invite');
		await says(ann, 'copied');
		const link = await ann.evaluate(() => navigator.clipboard.readText());
		assert.equal(link, await ann.locator('#link').inputValue());
		await ann.evaluate(() => navigator.share = async data => window.shared = data);
		await press(ann, 'Invite');
		await until(ann, 'the same link shared', url => window.shared?.url === url, link);
		const bob = await enter(t, plain, { link });
		await says(bob, 'Here with you: 1');
		assert.equal(await bob.evaluate(() => room), room);

		/* A page that is not secure copies in another way.  Of what is pasted the field takes the first. */
		const carol = await enter(t, plain, { host: INSECURE });
		await alone(carol);
		await press(carol, 'Invite');
		await says(carol, 'copied');
		await press(carol, 'Leave');
		await carol.keyboard.press('Control+A');
		await carol.keyboard.press('Control+V');
		assert.equal(await carol.locator('#room').inputValue(), carol.url().slice(0, 128));
	});

	test('no STUN server is asked but one that the link names', async t => {
		const at = query => visit(t, plain, { link: `http://${plain.host}:${plain.port}/${query}#${roomOf(t)}` });
		for (const [query, asked] of [['', []], ['?stun=192.0.2.1:3478', ['stun:192.0.2.1:3478']]]) {
			const page = await at(query);
			await join(page);
			await alone(page);
			assert.deepEqual(await page.evaluate(() => meet('x', false).connection.getConfiguration()
				.iceServers.flatMap(({ urls }) => urls)), asked);
			await press(page, 'Leave');
		}
		await says(await at('?stun=a+b'), 'cannot ask that STUN server');
	});

	/* The connect packets that a page sends. */
	const connects = page => {
		const packets = [];
		page.on('websocket', ws => ws.on('framesent', ({ payload }) => {
			const packet = JSON.parse(payload);
			if (packet.Header.Event === 'connect')
				packets.push(packet);
		}));
		return packets;
	};

	const field = (page, id) => page.locator(`#${id}`).inputValue();
	const label = (page, id) => page.locator(`label[for=${id}]`).textContent();

	test('a page joins with the token of its link, also after a reconnection and a reload', async t => {
		const server = await start();
		const room = 'R & D + "ä" #1%';
		const sent = token({ exp: 1, room });
		const fragment = `room=${encodeURIComponent(room)}&token=${sent}`;
		const page = await visit(t, server, { fragment, allow: STOPPED });
		const packets = connects(page);
		assert.deepEqual([await field(page, 'room'), await label(page, 'room')],
			[room, 'Room: anyone with this link can join']);
		await join(page);
		await alone(page);
		await server.stop();
		await says(page, 'No connection to the server');
		await serve(t, { conf: { Port: server.port } });
		await alone(page);
		assert(page.url().endsWith(`#${fragment}`), page.url());
		await page.reload();
		await join(page);
		await alone(page);
		assert.equal(packets.length, 3);
		for (const { Header, Payload } of packets)
			assert.deepEqual([Header.RoomId, Payload], [room, { Token: sent }]);
	});

	test('without a token the connect packet has the Payload that it always had', async t => {
		const page = await visit(t, plain, { fragment: 'a=b' });
		const packets = connects(page);
		await join(page);
		await alone(page);
		assert.deepEqual(packets.map(({ Header, Payload }) => [Header.RoomId, Payload]), [['a=b', '']]);
		assert(page.url().endsWith('#a%3Db'), page.url());
		await page.evaluate(() => location.hash = `token=x.${btoa('{"room":"other"}')}.x`);
		await until(page, 'the room of the token', () => document.getElementById('room').value === 'other');
		await join(page);
		await alone(page);
		assert.deepEqual(await page.evaluate(() => [room, token]), ['other', `x.${btoa('{"room":"other"}')}.x`]);
		await page.evaluate(() => location.hash = 'b');
		await until(page, 'no token', () => document.getElementById('room').value === 'b' && token === '');
	});

	for (const [what, claims, name, shared] of [
		['for a room is in the link for others', { room: '01234567-89ab-cdef-0123-456789abcdef' },
			'The link to this room: anyone who has it can join', true],
		['for all rooms is in the link for others, which says so', {},
			'The link to this room; its token is for all other rooms too', true],
		['for one user is not in the link for others, which says so', { sub: 'Zoë', room: 'Küche' },
			'The link to this room, without your token: others need their own', false],
	])
		test(`a token ${what}`, async t => {
			const { room = 'kitchen', sub } = claims;
			const sent = token(claims);
			const fragment = claims.room ? `token=${sent}` : `room=${room}&token=${sent}`;
			const page = await visit(t, plain, { fragment });
			const packets = connects(page);
			assert.equal(await label(page, 'room'),
				sub ? 'Room: your link is for you alone' : 'Room: anyone with this link can join');
			await join(page);
			await until(page, 'its connect event', () => inside);
			const link = await field(page, 'link');
			assert.equal(await label(page, 'link'), name);
			const bound = `#room=${encodeURIComponent(room)}&token=${sent}`;
			assert.equal(new URL(page.url()).hash, bound);
			assert.equal(new URL(link).hash, shared ? bound : `#${encodeURIComponent(room)}`);
			const [{ Header: { UserId, RoomId } }] = packets;
			assert.equal(RoomId, room);
			if (sub)
				assert.equal(UserId, sub);
			else
				assert.match(UserId, /^[a-z2-9]{12}$/);
		});

	test('a page joins with what is not a token', async t => {
		const page = await visit(t, plain);
		for (const text of ['x', 'x.y', 'x.%.x', '..', `x.${encode(null)}.x`, `x.${encode(7)}.x`, `x.${encode([])}.x`]) {
			await page.evaluate(fragment => location.hash = fragment, `room=r&token=${text}`);
			await until(page, `the token ${text}`, expected => token === expected,
				new URLSearchParams(`t=${text}`).get('t'));
			assert.deepEqual(await page.evaluate(() => [claims.sub, claims.room]), [undefined, undefined], text);
		}
		await join(page);
		await alone(page);
	});

	test('errors of tokens are told in plain words', async t => {
		const page = await visit(t, plain);
		const expected = {
			'token needed': 'needs an invitation',
			'token is not valid': 'not valid: it is incomplete, or was withdrawn',
			'token has expired': 'has expired. Ask for another one',
			'token is not valid yet': 'not valid yet. Join later',
			'token is for another room': 'for another room',
			'token is for another user': 'for another person',
			"the server's clock is not set": 'its clock is not set. Tell its operator',
			'room is full': 'Server error: room is full.',
		};
		for (const [text, words] of Object.entries(expected)) {
			await page.evaluate(Payload => receive({ Header: { Event: 'error', UserId: '', RoomId: '' }, Payload }), text);
			await says(page, words);
			await atTheDoor(page);
		}
		/* Once for a page that is joining. */
		await page.evaluate(() => {
			const really = receive;
			receive = ({ Header }) => really({ Header: { ...Header, Event: 'error' }, Payload: 'token needed' });
		});
		await join(page);
		await says(page, expected['token needed']);
		assert.equal(await label(page, 'room'), 'Room');
		await atTheDoor(page);
	});

	test('a server with Tokens lets the page in with a token, and the page tells why not without', async t => {
		const { server } = await serveTokens(t, { conf: { IceServers: ['stun:192.0.2.1'] } });
		const page = await visit(t, server, { room: 'r', permissions: [], allow: [/status of 401/] });
		for (const [sent, words, name = 'r'] of [
			['', 'needs an invitation'],
			[token({ exp: now() + 60 }), 'not valid: it is incomplete'],
			[sign({ exp: now() - 1 }), 'has expired'],
			[sign({ nbf: now() + 600 }), 'not valid yet'],
			[sign({ room: 'r' }), 'for another room', 'other'],
		]) {
			await page.evaluate(fragment => location.hash = fragment, `room=${name}&token=${sent}`);
			await until(page, 'the token', expected => token === expected, sent);
			await join(page);
			await says(page, words);
			await atTheDoor(page);
		}
		for (const [claims, user] of [[{ room: 'r' }, /^[a-z2-9]{12}$/], [{ room: 'r', sub: 'Zoë' }, /^Zoë$/]]) {
			const sent = sign(claims);
			await page.evaluate(fragment => location.hash = fragment, `room=r&token=${sent}`);
			await until(page, 'the token', expected => token === expected, sent);
			await join(page);
			await alone(page);
			assert.match(await page.evaluate(() => user), user);
			assert.deepEqual(await page.evaluate(() => iceServers), [{ urls: ['stun:192.0.2.1'] }]);
			await press(page, 'Leave');
			await page.evaluate(() => iceServers = []);
		}
	});

	test('a token that does not admit the page again ends no call', async t => {
		const { server, put } = await serveTokens(t);
		const link = `http://${server.host}:${server.port}/#room=r&token=${sign({})}`;
		const allow = [...STOPPED, /status of 401/];
		const pages = [];
		for (let i = 0; i < 2; i++) {
			pages.push(await visit(t, server, { link, allow, before: hurry }));
			await join(pages[i]);
		}
		await Promise.all(pages.map(page => sees(page, 1)));
		await put(SECOND);
		server.signal('SIGHUP');
		await server.lines.match(/ info - file of Tokens loaded$/);
		await Promise.all(pages.map(page => page.evaluate(() => socket.close())));
		await Promise.all(pages.map(page => says(page, 'The call goes on, but nobody new can join you. This link is not valid')));
		await Promise.all(pages.map(page => sees(page, 1)));
	});

	test('a link whose claims are no strings is taken as one without', async t => {
		const page = await visit(t, plain);
		await page.evaluate(fragment => location.hash = fragment, `token=${token({ room: { toString: 1 }, sub: 5 })}`);
		await until(page, 'the token', () => token !== '');
		assert.match(await page.evaluate(() => document.getElementById('room').value), /^[a-z2-9]{12}$/);
		await join(page);
		await alone(page);
	});

	/* Answers GET /ice with credentials that differ each time, or as `broken` says. */
	const handOut = ttl => {
		const service = { requests: [], broken: undefined };
		const turn = () => ({ urls: ['turn:192.0.2.1:3478', 'turns:192.0.2.1:5349'],
			username: `${service.requests.length}:videre`, credential: 'secret' });
		service.ice = route => {
			service.requests.push(route.request());
			return service.broken ? service.broken(route)
				: route.fulfill({ json: { iceServers: [{ urls: ['stun:192.0.2.1'] }, turn()], ttl } });
		};
		return service;
	};
	const configured = page => page.evaluate(() => (peers.get('x') ?? meet('x', false)).connection
		.getConfiguration().iceServers.map(({ urls, username = '' }) => `${urls} ${username}`));

	test('the connections get the servers of /ice, which gets the token', async t => {
		for (const sent of ['', token({ room: 'r' })]) {
			const { requests, ice } = handOut(86400);
			const link = `http://${plain.host}:${plain.port}/?stun=192.0.2.2:1#room=r${sent && `&token=${sent}`}`;
			const page = await visit(t, plain, { link, ice });
			assert.equal(requests.length, 0);
			await join(page);
			await until(page, 'its connect event', () => inside);
			assert.deepEqual(await configured(page), ['stun:192.0.2.1 ',
				'turn:192.0.2.1:3478,turns:192.0.2.1:5349 1:videre', 'stun:192.0.2.2:1 ']);
			assert.equal(requests.length, 1);
			assert.equal(requests[0].headers().authorization, sent ? `Bearer ${sent}` : undefined);
			assert.equal(new URL(requests[0].url()).pathname, '/ice');
			await press(page, 'Leave');
		}
	});

	test('credentials are fetched again before they end', async t => {
		await gather(plain, roomOf(t), 'x');
		const page = await enter(t, plain, { ice: handOut(1).ice, before: hurry });
		await until(page, 'a connection', () => peers.has('x'));
		await until(page, 'other credentials for it', () => {
			window.first ??= peers.get('x').connection;
			return first === peers.get('x').connection && parseInt(first.getConfiguration().iceServers[1].username) > 1;
		});
	});

	test('without an answer from /ice the page goes on with the servers that it has', async t => {
		const service = handOut(86400);
		const page = await enter(t, plain, { ice: service.ice, allow: [/status of 40[14]/, /status of 50\d/, /ERR_FAILED/] });
		await alone(page);
		const fetchAgain = () => page.evaluate(async () => {
			await fetchServers();
			return [iceServers[1].username, renewal === Infinity ? 'never' : renewal - Date.now() < 61_000 ? 'soon' : 'later'];
		});
		assert.deepEqual(await fetchAgain(), ['2:videre', 'later']);
		for (const [when, broken] of [
			['never', route => route.fulfill({ status: 404 })],
			['never', route => route.fulfill({ status: 401 })],
			['soon', route => route.fulfill({ status: 503, json: { iceServers: [], ttl: 1 } })],
			['soon', route => route.abort()],
			['soon', route => route.fulfill({ body: '<html>' })],
			['soon', route => route.fulfill({ json: null })],
			['soon', route => route.fulfill({ json: { iceServers: [{ urls: 'http://x' }], ttl: 86400 } })],
		]) {
			service.broken = broken;
			assert.deepEqual(await fetchAgain(), ['2:videre', when], String(broken));
		}
		const bob = await enter(t, plain, {
			ice: route => route.fulfill({ status: 404 }), allow: [/status of 404/],
		});
		await Promise.all([sees(page, 1), sees(bob, 1)]);
	});

	test('a connection that fails says why', async t => {
		const page = await visit(t, plain);
		const [local, relayed] = ['a=candidate:1 1 udp 1 10.0.0.1 9 typ host', 'a=candidate:1 1 udp 1 10.0.0.1 9 typ relay'];
		const stun = { urls: ['stun:turn:1'] }, turn = { urls: ['stun:192.0.2.1', 'turn:192.0.2.1'] };
		for (const [trouble, servers, ours, theirs, expected] of [
			['', [], local, local, /^A connection broke/],
			[undefined, [], local, local, /^No way through: the operator needs a TURN server/],
			['before', [stun], local, local, /^No way through: the operator needs a TURN server/],
			[undefined, [turn], local, local, /^No way through: the TURN server does not answer/],
			[undefined, [turn], relayed, local, /^No way through, not even with the TURN server/],
			[undefined, [stun], local, relayed, /^No way through, not even with the TURN server/],
		])
			assert.match(await page.evaluate(([text, list, ...sdps]) => {
				iceServers = list;
				const [localDescription, remoteDescription] = sdps.map(sdp => ({ sdp }));
				return explain({ trouble: text }, { localDescription, remoteDescription });
			}, [trouble, servers, ours, theirs]), expected);
	});

	test('a room has a made-up name if it is given none', async t => {
		const names = [];
		for (let i = 0; i < 2; i++) {
			const page = await visit(t, plain, { room: '' });
			names.push(await page.locator('#room').inputValue());
			await page.evaluate(() => location.hash = 'given');
			await until(page, 'the name given', () => document.getElementById('room').value === 'given');
		}
		assert(names.every(name => /^[a-z2-9]{12}$/.test(name)), names);
		assert.notEqual(...names);
	});

	test('a room is not named by spaces alone', async t => {
		const page = await visit(t, plain, { room: ' ' });
		await join(page);
		await alone(page);
		assert.match(await page.evaluate(() => room), /^[a-z2-9]{12}$/);
	});

	test('the keyboard is enough', async t => {
		const page = await visit(t, plain, { room: '' });
		const focused = () => page.evaluate(() => document.activeElement.id);
		const pressed = () => page.evaluate(() => document.activeElement.ariaPressed);
		const type = async (...keys) => {
			for (const key of keys)
				await page.keyboard.press(key);
		};
		assert.equal(await focused(), 'room');
		await type('Control+A', 'k', 'e', 'y', 's', 'Enter');
		await alone(page);
		assert.match(page.url(), /#keys$/);
		assert.equal(await focused(), 'invite');
		await type('Shift+Tab', 'Shift+Tab');
		assert.equal(await focused(), 'mute');
		for (const state of ['true', 'false']) {
			await type('Space');
			assert.equal(await pressed(), state);
		}
		await type('Tab', 'Enter');
		assert.deepEqual([await focused(), await pressed()], ['dark', 'true']);
		await type('Tab', 'Tab', 'Enter');
		assert.equal(await focused(), 'room');
		await atTheDoor(page);
	});

	test('who mutes is not heard, and whose camera is off is not seen', async t => {
		const [ann, bob] = [await enter(t, plain), await enter(t, plain)];
		await sees(bob, 1);
		const picture = shown => until(bob, shown ? 'a picture' : 'a black picture', expected => {
			const context = document.createElement('canvas').getContext('2d');
			context.drawImage(document.querySelectorAll('video')[1], 0, 0, 32, 24);
			const { data } = context.getImageData(0, 0, 32, 24);
			return data.some((value, i) => i % 4 < 3 && value > 40) === expected;
		}, shown);
		/* The made-up microphone beeps each second, of which a packet holds 20 ms. */
		const sound = heard => until(bob, heard ? 'a sound' : 'two seconds of silence', async expected => {
			const stats = await [...peers.values()][0].connection.getStats();
			const { totalAudioEnergy, packetsReceived } = [...stats.values()].find(({ type, kind }) =>
				type === 'inbound-rtp' && kind === 'audio');
			const louder = totalAudioEnergy > (window.energy ?? totalAudioEnergy);
			window.energy = totalAudioEnergy;
			if (expected || louder)
				window.heard = packetsReceived;
			return expected ? louder : packetsReceived - window.heard >= 100;
		}, heard);
		await picture(true);
		await sound(true);
		await press(ann, 'Camera off');
		await press(ann, 'Mute');
		await picture(false);
		await sound(false);
		await press(ann, 'Camera off');
		await press(ann, 'Mute');
		await picture(true);
		await sound(true);
	});

	test('a connection that fails is made again', async t => {
		const services = [handOut(86400), handOut(86400)];
		const [ann, bob] = [await enter(t, plain, services[0]), await enter(t, plain, services[1])];
		await Promise.all([sees(ann, 1), sees(bob, 1)]);
		for (const page of [ann, bob])
			await page.evaluate(() => {
				window.way = () => /ice-ufrag:(.*)/.exec([...peers.values()][0].connection.remoteDescription.sdp)[1];
				window.first = way();
			});
		for (const page of [bob, ann]) {
			await page.evaluate(() => {
				const [{ connection }] = peers.values();
				Object.defineProperty(connection, 'connectionState', { value: 'failed', configurable: true });
				connection.onconnectionstatechange();
				window.reason = document.getElementById('notice').textContent;
				delete connection.connectionState;
				connection.onconnectionstatechange();
			});
			assert.equal(await page.evaluate(() => reason), 'A connection broke. Trying again ...');
			await until(page, 'no reason', () => document.getElementById('notice').textContent === '');
		}
		for (const page of [ann, bob])
			await until(page, 'another way', () => way() !== first);
		await Promise.all([sees(ann, 1), sees(bob, 1)]);
		/* With credentials that are fetched for it, on either side. */
		for (const [i, page] of [ann, bob].entries()) {
			assert.equal(services[i].requests.length, 2);
			assert.equal(await page.evaluate(() => [...peers.values()][0].connection.getConfiguration()
				.iceServers[1].username), '2:videre');
		}
	});

	test('a candidate that overtakes its description is kept for it', async t => {
		const ann = await enter(t, plain);
		await alone(ann);
		const bob = await visit(t, plain);
		await bob.evaluate(() => {
			const really = signal;
			let description;
			signal = (from, payload) => {
				if (payload.Description && !window.overtook) {
					description = payload;
					return;
				}
				really(from, payload);
				if (payload.Candidate && !window.overtook) {
					[window.overtook] = payload.Candidate.candidate.split(' generation');
					really(from, description);
				}
			};
		});
		await join(bob);
		await until(bob, 'the candidate in its place', () => window.overtook &&
			[...peers.values()][0].connection.remoteDescription?.sdp.includes(overtook));
		await sees(bob, 1);
	});

	test('who leaves while the camera is being asked for is not in', async t => {
		const page = await enter(t, plain, {
			before: () => {
				const really = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
				navigator.mediaDevices.getUserMedia = async wish => {
					await new Promise(resolve => window.allow = resolve);
					return window.stream = await really(wish);
				};
			},
		});
		await until(page, 'the question', () => window.allow);
		await press(page, 'Leave');
		await page.evaluate(() => window.allow());
		await until(page, 'a camera that is off again', () =>
			window.stream?.getTracks().every(({ readyState }) => readyState === 'ended'));
		assert.equal(await page.evaluate(() => socket), undefined);
	});

	test('who leaves while the camera is being asked for is asked for no less', async t => {
		const page = await enter(t, plain, {
			before: () => {
				window.asked = 0;
				navigator.mediaDevices.getUserMedia = async () => {
					window.asked++;
					await new Promise(resolve => window.answer = resolve);
					throw new DOMException('', 'NotFoundError');
				};
			},
		});
		await until(page, 'the question', () => window.answer);
		await press(page, 'Leave');
		const [asked, notice] = await page.evaluate(async () => {
			window.answer();
			await new Promise(resolve => setTimeout(resolve));
			return [window.asked, document.getElementById('notice').textContent];
		});
		assert.deepEqual([asked, notice], [1, '']);
	});

	test('a hostile peer is but text, and disturbs nobody', async t => {
		const room = roomOf(t);
		const ann = await enter(t, plain);
		await alone(ann);
		const user = await ann.evaluate(() => {
			const really = signal;
			window.heard = 0;
			signal = (...all) => {
				really(...all);
				window.heard++;
			};
			return user;
		});
		const name = `<img src=x onerror="window.hacked=1">${'W'.repeat(91)}`;
		const mallory = await open(plain);
		mallory.join(name, room);
		await says(ann, 'Here with you: 1');
		for (const Payload of [null, 7, 'x', [], {}, { To: [user] }, { to: user }])
			mallory.send(packet('broadcast', name, room, Payload));
		const junk = ['x'.repeat(15_000), { type: 'offer', sdp: 'v=0\r\n' }, [], {}, { sdp: { toString: 1 } }, 7, true, null]
			.flatMap(each => [{ Description: each }, { Candidate: each },
				{ Description: { type: 'answer', sdp: each } },
				{ Candidate: { candidate: each, sdpMid: each, sdpMLineIndex: each } }]);
		for (const each of junk)
			mallory.send(packet('broadcast', name, room, { To: user, ...each }));
		await until(ann, 'all that', count => window.heard === count, junk.length);
		const bob = await enter(t, plain);
		for (const page of [ann, bob]) {
			await says(page, 'Here with you: 2');
			await until(page, 'a picture beside it', () => [...document.querySelectorAll('video')].slice(1)
				.some(video => video.getVideoPlaybackQuality().totalVideoFrames > 5));
			assert.deepEqual(await page.evaluate(() => [document.images.length, window.hacked]), [0, undefined]);
		}
		await mallory.close();
		await Promise.all([sees(ann, 1), sees(bob, 1)]);
	});

	test('there is a bound to how many are called', async t => {
		const page = await enter(t, secure);
		await alone(page);
		for (let i = 0; i < 15; i++)
			(await open(secure)).join(`peer ${i}`, roomOf(t));
		await says(page, 'Here with you: 15');
		await page.evaluate(() => receive({ Header: { Event: 'connect', UserId: 'one more' } }));
		assert.equal(await others(page), 15);
	});

	test('a narrow screen needs no scrolling to the side', async t => {
		const page = await visit(t, plain, { viewport: { width: 320, height: 568 } });
		const fits = async () => assert(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
		await fits();
		await gather(plain, roomOf(t), 'W'.repeat(128), 'b');
		await join(page);
		await says(page, 'Here with you: 2');
		await fits();
		const heights = await page.evaluate(() =>
			[...document.querySelectorAll('main button')].map(button => button.offsetHeight));
		assert(heights.every(height => height >= 44), 'a finger meets it');
	});

	test('a dark screen is dark, and a light one light', async t => {
		const page = await visit(t, plain);
		const shades = {};
		for (const colorScheme of ['dark', 'light']) {
			await page.emulateMedia({ colorScheme });
			shades[colorScheme] = await page.evaluate(() => [
				getComputedStyle(document.getElementById('keys')).backgroundColor,
				getComputedStyle(document.body).color,
			].map(color => Number(/\d+/.exec(color)[0])));
		}
		assert(shades.dark[0] < 64 && shades.dark[1] > 192);
		assert(shades.light[0] > 192 && shades.light[1] < 64);
	});

	test('who leaves is gone, and who returns is seen again', async t => {
		const [ann, bob] = [await enter(t, plain), await enter(t, plain)];
		await sees(ann, 1);
		for (const [page, other] of [[bob, ann], [ann, bob]]) {
			await press(page, 'Leave');
			await alone(other);
			assert.equal(await others(other), 0);
			assert.equal(await page.evaluate(() => document.querySelectorAll('video').length), 0);
			await join(page);
			await Promise.all([sees(ann, 1), sees(bob, 1)]);
		}
		await bob.close();
		await alone(ann);
	});

	test('whom the browser has no connection for is called later', async t => {
		const ann = await enter(t, plain, { before: hurry });
		await alone(ann);
		await ann.evaluate(() => {
			const Real = RTCPeerConnection;
			RTCPeerConnection = function () {
				RTCPeerConnection = Real;
				throw new DOMException('Cannot create so many PeerConnections', 'UnknownError');
			};
		});
		const bob = await enter(t, plain);
		await Promise.all([sees(ann, 1), sees(bob, 1)]);
	});

	test('who comes or goes unheard is noticed all the same', async t => {
		const ann = await enter(t, plain, { before: hurry });
		await alone(ann);
		/* At once, for the next answer to a ping does not have it. */
		assert.equal(await ann.evaluate(() => {
			const really = receive;
			receive = packet => /connect/.test(packet.Header.Event) || really(packet);
			receive({ Header: { Event: 'broadcast', UserId: 'x' }, Payload: { To: user } });
			return document.getElementById('status').textContent;
		}), 'Here with you: 1');
		await alone(ann);
		const bob = await enter(t, plain);
		await Promise.all([sees(ann, 1), sees(bob, 1)]);
		await press(bob, 'Leave');
		await alone(ann);
		assert.equal(await others(ann), 0);
	});

	test('an offer that is lost is made again', async t => {
		const ann = await enter(t, plain, { before: hurry });
		await alone(ann);
		const bob = await visit(t, plain);
		await bob.evaluate(() => {
			const really = signal;
			signal = (from, payload) => {
				if (window.lost || !payload.Description)
					return really(from, payload);
				window.lost = true;
			};
		});
		await join(bob);
		await Promise.all([sees(ann, 1), sees(bob, 1)]);
		assert(await bob.evaluate(() => window.lost));
	});

	test('a server that falls silent is gone, and what it says late is too late', async t => {
		const server = await serve(t);
		const pages = [];
		for (let i = 0; i < 2; i++)
			pages.push(await enter(t, server, { before: hurry, allow: STOPPED }));
		await Promise.all(pages.map(page => sees(page, 1)));
		for (const page of pages)
			await page.evaluate(() => [window.first, [window.old]] = [socket, peers.values()]);
		server.signal('SIGSTOP');
		try {
			for (const page of pages) {
				await says(page, 'No connection to the server');
				await sees(page, 1);
			}
		} finally {
			server.signal('SIGCONT');
		}
		for (const page of pages) {
			await until(page, 'a new call', () => peers.size === 1 && [...peers.values()][0] !== old);
			await page.evaluate(() => first.onclose({ code: 4001 }));
			await sees(page, 1);
			await says(page, 'Here with you: 1');
		}
	});

	test('a server that goes ends no call, and when it is back the call is made anew', async t => {
		const first = await start();
		const pages = [];
		for (let i = 0; i < 2; i++)
			pages.push(await enter(t, first, { allow: STOPPED }));
		await Promise.all(pages.map(page => sees(page, 1)));
		await first.stop();
		for (const page of pages) {
			await says(page, 'No connection to the server');
			await sees(page, 1);
			await page.evaluate(() => [window.old] = peers.values());
		}
		await serve(t, { conf: { Port: first.port } });
		for (const page of pages) {
			await until(page, 'a new call', () => peers.size === 1 && [...peers.values()][0] !== old);
			await sees(page, 1);
			await says(page, 'Here with you: 1');
		}
	});
});
