/*
 * The server compared with a model (model.mjs): sessions over all transports act at random, and each must
 * receive exactly what the model says, byte for byte and in order.
 * MODEL_SEED repeats a run, MODEL_OPERATIONS makes it longer or shorter.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { open, packet } from './client.mjs';
import { Model, REPLACED } from './model.mjs';
import { eventually, patience, serve } from './server.mjs';
import { transports, visit } from './sockjs.mjs';
import { DAY, FIRST, SECOND, now, serveTokens, sign } from './tokens.mjs';

const OPERATIONS = Number(process.env.MODEL_OPERATIONS ?? 250);
const SEEDS = [1, 2, 3, 4];
const MOST_PEERS = 3;
const MOST_SESSIONS = 8;
/* The server's clock may be so many milliseconds behind, where what it does depends on it. */
const TOLERANCE = 3000;
const HISTORY = 15; /* lines about what was done, in what a failure says */

/* Few of them, so that they meet. */
const USERS = ['ann', 'bob', 'cy', '__proto__', '"\\/\n\u0001', 'é\u2028😀'];
const ROOMS = ['', 'kitchen', '__proto__'];

/* Repeatable chance (mulberry32). */
class Chance {
	#state;

	constructor(seed) {
		this.#state = seed >>> 0;
	}

	/* A whole number below that. */
	below(limit) {
		this.#state = this.#state + 0x6d2b79f5 >>> 0;
		let x = this.#state;
		x = Math.imul(x ^ x >>> 15, x | 1);
		x ^= x + Math.imul(x ^ x >>> 7, x | 61);
		return Math.floor(((x ^ x >>> 14) >>> 0) / 2 ** 32 * limit);
	}

	percent(part) {
		return this.below(100) < part;
	}

	of(list) {
		return list[this.below(list.length)];
	}

	shuffled(list) {
		const rest = [...list];
		return list.map(() => rest.splice(this.below(rest.length), 1)[0]);
	}
}

/*
 * Messages
 */

const nested = depth => '['.repeat(depth) + ']'.repeat(depth);

const PAYLOADS = ['"{}"', '""', '"\\"}"', 'null', '-1.50e+2', '{}', '[ [1,],\n{"a":1 , } ,]',
	'{"Type":"Ice Offer","IcePacket":{"sdp":"v=0\\r\\n%<é\\u00e9\u2028\ufeff\ud83d\ude00>"}}',
	`"${'x'.repeat(3000)}"`];

/* None of them is good but the longest. */
const STRANGE_IDS = [`"${'é'.repeat(64)}"`, '""', 'null', '5', '["ann"]', '"\\ud83d"',
	`"${'é'.repeat(64)}x"`, `"${'x'.repeat(129)}"`];

const EXTRAS = [['x', '[1.0e0]'], ['__proto__', '{"Event":"ping"}'], ['userid', '"bob"'],
	['', '{"Payload":1}'], ['Payload', '"7"'], ['UserId', '"bob"']];

const SPACES = [' ', '\n', '\t\r\n  '];

const DECOYS = ['"ann"', '"kitchen"', '"ping"', '{}', '0'];

const UNKNOWN = ['Connect', 'connect ', '', 'toString', 'error', 'é'.repeat(30), '"\n'];

const NO_PACKETS = ['', ' ', '[]', '"x"', '12', 'tru', '{}', '{"Header":null}', '{"Header":[]}',
	'{"Header":{}}', '{"Payload":"{}"}', '[{"Header":{}}', '{"Header":{"UserId":"ann"},"x"'];

const SECRETS = [FIRST, SECOND];

/* Claims and secrets of tokens that are seldom valid; others are for some room and some user. */
const STRANGE_TOKENS = ['', 'x', '..', sign({ exp: now() - 1 }), sign({ exp: 'x' }), sign({ nbf: now() + DAY / 2 }),
	sign({}, 'a secret that the server does not have'), `${sign({})}.`, sign({ x: 'x'.repeat(2048) })];

