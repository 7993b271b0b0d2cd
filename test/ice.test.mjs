/* GET /ice: its answer, tokens, origins, and credentials that coturn accepts. */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe } from 'node:test';
import { SignJWT } from 'jose';
import { pair } from './certificate.mjs';
import { faults, serveFaulty } from './faults.mjs';
import { built, fileHas, run, scratch, serve, test } from './server.mjs';
import { ask } from './sockjs.mjs';
import { REFUSED } from './tokens.mjs';
import { allocate, serveTurn } from './turn.mjs';

const DAY = 86400; /* seconds */
const TOKENS = 't'.repeat(32), TURN = 'north';
const seconds = () => Math.floor(Date.now() / 1000);

async function secretFile(t, text, mode = 0o600) {
	const file = path.join(await scratch(t), 'secret');
	await writeFile(file, `${text}\n`, { mode });
	return file;
}

const signed = (claims = {}, secret = TOKENS) => new SignJWT({ exp: seconds() + 60, ...claims })
	.setProtectedHeader({ alg: 'HS256' }).sign(Buffer.from(secret));

const hmac = (username, secret = TURN) => createHmac('sha1', secret).update(username).digest('base64');

/* The servers of an answer with 200. */
async function servers(server, target = '/ice', options) {
	const { status, headers, body } = await ask(server, target, options);
	assert.equal(status, 200, body);
	assert.equal(headers['content-type'], 'application/json');
	assert.equal(headers['cache-control'], 'no-store');
	const { iceServers, ttl, ...rest } = JSON.parse(body);
	assert.deepEqual({ ttl, rest }, { ttl: DAY, rest: {} });
	return iceServers;
}

/* Checks the credentials of an entry, computed between now and `before`. */
function assertCredentials({ username, credential }, { name = 'videre', secret = TURN, before }) {
	const [expiry, ...names] = username.split(':');
	assert.match(expiry, /^\d+$/);
	assert(before + DAY <= Number(expiry) && Number(expiry) <= seconds() + DAY, `${before} ${expiry}`);
	assert.deepEqual(names, [name]);
	assert.equal(credential, hmac(username, secret));
}

describe('/ice', () => {
	test('answers with an empty list without IceServers', async t => {
		for (const conf of [{}, { Prefix: '' }, { Page: false }, { Monitor: [] }])
			assert.deepEqual(await servers(await serve(t, { conf })), []);
	});

	test('answers with the servers of IceServers, and credentials computed from TurnSecret', async t => {
		const fixed = { urls: 'turn:c.example?transport=tcp', username: 'ü"', credential: '\\\u007f' };
		const server = await serve(t, { conf: {
			IceServers: ['turns:a.example:443', fixed, 'stun:a.example', 'turn:[::1]'],
			TurnSecret: await secretFile(t, TURN),
		} });
		const before = seconds();
		const [stun, turn, ...rest] = await servers(server, '/ice?x');
		assert.deepEqual(stun, { urls: ['stun:a.example'] });
		assert.deepEqual(turn.urls, ['turns:a.example:443', 'turn:[::1]']);
		assertCredentials(turn, { before });
		assert.deepEqual(rest, [{ ...fixed, urls: [fixed.urls] }]);
	});

	test('allows GET, HEAD and OPTIONS only', async t => {
		const server = await serve(t);
		const { headers, body } = await ask(server, '/ice', { method: 'HEAD' });
		assert.deepEqual([headers['content-length'], body], ['29', '']);
		for (const method of ['POST', 'PUT', 'DELETE', 'PATCH']) {
			const { status, headers: { allow } } = await ask(server, '/ice', { method });
			assert.deepEqual([status, allow], [405, 'GET, HEAD, OPTIONS'], method);
		}
		for (const target of ['/ice/', '/ICE', '/ice/x', '/echo/ice'])
			assert.equal((await ask(server, target)).status, 404, target);
	});

	test('answers with the largest list even if blocks have their minimum size', async t => {
		const entry = { urls: 'turn:a', username: '"'.repeat(100), credential: '\\'.repeat(149) };
		const server = await serve(t, {
			conf: { MaxPacket: 1024, MaxPeers: 1, IceServers: Array(16).fill(entry) },
		});
		const origin = `http://${'x'.repeat(4000)}`;
		assert.equal((await servers(server, '/ice', { Origin: origin,
			'Access-Control-Request-Headers': 'x'.repeat(4000) })).length, 16);
	});

	test('works in a build without TLS, and over TLS', async t => {
		const conf = { IceServers: ['turn:a'], TurnSecret: await secretFile(t, TURN) };
		for (const options of [{ binary: built('VIDERE_NOTLS', 'build/notls/videre'), conf: { ...conf, TLS: false } },
			{ tls: await pair('P-256'), conf }]) {
			const server = await serve(t, options), before = seconds();
			if (options.tls === undefined)
				server.tls = undefined;
			const [turn] = await servers(server);
			assertCredentials(turn, { before });
		}
	});
});

