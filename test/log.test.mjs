/* The log of a running server: lines, levels, files, links, rates, slow storage, and the writer process. */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import {
	access, chmod, chown, lstat, mkdir, readFile, readdir, readlink, rename, rm, stat, symlink,
	writeFile,
} from 'node:fs/promises';
import path from 'node:path';
import { describe } from 'node:test';
import { promisify } from 'node:util';
import { pair } from './certificate.mjs';
import { Raw, gather, handshake, open, packet, request } from './client.mjs';
import { serveFaulty } from './faults.mjs';
import { failures } from './hello.mjs';
import {
	Lines, bounded, built, caughtUp, fileHas, freePort, lessThan, reopened, run, scratch, serve, start, test, until, videre,
} from './server.mjs';
import { curl, inClear, sClient } from './tls.mjs';

const execute = promisify(execFile);
const PATHS = { PATH: `${process.env.PATH}:/usr/sbin:/sbin` }; /* where logrotate is */

describe('the log', () => {
	const LINE = new RegExp('^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z ' +
		'(error|warn|info|debug|trace) (-|\\S+:\\d+) [ -~]+$');
	const lines = async file => (await readFile(file, 'utf8')).trimEnd().split('\n');

	/* A server with its log in a file, which is whole when the server has stopped. */
	async function logged(t, conf = {}) {
		const log = path.join(await scratch(t), 'log', 'debug.log');
		return { server: await serve(t, { conf: { Log: log, ...conf } }), log };
	}

	/* Creates log lines of two peers. */
	async function visit(server) {
		const [a, b] = await gather(server, 'the room', 'the user', 'another');
		a.send(packet('broadcast', 'the user', 'the room', 'the body'));
		await b.next();
		a.send(packet('broadcast', 'nobody', 'the room', 'the body'));
		await a.next();
		await a.close();
		await b.close();
	}

	test('has a line an event: time, level, address; its directory is made', async t => {
		const { server, log } = await logged(t);
		await visit(server);
		await server.stop();
		const all = await lines(log);
		all.forEach(line => assert.match(line, LINE));
		assert(all.some(line => / debug 127\.0\.0\.1:\d+ /.test(line)));
		assert(all.some(line => /: user "the user", room ~[0-9a-f]{8}$/.test(line)));
		const now = Date.now();
		all.forEach(line => assert(Math.abs(now - Date.parse(line.split(' ')[0])) < 60_000, line));
	});

	test('is added to', async t => {
		const dir = await scratch(t);
		const log = path.join(dir, 'debug.log');
		await writeFile(log, 'what was there\n');
		await (await start({ conf: { Log: log } })).stop();
		await (await start({ conf: { Log: log } })).stop();
		const all = await lines(log);
		assert.equal(all[0], 'what was there');
		assert.equal(all.filter(line => line.includes('listening')).length, 2);
	});

	test('is opened again on SIGHUP', async t => {
		const { server, log } = await logged(t, { LogSize: 0 });
		await rename(log, `${log}.old`);
		server.signal('SIGHUP');
		await server.lines.match(/ info - log reopened/);
		await visit(server);
		await server.stop();
		const [old, fresh] = [await readFile(`${log}.old`, 'utf8'), await readFile(log, 'utf8')];
		assert.match(old, /listening/);
		assert.doesNotMatch(old, /the user/);
		assert.match(fresh, /the user/);
	});

	test('moves aside at LogSize', async t => {
		const { server, log } = await logged(t, { LogSize: 4000 });
		for (let i = 0; i < 10; i++)
			await visit(server);
		await server.stop();
		for (const file of [log, `${log}.1`]) {
			(await lines(file)).forEach(line => assert.match(line, LINE));
			assert((await stat(file)).size <= 4000 + 16384, file);
		}
		assert(!existsSync(`${log}.2`));
	});

	test('moves at 8 times LogSize once it has been moved by hand', async t => {
		const log = path.join(await scratch(t), 'log', 'debug.log');
		const server = await serve(t, {
			conf: { Log: log, LogSize: 1000 }, expect: [/ warn - Log \S+ is rotated by another program/],
		});
		await rename(log, `${log}.old`);
		await reopened(server);
		const moved = () => existsSync(`${log}.1`);
		do {
			assert(!moved());
			await server.counters();
			await caughtUp(server, log);
		} while ((await stat(log)).size < 7000);
		await until('it moves', () => server.counters(), moved);
		assert((await stat(`${log}.1`)).size > 7000);
	});

	test('never moves with a LogSize of 0', async t => {
		const { server, log } = await logged(t, { LogSize: 0 });
		for (let i = 0; i < 10; i++)
			await visit(server);
		await server.stop();
		assert(!existsSync(`${log}.1`));
	});

	for (const [file, pattern] of [
		['test.json/debug.log', / warn - .*test\.json\/debug\.log.*: Not a directory$/],
		['/dev/full', / warn - .*\/dev\/full.*: No space left on device$/],
	]) {
		test(`that cannot be written, ${file}, is reported once and stops nothing`, async t => {
			const server = await serve(t, { conf: { Log: file, LogSize: 0 }, expect: [pattern] });
			for (let i = 0; i < 3; i++)
				await visit(server);
			assert.equal(server.lines.all.filter(line => pattern.test(line)).length, 1);
		});
	}

	test('has no packet bodies below trace', async t => {
		for (const LogLevel of ['debug', 'trace']) {
			const { server, log } = await logged(t, { LogLevel });
			await visit(server);
			await server.stop();
			const text = await readFile(log, 'utf8');
			assert.equal(text.includes('the body'), LogLevel === 'trace');
			assert.doesNotMatch(server.stderr, /the body/);
		}
	});

	test('has nothing below its level, and stderr nothing below info', async t => {
		const { server, log } = await logged(t, { LogLevel: 'info' });
		await visit(server);
		await server.stop();
		assert.doesNotMatch(await readFile(log, 'utf8'), / (debug|trace) /);
		const loud = await logged(t, { LogLevel: 'trace' });
		await visit(loud.server);
		await loud.server.stop();
		const text = await readFile(loud.log, 'utf8');
		for (const level of ['info', 'debug', 'trace'])
			assert(text.includes(` ${level} `), level);
	});

	test('is silent about a good start at level error', async t => {
		const conf = { Port: await freePort(), LogLevel: 'error' };
		const server = await serve(t, { conf, silent: true });
		await until('it listens', () => Raw.connect(server).catch(() => null), Boolean);
		await (await open(server)).none();
		await server.stop();
		assert.equal(server.stderr, '');
	});

	test('may be stderr', async t => {
		const conf = { Log: '-', LogLevel: 'debug' };
		const server = await serve(t, { conf, expect: [/ debug /] });
		await visit(server);
		server.lines.all.forEach(line => assert.match(line, LINE));
		assert(!existsSync(path.join(server.dir, '-')));
	});

	test('has what strangers send escaped and cut', async t => {
		const { server, log } = await logged(t, { LogLevel: 'trace' });
		const forged = '\n2026-01-01T00:00:00.000Z error - forged\r\x1b[2J\x7f\0é\u202e';
		const long = 'y'.repeat(60_000);
		const id = 'x'.repeat(128);
		const texts = [packet('connect', forged, forged), packet('connect', id, id),
			packet(forged, 'a', 'r'), packet(long, 'a', 'r'), packet('broadcast', 'a', 'r', long),
			forged, long];
		const client = await open(server);
		for (const text of texts) {
			client.send(text);
			await client.next();
		}
		const raw = await Raw.connect(server);
		const Origin = forged.replace(/[\r\n\0]/g, ' ');
		raw.write(request(`/${'y'.repeat(7000)}é%0a`, { Origin }));
		await raw.response();
		await client.close(4000, 'forged\n'.repeat(10));
		await server.stop();
		for (const line of await lines(log)) {
			assert.match(line, LINE);
			assert(line.length < 1024, `${line.length} bytes`);
			assert(!line.includes('y'.repeat(500)), line.slice(0, 100));
		}
	});
});

