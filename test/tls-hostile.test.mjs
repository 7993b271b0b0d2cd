/*
 * Attacks on TLS: garbage, cuts and delays at each stage, and floods.  Two peers exchange packets
 * during each attack and must not be disturbed.
 */
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { copyFile, readFile } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { describe } from 'node:test';
import { bystanders } from './bystanders.mjs';
import { pair } from './certificate.mjs';
import {
	OPCODE, Raw, frame, gather, handshake, left, overflow, packet, request,
} from './client.mjs';
import { bounded, built, emptied, lessThan, scratch, serve, test, until } from './server.mjs';
import {
	RECORD, TLS12, clientHello, flushed, inClear, over, shake, shakeFails, wired, wiredThrough,
} from './tls.mjs';

const served = async (t, options) => serve(t, { tls: await pair('P-256'), ...options });

/* A test while two peers exchange packets. All is released after it. The log may have `allow`. */
function hostile(name, body, allow = []) {
	test(name, async t => {
		const server = await served(t, { allow });
		const { talk, leave } = await bystanders(server);
		await body(server, talk);
		await leave();
		await emptied(server);
	});
}

/* The records that a client sends, by index. */
const stages = ['ClientHello', 'ClientKeyExchange', 'ChangeCipherSpec', 'Finished', 'the request'];

const JUNK = Buffer.alloc(400, 0xff); /* no type, no version, no length */
const half = record => record.subarray(0, Math.ceil(record.length / 2));

/* Attacks on a record: the bytes that are sent in its place, and the action after them. */
const harms = {
	'garbage instead of': record => Buffer.concat([JUNK, record]),
	'garbage in the middle of': record => Buffer.concat([half(record), JUNK,
		Buffer.alloc(record.length, 0xff)]),
	/* The record header stays valid. In a ClientHello one byte may make no difference. */
	'the garbled contents of': record => Buffer.concat([record.subarray(0, 5),
		Buffer.from(record.subarray(5)).map(byte => ~byte)]),
	'a record of no known type instead of': record => Buffer.concat([Buffer.of(99, 3, 3),
		record.subarray(3)]),
	'a wrong version before': record => Buffer.concat([record.subarray(0, 1), Buffer.of(9, 9),
		record.subarray(3)]),
	'an alert instead of': () => Buffer.of(RECORD.alert, 3, 3, 0, 2, 2, 40),
};

const cuts = {
	'a FIN': tcp => tcp.end(),
	'a reset': tcp => tcp.resetAndDestroy(),
	'a close': tcp => tcp.destroy(),
};

/*
 * Connects a client that replaces its record number `stage` by an attack.  Its earlier records are
 * valid.  After the attack it ignores the server's TLS records.
 */
async function spoiling(server, stage, spoil) {
	let done;
	const spoilt = new Promise(resolve => done = resolve);
	const raw = await wired(server, {
		maxVersion: 'TLSv1.2',
		async send(tcp, record, index, wire) {
			if (index < stage)
				await flushed(tcp, record);
			if (index !== stage)
				return;
			wire.deaf = true;
			await spoil(tcp, record);
			done();
		},
	});
	raw.write(request('/echo'));
	await bounded(spoilt, stages[stage]);
	return raw;
}

