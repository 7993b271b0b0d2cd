/*
 * Measures how long two peers wait while one address attacks the server with up to 60 connections.
 * Prints a table and writes it to build/bench/attacks.md.
 *
 * ATTACKS_QUICK=1 makes each attack short; ONLY=PATTERN takes the rows whose name matches, such as
 * ONLY='ping.*TLS'.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import os from 'node:os';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { pair } from '../test/certificate.mjs';
import { OPCODE, frame, handshake, request } from '../test/client.mjs';
import { built, start } from '../test/server.mjs';
import { clientHello } from '../test/tls.mjs';

const KB = 1024;
const COUNT = 60; /* connections of an attack, less than MaxPerAddress */

/*
 * The attacks: what each connection writes, for the C program in flood.c
 */

const range = (count, make) => Array.from({ length: count }, (_, i) => make(i));
const join = (...parts) => Buffer.concat(parts.map(part => Buffer.from(part)));
const filled = (part, size = 64 * KB) => join(...Array(Math.ceil(size / part.length)).fill(part));
const text = payload => frame(OPCODE.text, payload);
const packet = (event, user, room, payload) => text(JSON.stringify(
	{ Header: { Event: event, UserId: user, RoomId: String(room) }, Payload: payload }));
const post = (path, body = '') =>
	`${request(`/echo/${path}`, { method: 'POST', 'Content-Length': body.length })}${body}`;
const polled = i => `000/attacker${i}`;
const connect = (user, room) => JSON.stringify(JSON.stringify(
	{ Header: { Event: 'connect', UserId: user, RoomId: String(room) }, Payload: '{}' }));

/* A WebSocket that writes `body` again and again, as a peer of a room if there is one. */
const socket = (body, { user, room } = {}) => room === undefined
	? { opening: handshake(), body, marker: 'HTTP/1.1 101' }
	: { opening: join(handshake(), packet('connect', user, room, '{}')), body, marker: '"Payload"' };

/* A session over HTTP that is in a room. */
const opening = (i, room) => join(post(`${polled(i)}/xhr`),
	post(`${polled(i)}/xhr_send`, `[${connect(`peer ${i}`, room)}]`));

/* 128 bytes, each of seven characters in an answer to ping. */
const longest = i => String(i).padEnd(128, '\x01');

const EMPTY = JSON.stringify(Array(1024).fill(''));
const NOWHERE = 'GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n';

/*
 * A poll that waits, with HEAD and BODYs after it in its connection, as many as the connection's
 * block holds.  When all have gathered, the last connection joins all rooms in turn, which ends
 * all polls in one turn of the server.
 */
function gathered(head, body, { members, bytes, count = COUNT }) {
	const peers = count - 1, room = i => Math.floor(i / (members - 1));
	const visits = range(room(peers - 1) + 1, i => packet('connect', 'last', i, '{}'));
	/* The largest answer, to ping with all ids, in SockJS's largest encoding. */
	const block = 7 * (bytes + members * 7 * 128);
	return [
		...range(peers, i => ({
			flags: '1', opening: opening(i, room(i)), marker: 'HTTP/1.1 204',
			/* The first poll fetches what the room has received since. */
			head: join(post(`${polled(i)}/xhr`), post(`${polled(i)}/xhr`), head),
			body, repeats: Math.floor(block / body.length),
		})),
		{ ...socket(), flags: '2', head: join(...visits) },
	];
}

const shaking = async () => {
	const hello = await clientHello();
	return range(COUNT, () => ({ flags: 'c', opening: hello, marker: '\x16' }));
};

/*
 * By name.  Members:
 *   make  returns the connections; is given `members`, the peers that a room may have, and
 *         `bytes`, those of a packet
 *   over  the only transport, plain or TLS; only: the only configuration; default: all
 *   conf  keys on top of the configuration
 *   args  of flood
 *   raw   the connections do not speak TLS, even to a server that does
 *   key   the kind of the server's key
 */
