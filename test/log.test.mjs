/* The log of a running server: what others may do to its file, to its rate and to its storage. */
import assert from 'node:assert/strict';
import {
	chmod, chown, lstat, mkdir, readFile, readdir, rename, rm, stat, symlink, writeFile,
} from 'node:fs/promises';
import path from 'node:path';
import { describe } from 'node:test';
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
