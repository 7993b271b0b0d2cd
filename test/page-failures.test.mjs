/*
 * What the page at / shows, and what goes on, when something fails: the server, the way to it, a peer, the
 * browser.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { describe } from 'node:test';
import { gather, open, packet } from './client.mjs';
import {
	STOPPED, alone, atTheDoor, isQuiet, join, labels, makesSay, meets, packetsOf, press, reads, roomOf, says,
	sees, until, useBrowser,
} from './pages.mjs';
import { built, freePort, serve, start, test } from './server.mjs';
import { SECOND, serveTokens, sign } from './tokens.mjs';

const { servers, visit, enter } = useBrowser({
	plain: () => ({ conf: { MaxPeers: 4 } }),
	small: () => ({ conf: { MaxPacket: 1024 } }),
	strict: () => ({ conf: { Origins: ['https://good.example'] } }),
});

const noticeOf = page => page.locator('#notice').textContent();
const loses = page => page.evaluate(() => seen.sockets.at(-1).close());
const isBack = page => until(page, 'no notice', () => document.getElementById('notice').textContent === '');

/* Two pages that see each other.  `stay` asserts that they still have the same connection. */
async function call(t, server, options) {
	const pages = [await enter(t, server, { name: 'Ann', ...options }), await enter(t, server, { name: 'Bob', ...options })];
	await Promise.all(pages.map(page => sees(page, 1)));
	for (const page of pages)
		await page.evaluate(() => [window.kept] = live());
	const stay = async () => {
		for (const page of pages) {
			await sees(page, 1);
			assert(await page.evaluate(() => live().length === 1 && live()[0] === kept), 'the connection is the same');
		}
	};
	return { pages, stay };
}

