/*
 * Calls between two hosts behind different NATs, with the page, coturn and the server: see nat.mjs.  Chromium
 * runs in each host.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe } from 'node:test';
import { chromium } from 'playwright-core';
import { pair } from './certificate.mjs';
import { promptingOptions } from './chromium.mjs';
import { CONE, Network, SERVER, SYMMETRIC, goTo, missing } from './nat.mjs';
import { BOTH, alone, atTheDoor, join, meets, says, sees, useSmallPictures, watch } from './pages.mjs';
import { run, start, test } from './server.mjs';
import { REFUSED } from './tokens.mjs';

const skip = missing();
const NO_WAY = 45_000; /* milliseconds; Chromium looks for a way for 15 s */

let network, directory, tokens;
const servers = {};
const browsers = [];

/* The lines of a block of doc/operations.md that has this text. */
async function readBlock(text) {
	const operations = await readFile(new URL('../doc/operations.md', import.meta.url), 'utf8');
	const block = operations.split('\n\n').find(part => /^    /.test(part) && part.includes(text));
	return block.split('\n').map(line => line.trim());
}

async function launch(i) {
	const args = promptingOptions.args.map(arg => arg.replace('127.0.0.1', SERVER));
	const executablePath = await network.program(directory, i, promptingOptions.executablePath);
	browsers[i] = await chromium.launch({ ...promptingOptions, args, executablePath });
}

before(async () => {
	if (skip)
		return;
	directory = await mkdtemp(path.join(tmpdir(), 'videre-nat-'));
	const [turnLines, iceLines] = await Promise.all(['static-auth-secret=', '"TurnSecret": "/'].map(readBlock));
	const TurnSecret = path.join(directory, 'turn');
	const { IceServers } = JSON.parse(`{${iceLines.join('').replaceAll('turn.example.org', SERVER)}}`);
	tokens = path.join(directory, 'tokens');
	for (const file of [TurnSecret, tokens])
		assert.equal((await run(['-s', file])).code, 0);
	const secret = (await readFile(TurnSecret, 'utf8')).trim();
	network = await Network.lay();
	network.translate(SYMMETRIC);
	await network.turn(directory, turnLines.map(line => line.replace('THE-SECRET', secret)));
	await Promise.all(Object.entries({
		none: {},
		stun: { IceServers: IceServers.slice(0, 1) },
		dead: { IceServers: [`turn:${SERVER}:9`], TurnSecret },
		family: { IceServers, TurnSecret, Tokens: tokens },
	}).map(async ([name, conf]) => servers[name] = await start({
		tls: await pair('P-256', 'nat', `subjectAltName=IP:${SERVER}`),
		conf: { Host: SERVER, ...conf },
		shell: `exec ${network.segment.enter.join(' ')} "$0" "$@"`,
		allow: [REFUSED],
	})));
	await Promise.all([0, 1].map(launch));
});

after(async () => {
	await Promise.all(browsers.map(browser => browser?.close()));
	await Promise.all(Object.values(servers).map(server => server.stop()));
	network?.end();
	if (directory !== undefined)
		await rm(directory, { recursive: true });
});

/* Opens the page in host `i`, and joins the room of the link.  Without a camera this takes less of the processor. */
async function enter(t, i, server, fragment, permissions = []) {
	const context = await browsers[i].newContext({ permissions, viewport: { width: 480, height: 360 } });
	t.after(() => context.close());
	const page = await context.newPage();
	for (const script of [useSmallPictures, watch])
		await page.addInitScript(script);
	await goTo(page, `https://${SERVER}:${servers[server].port}/#${fragment}`);
	await join(page);
	return page;
}

/* Two pages in a room, in different hosts. */
async function meet(t, server, { fragment = 'kitchen', permissions } = {}) {
	const first = await enter(t, 0, server, fragment, permissions);
	await alone(first);
	const second = await enter(t, 1, server, fragment, permissions);
	await meets(first, 1);
	return [first, second];
}

/* The types of the two candidates through which the pages of a call send. */
const ways = page => page.evaluate(async () => {
	const stats = await live()[0].getStats();
	const { selectedCandidatePairId } = [...stats.values()].find(({ type }) => type === 'transport');
	const { localCandidateId, remoteCandidateId } = stats.get(selectedCandidatePairId);
	return [localCandidateId, remoteCandidateId].map(id => stats.get(id).candidateType);
});

describe('behind symmetric NATs', { skip, concurrency: 4 }, () => {
	before(() => network?.translate(SYMMETRIC));

	test('two pages with a token see each other through the relay; pages without one for the room stay out', async t => {
		const { code, stdout: token } = await run(['-t', tokens, 'kitchen', '', '3600']);
		assert.equal(code, 0);
		const pages = await meet(t, 'family', { fragment: `room=kitchen&token=${token}`, permissions: BOTH });
		const stranger = await enter(t, 0, 'family', 'kitchen');
		await says(stranger, 'This room needs an invitation');
		await atTheDoor(stranger);
		const other = await enter(t, 1, 'family', `room=cellar&token=${token}`);
		await says(other, 'This invitation is for another room');
		await Promise.all(pages.map(page => sees(page, 1)));
		for (const page of pages)
			assert((await ways(page)).includes('relay'), await ways(page));
	});

	for (const [what, server] of [['no server', 'none'], ['a STUN server only', 'stun']])
		test(`pages with ${what} show that they need a TURN server`, async t => {
			const pages = await meet(t, server);
			await Promise.all(pages.map(page =>
				says(page, 'No way to this peer. The operator needs a TURN server (IceServers).', NO_WAY)));
		});

	test('pages show that their TURN server does not answer', async t => {
		const pages = await meet(t, 'dead');
		await Promise.all(pages.map(page => says(page, 'No way to this peer. The TURN server does not answer, or refuses.', NO_WAY)));
	});
});

describe('behind port-preserving NATs', { skip }, () => {
	before(() => network?.translate(CONE));

	test('two pages see each other without a relay', async t => {
		const pages = await meet(t, 'stun', { permissions: BOTH });
		await Promise.all(pages.map(page => sees(page, 1)));
		for (const page of pages)
			assert(!(await ways(page)).includes('relay'));
	});
});
