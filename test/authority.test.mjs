/* The authority of `videre -k`: what clients trust that install it, what they refuse, and /ca.crt. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe } from 'node:test';
import { promisify } from 'node:util';
import { chromium } from 'playwright-core';
import puppeteer from 'puppeteer-core';
import { chain, openssl, pair } from './certificate.mjs';
import { Raw, request } from './client.mjs';
import { installInChromium, installInFirefox } from './installed.mjs';
import { emptied, run, scratch, serve, test } from './server.mjs';

const execute = promisify(execFile);
const certificates = async file => (await readFile(file, 'utf8')).match(/-----BEGIN[^]*?-----END.*\n/g);

/* Makes a pair with `videre -k` in a directory.  `ca` is the authority's PEM text and `caFile` its file. */
async function makeIn(dir, ...names) {
	const [cert, key, caFile] = ['cert.pem', 'key.pem', 'ca.pem'].map(name => path.join(dir, name));
	const { code, stdout, stderr } = await run(['-k', cert, key, ...names]);
	assert.equal(code, 0, stderr);
	const [leaf, ca, ...rest] = await certificates(cert);
	assert.deepEqual(rest, []);
	await writeFile(caFile, ca);
	return { dir, cert, key, ca, caFile, leaf, stdout };
}

const made = async (t, ...names) => makeIn(await scratch(t), ...names);

const P256 = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '90'];

/*
 * An authority with the constraints of another one, whose key was kept, and a server's certificate
 * for another name that it has signed.  `more` are further names, such as "email:a@example.org".
 */
async function impostor({ dir, caFile }, name, ...more) {
	const dump = await openssl('asn1parse', '-in', caFile);
	const [, constraints] = /:X509v3 Name Constraints\n.*BOOLEAN.*\n.*\[HEX DUMP\]:([0-9A-F]+)\n/.exec(dump);
	const file = suffix => path.join(dir, `impostor-${name}${suffix}`);
	await openssl('req', '-x509', ...P256, '-subj', `/CN=${path.basename(dir)} constrained for ${name}`, '-keyout', file('-ca.key'),
		'-out', file('-ca.pem'), '-addext', 'basicConstraints=critical,CA:true,pathlen:0',
		'-addext', 'keyUsage=critical,keyCertSign,cRLSign',
		'-addext', `nameConstraints=critical,DER:${constraints}`);
	await openssl('req', '-x509', ...P256, '-subj', '/O=a server', '-keyout', file('.key'),
		'-CA', file('-ca.pem'), '-CAkey', file('-ca.key'), '-out', file('.pem'),
		'-addext', 'basicConstraints=critical,CA:false', '-addext', 'extendedKeyUsage=serverAuth',
		'-addext', 'keyUsage=critical,digitalSignature',
		'-addext', `subjectAltName=${[`${/^[\d.]+$/.test(name) ? 'IP' : 'DNS'}:${name}`, ...more]}`);
	await writeFile(file('-chain.pem'), Buffer.concat(await Promise.all(
		[file('.pem'), file('-ca.pem')].map(one => readFile(one)))));
	return { dir, cert: file('-chain.pem'), key: file('.key'), caFile: file('-ca.pem') };
}

/* Runs a client until it exits.  Returns its status and its output. */
const client = async (command, args, options = {}) => {
	const running = execute(command, args, { timeout: 50_000, ...options });
	running.child.stdin.on('error', () => {});
	running.child.stdin.end(options.input ?? '');
	return running.then(({ stdout }) => ({ code: 0, stdout }),
		({ code, stdout, stderr }) => ({ code, stdout, stderr }));
};

const GREETING = /Welcome to SockJS!/;
const asked = request('/echo', { Connection: 'close' });
const served = async running => GREETING.test((await running).stdout);

const PYTHON = `
import socket, ssl, sys
host, port, ca = sys.argv[1:]
tls = ssl.create_default_context(cafile=ca).wrap_socket(
    socket.create_connection((host, int(port))), server_hostname=host)
tls.sendall(sys.stdin.read().encode())
while data := tls.recv(4096):
    print(data.decode())
`;

const launchChromium = async (dir, caFiles) => chromium.launch(await installInChromium(dir, ...caFiles));

const launchFirefox = async (dir, caFiles) => puppeteer.launch(await installInFirefox(dir, ...caFiles));

/* The error of a browser for a certificate that it does not trust. */
const UNTRUSTED = /net::ERR_CERT_|SEC_ERROR_CERT_NOT_IN_NAME_SPACE/;

/* Visits the server in a new page of a browser. */
async function visits(browser, target) {
	const page = await browser.newPage();
	try {
		const answer = await page.goto(target).catch(({ message }) => message);
		if (typeof answer !== 'string')
			return GREETING.test(await page.evaluate(() => document.body.textContent));
		assert.match(answer, UNTRUSTED);
		return false;
	} finally {
		await page.close();
	}
}

