/*
 * Real calls between two Chromium pages, with the server in between: a camera, a peer
 * connection, and video that plays at the other end.  The page is page/call.html.
 */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import http from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pipeline } from 'node:stream';
import { after, before, describe } from 'node:test';
import { chromium } from 'playwright-core';
import { slowCameraOptions } from './chromium.mjs';
import { joined, left, open } from './client.mjs';
import { run, start, test } from './server.mjs';

const PATIENCE = 60_000; /* milliseconds that a page has to get where it is expected */

const AT_ONCE = 3; /* tests; more do not get done sooner on two cores */

/*
 * How a page comes to the signaller.  SockJS's own choice and its `htmlfile` are tried on a
 * page of the signaller's origin, which a front makes; its iframes on a page of another origin,
 * with the iframe's in front of the signaller; all else goes from one origin to another.
 */
const toSignaller = name => () => ({
	origin: pages, signaller: `${address('http', server)}/echo`, transport: name,
});
const withinFront = name => () => ({
	origin: front, signaller: `${address('http', front)}/echo`, transport: name,
});
const toFront = name => () => ({
	origin: pages, signaller: `${address('http', front)}/echo`, transport: name,
});
const toSecure = (scheme, path, transport) => () => ({
	origin: pages, signaller: `${address(scheme, secure)}${path}`, transport,
});
const ways = {
	'plain WebSocket': () => ({
		origin: pages, signaller: `${address('ws', server)}/echo/websocket`, transport: '',
	}),
	'SockJS': withinFront('any'),
	'websocket': toSignaller('websocket'),
	'xhr-streaming': toSignaller('xhr-streaming'),
	'eventsource': toSignaller('eventsource'),
	'htmlfile': withinFront('htmlfile'),
	'xhr-polling': toSignaller('xhr-polling'),
	'jsonp-polling': toSignaller('jsonp-polling'),
	'iframe-eventsource': toFront('iframe-eventsource'),
	'iframe-htmlfile': toFront('iframe-htmlfile'),
	'iframe-xhr-polling': toFront('iframe-xhr-polling'),
	'plain WebSocket over TLS': toSecure('wss', '/echo/websocket', ''),
	'websocket over TLS': toSecure('https', '/echo', 'websocket'),
	'xhr-streaming over TLS': toSecure('https', '/echo', 'xhr-streaming'),
	'xhr-polling over TLS': toSecure('https', '/echo', 'xhr-polling'),
};

const inPage = name => new URL(`page/${name}`, import.meta.url);
const files = {
	'/call.html': ['text/html', inPage('call.html')],
	'/call.js': ['text/javascript', inPage('call.js')],
	'/sockjs.js': ['text/javascript',
		new URL('dist/sockjs.min.js', import.meta.resolve('sockjs-client/package.json'))],
};

async function serveFile(pathname, response) {
	const [type, file] = files[pathname];
	response.writeHead(200, { 'Content-Type': type }).end(await readFile(file));
}

/* Hands a request on to the signaller, and a broken connection on either side to the other. */
function handOn(request, response) {
	const headers = { ...request.headers };
	delete headers.connection;
	const { host, port } = server;
	const { method, url } = request;
	const onward = http.request({ host, port, method, path: url, headers, agent: false }, answer => {
		const { connection, 'keep-alive': alive, ...rest } = answer.headers;
		response.writeHead(answer.statusCode, rest);
		response.flushHeaders();
		pipeline(answer, response, () => onward.destroy());
	});
	onward.on('error', () => response.destroy());
	response.on('close', () => onward.destroy());
	request.pipe(onward);
}

function handUpgradeOn(request, socket, head) {
	const onward = net.connect(server.port, server.host);
	const { method, url, rawHeaders } = request;
	const lines = rawHeaders.map((text, i) => i % 2 ? `${text}\r\n` : `${text}: `);
	onward.write(`${method} ${url} HTTP/1.1\r\n${lines.join('')}\r\n`);
	onward.write(head);
	for (const [from, to] of [[socket, onward], [onward, socket]])
		pipeline(from, to, () => to.destroy());
}

/* An origin that has the page's files and, as its fallback, the signaller. */
async function openOrigin() {
	const origin = http.createServer((request, response) => {
		const { pathname } = new URL(request.url, 'http://127.0.0.1');
		if (Object.hasOwn(files, pathname))
			serveFile(pathname, response);
		else
			handOn(request, response);
	});
	origin.on('upgrade', handUpgradeOn);
	origin.listen(0, '127.0.0.1');
	await once(origin, 'listening');
	return Object.assign(origin, { host: '127.0.0.1', port: origin.address().port });
}

const address = (scheme, { host, port }) => `${scheme}://${host}:${port}`;

let server, secure, pages, front, browser, directory;