describe('/ice: Origins', () => {
	const origin = 'https://a.example';

	test('by default pages of all origins can read the answer', async t => {
		const server = await serve(t, { conf: { Tokens: await secretFile(t, TOKENS) }, expect: [REFUSED] });
		for (const target of ['/ice', `/ice?token=${await signed()}`]) {
			const { headers } = await ask(server, target, { Origin: origin });
			assert.equal(headers['access-control-allow-origin'], origin);
			assert.equal(headers['access-control-allow-credentials'], 'true');
			assert.equal(headers.vary, 'Origin');
			const { headers: others } = await ask(server, target);
			assert.equal(others['access-control-allow-origin'], '*');
			assert.equal(others['access-control-allow-credentials'], undefined);
		}
	});

	test('a page can send Authorization after a preflight request, which needs no token', async t => {
		const server = await serve(t, { conf: { Tokens: await secretFile(t, TOKENS) } });
		const { status, headers, body } = await ask(server, '/ice', { method: 'OPTIONS', Origin: origin,
			'Access-Control-Request-Method': 'GET', 'Access-Control-Request-Headers': 'authorization' });
		assert.deepEqual([status, body], [204, '']);
		assert.equal(headers['access-control-allow-origin'], origin);
		assert.equal(headers['access-control-allow-headers'], 'authorization');
		assert.equal(headers['access-control-allow-methods'], 'GET, HEAD, OPTIONS');
		assert.equal(headers['cache-control'], 'no-store');
	});

	test('an origin that is not in the list gets 403', async t => {
		const server = await serve(t, { conf: { Origins: [origin], IceServers: ['stun:a'] } });
		for (const method of ['GET', 'OPTIONS']) {
			const { status, headers, body } = await ask(server, '/ice', { method, Origin: 'https://b.example' });
			assert.equal(status, 403);
			assert.equal(headers['access-control-allow-origin'], undefined);
			assert(!body.includes('stun'), body);
		}
		assert.deepEqual(await servers(server, '/ice', { Origin: origin }), [{ urls: ['stun:a'] }]);
	});
});

