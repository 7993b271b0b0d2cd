/*
 * Runs the server under test.  It must exit with status 0 on SIGTERM, and must not write unexpected
 * lines to stderr.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test as nodeTest } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { pair } from './certificate.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));

/* A path that an environment variable may set; default: one within the tree. */
export const built = (name, otherwise) => path.resolve(root, process.env[name] ?? otherwise);

export const videre = built('VIDERE', 'build/san/videre');

/* The library that every server preloads, unless a test chooses another. */
const preload = process.env.VIDERE_PRELOAD
	&& { LD_PRELOAD: path.resolve(root, process.env.VIDERE_PRELOAD) };

/* True if tests that are not about TLS use it too. */
export const overTLS = process.env.VIDERE_TLS === '1';

/* A factor for all time limits: emulated devices are slow. */
export const patience = Number(process.env.VIDERE_PATIENCE ?? 1);
const LIMIT = 15_000 * patience; /* milliseconds */

/* Thrown when a test needs something that a server elsewhere cannot do. */
export class Impossible extends Error {}

/* True if each test starts its own server, so that tests may run concurrently. */
export const apart = process.env.VIDERE_AT === undefined;

/* Runs each hook, even if others fail. */
async function runHooks(hooks) {
	const errors = [];
	for (const hook of hooks)
		try {
			await hook();
		} catch (error) {
			errors.push(error);
		}
	if (errors.length > 1)
		throw new AggregateError(errors, errors.map(({ message }) => message).join('\n'));
	if (errors.length > 0)
		throw errors[0];
}

/*
 * A test with a time limit in milliseconds.  After it, all its hooks run.  Node would skip those after a
 * hook that fails, and the servers that they stop would keep the process running.
 */
export const test = (name, body, limit = 60_000) => nodeTest(name, { timeout: limit * patience }, async t => {
	const hooks = [];
	let ended = false;
	t.after(() => {
		ended = true;
		return runHooks(hooks);
	});
	/* A body that its time limit has cut off can go on. */
	t.after = hook => ended ? hook() : hooks.push(hook);
	try {
		await body(t);
	} catch (error) {
		if (!(error instanceof Impossible))
			throw error;
		t.skip(error.message);
	}
});

/* Waits for a promise.  The time limit only ends broken runs. */
export async function bounded(promise, what, ms = LIMIT) {
	const error = new Error(`waited in vain for ${what}`);
	const stop = new AbortController();
	const late = setTimeout(ms, error, { signal: stop.signal }).then(reason => { throw reason; });
	late.catch(() => {});
	try {
		return await Promise.race([promise, late]);
	} finally {
		stop.abort();
	}
}

/* A directory that is removed after the test. */
export async function scratch(t) {
	const dir = await mkdtemp(path.join(tmpdir(), 'videre-'));
	t.after(() => rm(dir, { recursive: true, force: true }));
	return dir;
}

/* Writes a program to a directory that runs a binary in this way, as the same process.  Returns its path. */
export async function wrapped(directory, binary, words) {
	const file = path.join(directory, 'wrapped');
	await writeFile(file, `#!/bin/sh\nexec ${words} ${binary} "$@"\n`, { mode: 0o755 });
	return file;
}

/* A port that is free at the moment, outside of the range that the kernel uses for connections. */
export async function freePort() {
	for (;;) {
		const listener = net.createServer().listen(randomInt(20000, 30000), '127.0.0.1');
		try {
			await once(listener, 'listening');
		} catch {
			continue;
		}
		const { port } = listener.address();
		listener.close();
		await once(listener, 'close');
		return port;
	}
}

/* Calls `ask` until `good` accepts its answer. */
export async function until(what, ask, good, interval = 5, limit = LIMIT) {
	const end = performance.now() + limit;
	for (;;) {
		const answer = await ask();
		if (good(answer))
			return answer;
		assert(performance.now() < end, `${what}: it stayed ${JSON.stringify(answer)}`);
		await setTimeout(interval);
	}
}

/* The same for what takes seconds, such as the end of a session that no client returns to. */
export const eventually = (what, ask, good) => until(what, ask, good, 50, 2 * LIMIT);

/*
 * Makes up to five attempts, until `good` accepts the result of one, and returns that: a stall of the machine may spoil
 * a few.
 */