/* One that speaks TLS, with the certificate that it makes itself. */
async function startSecure() {
	directory = await mkdtemp(path.join(tmpdir(), 'videre-browser-'));
	const [Cert, Key] = ['cert.pem', 'key.pem'].map(name => path.join(directory, name));
	assert.equal((await run(['-k', Cert, Key, '127.0.0.1'])).code, 0);
	return start({ conf: { TLS: true, Cert, Key } });
}

before(async () => {
	[server, secure] = await Promise.all([start({ conf: { SockJS: '/sockjs.js' } }), startSecure()]);
	[pages, front] = await Promise.all([openOrigin(), openOrigin()]);
	browser = await chromium.launch(slowCameraOptions);
});

after(async () => {
	await browser?.close();
	for (const origin of [pages, front]) {
		origin?.close();
		origin?.closeAllConnections();
	}
	await Promise.all([server?.stop(), secure?.stop()]);
	if (directory !== undefined)
		await rm(directory, { recursive: true });
});

/* Opens the page in a browser context of its own. */
async function enter(t, inBrowser, way, room, user) {
	const context = await inBrowser.newContext();
	t.after(() => context.close());
	const page = await context.newPage();
	const { origin, signaller, transport } = ways[way]();
	const query = new URLSearchParams({ signaller, transport, room, user });
	await page.goto(`${address('http', origin)}/call.html?${query}`);
	return page;
}

const stateOf = page => page.evaluate(() => window.state);

/* Waits until `condition` holds in the page; if it never does, says what the page had come to. */
async function until(page, what, condition, argument) {
	try {
		await page.waitForFunction(condition, argument, { polling: 50, timeout: PATIENCE });
	} catch (cause) {
		const state = await stateOf(page).catch(String);
		throw new Error(`not seen: ${what}; the page: ${JSON.stringify(state)}`, { cause });
	}
}

/* The transport that a page has come to use; null for a plain WebSocket. */
const expected = { 'plain WebSocket': null, SockJS: 'websocket' };
function wanted(way) {
	const plain = way.replace(' over TLS', '');
	return Object.hasOwn(expected, plain) ? expected[plain] : plain;
}

/* The page is there, by the transport that was meant. */
async function isInRoom(page, way) {
	await until(page, 'its own connect packet', () => state.initiator !== null);
	assert.equal((await stateOf(page)).transport, wanted(way));
}

/* The picture has a size, and from a first look on both its clock and its frames go forward. */
async function seesVideo(page) {
	await until(page, 'a connected call', () => state.call === 'connected');
	await until(page, 'a remote picture', () => {
		const video = document.getElementById('remote');
		return video.videoWidth > 0 && video.videoHeight > 0;
	});
	const look = () => page.evaluate(() => {
		const video = document.getElementById('remote');
		return {
			time: video.currentTime,
			frames: video.getVideoPlaybackQuality().totalVideoFrames,
		};
	});
	await until(page, 'a remote video that plays', first => {
		const video = document.getElementById('remote');
		return video.currentTime > first.time &&
			video.getVideoPlaybackQuality().totalVideoFrames >= first.frames + 5;
	}, await look());
}

const broadcasts = packets => packets.filter(packet => packet.Header.Event === 'broadcast');

/* What a page was told of the room: who came and left, and the initiator's flags. */
const news = packets => packets
	.filter(({ Header: { Event } }) => Event !== 'broadcast' && Event !== 'ping')
	.map(({ Header: { Event, UserId }, Payload }) => [Event, UserId, Payload]);

/* Both see each other's video, the first alone is the initiator, and all went well. */
async function talk(initiator, other) {
	await Promise.all([seesVideo(initiator), seesVideo(other)]);
	const states = await Promise.all([stateOf(initiator), stateOf(other)]);
	assert.deepEqual(states.map(state => state.initiator), [true, false]);
	assert.deepEqual(states.map(state => state.errors), [[], []]);
	assert.deepEqual(states.map(state => state.closed), [null, null]);
	return states;
}

/* All that `from` has broadcast so far comes to `to`, as it was sent and in that order. */
async function relayed(from, to) {
	const sent = broadcasts((await stateOf(from)).sent);
	await until(to, `${sent.length} broadcasts`, count =>
		state.received.filter(({ Header }) => Header.Event === 'broadcast').length >= count,
	sent.length);
	const received = broadcasts((await stateOf(to)).received);
	assert.deepEqual(received.slice(0, sent.length), sent);
}

