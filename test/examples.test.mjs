/* examples/: peers without a browser, with pages in Chromium and Firefox, and backends that sign tokens. */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { copyFile, readFile, readdir, readlink, symlink, writeFile } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import path from 'node:path';
import { describe } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { pair } from './certificate.mjs';
import { addressed, joined, open, ping, refused, url } from './client.mjs';
import { baseOf, enter, eventsOf, happens, isOpen, newPage, openExample, playing, sees, server, until } from './rooms.mjs';
import { Lines, bounded, counted, eventually, freePort, scratch, serve, start, test, videre } from './server.mjs';
import { REFUSED, connectWith, serveTokens, sign } from './tokens.mjs';
import { serveTurn } from './turn.mjs';

const execute = promisify(execFile);

/* The ICE agents of GStreamer and aiortc leave loopback out.  Packets between two addresses of a machine stay in it. */
const noAddress = Object.values(networkInterfaces()).flat().every(({ internal }) => internal);
const skip = noAddress && 'this machine has no address but loopback';

const inExamples = name => fileURLToPath(new URL(`../examples/${name}`, import.meta.url));

/*
 * Runs a program until the end of the test.  `stop` ends it before, as a service manager does; it must then exit with
 * status 0.
 */
function runProgram(t, ...command) {
	const [file, ...args] = command;
	const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'] });
	const orphaned = () => child.kill('SIGKILL');
	process.on('exit', orphaned);
	const out = new Lines(child.stdout), err = new Lines(child.stderr);
	const exited = once(child, 'close').finally(() => process.off('exit', orphaned));
	const ends = async status => {
		const [code] = await bounded(exited, `the end of ${file}`);
		assert.equal(code, status, err.all.join('\n'));
	};
	const stop = () => {
		child.kill('SIGTERM');
		return ends(0);
	};
	t.after(() => {
		child.kill('SIGKILL');
		return exited;
	});
	return { child, out, err, ends, stop };
}

const webSocket = server => url(server, `${server.prefix}/websocket`);

/* Waits until the server has this user in the room. */
async function joins(at, user, room, token) {
	const client = await open(at, token && { path: `${at.prefix}/websocket?token=${token}` });
	await eventually(`${user} in the room`, async () => {
		client.send(ping('test', room));
		return JSON.parse(await client.next()).Payload;
	}, list => JSON.parse(list).includes(user));
	client.destroy();
}

/* The next Payload that a client receives and that is meant. */
async function nextPayload(client, isMeant) {
	for (;;) {
		const { Payload } = JSON.parse(await client.next());
		if (isMeant(Payload))
			return Payload;
	}
}

/* The number of a process's UDP sockets. */
async function udpSockets(pid) {
	const texts = await Promise.all(['udp', 'udp6'].map(name => readFile(`/proc/net/${name}`, 'utf8')));
	const inodes = new Set(texts.join('').split('\n').map(line => line.trim().split(/ +/)[9]));
	const dir = `/proc/${pid}/fd`;
	const links = await Promise.all((await readdir(dir)).map(name => readlink(path.join(dir, name)).catch(() => '')));
	return links.filter(link => link.startsWith('socket:') && inodes.has(link.slice(8, -1))).length;
}

/* Small pictures, and few of them, for two cores. */
const SMALL = 'videotestsrc is-live=true ! video/x-raw,width=80,height=60,framerate=5/1';

/* Packets that the server relays as they are: without a Payload, and with a number that Python does not read. */
const hostile = (user, room) => ['', `,"Payload":${'1'.repeat(5000)}`].map(payload =>
	`{"Header":{"Event":"broadcast","UserId":"${user}","RoomId":"${room}"}${payload}}`);

