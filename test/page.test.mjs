/*
 * The page at /: how it is served, and its rooms, links and tokens in Chromium.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { describe } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { pair } from './certificate.mjs';
import { Raw, gather, open, packet, request } from './client.mjs';
import {
	INSECURE, alone, atTheDoor, isQuiet, join, labels, makesSay, meets, others, packetsOf, press, reads, roomOf,
	says, sees, smaller, until, useBrowser,
} from './pages.mjs';
import { serve, test } from './server.mjs';
import { now, serveTokens, sign } from './tokens.mjs';

const source = new URL('../index.html', import.meta.url);

/* Asks for the page, or whatever else is there. */
async function ask(server, target = '/', options = {}) {
	const raw = await Raw.connect(server);
	raw.write(request(target, { Connection: 'close', ...options }));
	const answer = await raw.response({ bytes: true, bodiless: options.method === 'HEAD' });
	await raw.ended();
	return answer;
}

/* Invite shows the link in a prompt, with this message. */
async function asks(page, message, link) {
	const [dialog] = await Promise.all([page.waitForEvent('dialog'), page.evaluate(() => {
		setTimeout(() => document.getElementById('invite').click());
	})]);
	assert.deepEqual([dialog.type(), dialog.message(), dialog.defaultValue()], ['prompt', message, link]);
	await dialog.dismiss();
}

