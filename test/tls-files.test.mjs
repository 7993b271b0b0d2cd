/* Cert and Key: files that are accepted, errors for those that are not, and renewal. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { chmod, copyFile, readFile, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe } from 'node:test';
import { promisify } from 'node:util';
import { inDirectory, openssl, pair } from './certificate.mjs';
import { gather, joined, left, open, packet, silence } from './client.mjs';
import { built, emptied, run, scratch, serve, test } from './server.mjs';
import { GREETING, curl, shake, wiredThrough } from './tls.mjs';

const text = file => readFile(file, 'utf8');

const SLOW = / warn - slow TLS handshakes: Key is RSA with 4096 bits, use P-256 or RSA with 2048 bits$/;
const EXPOSED = / warn - private key readable by every user: chmod 640 \S+ \(Key\)$/;

/* Copies a file and changes its text. */
async function changed(t, file, change) {
	const copy = path.join(await scratch(t), path.basename(file));
	await writeFile(copy, change(await text(file)), { mode: 0o600 });
	return copy;
}

/* Runs openssl and returns its output. */
async function converted(t, file, ...args) {
	const copy = path.join(await scratch(t), path.basename(file));
	await openssl(...args, '-in', file, '-out', copy);
	return copy;
}

/* A client trusts a server with this pair, and exchanges packets. */
async function works(t, tls, expect = []) {
	const server = await serve(t, { tls, expect });
	assert.deepEqual(await curl(server), { code: 0, output: GREETING });
}

const crlf = content => content.replaceAll('\n', '\r\n');
const wordy = content => `Bag Attributes\n    localKeyID: 01\n\nsubject=CN = x\n${content}\nthe end\n`;

describe('TLS: accepted is', () => {
	const forms = {
		'a key in PKCS#8': ['pkcs8', '-topk8', '-nocrypt'],
		'an RSA key in PKCS#1': ['rsa', '-traditional'],
		'an EC key in SEC1': ['ec'],
	};
	const kinds = {
		'a key in PKCS#8': ['RSA 2048', 'RSA 4096', 'P-256', 'P-384', 'P-521'],
		'an RSA key in PKCS#1': ['RSA 2048', 'RSA 4096'],
		'an EC key in SEC1': ['P-256', 'P-384', 'P-521'],
	};
	for (const [form, args] of Object.entries(forms))
		for (const kind of kinds[form])
			test(`${form}: ${kind}`, async t => {
				const good = await pair(kind);
				await works(t, { ...good, key: await converted(t, good.key, ...args) },
					kind === 'RSA 4096' ? [SLOW] : []);
			});

	test('an EC key after its parameters', async t => {
		const good = await pair('P-256');
		const parameters = await openssl('ecparam', '-name', 'prime256v1');
		assert.match(parameters, /BEGIN EC PARAMETERS/);
		const key = await converted(t, good.key, 'ec');
		await works(t, { ...good, key: await changed(t, key, content => parameters + content) });
	});

	const changes = {
		'lines that end in CR LF': crlf,
		'text around the blocks': wordy,
		'no newline at the end': content => content.trimEnd(),
		'blanks at the ends of lines': content => content.replaceAll('\n', ' \n'),
	};
	for (const [what, change] of Object.entries(changes))
		test(`${what}, in both files`, async t => {
			for (const kind of ['RSA 2048', 'P-256']) {
				const good = await pair(kind);
				await works(t, {
					...good,
					cert: await changed(t, good.cert, change),
					key: await changed(t, good.key, change),
				});
			}
		});

	test('a key that every user can read, with a warning', async t => {
		const good = await pair('P-256');
		const key = await changed(t, good.key, content => content);
		await chmod(key, 0o604);
		await works(t, { ...good, key }, [EXPOSED]);
	});

	test('one file with both', async t => {
		for (const order of [['cert', 'key'], ['key', 'cert']]) {
			const good = await pair('P-256');
			const parts = await Promise.all(order.map(which => text(good[which])));
			const both = await changed(t, good.cert, () => parts.join(''));
			await works(t, { ...good, cert: both, key: both });
		}
	});
});

