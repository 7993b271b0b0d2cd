/*
 * Emulated boards: Debian's kernel, an initramfs with busybox and the server as on a device, a disk with
 * the certificate, and a serial console.  Each is behind a tap device of the test: QEMU's user
 * networking (libslirp 4.7) has crashed under these tests.
 */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { Lines, bounded } from '../server.mjs';
import { DIES, enterNamespace, ip } from './namespace.mjs';
import { binaryOf } from './targets.mjs';

enterNamespace();

const execute = promisify(execFile);
const toolchain = fileURLToPath(new URL('../../toolchain', import.meta.url));

/*
 * `target` is the build target of the server, `kernel` the architecture of kernel and busybox.  The clock
 * of the malta board starts at 1970, as in routers without a battery.  A board has the address 2 of its
 * /24 network, this machine has 1.
 */
export const boards = {
	malta: {
		target: 'mipsel',
		kernel: 'mipsel',
		emulator: ['qemu-system-mipsel', '-M', 'malta', '-cpu', '24Kc', '-rtc', 'base=1970-01-01'],
		device: 'pcnet',
		network: '10.0.1',
		console: 'ttyS0',
		modules: ['pcnet32'],
	},
	virt: {
		target: 'armel',
		kernel: 'armhf',
		emulator: ['qemu-system-arm', '-M', 'virt,highmem=off', '-cpu', 'cortex-a7'],
		device: 'virtio-net-pci',
		network: '10.0.2',
		console: 'ttyAMA0',
		modules: ['virtio_net'],
	},
};

/* ext4's dependencies do not name the module of its checksums, crc32c_generic. */
const MODULES = ['virtio_pci', 'virtio_blk', 'crc32c_generic', 'ext4'];

const DIRECTORY = 0o040755, PROGRAM = 0o100755, FILE = 0o100644, LINK = 0o120777;
const CONSOLE = 0o020600;

/* A cpio archive (format newc, as the kernel reads it) of [name, mode, contents]. */
function archive(entries) {
	const pad = bytes => Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)]);
	const all = [...entries, ['TRAILER!!!', 0, '']].map(([name, mode, contents], i) => {
		const data = Buffer.from(contents);
		const device = mode === CONSOLE ? [5, 1] : [0, 0];
		const numbers = [i + 1, mode, 0, 0, 1, 0, data.length, 0, 0, ...device, name.length + 1, 0];
		const fields = numbers.map(number => number.toString(16).padStart(8, '0'));
		return [pad(Buffer.from(`070701${fields.join('')}${name}\0`)), pad(data)];
	});
	return Buffer.concat(all.flat());
}

/* These modules as [name, contents], each after the modules that it depends on. */
async function modules(directory, names) {
	const files = (await readdir(directory, { recursive: true })).filter(file => /\.ko$/.test(file));
	const paths = new Map(files.map(file => [path.basename(file, '.ko').replaceAll('-', '_'), file]));
	const loaded = new Map();
	const load = async name => {
		if (loaded.has(name) || !paths.has(name)) /* a module without a file is part of the kernel */
			return;
		const contents = await readFile(path.join(directory, paths.get(name)));
		const [, list] = /\0depends=([^\0]*)\0/.exec(contents.toString('latin1'));
		for (const needed of list.split(',').filter(one => one !== ''))
			await load(needed);
		loaded.set(name, contents);
	};
	for (const name of names)
		await load(name);
	return [...loaded];
}

const start = (network, names) => `#!/bin/sh
set -e
/bin/busybox --install -s
mount -t proc proc /proc
mount -t devtmpfs dev /dev
for module in ${names.join(' ')}; do
	insmod /lib/modules/$module.ko
done
hostname board
ifconfig lo 127.0.0.1 up
ifconfig eth0 ${network}.2 netmask 255.255.255.0 up
mount -t ext4 /dev/vda /data
[ -e /data/cert.pem ] || echo "made $(videre -k /data/cert.pem /data/key.pem)"
dmesg -n 1
`;

/* The console executes its input line by line, and prints each status. */
const consoleLoop = `stty -echo
echo the console listens
while read -r line; do
	eval "$line"
	echo "status $?"
done
`;

/* init restarts services when they end, the console too. */
const inittab = services => `::sysinit:/etc/start
::respawn:/sbin/syslogd -n -O /var/log/messages
${services.map(name => `::respawn:/usr/sbin/videre -c /etc/${name}.json\n`).join('')}\
::respawn:/bin/sh /etc/console
`;

/* The port of the first service; the others have the following ones. */
const PORT = 1111;

