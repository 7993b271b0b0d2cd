/* The certificate in use: what is said of its dates, when, and what is counted. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { chmod, chown, copyFile, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe } from 'node:test';
import * as certificates from './certificate.mjs';
import { serveFaulty } from './faults.mjs';
import { run, scratch, serve, test } from './server.mjs';
import { ask } from './sockjs.mjs';
import { shake } from './tls.mjs';

const DAY = 86400; /* seconds */
const clock = () => Math.floor(Date.now() / 1000);
const iso = time => new Date(time * 1000).toISOString().slice(0, 10);

/* A certificate that expires after so many days and a half. */
async function dated(t, days) {
	const one = await certificates.dated(await scratch(t), days);
	return { ...one, date: iso(one.end) };
}

/* A line of the log that names this file. */
const warning = (text, cert) => new RegExp(` warn - ${text} \\(Cert ${cert}\\)$`);

/* Names what -n prints on stderr, without the times. */
async function checked(t, { cert, key }, conf = {}, env = {}) {
	const cwd = await scratch(t);
	await writeFile(path.join(cwd, 'conf.json'), JSON.stringify({ TLS: true, Cert: cert, Key: key, Log: '', ...conf }));
	const { code, stdout, stderr } = await run(['-n'], { cwd, env });
	assert.equal(code, 0);
	assert.equal(stdout, 'the configuration is valid: conf.json');
	return stderr.split('\n').filter(line => line !== '').map(line => line.replace(/^\S+Z /, ''));
}

/* The certificate that a client is shown. */
async function served(server) {
	const socket = await shake(server, { rejectUnauthorized: false });
	const { raw } = socket.getPeerCertificate();
	socket.destroy();
	return new X509Certificate(raw).toString();
}

async function hup(server) {
	const from = server.lines.all.length;
	server.signal('SIGHUP');
	await server.lines.match(/ info - log reopened/, from);
	await server.counters();
	return server.lines.all.slice(from).filter(line => / warn /.test(line));
}

describe('dates are named by -n, at start and at SIGHUP:', () => {
	const cases = {
		'expires in 29 days': one => `certificate expires in 29 days: ${one.date}`,
		'expires in 6 days': one => `certificate expires in 6 days: ${one.date}`,
		'expires in 1 day': one => `certificate expires in 1 day: ${one.date}`,
		'expired 3 days ago': one => `certificate expired 3 days ago: ${one.date}`,
		'not valid before': one =>
			`certificate not valid before ${iso(one.start)}, 4 days from now`,
	};
	const days = [29, 6, 1, -3, 825 + 4];
	for (const [i, [what, line]] of Object.entries(cases).entries())
		test(what, async t => {
			const one = await dated(t, days[i]);
			assert.deepEqual(await checked(t, one), [`warn - ${line(one)} (Cert ${one.cert})`]);
			const pattern = warning(line(one), one.cert);
			const server = await serve(t, { tls: one, expect: [pattern] });
			assert.equal(server.lines.all.filter(said => pattern.test(said)).length, 1);
			assert.match((await hup(server)).join(), pattern);
			assert.equal(await served(server), one.pem, 'it is served all the same');
		});

	test('nothing, of a certificate that is valid for longer', async t => {
		for (const left of [30, 200]) {
			const one = await dated(t, left);
			assert.deepEqual(await checked(t, one), []);
			assert.deepEqual(await hup(await serve(t, { tls: one })), []);
		}
	});

	test('the leaf first, then an intermediate, as such', async t => {
		const [leaf, middle] = [await dated(t, 20), await dated(t, 5)];
		await writeFile(leaf.cert, leaf.pem + middle.pem);
		assert.deepEqual(await checked(t, leaf), [
			`warn - certificate expires in 20 days: ${leaf.date} (Cert ${leaf.cert})`,
			`warn - intermediate certificate 1 expires in 5 days: ${middle.date} (Cert ${leaf.cert})`,
		]);
	});

	test('an authority with the same dates is not named', async t => {
		const one = await dated(t, 6);
		await writeFile(one.cert, one.ca);
		assert.deepEqual(await checked(t, one),
			[`warn - certificate expires in 6 days: ${one.date} (Cert ${one.cert})`]);
	});

	test('an intermediate alone', async t => {
		const [leaf, good, middle] = [await dated(t, 200), await dated(t, 100), await dated(t, -2)];
		await writeFile(leaf.cert, leaf.pem + middle.pem + good.pem);
		const line = `intermediate certificate 1 expired 2 days ago: ${middle.date}`;
		assert.deepEqual(await checked(t, leaf), [`warn - ${line} (Cert ${leaf.cert})`]);
		const server = await serve(t, { tls: leaf, expect: [warning(line, leaf.cert)] });
		assert.equal((await metrics(server)).not_after_seconds, middle.end);
	});
});

