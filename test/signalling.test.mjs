/* The events of packets: what they do, which peers receive them, and in what order. */
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import {
	OPCODE, Raw, addressed, broadcast, closeFrame, frame, gather, joined, left, members, open, packet, ping,
	quit, refused, silence,
} from './client.mjs';
import { serve, test, until } from './server.mjs';

const REPLACED = { code: 4001, reason: 'replaced' };
const BAD_USER = 'UserId must be a string of 1 to 128 bytes';
const BAD_ROOM = 'RoomId must be a string of 0 to 128 bytes';
const BAD_TO = 'To must be a string of 1 to 128 bytes';
const connect = (user, room, payload = '{}') => packet('connect', user, room, payload);

/* A ping of a room that the client is not in, which has a rate where the tests are no loopback. */
async function asks(client, user, room, ...users) {
	const tooMany = refused('too many pings of other rooms', user, room);
	const answer = await until('an answer', () => {
		client.send(ping(user, room));
		return client.next();
	}, text => text !== tooMany);
	assert.equal(answer, members(user, room, ...users));
}

/* The header is written out, so that a test can choose its very text. */
const header = (event, user, room) =>
	`"Header":{"Event":"${event}","UserId":"${user}","RoomId":"${room}"}`;

/* Sends the message and compares the next answer as a value, whatever its text. */
async function answers(client, message, value) {
	client.send(message);
	assert.deepEqual(JSON.parse(await client.next()), value);
}

describe('connect', () => {
	test('the first peer of a room is its initiator, and gets "true" as a string', async t => {
		const a = await open(await serve(t));
		a.send('{"Header":{"Event":"connect","UserId":"a","RoomId":"r"},"Payload":"{}"}');
		await a.gets('{"Header":{"Event":"connect","UserId":"a","RoomId":"r"},"Payload":"true"}');
		await a.none();
	});

	test('later peers are not, and all peers in the room are notified', async t => {
		const server = await serve(t);
		const [a, b] = await gather(server, 'r', 'a', 'b');
		const c = await open(server);
		c.join('c', 'r');
		for (const each of [a, b, c])
			await each.gets(joined('c', 'r', false));
		await silence(c, a, b);
	});

	test('rooms are independent', async t => {
		const server = await serve(t);
		const [a] = await gather(server, 'r', 'a');
		const [b] = await gather(server, 's', 'a');
		b.send(broadcast('a', 's', 1));
		await silence(b, a);
	});

	test('a payload of any kind is replaced', async t => {
		const server = await serve(t);
		for (const payload of ['null', '{"a":[1,2]}', '[]', '-1.5e3', 'true', '"\\"}"', '""']) {
			const a = await open(server);
			const start = `{${header('connect', 'a', 'r')},"Payload":`;
			a.send(`${start}${payload}}`);
			await a.gets(`${start}"true"}`);
			await a.close();
		}
	});

	test('of another room first leaves the previous one', async t => {
		const server = await serve(t);
		const [a, b] = await gather(server, 'r', 'a', 'b');
		const [c] = await gather(server, 's', 'c');
		b.join('b', 's');
		await b.gets(joined('b', 's', false));
		await a.gets(left('b', 'r'));
		await c.gets(joined('b', 's', false));
		await answers(a, ping('a', 'r'), JSON.parse(members('a', 'r', 'a')));
		await silence(b, a, c);
	});

	test('of an empty room makes the peer its initiator', async t => {
		const server = await serve(t);
		const [a, b] = await gather(server, 'r', 'a', 'b');
		b.join('b', 's');
		await b.gets(joined('b', 's', true));
		await a.gets(left('b', 'r'));
	});

	test('repeated changes nothing, and is sent to all peers with the present flag', async t => {
		const server = await serve(t);
		const [a, b] = await gather(server, 'r', 'a', 'b');
		for (const [client, user, flag] of [[b, 'b', false], [a, 'a', true]]) {
			client.join(user, 'r');
			await a.gets(joined(user, 'r', flag));
			await b.gets(joined(user, 'r', flag));
		}
		b.send(ping('b', 'r'));
		await b.gets(members('b', 'r', 'a', 'b'));
		await silence(b, a);
	});

	test('another UserId in the same room is a leave and a join', async t => {
		const server = await serve(t);
		const [a, b] = await gather(server, 'r', 'a', 'b');
		b.join('c', 'r');
		await b.gets(joined('c', 'r', false));
		await a.gets(left('b', 'r'), joined('c', 'r', false));
		b.send(broadcast('b', 'r', 1));
		await b.gets(refused('not in this room', 'b', 'r'));
		await silence(b, a);
	});

	test('another UserId of the initiator makes the next peer the initiator', async t => {
		const server = await serve(t);
		const [a, b] = await gather(server, 'r', 'a', 'b');
		a.join('c', 'r');
		await a.gets(joined('c', 'r', false));
		await b.gets(left('a', 'r'), joined('b', 'r', true), joined('c', 'r', false));
		a.send(ping('c', 'r'));
		await a.gets(members('c', 'r', 'b', 'c'));
	});

	test('another UserId of the only peer is the initiator of the empty room', async t => {
		const [a] = await gather(await serve(t), 'r', 'a');
		a.join('b', 'r');
		await a.gets(joined('b', 'r', true));
		await a.none();
	});

	test('a refused connect changes nothing', async t => {
		const server = await serve(t, { conf: { MaxPeers: 2 } });
		const [a, b] = await gather(server, 'r', 'a', 'b');
		await gather(server, 's', 'c', 'd');
		b.send(connect('b', 's'));
		await b.gets(refused('room is full', 'b', 's'));
		b.send(connect('', 's'));
		await b.gets(refused(BAD_USER, '', 's'));
		b.send(connect('b', 's'.repeat(129)));
		await b.gets(refused(BAD_ROOM, 'b', ''));
		await silence(b, a);
		b.send(broadcast('b', 'r', 1));
		await a.gets(broadcast('b', 'r', 1));
	});
});