async function initramfs(board, services) {
	const tree = path.join(toolchain, 'kernel', board.kernel, 'lib/modules');
	const [version] = await readdir(tree);
	const needed = await modules(path.join(tree, version), [...MODULES, ...board.modules]);
	const busybox = path.join(toolchain, 'busybox', board.kernel, 'bin/busybox');
	const configurations = Object.entries(services).map(([name, conf], i) => {
		const all = { Port: PORT + i, TLS: true, Cert: '/data/cert.pem', Key: '/data/key.pem',
			Log: 'syslog', ...conf };
		return [`etc/${name}.json`, FILE, JSON.stringify(all)];
	});
	const directories = ['bin', 'sbin', 'usr', 'usr/bin', 'usr/sbin', 'dev', 'proc', 'etc', 'data',
		'lib', 'lib/modules', 'var', 'var/log'];
	return archive([
		...directories.map(name => [name, DIRECTORY, '']),
		['dev/console', CONSOLE, ''],
		['bin/busybox', PROGRAM, await readFile(busybox)],
		['bin/sh', LINK, 'busybox'],
		['sbin/init', LINK, '../bin/busybox'],
		['etc/start', PROGRAM, start(board.network, needed.map(([name]) => name))],
		['etc/console', FILE, consoleLoop],
		['etc/inittab', FILE, inittab(Object.keys(services))],
		['usr/sbin/videre', PROGRAM, await readFile(binaryOf({ name: board.target }))],
		...configurations,
		...needed.map(([name, contents]) => [`lib/modules/${name}.ko`, FILE, contents]),
	]);
}

/* Milliseconds, on a machine that is busy with other things. */
const BOOT = 180_000, ANSWER = 60_000;

class Board {
	#child;

	constructor(board, dir, tap, names) {
		Object.assign(this, { board, dir, tap, names });
	}

	/* Starts the emulator.  Returns when all services listen. */
	async boot() {
		const { board, dir } = this;
		const boot = path.join(toolchain, 'kernel', board.kernel, 'boot');
		const kernel = (await readdir(boot)).find(name => name.startsWith('vmlinuz'));
		this.#child = spawn('setpriv', [...DIES, ...board.emulator,
			'-accel', 'tcg', '-m', '128', '-no-reboot',
			'-nographic', '-vga', 'none', '-monitor', 'none', '-serial', 'stdio',
			'-kernel', path.join(boot, kernel), '-initrd', path.join(dir, 'initramfs'),
			'-append', `console=${board.console} rdinit=/sbin/init panic=-1`,
			'-netdev', `tap,id=net,ifname=${this.tap},script=no,downscript=no`,
			'-device', `${board.device},netdev=net,romfile=`,
			'-drive', `file=${path.join(dir, 'disk')},format=raw,if=none,id=disk`,
			'-device', 'virtio-blk-pci,drive=disk'], { stdio: ['pipe', 'pipe', 'pipe'] });
		this.#child.stdin.on('error', () => {}); /* the emulator has ended */
		this.ended = once(this.#child, 'close');
		this.ended.then(([status, signal]) => signal === 'SIGKILL' ||
			console.error(`${this.tap}: the emulator ended with ${signal ?? status}`), () => {});
		this.console = new Lines(this.#child.stdout);
		this.errors = new Lines(this.#child.stderr);
		await this.says(/the console listens/, 0, BOOT);
		await this.listening();
	}

	/* Waits until the kernel lists all listeners: the log lines of the services may be too early for syslogd. */
	async listening() {
		for (const i of this.names.keys()) {
			const socket = `:${(PORT + i).toString(16).toUpperCase().padStart(4, '0')} 00000000:0000 0A`;
			await this.shell(`until grep -q '${socket}' /proc/net/tcp; do sleep 0.1; done`);
		}
	}

	/* The process of a service.  Others may end meanwhile, which makes grep fail. */
	async pid(name) {
		const found = await this.shell(`grep -ls /etc/${name}.json /proc/[0-9]*/cmdline || :`);
		return Number(/\/proc\/(\d+)\/cmdline/.exec(found)[1]);
	}

	/* Kills the emulator, as a power cut would. */
	async cut() {
		this.#child?.kill('SIGKILL');
		await bounded(this.ended, 'the end of the emulator');
	}

	/* The first match on the console from line `from`.  An error has the whole console. */
	async says(pattern, from, ms) {
		return this.console.match(pattern, from, ms).catch(error => {
			const all = [...this.errors.all, ...this.console.all];
			throw new Error(`${error.message} on the console:\n${all.join('\n')}`);
		});
	}

	/* Runs a command, which must succeed.  Returns the console's lines of that time. */
	async shell(command) {
		const from = this.console.all.length;
		this.#child.stdin.write(`${command}\n`);
		const [, status] = await this.says(/status (\d+)/, from, ANSWER);
		const lines = this.console.all.slice(from).map(line => line.trimEnd());
		assert.equal(status, '0', `${command}: ${lines.join('\n')}`);
		return lines.join('\n');
	}

	/* A service in the form that client.mjs connects to. */
	service(name, tls) {
		const port = PORT + this.names.indexOf(name);
		return { host: `${this.board.network}.2`, port, prefix: '/echo', tls, clients: new Set() };
	}
}

/*
 * A board that is not started, with an empty disk.  `services` has the configurations of its servers, on
 * top of TLS, syslog and the defaults.
 */
export async function assemble(name, services, dir) {
	const board = boards[name], names = Object.keys(services);
	await writeFile(path.join(dir, 'initramfs'), gzipSync(await initramfs(board, services)));
	await execute('mke2fs', ['-q', '-F', '-t', 'ext4', path.join(dir, 'disk'), '8M'],
		{ env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` } });
	ip('tuntap', 'add', 'dev', name, 'mode', 'tap');
	ip('address', 'add', `${board.network}.1/24`, 'dev', name);
	ip('link', 'set', name, 'up');
	return new Board(board, dir, name, names);
}