export const attacks = {
	none: { make: () => [] },
	'ping in a full room of 128-byte ids': {
		make: ({ members }) => range(COUNT, i => {
			const room = Math.floor(i / members);
			return socket(filled(packet('ping', 'a', room)), { user: longest(i), room });
		}),
	},
	'1,024 empty messages a payload, SockJS websocket': {
		make: () => range(COUNT, i => ({
			...socket(filled(text(EMPTY))), opening: handshake(`/echo/${polled(i)}/websocket`),
		})),
	},
	'1,024 empty messages a payload, xhr_send': {
		make: () => range(COUNT, i => i < COUNT / 2
			? { opening: post(`${polled(i)}/xhr`), marker: 'o\n', body: filled(post(`${polled(i)}/xhr_streaming`)) }
			: { opening: NOWHERE, marker: '404', body: filled(post(`${polled(i - COUNT / 2)}/xhr_send`, EMPTY)) }),
	},
	'messages of one byte': { make: () => range(COUNT, () => socket(filled(text('x')))) },
	'joins and leaves': {
		make: () => range(COUNT, i => socket(join(...range(500, k => join(
			packet('connect', 'a', `${i} ${k}`, '{}'),
			k % 2 ? packet('disconnect', 'a', `${i} ${k}`, '{}') : ''))))),
	},
	'broadcasts in full rooms': {
		make: ({ members }) => range(COUNT, i => {
			const [user, room] = [`${i}`, Math.floor(i / members)];
			return socket(filled(packet('broadcast', user, room)), { user, room });
		}),
	},
	'pipelined GET /nowhere': {
		make: () => range(COUNT, () => ({ opening: NOWHERE, marker: '404', body: filled(NOWHERE) })),
	},
	'pipelined GET / of gzip': {
		make: () => range(COUNT, () => ({
			opening: NOWHERE, marker: '404',
			body: filled('GET / HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n'),
		})),
	},
	'requests gathered behind a poll': {
		make: limits => gathered('', filled(NOWHERE, KB), limits),
	},
	'upgrade and messages of one byte behind a poll': {
		make: limits => gathered(handshake(), filled(text('x'), KB), limits),
	},
	'requests gathered behind a poll, MaxPacket 1 MB': {
		conf: { MaxPacket: KB * KB }, only: 'default',
		make: limits => gathered('', filled(NOWHERE, KB), { ...limits, count: 20 }),
	},
	'streams that do not read, released at once': {
		make: ({ members, bytes }) => range(COUNT, i => {
			const room = Math.floor(i / members);
			if (i % members === 0)
				return {
					...socket(packet('broadcast', 'flooder', room, 'x'.repeat(KB)),
						{ user: 'flooder', room }),
					flags: '2', repeats: Math.floor(4 * bytes / KB),
				};
			return {
				flags: '1s', opening: opening(i, room), marker: 'HTTP/1.1 204',
				head: post(`${polled(i)}/xhr_streaming`), repeats: 0,
			};
		}),
	},
	'Ping frames': { make: () => range(COUNT, () => socket(filled(frame(OPCODE.ping)))) },
	'fragments of one byte': {
		make: () => range(COUNT, () => socket(join(
			frame(OPCODE.text, '{', { fin: false }),
			filled(frame(OPCODE.more, ' ', { fin: false })), frame(OPCODE.more, '}')))),
	},
	'new handshakes, P-256': { over: 'TLS', raw: true, make: shaking },
	'30 new handshakes a second, RSA 4096': {
		over: 'TLS', raw: true, key: 'RSA 4096', args: ['-R30'], make: shaking,
	},
	'TLS records of one byte': {
		over: 'TLS', args: ['-s1'], make: () => range(COUNT, () => socket(filled(frame(OPCODE.ping)))),
	},
	'connections opened and reset': {
		raw: true, make: () => range(COUNT, () => ({ flags: 'c' })),
	},
};

/* What `flood attack` reads. */
export const script = connections => join(...connections.map(connection => {
	const { flags = '-', opening = '', head = '', body = '', repeats = 1, marker = '' } = connection;
	const texts = [opening, head, body].map(part => Buffer.from(part));
	const lengths = texts.map(({ length }) => length);
	return join(`conn ${flags} ${lengths.join(' ')} ${repeats} ${marker.length}\n`, ...texts, marker);
}));

/*
 * Measuring
 */

const quick = process.env.ATTACKS_QUICK === '1';
const SECONDS = quick ? 1 : 3; /* of an attack */
const AIM = 50, AIM_NOISY = 150; /* ms, of the worst wait */
const STOP = 1000; /* ms from SIGTERM to the exit, at most */
/*
 * KB of RssAnon that may stay: the tables of connections, sessions, rooms and peers, and with TLS
 * an engine of each connection there ever was at a time, are touched once and never given back.
 * As much again in each connection, or two of its blocks in all, is a leak.
 */
