/* Hundreds of slow and stuck clients, during a call that must not be disturbed. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { beside } from './bystanders.mjs';
import { pair } from './certificate.mjs';
import {
	OPCODE, Raw, frame, frameHeader, gather, handshake, joined, left, packet, request,
} from './client.mjs';
import { bounded, emptied, patience, serve, test } from './server.mjs';
import { inClear } from './tls.mjs';

const CROWD = 100;
/* Enough for what a slow client does first. */
const conf = { HandshakeTimeout: 30, Heartbeat: 1, MaxConnections: 500 };
const short = { ...conf, HandshakeTimeout: 2 };

const crowd = (make, count = CROWD) => Promise.all(Array.from({ length: count }, (_, i) => make(i)));

/* A byte a second, until the server ends it; how long that took. */
async function drip(raw, bytes) {
	const begin = performance.now();
	const over = raw.drained().then(() => true);
	for (const byte of bytes) {
		raw.write(Buffer.of(byte));
		if (await Promise.race([over, setTimeout(1000, false)]))
			return performance.now() - begin;
	}
	return assert.fail('it was not ended');
}

const slow = {
	/* HandshakeTimeout */
	head: async server => drip(await Raw.connect(server), Buffer.from(handshake())),
	/* Two heartbeats, as the rest. */
	'second head': async server => {
		const raw = await Raw.connect(server);
		raw.write(request('/nowhere'));
		assert.equal(await raw.status(), 404);
		return drip(raw, Buffer.from(handshake()));
	},
	body: async server => {
		const raw = await Raw.connect(server);
		raw.write(request('/echo/000/slow/xhr_send', { method: 'POST', 'Content-Length': '1000' }));
		return drip(raw, Buffer.alloc(1000, '['));
	},
	'frame header': async server =>
		drip(await Raw.websocket(server), frameHeader(OPCODE.text, 60_000)),
	frame: async server => {
		const raw = await Raw.websocket(server);
		raw.write(frameHeader(OPCODE.text, 60_000));
		return drip(raw, Buffer.alloc(1000, '['));
	},
	'message in fragments': async server => {
		const raw = await Raw.websocket(server);
		raw.write(frame(OPCODE.text, '[', { fin: false }));
		return drip(raw, Buffer.concat(Array(100).fill(frame(OPCODE.more, '[', { fin: false }))));
	},
};

/* What the deadline is, the sweep's second, a drip's, and some for the machine. */
const LIMIT = 6000 * patience;

async function endsInTime(t, server, come) {
	await beside(t, server, async () => {
		const worst = Math.round(Math.max(...await crowd(() => come(server))));
		t.diagnostic(`the last was ended after ${worst} ms`);
		assert(worst < LIMIT);
	});
	await emptied(server);
}

describe('a hundred times, at a byte a second, is ended in time', { concurrency: 4 }, () => {
	for (const [what, come] of Object.entries(slow))
		test(`a ${what}`, async t => endsInTime(t, await serve(t, { conf: what === 'head' ? short : conf }), come));

	test('a TLS handshake', async t => {
		const hello = Buffer.from([22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3, ...Array(502).fill(0)]);
		const server = await serve(t, { conf: short, tls: await pair('P-256') });
		await endsInTime(t, server, async () => drip(await Raw.connect(inClear(server)), hello));
	});
});

const halves = {
	'before a request': async server => Raw.connect(server),
	'within a head': async server => {
		const raw = await Raw.connect(server);
		raw.write(handshake().slice(0, 30));
		return raw;
	},
	'behind an opening handshake': async server => Raw.websocket(server),
	'within a frame': async server => Raw.websocket(server, {
		more: frame(OPCODE.text, 'x'.repeat(500)).subarray(0, 100),
	}),
	'of a peer in a room': async server => {
		const raw = await Raw.websocket(server);
		raw.text(packet('connect', 'half', `half ${raw.socket.localPort}`, '{}'));
		await raw.frame();
		return raw;
	},
};

/*
 * They have no word from the client's side but FIN, and never close theirs; no deadline is near
 * that would end them.
 */
test('hundreds of connections half closed are ended', async t => {
	const server = await serve(t, { conf: { MaxConnections: 500, HandshakeTimeout: 60 } });
	await beside(t, server, async () => {
		for (const make of Object.values(halves)) {
			const raws = await crowd(() => make(server));
			await Promise.all(raws.map(raw => {
				raw.end();
				return raw.drained();
			}));
		}
	});
	await emptied(server);
});

test('fifty peers that never read are closed while their room floods, and the others miss nothing', async t => {
	const expect = [/ warn \S+ closed: output buffer full, the client is not reading/];
	const server = await serve(t, { conf: { MaxPeers: 60 }, expect });
	await beside(t, server, async () => {
		const [a, b] = await gather(server, 'r', 'a', 'b');
		const waiting = new Set();
		for (let i = 0; i < 50; i++) {
			const user = `lazy ${i}`;
			const raw = await Raw.websocket(server);
			raw.socket.pause();
			raw.text(packet('connect', user, 'r', '{}'));
			for (const reader of [a, b])
				await reader.gets(joined(user, 'r', false));
			waiting.add(left(user, 'r'));
		}
		const told = new Set();
		const filler = 'x'.repeat(60_000);
		for (let number = 0; told.size < waiting.size; number++) {
			assert(number < 2000, 'some who do not read are still there');
			const text = packet('broadcast', 'a', 'r', { number, filler });
			a.send(text);
			let got;
			while (waiting.has(got = await b.next()))
				told.add(got);
			assert(got === text, `packet ${number} arrives`);
		}
		for (const text of told)
			assert(waiting.has(await a.next()), text);
		assert.equal((await server.counters()).connections_dropped, 50);
		for (const client of [a, b])
			await client.none();
	});
});

/* The server's end of a cable, and a call whose one peer is at the other: see cable.mjs. */
test('a peer behind a cut cable is closed, and its room is notified', async t => {
	const inside = 'ip link set lo up && exec "$0" --test cable.mjs';
	const child = spawn('unshare', ['--map-root-user', '--net', 'sh', '-c', inside, process.execPath], {
		cwd: fileURLToPath(new URL('.', import.meta.url)),
		env: { ...process.env, NODE_TEST_CONTEXT: undefined },
	});
	t.after(() => child.kill('SIGKILL'));
	const output = [];
	child.stdout.on('data', data => output.push(data));
	child.stderr.on('data', data => output.push(data));
	const [code] = await bounded(once(child, 'close'), 'the cable', 60_000);
	const text = Buffer.concat(output).toString();
	if (/unshare failed|Operation not permitted/.test(text))
		t.skip('no network namespace may be had here');
	else
		assert.equal(code, 0, text);
});