describe('examples/gstreamer', { skip }, () => {
	/* Starts one, and waits until it is in the room. */
	async function camera(t, { at = server, into = t.name, token, more = [], joining = true } = {}) {
		const example = runProgram(t, inExamples('gstreamer/camera.py'), webSocket(at), into, '--user', 'camera', '--source', SMALL, ...more,
			...token ? ['--token', token] : []);
		if (joining)
			await joins(at, 'camera', into, token);
		return example;
	}

	for (const kind of ['chromium', 'firefox']) {
		test(`is seen in the page of the server, in ${kind}`, async t => {
			await camera(t, { more: ['--name', 'Hall'] });
			const page = await newPage(t, kind);
			await page.goto(`${baseOf(server)}#${encodeURIComponent(t.name)}`);
			await page.locator('#join').click();
			await until(page, 'a video that plays', () => [...document.querySelectorAll('li:not(.self)')].some(tile =>
				tile.innerText.trim() === 'Hall' && tile.querySelector('video').videoWidth === 80
					&& tile.querySelector('video').currentTime > 1));
		});

		test(`sends its camera to ${kind}, which was there first`, async t => {
			const page = await enter(t, kind);
			await isOpen(page);
			const { stop } = await camera(t, { more: ['--name', 'Hall'] });
			await sees(page, 1);
			assert.deepEqual(await page.evaluate(() => room.peers.map(({ id, name, connection }) =>
				[id, name, connection.localDescription.type])), [['camera', 'Hall', 'offer']]);
			await stop();
			await happens(page, { type: 'left', id: 'camera' });
		});

		test(`sends its camera to ${kind}, which comes second`, async t => {
			await camera(t);
			const page = await enter(t, kind);
			await sees(page, 1);
		});
	}

	test('keeps its call with a page that sends too', async t => {
		const page = await enter(t, 'chromium');
		await isOpen(page);
		await camera(t);
		await until(page, '15 seconds of video', async () => {
			const stats = [...await room.peers[0]?.connection?.getStats() ?? []].map(([, one]) => one);
			return stats.some(({ type, kind, framesDecoded }) => type === 'inbound-rtp' && kind === 'video' && framesDecoded > 75);
		});
		const states = (await eventsOf(page, 'state')).filter(({ id }) => id === 'camera');
		assert.deepEqual(states.map(({ state }) => state), ['connected']);
	});

	test('gives a peer another connection when the present one fails, whoever was first', async t => {
		const first = await enter(t, 'chromium');
		await isOpen(first);
		await camera(t);
		const second = await enter(t, 'chromium');
		for (const page of [first, second]) {
			await sees(page, 2);
			const old = await page.evaluateHandle(() => room.peers.find(({ id }) => id === 'camera').connection);
			await page.evaluate(connection => {
				Object.defineProperty(connection, 'connectionState', { value: 'disconnected' });
				connection.dispatchEvent(new Event('connectionstatechange'));
			}, old);
			await until(page, 'another connection', connection =>
				room.peers.find(({ id }) => id === 'camera').connection !== connection, old);
			await sees(page, 2);
		}
	});

	test('sends its camera to pages without the module', async t => {
		const at = await serve(t);
		const first = await openExample(t, 'plain', at);
		await counted(at, 'peers', 1);
		await camera(t, { at, into: 'kitchen' });
		const second = await openExample(t, 'plain', at);
		for (const page of [first, second])
			await playing(page, 2);
	});

	test('keeps nothing of peers that are gone', async t => {
		const at = await serve(t);
		const { child } = await camera(t, { at, more: ['--ping', '1'] });
		const pages = [];
		for (const kind of ['chromium', 'firefox', 'chromium'])
			pages.push(await enter(t, kind, { at }));
		for (const page of pages)
			await sees(page, 3);
		assert(await udpSockets(child.pid) > 0);
		await pages[0].close();
		/* A page that ends without a packet. */
		await pages[1].evaluate(() => WebSocket.prototype.send = () => {});
		await pages[1].close();
		await sees(pages[2], 1);
		await pages[2].close();
		await eventually('no socket of a call', () => udpSockets(child.pid), count => count === 0);
	});

	test('ends when its source fails', async t => {
		const { ends, err } = runProgram(t, inExamples('gstreamer/camera.py'), webSocket(server), t.name, '--source', 'filesrc location=/nonexistent ! jpegdec');
		await ends(1);
		assert.match(err.all.join('\n'), /Resource not found/);
	});

	test('ends when another takes its place', async t => {
		const { ends, err } = await camera(t);
		const client = await open(server);
		client.join('camera', t.name);
		await ends(1);
		assert.match(err.all.join('\n'), /^the same user has joined from elsewhere$/m);
	});

	test('keeps its calls while the server restarts', async t => {
		const conf = { Port: await freePort() };
		const old = await start({ conf });
		const first = await enter(t, 'chromium', { at: old });
		await isOpen(first);
		await camera(t, { at: old });
		const second = await enter(t, 'firefox', { at: old });
		for (const page of [first, second])
			await sees(page, 2);
		await old.stop();
		for (const page of [first, second])
			await happens(page, { type: 'state', state: 'connecting', code: 'unreachable' });
		const again = await serve(t, { conf });
		await joins(again, 'camera', t.name);
		for (const page of [first, second]) {
			await isOpen(page);
			await sees(page, 2);
			assert.deepEqual(await eventsOf(page, 'left'), []);
			const states = (await eventsOf(page, 'state')).filter(({ id }) => id === 'camera');
			assert.deepEqual(states.map(({ state }) => state), ['connected']);
		}
		await sees(await enter(t, 'chromium', { at: again }), 3);
	});

	test('enters over TLS, with a token', async t => {
		const { server: at } = await serveTokens(t, { tls: await pair('P-256') });
		const token = user => sign({ room: t.name, sub: user });
		const ca = path.join(await scratch(t), 'ca.crt'); /* DER, as the server's own */
		await writeFile(ca, new X509Certificate(await readFile(at.tls.cert)).raw);
		await camera(t, { at, token: token('camera'), more: ['--ca', ca] });
		await sees(await enter(t, 'chromium', { at, token: token('ann') }), 1);
	});

	test('refuses a server that its authority has not signed', async t => {
		const at = await serve(t, { tls: await pair('P-256') });
		const other = await pair('P-384');
		const { err } = await camera(t, { at, more: ['--ca', other.cert], joining: false });
		await err.match(/certificate verify failed/);
		await counted(at, 'peers', 0);
	});

	test('takes the ICE servers of the server', async t => {
		const dir = await scratch(t), TurnSecret = path.join(dir, 'turn');
		await writeFile(TurnSecret, 'the-secret-of-the-relay\n', { mode: 0o600 });
		const port = await serveTurn(t, 'the-secret-of-the-relay');
		const at = await serve(t, { conf: { TurnSecret, IceServers: [`stun:127.0.0.1:${port}`, `turn:127.0.0.1:${port}`] } });
		await camera(t, { at });
		const client = await open(at);
		client.join('ann', t.name);
		await nextPayload(client, ({ Candidate }) => / typ relay /.test(Candidate?.candidate));
	});

	test('goes on whatever a peer sends', async t => {
		const page = await enter(t, 'chromium');
		await isOpen(page);
		await camera(t);
		const client = await open(server);
		client.join('adam', t.name);
		const offer = () => nextPayload(client, ({ Description }) => Description?.type === 'offer');
		const { Session } = await offer();
		const broken = 'v=0\r\nm=video 9 x 96\r\na=rtpmap:96 VP8/90000\r\n';
		const payloads = ['', 1, null, [], {}, { To: 'camera' }, ...[
			{ Candidate: 1 }, { Session, Candidate: { candidate: 1 } }, { Session, Candidate: { candidate: 'x', sdpMLineIndex: -1 } },
			{ Session, Candidate: { candidate: 'x', sdpMLineIndex: 99 } }, { Session: [], Description: {} }, { Session, Description: 1 },
			{ Session, Description: { type: 'answer', sdp: 1 } }, { Session, Description: { type: 'answer', sdp: broken } },
			...['x', `a=rtpmap:96 VP8/90000`, broken].map(sdp => ({ Session: 'other', Description: { type: 'offer', sdp } })),
		].map(members => ({ To: 'camera', ...members }))];
		for (const payload of payloads)
			client.send(addressed('broadcast', 'adam', t.name, 'camera', payload));
		for (const text of hostile('adam', t.name))
			client.send(text);
		client.send(addressed('broadcast', 'adam', t.name, 'camera', { To: 'camera', Again: true }));
		assert.notEqual((await offer()).Session, Session);
		client.destroy();
		await sees(page, 1);
		await sees(await enter(t, 'chromium'), 2);
	});
});

