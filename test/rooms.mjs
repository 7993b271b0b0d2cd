/*
 * Rooms in Chromium and Firefox, on pages of another origin: the test's own page, and those of examples/own-page.
 */
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { after, before } from 'node:test';
import puppeteer from 'puppeteer-core';
import { slowCameraOptions } from './chromium.mjs';
import { firefoxOptions } from './firefox.mjs';
import { url } from './client.mjs';
import { start } from './server.mjs';

const require = createRequire(import.meta.url);

/*
 * The page keeps what happens in `events`, and shows each peer in a video element.  A test can set `outgoing`,
 * which replaces a text that is sent, and `incoming`, which returns a list in place of a received one.  Small pictures, few of
 * them, and unprocessed sound leave the processor to the tests.
 */
const OWN = `<!DOCTYPE html><title>own page</title><body><script type="module">
const { server, name, sockjs, options } = JSON.parse(decodeURIComponent(location.hash.slice(1)));
if (sockjs) {
	const script = Object.assign(document.createElement('script'), { src: sockjs });
	await new Promise(loaded => { script.onload = loaded; document.head.append(script); });
	options.socket = url => new SockJS(url, null, { transports: [sockjs.split('#')[1]] });
}
const { Room } = await import(server + 'videre.js');
window.sockets = [];
window.WebSocket = class extends WebSocket {
	constructor(...args) {
		super(...args);
		sockets.push(this);
	}
	send(data) {
		super.send(window.outgoing?.(data) ?? data);
	}
	set onmessage(handler) {
		super.onmessage = ({ data }) => (window.incoming?.(data) ?? [data]).forEach(one => handler({ data: one }));
	}
};
options.stream = await navigator.mediaDevices.getUserMedia({
	audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false },
	video: { width: 160, height: 120 },
});
window.events = [];
window.room = new Room(name, options);
for (const type of ['open', 'peer', 'left', 'state', 'message', 'error', 'close'])
	room.addEventListener(type, ({ peer, state, code, message, data }) =>
		events.push({ type, id: peer?.id, state, code, message, data }));
room.addEventListener('peer', ({ peer }) => {
	const video = Object.assign(document.createElement('video'),
		{ id: peer.id, srcObject: peer.stream, autoplay: true, muted: true });
	document.body.append(video);
});
room.addEventListener('left', ({ peer }) => document.getElementById(peer.id).remove());
</script>`;

const PATIENCE = 90_000; /* milliseconds */

const launch = {
	chromium: () => puppeteer.launch({ ...slowCameraOptions, headless: true }),
	firefox: () => puppeteer.launch(firefoxOptions),
};

/* A file of examples/own-page, for a server without TLS. */
async function exampleFor(name, port) {
	const text = await readFile(new URL(`../examples/own-page/${name}.html`, import.meta.url), 'utf8');
	return text.replace(/(http|ws)s:\/\/router\.lan:1111/g, `$1://127.0.0.1:${port}`);
}

const browsers = {};
let pages, origin; /* the server of the pages */
export let server; /* of rooms that name no other */

before(async () => {
	pages = createServer(async ({ url }, response) => {
		const [, example, port] = /^\/example\/(\w+)\.html\?(\d+)$/.exec(url) ?? [];
		const script = /\/sockjs\.min\.js$/.test(url) && require.resolve('sockjs-client/dist/sockjs.min.js');
		response.setHeader('Content-Type', script ? 'text/javascript' : 'text/html');
		response.end(script ? await readFile(script) : example ? await exampleFor(example, port) : OWN);
	}).listen(0, '127.0.0.1');
	await once(pages, 'listening');
	origin = `http://127.0.0.1:${pages.address().port}`;
	for (const [name, start] of Object.entries(launch))
		browsers[name] = await start();
	server = await start({ conf: { MaxPeers: 4 } });
});

after(async () => {
	for (const browser of Object.values(browsers))
		await browser.close();
	pages?.close();
	await server?.stop();
});

export const baseOf = server => url(server, '/', 'http');

/* A page of a browser of its own. */
export async function newPage(t, kind) {
	const context = await browsers[kind].createBrowserContext();
	t.after(() => context.close());
	/* Firefox gives another page up while the context of a previous test closes. */
	return context.newPage().catch(() => context.newPage());
}

/* Opens a page of examples/own-page in Chromium. */
export async function openExample(t, name, { port }) {
	const page = await newPage(t, 'chromium');
	await page.goto(`${origin}/example/${name}.html?${port}`);
	return page;
}

/* An example has so many videos, and they play. */
export const playing = (page, count) => until(page, `${count} videos that play`, wanted => {
	const videos = [...document.querySelectorAll('video')];
	return videos.length === wanted && videos.every(video => video.getVideoPlaybackQuality().totalVideoFrames > 5);
}, count);

/* Opens the page, which enters a room: the test's, if no other is given.  `before` runs before its script. */
export async function enter(t, kind, { at = server, into = t.name, sockjs, before: script, ...options } = {}) {
	const page = await newPage(t, kind);
	if (script)
		await page.evaluateOnNewDocument(script);
	const link = { server: baseOf(at), name: into, sockjs: sockjs && `${origin}/sockjs.min.js#${sockjs}`, options };
	await page.goto(`${origin}/#${encodeURIComponent(JSON.stringify(link))}`);
	await page.waitForFunction(() => window.room, { timeout: PATIENCE });
	return page;
}

export async function until(page, what, condition, ...args) {
	try {
		await page.waitForFunction(condition, { timeout: PATIENCE, polling: 200 }, ...args);
	} catch (cause) {
		const events = await page.evaluate(() => JSON.stringify(window.events)).catch(String);
		throw new Error(`not seen: ${what}; events: ${events}`, { cause });
	}
}

export const isOpen = page => until(page, 'an open room', () => room.state === 'open');
export const happens = (page, wanted) => until(page, JSON.stringify(wanted), one =>
	events.some(event => Object.entries(one).every(([name, value]) => event[name] === value)), wanted);
export const eventsOf = (page, type) => page.evaluate(one => events.filter(event => event.type === one), type);
export const userOf = page => page.evaluate(() => room.user);

/* So many peers, and their videos move: more frames are decoded than before. */
export async function sees(page, count) {
	await until(page, `${count} videos that move`, async expected => {
		const decoded = await Promise.all(room.peers.map(async ({ connection, state }) => {
			const stats = [...await connection?.getStats() ?? []].map(([, one]) => one);
			const video = stats.find(({ type, kind }) => type === 'inbound-rtp' && kind === 'video');
			return state === 'connected' ? video?.framesDecoded ?? 0 : 0;
		}));
		window.frames ??= decoded;
		if (decoded.length === expected && frames.length === expected && decoded.every((n, i) => n > frames[i] && frames[i] > 0)) {
			window.frames = undefined;
			return true;
		}
		if (frames.length !== expected || frames.includes(0))
			window.frames = decoded;
		return false;
	}, count);
}

/* Has each of the pages see all others. */
export const see = pages => Promise.all(pages.map(page => sees(page, pages.length - 1)));

/* Enters one after another, so that the first makes the offers. */
export async function gatherPages(t, ...kinds) {
	const entered = [];
	for (const [kind, options] of kinds) {
		entered.push(await enter(t, kind, options));
		await isOpen(entered.at(-1));
	}
	await see(entered);
	return entered;
}
