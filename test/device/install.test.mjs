/*
 * install.sh of an archive, on devices that hold nothing but busybox: the first installation, an upgrade during calls, the
 * way back, and the end of all.  OpenWrt and systemd are stand-ins.
 */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe } from 'node:test';
import { promisify } from 'node:util';
import { broadcast, deliver, gather, joined, open } from '../client.mjs';
import { environment } from '../make.mjs';
import { until } from '../server.mjs';
import { SYSLOGD, boot, whenRoot } from './device.mjs';
import { ip, root } from './namespace.mjs';
import { UCI } from './openwrt.mjs';
import { copy } from './targets.mjs';

const execute = promisify(execFile);
const OTHER = '99.0.0';

/* procd, which only starts its one service. */
const RC_COMMON = `#!/bin/sh
ROOT=
${UCI}
procd_open_instance() { :; }
procd_close_instance() { setsid $command </dev/null >/dev/null 2>&1 & }
procd_set_param() { [ "$1" != command ] || { shift; command=$*; }; }
start() { start_service; }
restart() { stop; start; }
stop() { start-stop-daemon -K -q -x "$PROG"; while start-stop-daemon -K -q -s 0 -x "$PROG"; do sleep 1; done 2>/dev/null; }
enable() { mkdir -p /etc/rc.d; ln -sf ../init.d/videre "/etc/rc.d/S\${START}videre"; }
disable() { rm -r /etc/rc.d; }
. "$1"
"$2"
`;

/* systemctl, for one unit that has to be loaded before it is started. */
const SYSTEMCTL = `#!/bin/sh
unit=/etc/systemd/system/videre.service
case $* in
daemon-reload) sed -n 's/^ExecStart=//p' $unit >/var/loaded ;;
'-q enable --now videre' | 'restart videre')
	grep -q '^WantedBy=multi-user.target$' $unit || exit 1
	[ "$1" != restart ] || killall videre
	while pidof videre >/dev/null; do sleep 1; done
	setsid $(cat /var/loaded) </dev/null >/dev/null 2>&1 & ;;
'-q disable --now videre')
	killall videre
	while pidof videre >/dev/null; do sleep 1; done ;;
*) exit 1 ;;
esac
`;

/* Each init: the files that make a device have it, and how the server is restarted. */
const JSON_CONF = { conf: '/etc/videre.json', port: text => text.replace('{', '{ "Port": 443,') };
const kinds = {
	'busybox init': { at: '/etc/inittab', restart: ['killall', 'videre'], ...JSON_CONF },
	'scripts of Buildroot': { at: '/etc/init.d/S50videre', restart: ['/etc/init.d/S50videre', 'restart'], ...JSON_CONF,
		files: { 'etc/init.d/rcS': ['#!/bin/sh\nfor i in /etc/init.d/S??*; do $i start; done\n', 0o755] } },
	'procd of OpenWrt': { at: '/etc/init.d/videre', restart: ['/etc/init.d/videre', 'restart'],
		conf: '/etc/config/videre', port: text => text.replace('\'1111\'', '\'443\''),
		files: { 'etc/rc.common': [RC_COMMON, 0o755], 'etc/config/other': 'config other\n' } },
	'systemd': { at: '/etc/systemd/system/videre.service', restart: ['systemctl', 'restart', 'videre'], ...JSON_CONF,
		files: { 'run/systemd/system/running': '', 'etc/systemd/system/other': '', 'bin/systemctl': [SYSTEMCTL, 0o755] } },
};

const GROUP = 'root:x:0:\ndaemon:x:999:\n'; /* the first id for the user is taken */
const NAMES = ['localhost', '127.0.0.1'];

