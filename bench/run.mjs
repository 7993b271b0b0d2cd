/*
 * Measures videre and other servers, all on one processor, with the load on another.  Writes
 * build/bench/results.json, which report.mjs turns into tables and a picture.
 *
 * The load spins, except where latency is measured: see load.c.
 *
 * BENCH_QUICK=1 makes a short run; ONLY=PATTERN selects sections by name.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, statSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import os from 'node:os';
import { createInterface } from 'node:readline';
import { setTimeout } from 'node:timers/promises';
import { LISTENING, built, start } from '../test/server.mjs';
import { openssl, pair } from '../test/certificate.mjs';

const quick = process.env.BENCH_QUICK === '1';
const only = new RegExp(process.env.ONLY ?? '');
const ROUNDS = quick ? 1 : 5;
const scale = quick ? 0.2 : 1; /* of how much is sent */
const LOAD_CPU = 0, SERVER_CPU = 1;
const [PAIRS, FULL] = [{ r: 50, m: 2 }, { r: 6, m: 16 }]; /* 100 and 96 connections */
const KB = 1024;
const sizes = new Map([[300, 40_000], [6 * KB, 10_000], [60 * KB, 2000]]); /* bytes of a packet, and deliveries */

const binary = built('VIDERE', 'videre');
const node = name => ({ binary: process.execPath, args: [built('', `bench/${name}.mjs`)] });
const kinds = {
	videre: {
		binary, sockjs: true, tls: true,
		conf: { MaxConnections: 12_000, MaxPerAddress: 12_000 },
	},
	relay: { binary: built('', 'build/bench/relay'), bare: true },
	lws: { binary: built('', 'build/bench/lws'), bare: true, tls: true },
	ws: { ...node('node-ws'), tls: true },
	sockjs: { ...node('node-sockjs'), sockjs: true, tls: true },
};
const allServers = Object.keys(kinds);
const those = property => allServers.filter(name => kinds[name][property]);
const packets = allServers.filter(name => !kinds[name].bare); /* servers that read packets */

const results = [];

/* A prefix for sh, which runs the following command on one processor. */
const pinned = cpu => `ulimit -n 20000; exec taskset -c ${cpu} "$0" "$@"`;

/* Starts servers by name, over TLS if there is a certificate. */
async function launch(names, certificate) {
	const servers = {};
	for (const name of names) {
		const { conf = null, args = [], ...kind } = kinds[name];
		const files = conf === null && certificate ? [certificate.cert, certificate.key] : [];
		servers[name] = await start({
			binary: kind.binary, conf, args: [...args, ...files], expect: [LISTENING],
			tls: certificate, shell: pinned(SERVER_CPU),
		});
		Object.assign(servers[name], kind, { secure: certificate !== undefined });
	}
	return servers;
}

const stop = servers => Promise.all(Object.values(servers).map(server => server.stop()));

function load(server, mode, options) {
	const all = { p: server.port, P: server.pid, t: server.secure, b: server.bare, ...options };
	const args = Object.entries(all).filter(([, value]) => value !== undefined && value !== false)
		.map(([name, value]) => `-${name}${value === true ? '' : value}`);
	const child = spawn('sh', ['-c', pinned(LOAD_CPU), built('', 'build/bench/load'), mode, ...args],
		{ stdio: ['pipe', 'pipe', 'inherit'] });
	const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
	const exited = once(child, 'exit').then(([code]) => {
		if (code !== 0)
			throw new Error(`load ${mode} ${args.join(' ')} failed`);
	});
	const answer = async () => {
		const { value, done } = await lines.next();
		if (done)
			await exited;
		return JSON.parse(value);
	};
	return { answer, end: () => child.stdin.end(), exited };
}

async function measure(server, mode, options) {
	const run = load(server, mode, options);
	const result = await run.answer();
	await run.exited;
	return result;
}

/* Opens connections.  Returns what closes them, which returns their cost. */
async function hold(server, options) {
	const run = load(server, 'hold', options);
	await run.answer();
	return async () => {
		run.end();
		const cost = await run.answer();
		await run.exited;
		return cost;
	};
}

/* One after the other, so that no server has to wait for another. */
async function holdAll(servers, options) {
	const holders = [];
	for (const server of Object.values(servers))
		holders.push(await hold(server, options));
	return holders;
}

