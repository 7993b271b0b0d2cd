/*
 * How the page looks, in each of its states, in windows from 320x256 to 1280x800: what axe finds, layout, names,
 * sizes of targets, forced colours, and the focus of the keyboard.  PICTURES names a directory for a picture of each;
 * README shows `3 people 1280x800 light`.
 */
import assert from 'node:assert/strict';
import { mkdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { after, before, describe } from 'node:test';
import { chromium } from 'playwright-core';
import { BOTH, INSECURE, alone, join, says, until, withCameras } from './pages.mjs';
import { start, test } from './server.mjs';
import { actors, enterActor, shows } from './stage.mjs';

/* A desk has one window, a touch screen the others. */
const DESK = { sizes: [[1280, 800]] };
const TOUCH = { hasTouch: true, sizes: [[390, 844], [390, 664], [844, 390], [320, 256]] };
const NAMES = ['Ann', 'Bob', 'Carol of the workshop', 'Dmitri', 'Eva', 'Farid', 'Grace', 'Hedwig Wolfeschlegelsteinhausen',
	'Ines', 'Jun', 'Kofi', 'Lea', 'Mia', 'Noor', 'Otto'];
const TARGET = 44; /* CSS pixels: the least width and height of what a finger presses */
const LIMIT = 240_000; /* milliseconds for a state: 10 windows on a busy machine */

const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const { PICTURES } = process.env;

let browser, server, decoder, rooms = 0;

before(async () => {
	browser = await chromium.launch(withCameras(2));
	decoder = await browser.newPage();
	server = await start();
	if (PICTURES)
		await mkdir(PICTURES, { recursive: true });
});

after(async () => {
	await browser?.close();
	await server?.stop();
});

const click = (page, id) => page.locator(`#${id}`).click();

/* A call of so many people.  `answers` has what differs in the answers of some, by their place. */
async function call(page, { room, from }, count, answers = {}) {
	await join(page);
	await alone(page);
	for (let i = 0; i < count - 1; i++)
		await enterActor(from, room, NAMES[i], { look: i + 2, portrait: i % 4 === 1, ...answers[i] });
	await shows(page, count);
}

/*
 * The states.  `arrange` gets the page, and the room and the server that it has opened.  Other members: `init` runs in
 * the page before its script; `serve` gets the page before it is opened; `own`: a server for this state alone;
 * `permissions` and `host` of the page.
 */
const STATES = {
	'door': {},
	'door with preview': {
		async arrange(page) {
			await click(page, 'try');
			await until(page, 'a picture', () => document.getElementById('preview').videoWidth > 0
				&& document.getElementById('video').length === 2);
		},
	},
	'door of a server with its own authority': {
		serve: page => page.route('**/*', (route, request) => request.method() === 'HEAD'
			? route.fulfill({ headers: { Link: '<./ca.crt>; rel="related"' } }) : route.fallback()),
		arrange: page => page.locator('#ca').waitFor(),
	},
	'door with a notice': {
		permissions: [],
		async arrange(page) {
			await click(page, 'try');
			await says(page, 'Without microphone and camera');
		},
	},
	'prompt open': {
		init: () => navigator.mediaDevices.getUserMedia = () => new Promise(() => {}),
		async arrange(page) {
			await join(page);
			await says(page, 'Allow camera');
		},
	},
	'alone': { arrange: (page, place) => call(page, place, 1) },
	...Object.fromEntries([2, 3, 4, 9, 16].map(count => [`${count} people`, {
		async arrange(page, place) {
			await call(page, place, count, count < 9 ? {} : {
				2: { status: 'muted=true dark=true' }, 5: { status: 'muted=true dark=false' },
				7: { status: 'muted=true dark=false' },
			});
			await page.evaluate(() => document.getElementById('status').textContent = ''); /* as after 6 s */
		},
	}])),
	'one enlarged': {
		async arrange(page, place) {
			await call(page, place, 4);
			await page.getByRole('button', { name: 'Bob' }).click();
		},
	},
	'devices': {
		async arrange(page, place) {
			await call(page, place, 2);
			await click(page, 'choose');
		},
	},
	'invited': {
		init: () => navigator.share = undefined,
		permissions: [...BOTH, 'clipboard-read', 'clipboard-write'],
		async arrange(page, place) {
			await call(page, place, 2);
			await click(page, 'invite');
			await says(page, 'copied');
		},
	},
	'trying again': {
		own: true,
		async arrange(page, place) {
			await call(page, place, 3);
			await place.from.stop();
			await says(page, 'Trying again');
		},
	},
	'no way to a peer': {
		async arrange(page, place) {
			await call(page, place, 3, { 1: { state: 'failed' } });
			await says(page, 'No way to this peer');
		},
	},
	'camera denied': {
		permissions: ['microphone'],
		async arrange(page, place) {
			await call(page, place, 2);
			await says(page, 'Without camera');
		},
	},
	'camera off and muted': {
		async arrange(page, place) {
			await call(page, place, 2, { 0: { status: 'muted=true dark=true' } });
			await click(page, 'mute');
			await click(page, 'dark');
			await until(page, 'both signs', () => /muted .* camera off/.test(document.querySelector('.self').textContent));
		},
	},
	'not secure': {
		host: INSECURE,
		async arrange(page, place) {
			await call(page, place, 2);
			await says(page, 'https pages only');
		},
	},
	'no WebRTC': { init: () => delete window.RTCPeerConnection },
};

/* The findings of axe, one line each. */
async function findings(page, rules) {
	const options = { resultTypes: ['violations'], ...rules && { runOnly: rules } };
	const { violations } = await page.evaluate(options => window.axe.run(document, options), options);
	return violations.flatMap(({ id, nodes }) => nodes.map(({ target, any, all, none }) =>
		`axe ${id}: ${target} ${[...any, ...all, ...none][0]?.message ?? ''}`));
}

/* Runs in the page: what is wrong with its layout. */
function misplaced(target) {
	const found = [];
	const the = id => document.getElementById(id);
	const box = element => element.getBoundingClientRect();
	const visible = selector => [...document.querySelectorAll(selector)].filter(one => one.checkVisibility());
	const nameOf = one => `${one.localName}#${one.id} ${one.textContent.trim()}`;
	const { innerWidth: width, innerHeight: height } = window, { scrollWidth, scrollHeight } = document.documentElement;
	const inside = ({ left, right, top, bottom }) => left >= -.5 && top >= -.5 && right <= width + .5 && bottom <= height + .5;
	for (const one of visible('a, button, input, select'))
		if (Math.min(box(one).width, box(one).height) < target - .01)
			found.push(`small: ${nameOf(one)}: ${box(one).width}x${box(one).height}`);
	for (const one of visible('video').filter(one => !one.ariaLabel))
		found.push(`without a name: video ${one.className}`);
	for (const one of visible('*')) {
		const { animationName, transitionDuration } = getComputedStyle(one);
		if (animationName !== 'none' || parseFloat(transitionDuration))
			found.push(`motion: ${nameOf(one)}`);
	}
	if (scrollWidth > width)
		found.push(`wider than the window: ${scrollWidth}`);
	if (document.querySelectorAll('main').length !== 1)
		found.push('not one main landmark');
	for (const one of visible('#notice, #status'))
		if (!inside(box(one)))
			found.push(`out of the window: ${nameOf(one)}`);
	if (the('call').hidden)
		return found;
	if (scrollHeight > height)
		found.push(`higher than the window: ${scrollHeight}`);
	if (!inside(box(the('bar'))))
		found.push('the bar leaves the window');
	const self = box(document.querySelector('.self'));
	for (const tile of visible('li')) {
		const { left, right, top, bottom } = box(tile.querySelector('span'));
		if (!inside(box(tile)) || box(tile).bottom > box(the('bar')).top + .5)
			found.push(`behind the bar: ${nameOf(tile)}`);
		/* 16 people in 320x256 have tiles of 64 pixels, and the own picture is a target too. */
		if (!tile.classList.contains('self') && box(tile).width > 1.5 * target
			&& left < self.right - 1 && right > self.left + 1 && top < self.bottom - 1 && bottom > self.top + 1)
			found.push(`name covered: ${nameOf(tile)}`);
	}
	return found;
}

/* Runs in the page: the places of texts that nothing covers, as [text, left, top, width, height]. */
function places() {
	return [...document.querySelectorAll('button, a, label, p')].flatMap(element => {
		const range = document.createRange();
		range.selectNodeContents(element.lastChild ?? element);
		const { left, top, right, bottom } = range.getBoundingClientRect();
		const shown = element.checkVisibility() && left >= 0 && top >= 0 && right > left && right <= innerWidth && bottom <= innerHeight;
		return shown && element.contains(document.elementFromPoint((left + right) / 2, (top + bottom) / 2))
			? [[element.textContent, ...[left, top, right - left, bottom - top].map(Math.ceil)]] : [];
	});
}

/* Runs in a blank page: which of the places have pixels of one brightness only. */
async function blank([url, places]) {
	const image = new Image();
	image.src = url;
	await image.decode();
	const canvas = new OffscreenCanvas(image.width, image.height), context = canvas.getContext('2d');
	context.drawImage(image, 0, 0);
	return places.filter(([, ...place]) => {
		const { data } = context.getImageData(...place), bright = [];
		for (let i = 0; i < data.length; i += 4)
			bright.push(.2 * data[i] + .7 * data[i + 1] + .1 * data[i + 2]);
		return Math.max(...bright) - Math.min(...bright) < 120;
	}).map(([text]) => `unreadable in forced colours: ${text}`);
}

async function photograph(page, name) {
	if (PICTURES)
		await page.screenshot({ path: path.join(PICTURES, `${name.replaceAll(' ', '-')}.png`) });
}

/* Waits until the page has drawn its present state. */
const drawn = page => page.evaluate(() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done))));

