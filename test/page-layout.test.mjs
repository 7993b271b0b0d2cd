/*
 * How the page at / looks and is operated in Chromium: on screens of many sizes, with tiles of many people,
 * by touch, mouse and keyboard.  The people are clients without media.
 */
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { open } from './client.mjs';
import {
	alone, atTheDoor, labels, meets, press, reads, roomOf, says, until, useBrowser,
} from './pages.mjs';
import { attempts, test } from './server.mjs';

const { servers, visit, enter } = useBrowser({ plain: () => ({}) });

const WINDOW = [1280, 800];
const SCREENS = [WINDOW, [390, 664], [844, 390], [320, 256]];
const BETWEEN = [[434, 800], [480, 800], [520, 800], [560, 800]];

/* Adds clients to a room in which a page is. */
async function crowd(t, count, name = 'client') {
	const clients = [];
	for (let i = 0; i < count; i++) {
		const client = await open(servers.plain);
		client.join(`${i} ${name}`, roomOf(t));
		clients.push(client);
	}
	return clients;
}

/* What is wrong with the places of tiles and controls: a list of texts. */
function findFaults(people) {
	const faults = [];
	const rectOf = element => {
		const { left, top, right, bottom, width, height } = element.getBoundingClientRect();
		return { left, top, right, bottom, width, height };
	};
	const isWithin = (a, b) => a.left >= b.left - 1 && a.top >= b.top - 1 && a.right <= b.right + 1 && a.bottom <= b.bottom + 1;
	const overlap = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
		&& Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1;
	const check = (isRight, what, ...rects) => isRight || faults.push(`${what}: ${rects.map(one => JSON.stringify(one))}`);
	const screen = { left: 0, top: 0, right: innerWidth, bottom: innerHeight };
	const bar = rectOf(document.getElementById('bar'));
	const tiles = [...document.querySelectorAll('li')].filter(tile => tile.checkVisibility());
	const own = tiles.filter(tile => tile.matches('.self'));
	const rest = tiles.filter(tile => !tile.matches('.self'));
	check(tiles.length === people, `${tiles.length} tiles`);
	check(isWithin(bar, screen), 'the bar is off the screen', bar);
	for (const tile of tiles) {
		const rect = rectOf(tile);
		check(isWithin(rect, screen), 'a tile is off the screen', rect);
		check(rect.bottom <= bar.top + 1, 'a tile is behind the bar', rect, bar);
		check(rect.width >= 40 && rect.height >= 30, 'a tile is tiny', rect);
		const video = tile.querySelector('video'), { objectFit } = getComputedStyle(video);
		check(video.hidden || isWithin(rectOf(video), rect), 'a video is larger than its tile', rectOf(video), rect);
		check(objectFit === 'contain', `a picture is cut: ${objectFit}`);
	}
	rest.forEach((tile, i) => rest.slice(0, i).forEach(other =>
		check(!overlap(rectOf(tile), rectOf(other)), 'two tiles overlap', rectOf(tile), rectOf(other))));
	for (const tile of own)
		for (const other of rest)
			check(rectOf(tile).width <= rectOf(other).width + 1 || tiles.length > 9, 'the own tile is larger than others', rectOf(tile), rectOf(other));
	const { scrollWidth, scrollHeight } = document.documentElement;
	check(scrollWidth <= innerWidth, `the page is ${scrollWidth} wide`);
	check(scrollHeight <= innerHeight, `the page is ${scrollHeight} high`);
	const leave = rectOf(document.getElementById('leave'));
	check(isWithin(leave, screen), 'Leave is off the screen', leave);
	for (const button of document.querySelectorAll('#bar button')) {
		const { width, height } = rectOf(button);
		check(!button.checkVisibility() || width >= 44 && height >= 44, `${button.id} is too small for a finger`, { width, height });
	}
	/* Screen readers have a heading; the tiles cover it. */
	for (const heading of document.querySelectorAll('h1')) {
		const { left, top, width, height } = rectOf(heading);
		check(document.elementFromPoint(left + width / 2, top + height / 2) !== heading, 'a heading is seen');
	}
	return faults;
}

/* Waits for the places after a change of size. */
async function fits(page, people, [width, height]) {
	await page.setViewportSize({ width, height });
	let faults;
	for (const end = Date.now() + 30_000; Date.now() < end;) {
		faults = await page.evaluate(findFaults, people);
		if (faults.length === 0)
			return;
		await setTimeout(100);
	}
	assert.fail(`${people} at ${width}x${height}: ${faults.join('\n')}`);
}

/* The places of the others' tiles, rounded. */
const places = page => page.locator('li:not(.self)').evaluateAll(tiles => tiles.map(tile => {
	const { left, top, width, height } = tile.getBoundingClientRect();
	return [left, top, width, height].map(Math.round);
}));

