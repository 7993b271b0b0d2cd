/*
 * The page at / in Chromium, for tests of it.  Tests see what a user sees, and what the page asks of the
 * browser: they do not reach into its script.
 */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { chromium } from 'playwright-core';
import { promptingOptions } from './chromium.mjs';
import { until as poll, start } from './server.mjs';

const PATIENCE = 60_000; /* milliseconds for a page to get to the expected state */

export const BOTH = ['camera', 'microphone'];

/* What the binary leaves out of index.html and videre.js: comments, indentation, empty lines and needless ends of lines. */
export const smaller = text => text
	.replace(/^<!--.*-->\n/gm, '')
	.replace(/^\t*\/\*[^]*?\*\/\n/gm, '')
	.replace(/[ \t]*\/\*[^*\n]*\*\/$/gm, '')
	.replace(/^\t+/gm, '')
	.replace(/^\n/gm, '')
	.replace(/([{(,;])\n/g, '$1');

/*
 * Scripts that run before the page's own
 */

/* Small pictures and unprocessed sound are enough: one machine makes all of them. */
export function useSmallPictures() {
	const { mediaDevices } = navigator;
	const real = mediaDevices?.getUserMedia.bind(mediaDevices);
	if (real)
		mediaDevices.getUserMedia = ({ audio, video }) => real({
			audio: audio && { ...audio, echoCancellation: false, noiseSuppression: false, autoGainControl: false },
			video: video && { ...video, width: 160, height: 120 },
		});
}

/*
 * Collects what the page gets from the browser in `seen`.  `respond` and `display`, functions of window,
 * stand in for getUserMedia and getDisplayMedia; the first gets the real one also.  `stats` stands in for
 * getStats, and `incoming` replaces what WebSockets receive.  `copied` is the text of the clipboard, which
 * all pages of a browser share otherwise.
 */
export function watch() {
	const seen = window.seen = { connections: [], sockets: [], prompts: [], tracks: [] };
	window.RTCPeerConnection = class extends RTCPeerConnection {
		constructor(...all) {
			super(...all);
			seen.connections.push(this);
		}

		getStats(...all) {
			return window.stats ?? super.getStats(...all);
		}
	};
	window.WebSocket = class extends WebSocket {
		constructor(...all) {
			super(...all);
			seen.sockets.push(this);
		}

		set onmessage(handler) {
			super.onmessage = ({ data }) => handler({ data: window.incoming?.(data) ?? data });
		}
	};
	/* The connections in use; the page makes one more, to see whether it can. */
	window.live = () => seen.connections.filter(({ signalingState }) => signalingState !== 'closed');
	const { mediaDevices } = navigator;
	if (!mediaDevices)
		return;
	navigator.clipboard.writeText = async text => window.copied = text;
	const real = mediaDevices.getUserMedia.bind(mediaDevices);
	mediaDevices.getUserMedia = async constraints => {
		seen.prompts.push(constraints);
		const stream = await (window.respond ?? real)(constraints, real);
		seen.tracks.push(...stream.getTracks());
		return stream;
	};
	const realDisplay = mediaDevices.getDisplayMedia.bind(mediaDevices);
	mediaDevices.getDisplayMedia = constraints => (window.display ?? realDisplay)(constraints);
}

/*
 * What a page shows
 */

export const join = page => page.getByRole('button', { name: 'Join' }).click();
export const press = (page, name) => page.getByRole('button', { name, exact: true }).click();

/* Waits until `condition` holds in the page.  If it never does, the error has the page's text. */
export async function until(page, what, condition, argument, timeout = PATIENCE) {
	try {
		if (condition.constructor.name === 'AsyncFunction') /* waitForFunction takes any promise for true */
			await poll(what, () => page.evaluate(condition, argument), Boolean, 100, timeout);
		else
			await page.waitForFunction(condition, argument, { polling: 100, timeout });
	} catch (cause) {
		const state = await page.evaluate(() => document.body.innerText).catch(String);
		throw new Error(`not seen: ${what}; the page: ${JSON.stringify(state)}`, { cause });
	}
}

export const says = (page, text, timeout) => until(page, text, wanted =>
	['notice', 'status'].some(id => document.getElementById(id).textContent.includes(wanted)), text, timeout);
/* Does something that shows a text for a while. */
export async function makesSay(page, text, act) {
	const shown = says(page, text);
	await act();
	await shown;
}

export const isQuiet = (page, timeout) => until(page, 'no text', () =>
	['notice', 'status'].every(id => document.getElementById(id).textContent === ''), undefined, timeout);
export const alone = page => says(page, 'Nobody else is here');
export const atTheDoor = page => until(page, 'the door', () => !document.getElementById('door').hidden
	&& document.getElementById('call').hidden);

/* The number of tiles of others, in any state. */
export const others = page => page.evaluate(() => document.querySelectorAll('li:not(.self)').length);
export const meets = (page, count, timeout) => until(page, `${count} others`, expected =>
	document.querySelectorAll('li:not(.self)').length === expected, count, timeout);

/* The labels of the others' tiles. */
export const labels = page => page.locator('li:not(.self) span').allTextContents();
export const reads = (page, pattern, timeout) => until(page, `a label like ${pattern}`, source =>
	[...document.querySelectorAll('li:not(.self) span')].some(({ textContent }) => new RegExp(source).test(textContent)),
pattern.source, timeout);

/* The page shows so many others, each is connected, and their pictures move. */
export async function sees(page, count, timeout) {
	await until(page, `${count} pictures that move`, expected => {
		const tiles = [...document.querySelectorAll('li:not(.self)')];
		const frames = tiles.map(tile => tile.firstChild.getVideoPlaybackQuality().totalVideoFrames);
		const whole = tiles.length === expected && tiles.every(tile => tile.firstChild.videoWidth > 0
			&& !/connecting|no connection|camera off/.test(tile.textContent));
		const before = window.framesBefore;
		if (!whole || before?.length !== expected)
			window.framesBefore = whole ? frames : undefined;
		else if (frames.every((count, i) => count > before[i])) {
			window.framesBefore = undefined;
			return true;
		}
		return false;
	}, count, timeout);
}

/*
 * A browser and servers
 */

/* A name for loopback that browsers do not take as secure. */
export const INSECURE = 'videre.test';

/* The options of a Chromium with so many cameras, and that name. */
export const withCameras = number => ({
	...promptingOptions,
	args: promptingOptions.args.map(arg => arg.replace('=fps=5', `=fps=5,device-count=${number}`)
		.replace('-rules=', `-rules=MAP ${INSECURE} 127.0.0.1, `)),
});

/* Errors that the browser logs about a server that a test stops. */
export const STOPPED = [/ERR_CONNECTION_REFUSED/, /ERR_CONNECTION_RESET/, /ERR_EMPTY_RESPONSE/, /status of 503/];

/* The page takes names that people take for the same as one room. */
export const roomOf = t => t.name.normalize().toLowerCase().slice(0, 100).trim();

/* The packets of a type that a page sends from now on. */
export function packetsOf(page, type) {
	const packets = [];
	page.on('websocket', ws => ws.on('framesent', ({ payload }) => {
		const packet = JSON.parse(payload);
		if (packet.Header.Event === type)
			packets.push(packet);
	}));
	return packets;
}

/* One browser with made-up devices for a file of tests, and servers by name with these options. */
export function useBrowser(options) {
	const servers = {};
	let browser;

	before(async () => {
		browser = await chromium.launch(withCameras(3));
		for (const [name, make] of Object.entries(options))
			servers[name] = await start(await make());
	});

	after(async () => {
		await browser?.close();
		for (const server of Object.values(servers))
			await server.stop();
	});

	/*
	 * Opens the page in a browser context of its own.  At the end nothing may have failed there, and nothing
	 * may have been asked of other hosts.
	 */
	async function visit(t, server, options = {}) {
		const {
			room = roomOf(t), permissions = BOTH, host = server.host, fragment = encodeURIComponent(room), link, name,
			before: script, ice, allow = [], ...rest
		} = options;
		const context = await browser.newContext({ permissions, viewport: { width: 480, height: 360 }, ...rest });
		const page = await context.newPage();
		page.setDefaultTimeout(PATIENCE);
		const origin = `${server.tls ? 'https' : 'http'}://${host}:${server.port}`;
		const wrong = [];
		page.on('console', message => message.type() === 'error' && wrong.push(message.text()));
		page.on('pageerror', error => wrong.push(String(error)));
		page.on('request', request => /^data:/.test(request.url()) || request.url().startsWith(`${origin}/`)
			|| wrong.push(request.url()));
		t.after(async () => {
			await context.close();
			assert.deepEqual(wrong.filter(text => !allow.some(pattern => pattern.test(text))), []);
		});
		for (const one of [useSmallPictures, watch, script])
			if (one)
				await page.addInitScript(one);
		if (ice)
			await page.route('**/ice', ice);
		await page.goto(link ?? `${origin}/#${fragment}`);
		if (name !== undefined)
			await page.getByLabel('Your name').fill(name);
		return page;
	}

	async function enter(t, server, options) {
		const page = await visit(t, server, options);
		await join(page);
		return page;
	}

	return { servers, visit, enter };
}
