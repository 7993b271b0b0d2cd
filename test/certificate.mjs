/* Keys and certificates that openssl makes, in a directory that is removed when the process exits. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

const execute = promisify(execFile);
let directory;

/* The path of a file in that directory. */
export function inDirectory(name) {
	if (directory === undefined) {
		directory = mkdtempSync(path.join(tmpdir(), 'videre-tls-'));
		process.on('exit', () => rmSync(directory, { recursive: true, force: true }));
	}
	return path.join(directory, name);
}

/* Runs openssl, which must succeed.  Returns its output. */
export async function openssl(...args) {
	const { stdout } = await execute('openssl', args);
	return stdout;
}

const ec = curve => ['-newkey', 'ec', '-pkeyopt', `ec_paramgen_curve:${curve}`];

/* The options of openssl for each kind of key. */
const kinds = {
	'RSA 2048': ['-newkey', 'rsa:2048'],
	'RSA 4096': ['-newkey', 'rsa:4096'],
	'P-256': ec('P-256'),
	'P-384': ec('P-384'),
	'P-521': ec('P-521'),
	'Ed25519': ['-newkey', 'ed25519'],
	'secp256k1': ec('secp256k1'),
};

const NAMES = 'subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1';
const pairs = new Map();

async function make(kind, name, names) {
	const base = name.replace(/\W+/g, '-');
	const cert = inDirectory(`${base}.crt`), key = inDirectory(`${base}.key`);
	await openssl('req', '-x509', '-nodes', ...kinds[kind], '-days', '90', '-keyout', key,
		'-subj', `/CN=${name}`, '-addext', names, '-out', cert);
	return { name, cert, key, ca: await readFile(cert, 'utf8') };
}

/*
 * A self-signed certificate and its key: the files `cert` and `key`, and `ca`, the PEM text that a client
 * trusts.  Each name is made once.  `names` is the subjectAltName.
 */
export function pair(kind, name = kind, names = NAMES) {
	if (!pairs.has(name))
		pairs.set(name, make(kind, name, names));
	return pairs.get(name);
}

/* A certificate, the intermediate one that signed it (PEM in `texts`), and the root that signed that (`ca`). */
export async function chain(kind, name) {
	const root = await pair(kind, `${name} root`);
	const base = name.replace(/\W+/g, '-');
	const file = suffix => inDirectory(`${base}${suffix}`);
	const sign = async (issuer, suffix, extension) => {
		await openssl('req', '-x509', '-nodes', ...kinds[kind], '-days', '90',
			'-CA', issuer.cert, '-CAkey', issuer.key, '-subj', `/CN=${name}${suffix}`,
			'-addext', extension, '-keyout', file(`${suffix}.key`), '-out', file(`${suffix}.crt`));
		return { cert: file(`${suffix}.crt`), key: file(`${suffix}.key`) };
	};
	const middle = await sign(root, '-ca', 'keyUsage=keyCertSign');
	const leaf = await sign(middle, '-leaf', NAMES);
	const texts = await Promise.all([leaf.cert, middle.cert].map(one => readFile(one, 'utf8')));
	return { name, texts, key: leaf.key, ca: root.ca };
}

const DAY = 86400, LASTS = 825 * DAY; /* seconds */

/*
 * Makes in a directory the files `cert` and `key` of a certificate that expires after so many days and a half,
 * which stay as many during a test; of a negative number, it expired so many days and a half ago.  Returns also
 * its first and last second, `pem` of the certificate, and `ca`, with its authority, which has the same dates.
 */
export async function dated(dir, days) {
	const at = name => path.join(dir, name);
	const end = Math.floor(Date.now() / 1000) + (days + Math.sign(days) / 2) * DAY, start = end + 1 - LASTS;
	const utc = time => new Date(time * 1000).toISOString().replace(/[-:T]|\.\d+/g, '');
	const openssl = (...args) => execute('openssl', args, { cwd: dir });
	await writeFile(at('db'), '');
	await writeFile(at('conf'), `[ca]
default_ca = it
[it]
database = db
new_certs_dir = .
default_md = sha256
policy = names
rand_serial = yes
unique_subject = no
copy_extensions = copy
[names]
commonName = supplied
`);
	const make = async (name, extension, ...signer) => {
		await openssl('req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes',
			'-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`, '-addext', extension);
		await openssl('ca', '-batch', '-notext', '-config', 'conf', '-in', `${name}.csr`, '-out', `${name}.crt`,
			'-startdate', utc(start), '-enddate', utc(end), ...signer);
		return readFile(at(`${name}.crt`), 'utf8');
	};
	const authority = await make('authority', 'basicConstraints=critical,CA:TRUE', '-selfsign', '-keyfile', 'authority.key');
	const pem = await make('server', 'subjectAltName=DNS:localhost,IP:127.0.0.1', '-cert', 'authority.crt',
		'-keyfile', 'authority.key');
	return { cert: at('server.crt'), key: at('server.key'), start, end, pem, ca: pem + authority };
}
