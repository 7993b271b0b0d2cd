/*
 * Calls that lose their path, the address of a host or the server, and recover.  Chromium and Firefox run in
 * each of two hosts; these and the server are in network namespaces.
 */
import assert from 'node:assert/strict';
import { after, before, describe } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { connectionsOf, gapsSince, loseSocket, moves, shownSince, shows, until } from './caller.mjs';
import { Hosts } from './hosts.mjs';
import { missing } from './nat.mjs';
import { patience, test } from './server.mjs';

const skip = missing();
const ORDERS = [['chromium', 'chromium'], ['chromium', 'firefox'], ['firefox', 'chromium'], ['firefox', 'firefox']];
const LIMIT = 240_000; /* milliseconds for a test: most of them wait */

let hosts;

before(async () => {
	if (!skip)
		hosts = await Hosts.create();
});

after(() => hosts?.end());

/* Pages in these hosts that enter a room one after another. */
async function meet(at, kinds, room, places = [0, 1]) {
	const pages = [];
	for (const [i, kind] of kinds.entries()) {
		const page = await hosts.enter(places[i], kind, at, room);
		await shows(page, 'server', 'open');
		pages.push(page);
	}
	return pages;
}

/* Both pages of a pair receive video after this time. */
const move = (pages, time) => Promise.all(pages.map(page => moves(page, time)));

/* Waits for all, also if some fail. */
async function all(promises) {
	const results = await Promise.allSettled(promises);
	const errors = results.filter(({ status }) => status === 'rejected').map(({ reason }) => reason);
	if (errors.length > 0)
		throw new AggregateError(errors, errors.map(({ message }) => message).join('\n'));
	return results.map(({ value }) => value);
}

/*
 * Waits until all pairs have video in both directions.  Reports the seconds that each took since a time, and
 * returns the most.
 */
async function recover(t, pairs, time) {
	const took = await all(pairs.map(async pages => {
		await move(pages, Date.now());
		const ends = await Promise.all(pages.map(async page => (await gapsSince(page, time)).at(-1)?.[1] ?? 0));
		return Math.max(...ends);
	}));
	const list = pairs.map((pages, i) => `${pages.map(({ kind }) => kind).join(' and ')} ${took[i].toFixed(1)} s`);
	t.diagnostic(`video in both directions again after: ${list.join(', ')}`);
	return Math.max(...took);
}

/* What a page shows of its peer after a time goes through these in order.  It can leave some out. */
const STEPS = ['connecting', 'lost', 'connected'];

async function assertSteady(page, time) {
	const texts = (await shownSince(page, time, 'peer')).map(({ text }) => text);
	const steps = texts.map(text => STEPS.indexOf(text));
	assert(steps.every((step, i) => step > (steps[i - 1] ?? -1)), `${page.kind} of host ${page.host} shows: ${texts}`);
}

