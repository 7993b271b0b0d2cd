/*
 * Calls between two hosts behind different NATs, with the page, coturn and the server: see nat.mjs.  Chromium
 * runs in each host.
 */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe } from 'node:test';
import { chromium } from 'playwright-core';
import { pair } from './certificate.mjs';
import { browserOptions } from './chromium.mjs';
import { CONE, Network, SERVER, SYMMETRIC, missing } from './nat.mjs';
import { BOTH, alone, join, says, sees, useSmallPictures } from './pages.mjs';
import { start, test } from './server.mjs';

const skip = missing();
const SECRET = 'north star';
const NO_WAY = 45_000; /* milliseconds; Chromium looks for a way for 15 s */
const STUN = `stun:${SERVER}:3478`, TURN = `turn:${SERVER}:3478`;

let network, server, directory;
const browsers = [];

async function launch(i) {
	const args = browserOptions.args
		.filter(arg => arg !== '--use-fake-ui-for-media-stream') /* permissions are the context's */
		.map(arg => arg.startsWith('--use-fake-device') ? `${arg}=fps=5` : arg)
		.map(arg => arg.replace('127.0.0.1', SERVER));
	const executablePath = await network.program(directory, i, browserOptions.executablePath);
	browsers[i] = await chromium.launch({ ...browserOptions, args, executablePath });
}

before(async () => {
	if (skip)
		return;
	directory = await mkdtemp(path.join(tmpdir(), 'videre-nat-'));
	network = await Network.lay();
	network.translate(SYMMETRIC);
	await network.turn(directory, ['use-auth-secret', `static-auth-secret=${SECRET}`, 'realm=example.org']);
	server = await start({
		tls: await pair('P-256', 'nat', `subjectAltName=IP:${SERVER}`),
		conf: { Host: SERVER },
		shell: `exec ${network.segment.enter.join(' ')} "$0" "$@"`,
	});
	await Promise.all([0, 1].map(launch));
});

after(async () => {
	await Promise.all(browsers.map(browser => browser?.close()));
	await server?.stop();
	network?.end();
	if (directory !== undefined)
		await rm(directory, { recursive: true });
});

function servers(urls) {
	const username = `${Math.floor(Date.now() / 1000) + 600}:videre`;
	const credential = createHmac('sha1', SECRET).update(username).digest('base64');
	return urls.map(url => url.startsWith('turn') ? { urls: url, username, credential } : { urls: url });
}

async function enter(t, i, urls) {
	const context = await browsers[i].newContext({ permissions: BOTH, viewport: { width: 480, height: 360 } });
	t.after(() => context.close());
	const page = await context.newPage();
	await page.addInitScript(useSmallPictures);
	await page.route('**/ice', route => route.fulfill({ json: { iceServers: servers(urls), ttl: 600 } }));
	await page.goto(`https://${SERVER}:${server.port}/#${encodeURIComponent(t.name)}`);
	await join(page);
	return page;
}

/* Two pages in a room, in different hosts. */
async function meet(t, urls) {
	const first = await enter(t, 0, urls);
	await alone(first);
	const second = await enter(t, 1, urls);
	await says(first, 'Here with you: 1');
	return [first, second];
}

/* The types of the two candidates through which the pages of a call send. */
const ways = page => page.evaluate(async () => {
	const stats = await [...peers.values()][0].connection.getStats();
	const { selectedCandidatePairId } = [...stats.values()].find(({ type }) => type === 'transport');
	const { localCandidateId, remoteCandidateId } = stats.get(selectedCandidatePairId);
	return [localCandidateId, remoteCandidateId].map(id => stats.get(id).candidateType);
});

describe('behind symmetric NATs', { skip, concurrency: 4 }, () => {
	before(() => network?.translate(SYMMETRIC));

	test('two pages see each other through the relay', async t => {
		const pages = await meet(t, [STUN, TURN]);
		await Promise.all(pages.map(page => sees(page, 1)));
		for (const page of pages)
			assert((await ways(page)).includes('relay'), await ways(page));
	});

	for (const [what, urls] of [['no server', []], ['a STUN server only', [STUN]]])
		test(`pages with ${what} say what they need`, async t => {
			const pages = await meet(t, urls);
			await Promise.all(pages.map(page => says(page, 'No way through: the operator needs a TURN server', NO_WAY)));
		});

	test('pages whose TURN server does not answer say so', async t => {
		const pages = await meet(t, [STUN, `turn:${SERVER}:9`]);
		await Promise.all(pages.map(page => says(page, 'No way through: the TURN server does not answer', NO_WAY)));
	});
});

describe('behind NATs that keep ports', { skip }, () => {
	before(() => network?.translate(CONE));

	test('two pages see each other without a relay', async t => {
		const pages = await meet(t, [STUN]);
		await Promise.all(pages.map(page => sees(page, 1)));
		for (const page of pages)
			assert(!(await ways(page)).includes('relay'));
	});
});
