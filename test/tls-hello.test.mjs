/*
 * ClientHellos of every kind, for full handshakes and for resumptions: the server answers each
 * or closes its connection, and continues.
 */
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { bystanders } from './bystanders.mjs';
import { inDirectory, pair } from './certificate.mjs';
import { request } from './client.mjs';
import { EXTENSION, Random, answer, contents, mutated, records, sessionOf, valid } from './hello.mjs';
import { built, emptied, scratch, serve, test, wrapped } from './server.mjs';
import { GREETING, RECORD, flushed, over, sClient, shake, split, wired } from './tls.mjs';

const SEED = Number(process.env.HELLO_SEED ?? 1);
const COUNT = Number(process.env.HELLO_COUNT ?? 4000);
const AT_ONCE = 12; /* connections */
const ROUND = 400; /* ClientHellos with the same session */
const REFUSED = 120; /* no_application_protocol (RFC 7301 section 3.2) */

const served = async (t, kind = 'P-256', options) => serve(t, { tls: await pair(kind), ...options });
const asked = request('/echo', { Connection: 'close' });

/* Returns a session that is in the server's cache. */
async function sessionAt(server) {
	const socket = await shake(server, { maxVersion: 'TLSv1.2', ALPNProtocols: ['http/1.1'] });
	const session = sessionOf(socket.getSession());
	socket.destroy();
	return session;
}

/* Checks an answer. */
function judge(found, bytes, session) {
	if (found.kind === 'alert')
		assert.equal(found.level, 2, 'a fatal alert');
	if (found.kind === 'resumed')
		assert.deepEqual(found.id, session?.id, 'the session that was asked for');
	const protocol = found.extensions?.get(EXTENSION.alpn);
	if (protocol !== undefined) {
		assert.deepEqual(protocol, contents.alpn('http/1.1'));
		const message = Buffer.concat(split(bytes).records.map(record => record.subarray(5)));
		assert(message.includes('http/1.1'), 'what the client offered');
	}
}

describe('TLS: a ClientHello', () => {
	test(`mutated ${COUNT} times, half of them with a session to resume`, async t => {
		const server = await served(t);
		const { talk, leave } = await bystanders(server);
		const kinds = {};
		let session, next = 0;
		t.diagnostic(`HELLO_SEED=${SEED}`);
		const client = async stop => {
			while (next < stop) {
				const index = next++;
				const random = new Random(SEED + Math.imul(index, 0x9e3779b1));
				const resumes = index % 2 === 0 && session;
				const { bytes, done } = mutated(random, resumes ? session : undefined);
				const middle = random.below(bytes.length + 1);
				const pieces = random.chance(4)
					? [bytes.subarray(0, middle), bytes.subarray(middle)] : [bytes];
				try {
					const found = await answer(server, bytes, pieces);
					judge(found, bytes, resumes || undefined);
					if (done.length === 0)
						assert.equal(found.kind, resumes ? 'resumed' : 'full');
					kinds[found.kind] = (kinds[found.kind] ?? 0) + 1;
				} catch (error) {
					error.message += `\nHELLO_SEED=${SEED}, number ${index}: ${done.join(', ')}\n`
						+ bytes.toString('hex').slice(0, 5000);
					throw error;
				}
			}
		};
		while (next < COUNT) {
			session = await sessionAt(server);
			await talk();
			const stop = Math.min(next + ROUND, COUNT);
			await Promise.all(Array.from({ length: AT_ONCE }, () => client(stop)));
		}
		t.diagnostic(JSON.stringify(kinds));
		for (const kind of ['full', 'resumed', 'alert', 'close'])
			assert(kinds[kind] >= COUNT / 50, `${kinds[kind]} ended with ${kind}`);
		await leave();
		await emptied(server);
	}, 120_000);
});

/* The answer in the output of openssl. */
function outcome({ output }) {
	const alert = output.match(/SSL alert number (\d+)/);
	if (alert)
		return `alert ${alert[1]}`;
	const [, how] = output.match(/^(New|Reused), TLSv1\.2, Cipher is \S+$/m) ?? [];
	const [, protocol] = output.match(/^ALPN protocol: (.*)$/m) ?? [];
	assert(how !== undefined && output.includes(GREETING), output);
	return `${how}, ${protocol ?? 'no protocol'}`;
}

/* Options of a handshake that offers a session, and the expected result. */
const alpn = {
	'no ALPN': [[], 'Reused, no protocol'],
	'our protocol': [['-alpn', 'http/1.1'], 'Reused, http/1.1'],
	'a foreign protocol': [['-alpn', 'h2'], `alert ${REFUSED}`],
	'our protocol after a foreign one': [['-alpn', 'h2,http/1.1'], 'Reused, http/1.1'],
	'our protocol before a foreign one': [['-alpn', 'http/1.1,h2'], 'Reused, http/1.1'],
	'many foreign protocols': [['-alpn', Array(200).fill('h2').join(',')], `alert ${REFUSED}`],
};

