/* The log of a running server: what others may do to its file, to its rate and to its storage. */
import assert from 'node:assert/strict';
import {
	chmod, chown, lstat, mkdir, readFile, readdir, rename, rm, stat, symlink, writeFile,
} from 'node:fs/promises';
import path from 'node:path';
import { describe } from 'node:test';
import { Raw, request } from './client.mjs';
import { run, scratch, serve, test, until } from './server.mjs';

const has = (file, pattern) => until(`a line in ${file}`,
	() => readFile(file, 'utf8').catch(({ code }) => code), text => pattern.test(text));

const reopened = async server => {
	const from = server.lines.all.length;
	server.signal('SIGHUP');
	await server.lines.match(/ info - log reopened$/, from);
};

/* A server that root starts for nobody, with a log directory of nobody's. */
describe("links in the log's directory", () => {
	const root = process.getuid() === 0;
	/* The leak checker cannot look into a process that has changed its user. */
	const env = { ASAN_OPTIONS: 'detect_leaks=0' };
	const CONTENTS = 'for root only\n';
	const refused = / warn - the log \S+ cannot be opened: (Permission denied|No such file or directory)$/;

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
		const server = await at.start({ expect: [refused] });
		await has(at.log, / listening /);
		await rename(at.log, `${at.log}.old`);
		await symlink(at.secret, at.log);
		await reopened(server);
		await server.lines.match(refused);
		await server.counters();
		await server.stop();
		await untouched(at);
	});

	whenRoot('links to a file of root do no harm when a full file moves', async t => {
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

	whenRoot('a link to a directory of root in place of one that is made is refused', async t => {
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

	whenRoot('why a server did not start is in a log of the user', async t => {
		const at = await place(t);
		const { port } = await serve(t);
		await writeFile(path.join(at.dir, 'conf.json'), JSON.stringify(
			{ Host: '127.0.0.1', Port: port, User: 'nobody', Log: at.log }));
		const { code } = await run([], { cwd: at.dir, env });
		assert.equal(code, 1);
		assert.match(await readFile(at.log, 'utf8'), / error - cannot listen on .*: Address already in use\n/);
		assert.notEqual((await stat(at.log)).uid, 0);
	});

	whenRoot('root itself follows no link to its log', async t => {
		const at = await place(t);
		await symlink(at.secret, at.log);
		const expect = [/ warn - the log \S+ cannot be opened \(root follows no link\): /];
		const server = await at.start({ conf: { User: '' }, expect });
		await server.counters();
		await server.stop();
		await untouched(at);
	});
});

/* Requests of one connection, which ends after the last. */
async function ask(server, count, options) {
	const raw = await Raw.connect(server, options);
	raw.write(request('/flood').repeat(count - 1) + request('/flood', { Connection: 'close' }));
	await raw.drained();
	raw.destroy();
}

describe('what clients can have logged', () => {
	const ADDRESS = { rate: 1024, burst: 32_768 }; /* bytes a second, and bytes */
	const left = / debug - (\d+) lines left out: 127\.0\.0\.1 exceeds 1024 bytes\/s /;
	const count = (text, pattern) => text.match(new RegExp(pattern, 'gm'))?.length ?? 0;

	test('has a rate for an address, and others are logged meanwhile', async t => {
		const REQUESTS = 3000, ROUNDS = 4;
		const server = await serve(t, { conf: { Log: 'debug.log', LogSize: 0 } });
		const log = path.join(server.dir, 'debug.log');
		const begin = performance.now();
		for (let i = 0; i < ROUNDS; i++)
			await ask(server, REQUESTS / ROUNDS);
		await ask(server, 10, { localAddress: '127.0.0.2' });
		await server.counters();
		await has(log, /127\.0\.0\.2:\d+ disconnected\n/);
		const text = await readFile(log, 'utf8');
		const seconds = (performance.now() - begin) / 1000;
		const flood = text.split('\n').filter(line => / 127\.0\.0\.1:/.test(line)).join('\n');
		assert(flood.length > ADDRESS.burst * 0.9, `${flood.length} bytes`);
		assert(flood.length < ADDRESS.burst + ADDRESS.rate * (seconds + 1), `${flood.length} bytes`);
		assert.equal(count(text, ' 127\\.0\\.0\\.2:\\d+ requests /flood$'), 10);
		await has(log, left);
		await server.stop();
	});

	test('has no rate at level trace', async t => {
		const REQUESTS = 1000;
		const server = await serve(t, { conf: { Log: 'debug.log', LogSize: 0, LogLevel: 'trace' } });
		const log = path.join(server.dir, 'debug.log');
		await ask(server, REQUESTS);
		await has(log, /127\.0\.0\.1:\d+ disconnected\n/);
		assert.equal(count(await readFile(log, 'utf8'), ' requests /flood$'), REQUESTS);
	});

	test('is counted when it is left out: each line is there, or in a count', async t => {
		const REQUESTS = 2000;
		const dir = await scratch(t), log = path.join(dir, 'debug.log');
		const server = await serve(t, { conf: { Log: log, LogSize: 0 } });
		await ask(server, REQUESTS);
		await until('it has gone', () => server.counters(), ({ connections }) => connections === 0);
		await server.stop();
		const text = await readFile(log, 'utf8');
		const counted = [...text.matchAll(new RegExp(left, 'g'))].reduce((sum, [, n]) => sum + Number(n), 0);
		/* With a line for the connection's begin and end. */
		assert.equal(count(text, ' debug 127\\.0\\.0\\.1:'), REQUESTS + 2 - counted);
		assert(counted > REQUESTS / 2, `${counted} lines`);
	});
});
