/*
 * The script and the hooks of "Renewal" in doc/operations.md, as they stand there, with stand-ins for the ACME
 * clients that leave files as these do.  Only the directory /etc is another.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { chmod, copyFile, mkdir, readFile, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { pair } from './certificate.mjs';
import { scratch, serve, test } from './server.mjs';
import { shake } from './tls.mjs';

const operations = await readFile(new URL('../doc/operations.md', import.meta.url), 'utf8');
const passwd = await readFile('/etc/passwd', 'utf8');
const execute = promisify(execFile);

const root = process.getuid() === 0;
const group = root ? Number(/^nobody:[^:]*:\d+:(\d+):/m.exec(passwd)[1]) : process.getgid();

/* The blocks of code of the section, without their indentation. */
const section = /\n### Renewal\n([^]*?)\n##/.exec(operations)[1];
const blocks = section.match(/(?:\n(?: {4}.*)?)+/g).map(text => text.replaceAll(/^ {4}/gm, '').trim())
	.filter(text => text !== '').flatMap(text => text.split('\n\n'));

/* The one that is this file, or that begins so. */
const block = start => blocks.find(text => new RegExp(`^(#!.*\n# )?${start}`).test(text))
	?? assert.fail(`operations.md has no ${start}`);

/* A directory in place of /etc, with the script in it, and with programs that hooks find first. */
async function device(t) {
	const dir = await scratch(t);
	await chmod(dir, 0o755);
	const at = name => path.join(dir, name);
	const moved = text => text.replaceAll('/etc/', `${at('etc')}/`).replaceAll('chgrp videre', `chgrp ${group}`);
	const write = async (name, text, mode = 0o755) => {
		await mkdir(path.dirname(at(name)), { recursive: true });
		await rm(at(name), { force: true });
		await writeFile(at(name), text, { mode });
		await chmod(at(name), mode);
	};
	const install = (name, start = `(# )?/${name}`) => write(name, `${moved(block(start))}\n`);
	const env = { ...process.env, PATH: `${at('bin')}:${process.env.PATH}` };
	const sh = (script, more = {}) => execute('sh', ['-c', script], { env: { ...env, ...more }, cwd: dir });
	/* The server that pidof finds. */
	const runs = pid => write('bin/pidof', `#!/bin/sh\n[ "$1" = videre ] && ${pid ? `echo ${pid}` : 'false'}\n`);
	await runs();
	await install('etc/videre/deploy');
	return { at, moved, write, install, sh, runs };
}

/* Each leaves a pair as its client does, for a name, and calls what the client calls then. */
const clients = {
	async certbot({ at, write, sh, moved }, { cert, key }, name, serial) {
		const live = at(`etc/letsencrypt/live/${name}`), archive = at(`etc/letsencrypt/archive/${name}`);
		for (const dir of [live, archive])
			await mkdir(dir, { recursive: true, mode: 0o700 });
		for (const [from, to, mode] of [[cert, 'fullchain', 0o644], [key, 'privkey', 0o600]]) {
			await write(`etc/letsencrypt/archive/${name}/${to}${serial}.pem`, await readFile(from), mode);
			await rm(path.join(live, `${to}.pem`), { force: true });
			await symlink(`../../archive/${name}/${to}${serial}.pem`, path.join(live, `${to}.pem`));
		}
		for (const letters of ['live', 'archive'])
			await chmod(at(`etc/letsencrypt/${letters}`), 0o700);
		const hooks = at('etc/letsencrypt/renewal-hooks/deploy');
		if (serial === 1 && name === 'example.org') { /* the hook is new, and run by hand */
			await chmod(path.join(hooks, 'videre'), 0o644);
			await sh(moved(block('chmod \\+x /etc/letsencrypt/')));
			return;
		}
		for (const hook of await readdir(hooks))
			await sh(`"${hooks}/${hook}"`, { RENEWED_LINEAGE: live, RENEWED_DOMAINS: `${name} www.${name}` });
	},

	/* What --install-cert was told is remembered by name; each renewal does it again. */
	async 'acme.sh'({ at, write, sh, moved }, { cert, key }, name) {
		await write(`root/.acme.sh/${name}/fullchain.cer`, await readFile(cert), 0o644);
		await write(`root/.acme.sh/${name}/${name}.key`, await readFile(key), 0o600);
		await write('bin/acme.sh', `#!/bin/sh
			while [ $# -gt 0 ]; do
				case $1 in
				--install-cert) shift; continue ;;
				-d) domain=$2 ;;
				--fullchain-file) cert=$2 ;;
				--key-file) key=$2 ;;
				--reloadcmd) reload=$2 ;;
				*) exit 2 ;;
				esac
				shift 2
			done
			[ "$domain" = ${name} ] || exit 0
			cd "${at(`root/.acme.sh/${name}`)}" || exit
			[ -f "$key" ] || { touch "$key" && chmod 600 "$key"; }
			cat fullchain.cer >"$cert" && cat ${name}.key >"$key" && (eval "$reload")\n`);
		await sh(moved(block('acme\\.sh ')));
	},

	async 'OpenWrt'({ at, write, sh }, { cert, key }, name) {
		await mkdir(at('etc/ssl/acme'), { recursive: true });
		for (const [from, to, link, mode] of [[cert, 'fullchain.cer', 'fullchain.crt', 0o644], [key, `${name}.key`, 'key', 0o600]]) {
			await write(`etc/acme/${name}_ecc/${to}`, await readFile(from), mode);
			await rm(at(`etc/ssl/acme/${name}.${link}`), { force: true });
			await symlink(at(`etc/acme/${name}_ecc/${to}`), at(`etc/ssl/acme/${name}.${link}`));
		}
		await sh(`for script in ${at('etc/hotplug.d/acme')}/*; do ( [ -f $script ] && . $script ); done`,
			{ ACTION: 'renewed', main_domain: name });
	},
};