const release = holders => Promise.all(holders.map(end => end()));

/* Adds a row of results: a value of one server for each round, and the share of time in user space, if known. */
function note(section, row, unit, server, values, user) {
	results.push({ section, row, unit, server, values, user });
	const figures = values.map(value => value.toPrecision(3)).join(' ');
	const share = user === undefined ? '' : `, ${Math.round(user * 100)} % in user space`;
	console.error(`${section}: ${row}: ${server}: ${figures} ${unit}${share}`);
}

/* The share of user space in several runs: the kernel counts it in ticks, too few in one run. */
function userShare(runs) {
	const sum = key => runs.reduce((total, run) => total + run[key], 0);
	return sum('user') / (sum('user') + sum('kernel'));
}

/*
 * Measures rows, each a mode of the load with its options: in rounds, one server after the other.  Notes
 * the server's processor time for each delivery, in microseconds.
 */
async function rounds(section, servers, rows) {
	const seen = rows.map(() => Object.fromEntries(Object.keys(servers).map(name => [name, []])));
	for (let round = 0; round < ROUNDS; round++)
		for (const [i, { mode = 'relay', options }] of rows.entries())
			for (const [name, server] of Object.entries(servers))
				seen[i][name].push(await measure(server, mode, options));
	for (const [i, { row, unit = 'us' }] of rows.entries())
		for (const [name, list] of Object.entries(seen[i]))
			note(section, row, unit, name, list.map(one => one.cpu / one.deliveries / 1000), userShare(list));
	return seen;
}

const bytes = size => size < KB ? `${size} B` : `${size / KB} KB`;

function relaying(size, k, rooms, more = {}) {
	const receivers = rooms.r * (rooms.m - 1);
	const n = Math.ceil(sizes.get(size) * scale / receivers);
	return {
		row: `${bytes(size)}, ${k} in flight, rooms of ${rooms.m}`,
		options: { ...rooms, s: size, k, n, ...more },
	};
}

/* Lets Node compile the servers' code before the measurement. */
async function warm(servers, options) {
	for (const server of Object.values(servers))
		await measure(server, 'relay', { ...PAIRS, s: 300, n: Math.ceil(400 * scale), ...options });
}

/*
 * Sections
 */

async function plain(section) {
	const servers = await launch(allServers);
	await warm(servers);
	const rows = [...sizes.keys()].flatMap(size => [PAIRS, FULL].flatMap(rooms =>
		[1, 4].map(k => relaying(size, k, rooms))));
	await rounds(section, servers, rows);
	await stop(servers);
}

async function sockjs(section) {
	const servers = await launch(those('sockjs'));
	await warm(servers, { j: true });
	await rounds(section, servers, [300, 6 * KB].flatMap(size =>
		[1, 4].map(k => relaying(size, k, PAIRS, { j: true }))));
	await stop(servers);
}

async function tls(section) {
	const servers = await launch(those('tls'), await pair('P-256'));
	await warm(servers);
	await rounds(section, servers, [300, 6 * KB].flatMap(size =>
		[1, 4].map(k => relaying(size, k, PAIRS))));
	await stop(servers);
}

/* The cost of relaying and joining next to idle connections, each alone in a room. */
async function beside(section) {
	const servers = await launch(allServers);
	const joining = Object.fromEntries(packets.map(name => [name, servers[name]]));
	const join = { r: 50, m: 1, n: Math.ceil(60 * scale) };
	const holders = [];
	await warm(servers);
	let held = 0;
	for (const idle of quick ? [0, 10, 1000] : [0, 10, 100, 1000, 5000, 10_000]) {
		if (idle > held)
			holders.push(...await holdAll(servers, { r: idle - held, m: 1 }));
		held = idle;
		/* Fewer packets, because poll() is slow with many connections. */
		const { options } = relaying(300, 1, PAIRS, { n: Math.ceil(200 * scale) });
		if (idle !== 10)
			await rounds(section, servers, [{ row: `300 B with ${idle} idle connections`, options }]);
		if ([10, 1000, 10_000].includes(idle))
			await rounds(section, joining,
				[{ row: `a join with ${idle} rooms open`, mode: 'join', options: join }]);
	}
	await release(holders);
	await stop(servers);
}

