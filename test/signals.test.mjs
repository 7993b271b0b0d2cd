/* Signals of a running server; log.test.mjs and tls-files.test.mjs have what SIGHUP opens again. */
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { Raw, gather, open, packet } from './client.mjs';
import { bounded, lessThan, serve, test, until } from './server.mjs';

describe('signals', { concurrency: true }, () => {
	/* A server with clients that never respond. */
	async function stubborn(t) {
		const server = await serve(t);
		const sockets = [await Raw.websocket(server), await Raw.websocket(server)];
		await Raw.connect(server);
		const half = await Raw.connect(server);
		half.write('GET / HT');
		return { server, sockets };
	}

	for (const signal of ['SIGTERM', 'SIGINT']) {
		test(`${signal} closes every session with 1001 and sends nothing else`, async t => {
			const server = await serve(t);
			const clients = await gather(server, 'r', 'a', 'b', 'c');
			server.signal(signal);
			for (const client of clients) {
				assert.equal((await client.closed()).code, 1001);
				await assert.rejects(client.next(), /closed/);
			}
			const [code] = await bounded(server.exited, 'the exit');
			assert.equal(code, 0);
		});
	}

	test('SIGTERM ends the server within a second whatever clients do, a second SIGTERM immediately', async t => {
		const lasts = async server => {
			const begin = performance.now();
			server.signal('SIGTERM');
			await bounded(server.exited, 'the exit');
			return performance.now() - begin;
		};
		let grace;
		await lessThan(1000, async () => {
			const { server, sockets } = await stubborn(t);
			const end = lasts(server);
			for (const raw of sockets)
				assert.equal((await raw.close()).code, 1001);
			await assert.rejects(Raw.connect(server), 'nobody is let in any more');
			grace = await end;
			return server.lines.time('stopped') - server.lines.time('stopping');
		});
		await lessThan(grace / 2, async () => {
			const { server, sockets } = await stubborn(t);
			server.signal('SIGTERM');
			await sockets[0].close();
			return lasts(server);
		});
	});

	test('SIGTERM sends what is unsent', async t => {
		const server = await serve(t);
		const [a, b] = await gather(server, 'r', 'a', 'b');
		b.socket.pause();
		const texts = Array.from({ length: 20 }, (_, i) =>
			packet('broadcast', 'a', 'r', 'x'.repeat(1000 + i)));
		texts.forEach(text => a.send(text));
		await a.none();
		server.signal('SIGTERM');
		b.socket.resume();
		await b.gets(...texts);
		assert.equal((await b.closed()).code, 1001);
	});

	test('SIGUSR1 logs the counters', async t => {
		const server = await serve(t);
		const nothing = await server.counters();
		for (const name of ['connections', 'sessions', 'rooms', 'peers', 'blocks'])
			assert.equal(nothing[name], 0, name);
		await gather(server, 'r', 'a', 'b');
		await gather(server, 's', 'a');
		await open(server);
		await Raw.connect(server);
		const { connections, sessions, rooms, peers } = await until('all are counted',
			() => server.counters(), counters => counters.connections === 5);
		assert.deepEqual({ connections, sessions, rooms, peers },
			{ connections: 5, sessions: 4, rooms: 2, peers: 3 });
	});

	test('SIGHUP without a log file and SIGPIPE do nothing', async t => {
		const server = await serve(t);
		const client = await open(server);
		server.signal('SIGPIPE');
		server.signal('SIGHUP');
		await server.counters();
		await client.none();
	});
});
