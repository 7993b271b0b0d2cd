/*
 * The commands of doc/devices.md on a Debian that has nothing but its essential packages: what they download, what
 * they print, and that the archive is the same as the one that is built here.
 */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, cp, mkdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test as nodeTest } from 'node:test';
import { promisify } from 'node:util';
import { environment } from '../make.mjs';
import { Lines, scratch } from '../server.mjs';
import { DIES } from './namespace.mjs';
import { root } from './targets.mjs';

const execute = promisify(execFile);
const TARGET = 'armhf';

/* The mirrors of Debian that apt uses here, as lines of sources.list; the release of its main one. */
async function mirrors() {
	const { stdout } = await execute('apt-get', ['indextargets', '--format', '$(REPO_URI) $(RELEASE)', 'Created-By: Packages',
		'Origin: Debian', 'Component: main']);
	const all = [...new Set(stdout.trim().split('\n'))].map(line => line.split(' '));
	const main = all.find(([, release]) => !release.includes('-')) ?? assert.fail('apt has no mirror of Debian');
	return { main, lines: all.map(([site, release]) => `deb ${site} ${release} main\n`) };
}

/* The root of a minimal Debian, which is made once. */
async function minimal({ main: [site, release] }) {
	const base = path.join(root, 'build', `debian-${release}`);
	if (await access(base).then(() => false, () => true)) {
		await mkdir(path.dirname(base), { recursive: true });
		await rm(`${base}.new`, { recursive: true, force: true });
		await execute('debootstrap', ['--variant=minbase', release, `${base}.new`, site], { maxBuffer: 1 << 26 });
		await rename(`${base}.new`, base);
	}
	return base;
}

/* Has /proc, /dev/pts and namespaces of its own, which end with it. */
const MOUNTS = `set -e
mount -t proc proc "$0/proc"
mount -t devpts devpts "$0/dev/pts"
exec chroot "$0" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root sh -c "cd /videre && $1"`;

/* Holds the lock on apt's package lists, as another apt does. */
const HOLDER = 'import fcntl, sys\nf = open(sys.argv[1], "w")\nfcntl.lockf(f, fcntl.LOCK_EX)\nprint("held", flush=True)\n' +
	'sys.stdin.read()';

const UNITS = { 'B': 1e-6, 'kB': 1e-3, 'MB': 1 };
const megabytes = lines => lines.map(line => /^Fetched ([\d.,]+) (k?M?B) in/.exec(line)).filter(Boolean)
	.reduce((sum, [, number, unit]) => sum + Number(number.replaceAll(',', '')) * UNITS[unit], 0);

/* The copy of a tree, and a minimal Debian which has another one in /videre. */
async function fresh(t) {
	const apt = await mirrors();
	const there = path.join(await scratch(t), 'debian'), here = await scratch(t);
	await execute('cp', ['-a', await minimal(apt), there]);
	await execute('sh', ['-c', 'rm -rf "$0"/var/lib/apt/lists/* "$0"/var/cache/apt/archives/*.deb', there]);
	await writeFile(path.join(there, 'etc/apt/sources.list'), apt.lines.join(''));
	await cp('/etc/resolv.conf', path.join(there, 'etc/resolv.conf'));
	await mkdir(path.join(there, 'videre'));
	const source = path.join(here, 'source.tar');
	await execute('sh', ['-c', 'git ls-files -z | xargs -0 tar -cf "$0"', source], { cwd: root });
	for (const directory of [here, path.join(there, 'videre')])
		await execute('tar', ['-C', directory, '-xf', source]);
	await symlink(path.join(root, 'toolchain'), path.join(here, 'toolchain'));
	return { there, here };
}

/* Holds apt's lock on its lists there.  Returns what ends it. */
async function hold(t, there) {
	const lists = path.join(there, 'var/lib/apt/lists');
	await mkdir(lists, { recursive: true });
	await writeFile(path.join(lists, 'lock'), '', { mode: 0o640 });
	const holder = spawn('python3', ['-c', HOLDER, path.join(lists, 'lock')], { stdio: ['pipe', 'pipe', 'inherit'] });
	t.after(() => holder.kill('SIGKILL'));
	await new Lines(holder.stdout).match(/held/);
	return () => holder.stdin.end();
}

/* Runs a command line of the documentation there, which prints no warning and downloads what the documentation says. */
async function follow(t, there, command, saying) {
	const release = await hold(t, there);
	const began = Date.now();
	const child = spawn('setpriv', [...DIES, 'unshare', '--mount', '--pid', '--fork', '--kill-child',
		'sh', '-c', MOUNTS, there, command], { stdio: ['ignore', 'pipe', 'pipe'] });
	t.after(() => child.kill('SIGKILL'));
	const ended = once(child, 'close');
	const out = new Lines(child.stdout), errors = new Lines(child.stderr);
	await out.match(/^deps\.sh: waiting until another apt has ended$/, 0, 60_000);
	release();
	const [code] = await ended;
	assert.equal(code, 0, errors.all.join('\n'));
	assert.deepEqual(errors.all, []);
	assert.deepEqual(out.all.filter(line => /^[WE]: |warning|error:/i.test(line)), []);
	const downloaded = megabytes(out.all);
	console.log(`${command}: ${downloaded.toFixed(1)} MB in ${Math.round((Date.now() - began) / 1000)} s`);
	const said = Number(saying.exec(await documentation())[1]);
	assert(Math.abs(downloaded - said) < 5, `doc/devices.md says ${said} MB instead of ${downloaded.toFixed(1)}`);
	return out.all;
}

const documentation = () => readFile(path.join(root, 'doc/devices.md'), 'utf8');

/* A test as root, which may take an hour. */
const test = (name, body) => nodeTest(name, { timeout: 3_600_000 }, t =>
	process.getuid() === 0 ? body(t) : t.skip('needs root'));

test('a minimal Debian builds the server with one command', async t => {
	const { there } = await fresh(t);
	const [command] = /(?<=^ {4})\.\/deps\.sh && make$/m.exec(await documentation());
	await follow(t, there, command, /downloads (\d+) MB on a minimal Debian\. `sudo make install`/);
	const { stdout } = await execute('chroot', [there, '/videre/videre', '-V']);
	assert.match(stdout, /^videre \d/);
});

test('a minimal Debian builds an archive of one target, the same as here', async t => {
	const { there, here } = await fresh(t);
	const [command] = new RegExp(`(?<=^ {4})\\./deps\\.sh dist ${TARGET} .*$`, 'm').exec(await documentation());
	const lines = await follow(t, there, command, /downloads (\d+) MB on a minimal Debian, of which/);
	assert.deepEqual(lines.filter(line => /^toolchain/.test(line)), [`toolchain 1 of 1: ${TARGET}`]);
	await execute('make', ['--silent', 'dist', `TARGETS=${TARGET}`], { cwd: here, env: environment });
	const sums = directory => readFile(path.join(directory, 'dist/SHA256SUMS'), 'utf8');
	assert.equal(await sums(path.join(there, 'videre')), await sums(here));
});
