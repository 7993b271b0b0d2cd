/*
 * The sandbox: the server works with its few system calls, and all others fail.  Builds with sanitizers have
 * no sandbox, so these tests run the build that is shipped.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { chmod, chown, copyFile, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { describe } from 'node:test';
import { pair } from './certificate.mjs';
import { Raw, open, packet } from './client.mjs';
import {
	Lines, bounded, built, caughtUp, fileHas, reopened, scratch, serve, test, until, wrapped,
} from './server.mjs';
import { ask, meet, transports } from './sockjs.mjs';
import { FIRST, REFUSED, SECOND, sign } from './tokens.mjs';

const NOBODY = 65534;

const binary = built('VIDERE_PLAIN', 'videre');
const library = built('FORBIDDEN', 'build/forbidden.so');

/* A static one loads no library. */
const dynamic = (await readFile(binary)).includes('/ld-linux');

async function status(server, ...names) {
	const text = await readFile(`/proc/${server.pid}/status`, 'utf8');
	return names.map(name => new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1]);
}

async function call(server, room, kind) {
	const peers = await meet(server, room, ['a', kind], ['b', kind]);
	const text = packet('broadcast', 'a', room, 'x'.repeat(20_000));
	peers[0].send(text);
	await peers[1].gets(text);
	return peers;
}

for (const [what, tls] of [['in clear', undefined], ['over TLS', await pair('P-256')]])
	test(`no call is refused to what a server does ${what}`, async t => {
		const dir = await scratch(t);
		const file = name => path.join(dir, name);
		const log = file('log/debug.log'), calls = file('calls');
		const server = await serve(t, {
			binary: await wrapped(await scratch(t), binary, `strace -D -o ${calls}`), tls,
			conf: { Log: log, LogLevel: 'debug', LogSize: 20_000, MaxConnections: 20 },
			expect: [/ warn - Log .* cannot be moved aside \(LogSize\), so it is emptied: Is a directory/,
				/ warn - Log .* is rotated by another program/],
		});
		assert.deepEqual(await status(server, 'Seccomp', 'NoNewPrivs'), ['2', '1']);
		assert.match((await ask(server, '/metrics')).body, /^videre_resident_memory_bytes /m);
		for (const kind of transports) {
			await call(server, kind, kind);
			for (const client of server.clients)
				client.destroy();
			await until('nobody is left', () => server.counters(),
				({ connections }) => connections === 0);
		}

		/* Removed with its directory, full, full where it cannot move, and moved. */
		await rm(file('log'), { recursive: true });
		await reopened(server);
		await fileHas(log, / info - log reopened\n/);
		for (let i = 0; i < 100; i++)
			await server.counters();
		await caughtUp(server, log);
		await fileHas(`${log}.1`, / info - counters: /);
		await rm(`${log}.1`);
		await mkdir(`${log}.1`);
		for (let i = 0; i < 100; i++)
			await server.counters();
		await server.lines.match(/ cannot be moved aside /);
		await rename(log, file('log/before'));
		await reopened(server);
		await fileHas(log, / info - log reopened\n/);
		await server.lines.match(/ is rotated by another program/);

		if (tls !== undefined)
			await server.lines.match(/ info - certificate loaded/);
		const others = [];
		for (let i = 0; i < 20; i++)
			others.push(await Raw.connect(server));
		await until('all are in', () => server.counters(), ({ connections }) => connections === 20);
		await assert.rejects(open(server));
		const { connections_refused: refused } = await server.counters();
		assert(refused > 0);
		await server.stop();

		const [, after] = (await readFile(calls, 'latin1')).split(/^.*PR_SET_SECCOMP.* = 0$/m);
		assert.match(after, /^ppoll.* = 1/m);
		assert.deepEqual(after.split('\n').filter(line => line.includes('EPERM')), []);
	});

test('a certificate is loaded again', async t => {
	const dir = await scratch(t);
	const [old, next] = [await pair('P-256'), await pair('P-384')];
	const [cert, key] = ['cert.pem', 'key.pem'].map(name => path.join(dir, name));
	const put = one => Promise.all([copyFile(one.cert, cert), copyFile(one.key, key)]);
	await put(old);
	const server = await serve(t, { binary, tls: { cert, key, ca: old.ca + next.ca } });
	await (await open(server)).none();
	await put(next);
	await reopened(server);
	await server.lines.match(/ info - certificate loaded/);
	await (await open(Object.assign(server, { tls: next }))).none();
});

const unshares = () => {
	try {
		execFileSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'tmpfs', '/dev']);
		return true;
	} catch {
		return false;
	}
};

