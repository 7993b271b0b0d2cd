/* The packages for devices, and builds with other SDKs, Buildroot, OpenWrt and Docker. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { appendFile, chmod, cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test as nodeTest } from 'node:test';
import { promisify } from 'node:util';
import { pair } from '../certificate.mjs';
import { gather } from '../client.mjs';
import { environment } from '../make.mjs';
import { scratch, serve } from '../server.mjs';
import { copy, emulate, root, targets } from './targets.mjs';

const execute = promisify(execFile);
const test = (name, body) => nodeTest(name, { timeout: 300_000 }, body);

/* As a user's shell would run it: nothing that this make was told goes on. */
const make = (cwd, ...args) => execute('make', ['--silent', ...args], { cwd, env: environment });

const [target] = targets.filter(({ name }) => name === 'armel').concat(targets);

const { stdout: version } = await execute('sed', ['-n', 's/^VERSION = //p', 'Makefile'], { cwd: root });

/* All files below a directory, with their modes. */
const filesIn = async directory => (await execute('find', ['.', '-type', 'f', '-printf', '%P %m\n'],
	{ cwd: directory })).stdout.trim().split('\n').sort();

/* Conditions of a build that must not change its results: options of make, environment, umask, directory. */
const WAYS = [
	['-j1', { TZ: 'UTC', LC_ALL: 'C' }, '022', ''],
	['-j3', { TZ: 'Asia/Kolkata', LC_ALL: 'C.UTF-8', LANG: 'tr_TR.UTF-8', LANGUAGE: 'tr' }, '077', 'another/longer/directory'],
];

/* Makes a release of one target.  Returns its directory. */
async function release(t, [jobs, variables, umask, below]) {
	const there = await copy(t, { toolchain: true, below });
	const shell = `umask ${umask}; chmod -R "$(umask -S)" . && git init -q && git add -A &&
		make --silent ${jobs} release TARGETS=${target.name}`;
	await execute('sh', ['-c', shell], { cwd: there, env: { ...environment, ...variables } });
	return path.join(there, 'dist');
}

const unpack = (archive, cwd) => execute('tar', ['xzf', archive], { cwd });

