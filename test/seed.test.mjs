/* The server's random numbers: their sources, and the wait for the kernel's generator. */
import assert from 'node:assert/strict';
import net from 'node:net';
import { once } from 'node:events';
import { describe } from 'node:test';
import { pair } from './certificate.mjs';
import { Random, answer, records, valid } from './hello.mjs';
import { built, serve, test } from './server.mjs';

const WAITING = / warn - waiting: the kernel's random number generator is not seeded yet$/;
const KEY_EXCHANGE = 12; /* the message with the server's point */

/* A server to which the kernel gives the same bytes at each start. */
const served = async (t, SEED, options) => serve(t, {
	tls: await pair('P-256'),
	binary: built('VIDERE_PLAIN', 'videre'),
	env: { LD_PRELOAD: built('SEED_LIBRARY', 'build/seed.so'), SEED },
	...options,
	allow: [/^seed: given$/, ...options?.allow ?? []],
});

/* What a handshake shows of them: random, session ID and point. */
async function shown(server) {
	const { kind, random, id, messages } = await answer(server, records(valid(new Random(1))));
	assert.equal(kind, 'full');
	const [, body] = messages.find(([type]) => type === KEY_EXCHANGE);
	const point = body.subarray(4, 4 + body[3]);
	assert(point.length >= 32);
	return [random, id, point].map(bytes => bytes.toString('hex'));
}

describe('random numbers', () => {
	for (const [what, seed, expect] of [['getrandom', '', []], ['/dev/urandom', 'old', [WAITING]]])
		test(`differ at each start and each handshake, if those of ${what} do not`, async t => {
			const all = [];
			for (let start = 0; start < 2; start++) {
				const server = await served(t, seed, { expect });
				all.push(...await shown(server), ...await shown(server));
			}
			assert.equal(all.length, 12);
			assert.equal(new Set(all).size, all.length, all.join(' '));
		});

	test('are waited for, and the log says so first', async t => {
		const server = await served(t, 'late', { expect: [WAITING] });
		const lines = server.lines.all;
		const waits = lines.findIndex(line => WAITING.test(line));
		assert(waits >= 0 && waits < lines.indexOf('seed: given'), lines.join('\n'));
		await shown(server);
	});

	test('are waited for without TLS as well', async t => {
		const server = await served(t, 'late', { expect: [WAITING], tls: undefined });
		await server.counters();
	});

	/* The sandbox must let it. */
	test('are renewed after many connections', async t => {
		const server = await served(t, '');
		await server.counters();
		const from = server.lines.all.length;
		for (let i = 0; i < 1100; i++) {
			/* The server closes what is no TLS. */
			const tcp = net.connect({ host: server.host, port: server.port });
			tcp.resume().end('no TLS');
			await once(tcp, 'close');
		}
		await server.lines.match(/^seed: given$/, from);
		await server.counters();
		assert.equal(server.lines.all.slice(from).filter(line => line === 'seed: given').length, 1);
	});
});
