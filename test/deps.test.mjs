/* What deps.sh installs and fetches for the archives of devices, with stand-ins for apt, dpkg and make. */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { cp, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { environment } from './make.mjs';
import { Lines, bounded, scratch, test } from './server.mjs';

const execute = promisify(execFile);
const root = fileURLToPath(new URL('..', import.meta.url));

/* The programs that the script may use; no compiler is among them. */
const PROGRAMS = ['sh', 'cat', 'cut', 'dirname', 'env', 'grep', 'mkdir', 'mktemp', 'mv', 'nproc', 'rm', 'sed', 'seq',
	'sleep', 'sort', 'tar', 'gzip', 'tr'];

/* Each call is a line of the file `calls`. */
const STUBS = {
	id: 'echo 0',
	dpkg: 'echo amd64',
	'dpkg-query': 'exit 1',
	make: 'echo "make $*" >>"$CALLS"',
	'apt-get': 'echo "$0 $*" | sed "s,.*/,,; s,-q -o [^ ]* ,," >>"$CALLS"',
};

/* A copy of the script, which has nothing installed but these programs and stand-ins. */
async function setUp(t, stubs = {}) {
	const dir = await scratch(t), bin = path.join(dir, 'bin');
	await mkdir(path.join(dir, 'device'));
	await mkdir(bin);
	for (const file of ['deps.sh', 'device.mk', 'device/sources.sha256'])
		await cp(path.join(root, file), path.join(dir, file));
	for (const name of PROGRAMS)
		await symlink((await execute('sh', ['-c', `command -v ${name}`])).stdout.trim(), path.join(bin, name));
	for (const [name, text] of Object.entries({ ...STUBS, ...stubs }))
		await writeFile(path.join(bin, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
	const env = { PATH: bin, CALLS: path.join(dir, 'calls'), DIR: dir };
	const sources = ['musl', 'bearssl'].map(name => path.join(dir, 'toolchain/source', name));
	await Promise.all(sources.map(directory => mkdir(directory, { recursive: true })));
	const calls = async () => (await readFile(env.CALLS, 'utf8').catch(() => '')).trimEnd().split('\n');
	const run = async (...args) => {
		await rm(env.CALLS, { force: true });
		const { code = 0, stdout, stderr } = await execute(path.join(dir, 'deps.sh'), args, { env })
			.catch(error => error);
		return { code, stdout, stderr, calls: await calls() };
	};
	return { dir, env, run, calls };
}

/* The packages that apt was called to install. */
const installed = calls => calls.flatMap(line => /^apt-get install .*recommends (.*)$/.exec(line)?.[1].split(' ') ?? []);

const COMMON = ['patch', 'xz-utils'];

test('an archive needs only the packages and the toolchain of its target', async t => {
	const { run } = await setUp(t);
	for (const [targets, packages] of Object.entries({
		armhf: ['gcc-arm-linux-gnueabihf', 'linux-libc-dev-armhf-cross', 'lld'],
		mipsel: ['gcc-mipsel-linux-gnu', 'linux-libc-dev-mipsel-cross'],
		x86_64: ['gcc', 'linux-libc-dev', 'lld'], /* that of this machine */
		'mips riscv64': ['gcc-mips-linux-gnu', 'linux-libc-dev-mips-cross', 'gcc-riscv64-linux-gnu',
			'linux-libc-dev-riscv64-cross'],
	})) {
		const { code, calls } = await run('dist', ...targets.split(' '));
		assert.equal(code, 0);
		assert.equal(calls[0], 'apt-get update');
		assert.deepEqual(installed(calls), [...packages, ...COMMON].sort());
		assert.match(calls.at(-1), new RegExp(`^make .*toolchains TARGETS=${targets}$`));
	}
});

test('without a target, or with `all`, it is all of them', async t => {
	const { run } = await setUp(t);
	const [, all] = /^ALL_TARGETS = (.*)$/m.exec(await readFile(path.join(root, 'device.mk'), 'utf8'));
	for (const args of [[], ['all'], all.split(' ')]) {
		const { code, calls } = await run('dist', ...args);
		assert.equal(code, 0);
		assert.equal(installed(calls).filter(name => /^gcc/.test(name)).length, all.split(' ').length);
		assert.match(calls.at(-1), new RegExp(`TARGETS=${all}$`));
	}
});

test('an unknown target is an error that names the targets, before anything is installed', async t => {
	const { run } = await setUp(t);
	const { code, stderr, calls } = await run('dist', 'armhf', 'arm64');
	assert.equal(code, 1);
	assert.match(stderr, /^deps\.sh: there is no target arm64: the targets are x86_64 .*armhf.*\n$/);
	assert.deepEqual(calls, ['']);
});

/* Fails at the first call of each kind. */
const FAILING = message => `[ -e "$DIR/$3-$4" ] && exit 0; : >"$DIR/$3-$4"; echo '${message}' >&2; exit 100`;
const HELD = 'E: Could not get lock /var/cache/apt/archives/lock. It is held by process 4 (apt-get)';

test('it waits for another apt, and for nothing else that fails', async t => {
	const waiting = await setUp(t, { 'apt-get': FAILING(HELD) });
	const { code, stdout, stderr } = await waiting.run('dist', 'mips');
	assert.equal(code, 0, stderr);
	assert.equal(stdout.match(/^deps\.sh: waiting until another apt has ended$/gm).length, 2);
	assert.equal(stderr, '');
	const failing = await setUp(t, { 'apt-get': FAILING('E: Unable to locate package') });
	const failed = await failing.run('dist', 'mips');
	assert.equal(failed.code, 100);
	assert.equal(failed.stderr, 'E: Unable to locate package\n');
	assert.doesNotMatch(failed.stdout, /waiting/);
});

test('a message of debconf about apt-utils is not shown, all others are', async t => {
	const { run } = await setUp(t, { 'apt-get': 'echo "debconf: delaying package configuration, since apt-utils is ' +
		'not installed" >&2; echo "W: other" >&2' });
	assert.equal((await run('dist', 'mips')).stderr, 'W: other\nW: other\n');
});

/* Holds apt's lock on a file until the test ends it. */
const HOLDER = 'import fcntl, sys\nf = open(sys.argv[1], "w")\nfcntl.lockf(f, fcntl.LOCK_EX)\nprint("held", flush=True)\n' +
	'sys.stdin.read()';

test('it waits for apt\'s own lock on the package lists', async t => {
	const { dir, env } = await setUp(t, { 'apt-get': 'for last; do :; done\n' +
		'[ "$last" = update ] || exit 0\nPATH=/usr/sbin:/usr/bin:/sbin:/bin exec apt-get "$@"' });
	const lists = path.join(dir, 'lists');
	await mkdir(path.join(lists, 'partial'), { recursive: true });
	const APT_CONFIG = path.join(dir, 'apt.conf');
	await writeFile(APT_CONFIG, `Dir::State::lists "${lists}"; Dir::Cache "${dir}";\n` +
		'Dir::Etc::sourcelist "/dev/null"; Dir::Etc::sourceparts "/dev/null";\n');
	const holder = spawn('python3', ['-c', HOLDER, path.join(lists, 'lock')], { stdio: ['pipe', 'pipe', 'inherit'] });
	t.after(() => holder.kill('SIGKILL'));
	await new Lines(holder.stdout).match(/held/);
	const child = spawn(path.join(dir, 'deps.sh'), ['dist', 'mips'], { env: { ...env, APT_CONFIG } });
	t.after(() => child.kill('SIGKILL'));
	const ended = once(child, 'close');
	const lines = new Lines(child.stdout), errors = new Lines(child.stderr);
	await lines.match(/waiting until another apt has ended/);
	holder.stdin.end();
	const [code] = await bounded(ended, 'deps.sh to end');
	assert.equal(code, 0, errors.all.join('\n'));
	assert.deepEqual(errors.all, []);
});

/* Sources that a mirror of apt has. */
async function mirror(dir) {
	const lines = [];
	for (const name of ['musl', 'bearssl']) {
		const pool = path.join(dir, 'mirror/pool/main', name[0], name);
		await mkdir(path.join(pool, `${name}-1`), { recursive: true });
		await writeFile(path.join(pool, `${name}-1/source`), name);
		await execute('tar', ['-C', pool, '-czf', path.join(pool, `${name}.orig.tar.gz`), `${name}-1`]);
		const hash = createHash('sha256').update(await readFile(path.join(pool, `${name}.orig.tar.gz`))).digest('hex');
		lines.push(`${hash}  pool/main/${name[0]}/${name}/${name}.orig.tar.gz\n`);
	}
	await rm(path.join(dir, 'toolchain'), { recursive: true });
	await writeFile(path.join(dir, 'device/sources.sha256'), lines.join(''));
	return lines.join('');
}

test('sources are taken only with the hashes of device/sources.sha256', async t => {
	const { dir, run } = await setUp(t, { 'apt-get': '[ "$1" != indextargets ] || echo "copy:$DIR/mirror/"' });
	const sums = await mirror(dir);
	const source = name => readFile(path.join(dir, 'toolchain/source', name, 'source'), 'utf8').catch(() => null);
	await writeFile(path.join(dir, 'device/sources.sha256'), sums.replace(/^./gm, digit => digit === '0' ? '1' : '0'));
	const { code, stderr, calls } = await run('dist', 'mips');
	assert.equal(code, 1);
	assert.match(stderr, /Hash Sum mismatch[^]*deps\.sh: no mirror of apt has pool\/main\/m\/musl\/musl\.orig\.tar\.gz/);
	assert.equal(await source('musl'), null);
	assert(!calls.some(line => /toolchains/.test(line)));
	await writeFile(path.join(dir, 'device/sources.sha256'), sums);
	const again = await run('dist', 'mips');
	assert.deepEqual([again.code, again.stderr], [0, '']);
	assert.deepEqual(await Promise.all(['musl', 'bearssl'].map(source)), ['musl', 'bearssl']);
});

/* musl and BearSSL that build nothing. */
const SOURCES = {
	'musl/patched': '',
	'musl/configure': '#!/bin/sh\nfor one; do case $one in --prefix=*) mkdir -p "${one#*=}/bin" ;; esac; done\necho "install:" >Makefile\n',
	'bearssl/Makefile': 'lib:\n',
	'bearssl/patched': '',
};

test('make numbers the toolchains that it builds, and refuses an unknown target', async t => {
	const dir = await scratch(t);
	for (const name of ['Makefile', 'device.mk', 'device/musl-relr.patch', 'device/bearssl-suites.patch'])
		await cp(path.join(root, name), path.join(dir, name));
	for (const [name, text] of Object.entries(SOURCES)) {
		const file = path.join(dir, 'toolchain/source', name);
		await mkdir(path.dirname(file), { recursive: true });
		await writeFile(file, text, { mode: 0o755 });
	}
	const make = targets => execute('make', ['--silent', '-j1', 'toolchains', `TARGETS=${targets}`], { cwd: dir, env: environment });
	assert.equal((await make('riscv64 mips mipsel')).stdout,
		'toolchain 1 of 3: riscv64\ntoolchain 2 of 3: mips\ntoolchain 3 of 3: mipsel\n');
	assert.equal((await make('riscv64 mips mipsel')).stdout, '');
	await assert.rejects(make('mips arm64'), /there is no target arm64: the targets are x86_64 .*armhf/);
});