describe('an archive', () => {
	const archives = {};
	const hooks = [];

	before(async () => {
		if (!root)
			return;
		ip('link', 'set', 'lo', 'up');
		const there = await copy({ after: hook => hooks.push(hook) }, { toolchain: true });
		const { stdout } = await execute('sed', ['-n', 's/^VERSION = //p', 'Makefile'], { cwd: there });
		for (const version of [stdout.trim(), OTHER]) {
			await execute('make', ['--silent', 'dist', 'TARGETS=x86_64', `VERSION=${version}`],
				{ cwd: there, env: environment });
			archives[version] = path.join(there, 'dist', `videre-${version}-x86_64.tar.gz`);
		}
	}, { timeout: 600_000 });
	after(() => Promise.all(hooks.map(hook => hook())));

	/* The documentation's commands for a certificate, with the names that are used here. */
	let again;
	before(async () => {
		const text = await readFile(new URL('../../doc/devices.md', import.meta.url), 'utf8');
		again = /(?: {4}.*\n)*? {4}videre -k .*\n(?: {4}.*\n)*/.exec(text)[0].replace('router.lan 192.168.1.1', NAMES.join(' '));
	});

	/* All files of a device, with modes and contents, except those of the archives. */
	const files = async ({ dir }) => (await execute('sh', ['-c', `find . -path ./root -prune -o ! -type d -printf '%p %m %l ' \
		-exec sh -c '[ -L "$0" ] && echo || sha256sum <"$0"' {} ';' -o -printf '%p %m\\n' | sort`],
		{ cwd: dir, maxBuffer: 1 << 24 })).stdout;

	/* A device with both archives unpacked in /root. */
	async function device(t, kind) {
		const device = await boot(t, { inittab: [SYSLOGD], bare: true,
			files: { 'etc/group': GROUP, 'root/.profile': '', ...kinds[kind].files } });
		for (const archive of Object.values(archives))
			await execute('tar', ['-C', path.join(device.dir, 'root'), '-xzf', archive]);
		await device.line(/syslogd started/);
		return device;
	}

	const install = (device, version, ...args) => device.run(`/root/videre-${version}-x86_64/install.sh`, ...args);

	/* Clients trust the certificate that was made. */
	const trust = async device => {
		const ca = await device.read('/etc/videre/cert.pem');
		device.tls = { ca };
		return ca;
	};

	async function succeeds(device, version, ...args) {
		const { code, stdout, stderr } = await install(device, version, ...args);
		assert.deepEqual({ code, stderr }, { code: 0, stderr: '' });
		const { stdout: installed } = await device.run('/usr/sbin/videre', '-V');
		assert.equal(installed, `videre ${version}\n`);
		return stdout;
	}

	/* Its one server runs as the user videre. */
	async function runs(device, before) {
		const pid = await device.server(before);
		const uid = await until('the user', async () =>
			/^Uid:\t(\d+)\t\1\t\1\t\1$/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1], uid => uid !== '0');
		assert.match(await device.read('/etc/passwd'), new RegExp(`^videre:\\*:${uid}:${uid}:`, 'm'));
		return pid;
	}

	/* A server that is being restarted may not listen yet. */
	const opens = device => until('it serves', () => open(device).catch(({ message }) => message),
		answer => typeof answer !== 'string');

	for (const [kind, { at, conf, restart, port }] of Object.entries(kinds))
		whenRoot(`with ${kind}: is installed, upgraded during calls, downgraded and uninstalled`, async t => {
			const here = await device(t, kind);
			const [version] = Object.keys(archives);
			const before = await files(here);

			/* The first installation prints the page and the fingerprints, and serves with the certificate. */
			here.port = 1111;
			const printed = await succeeds(here, version, ...NAMES);
			assert.match(printed, /^https:\/\/localhost:1111\/$/m);
			const certificate = new X509Certificate(await trust(here));
			assert(printed.includes(`SHA-256 of the certificate: ${certificate.fingerprint256}`), printed);
			assert.match(certificate.subjectAltName, /DNS:localhost, IP Address:127\.0\.0\.1/);
			await (await opens(here)).none();
			let pid = await runs(here);
			const key = (await here.run('ls', '-l', '/etc/videre/key.pem')).stdout;
			assert.match(key, /^-rw-r----- +1 root +videre /);

			/* A new certificate, made as the documentation says, is loaded without a restart. */
			assert.equal((await here.run('sh', '-ec', `${again}kill -HUP $(pidof videre)`)).code, 0);
			assert.notEqual(await here.read('/etc/videre/cert.pem'), here.tls.ca);
			await trust(here);
			await (await opens(here)).none();
			assert.equal(await runs(here), pid);

			/* A port below 1024 works as videre, and an upgrade keeps what was configured. */
			await writeFile(path.join(here.dir, conf), port(await here.read(conf)));
			const { code, stderr } = await here.run(...restart);
			assert.equal(code, 0, stderr);
			here.port = 443;
			pid = await runs(here, pid);
			(await opens(here)).destroy();
			const configured = await here.read(conf);

			/* Clients are closed with 1001, and meet again on the other version; then back. */
			for (const other of [OTHER, version]) {
				const clients = await gather(here, 'kitchen', 'ann', 'bob');
				const installing = succeeds(here, other);
				for (const client of clients)
					assert.equal((await client.closed()).code, 1001);
				const ann = await opens(here);
				ann.join('ann', 'kitchen');
				await ann.gets(joined('ann', 'kitchen', true));
				const bob = await open(here);
				bob.join('bob', 'kitchen');
				for (const client of [ann, bob])
					await client.gets(joined('bob', 'kitchen', false));
				await deliver(ann, bob, broadcast('ann', 'kitchen', { offer: 1 }));
				const told = await installing;
				assert.match(told, /^https:\/\/localhost:443\/$/m);
				assert(told.includes(new X509Certificate(here.tls.ca).fingerprint256), told);
				pid = await runs(here, pid);
				assert.equal(await here.read(conf), configured);
				for (const client of [ann, bob])
					client.destroy();
			}

			/* What a version does not read stops nothing. */
			if (kind !== 'procd of OpenWrt') {
				await writeFile(path.join(here.dir, conf), configured.replace('"LogLevel"', '"Later"'));
				const refused = await install(here, OTHER);
				assert.notEqual(refused.code, 0);
				assert.match(refused.stderr, /\/etc\/videre\.json:\d+: .*Later/);
				assert.equal(await runs(here), pid);
				await writeFile(path.join(here.dir, conf), configured);
			}

			assert.notEqual(await here.read(at), '');
			const gone = await install(here, OTHER, 'uninstall');
			assert.deepEqual([gone.code, gone.stderr], [0, '']);
			assert.deepEqual(await here.servers(), []);
			assert.equal(await files(here), before);
			assert.deepEqual((await install(here, OTHER, 'uninstall')).stderr, '', 'again');
			assert.equal(await files(here), before);
		});

	whenRoot('is not installed with an init that the script does not know', async t => {
		const here = await boot(t, { inittab: [SYSLOGD], bare: true, files: { 'root/.profile': '' } });
		await execute('tar', ['-C', path.join(here.dir, 'root'), '-xzf', Object.values(archives)[0]]);
		await here.line(/syslogd started/);
		await writeFile(path.join(here.dir, 'etc/inittab'), 'id:2:initdefault:\n');
		const before = await files(here);
		const { code, stderr } = await install(here, Object.keys(archives)[0]);
		assert.equal(code, 1);
		assert.match(stderr, /^install\.sh: unknown init: start \/usr\/sbin\/videre -c \/etc\/videre\.json yourself\n$/);
		assert.equal(await files(here), before);
	});
});