/* Latency at half of each server's highest rate, and of all servers at one rate. */
async function latency(section) {
	const servers = await launch(allServers);
	const { options } = relaying(300, 1, PAIRS);
	const rates = {};
	await warm(servers);
	for (const [name, server] of Object.entries(servers)) {
		const { deliveries, seconds } = await measure(server, 'relay', options);
		rates[name] = deliveries / seconds / 2;
	}
	const least = Math.min(...Object.values(rates));
	for (const [title, rate] of [['one rate', () => least], ['half load', name => rates[name]]]) {
		const seen = Object.fromEntries(allServers.map(name => [name, []]));
		for (let round = 0; round < ROUNDS; round++)
			for (const [name, server] of Object.entries(servers)) {
				const R = Math.round(rate(name)), n = Math.ceil(R * scale / PAIRS.r);
				seen[name].push(await measure(server, 'relay', { ...PAIRS, R, n, w: true }));
			}
		for (const name of allServers)
			note(section, `${title}, packets`, '/s', name, [rate(name)]);
		for (const [key, what] of Object.entries({ p50: 'p50', p99: 'p99', p999: 'p99.9' }))
			for (const [name, list] of Object.entries(seen))
				note(section, `${title}, ${what}`, 'us', name, list.map(one => one[key] / 1000));
	}
	await stop(servers);
}

/* A field of /proc/PID/status, in KB. */
async function resident(server, field) {
	const status = await readFile(`/proc/${server.pid}/status`, 'utf8');
	return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)[1]);
}

async function memory(section) {
	const connections = { r: 500, m: 2 };
	const ways = [['plain', allServers, {}], ['SockJS', those('sockjs'), { j: true }],
		['TLS', those('tls'), {}]];
	const seen = new Map();
	const add = (row, unit, name, value) => {
		const key = JSON.stringify([row, unit, name]);
		seen.set(key, [...seen.get(key) ?? [], value]);
	};
	for (let round = 0; round < ROUNDS; round++)
		for (const [way, names, options] of ways) {
			const servers = await launch(names, way === 'TLS' ? await pair('P-256') : undefined);
			const before = {};
			for (const [name, server] of Object.entries(servers)) {
				before[name] = await resident(server, 'RssAnon');
				if (way === 'plain') {
					add('started, RssAnon', 'KB', name, before[name]);
					add('started, VmRSS', 'KB', name, await resident(server, 'VmRSS'));
				}
			}
			const holders = await holdAll(servers, { ...connections, ...options });
			const longest = way === 'plain' && round === 0;
			/* Waits until idle memory is given back.  The long wait includes heartbeats. */
			await setTimeout(longest && !quick ? 60_000 : 4000);
			for (const [name, server] of Object.entries(servers))
				add(`an idle connection, ${way}`, 'bytes', name,
					(await resident(server, 'RssAnon') - before[name]) * KB / connections.r / connections.m);
			const costs = await release(holders);
			for (const [i, { cpu, seconds }] of costs.entries())
				if (longest)
					add(`processor with ${connections.r * connections.m} idle connections`, '%',
						names[i], cpu / seconds / 1e7);
			await stop(servers);
		}
	for (const [key, values] of seen)
		note(section, ...JSON.parse(key), values);
}

async function handshakes(section) {
	for (const kind of ['P-256', 'RSA 2048']) {
		const servers = await launch(['videre', 'ws'], await pair(kind));
		/* Browsers and videre agree on X25519. */
		for (const [how, options] of [['X25519', {}], ['P-256', { g: 'P-256' }], ['resumed', { e: true }]]) {
			const row = `${kind === 'P-256' ? 'ECDSA P-256' : kind}, ${how}`;
			const n = Math.ceil((options.e ? 2000 : 200) * scale);
			const [seen] = await rounds(section, servers,
				[{ row, mode: 'handshake', options: { t: true, n, ...options } }]);
			for (const [name, list] of Object.entries(seen))
				note(section, `${row}, ${list[0].cipher}`, '/s', name,
					list.map(one => one.deliveries / one.seconds));
		}
		await stop(servers);
	}
}

