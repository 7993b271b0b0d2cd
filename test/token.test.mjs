/* Tokens of other programs, tokens for other programs, and the files of secrets. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { chmod, readFile, stat, symlink, unlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { SignJWT, UnsecuredJWT, jwtVerify } from 'jose';
import { built, run, scratch, serve, test } from './server.mjs';

const execute = promisify(execFile);
const tool = built('TOKEN_TOOL', 'build/san/token_tool');
const SECRET = 'the-first-secret-has-some-39-characters';
const SECOND = 'x'.repeat(100);
const bytes = text => new TextEncoder().encode(text);
const seconds = () => Math.floor(Date.now() / 1000);

/* A file of secrets. */
async function secretsFile(t, text = `${SECRET}\n${SECOND}\n`, mode = 0o600) {
	const file = path.join(await scratch(t), 'secrets');
	await writeFile(file, text, { mode });
	return file;
}

/* Checks tokens as [room, user, token], "-" for any, and returns a line for each. */
async function check(t, file, cases, env = {}) {
	const child = execute(tool, [file], { env: { ...process.env, ...env } });
	child.child.stdin.end(cases.map(words => `${words.join(' ')}\n`).join(''));
	const { stdout, stderr } = await child;
	assert.equal(stderr, '');
	return stdout.trimEnd().split('\n');
}

/* A token of jose. */
const signed = (claims, { secret = SECRET, header = { alg: 'HS256' } } = {}) =>
	new SignJWT(claims).setProtectedHeader(header).sign(typeof secret === 'string' ? bytes(secret) : secret);

const encode = value => Buffer.from(value).toString('base64url');

describe('tokens of jose', () => {
	test('are valid with every secret of the file', async t => {
		const exp = seconds() + 60;
		const tokens = await Promise.all([SECRET, SECOND].map(secret => signed(
			{ exp, nbf: seconds(), room: 'kitchen', sub: 'Änn"', iat: seconds(), extra: [{}] },
			{ secret, header: { alg: 'HS256', typ: 'JWT', kid: '1' } })));
		const file = await secretsFile(t);
		for (const line of await check(t, file, tokens.map(token => ['kitchen', '-', token])))
			assert.equal(line, `valid ${exp} kitchen Änn"`);
		assert.deepEqual(await check(t, file, [['-', '-', await signed({ exp })]]), [`valid ${exp} - -`]);
	});

	test('are rejected, each with its reason', async t => {
		const now = seconds(), exp = now + 60;
		const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
		const good = await signed({ exp });
		const [header, claims, signature] = good.split('.');
		const cases = [
			['token needed', ''],
			['token is not valid', await signed({ exp }, { secret: 'another-secret-of-more-than-32-bytes' })],
			['token is not valid', new UnsecuredJWT({ exp }).encode()],
			['token is not valid', await signed({ exp }, { secret: SECRET, header: { alg: 'HS512' } })],
			['token is not valid', await signed({ exp }, { secret: privateKey, header: { alg: 'RS256' } })],
			['token is not valid', [encode('{"alg":"none"}'), claims, signature].join('.')],
			['token is not valid', `${header}.${encode(`{"exp":${exp + 1}}`)}.${signature}`],
			['token is not valid', `${good}=`],
			['token is not valid', `${header}.${claims}=.${signature}`],
			['token is not valid', await signed({})],
			['token is not valid', await signed({ exp: exp + 0.5 })],
			['token is not valid', await signed({ exp, pad: 'x'.repeat(2048) })],
			['token has expired', await signed({ exp: now - 1 })],
			['token is not valid yet', await signed({ exp: now + 7200, nbf: now + 3600 })],
			['token is for another room', await signed({ exp, room: 'garden' })],
			['token is for another user', await signed({ exp, sub: 'bob' })],
		];
		const file = await secretsFile(t);
		const lines = await check(t, file, cases.map(([, token]) => ['kitchen', 'ann', token]));
		assert.deepEqual(lines, cases.map(([expected]) => expected));
		assert.deepEqual(await check(t, file, [['kitchen', 'ann', good]], { NOW: '0' }),
			['the server\'s clock is not set']);
		assert.deepEqual(await check(t, file, [['kitchen', 'ann', good]]), [`valid ${exp} - -`]);
	});
});