/* Root starts the server with User nobody, and nobody owns the log directory. */
describe("links in the log's directory", () => {
	const root = process.getuid() === 0;
	/* The leak checker can not inspect a process that has changed its user. */
	const env = { ASAN_OPTIONS: 'detect_leaks=0' };
	const CONTENTS = 'for root only\n';
	const refused = / warn - Log \S+ cannot be opened: (Permission denied|No such file or directory)$/;

	async function place(t) {
		const dir = await scratch(t);
		const [, uid, gid] = /^nobody:[^:]*:(\d+):(\d+):/m.exec(await readFile('/etc/passwd', 'utf8'));
		const log = path.join(dir, 'log', 'debug.log'), secret = path.join(dir, 'secret');
		await chmod(dir, 0o755);
		await mkdir(path.dirname(log));
		await chown(path.dirname(log), Number(uid), Number(gid));
		await writeFile(secret, CONTENTS, { mode: 0o600 });
		const start = options => serve(t, { env, ...options, conf: { User: 'nobody', Log: log, ...options?.conf } });
		return { dir, log, secret, start };
	}

	async function untouched({ secret }) {
		const { uid, gid, mode } = await stat(secret);
		assert.deepEqual([uid, gid, mode & 0o777], [0, 0, 0o600]);
		assert.equal(await readFile(secret, 'utf8'), CONTENTS);
	}

	const whenRoot = (name, body) => test(name, t => root ? body(t) : t.skip('needs root'));

	whenRoot('a link to a file of root before the start is refused', async t => {
		const at = await place(t);
		await symlink(at.secret, at.log);
		const server = await at.start({ expect: [refused] });
		await server.counters();
		await untouched(at);
		await server.stop();
		await untouched(at);
	});

	whenRoot('a link to a file of root before SIGHUP is refused', async t => {
		const at = await place(t);
		const server = await at.start({ conf: { LogSize: 0 }, expect: [refused] });
		await fileHas(at.log, / listening /);
		await rename(at.log, `${at.log}.old`);
		await symlink(at.secret, at.log);
		await reopened(server);
		await server.lines.match(refused);
		await server.counters();
		await server.stop();
		await untouched(at);
	});

	whenRoot('a link of the name NAME.1 is replaced when a full file moves', async t => {
		const at = await place(t);
		const server = await at.start({ conf: { LogSize: 2000 } });
		await symlink(at.secret, `${at.log}.1`);
		await until('it has moved', async () => {
			await server.counters();
			return (await lstat(`${at.log}.1`)).isFile();
		}, Boolean);
		await server.stop();
		await untouched(at);
	});

	whenRoot('a link to a directory of root is refused where a directory would be created', async t => {
		const at = await place(t);
		const there = path.join(at.dir, 'private');
		await mkdir(there);
		for (const name of ['made', 'made/below']) {
			const link = path.join(path.dirname(at.log), 'made');
			await symlink(there, link);
			const Log = path.join(path.dirname(at.log), name, 'debug.log');
			const server = await at.start({ conf: { Log }, expect: [refused] });
			await server.counters();
			await server.stop();
			assert.deepEqual(await readdir(there), []);
			assert.equal((await stat(there)).uid, 0);
			await rm(link);
		}
	});

	whenRoot('the reason for a failed start is in a log that the user owns', async t => {
		const at = await place(t);
		const { port } = await serve(t);
		await writeFile(path.join(at.dir, 'conf.json'), JSON.stringify(
			{ Host: '127.0.0.1', Port: port, User: 'nobody', Log: at.log }));
		const { code } = await run([], { cwd: at.dir, env });
		assert.equal(code, 1);
		assert.match(await readFile(at.log, 'utf8'), / error - cannot listen on .*: Address already in use\n/);
		assert.notEqual((await stat(at.log)).uid, 0);
	});

	whenRoot('root as User follows no link to the log', async t => {
		const at = await place(t);
		await symlink(at.secret, at.log);
		const expect = [/ warn - Log \S+ cannot be opened \(root follows no link\): /];
		const server = await at.start({ conf: { User: '' }, expect });
		await server.counters();
		await server.stop();
		await untouched(at);
	});
});