async function examineForcedColours(page) {
	await page.emulateMedia({ forcedColors: 'active' });
	await drawn(page);
	const picture = (await page.screenshot()).toString('base64');
	const found = await decoder.evaluate(blank, [`data:image/png;base64,${picture}`, await page.evaluate(places)]);
	/* Colours are the user's: another property shows which buttons are pressed. */
	const widths = await page.evaluate(() => [...document.querySelectorAll('#bar [aria-pressed]')].map(one =>
		[one.ariaPressed, getComputedStyle(one).borderTopWidth].join()));
	return widths.some(one => /^true,1px/.test(one)) ? [...found, 'pressed buttons look like others'] : found;
}

/* Everything that is wrong in the windows of these sizes. */
async function examine(page, name, sizes) {
	const found = [];
	for (const size of sizes) {
		const [width, height] = size;
		await page.setViewportSize({ width, height });
		for (const colorScheme of ['light', 'dark']) {
			await page.emulateMedia({ colorScheme, forcedColors: 'none' });
			await drawn(page);
			const where = `${name} ${size.join('x')} ${colorScheme}`;
			const faults = colorScheme === 'dark' ? await findings(page, ['color-contrast'])
				: [...await page.evaluate(misplaced, TARGET), ...await findings(page)];
			found.push(...faults.map(fault => `${where}: ${fault}`));
			await photograph(page, where);
		}
	}
	const forced = `${name} ${sizes.at(-1).join('x')} forced`;
	found.push(...(await examineForcedColours(page)).map(fault => `${forced}: ${fault}`));
	await photograph(page, forced);
	return found;
}

