/*
 * The server allocates nothing after its start: clients and signals make it do everything, under a library
 * that reports allocations (noalloc.c).
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { pair } from './certificate.mjs';
import {
	OPCODE, Raw, closeFrame, frame, gather, handshake, joined, left, open, packet, request,
} from './client.mjs';
import { built, counted, emptied, run, scratch, serve, test, until } from './server.mjs';
import { Receiver, begin, send } from './sockjs.mjs';

const binary = built('VIDERE_PLAIN', 'videre');
const library = built('NOALLOC', 'build/noalloc.so');

async function packets(server) {
	const [a, b] = await gather(server, 'r', 'a', 'b');
	const texts = [10, 1000, 60_000].map(size => packet('broadcast', 'a', 'r', 'x'.repeat(size)));
	texts.forEach(text => a.send(text));
	await b.gets(...texts);
	for (const text of ['', '{', '5', '[1,', packet('x', 'a', 'r'), packet('connect', '', '')]) {
		a.send(text);
		await a.next();
	}
	a.send(packet('disconnect', 'a', 'r', '{}'));
	await b.gets(left('a', 'r'));
	const next = await open(server);
	next.join('b', 'r');
	await next.gets(joined('b', 'r', true));
	assert.equal((await b.closed()).code, 4001);
	await next.close();
	await a.close();
}

async function frames(server) {
	const bad = [frame(3), frame(OPCODE.text, 'x', { mask: null }), frame(OPCODE.text, '\xff\xff'),
		frame(OPCODE.text, 'x'.repeat(65537)), closeFrame(1000), frame(OPCODE.more)];
	for (const bytes of bad) {
		const raw = await Raw.websocket(server);
		raw.write(frame(OPCODE.ping, 'x'));
		await raw.frame();
		raw.write(bytes);
		raw.end();
		await raw.drained();
	}
}

async function requests(server) {
	const texts = [request('/nowhere'), request('/metrics'), request('/health'), request('/', { Host: undefined }), '\x16\x03\x01\n',
		handshake(undefined, { 'Sec-WebSocket-Version': '8' }), `GET /${'x'.repeat(9000)}`,
		request('/', { method: 'POST', 'Transfer-Encoding': 'chunked' }) + '3\r\nabc\r\n0\r\n\r\n'];
	for (const text of texts) {
		const raw = await Raw.connect(server);
		raw.write(text);
		raw.end();
		await raw.drained();
	}
}

/* More clients than there are places, some of whom just vanish. */
async function crowds(server) {
	const crowd = await Promise.all(Array.from({ length: 30 }, () => Raw.connect(server)));
	const refused = crowd.slice(20);
	await Promise.all(refused.map(raw => raw.drained()));
	crowd.forEach((raw, i) => i % 2 === 0 ? raw.reset() : raw.destroy());
	await until('they have gone', () => server.counters(), ({ connections }) => connections === 0);
}

async function logs(server) {
	const log = path.join(server.dir, 'log', 'debug.log');
	const reopened = async () => {
		const from = server.lines.all.length;
		server.signal('SIGHUP');
		await server.lines.match(/ info - log reopened/, from);
	};
	await requests(server); /* more than LogSize */
	await until('the log moves aside', () => server.counters(), () => existsSync(`${log}.1`));
	/* It is absent for a moment while it moves aside. */
	await until('the log is renamed', () => rename(log, `${log}.old`).then(() => true, () => false), Boolean);
	await reopened();
	await until('the log is back', () => existsSync(log), Boolean);
	await server.lines.match(/ is rotated by another program/);
}

test('nothing is allocated after the start', async t => {
	const server = await serve(t, {
		binary,
		env: { LD_PRELOAD: library },
		conf: {
			Log: 'log/debug.log', LogLevel: 'trace', LogSize: 2000, MaxConnections: 20,
			Heartbeat: 1,
		},
		expect: [/^noalloc: armed$/, / warn - Log .* is rotated by another program/],
	});
	const idle = await open(server);
	for (const mix of [packets, frames, requests, logs, packets])
		await mix(server);
	await new Promise(resolve => idle.socket.once('ping', resolve));
	await idle.close();
	await crowds(server);
	await server.stop();
	assert.equal(server.lines.all.filter(line => line.startsWith('noalloc')).length, 1);
});

/* Peers in a room each: half of the connections with half a frame, half with a stream. */
async function fill(server, count) {
	const sockets = [], sessions = [], streams = [];
	for (let i = 0; i < count / 2; i++) {
		const raw = await Raw.websocket(server);
		raw.text(packet('connect', 'a', `socket ${i}`, '{}'));
		await raw.frame();
		raw.write(frame(OPCODE.text, 'x'.repeat(60_000)).subarray(0, 50_000));
		sockets.push(raw);
	}
	for (let i = 0; i < count; i++) {
		const session = await begin(server);
		await send(server, session, packet('connect', 'a', `session ${i}`, '{}'));
		sessions.push(session);
	}
	await counted(server, 'connections', count / 2);
	for (const session of sessions.slice(0, count / 2))
		streams.push((await Receiver.attach(server, session, 'xhr_streaming')).raw);
	return { raws: [...sockets, ...streams], sessions: sessions.slice(count / 2) };
}

