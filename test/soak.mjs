/*
 * One server under all kinds of clients at once, for MINUTES minutes (`make soak`).  Two peers over each
 * transport exchange packets all the time and must not be disturbed, while other clients misbehave at
 * random.  Memory, tables and descriptors must not grow.
 */
import assert from 'node:assert/strict';
import { randomBytes, randomInt } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
	OPCODE, Raw, closeFrame, frame, frameHeader, handshake, members, open, packet, request,
} from './client.mjs';
import { bounded, emptied, serve } from './server.mjs';
import { fresh, meet, transports } from './sockjs.mjs';

const MINUTES = Number(process.env.MINUTES ?? 10);
const SAMPLES = 20;
const ROWDIES = 30; /* at the same time */
const SETTLED = 5; /* samples, after which memory must not grow */

const conf = { MaxConnections: 1000, MaxPacket: 8192, MaxPeers: 8, Heartbeat: 3, HandshakeTimeout: 3 };
const allow = [/ warn \S+ closed: output buffer full, the client is not reading$/];

/*
 * The innocent: two peers alone in a room, over one transport.
 */

/*
 * Milliseconds that one of their packets may take.  A turn has 5, but the rowdies stop the server for up
 * to a second, several times in a row, and all clients share this process.
 */
const LATE = 5000;
let worst = 0;

async function talk([a, b], room, until) {
	let count = 0;
	while (!until.aborted) {
		for (const [from, to, user] of [[a, b, 'a'], [b, a, 'b']]) {
			const text = packet('broadcast', user, room, { count, text: 'x'.repeat(randomInt(3000)) });
			const begin = performance.now();
			from.send(text);
			await to.gets(text);
			worst = Math.max(worst, performance.now() - begin);
			from.send(packet('ping', user, room, '{}'));
			await from.gets(members(user, room, 'a', 'b'));
		}
		count++;
		await sleep(randomInt(200));
	}
	return count;
}

/*
 * The rowdies: each connects, misbehaves in one way, and is gone when its promise settles.
 */

const websocket = server => Raw.websocket(server);
const joinText = () => packet('connect', `user ${randomInt(20)}`, `room ${randomInt(5)}`, '{}');

/* Waits until the server closes the connection, at most nine seconds. */
const outlast = raw => Promise.race([raw.drained(), sleep(9000)]).catch(() => {});

const rowdies = {
	async garbage(server) {
		const raw = await Raw.connect(server);
		raw.write(randomBytes(randomInt(1, 5000)));
		await outlast(raw);
		raw.destroy();
	},
	async 'a head, byte by byte'(server) {
		const raw = await Raw.connect(server);
		for (const byte of Buffer.from(handshake()).subarray(0, 6)) {
			raw.write(Buffer.of(byte));
			await sleep(1000);
		}
		await outlast(raw);
		raw.destroy();
	},
	async 'a body that does not come'(server) {
		const raw = await Raw.connect(server);
		raw.write(request(`/echo${fresh()}/xhr_send`, { method: 'POST', 'Content-Length': '5000' }));
		raw.write('["');
		await outlast(raw);
		raw.destroy();
	},
	async 'broken frames'(server) {
		const raw = await websocket(server);
		raw.text(joinText());
		const bad = [frame(3), frame(OPCODE.text, 'x', { mask: null }), closeFrame(1005),
			frame(OPCODE.text, '\xff\xff'), frameHeader(OPCODE.text, 2n ** 63n), randomBytes(300)];
		raw.write(bad[randomInt(bad.length)]);
		await outlast(raw);
		raw.destroy();
	},
	async 'a message too large'(server) {
		const raw = await websocket(server);
		raw.text(joinText());
		raw.text('x'.repeat(20_000));
		await outlast(raw);
		raw.destroy();
	},
	async 'one who never reads'(server) {
		const [deaf, loud] = [await websocket(server), await open(server)];
		const room = `deaf ${randomInt(2 ** 32)}`;
		deaf.text(packet('connect', 'deaf', room, '{}'));
		deaf.socket.pause();
		loud.join('loud', room);
		await loud.next();
		for (let i = 0; i < 200; i++)
			loud.send(packet('broadcast', 'loud', room, 'x'.repeat(8000)));
		await sleep(randomInt(2000));
		deaf.reset();
		loud.destroy();
		server.clients.delete(loud);
	},
	async 'a flood of small frames'(server) {
		const raw = await websocket(server);
		const frames = [frame(OPCODE.ping, 'x'), frame(OPCODE.pong), frame(OPCODE.text, 'nonsense'),
			frame(OPCODE.text, joinText())];
		raw.write(Buffer.concat(Array.from({ length: 500 }, () => frames[randomInt(frames.length)])));
		await outlast(raw);
		raw.reset();
	},
	async 'fragments without end'(server) {
		const raw = await websocket(server);
		raw.write(frame(OPCODE.text, '', { fin: false }));
		raw.write(Buffer.concat(Array.from({ length: 500 }, () =>
			frame(OPCODE.more, randomInt(2) ? '' : 'x', { fin: false }))));
		await outlast(raw);
		raw.destroy();
	},
	async 'pipelined requests'(server) {
		const raw = await Raw.connect(server);
		raw.write(request('/echo/info').repeat(100) + request(`/echo${fresh()}/xhr`, { method: 'POST' }));
		await sleep(randomInt(500));
		raw[randomInt(2) ? 'reset' : 'destroy']();
	},
	async 'sessions never returned to'(server) {
		for (let i = 0; i < 10; i++) {
			const raw = await Raw.connect(server);
			raw.write(request(`/echo${fresh()}/xhr`, { method: 'POST' }));
			await raw.status();
			raw.destroy();
		}
	},
	async 'a crowd that leaves at once'(server) {
		const crowd = await Promise.all(Array.from({ length: 10 }, () => Raw.connect(server)));
		crowd.forEach(raw => raw[randomInt(2) ? 'reset' : 'destroy']());
	},
	async 'peers who come and go'(server) {
		const client = await open(server);
		for (let i = 0; i < 20; i++)
			client.send(joinText());
		await sleep(randomInt(1000));
		client[['destroy', 'reset'][randomInt(2)]]();
		server.clients.delete(client);
	},
	async 'half of a connection'(server) {
		const raw = await websocket(server);
		raw.text(joinText());
		raw.end();
		await outlast(raw);
		raw.destroy();
	},
	async signals(server) {
		server.signal(['SIGHUP', 'SIGUSR1', 'SIGPIPE'][randomInt(3)]);
		await sleep(500);
		server.signal('SIGSTOP');
		await sleep(randomInt(1000));
		server.signal('SIGCONT');
		await sleep(5000);
	},
};

