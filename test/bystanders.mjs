/*
 * Two peers that a test must not disturb.  `bystanders` exchange packets when the test calls it.
 * `beside` runs a call during the whole test: its peers broadcast and ping all the time, and
 * each packet must arrive in order, in time and alone.  That call is in another thread, which
 * runs this file, because the test's thread may be busy.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';
import { broadcast, deliver, gather, members, ping } from './client.mjs';
import { bounded, patience } from './server.mjs';

const ROOM = 'bystanders', USERS = ['one', 'two'];
const PAUSE_MS = 5; /* between two rounds */
const LATE_MS = 2000 * patience; /* for one packet, on a busy machine */

/* Two peers that exchange packets and must receive nothing else. */
export async function bystanders(server) {
	const pair = await gather(server, ROOM, ...USERS);
	let count = 0;
	const talk = async () => {
		for (const [i, user] of USERS.entries()) {
			const text = broadcast(user, ROOM, { count: count++ });
			await deliver(pair[i], pair[1 - i], text);
		}
	};
	const leave = async () => {
		await talk();
		for (const peer of pair)
			await peer.none();
		for (const peer of pair)
			await peer.close();
	};
	await talk();
	return { talk, leave };
}

class Call {
	worst = 0; /* milliseconds that a packet took */
	packets = 0;

	async #carry(from, to, text, expected = text) {
		const begin = performance.now();
		from.send(text);
		await to.gets(expected);
		this.worst = Math.max(this.worst, performance.now() - begin);
		this.packets++;
	}

	async #round(peers) {
		for (const [i, user] of USERS.entries()) {
			const [me, other] = [peers[i], peers[1 - i]];
			await this.#carry(me, other, broadcast(user, ROOM, this.packets));
			await this.#carry(me, me, ping(user, ROOM), members(user, ROOM, ...USERS));
		}
		await setTimeout(PAUSE_MS);
	}

	/* Reports each round to the test, until the test sends a message. */
	async run(server) {
		const peers = await gather(server, ROOM, ...USERS);
		let over = false;
		parentPort.once('message', () => over = true);
		while (!over) {
			await this.#round(peers);
			parentPort.postMessage({ worst: this.worst, packets: this.packets });
		}
		for (const peer of peers)
			await peer.none();
		for (const peer of peers)
			assert.equal((await peer.close(1000)).code, 1000);
	}
}

if (!isMainThread && workerData?.call)
	await new Call().run({ ...workerData.call, clients: new Set() });

/*
 * Runs `body` during a call on this server, which must not be disturbed.  `body` gets `rounds`, which
 * waits until the call's peers have exchanged some more packets.
 */
export async function beside(t, { host, port, prefix, tls, clients }, body) {
	const call = { host, port, prefix, tls: tls && { ca: tls.ca } };
	const worker = new Worker(new URL(import.meta.url), { workerData: { call } });
	const failed = once(worker, 'exit').then(() => assert.fail('the call is over'));
	failed.catch(() => {}); /* reported where it is awaited */
	clients.add({ destroy: () => worker.terminate() });
	let last;
	worker.on('message', counts => last = counts);
	const rounds = async (count = 2) => {
		for (let i = 0; i < count; i++)
			await bounded(Promise.race([once(worker, 'message'), failed]), 'the call to go on');
	};
	await rounds(1);
	await Promise.race([body({ rounds }), failed]);
	await rounds();
	worker.postMessage('over');
	const [code] = await bounded(once(worker, 'exit'), 'the end of the call');
	assert.equal(code, 0);
	t.diagnostic(`${last.packets} packets beside it, the worst took ${Math.round(last.worst)} ms`);
	assert(last.worst < LATE_MS, `a packet took ${Math.round(last.worst)} ms`);
}