const sidewaysFree = page => page.evaluate(() => document.documentElement.scrollWidth <= innerWidth);

describe('the layout', { concurrency: 2 }, () => {
	for (const people of [1, 2, 3, 4, 9, 16])
		test(`${people} in a room`, async t => {
			const page = await enter(t, servers.plain);
			await alone(page);
			await crowd(t, people - 1);
			await meets(page, people - 1);
			const faults = [];
			for (const size of [...SCREENS, ...BETWEEN])
				await fits(page, people, size).catch(({ message }) => faults.push(message));
			assert.deepEqual(faults, []);
		}, 180_000);

	test('four others are two by two in a window, one other fills it', async t => {
		const page = await enter(t, servers.plain);
		await alone(page);
		const clients = await crowd(t, 4);
		await meets(page, 4);
		await fits(page, 5, WINDOW);
		const four = await places(page);
		for (const [i, count] of [[0, 2], [1, 2]])
			assert.equal(new Set(four.map(place => place[i])).size, count, JSON.stringify(four));
		for (const client of clients.slice(1))
			await client.close();
		await meets(page, 1);
		await fits(page, 2, WINDOW);
		const [[left, top, width, height]] = await places(page);
		assert.deepEqual([left, top, width], [0, 0, WINDOW[0]]);
		assert(height > 0.85 * WINDOW[1], `${height}`);
	});

	test('a large screen of a phone, upright, has two others one below the other', async t => {
		const page = await enter(t, servers.plain);
		await alone(page);
		await crowd(t, 2);
		await meets(page, 2);
		await fits(page, 3, [390, 664]);
		const [first, second] = await places(page);
		assert.equal(first[0], second[0]);
		assert(second[1] >= first[1] + first[3] - 1);
		await fits(page, 3, [844, 390]);
		const [left, right] = await places(page);
		assert.equal(left[1], right[1], 'next to each other if it is turned');
	});

	test('long names and notices leave the layout as it is', async t => {
		const page = await enter(t, servers.plain, { permissions: [] });
		await says(page, 'Without microphone and camera');
		await crowd(t, 2, 'W'.repeat(126));
		await meets(page, 2);
		for (const size of [...SCREENS, ...BETWEEN.slice(0, 1)])
			await fits(page, 3, size);
	}, 120_000);

	test('the door needs no scrolling to the side, and each control can be reached', async t => {
		const page = await visit(t, servers.plain);
		await press(page, 'Preview');
		await until(page, 'the choice of devices', () => !document.getElementById('devices').hidden);
		for (const [width, height] of [...SCREENS, ...BETWEEN]) {
			await page.setViewportSize({ width, height });
			assert(await sidewaysFree(page), `${width}x${height}`);
			for (const control of await page.locator('#door :is(input, button, select):visible').all()) {
				await control.scrollIntoViewIfNeeded();
				const { x, width: its, height: tall } = await control.boundingBox();
				assert(x >= 0 && x + its <= width && tall >= 44, `${await control.getAttribute('id')} at ${width}x${height}`);
			}
		}
	});

	test('the dialog of devices fits a small screen', async t => {
		const page = await enter(t, servers.plain, { viewport: { width: 320, height: 256 } });
		await alone(page);
		await press(page, 'Devices');
		const { x, y, width, height } = await page.getByRole('dialog').boundingBox();
		assert(x >= 0 && y >= 0 && x + width <= 320 && y + height <= 256, `${[x, y, width, height]}`);
		assert(await sidewaysFree(page));
		await page.keyboard.press('Escape');
		assert(!await page.getByRole('dialog').isVisible());
	});

	test('a dark screen is dark, and a light one light', async t => {
		const page = await visit(t, servers.plain);
		const shades = {};
		for (const colorScheme of ['dark', 'light']) {
			await page.emulateMedia({ colorScheme });
			shades[colorScheme] = await page.evaluate(() => {
				const probe = document.body.appendChild(document.createElement('p'));
				probe.style.backgroundColor = 'Canvas';
				const colours = [getComputedStyle(probe).backgroundColor, getComputedStyle(document.body).color];
				probe.remove();
				return colours.map(color => Number(/\d+/.exec(color)[0]));
			});
		}
		assert(shades.dark[0] < 64 && shades.dark[1] > 192, `${shades.dark}`);
		assert(shades.light[0] > 192 && shades.light[1] < 64, `${shades.light}`);
	});
});

