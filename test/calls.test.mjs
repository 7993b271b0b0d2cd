/*
 * Calls between pages in Chromium and Firefox, over TLS.  Both trust the authority of `videre -k`, and no
 * other certificate.  Media is what getStats says: decoded frames and received sound.
 */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe } from 'node:test';
import { chromium } from 'playwright-core';
import puppeteer from 'puppeteer-core';
import { installInChromium, installInFirefox } from './installed.mjs';
import { until as untilInChromium, useSmallPictures } from './pages.mjs';
import { run, start, test } from './server.mjs';

const PATIENCE = 90_000; /* milliseconds */

const browsers = {};
let directory, server;

/* Keeps each connection for its statistics. */
function keepConnections() {
	window.connections = [];
	window.RTCPeerConnection = class extends RTCPeerConnection {
		constructor(...args) {
			super(...args);
			connections.push(this);
		}
	};
}

before(async () => {
	directory = await mkdtemp(path.join(tmpdir(), 'videre-calls-'));
	const [cert, key, caFile, chromiumHome, firefoxHome] = ['cert.pem', 'key.pem', 'ca.pem', 'chromium', 'firefox']
		.map(name => path.join(directory, name));
	await Promise.all([chromiumHome, firefoxHome].map(home => mkdir(home)));
	assert.equal((await run(['-k', cert, key, '127.0.0.1'])).code, 0);
	await writeFile(caFile, (await readFile(cert, 'utf8')).match(/-----BEGIN[^]*?-----END.*\n/g)[1]);
	server = await start({ tls: { cert, key } });
	browsers.Chromium = await chromium.launch(await installInChromium(chromiumHome, caFile));
	browsers.Firefox = await puppeteer.launch(await installInFirefox(firefoxHome, caFile));
});

after(async () => {
	for (const browser of Object.values(browsers))
		await browser.close();
	await server?.stop();
	await rm(directory, { recursive: true });
});

/* Waits until `condition` holds in the page: with Playwright in Chromium, with Puppeteer in Firefox. */
async function until(page, what, condition, argument) {
	if (page.addInitScript)
		return untilInChromium(page, what, condition, argument, PATIENCE);
	try {
		await page.waitForFunction(condition, { timeout: PATIENCE, polling: 100 }, argument);
	} catch (cause) {
		throw new Error(`not seen: ${what}; the page: ${await page.evaluate(() => document.body.innerText).catch(String)}`, { cause });
	}
}

/* Opens the page, and joins the room. */
async function join(t, kind, room, name) {
	const browser = browsers[kind];
	const context = await (browser.newContext?.() ?? browser.createBrowserContext());
	t.after(() => context.close());
	const page = await context.newPage();
	for (const script of [useSmallPictures, keepConnections])
		await (page.addInitScript?.(script) ?? page.evaluateOnNewDocument(script));
	await page.goto(`https://127.0.0.1:${server.port}/#${room}`);
	await page.locator('#name').fill(name);
	await page.locator('#join').click();
	await until(page, 'the room', () => document.title !== 'videre');
	return page;
}

/* Each connection has decoded more pictures than before, and received more sound. */
const hasMedia = (page, count) => until(page, `media from ${count} peers`, async expected => {
	const now = await Promise.all(connections.filter(({ connectionState }) => connectionState === 'connected')
		.map(async connection => {
			const stats = [...await connection.getStats()].map(([, one]) => one).filter(({ type }) => type === 'inbound-rtp');
			return ['video', 'audio'].map(kind => stats.find(one => one.kind === kind))
				.map(one => one?.framesDecoded ?? one?.packetsReceived ?? 0);
		}));
	window.first ??= now;
	if (first.length !== expected || first.flat().includes(0))
		window.first = undefined;
	return now.length === expected && window.first?.flat().every((value, i) => now.flat()[i] > value);
}, count);

describe('pages', () => {
	for (const kinds of [['Chromium', 'Chromium'], ['Chromium', 'Firefox'], ['Firefox', 'Chromium'], ['Firefox', 'Firefox'],
		['Firefox', 'Chromium', 'Firefox'], ['Chromium', 'Firefox', 'Chromium']])
		test(`in ${kinds.join(', ')}`, async t => {
			const pages = [];
			for (const [i, kind] of kinds.entries())
				pages.push(await join(t, kind, kinds.join('-'), `${kind} ${i}`));
			await Promise.all(pages.map(page => hasMedia(page, pages.length - 1)));
			for (const [i, page] of pages.entries()) {
				const names = kinds.map((kind, j) => `${kind} ${j}`).filter((_, j) => j !== i);
				await until(page, `the names ${names}`, all => [...document.querySelectorAll('li:not(.self)')]
					.map(({ innerText }) => innerText.trim()).sort().join() === all, names.sort().join());
				assert.equal(await page.title(), `(${kinds.length}) ${kinds.join('-').toLowerCase()} - videre`);
			}
		});
});