class Author {
	#chance;
	#hasTokens;
	#odd; /* the present packet is to look it */

	constructor(chance, hasTokens) {
		this.#chance = chance;
		this.#hasTokens = hasTokens;
	}

	/* A token for these, or perhaps for any or another. */
	token(room, user) {
		const chance = this.#chance;
		if (chance.percent(15))
			return chance.of(STRANGE_TOKENS);
		const one = (id, ids) => chance.percent(40) ? undefined : chance.percent(80) ? id : chance.of(ids);
		return sign({ room: one(room, ROOMS), sub: one(user, USERS) }, chance.of(SECRETS));
	}

	/* The token of a session's URL, or undefined. */
	sessionToken() {
		const chance = this.#chance;
		return this.#hasTokens && chance.percent(70) ? this.token(chance.of(ROOMS), chance.of(USERS)) : undefined;
	}

	#payload(event, user, room) {
		const chance = this.#chance;
		if (chance.percent(4))
			return nested(31 + chance.below(2));
		if (!this.#hasTokens || !chance.percent(event === 'connect' ? 80 : 10))
			return chance.of(PAYLOADS);
		const token = chance.percent(4) ? chance.of(DECOYS) : this.#string(this.token(room, user));
		return this.#object([['Token', token]]);
	}

	/* What somebody at this place might say. */
	message(place) {
		const chance = this.#chance;
		const text = chance.percent(3) ? chance.of(NO_PACKETS) : this.#packet(place);
		return chance.percent(6) ? this.#mangled(text) : text;
	}

