/*
 * A device: busybox init as process 1 of namespaces of its own, with a root that holds nothing
 * but busybox and the static binary, and is read-only but for /dev and /var.
 */
import assert from 'node:assert/strict';
import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { uptime } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Raw, open } from '../client.mjs';
import { Lines, bounded, built, scratch, test, until } from '../server.mjs';
import { DIES, enterNamespace, root } from './namespace.mjs';

export const shipped = name => fileURLToPath(new URL(`../../device/${name}`, import.meta.url));
export const videre = built('VIDERE_DEVICE', 'build/device/x86_64/videre');

if (root)
	enterNamespace();

let port = 1112; /* 1111 is the shipped one's */
export const freePort = () => port++;

export const SYSLOGD = '::respawn:/sbin/syslogd -n -O /var/log/messages';
export const INITTAB = '::respawn:/usr/sbin/videre -c /etc/videre.json';

/* As process 1: mounts what a device has, and becomes init. */
const MOUNTS = `set -e
mount --bind "$0" "$0"
mount -t tmpfs tmpfs "$0/dev"
mknod -m 666 "$0/dev/null" c 1 3
mknod -m 666 "$0/dev/urandom" c 1 9
mount -t tmpfs tmpfs "$0/var"
mkdir "$0/var/log" "$0/var/run"
[ "$1" = without ] || mount -t proc proc "$0/proc"
[ "$2" = writable ] || mount -o remount,bind,ro "$0"
exec chroot "$0" /bin/busybox init`;

class Device {
	clients = new Set();
	host = '127.0.0.1';
	prefix = '/echo';

	/* The path of a file in it, through /proc: its mounts are visible nowhere else. */
	path(name) {
		return `/proc/${this.init}/root${name}`;
	}

	async read(name) {
		return readFile(this.path(name), 'utf8').catch(() => '');
	}

	/* Waits for a line of a file in it. */
	line(pattern, name = '/var/log/messages') {
		return until(`${name} has ${pattern}`, () => this.read(name), text => pattern.test(text));
	}

	/* The pids of the servers that run in it, as the host counts them. */
	async servers() {
		const file = `/proc/${this.init}/task/${this.init}/children`;
		const pids = (await readFile(file, 'utf8')).trim().split(' ').filter(Boolean);
		const states = await Promise.all(pids.map(pid =>
			readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')));
		return pids.filter((_, i) => /^\d+ \(videre\) [^Z]/.test(states[i])).map(Number);
	}

	/* The one server, once it is there, and is another than `before`. */
	async server(before) {
		const [pid] = await until('one server', () => this.servers(), pids =>
			pids.length === 1 && pids[0] !== before);
		return pid;
	}

	/* It may be starting. */
	async answers() {
		const raw = await until('it listens', () => Raw.connect(this).catch(() => null), Boolean);
		raw.destroy();
		const client = await open(this);
		await client.none();
		return client;
	}

	/* Runs a program in it, from a directory there, to its end: its status, and what it said. */
	run(...args) {
		const enter = [`--target=${this.init}`, '--mount', '--pid', '--root', '--wd=/usr', ...args];
		const env = { PATH: '/sbin:/usr/sbin:/bin:/usr/bin' };
		const ended = new Promise(resolve =>
			execFile('nsenter', enter, { env }, (error, stdout, stderr) =>
				resolve({ code: error ? error.code : 0, stdout, stderr })));
		return bounded(ended, args.join(' '), 30_000);
	}

	/* S50videre, whose status must be this, and what it says. */
	async script(argument, code, said) {
		const result = await this.run('/etc/init.d/S50videre', ...[argument].flat());
		assert.equal(result.code, code, JSON.stringify(result));
		assert.match(result.stdout + result.stderr, said);
	}

	/* Writes a file of /var or /dev. */
	write(name, text) {
		return writeFile(this.path(name), text);
	}

	/* Ends all of it at once: process 1 is gone only after all others. */
	async end() {
		for (const client of this.clients)
			client.destroy();
		if (this.child.exitCode === null && this.child.signalCode === null)
			process.kill(this.init ?? this.child.pid, 'SIGKILL');
		await bounded(this.exited, 'the end of the device');
	}
}

/*
 * Boots one for the length of a test.  `conf` goes on top of the shipped configuration and a
 * port of its own, null leaves it as it is; `files` are more files of its root,
 * their text or [text, mode].  It is `young`
 * if its monotonic clock has just begun.  Nothing is installed on a `bare` one, and its root is writable.
 */
export async function boot(t, { inittab, conf = {}, proc = true, young = false, bare = false, files = {} }) {
	const device = new Device();
	t.after(() => device.child && device.end());
	const dir = await scratch(t);
	await chmod(dir, 0o755);
	for (const name of ['bin', 'sbin', 'usr/bin', 'usr/sbin', 'etc/init.d', 'etc/default', 'dev',
		'proc', 'var'])
		await mkdir(path.join(dir, name), { recursive: true });
	device.dir = dir;
	await copyFile('/bin/busybox', path.join(dir, 'bin/busybox'));
	execFileSync('chroot', [dir, '/bin/busybox', '--install', '-s']);
	if (!bare) {
		await copyFile(videre, path.join(dir, 'usr/sbin/videre'));
		await copyFile(shipped('S50videre'), path.join(dir, 'etc/init.d/S50videre'));
	}
	const whole = await readFile(shipped('conf.json'), 'utf8');
	device.port = conf === null ? 1111 : freePort();
	const written = {
		...(bare ? {} : {
			'etc/videre.json': conf === null ? whole
				: JSON.stringify({ ...JSON.parse(whole), Port: device.port, ...conf }),
		}),
		'etc/inittab': `${inittab.join('\n')}\n`,
		'etc/passwd': `root:x:0:0::/:/bin/sh\n${bare ? '' : 'videre:x:100:101::/:/bin/false\n'}`,
		...files,
	};
	for (const [name, contents] of Object.entries(written)) {
		const [text, mode] = [contents].flat();
		await mkdir(path.dirname(path.join(dir, name)), { recursive: true });
		await writeFile(path.join(dir, name), text, { mode });
	}

	const time = young ? ['--time', `--monotonic=${1 - Math.floor(uptime())}`] : [];
	device.child = spawn('setpriv', [...DIES, 'unshare', '--pid', '--fork', '--kill-child',
		'--mount', '--uts', ...time, 'sh', '-c', MOUNTS, dir, proc ? 'with' : 'without',
		bare ? 'writable' : 'read-only'],
		{ stdio: ['ignore', 'ignore', 'pipe'], env: { PATH: process.env.PATH } });
	device.exited = once(device.child, 'close');
	device.console = new Lines(device.child.stderr);
	const children = `/proc/${device.child.pid}/task/${device.child.pid}/children`;
	device.init = Number(await until('init', () => readFile(children, 'utf8'), Boolean));
	await until('busybox', () => readFile(`/proc/${device.init}/cmdline`, 'utf8'),
		line => line === '/bin/busybox\0init\0');
	return device;
}

export const whenRoot = (name, body) => test(name, async t => root ? body(t) : t.skip('needs root'));
