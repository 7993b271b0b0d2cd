/*
 * Each configuration key with a wrong value that loads: the operator finds the key's name in a line of the
 * log at level info, once its symptom has appeared, or in what `videre -n` prints.
 */
import assert from 'node:assert/strict';
import { chmod, chown, copyFile, readFile, readdir, readlink, rename, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe } from 'node:test';
import { dated, pair } from './certificate.mjs';
import { Raw, gather, handshake, open, packet, refused, request } from './client.mjs';
import { failures } from './hello.mjs';
import { caughtUp, fileHas, run, scratch, serve, test } from './server.mjs';
import { fresh, post } from './sockjs.mjs';
import { inClear } from './tls.mjs';

const root = process.getuid() === 0;
/* The leak checker cannot look into a process that has changed its user. */
const env = { ASAN_OPTIONS: 'detect_leaks=0' };

/* Runs videre until it exits, which is with status 1 unless there is -n.  Returns the lines on stderr. */
async function linesOf(t, conf, { shell }, ...args) {
	const cwd = await scratch(t);
	await chmod(cwd, 0o755);
	await writeFile(path.join(cwd, 'test.json'), JSON.stringify({ Host: '127.0.0.1', Port: 0, Log: '', ...conf }));
	const { code, stderr } = await run([...args, '-c', 'test.json'], { cwd, env, shell });
	assert.equal(code, args.includes('-n') ? 0 : 1, stderr);
	return stderr.split('\n');
}

/* The status of a request on a connection of its own. */
async function status(server, text) {
	const raw = await Raw.connect(server);
	raw.write(text);
	return raw.status();
}

/* A configuration with TLS, whose files may be changed. */
async function withTLS(t, changes = {}) {
	const tls = await pair('P-256');
	const dir = await scratch(t);
	await chmod(dir, 0o755);
	const [Cert, Key] = ['cert.pem', 'key.pem'].map(name => path.join(dir, name));
	await copyFile(tls.cert, Cert);
	await copyFile(tls.key, Key);
	await chmod(Key, 0o600);
	return { TLS: true, Cert, Key, ...changes };
}

/* The same with a certificate that expired some days ago. */
async function expired(t) {
	const { cert, key } = await dated(await scratch(t), -9);
	return { TLS: true, Cert: cert, Key: key };
}

/* A file with a secret that only its owner can read. */
async function secretFile(t) {
	const dir = await scratch(t), file = path.join(dir, 'secret');
	await chmod(dir, 0o755);
	await writeFile(file, 'x'.repeat(32), { mode: 0o600 });
	return file;
}

/* Two rows of a file with a secret. */
const secretRows = key => [{
	what: 'a file that every user can read',
	async conf(t) {
		const file = await secretFile(t);
		await chmod(file, 0o644);
		return { [key]: file };
	},
	starts: false,
	log: /^\S+: every user can read or write the secrets: chmod 640 \(\w+\)$/,
}, {
	what: 'a file that User cannot read when it is loaded again',
	conf: async t => ({ [key]: await secretFile(t), User: 'nobody' }),
	check: / warn - SIGHUP will not be able to read \S+ \(\w+\) as nobody: Permission denied;/,
	log: / warn - SIGHUP will not be able to read \S+ \(\w+\) as nobody: Permission denied;/,
	skip: !root && 'needs root',
}];

/* A log file of root, in a directory of root. */
async function logOf(t, mode) {
	const dir = await scratch(t), file = path.join(dir, 'the.log');
	await chmod(dir, 0o755);
	await writeFile(file, '');
	await chmod(file, mode);
	return file;
}

/* A log file that is a link to one of root. */
async function linkedLog(t) {
	const target = await logOf(t, 0o644), Log = `${target}.link`;
	await symlink(target, Log);
	return { Log };
}

/* What a client sends to a server whose certificate has an unknown authority. */
const [, , unknownAuthority] = failures.find(([name]) => name === 'unknown_ca');

/* A handshake for a server with another configuration. */
const misses = async (server, target, headers) => assert.notEqual(await status(server, handshake(target, headers)), 101);

/*
 * For each key its rows:
 *   what     what is wrong
 *   conf     the configuration, or a function that makes it
 *   act      causes the symptom in a running server, and asserts it
 *   log      the line in the log at level info
 *   check    the line of `videre -n`
 *   starts   false if the server does not start
 *   shell    a command that the process runs first
 *   allow    patterns of other lines of the log
 *   skip     why the row cannot be tried here
 */