describe('the page', () => {
	test('is index.html without comments and indentation, compressed', async t => {
		const server = await serve(t);
		for (const target of ['/', '/?', '/?a=b', 'http://localhost', 'http://localhost/']) {
			const { status, headers, body } = await ask(server, target);
			assert.equal(status, 200);
			assert.equal(headers['content-type'], 'text/html; charset=UTF-8');
			assert.equal(headers['content-encoding'], 'gzip');
			assert.equal(gunzipSync(body).toString(), smaller(await readFile(source, 'utf8')));
		}
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

	test('may run its own script and the module only, and is framed by no page', async t => {
		const { headers, body } = await ask(await serve(t));
		const policy = headers['content-security-policy'];
		assert.doesNotMatch(policy, /unsafe/);
		const text = gunzipSync(body).toString();
		const hashOf = pattern => createHash('sha256').update(pattern.exec(text)[1]).digest('base64');
		assert(policy.split('; ').includes(`script-src 'self' 'sha256-${hashOf(/<script type="module">(\n[^]*)<\/script>/)}'`));
		assert(policy.split('; ').includes(`style-src 'sha256-${hashOf(/<style>(\n[^]*)<\/style>/)}'`));
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
		assert.equal(gunzipSync(body).toString(), smaller(await readFile(source, 'utf8')));
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

const { servers, visit, enter } = useBrowser({
	plain: () => ({ conf: { MaxPeers: 4 } }),
	secure: async () => ({ tls: await pair('P-256'), conf: { Prefix: '/a/b' } }),
});

/* A token with these claims.  Its signature is not valid. */
const encode = value => Buffer.from(JSON.stringify(value)).toString('base64url');
const token = claims => `${encode({ alg: 'HS256' })}.${encode(claims)}.${'x'.repeat(43)}`;

const field = (page, id) => page.locator(`#${id}`).inputValue();
const hashOf = page => new URL(page.url()).hash;

/* Follows a link to the same page. */
async function follow(page, fragment) {
	await page.evaluate(hash => location.hash = hash, fragment);
	await until(page, `the link ${fragment}`, hash => location.hash === hash, `#${fragment}`);
	/* Its event has been handled when a later task runs. */
	await page.evaluate(() => new Promise(resolve => setTimeout(resolve)));
}

describe('in a browser', { concurrency: 2 }, () => {
	for (const name of ['plain', 'secure'])
		test(`two pages see each other on a ${name} server`, async t => {
			const options = { room: 'kitchen', viewport: { width: 800, height: 500 } };
			const ann = await enter(t, servers[name], { ...options, name: 'Ann' });
			await alone(ann);
			assert.equal(await ann.title(), 'kitchen - videre');
			const bob = await enter(t, servers[name], { ...options, name: 'Bob' });
			await Promise.all([sees(ann, 1), sees(bob, 1)]);
			assert.deepEqual([await labels(ann), await labels(bob)], [['Bob'], ['Ann']]);
			assert.equal(await ann.title(), '(2) kitchen - videre');
			await isQuiet(ann);
			await makesSay(ann, 'Bob has left.', () => press(bob, 'Leave'));
			await alone(ann);
			assert.equal(await ann.title(), 'kitchen - videre');
			assert.equal(await bob.title(), 'videre');
		});

	test('four pages all see each other', async t => {
		const pages = [];
		for (let i = 0; i < 4; i++)
			pages.push(await enter(t, servers.plain));
		await Promise.all(pages.map(page => sees(page, 3, 90_000)));
		assert.match(await pages[0].title(), /^\(4\) /);
	}, 120_000);

	test('offers, answers and candidates go to one peer only', async t => {
		const room = roomOf(t);
		const [witness] = await gather(servers.plain, room, 'witness');
		const pages = [await enter(t, servers.plain), await enter(t, servers.plain)];
		for (const page of pages) {
			await meets(page, 2);
			await until(page, 'a picture', () => [...document.querySelectorAll('li:not(.self) video')]
				.some(video => video.getVideoPlaybackQuality().totalVideoFrames > 5));
		}
		for (const page of pages)
			await press(page, 'Leave');
		/* The witness has received what was sent before. */
		for (let left = 0; left < 2;) {
			const { Header, Payload } = JSON.parse(await witness.next());
			if (Header.Event === 'disconnect')
				left++;
			if (Header.Event === 'broadcast')
				assert.deepEqual([Header.To, Payload.To], ['witness', 'witness']);
		}
	});

	test('a peer that leaves is gone, and one that returns is seen again', async t => {
		const [ann, bob] = [await enter(t, servers.plain), await enter(t, servers.plain)];
		await sees(ann, 1);
		for (const [page, other] of [[bob, ann], [ann, bob]]) {
			await press(page, 'Leave');
			await meets(other, 0);
			await alone(other);
			assert.equal(await page.locator('#call video').count(), 0);
			assert.equal(await page.evaluate(() => live().length), 0);
			assert(await page.evaluate(() => seen.tracks.every(({ readyState }) => readyState === 'ended')));
			await join(page);
			await Promise.all([sees(ann, 1), sees(bob, 1)]);
		}
		await bob.close();
		await alone(ann);
	});

	test('an insecure page shows what to do, and shows the others', async t => {
		const ann = await enter(t, servers.plain);
		await alone(ann);
		const bob = await enter(t, servers.plain, { host: INSECURE });
		await says(bob, 'Without microphone and camera: browsers allow it on https pages only. The server needs TLS: see videre -k.');
		await sees(bob, 1);
		await reads(ann, / · muted · camera off$/);
	});

	/*
	 * Names of rooms
	 */

	test('a room has a made-up name if it is given none', async t => {
		const names = [];
		for (const typed of [undefined, ' ']) {
			const page = await visit(t, servers.plain, { room: '' });
			names.push(await field(page, 'room'));
			if (typed)
				await page.getByLabel('Room').fill(typed);
			await join(page);
			await alone(page);
			const hash = hashOf(page).slice(1);
			names[typed ? 1 : 0] = hash;
			assert.match(hash, /^[a-z2-9]{12}$/);
			assert.equal(await page.title(), `${hash} - videre`);
			await follow(page, 'given');
			await atTheDoor(page);
			assert.equal(await field(page, 'room'), 'given');
		}
		assert.notEqual(...names);
	});

	test('names that differ in case, spaces or composition only lead to one room', async t => {
		const pages = [];
		for (const room of ['Café 🧑‍🍳', 'cafe\u0301 🧑‍🍳', ' CAFE\u0301 🧑‍🍳 '])
			pages.push(await enter(t, servers.plain, { room }));
		const typed = await visit(t, servers.plain, { room: '' });
		await typed.getByLabel('Room').fill('CAFÉ 🧑‍🍳');
		await join(typed);
		await Promise.all([...pages, typed].map(page => meets(page, 3)));
		assert(pages.every(page => hashOf(page) === hashOf(typed)));
	});

	test('a name may have 128 bytes of UTF-8, and a longer one is refused with a reason', async t => {
		const page = await visit(t, servers.plain);
		const room = page.getByLabel('Room');
		const reason = () => page.evaluate(() => document.getElementById('room').validationMessage);
		for (const long of ['x'.repeat(129), 'ä'.repeat(65), '😀'.repeat(33)]) {
			await room.fill(long);
			assert.equal(await reason(), 'The name of a room has at most 128 bytes.');
			await join(page);
			await atTheDoor(page);
			/* In a link too. */
			const linked = await enter(t, servers.plain, { room: long });
			assert.match(await linked.evaluate(() => document.getElementById('room').validationMessage), /128 bytes/);
			await atTheDoor(linked);
		}
		assert.deepEqual(await page.evaluate(() => seen.prompts), []);
		for (const whole of ['x'.repeat(128), 'ä'.repeat(64), '😀'.repeat(32), 'a\u0308'.repeat(64)]) {
			await room.fill(whole);
			assert.equal(await reason(), '');
			await join(page);
			await alone(page);
			assert.equal(decodeURIComponent(hashOf(page).slice(1)), whole.normalize());
			await press(page, 'Leave');
		}
	});

	/*
	 * Invitations
	 */

	test('the link that is copied or shared leads to the room', async t => {
		const room = 'r & d + "ä" #1%';
		const ann = await enter(t, servers.plain, { room });
		await alone(ann);
		await makesSay(ann, 'The link is copied. Anyone who has it can join.', () => press(ann, 'Invite'));
		const focused = () => ann.evaluate(() => document.activeElement.id);
		assert.equal(await focused(), 'invite');
		const link = await ann.evaluate(() => copied);
		assert.equal(link, ann.url());
		await until(ann, 'the text has gone', () => !/copied/.test(document.getElementById('status').textContent));
		assert.equal(await focused(), 'invite');

		await ann.evaluate(() => navigator.share = async data => window.shared = data);
		await press(ann, 'Invite');
		await until(ann, 'the same link shared', url => window.shared?.url === url, link);
		/* The user closes the sheet: no text.  The browser refuses it: the link. */
		await ann.evaluate(() => navigator.share = async () => { throw new DOMException('', 'AbortError'); });
		await press(ann, 'Invite');
		assert.doesNotMatch(await ann.locator('#status').textContent(), /link/);
		await ann.evaluate(() => navigator.share = async () => { throw new DOMException('', 'NotAllowedError'); });
		await asks(ann, 'Anyone who has it can join.', link);

		const bob = await enter(t, servers.plain, { link });
		await meets(bob, 1);
	});

	test('an insecure page, which has no clipboard, shows the link', async t => {
		const page = await enter(t, servers.plain, { host: INSECURE });
		await alone(page);
		await asks(page, 'Anyone who has it can join.', page.url());
	});

	/*
	 * Tokens
	 */

	test('a page joins with the token of its link, also after a reconnection and a reload', async t => {
		const room = 'R & D + "ä" #1%';
		const sent = token({ exp: 1, room });
		const fragment = `room=${encodeURIComponent(room)}&token=${sent}`;
		const page = await visit(t, servers.plain, { fragment });
		const packets = packetsOf(page, 'connect');
		assert.equal(await field(page, 'room'), room);
		await join(page);
		await alone(page);
		await makesSay(page, 'No connection to the server. Trying again ...',
			() => page.evaluate(() => seen.sockets.at(-1).close()));
		await until(page, 'the connection again', () => document.getElementById('notice').textContent === '');
		assert.equal(hashOf(page), `#${fragment}`);
		await page.reload();
		await join(page);
		await alone(page);
		assert.equal(packets.length, 3);
		for (const { Header, Payload } of packets)
			assert.deepEqual([Header.RoomId, Payload], [room, { Token: sent }]);
	});

	test('a new link of the same page replaces room and token', async t => {
		const page = await visit(t, servers.plain, { fragment: 'a=b' });
		const packets = packetsOf(page, 'connect');
		await join(page);
		await alone(page);
		assert.equal(hashOf(page), '#a%3Db');
		const sent = token({ room: 'Other' });
		await follow(page, `token=${sent}`);
		await atTheDoor(page);
		assert.equal(await field(page, 'room'), 'Other');
		await join(page);
		await alone(page);
		assert.equal(hashOf(page), `#room=Other&token=${sent}`);
		await follow(page, 'b');
		await join(page);
		await alone(page);
		assert.deepEqual(packets.map(({ Header, Payload }) => [Header.RoomId, Payload]),
			[['a=b', ''], ['Other', { Token: sent }], ['b', '']]);
	});

	for (const [what, claims, text, shared] of [
		['for a room is in the link for others', { room: '01234567-89AB-cdef-0123-456789abcdef' },
			'Anyone who has it can join.', true],
		['for all rooms is in the link for others', {}, 'It opens all other rooms too.', true],
		['for one user is not in the link for others', { sub: 'Zoë', room: 'Küche' },
			'Others need their own token.', false],
	])
		test(`a token ${what}`, async t => {
			const { room = 'kitchen', sub } = claims;
			const sent = token(claims);
			const fragment = claims.room ? `token=${sent}` : `room=${room}&token=${sent}`;
			const page = await visit(t, servers.plain, { fragment });
			const packets = packetsOf(page, 'connect');
			await join(page);
			await says(page, 'Nobody else');
			const bound = `#room=${encodeURIComponent(room)}&token=${sent}`;
			assert.equal(hashOf(page), bound);
			await makesSay(page, `The link is copied. ${text}`, () => press(page, 'Invite'));
			const copied = await page.evaluate(() => copied);
			assert.equal(new URL(copied).hash, shared ? bound : `#${encodeURIComponent(room)}`);
			const [{ Header: { UserId, RoomId } }] = packets;
			assert.equal(RoomId, room);
			if (sub)
				assert.equal(UserId, sub);
			else
				assert.match(UserId, /^[a-z2-9]{12}$/);
		});

	test('a page joins with tokens that are not valid, if the server needs none', async t => {
		const page = await visit(t, servers.plain);
		const packets = packetsOf(page, 'connect');
		const texts = ['x', 'x.y', 'x.%25.x', '..', ...[null, 7, [], { room: { toString: 1 }, sub: 5 }].map(token)];
		for (const text of texts) {
			await follow(page, `token=${text}`);
			await atTheDoor(page);
			assert.match(await field(page, 'room'), /^[a-z2-9]{12}$/);
			await join(page);
			await alone(page);
			const { Header, Payload } = packets.at(-1);
			assert.equal(Payload.Token, decodeURIComponent(text));
			assert.match(Header.UserId, /^[a-z2-9]{12}$/);
		}
		assert.equal(packets.length, texts.length);
	});

	test('a server with Tokens lets the page in with a token, and the page shows why not without', async t => {
		const { server } = await serveTokens(t, { conf: { IceServers: ['stun:127.0.0.1'] } });
		const page = await visit(t, server, { room: 'r', permissions: [], allow: [/status of 401/] });
		const packets = packetsOf(page, 'connect');
		for (const [sent, words, name = 'r'] of [
			['', 'This room needs an invitation. Ask for a link to it, and open the whole link.'],
			[token({ exp: now() + 60 }), 'This invitation is not valid. It is incomplete, or was withdrawn.'],
			[sign({ exp: now() - 1 }), 'This invitation has expired. Ask for a new one.'],
			[sign({ nbf: now() + 600 }), 'This invitation is not valid yet. Join later.'],
			[sign({ room: 'r' }), 'This invitation is for another room.', 'other'],
		]) {
			await follow(page, `room=${name}&token=${sent}`);
			await join(page);
			await says(page, words);
			await atTheDoor(page);
			assert.equal(await field(page, 'room'), name);
		}
		for (const [claims, user] of [[{ room: 'r' }, /^[a-z2-9]{12}$/], [{ room: 'r', sub: 'Zoë' }, /^Zoë$/]]) {
			await follow(page, `room=r&token=${sign(claims)}`);
			await join(page);
			await alone(page);
			assert.match(packets.at(-1).Header.UserId, user);
			assert.equal(await page.locator('#notice').textContent(), 'Without microphone and camera: the browser denies it. '
				+ 'Allow it next to the address.');
			await press(page, 'Leave');
		}
	});

	/* Errors that no test above provokes.  The server's packet arrives with another text. */
	test('the errors of the server are shown in plain words', async t => {
		const page = await visit(t, servers.plain, {
			before: () => window.incoming = () => JSON.stringify(
				{ Header: { Event: 'error', UserId: '', RoomId: '' }, Payload: window.refusal }),
		});
		for (const [text, words] of Object.entries({
			'token is for another user': 'This invitation is for another person. Ask for your own.',
			"the server's clock is not set": 'The server cannot check invitations: its clock is not set. Tell its operator.',
			'room is full': 'The room is full.',
			'anything <b>else</b>': 'anything <b>else</b>',
		})) {
			await page.evaluate(payload => window.refusal = payload, text);
			await join(page);
			await says(page, words);
			await atTheDoor(page);
			assert.equal(await page.evaluate(() => document.activeElement.id), 'room');
		}
	});

	test('a hostile peer is text only, and disturbs no call', async t => {
		const room = roomOf(t), user = `<img src=x onerror="hacked=1">${'W'.repeat(91)}`;
		const ann = await enter(t, servers.plain);
		await alone(ann);
		const mallory = await open(servers.plain);
		mallory.join(user, room);
		await meets(ann, 1);
		/* The server has passed on what it read before a ping. */
		const members = async () => {
			mallory.send(packet('ping', user, room, ''));
			for (;;) {
				const { Header, Payload } = JSON.parse(await mallory.next());
				if (Header.Event === 'ping')
					return JSON.parse(Payload);
			}
		};
		const [to] = await members();
		for (const Payload of [null, 7, 'x', [], {}, { To: [to] }, { to }])
			mallory.send(packet('broadcast', user, room, Payload));
		const junk = ['x'.repeat(15_000), { type: 'offer', sdp: 'v=0\r\n' }, [], {}, { sdp: { toString: 1 } }, 7, true, null]
			.flatMap(each => [{ Description: each }, { Candidate: each }, { Session: each, Again: each }, { Name: each, Instance: each },
				{ Description: { type: 'answer', sdp: each } }, { Description: { type: 'offer', sdp: each }, Session: each },
				{ Candidate: { candidate: each, sdpMid: each, sdpMLineIndex: each } }]);
		for (const each of [...junk, { Name: `last ${user}` }, { Description: { type: 'offer', sdp: '' } }])
			mallory.send(packet('broadcast', user, room, { To: to, ...each }));
		await members();
		const bob = await enter(t, servers.plain);
		for (const page of [ann, bob]) {
			await meets(page, 2);
			await until(page, 'a picture next to it', () => [...document.querySelectorAll('li:not(.self) video')]
				.some(video => video.getVideoPlaybackQuality().totalVideoFrames > 5));
			assert.deepEqual(await page.evaluate(() => [document.images.length, window.hacked]), [0, undefined]);
		}
		await mallory.close();
		await Promise.all([sees(ann, 1), sees(bob, 1)]);
	}, 120_000);
});
