/*
 * The server on a device (device.mjs), started by inittab and by S50videre.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { copyFile, readFile, writeFile } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { before, describe } from 'node:test';
import { Raw, gather, packet } from '../client.mjs';
import { attempts, bounded, lessThan, run, scratch, serve, test, until } from '../server.mjs';
import { INITTAB, SYSLOGD, boot, freePort, shipped, videre, whenRoot } from './device.mjs';
import { ip, root } from './namespace.mjs';

/* First, while loopback is down. */
describe('before the network is up', () => {
	/* A kernel that has never had an address lets anybody bind to any; past that, it is choosy. */
	before(() => root && ['up', 'down'].forEach(state => ip('link', 'set', 'lo', state)));

	for (const [host, add] of [['192.0.2.1', ['192.0.2.1/32']],
		['2001:db8::1', ['2001:db8::1/128', 'nodad']]])
		whenRoot(`it starts, and answers at ${host} once that is there`, async t => {
			const device = await boot(t, { inittab: [SYSLOGD, INITTAB], conf: { Host: host } });
			device.host = host.includes(':') ? `[${host}]` : host;
			const [, listening] = await device.console.match(/ info - listening on (.*):\d+$/);
			assert.equal(listening, device.host);
			const pid = await device.server();
			await assert.rejects(Raw.connect(device), 'there is no such address yet');
			ip('link', 'set', 'lo', 'up');
			ip('address', 'add', ...add, 'dev', 'lo');
			t.after(() => ip('link', 'set', 'lo', 'down'));
			await device.answers();
			assert.deepEqual(await device.servers(), [pid], 'and it is still the same');
		});
});

describe('by inittab', { concurrency: true }, () => {
	before(() => root && ip('link', 'set', 'lo', 'up'));

	/* The uid of a process. */
	const user = async pid =>
		Number(/^Uid:\t(\d+)/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))[1]);

	/* Ends the system.  Returns where the console tells of the steps. */
	async function end(device) {
		const client = await device.answers();
		await Raw.websocket(device); /* does not answer, and holds it up as long as it may */
		const from = device.console.all.length;
		process.kill(device.init, 'SIGUSR2');
		assert.equal((await client.closed()).code, 1001);
		const [, by] = await bounded(device.exited, 'the end of the system');
		assert.equal(by, 'SIGINT', 'how the kernel tells of a namespace that was powered off');
		const told = device.console.all.slice(from);
		return [/ info - stopping$/, / info - stopped$/, /Sent SIGKILL/]
			.map(pattern => told.findIndex(line => pattern.test(line)));
	}

	const kinds = {
		'as shipped': { conf: null, uid: 100 },
		'as root, without /proc': { conf: { User: '' }, proc: false },
		'without /proc': { proc: false, uid: 100 },
		'on a machine that has just started': { young: true, uid: 100 },
		'on one without /proc that has just started': { uid: 100, proc: false, young: true },
	};
	for (const [kind, { uid = 0, ...options }] of Object.entries(kinds))
		whenRoot(`${kind}, it starts, comes back when killed, and ends with the system`, async t => {
			const inittab = [SYSLOGD, await readFile(shipped('inittab'), 'utf8')];
			let device = await boot(t, { inittab, ...options });
			await device.answers();
			const first = await device.server();
			assert.equal(await user(first), uid);
			await device.line(/syslogd started/);
			process.kill(first, 'SIGKILL');
			const second = await device.server(first);
			await device.answers();
			assert.equal(await user(second), uid);
			await device.line(/ daemon\.info videre\[\d+\]: info - listening on \S+:\d+\n/);

			/* It has a second from SIGTERM to SIGKILL. */
			await attempts('it stops before SIGKILL', async () => {
				const ending = device ?? await boot(t, { inittab, ...options });
				device = undefined;
				return end(ending);
			}, places => !places.includes(-1) && places.every((place, i) => i === 0 || place > places[i - 1]));
		});

	test('the shipped configuration is good, and needs at most 40 MiB', async t => {
		const settings = { ...JSON.parse(await readFile(shipped('conf.json'))), User: 'nobody' }; /* videre is a user of devices */
		const conf = path.join(await scratch(t), 'videre.json');
		await writeFile(conf, JSON.stringify(settings));
		const { code, stderr } = await run(['-n', '-c', conf], { binary: videre });
		assert.equal(code, 0, stderr);
		const limits = { ...settings, Log: '' };
		const server = await serve(t, { binary: videre, conf: limits });
		const [, most] = await server.lines.match(/ info - memory: at most (\d+) KiB/);
		assert(Number(most) <= 40 * 1024, `${most} KiB`);
	});

	const counters = / daemon\.info videre\[\d+\]: info - counters: /;

	whenRoot('it logs to a syslogd that comes later', async t => {
		const later = '::once:/bin/sh -c "until [ -e /var/now ]; do sleep 1; done; ' +
			'exec syslogd -n -O /var/log/messages"';
		const device = await boot(t, { inittab: [INITTAB, later] });
		await device.answers();
		const missing = / warn - Log syslog \(\/dev\/log\) cannot be reached: /;
		await device.console.match(missing);
		const pid = await device.server();
		process.kill(pid, 'SIGUSR1');
		await device.console.match(/ counters: /);
		await device.write('/var/now', '');
		await device.line(/syslogd started/);
		await until('a line of it', async () => {
			process.kill(pid, 'SIGUSR1');
			return device.read('/var/log/messages');
		}, text => counters.test(text));
		assert.equal(device.console.all.filter(line => missing.test(line)).length, 1, 'said once');
		assert.deepEqual(await device.servers(), [pid]);
	});

	whenRoot('it loses no line to a syslogd that was started again', async t => {
		const device = await boot(t, { inittab: [SYSLOGD, INITTAB] });
		await device.answers();
		await device.line(/syslogd started/);
		const pid = await device.server();
		await until('a line of it', async () => {
			process.kill(pid, 'SIGUSR1');
			return device.read('/var/log/messages');
		}, text => counters.test(text));
		await device.run('sh', '-c', 'killall syslogd && mv /var/log/messages /var/log/before');
		await device.line(/syslogd started/);
		process.kill(pid, 'SIGUSR1');
		await device.line(counters);
	});
});