describe('TLS: other clients do not notice', { concurrency: 4 }, () => {
	for (const [stage, name] of stages.entries()) {
		for (const [harm, make] of Object.entries(harms))
			hostile(`${harm} ${name}, which ends its connection`, async (server, talk) => {
				const raw = await spoiling(server, stage, (tcp, record) => flushed(tcp, make(record)));
				await talk();
				await over(raw.wire.tcp);
				raw.destroy();
			});

		for (const [how, cut] of Object.entries(cuts))
			for (const [where, part] of [['before', () => Buffer.alloc(0)], ['within', half]])
				hostile(`${how} ${where} ${name}`, async (server, talk) => {
					const raw = await spoiling(server, stage, async (tcp, record) => {
						await flushed(tcp, part(record));
						cut(tcp);
					});
					await talk();
					await over(raw.wire.tcp);
					raw.destroy();
				});
	}

	hostile('random bytes instead of TLS', async (server, talk) => {
		for (let i = 0; i < 50; i++) {
			const raw = await Raw.connect(inClear(server));
			raw.write(randomBytes(1 + i * 200));
			raw.end();
			if (i % 10 === 0)
				await talk();
			await raw.drained();
			raw.destroy();
		}
	});

	hostile('random bytes in records, before and after a handshake', async (server, talk) => {
		for (let i = 0; i < 50; i++) {
			const { wire: { tcp }, ...rest } = i % 2 ? await wiredThrough(server)
				: { wire: { tcp: (await Raw.connect(inClear(server))).socket } };
			const body = randomBytes(1 + i * 300);
			tcp.on('data', () => {});
			tcp.write(Buffer.concat([Buffer.of(20 + i % 4, 3, 3, body.length >> 8, body.length & 255),
				body]));
			tcp.end();
			if (i % 10 === 0)
				await talk();
			await over(tcp);
			tcp.destroy();
			rest.socket?.destroy();
		}
	});

	hostile('random packets and requests within TLS', async (server, talk) => {
		for (let i = 0; i < 40; i++) {
			const raw = i % 2 ? await Raw.connect(server) : await Raw.websocket(server);
			raw.write(randomBytes(1 + i * 500));
			raw.end();
			if (i % 10 === 0)
				await talk();
			await raw.drained();
			raw.destroy();
		}
	});

	hostile('a flood of empty records', async (server, talk) => {
		const raw = await wiredThrough(server, { maxVersion: 'TLSv1.2' });
		raw.wire.tcp.write(Buffer.concat(Array(5000).fill(Buffer.of(RECORD.handshake, 3, 3, 0, 0))));
		await talk();
		raw.wire.tcp.end();
		await raw.drained();
		raw.destroy();
	});

	hostile('clients that only begin a handshake', async (server, talk) => {
		const begun = [];
		for (let i = 0; i < 30; i++) {
			const raw = await spoiling(server, 0, (tcp, record) =>
				flushed(tcp, record.subarray(0, 1 + i * 5)));
			begun.push(raw);
		}
		await talk();
		for (const [i, raw] of begun.entries())
			i % 2 ? raw.wire.tcp.resetAndDestroy() : raw.wire.tcp.destroy();
	});

	hostile('clients that complete a handshake and leave', async (server, talk) => {
		for (let i = 0; i < 200; i += 10) {
			await Promise.all(Array.from({ length: 10 }, async (_, k) => {
				const socket = await shake(server);
				if (k % 3 === 0)
					socket.end(handshake().slice(0, 50 + k));
				else
					socket.destroy();
			}));
			await talk();
		}
	});

	hostile('a peer that does not read', async (server, talk) => {
		const [a, b, lazy] = await gather(server, 'r', 'a', 'b', 'lazy');
		lazy.socket.pause();
		await overflow(a, 'a', b, left('lazy', 'r'));
		await talk();
		for (const client of [a, b])
			await client.close();
		lazy.destroy();
	}, [/ warn \S+ closed: output buffer full, the client is not reading$/]);
});

/* The processor time that the server spends meanwhile, in nanoseconds. */
async function processor({ pid }, meanwhile) {
	const spent = async () => Number((await readFile(`/proc/${pid}/schedstat`, 'utf8')).split(' ')[0]);
	const before = await spent();
	await meanwhile();
	return await spent() - before;
}