describe('takeover', () => {
	test('closes the previous session, and the other peers get disconnect and connect', async t => {
		const server = await serve(t);
		const [a, b] = await gather(server, 'r', 'a', 'b');
		const next = await open(server);
		next.join('b', 'r');
		await next.gets(joined('b', 'r', false));
		await a.gets(left('b', 'r'), joined('b', 'r', false));
		assert.deepEqual(await b.closed(), REPLACED);
		await assert.rejects(b.next());
		await silence(next, a);
	});

	test('no peer is notified of the close of the previous session, however late', async t => {
		const server = await serve(t);
		const [a] = await gather(server, 'r', 'a');
		const b = await Raw.websocket(server);
		b.text(connect('b', 'r'));
		await b.gets(joined('b', 'r', false));
		await a.gets(joined('b', 'r', false));
		const next = await open(server);
		next.join('b', 'r');
		await next.gets(joined('b', 'r', false));
		await a.gets(left('b', 'r'), joined('b', 'r', false));
		assert.deepEqual(await b.close(), REPLACED);
		b.write(closeFrame(4001));
		await b.ended();
		await silence(next, a);
		next.send(ping('b', 'r'));
		await next.gets(members('b', 'r', 'a', 'b'));
	});

	test('later packets of the previous session are ignored', async t => {
		const server = await serve(t);
		const [a] = await gather(server, 'r', 'a');
		const b = await Raw.websocket(server);
		b.text(connect('b', 'r'));
		await a.gets(joined('b', 'r', false));
		const next = await open(server);
		next.join('b', 'r');
		await a.gets(left('b', 'r'), joined('b', 'r', false));
		b.text(broadcast('b', 'r', 'too late'));
		b.write(closeFrame(4001));
		await b.gets(joined('b', 'r', false));
		assert.deepEqual(await b.close(), REPLACED);
		await b.ended();
		await next.gets(joined('b', 'r', false));
		await silence(next, a);
	});

	test('the new session does not become the initiator', async t => {
		const server = await serve(t);
		const [a, b] = await gather(server, 'r', 'a', 'b');
		const next = await open(server);
		next.join('a', 'r');
		await next.gets(joined('a', 'r', false));
		await b.gets(left('a', 'r'), joined('b', 'r', true), joined('a', 'r', false));
		assert.deepEqual(await a.closed(), REPLACED);
		next.send(ping('a', 'r'));
		await next.gets(members('a', 'r', 'b', 'a'));
	});

	test('is refused after three in ten seconds, and no other peer is notified', async t => {
		const server = await serve(t);
		const [a, b] = await gather(server, 'r', 'a', 'b');
		let previous = b, next;
		for (let i = 0; i < 3; i++) {
			next = await open(server);
			next.join('b', 'r');
			await next.gets(joined('b', 'r', false));
			await a.gets(left('b', 'r'), joined('b', 'r', false));
			assert.deepEqual(await previous.closed(), REPLACED);
			previous = next;
		}
		for (let i = 0; i < 3; i++) {
			const late = await open(server);
			late.join('b', 'r');
			await late.gets(refused('user is in use', 'b', 'r'));
		}
		await silence(next, a);
		await server.lines?.match(/ warn - refused: .* \(UserId\): 1 .* with "b"$/); /* not of a device */
	});

	test('of the only peer is refused after three, too', async t => {
		const server = await serve(t);
		await gather(server, 'r', 'a');
		for (const answer of [...Array(3).fill(joined('a', 'r', true)), refused('user is in use', 'a', 'r')]) {
			const next = await open(server);
			next.join('a', 'r');
			await next.gets(answer);
		}
	});

	test('of the only peer finds an empty room', async t => {
		const server = await serve(t);
		const [a] = await gather(server, 'r', 'a');
		const next = await open(server);
		next.join('a', 'r');
		await next.gets(joined('a', 'r', true));
		assert.deepEqual(await a.closed(), REPLACED);
		await next.none();
	});

	test('from another room notifies that room as well', async t => {
		const server = await serve(t);
		const [, b] = await gather(server, 'r', 'a', 'b');
		const [c, d] = await gather(server, 's', 'c', 'd');
		d.join('a', 'r');
		await d.gets(joined('a', 'r', false));
		await b.gets(left('a', 'r'), joined('b', 'r', true), joined('a', 'r', false));
		await c.gets(left('d', 's'));
		await silence(d, b, c);
	});

	test('the other peers get the disconnect of the new session\'s previous name first', async t => {
		const server = await serve(t);
		const [a, b, c] = await gather(server, 'r', 'a', 'b', 'c');
		b.join('c', 'r');
		await b.gets(joined('c', 'r', false));
		await a.gets(left('b', 'r'), left('c', 'r'), joined('c', 'r', false));
		assert.deepEqual(await c.closed(), REPLACED);
		b.send(ping('c', 'r'));
		await b.gets(members('c', 'r', 'a', 'c'));
		await silence(b, a);
	});

	test('the same UserId in another room is another peer', async t => {
		const server = await serve(t);
		const [a] = await gather(server, 'r', 'a');
		const [b] = await gather(server, 's', 'a');
		await silence(b, a);
	});
});