const SLACK = 192, ENGINE = 16;
const TURNED_AWAY = 8; /* places besides MaxConnections */
const LOAD_CPU = 0, SERVER_CPU = 1;
/* For sh: other work of this machine does not count, if root may say so. */
const PLACED = `taskset -cp ${SERVER_CPU} $$ >&2; renice -n -10 -p $$ >&2 || true`;
let placed; /* the server's niceness */

/* Its user need not exist here. */
const routers = { ...JSON.parse(readFileSync(built('', 'device/conf.json'), 'utf8')), User: '' };
const configurations = { default: {}, router: routers };

/* The C program; its first line is awaited. */
async function flood(server, mode, { nice = 0, secure, args = [], input, errors = 'inherit' } = {}) {
	const child = spawn('taskset', ['-c', LOAD_CPU, 'nice', '-n', nice,
		built('', 'build/bench/flood'), mode, `-p${server.port}`, ...secure ? ['-t'] : [], ...args],
	{ stdio: ['pipe', 'pipe', errors] });
	const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
	const exited = once(child, 'exit');
	server.clients.add({ destroy: () => child.kill('SIGKILL') });
	child.stdin.on('error', () => {});
	if (input !== undefined)
		child.stdin.write(join(input, 'start\n'));
	const line = async () => JSON.parse((await lines.next()).value ?? 'null');
	await lines.next();
	return {
		/* Its result, null if it failed. */
		async end() {
			child.stdin.end();
			const result = await line();
			await exited;
			return result;
		},
	};
}

/* A number of a file in /proc, NaN if the server has died. */
function read({ pid }, file, pattern) {
	try {
		return Number(pattern.exec(readFileSync(`/proc/${pid}/${file}`, 'utf8'))?.[1]);
	} catch {
		return NaN;
	}
}

/* KB. */
const resident = server => read(server, 'status', /^RssAnon:\s+(\d+)/m);

/* Bytes to the log and to stderr: the only calls of write() there are. */
const logged = server => read(server, 'io', /^wchar: (\d+)/m);

/* What the server warned of, with how often. */
function warnings(server) {
	const counts = new Map();
	for (const line of server.lines.all) {
		const [, what] = /Z (?:warn|error) \S+ (.*)$/.exec(line.replace(/\d+$/, 'N')) ?? [];
		if (what)
			counts.set(what, (counts.get(what) ?? 0) + 1);
	}
	return [...counts].map(([what, count]) => `${what} (${count})`);
}

/*
 * What is resident when no more is given back.  Sessions over HTTP hold their blocks for five seconds
 * after their last request, and two sweeps a second apart give blocks back.
 */
async function settled(server, limit) {
	let now;
	for (let i = 0; i < 100 && (now = resident(server)) > limit; i++)
		await sleep(100);
	return now;
}

/* Lets the connections attack, and watches: see row. */
async function observe(server, attack, connections, secure, slack) {
	const attacking = {
		nice: 19, secure: secure && !attack.raw, args: attack.args, input: script(connections),
	};
	const watch = await flood(server, 'watch', { secure });
	await sleep(200);
	const before = resident(server), logBefore = logged(server);
	let peak = before;
	const sampling = setInterval(() => peak = Math.max(peak, resident(server)), 20);
	const attacker = await flood(server, 'attack', attacking);
	await sleep(1000 * SECONDS);
	/* The attack goes on until the last packet has arrived. */
	const waits = await watch.end();
	const outcome = await attacker.end();
	clearInterval(sampling);
	const log = logged(server) - logBefore;
	const after = await settled(server, before + slack);
	const warned = warnings(server);
	/* It fails as soon as it cannot connect. */
	const last = await flood(server, 'attack', { ...attacking, errors: 'ignore' });
	await sleep(quick ? 100 : 500);
	const begun = performance.now();
	server.signal('SIGTERM');
	await server.exited;
	const stop = performance.now() - begun;
	await last.end();
	const pauses = connections.some(({ flags }) => /[12]/.test(flags));
	return { waits, outcome, pauses, log, before, peak, after, slack, stop, warned };
}

