/* Failing system calls, clocks, signals and restarts, during a call that must not be disturbed. */
import assert from 'node:assert/strict';
import { readFile, rm, stat } from 'node:fs/promises';
import { constants } from 'node:os';
import path from 'node:path';
import { beside } from './bystanders.mjs';
import { pair } from './certificate.mjs';
import { OPCODE, Raw, frame, gather, joined, left, open, packet, request } from './client.mjs';
import { serveFaulty } from './faults.mjs';
import { bounded, built, emptied, lessThan, pause, reopened, serve, start, test, until } from './server.mjs';
import { Receiver, answer, batch, begin, fresh, message, post, send, take } from './sockjs.mjs';
import { inClear } from './tls.mjs';

const { EMFILE, ENOMEM, ENOSPC, EIO } = constants.errno;
const ENFILE = 23; /* which Node does not name */
const YEAR = 365 * 86_400; /* seconds */

for (const [name, error] of Object.entries({ ENFILE, EMFILE, ENOMEM })) {
	test(`${name} from accept: newcomers wait, and are served when it is over`, async t => {
		const { server, set } = await serveFaulty(t, { expect: [/ warn - cannot accept: /] });
		await beside(t, server, async call => {
			await set({ accept: error });
			const late = [];
			for (let i = 0; i < 20; i++) {
				const raw = await Raw.connect(server);
				raw.write(request('/nowhere'));
				late.push(raw);
			}
			await server.lines.match(/ warn - cannot accept: /);
			await call.rounds();
			await set({});
			for (const raw of late) {
				assert.equal(await raw.status(), 404);
				raw.destroy();
			}
		});
	});
}

test('memory that cannot be given back is used again', async t => {
	const { server, set } = await serveFaulty(t);
	await set({ madvise: ENOMEM });
	await beside(t, server, async call => {
		const [a, b] = await gather(server, 'r', 'a', 'b');
		for (let i = 0; i < 3; i++) {
			const texts = [60_000, 10, 30_000].map(size =>
				packet('broadcast', 'a', 'r', `${i}`.repeat(size)));
			texts.forEach(text => a.send(text));
			await b.gets(...texts);
			await call.rounds(200); /* while sweeps try to give it back */
		}
		for (const client of [a, b])
			await client.close();
	});
	await emptied(server);
});

const logging = { Log: 'log/videre.log', LogLevel: 'debug' };

/* Writes lines to the log. */
async function visit(server) {
	const raw = await Raw.connect(server);
	raw.write(request('/nowhere'));
	assert.equal(await raw.status(), 404);
	raw.destroy();
}

for (const [name, error] of Object.entries({ ENOSPC, EIO })) {
	test(`a log that cannot be written for ${name} is reported once, and continues after it`, async t => {
		const expect = [/ warn - Log log\/videre\.log cannot be written: /];
		const { server, set } = await serveFaulty(t, { conf: logging, expect });
		const log = path.join(server.dir, 'log/videre.log');
		await beside(t, server, async call => {
			await set({ write: error });
			const { size } = await stat(log);
			for (let i = 0; i < 20; i++)
				await visit(server);
			await server.lines.match(expect[0]);
			await call.rounds();
			assert.equal((await stat(log)).size, size);
			await set({});
			await visit(server);
			await until('the log goes on', () => stat(log), now => now.size > size);
		});
		assert.equal(server.lines.all.filter(line => expect[0].test(line)).length, 1);
	});
}

test('a log whose writes are interrupted and cut short loses and tears no line', async t => {
	const VISITS = 100;
	const env = { FAULTS_ODDS: '700', FAULTS_SEED: '1' };
	const { server } = await serveFaulty(t, { conf: logging, env });
	for (let i = 0; i < VISITS; i++) {
		await visit(server);
		await server.counters();
	}
	const lines = await until('all have gone', async () => {
		const text = await readFile(path.join(server.dir, logging.Log), 'utf8');
		return text.split('\n').slice(0, -1);
	}, lines => lines.filter(line => line.endsWith(' disconnected')).length === VISITS
		&& lines.includes(server.lines.all.at(-1)));
	const form = /^\S+Z (?:info - .*|debug 127\.0\.0\.1:\d+ (connected|requests \/nowhere|disconnected))$/;
	const said = lines.map(line => form.exec(line)?.[1] ?? (assert.match(line, form), 'info'));
	for (const what of ['connected', 'requests /nowhere', 'disconnected'])
		assert.equal(said.filter(each => each === what).length, VISITS, what);
	/* stderr has what is not debug, its `counters` one by one as they were asked for. */
	assert.deepEqual(lines.filter(line => / info - /.test(line)), server.lines.all);
	assert.equal(server.lines.all.filter(line => / counters: /.test(line)).length, VISITS);
});

