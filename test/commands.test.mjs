/*
 * The blocks of code of README and doc/, run in their order: from a copy of the tree to a call between two tabs,
 * HTTPS, tokens and TURN.  What a document says is printed must be printed.  Servers listen on their usual port, in a
 * network namespace that has only loopback.
 */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { copyFile, mkdir, readFile, readdir, stat, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before } from 'node:test';
import { promisify } from 'node:util';
import vm from 'node:vm';
import { chromium } from 'playwright-core';
import { slowCameraOptions } from './chromium.mjs';
import { open, packet } from './client.mjs';
import { blocksOf, documents, read, root } from './documents.mjs';
import { environment } from './make.mjs';
import { alone, join, says, until, useSmallPictures } from './pages.mjs';
import { Lines, bounded, built, scratch, serve, test } from './server.mjs';

const execute = promisify(execFile);

const blocks = Object.fromEntries(await Promise.all(documents
	.map(async name => [name, blocksOf(await read(name)).map(text => ({ text }))])));

/* Takes the next block of a document that begins so and is not taken yet; a reason says why no test here runs it. */
function take(name, start, reason) {
	const block = blocks[name].find(({ text, taken }) => !taken && text.startsWith(start))
		?? assert.fail(`${name} has no block that begins with ${start}`);
	block.taken = true;
	if (!reason)
		return block.text;
}

const README = {
	build: take('README.md', './deps.sh\nmake run').split('\n'),
	check: take('README.md', 'curl http'),
	printed: take('README.md', 'ok\n'),
	page: take('README.md', '<script'),
	certify: take('README.md', './videre -k'),
	secure: take('README.md', '"TLS"'),
	checkSecure: take('README.md', 'curl --cacert'),
	tokens: take('README.md', './videre -s secrets'),
	turn: take('README.md', 'sudo apt-get install coturn').split('\n')[1],
};
const CONFIGURATION = {
	check: take('doc/configuration.md', 'videre -n'),
	printed: take('doc/configuration.md', 'the configuration is valid'),
};
const OPERATIONS = {
	usage: take('doc/operations.md', 'videre [-c FILE]'),
	check: take('doc/operations.md', 'videre -n'),
	certify: take('doc/operations.md', 'mkdir -p /etc/videre\nvidere -k'),
	printed: take('doc/operations.md', 'names: '),
	fingerprint: take('doc/operations.md', 'openssl x509'),
	authority: take('doc/operations.md', 'sed '),
	tokens: take('doc/operations.md', 'mkdir -p /etc/videre\nvidere -s'),
	checkTokens: take('doc/operations.md', 'curl http://127.0.0.1:1111/ice'),
	printedTokens: take('doc/operations.md', 'token needed'),
	turn: take('doc/operations.md', 'apt-get install coturn').split('\n').slice(1).join('\n'),
	health: take('doc/operations.md', 'curl http://127.0.0.1:1111/health'),
	scrape: take('doc/operations.md', 'scrape_configs:'),
	rules: take('doc/operations.md', 'rule_files:'),
};
take('doc/protocol.md', 'npx wscat', 'any WebSocket client');
const TRY = Array.from({ length: 12 }, () => take('doc/protocol.md', '{"Header":'));

