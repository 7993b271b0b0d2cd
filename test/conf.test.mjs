/* Options, the configuration and its errors, and User. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { chmod, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe } from 'node:test';
import { Raw, handshake, open } from './client.mjs';
import { LISTENING, freePort, run, scratch, serve, start, test } from './server.mjs';

describe('options', () => {
	test('-h lists all options', async () => {
		const { code, stdout, stderr } = await run(['-h']);
		assert.equal(code, 0);
		assert.equal(stderr, '');
		for (const option of ['-c FILE', '-n', '-p PORT', '-V', '-h'])
			assert(stdout.includes(option), option);
	});

	test('-V prints the version', async () => {
		const { code, stdout } = await run(['-V']);
		assert.equal(code, 0);
		assert.match(stdout, /^videre \d+\.\d+\.\d+\S*$/);
	});

	test('--help and --version are -h and -V', async () => {
		for (const [long, short] of [['--help', '-h'], ['--version', '-V']])
			assert.deepEqual(await run([long]), await run([short]));
	});

	test('what is none of them is answered with the usage', async () => {
		for (const args of [['-x'], ['--helps'], ['--'], ['--port'], ['-nx'], ['file'], ['-'], ['-c'], ['-p'],
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
		assert.equal(good.stdout, 'the configuration is valid: good');
		const { stdout } = await run(['-n'], { cwd });
		assert.equal(stdout, 'the configuration is valid: no conf.json in this directory: using the defaults');
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
	test('the log names the configuration at the start', async t => {
		const server = await serve(t);
		await server.lines.match(/ info - videre \S+ starts: configuration test\.json$/);
	});

	test('without a file the defaults apply, and a log line says so', async t => {
		const server = await serve(t, { conf: null, args: ['-p', '0'] });
		await server.lines.match(/ info - videre \S+ starts: no conf\.json in this directory: using the defaults$/);
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
	/* Runs -n on this text. */
	async function check(t, text) {
		const cwd = await scratch(t);
		await writeFile(path.join(cwd, 'test.json'), text);
		return run(['-n', '-c', 'test.json'], { cwd });
	}

	async function accepted(t, text) {
		const { code, stderr } = await check(t, text);
		assert.equal(code, 0, `${text}: ${stderr}`);
		/* -n may warn of a valid value, in lines of the log. */
		assert.match(stderr, /^(\S+Z (info|warn) - .*(\n|$))*$/);
	}

	/* The error is one line: FILE:LINE: and all of these words. */
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

	for (const key of ['Cert', 'Key', 'Tokens', 'Host', 'Prefix', 'Log', 'User'])
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

	test('Origins are what browsers send, or can be made it', async t => {
		for (const origin of ['null', 'https://x.example', 'HTTPS://X.Example:443', 'http://[::1]:8080',
			'https://*.x.example', 'capacitor://localhost'])
			await accepted(t, member('Origins', `["${origin}"]`));
		for (const [origin, word] of [
			['https://x.example/', '"https://x.example/" has a path, write "https://x.example"'],
			['x.example', '"x.example" has no scheme, write "https://x.example"'],
			['*', '"*" is not an origin, write [] to allow all'],
			['', '"" is empty'],
			['https://é', 'is not ASCII'],
			['https://a,https://b', 'invalid host'],
		])
			await rejected(t, member('Origins', `["null", "${origin}"]`), 3, 'Origins must be', word);
	});

	test('TrustedProxies is a list of addresses and networks', async t => {
		await accepted(t, member('TrustedProxies', '[]'));
		await accepted(t, member('TrustedProxies', '["127.0.0.1","10.0.0.0/8","fd00::/8"]'));
		await wrongType(t, 'TrustedProxies', ['"127.0.0.1"', '["localhost"]', '["10.0.0.0/33"]', '[1]',
			JSON.stringify(Array(17).fill('::1'))], 'at most 16 addresses or networks');
	});

	test('an unknown key is an error; keys are case-sensitive', async t => {
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
	};
	for (const [name, [text, line]] of Object.entries(faults))
		test(`with ${name} is refused in line ${line}`, t => rejected(t, text, line));

	test('with too many bytes is refused, in no line', async t => {
		const { code, stderr } = await check(t, `{${' '.repeat(20_000)}}`);
		assert.deepEqual({ code, stderr }, { code: 1, stderr: 'test.json: longer than 16384 bytes' });
	});

	test('is told of with the value that is wrong', async t => {
		await rejected(t, member('Port', '"abc"'), 3, 'Port must be a whole number from 0 to 65535, not "abc"');
		await rejected(t, member('Port', `"${'x'.repeat(50)}"`), 3, `, not "${'x'.repeat(40)}..."`);
		await rejected(t, member('Monitor', '["::1", "a\\u001b"]'), 3, ', not "a\\x5cu001b"');
		await rejected(t, member('Monitor', '["::1", "localhost"]'), 3, ', not "localhost"');
	});

	test('may have commas at its ends', t =>
		accepted(t, '{\n"Origins": ["https://x.example",],\n"Port": 1,\n}\n'));

	test('may be empty', t => accepted(t, '{}'));

	test('may begin with a byte order mark, and with one only', async t => {
		await accepted(t, '\ufeff{"Port": 1}');
		await rejected(t, '\ufeff{\n"Prot": 1}', 2, 'Prot');
		await rejected(t, '\ufeff\ufeff{}', 1);
		await rejected(t, ' \ufeff{}', 1);
		await rejected(t, '\ufeff', 1, 'ends too early');
	});

	test('that cannot be read is refused', async t => {
		const cwd = await scratch(t);
		await mkdir(path.join(cwd, 'directory'));
		for (const file of ['missing', 'directory', 'missing/file']) {
			const { code, stderr } = await run(['-c', file], { cwd });
			assert.equal(code, 1);
			assert.match(stderr, new RegExp(`^${file}: \\S`));
		}
	});

	for (const prefix of ['', '/a/b', '/~x'])
		test(`the Prefix "${prefix}" is served`, async t => {
			const server = await serve(t, { conf: { Prefix: prefix } });
			await (await open(server)).none();
			const raw = await Raw.connect(server);
			raw.write(handshake('/echo/websocket'));
			assert.equal(await raw.status(), 400);
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

	test('the worst case of memory is logged at the start, and follows from the configuration', async t => {
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

	test('is the user that the server runs as', async t => {
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

	test('owns the log and may open it again', async t => {
		if (!root)
			return t.skip('needs root');
		const dir = await scratch(t);
		await chmod(dir, 0o755);
		const log = path.join(dir, 'log', 'debug.log');
		const server = await serve(t, { conf: { User: 'nobody', Log: log, LogSize: 0 }, env });
		await (await open(server)).none();
		await rename(log, `${log}.old`);
		server.signal('SIGHUP');
		await server.lines.match(/ info - log reopened/);
		await server.stop();
		assert.match(await readFile(log, 'utf8'), /stopped/);
	});

	test('that is unknown is an error before anything is opened', async t => {
		const cwd = await scratch(t);
		await writeFile(path.join(cwd, 'conf.json'),
			'{"Host":"127.0.0.1","Port":0,"Log":"log/debug.log","User":"nobody knows me"}');
		const { code, stderr } = await run([], { cwd });
		assert.equal(code, 1);
		assert.match(stderr, /^conf\.json:1: User [^\n]*$/);
		assert(!existsSync(path.join(cwd, 'log')));
	});
});
