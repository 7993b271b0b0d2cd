/* What the module videre.js does about lost packets, failed connections, and a server or /ice without an answer. */
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { open } from './client.mjs';
import { baseOf, enter, eventsOf, gatherPages, happens, isOpen, see, server, until, userOf } from './rooms.mjs';
import { freePort, test } from './server.mjs';

describe('a room', { concurrency: 2 }, () => {
	for (const kind of ['chromium', 'firefox'])
		test(`keeps a candidate that overtakes its description in ${kind}`, async t => {
			const a = await enter(t, 'chromium');
			await isOpen(a);
			const b = await enter(t, kind, { before: () => {
				let description;
				window.incoming = data => {
					const { Payload } = JSON.parse(data);
					if (Payload?.Description && !window.overtook) {
						description = data;
						return [];
					}
					if (!Payload?.Candidate || window.overtook)
						return [data];
					window.overtook = Payload.Candidate.candidate;
					return [data, description];
				};
			} });
			await until(b, 'the candidate in its place', () => window.overtook
				&& room.peers[0].connection.remoteDescription?.sdp.includes(overtook.split(' generation')[0]));
			await see([a, b]);
		});

	for (const [what, type, lossy] of [['an offer', 'offer', 1], ['an answer', 'answer', 0]])
		test(`makes a connection although ${what} is lost`, async t => {
			const lose = `window.incoming = data => {
				if (window.lost || JSON.parse(data).Payload?.Description?.type !== '${type}')
					return [data];
				window.lost = true;
				return [];
			};`;
			const pages = [];
			for (const i of [0, 1]) {
				pages.push(await enter(t, 'chromium', { before: lossy === i ? lose : undefined }));
				await isOpen(pages[i]);
			}
			await until(pages[lossy], 'the loss', () => window.lost);
			await see(pages);
		}, 120_000);

	test('calls a peer that sends no To in the Header, and no Instance', async t => {
		const before = () => window.outgoing = data => {
			const { Header: { To, Instance, ...Header }, Payload } = JSON.parse(data);
			return JSON.stringify({ Header, Payload });
		};
		await gatherPages(t, ['chromium', {}], ['firefox', { before }], ['chromium', {}]);
	});

	test('learns from a ping of peers whose connect or disconnect it has missed', async t => {
		const a = await enter(t, 'chromium', { before: () => window.incoming = data => {
			const { Header } = JSON.parse(data);
			return /connect/.test(Header.Event) && window.room?.state === 'open' ? [] : [data];
		} });
		await isOpen(a);
		const b = await enter(t, 'chromium');
		const id = await userOf(b);
		await see([a, b]);
		await b.evaluate(() => room.leave());
		await happens(a, { type: 'left', id });
	}, 120_000);

	test('calls a peer later if the browser has no connection for it', async t => {
		const a = await enter(t, 'chromium');
		await isOpen(a);
		await a.evaluate(() => {
			const Real = RTCPeerConnection;
			window.RTCPeerConnection = function () {
				window.RTCPeerConnection = Real;
				throw new DOMException('Cannot create so many PeerConnections', 'UnknownError');
			};
		});
		/* With no ICE servers the module does not try without them. */
		const b = await enter(t, 'chromium');
		await happens(a, { type: 'error', code: 'failed' });
		await see([a, b]);
	}, 120_000);

	test('replaces a connection that fails, on either side', async t => {
		const pages = await gatherPages(t, ['chromium', {}], ['chromium', {}]);
		for (const page of pages) {
			await page.evaluate(() => {
				const { connection } = room.peers[0];
				window.failed = connection;
				Object.defineProperty(connection, 'connectionState', { value: 'failed' });
				connection.onconnectionstatechange();
			});
			await happens(page, { type: 'state', state: 'failed', code: 'lost' });
			await until(page, 'another connection', () => room.peers[0].connection !== failed && room.peers[0].state === 'connected');
			await see(pages);
			assert.equal(await page.evaluate(() => failed.signalingState), 'closed');
		}
		for (const page of pages)
			assert.deepEqual(await eventsOf(page, 'left'), []);
	}, 120_000);

	test('names the reason why there is no way to a peer', async t => {
		const page = await enter(t, 'chromium');
		await isOpen(page);
		const turn = [{ urls: ['stun:127.0.0.1', 'turn:127.0.0.1:9'], username: 'x', credential: 'x' }];
		const cases = {
			'no server': { iceServers: [], code: 'direct' },
			'stun': { iceServers: [{ urls: 'stun:turn.example' }], code: 'direct' },
			'turn': { iceServers: turn, code: 'relay' },
			'relayed': { iceServers: turn, code: 'relayed' },
		};
		for (const [name, { iceServers }] of Object.entries(cases)) {
			await page.evaluate((url, into, servers) => {
				const other = new room.constructor(into, { url, iceServers: servers });
				other.addEventListener('peer', ({ peer }) => into.endsWith('relayed')
					&& Promise.resolve().then(() => Object.defineProperty(peer.connection, 'localDescription', { value: { sdp: 'a=candidate 1 typ relay' } })));
				other.addEventListener('state', ({ peer, state, code }) => peer && events.push({ type: into, state, code }));
				return other.opened;
			}, baseOf(server), `${t.name} ${name}`.slice(-100), iceServers);
		}
		for (const name of Object.keys(cases)) {
			const client = await open(server);
			client.join('x', `${t.name} ${name}`.slice(-100));
		}
		for (const [name, { code }] of Object.entries(cases))
			await happens(page, { type: `${t.name} ${name}`.slice(-100), state: 'failed', code });
	}, 120_000);
});