/* Answers as the server does, except that it rejects WebSocket, as some proxies do. */
async function withoutWebSocket(t, { host, port }) {
	const proxy = http.createServer((request, response) => {
		const onward = http.request({ host, port, method: request.method, path: request.url, headers: request.headers, agent: false },
			answer => answer.pipe(response.writeHead(answer.statusCode, answer.headers)));
		onward.on('error', () => response.destroy());
		request.pipe(onward);
	});
	proxy.on('upgrade', (request, socket) => socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n'));
	proxy.listen(0, '127.0.0.1');
	await once(proxy, 'listening');
	t.after(() => {
		proxy.close();
		proxy.closeAllConnections();
	});
	return { host: '127.0.0.1', port: proxy.address().port };
}

describe('a server that the page cannot use', { concurrency: 2 }, () => {
	test('a full room', async t => {
		await gather(servers.plain, roomOf(t), 'a', 'b', 'c', 'd');
		const page = await enter(t, servers.plain);
		await says(page, 'The room is full.');
		await atTheDoor(page);
		assert(await page.evaluate(() => seen.tracks.every(({ readyState }) => readyState === 'ended')), 'the camera is off');
	});

	test('Origins that lack the page', async t => {
		const page = await enter(t, servers.strict, { allow: [/status of 403/, /Unexpected response code: 403/] });
		await says(page, 'Origins of the server does not allow this page. Trying again ...');
	});

	test('a proxy that blocks WebSocket', async t => {
		const page = await enter(t, await withoutWebSocket(t, servers.plain), { allow: [/Unexpected response code: 400/] });
		await says(page, 'A proxy on the way blocks WebSocket. Trying again ...');
	});

	test('a full server', async t => {
		const server = await serve(t, { conf: { MaxConnections: 8 } });
		const page = await visit(t, server, { allow: [...STOPPED, /response code: 503/] });
		const clients = [];
		/* The server makes room for each by closing an idle connection of the browser. */
		for (let i = 0; i < 100 && clients.length < 8; i++)
			await open(server).then(client => clients.push(client), ({ message }) => assert.match(message, /503/));
		assert(clients.length >= 7, `${clients.length}`);
		await join(page);
		await says(page, 'The server is full. Trying again ...');
		clients.forEach(client => client.destroy());
		await alone(page);
		await isBack(page);
	});

	test('a server that is away', async t => {
		const server = await start();
		const page = await visit(t, server, { allow: STOPPED });
		await server.stop();
		await join(page);
		await says(page, 'No connection to the server. Trying again ...');
		await serve(t, { conf: { Port: server.port } });
		await alone(page);
		await isBack(page);
	});

	test('a server that takes no packet as long as an offer', async t => {
		const ann = await enter(t, servers.small);
		await alone(ann);
		const bob = await enter(t, servers.small);
		await says(ann, 'A message is longer than MaxPacket of the server.');
		await atTheDoor(ann);
		await alone(bob);
	});

	test('another page of the same user', async t => {
		const page = await visit(t, servers.plain);
		const packets = packetsOf(page, 'connect');
		await join(page);
		await alone(page);
		const other = await open(servers.plain);
		other.join(packets[0].Header.UserId, roomOf(t));
		await says(page, 'The same user has joined from elsewhere.');
		await atTheDoor(page);
		assert.equal(await page.evaluate(() => seen.sockets.length), 1, 'it does not return');
	});

	test('a reason goes when the page joins again', async t => {
		const clients = await gather(servers.plain, roomOf(t), 'a', 'b', 'c', 'd');
		const page = await enter(t, servers.plain);
		await says(page, 'The room is full.');
		await Promise.all(clients.map(client => client.close()));
		await join(page);
		await alone(page);
		assert.equal(await noticeOf(page), '');
	});
});

describe('a browser that cannot do all', { concurrency: 2 }, () => {
	test('no WebRTC', async t => {
		const page = await visit(t, servers.plain, { before: () => delete window.RTCPeerConnection });
		await says(page, 'This browser has no WebRTC.');
		assert(!await page.getByRole('button', { name: 'Join' }).isVisible());
	});

	const linkTo = (t, query) => `http://${servers.plain.host}:${servers.plain.port}/${query}#${encodeURIComponent(roomOf(t))}`;

	test('an address of a STUN server that is not valid', async t => {
		for (const query of ['?stun=a+b', '?stun=stun:', '?stun=127.0.0.1:99999']) {
			const page = await visit(t, servers.plain, { link: linkTo(t, query) });
			await says(page, 'The address of a STUN or TURN server is not valid: ');
			assert(!await page.getByRole('button', { name: 'Join' }).isVisible());
		}
	});

	/* Of each connection that a page makes for a peer. */
	const configured = page => page.evaluate(() => live().map(one => one.getConfiguration().iceServers
		.map(({ urls, username = '' }) => `${urls} ${username}`.trim())));

	test('the STUN servers of the link replace those of the server, with and without stun:', async t => {
		await gather(servers.plain, roomOf(t), 'x');
		for (const [query, expected] of [
			['', []],
			['?stun=127.0.0.1:3478', ['stun:127.0.0.1:3478']],
			['?stun=stun:127.0.0.1', ['stun:127.0.0.1']],
			['?stun=stun:127.0.0.1:3478&stun=localhost', ['stun:127.0.0.1:3478', 'stun:localhost']],
		]) {
			/* The client x makes no offer: after a while the page asks for one, or makes it. */
			const page = await visit(t, servers.plain, { link: linkTo(t, query) });
			await join(page);
			await meets(page, 1);
			const late = await open(servers.plain);
			late.join('late', roomOf(t));
			await meets(page, 2);
			assert.deepEqual(await configured(page), [expected]);
			await late.close();
			await press(page, 'Leave');
		}
	});

	test('the connections get the servers of /ice, which gets the token', async t => {
		for (const sent of ['', 'x.e30.x']) {
			const requests = [];
			const iceServers = [{ urls: ['stun:127.0.0.1'] },
				{ urls: ['turn:127.0.0.1:3478', 'turns:127.0.0.1:5349'], username: '1:videre', credential: 'secret' }];
			const ice = route => {
				requests.push(route.request());
				return route.fulfill({ json: { iceServers, ttl: 86400 } });
			};
			const page = await visit(t, servers.plain, { fragment: `room=ice&token=${sent}`, ice });
			assert.equal(requests.length, 0, 'not before the page joins');
			await join(page);
			await alone(page);
			const late = await open(servers.plain);
			late.join('late', 'ice');
			await meets(page, 1);
			assert.deepEqual(await configured(page), [['stun:127.0.0.1', 'turn:127.0.0.1:3478,turns:127.0.0.1:5349 1:videre']]);
			assert.equal(requests.length, 1);
			assert.equal(requests[0].headers().authorization, sent ? `Bearer ${sent}` : undefined);
			assert.equal(new URL(requests[0].url()).pathname, '/ice');
			await press(page, 'Leave');
			await late.close();
		}
	});

	test('an address of /ice that is not valid is shown, and the call works without', async t => {
		const ice = route => route.fulfill({ json: { iceServers: [{ urls: 'stun:a b' }], ttl: 86400 } });
		const { pages } = await call(t, servers.plain, { ice });
		await says(pages[0], 'The address of a STUN or TURN server is not valid: ');
	});

	test('a browser that stores nothing', async t => {
		const page = await enter(t, servers.plain, {
			before: () => Object.defineProperty(window, 'localStorage',
				{ get() { throw new DOMException('denied', 'SecurityError'); } }),
		});
		await alone(page);
	});

	test('sound that needs a click', async t => {
		const ann = await enter(t, servers.plain);
		const bob = await enter(t, servers.plain, {
			before: () => {
				const real = HTMLMediaElement.prototype.play;
				HTMLMediaElement.prototype.play = async function () {
					if (!this.muted && !window.clicked)
						throw new DOMException('', 'NotAllowedError');
					return real.call(this);
				};
			},
		});
		await says(bob, 'Tap, or press a key, to hear the others.');
		await sees(ann, 1);
		await says(bob, 'Tap, or press a key, to hear the others.');
		await bob.evaluate(() => window.clicked = true);
		await bob.keyboard.press('Shift');
		await until(bob, 'no notice', () => document.getElementById('notice').textContent === '');
		await sees(bob, 1);
	});
});

describe('a call', { concurrency: 2 }, () => {
	test('survives the loss of the WebSocket, of one page and of both', async t => {
		const { pages, stay } = await call(t, servers.plain);
		for (const some of [pages.slice(0, 1), pages.slice(1), pages]) {
			await Promise.all(some.map(async page => {
				await makesSay(page, 'No connection to the server. Trying again ...', () => loses(page));
				await isBack(page);
			}));
			await stay();
			for (const [i, page] of pages.entries()) {
				assert.deepEqual(await labels(page), [['Bob', 'Ann'][i]]);
				assert.match(await page.title(), /^\(2\) /);
			}
		}
		const third = await enter(t, servers.plain);
		await Promise.all([...pages, third].map(page => sees(page, 2)));
	}, 120_000);

	test('survives an upgrade of the server to another binary, and the way back', async t => {
		const upgraded = built('VIDERE_PLAIN', 'videre');
		let server = await start({ conf: { Port: await freePort() } });
		const { pages, stay } = await call(t, server, { allow: STOPPED });
		for (const binary of [upgraded, undefined]) {
			await server.stop();
			for (const page of pages)
				await says(page, 'No connection to the server. Trying again ...');
			await stay();
			const begin = performance.now();
			server = await start({ binary, conf: { Port: server.port } });
			t.after(() => server.stop());
			await Promise.all(pages.map(isBack));
			t.diagnostic(`the pages are back after ${Math.round(performance.now() - begin)} ms`);
			await stay();
		}
	}, 120_000);

	test('survives a server that falls silent', async t => {
		const server = await serve(t);
		const { pages, stay } = await call(t, server, { allow: STOPPED });
		server.signal('SIGSTOP');
		try {
			for (const page of pages)
				await says(page, 'No connection to the server. Trying again ...', 60_000);
			await stay();
		} finally {
			server.signal('SIGCONT');
		}
		await Promise.all(pages.map(isBack));
		await stay();
	}, 180_000);

	test('survives a token that does not admit its pages again', async t => {
		const { server, put } = await serveTokens(t);
		const fragment = `room=r&token=${sign({})}`;
		const { pages, stay } = await call(t, server, { fragment, allow: [...STOPPED, /status of 401/] });
		await put(SECOND);
		server.signal('SIGHUP');
		await server.lines.match(/ info - file of Tokens loaded$/);
		for (const page of pages)
			await loses(page);
		for (const page of pages)
			await says(page, 'The call goes on, but nobody new can join you. This invitation is not valid.');
		await stay();
	}, 120_000);

	test('an offline device is named, and nothing remains of it', async t => {
		const { pages, stay } = await call(t, servers.plain, { allow: [/ERR_INTERNET_DISCONNECTED/] });
		const [page] = pages;
		await makesSay(page, 'This device is offline. Trying again ...', () => page.context().setOffline(true));
		await page.context().setOffline(false);
		await isBack(page);
		await stay();
	});

	test('an event of the browser that it is online ends the notice, even if the WebSocket is the same', async t => {
		const { pages, stay } = await call(t, servers.plain);
		const [page] = pages;
		await makesSay(page, 'This device is offline. Trying again ...',
			() => page.evaluate(() => dispatchEvent(new Event('offline')) && undefined));
		await page.evaluate(() => dispatchEvent(new Event('online')) && undefined);
		await isBack(page);
		await stay();
	});

	test('is in the room again after the back/forward cache', async t => {
		const { pages: [ann, bob] } = await call(t, servers.plain);
		const happens = (page, type) => page.evaluate(name =>
			dispatchEvent(new PageTransitionEvent(name, { persisted: true })) && undefined, type);
		await happens(bob, 'pagehide');
		await meets(ann, 0);
		await meets(bob, 0);
		assert.equal(await bob.evaluate(() => live().length), 0);
		await happens(bob, 'pageshow');
		await Promise.all([sees(ann, 1), sees(bob, 1)]);
		await reads(ann, /^Bob$/);
		await reads(bob, /^Ann$/);
	});

	test('is over for a page that closes or follows another link', async t => {
		const { pages: [ann, bob] } = await call(t, servers.plain);
		await bob.evaluate(() => location.hash = 'elsewhere');
		await atTheDoor(bob);
		await meets(ann, 0);
		assert(await bob.evaluate(() => seen.tracks.every(({ readyState }) => readyState === 'ended')), 'the camera is off');
		assert.equal(await bob.locator('#room').inputValue(), 'elsewhere');
	});

	test('a peer without a way says so, in one sentence that stays', async t => {
		const page = await enter(t, servers.plain, { name: 'Ann' });
		await alone(page);
		await page.evaluate(() => {
			window.texts = new Set();
			new MutationObserver(() => texts.add(document.getElementById('notice').textContent))
				.observe(document.getElementById('notice'), { childList: true, subtree: true, characterData: true });
		});
		const room = roomOf(t), other = await open(servers.plain);
		other.join('x', room);
		await reads(page, /^x · connecting$/);
		const DIRECT = 'No way to this peer. The operator needs a TURN server (IceServers).';
		await says(page, DIRECT, 60_000);
		await reads(page, /^x · no connection$/);
		const before = await page.evaluate(() => seen.connections.length);
		await until(page, 'two more attempts', count => seen.connections.length >= count + 2, before, 90_000);
		assert.deepEqual(await page.evaluate(() => [...texts]), [DIRECT]);
		await other.close();
		await meets(page, 0);
		await isBack(page);
	}, 180_000);

	test('names of any length cover no control', async t => {
		const page = await visit(t, servers.plain);
		const packets = packetsOf(page, 'connect');
		await join(page);
		await alone(page);
		const room = roomOf(t), other = await open(servers.plain);
		other.join('x', room);
		await meets(page, 1);
		other.send(packet('broadcast', 'x', room, { To: packets[0].Header.UserId, Name: 'W'.repeat(30_000) }));
		await makesSay(page, 'WWW', () => other.close());
		for (const name of ['Leave', 'Mute', 'Invite'])
			assert(await page.getByRole('button', { name, exact: true }).evaluate(button => {
				const { x, y, width, height } = button.getBoundingClientRect();
				return button.contains(document.elementFromPoint(x + width / 2, y + height / 2));
			}), `${name} can be reached`);
	});

	test('its text goes away', async t => {
		const { pages: [ann, bob] } = await call(t, servers.plain);
		await makesSay(ann, 'Bob has left.', () => press(bob, 'Leave'));
		await until(ann, 'the text has gone', () => !/left/.test(document.getElementById('status').textContent));
		await alone(ann);
		const carol = await enter(t, servers.plain);
		await sees(ann, 1);
		await isQuiet(ann);
		await isQuiet(carol);
	});
});