test('a release has all that a device needs, and is the same wherever and however it is made', async t => {
	const [dist, other] = [await release(t, WAYS[0]), await release(t, WAYS[1])];
	const [sums, again] = await Promise.all([dist, other].map(directory =>
		readFile(path.join(directory, 'SHA256SUMS'), 'utf8')));
	assert.equal(again, sums);
	/* The documented command finds a changed archive, among those that are there. */
	const [check] = /(?<=^ {4})sha256sum .*$/m.exec(await readFile(path.join(root, 'doc/devices.md'), 'utf8'));
	await rm(path.join(other, sums.match(/\S+\.tar\.gz$/gm)[1]));
	for (const directory of [dist, other])
		await execute('sh', ['-c', check], { cwd: directory });
	await appendFile(path.join(other, sums.match(/\S+\.tar\.gz$/gm)[0]), 'x');
	await assert.rejects(execute('sh', ['-c', check], { cwd: other }), /1 computed checksum did NOT match/);
	const name = `videre-${version.trim()}`, packed = `${name}-${target.name}`;
	assert.deepEqual(sums.match(/(?<=^[0-9a-f]{64}  ).*$/gm), [`${packed}.tar.gz`, `${name}.tar.gz`, `${name}.md`]);

	await unpack(`${packed}.tar.gz`, dist);
	assert.deepEqual(await filesIn(path.join(dist, packed)), [
		'README.md 644', 'S50videre 755', 'conf.json 644', 'inittab 644', 'install.sh 755', 'licences/BearSSL 644',
		'licences/libgcc 644', 'licences/musl 644', 'licences/videre 644', 'videre 755', 'videre.8 644',
		'videre.config 644', 'videre.init 755', 'videre.service 644',
	]);
	const readme = await readFile(path.join(dist, packed, 'README.md'), 'utf8');
	assert.match(readme, new RegExp(`^# ${name.replace('-', ' ')} for any 32-bit ARM board `));
	assert.doesNotMatch(readme, /@|\]\(|https?:|doc\//);
	for (const file of readme.match(/(?<=\.\/)[\w.]+|(?<=`)[\w.]+(?=`)/g).filter(file => /^(videre\.|\w+\.sh)/.test(file)))
		assert((await filesIn(path.join(dist, packed))).some(one => one.startsWith(`${file} `)), file);

	await unpack(`${name}.tar.gz`, dist);
	const { stdout } = await execute('git', ['ls-files'], { cwd: root });
	assert.deepEqual((await filesIn(path.join(dist, name))).map(line => line.split(' ')[0]), stdout.trim().split('\n').sort());
});

test('the notes of a release are the section of its version, or else of what is unreleased', async t => {
	const there = await copy(t);
	const changes = path.join(there, 'CHANGELOG.md'), notes = `dist/videre-${version.trim()}.md`;
	const section = async text => {
		await writeFile(changes, text);
		await make(there, notes, '-B');
		return readFile(path.join(there, notes), 'utf8');
	};
	const unreleased = '# Changelog\n\n## Unreleased\n\n### Added\n\n- a\n\n';
	assert.equal(await section(`${unreleased}## 0.0.1\n\n- c\n`), '### Added\n\n- a\n\n');
	assert.equal(await section(`${unreleased}## [${version.trim()}] - 2030-01-01\n\n- b\n\n## 0.0.1\n\n- c\n`), '- b\n\n');
	await assert.rejects(section('# Changelog\n\n## 0.0.1\n\n- c\n'), /CHANGELOG\.md has no section for /);
});

test('every target has a README that names its devices, and install.sh is short', async () => {
	const rules = await readFile(path.join(root, 'device.mk'), 'utf8');
	for (const { name } of targets)
		assert.match(rules, new RegExp(`^FOR_${name} = .*\\(${name}\\)$`, 'm'));
	const script = await readFile(path.join(root, 'device/install.sh'), 'utf8');
	assert(script.trimEnd().split('\n').length <= 40);
});

/* The tools of somebody's own SDK, by the prefix that their names share. */
async function sdk(directory) {
	const prefix = path.join(directory, 'router-linux-musl-');
	const tools = {
		gcc: `${path.join(root, 'toolchain', target.name, 'bin/musl-gcc')} ` +
			`-idirafter /usr/${target.tools}/include`,
		ar: `${target.tools}-ar`,
	};
	for (const [name, command] of Object.entries(tools))
		await writeFile(prefix + name, `#!/bin/sh\nexec ${command} "$@"\n`, { mode: 0o755 });
	return prefix;
}

test('any SDK builds it, with BearSSL\'s source', async t => {
	const there = await copy(t);
	const bearssl = path.join(there, 'bearssl');
	await cp(path.join(root, 'toolchain/source/bearssl'), bearssl, { recursive: true });
	const prefix = await sdk(there);
	await make(there, '-j2', `CROSS_COMPILE=${prefix}`, `BEARSSL=${bearssl}`,
		'CFLAGS=-Os', 'LDFLAGS=-static');
	const binary = path.join(there, 'videre');
	const destination = path.join(there, 'destination');
	await make(there, 'install', `CROSS_COMPILE=${prefix}`, `BEARSSL=${bearssl}`, 'CC=false',
		`DESTDIR=${destination}`, 'PREFIX=/usr');
	assert((await readFile(binary)).equals(await readFile(path.join(destination, 'usr/sbin/videre'))));
	const { stdout } = await execute('readelf', ['-h', binary]);
	assert.match(stdout, /Machine: +ARM/);
	const server = await serve(t, { binary: await emulate(there, binary, 'arm:arm926'),
		tls: await pair('P-256') });
	await gather(server, 'r', 'a', 'b');
});

/* Of Buildroot and OpenWrt the variables and functions that their packages use. */
const buildroot = (there, prefix) => `
BR2_EXTERNAL_VIDERE_PATH = ${there}/device/buildroot
VIDERE_BEARSSL_DIR = ${root}/toolchain/${target.name}/bearssl
TARGET_CROSS = ${prefix}
TARGET_CC = $(TARGET_CROSS)gcc
TARGET_CFLAGS = -Os -g0
TARGET_LDFLAGS = -static
TARGET_MAKE_ENV = PATH="$(PATH)"
INSTALL = install
SED = sed -i -e
include $(BR2_EXTERNAL_VIDERE_PATH)/external.mk

${there}/sysv ${there}/systemd: TARGET_DIR = $@-root
${there}/sysv:
	+$(VIDERE_BUILD_CMDS)
	$(VIDERE_INSTALL_TARGET_CMDS)
	$(VIDERE_INSTALL_INIT_SYSV)
${there}/systemd: ${there}/sysv
	$(VIDERE_INSTALL_TARGET_CMDS)
	$(VIDERE_INSTALL_INIT_SYSTEMD)
version:
	@echo $(VIDERE_VERSION)
`;

const openwrtRules = (there, prefix) => `
DL_DIR = ${there}/dl
INCLUDE_DIR = ${there}
PKG_BUILD_DIR = ${there}/build
TARGET_CROSS = ${prefix}
TARGET_CC = $(TARGET_CROSS)gcc
TARGET_CFLAGS = -Os -g0
TARGET_LDFLAGS = -static
TAR = tar
INSTALL_DIR = install -d -m0755
INSTALL_BIN = install -m0755
INSTALL_CONF = install -m0600
define BuildPackage
all:
	$(Build/Prepare)
	$(Build/Compile)
	$(call Package/videre/install,${there}/root)
version:
	@echo $(PKG_VERSION)
endef
`;

async function isWhole(directory, files) {
	assert.deepEqual(await filesIn(directory), files);
	const { stdout } = await execute('readelf', ['-h', path.join(directory, 'usr/sbin/videre')]);
	assert.match(stdout, /Machine: +ARM/);
}

test('Buildroot has commands that build and install it', async t => {
	const there = await copy(t);
	await writeFile(path.join(there, 'buildroot.mk'), buildroot(there, await sdk(there)));
	assert.equal((await make(there, '-f', 'buildroot.mk', 'version')).stdout, version);
	await make(there, '-j2', '-f', 'buildroot.mk', path.join(there, 'systemd'));
	await isWhole(path.join(there, 'sysv-root'),
		['etc/init.d/S50videre 755', 'etc/videre.json 644', 'usr/sbin/videre 755']);
	await isWhole(path.join(there, 'systemd-root'), ['etc/videre.json 644',
		'usr/lib/systemd/system/videre.service 644', 'usr/sbin/videre 755']);
	const conf = await readFile(path.join(there, 'systemd-root/etc/videre.json'), 'utf8');
	assert.equal(JSON.parse(conf).Log, '-');
});

test('OpenWrt has commands that build and install it', async t => {
	const there = await scratch(t);
	await mkdir(path.join(there, 'dl'));
	await execute('tar', ['-C', path.join(root, 'toolchain/source'), '--transform=s,^bearssl,bearssl-0.6,',
		'-czf', path.join(there, 'dl/bearssl-0.6.tar.gz'), 'bearssl']);
	await writeFile(path.join(there, 'rules.mk'), openwrtRules(there, await sdk(there)));
	await writeFile(path.join(there, 'package.mk'), '');
	const here = path.join(root, 'device/openwrt/videre');
	assert.equal((await make(here, `TOPDIR=${there}`, 'version')).stdout, version);
	await make(here, '-j2', `TOPDIR=${there}`, 'all');
	await isWhole(path.join(there, 'root'), ['etc/config/videre 600', 'etc/init.d/videre 755',
		'usr/sbin/videre 755']);
});

test('an image has all that it needs, and answers as nobody', async t => {
	if (process.getuid() !== 0)
		return t.skip('needs root');
	const there = await copy(t), image = await scratch(t);
	const steps = (await readFile(path.join(root, 'device/Dockerfile'), 'utf8'))
		.matchAll(/^(RUN|COPY --from=build|USER|ENTRYPOINT) (.*)$/gm);
	let user, program;
	for (const [, step, what] of steps) {
		if (step === 'RUN' && what !== './deps.sh') {
			await execute('sh', ['-c', what], { cwd: there, env: environment });
		} else if (step.startsWith('COPY')) {
			const [from, to] = what.split(' ');
			await cp(from.replace('/build', there), path.join(image, to));
		} else if (step === 'USER') {
			user = what;
		} else if (step === 'ENTRYPOINT') {
			[program] = JSON.parse(what);
		}
	}
	/* What every container has, and what a test must have. */
	await mkdir(path.join(image, 'dev'));
	await execute('mknod', ['-m', '666', path.join(image, 'dev/null'), 'c', '1', '3']);
	await execute('mknod', ['-m', '666', path.join(image, 'dev/urandom'), 'c', '1', '9']);
	const conf = path.join(image, 'conf.json');
	await writeFile(conf, JSON.stringify({ ...JSON.parse(await readFile(conf)),
		Host: '127.0.0.1', Port: 0 }));
	await chmod(image, 0o755);
	const files = await filesIn(image);
	assert.deepEqual(files, ['conf.json 644', 'videre 755']);

	const binary = path.join(there, 'run');
	await writeFile(binary, `#!/bin/sh\nexec chroot --userspec=${user} ${image} ${program}\n`,
		{ mode: 0o755 });
	const server = await serve(t, { conf: null, binary });
	const status = await readFile(`/proc/${server.pid}/status`, 'utf8');
	assert.match(status, /^Uid:(\t65534){4}$/m);
	assert.match(status, /^Gid:(\t65534){4}$/m);
	assert.match(status, /^Seccomp:\t2$/m);
	await gather(server, 'r', 'a', 'b');
	await server.stop();
	assert.match(server.lines.all.at(-1), / info - stopped$/);
	assert.deepEqual(await filesIn(image), files);
});