export async function attempts(what, attempt, good) {
	const results = [];
	while (results.length < 5) {
		const result = await attempt();
		if (good(result))
			return result;
		results.push(result);
	}
	assert.fail(`${what}: none of ${JSON.stringify(results)}`);
}

export const lessThan = (limit, attempt) => attempts(`less than ${limit}`, attempt, result => result < limit);

/* Waits for a counter of SIGUSR1 to have this value. */
export const counted = (server, name, count) => until(`${count} ${name}`, () => server.counters(),
	counters => counters[name] === count);

const TABLES = ['connections', 'transport_connections', 'sessions', 'rooms', 'peers', 'blocks'];

/* Waits until the server holds nothing of any client.  Only a server with TLS counts engines. */
export const emptied = server => eventually('empty tables', () => server.counters(),
	({ engines = 0, ...counters }) => engines === 0 && TABLES.every(name => counters[name] === 0));

/* Waits for a line in a file, which need not exist yet. */
export const fileHas = (file, pattern) => until(`a line like ${pattern} in ${file}`,
	() => readFile(file, 'utf8').catch(({ code }) => code), text => pattern.test(text));

/* Sends SIGSTOP, and waits until the server has stopped; "t" is its state below strace. */
export async function pause(server) {
	server.signal('SIGSTOP');
	await until('it has stopped', async () => (await readFile(`/proc/${server.pid}/stat`, 'utf8')).split(') ')[1][0],
		state => state === 'T' || state === 't');
}

/* Waits until a log file has the last line of stderr at level info: another process writes the file, and warns on stderr. */
export const caughtUp = (server, file) => until(`${file} to have what stderr has`,
	() => readFile(file, 'utf8').catch(({ code }) => code),
	text => text.includes(server.lines.all.findLast(line => / info - /.test(line))));

/* Sends SIGHUP, and waits until the log file is opened again. */
export async function reopened(server) {
	const from = server.lines.all.length;
	server.signal('SIGHUP');
	await server.lines.match(/ info - log reopened$/, from);
}

/* The lines of a stream as they come. */
export class Lines {
	all = [];
	#rest = '';
	#ended = false;
	#events = new EventEmitter().setMaxListeners(0);