/* The number of frames in a recording, and the width of the video. */
async function framesOf(file, kind) {
	const program = `import av, sys
frames = list(av.open(sys.argv[1]).decode(**{sys.argv[2]: 0}))
print(len(frames), getattr(frames[0], 'width', 0))`;
	const { stdout } = await execute('/usr/bin/python3', ['-c', program, file, kind]);
	return stdout.split(' ').map(Number);
}

describe('examples/aiortc', { skip }, () => {
	/* Starts one, and waits until it is in the room. */
	async function recorder(t, { at = server, token, more = [] } = {}) {
		const dir = path.join(await scratch(t), 'recordings');
		const example = runProgram(t, inExamples('aiortc/record.py'), webSocket(at), t.name, dir, '--user', 'recorder', ...more,
			...token ? ['--token', token] : []);
		await joins(at, 'recorder', t.name, token);
		/* Has the program end, and checks that it has recorded a page. */
		const play = async () => {
			await example.stop();
			for (const [kind, expected] of [['video', 160], ['audio', 0]]) {
				const names = (await readdir(dir)).filter(name => name.endsWith(`-${kind}.mkv`));
				assert.equal(names.length, 1, example.err.all.join('\n'));
				const [count, width] = await framesOf(path.join(dir, names[0]), kind);
				assert(count >= 10, `${count} frames of ${kind}`);
				assert.equal(width, expected);
			}
		};
		return { ...example, play };
	}

	/* The page has sent some video. */
	const sends = page => until(page, 'frames that are sent', async () => {
		const stats = [...await room.peers[0]?.connection?.getStats() ?? []].map(([, one]) => one);
		return stats.some(({ type, kind, framesSent }) => type === 'outbound-rtp' && kind === 'video' && framesSent > 60);
	});

	for (const kind of ['chromium', 'firefox']) {
		test(`records ${kind}, which was there first`, async t => {
			const page = await enter(t, kind);
			await isOpen(page);
			const { play } = await recorder(t);
			await sends(page);
			await play();
		});

		test(`records ${kind}, which comes second`, async t => {
			const { play } = await recorder(t);
			const page = await enter(t, kind);
			await sends(page);
			await play();
		});
	}

	test('goes on whatever a peer sends', async t => {
		const { play } = await recorder(t);
		const client = await open(server);
		client.join('adam', t.name);
		for (const text of hostile('adam', t.name))
			client.send(text);
		await client.close();
		await sends(await enter(t, 'chromium'));
		await play();
	});

	test('ends when another takes its place', async t => {
		const { ends, err } = await recorder(t);
		(await open(server)).join('recorder', t.name);
		await ends(1);
		assert.match(err.all.join('\n'), /^the same user has joined from elsewhere$/m);
	});

	test('enters over TLS, with a token', async t => {
		const { server: at } = await serveTokens(t, { tls: await pair('P-256') });
		const token = user => sign({ room: t.name, sub: user });
		const { play } = await recorder(t, { at, token: token('recorder'), more: ['--ca', at.tls.cert] });
		const page = await enter(t, 'chromium', { at, token: token('ann') });
		await sends(page);
		await play();
	});
});

