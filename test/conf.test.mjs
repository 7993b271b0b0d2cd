/* Options, configuration, log, signals: what its operator sees. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { chmod, mkdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe } from 'node:test';
import { Raw, gather, handshake, open, packet, request } from './client.mjs';
import { LISTENING, bounded, freePort, run, scratch, serve, start, test, until } from './server.mjs';

describe('options', () => {
	test('-h tells them all', async () => {
		const { code, stdout, stderr } = await run(['-h']);
		assert.equal(code, 0);
		assert.equal(stderr, '');
		for (const option of ['-c FILE', '-n', '-p PORT', '-V', '-h'])
			assert(stdout.includes(option), option);
	});

	test('-V tells the version', async () => {
		const { code, stdout } = await run(['-V']);
		assert.equal(code, 0);
		assert.match(stdout, /^videre \d+\.\d+\.\d+\S*$/);
	});

	test('what is none of them is answered with the usage', async () => {
		for (const args of [['-x'], ['--help'], ['-nx'], ['file'], ['-'], ['-c'], ['-p'],
			['-n', '-p'], ['-p', ''], ['-p', 'x'], ['-p', '-1'], ['-p', '65536'], ['-p', '80x'], ['-p', ' 80']]) {
			const { code, stdout, stderr } = await run(args);
			assert.equal(code, 1, args.join(' '));
			assert.equal(stdout, '');
			assert.match(stderr, /usage: videre/, args.join(' '));
		}
	});

	test('-p goes before the configured port', async t => {
		const port = await freePort();
		const server = await serve(t, { args: ['-p', String(port)] });
		assert.equal(server.port, port);
		await (await open(server)).none();
	});

	test('-n checks the configuration and opens nothing', async t => {
		const cwd = await scratch(t);
		await writeFile(path.join(cwd, 'good'), '{"Log":"log/debug.log"}');
		await writeFile(path.join(cwd, 'bad'), '{"Port":"x"}');
		const good = await run(['-n', '-c', 'good'], { cwd });
		assert.equal(good.code, 0, good.stderr);
		assert(!existsSync(path.join(cwd, 'log')));
		assert.equal((await run(['-n', '-c', 'bad'], { cwd })).code, 1);
	});

	test('without -c conf.json of the working directory is read', async t => {
		const cwd = await scratch(t);
		await writeFile(path.join(cwd, 'conf.json'), '\n{"Prot":1}');
		const { code, stderr } = await run([], { cwd });
		assert.equal(code, 1);
		assert.match(stderr, /^conf\.json:2: .*Prot/);
	});

	/* The only server of all tests that listens beyond loopback, because that is a default. */
	test('without any file the defaults hold, and it says so', async t => {
		const server = await serve(t, { conf: null, args: ['-p', '0'] });
		await server.lines.match(/ info - .*defaults/);
		const sockets = server.lines.all.map(line => LISTENING.exec(line)).filter(Boolean);
		assert.equal(sockets[0][1], '0.0.0.0');
		for (const host of sockets.map(([, address]) => address === '[::]' ? '::1' : '127.0.0.1')) {
			const raw = await Raw.connect({ ...server, host });
			raw.write(handshake());
			assert.equal(await raw.status(), 101);
		}
		assert(existsSync(path.join(server.dir, 'log', 'debug.log')));
	});
});