describe('dates are checked while the server runs:', () => {
	const about = server => server.lines.all.filter(line => / warn /.test(line))
		.map(line => / certificate (.*): /.exec(line)?.[1] ?? line);

	/* Moves both clocks, and has the loop wake up. */
	const move = ({ server, set }) => async (days, more = {}) => {
		const seconds = Math.round(days * DAY);
		await set({ realtime: seconds, monotonic: seconds, ...more });
		await server.counters();
		await server.counters();
		return about(server);
	};

	test('once a day from 30 days before the end', async t => {
		const one = await dated(t, 31);
		const faulty = await serveFaulty(t, { tls: one, allow: [/ warn - certificate expire/] });
		const at = move(faulty);
		assert.deepEqual(await at(0), []);
		assert.deepEqual(await at(1), []);
		const said = ['expires in 29 days'];
		assert.deepEqual(await at(2), said);
		for (const hours of [1, 2, 5, 10])
			assert.deepEqual(await at(2 + hours / 24), said, 'once');
		said.push('expires in 28 days');
		assert.deepEqual(await at(3), said);
		said.push('expires in less than a day');
		assert.deepEqual(await at(31), said);
		said.push('expired less than a day ago');
		assert.deepEqual(await at(31 + 13 / 24), said, 'within an hour');
		said.push('expired 1 day ago');
		assert.deepEqual(await at(33), said);
	});

	test('by a server that nobody uses, within an hour', async t => {
		const one = await dated(t, 30);
		const { server, set } = await serveFaulty(t, {
			tls: one, expect: [/ warn - certificate expires in 28 days/], at: { wait: 20 },
		});
		await set({ realtime: 2 * DAY, monotonic: 2 * DAY, wait: 20 });
		await server.lines.match(/ certificate expires in 28 days/);
	});

	test('only once the clock is set', async t => {
		const one = await dated(t, 6);
		const unset = -clock() + 1000;
		const faulty = await serveFaulty(t, {
			tls: one, expect: [/ warn - certificate expires in 6 days/], at: { realtime: unset },
		});
		await hup(faulty.server);
		assert.deepEqual(about(faulty.server), []);
		await faulty.set({ realtime: unset, monotonic: 3601 });
		await faulty.server.counters();
		assert.deepEqual(about(faulty.server), []);
		await faulty.set({ monotonic: 7202 });
		await faulty.server.counters();
		await faulty.server.counters();
		assert.deepEqual(about(faulty.server), ['expires in 6 days']);
	});
});

/* The metrics of the certificate, by the rest of their names. */
async function metrics(server) {
	const { body } = await ask(server, '/metrics');
	return Object.fromEntries([...body.matchAll(/^videre_certificate_(\S+) (\d+)$/gm)]
		.map(([, name, value]) => [name, Number(value)]));
}

describe('metrics', () => {
	test('name the end of the chain, and count what was loaded and what was not', async t => {
		const dir = await scratch(t);
		const [one, two] = [await dated(t, 100), await dated(t, 200)];
		const tls = { cert: path.join(dir, 'cert.pem'), key: path.join(dir, 'key.pem'), ca: one.ca };
		const put = files => Promise.all(['cert', 'key'].map(which => copyFile(files[which], tls[which])));
		await put(one);
		const server = await serve(t, { tls, expect: [/ warn - certificate not loaded/] });
		const has = async expected => assert.deepEqual(await metrics(server), expected);
		await has({ not_after_seconds: one.end, reloads_total: 0, reload_failures_total: 0 });
		await writeFile(tls.key, '');
		await hup(server);
		await has({ not_after_seconds: one.end, reloads_total: 0, reload_failures_total: 1 });
		await put(two);
		await hup(server);
		server.tls.ca = two.ca;
		await has({ not_after_seconds: two.end, reloads_total: 1, reload_failures_total: 1 });
	});

	test('are there with TLS only', async t => {
		const server = await serve(t, { conf: { TLS: false } });
		assert.deepEqual(await metrics(Object.assign(server, { tls: undefined })), {});
		assert.deepEqual(Object.keys(await server.counters()).filter(name => /^cert/.test(name)), []);
	});
});

