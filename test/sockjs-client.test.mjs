/*
 * The real clients: npm's sockjs-client, new and old, in Node, over each of the transports that
 * it has there, in rooms with plain WebSockets and with each other.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, before, describe } from 'node:test';
import { fileURLToPath } from 'node:url';
import { deliver, gather, joined, left, members, open, packet, refused } from './client.mjs';
import { PATIENCE, Peer, base, transports, versions } from './peer.mjs';
import { overTLS, serve, start, test } from './server.mjs';

/* Every client there is, as [version, transport]. */
const clients = Object.keys(versions).flatMap(version =>
	transports.map(transport => [version, transport]));

if (overTLS)
	await import('./trusting.mjs');

/* The same in a process of its own, which joins a room and stays there. */
const STRANGER = `
	const [url, name, transport, packet] = process.argv.slice(1);
	const { default: SockJS } = await import(name);
	SockJS.prototype.countRTO = () => ${PATIENCE};
	const socket = new SockJS(url, null, { transports: transport });
	socket.onopen = () => socket.send(packet);
	socket.onclose = ({ code, reason }) => {
		throw new Error('closed: ' + code + ' ' + reason);
	};
`;

function spawnStranger(t, server, [version, transport], user, room) {
	const name = version === '1.6.1' ? 'sockjs-client' : 'sockjs-client-1.0';
	const child = spawn(process.execPath, [
		...overTLS ? ['--import', './trusting.mjs'] : [],
		'--input-type=module', '--eval', STRANGER,
		base(server), name, transport, packet('connect', user, room, '{}'),
	], { cwd: fileURLToPath(new URL('.', import.meta.url)), stdio: ['ignore', 'ignore', 'inherit'] });
	t.after(() => child.kill('SIGKILL'));
	return child;
}

const offer = (user, room, filler) => packet('broadcast', user, room, {
	Type: 'Ice Offer', IcePacket: { type: 'offer', sdp: filler },
});
const line = 'a=rtpmap:111 opus/48000/2\r\na=fmtp:111 "minptime=10";useinbandfec=1 \\ / % %41\r\n';
const lines = length => line.repeat(length / line.length + 1).slice(0, length);
const foreign = 'é ß \u00ad\u200b\u200d\u2028\u2029\ufeff\ufffd\uffff \u{1f600}\u{10ffff} ' +
	'\u0000\u0001\u001f\u007f </script> <!-- %20 %zz %u0041 + & ; \' " \\ \\u0041 \ud800';

/* All that one end of a call may do, beside one on a plain WebSocket. */
async function callOut(server, kind, room) {
	const caller = await Peer.open(server, kind);
	caller.join('caller', room);
	await caller.gets(joined('caller', room, true));
	const callee = await open(server);
	callee.join('callee', room);
	for (const each of [caller, callee])
		await each.gets(joined('callee', room, false));

	for (const length of [100, 10_000, 60_000]) {
		await deliver(caller, callee, offer('caller', room, lines(length).slice(0, length * 0.9)));
		await deliver(callee, caller, offer('callee', room, lines(length).slice(0, length * 0.9)));
	}
	await deliver(caller, callee, offer('caller', room, foreign));
	await deliver(callee, caller, offer('callee', room, foreign));

	caller.send(packet('ping', 'caller', room, '{}'));
	await caller.gets(members('caller', room, 'caller', 'callee'));
	caller.send(offer('somebody else', room, 'x'));
	await caller.gets(refused('not in this room', 'somebody else', room));
	return { caller, callee };
}

let server;

before(async () => server = await start());
after(() => server?.stop());