/* All clients connect at the same time over TLS, while two others exchange 100 packets a second. */
async function reconnect(section) {
	const clients = quick ? 100 : 1000;
	const servers = await launch(['videre', 'ws'], await pair('P-256'));
	await warm(servers);
	for (const [title, e] of [['new', false], ['resumed', true]]) {
		const seen = Object.fromEntries(Object.keys(servers).map(name => [name, []]));
		for (let round = 0; round < ROUNDS; round++)
			for (const [name, server] of Object.entries(servers))
				seen[name].push(await measure(server, 'reconnect', { r: clients + 1, m: 2, s: 300, R: 100, n: 1e6, e }));
		const row = `${clients} clients, ${title}`;
		for (const [name, list] of Object.entries(seen)) {
			note(section, `${row}: processor of one`, 'us', name, list.map(one => one.cpu / clients / 1000), userShare(list));
			note(section, `${row}: half are in`, 's', name, list.map(one => one.half));
			note(section, `${row}: all are in`, 's', name, list.map(one => one.seconds));
			note(section, `${row}: longest wait of the two`, 'ms', name, list.map(one => one.longest / 1e6));
		}
	}
	await stop(servers);
}

/* Counts the system calls of one run with strace. */
async function traced(server, options) {
	const strace = spawn('strace', ['-c', '-f', '-p', server.pid],
		{ stdio: ['ignore', 'ignore', 'pipe'] });
	const lines = createInterface(strace.stderr);
	const all = [];
	lines.on('line', line => all.push(line));
	await once(lines, 'line'); /* attached */
	const { deliveries } = await measure(server, 'relay', options);
	strace.kill('SIGINT');
	await once(strace, 'close');
	const counts = all.map(line => /^(?:\s*[\d.]+){3}\s+(\d+)\s+(?:\d+\s+)?(\w+)$/.exec(line))
		.filter(Boolean).map(([, count, name]) => [name, Number(count)]);
	return { deliveries, calls: Object.fromEntries(counts) };
}

/* System calls of a run subtracted from those of one with twice the packets, which removes start and end. */
async function calls(section) {
	const SELDOM = 0.005;
	const servers = await launch(['videre', 'relay']);
	for (const k of [1, 4])
		for (const [name, server] of Object.entries(servers)) {
			const { row, options } = relaying(300, k, PAIRS);
			const single = await traced(server, options);
			const twice = await traced(server, { ...options, n: 2 * options.n });
			for (const call of Object.keys(twice.calls)) {
				const more = twice.calls[call] - (single.calls[call] ?? 0);
				const each = more / (twice.deliveries - single.deliveries);
				if (each >= SELDOM)
					note(section, `${row}: ${call}`, 'a delivery', name, [each]);
			}
		}
	await stop(servers);
}

async function size(section) {
	const row = 'binary, stripped, without shared libraries';
	const files = { videre: binary, relay: kinds.relay.binary, lws: kinds.lws.binary };
	const strip = async file => {
		const to = built('', 'build/bench/stripped');
		await once(spawn('strip', ['-o', to, file]), 'exit');
		return statSync(to).size / KB;
	};
	for (const [name, file] of Object.entries(files))
		note(section, row, 'KB', name, [await strip(file)]);
	for (const name of ['ws', 'sockjs'])
		note(section, row, 'KB', name, [statSync(process.execPath).size / KB]);
	const whole = built('', 'build/device/x86_64/videre.stripped');
	if (existsSync(whole))
		note(section, 'static, for a device (x86_64)', 'KB', 'videre', [statSync(whole).size / KB]);
}

const sections = { plain, beside, sockjs, tls, latency, memory, handshakes, reconnect, calls, size };

const started = performance.now();
for (const [name, section] of Object.entries(sections))
	if (only.test(name))
		await section(name);
const [cpu] = os.cpus();
const about = {
	date: new Date().toISOString().slice(0, 10),
	machine: `${cpu.model}, ${os.cpus().length} processors, Linux ${os.release()}`,
	versions: `Node ${process.versions.node}, ${(await openssl('version')).trim()}`,
	rounds: ROUNDS, quick, whole: process.env.ONLY === undefined,
	minutes: (performance.now() - started) / 60_000,
};
await mkdir(built('', 'build/bench'), { recursive: true });
await writeFile(built('', 'build/bench/results.json'), JSON.stringify({ about, results }, null, '\t'));