describe('TLS: a session is offered by openssl s_client', () => {
	const others = {
		'nothing else': [],
		'a server name': ['-servername', 'localhost'],
		'no server name': ['-noservername'],
		'no tickets': ['-no_ticket'],
		'other curves': ['-curves', 'P-256:P-384'],
		'a small maximum fragment': ['-maxfraglen', '512'],
		'other signatures': ['-sigalgs', 'ECDSA+SHA384:ECDSA+SHA256'],
		'a request for OCSP': ['-status'],
		'more versions': ['-no_tls1_3', '-cipher', 'ALL'],
	};
	for (const first of [[], ['-alpn', 'http/1.1']])
		test(`that it had ${first.length ? 'with' : 'without'} ALPN, in each combination`, async t => {
			const server = await served(t);
			const { talk, leave } = await bystanders(server);
			const file = inDirectory(`session-${first.length}.pem`);
			await sClient(server, ['-tls1_2', '-ign_eof', '-sess_out', file, ...first], { input: asked });
			for (const [what, [args, expected]] of Object.entries(alpn))
				for (const [other, more] of Object.entries(others)) {
					const versions = other === 'more versions' ? [] : ['-tls1_2'];
					const found = await sClient(server,
						[...versions, '-ign_eof', '-sess_in', file, ...args, ...more], { input: asked });
					assert.equal(outcome(found), expected, `${what}, ${other}`);
				}
			await talk();
			await leave();
			await emptied(server);
		});

	test('with a suite that the server does not support, in a full handshake', async t => {
		const server = await served(t);
		const file = inDirectory('session-suite.pem');
		const suite = name => ['-cipher', `ECDHE-ECDSA-${name}`];
		await sClient(server, ['-tls1_2', '-ign_eof', '-sess_out', file, ...suite('AES128-GCM-SHA256')],
			{ input: asked });
		for (const [args, expected] of Object.values(alpn)) {
			const found = await sClient(server, ['-tls1_2', '-ign_eof', '-sess_in', file, ...args,
				...suite('CHACHA20-POLY1305')], { input: asked });
			assert.equal(outcome(found), expected.replace('Reused', 'New'));
		}
	});
});

describe('TLS: a session whose ClientHello', () => {
	const foreign = [EXTENSION.alpn, contents.alpn('h2')];
	const refusals = {
		'ends with a foreign protocol': hello => hello.extensions.push(foreign),
		'has only a foreign protocol': hello => hello.extensions.unshift(foreign),
		'has a foreign protocol in a second record': hello => {
			hello.extensions.push(foreign);
			hello.cuts = [100];
		},
		'has a foreign protocol in records of a byte': hello => {
			hello.extensions.push(foreign);
			hello.cuts = Array.from({ length: 300 }, (_, i) => i);
		},
		'has an empty protocol': hello =>
			hello.extensions.push([EXTENSION.alpn, contents.alpn('')]),
		'has no protocol in its list': hello =>
			hello.extensions.push([EXTENSION.alpn, contents.alpn()]),
		'has our protocol and then a foreign one, in two extensions': hello =>
			hello.extensions.push([EXTENSION.alpn, contents.alpn('http/1.1')], foreign),
	};
	for (const [what, change] of Object.entries(refusals))
		test(`${what} is refused`, async t => {
			const server = await served(t);
			const { leave } = await bystanders(server);
			const session = await sessionAt(server);
			const hello = valid(new Random(SEED), session);
			hello.extensions = hello.extensions.filter(([type]) => type !== EXTENSION.alpn);
			change(hello);
			assert.deepEqual(await answer(server, records(hello)),
				{ kind: 'alert', level: 2, alert: REFUSED });
			await leave();
			await emptied(server);
		});

	const bytes = hello => Array.from(records(hello), byte => Buffer.of(byte));
	const answers = {
		'comes in two records gets a full handshake': [hello => hello.cuts = [100], 'full'],
		'comes byte by byte in TCP is resumed': [() => {}, 'resumed', bytes],
		'has no extensions is resumed': [hello => hello.bare = true, 'resumed'],
	};
	for (const [what, [change, kind, pieces]] of Object.entries(answers))
		test(what, async t => {
			const server = await served(t);
			const session = await sessionAt(server);
			const hello = valid(new Random(SEED), session);
			change(hello);
			const found = await answer(server, records(hello), pieces?.(hello));
			assert.equal(found.kind, kind);
			const protocol = found.extensions.get(EXTENSION.alpn);
			assert.deepEqual(protocol, hello.bare ? undefined : contents.alpn('http/1.1'));
		});
});

describe('TLS: a key exchange', () => {
	/* Connects a client that sends these bytes as its point. */
	async function exchange(server, curve, point) {
		const { length } = point;
		const body = Buffer.concat([Buffer.of(16, 0, 0, 1 + length, length), point]);
		const raw = await wired(server, {
			maxVersion: 'TLSv1.2',
			ecdhCurve: curve,
			async send(tcp, record, index, wire) {
				wire.deaf ||= index === 1;
				await flushed(tcp, index === 1
					? Buffer.concat([Buffer.of(RECORD.handshake, 3, 3, 0, body.length), body]) : record);
			},
		});
		await over(raw.wire.tcp);
		assert(!raw.wire.got.some(({ type }) => type === RECORD.change));
		raw.destroy();
	}

	/* valgrind reports the use of uninitialised memory. */
	test('with a point of invalid length or encoding fails before the point is used', async t => {
		const binary = await wrapped(await scratch(t), built('VIDERE_PLAIN', 'videre'), 'valgrind --quiet');
		const server = await served(t, 'RSA 2048', { binary, conf: { Sandbox: false } });
		const lengths = { 'P-256': 65, 'P-384': 97, 'P-521': 133, 'X25519': 32 };
		for (const [curve, right] of Object.entries(lengths)) {
			for (const length of [0, 1, right - 1, right + 1, 255])
				await exchange(server, curve, Buffer.alloc(length, 4));
			if (curve !== 'X25519')
				await exchange(server, curve, Buffer.alloc(right, 2));
		}
		const hello = { ...valid(new Random(SEED)), suites: [0xc02f] };
		assert.equal((await answer(server, records(hello))).kind, 'full');
	});
});
