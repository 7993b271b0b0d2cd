/* What idle connections cost: wake-ups of the server, its memory at heartbeats, and what it sends when they end. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile, readdir } from 'node:fs/promises';
import path from 'node:path';
import { describe } from 'node:test';
import { OPCODE, Raw, frame, gather, joined, open, packet, request } from './client.mjs';
import { serveFaulty } from './faults.mjs';
import { bounded, built, counted, lessThan, pause, scratch, serve, test, until, wrapped } from './server.mjs';

const binary = built('VIDERE_PLAIN', 'videre');

const GRID = 3; /* seconds: see websocket.c */

/* The monotonic clock, in seconds, at a time of the realtime clock. */
const offset = performance.timeOrigin / 1000 + performance.now() / 1000 - Number(process.hrtime.bigint()) / 1e9;
const monotonic = realtime => realtime - offset;

/* Returns a program that traces the waits of the server, and a function that returns its wait once that is so long. */
async function traceWaits(t) {
	const directory = await scratch(t), calls = path.join(directory, 'calls');
	const last = async () => {
		const line = (await readFile(calls, 'utf8')).split('\n').at(-1);
		const [, at, seconds, nanoseconds] = /^([\d.]+) ppoll\(.*\{tv_sec=(\d+), tv_nsec=(\d+)\}.*$/.exec(line) ?? [];
		return { at: Number(at), seconds: Number(seconds) + Number(nanoseconds) / 1e9 };
	};
	return {
		traced: await wrapped(directory, binary, `strace -D -ttt -e trace=ppoll -o ${calls}`),
		longWait: least => until('a long wait', last, ({ seconds }) => seconds >= least),
	};
}

/*
 * The server's clock is a second ahead of the monotonic one.  A deadline is the start of the second behind
 * the one that it falls into.
 */
describe('an idle server sleeps until heartbeats are due, which is in every third second', { concurrency: true }, () => {
	for (const heartbeat of [3000, 3001, 3002])
		test(`every ${heartbeat} s`, async t => {
			const { traced, longWait } = await traceWaits(t);
			const server = await serve(t, { binary: traced, conf: { Heartbeat: heartbeat } });
			await gather(server, 'r', 'a', 'b');
			const { at, seconds } = await longWait(3);
			assert(heartbeat - seconds <= GRID + 3, `${seconds} s`);
			const due = monotonic(at) + seconds;
			/* It may begin to wait a little later than it has computed. */
			assert.equal(Math.floor(due + 0.05) % GRID, 0, `${due} s`);
		});
});

test('a stop until after all deadlines ends no connection whose request waits to be read', async t => {
	const COUNT = 300;
	const { traced, longWait } = await traceWaits(t);
	const { server, set } = await serveFaulty(t, { binary: traced, conf: { MaxConnections: COUNT } });
	const raws = [];
	while (raws.length < COUNT)
		raws.push(await Raw.connect(server));
	const ask = raw => raw.write(request('/metrics')); /* of which a turn answers a third */
	const answered = async raw => assert.equal((await raw.response()).status, 200);
	for (const raw of raws) {
		ask(raw);
		await answered(raw);
	}
	/* It waits until all have been idle for two heartbeats. */
	await longWait(20);
	await pause(server);
	await set({ monotonic: 120 });
	raws.forEach(ask);
	server.signal('SIGCONT');
	for (const raw of raws) {
		await answered(raw);
		raw.destroy();
	}
});

test('heartbeats of many connections in the same second take no more memory than one', async t => {
	const COUNT = 300;
	const server = await serve(t, {
		binary, conf: { Heartbeat: 1, MaxConnections: COUNT, MaxPerAddress: COUNT },
	});
	const peak = async () =>
		Number(/^VmHWM:\s+(\d+) kB$/m.exec(await readFile(`/proc/${server.pid}/status`, 'utf8'))[1]);
	const clients = [];
	while (clients.length < COUNT)
		clients.push(await open(server));
	const pinged = () => Promise.all(clients.map(({ socket }) => once(socket, 'ping')));
	const before = await peak();
	await bounded(pinged(), 'heartbeats');
	await bounded(pinged(), 'heartbeats');
	const after = await peak();
	t.diagnostic(`VmHWM: ${before} kB before, ${after} kB after two heartbeats`);
	assert(after < before + COUNT, `${before} kB became ${after} kB`);
});

test('peers that fall silent together are closed without packets to each other', async t => {
	const COUNT = 40;
	const server = await serve(t, {
		conf: { Heartbeat: 1, MaxPeers: COUNT }, allow: [/ closed: no answer to heartbeats /],
	});
	await lessThan(COUNT * 400, async () => {
		const raws = [];
		for (let i = 0; i < COUNT; i++) {
			const text = packet('connect', `${i}`, 'r', '{}');
			raws.push(await Raw.websocket(server, { more: frame(OPCODE.text, text) }));
		}
		await raws.at(-1).gets(joined(`${COUNT - 1}`, 'r', false));
		/* Their last bytes are in the same second of the server's clock. */
		await until('the start of a second', () => Number(process.hrtime.bigint() % 1_000_000_000n) / 1e6, ms => ms < 100);
		for (const raw of raws)
			raw.text(packet('ping', 'x', 'nowhere', '{}'));
		const { sent_bytes: before } = await server.counters();
		await counted(server, 'connections', 0);
		const { sent_bytes: after } = await server.counters();
		t.diagnostic(`${after - before} bytes`);
		return after - before;
	});
});

test('a connection that never sent anything is gone soon, if nothing else wakes the server', async t => {
	const server = await serve(t, { conf: { HandshakeTimeout: 1 } });
	const descriptors = async () => (await readdir(`/proc/${server.pid}/fd`)).length;
	const before = await descriptors();
	const raw = await Raw.connect(server);
	await until('it is there', descriptors, count => count > before);
	await raw.ended();
	await until('it is gone', descriptors, count => count === before);
});
