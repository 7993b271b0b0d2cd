/*
 * The server on whole devices, from the kernel's start to signalled calls over TLS, and again
 * after the power was cut.
 */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test as nodeTest } from 'node:test';
import { Raw, gather, open, request } from '../client.mjs';
import { shake } from '../tls.mjs';
import { assemble, boards } from './board.mjs';
import { runTests } from './targets.mjs';


/* What each server of a device has in its configuration besides TLS. */
const services = {
	videre: {},
	peers: { MaxPeers: 2 },
	packets: { MaxPacket: 5000 },
	heartbeats: { Heartbeat: 1 },
	plain: { TLS: false },
};
const IDLE = { plain: 50, videre: 20 }; /* connections */
const PER_ADDRESS = 64; /* MaxPerAddress unless configured */

const test = (name, body) => nodeTest(name, { timeout: 900_000 }, body);

/*
 * The files whose tests have to pass on a device, all or `only` some, the servers that they ask
 * for between them, and the tests that are left because none of these will do.
 */
const suites = {
	'signalling.test.mjs': { kinds: ['videre', 'peers', 'packets'], left: [] },
	'websocket.test.mjs': {
		kinds: ['videre', 'heartbeats'],
		left: [ /* for the service of test/echo.c, or for another configuration */
			'elsewhere is told where to go',
			'gets text of any length and answers text',
			'gets binary of any length and answers binary',
			'outlives clients that leave without reading',
			'gets binary that is no text',
			'closes with a code and a reason of its own',
		],
	},
	'call.test.mjs': { kinds: ['videre'], left: [] },
	'sockjs-signalling.test.mjs': { kinds: ['videre'], only: '^a call between ', left: [] },
};

/* Runs the tests of a file, those whose names match `only`, with a server of a device. */
const elsewhere = (file, { host, port, tls }, { conf = {}, only = '.' } = {}) =>
	runTests(file, only, {
		VIDERE_AT: `${host}:${port}`, VIDERE_CA: tls.cert, VIDERE_CONF: JSON.stringify(conf),
		VIDERE_PATIENCE: '4',
	});

const GREETING = 'Welcome to SockJS!\n';

async function greets(server) {
	const raw = await Raw.connect(server);
	raw.write(request('/echo', { Connection: 'close' }));
	assert.equal((await raw.response()).body, GREETING);
	raw.destroy();
}

/*
 * What the kernel says of a process's memory, in KB.  Rss and Anonymous are counted; VmRSS and
 * RssAnon may lag behind by 64 pages each if the kernel is for more than one processor.
 */
async function memory(board, name) {
	const directory = `/proc/${await board.pid(name)}`;
	const said = await board.shell(`cat ${directory}/status ${directory}/smaps_rollup`);
	const read = field => Number(new RegExp(`\\b${field}:\\s+(\\d+) kB`).exec(said)[1]);
	return Object.fromEntries(['VmRSS', 'RssAnon', 'Rss', 'Anonymous'].map(field =>
		[field, read(field)]));
}

const told = figures => Object.entries(figures).map(([name, kb]) => `${name} ${kb} KB`).join(', ');

