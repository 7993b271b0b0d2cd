/*
 * The names of rooms and of SockJS sessions are secrets, because they suffice to join.  The log contains them
 * at level trace only, and a rate limit keeps clients from guessing them.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { Raw, gather, handshake, joined, members, packet } from './client.mjs';
import { serve, test, until } from './server.mjs';
import { begin, send } from './sockjs.mjs';

const ROOM = 'kitchen of nobody', USER = 'ann" room "x';

const logs = LogLevel => ({ conf: { Log: 'log', LogLevel } });
const logged = (server, pattern) => until(`${pattern} in the log`,
	() => readFile(path.join(server.dir, 'log'), 'utf8'), text => pattern.test(text));

/* A peer in a room, and a session over HTTP. */
async function visit(server) {
	const session = await begin(server);
	await send(server, session, packet('connect', USER, ROOM, '{}'));
	const [peer] = await gather(server, ROOM.toUpperCase(), 'bob');
	await peer.close();
	return session;
}

test('below level trace the log holds their hashes', async t => {
	const server = await serve(t, logs('debug'));
	const session = await visit(server);
	const text = await logged(server, / peer left: user "bob", room ~[0-9a-f]{8}\n/);
	assert.match(text, / peer joined: user "ann\\x22 room \\x22x", room ~[0-9a-f]{8}\n/);
	assert.match(text, / requests \/echo\/000\/~[0-9a-f]{8}\/xhr_send\n/);
	assert.doesNotMatch(text, new RegExp(`${ROOM}|${session.split('/').at(-1)}`, 'i'));
	/* The same name has the same hash, so that lines can be told to belong together. */
	const hash = endpoint => new RegExp(`000/(~\\w+)/${endpoint}\n`).exec(text)[1];
	assert.equal(hash('xhr'), hash('xhr_send'));
});

test('at level trace it holds them', async t => {
	const server = await serve(t, logs('trace'));
	const session = await visit(server);
	const text = await logged(server, / peer left: user "bob", room "KITCHEN OF NOBODY"\n/);
	assert(text.includes(` requests /echo${session}/xhr_send\n`));
});

/* The same hash would let strangers who see two logs know that they are of one room. */
test('another start has other hashes', async t => {
	const hashes = [];
	for (let i = 0; i < 2; i++) {
		const server = await serve(t, logs('debug'));
		await visit(server);
		const text = await logged(server, / peer left: user "bob", room ~/);
		hashes.push(text.match(/ peer left: user "bob", room (~\w+)/)[1]);
	}
	assert.notEqual(...hashes);
});

const REFUSED = user => packet('error', user, 'nowhere', 'too many pings of other rooms');

test('an address can ask about other rooms ten times a second', async t => {
	const server = await serve(t, { conf: { TrustedProxies: ['127.0.0.1'], Log: 'log' } });
	const from = async address => {
		const raw = await Raw.connect(server);
		raw.write(handshake('/echo/websocket', { 'X-Forwarded-For': address }));
		assert.equal(await raw.status(), 101);
		return raw;
	};
	const answers = async (raw, text) => {
		raw.text(text);
		return (await raw.frame()).payload.toString();
	};
	const ping = i => packet('ping', `${i}`, 'nowhere', '{}');
	const begun = performance.now();
	const raws = [await from('203.0.113.1'), await from('203.0.113.1')];
	let refused = 0, taken = 0;
	for (let i = 0; i < 60; i++)
		raws[i % 2].text(ping(i));
	for (let i = 0; i < 60; i++) {
		const { text: answer } = await raws[i % 2].frame();
		assert([members(`${i}`, 'nowhere'), REFUSED(`${i}`)].includes(answer), answer);
		answer === REFUSED(`${i}`) ? refused++ : taken++;
	}
	const seconds = (performance.now() - begun) / 1000;
	assert(taken >= 10 && taken <= 10 + Math.ceil(10 * seconds), `${taken} in ${seconds} s`);
	assert(refused > 0);
	/* It is counted, and logged; others, and its own room, are asked about as before. */
	assert.equal((await server.counters()).packets_refused, refused);
	await logged(server, / debug 203\.0\.113\.1:\d+ packet rejected: too many pings of other rooms\n/);
	assert.equal(await answers(await from('203.0.113.2'), ping('x')), members('x', 'nowhere'));
	assert.equal(await answers(raws[0], packet('connect', 'a', 'own', '{}')), joined('a', 'own', true));
	for (let i = 0; i < 20; i++)
		assert.equal(await answers(raws[0], packet('ping', 'a', 'own', '{}')), members('a', 'own', 'a'));
	/* The bucket fills again. */
	await until('it may ask again', () => answers(raws[1], ping('y')),
		answer => answer === members('y', 'nowhere'));
});

test('loopback has no such limit', async t => {
	const server = await serve(t);
	const raw = await Raw.websocket(server);
	for (let i = 0; i < 60; i++) {
		raw.text(packet('ping', `${i}`, 'nowhere', '{}'));
		assert.equal((await raw.frame()).payload.toString(), members(`${i}`, 'nowhere'));
	}
});