const hooks = {
	'certbot': 'etc/letsencrypt/renewal-hooks/deploy/videre',
	'OpenWrt': 'etc/hotplug.d/acme/50-videre',
};

/* The fingerprint of the certificate that a client is shown. */
async function shown(server) {
	const socket = await shake(server, { rejectUnauthorized: false });
	const { fingerprint256 } = socket.getPeerCertificate();
	socket.destroy();
	return fingerprint256;
}

const fingerprint = ({ ca }) => new X509Certificate(ca).fingerprint256;

for (const [name, renew] of Object.entries(clients))
	test(`what ${name} renews is served, by the hook in operations.md`, async t => {
		const etc = await device(t);
		if (hooks[name])
			await etc.install(hooks[name]);
		const [first, second, third] = [await pair('P-256', 'first'), await pair('P-384', 'second'), await pair('P-256', 'third')];
		/* No server runs yet. */
		await renew(etc, first, 'example.org', 1);
		const file = etc.at('etc/videre/tls.pem');
		const server = await serve(t, {
			tls: { cert: file, key: file, ca: first.ca },
			conf: root ? { User: 'nobody' } : {},
			env: { ASAN_OPTIONS: 'detect_leaks=0' }, /* see the tests of User */
		});
		await etc.runs(server.pid);
		assert.equal(await shown(server), fingerprint(first));
		for (const [i, next] of [second, third].entries()) {
			const from = server.lines.all.length;
			await renew(etc, next, 'example.org', i + 2);
			await server.lines.match(/ info - certificate loaded$/, from);
			assert.equal(await shown(server), fingerprint(next));
			const { mode, uid, gid } = await stat(file);
			assert.deepEqual([mode & 0o7777, uid, gid], [0o640, process.getuid(), group]);
		}
		/* Another name's certificate is not the server's. */
		const before = await readFile(file, 'utf8'), { ino } = await stat(file);
		await renew(etc, second, 'example.net', 1);
		assert.equal(await readFile(file, 'utf8'), before);
		assert.equal((await stat(file)).ino, ino);
		assert.deepEqual((await readdir(etc.at('etc/videre'))).filter(entry => !/^(deploy|tls\.pem|acme\.(crt|key))$/.test(entry)), []);
	});

test('what cannot be copied leaves the file as it is', async t => {
	const etc = await device(t), { cert, key } = await pair('P-256', 'first');
	const deploy = async (...files) => etc.sh(`"${etc.at('etc/videre/deploy')}" ${files.join(' ')}`);
	await deploy(cert, key);
	const before = await readFile(etc.at('etc/videre/tls.pem'), 'utf8');
	await copyFile(cert, etc.at('other.crt'));
	await assert.rejects(deploy(etc.at('other.crt'), etc.at('nothing.key')));
	assert.equal(await readFile(etc.at('etc/videre/tls.pem'), 'utf8'), before);
});