describe('a full room', () => {
	const full = async t => {
		const server = await serve(t, { conf: { MaxPeers: 2 } });
		return [server, ...await gather(server, 'r', 'a', 'b')];
	};

	test('refuses a new peer', async t => {
		const [server, a, b] = await full(t);
		const c = await open(server);
		c.send(connect('c', 'r'));
		await c.gets(refused('room is full', 'c', 'r'));
		await silence(c, a, b);
		await a.close();
		await b.gets(left('a', 'r'));
		c.join('c', 'r');
		await c.gets(joined('c', 'r', false));
		await b.gets(joined('b', 'r', true), joined('c', 'r', false));
	});

	test('accepts the same user again', async t => {
		const [, a, b] = await full(t);
		b.join('b', 'r');
		await b.gets(joined('b', 'r', false));
		await a.gets(joined('b', 'r', false));
	});

	test('accepts another UserId of a peer', async t => {
		const [, a, b] = await full(t);
		b.join('c', 'r');
		await b.gets(joined('c', 'r', false));
		await a.gets(left('b', 'r'), joined('c', 'r', false));
	});

	test('accepts a takeover from outside', async t => {
		const [server, a, b] = await full(t);
		const next = await open(server);
		next.join('b', 'r');
		await next.gets(joined('b', 'r', false));
		await a.gets(left('b', 'r'), joined('b', 'r', false));
		assert.deepEqual(await b.closed(), REPLACED);
	});

	test('accepts a takeover from inside', async t => {
		const [, a, b] = await full(t);
		b.join('a', 'r');
		await b.gets(joined('a', 'r', true));
		assert.deepEqual(await a.closed(), REPLACED);
		b.send(ping('a', 'r'));
		await b.gets(members('a', 'r', 'a'));
	});

	test('has sixteen peers unless configured', async t => {
		const server = await serve(t);
		const users = Array.from({ length: 16 }, (_, i) => `user ${i}`);
		const peers = await gather(server, 'r', ...users);
		const late = await open(server);
		late.send(connect('late', 'r'));
		await late.gets(refused('room is full', 'late', 'r'));
		await silence(late, ...peers);
	});
});

describe('there is always an initiator', () => {
	test('the peer that joined first is notified before a new peer joins', async t => {
		const server = await serve(t);
		const [a, b, c] = await gather(server, 'r', 'a', 'b', 'c');
		await a.close();
		await b.gets(left('a', 'r'));
		await c.gets(left('a', 'r'));
		await silence(b, c);
		const d = await open(server);
		d.join('d', 'r');
		await d.gets(joined('d', 'r', false));
		await b.gets(joined('b', 'r', true), joined('d', 'r', false));
		await c.gets(joined('d', 'r', false));
		await silence(d, b, c);
	});

	test('the packet that names it has the peer\'s own ids, escaped', async t => {
		const server = await serve(t);
		const user = 'b"\\\u0001é😀', room = '"\n';
		const [a, b] = await gather(server, room, 'a', user);
		await a.close();
		await b.gets(left('a', room));
		const c = await open(server);
		c.join('c', room);
		assert.deepEqual(JSON.parse(await b.next()), JSON.parse(joined(user, room, true)));
		await b.gets(joined('c', room, false));
	});

	test('the initiator stays the same while it is there', async t => {
		const server = await serve(t);
		const [a, b] = await gather(server, 'r', 'a', 'b');
		await a.close();
		await b.gets(left('a', 'r'));
		const c = await open(server);
		c.join('c', 'r');
		await b.gets(joined('b', 'r', true), joined('c', 'r', false));
		await c.gets(joined('c', 'r', false));
		const d = await open(server);
		d.join('d', 'r');
		await b.gets(joined('d', 'r', false));
		await c.gets(joined('d', 'r', false));
		b.join('b', 'r');
		await b.gets(joined('b', 'r', true));
		await c.gets(joined('b', 'r', true));
	});

	test('a repeated connect does not make the initiator', async t => {
		const [a, b] = await gather(await serve(t), 'r', 'a', 'b');
		await a.close();
		await b.gets(left('a', 'r'));
		b.join('b', 'r');
		await b.gets(joined('b', 'r', false));
		await b.none();
	});

	test('the leave of another changes nothing', async t => {
		const server = await serve(t);
		const [a, b] = await gather(server, 'r', 'a', 'b');
		await b.close();
		await a.gets(left('b', 'r'));
		const c = await open(server);
		c.join('c', 'r');
		await a.gets(joined('c', 'r', false));
	});

	test('a room that all have left is empty', async t => {
		const server = await serve(t);
		const [a, b] = await gather(server, 'r', 'a', 'b');
		await a.close();
		await b.gets(left('a', 'r'));
		b.send(quit('b', 'r'));
		await b.none();
		const [c] = await gather(server, 'r', 'c');
		await c.none();
	});
});