describe('/ice: Tokens', () => {
	test('a valid token for any room is needed, in the query or as Bearer', async t => {
		const server = await serve(t, { conf: { Tokens: await secretFile(t, TOKENS), IceServers: ['stun:a'] } });
		const list = [{ urls: ['stun:a'] }];
		for (const claims of [{}, { room: 'kitchen' }, { room: 'kitchen', sub: 'ann' }]) {
			const token = await signed(claims);
			for (const Authorization of [`Bearer ${token}`, `bearer   ${token}`])
				assert.deepEqual(await servers(server, '/ice', { Authorization }), list);
			for (const query of [`token=${token}`, `a=b&token=x&token=${token}`, `token=${token.replaceAll('.', '%2E')}`])
				assert.deepEqual(await servers(server, `/ice?${query}`, { Authorization: 'Basic x' }), list);
			assert.deepEqual(await servers(server, '/ice?token=', { Authorization: `Bearer ${token}` }), list);
		}
	});

	test('without a valid token the answer is 401 with the reason; at most one refusal a second is logged', async t => {
		const server = await serve(t, { conf: { Tokens: await secretFile(t, TOKENS), IceServers: ['stun:a'] }, expect: [REFUSED] });
		const token = await signed();
		for (const [reason, target, Authorization] of [
			['token needed', '/ice'],
			['token needed', '/ice?token='],
			['token needed', `/ice?tokens=${token}`],
			['token needed', '/ice', 'Basic dTpw'],
			['token needed', '/ice', `Bearer${token}`],
			['token needed', '/ice', 'Bearer'],
			['token needed', '/ice', ''],
			['token is not valid', '/ice', `Bearer ${token}x`],
			['token is not valid', '/ice', `Bearer ${await signed({}, 'x'.repeat(32))}`],
			['token is not valid', `/ice?token=${token}%`, `Bearer ${token}`],
			['token is not valid', `/ice?token=${'x'.repeat(2048)}`],
			['token is not valid', `/ice?token=${'x'.repeat(2049)}`],
			['token is not valid', `/ice?token=${'%2E'.repeat(4000)}`],
			['token has expired', `/ice?token=${await signed({ exp: seconds() - 1 })}`],
			['token is not valid yet', '/ice', `Bearer ${await signed({ exp: 4e9, nbf: 3e9 })}`],
		]) {
			const { status, headers, body } = await ask(server, target, { Authorization });
			assert.deepEqual([status, body], [401, reason], `${target} ${Authorization}`);
			assert.equal(headers['www-authenticate'], 'Bearer');
			assert.equal(headers['cache-control'], 'no-store');
		}
		assert.match(server.lines.all.find(line => REFUSED.test(line)), / warn 127\.0\.0\.1:\d+ refused: token needed \(Tokens\): \/ice$/);
		assert(server.lines.all.filter(line => REFUSED.test(line)).length < 10);
	});

	test('no log line contains a query or a token', async t => {
		const conf = { Log: 'log', LogLevel: 'trace', TurnSecret: await secretFile(t, TURN),
			Tokens: await secretFile(t, TOKENS), IceServers: ['turn:a'] };
		const server = await serve(t, { conf, expect: [REFUSED] }), file = path.join(server.dir, 'log');
		const token = await signed({ sub: 'ann' }), part = token.slice(token.lastIndexOf('.') + 1);
		const [{ username, credential }] = await servers(server, `/ice?token=${token}`);
		await servers(server, '/ice', { Authorization: `Bearer ${token}` });
		for (const target of [`/ice?token=${token}x`, `/nowhere?token=${token}`, `/ice/?token=${token}`])
			await ask(server, target);
		await ask(server, `/ice?token=${token}`, { method: 'POST' });
		await server.counters();
		await fileHas(file, / info - counters: /);
		const log = await readFile(file, 'utf8') + server.stderr;
		assert.equal(log.match(/ requests \/ice$/gm).length, 4);
		for (const secret of [part, 'token=', '?', username, credential])
			assert(!log.includes(secret), log);
	});

	test('no log line contains parameters in a path', async t => {
		const server = await serve(t, { conf: { Log: '-', LogLevel: 'debug' }, allow: [/ debug /] });
		const token = await signed({ sub: 'ann' }), session = '/echo/000/s';
		for (const [before, shown] of Object.entries({ '/ice%3ftoken=': '/ice...', '/ice%3Ftoken%3d': '/ice...', '/ice&token=': '/ice...',
			'/ice;token=': '/ice...', '/token=': '/token...', [`${session}/xhr%3ftoken=`]: null, [`${session};token=`]: null })) {
			const from = server.lines.all.length;
			assert.equal((await ask(server, before + token)).status, 404);
			const [, path] = await server.lines.match(/ requests (.*)$/, from);
			assert.equal(path, shown ?? path);
			assert.match(path, /\.\.\.$/);
		}
		await ask(server, `/ice=${token}/info`);
		await server.lines.match(/ warn - refused: path .* with "\/ice"\.\.\.$/);
		assert.doesNotMatch(server.stderr, /eyJ|token=/);
	});
});

