/* Floods of everything that a client can send, during a call that must not be disturbed. */
import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { beside } from './bystanders.mjs';
import { pair } from './certificate.mjs';
import { OPCODE, Raw, frame, joined, left, members, open, packet, request } from './client.mjs';
import { emptied, serve, test, until } from './server.mjs';
import { ask, fresh } from './sockjs.mjs';
import { shake } from './tls.mjs';

const descriptors = async ({ pid }) => (await readdir(`/proc/${pid}/fd`)).length;
const crowd = (count, make) => Promise.all(Array.from({ length: count }, (_, i) => make(i)));

function flood(what, body, options = async () => ({})) {
	test(`a flood of ${what}`, async t => {
		const server = await serve(t, await options());
		const before = await descriptors(server);
		await beside(t, server, call => body(server, call));
		await emptied(server);
		await until('its files are closed', () => descriptors(server), now => now === before);
	});
}

const MOST = 60;

/* More than may be there at once, several times. */
flood('connections', async server => {
	for (let i = 0; i < 20; i++) {
		const raws = await crowd(100, () => Raw.connect(server).catch(() => undefined));
		const { connections } = await server.counters();
		assert(connections <= MOST, `${connections} are in`);
		for (const raw of raws)
			i % 2 === 0 ? raw?.destroy() : raw?.reset();
	}
	assert((await server.counters()).connections_refused > 0);
}, () => ({ conf: { MaxConnections: MOST } }));

/* So many that not all are polled each time, while the call keeps the server busy. */
flood('clients that are silent, then send', async (server, { rounds }) => {
	const clients = await crowd(300, () => open(server));
	for (let i = 0; i < 3; i++) {
		await rounds(30); /* long enough for them to have been silent */
		const late = await open(server);
		await Promise.all([late, ...clients].map(async client => {
			client.send(packet('ping', 'somebody', 'nowhere', '{}'));
			await client.gets(members('somebody', 'nowhere'));
		}));
		await late.close(1000);
	}
	await Promise.all(clients.map(client => client.close(1000)));
}, () => ({ conf: { MaxConnections: 400 } }));

/* In all more than there are places. */
flood('TLS handshakes', async server => {
	for (let i = 0; i < 8; i++)
		for (const socket of await crowd(40, () => shake(server)))
			socket.destroy();
}, async () => ({ tls: await pair('P-256') }));

flood('joins, each to another room', async server => {
	const peers = await crowd(10, () => open(server));
	await Promise.all(peers.map(async (peer, i) => {
		for (let room = 0; room < 500; room++)
			peer.join('a', `${i} ${room}`);
		for (let room = 0; room < 500; room++)
			await peer.gets(joined('a', `${i} ${room}`, true));
		await peer.close();
	}));
});

flood('joins, each as another user of one room', async server => {
	const [peer, witness] = await crowd(2, () => open(server));
	witness.join('witness', 'r');
	await witness.gets(joined('witness', 'r', true));
	for (let user = 0; user < 1000; user++)
		peer.join(`${user}`, 'r');
	for (let user = 0; user < 1000; user++) {
		if (user > 0)
			await witness.gets(left(`${user - 1}`, 'r'));
		await witness.gets(joined(`${user}`, 'r', false));
	}
	await peer.close();
	await witness.gets(left('999', 'r'));
	await witness.close();
});

flood('packets', async server => {
	const peers = await crowd(10, () => open(server));
	await Promise.all(peers.map(async (peer, i) => {
		peer.join('a', `${i}`);
		await peer.gets(joined('a', `${i}`, true));
		for (let number = 0; number < 3000; number++)
			peer.send(packet('broadcast', 'a', `${i}`, number));
		await peer.none();
		await peer.close();
	}));
});

flood('ping packets', async server => {
	const peers = await crowd(10, () => open(server));
	await Promise.all(peers.map(async peer => {
		for (let number = 0; number < 1000; number++)
			peer.send(packet('ping', 'a', 'bystanders', '{}'));
		for (let number = 0; number < 1000; number++)
			await peer.gets(members('a', 'bystanders', 'one', 'two'));
		await peer.close();
	}));
});

const COUNT = 20_000;

flood('Ping frames', server => crowd(10, async () => {
	const raw = await Raw.websocket(server);
	raw.write(Buffer.concat(Array(COUNT).fill(frame(OPCODE.ping, ''))));
	const pongs = Buffer.concat(Array(COUNT).fill(frame(OPCODE.pong, '', { mask: null })));
	assert(pongs.equals(await raw.read(pongs.length)));
	raw.destroy();
}));

/* Without an end: more than the server can read. */
flood('Pong frames', async (server, call) => {
	const pongs = Buffer.concat(Array(COUNT).fill(frame(OPCODE.pong, 'x')));
	const raws = await crowd(3, () => Raw.websocket(server));
	for (const { socket } of raws) {
		const pour = () => {
			while (!socket.destroyed && socket.write(pongs))
				;
		};
		socket.on('drain', pour);
		pour();
	}
	await call.rounds(100);
	await server.counters(); /* nor does it keep signals out */
	for (const raw of raws)
		raw.destroy();
});

flood('fragments', server => crowd(10, async () => {
	const raw = await Raw.websocket(server);
	const text = packet('ping', 'a', 'nowhere', 'x'.repeat(20_000));
	const bytes = Buffer.concat([frame(OPCODE.text, '', { fin: false }),
		...Array.from(text, byte => frame(OPCODE.more, byte, { fin: false })), frame(OPCODE.more)]);
	for (let i = 0; i < 5; i++) {
		raw.write(bytes);
		await raw.gets(members('a', 'nowhere'));
	}
	raw.destroy();
}));

/* Of all lengths, so that one which is not read where it begins is none. */
flood('pipelined requests', server => crowd(10, async () => {
	const raw = await Raw.connect(server);
	raw.write(Array.from({ length: 500 }, (_, i) =>
		request(i % 2 ? '/nowhere' : server.prefix, { Filler: 'x'.repeat(i) })).join(''));
	for (let i = 0; i < 500; i++)
		assert.equal(await raw.status(), i % 2 ? 404 : 200);
	raw.destroy();
}));

/* As many as there may be, again and again under other names: the rest is refused. */
flood('SockJS sessions that no client returns to', async (server, call) => {
	const statuses = [], begun = performance.now();
	for (let i = 0; i < 10; i++)
		statuses.push(...await crowd(50, async () =>
			(await ask(server, `${server.prefix}${fresh()}/xhr`, { method: 'POST' })).status));
	const taken = statuses.filter(status => status === 200).length;
	/* A session without a receiver lasts 5 s. */
	const most = 110 * (1 + Math.floor((performance.now() - begun) / 5000));
	assert(taken >= 100 && taken < most, `${taken} were taken`);
	assert.equal(statuses.filter(status => status === 503).length, 500 - taken);
	await call.rounds(100);
}, () => ({ conf: { MaxConnections: 100 } }));