describe('devices', { concurrency: true }, () => {
	for (const name of Object.keys(boards)) {
		describe(`a device (${name})`, { concurrency: false }, () => {
			let dir, board, tls;
			const service = kind => board.service(kind, kind === 'plain' ? undefined : tls);
			const calls = async () =>
				assert.equal((await elsewhere('call.test.mjs', service('videre'))).passed.length, 2);

			before(async () => {
				dir = await mkdtemp(path.join(tmpdir(), 'videre-board-'));
				board = await assemble(name, services, dir);
			});
			after(async () => {
				await board?.cut();
				await rm(dir, { recursive: true, force: true });
			});

			test('makes its certificate when it first starts, and serves with that one', async t => {
				const from = performance.now();
				await board.boot();
				const up = performance.now();
				const [, fingerprint] = await board.says(/^SHA-256 of the certificate: ((?:[0-9A-F]{2}:){31}[0-9A-F]{2})\r?$/, 0);
				const [ca] = /-----BEGIN [^]* CERTIFICATE-----\n/
					.exec(await board.shell('cat /data/cert.pem'));
				assert.equal(new X509Certificate(ca).fingerprint256, fingerprint);
				tls = { ca, cert: path.join(dir, 'cert.pem'), fingerprint };
				await writeFile(tls.cert, ca);
				const alone = await memory(board, 'videre');
				const answer = performance.now();
				const socket = await shake(service('videre'));
				assert.equal(socket.getPeerCertificate().fingerprint256, fingerprint);
				socket.destroy();
				await greets(service('videre'));
				const seconds = milliseconds => (milliseconds / 1000).toFixed(1);
				t.diagnostic(`${name}: ${seconds(up - from)} s to listening, the first two answers in ${
					seconds(performance.now() - answer)} s more`);
				t.diagnostic(`${name}: at start ${told(alone)}`);
				const telling = /Linux version|CPU\d? revision|CPU: |achine|Memory:|eth0|vda|Oops|BUG/;
				for (const line of board.console.all.filter(line => telling.test(line)))
					t.diagnostic(`${name}: ${line.trim()}`);
			});

			test('holds idle connections, and no more of one address than its share', async t => {
				for (const kind of Object.keys(IDLE)) {
					const server = service(kind);
					const alone = await memory(board, kind);
					for (let i = 0; i < IDLE[kind]; i += 2)
						await gather(server, `idle ${i}`, 'a', 'b');
					const held = await memory(board, kind);
					t.diagnostic(`${name}, ${kind}: nobody connected ${told(alone)}`);
					t.diagnostic(`${name}, ${kind}: ${IDLE[kind]} idle ${told(held)}`);
					if (kind === 'plain') {
						for (let i = IDLE.plain; i < PER_ADDRESS; i++)
							await open(server);
						const late = await Raw.connect(server);
						assert.equal(await late.status(), 503);
					}
					for (const client of server.clients)
						client.destroy();
				}
			});

			for (const [file, { kinds, left, only = '.' }] of Object.entries(suites)) {
				test(`does all that ${file} asks`, async t => {
					const runs = [];
					for (const kind of kinds)
						runs.push(await elsewhere(file, service(kind), { conf: services[kind], only }));
					const passed = runs.flatMap(run => run.passed);
					assert(passed.length > 0);
					assert.deepEqual(runs[0].skipped.filter(name =>
						!passed.includes(name) && new RegExp(only).test(name)), left);
					t.diagnostic(`${name}: ${passed.length} tests of ${file} passed`);
				});
			}

			test('logs to syslogd', async () => {
				const pid = await board.pid('videre');
				await board.shell(`kill -USR1 ${pid}`);
				const line = `daemon.info videre\\[${pid}\\]: info - counters: .*connections=`;
				await board.shell(`until grep -q '${line}' /var/log/messages; do sleep 0.1; done`);
			});

			for (const [signal, code] of [['TERM', 1001], ['KILL', 1006]]) {
				test(`is started again after SIG${signal}`, async () => {
					const clients = await gather(service('videre'), 'r', 'a', 'b');
					const pid = await board.pid('videre');
					await board.shell(`kill -${signal} ${pid}`);
					for (const client of clients)
						assert.equal((await client.closed()).code, code);
					await board.shell(`while kill -0 ${pid} 2>/dev/null; do sleep 0.1; done`);
					await board.listening();
					assert.notEqual(await board.pid('videre'), pid);
					await calls();
				});
			}

			test('has the same certificate after its power was cut, and signals again', async t => {
				const clients = await gather(service('videre'), 'r', 'a', 'b');
				await board.cut();
				for (const client of clients)
					client.destroy();
				const from = performance.now();
				await board.boot();
				t.diagnostic(`${name}: ${((performance.now() - from) / 1000).toFixed(1)} s to listening`);
				assert(!board.console.all.some(line => /^made /.test(line)), 'it made another certificate');
				const socket = await shake(service('videre'));
				assert.equal(socket.getPeerCertificate().fingerprint256, tls.fingerprint);
				socket.destroy();
				await calls();
			});
		});
	}
});
