/* Several servers behind HAProxy with proxy/fleet.cfg: rooms stay whole, whatever comes and goes. */
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { beside } from './bystanders.mjs';
import { OPCODE, Raw, frame, joined, packet, request } from './client.mjs';
import { haproxy, transports, visit } from './proxy.mjs';
import { attempts, bounded, eventually, freePort, start, test, until } from './server.mjs';
import { ask, exchange, fresh, under } from './sockjs.mjs';

const conf = { TrustedProxies: ['127.0.0.1'] };

/* What changes in the recipe for servers of these ports, by id, and this port for its peers. */
function configured(ports, peers) {
	const lines = Object.entries(ports).map(([id, port]) => `\tserver s${id} 127.0.0.1:${port} id ${id}\n`);
	const three = [1, 2, 3].map(id => `\tserver s${id} 10.0.0.${id}:1111 id ${id}\n`);
	return [
		[three.join(''), lines.join('')],
		['127.0.0.1:10000', `127.0.0.1:${peers}`],
	];
}

/* A server that is stopped after the test, unless that has done so. */
async function member(t) {
	/* A client that floods on a busy machine may not read in time. */
	const server = await start({ conf, allow: [/ warn \S+ closed: /] });
	t.after(() => server.gone ?? server.stop());
	return server;
}

async function fleet(t) {
	let proxy;
	t.after(() => proxy?.stop()); /* first, even if a server does not end well */
	const servers = { 1: await member(t), 2: await member(t), 3: await member(t) };
	const ports = Object.fromEntries(Object.entries(servers).map(([id, { port }]) => [id, port]));
	const peers = await freePort();
	proxy = await haproxy(t, 'fleet.cfg', configured(ports, peers));
	return { servers, ports, peers, proxy };
}

/* The id of the server of each key that HAProxy knows. */
async function places(proxy) {
	const table = await proxy.command('show table rooms');
	const entries = [...table.matchAll(/ key=(\S+) .*server_key=s(\d+)/g)];
	return Object.fromEntries(entries.map(([, key, id]) => [key, Number(id)]));
}

/* Asks something of each key, so that HAProxy has to choose. */
async function choose(proxy, keys) {
	const raw = await Raw.connect(proxy);
	for (const key of keys)
		assert.equal((await exchange(raw, `/${key}/echo`)).body, 'Welcome to SockJS!\n');
	const all = await places(proxy);
	return keys.map(key => all[key]);
}

const named = (name, count) => Array.from({ length: count }, (_, i) => `${name}-${i}`);

class Room {
	#clients = [];

	/* Three come, each over a transport of its own. */
	static async open(proxy, key, kinds) {
		const room = new Room(proxy, key, kinds);
		await room.fill();
		return room;
	}

	constructor(proxy, key, kinds = ['plain']) {
		Object.assign(this, { key, kinds, place: under(proxy, `/${key}/echo`) });
	}

	async fill() {
		this.#clients = [];
		for (let i = 0; i < 3; i++)
			await this.join(this.kinds[i % this.kinds.length]);
		await this.isWhole();
	}

	/* A client tries until it is in, as those in browsers do; everybody hears of it. */
	async join(transport) {
		const client = await until(`a way into ${this.key}`,
			() => visit(this.place, transport).catch(() => undefined), found => found !== undefined);
		const user = `user ${this.#clients.length}`;
		client.join(user, this.key);
		this.#clients.push(client);
		await this.#all(joined(user, this.key, this.#clients.length === 1));
	}

	#all(text, except) {
		return Promise.all(this.#clients.filter(client => client !== except).map(client => client.gets(text)));
	}

	/* Each hears every other, and nothing has come before that. */
	async isWhole() {
		for (const [i, client] of this.#clients.entries()) {
			const text = packet('broadcast', `user ${i}`, this.key, `from ${i}`);
			client.send(text);
			await this.#all(text, client);
		}
	}