for (const [name, start, reason] of [
	['CONTRIBUTING.md', './deps.sh test', '.ci/run runs it'],
	['CONTRIBUTING.md', 'make debug', 'gdb waits for commands'],
	['CONTRIBUTING.md', 'cd test &&', 'waits for gdb'],
	['CONTRIBUTING.md', 'gdb -p', 'gdb waits for commands'],
	['CONTRIBUTING.md', 'ASAN_OPTIONS', 'gdb waits for commands'],
	['SECURITY.md', 'git log', 'needs the history'],
	['doc/architecture.md', 'videre.c', 'a picture'],
	['doc/architecture.md', 'connections, clients', 'a picture'],
	['doc/clients.md', 'https://', 'a link'],
	['doc/clients.md', './camera.py', 'examples.test.mjs runs it with another source'],
	['doc/clients.md', './record.py', 'examples.test.mjs runs it'],
	['doc/clients.md', 'import { readFileSync }', 'token.test.mjs runs it'],
	['doc/clients.md', 'import jwt', 'token.test.mjs runs it'],
	['doc/clients.md', 'base64url()', 'token.test.mjs runs it'],
	['doc/configuration.md', 'memory: ', 'documents.test.mjs compares it'],
	['doc/configuration.md', 'block ', 'documents.test.mjs evaluates it'],
	['doc/devices.md', './deps.sh && make', 'device/fresh.mjs runs it'],
	['doc/devices.md', './deps.sh dist armhf', 'device/fresh.mjs runs it'],
	['doc/devices.md', 'sha256sum', 'device/dist.test.mjs checks the hashes'],
	['doc/devices.md', 'scp', 'needs a device'],
	['doc/devices.md', 'cd /tmp', 'device/install.test.mjs runs install.sh'],
	['doc/devices.md', 'logread', 'needs a device'],
	['doc/devices.md', 'mkdir -p /etc/videre', 'device/install.test.mjs runs it'],
	['doc/devices.md', '[Service]', 'device/systemd.test.mjs runs the server with it'],
	['doc/devices.md', 'cp -n feeds.conf', "needs OpenWrt's build system; device/dist.test.mjs builds the package without it"],
	['doc/devices.md', 'make BR2_EXTERNAL', 'needs Buildroot; device/dist.test.mjs builds the package without it'],
	['doc/devices.md', 'tar xzf videre-VERSION-x86_64', 'device/install.test.mjs runs install.sh'],
	['doc/devices.md', 'git archive', 'needs docker; device/dist.test.mjs runs the steps of the Dockerfile'],
	['doc/devices.md', 'docker run', 'needs docker'],
	['doc/devices.md', 'mkdir tls', 'needs docker'],
	['doc/devices.md', 'make CROSS_COMPILE', 'device/dist.test.mjs builds so for another target'],
	['doc/fleet.md', 'systemctl reload haproxy', 'fleet.test.mjs reloads HAProxy without systemd'],
	['doc/fleet.md', 'set server rooms/s3 state drain', 'fleet.test.mjs sends it'],
	['doc/fleet.md', 'set server rooms/s3 state maint', 'fleet.test.mjs sends it'],
	['doc/operations.md', 'make PREFIX=/usr\nsudo make', 'install.test.mjs installs; systemd.test.mjs checks the unit'],
	['doc/operations.md', 'make PREFIX=/usr\nsudo ./videre', 'the same'],
	['doc/operations.md', 'sudo -u videre', 'starts a service of systemd'],
	['doc/operations.md', 'SIGHUP will not', 'renewal.test.mjs has the line'],
	['doc/operations.md', 'certificate expires', 'renewal.test.mjs has the line'],
	['doc/operations.md', '#!/bin/sh -e', 'hooks.test.mjs runs it'],
	['doc/operations.md', '#!/bin/sh\n# /etc/letsencrypt', 'hooks.test.mjs runs it'],
	['doc/operations.md', 'chmod +x /etc/letsencrypt', 'hooks.test.mjs runs it'],
	['doc/operations.md', 'acme.sh', 'hooks.test.mjs runs it'],
	['doc/operations.md', '# /etc/hotplug.d', 'hooks.test.mjs runs it'],
	['doc/operations.md', 'https://', 'a link'],
	['doc/operations.md', 'warn 192.0.2.7', 'admission.test.mjs has the line'],
	['doc/operations.md', 'use-auth-secret', 'nat.test.mjs runs coturn with it'],
	['doc/operations.md', '2026-', 'refusals.test.mjs has the line'],
	['doc/operations.md', '/var/log/videre.log {', 'documents.test.mjs compares it with the rule that log.test.mjs runs'],
	['doc/performance.md', './deps.sh bench && make bench', 'takes ten minutes'],
	['doc/performance.md', 'make instructions', '.ci/run runs it'],
	['doc/performance.md', './deps.sh bench && make attacks', 'takes ten minutes'],
	['doc/protocol.md', '{"Header": {"Event": "..."', 'a form'],
	['doc/protocol.md', '{"Header":{"Event":"disconnect","UserId":"..."', 'a form'],
	['doc/protocol.md', 'ann  ', 'a picture; call.test.mjs has the packets'],
	['doc/protocol.md', '{"Header":{"Event":"error","UserId":"ann"', 'limits.test.mjs has the packet'],
	['doc/protocol.md', '{"Header":{"Event":"connect","UserId":"ann","RoomId":"kitchen"},"Payload":{"Token"', 'a form; admission.test.mjs sends tokens'],
])
	take(name, start, reason);