test("the log's directory may vanish, and is made again", async t => {
	const server = await serve(t, { conf: logging });
	const log = path.join(server.dir, 'log/videre.log');
	await beside(t, server, async call => {
		await rm(path.dirname(log), { recursive: true });
		await visit(server);
		await call.rounds();
		await reopened(server);
		await until('it is there', () => readFile(log, 'utf8').catch(() => ''),
			text => / info - log reopened$/m.test(text));
	});
});

test('a full log whose directory was removed begins again there', async t => {
	const server = await serve(t, { conf: { ...logging, LogSize: 2000 } });
	const log = path.join(server.dir, 'log/videre.log');
	await beside(t, server, async () => {
		await rm(path.dirname(log), { recursive: true });
		await until('the log is back', async () => {
			await visit(server);
			return readFile(log, 'utf8').catch(() => '');
		}, text => text.endsWith('\n'));
	});
});

test('a redirection to https is sent whole, however little a call sends', async t => {
	const server = await serve(t, {
		tls: await pair('P-256'),
		binary: built('VIDERE_PLAIN', 'videre'),
		env: { LD_PRELOAD: built('FAULTS', 'build/faults.so'), FAULTS_ODDS: '500', FAULTS_SEED: '1' },
	});
	const target = `/${'x'.repeat(16_000)}`;
	for (let i = 0; i < 10; i++) {
		const raw = await Raw.connect(inClear(server));
		raw.write(request(target));
		const { status, headers } = await raw.response();
		assert.deepEqual([status, headers.location], [301, `https://localhost${target}`]);
		await raw.ended();
		raw.destroy();
	}
});

test('a clock that jumps by years ends nothing', async t => {
	const { server, set } = await serveFaulty(t, { conf: { Heartbeat: 1 } });
	await beside(t, server, async call => {
		const stream = await Receiver.attach(server, await begin(server), 'xhr_streaming');
		for (const realtime of [10 * YEAR, -100 * YEAR]) {
			const session = await begin(server); /* it has five seconds */
			await set({ realtime });
			for (let i = 0; i < 2; i++) /* sweeps */
				assert.equal(await stream.frame(), 'h');
			await send(server, session, packet('connect', 'a', 'r', '{}'));
		}
		stream.destroy();
	});
});

/*
 * A heartbeat shows that a sweep has run, so nothing else wakes the server for a second.  Many clients wait:
 * in the turn after the signal only the busy one has input.
 */
test('SIGTERM within a turn is handled before further input', async t => {
	const conf = { Heartbeat: 2, Sandbox: false }; /* which would not let it signal itself */
	await lessThan(700, async () => {
		const { server, set } = await serveFaulty(t, { conf });
		const raws = [];
		for (let i = 0; i < 20; i++)
			raws.push(await Raw.websocket(server));
		await set({ signal: constants.signals.SIGTERM });
		for (const raw of raws)
			assert.equal((await raw.frame()).opcode, OPCODE.ping);
		const begin = performance.now();
		raws[0].write(frame(OPCODE.pong));
		for (const raw of raws) {
			assert.equal((await raw.close()).code, 1001);
			raw.destroy();
		}
		await bounded(server.exited, 'the exit');
		return performance.now() - begin;
	});
});

/*
 * What comes while the server is stopped waits in the kernel.  SIGUSR1 is what makes it look at
 * its clock before it looks at its sockets.
 */