describe('broadcast', () => {
	test('goes to all others as it was sent, in order', async t => {
		const server = await serve(t);
		const [a, b, c] = await gather(server, 'r', 'a', 'b', 'c');
		const texts = Array.from({ length: 50 }, (_, i) => broadcast('b', 'r', { number: i }));
		texts.forEach(text => b.send(text));
		await a.gets(...texts);
		await c.gets(...texts);
		await silence(b, a, c);
	});

	test('needs no payload', async t => {
		const [a, b] = await gather(await serve(t), 'r', 'a', 'b');
		a.send(broadcast('a', 'r'));
		await b.gets(broadcast('a', 'r'));
	});

	test('with To goes to that peer alone, as it was sent and in order', async t => {
		const server = await serve(t);
		const [a, b, c] = await gather(server, 'r', 'a', 'b', 'c');
		const [other] = await gather(server, 's', 'c');
		const texts = ['"To":"c"', '"T\\u006f" : "\\u0063"', '"To":"b","To":"c"', '"To":5,"\\u0054o":"c"']
			.map((to, i) => `{"Header":{"Event":"broadcast","UserId":"a","RoomId":"r",${to}},"Payload":${i}}`);
		const all = broadcast('a', 'r', 'all');
		for (const text of [...texts, all])
			a.send(text);
		await c.gets(...texts, all);
		await b.gets(all);
		await silence(a, b, c, other);
	});

	test('with one\'s own id as To comes back', async t => {
		const [a, b] = await gather(await serve(t), 'r', 'a', 'b');
		a.send(addressed('broadcast', 'a', 'r', 'a'));
		await a.gets(addressed('broadcast', 'a', 'r', 'a'));
		await silence(a, b);
	});

	test('with To reaches ids of any characters', async t => {
		const users = ['"\\\u0000\u001f/', 'é漢😀\u2028', '__proto__', 'é'.repeat(64)];
		const [a, ...others] = await gather(await serve(t), 'r', 'a', ...users);
		for (const [i, user] of users.entries()) {
			a.send(addressed('broadcast', 'a', 'r', user));
			await others[i].gets(addressed('broadcast', 'a', 'r', user));
		}
		await silence(a, ...others);
	});

	test('with To goes to the session that has taken over', async t => {
		const server = await serve(t);
		const [a, b, c] = await gather(server, 'r', 'a', 'b', 'c');
		const next = await open(server);
		next.join('b', 'r');
		await next.gets(joined('b', 'r', false));
		assert.deepEqual(await b.closed(), REPLACED);
		for (const each of [a, c])
			await each.gets(left('b', 'r'), joined('b', 'r', false));
		a.send(addressed('broadcast', 'a', 'r', 'b'));
		await next.gets(addressed('broadcast', 'a', 'r', 'b'));
		await silence(next, a, c);
	});

	test('to a peer that is not in the room is an error for the sender alone', async t => {
		const server = await serve(t);
		const [a, b, c] = await gather(server, 'r', 'a', 'b', 'c');
		const [d] = await gather(server, 's', 'd');
		await c.close();
		for (const each of [a, b])
			await each.gets(left('c', 'r'));
		for (const to of ['c', 'd', 'B', 'b ', 'b\u0000', 'é'.repeat(64)]) {
			a.send(addressed('broadcast', 'a', 'r', to));
			await a.gets(refused('no such peer', 'a', 'r'));
		}
		/* That the sender is not there counts first. */
		a.send(addressed('broadcast', 'a', 's', 'd'));
		await a.gets(refused('not in this room', 'a', 's'));
		await silence(a, b, d);
	});

	test('with a To that is no id is an error for the sender alone', async t => {
		const [a, b] = await gather(await serve(t), 'r', 'a', 'b');
		for (const to of ['', null, 5, false, ['b'], { To: 'b' }, 'x'.repeat(129), 'é'.repeat(65), '\ud800']) {
			a.send(addressed('broadcast', 'a', 'r', to));
			await a.gets(refused(BAD_TO, 'a', 'r'));
		}
		await silence(a, b);
	});

	test('is the only event in which To means something', async t => {
		const [a, b, c] = await gather(await serve(t), 'r', 'a', 'b', 'c');
		for (const to of ['b', 'nobody', '', null, 5]) {
			a.send(addressed('connect', 'a', 'r', to, '{}'));
			for (const each of [a, b, c])
				await each.gets(addressed('connect', 'a', 'r', to, 'true'));
			a.send(addressed('ping', 'a', 'r', to, '{}'));
			await a.gets(addressed('ping', 'a', 'r', to, '["a","b","c"]'));
		}
		a.send(addressed('disconnect', 'a', 'r', 'b'));
		for (const each of [b, c])
			await each.gets(addressed('disconnect', 'a', 'r', 'b'));
		await silence(a, b, c);
	});

	test('of a session that is not in the room is an error for the sender alone', async t => {
		const server = await serve(t);
		const [a, b] = await gather(server, 'r', 'a', 'b');
		const outside = await open(server);
		const attempts = [[outside, 'b', 'r'], [b, 'a', 'r'], [b, 'b', 's'], [b, 'b', '']];
		for (const [client, user, room] of attempts) {
			client.send(broadcast(user, room, 1));
			await client.gets(refused('not in this room', user, room));
		}
		await silence(outside, b, a);
	});
});

describe('ping', () => {
	test('lists the peers of the room to the sender alone, in order of joining', async t => {
		const server = await serve(t);
		const [a, b] = await gather(server, 'r', 'peer1', 'peer2');
		b.send('{"Header":{"Event":"ping","UserId":"peer2","RoomId":"r"},"Payload":"{}"}');
		await b.gets('{"Header":{"Event":"ping","UserId":"peer2","RoomId":"r"},' +
			'"Payload":"[\\"peer1\\",\\"peer2\\"]"}');
		await silence(b, a);
	});

	test('lists peers after others have joined and left', async t => {
		const server = await serve(t);
		const [a, b, c] = await gather(server, 'r', 'z', 'y', 'x');
		await b.close();
		await c.gets(left('y', 'r'));
		c.send(ping('x', 'r'));
		await c.gets(members('x', 'r', 'z', 'x'));
		a.send(quit('z', 'r'));
		await c.gets(quit('z', 'r'));
		c.send(ping('x', 'r'));
		await c.gets(members('x', 'r', 'x'));
	});

	test('works for any room, also without having joined', async t => {
		const server = await serve(t);
		await gather(server, 'r', 'a', 'b');
		const [c] = await gather(server, 's', 'c');
		const outside = await open(server);
		for (const client of [c, outside])
			await asks(client, 'whoever', 'r', 'a', 'b');
	});

	test('of an unknown room is an empty list', async t => {
		const a = await open(await serve(t));
		await asks(a, 'a', 'nowhere');
	});

	test('lists ids of any characters', async t => {
		const users = ['"', '\\', '\\"', '\u0000', '\u001f\b\t\n\f\r', '\u007f', 'é', '漢字',
			'😀', '\u2028', '</script>', '/', "'", '{}', '\\u0041'];
		const server = await serve(t);
		const [a] = await gather(server, 'r', ...users);
		a.send(ping('"', 'r'));
		const { Payload } = JSON.parse(await a.next());
		assert.equal(typeof Payload, 'string');
		assert.deepEqual(JSON.parse(Payload), users);
	});

	test('lists sixteen of the longest ids, in a packet of the largest size', async t => {
		const server = await serve(t);
		const users = Array.from({ length: 16 }, (_, i) =>
			String.fromCharCode(i + 1) + '\u0001'.repeat(127));
		const [a] = await gather(server, 'r', ...users);
		const bare = JSON.stringify({ ...JSON.parse(ping('a', 'r')), Filler: '' });
		const filler = 'x'.repeat(65536 - bare.length);
		a.send(bare.replace('"Filler":""', `"Filler":"${filler}"`));
		const answer = JSON.parse(await a.next());
		assert.deepEqual(JSON.parse(answer.Payload), users);
		assert.equal(answer.Filler, filler);
	});
});