/* Alice calls bob, and everything comes to everyone as it should. */
async function call(t, alicesWay, bobsWay) {
	const room = t.name;
	const alice = await enter(t, browser, alicesWay, room, 'alice');
	await isInRoom(alice, alicesWay);
	const bob = await enter(t, browser, bobsWay, room, 'bob');
	await isInRoom(bob, bobsWay);
	const [first, second] = await talk(alice, bob);

	assert.deepEqual(news(first.received),
		[['connect', 'alice', 'true'], ['connect', 'bob', 'false']]);
	assert.deepEqual(news(second.received), [['connect', 'bob', 'false']]);
	await Promise.all([relayed(alice, bob), relayed(bob, alice)]);
	await Promise.all([alice, bob].map(page => until(page, 'a ping that tells of both',
		() => JSON.stringify(state.users) === '["alice","bob"]')));
}

const partings = {
	'closes': page => page.close(),
	'is closed with its context': page => page.context().close(),
	'goes elsewhere': page => page.goto('about:blank'),
};

/* A page that parts is missed once by the rest of its room. */
async function part(t, way, leave) {
	const room = t.name;
	const watcher = await open(server);
	watcher.join('watcher', room);
	await watcher.gets(joined('watcher', room, true));
	const page = await enter(t, browser, way, room, 'bob');
	await isInRoom(page, way);
	await watcher.gets(joined('bob', room, false));
	await leave(page);
	await watcher.gets(left('bob', room));
	await watcher.none();
	await watcher.close();
}

describe('in a browser', { concurrency: AT_ONCE }, () => {
	for (const way of Object.keys(ways).filter(name => name !== 'SockJS'))
		test(`two pages hold a call over ${way}`, t => call(t, way, way));

	for (const [alices, bobs] of [
		['websocket', 'plain WebSocket'],
		['plain WebSocket', 'xhr-streaming'],
		['iframe-htmlfile', 'plain WebSocket'],
		['plain WebSocket', 'jsonp-polling'],
		['eventsource', 'xhr-polling'],
	])
		test(`a page on ${alices} calls one on ${bobs}`, t => call(t, alices, bobs));

	for (const way of Object.keys(ways).filter(name => name !== 'SockJS' && !name.endsWith('TLS')))
		for (const [how, leave] of Object.entries(partings))
			test(`a page on ${way} that ${how} is missed, once`, t => part(t, way, leave));

	for (const way of ['plain WebSocket', 'xhr-streaming']) {
		test(`a page on ${way} that closes is called again when it is back`, t =>
			leaveAndReturn(t, way, 'bob', page => page.close()));

		test(`if an initiator on ${way} closes, the page that stayed calls it when it is back`, t =>
			leaveAndReturn(t, way, 'alice', page => page.close()));

		test(`a browser with a page on ${way} that is killed is missed, and called again`, async t => {
			const doomed = await chromium.launchServer({ ...slowCameraOptions, host: '127.0.0.1' });
			t.after(() => doomed.kill());
			const itsBrowser = await chromium.connect(doomed.wsEndpoint());
			await leaveAndReturn(t, way, 'bob', () => doomed.kill(), itsBrowser);
		});
	}
});

/* Alone: sockjs-client changes to another transport if a WebSocket takes more than some 0.4 s. */
describe('in a browser with nothing else to do', () => {
	test('two pages hold a call over SockJS', t => call(t, 'SockJS', 'SockJS'));

	for (const [how, leave] of Object.entries(partings))
		test(`a page on SockJS that ${how} is missed, once`, t => part(t, 'SockJS', leave));
});

/* Alice and bob talk; `leaver` goes by way of `leave` and returns, and they talk again. */
async function leaveAndReturn(t, way, leaver, leave, leaversBrowser = browser) {
	const room = t.name;
	const stayer = leaver === 'alice' ? 'bob' : 'alice';
	const page = {};
	for (const user of ['alice', 'bob']) {
		const itsBrowser = user === leaver ? leaversBrowser : browser;
		page[user] = await enter(t, itsBrowser, way, room, user);
		await isInRoom(page[user], way);
	}
	await talk(page.alice, page.bob);
	const toldBefore = news((await stateOf(page[stayer])).received);

	await leave(page[leaver]);
	await until(page[stayer], `the disconnect packet of ${leaver}`, () =>
		state.received.some(({ Header }) => Header.Event === 'disconnect') && state.call === 'none');
	const told = (await stateOf(page[stayer])).received
		.filter(({ Header }) => Header.Event === 'disconnect');
	assert.deepEqual(told, [
		{ Header: { Event: 'disconnect', UserId: leaver, RoomId: room }, Payload: '{}' },
	]);

	page[leaver] = await enter(t, browser, way, room, leaver);
	const [{ received, calls }] = await talk(page[stayer], page[leaver]);
	const promoted = leaver === 'alice' ? [['connect', stayer, 'true']] : [];
	assert.deepEqual(news(received), [
		...toldBefore,
		['disconnect', leaver, '{}'],
		...promoted,
		['connect', leaver, 'false'],
	]);
	assert.equal(calls, 2);
}