	/* All are cut off, and come back. */
	async meetsAgain() {
		await Promise.all(this.#clients.map(client => client.closed()));
		await this.fill();
	}
}

const each = (rooms, action) => Promise.all(rooms.map(action));

/* So many rooms, each over other transports; not all handshakes at once, which have a deadline. */
async function open(proxy, count, kinds = transports) {
	const AT_ONCE = 6, keys = named('room', count), rooms = [];
	while (rooms.length < count)
		rooms.push(...await each(keys.splice(0, AT_ONCE), (key, i) =>
			Room.open(proxy, key, [0, 1, 2].map(n => kinds[(i + n) % kinds.length]))));
	return rooms;
}

/* The rooms on a server, and the others. */
async function split(proxy, rooms, id) {
	const all = await places(proxy);
	const here = rooms.filter(({ key }) => all[key] === id);
	assert(here.length > 0, `server ${id} has rooms`);
	return { here, others: rooms.filter(room => !here.includes(room)) };
}

/* The rooms of a server are whole elsewhere some time after it is lost, and the others are not disturbed. */
async function lose(t, proxy, rooms, id, how) {
	const { here, others } = await split(proxy, rooms, id);
	const begin = performance.now();
	await how();
	await each(here, room => room.meetsAgain());
	t.diagnostic(`${here.length} rooms are whole again after ${Math.round(performance.now() - begin)} ms`);
	await each(others, room => room.isWhole());
	assert(!Object.values(await places(proxy)).includes(id));
}

/* What HAProxy knows of a server: `status`, `chkfail` (checks that failed), `chkdown` (times it was down), ... */
async function stat(proxy, id) {
	const [names, ...lines] = (await proxy.command('show stat')).split('\n').map(line => line.split(','));
	const values = lines.find(([backend, server]) => backend === 'rooms' && server === `s${id}`);
	return Object.fromEntries(names.map((name, i) => [name, values[i]]));
}

/* Neither now nor before. */
async function neverDown(proxy, id) {
	const { status, chkdown } = await stat(proxy, id);
	return status.startsWith('UP') && chkdown === '0';
}

describe('a fleet', { concurrency: 3 }, () => {
	test('every room is whole, on one of all servers', async t => {
		const { servers, proxy } = await fleet(t);
		const rooms = await open(proxy, 60);
		const counts = await Promise.all(Object.values(servers).map(server => server.counters()));
		assert.equal(counts.reduce((sum, { rooms }) => sum + rooms, 0), rooms.length);
		assert.equal(counts.reduce((sum, { peers }) => sum + peers, 0), 3 * rooms.length);
		for (const { rooms: share } of counts)
			assert(share >= 5, `${share} of ${rooms.length}`);
		t.diagnostic(`rooms: ${counts.map(({ rooms }) => rooms)}`);
	});

	test('the rooms of a server that dies meet again on others', async t => {
		const { servers, proxy } = await fleet(t);
		const rooms = await open(proxy, 18);
		await lose(t, proxy, rooms, 1, () => {
			servers[1].gone = assert.rejects(servers[1].stop('SIGKILL'), /SIGKILL/);
			return servers[1].gone;
		});
	});

	test('the rooms of a server that falls silent meet again on others, and stay there when it is back', async t => {
		const { servers, proxy } = await fleet(t);
		const rooms = await open(proxy, 18);
		await lose(t, proxy, rooms, 2, () => servers[2].signal('SIGSTOP'));
		servers[2].signal('SIGCONT');
		await eventually('it is used again', () => proxy.command('show servers state rooms'),
			text => / s2 127\.0\.0\.1 2 /.test(text));
		await each(rooms, room => room.join('plain'));
		await each(rooms, room => room.isWhole());
		assert((await choose(proxy, named('new', 40))).includes(2));
	});

	test('a server that misses two checks keeps its rooms', async t => {
		/* The third check is less than two seconds later. */
		await attempts('it was never down', async () => {
			const { servers, proxy } = await fleet(t);
			const rooms = await open(proxy, 18);
			await split(proxy, rooms, 1);
			servers[1].signal('SIGSTOP');
			await eventually('two checks failed', () => stat(proxy, 1), ({ chkfail }) => Number(chkfail) >= 2);
			servers[1].signal('SIGCONT');
			if (!await neverDown(proxy, 1))
				return false;
			await each(rooms, room => room.isWhole());
			await eventually('it is healthy', () => stat(proxy, 1), ({ status }) => status === 'UP');
			await each(rooms, room => room.isWhole());
			return neverDown(proxy, 1);
		}, Boolean);
	});

	test('when a server is added, rooms stay, and a quarter of the keys is its own', async t => {
		const { proxy, ports, peers } = await fleet(t);
		const rooms = await open(proxy, 12, ['plain', 'websocket', 'xhr-polling']);
		const keys = named('key', 200);
		const before = await choose(proxy, keys);

		const fourth = await member(t);
		/* Five seconds after its start a process knows that nobody has a table for it, and hands on its own. */
		await eventually('it may be reloaded', () => proxy.command('show peers'),
			text => (Number(/ flags=(0x\w+) /.exec(text)[1]) & 3) === 3);
		await proxy.reload(configured({ ...ports, 4: fourth.port }, peers));
		const known = rooms.length + keys.length;
		await until('the new process knows the rooms', () => places(proxy), all => Object.keys(all).length === known);
		await each(rooms, room => room.join('plain'));
		await each(rooms, room => room.isWhole());
		assert.deepEqual(await choose(proxy, keys), before);

		/* What another one makes of them that has not seen them, and has the servers in another order. */
		const [[lines, ours], ...rest] = configured({ ...ports, 4: fourth.port }, await freePort());
		const reversed = `${ours.trimEnd().split('\n').reverse().join('\n')}\n`;
		const other = await haproxy(t, 'fleet.cfg', [[lines, reversed], ...rest]);
		const after = await choose(other, keys);
		const moved = keys.filter((_, i) => after[i] !== before[i]).length;
		t.diagnostic(`${moved} of ${keys.length} keys move`);
		assert(moved >= keys.length / 10 && moved <= keys.length * 4 / 10, `${moved} keys move`);
		assert(keys.every((_, i) => [before[i], 4].includes(after[i])));
		assert((await choose(proxy, named('new', 40))).includes(4));
	});

	test('a server that is drained keeps its rooms, and when it stops they meet again on others', async t => {
		const { servers, proxy } = await fleet(t);
		const rooms = await open(proxy, 18);
		await proxy.command('set server rooms/s3 state drain');
		await each(rooms, room => room.join('plain'));
		await each(rooms, room => room.isWhole());
		assert(!(await choose(proxy, named('new', 40))).includes(3));
		await lose(t, proxy, rooms, 3, async () => {
			await proxy.command('set server rooms/s3 state maint');
			servers[3].gone = servers[3].stop();
			await servers[3].gone;
		});
	});

	test('what is no room key is told so, and reaches no server', async t => {
		const { proxy } = await fleet(t);
		for (const target of ['/', '/echo', '//echo', '/./echo', '/../echo', '/a/../echo', '/a%2Fb/echo', '/%61/echo',
			'/%00/echo', `/${'x'.repeat(65)}/echo`, `/${'x'.repeat(7000)}/echo`, '/a b/echo', '/a;b/echo', '/a/echoes',
			'/a/health', '/a/metrics', '/health', '/ice', '/a/ices', '/a/ice/', '/a/b/ice', '/a//echo', '/a/b/echo', '/a', '*']) {
			const raw = await Raw.connect(proxy);
			raw.write(`GET ${target} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
			const { status } = await raw.response();
			assert([400, 404].includes(status), `${target}: ${status}`);
			raw.destroy();
		}
		assert.deepEqual(await places(proxy), {});
		assert.equal((await ask(proxy, '/a+b/echo')).body, 'No such room key');
		assert.equal((await ask(proxy, '/a/ice?token=x')).body, '{"iceServers":[],"ttl":86400}');
		assert.equal((await ask(proxy, '/a/echo/../../health')).status, 404);
		const longest = 'x'.repeat(64);
		const [room] = await Promise.all([Room.open(proxy, longest), Room.open(proxy, 'A-Z_09')]);
		await bounded(room.isWhole(), 'a room of the longest key');
	});
});

const FLOODERS = 60;
const FLOOD = 5000; /* milliseconds, several checks */
const MEMBERS = 16, ID = 128; /* MaxPeers, and bytes of a UserId at most */
const KEY = 'room-0';

/* Sends this repeatedly, as fast as HAProxy receives it, and ignores the responses. */
function pour(raw, bytes) {
	const write = () => {
		while (!raw.socket.destroyed && raw.socket.write(bytes))
			;
	};
	raw.drained().catch(() => {});
	raw.socket.on('drain', () => setImmediate(write));
	write();
}

/* What makes a connection of each flood, and what that sends. */
const floods = {
	async 'pings in a full room'(place) {
		for (let i = 0; i < MEMBERS; i++) {
			const raw = await Raw.websocket(place);
			raw.text(packet('connect', `${i} `.padEnd(ID, 'x'), 'full', '{}'));
			raw.drained().catch(() => {});
		}
		const pings = Buffer.concat(Array(100).fill(frame(OPCODE.text, packet('ping', 'x', 'full', '{}'))));
		return [() => Raw.websocket(place), pings];
	},
	async 'SockJS payloads of 1,024 messages'(place) {
		const payload = JSON.stringify(Array(1024).fill(packet('ping', 'x', 'r', '{}')));
		return [() => Raw.websocket(place, { path: `${place.prefix}${fresh()}/websocket` }), frame(OPCODE.text, payload)];
	},
	async 'pipelined requests'(place) {
		return [() => Raw.connect(place), request(`${place.prefix}/nowhere`).repeat(100)];
	},
};

describe('a fleet in a flood', () => {
	for (const [what, flood] of Object.entries(floods))
		test(`of ${what} keeps its calls`, async t => {
			const { servers, proxy } = await fleet(t);
			const place = under(proxy, `/${KEY}/echo`);
			await beside(t, place, async ({ rounds }) => {
				const [connect, bytes] = await flood(place);
				const raws = await Promise.all(Array.from({ length: FLOODERS }, connect));
				for (const raw of raws)
					pour(raw, bytes);
				const begin = performance.now();
				do
					await rounds(5);
				while (performance.now() - begin < FLOOD);
				assert(raws.filter(raw => !raw.socket.destroyed).length > FLOODERS / 2, 'the flood goes on');
				const id = (await places(proxy))[KEY];
				const { chkfail, chkdown } = await stat(proxy, id);
				t.diagnostic(`checks that failed: ${chkfail}, times down: ${chkdown}`);
				assert(await neverDown(proxy, id));
				const { packets_received, http_requests } = await servers[id].counters();
				t.diagnostic(`packets: ${packets_received}, requests: ${http_requests}`);
				assert(packets_received + http_requests > 5000, 'the flood arrives');
				for (const raw of raws)
					raw.destroy();
			});
		});
});