describe('the controls', { concurrency: 2 }, () => {
	const focused = page => page.evaluate(() => document.activeElement.id);
	const visibleTiles = page => page.locator('li:visible').count();

	/* Presses Tab, at most as often as there are controls, until this one has the focus. */
	async function tabTo(page, id) {
		for (let i = 0; i < 25; i++) {
			if (await focused(page) === id)
				return;
			await page.keyboard.press('Tab');
		}
		assert.fail(`${id} is not reached by Tab`);
	}

	test('the keyboard is enough', async t => {
		const page = await visit(t, servers.plain, { room: '' });
		const pressed = () => page.evaluate(() => document.activeElement.ariaPressed);
		const type = async (...keys) => {
			for (const key of keys)
				await page.keyboard.press(key);
		};
		await tabTo(page, 'room');
		await type('Control+A', 'k', 'e', 'y', 's');
		await tabTo(page, 'name');
		await type('A', 'n', 'n', 'Enter');
		await alone(page);
		assert.match(page.url(), /#keys$/);
		assert.equal(await focused(page), 'invite');
		await tabTo(page, 'mute');
		for (const state of ['true', 'false']) {
			await type('Space');
			assert.equal(await pressed(), state);
		}
		await tabTo(page, 'dark');
		for (const state of ['true', 'false']) {
			await type('Enter');
			await until(page, `camera off: ${state}`, expected => document.getElementById('dark').ariaPressed === expected, state);
			await until(page, 'the camera', () => !document.getElementById('dark').disabled);
			assert.equal(await focused(page), 'dark', 'the focus stays');
		}
		await tabTo(page, 'choose');
		await type('Enter');
		assert(await page.getByRole('dialog').isVisible());
		await type('Escape');
		assert.equal(await focused(page), 'choose');
		await tabTo(page, 'leave');
		await type('Enter');
		await atTheDoor(page);
		assert.equal(await focused(page), 'room');
	});

	test('a tile is enlarged and restored by a click', async t => {
		const page = await enter(t, servers.plain);
		await alone(page);
		const clients = await crowd(t, 3);
		await meets(page, 3);
		await fits(page, 4, WINDOW);
		const second = page.locator('li:not(.self) button').nth(1);
		/* Notices, which come when these peers have not answered for 20 s, move the tiles once. */
		await attempts('the places of before', async () => {
			const before = await places(page);
			await second.click();
			assert.equal(await second.getAttribute('aria-pressed'), 'true');
			assert.equal(await visibleTiles(page), 1);
			const [x, y, width, height] = (await places(page))[1];
			assert(x <= 1 && y <= 1 && width >= 1278 && height > 500, `${[x, y, width, height]}`);
			await second.click();
			assert.equal(await visibleTiles(page), 4);
			return isDeepStrictEqual(await places(page), before);
		}, Boolean);
		/* The enlarged peer leaves: the others are there again. */
		await second.click();
		await clients[1].close();
		await meets(page, 2);
		assert.equal(await visibleTiles(page), 3);
		/* The own tile too. */
		await page.locator('.self button').click();
		assert.equal(await visibleTiles(page), 1);
		assert((await page.locator('.self').boundingBox()).width > 1200);
	});

	test('a peer that joins while a tile is enlarged has its tile after it', async t => {
		const page = await enter(t, servers.plain);
		await alone(page);
		await crowd(t, 1);
		await meets(page, 1);
		await page.locator('li:not(.self) button').click();
		const late = await open(servers.plain);
		late.join('late', roomOf(t));
		await meets(page, 2);
		assert.equal(await visibleTiles(page), 1);
		await page.locator('li:not(.self) button').first().click();
		assert.equal(await visibleTiles(page), 3);
	});

	test('a tile is enlarged by the keyboard', async t => {
		const page = await enter(t, servers.plain);
		await alone(page);
		await crowd(t, 2);
		await meets(page, 2);
		const tile = page.locator('li:not(.self) button').first();
		await tile.focus();
		for (const [key, count] of [['Enter', 1], ['Space', 3]]) {
			await page.keyboard.press(key);
			assert.equal(await visibleTiles(page), count);
			assert(await tile.evaluate(one => document.activeElement === one));
		}
	});

	test('the call takes the whole screen and gives it back', async t => {
		const page = await enter(t, servers.plain);
		await alone(page);
		for (const whole of [true, false]) {
			await press(page, 'Full screen');
			await until(page, `full screen: ${whole}`, expected => Boolean(document.fullscreenElement) === expected, whole);
			assert(await page.getByRole('button', { name: 'Leave' }).isVisible());
		}
	});

	test('each control and each video has a name', async t => {
		const page = await enter(t, servers.plain);
		await alone(page);
		await crowd(t, 1);
		await reads(page, /^0 cl · connecting$/);
		for (const name of ['Mute', 'Camera off', 'Screen', 'Invite', 'Devices', 'Full screen', 'Leave', 'You'])
			assert(await page.getByRole('button', { name, exact: true }).isVisible(), name);
		assert.deepEqual(await labels(page), ['0 cl · connecting']);
		assert.deepEqual(await page.locator('#call video').evaluateAll(all => all.map(video => video.ariaLabel)), ['0 cl', 'You']);
		assert.equal(await page.getByRole('list', { name: 'Participants' }).getByRole('listitem').count(), 2);
	});
});