describe('option -t', () => {
	async function made(t, file, ...args) {
		const { code, stdout, stderr } = await run(['-t', file, ...args]);
		assert.equal(stderr, '');
		assert.equal(code, 0);
		assert.match(stdout, /^[\w-]+\.[\w-]+\.[\w-]{43}$/);
		return stdout;
	}

	test('prints a token that jose verifies and that lasts a day or SECONDS', async t => {
		const file = await secretsFile(t);
		const cases = [
			[[], {}, 86400],
			[['kitchen'], { room: 'kitchen' }, 86400],
			[['', 'ann'], { sub: 'ann' }, 86400],
			[['"\\\n ', 'Ä😀', '1'], { room: '"\\\n ', sub: 'Ä😀' }, 1],
			[['', '', '315360000'], {}, 315360000],
			[['x'.repeat(128), 'ä'.repeat(64), '60'], { room: 'x'.repeat(128), sub: 'ä'.repeat(64) }, 60],
		];
		for (const [args, expected, lifetime] of cases) {
			const before = seconds(), token = await made(t, file, ...args), after = seconds();
			const { payload, protectedHeader } = await jwtVerify(token, bytes(SECRET), {
				algorithms: ['HS256'], typ: 'JWT', currentDate: new Date(before * 1000) });
			const { exp, ...others } = payload;
			assert.deepEqual(others, expected);
			assert(before + lifetime <= exp && exp <= after + lifetime, `${before} ${exp} ${after}`);
			assert.deepEqual(protectedHeader, { alg: 'HS256', typ: 'JWT' });
			await assert.rejects(jwtVerify(token, bytes(SECOND)), { code: 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED' });
		}
	});

	test('prints the same signature as openssl', async t => {
		const token = await made(t, await secretsFile(t), 'kitchen', 'ann');
		const input = path.join(await scratch(t), 'input');
		await writeFile(input, token.slice(0, token.lastIndexOf('.')));
		const { stdout } = await execute('openssl', ['dgst', '-sha256', '-binary', '-mac', 'HMAC',
			'-macopt', `hexkey:${Buffer.from(SECRET).toString('hex')}`, input], { encoding: 'buffer' });
		assert.equal(stdout.toString('base64url'), token.slice(token.lastIndexOf('.') + 1));
	});

	test('reports invalid arguments and a missing file', async t => {
		const file = await secretsFile(t);
		for (const [args, error] of [
			[[], 'wrong number of arguments: -t'],
			[[file, 'r', 'u', '60', 'x'], 'wrong number of arguments: -t'],
			[[file, 'r', 'u', '0'], 'SECONDS must be a whole number from 1 to 315360000'],
			[[file, 'r', 'u', '1h'], 'SECONDS must be a whole number from 1 to 315360000'],
			[[file, 'r', 'x'.repeat(129)], 'ROOM and USER must be UTF-8 of at most 128 bytes'],
			[['/nonexistent'], '/nonexistent: No such file or directory'],
		]) {
			const { code, stdout, stderr } = await run(['-t', ...args]);
			assert.equal(code, 1);
			assert.equal(stdout, '');
			assert(stderr.includes(error), stderr);
		}
	});
});

describe('option -s', () => {
	test('makes a file with a random secret, and never overwrites a file', async t => {
		const dir = await scratch(t), secrets = new Set();
		for (const name of ['a', 'b']) {
			const file = path.join(dir, name);
			assert.deepEqual(await run(['-s', file], { shell: 'umask 0' }), { code: 0, stdout: '', stderr: '' });
			const text = await readFile(file, 'utf8');
			assert.match(text, /^[\w-]{43}\n$/);
			assert.equal(Buffer.from(text, 'base64url').length, 32);
			assert.equal((await stat(file)).mode & 0o7777, 0o600);
			secrets.add(text);
			const again = await run(['-s', file]);
			assert.deepEqual(again, { code: 1, stdout: '', stderr: `${file}: File exists` });
			assert.equal(await readFile(file, 'utf8'), text);
			const token = await run(['-t', file]);
			await jwtVerify(token.stdout, bytes(text.trim()));
		}
		assert.equal(secrets.size, 2);
	});

	test('leaves no file when the disk is full', async t => {
		const file = path.join(await scratch(t), 'secrets');
		const { code, stderr } = await run(['-s', file], { shell: 'trap "" XFSZ; ulimit -f 0' });
		assert.equal(code, 1);
		assert.equal(stderr, `${file}: File too large`);
		await assert.rejects(stat(file), { code: 'ENOENT' });
	});

	test('needs one file name', async t => {
		for (const args of [['-s'], ['-s', 'a', 'b']]) {
			const { code, stderr } = await run(args, { cwd: await scratch(t) });
			assert.equal(code, 1);
			assert.match(stderr, /^videre: wrong number of arguments: -s\nusage: /);
		}
	});
});

describe('doc/clients.md', () => {
	const programs = {
		'In Node': ['node', 'sign.mjs'],
		'In Python': ['/usr/bin/python3', 'sign.py'] /* Debian's, with its packages */,
		'In a shell': ['sh', 'sign.sh'],
	};
	for (const [start, [program, name]] of Object.entries(programs))
		test(`signs a token: ${start}`, async t => {
			const clients = await readFile(new URL('../doc/clients.md', import.meta.url), 'utf8');
			const [, lines] = new RegExp(`^${start}, with [^]*?:\\n\\n((?:    .*\\n)+)`, 'm').exec(clients);
			const file = await secretsFile(t, `${SECRET}\n${SECOND}\n`), dir = path.dirname(file);
			assert.equal(path.basename(file), 'secrets');
			await writeFile(path.join(dir, name), lines.replace(/^    /gm, ''));
			await symlink(fileURLToPath(new URL('node_modules', import.meta.url)), path.join(dir, 'node_modules'));
			const before = seconds();
			const { stdout } = await execute(program, [name], { cwd: dir });
			const token = stdout.trim(), [, exp] = /^valid (\d+) /.exec((await check(t, file, [['kitchen', 'ann', token]]))[0]);
			assert(before + 3600 <= exp && exp <= seconds() + 3600, exp);
			assert.deepEqual(await check(t, file, [['garden', 'ann', token], ['kitchen', 'bob', token]]),
				['token is for another room', 'token is for another user']);
		});
});

/* Invalid files of secrets: the text, the error, and the mode if it is not 600. */
const faults = {
	'an empty file': ['', ': no secret: videre -s makes a file with one'],
	'a short secret': [`${SECRET}\n\nshort\n`, ':3: a secret must have at least 32 bytes'],
	'a secret with a space': [`${SECRET} \n`, ':1: a secret must be printable ASCII without spaces'],
	'five secrets': [`${SECRET}\n`.repeat(5), ':5: too many secrets, at most 4'],
	'a file that everyone can read': [`${SECRET}\n`, ': every user can read or write the secrets: chmod 640', 0o644],
};

describe('Tokens', () => {
	async function start(t, file, args = []) {
		const cwd = await scratch(t);
		await writeFile(path.join(cwd, 'conf.json'), JSON.stringify({ Host: '127.0.0.1', Port: 0, Log: '', Tokens: file }));
		return run(args, { cwd });
	}

	test('is checked by -n', async t => {
		assert.deepEqual(await start(t, await secretsFile(t), ['-n']),
			{ code: 0, stdout: 'the configuration is valid: conf.json', stderr: '' });
		assert.equal((await start(t, '', ['-n'])).code, 0);
	});

	test('with a missing file is an error at start', async t => {
		for (const args of [['-n'], []])
			assert.deepEqual(await start(t, '/nonexistent', args),
				{ code: 1, stdout: '', stderr: '/nonexistent: No such file or directory (Tokens)' });
	});

	for (const [what, [text, error, mode]] of Object.entries(faults))
		test(`with ${what} is an error at start`, async t => {
			const file = await secretsFile(t, text);
			await chmod(file, mode ?? 0o600);
			for (const args of [['-n'], []])
				assert.deepEqual(await start(t, file, args), { code: 1, stdout: '', stderr: `${file}${error} (Tokens)` });
		});

	test('is loaded again after SIGHUP, or the log reports the reason', async t => {
		const file = await secretsFile(t);
		const REFUSED = / warn - file of Tokens not loaded, the previous one stays in use: (.*)$/;
		const server = await serve(t, { conf: { Tokens: file }, expect: [REFUSED] });
		const hup = async pattern => {
			const from = server.lines.all.length;
			server.signal('SIGHUP');
			return server.lines.match(pattern, from);
		};
		await hup(/ info - file of Tokens loaded$/);
		for (const [text, error, mode] of Object.values(faults)) {
			await writeFile(file, text);
			await chmod(file, mode ?? 0o600);
			const [, why] = await hup(REFUSED);
			assert.equal(why, `${file}${error}`);
		}
		await unlink(file);
		assert.equal((await hup(REFUSED))[1], `${file}: No such file or directory`);
		await writeFile(file, `${SECOND}\n`, { mode: 0o640 });
		await hup(/ info - file of Tokens loaded$/);
		assert(!server.stderr.includes(SECRET) && !server.stderr.includes(SECOND), server.stderr);
	});

	test('with an empty value loads nothing', async t => {
		const server = await serve(t, { conf: { Tokens: '' } });
		server.signal('SIGHUP');
		await server.lines.match(/ info - log reopened$/);
		await server.counters();
		assert.doesNotMatch(server.stderr, /Tokens/);
	});

	test('works in a build without TLS', async t => {
		const binary = built('VIDERE_NOTLS', 'build/notls/videre');
		const file = path.join(await scratch(t), 'secrets');
		assert.equal((await run(['-s', file], { binary })).code, 0);
		const { stdout } = await run(['-t', file, 'kitchen', 'ann'], { binary });
		const { payload } = await jwtVerify(stdout, bytes((await readFile(file, 'utf8')).trim()));
		assert.equal(payload.room, 'kitchen');
	});
});