	#packet(place) {
		const chance = this.#chance;
		const event = this.#event(place);
		const isAtHome = place && chance.percent({ connect: 25, ping: 50 }[event] ?? 85);
		const { user, room } = isAtHome ? place : {
			user: chance.of(USERS),
			room: chance.of(ROOMS),
		};
		this.#odd = chance.percent(50);
		const payload = this.#payload(event, user, room);
		if (chance.percent(this.#hasTokens ? 5 : 40))
			return packet(event, user, room, '{}');
		const header = [['Event', this.#string(event)], ['UserId', this.#id(user)],
			['RoomId', this.#id(room)]];
		if (chance.percent(event === 'broadcast' ? 50 : 10))
			header.push(['To', this.#id(chance.of(USERS))]);
		const members = [['Header', this.#object(header)]];
		return this.#space() +
			this.#object(chance.percent(80) ? [...members, ['Payload', payload]] : members) +
			this.#space();
	}

	#event(place) {
		const dice = this.#chance.below(100);
		if (dice < 4)
			return this.#chance.of(UNKNOWN);
		if (dice < (place ? 30 : 85))
			return 'connect';
		if (dice < (place ? 75 : 91))
			return 'broadcast';
		return dice < 94 ? 'ping' : 'disconnect';
	}

	#id(id) {
		return this.#chance.percent(4) ? this.#chance.of(STRANGE_IDS) : this.#string(id);
	}

	#space() {
		return this.#odd && this.#chance.percent(20) ? this.#chance.of(SPACES) : '';
	}

	#string(value) {
		const escape = character => this.#odd && this.#chance.percent(20)
			? character.split('').map(unit => {
				const digits = unit.charCodeAt(0).toString(16).padStart(4, '0');
				return `\\u${this.#chance.percent(50) ? digits : digits.toUpperCase()}`;
			}).join('')
			: JSON.stringify(character).slice(1, -1);
		return `"${Array.from(value, escape).join('')}"`;
	}

	/* Of these members, perhaps with others, one missing, or one that comes twice. */
	#object(members) {
		const chance = this.#chance;
		const all = chance.percent(50) ? members : chance.shuffled(members);
		const insert = member => all.splice(chance.below(all.length + 1), 0, member);
		if (chance.percent(2))
			all.splice(chance.below(all.length), 1);
		if (chance.percent(15))
			insert(chance.of(EXTRAS));
		if (chance.percent(15) && all.length > 0)
			all.unshift([chance.of(all)[0], chance.of(DECOYS)]);
		const text = all.map(([key, value]) => [this.#string(key), ':', value]
			.join(this.#space()));
		const comma = all.length > 0 && chance.percent(10) ? ',' : '';
		return `{${this.#space()}${text.join(`${this.#space()},${this.#space()}`)}${
			this.#space()}${comma}${this.#space()}}`;
	}

	/* A character more, less or another, or the rest gone: it may still be a packet. */
	#mangled(text) {
		const characters = Array.from(text);
		const at = this.#chance.below(characters.length + 1);
		const other = this.#chance.of(Array.from('",:{}[]\\u0-.eE/ tn\n\0\u0001é😀'));
		switch (this.#chance.below(4)) {
		case 0: return characters.slice(0, at).join('');
		case 1: characters.splice(at, 1); break;
		case 2: characters.splice(at, 1, other); break;
		case 3: characters.splice(at, 0, other); break;
		}
		return characters.join('');
	}
}

/*
 * Running
 */

const shown = (text, maxStringLength = Infinity) =>
	inspect(text, { breakLength: Infinity, maxStringLength });

class Run {
	#server;
	#witness; /* a client that is never in a room */
	#seed;
	#chance;
	#author;
	#model;
	#sessions = [];
	#arrived = 0;
	#done = 0;
	#history = [];
	#pings = 0;

	constructor(server, witness, seed, secrets) {
		this.#model = new Model(MOST_PEERS, secrets);
		this.#server = server;
		this.#witness = witness;
		this.#seed = seed;
		this.#chance = new Chance(seed);
		this.#author = new Author(this.#chance, secrets !== undefined);
	}

	operate() {
		return this.#try(() => this.#act());
	}

	/* All sessions end, and are told of each other's end. */
	async finish() {
		while (this.#sessions.length > 0)
			await this.#try(() => this.#end(this.#sessions[0], 'close'));
	}

	/* If it fails, what has led to it is told as well. */
	async #try(operation) {
		const rooms = this.#model.toString();
		this.#done++;
		try {
			await operation();
		} catch (error) {
			throw new Error([
				`MODEL_SEED=${this.#seed}, operation ${this.#done}: ${error.message}`,
				`rooms before it: ${rooms}`,
				'the last that was done:',
				...this.#history,
			].join('\n'), { cause: error });
		}
	}

	#act() {
		const chance = this.#chance, count = this.#sessions.length;
		if (count === 0 || (count < MOST_SESSIONS && chance.percent(25)))
			return this.#arrive(chance.of(transports));
		const session = chance.of(this.#sessions);
		if (chance.percent(4))
			return this.#end(session, chance.of(['close', 'destroy', 'reset']));
		return this.#say(session, chance.percent(10) ? 2 + chance.below(20) : 1);
	}

	#record(session, what) {
		this.#history.push(`${this.#done}: ${session.name} ${what}`);
		if (this.#history.length > HISTORY)
			this.#history.shift();
	}

	async #arrive(kind) {
		const session = { name: `${++this.#arrived}-${kind}`, kind, token: this.#author.sessionToken() };
		this.#record(session, `arrives${session.token === undefined ? '' : ` with ${session.token}`}`);
		session.client = await visit(this.#server, kind,
			session.token === undefined ? '' : `token=${encodeURIComponent(session.token)}`);
		this.#sessions.push(session);
	}

	/* Sends so many messages one after the other, without a wait between. */
	async #say(session, count) {
		const told = [];
		for (let i = 0; i < count; i++) {
			const now = performance.now();
			let text;
			do
				text = this.#author.message(this.#model.place(session));
			while (this.#model.isOpen(session, text, now, TOLERANCE));
			const binary = session.kind === 'plain' && this.#chance.percent(10);
			this.#record(session, `sends${binary ? ' (binary)' : ''} ${shown(text, 300)}`);
			told.push(...this.#model.receive(session, text, now));
			session.client.send(binary ? Buffer.from(text) : text);
		}
		await this.#compare(session, told);
		await this.#compareAll(this.#sessions.filter(each => each !== session), told);
	}

	async #end(session, way) {
		const place = this.#model.place(session);
		this.#record(session, `ends by ${way}`);
		const told = this.#model.end(session);
		await session.client.attached?.();
		session.client[way]();
		await session.client.closed();
		this.#forget(session);
		if (place !== undefined)
			await this.#seen(place.room);
		await this.#compareAll(this.#sessions, told);
	}

	#forget(session) {
		this.#sessions = this.#sessions.filter(each => each !== session);
		session.client.destroy();
		this.#server.clients.delete(session.client);
	}

	/* The server knows who is in the room: what it hears of an end has no answer. */
	async #seen(room) {
		const users = JSON.stringify(this.#model.users(room));
		await eventually(`only ${users} in ${shown(room)}`, async () => {
			this.#witness.send(packet('ping', 'witness', room));
			return JSON.parse(await this.#witness.next()).Payload;
		}, answer => answer === users);
	}

	#compareAll(sessions, told) {
		return Promise.all(sessions.map(session => this.#compare(session, told)));
	}

	/*
	 * A session gets what it is told, and nothing else: then comes its end, or the answer to
	 * a ping, which tells at the same time who is in some room.
	 */
	async #compare(session, told) {
		const { client } = session;
		const expected = told.filter(([to]) => to === session).map(([, text]) => text);
		const isReplaced = expected.includes(REPLACED);
		if (!isReplaced) {
			const ping = packet('ping', `ping ${++this.#pings}`, this.#chance.of(ROOMS), '{}');
			client.send(ping);
			expected.push(...this.#model.receive(session, ping, performance.now()).map(([, text]) => text));
		}
		for (const [i, text] of expected.entries()) {
			const got = await (text === REPLACED ? this.#close(client) : client.next())
				.catch(error => error.message);
			assert(got === text, [
				`of what ${session.name} is told,`,
				...expected.slice(0, i).map(before => `   as expected ${shown(before)}`),
				`      expected ${shown(text)}`,
				`           got ${shown(got)}`,
			].join('\n'));
		}
		if (isReplaced)
			this.#forget(session);
	}

	/* How a session was closed, before which no message may come. */
	async #close(client) {
		const { code, reason } = await client.closed();
		const extra = await client.next().catch(() => undefined);
		return extra ?? `closed with ${code}, ${reason}`;
	}
}

async function compare(t, seed, operations, secrets) {
	const options = { conf: { MaxPeers: MOST_PEERS } };
	const server = secrets === undefined ? await serve(t, options)
		: (await serveTokens(t, { secrets, ...options })).server;
	const witness = await open(server, { path: `${server.prefix}/websocket?token=${sign({})}` });
	const run = new Run(server, witness, seed, secrets);
	for (let i = 0; i < operations; i++)
		await run.operate();
	await run.finish();
	const { rooms, peers } = await server.counters();
	assert.deepEqual({ rooms, peers }, { rooms: 0, peers: 0 }, 'all have left');
}

const seeds = process.env.MODEL_SEED === undefined
	? [...SEEDS, Math.floor(Math.random() * 2 ** 32)]
	: [Number(process.env.MODEL_SEED)];

const limit = { timeout: (60_000 + 100 * OPERATIONS) * patience };

for (const seed of seeds)
	test(`every peer is told what the model says (MODEL_SEED=${seed})`, limit,
		t => compare(t, seed, OPERATIONS));

/* Some of them, because each takes seconds. */
for (const seed of seeds.slice(-2))
	test(`every peer is told what the model says, with tokens (MODEL_SEED=${seed})`, limit,
		t => compare(t, seed, OPERATIONS, SECRETS));