async function misbehave(server, until, done) {
	const names = Object.keys(rowdies);
	while (!until.aborted) {
		const name = names[randomInt(names.length)];
		try {
			await rowdies[name](server);
		} catch {
			/* The server may have closed its connection. */
		}
		done[name] = (done[name] ?? 0) + 1;
	}
}

/* What must not grow. */
async function sample(server) {
	const status = await readFile(`/proc/${server.pid}/status`, 'utf8');
	const [, kb] = /^RssAnon:\s+(\d+) kB$/m.exec(status);
	const descriptors = (await readdir(`/proc/${server.pid}/fd`)).length;
	return { kb: Number(kb), descriptors, ...await server.counters() };
}

test(`${MINUTES} minutes of everything at once`, { timeout: (MINUTES + 2) * 60_000 }, async t => {
	const server = await serve(t, { conf, allow });
	const before = await sample(server);
	const over = new AbortController();
	const done = {};
	const pairs = await Promise.all(transports.map(kind =>
		meet(server, `of ${kind}`, ['a', kind], ['b', kind])));
	const innocent = pairs.map((pair, i) => talk(pair, `of ${transports[i]}`, over.signal));
	const rowdy = Array.from({ length: ROWDIES }, () => misbehave(server, over.signal, done));

	const samples = [];
	const watch = async () => {
		for (let i = 0; i < SAMPLES; i++) {
			await sleep(MINUTES * 60_000 / SAMPLES);
			samples.push(await sample(server));
		}
	};
	/* A failure of an innocent peer ends the run. */
	await Promise.race([watch(), ...innocent]);
	over.abort();
	const rounds = await Promise.all(innocent);
	await bounded(Promise.all(rowdy), 'the rowdies to leave', 60_000);
	for (const pair of pairs)
		pair.forEach(peer => peer.destroy());
	await emptied(server);
	const after = await sample(server);

	t.diagnostic(`rounds of the innocent: ${rounds.map((n, i) => `${transports[i]} ${n}`).join(', ')}`);
	t.diagnostic(`rowdies: ${Object.entries(done).map(([name, n]) => `${n} ${name}`).join(', ')}`);
	for (const { kb, descriptors, connections, sessions, rooms, blocks } of [before, ...samples, after])
		t.diagnostic(`${kb} KB, ${descriptors} descriptors, ${connections} connections, ` +
			`${sessions} sessions, ${rooms} rooms, ${blocks} blocks`);
	t.diagnostic(`the slowest packet of the innocent took ${Math.round(worst)} ms`);
	assert(worst < LATE, `a packet took ${Math.round(worst)} ms`);
	assert(rounds.every(count => count >= MINUTES * 10), 'all of them could talk');
	assert.equal(after.descriptors, before.descriptors);
	const [early, late] = [samples.slice(0, SETTLED), samples.slice(SETTLED)]
		.map(list => Math.max(...list.map(({ kb }) => kb)));
	assert(late <= early * 1.25, `${late} KB after ${early} KB`);
	assert(after.kb <= early, `${after.kb} KB are kept of ${early} KB`);
});