describe('examples/backend', () => {
	/* npm's packages are in test/, so the example for Node runs there. */
	async function copied(t, name) {
		const dir = await scratch(t);
		await symlink(fileURLToPath(new URL('node_modules', import.meta.url)), path.join(dir, 'node_modules'));
		const copy = path.join(dir, name);
		await copyFile(inExamples(`backend/${name}`), copy);
		return copy;
	}

	const backends = {
		'in Node': async (t, secrets) => runProgram(t, process.execPath, await copied(t, 'token.mjs'), secrets, 0),
		'in Python': (t, secrets) => runProgram(t, inExamples('backend/token_server.py'), secrets, 0),
	};

	for (const [language, run] of Object.entries(backends))
		test(`gives tokens that the server accepts, ${language}`, async t => {
			const file = path.join(await scratch(t), 'secrets');
			await execute(videre, ['-s', file]);
			const at = await serve(t, { conf: { Tokens: file }, allow: [REFUSED] });
			const { out } = await run(t, file);
			const [, address] = await out.match(/^listening on (.*)$/);
			const ask = (target, user) => fetch(`http://${address}${target}`, { headers: user ? { 'X-Remote-User': user } : {} });
			for (const [target, user, status] of [['/token?room=kitchen', '', 401], ['/token?room=garden', 'ann', 403],
				['/token?room=toString', 'ann', 403], ['/token', 'ann', 403], ['/', 'ann', 404], ['//', '', 404]])
				assert.equal((await ask(target, user)).status, status, target);
			const answer = await ask('/token?room=kitchen', 'ann');
			assert.equal(answer.headers.get('cache-control'), 'no-store');
			const token = await answer.text();
			const client = await open(at);
			client.send(connectWith(token, 'ann', 'garden'));
			await client.gets(refused('token is for another room', 'ann', 'garden'));
			client.send(connectWith(token, 'bob', 'kitchen'));
			await client.gets(refused('token is for another user', 'bob', 'kitchen'));
			client.send(connectWith(token, 'ann', 'kitchen'));
			await client.gets(joined('ann', 'kitchen', true));
		});
});