/* Most of the time is spent waiting for the sessions of those who left between two polls. */
describe('sockjs-client in Node', { concurrency: 8 }, () => {
	for (const kind of clients) {
		const name = kind.join(' over ');

		test(`${name} holds a call, leaves, comes back and closes`, async t => {
			const room = t.name;
			const { caller, callee } = await callOut(server, kind, room);
			await deliver(caller, callee, packet('disconnect', 'caller', room, '{}'));
			await caller.none();
			caller.join('caller', room);
			await callee.gets(joined('callee', room, true), joined('caller', room, false));
			await caller.gets(joined('caller', room, false));
			await deliver(caller, callee, offer('caller', room, 'again'));

			assert.deepEqual(await caller.close(), { code: 1000, reason: 'Normal closure', wasClean: true });
			await callee.gets(left('caller', room));
			await callee.none();
		});

		test(`${name} gets bursts in order, and sends them`, async t => {
			const room = t.name;
			const { caller, callee } = await callOut(server, kind, room);
			const burst = user => Array.from({ length: 50 }, (_, i) =>
				offer(user, room, `${i} ${lines(i * 20 % 700)}`));
			for (const text of burst('caller'))
				caller.send(text);
			for (const text of burst('callee'))
				callee.send(text);
			await Promise.all([caller.gets(...burst('callee')), callee.gets(...burst('caller'))]);
			await Promise.all([caller.close(), callee.close()]);
		});

		test(`${name} is replaced by another session of its user, and replaces it`, async t => {
			const room = t.name;
			const [watcher] = await gather(server, room, 'watcher');
			const told = joined('user', room, false);
			const first = await Peer.open(server, kind);
			first.join('user', room);
			await Promise.all([first.gets(told), watcher.gets(told)]);
			const second = await Peer.open(server, kind);
			second.join('user', room);
			await Promise.all([second.gets(told), watcher.gets(left('user', room), told)]);
			assert.deepEqual(await first.closed(), { code: 4001, reason: 'replaced', wasClean: true });
			await watcher.none();
			await deliver(watcher, second, offer('watcher', room, 'to the second'));
			await second.close();
			await watcher.gets(left('user', room));
			await watcher.none();
		});

		test(`${name} whose process is killed leaves its room, once`, async t => {
			const room = t.name;
			const [watcher] = await gather(server, room, 'watcher');
			const child = spawnStranger(t, server, kind, 'stranger', room);
			await watcher.gets(joined('stranger', room, false));
			child.kill('SIGKILL');
			await once(child, 'exit');
			await watcher.gets(left('stranger', room));
			await watcher.none();
		});
	}

	test('every client and a plain WebSocket share a room', async t => {
		const room = t.name;
		const names = ['plain', ...clients.map(kind => kind.join(' '))];
		const [plain] = await gather(server, room, 'plain');
		const peers = [plain];
		for (const kind of clients) {
			const peer = await Peer.open(server, kind);
			peers.push(peer);
			peer.join(kind.join(' '), room);
			await Promise.all(peers.map(each => each.gets(joined(kind.join(' '), room, false))));
		}
		for (const [i, peer] of peers.entries()) {
			const text = offer(names[i], room, `${foreign} from ${names[i]}`);
			peer.send(text);
			await Promise.all(peers.filter(each => each !== peer).map(each => each.gets(text)));
			peer.send(packet('ping', names[i], room, '{}'));
			await peer.gets(members(names[i], room, ...names));
		}
		while (peers.length > 1) {
			await peers.pop().close();
			const text = left(names.pop(), room);
			await Promise.all(peers.map(each => each.gets(text)));
		}
		await plain.none();
	});

	test('when the server stops, every client is closed', async t => {
		const own = await serve(t);
		const peers = await Promise.all(clients.map(kind => Peer.open(own, kind)));
		own.signal('SIGTERM');
		await Promise.all(peers.map(peer => peer.closed()));
	});

	test('when a client closes with its own code, its room is notified', async t => {
		const room = t.name;
		const [watcher] = await gather(server, room, 'watcher');
		for (const kind of clients) {
			const peer = await Peer.open(server, kind);
			peer.join('peer', room);
			await watcher.gets(joined('peer', room, false));
			await peer.gets(joined('peer', room, false));
			assert.deepEqual(await peer.close(3456, 'enough'),
				{ code: 3456, reason: 'enough', wasClean: true });
			await watcher.gets(left('peer', room));
		}
		await watcher.none();
	});
});