describe('TLS: refused at the start, with the file and the reason, is', () => {
	/* `spoil` damages the pair. It returns the changed settings and the file at fault. */
	function refused(what, spoil, reason = /./) {
		test(what, async t => {
			const good = await pair('P-256');
			const { at, ...tls } = await spoil(t, good);
			const { cert, key } = { ...good, ...tls };
			const cwd = await scratch(t);
			await writeFile(path.join(cwd, 'test.json'), JSON.stringify({
				Host: '127.0.0.1', Port: 0, Log: '', TLS: true, Cert: cert, Key: key,
			}));
			const { code, stderr } = await run(['-c', 'test.json'], { cwd });
			assert.equal(code, 1, stderr);
			assert.doesNotMatch(stderr, /listening|Sanitizer|runtime error/);
			const said = stderr.split('\n').find(line => line.includes(at)) ?? assert.fail(stderr);
			assert(said.length > said.indexOf(at) + at.length + 5, `why? ${said}`);
			assert.match(said.slice(said.indexOf(at) + at.length), reason);
		});
	}

	const at = (which, file) => ({ [which]: file, at: file });
	for (const which of ['cert', 'key']) {
		const spoilt = (what, change, reason) => refused(`a ${which} ${what}`,
			async (t, good) => at(which, await changed(t, good[which], change)), reason);

		refused(`a ${which} that is not there`, () => at(which, inDirectory('nowhere.pem')),
			/No such file/);
		refused(`a ${which} that is a directory`, async t => at(which, await scratch(t)));
		refused(`a ${which} that is not named`, () =>
			({ [which]: '', at: which === 'cert' ? 'Cert' : 'Key' }));
		spoilt('that is empty', () => '');
		spoilt('without a PEM block', () => 'hello, world\n'.repeat(50));
		spoilt('that ends too early', content => content.slice(0, content.length / 2));
		spoilt('without its last line', content => content.trimEnd().replace(/\n-----END.*$/, '\n'));
		spoilt('that is not base64', content => content.replace(/\n[A-Za-z0-9+/]{20}/, '\n*?*?*?*?*?*?*?*?*?*?'));
		spoilt('whose bytes are none', content => content.replace(/(-----\n)[^-]*/,
			`$1${Buffer.alloc(300, 0xa5).toString('base64')}\n`));
		spoilt('that is far too long', content => content.repeat(2000));
		refused(`a ${which} in DER`, async (t, good) => at(which, await converted(t, good[which],
			...which === 'cert' ? ['x509', '-outform', 'DER'] : ['pkey', '-outform', 'DER'])));
		refused(`the other file as ${which}`, (t, good) =>
			at(which, which === 'cert' ? good.key : good.cert));
	}

	refused('a pair that is swapped', (t, { cert, key }) => ({ cert: key, key: cert, at: key }));
	for (const [kind, args] of Object.entries({
		'PKCS#8': ['pkcs8', '-topk8', '-passout', 'pass:secret'],
		'SEC1': ['ec', '-aes128', '-passout', 'pass:secret'],
	}))
		refused(`a key that is encrypted, in ${kind}`, async (t, { key }) =>
			at('key', await converted(t, key, ...args)), /encrypted|password|passphrase/i);
	for (const kind of ['RSA 2048', 'P-384'])
		refused(`a key of another kind than the certificate's: ${kind}`, async () =>
			at('key', (await pair(kind)).key));
	refused('the key of another certificate', async () =>
		at('key', (await pair('P-256', 'somebody else')).key), /key|match/);
	refused('the key of another certificate, both RSA', async () => ({
		cert: (await pair('RSA 2048')).cert,
		...at('key', (await pair('RSA 2048', 'somebody else, RSA')).key),
	}), /key|match/);
	for (const kind of ['Ed25519', 'secp256k1'])
		refused(`a pair of the unsupported kind ${kind}`, async () => {
			const { cert, key } = await pair(kind);
			/* Either file may be named; their directory and base name are the same. */
			return { cert, key, at: key.slice(0, -'.key'.length) };
		});
	test('nothing, if TLS is off', async t => {
		const server = await serve(t, { conf: { TLS: false, Cert: '/nowhere', Key: '/nowhere' } });
		await (await open(Object.assign(server, { tls: undefined }))).none();
	});
});

