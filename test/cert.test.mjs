/* cert.c loads certificates and keys that OpenSSL makes; OpenSSL and Node check those of `videre -k`. */
import assert from 'node:assert/strict';
import { X509Certificate, createPrivateKey } from 'node:crypto';
import { execFile, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { readFile, readdir, stat, writeFile } from 'node:fs/promises';
import { hostname, networkInterfaces, tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe } from 'node:test';
import tls from 'node:tls';
import { promisify } from 'node:util';
import { built, run, scratch, test } from './server.mjs';

const tool = built('CERT_TOOL', 'build/san/cert_tool');
const execute = promisify(execFile);
const dir = mkdtempSync(path.join(tmpdir(), 'videre-cert-'));
const at = name => path.join(dir, name);
const openssl = (...args) => execFileSync('openssl', args, { cwd: dir, stdio: ['ignore', 'pipe', 'pipe'] });
const put = (name, ...parts) => writeFile(at(name), Buffer.concat(parts.map(part => Buffer.from(part))));
const get = name => readFile(at(name));

/* The output of cert_tool for pairs of files.  Its stderr must be empty. */
async function loadAll(pairs, cwd = dir) {
	const { stdout, stderr } = await execute(tool, ['load', ...pairs.flat()], { cwd });
	assert.equal(stderr, '');
	return stdout.trimEnd().split('\n');
}

const load = async (...pair) => (await loadAll([pair]))[0];

/* The pair loads, with these certificates. */
async function good(pair, kind, ...certs) {
	const hashes = await Promise.all(certs.map(async name =>
		new X509Certificate(await get(name)).fingerprint256.replaceAll(':', '').toLowerCase()));
	assert.equal(await load(...pair), [kind, ...hashes].join(' '));
}

/* The pair does not load, and the error names this file. */
async function bad(pair, file, why) {
	const said = await load(...pair);
	assert(said.startsWith(`error ${file}: `), said);
	assert.match(said, why);
	assert(said.length < 300, said);
}

const KINDS = {
	rsa2048: ['RSA 2048', 'RSA', ['RSA', 'rsa_keygen_bits:2048']],
	rsa3072: ['RSA 3072', 'RSA', ['RSA', 'rsa_keygen_bits:3072']],
	rsa4096: ['RSA 4096', 'RSA', ['RSA', 'rsa_keygen_bits:4096']],
	p256: ['EC 23', 'EC', ['EC', 'ec_paramgen_curve:P-256']],
	p384: ['EC 24', 'EC', ['EC', 'ec_paramgen_curve:P-384']],
	p521: ['EC 25', 'EC', ['EC', 'ec_paramgen_curve:P-521']],
};
const REFUSED = {
	rsa1024: ['RSA', 'rsa_keygen_bits:1024'],
	rsa6144: ['RSA', 'rsa_keygen_bits:6144'],
	secp256k1: ['EC', 'ec_paramgen_curve:secp256k1'],
	p224: ['EC', 'ec_paramgen_curve:P-224'],
	pss: ['RSA-PSS', 'rsa_keygen_bits:2048'],
	ed25519: ['ED25519'],
	ed448: ['ED448'],
};

/* NAME.key (PKCS#8) and NAME.pem (self-signed). */
function makePair(name, [algorithm, option]) {
	openssl('genpkey', '-algorithm', algorithm, ...option ? ['-pkeyopt', option] : [], '-out', `${name}.key`);
	openssl('req', '-x509', '-key', `${name}.key`, '-subj', `/CN=${name}`, '-days', '30', '-out', `${name}.pem`);
}

/* NAME.pem for a key of its own, signed by another pair. */
function makeSigned(name, issuer, kind, extensions) {
	const [algorithm, option] = KINDS[kind][2];
	openssl('genpkey', '-algorithm', algorithm, '-pkeyopt', option, '-out', `${name}.key`);
	openssl('req', '-x509', '-key', `${name}.key`, '-subj', `/CN=${name}`, '-days', '30',
		'-CA', `${issuer}.pem`, '-CAkey', `${issuer}.key`, '-addext', extensions, '-out', `${name}.pem`);
}

before(() => {
	for (const [name, [,, parameters]] of Object.entries(KINDS))
		makePair(name, parameters);
	for (const [name, parameters] of Object.entries(REFUSED))
		makePair(name, parameters);
	makePair('other', KINDS.p256[2]);
	makePair('otherrsa', KINDS.rsa2048[2]);
	makeSigned('middle', 'rsa4096', 'rsa2048', 'basicConstraints=critical,CA:TRUE');
	makeSigned('leaf', 'middle', 'p256', 'subjectAltName=DNS:example.org');
});
after(() => rmSync(dir, { recursive: true, force: true }));

/* The dates that the tool reads, of each certificate. */
const dates = (cert, key) => String(execFileSync(tool, ['dates', cert, key], { cwd: dir })).trimEnd().split('\n');

/* The same as Node.js reads them. */
async function validity(name) {
	const { validFrom, validTo } = new X509Certificate(await get(name));
	return [validFrom, validTo].map(text => Date.parse(text) / 1000).join(' ');
}

test('dates are those that OpenSSL writes, in either form', async () => {
	openssl('req', '-x509', '-key', 'p256.key', '-subj', '/CN=x', '-days', '20000', '-out', 'long.pem');
	assert.match(String(openssl('asn1parse', '-in', 'long.pem')), /GENERALIZEDTIME/);
	for (const [cert, key] of [...Object.keys(KINDS).map(name => [name, name]), ['long', 'p256'], ['leaf', 'leaf']])
		assert.deepEqual(dates(`${cert}.pem`, `${key}.key`), [await validity(`${cert}.pem`)]);
	await put('dated', await get('leaf.pem'), await get('middle.pem'), await get('long.pem'));
	assert.deepEqual(dates('dated', 'leaf.key'),
		await Promise.all(['leaf.pem', 'middle.pem', 'long.pem'].map(validity)));
});

describe('loading', () => {
	for (const [name, [kind, issuer]] of Object.entries(KINDS)) {
		test(`${name} as PKCS#8 and as its own form`, async () => {
			await good([`${name}.pem`, `${name}.key`], `${kind} ${issuer}`, `${name}.pem`);
			openssl('pkey', '-in', `${name}.key`, '-traditional', '-out', `${name}.own`);
			assert.match(String(await get(`${name}.own`)), /BEGIN (RSA|EC) PRIVATE KEY/);
			await good([`${name}.pem`, `${name}.own`], `${kind} ${issuer}`, `${name}.pem`);
		});

		test(`${name} encrypted is refused`, async () => {
			openssl('pkey', '-in', `${name}.key`, '-aes256', '-passout', 'pass:x', '-out', 'pkcs8');
			openssl(issuer.toLowerCase(), '-in', `${name}.key`, '-aes128', '-passout', 'pass:x',
				...issuer === 'RSA' ? ['-traditional'] : [], '-out', 'own');
			assert.match(String(await get('pkcs8')), /BEGIN ENCRYPTED/);
			assert.match(String(await get('own')), /Proc-Type: 4,ENCRYPTED/);
			await bad([`${name}.pem`, 'pkcs8'], 'pkcs8', /encrypted/);
			await bad([`${name}.pem`, 'own'], 'own', /encrypted/);
		});
	}

	for (const name of Object.keys(REFUSED))
		test(`${name} is refused`, async () => {
			const why = name === 'rsa1024' ? /an RSA key of 1024 bits/ : /not supported/;
			await bad([`${name}.pem`, `${name}.key`], `${name}.key`, why);
			await bad([`${name}.pem`, 'p256.key'], `${name}.pem`, why);
		});

	test('a chain of three comes in its order', async () => {
		await put('chain', ...await Promise.all(['leaf.pem', 'middle.pem', 'rsa4096.pem'].map(get)));
		await good(['chain', 'leaf.key'], 'EC 23 RSA', 'leaf.pem', 'middle.pem', 'rsa4096.pem');
		await bad(['chain', 'middle.key'], 'middle.key', /not the key of the \(first\) certificate in chain/);
	});

	test('certificates and key in one file, in either order', async () => {
		await put('one', await get('leaf.pem'), await get('leaf.key'), await get('middle.pem'));
		await put('two', await get('leaf.key'), await get('leaf.pem'), await get('middle.pem'));
		for (const file of ['one', 'two'])
			await good([file, file], 'EC 23 RSA', 'leaf.pem', 'middle.pem');
	});

	test('EC PARAMETERS before a key are skipped', async () => {
		openssl('ecparam', '-name', 'prime256v1', '-genkey', '-out', 'parameters');
		assert.match(String(await get('parameters')), /BEGIN EC PARAMETERS[^]*BEGIN EC PRIVATE KEY/);
		openssl('req', '-x509', '-key', 'parameters', '-subj', '/CN=x', '-out', 'parameters.pem');
		await good(['parameters.pem', 'parameters'], 'EC 23 EC', 'parameters.pem');
	});

	test('text around, CRLF, CR, a byte order mark, no line end, spaces, other line lengths', async () => {
		const cert = String(await get('leaf.pem')), key = String(await get('leaf.key'));
		const forms = {
			around: text => `Bag Attributes\n  -----BEGIN\n----- \n\n${text}\nsubject=/CN=x\n-----\n`,
			crlf: text => text.replaceAll('\n', '\r\n'),
			cr: text => text.replaceAll('\n', '\r'),
			mark: text => `\ufeff${text}`,
			unended: text => text.trimEnd(),
			spaces: text => text.replaceAll('\n', ' \t\n'),
			long: text => text.replaceAll(/(?<![-])\n(?![-])/g, ''),
			short: text => text.replaceAll(/^[^-]+$/gm, line => line.replaceAll(/.{7}/g, '$&\n')),
			binary: text => `\0\xff\n${text}\0`,
		};
		for (const [name, form] of Object.entries(forms)) {
			await put(`${name}.c`, form(cert));
			await put(`${name}.k`, form(key));
			await good([`${name}.c`, `${name}.k`], 'EC 23 RSA', 'leaf.pem');
		}
		openssl('x509', '-in', 'leaf.pem', '-text', '-out', 'text');
		await good(['text', 'leaf.key'], 'EC 23 RSA', 'leaf.pem');
	});

	test('a missing file, a directory, an empty one, one without any block', async () => {
		await put('empty');
		await put('text.txt', 'hello\n');
		await bad(['none', 'p256.key'], 'none', /No such file/);
		await bad(['p256.pem', 'none'], 'none', /No such file/);
		await bad(['.', 'p256.key'], '.', /directory/);
		await bad(['empty', 'p256.key'], 'empty', /empty/);
		await bad(['p256.pem', 'empty'], 'empty', /empty/);
		await bad(['text.txt', 'p256.key'], 'text.txt', /no certificate/);
		await bad(['p256.pem', 'text.txt'], 'text.txt', /no private key/);
	});

	test('one that may not be read', async t => {
		if (process.getuid() === 0)
			return t.skip('root may read everything');
		await writeFile(at('secret'), 'x', { mode: 0 });
		await bad(['p256.pem', 'secret'], 'secret', /Permission denied/);
	});

	test('swapped files are reported', async () => {
		await bad(['p256.key', 'p256.pem'], 'p256.key', /swapped/);
		await bad(['p256.pem', 'p256.pem'], 'p256.pem', /swapped/);
	});

	test('a key of another certificate is reported', async () => {
		for (const [cert, key] of [['p256', 'other'], ['p256', 'p384'], ['p256', 'rsa2048'],
			['rsa2048', 'p256'], ['rsa2048', 'otherrsa'], ['rsa2048', 'rsa4096'], ['rsa4096', 'rsa2048']])
			await bad([`${cert}.pem`, `${key}.key`], `${key}.key`,
				new RegExp(`not the key of the \\(first\\) certificate in ${cert}.pem`));
	});

	test('an RSA key with one wrong number is not used, for it would betray itself', async () => {
		openssl('rsa', '-in', 'rsa2048.key', '-traditional', '-outform', 'DER', '-out', 'der');
		const der = await get('der');
		for (const place of [5, 30, 60, 300]) {
			const wrong = Buffer.from(der);
			wrong[der.length - place] ^= 4;
			await put('wrong', `-----BEGIN RSA PRIVATE KEY-----\n${wrong.toString('base64')}\n-----END RSA PRIVATE KEY-----\n`);
			await bad(['rsa2048.pem', 'wrong'], 'wrong', /not the key/);
		}
	});

	test('too many certificates, too much of them, too long a file', async () => {
		const pem = await get('p256.pem');
		await put('eight', ...Array(8).fill(pem));
		await put('nine', ...Array(9).fill(pem));
		await good(['eight', 'p256.key'], 'EC 23 EC', ...Array(8).fill('p256.pem'));
		await bad(['nine', 'p256.key'], 'nine', /more than 8/);
		const block = size => {
			const der = Buffer.alloc(size);
			der.writeUInt32BE(0x30820000 + size - 4);
			return `-----BEGIN CERTIFICATE-----\n${der.toString('base64')}\n-----END CERTIFICATE-----\n`;
		};
		const first = new X509Certificate(pem).raw.length;
		await put('full', pem, block(40000), block(65536 - 40000 - first));
		await put('over', pem, block(40000), block(65537 - 40000 - first));
		assert.match(await load('full', 'p256.key'), /^EC 23 EC( [0-9a-f]{64}){3}$/);
		await bad(['over', 'p256.key'], 'over', /more than 65536 bytes/);
		await put('most', pem, '\n'.repeat(131072 - pem.length));
		await put('more', pem, '\n'.repeat(131073 - pem.length));
		await good(['most', 'p256.key'], 'EC 23 EC', 'p256.pem');
		await bad(['more', 'p256.key'], 'more', /longer than 131072 bytes/);
		await put('more.key', await get('p256.key'), '\n'.repeat(131072));
		await bad(['p256.pem', 'more.key'], 'more.key', /longer than 131072 bytes/);
	});

	test('broken blocks', async () => {
		const cert = String(await get('p256.pem')), key = String(await get('p256.key'));
		const broken = {
			unended: text => text.replace(/-----END.*/, ''),
			unbegun: text => text.replace(/-----BEGIN.*/, ''),
			otherEnd: text => text.replace(/END [A-Z ]+/, 'END X'),
			within: text => text.replace('\n', '\n-----BEGIN X-----\n'),
			dashes: text => text.replace(/(-----BEGIN.*)-/, '$1'),
			character: text => text.replace(/\nM/, '\n!M'),
			digit: text => text.replace(/\nM/, '\nAM'),
			padding: text => text.replace(/\nM/, '\n=M'),
			longer: text => text.replace(/\nM/, '\nMAAA'),
			shorter: text => text.replace(/\n-----E/, '\nAAAA\n-----E'),
			quartetMore: text => text.replace(/\nM.*\n/, '$&AAAA'),
			lineLost: text => text.replace(/(\nM.*\n).*\n/, '$1'),
			nothing: text => text.replace(/-\n[^]*\n-/, '-\n-'),
		};
		for (const [name, breaks] of Object.entries(broken)) {
			await put(name, breaks(cert));
			await put(`${name}.key`, breaks(key));
			await bad([name, 'p256.key'], name, /damaged/);
			await bad(['p256.pem', `${name}.key`], `${name}.key`, /damaged/);
			/* Nor behind a good one, where nothing but its outside is looked at. */
			await put(`${name}.chain`, cert, '\n', breaks(cert));
			await bad([`${name}.chain`, 'p256.key'], `${name}.chain`, /damaged/);
		}
	});

	/* Every prefix of a file, and files with bytes changed, all loaded by one process. */
	for (const name of ['p256', 'rsa2048'])
		test(`${name} cut short or changed never loads as something else`, async t => {
			const cwd = await scratch(t);
			const files = [await get(`${name}.pem`), await get(`${name}.key`)];
			const whole = await load(`${name}.pem`, `${name}.key`);
			const pairs = [];
			const add = async (which, bytes) => {
				const file = `f${pairs.length}`;
				await writeFile(path.join(cwd, file), bytes);
				pairs.push(which === 0 ? [file, at(`${name}.key`)] : [at(`${name}.pem`), file]);
			};
			for (const [which, bytes] of files.entries()) {
				for (let n = 0; n < bytes.length - 2; n += 7)
					await add(which, bytes.subarray(0, n));
			}
			const cut = pairs.length;
			let seed = 12345;
			const random = most => (seed = (seed * 48271) % 0x7fffffff) % most;
			for (let i = 0; i < 400; i++) {
				const which = i % 2, bytes = Buffer.from(files[which]);
				bytes[random(bytes.length)] ^= 1 << random(8);
				await add(which, bytes);
			}
			for (const [i, said] of (await loadAll(pairs, cwd)).entries()) {
				if (i < cut)
					assert.match(said, /^error f/);
				else if (!said.startsWith('error'))
					/* A certificate's signature is for clients to verify. */
					assert(said === whole ||
						(!path.isAbsolute(pairs[i][0]) && said.startsWith(whole.slice(0, 5))), said);
			}
		});
});

/* Runs authority_issue in a directory of its own. */
async function make(t, names = [], { env = {}, cwd, cert = 'cert.pem', key = 'key.pem' } = {}) {
	cwd ??= await scratch(t);
	const child = execute(tool, ['make', cert, key, ...names], { cwd, env: { ...process.env, ...env } });
	const { stdout, stderr, code = 0 } = await child.catch(error => error);
	assert.equal(stderr, '');
	return { cwd, code, said: stdout.trimEnd() };
}

async function made(t, names, options) {
	const result = await make(t, names, options);
	assert.equal(result.code, 0, result.said);
	result.pem = await readFile(path.join(result.cwd, 'cert.pem'));
	result.key = await readFile(path.join(result.cwd, 'key.pem'));
	const [leaf, ca, ...rest] = String(result.pem).match(/-----BEGIN[^]*?-----END.*\n/g);
	assert.deepEqual(rest, []);
	await writeFile(path.join(result.cwd, 'leaf.pem'), leaf);
	await writeFile(path.join(result.cwd, 'ca.pem'), ca);
	result.x509 = new X509Certificate(leaf);
	result.ca = new X509Certificate(ca);
	result.run = (...args) => String(execFileSync('openssl', args, { cwd: result.cwd, stdio: 'pipe' }));
	return result;
}

const altNames = x509 => x509.subjectAltName.split(', ').sort();

describe('making', () => {
	test('reports names, fingerprints and how to install, and loads', async t => {
		const { cwd, said, x509, ca } = await made(t, ['Example.org', '192.0.2.1']);
		assert.equal(said, `names: example.org 192.0.2.1
SHA-256 of the certificate: ${x509.fingerprint256}
SHA-256 of its authority:   ${ca.fingerprint256}
Clients trust it after they install the authority from /ca.crt of the server;
compare the fingerprint there.`);
		assert.match((await loadAll([['cert.pem', 'key.pem']], cwd))[0], /^EC 23 EC /);
	});

	test('what OpenSSL reads in it is what a browser wants', async t => {
		const { run, pem, key } = await made(t, ['Example.org', '*.example.org', '192.0.2.1', '2001:DB8::1']);
		const text = run('x509', '-in', 'cert.pem', '-noout', '-text');
		for (const pattern of [/Version: 3/, /Signature Algorithm: ecdsa-with-SHA256/, /Issuer: CN = videre example.org [0-9a-f]{16}\n/,
			/Subject: CN = example.org\n/, /ASN1 OID: prime256v1/, /Basic Constraints: critical\s+CA:FALSE/,
			/Key Usage: critical\s+Digital Signature\n/, /Extended Key Usage: \s+TLS Web Server Authentication\n/,
			/Subject Key Identifier/,
			/Alternative Name: \s+DNS:example.org, DNS:\*.example.org, IP Address:192.0.2.1, IP Address:2001:DB8:0:0:0:0:0:1\n/])
			assert.match(text, pattern);
		const serial = run('x509', '-in', 'cert.pem', '-noout', '-serial');
		assert.match(serial, /^serial=[4-7][0-9A-F]{31}\n$/);
		assert.match(run('pkey', '-in', 'key.pem', '-text', '-check'), /Key is valid/);
		assert.equal(run('pkey', '-in', 'key.pem', '-pubout'), run('x509', '-in', 'cert.pem', '-noout', '-pubkey'));
		/* PEM and DER as OpenSSL would write the same. */
		assert.equal(run('x509', '-in', 'leaf.pem') + run('x509', '-in', 'ca.pem'), String(pem));
		assert.equal(run('ec', '-in', 'key.pem'), String(key));
	});

	test('every name is verified, and no other', async t => {
		const { run } = await made(t, ['example.org', '*.example.net', '192.0.2.1', '2001:db8::1']);
		const verify = (...args) => run('verify', '-x509_strict', '-purpose', 'sslserver', '-CAfile', 'ca.pem', ...args, 'cert.pem');
		for (const name of ['example.org', 'a.example.net'])
			assert.equal(verify('-verify_hostname', name), 'cert.pem: OK\n');
		for (const address of ['192.0.2.1', '2001:db8::1'])
			assert.equal(verify('-verify_ip', address), 'cert.pem: OK\n');
		assert.throws(() => verify('-verify_hostname', 'example.com'));
		assert.throws(() => verify('-verify_ip', '192.0.2.2'));
	});

	test('Node trusts it as a CA', async t => {
		const { pem, key } = await made(t, ['localhost', '127.0.0.1', '::1']);
		const server = tls.createServer({ cert: pem, key }, socket => socket.end('hello'));
		server.on('tlsClientError', () => {});
		t.after(() => server.close());
		await once(server.listen(0, '127.0.0.1'), 'listening');
		const connect = options => {
			const socket = tls.connect({ port: server.address().port, host: '127.0.0.1', ...options });
			t.after(() => socket.destroy());
			return once(socket, 'secureConnect');
		};
		await connect({ ca: pem });
		await connect({ ca: pem, servername: 'localhost' });
		await assert.rejects(connect({}), { code: 'SELF_SIGNED_CERT_IN_CHAIN' });
		await assert.rejects(connect({ ca: pem, servername: 'example.org' }), { code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
	});

	test('without names it has those of the host', async t => {
		const { x509 } = await made(t, []);
		const names = altNames(x509);
		assert.equal(new Set(names).size, names.length);
		assert(names.includes('DNS:localhost'));
		if (/^[a-z0-9-]*[a-z]$/.test(hostname()))
			assert(names.includes(`DNS:${hostname()}`));
		for (const { address, family } of Object.values(networkInterfaces()).flat())
			if (family === 'IPv4')
				assert(names.includes(`IP Address:${address}`), address);
			else
				assert.equal(x509.checkIP(address) !== undefined, !address.startsWith('fe80:'), address);
	});

	test('a name counts once, whatever its case or form', async t => {
		const { x509 } = await made(t, ['a.org', 'A.ORG', '::1', '0:0::1', '10.0.0.1', '10.0.0.1']);
		assert.deepEqual(altNames(x509), ['DNS:a.org', 'IP Address:0:0:0:0:0:0:0:1', 'IP Address:10.0.0.1']);
	});

	test('the common name is the first DNS name, if it may be that long', async t => {
		const long = `${'a'.repeat(60)}.org`, forty = `${'a'.repeat(36)}.org`;
		for (const [name, subject, issuer] of [
			['2001:db8:0:0::1', 'O=videre', /^CN=videre 2001:db8::1 [0-9a-f]{16}$/],
			['10.0.0.1', 'O=videre', /^CN=videre 10\.0\.0\.1 [0-9a-f]{16}$/],
			[forty, `CN=${forty}`, /^CN=videre a{36}\.org [0-9a-f]{16}$/],
			[`a${forty}`, `CN=a${forty}`, /^CN=videre [0-9a-f]{16}$/],
			[long, `CN=${long}`, /^CN=videre [0-9a-f]{16}$/],
			[`a${long}`, 'O=videre', /^CN=videre [0-9a-f]{16}$/]]) {
			const { x509, ca } = await made(t, [name]);
			assert.equal(x509.subject, subject);
			assert.match(x509.issuer, issuer);
			assert.equal(ca.subject, x509.issuer);
			assert.equal(ca.issuer, x509.issuer);
		}
	});

	test('the authority may sign servers only, and only with these names', async t => {
		const none = { DNS: 'DNS:', IPv4: 'IP:0.0.0.0/0.0.0.0', IPv6: 'IP:0:0:0:0:0:0:0:0/0:0:0:0:0:0:0:0' };
		const nowhere = ['email:invalid', 'URI:invalid'];
		const four = 'IP:192.0.2.1/255.255.255.255';
		const six = `IP:2001:DB8:0:0:0:0:0:1/${'FFFF:'.repeat(8).slice(0, -1)}`;
		for (const [names, permitted, excluded] of [
			[['a.org', '192.0.2.1', '2001:db8::1'], ['DNS:a.org', four, six], []],
			[['*.a.org', 'b'], ['DNS:a.org', 'DNS:b'], [none.IPv4, none.IPv6]],
			[['192.0.2.1', 'a.org'], [four, 'DNS:a.org'], [none.IPv6]],
			[['192.0.2.1'], [four], [none.DNS, none.IPv6]],
			[['2001:db8::1'], [six], [none.DNS, none.IPv4]]]) {
			const { run } = await made(t, names);
			const text = run('x509', '-in', 'ca.pem', '-noout', '-text');
			const lines = list => list.map(one => `\\s+${one}`).join('');
			for (const pattern of ['Version: 3', 'Basic Constraints: critical\\s+CA:TRUE, pathlen:0\n',
				'Extended Key Usage: \\s+TLS Web Server Authentication\n',
				'Key Usage: critical\\s+Certificate Sign, CRL Sign\n',
				`Name Constraints: critical\\s+Permitted:${lines([...permitted, ...nowhere])}` +
					`${excluded.length > 0 ? `\\s+Excluded:${lines(excluded)}` : ''}\\s+X509v3`])
				assert.match(text, new RegExp(pattern));
			const id = (file, kind) => run('x509', '-in', file, '-noout', '-ext', `${kind}KeyIdentifier`)
				.split('\n')[1].trim();
			assert.equal(id('leaf.pem', 'authority'), id('ca.pem', 'subject'));
			assert.equal(id('ca.pem', 'authority'), id('ca.pem', 'subject'));
			assert.notEqual(id('leaf.pem', 'subject'), id('ca.pem', 'subject'));
		}
	});

	test("the authority's key is not in the files", async t => {
		const { ca, x509, key } = await made(t, ['a.org']);
		assert(x509.checkPrivateKey(createPrivateKey(key)));
		assert(!ca.checkPrivateKey(createPrivateKey(key)));
		assert(x509.verify(ca.publicKey));
		assert(ca.verify(ca.publicKey));
		assert.equal(String(key).match(/BEGIN/g).length, 1);
	});

	test('32 names of the greatest length', async t => {
		const label = 'a'.repeat(63);
		const names = Array.from({ length: 32 }, (_, i) => `${label}.${label}.${label}.${'b'.repeat(59)}${i + 10}`);
		const ends = names.map(name => name.replace(/\d\d$/, n => String.fromCharCode(...[...n].map(c => c.charCodeAt(0) + 50))));
		assert(ends.every(name => name.length === 253));
		const { x509 } = await made(t, ends);
		assert.equal(altNames(x509).length, 32);
		/* The same in the authority: as many subtrees, and a report with all names. */
		assert.equal((await run(['-k', 'c', 'k', ...ends], { cwd: await scratch(t) })).stdout.split(/\s/)
			.filter(word => word.length === 253).length, 32);
		const { code, said, cwd } = await make(t, [...ends, 'one.more']);
		assert.equal(code, 1);
		assert.match(said, /more than 32 names/);
		assert.deepEqual(await readdir(cwd), []);
	});

	test('what is no name is refused, and nothing written', async t => {
		for (const name of ['', '.', 'a..b', '.a', 'a.', '-a', 'a-', 'a b', 'a_b', 'ä.org', 'a/b', '*', '*.', 'a.*', '**.a', '*a.b',
			'a:80', '[::1]', '1.2.3', '1.2.3.256', '::g', 'fe80::1%lo', 'https://a', '42', 'a\nb', '\x1b[31m',
			`${'a'.repeat(64)}.org`, `${'a.'.repeat(126)}ab`]) {
			const { code, said, cwd } = await make(t, ['good.org', name]);
			assert.equal(code, 1, name);
			assert.match(said, /^"[\x20-\x7e]*" is neither an IP address nor a DNS name/, name);
			assert.deepEqual(await readdir(cwd), []);
		}
	});

	test('825 days from yesterday', async t => {
		const now = Date.UTC(2031, 1, 28, 12, 0, 0) / 1000;
		const { x509, ca } = await made(t, ['a.org'], { env: { NOW: String(now) } });
		for (const one of [x509, ca]) {
			const from = Date.parse(one.validFrom) / 1000, to = Date.parse(one.validTo) / 1000;
			assert.equal(from, now - 86400);
			assert.equal(to - from + 1, 825 * 86400);
		}
	});

	test('with the clock unset it lasts whatever the time will be', async t => {
		for (const now of [-1, 0, 1, 86400, Date.UTC(2026, 9, 31, 23, 59, 59) / 1000]) {
			const { x509, run } = await made(t, ['a.org'], { env: { NOW: String(now) } });
			assert.equal(x509.validFrom, 'Jan  1 00:00:00 2019 GMT');
			assert.equal(x509.validTo, 'Dec 31 23:59:59 2049 GMT');
			assert.match(run('verify', '-CAfile', 'ca.pem', 'cert.pem'), /OK/);
		}
		const { x509 } = await made(t, ['a.org'], { env: { NOW: String(Date.UTC(2026, 10, 1) / 1000) } });
		assert.equal(x509.validFrom, 'Oct 31 00:00:00 2026 GMT');
	});

	test('years from 2050 on are written with four digits', async t => {
		const { x509, run } = await made(t, ['a.org'], { env: { NOW: String(Date.UTC(2048, 5, 1) / 1000) } });
		assert.equal(x509.validTo, 'Sep  2 23:59:59 2050 GMT');
		const types = run('asn1parse', '-in', 'cert.pem').match(/UTCTIME|GENERALIZEDTIME/g);
		assert.deepEqual(types, ['UTCTIME', 'GENERALIZEDTIME']);
	});

	test('the key is its owner\'s alone, whatever the umask', async t => {
		for (const mask of ['000', '077', '777']) {
			const cwd = await scratch(t);
			await execute('sh', ['-c', `umask ${mask}; exec "$0" make cert.pem key.pem a.org`, tool], { cwd });
			assert.equal((await stat(path.join(cwd, 'key.pem'))).mode & 0o777, 0o600);
			assert.equal((await stat(path.join(cwd, 'cert.pem'))).mode & 0o777, 0o644);
		}
	});

	test('two are never alike', async t => {
		const one = await made(t, ['a.org']), two = await made(t, ['a.org']);
		for (const which of ['x509', 'ca'])
			assert.notEqual(one[which].serialNumber, two[which].serialNumber);
		assert.notEqual(one.ca.subject, two.ca.subject);
		assert.notDeepEqual(one.key, two.key);
	});

	test('a file that exists stays as it is, and the other is not made', async t => {
		for (const existing of ['cert.pem', 'key.pem']) {
			const cwd = await scratch(t);
			await writeFile(path.join(cwd, existing), 'mine');
			const { code, said } = await make(t, ['a.org'], { cwd });
			assert.equal(code, 1);
			assert.equal(said, `${existing}: File exists`);
			assert.deepEqual(await readdir(cwd), [existing]);
			assert.equal(String(await readFile(path.join(cwd, existing))), 'mine');
		}
	});

	test('neither is left if one cannot be made', async t => {
		for (const [options, blamed] of [[{ cert: 'none/cert.pem' }, 'none/cert.pem'], [{ key: 'none/key.pem' }, 'none/key.pem'],
			[{ cert: 'same', key: 'same' }, 'same'], [{ cert: './same', key: 'same' }, './same']]) {
			const { code, said, cwd } = await make(t, ['a.org'], options);
			assert.equal(code, 1);
			assert(said.startsWith(`${blamed}: `), said);
			assert.deepEqual(await readdir(cwd), []);
		}
	});

	test('neither is left if the disk is full', async t => {
		const cwd = await scratch(t);
		/* A limit in place of the disk: the key fits, the certificate does not. */
		const command = 'trap "" XFSZ; ulimit -f 1; exec "$0" make cert.pem key.pem "$@"';
		const names = Array.from({ length: 32 }, (_, i) => `${'a'.repeat(60)}.${i}.org`);
		const { code, stdout } = await execute('sh', ['-c', command, tool, ...names], { cwd }).catch(error => error);
		assert.equal(code, 1);
		assert.match(stdout, /^cert.pem: File too large/);
		assert.deepEqual(await readdir(cwd), []);
	});
});