const passwd = await readFile('/etc/passwd', 'utf8');

describe('files that User cannot read at SIGHUP', () => {
	const asRoot = (name, body) => test(name, t => process.getuid() === 0 ? body(t) : t.skip('needs root'));
	/* The leak checker cannot look into a process that has changed its user. */
	const env = { ASAN_OPTIONS: 'detect_leaks=0' };

	/* Copies of a pair in a directory that every user may enter. */
	async function files(t) {
		const dir = await scratch(t), one = await dated(t, 100);
		const [cert, key] = ['cert.pem', 'key.pem'].map(name => path.join(dir, name));
		await chmod(dir, 0o755);
		for (const [from, to, mode] of [[one.cert, cert, 0o644], [one.key, key, 0o640]]) {
			await copyFile(from, to);
			await chmod(to, mode);
			await chown(to, 0, 0);
		}
		return { ...one, cert, key, dir };
	}

	/* The group of nobody; sandbox.test.mjs has a user of several groups. */
	const [, group] = /^nobody:[^:]*:\d+:(\d+):/m.exec(passwd);

	const unreadable = (file, which, why = 'Permission denied') => `SIGHUP will not be able to read ${file} ` +
		`\\(${which}\\) as nobody: ${why}; chgrp and chmod 640 it for a group of User, or let the deploy hook copy it`;

	/* -n and the start warn of these, and only these. The server serves all the same. */
	async function warns(t, tls, lines, conf = {}) {
		const patterns = lines.map(line => new RegExp(` ?warn - ${line}$`));
		const said = await checked(t, tls, { User: 'nobody', ...conf }, env);
		assert.equal(said.length, patterns.length, said.join('\n'));
		said.forEach((line, i) => assert.match(line, patterns[i]));
		const server = await serve(t, { tls, env, conf: { User: 'nobody', ...conf }, expect: patterns });
		assert.equal(server.lines.all.filter(line => / warn /.test(line)).length, lines.length);
		assert.equal(await served(server), tls.pem);
		return server;
	}

	asRoot('a key of root alone is named, and is then not loaded', async t => {
		const tls = await files(t);
		for (const mode of [0o600, 0o640]) {
			await chmod(tls.key, mode);
			const server = await warns(t, tls, [unreadable(tls.key, 'Key')]);
			server.allowed.push(/ warn - certificate not loaded/);
			assert.match((await hup(server)).join(), /not loaded.*key\.pem: Permission denied/);
		}
	});

	asRoot('a file of secrets of root alone is named', async t => {
		const tls = await files(t), Tokens = path.join(tls.dir, 'secrets');
		await chmod(tls.key, 0o640);
		await chown(tls.key, 0, Number(group));
		await writeFile(Tokens, 'x'.repeat(32), { mode: 0o600 });
		const server = await warns(t, tls, [unreadable(Tokens, 'Tokens')], { Tokens });
		server.allowed.push(/ warn - file of Tokens not loaded/);
		assert.match((await hup(server)).join(), new RegExp(`previous one stays in use: ${Tokens}: Permission denied$`));
	});

	asRoot('a key of a group of User is not, and is loaded', async t => {
		const tls = await files(t);
		await chown(tls.key, 0, Number(group));
		const server = await warns(t, tls, []);
		assert.deepEqual(await hup(server), []);
		assert.equal((await metrics(server)).reloads_total, 1);
	});

	asRoot('a certificate is named as well, and both files in a directory of root', async t => {
		const tls = await files(t);
		await chown(tls.key, 0, Number(group));
		await chmod(tls.cert, 0o600);
		await warns(t, tls, [unreadable(tls.cert, 'Cert')]);
		await chmod(tls.cert, 0o644);
		await chmod(tls.dir, 0o700);
		await warns(t, tls, [unreadable(tls.cert, 'Cert'), unreadable(tls.key, 'Key')]);
	});

	asRoot('one file with both is named once', async t => {
		const tls = await files(t);
		await writeFile(tls.key, tls.pem, { flag: 'a' });
		await warns(t, { ...tls, cert: tls.key }, [unreadable(tls.key, 'Key')]);
	});

	asRoot('nothing is named if root stays root', async t => {
		const tls = await files(t);
		await chmod(tls.key, 0o600);
		for (const User of ['', 'root'])
			await warns(t, tls, [], { User });
	});
});