describe('recovery', { skip, concurrency: 2 }, () => {
	describe('of calls between two hosts', { concurrency: 1 }, () => {
		let server, pairs;

		before(async () => {
			server = await hosts.serve();
			pairs = await Promise.all(ORDERS.map((kinds, i) => meet(server, kinds, `pair ${i}`)));
			await all(pairs.map(pages => move(pages)));
		});

		for (const seconds of [12, 25])
			test(`after a cut of ${seconds} s`, async t => {
				const began = Date.now();
				t.after(() => hosts.network.cut(false));
				hosts.network.cut();
				await setTimeout(1000 * seconds);
				hosts.network.cut(false);
				await recover(t, pairs, Date.now());
				await all(pairs.flat().map(page => assertSteady(page, began)));
			}, LIMIT);

		test('after a cut of 45 s, as of calls that never had a path', async t => {
			const began = Date.now();
			t.after(() => hosts.network.cut(false));
			hosts.network.cut();
			const isolated = await Promise.all([ORDERS[1], ORDERS[2]].map((kinds, i) => meet(server, kinds, `isolated ${i}`)));
			/* Neither changes what it shows when it makes another connection. */
			await all(isolated.flat().map(async page => {
				await shows(page, 'peer', 'direct');
				await until(page, 'another connection', () => connections.length > 1);
			}));
			await setTimeout(Math.max(0, began + 45_000 - Date.now()));
			const healed = Date.now();
			hosts.network.cut(false);
			await recover(t, pairs, healed);
			await all(isolated.map(pages => move(pages, healed)));
			await all(pairs.flat().map(page => assertSteady(page, began)));
			for (const page of isolated.flat()) {
				const texts = (await shownSince(page, 0, 'peer')).map(({ text }) => text);
				assert.deepEqual(texts, ['direct', 'connected'], `${page.kind} of host ${page.host}`);
				await page.close();
			}
		}, LIMIT);

		test('after a host has another address', async t => {
			const began = Date.now();
			hosts.network.recable(1);
			const far = pairs.map(([, page]) => page);
			await all(far.map(async page => {
				await shows(page, 'server', 'unreachable', began);
				await shows(page, 'server', 'open', began);
			}));
			const took = await recover(t, pairs, began);
			assert(took < 20, `${took} s`);
			/* A connection that breaks has the page check the one to the server. */
			for (const page of far) {
				const [[broken], [lost]] = await Promise.all(['peer', 'server'].map(what => shownSince(page, began, what)));
				assert(broken && lost, `${page.kind} of host ${page.host}`);
				const seconds = (lost.time - broken.time) / 1000;
				assert(seconds < 3 + 3 * patience, `${page.kind}: ${seconds} s`);
			}
			await all(pairs.flat().map(page => assertSteady(page, began)));
		}, LIMIT);

		test('after a host was offline', async t => {
			const began = Date.now();
			t.after(() => hosts.network.plug(1, true));
			hosts.network.plug(1, false);
			/* In Firefox navigator.onLine stays true. */
			const far = pairs.map(([, page]) => page), reasons = { chromium: 'offline', firefox: 'unreachable' };
			await all(far.map(page => shows(page, 'server', reasons[page.kind], began)));
			await setTimeout(began + 20_000 - Date.now());
			const online = Date.now();
			hosts.network.plug(1, true);
			await all(far.map(page => shows(page, 'server', 'open', online)));
			await recover(t, pairs, online);
			for (const page of far)
				if (page.kind === 'chromium') {
					const texts = (await shownSince(page, began, 'server')).filter(({ time }) => time < online).map(({ text }) => text);
					assert.deepEqual(texts, ['offline']);
				}
			await all(pairs.flat().map(page => assertSteady(page, began)));
		}, LIMIT);
	});

	/* These pages are in one host, so that their calls have a path when those above have none. */
	describe('of pages that lose the server', { concurrency: 2 }, () => {
		/* The call has gone on with its connection. */
		async function assertKept(pages) {
			await move(pages);
			for (const page of pages) {
				assert.equal(await connectionsOf(page), 1);
				assert.deepEqual((await shownSince(page, 0, 'peer')).map(({ text }) => text), ['connected']);
				assert.deepEqual((await shownSince(page, 0, 'left')), []);
				/* A busy machine makes gaps of a few seconds. */
				assert.deepEqual((await gapsSince(page, 0)).filter(([from, to]) => to - from > 6), []);
			}
		}

		/* Stops a server, starts it again after some seconds, and waits until the pages are in their room. */
		async function restart(t, server, pages, seconds = 0) {
			const stopped = Date.now();
			await server.stop();
			await all(pages.map(page => shows(page, 'server', 'unreachable', stopped)));
			await setTimeout(Math.max(0, stopped + 1000 * seconds - Date.now()));
			const started = Date.now();
			await hosts.serve({ conf: { Port: server.port } });
			await all(pages.map(page => shows(page, 'server', 'open', stopped)));
			const back = (Date.now() - started) / 1000;
			t.diagnostic(`all are in again ${back.toFixed(1)} s after the start`);
			/* They try every 8 s at least. */
			assert(back < 8 + 6 * patience, `${back} s`);
		}

		test('keeps their calls, after the WebSocket of a page or the server ends', async t => {
			const server = await hosts.serve();
			const pages = await meet(server, ORDERS[1], 'there', [0, 0]);
			await move(pages);
			for (const page of pages) {
				const lost = Date.now();
				await loseSocket(page);
				await shows(page, 'server', 'open', lost);
				await assertKept(pages);
			}
			await restart(t, server, pages);
			await assertKept(pages);
		}, LIMIT);

		test('keeps their calls, after the server was away for 75 s', async t => {
			const server = await hosts.serve();
			const pages = await meet(server, ORDERS[2], 'there', [0, 0]);
			await move(pages);
			await restart(t, server, pages, 75);
			await assertKept(pages);
		}, LIMIT);
	});
});