	constructor(stream) {
		stream.setEncoding('utf8');
		stream.on('data', text => this.#add(text));
		stream.on('close', () => this.#end());
	}

	#add(text) {
		const lines = (this.#rest + text).split('\n');
		this.#rest = lines.pop();
		this.all.push(...lines);
		this.#events.emit('change');
	}

	#end() {
		if (this.#rest !== '')
			this.all.push(this.#rest);
		this.#ended = true;
		this.#events.emit('change');
	}

	/* The first match at or after line number `from`, past or to come. */
	async match(pattern, from = 0, ms = LIMIT) {
		const search = () => {
			for (; from < this.all.length; from++)
				if (pattern.test(this.all[from]))
					return pattern.exec(this.all[from]);
			assert(!this.#ended, `no line like ${pattern} in:\n${this.all.join('\n')}`);
		};
		const wait = async () => {
			let found;
			while (!(found = search()))
				await once(this.#events, 'change');
			return found;
		};
		return bounded(wait(), `a line like ${pattern}`, ms);
	}

	/* When the server has written the line with this text, in milliseconds. */
	time(text) {
		return Date.parse(this.all.find(line => line.endsWith(` - ${text}`)).split(' ')[0]);
	}
}

function launch({ binary = videre, args = [], env = {}, cwd, shell }) {
	const options = { cwd, env: { ...process.env, ...preload, ...env }, stdio: ['ignore', 'pipe', 'pipe'] };
	const child = shell
		? spawn('sh', ['-c', `${shell}; exec "$0" "$@"`, binary, ...args], options)
		: spawn(binary, args, options);
	const orphaned = () => child.kill('SIGKILL');
	process.on('exit', orphaned);
	child.once('close', () => process.off('exit', orphaned));
	return child;
}

/* Runs the server until it exits.  Returns its status and output. */
export async function run(args, options = {}) {
	const child = launch({ ...options, args });
	const out = new Lines(child.stdout), err = new Lines(child.stderr);
	try {
		const [code] = await bounded(once(child, 'close'), `the end of ${args.join(' ')}`);
		return { code, stdout: out.all.join('\n'), stderr: err.all.join('\n') };
	} finally {
		child.kill('SIGKILL');
	}
}

/*
 * A report of refusals (report.c), which any test may provoke, as [, text, count, client,
 * value].
 */
export const REPORT = / warn - ((?:refused|closed with 4001): .*): (\d+) in the last minute(?:, such as (\S+)(?: with "(.*)"(?:\.\.\.)?)?)?$/;

/* The log line of a listener, as [, host, port]. */
export const LISTENING = / info - listening on (.*):(\d+)$/;

class Server {
	clients = new Set(); /* connected clients, which are destroyed at the end */
	#stopped;

	constructor(child, dir, expect, allow) {
		this.child = child;
		this.dir = dir;
		this.expected = expect;
		this.allowed = [...expect, ...allow, REPORT, /^\S+Z info \S+ /];
		this.lines = new Lines(child.stderr);
		this.exited = once(child, 'close');
		this.exited.catch(() => {});
	}

	get pid() {
		return this.child.pid;
	}

	get stderr() {
		return this.lines.all.join('\n');
	}

	signal(name) {
		this.child.kill(name);
	}

	/* The counters that SIGUSR1 logs, as an object of numbers. */
	async counters() {
		const from = this.lines.all.length;
		this.signal('SIGUSR1');
		const [, list] = await this.lines.match(/ info - counters: (.*)$/, from);
		return Object.fromEntries(list.split(' ').map(pair => pair.split('='))
			.map(([name, value]) => [name, Number(value)]));
	}

	/* Ends the server.  Fails unless it exits with status 0 and has logged only expected lines. */
	stop(signal = 'SIGTERM') {
		return this.#stopped ??= this.#stop(signal);
	}

	async #stop(signal) {
		for (const client of this.clients)
			client.destroy();
		this.signal(signal);
		try {
			const [code, by] = await bounded(this.exited, 'the server to exit');
			assert.equal(code, 0, `exit status ${code}, signal ${by}, and:\n${this.stderr}`);
		} finally {
			this.child.kill('SIGKILL');
			await rm(this.dir, { recursive: true, force: true });
		}
		this.#judge();
	}

	#judge() {
		assert.doesNotMatch(this.stderr, /Sanitizer|runtime error/);
		const odd = this.lines.all.filter(line =>
			!this.allowed.some(pattern => pattern.test(line)));
		assert.deepEqual(odd, [], 'unexpected lines on stderr');
		for (const pattern of this.expected)
			assert(this.lines.all.some(line => pattern.test(line)), `no line like ${pattern}`);
	}
}

/*
 * Starts a server.  Options:
 *   conf    its configuration; default: loopback, any free port, no log file.  null: no file
 *   expect  patterns of lines above level info; each must be logged
 *   allow   patterns of lines above level info that may be logged; reports of refusals always may
 *   shell   a command that the same process runs first, such as `ulimit -n 20`
 *   silent  the server does not log that it listens; its port is conf.Port
 *   tls     a pair of certificate.mjs to serve TLS with; VIDERE_TLS=1 sets one for each server
 *           with a configuration
 *   args, binary, env  of the process
 */
export async function start(options = {}) {
	const { conf = {}, expect = [], allow = [], silent = false } = options;
	const tls = conf === null ? undefined
		: options.tls ?? (overTLS ? await pair('P-256') : undefined);
	let { args = [] } = options;
	const dir = await mkdtemp(path.join(tmpdir(), 'videre-'));
	if (conf !== null) {
		const secure = tls && { TLS: true, Cert: tls.cert, Key: tls.key };
		const all = { Host: '127.0.0.1', Port: 0, Log: '', ...secure, ...conf };
		await writeFile(path.join(dir, 'test.json'), JSON.stringify(all));
		args = ['-c', 'test.json', ...args];
	}
	const child = launch({ ...options, args, cwd: dir });
	const server = new Server(child, dir, expect, allow);
	try {
		const [, host, port] = silent ? [, '127.0.0.1', conf.Port]
			: await server.lines.match(LISTENING);
		const prefix = conf?.Prefix ?? '/echo';
		return Object.assign(server, { host, port: Number(port), prefix, tls });
	} catch (error) {
		child.kill('SIGKILL');
		await rm(dir, { recursive: true, force: true });
		throw error;
	}
}

/* A server for the length of one test; with VIDERE_AT, the one that runs elsewhere. */
export async function serve(t, options) {
	if (!apart)
		return (await import('./remote.mjs')).visit(t, options);
	const server = await start(options);
	t.after(() => server.stop());
	return server;
}