async function empty(server, { raws, sessions }) {
	raws.forEach((raw, i) => i % 2 === 0 ? raw.reset() : raw.destroy());
	await counted(server, 'connections', 0);
	/* Who comes for frames and goes at once ends the session. */
	for (const session of sessions)
		(await Receiver.attach(server, session, 'xhr_streaming')).destroy();
	await emptied(server);
	server.clients.clear();
}

const anonymous = async pid =>
	Number(/^RssAnon:\s+(\d+) kB$/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))[1]);

test('tables filled and emptied a hundred times are empty, and take no more memory', async t => {
	const COUNT = 30;
	const server = await serve(t, { binary, conf: { MaxConnections: COUNT } });
	let first;
	for (let round = 1; round <= 100; round++) {
		const all = await fill(server, COUNT);
		const { connections, sessions, rooms, peers } = await server.counters();
		assert.deepEqual({ connections, sessions, rooms, peers },
			{ connections: COUNT, sessions: COUNT * 1.5, rooms: COUNT * 1.5, peers: COUNT * 1.5 });
		await empty(server, all);
		if (round === 5)
			first = await anonymous(server.pid);
	}
	const last = await anonymous(server.pid);
	t.diagnostic(`RssAnon: ${first} kB after 5 rounds, ${last} kB after 100`);
	assert(last <= first + 64, `${first} kB became ${last} kB`);
}, 120_000);

test('TLS connections that have gone leave no memory, and those that stay keep theirs', async t => {
	const COUNT = 250;
	const server = await serve(t, {
		binary, tls: await pair('P-256'), conf: { MaxConnections: COUNT, MaxPerAddress: COUNT },
	});
	const raws = [];
	const visit = async () => {
		const raw = await Raw.connect(server);
		raw.write(request('/echo'));
		assert.equal(await raw.status(), 200);
		return raw;
	};
	/* A first one, for what the server touches once. */
	(await visit()).destroy();
	await counted(server, 'connections', 0);
	const before = await anonymous(server.pid);
	for (let round = 0; round < 3; round++) {
		while (raws.length < COUNT)
			raws.push(await visit());
		const during = await anonymous(server.pid);
		const stays = raws.shift();
		for (const raw of raws.splice(0))
			raw.destroy();
		await counted(server, 'connections', 1);
		const after = await until('the memory is given back', () => anonymous(server.pid),
			kb => kb <= before + 100);
		t.diagnostic(`RssAnon: ${before} kB before, ${during} kB during, ${after} kB after`);
		assert(during > before + COUNT * 8);
		stays.write(request('/echo'));
		assert.equal(await stays.status(), 200);
		raws.push(stays);
	}
});

/* /proc/PID/smaps of the largest mapping: each name with its value. */
async function largestMapping(pid) {
	const text = await readFile(`/proc/${pid}/smaps`, 'utf8');
	const mappings = text.split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m)
		.map(lines => Object.fromEntries([...lines.matchAll(/^(\w+): +(.*)$/gm)].map(([, ...entry]) => entry)));
	return mappings.reduce((a, b) => parseInt(a.Size) >= parseInt(b.Size) ? a : b);
}

test('transparent huge pages do not make the memory larger', async t => {
	const enabled = await readFile('/sys/kernel/mm/transparent_hugepage/enabled', 'utf8').catch(() => '[never]');
	if (enabled.includes('[never]'))
		return t.skip('the kernel has none');
	const server = await serve(t, { binary, env: { LD_PRELOAD: built('HUGEPAGES', 'build/hugepages.so') } });
	for (let i = 0; i < 20; i++)
		(await open(server)).join('a', `room ${i}`);
	await counted(server, 'peers', 20);
	const { Rss, AnonHugePages, VmFlags } = await largestMapping(server.pid);
	t.diagnostic(`${Rss} are resident, ${AnonHugePages} of these in huge pages`);
	assert.match(VmFlags, /\bnh\b/, 'the mapping is advised against huge pages');
	assert(parseInt(AnonHugePages) === 0 && parseInt(Rss) < 1024, Rss);
});

test('what cannot be mapped is refused at the start', async t => {
	const cwd = await scratch(t);
	await writeFile(path.join(cwd, 'conf.json'), JSON.stringify(
		{ Host: '127.0.0.1', Port: 0, Log: '', MaxConnections: 100000, MaxPacket: 1048576 }));
	const { code, stderr } = await run([], { binary, cwd, shell: 'ulimit -v 1000000' });
	assert.equal(code, 1);
	assert.match(stderr, / error - memory: /);
	assert.doesNotMatch(stderr, /listening/);
});