describe('the server of a room', { concurrency: 2 }, () => {
	test('tries to reach the server after waits that grow to 8 s and are random', async t => {
		const page = await enter(t, 'chromium');
		await page.evaluate(() => room.leave());
		const port = await freePort();
		const waits = async (count, event) => {
			await page.evaluate((url, type) => {
				if (type) {
					window.waits = [];
					return dispatchEvent(new Event(type)) && undefined;
				}
				const real = setTimeout;
				window.waits = [];
				window.setTimeout = (then, time, ...rest) => {
					if (time <= 8000)
						window.waits.push(time);
					return real(then, time <= 8000 ? 0 : time, ...rest);
				};
				window.lost = new room.constructor('x', { url });
				lost.addEventListener('state', ({ code }) => events.push({ type: 'lost', code }));
			}, `http://127.0.0.1:${port}/`, event);
			await until(page, `${count} waits`, expected => window.waits.length >= expected, count);
			return page.evaluate(expected => window.waits.splice(0).slice(0, expected), count);
		};
		const found = await waits(40);
		for (const [i, wait] of found.entries()) {
			const most = Math.min(2 ** i, 8) * 1000;
			assert(wait >= most / 2 && wait <= most, `wait ${i}: ${wait}`);
		}
		assert(new Set(found).size > 35, 'random');
		await happens(page, { type: 'lost', code: 'unreachable' });
		/* A device that comes online starts again. */
		const [again] = await waits(1, 'online');
		assert(again >= 500 && again <= 1000, `${again}`);
		await page.evaluate(() => lost.leave());
	});

	/* Stands in for /ice: `give` is the next answers' status and text.  `shift` moves the clock. */
	function replaceIce() {
		const { now } = Date, real = fetch;
		window.shift = 0;
		Date.now = () => now() + window.shift;
		window.asked = 0;
		window.servers = number => JSON.stringify({ iceServers: [{ urls: [`stun:127.0.0.1:${number}`] }], ttl: 86400 });
		window.give = { status: 200, text: servers(3001) };
		window.fetch = async (url, ...rest) => {
			if (!/\/ice$/.test(url))
				return real(url, ...rest);
			window.asked++;
			if (!give.status)
				throw new TypeError('Failed to fetch');
			return new Response(give.text, { status: give.status });
		};
	}

	test('keeps the ICE servers that it has if /ice has no valid answer', async t => {
		const page = await enter(t, 'chromium', { before: replaceIce });
		await isOpen(page);
		let opened = 1;
		const check = async (answer, expected) => {
			await page.evaluate(given => {
				window.give = given;
				window.shift += 61_000;
				sockets.at(-1).close();
			}, answer);
			await until(page, 'the room open again', count => events.filter(({ type }) => type === 'open').length === count, ++opened);
			assert.equal(await page.evaluate(() => asked), opened);
			const late = await open(server), id = `late ${opened}`;
			late.join(id, t.name);
			await until(page, 'a connection', user => room.peers.find(peer => peer.id === user)?.connection, id);
			assert.deepEqual(await page.evaluate(user => room.peers.find(peer => peer.id === user).connection
				.getConfiguration().iceServers.map(({ urls }) => urls).flat(), id), [`stun:127.0.0.1:${expected}`], JSON.stringify(answer));
			await late.close();
			await happens(page, { type: 'left', id });
		};
		const faults = [];
		for (const answer of [{ status: 404, text: 'Not Found' }, { status: 401, text: '' }, { status: 503, text: '' }, { status: 0 },
			{ status: 200, text: '<html>' }, { status: 200, text: 'null' }, { status: 404, text: '{"error":"not found"}' }])
			await check(answer, 3001).catch(({ message }) => faults.push(message));
		assert.deepEqual(faults, []);
		await check({ status: 200, text: JSON.stringify({ iceServers: [{ urls: ['stun:127.0.0.1:3002'] }], ttl: 86400 }) }, 3002);
	}, 120_000);

	test('fetches ICE servers again after half of their time, and not before', async t => {
		const page = await enter(t, 'chromium', { before: replaceIce });
		await isOpen(page);
		const pings = () => page.evaluate(() => events.filter(({ type }) => type === 'ping').length);
		await page.evaluate(() => {
			window.incoming = data => {
				if (JSON.parse(data).Header.Event === 'ping')
					events.push({ type: 'ping' });
				return [data];
			};
		});
		const after = async (seconds, expected) => {
			await page.evaluate(s => window.shift += 1000 * s, seconds);
			const before = await pings();
			await until(page, 'a ping', count => events.filter(({ type }) => type === 'ping').length > count, before);
			await until(page, `${expected} requests`, count => window.asked === count, expected);
		};
		await after(86_400 / 2 - 600, 1);
		await after(600, 2);
	}, 120_000);
});