describe('TLS: SIGHUP', () => {
	const fingerprint = ca => new X509Certificate(ca).fingerprint256;

	/* Returns the fingerprint of the certificate that a new client receives. */
	async function seen(server, ca) {
		const socket = await shake(server, { ca });
		const { fingerprint256 } = socket.getPeerCertificate();
		socket.destroy();
		return fingerprint256;
	}

	/* Starts a server with its own files. `put` replaces them with those of a pair. */
	async function replaceable(t, first, options = {}) {
		const dir = await scratch(t);
		const tls = { cert: path.join(dir, 'cert.pem'), key: path.join(dir, 'key.pem'), ca: first.ca };
		const put = async ({ cert, key }) => {
			for (const [from, to] of [[cert, tls.cert], [key, tls.key]]) {
				await copyFile(from, `${to}.new`);
				await rename(`${to}.new`, to);
			}
		};
		await put(first);
		return { server: await serve(t, { tls, ...options }), put, tls };
	}

	/* Waits until SIGHUP has been handled. */
	async function hup(server) {
		const from = server.lines.all.length;
		server.signal('SIGHUP');
		await server.lines.match(/ info - log reopened/, from);
		await server.counters();
	}

	for (const [from, to] of [['P-256', 'P-384'], ['P-256', 'RSA 2048'], ['RSA 2048', 'P-256']])
		test(`loads a new pair, ${to} for ${from}; connected clients stay`, async t => {
			const [old, next] = [await pair(from), await pair(to)];
			const both = [old.ca, next.ca];
			const { server, put } = await replaceable(t, old);
			const [a, b] = await gather(server, 'r', 'a', 'b');
			const before = await shake(server, { ca: both, maxVersion: 'TLSv1.2' });
			const session = before.getSession();
			assert.equal(await seen(server, both), fingerprint(old.ca));
			await put(next);
			assert.equal(await seen(server, both), fingerprint(old.ca), 'not before it is told');
			await hup(server);
			assert.equal(await seen(server, both), fingerprint(next.ca));
			const text = packet('broadcast', 'a', 'r', 'still here');
			a.send(text);
			await b.gets(text);
			await silence(a, b);
			const again = await wiredThrough(server, { ca: both, session, maxVersion: 'TLSv1.2' });
			again.end(); /* served, with a resumed session or a full handshake */
			await again.ended();
		});

	test('under load loads each pair in turn, and loses nothing', async t => {
		const pairs = [await pair('P-256'), await pair('RSA 2048'), await pair('P-384')];
		const all = pairs.map(({ ca }) => ca);
		const { server, put } = await replaceable(t, pairs[0]);
		const rooms = await Promise.all(Array.from({ length: 5 }, (_, i) =>
			gather(server, `room ${i}`, 'a', 'b')));
		let over = false, exchanged = 0, handshakes = 0;
		const talk = async ([a, b], room) => {
			for (let count = 0; !over; count++) {
				const texts = [10, 1000, 20_000].map(size =>
					packet('broadcast', 'a', `room ${room}`, `${count} ${'x'.repeat(size)}`));
				texts.forEach(text => a.send(text));
				await b.gets(...texts);
				exchanged += texts.length;
			}
			await silence(a, b);
		};
		const visit = async () => {
			while (!over) {
				const print = await seen(server, all);
				assert(all.map(fingerprint).includes(print));
				handshakes++;
			}
		};
		const load = Promise.all([...rooms.map(talk), visit(), visit()]);
		load.catch(() => {});
		for (let i = 1; i <= 12; i++) {
			const next = pairs[i % pairs.length];
			await put(next);
			await hup(server);
			assert.equal(await seen(server, all), fingerprint(next.ca));
		}
		over = true;
		await load;
		assert(exchanged > 0 && handshakes > 0);
		for (const client of rooms.flat())
			await client.close();
		await emptied(server);
	});

	test('warns of a slow key, and of one that every user can read', async t => {
		const [first, slow] = [await pair('P-256'), await pair('RSA 4096')];
		const { server, put, tls } = await replaceable(t, first, { expect: [SLOW, EXPOSED] });
		await put(slow);
		await hup(server);
		await server.lines.match(SLOW);
		assert(!server.lines.all.some(line => EXPOSED.test(line)), 'the key is a secret');
		await put(first);
		await chmod(tls.key, 0o644);
		await hup(server);
		await server.lines.match(EXPOSED);
		await chmod(tls.key, 0o640);
		const from = server.lines.all.length;
		await hup(server);
		assert(!server.lines.all.slice(from).some(line => / warn /.test(line)), server.stderr);
	});

	const bad = {
		'no certificate': ({ cert }) => rename(cert, `${cert}.away`),
		'no key': ({ key }) => rename(key, `${key}.away`),
		'an empty certificate': ({ cert }) => writeFile(cert, ''),
		'an empty key': ({ key }) => writeFile(key, ''),
		'half a certificate': async ({ cert }) => writeFile(cert, (await text(cert)).slice(0, 300)),
		'another certificate of the same kind': async ({ cert }) =>
			copyFile((await pair('P-256', 'somebody else')).cert, cert),
		'a key of another kind': async ({ key }) => copyFile((await pair('RSA 2048')).key, key),
	};
	for (const [what, spoil] of Object.entries(bad))
		test(`with ${what} keeps the certificate and logs why, until the pair is valid`, async t => {
			const [old, next] = [await pair('P-256'), await pair('P-384')];
			const { server, put, tls } = await replaceable(t, old,
				{ expect: [/ (warn|error) - .*(cert|key)\.pem.*\w/] });
			const [a, b] = await gather(server, 'r', 'a', 'b');
			await spoil(tls);
			for (let i = 0; i < 2; i++) {
				await hup(server);
				assert.equal(await seen(server, [old.ca]), fingerprint(old.ca));
			}
			const said = packet('broadcast', 'a', 'r', 'still here');
			a.send(said);
			await b.gets(said);
			await put(next);
			await hup(server);
			assert.equal(await seen(server, [next.ca]), fingerprint(next.ca));
			await a.close();
			await b.gets(left('a', 'r'));
			await b.close();
			await emptied(server);
		});
});

describe('TLS: a build without TLS', () => {
	const binary = built('VIDERE_NOTLS', 'build/notls/videre');

	test('refuses TLS, creates no certificate, and serves without it', async t => {
		const cwd = await scratch(t), { cert, key } = await pair('P-256');
		await writeFile(path.join(cwd, 'test.json'), JSON.stringify({ TLS: true, Cert: cert, Key: key }));
		for (const args of [['-n', '-c', 'test.json'], ['-c', 'test.json'], ['-k', 'new.crt', 'new.key']]) {
			const { code, stderr } = await run(args, { cwd, binary });
			assert.equal(code, 1);
			assert.match(stderr, /TLS is not in this build/);
		}
		const client = await open(await serve(t, { binary, tls: undefined }));
		client.join('a', 'r');
		await client.gets(joined('a', 'r', true));
	});

	test('contains of BearSSL only the hashes for WebSocket handshakes and tokens', async () => {
		const symbols = (await promisify(execFile)('nm', [binary])).stdout;
		assert.match(symbols, / br_sha1_out$/m);
		assert.match(symbols, / br_hmac_out$/m);
		assert.doesNotMatch(symbols, / br_(ssl|x509|ec|rsa|aes)_/);
	});
});