describe('the configuration', () => {
	/* What -n says of it. */
	async function check(t, text) {
		const cwd = await scratch(t);
		await writeFile(path.join(cwd, 'test.json'), text);
		return run(['-n', '-c', 'test.json'], { cwd });
	}

	async function accepted(t, text) {
		const { code, stderr } = await check(t, text);
		assert.equal(code, 0, `${text}: ${stderr}`);
		assert.equal(stderr, '');
	}

	/* Says FILE:LINE: and all of these words, in one line. */
	async function rejected(t, text, line, ...words) {
		const { code, stderr } = await check(t, text);
		assert.equal(code, 1, text);
		assert(stderr.startsWith(`test.json:${line}: `), `${text}: ${stderr}`);
		assert.equal(stderr.split('\n').length, 1);
		for (const word of words)
			assert(stderr.includes(word), `${text}: ${stderr} has ${word}`);
	}

	const member = (key, value) => `{\n\n\t"${key}": ${value}\n}\n`;
	const wrongType = (t, key, values, ...words) => Promise.all(values.map(value =>
		rejected(t, member(key, value), 3, key, ...words)));

	const ranges = {
		Port: [0, 65535],
		LogSize: [0, 2147483647],
		MaxConnections: [1, 100000],
		MaxPerAddress: [1, 100000],
		MaxPeers: [1, 256],
		MaxPacket: [1024, 1048576],
		Heartbeat: [1, 3600],
		HandshakeTimeout: [1, 3600],
	};
	for (const [key, [low, high]] of Object.entries(ranges)) {
		test(`${key} is from ${low} to ${high}`, async t => {
			await accepted(t, member(key, low));
			await accepted(t, member(key, high));
			for (const value of [low - 1, high + 1, 4294967296 + low, `1${'0'.repeat(30)}`])
				await rejected(t, member(key, value), 3, key, `${low}`, `${high}`);
		});

		test(`${key} is a whole number`, t => wrongType(t, key,
			['"5"', 'true', 'null', '[5]', '{}', '5000.5', '-5', '5e3', '""'], 'number'));
	}

	test('LogLevel is one of five', async t => {
		for (const level of ['error', 'warn', 'info', 'debug', 'trace'])
			await accepted(t, member('LogLevel', `"${level}"`));
		await wrongType(t, 'LogLevel', ['"loud"', '"Info"', '""', '3', 'null', '["info"]'],
			'error', 'warn', 'info', 'debug', 'trace');
	});

	for (const key of ['Cert', 'Key', 'Host', 'Prefix', 'Log', 'User'])
		test(`${key} is a string`, t => wrongType(t, key,
			['5', 'true', 'null', '["x"]', '{}', '"a\\u0000b"', '"a\\nb"', '"\\ud800"']));

	test('TLS is no number and no string', t =>
		wrongType(t, 'TLS', ['1', '"true"', 'null', '[]'], 'true or false'));

	test('TLS without a certificate is an error, never plain text', async t => {
		for (const args of [['-n'], []]) {
			const cwd = await scratch(t);
			await writeFile(path.join(cwd, 'test.json'), member('TLS', 'true'));
			const { code, stderr } = await run([...args, '-c', 'test.json'], { cwd });
			assert.equal(code, 1);
			assert.match(stderr, /TLS needs Cert and Key/);
			assert.doesNotMatch(stderr, /listening/);
		}
	});

	test('Host is an address', async t => {
		for (const host of ['', '0.0.0.0', '127.0.0.1', '::', '::1', 'fe80::1'])
			await accepted(t, member('Host', `"${host}"`));
		await wrongType(t, 'Host', ['"localhost"', '"127.0.0.256"', '"127.0.0.1 "', '"[::1]"', '"1"'],
			'address');
	});

	test('Prefix begins with a slash and does not end with one', async t => {
		for (const prefix of ['', '/echo', '/a/b', '/~x-y_z.1', '/é'])
			await accepted(t, member('Prefix', `"${prefix}"`));
		await wrongType(t, 'Prefix', ['"echo"', '"/"', '"/echo/"', '"/a b"', '"/a?b"', '"/a#b"',
			'"/\\u007f"']);
	});

	test('Origins is a list of strings', async t => {
		const list = count => JSON.stringify(Array(count).fill('https://x.example'));
		await accepted(t, member('Origins', '[]'));
		await accepted(t, member('Origins', list(64)));
		await wrongType(t, 'Origins', ['"https://x.example"', '[5]', '[null]', '["x",["y"]]', '{}',
			'null', list(65)], 'list');
	});

	test('TrustedProxies is a list of addresses and networks', async t => {
		await accepted(t, member('TrustedProxies', '[]'));
		await accepted(t, member('TrustedProxies', '["127.0.0.1","10.0.0.0/8","fd00::/8"]'));
		await wrongType(t, 'TrustedProxies', ['"127.0.0.1"', '["localhost"]', '["10.0.0.0/33"]', '[1]',
			JSON.stringify(Array(17).fill('::1'))], 'at most 16 addresses or networks');
	});

	test('a key that nobody knows is an error, in any case of letters', async t => {
		for (const key of ['Prot', 'port', 'PORT', '', 'Port ', 'Loglevel', '__proto__', '\\u0000',
			'x'.repeat(1000)])
			await rejected(t, member(key, '1'), 3, 'unknown key', 'MaxConnections');
	});

	test('a key given twice is an error', async t => {
		await rejected(t, '{"Port":1,\n"TLS":false,\n"Port":1}', 3, 'Port', 'twice');
		await rejected(t, '{"Port":1,\n"P\\u006frt":2}', 2, 'Port', 'twice');
	});

	const faults = {
		'a missing comma': ['{\n"Port": 1\n"TLS": false\n}', 3],
		'a missing value': ['{\n"Port":\n}', 3],
		'a missing colon': ['{\n"Port" 1\n}', 2],
		'a missing end': ['{\n"Port": 1\n', 3],
		'a comment': ['{\n// the port\n"Port": 1\n}', 2],
		'a single quote': ['{\n\n\n\'Port\': 1}', 4],
		'a string that does not end': ['{\n"Log": "x\n}', 2],
		'something behind the end': ['{}\n\n{}', 3],
		'no bytes': ['', 1],
		'another value': ['\n[]', 2],
		'what is not UTF-8': [Buffer.from('{"Log":"\xff"}', 'latin1'), 1],
		'too many levels': [`{\n"Origins":${'['.repeat(100)}`, 2],
		'too many bytes': [`{${' '.repeat(20_000)}}`, 1],
	};
	for (const [name, [text, line]] of Object.entries(faults))
		test(`with ${name} is refused in line ${line}`, t => rejected(t, text, line));

	test('may have commas at its ends', t =>
		accepted(t, '{\n"Origins": ["https://x.example",],\n"Port": 1,\n}\n'));

	test('may be empty', t => accepted(t, '{}'));

	test('that cannot be read is refused', async t => {
		const cwd = await scratch(t);
		await mkdir(path.join(cwd, 'directory'));
		for (const file of ['missing', 'directory', 'missing/file']) {
			const { code, stderr } = await run(['-c', file], { cwd });
			assert.equal(code, 1);
			assert.match(stderr, new RegExp(`^${file}:\\d+: \\S`));
		}
	});

	for (const prefix of ['', '/a/b', '/~x'])
		test(`the Prefix "${prefix}" is served`, async t => {
			const server = await serve(t, { conf: { Prefix: prefix } });
			await (await open(server)).none();
			const raw = await Raw.connect(server);
			raw.write(handshake('/echo/websocket'));
			assert.equal(await raw.status(), 404);
		});

	test('a port that is taken is an error', async t => {
		const { port } = await serve(t);
		const cwd = await scratch(t);
		await writeFile(path.join(cwd, 'conf.json'), '{"Host":"127.0.0.1","Log":""}');
		const { code, stderr } = await run(['-p', String(port)], { cwd });
		assert.equal(code, 1);
		assert.match(stderr, new RegExp(` error - .*127\\.0\\.0\\.1:${port}`));
	});

	test('IPv6 is served', async t => {
		const server = await serve(t, { conf: { Host: '::1' } });
		assert.equal(server.host, '[::1]');
		await (await open(server)).none();
	});

	test('the most memory that it can take is told at the start, and follows from it', async t => {
		const told = async conf => {
			const server = await serve(t, { conf });
			const [, amount] = await server.lines.match(/ info - memory: at most (\d+) KiB/);
			return Number(amount);
		};
		const usual = await told({});
		assert(usual > 256 * 64, `${usual} KiB`);
		assert(await told({ MaxConnections: 512 }) > usual);
		assert(await told({ MaxPacket: 131072 }) > usual);
	});
});