describe('S50videre', { concurrency: true }, () => {
	before(() => root && ip('link', 'set', 'lo', 'up'));

	const PIDFILE = '/var/run/videre.pid';
	const machine = (t, options) => boot(t, { inittab: ['::sysinit:/bin/true'], ...options });
	const configure = (device, text) => writeFile(path.join(device.dir, 'etc/videre.json'), text);

	/* It runs, has this pid file, and serves. */
	async function runs(device, pidfile = PIDFILE) {
		const pid = await device.server();
		const inside = /^NSpid:.*\t(\d+)$/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))[1];
		assert.equal((await device.read(pidfile)).trim(), inside);
		await device.answers();
		return pid;
	}

	async function isStopped(device) {
		assert.deepEqual(await device.servers(), []);
		assert(!existsSync(device.path(PIDFILE)), 'there is a pid file');
	}

	for (const [where, proc] of [['with /proc', true], ['without /proc', false]])
		whenRoot(`${where}, starts, stops and restarts, from either state`, async t => {
			const device = await machine(t, { proc });
			const files = async () =>
				(await device.run('find', '/var', '/dev')).stdout.split('\n').sort();
			const before = await files();
			await device.script('stop', 0, /^Stopping videre: OK \(it did not run\)\n$/);
			await device.script('reload', 7, /^Reloading videre: FAIL \(it does not run\)\n$/);
			await device.script('start', 0, /^Starting videre: OK\n$/);
			const first = await runs(device);
			await device.script('start', 0, /^Starting videre: OK \(it runs already\)\n$/);
			assert.equal(await runs(device), first);
			await device.script('restart', 0, /^Stopping videre: OK\nStarting videre: OK\n$/);
			const second = await runs(device);
			assert.notEqual(second, first);
			await device.script('stop', 0, /^Stopping videre: OK\n$/);
			await isStopped(device);
			await device.script('restart', 0, /did not run\)\nStarting videre: OK\n$/);
			await runs(device);
			assert.deepEqual(await files(), [...before, PIDFILE].sort(), 'nothing else is written');
		});

	whenRoot('has the log opened again, from wherever it is called', async t => {
		const device = await machine(t, { conf: { Log: 'var/log/videre/log' } }); /* a directory of its own */
		await device.script('start', 0, /OK/);
		const pid = await runs(device);
		await device.run('mv', '/var/log/videre/log', '/var/log/before');
		await device.script('reload', 0, /^Reloading videre: OK\n$/);
		await device.line(/ info - log reopened\n/, '/var/log/videre/log');
		assert.equal(await runs(device), pid);
	});

	whenRoot('answers everything else with its usage', async t => {
		const device = await machine(t);
		for (const argument of [[], '', 'status', 'Start', '-h', 'check'])
			await device.script(argument, 2, /^usage: \S+ {start\|stop\|restart\|reload}\n$/);
		await isStopped(device);
	});

	whenRoot('starts nothing with a bad configuration, and restarts nothing', async t => {
		const device = await machine(t);
		const good = await readFile(path.join(device.dir, 'etc/videre.json'));
		await configure(device, '{\n"Port": "x"\n}');
		await device.script('start', 6, /\/etc\/videre\.json:2: Port .*/);
		await isStopped(device);
		await configure(device, good);
		await device.script('start', 0, /OK/);
		const pid = await runs(device);
		await configure(device, '{\n\n"Prot": 1\n}');
		await device.script('restart', 6, /^\/etc\/videre\.json:3: .*Prot/);
		assert.equal(await runs(device), pid);
		await device.script('stop', 0, /OK/);
		await isStopped(device);
	});

	whenRoot('tells that it ended at once, its port being taken', async t => {
		const device = await machine(t);
		const other = net.createServer().listen(device.port);
		await once(other, 'listening');
		await device.script('start', 1, /^Starting videre: FAIL \(its log says why\)\n$/);
		await isStopped(device);
		other.close();
		await once(other, 'close');
		await device.script('start', 0, /OK/);
		await runs(device);
	});

	whenRoot('starts nothing that it could not find again', async t => {
		const device = await machine(t);
		await device.run('rm', '-r', '/var/run');
		await device.script('start', 1, /FAIL/);
		await isStopped(device);
	});

	whenRoot('says that there is no such program', async t => {
		const files = { 'etc/default/videre': 'DAEMON=/usr/sbin/other\n' };
		const device = await machine(t, { files });
		await device.script('start', 6, /other: not found/);
		await isStopped(device);
	});

	for (const [where, proc] of [['with /proc', true], ['without /proc', false]])
		whenRoot(`${where}, knows that a pid file is stale when its process is gone`, async t => {
			const device = await machine(t, { proc });
			await device.script('start', 0, /OK/);
			process.kill(await runs(device), 'SIGKILL');
			await until('it is gone', () => device.servers(), ({ length }) => length === 0);
			await device.script('reload', 7, /does not run/);
			await device.script('stop', 0, /did not run/);
			await isStopped(device);
			for (const stale of ['4194303\n', '', 'x']) {
				await device.write(PIDFILE, stale);
				await device.script('start', 0, /^Starting videre: OK\n$/);
				await runs(device);
				await device.script('stop', 0, /^Stopping videre: OK\n$/);
				await isStopped(device);
			}
		});

	whenRoot('leaves another program alone that has its pid by now', async t => {
		const device = await machine(t, { inittab: [SYSLOGD, '::respawn:/bin/sleep 1000'] });
		await device.line(/syslogd started/);
		const pids = (await device.run('pidof', 'syslogd', 'sleep')).stdout;
		for (const pid of pids.trim().split(' ')) {
			await device.write(PIDFILE, `${pid}\n`);
			await device.script('reload', 7, /does not run/);
			await device.script('stop', 0, /did not run/);
			await device.write(PIDFILE, `${pid}\n`);
			await device.script('start', 0, /^Starting videre: OK\n$/);
			await runs(device);
			await device.script('stop', 0, /^Stopping videre: OK\n$/);
			await isStopped(device);
		}
		assert.equal((await device.run('pidof', 'syslogd', 'sleep')).stdout, pids);
	});

	whenRoot('kills what does not end', async t => {
		const device = await machine(t);
		await device.script('start', 0, /OK/);
		process.kill(await runs(device), 'SIGSTOP');
		await device.script('stop', 0, /^Stopping videre: OK \(killed\)\n$/);
		await isStopped(device);
	});

	whenRoot('takes what it is told from /etc/default/videre', async t => {
		const other = freePort();
		const device = await machine(t, {
			conf: { Port: 'x' },
			files: {
				'etc/default/videre': 'DAEMON=/bin/videre\nCONF=/etc/other.json\n' +
					`ARGS="-p ${other}"\nPIDFILE=/var/other.pid\n`,
				'etc/other.json': '{"Log":"/var/other.log"}',
			},
		});
		await copyFile(videre, path.join(device.dir, 'bin/videre'));
		device.port = other;
		await device.script('start', 0, /OK/);
		const pid = await runs(device, '/var/other.pid');
		assert.equal(await readFile(`/proc/${pid}/cmdline`, 'utf8'),
			`/bin/videre\0-c\0/etc/other.json\0-p\0${other}\0`);
		await device.script('restart', 0, /OK\n.*OK/);
		assert.notEqual(await runs(device, '/var/other.pid'), pid);
		await device.line(/ info - stopped\n/, '/var/other.log');
		await device.script('stop', 0, /OK/);
		assert(!existsSync(device.path('/var/other.pid')));
		await isStopped(device);
	});
});