const keys = {
	Port: [{
		what: 'a port that is in use',
		conf: async t => ({ Port: (await serve(t)).port }),
		starts: false,
		log: /^\S+ error - cannot listen on 127\.0\.0\.1:\d+ \(Host, Port\): Address already in use$/,
	}],
	TLS: [{
		what: 'false, and clients use https',
		conf: { TLS: false },
		act: async server => assert.equal(await status(server, '\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00'), 400),
		log: / info 127\.0\.0\.1:\d+ rejected: TLS on a plain HTTP port \(TLS\)$/,
	}, {
		what: 'true, and clients use http',
		conf: withTLS,
		act: async server => assert.equal(await status(inClear(server), request('/', { method: 'POST' })), 400),
		log: / info 127\.0\.0\.1:\d+ rejected: plain HTTP on a TLS port \(TLS\)$/,
	}],
	Cert: [{
		what: 'a certificate that clients do not trust',
		conf: withTLS,
		act: async server => (await Raw.connect(inClear(server))).write(unknownAuthority),
		log: / info 127\.0\.0\.1:\d+ TLS failed: unknown ca, sent by the client \(Cert\)$/,
	}, {
		what: 'a certificate that has expired',
		conf: expired,
		check: / warn - certificate expired \d+ days ago: \S+ \(Cert \S+\)$/,
		log: / warn - certificate expired \d+ days ago: \S+ \(Cert \S+\)$/,
	}],
	Key: [{
		what: 'a file that every user can read',
		async conf(t) {
			const conf = await withTLS(t);
			await chmod(conf.Key, 0o644);
			return conf;
		},
		check: / warn - private key readable by every user: chmod 640 \S+ \(Key\)$/,
		log: / warn - private key readable by every user: chmod 640 \S+ \(Key\)$/,
	}, {
		what: 'a file that User cannot read when the certificate is renewed',
		conf: t => withTLS(t, { User: 'nobody' }),
		check: / warn - SIGHUP will not be able to read \S+ \(Key\) as nobody: Permission denied;/,
		log: / warn - SIGHUP will not be able to read \S+ \(Key\) as nobody: Permission denied;/,
		skip: !root && 'needs root',
	}],
	Tokens: [...secretRows('Tokens'), {
		what: 'set, and clients send no token',
		conf: async t => ({ Tokens: await secretFile(t) }),
		async act(server) {
			const client = await open(server);
			client.join('ann', 'kitchen');
			await client.gets(refused('token needed', 'ann', 'kitchen'));
		},
		log: / warn 127\.0\.0\.1:\d+ refused: token needed \(Tokens\): room ~[0-9a-f]{8}$/,
	}],
	IceServers: [{
		what: 'a TURN server without credentials',
		conf: { IceServers: ['turn:a.example'] },
		starts: false,
		log: /^test\.json: a turn: or turns: URL of IceServers has no credentials: set TurnSecret/,
	}],
	TurnSecret: [...secretRows('TurnSecret'), {
		what: 'a secret without Tokens, so that every client gets credentials',
		conf: async t => ({ TurnSecret: await secretFile(t), IceServers: ['turn:a.example'] }),
		act: async server => assert.equal(await status(server, request('/ice')), 200),
		check: / info - every client that can reach \/ice gets TURN credentials \(TurnSecret\): Tokens is not set$/,
		log: / info - every client that can reach \/ice gets TURN credentials \(TurnSecret\): Tokens is not set$/,
	}],
	Host: [{
		what: 'an address of another machine',
		conf: { Host: '192.0.2.1' },
		check: / info - no interface has the address 192\.0\.2\.1 yet: .*\(Host\)$/,
		log: / info - no interface has the address 192\.0\.2\.1 yet: .*\(Host\)$/,
	}, {
		what: 'a link-local address without its interface',
		conf: { Host: 'fe80::1' },
		starts: false,
		check: / warn - cannot listen on \[fe80::1\]:\d+ \(Host, Port\): /,
		log: / error - cannot listen on \[fe80::1\]:\d+ \(Host, Port\): /,
	}],
	Prefix: [{
		what: 'not the path that SockJS clients use',
		conf: { Prefix: '/other' },
		act: async server => assert.equal(await status(server, request('/echo/info')), 404),
		log: / warn - refused: path .*\(Prefix, Page, SockJS\): .* with "\/echo\/info"$/,
	}, {
		what: 'not the path that WebSocket clients use',
		conf: { Prefix: '/other' },
		act: server => misses(server, '/echo/websocket'),
		log: / warn - refused: path .*\(Prefix, Page, SockJS\): .* with "\/echo\/websocket"$/,
	}, {
		what: 'the path of the page',
		conf: { Prefix: '' },
		check: / info - no page: the service is at \/ \(Prefix\).*\(Page\)$/,
		log: / info - no page: the service is at \/ \(Prefix\).*\(Page\)$/,
	}, ...['/ice', '/health', '/metrics', '/ca.crt', '/videre.js'].map(Prefix => ({
		what: `the path ${Prefix}, which the server answers itself`,
		conf: { Prefix },
		check: new RegExp(` info - no ${Prefix} of this server: the service is there \\(Prefix\\)$`),
		log: new RegExp(` info - no ${Prefix} of this server: the service is there \\(Prefix\\)$`),
	}))],
	Page: [{
		what: 'false, and browsers open it',
		conf: { Page: false },
		act: async server => assert.equal(await status(server, request('/')), 404),
		log: / warn - refused: path .*\(Prefix, Page, SockJS\): .* with "\/"$/,
	}],
	Log: [{
		what: 'a file that cannot be created',
		conf: { Log: '/dev/null/log' },
		check: / warn - Log \/dev\/null\/log cannot be opened: Not a directory$/,
		log: / warn - Log \/dev\/null\/log cannot be opened: Not a directory$/,
	}, {
		what: 'a file of another user',
		conf: async t => ({ Log: await logOf(t, 0o600), User: 'nobody' }),
		check: / warn - Log \S+ cannot be opened as nobody: Permission denied$/,
		log: / warn - Log \S+ cannot be opened: Permission denied$/,
		skip: !root && 'needs root',
	}, {
		what: 'a link, which root does not follow',
		conf: linkedLog,
		check: / warn - Log \S+ cannot be opened \(root follows no link\): Symbolic link loop$/,
		log: / warn - Log \S+ cannot be opened \(root follows no link\): Symbolic link loop$/,
		skip: !root && 'needs root',
	}, {
		what: 'a link to a missing file, which root does not follow',
		async conf(t) {
			const { Log } = await linkedLog(t);
			await rm(await readlink(Log));
			return { Log, User: 'root' };
		},
		check: / warn - Log \S+ cannot be opened \(root follows no link\) as root: Symbolic link loop$/,
		log: / warn - Log \S+ cannot be opened \(root follows no link\): Symbolic link loop$/,
		skip: !root && 'needs root',
	}],
	LogLevel: [{
		what: 'error, which hides the lines at level info',
		conf: { LogLevel: 'error' },
		check: / info - the log will not have what .* at level info \(LogLevel\)$/,
	}, {
		what: 'debug, and clients cause more lines than the rate limit allows',
		conf: { LogLevel: 'debug', Log: '-' },
		allow: [/ debug /],
		async act(server) {
			const raw = await Raw.connect(server);
			for (let i = 0; i < 1500; i++)
				raw.write(request(`/${i}`));
			for (let i = 0; i < 1500; i++)
				await raw.response();
		},
		log: / \d+ lines discarded: 127\.0\.0\.1 exceeds \d+ bytes\/s \(LogLevel "trace" has no limit\)$/,
	}],
	LogSize: [{
		what: 'a limit for a file that another program rotates',
		conf: async t => ({ Log: await logOf(t, 0o644), LogLevel: 'info' }),
		async act(server, conf) {
			await rename(conf.Log, `${conf.Log}.old`);
			server.signal('SIGHUP');
		},
		log: / warn - Log \S+ is rotated by another program: LogSize applies at 8 times its value$/,
	}, {
		what: 'a limit for a file in a directory that User cannot write',
		conf: async t => ({ Log: await logOf(t, 0o666), User: 'nobody', LogSize: 1000, LogLevel: 'info' }),
		async act(server, conf) {
			await server.counters();
			await fileHas(conf.Log, / counters: /);
			await server.counters();
		},
		check: / warn - Log \S+ cannot be moved aside \(LogSize\), so it will be emptied as nobody: Permission denied$/,
		log: / warn - Log \S+ cannot be moved aside.*: Permission denied$/,
		skip: !root && 'needs root',
	}],
	User: [{
		what: 'set, and the server is not started as root',
		conf: { User: 'root' },
		shell: root ? 'exec setpriv --reuid=nobody --clear-groups "$0" "$@"' : ':',
		starts: false,
		check: / warn - cannot change to the configured User: only root can$/,
		log: / error - cannot change to the configured User: Operation not permitted$/,
	}],
	Sandbox: [{
		what: 'true, and the kernel or the build has no sandbox',
		conf: { Sandbox: true },
		log: / info - no sandbox: .*\(Sandbox\)$/,
	}],
	Origins: [{
		what: 'a list without the origin of the clients\' page',
		conf: { Origins: ['https://example.org'] },
		act: server => misses(server, '/echo/websocket', { Origin: 'https://www.example.org' }),
		log: / warn - refused: Origin .*\(Origins\): .* with "https:\/\/www\.example\.org"$/,
	}],
	SockJS: [{
		what: 'an empty value, and clients need the iframe page',
		conf: { SockJS: '' },
		act: async server => assert.equal(await status(server, request('/echo/iframe-1.6.1.html')), 404),
		log: / warn - refused: path .*\(Prefix, Page, SockJS\): .* with "\/echo\/iframe-1\.6\.1\.html"$/,
	}, {
		what: 'a script that browsers block',
		conf: t => withTLS(t, { SockJS: 'http://example.org/sockjs.js' }),
		check: / info - browsers block a script of http: .*\(SockJS\)$/,
		log: / info - browsers block a script of http: .*\(SockJS\)$/,
	}],
	MaxConnections: [{
		what: 'less than the number of clients',
		conf: { MaxConnections: 1 },
		async act(server) {
			await open(server);
			assert.equal(await (await Raw.connect(server)).status(), 503);
		},
		log: / warn - refused: too many connections .*\(MaxConnections\): /,
	}, {
		what: 'more than the number of file descriptors',
		conf: { MaxConnections: 1000 },
		shell: `ulimit -n 100${root ? '; exec setpriv --bounding-set=-sys_resource "$0" "$@"' : ''}`,
		check: / warn - too few file descriptors for MaxConnections: 1016 needed, ulimit -Hn allows 100$/,
		log: / warn - too few file descriptors for MaxConnections: 1016 needed, ulimit -Hn allows 100$/,
	}],
	MaxPerAddress: [{
		what: 'less than the number of clients behind one address',
		conf: { MaxPerAddress: 1, TrustedProxies: ['127.0.0.1'] },
		async act(server) {
			const headers = { 'X-Forwarded-For': '203.0.113.1' };
			assert.equal(await status(server, handshake('/echo/websocket', headers)), 101);
			await misses(server, '/echo/websocket', headers);
		},
		log: / warn - refused: too many connections .*\(MaxPerAddress\): .* 203\.0\.113\.1:\d+$/,
	}],
	/* One that is not on this machine: "a full share names TrustedProxies", elsewhere.mjs. */
	TrustedProxies: [{
		what: 'a list without the proxy',
		conf: { TrustedProxies: ['192.0.2.1'] },
		act: async server => assert.equal(await status(server,
			handshake('/echo/websocket', { 'X-Forwarded-For': '203.0.113.1' })), 101),
		log: / info 127\.0\.0\.1:\d+ X-Forwarded-For ignored: .*\(TrustedProxies\)$/,
	}],
	Monitor: [{
		what: 'a list without the monitor',
		conf: { Monitor: ['192.0.2.1'] },
		act: async server => assert.equal(await status(server, request('/health')), 404),
		log: / warn - refused: \/health or \/metrics .*\(Monitor\): /,
	}],
	MaxPeers: [{
		what: 'less than the number of peers in a room',
		conf: { MaxPeers: 1 },
		async act(server) {
			await gather(server, 'r', 'a');
			const late = await open(server);
			late.join('b', 'r');
			await late.gets(refused('room is full', 'b', 'r'));
		},
		log: / warn - refused: room is full \(MaxPeers\): /,
	}],
	MaxPacket: [{
		what: 'smaller than the packets of WebSocket clients',
		conf: { MaxPacket: 1024 },
		async act(server) {
			const client = await open(server);
			client.send(packet('broadcast', 'a', 'r', 'x'.repeat(2000)));
			assert.equal((await client.closed()).code, 1009);
		},
		log: / warn - refused: message that is too big \(MaxPacket\): /,
	}, {
		what: 'smaller than the packets of clients over HTTP',
		conf: { MaxPacket: 1024 },
		async act(server) {
			const raw = await Raw.connect(server), session = fresh();
			assert.equal((await post(raw, `/echo${session}/xhr`)).status, 200);
			const body = JSON.stringify([packet('broadcast', 'a', 'r', 'x'.repeat(2000))]);
			assert.equal((await post(raw, `/echo${session}/xhr_send`, body)).status, 413);
		},
		log: / warn - refused: message that is too big \(MaxPacket\): /,
	}],
	Heartbeat: [{
		what: 'shorter than the time in which clients answer',
		conf: { Heartbeat: 1 },
		async act(server) {
			const raw = await Raw.websocket(server);
			await raw.drained();
		},
		log: / info 127\.0\.0\.1:\d+ closed: no answer to heartbeats \(Heartbeat\)$/,
	}, {
		what: 'longer than the idle timeout of proxies',
		conf: { Heartbeat: 300 },
		check: / info - proxies and NAT often drop .*\(Heartbeat\)$/,
		log: / info - proxies and NAT often drop .*\(Heartbeat\)$/,
	}],
	HandshakeTimeout: [{
		what: 'shorter than the time in which a client sends its request',
		conf: { HandshakeTimeout: 3 },
		async act(server) {
			const raw = await Raw.connect(server);
			raw.write('GET / HTTP/1.1\r\n');
			assert.equal(await raw.status(), 408);
		},
		log: / info 127\.0\.0\.1:\d+ closed: incomplete request \(HandshakeTimeout or Heartbeat\)$/,
	}, {
		what: 'shorter than the TLS handshake of a client',
		conf: t => withTLS(t, { HandshakeTimeout: 1 }),
		async act(server) {
			const raw = await Raw.connect(inClear(server));
			raw.write('\x16\x03\x01');
			await raw.drained();
		},
		log: / info 127\.0\.0\.1:\d+ closed: incomplete request \(HandshakeTimeout or Heartbeat\)$/,
	}],
};

