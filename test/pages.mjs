/* What tests do with the page at / in Chromium. */
import assert from 'node:assert/strict';

const PATIENCE = 20_000; /* milliseconds that a page has to get where it is expected */

export const BOTH = ['camera', 'microphone'];

/* Small pictures will do: one machine makes all of them, and shows them. */
export function useSmallPictures() {
	const { mediaDevices } = navigator;
	const really = mediaDevices?.getUserMedia.bind(mediaDevices);
	if (really)
		mediaDevices.getUserMedia = ({ audio, video }) =>
			really({ audio, video: video && { width: 160, height: 120 } });
}

export const join = page => page.getByRole('button', { name: 'Join' }).click();
export const press = (page, name) => page.getByRole('button', { name }).click();

/* Waits until `condition` holds in the page; if it never does, says what the page had come to. */
export async function until(page, what, condition, argument, timeout = PATIENCE) {
	try {
		await page.waitForFunction(condition, argument, { polling: 100, timeout });
	} catch (cause) {
		const state = await page.evaluate(() => document.body.innerText).catch(String);
		throw new Error(`not seen: ${what}; the page: ${JSON.stringify(state)}`, { cause });
	}
}

export const says = (page, text, timeout) => until(page, text, wanted =>
	['notice', 'status'].some(id => document.getElementById(id).textContent.includes(wanted)), text, timeout);
export const alone = page => says(page, 'Nobody else is here');
export const atTheDoor = async page => assert(await page.getByRole('button', { name: 'Join' }).isVisible());

/* How many others there are to be seen, at whatever they are. */
export const others = page => page.evaluate(() => Math.max(document.querySelectorAll('li').length - 1, 0));

/* The page sees so many others, who are there by one way each, and their pictures move. */
export async function sees(page, count) {
	await until(page, `${count} pictures`, expected => {
		const tiles = [...document.querySelectorAll('li')].slice(1);
		window.frames = tiles.map(tile => tile.firstChild.getVideoPlaybackQuality().totalVideoFrames);
		return tiles.length === expected && tiles.every(tile =>
			tile.firstChild.videoWidth > 0 && /^\w{4} $/.test(tile.textContent));
	}, count);
	await until(page, 'pictures that move', () => [...document.querySelectorAll('li')].slice(1).every((tile, i) =>
		tile.firstChild.getVideoPlaybackQuality().totalVideoFrames > window.frames[i]));
}