const left = Object.entries(blocks).flatMap(([name, all]) => all.filter(({ taken }) => !taken).map(({ text }) => [name, text]));
const FRAGMENT = /^(?:\{\n\t)?"[A-Z]/; /* of a configuration */
const SCRIPT = /^(?:new |const |<script)/;

test('each block is run, or has a reason', () =>
	assert.deepEqual(left.filter(([, text]) => !FRAGMENT.test(text) && !SCRIPT.test(text)), []));

/* The command lines of documents that make and deps.sh run. */
test('each target of make exists', async () => {
	const { stdout } = await execute('make', ['help'], { cwd: root, env: environment });
	const targets = [...stdout.matchAll(/^([\w-]+) /gm)].map(([, name]) => name);
	for (const name of documents.filter(one => one !== 'doc/devices.md'))
		for (const [, target] of (await read(name)).matchAll(/(?:`|^ {4}|&& )make (?:[A-Z]+=[^\s`]+ )*([a-z][\w-]*)(?=[`\s])/gm))
			assert(targets.includes(target), `${name}: make ${target}`);
});

test('scripts have no syntax errors', () => {
	const scripts = left.filter(([, text]) => SCRIPT.test(text));
	assert(scripts.length >= 5);
	for (const [name, text] of scripts) {
		const code = text.replace(/<script[^>]*>(?:<\/script>)?|<\/script>/g, '');
		new vm.Script(`async () => {\n${code}\n}`, { filename: name });
	}
});

/* A directory in place of /etc, with every file that configurations of the documents name, and a group in place of videre. */
async function etc(t) {
	const dir = await scratch(t);
	const videre = built('VIDERE_PLAIN', 'videre');
	await mkdir(path.join(dir, 'bin'));
	await symlink(videre, path.join(dir, 'bin/videre'));
	await mkdir(path.join(dir, 'videre'));
	await execute(videre, ['-k', 'cert.pem', 'key.pem', 'localhost'], { cwd: dir });
	await execute(videre, ['-s', 'secrets'], { cwd: dir });
	for (const name of ['cert.pem', 'key.pem', 'secrets'])
		await copyFile(path.join(dir, name), path.join(dir, 'videre', name));
	await copyFile(path.join(dir, 'secrets'), path.join(dir, 'videre/turn'));
	await writeFile(path.join(dir, 'videre/tls.pem'), await readFile(path.join(dir, 'cert.pem'), 'utf8')
		+ await readFile(path.join(dir, 'key.pem'), 'utf8'), { mode: 0o640 });
	return {
		dir, moved: text => text.replaceAll('/etc/', `${dir}/`).replaceAll('chgrp videre', `chgrp ${process.getgid()}`),
		env: { ...environment, PATH: `${dir}/bin:${process.env.PATH}` },
	};
}

test('configurations are valid', async t => {
	const { dir, moved, env } = await etc(t);
	const fragments = left.filter(([, text]) => FRAGMENT.test(text)).map(([, text]) => text);
	assert(fragments.length >= 10);
	for (const text of fragments) {
		const whole = moved(text.startsWith('{') ? text : `{${text.replace(/,\s*$/, '')}}`);
		await writeFile(path.join(dir, 'videre.json'), whole);
		const { stdout } = await execute('sh', ['-c', moved(CONFIGURATION.check)], { cwd: dir, env });
		assert.equal(stdout.trim(), moved(CONFIGURATION.printed), text);
		await execute('sh', ['-c', moved(OPERATIONS.check)], { cwd: dir, env });
	}
});

test('doc/operations.md has the usage of -h', async t => {
	const { env } = await etc(t);
	const { stdout } = await execute('videre', ['-h'], { env });
	assert.equal(stdout.split('\n').slice(0, 4).map(line => line.replace(/^usage: | {7}/, '')).join('\n'), OPERATIONS.usage);
});

test('videre -k prints what doc/operations.md shows', async t => {
	const { dir, moved, env } = await etc(t), cwd = path.join(dir, 'videre');
	await execute('rm', ['-r', 'videre'], { cwd: dir });
	const { stdout } = await execute('sh', ['-e', '-c', moved(OPERATIONS.certify)], { cwd: dir, env });
	const pattern = OPERATIONS.printed.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
		.replace(/(?:[0-9A-F]{2}:)+(?:\\\.){3}/g, '(?:[0-9A-F]{2}:){31}[0-9A-F]{2}');
	assert.match(stdout.trim(), new RegExp(`^${pattern}$`));
	assert.equal((await stat(path.join(cwd, 'key.pem'))).mode & 0o777, 0o640);
	/* The file for clients, and its fingerprint. */
	await execute('sh', ['-e', '-c', OPERATIONS.authority], { cwd });
	const { stdout: shown } = await execute('sh', ['-c', OPERATIONS.fingerprint], { cwd });
	assert.equal(shown.trim().split('=')[1], /authority: +(\S+)/.exec(stdout)[1]);
});

test('Prometheus accepts its configuration', async t => {
	const dir = await scratch(t), { dir: from } = await etc(t);
	await copyFile(path.join(from, 'cert.pem'), path.join(dir, 'cert.pem'));
	await copyFile(path.join(root, 'doc/alerts.yml'), path.join(dir, 'alerts.yml'));
	await writeFile(path.join(dir, 'prometheus.yml'), `${OPERATIONS.scrape}\n${OPERATIONS.rules}\n`);
	await execute('promtool', ['check', 'config', 'prometheus.yml'], { cwd: dir });
});

test('"Try it" of doc/protocol.md: each packet has the answer that follows', async t => {
	const server = await serve(t);
	const ann = await open(server), bob = await open(server);
	const [joinAnn, annJoined, joinBob, bobJoined, sent, received, addressed, ask, list, wrong, error, gone] = TRY;
	ann.send(joinAnn);
	await ann.gets(annJoined);
	bob.send(joinBob);
	for (const each of [ann, bob])
		await each.gets(bobJoined);
	ann.send(sent);
	await bob.gets(received);
	ann.send(addressed);
	await bob.gets(addressed);
	bob.send(ask);
	await bob.gets(list);
	bob.send(wrong);
	await bob.gets(error);
	bob.destroy();
	await ann.gets(gone);
	assert.equal(gone, packet('disconnect', 'bob', 'kitchen', '{}'));
});

/*
 * Servers on port 1111.
 */

const skip = process.getuid() !== 0 && 'only root has network namespaces';

let namespace; /* the process that holds it, and ends with the pipe to it */

before(async () => {
	if (skip)
		return;
	namespace = spawn('unshare', ['--net', 'sh', '-c', 'ip link set lo up && echo there && exec cat'], { stdio: ['pipe', 'pipe', 'inherit'] });
	await new Lines(namespace.stdout).match(/^there$/);
});

after(() => namespace?.kill());

const inside = () => ['--target', `${namespace.pid}`, '--net'];

/* What commands print there. */
async function sh(commands, { dir: cwd, env = environment }) {
	const { stdout } = await execute('nsenter', [...inside(), 'sh', '-e', '-c', commands], { cwd, env, timeout: 120_000 });
	return stdout.trim();
}

/* Starts a program there, and waits for a line of its output. */
async function launch(t, command, { dir: cwd, env = environment }, pattern) {
	const child = spawn('nsenter', [...inside(), 'sh', '-c', command], { cwd, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
	const kill = signal => {
		try {
			process.kill(-child.pid, signal);
		} catch { /* it has ended */ }
	};
	const orphaned = () => kill('SIGKILL');
	process.on('exit', orphaned);
	const ended = new Promise(resolve => child.once('close', resolve)).finally(() => process.off('exit', orphaned));
	const stop = async () => {
		kill('SIGTERM');
		await bounded(ended, `the end of ${command}`).finally(orphaned);
	};
	t.after(stop);
	const [out, err] = [new Lines(child.stdout), new Lines(child.stderr)];
	const found = err.match(pattern, 0, 240_000);
	await Promise.race([found, ended.then(() => assert.fail([...out.all, ...err.all].join('\n')))]);
	return { stop };
}

const READY = / info - listening on 0\.0\.0\.0:1111$/;

test('the commands of doc/operations.md', async t => {
	if (skip)
		return t.skip(skip);
	const here = await etc(t);
	const configure = conf => writeFile(path.join(here.dir, 'conf.json'), JSON.stringify({ Log: '', ...conf }));
	await configure({});
	const first = await launch(t, 'exec videre', here, READY);
	assert.equal(await sh(OPERATIONS.health, here), 'ok');
	await first.stop();
	await execute('rm', ['videre/secrets', 'videre/turn'], { cwd: here.dir });
	assert.match(await sh(here.moved(OPERATIONS.tokens), here), /^[\w-]+\.[\w-]+\.[\w-]+$/);
	await sh(here.moved(OPERATIONS.turn), here);
	assert((await readdir(path.join(here.dir, 'videre'))).includes('turn'));
	await configure({ Tokens: 'videre/secrets' });
	await launch(t, 'exec videre', here, READY);
	assert.equal(await sh(OPERATIONS.checkTokens, here), OPERATIONS.printedTokens);
}, 120_000);

/* A page shows so many others, whose pictures move. */
const shows = (page, count) => until(page, `${count} others`, expected => {
	const videos = [...document.querySelectorAll('li')].slice(1).map(tile => tile.firstChild);
	return videos.length === expected && videos.every(video => video.getVideoPlaybackQuality().totalVideoFrames > 5);
}, count, 60_000);

test('README leads from a copy of the tree to a call, HTTPS, tokens and TURN', async t => {
	if (skip)
		return t.skip(skip);
	const dir = path.join(await scratch(t), 'videre'), here = { dir };
	await mkdir(dir);
	await execute('sh', ['-c', 'git ls-files -z | xargs -0 tar -cf - | tar -C "$0" -xf -', dir], { cwd: root });
	const conf = JSON.parse(await readFile(path.join(dir, 'conf.json'), 'utf8'));
	const configure = fragment => writeFile(path.join(dir, 'conf.json'), JSON.stringify(Object.assign(conf, JSON.parse(`{${fragment}}`))));
	const readme = await read('README.md');
	const mentioned = pattern => pattern.exec(readme)?.[1] ?? assert.fail(`${pattern}`);

	/* Quick start. */
	const [deps, run] = README.build;
	await sh(deps, here);
	let server = await launch(t, run, here, READY);
	const program = path.join(dir, 'chromium');
	await writeFile(program, `#!/bin/sh\nexec nsenter ${inside().join(' ')} ${slowCameraOptions.executablePath} "$@"\n`, { mode: 0o755 });
	const args = slowCameraOptions.args.map(arg => arg.startsWith('--host-resolver-rules=') ? `${arg}, EXCLUDE localhost` : arg);
	const browser = await chromium.launch({ ...slowCameraOptions, args, executablePath: program });
	t.after(() => browser.close());
	const context = await browser.newContext({ ignoreHTTPSErrors: true, permissions: ['camera', 'microphone'] });
	await context.addInitScript(useSmallPictures);
	const tab = async url => {
		const page = await context.newPage();
		await page.goto(url);
		return page;
	};
	const link = mentioned(/Open `(http:\S*)` in two tabs; in both, press Join/);
	const tabs = [await tab(link), await tab(link)];
	for (const page of tabs)
		await join(page);
	for (const page of tabs)
		await shows(page, 1);
	assert.equal(await sh(README.check, here), README.printed);
	for (const page of tabs)
		await page.close();

	/* From your own page. */
	await writeFile(path.join(dir, 'call.html'), README.page);
	const files = await launch(t, `echo starting >&2; exec ${mentioned(/serve it with `(.*?)`/)}`, here, /^starting$/);
	const own = mentioned(/Open\n`(http:\S*call\.html)` in two tabs/);
	const pages = [];
	for (let i = 0; i < 2; i++) {
		const page = await context.newPage();
		for (let tries = 0; tries < 100 && !await page.goto(own).catch(() => false); tries++)
			await page.waitForTimeout(100);
		pages.push(page);
	}
	for (const page of pages)
		await until(page, 'the video of the other one', () => document.querySelector('video')?.getVideoPlaybackQuality().totalVideoFrames > 5, undefined, 60_000);
	await pages.pop().close();
	await until(pages[0], 'no video', () => !document.querySelector('video'));
	await pages[0].close();
	await files.stop();

	/* HTTPS. */
	await server.stop();
	assert.match(await sh(README.certify, here), /^names: .*\blocalhost\b/);
	await configure(README.secure);
	server = await launch(t, run, here, READY);
	assert.equal(await sh(README.checkSecure, here), mentioned(/ {4}curl --cacert .*\n\nprints `(\w+)`/));
	await server.stop();

	/* Who may join. */
	const token = await sh(README.tokens, here);
	await configure(mentioned(/set `("Tokens": "\w+")`/));
	server = await launch(t, run, here, READY);
	const invited = await tab(mentioned(/`(https:\/\/ADDRESS:1111\/#room=kitchen&token=TOKEN)`/).replace('ADDRESS', 'localhost').replace('TOKEN', token));
	await join(invited);
	await alone(invited);
	const stranger = await tab('https://localhost:1111/#kitchen');
	await join(stranger);
	await says(stranger, 'This room needs an invitation.');
	await server.stop();

	/* Across the Internet. */
	await sh(README.turn, here);
	await configure(mentioned(/set `("IceServers": .*?)`,/));
	await launch(t, run, here, READY);
	const answer = await sh(`curl -s --cacert cert.pem -H 'Authorization: Bearer ${token}' https://localhost:1111/ice`, here);
	const { iceServers } = JSON.parse(answer);
	assert(iceServers.some(({ credential }) => credential), answer);
}, 400_000);