test('it tells its resident memory, as far as there is /proc', async t => {
	const server = await serve(t, { binary });
	const told = async one => /^videre_resident_memory_bytes (\d+)$/m.exec((await ask(one, '/metrics')).body)?.[1];
	const bytes = Number(await told(server)), kilobytes = Number((await status(server, 'VmRSS'))[0]);
	/* The kernel counts it in two ways. */
	assert(Math.abs(bytes / 1024 - kilobytes) < 512, `${bytes} bytes, ${kilobytes} kB`);
	if (!unshares())
		return t.skip('a mount namespace cannot be made');
	const without = `unshare --mount sh -c 'mount -t tmpfs tmpfs /proc && exec "$0" "$@"'`;
	const blind = await serve(t, { binary: await wrapped(await scratch(t), binary, without) });
	assert.equal(await told(blind), undefined);
	assert.equal((await ask(blind, '/health')).status, 200);
	await blind.counters();
});

/* A server that finds these texts in /etc/passwd and /etc/group. */
async function serveAmong(t, { passwd, group }, options) {
	const dir = await scratch(t);
	await writeFile(path.join(dir, 'passwd'), passwd);
	await writeFile(path.join(dir, 'group'), group);
	const mounts = ['passwd', 'group'].map(name => `mount --bind ${dir}/${name} /etc/${name}`);
	const shell = `unshare --mount sh -c '${mounts.join(' && ')} && exec "$0" "$@"'`;
	return serve(t, { ...options, binary: await wrapped(await scratch(t), binary, shell) });
}

const groupsOf = async server =>
	/^Groups:\t([\d ]*?) *$/m.exec(await readFile(`/proc/${server.pid}/status`, 'utf8'))?.[1];

/* More than is read at once, of names that are almost the user's. */
test('secrets of Tokens and TurnSecret are loaded again', async t => {
	const isRoot = process.getuid() === 0, dir = await scratch(t);
	const [Tokens, TurnSecret] = ['tokens', 'turn'].map(name => path.join(dir, name));
	const put = async (tokens, turn) => {
		for (const [file, text] of [[Tokens, tokens], [TurnSecret, turn]]) {
			await writeFile(file, text, { mode: 0o600 });
			if (isRoot)
				await chown(file, NOBODY, NOBODY);
		}
	};
	await chmod(dir, 0o755);
	await put(FIRST, 'north');
	const server = await serve(t, { binary, allow: [REFUSED],
		conf: { Tokens, TurnSecret, IceServers: ['turn:a.example'], ...isRoot && { User: 'nobody' } } });
	assert.deepEqual(await status(server, 'Seccomp', 'Uid'), ['2', String(isRoot ? NOBODY : process.getuid())]);
	/* The key that signed the credential, for a token of this secret. */
	const credentials = async secret => {
		const { status: code, body } = await ask(server, `/ice?token=${sign({}, secret)}`);
		if (code !== 200)
			return code;
		const [{ username, credential }] = JSON.parse(body).iceServers;
		return ['north', 'south'].find(key => createHmac('sha1', key).update(username).digest('base64') === credential);
	};
	assert.deepEqual([await credentials(FIRST), await credentials(SECOND)], ['north', 401]);
	await put(SECOND, 'south');
	const from = server.lines.all.length;
	server.signal('SIGHUP');
	for (const key of ['Tokens', 'TurnSecret'])
		await server.lines.match(new RegExp(` info - file of ${key} loaded$`), from);
	assert.deepEqual([await credentials(FIRST), await credentials(SECOND)], [401, 'south']);
});

const crowd = length => Array.from({ length }, (_, i) => `guard${i % 7}`).join(',');

test('a key that only a group of User may read is loaded again', async t => {
	if (process.getuid() !== 0 || !unshares())
		return t.skip('a mount namespace cannot be made');
	const dir = await scratch(t), tls = await pair('P-256');
	const [cert, key] = ['cert.pem', 'key.pem'].map(name => path.join(dir, name));
	await chmod(dir, 0o755);
	await copyFile(tls.cert, cert);
	await copyFile(tls.key, key);
	await chmod(cert, 0o644);
	await chmod(key, 0o640);
	await chown(key, 0, 54321);
	const server = await serveAmong(t, {
		passwd: `root:x:0:0::/:/bin/sh\n${'other:x:7:8:,,,:/:/bin/sh\n'.repeat(3000)}guard:x:12345:12346:::`,
		group: `root:x:0:\nguard:x:12346:\nfew:x:12347:guar,guard1,guards\nno:x:n:guard\n` +
			`many:x:4294967294:${crowd(30_000)},guard,${crowd(9)}\nlong:x:4294967295:guard\nkeys:x:54321:guard`,
	}, { tls: { cert, key, ca: tls.ca }, conf: { User: 'guard' } });
	assert.equal(await groupsOf(server), '12346 54321 4294967294');
	await reopened(server);
	await server.lines.match(/ info - certificate loaded/);
	await (await open(server)).none();
});