describe('User', () => {
	const root = process.getuid() === 0;
	/* The leak checker cannot look into a process that has changed its user. */
	const env = { ASAN_OPTIONS: 'detect_leaks=0' };

	test('is who it runs as', async t => {
		if (!root)
			return t.skip('needs root');
		const server = await serve(t, { conf: { User: 'nobody' }, env });
		await (await open(server)).none();
		const status = await readFile(`/proc/${server.pid}/status`, 'utf8');
		const passwd = await readFile('/etc/passwd', 'utf8');
		const [, uid, gid] = /^nobody:[^:]*:(\d+):(\d+):/m.exec(passwd);
		assert.match(status, new RegExp(`^Uid:(\\t${uid}){4}$`, 'm'));
		assert.match(status, new RegExp(`^Gid:(\\t${gid}){4}$`, 'm'));
		assert.match(status, new RegExp(`^Groups:\\t${gid}\\s*$`, 'm'));
	});

	test('owns the log and may open it anew', async t => {
		if (!root)
			return t.skip('needs root');
		const dir = await scratch(t);
		await chmod(dir, 0o755);
		const log = path.join(dir, 'log', 'debug.log');
		const server = await serve(t, { conf: { User: 'nobody', Log: log }, env });
		await (await open(server)).none();
		await rename(log, `${log}.old`);
		server.signal('SIGHUP');
		await server.lines.match(/ info - log reopened/);
		await server.stop();
		assert.match(await readFile(log, 'utf8'), /stopped/);
	});

	test('that is nobody known is an error before anything is opened', async t => {
		const cwd = await scratch(t);
		await writeFile(path.join(cwd, 'conf.json'),
			'{"Host":"127.0.0.1","Port":0,"Log":"log/debug.log","User":"nobody knows me"}');
		const { code, stderr } = await run([], { cwd });
		assert.equal(code, 1);
		assert.match(stderr, /^conf\.json:1: User [^\n]*$/);
		assert(!existsSync(path.join(cwd, 'log')));
	});
});