for (const signals of [[], ['SIGUSR1']]) {
	test(`a minute in SIGSTOP ends nothing${signals.length ? ', also with a signal after it' : ''}`, async t => {
		const { server, set } = await serveFaulty(t, { conf: { Heartbeat: 2 } });
		const [a, b] = await gather(server, 'r', 'a', 'b');
		const polled = await begin(server);
		await send(server, polled, packet('connect', 'polled', 'r', '{}'));
		await a.gets(joined('polled', 'r', false));
		await b.gets(joined('polled', 'r', false));
		const silent = await Raw.websocket(server);
		const { frame } = await take(server, polled);
		assert.equal(frame, batch(joined('polled', 'r', false)));

		await pause(server);
		await set({ monotonic: 60 });
		const text = packet('broadcast', 'a', 'r', 'said meanwhile');
		a.send(text);
		/* It comes with a connection of its own: accepted, but not read, in the first turn. */
		const poll = await Raw.connect(server);
		poll.write(request(`/echo${polled}/xhr`, { method: 'POST', 'Content-Length': '0' }));
		for (const name of signals)
			server.signal(name);
		server.signal('SIGCONT');

		await b.gets(text);
		assert.equal((await answer(poll)).body, `${batch(text)}\n`);
		poll.destroy();
		/* The one that has said nothing is asked, and not cut. */
		assert.equal((await silent.frame()).opcode, 9);
		silent.destroy();
		await b.close();
		await a.gets(left('b', 'r'));
	});
}

test('a message that takes too long is answered with Close, at whichever second it begins', async t => {
	const { server, set } = await serveFaulty(t, { conf: { Heartbeat: 25 }, allow: [/ message took too long$/] });
	const raws = [];
	for (let monotonic = 1; monotonic < 60; monotonic++) {
		if (raws.length < 3) {
			const raw = await Raw.websocket(server);
			raw.write(frame(OPCODE.text, '[', { fin: false }));
			raws.push(raw);
		}
		await server.counters();
		await set({ monotonic });
	}
	for (const raw of raws) {
		let next;
		do
			next = await raw.frame();
		while (next.opcode === OPCODE.ping);
		assert.equal(next.opcode, OPCODE.close);
		assert.equal(next.payload.readUInt16BE(), 1002);
		raw.destroy();
	}
});

test('a session whose time runs out while its poll waits to be read stays', async t => {
	const { server, set } = await serveFaulty(t);
	const raw = await Raw.connect(server);
	let session, target, begun, monotonic = 0;
	/* Of a pause two seconds count; it has five in all, and a slow machine takes some of them. */
	do {
		server.signal('SIGCONT');
		session = fresh();
		target = `/echo${session}/xhr`;
		begun = performance.now();
		assert.equal((await post(raw, target)).body, 'o\n');
		for (let i = 0; i < 2; i++) {
			await set({ monotonic: monotonic += 2 });
			await server.counters();
		}
		await pause(server);
	} while (performance.now() - begun > 800);
	await set({ monotonic: monotonic + 60 });
	raw.write(message(target, { method: 'POST' }));
	server.signal('SIGUSR1');
	server.signal('SIGCONT');
	await send(server, session, packet('connect', 'a', 'r', '{}'));
	assert.equal((await answer(raw)).body, `${batch(joined('a', 'r', true))}\n`);
	raw.destroy();
});

test('after kill -9 and a start at the same port, returning clients meet in their rooms', async t => {
	let server = await start();
	t.after(() => server.stop());
	const { port } = server;
	for (let i = 0; i < 5; i++) {
		const peers = await gather(server, 'r', 'a', 'b');
		const session = await begin(server, fresh());
		const text = packet('broadcast', 'a', 'r', i);
		peers[0].send(text);
		await peers[1].gets(text);
		/* The server closes first, so that it is its port that is in TIME_WAIT. */
		const hung = await Raw.connect(server);
		hung.write(request('/nowhere', { Connection: 'close' }));
		assert.equal(await hung.status(), 404);
		await hung.ended();
		hung.destroy();
		server.signal('SIGKILL');
		await server.exited;
		for (const peer of peers)
			assert.equal((await peer.closed()).code, 1006);
		await assert.rejects(server.stop(), /SIGKILL/); /* removes its files */
		server = await start({ conf: { Port: port } });
		assert.equal(server.port, port);
		const raw = await Raw.connect(server);
		raw.write(request(`/echo${session}/xhr_send`, { method: 'POST', 'Content-Length': '2' }) + '[]');
		assert.equal(await raw.status(), 404); /* no such session any more */
		raw.destroy();
		await until('nobody is there', () => server.counters(),
			({ connections, sessions, rooms }) => connections + sessions + rooms === 0);
	}
	const again = await open(server);
	again.join('a', 'r');
	await again.gets(joined('a', 'r', true));
	await again.close();
});