/* The page in a state, in a browser context of its own. */
async function visit(t, { hasTouch }, { permissions = BOTH, init, serve, host = '127.0.0.1', own, arrange }) {
	const from = own ? await start() : server;
	if (own)
		t.after(() => from.stop());
	const room = `kitchen ${++rooms}`;
	const context = await browser.newContext({ permissions, hasTouch, reducedMotion: 'reduce' });
	t.after(() => context.close());
	const page = await context.newPage();
	for (const script of [actors, init, axe])
		if (script)
			await page.addInitScript(script);
	await serve?.(page);
	await page.goto(`http://${host}:${from.port}/#${encodeURIComponent(room)}`);
	await arrange?.(page, { from, room });
	return page;
}

describe('the page', () => {
	for (const [name, state] of Object.entries(STATES))
		test(`${name}: readable and in its place, in all windows`, async t => {
			const found = [];
			for (const device of [DESK, TOUCH]) {
				const page = await visit(t, device, state);
				found.push(...await examine(page, name, device.sizes));
				await page.context().close();
			}
			assert.deepEqual(found, []);
		}, LIMIT);

	for (const [where, state, expected] of [
		['at the door', STATES['door with preview'], ['room', 'name', 'join', 'try', 'video', 'audio', 'speaker']],
		['in a call', STATES['3 people'],
			['Ann', 'Bob', 'You', 'mute', 'dark', 'flip', 'screen', 'invite', 'choose', 'full', 'leave']],
	])
		test(`${where} the keyboard reaches everything, and the focus is visible`, async t => {
			const page = await visit(t, TOUCH, state);
			await page.setViewportSize({ width: 320, height: 256 });
			const reached = new Set();
			for (let i = 0; i <= expected.length; i++) { /* and the body once */
				await page.keyboard.press('Tab');
				await drawn(page);
				reached.add(await page.evaluate(() => {
					const one = document.activeElement, { left, top, width, height } = one.getBoundingClientRect();
					const uncovered = one.contains(document.elementFromPoint(left + width / 2, top + height / 2));
					const outlined = getComputedStyle(one).outlineStyle !== 'none';
					return one === document.body ? 'body' : (one.id || one.textContent) + (uncovered ? '' : ' covered') + (outlined ? '' : ' without outline');
				}));
			}
			assert.deepEqual([...reached].sort(), [...expected, 'body'].sort());
		}, LIMIT);
});