const isAddress = host => /^[\d.]+$/.test(host);
const url = ({ port }, host) => `https://${host}:${port}/echo`;

/* Does a client that trusts only this authority get an answer from the server under that name? */
const clients = {
	OpenSSL: ({ port }, host, { caFile }) => served(client('openssl', ['s_client', '-connect', `${host}:${port}`,
		'-CAfile', caFile, '-no-CApath', '-x509_strict', '-purpose', 'sslserver', '-verify_return_error',
		isAddress(host) ? '-verify_ip' : '-verify_hostname', host, '-ign_eof', '-quiet'], { input: asked })),
	GnuTLS: ({ port }, host, { caFile }) => served(client('gnutls-cli', [`--x509cafile=${caFile}`,
		`--port=${port}`, host], { input: asked })),
	curl: (server, host, { caFile }) => served(client('curl', ['--silent', '--cacert', caFile,
		'--capath', '/dev/null', url(server, host)])),
	Python: ({ port }, host, { caFile }) => served(client('python3', ['-c', PYTHON, host, port, caFile],
		{ input: asked })),
	Chromium: (server, host) => visits(browsers.Chromium, url(server, host)),
	Firefox: (server, host) => visits(browsers.Firefox, url(server, host)),
};

/* Names of certificates: hosts that they are valid for, and hosts that they are not. */
const kinds = {
	'names and addresses': [['localhost', '127.0.0.1', '::1'], ['localhost', '127.0.0.1'], []],
	'names only': [['localhost', '*.example.lan'], ['localhost'], ['127.0.0.1']],
	'addresses only': [['127.0.0.1', '::1'], ['127.0.0.1'], ['localhost']],
	'other names and addresses': [['example.lan', '192.0.2.1'], [], ['localhost', '127.0.0.1']],
};

/* Of each kind: its pair, and an impostor's pair for each host. */
const pairs = {};
/* Each browser trusts all authorities of `pairs`.  None of these has signed a certificate of another one. */
const browsers = {};
let directory;

before(async () => {
	directory = await mkdtemp(path.join(tmpdir(), 'videre-authority-'));
	const subdirectory = async name => {
		await mkdir(path.join(directory, name));
		return path.join(directory, name);
	};
	const caFiles = [];
	for (const [i, [kind, [names, good, bad]]] of Object.entries(kinds).entries()) {
		const own = await makeIn(await subdirectory(`kind-${i}`), ...names);
		const impostors = {};
		for (const host of [...good.slice(0, 1), ...bad])
			impostors[host] = await impostor(own, host);
		pairs[kind] = { own, impostors };
		caFiles.push(own.caFile, ...Object.values(impostors).map(({ caFile }) => caFile));
	}
	for (const [name, launch] of Object.entries({ Chromium: launchChromium, Firefox: launchFirefox }))
		browsers[name] = await launch(await subdirectory(name), caFiles);
});

after(async () => {
	for (const browser of Object.values(browsers))
		await browser.close();
	if (directory !== undefined)
		await rm(directory, { recursive: true });
});

describe('an authority that is installed', { concurrency: 2 }, () => {
	for (const [name, trusts] of Object.entries(clients))
		describe(`in ${name}`, { concurrency: 1 }, () => {
			for (const [kind, [, good, bad]] of Object.entries(kinds))
				test(`for ${kind}, vouches for these and for no other`, async t => {
					const { own, impostors } = pairs[kind];
					for (const host of good)
						assert(await trusts(await serve(t, { tls: own }), host, own), `${host} is trusted`);
					for (const host of bad) {
						const forged = impostors[host];
						assert(!await trusts(await serve(t, { tls: forged }), host, forged), `${host} is refused`);
					}
					/* Those are refused because of the constraints only. */
					for (const host of good.slice(0, 1)) {
						const permitted = impostors[host];
						assert(await trusts(await serve(t, { tls: permitted }), host, permitted),
							`${host} is permitted`);
					}
				});
		});
});