describe('/ice: while the clock is not set', () => {
	const NO_CLOCK = / warn - no ICE servers: the clock is not set \(TurnSecret, Tokens\)$/;
	const unset = { realtime: 1000 - seconds() };
	const warnings = server => server.lines.all.filter(line => NO_CLOCK.test(line)).length;

	test('with TurnSecret the answer is 503, and the log warns once', async t => {
		const { server, set } = await serveFaulty(t, { at: unset, expect: [NO_CLOCK],
			conf: { IceServers: ['turn:a'], TurnSecret: await secretFile(t, TURN) } });
		for (let i = 0; i < 3; i++) {
			const { status, headers, body } = await ask(server, '/ice');
			assert.deepEqual([status, body], [503, 'the server\'s clock is not set']);
			assert.equal(headers['www-authenticate'], undefined);
		}
		await server.counters();
		assert.equal(warnings(server), 1);
		await set({});
		const before = seconds();
		assertCredentials((await servers(server))[0], { before });
		await set(unset);
		assert.equal((await ask(server, '/ice')).status, 503);
		await server.counters();
		assert.equal(warnings(server), 2);
	});

	test('with a valid token the answer is 503, without a token 401', async t => {
		const { server } = await serveFaulty(t, { at: unset, expect: [NO_CLOCK, REFUSED],
			conf: { Tokens: await secretFile(t, TOKENS) } });
		assert.equal((await ask(server, `/ice?token=${await signed()}`)).status, 503);
		assert.equal((await ask(server, '/ice')).status, 401);
	});

	test('without TurnSecret and Tokens the answer is 200', async t => {
		const { server } = await serveFaulty(t, { at: unset, conf: { IceServers: ['stun:a'] } });
		assert.deepEqual(await servers(server), [{ urls: ['stun:a'] }]);
	});
});

describe('coturn', () => {
	/* Names that coturn itself would not accept in a username. */
	const names = { ann: 'ann', 'Ann "Ä" O\'Neil\\': 'Ann%20%22%c3%84%22%20O%27Neil%5c', ['😀'.repeat(32)]: '%f0%9f%98%80'.repeat(32),
		'a:b\t\n': 'a%3ab%09%0a', '': 'videre' };

	test('accepts the credentials, and rejects altered ones', async t => {
		const port = await serveTurn(t, TURN);
		const server = await serve(t, { conf: {
			Tokens: await secretFile(t, TOKENS), TurnSecret: await secretFile(t, TURN), IceServers: ['turn:127.0.0.1'],
		} });
		for (const [sub, name] of [[undefined, 'videre'], ...Object.entries(names)]) {
			const before = seconds();
			const [turn] = await servers(server, `/ice?token=${await signed({ sub })}`);
			assertCredentials(turn, { name, before });
			assert.equal(await allocate(port, turn), 'allocated', name);
		}
		const [{ username, credential }] = await servers(server, `/ice?token=${await signed()}`);
		for (const altered of [{ username: `${username}x`, credential }, { username: `1${username}`, credential },
			{ username, credential: `${credential}x` }, { username, credential: hmac(username, 'south') }])
			assert.equal(await allocate(port, altered), 401, JSON.stringify(altered));
	});

	test('rejects credentials that have expired', async t => {
		const { env, set } = await faults(t), port = await serveTurn(t, TURN, env);
		const server = await serve(t, { conf: { TurnSecret: await secretFile(t, TURN), IceServers: ['turn:127.0.0.1'] } });
		const [turn] = await servers(server);
		assert.equal(await allocate(port, turn), 'allocated');
		/* coturn's clock alone is moved: an hour before the end, and after it. */
		await set({ realtime: DAY - 3600 });
		assert.equal(await allocate(port, turn), 'allocated');
		await set({ realtime: DAY + 60 });
		assert.equal(await allocate(port, turn), 401);
		await set({});
		assert.equal(await allocate(port, turn), 'allocated');
	});

	test('accepts credentials of a new secret after SIGHUP; an invalid file changes nothing', async t => {
		const SOUTH = 'south-secret', port = await serveTurn(t, SOUTH);
		const file = await secretFile(t, TURN);
		const NOT_LOADED = / warn - file of TurnSecret not loaded, the previous one stays in use: (.*)$/;
		const server = await serve(t, { conf: { TurnSecret: file, IceServers: ['turn:127.0.0.1'] }, expect: [NOT_LOADED] });
		const hup = async pattern => {
			const from = server.lines.all.length;
			server.signal('SIGHUP');
			return server.lines.match(pattern, from);
		};
		const allocated = async () => allocate(port, (await servers(server))[0]);
		assert.equal(await allocated(), 401);
		await writeFile(file, `${SOUTH}\n`);
		await hup(/ info - file of TurnSecret loaded$/);
		assert.equal(await allocated(), 'allocated');
		for (const [text, mode, why] of invalidFiles) {
			await writeFile(file, text);
			await chmod(file, mode);
			assert.equal((await hup(NOT_LOADED))[1], `${file}${why}`);
		}
		assert.equal(await allocated(), 'allocated');
		assert(!server.stderr.includes(SOUTH), server.stderr);
	});
});