/* Last, as it makes the kernel hold little of what is on its way. */
describe('S50videre stop', () => {
	const texts = room => Array.from({ length: 6 }, (_, i) =>
		packet('broadcast', 'a', room, 'x'.repeat(10_000 + i)));

	whenRoot('ends 60 clients within a second, after all that was sent before', async t => {
		ip('link', 'set', 'lo', 'up');
		for (const name of ['tcp_rmem', 'tcp_wmem'])
			await writeFile(`/proc/sys/net/ipv4/${name}`, '4096 16384 16384');
		await lessThan(1000, async () => {
			const log = '/var/log/videre.log';
			const device = await boot(t, { inittab: ['::sysinit:/bin/true'], conf: { Log: log } });
			await device.script('start', 0, /OK/);

			const readers = [], pausing = [];
			for (let i = 0; i < 7; i++) {
				const room = `room ${i}`;
				const [a, ...others] = await gather(device, room, 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h');
				others.slice(0, 4).forEach(client => readers.push({ client, room }));
				others.slice(4).forEach(client => client.socket.pause());
				others.slice(4, 6).forEach(client => pausing.push({ client, room }));
				texts(room).forEach(text => a.send(text));
				await a.none();
			}
			for (let i = 0; i < 4; i++)
				(await Raw.connect(device)).write('GET / HT');

			/* A block each for the three in a room that do not read, with what they have not been sent. */
			const pid = await device.server();
			await until('60 connections, 21 blocks', async () => {
				process.kill(pid, 'SIGUSR1');
				const lines = (await device.read(log)).trimEnd().split('\n');
				return / connections=(\d+) .* blocks=(\d+) /.exec(lines.at(-1))?.slice(1).map(Number);
			}, counters => counters?.[0] === 60 && counters[1] >= 21);

			const stopping = device.script('stop', 0, /^Stopping videre: OK\n$/);
			const ends = async ({ client, room }) => {
				await client.gets(...texts(room));
				assert.equal((await client.closed()).code, 1001);
			};
			await device.line(/ info - stopping\n/, log);
			pausing.forEach(({ client }) => client.socket.resume());
			await Promise.all([...readers, ...pausing].map(ends));
			await stopping;
			assert.deepEqual(await device.servers(), []);
			const text = await device.read(log);
			const [begin, end] = ['stopping', 'stopped'].map(what =>
				Date.parse(new RegExp(`^(\\S+) info - ${what}$`, 'm').exec(text)[1]));
			return end - begin;
		});
	});
});