const count = (text, pattern) => text.match(new RegExp(pattern, 'gm'))?.length ?? 0;

/* Sends requests on one connection, and closes it after the last. */
async function ask(server, count, options) {
	const raw = await Raw.connect(server, options);
	raw.write(request('/flood').repeat(count - 1) + request('/flood', { Connection: 'close' }));
	await raw.drained();
	raw.destroy();
}

describe('logging for clients', () => {
	const ADDRESS = { rate: 1024, burst: 32_768 }; /* bytes a second, and bytes */
	const left = / debug - (\d+) lines discarded: 127\.0\.0\.1 exceeds 1024 bytes\/s /;

	test('is limited per address, and other addresses are still logged', async t => {
		const REQUESTS = 3000, ROUNDS = 4;
		const server = await serve(t, { conf: { Log: 'debug.log', LogSize: 0 } });
		const log = path.join(server.dir, 'debug.log');
		const begin = performance.now();
		for (let i = 0; i < ROUNDS; i++)
			await ask(server, REQUESTS / ROUNDS);
		await ask(server, 10, { localAddress: '127.0.0.2' });
		await server.counters();
		await fileHas(log, /127\.0\.0\.2:\d+ disconnected\n/);
		const text = await readFile(log, 'utf8');
		const seconds = (performance.now() - begin) / 1000;
		const flood = text.split('\n').filter(line => / 127\.0\.0\.1:/.test(line)).join('\n');
		assert(flood.length > ADDRESS.burst * 0.9, `${flood.length} bytes`);
		assert(flood.length < ADDRESS.burst + ADDRESS.rate * (seconds + 1), `${flood.length} bytes`);
		assert.equal(count(text, ' 127\\.0\\.0\\.2:\\d+ requests /flood$'), 10);
		await fileHas(log, left);
		await server.stop();
	});

	test('names the address of a client with which TLS fails, and why', async t => {
		const server = await serve(t, { conf: { Log: 'log', LogLevel: 'info' }, tls: await pair('P-256') });
		const log = path.join(server.dir, 'log');
		for (const [, why, bytes] of failures) {
			const raw = await Raw.connect(inClear(server));
			raw.write(bytes);
			await raw.drained();
			await fileHas(log, new RegExp(` info 127\\.0\\.0\\.1:${raw.socket.localPort} TLS failed: ${why.replace(/[()]/g, '\\$&')}\n`));
			raw.destroy();
		}
	});

	test('names what real clients object to', async t => {
		const server = await serve(t, { conf: { Log: 'log' }, tls: await pair('P-256') });
		const log = path.join(server.dir, 'log');
		const other = await pair('P-256', 'another');
		await curl(Object.assign(Object.create(server), { tls: other }));
		await fileHas(log, / info 127\.0\.0\.1:\d+ TLS failed: unknown ca, sent by the client \(Cert\)\n/);
		await sClient(server, ['-tls1_1', '-cipher', 'ALL:@SECLEVEL=0']);
		await fileHas(log, / info 127\.0\.0\.1:\d+ TLS failed: no common version\n/);
	});

	test('has no limit at level trace', async t => {
		const REQUESTS = 1000;
		const server = await serve(t, { conf: { Log: 'debug.log', LogSize: 0, LogLevel: 'trace' } });
		const log = path.join(server.dir, 'debug.log');
		/* In parts, so that the writer process keeps up. */
		for (let i = 0; i < 10; i++) {
			await ask(server, REQUESTS / 10);
			await until('it is written', () => readFile(log, 'utf8'),
				text => count(text, ' disconnected$') === i + 1);
		}
		assert.equal(count(await readFile(log, 'utf8'), ' requests /flood$'), REQUESTS);
	});

	test('reports discarded lines: each line is logged or counted', async t => {
		const REQUESTS = 2000;
		const dir = await scratch(t), log = path.join(dir, 'debug.log');
		const server = await serve(t, { conf: { Log: log, LogSize: 0 } });
		await ask(server, REQUESTS);
		await until('it has gone', () => server.counters(), ({ connections }) => connections === 0);
		await server.stop();
		const text = await readFile(log, 'utf8');
		const counted = [...text.matchAll(new RegExp(left, 'g'))].reduce((sum, [, n]) => sum + Number(n), 0);
		/* Two more lines: connected and disconnected. */
		assert.equal(count(text, ' debug 127\\.0\\.0\\.1:'), REQUESTS + 2 - counted);
		assert(counted > REQUESTS / 2, `${counted} lines`);
	});
});