describe('disconnect', () => {
	test('is relayed unchanged, and the session may connect again', async t => {
		const server = await serve(t);
		const [a, b] = await gather(server, 'r', 'a', 'b');
		b.send(quit('b', 'r'));
		await a.gets(quit('b', 'r'));
		await silence(b, a);
		b.send(broadcast('b', 'r', 1));
		await b.gets(refused('not in this room', 'b', 'r'));
		b.join('b', 'r');
		await a.gets(joined('b', 'r', false));
		await b.gets(joined('b', 'r', false));
	});

	test('is relayed once, also if the session ends after it', async t => {
		const server = await serve(t);
		const [a, b] = await gather(server, 'r', 'a', 'b');
		b.send(quit('b', 'r'));
		await a.gets(quit('b', 'r'));
		await b.close();
		await silence(await open(server), a);
	});

	test('of a session that is not in the room is an error', async t => {
		const server = await serve(t);
		const [a, b] = await gather(server, 'r', 'a', 'b');
		const outside = await open(server);
		for (const [client, user, room] of [[outside, 'b', 'r'], [b, 'a', 'r'], [b, 'b', 's']]) {
			client.send(quit(user, room));
			await client.gets(refused('not in this room', user, room));
		}
		await silence(outside, b, a);
	});
});

describe('a session that ends', () => {
	const ends = {
		'with a Close': client => client.close(),
		'with a code of its own': client => client.close(4321, 'enough'),
		'without a Close': client => client.destroy(),
		'with a reset': client => client.reset(),
	};
	for (const [name, end] of Object.entries(ends)) {
		test(`${name} notifies its room once`, async t => {
			const server = await serve(t);
			const [a, b, c] = await gather(server, 'r', 'a', 'b', 'c');
			await end(b);
			for (const each of [a, c])
				await each.gets('{"Header":{"Event":"disconnect","UserId":"b","RoomId":"r"},' +
					'"Payload":"{}"}');
			await silence(await open(server), a, c);
		});
	}

	test('sends its ids, of any characters', async t => {
		const server = await serve(t);
		const user = '"\\\u0000\u001fé漢😀', room = '\\"\t';
		const [a, b] = await gather(server, room, 'a', user);
		await b.close();
		assert.deepEqual(JSON.parse(await a.next()), JSON.parse(left(user, room)));
	});

	test('without having joined notifies no peer', async t => {
		const server = await serve(t);
		const [a] = await gather(server, 'r', 'a');
		const b = await open(server);
		await b.none();
		await b.close();
		await silence(await open(server), a);
	});
});