describe('an authority', () => {
	const purposes = async (...args) => [...(await openssl('x509', '-noout', '-purpose', ...args))
		.matchAll(/^(.*) CA : Yes/gm)].map(([, name]) => name);

	test('vouches for servers only', async t => {
		const { caFile } = await made(t, 'localhost');
		const found = await purposes('-in', caFile);
		assert(found.includes('SSL server'));
		for (const other of ['SSL client', 'S/MIME signing', 'S/MIME encryption'])
			assert(!found.includes(other), other);
	});

	/* GnuTLS 3.7 does not apply constraints on URIs. */
	const verifiers = {
		OpenSSL: [({ cert, caFile }) => client('openssl', ['verify', '-x509_strict', '-CAfile', caFile, cert]),
			['email:a@localhost', 'email:a@example.org', 'URI:https://localhost/', 'URI:https://example.org/']],
		GnuTLS: [({ cert, caFile }) => client('certtool', ['--verify', '--verify-profile=low',
			`--load-ca-certificate=${caFile}`, `--infile=${cert}`]),
		['email:a@localhost', 'email:a@example.org']],
	};
	for (const [name, [verify, others]] of Object.entries(verifiers))
		test(`vouches in ${name} for nothing but host names and addresses`, async t => {
			const tls = await made(t, 'localhost');
			assert.equal((await verify(await impostor(tls, 'localhost'))).code, 0);
			for (const other of others)
				assert.notEqual((await verify(await impostor(tls, 'localhost', other))).code, 0, other);
		});
});

describe('/ca.crt', () => {
	const ask = async (server, target = '/ca.crt', options = {}) => {
		const raw = await Raw.connect(server);
		raw.write(request(target, { Connection: 'close', ...options }));
		const answer = await raw.response({ bytes: true, bodiless: options.method === 'HEAD' });
		raw.destroy();
		return answer;
	};
	const LINK = '<./ca.crt>; rel="up"';

	test('is the authority of the chain, which the page links to', async t => {
		const tls = await made(t, 'localhost', '127.0.0.1');
		const server = await serve(t, { tls });
		const { status, headers, body } = await ask(server);
		assert.equal(status, 200);
		assert.equal(headers['content-type'], 'application/x-x509-ca-cert');
		assert.deepEqual(body, new X509Certificate(tls.ca).raw);
		const head = await ask(server, '/ca.crt', { method: 'HEAD' });
		assert.deepEqual([head.status, head.headers['content-length']], [200, `${body.length}`]);
		const post = await ask(server, '/ca.crt', { method: 'POST' });
		assert.deepEqual([post.status, post.headers.allow], [405, 'GET, HEAD, OPTIONS']);
		assert((await ask(server, '/', { method: 'HEAD' })).headers.link.includes(LINK));
		await emptied(server);
	});

	test('is there without the page', async t => {
		const tls = await made(t, 'localhost', '127.0.0.1');
		assert.equal((await ask(await serve(t, { tls, conf: { Page: false } }))).status, 200);
	});

	test('is not there without TLS, or if the chain has no authority', async t => {
		const { texts, key, ca } = await chain('P-256', 'without a root');
		const dir = await scratch(t), cert = path.join(dir, 'chain.pem'), twice = path.join(dir, 'twice.pem');
		const alone = await pair('P-256');
		const own = await made(t, 'localhost', '127.0.0.1');
		const leaf = path.join(dir, 'leaf.pem');
		await writeFile(cert, texts.join(''));
		await writeFile(twice, alone.ca + alone.ca); /* its own issuer, and a CA */
		await writeFile(leaf, own.leaf);
		for (const tls of [undefined, { cert, key, ca }, alone, { ...alone, cert: twice },
			{ ...own, cert: leaf }]) {
			const server = await serve(t, { tls });
			assert.equal((await ask(server)).status, 404);
			assert(!(await ask(server, '/', { method: 'HEAD' })).headers.link.includes('ca.crt'));
		}
	});

	test('is what SIGHUP has loaded', async t => {
		const [first, second] = [await made(t, 'localhost', '127.0.0.1'), await made(t, 'localhost', '127.0.0.1')];
		const tls = { ...first, ca: [first.ca, second.ca] };
		const server = await serve(t, { tls });
		await copyFile(second.cert, first.cert);
		await copyFile(second.key, first.key);
		server.signal('SIGHUP');
		await server.lines.match(/ info - certificate loaded$/);
		assert.deepEqual((await ask(server)).body, new X509Certificate(second.ca).raw);
	});

	test('is offered by the page, only where it is there', async t => {
		const tls = await made(t, 'localhost', '127.0.0.1');
		for (const [options, visible] of [[{ tls }, true], [{ tls: await pair('P-256') }, false]]) {
			const server = await serve(t, options);
			const page = await browsers.Chromium.newPage({ ignoreHTTPSErrors: true });
			t.after(() => page.close());
			const answered = page.waitForResponse(response => response.request().method() === 'HEAD');
			await page.goto(`https://127.0.0.1:${server.port}/`);
			await answered;
			const link = page.getByRole('link', { name: 'Trust this server' });
			if (visible)
				await link.waitFor();
			await page.evaluate('0'); /* after the response was handled */
			assert.equal(await link.isVisible(), visible);
			if (visible) {
				const download = page.waitForEvent('download');
				await link.click();
				assert.deepEqual(await readFile(await (await download).path()), new X509Certificate(tls.ca).raw);
			}
		}
	});
});