test('of more than 64 groups the first are taken', async t => {
	if (process.getuid() !== 0 || !unshares())
		return t.skip('a mount namespace cannot be made');
	const groups = Array.from({ length: 64 }, (_, i) => `g${i}:x:${1000 + i}:guard\n`);
	const among = (count, options) => serveAmong(t, {
		passwd: 'guard:x:12345:99:::\n', group: groups.slice(0, count).join(''),
	}, { conf: { User: 'guard' }, ...options });
	const first63 = Array.from({ length: 63 }, (_, i) => 1000 + i);
	assert.equal(await groupsOf(await among(63)), [99, ...first63].join(' '));
	const expect = [/ warn - groups ignored: User is in more than 64 groups of \/etc\/group$/];
	assert.equal(await groupsOf(await among(64, { expect })), [99, ...first63].join(' '));
});

const SYSLOGD = `socket(S, AF_UNIX, SOCK_DGRAM, 0); bind(S, sockaddr_un($ARGV[0])) or die;
	$| = 1; print "bound\\n"; print "$m\\n" while defined recv(S, $m, 2000, 0)`;

/* A receiver of datagrams at a path: its lines, and a promise of the first, `bound`. */
function syslogd(t, at) {
	const child = spawn('perl', ['-MSocket', '-e', SYSLOGD, at],
		{ stdio: ['ignore', 'pipe', 'inherit'] });
	const lines = new Lines(child.stdout), ended = once(child, 'close');
	t.after(() => {
		child.kill();
		return bounded(ended, 'the end of syslogd');
	});
	return { lines, ready: lines.match(/^bound$/) };
}

test('it logs to a syslogd that comes later', async t => {
	if (!unshares())
		return t.skip('a mount namespace cannot be made');
	const devices = 'mount -t tmpfs tmpfs /dev && mknod /dev/null c 1 3 && ' +
		'mknod /dev/urandom c 1 9 && exec "$0" "$@"';
	const server = await serve(t, {
		binary: await wrapped(await scratch(t), binary, `unshare --mount sh -c '${devices}'`),
		conf: { Log: 'syslog', LogLevel: 'debug' },
		expect: [/ warn - Log syslog \(\/dev\/log\) cannot be reached: No such file/],
		allow: [/^<\d+>videre/],
	});
	const at = `/proc/${server.pid}/root/dev/log`;
	const { lines, ready } = syslogd(t, at);
	await ready;
	/* The log tries once a second. */
	await until('syslogd receives a line', async () => {
		await server.counters();
		return lines.all.length;
	}, count => count > 1);
	await lines.match(/^<30>videre\[\d+\]: info - counters: /);
});

/* Services of the machine, and what reaches them. */
async function services(t) {
	const dir = await scratch(t);
	const reached = { tcp: 0, stream: 0, datagram: 0 };
	const listen = async (name, ...where) => {
		const listener = net.createServer(socket => {
			reached[name]++;
			socket.on('error', () => {}).destroy();
		});
		t.after(() => listener.close());
		await once(listener.listen(...where), 'listening');
		return listener.address();
	};
	const { port } = await listen('tcp', 0, '127.0.0.1');
	const stream = await listen('stream', path.join(dir, 'stream'));
	const datagram = path.join(dir, 'datagram');
	const { lines, ready } = syslogd(t, datagram);
	await ready;
	return {
		env: { FORBIDDEN_PORT: port, FORBIDDEN_STREAM: stream, FORBIDDEN_DATAGRAM: datagram },
		reached: () => ({ ...reached, datagram: lines.all.filter(line => line === 'x').length }),
	};
}

describe('system calls that a server does not need', () => {
	const tried = async (t, conf) => {
		const { env, reached } = await services(t);
		const server = await serve(t, { binary, conf, env: { LD_PRELOAD: library, ...env },
			allow: [/^forbidden: /] });
		server.signal('SIGUSR2');
		const [, list] = await server.lines.match(/^forbidden: (.*)$/);
		await (await open(server)).none();
		return {
			server, reached, calls: Object.fromEntries(list.split(' ').map(call => call.split('='))),
		};
	};
	const EPERM = '1';

	test('are refused', async t => {
		if (!dynamic)
			return t.skip('a static binary loads no library');
		const { server, calls, reached } = await tried(t);
		const { unix, getpid, ...others } = calls;
		assert.deepEqual([unix, getpid], ['0', '0']);
		const allowed = Object.entries(others).filter(([, error]) => error !== EPERM);
		assert.deepEqual(allowed, []);
		assert(Object.keys(others).length >= 27);
		assert.deepEqual(reached(), { tcp: 0, stream: 0, datagram: 0 });
		assert.deepEqual(await status(server, 'Seccomp', 'NoNewPrivs'), ['2', '1']);
	});

	test('are made with Sandbox false, and reach every service', async t => {
		if (!dynamic)
			return t.skip('a static binary loads no library');
		const { server, calls, reached } = await tried(t, { Sandbox: false });
		const { x32, ...others } = calls; /* many kernels have none */
		for (const [call, error] of Object.entries(others))
			assert.notEqual(error, EPERM, call);
		await until('every service is reached', reached,
			({ tcp, stream, datagram }) => tcp === 2 && stream === 1 && datagram === 1);
		assert.deepEqual(await status(server, 'Seccomp', 'NoNewPrivs'), ['0', '0']);
	});
});