describe('errors', () => {
	/* A message, and the answer's reason, UserId and RoomId. */
	const cases = [
		['null', 'a packet must be an object'],
		['5', 'a packet must be an object'],
		['"Header"', 'a packet must be an object'],
		['[]', 'a packet must be an object'],
		['[{"Header":{}}]', 'a packet must be an object'],
		['{}', 'Header is missing'],
		['{"header":{}}', 'Header is missing'],
		['{"Header":null}', 'Header must be an object'],
		['{"Header":5}', 'Header must be an object'],
		['{"Header":[]}', 'Header must be an object'],
		['{"Header":"{}"}', 'Header must be an object'],
		['{"Payload":{"Header":{"Event":"ping","UserId":"a","RoomId":"r"}}}', 'Header is missing'],
		[connect(undefined, 'r'), BAD_USER, '', 'r'],
		[connect(null, 'r'), BAD_USER, '', 'r'],
		[connect(5, 'r'), BAD_USER, '', 'r'],
		[connect(['a'], 'r'), BAD_USER, '', 'r'],
		[connect('', 'r'), BAD_USER, '', 'r'],
		[connect('u'.repeat(129), 'r'), BAD_USER, '', 'r'],
		[connect('\ud800', 'r'), BAD_USER, '', 'r'],
		[connect('a', undefined), BAD_ROOM, 'a', ''],
		[connect('a', null), BAD_ROOM, 'a', ''],
		[connect('a', { r: 1 }), BAD_ROOM, 'a', ''],
		[connect('a', 'r'.repeat(129)), BAD_ROOM, 'a', ''],
		[connect('a', '\udc00x'), BAD_ROOM, 'a', ''],
		[broadcast('', 'r'), BAD_USER, '', 'r'],
		[ping('', 'r'), BAD_USER, '', 'r'],
		[quit('a', 7), BAD_ROOM, 'a', ''],
		[packet('Connect', 'a', 'r'), 'unknown Event "Connect"', 'a', 'r'],
		[packet('', 'a', 'r'), 'unknown Event ""', 'a', 'r'],
		[packet('error', 'a', 'r'), 'unknown Event "error"', 'a', 'r'],
		[packet('ping ', 'a', 'r'), 'unknown Event "ping "', 'a', 'r'],
		[packet('toString', 'a', 'r'), 'unknown Event "toString"', 'a', 'r'],
		[broadcast('a', 'r', 1), 'not in this room', 'a', 'r'],
		[quit('"\\é\n', ''), 'not in this room', '"\\é\n', ''],
	];
	for (const [message, reason, user, room] of cases) {
		test(`${message.slice(0, 80)} is answered "${reason}"`, async t => {
			const a = await open(await serve(t));
			const answer = JSON.parse(refused(reason, user, room));
			await answers(a, message, answer);
			await a.none();
		});
	}

	test('invalid JSON is answered with the position of the error', async t => {
		const texts = ['', ' ', '{', '}', '{"Header":', '{Header:1}', "{'Header':1}", '{} {}',
			'[1,,2]', '[,]', '{,}', '{"a":1,,}', '{"a"}', '{"a":}', 'tru', 'nul', 'NaN', '01', '1.',
			'.5', '+1', '-', '1e', '0x1', '"', '"\\x"', '"\\u12g4"', '"\n"', '"\u0000"', '[1}',
			'{"a":1]', '\ufeff{}', '// {}', '{}x', '\u00a0{}', '\v{}'];
		const a = await open(await serve(t));
		for (const text of texts) {
			a.send(text);
			const { Header, Payload } = JSON.parse(await a.next());
			assert.deepEqual(Header, { Event: 'error', UserId: '', RoomId: '' }, text);
			const at = /^not JSON at byte (\d+)$/.exec(Payload)?.[1] ?? assert.fail(Payload);
			assert(Number(at) <= Buffer.byteLength(text) + 1, `${text}: ${Payload}`);
		}
		await a.none();
	});

	test('the position of the error is exact', async t => {
		const a = await open(await serve(t));
		const place = async text => {
			a.send(text);
			return Number(JSON.parse(await a.next()).Payload.replace('not JSON at byte ', ''));
		};
		const first = await place('?');
		assert(first === 0 || first === 1, `the first byte is number ${first}`);
		assert.equal(await place('    ?'), first + 4);
		assert.equal(await place('{"é":[1,2,?]}'), first + 11);
		assert.equal(await place(`{"${'k'.repeat(5000)}":?}`), first + 5004);
	});

	test('a packet with invalid JSON at its end has no effect', async t => {
		const [a, b] = await gather(await serve(t), 'r', 'a', 'b');
		for (const end of ['', ' x', '}', ',']) {
			a.send(`{${header('broadcast', 'a', 'r')},"Payload":1${end === '' ? '' : '}'}${end}`);
			assert.match(JSON.parse(await a.next()).Payload, /^not JSON at byte \d+$/);
		}
		await silence(a, b);
	});

	test('an Event that is missing or no string is an error', async t => {
		const a = await open(await serve(t));
		for (const event of [undefined, null, 5, ['connect']]) {
			a.send(packet(event, 'a', 'r', '{}'));
			const { Header, Payload } = JSON.parse(await a.next());
			assert.match(Payload, /\bEvent\b/);
			assert.deepEqual(Header, { Event: 'error', UserId: 'a', RoomId: 'r' });
		}
	});

	test('an unknown Event of any characters and length is answered in valid JSON', async t => {
		const a = await open(await serve(t));
		const events = ['"', '\\', '\u0000', 'é', '😀', '\ud800', 'x'.repeat(60_000),
			'é'.repeat(20_000), 'x' + 'é'.repeat(20_000), '\u0001'.repeat(10_000)];
		for (const event of events) {
			a.send(packet(event, 'a', 'r', '{}'));
			const { Header, Payload } = JSON.parse(await a.next());
			assert.match(Payload, /^unknown Event "/);
			assert.deepEqual(Header, { Event: 'error', UserId: 'a', RoomId: 'r' });
		}
	});

	test('go to the sender alone, which stays in the room', async t => {
		const [a, b] = await gather(await serve(t), 'r', 'a', 'b');
		for (const message of ['{', '5', connect('', ''), packet('x', 'a', 'r')]) {
			a.send(message);
			assert.equal(JSON.parse(await a.next()).Header.Event, 'error');
		}
		await silence(a, b);
		a.send(broadcast('a', 'r', 1));
		await b.gets(broadcast('a', 'r', 1));
	});
});

describe('ids', () => {
	test('are compared after unescaping', async t => {
		const server = await serve(t);
		const [a, b] = await gather(server, 'room', 'a', 'b');
		const text = `{${header('broadcast', '\\u0061', 'r\\u006fom')},"Payload":1}`;
		a.send(text);
		await b.gets(text);
		const next = await open(server);
		next.send(`{${header('connect', '\\u0062', '\\u0072oom')}}`);
		await next.gets(`{${header('connect', '\\u0062', '\\u0072oom')},"Payload":"false"}`);
		assert.deepEqual(await b.closed(), REPLACED);
	});

	test('keys and the Event may be escaped', async t => {
		const a = await open(await serve(t));
		a.send('{"\\u0048eader":{"Even\\u0074":"conn\\u0065ct","User\\u0049d":"a",' +
			'"\\u0052oomId":"r"},"P\\u0061yload":"{}"}');
		await a.gets('{"\\u0048eader":{"Even\\u0074":"conn\\u0065ct","User\\u0049d":"a",' +
			'"\\u0052oomId":"r"},"P\\u0061yload":"true"}');
		a.send(ping('a', 'r'));
		await a.gets(members('a', 'r', 'a'));
	});

	test('a slash is itself, escaped or not', async t => {
		const [a, b] = await gather(await serve(t), '/', 'a', 'b');
		a.send(`{${header('broadcast', 'a', '\\/')}}`);
		await b.gets(`{${header('broadcast', 'a', '\\/')}}`);
	});

	test('differ by case and by what follows a U+0000', async t => {
		const server = await serve(t);
		const peers = await gather(server, 'r', 'a', 'A', 'a\u0000', 'a\u0000b', 'a\u0000c', '\u0000');
		await silence(...peers);
		peers[0].send(ping('a', 'r\u0000'));
		await peers[0].gets(members('a', 'r\u0000'));
	});

	test('are not normalised', async t => {
		await silence(...await gather(await serve(t), 'r', '\u00e9', 'e\u0301', '\ufb01', 'fi', ' fi'));
	});

	test('half a surrogate pair is an error, a whole one is its character', async t => {
		const a = await open(await serve(t));
		const halves = ['\\ud83d', '\\ude00', '\\ude00\\ud83d', '\\ud83d\\ud83d', 'x\\ud83dx'];
		for (const half of halves) {
			a.send(`{${header('connect', half, 'r')}}`);
			await a.gets(refused(BAD_USER, '', 'r'));
			a.send(`{${header('connect', 'a', half)}}`);
			await a.gets(refused(BAD_ROOM, 'a', ''));
		}
		a.send(`{${header('connect', '\\ud83d\\uDE00', 'r')}}`);
		await a.next();
		a.send(broadcast('😀', 'r', 1));
		await a.none();
	});

	/* Texts of exactly 128 bytes once they are unescaped, and what makes them 129. */
	const longest = {
		ASCII: 'x'.repeat(128),
		'two-byte characters': 'é'.repeat(64),
		'escaped two-byte characters': '\\u00e9'.repeat(64),
		'three-byte characters': `xx${'漢'.repeat(42)}`,
		'escaped pairs': '\\ud83d\\ude00'.repeat(32),
		'escaped control characters': '\\u0000'.repeat(128),
	};
	for (const [name, id] of Object.entries(longest)) {
		test(`may have 128 bytes, not 129, of ${name}`, async t => {
			const a = await open(await serve(t));
			const plain = JSON.parse(`"${id}"`);
			a.send(`{${header('connect', id, id)}}`);
			await a.gets(`{${header('connect', id, id)},"Payload":"true"}`);
			for (const longer of [`${id}y`, `y${id}`]) {
				await answers(a, `{${header('connect', longer, id)}}`,
					JSON.parse(refused(BAD_USER, '', plain)));
				await answers(a, `{${header('connect', id, longer)}}`,
					JSON.parse(refused(BAD_ROOM, plain, '')));
			}
		});
	}

	for (const room of ['', '__proto__', 'constructor', 'toString', 'hasOwnProperty', 'null', '0']) {
		test(`"${room}" is an ordinary room`, async t => {
			const server = await serve(t);
			const outside = await open(server);
			await asks(outside, '__proto__', room);
			const [a, b] = await gather(server, room, '__proto__', 'constructor');
			a.send(packet('broadcast', '__proto__', room, 'hello'));
			await b.gets(packet('broadcast', '__proto__', room, 'hello'));
			await b.close();
			await a.gets(left('constructor', room));
			await silence(outside, a);
		});
	}
});

describe('the text of a packet', () => {
	test('is relayed byte for byte', async t => {
		const [a, b] = await gather(await serve(t), 'r', 'a', 'b');
		const texts = [
			`\t{ "z" : 1e400 ,\r\n ${header('broadcast', 'a', 'r')} , "Payload" : -0.0 } \n`,
			`{"Payload":[1.0,1.10,1E+5,0.1e-7,-0,123456789012345678901234567890],${
				header('broadcast', 'a', 'r')}}`,
			`{${header('broadcast', 'a', 'r')},"Payload":"\\/\\u0041\\b\\ud800é😀\u007f\\u0000"}`,
			`{${header('broadcast', 'a', 'r')},"":{"":[{}]},"Payload":null}`,
			`{"Header":{"RoomId":"r","More":[{"Event":"ping"}],"UserId":"a","Event":"broadcast"}}`,
		];
		for (const text of texts) {
			a.send(text);
			await b.gets(text);
		}
	});

	test('keeps unknown fields wherever Payload is set', async t => {
		const a = await open(await serve(t));
		const around = (event, payload) =>
			`{"V":[1.0],"Header":{"v":{"x":null},"Event":"${event}",` +
			`"UserId":"a","RoomId":"r","t":1e2},"Payload":${payload} , "After" : "\\u0041" }`;
		a.send(around('connect', '{"old":"value"}'));
		await a.gets(around('connect', '"true"'));
		a.send(around('ping', '[1,{"a":2}]'));
		await a.gets(around('ping', '"[\\"a\\"]"'));
	});

	test('gets the Payload that it lacks', async t => {
		const a = await open(await serve(t));
		a.send(`{${header('connect', 'a', 'r')}}`);
		await a.gets(`{${header('connect', 'a', 'r')},"Payload":"true"}`);
		for (const end of [' }', ' , }', ',}', ',"x":1}', ',"x":1,\n}\n', ',"payload":1}']) {
			const text = `{${header('ping', 'a', 'r')}${end}`;
			const sent = JSON.parse(text.replace(/,(\s*})/, '$1'));
			await answers(a, text, { ...sent, Payload: '["a"]' });
		}
	});

	test('a nested Payload is not the packet\'s', async t => {
		const a = await open(await serve(t));
		const text = `{"x":{"Payload":1},${header('connect', 'a', 'r')}}`;
		a.send(text);
		await a.gets(text.replace(/}$/, ',"Payload":"true"}'));
	});

	test('of keys given twice the last one counts', async t => {
		const [a, b] = await gather(await serve(t), 'r', 'a', 'b');
		const last = '"Event":"broadcast","UserId":"a","RoomId":"r"';
		const good = [
			`{"Header":{"Event":"ping","UserId":"x","RoomId":"y",${last}}}`,
			`{"Header":{"Event":5,"UserId":"","RoomId":null,${last}}}`,
			`{"Header":{"Event":"x","\\u0055serId":"y",${last}}}`,
			`{"Header":null,"Header":{${last}}}`,
			`{"Header":{"Event":"ping","UserId":"x","RoomId":"y"},"Header":{${last}}}`,
			`{"Header":{${last},"UserId":"x","User\\u0049d":"a"}}`,
		];
		for (const text of good) {
			a.send(text);
			await b.gets(text);
		}
		const bad = [
			[`{"Header":{${last}},"Header":null}`, refused('Header must be an object')],
			[`{"Header":{${last}},"Header":{}}`, refused(BAD_USER)],
			[`{"Header":{${last},"UserId":5}}`, refused(BAD_USER, '', 'r')],
			[`{"Header":{${last},"RoomId":"s"}}`, refused('not in this room', 'a', 's')],
		];
		for (const [text, answer] of bad) {
			a.send(text);
			await a.gets(answer);
		}
		await silence(a, b);
	});

	test('of Payloads given twice the last one is set', async t => {
		const a = await open(await serve(t));
		const text = (event, payload) =>
			`{"Payload":{"x":1},${header(event, 'a', 'r')},"Payload":2,"P\\u0061yload":${payload}}`;
		a.send(text('connect', '3'));
		await a.gets(text('connect', '"true"'));
		a.send(text('ping', '"\\"}"'));
		await a.gets(text('ping', '"[\\"a\\"]"'));
	});

	test('may have trailing commas, which are not relayed', async t => {
		const [a, b] = await gather(await serve(t), 'r', 'a', 'b');
		const text = payload =>
			'{"Header": {"Event": "broadcast", "UserId": "a", "RoomId": "r",},' +
			`"Payload": ${payload},}`;
		const payloads = ['1', '[1,]', '[1 , ]', '{"a":1,}', '[[1,],[2,\n],]',
			'{"a":{"b":[{},],},}', '"a,}"', '["," , ",]",]'];
		for (const payload of payloads) {
			a.send(text(payload));
			const value = new Function(`return ${payload}`)();
			assert.deepEqual(JSON.parse(await b.next()), JSON.parse(broadcast('a', 'r', value)));
		}
		a.send(text('1').replace('broadcast', 'connect'));
		assert.deepEqual(JSON.parse(await a.next()), JSON.parse(joined('a', 'r', true)));
		b.send(text('[[1,],]').replace('broadcast', 'ping').replace('"a"', '"b"'));
		assert.deepEqual(JSON.parse(await b.next()), JSON.parse(joined('a', 'r', true)));
		assert.deepEqual(JSON.parse(await b.next()), JSON.parse(members('b', 'r', 'a', 'b')));
	});

	test('may be nested 32 levels deep, not 33', async t => {
		const [a, b] = await gather(await serve(t), 'r', 'a', 'b');
		const nested = (depth, open, close) => `{${header('broadcast', 'a', 'r')},"Payload":${
			open.repeat(depth - 1)}1${close.repeat(depth - 1)}}`;
		for (const brackets of [['[', ']'], ['{"a":', '}']]) {
			a.send(nested(32, ...brackets));
			await b.gets(nested(32, ...brackets));
			a.send(nested(33, ...brackets));
			assert.equal(JSON.parse(await a.next()).Payload, 'nested too deep');
		}
		const header33 = nested(32, '[', ']').replace('"RoomId"', `"x":${'['.repeat(31)}${
			']'.repeat(31)},"RoomId"`);
		a.send(header33);
		assert.equal(JSON.parse(await a.next()).Payload, 'nested too deep');
		await silence(a, b);
	});

	test('may arrive in a binary message, and is relayed as text', async t => {
		const [a, b] = await gather(await serve(t), 'r', 'a', 'b');
		a.send(Buffer.from(broadcast('a', 'r', 'é')));
		await b.gets(broadcast('a', 'r', 'é'));
		b.send(Buffer.from(ping('b', 'r')));
		await b.gets(members('b', 'r', 'a', 'b'));
		a.send(Buffer.from('{'));
		assert.equal(JSON.parse(await a.next()).Header.Event, 'error');
	});
});