const childrenOf = async ({ pid }) => (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8'))
	.trim().split(' ').filter(Boolean).map(Number);

/* Returns the pid of the server's writer process. */
async function writerOf(server) {
	const pids = await childrenOf(server);
	assert.equal(pids.length, 1);
	await until('it has its name', () => readFile(`/proc/${pids[0]}/comm`, 'utf8'),
		name => name === 'videre-log\n');
	return pids[0];
}

const gone = pid => until(`the end of ${pid}`, () => access(`/proc/${pid}`).then(() => false, () => true), Boolean);

describe('slow storage', () => {
	const DELAY = 800; /* milliseconds of each write */
	const conf = { Log: 'debug.log', LogSize: 0 };
	const slow = options => ({ ...options, conf: { ...conf, ...options?.conf } });

	test('delays neither clients nor the exit', async t => {
		await lessThan(1000, async () => {
			const { server, set } = await serveFaulty(t, slow());
			const [a, b] = await gather(server, 'r', 'a', 'b');
			await fileHas(path.join(server.dir, conf.Log), /peer joined: /);
			await set({ delay: DELAY });
			const times = [];
			for (let i = 0; i < 12; i++) {
				const text = packet('broadcast', 'a', 'r', i), begin = performance.now();
				await ask(server, 2); /* writes log lines */
				a.send(text);
				await b.gets(text);
				times.push(performance.now() - begin);
			}
			times.sort((x, y) => x - y);
			t.diagnostic(`median ${Math.round(times[6])} ms, worst ${Math.round(times[11])} ms`);
			const exit = once(server.child, 'exit'), begin = performance.now();
			server.signal('SIGTERM');
			const [code] = await bounded(exit, 'the exit');
			assert.equal(code, 0);
			/* A busy machine may delay some packets, but not most. */
			return Math.max(performance.now() - begin, times[6] * 5, times[9] * 2.5);
		});
	});

	test('is reported with the number of discarded lines', async t => {
		const REQUESTS = 4000;
		const { server, set } = await serveFaulty(t, slow({ conf: { LogLevel: 'trace' } }));
		const log = path.join(server.dir, conf.Log);
		await fileHas(log, / listening /);
		await set({ delay: DELAY });
		await ask(server, REQUESTS);
		await set({});
		const pattern = / (?:debug|info) - (\d+) lines discarded: the log cannot be written fast enough \(LogLevel /gm;
		const counted = text => [...text.matchAll(pattern)].reduce((sum, [, n]) => sum + Number(n), 0);
		const logged = text => count(text, ' requests /flood$');
		const text = await until('each line is there, or in a count', async () => {
			await server.counters();
			return readFile(log, 'utf8');
		}, each => logged(each) + counted(each) >= REQUESTS);
		assert(counted(text) > 0);
		for (const line of text.trimEnd().split('\n'))
			assert.match(line, /^\d{4}-\S+Z (info|debug|trace) (-|\S+:\d+) /);
	});
});

describe('the process that writes the log', () => {
	const Log = 'debug.log';

	test('has no socket, ignores the signals of the server, and exits after it', async t => {
		const server = await serve(t, { conf: { Log } });
		const pid = await writerOf(server);
		const raw = await Raw.connect(server);
		/* The log, the pipe of lines, and the pipe that closes at its exit. */
		const fds = (await readdir(`/proc/${pid}/fd`)).filter(fd => fd !== '2');
		const names = await Promise.all(fds.map(fd => readlink(`/proc/${pid}/fd/${fd}`)));
		assert.deepEqual(names.map(name => path.basename(name).replace(/:.*/, '')).sort(),
			[Log, 'pipe', 'pipe']);
		for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR1'])
			process.kill(pid, name);
		raw.write(request('/still-there'));
		assert.equal(await raw.status(), 404);
		await fileHas(path.join(server.dir, Log), / requests \/still-there\n/);
		assert.equal(await writerOf(server), pid);
		await server.stop();
		await gone(pid);
	});

	test('writes the last lines of a killed server, and exits', async t => {
		const dir = await scratch(t), log = path.join(dir, Log);
		const server = await start({ conf: { Log: log } });
		t.after(() => server.child.kill('SIGKILL'));
		t.after(() => rm(server.dir, { recursive: true, force: true }));
		const pid = await writerOf(server);
		await ask(server, 2);
		await until('it has gone', () => server.counters(), ({ connections }) => connections === 0);
		server.signal('SIGKILL');
		await bounded(server.exited, 'the exit');
		await gone(pid);
		assert.match(await readFile(log, 'utf8'), / disconnected\n/);
	});

	test('may be killed: the server reports it once and writes the log itself', async t => {
		const expect = [/ warn - Log debug\.log is now written by the server itself: the writer process has ended$/];
		const server = await serve(t, { conf: { Log, LogSize: 4000 }, expect });
		const log = path.join(server.dir, Log);
		const pid = await writerOf(server);
		process.kill(pid, 'SIGKILL');
		await gone(pid);
		for (let i = 0; i < 3; i++)
			await ask(server, 20);
		await server.lines.match(expect[0]);
		await fileHas(`${log}.1`, / requests \/flood\n/);
		await reopened(server);
		await fileHas(log, / info - log reopened\n/);
		assert.deepEqual(await childrenOf(server), []);
		assert.equal(server.lines.all.filter(line => expect[0].test(line)).length, 1);
	});

	test('opens the file again between the right lines', async t => {
		const server = await serve(t, { conf: { Log, LogSize: 0 } });
		const log = path.join(server.dir, Log);
		for (let i = 0; i < 10; i++) {
			await until('it is there', () => access(log).then(() => true, () => false), Boolean);
			await rename(log, `${log}.${i}`);
			await server.counters();
			await reopened(server);
		}
		await fileHas(log, / log reopened\n/);
		const lines = async name => (await readFile(name, 'utf8')).trimEnd().split('\n');
		for (let i = 0; i < 10; i++)
			await fileHas(`${log}.${i}`, / counters: [^\n]*\n$/);
		for (let i = 1; i < 10; i++)
			assert.deepEqual((await lines(`${log}.${i}`)).map(line => line.split(' ')[3]), ['log', 'counters:']);
	});

	test('cuts no line when a full file moves, however short its reads are', async t => {
		const env = { FAULTS_ODDS: '700', FAULTS_SEED: '1' }; /* most reads are cut short */
		const { server } = await serveFaulty(t, { env, conf: { Log, LogSize: 1000 } });
		const log = path.join(server.dir, Log);
		const seen = new Set();
		for (let i = 0; i < 200; i++) {
			await server.counters();
			for (const name of [log, `${log}.1`]) {
				const text = await readFile(name, 'utf8').catch(() => '');
				for (const line of text.split('\n').slice(0, -1)) {
					assert.match(line, /^\d{4}-\S+Z info - (videre|memory|listening|counters).*[^=]$/);
					seen.add(line);
				}
			}
			/* Once the next file has begun, the previous one ends with a line feed. */
			const aside = await readFile(`${log}.1`, 'utf8').catch(() => '\n');
			assert(aside.endsWith('\n'), aside);
		}
		assert(seen.size > 20);
	});

	test('cuts no line when more lines wait for it than it reads at once', async t => {
		const server = await serve(t, { conf: { Log, LogSize: 1000 } });
		const pid = await writerOf(server);
		process.kill(pid, 'SIGSTOP');
		for (let size = 0; size < 50_000; size += server.lines.all.at(-1).length)
			await server.counters();
		process.kill(pid, 'SIGCONT');
		const text = await until('a file is full', () => readFile(path.join(server.dir, `${Log}.1`), 'utf8').catch(String),
			each => / counters: /.test(each));
		assert(text.endsWith('\n'), text.slice(-100));
	});

	test('is confined by the same sandbox', async t => {
		for (const [Sandbox, expected] of [[true, '2'], [false, '0']]) {
			const server = await serve(t, { binary: built('VIDERE_PLAIN', 'videre'), conf: { Log, Sandbox } });
			const pid = await writerOf(server);
			await until('its state', () => readFile(`/proc/${pid}/status`, 'utf8'),
				text => /^Seccomp:\s+(\d)/m.exec(text)[1] === expected);
		}
	});

	test('is not started without a file', async t => {
		for (const name of ['', '-', '/dev/null']) {
			const server = await serve(t, { conf: { Log: name }, allow: [/ debug /] });
			assert.deepEqual(await childrenOf(server), []);
		}
	});
});

/*
 * logrotate with the rule of the manual page, which names the log's file and the server.  The
 * server's lines are numbered, so that none is missed.
 */
test('a terminal that takes no more stops nobody', async t => {
	const dir = await scratch(t), conf = { Host: '127.0.0.1', Port: 0, Log: '-', LogLevel: 'debug' };
	await writeFile(path.join(dir, 'conf.json'), JSON.stringify(conf));
	const terminal = spawn('script', ['-qec', `echo pid $$; exec ${videre} -c conf.json`, '/dev/null'], { cwd: dir });
	t.after(() => terminal.kill('SIGKILL'));
	const lines = new Lines(terminal.stdout);
	const pid = Number((await lines.match(/^pid (\d+)/))[1]);
	t.after(() => process.kill(pid, 'SIGKILL'));
	const port = Number((await lines.match(/ info - listening on 127\.0\.0\.1:(\d+)/))[1]);
	terminal.kill('SIGSTOP');
	await ask({ host: '127.0.0.1', port, clients: new Set() }, 500); /* some 35 KB; terminals take 4 */
	terminal.kill('SIGCONT');
	await lines.match(/ debug 127\.0\.0\.1:\d+ /);
});

describe('logrotate loses nothing', { concurrency: true }, () => {
	const rule = readFile(new URL('../videre.8', import.meta.url), 'utf8')
		.then(page => /^\/var\/log\/videre.log \{\n[^]*?^\}\n/m.exec(page)[0]);
	const EXTERNAL = / warn - Log \S+ is rotated by another program: LogSize applies at 8 times its value$/;
	const LINES = 30; /* a round: half of the smaller LogSize below */

	async function rotating(t, LogSize, change) {
		const dir = await scratch(t), log = path.join(dir, 'log/debug.log'), rules = path.join(dir, 'rules');
		const conf = { Log: log, LogLevel: 'trace', LogSize };
		const server = await serve(t, { conf, expect: LogSize > 0 ? [EXTERNAL] : [] });
		await writeFile(rules, change((await rule).replace('/var/log/videre.log', log)
			.replace('$(pidof videre)', String(server.pid))), { mode: 0o600 });
		/* The names of two rotations of one second would be the same. */
		const rotate = async () => {
			const names = () => readdir(path.dirname(log)).then(all => all.length);
			const before = await names();
			await until('a file more', async () => {
				await execute('logrotate', ['-f', '-s', `${rules}.state`, rules], { env: PATHS }).catch(() => {});
				return names();
			}, now => now > before);
		};
		return { server, log, rotate };
	}

	async function check(t, LogSize, change, settle) {
		const { server, log, rotate } = await rotating(t, LogSize, change);
		let number = 0;
		const write = async rounds => {
			for (let i = 0; i < rounds * LINES; i++) {
				const raw = await Raw.connect(server);
				raw.write(request(`/number/${++number}/`, { Connection: 'close' }));
				assert.equal(await raw.status(), 404);
				await raw.ended();
			}
			await fileHas(log, new RegExp(` requests /number/${number}/\n`));
		};
		for (let round = 0; round < 3; round++) {
			/* Before the first rotation the two files of LogSize hold it. */
			await write(round === 0 ? 1 : 5);
			await rotate();
			await settle(server, round);
		}
		await write(1);
		await server.stop();
		const dir = path.dirname(log);
		const texts = await Promise.all((await readdir(dir)).map(name => readFile(path.join(dir, name), 'utf8')));
		assert(texts.length >= 4);
		const numbers = texts.flatMap(text => [...text.matchAll(/ requests \/number\/(\d+)\/\n/g)].map(([, n]) => Number(n)));
		assert.deepEqual(numbers.sort((a, b) => a - b), Array.from({ length: number }, (_, i) => i + 1));
	}

	const kinds = {
		'create and SIGHUP': [rule => rule, (server, round) => until('it is reopened', () =>
			server.lines.all.filter(line => / info - log reopened$/.test(line)).length, n => n === round + 1)],
		'copytruncate': [rule => rule.replace('\tcreate\n', '\tcopytruncate\n').replace(/\tpostrotate[^]*endscript\n/, ''),
			() => {}],
		/* The rule of earlier pages: the server's .1 and logrotate's .1 have one name. */
		'numbers and SIGHUP': [rule => rule.replace(/\tdate.*\n/g, ''), (server, round) => until('it is reopened', () =>
			server.lines.all.filter(line => / info - log reopened$/.test(line)).length, n => n === round + 1)],
	};
	test('and succeeds while no server runs', async t => {
		const dir = await scratch(t), log = path.join(dir, 'videre.log'), rules = path.join(dir, 'rules');
		await writeFile(log, 'a line\n');
		await writeFile(rules, (await rule).replace('/var/log/videre.log', log), { mode: 0o600 });
		await writeFile(path.join(dir, 'pidof'), '#!/bin/sh\nexit 1\n', { mode: 0o755 });
		const { stderr } = await execute('logrotate', ['-f', '-s', `${rules}.state`, rules],
			{ env: { PATH: `${dir}:${PATHS.PATH}` } });
		assert.equal(stderr, '');
		assert.equal((await readdir(dir)).filter(name => name.startsWith('videre.log-')).length, 1);
	});

	for (const [name, [change, settle]] of Object.entries(kinds))
		for (const LogSize of [0, 12_000])
			test(`with ${name}, and a LogSize of ${LogSize}`, t => check(t, LogSize, change, settle));
});