const members = Object.keys(JSON.parse(await readFile(new URL('../conf.json', import.meta.url), 'utf8')));

test('each key of conf.json has a row', () => assert.deepEqual(Object.keys(keys), members));

/* The line that matches must name the key. */
const found = (lines, pattern, key) => assert(lines.some(line => pattern.test(line) && line.includes(key)),
	`no line with ${key} like ${pattern} in:\n${lines.join('\n')}`);

for (const [key, rows] of Object.entries(keys))
	describe(key, () => {
		for (const { what, conf: wanted, act, log, check, starts = true, shell, allow = [], skip } of rows)
			test(what, async t => {
				if (skip)
					return t.skip(skip);
				const conf = typeof wanted === 'function' ? await wanted(t) : wanted;
				if (check !== undefined)
					found(await linesOf(t, conf, { shell }, '-n'), check, key);
				if (log === undefined)
					return;
				if (!starts)
					return found(await linesOf(t, conf, { shell }), log, key);
				const server = await serve(t, { conf: { LogLevel: 'info', ...conf }, env, shell, allow: [log, ...allow] });
				await act?.(server, conf);
				await server.lines.match(log);
				found(server.lines.all, log, key);
			});
	});

test('-n does not report a Log that is a link if User is not root', async t => {
	if (!root)
		return t.skip('needs root');
	const { Log } = await linkedLog(t);
	await chown(await readlink(Log), 65534, 65534);
	assert.deepEqual(await linesOf(t, { Log, User: 'nobody', LogLevel: 'info', LogSize: 0 }, {}, '-n'), ['']);
});

test('-n next to a server with the same configuration reports nothing, and does not disturb it', async t => {
	const dir = await scratch(t);
	const conf = { Log: path.join(dir, 'new', 'the.log'), LogLevel: 'info' };
	assert.deepEqual(await linesOf(t, conf, {}, '-n'), ['']);
	assert.deepEqual(await readdir(dir), []);
	const server = await serve(t, { conf });
	const client = await open(server);
	const before = await caughtUp(server, conf.Log);
	assert.deepEqual(await linesOf(t, { ...conf, Port: server.port }, {}, '-n'), ['']);
	assert.equal(await readFile(conf.Log, 'utf8'), before);
	assert.equal(await status(server, request('/health')), 200);
	await client.none();
});