describe('the size of a packet', () => {
	const sized = (bytes, packetOf) => packetOf('x'.repeat(bytes - packetOf('').length));

	for (const [name, conf, most] of [['unless configured', {}, 65536],
		['as configured', { MaxPacket: 5000 }, 5000]]) {
		test(`is at most MaxPacket ${name}`, async t => {
			const [a, b, c] = await gather(await serve(t, { conf }), 'r', 'a', 'b', 'c');
			const text = sized(most, filler => broadcast('a', 'r', filler));
			a.send(text);
			await b.gets(text);
			await c.gets(text);
			b.send(sized(most + 1, filler => broadcast('b', 'r', filler)));
			assert.equal((await b.closed()).code, 1009);
			await a.gets(left('b', 'r'));
			await c.gets(left('b', 'r'));
			await silence(a, c);
		});
	}

	test('is that of all fragments of a message', async t => {
		const server = await serve(t, { conf: { MaxPacket: 5000 } });
		const [a] = await gather(server, 'r', 'a');
		const b = await Raw.websocket(server);
		b.text(connect('b', 'r'));
		await b.gets(joined('b', 'r', false));
		await a.gets(joined('b', 'r', false));
		const text = sized(5000, filler => broadcast('b', 'r', filler));
		b.text(text.slice(0, 4000), { fin: false });
		b.write(frame(OPCODE.more, text.slice(4000)));
		await a.gets(text);
		b.text(text.slice(0, 4000), { fin: false });
		b.write(frame(OPCODE.more, text.slice(3999), { fin: false }));
		await b.fails(1009);
		await a.gets(left('b', 'r'));
	});

	test('does not count what the server adds to it', async t => {
		const a = await open(await serve(t));
		const bare = filler => `{"Filler":"${filler}",${header('connect', 'a', 'r')}}`;
		const text = sized(65536, bare);
		a.send(text);
		await a.gets(text.replace(/}$/, ',"Payload":"true"}'));
	});
});