describe('TLS: HandshakeTimeout', { concurrency: 4 }, () => {
	const conf = { HandshakeTimeout: 3 };
	const waits = {
		'that sends nothing': () => {},
		'that sends one byte': async tcp => flushed(tcp, Buffer.of(RECORD.handshake)),
		'that stops within ClientHello': async (tcp, record) => flushed(tcp, half(record)),
	};
	for (const [which, send] of Object.entries(waits))
		test(`closes the connection of a client ${which}`, async t => {
			const server = await served(t, { conf });
			const { leave } = await bystanders(server);
			const raw = await spoiling(server, 0, send);
			await over(raw.wire.tcp);
			assert(raw.wire.got.every(({ version }) => version === TLS12), 'the version of records');
			raw.destroy();
			await leave();
			await emptied(server);
		});

	for (const [stage, name] of stages.entries())
		test(`closes the connection of a client that stops before ${name}`, async t => {
			const server = await served(t, { conf });
			const { leave } = await bystanders(server);
			const raw = await spoiling(server, stage, () => {});
			await over(raw.wire.tcp);
			raw.destroy();
			await leave();
			await emptied(server);
		});

	test('counts from the accept, even if bytes arrive slowly', async t => {
		const server = await served(t, { conf });
		let ended = false;
		const raw = await wired(server, {
			async send(tcp, record) {
				tcp.on('end', () => ended = true).on('close', () => ended = true);
				for (const byte of record) {
					await new Promise(resolve => setTimeout(resolve, 30));
					if (ended)
						return;
					await flushed(tcp, Buffer.of(byte));
				}
			},
		});
		await over(raw.wire.tcp);
		raw.destroy();
		await emptied(server);
	});

	test('ends with the first request', async t => {
		const server = await served(t, { conf });
		const { leave } = await bystanders(server);
		const idle = await Raw.connect(server);
		idle.write(request('/echo'));
		assert.equal(await idle.status(), 200);
		const late = await wired(server, { send: () => {} });
		await over(late.wire.tcp);
		idle.write(request('/echo'));
		assert.equal(await idle.status(), 200);
		idle.destroy();
		late.destroy();
		await leave();
		await emptied(server);
	});
});

describe('TLS: HandshakeTimeout, while others shake hands', () => {
	test('does not count while the handshakes of others take their turns', async t => {
		const server = await served(t, {
			conf: { HandshakeTimeout: 1 }, tls: await pair('RSA 4096'), allow: [/ warn - slow TLS handshakes: /],
		});
		const began = performance.now();
		const sockets = await Promise.all(Array.from({ length: 96 }, async () => {
			const socket = await shake(server);
			socket.write(request('/echo'));
			const [answer] = await bounded(once(socket, 'data'), 'an answer');
			assert.match(`${answer}`, /^HTTP\/1\.1 200 /);
			return socket;
		}));
		assert(performance.now() - began > 1000, 'the handshakes take longer than the timeout');
		for (const socket of sockets)
			socket.destroy();
		await emptied(server);
	});

	test('does not keep the places of clients that are gone', async t => {
		const conf = { MaxConnections: 512 };
		const server = await served(t, { conf, tls: await pair('RSA 4096'), allow: [/ warn - slow TLS handshakes: /] });
		const single = await processor(server, async () => (await shake(server)).destroy());
		const hello = await clientHello();
		const gone = await processor(server, async () => {
			await Promise.all(Array.from({ length: 400 }, async () => {
				const tcp = net.connect(server.port, server.host);
				tcp.on('error', () => {});
				tcp.end(hello);
				await once(tcp.resume(), 'close');
			}));
			await emptied(server);
		});
		assert(gone < 240 * single, `${gone / single} handshakes for clients that are gone`);
	});
});