async function measure(attack, configuration, secure) {
	const conf = { ...configurations[configuration], Log: 'debug.log', ...attack.conf };
	const server = await start({
		binary: built('VIDERE', 'videre'), conf, allow: [/./], shell: PLACED,
		tls: secure ? await pair(attack.key ?? 'P-256') : undefined,
	});
	try {
		const limits = { members: conf.MaxPeers ?? 16, bytes: conf.MaxPacket ?? 65536 };
		/* Connections that reset are gone before the server knows, which then holds more. */
		const most = attack.raw ? (conf.MaxConnections ?? 256) + TURNED_AWAY : COUNT;
		const slack = SLACK + (secure ? ENGINE * most : 0);
		placed ??= os.getPriority(server.pid);
		return await observe(server, attack, await attack.make(limits), secure, slack);
	} finally {
		await server.stop(); /* fails if the server died */
	}
}

const MB = bytes => `${(bytes / 1e6).toFixed(bytes < 1e7 ? 2 : 0)} MB`;

function row(name, configuration, transport, result) {
	const { waits, outcome, pauses, log, before, peak, after, stop, warned } = result;
	const wait = waits?.worst;
	const mark = wait > AIM_NOISY ? ' **!!**' : wait > AIM ? ' **!**' : '';
	const { opened, closed, written, read: got, releases } = outcome ?? {};
	const fate = [
		`${opened} opened, ${closed} closed by the server`, `${MB(written)} sent, ${MB(got)} read`,
		...pauses ? [`${releases} pauses ended`] : [], ...warned,
	];
	return [name, `${configuration}, ${transport}`,
		wait === undefined ? 'lost' : `${wait.toFixed(1)}${mark}`, waits?.median.toFixed(2) ?? '',
		`${before} / ${peak} / ${after}`, MB(log), Math.round(stop), fate.join('; ')].join(' | ');
}

function failures({ waits, outcome, before, after, slack, stop }) {
	return [
		waits === null || waits.lost > 0 ? 'a bystander lost a packet' : '',
		outcome === null ? 'the attacker failed' : '',
		after > before + slack ? `${after - before} KB stayed` : '',
		stop > STOP ? `${Math.round(stop)} ms from SIGTERM to the exit` : '',
	].filter(Boolean);
}

async function main() {
	const only = new RegExp(process.env.ONLY ?? '');
	const head = 'attack | configuration | worst wait, ms | median, ms '
		+ '| RssAnon before / most / after, KB | logged | SIGTERM to exit, ms | what happened to the attacker';
	const lines = [head, head.replace(/[^|]+/g, ' --- ').trim()];
	const failed = [];
	let priority;
	console.log(lines.join('\n'));
	for (const configuration of Object.keys(configurations))
		for (const transport of ['plain', 'TLS'])
			for (const [name, attack] of Object.entries(attacks)) {
				const title = `${name}, ${configuration}, ${transport}`;
				if (!only.test(title) || (attack.over ?? transport) !== transport
					|| (attack.only ?? configuration) !== configuration)
					continue;
				let line;
				try {
					const result = await measure(attack, configuration, transport === 'TLS');
					line = row(name, configuration, transport, result);
					priority ??= result.waits?.priority;
					failed.push(...failures(result).map(what => `${title}: ${what}`));
				} catch (error) {
					line = `${name} | ${configuration}, ${transport} | failed`;
					failed.push(`${title}: ${error.message}`);
				}
				lines.push(line);
				console.log(line);
			}
	const [cpu] = os.cpus();
	const text = `${lines.map(line => `| ${line} |`).join('\n')}

${cpu.model}, ${os.cpus().length} processors, Linux ${os.release()}. Server on processor ${SERVER_CPU} (nice ${placed}); on
${LOAD_CPU} the attacker (nice 19) and the bystanders (${priority}), which exchange a packet every 5 ms. ${COUNT} connections attack
for ${SECONDS} s. **!**: above the aim of ${AIM} ms; **!!**: above the ${AIM_NOISY} ms of a noisy machine.
`;
	console.log(`\n${text.slice(text.indexOf('\n\n') + 2)}`);
	await mkdir(built('', 'build/bench'), { recursive: true });
	await writeFile(built('', 'build/bench/attacks.md'), text);
	for (const failure of failed)
		console.error(failure);
	process.exitCode = failed.length > 0 ? 1 : 0;
}

if (process.argv[1] === fileURLToPath(import.meta.url))
	await main();