/* What is wrong with a file, its mode, and how that is reported. */
const invalidFiles = [
	['', 0o600, ': no secret: videre -s makes a file with one'],
	['north\nsouth\n', 0o600, ':2: too many secrets, at most 1'],
	['north south\n', 0o600, ':1: a secret must be printable ASCII without spaces'],
	['north\n', 0o644, ': every user can read or write the secrets: chmod 640'],
];

describe('TurnSecret and IceServers', () => {
	async function check(t, conf, args = ['-n']) {
		const cwd = await scratch(t);
		await writeFile(path.join(cwd, 'conf.json'), JSON.stringify({ Host: '127.0.0.1', Port: 0, Log: '', ...conf }));
		return run(args, { cwd });
	}

	test('an invalid file is an error at start', async t => {
		for (const [text, mode, why] of invalidFiles) {
			const file = await secretFile(t, '');
			await writeFile(file, text);
			await chmod(file, mode);
			for (const args of [['-n'], []])
				assert.deepEqual(await check(t, { TurnSecret: file }, args), { code: 1, stdout: '', stderr: `${file}${why} (TurnSecret)` });
		}
		assert.equal((await check(t, { TurnSecret: '/nonexistent' })).stderr, '/nonexistent: No such file or directory (TurnSecret)');
	});

	test('a file made by videre -s is valid', async t => {
		const file = path.join(await scratch(t), 'turn');
		assert.equal((await run(['-s', file])).code, 0);
		const server = await serve(t, { conf: { TurnSecret: file, IceServers: ['turn:a'] } });
		const before = seconds(), [turn] = await servers(server);
		assertCredentials(turn, { secret: (await readFile(file, 'utf8')).trim(), before });
	});

	test('an invalid URL is an error that shows the corrected URL', async t => {
		const { code, stderr } = await check(t, { IceServers: ['turn://host:3478'] });
		assert.equal(code, 1);
		assert.match(stderr, /^conf\.json:1: IceServers must be .*: entry 1: "turn:\/\/host:3478" has slashes, write "turn:host:3478"$/);
	});

	test('a TURN URL without credentials is an error', async t => {
		const { code, stderr } = await check(t, { IceServers: ['turn:host'] });
		assert.equal(code, 1);
		assert.match(stderr, /^conf\.json: a turn: or turns: URL of IceServers has no credentials: set TurnSecret, /);
	});
});