describe('TLS: a flood of handshakes', () => {
	const SECONDS = 4;
	const WORST = 1000; /* milliseconds that a packet may take during the flood */

	/* A hundred signatures in a row of the last kind would exceed WORST. */
	for (const kind of ['P-256', 'RSA 2048', 'RSA 4096'])
		test(`leaves CPU time for open sessions, with a key ${kind}`, async t => {
			const server = await served(t, {
				tls: await pair(kind), expect: kind === 'RSA 4096' ? [/ warn - slow TLS handshakes: /] : [],
				conf: { HandshakeTimeout: 60 },
			});
			const { talk, leave } = await bystanders(server);
			await lessThan(WORST, async () => {
				const child = fork(new URL('flood.mjs', import.meta.url), { serialization: 'json' });
				t.after(() => child.kill('SIGKILL'));
				let counts;
				child.on('message', message => counts = message);
				child.send({ host: server.host, port: server.port, seconds: SECONDS });
				const ended = once(child, 'exit');
				let done = false, worst = 0, rounds = 0;
				ended.then(() => done = true);
				while (!done) {
					const begin = performance.now();
					await talk();
					worst = Math.max(worst, (performance.now() - begin) / 2);
					rounds++;
				}
				const [code] = await ended;
				assert.equal(code, 0);
				t.diagnostic(`${counts.done} handshakes, ${counts.failed} failed; ${rounds} rounds, ` +
					`the worst packet took ${Math.round(worst)} ms`);
				assert(counts.done >= 10, `only ${counts.done} handshakes`);
				assert.equal(counts.failed, 0);
				return worst;
			});
			await leave();
			await emptied(server);
		});
});

describe('TLS: memory', () => {
	test('nothing is allocated after the start', async t => {
		const dir = await scratch(t);
		const [first, second] = [await pair('P-256'), await pair('RSA 2048')];
		const tls = { cert: path.join(dir, 'cert.pem'), key: path.join(dir, 'key.pem'),
			ca: [first.ca, second.ca] };
		const put = async ({ cert, key }) => {
			await copyFile(cert, tls.cert);
			await copyFile(key, tls.key);
		};
		await put(first);
		const server = await serve(t, {
			tls,
			binary: built('VIDERE_PLAIN', 'videre'),
			env: { LD_PRELOAD: built('NOALLOC', 'build/noalloc.so') },
			conf: {
				Log: 'log/debug.log', LogLevel: 'trace', LogSize: 2000, MaxConnections: 20, Heartbeat: 1,
			},
			expect: [/^noalloc: armed$/, / (warn|error) - .*(cert|key)\.pem/],
		});
		const hup = async () => {
			const from = server.lines.all.length;
			server.signal('SIGHUP');
			await server.lines.match(/ info - log reopened/, from);
			await server.counters();
		};
		const idle = await gather(server, 'idle', 'idle');
		const mix = async () => {
			const { talk, leave } = await bystanders(server);
			const { session } = await wiredThrough(server, { maxVersion: 'TLSv1.2' })
				.then(({ socket }) => ({ session: socket.getSession(), _: socket.destroy() }));
			(await shake(server, { session, maxVersion: 'TLSv1.2' })).destroy();
			await shakeFails(server, { ca: [] });
			await shakeFails(server, { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-SHA' });
			for (const stage of stages.keys()) {
				const raw = await spoiling(server, stage, (tcp, record) =>
					flushed(tcp, harms['garbage in the middle of'](record)));
				raw.destroy();
			}
			const clear = await Raw.connect(inClear(server));
			clear.write(request('/echo'));
			assert.equal(await clear.status(), 301);
			clear.destroy();
			const raw = await Raw.websocket(server);
			for (const bytes of [frame(OPCODE.ping, 'x'), frame(OPCODE.text, 'x'.repeat(60_000)), frame(3)])
				raw.write(bytes);
			raw.end();
			await raw.drained();
			await talk();
			await leave();
			await until('they have gone', () => server.counters(),
				({ connections }) => connections === 1);
		};
		await mix();
		await put(second);
		await hup();
		await mix();
		await put({ cert: first.cert, key: second.key });
		await hup();
		await mix();
		const crowd = await Promise.all(Array.from({ length: 30 }, () => Raw.connect(inClear(server))));
		await Promise.all(crowd.slice(19).map(raw => raw.drained()));
		crowd.forEach((raw, i) => i % 2 === 0 ? raw.reset() : raw.destroy());
		await idle[0].close();
		await emptied(server);
		await server.stop();
		assert.equal(server.lines.all.filter(line => line.startsWith('noalloc')).length, 1);
	});
});