describe('the log', () => {
	const LINE = new RegExp('^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z ' +
		'(error|warn|info|debug|trace) (-|\\S+:\\d+) [ -~]+$');
	const lines = async file => (await readFile(file, 'utf8')).trimEnd().split('\n');

	/* A server with its log in a file, which is whole when the server has stopped. */
	async function logged(t, conf = {}) {
		const log = path.join(await scratch(t), 'log', 'debug.log');
		return { server: await serve(t, { conf: { Log: log, ...conf } }), log };
	}

	/* Some life. */
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

	test('is opened anew on SIGHUP', async t => {
		const { server, log } = await logged(t);
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
		test(`that cannot be written, ${file}, is said once and stops nothing`, async t => {
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

describe('signals', { concurrency: true }, () => {
	/* A server with clients that never answer anything. */
	async function stubborn(t) {
		const server = await serve(t);
		const sockets = [await Raw.websocket(server), await Raw.websocket(server)];
		await Raw.connect(server);
		const half = await Raw.connect(server);
		half.write('GET / HT');
		return { server, sockets };
	}

	for (const signal of ['SIGTERM', 'SIGINT']) {
		test(`${signal} closes every session with 1001 and says nothing else`, async t => {
			const server = await serve(t);
			const clients = await gather(server, 'r', 'a', 'b', 'c');
			server.signal(signal);
			for (const client of clients) {
				assert.equal((await client.closed()).code, 1001);
				await assert.rejects(client.next(), /closed/);
			}
			const [code] = await bounded(server.exited, 'the exit');
			assert.equal(code, 0);
		});
	}

	test('SIGTERM ends it within a second whatever clients do, a second one at once', async t => {
		const lasts = async server => {
			const begin = performance.now();
			server.signal('SIGTERM');
			await bounded(server.exited, 'the exit');
			return performance.now() - begin;
		};
		const patient = await stubborn(t);
		const end = lasts(patient.server);
		for (const raw of patient.sockets)
			assert.equal((await raw.close()).code, 1001);
		await assert.rejects(Raw.connect(patient.server), 'nobody is let in any more');
		const grace = await end;
		assert(grace < 1000, `${grace} ms`);

		const hasty = await stubborn(t);
		hasty.server.signal('SIGTERM');
		await hasty.sockets[0].close();
		const second = await lasts(hasty.server);
		assert(second < grace / 2, `${second} ms instead of ${grace} ms`);
	});

	test('SIGTERM sends what is unsent', async t => {
		const server = await serve(t);
		const [a, b] = await gather(server, 'r', 'a', 'b');
		b.socket.pause();
		const texts = Array.from({ length: 20 }, (_, i) =>
			packet('broadcast', 'a', 'r', 'x'.repeat(1000 + i)));
		texts.forEach(text => a.send(text));
		await a.none();
		server.signal('SIGTERM');
		b.socket.resume();
		await b.gets(...texts);
		assert.equal((await b.closed()).code, 1001);
	});

	test('SIGUSR1 tells what there is', async t => {
		const server = await serve(t);
		const nothing = await server.counters();
		for (const name of ['connections', 'sessions', 'rooms', 'peers', 'blocks'])
			assert.equal(nothing[name], 0, name);
		await gather(server, 'r', 'a', 'b');
		await gather(server, 's', 'a');
		await open(server);
		await Raw.connect(server);
		const { connections, sessions, rooms, peers } = await until('all are counted',
			() => server.counters(), counters => counters.connections === 5);
		assert.deepEqual({ connections, sessions, rooms, peers },
			{ connections: 5, sessions: 4, rooms: 2, peers: 3 });
	});

	test('SIGHUP without a log file and SIGPIPE do nothing', async t => {
		const server = await serve(t);
		const client = await open(server);
		server.signal('SIGPIPE');
		server.signal('SIGHUP');
		await server.counters();
		await client.none();
	});
});
