/* One server behind HAProxy and nginx, with the configurations of proxy/, over every transport. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import path from 'node:path';
import { describe } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import {
	OPCODE, Raw, broadcast, deliver, forwarded, frame, handshake, joined, left, open, packet,
} from './client.mjs';
import { haproxy, nginx, transports, visit } from './proxy.mjs';
import { bounded, fileHas, freePort, lessThan, serve, start, test, until } from './server.mjs';
import { ask, exchange, fresh, message } from './sockjs.mjs';

const SOON = 3000; /* milliseconds: less than a SockJS session lives without a receiver */
const proxies = { 'haproxy.cfg': haproxy, 'nginx.conf': nginx };
const trusting = { TrustedProxies: ['127.0.0.1'], Log: 'log', LogLevel: 'debug' };

/* A server, and a client's view of the proxy before it. */
async function behind(t, name, { conf, changes = [], ...options } = {}) {
	let proxy;
	t.after(() => proxy?.stop()); /* first, even if the server does not end well */
	const server = await serve(t, { conf: { ...trusting, ...conf }, ...options });
	proxy = await proxies[name](t, name, [['127.0.0.1:1111', `127.0.0.1:${server.port}`], ...changes]);
	return { server, proxy };
}

/* The next sign of life from the server. */
const beat = (peer, transport) => transport === 'jsonp' ? peer.beat()
	: bounded(once(peer.socket, transport === 'plain' ? 'ping' : 'heartbeat'), 'a heartbeat');

/* Two in a room by the same transport. */
async function call(proxy, transport, room) {
	const caller = await visit(proxy, transport);
	caller.join('caller', room);
	await caller.gets(joined('caller', room, true));
	const callee = await visit(proxy, transport);
	callee.join('callee', room);
	await Promise.all([caller, callee].map(each => each.gets(joined('callee', room, false))));
	return { caller, callee };
}

/* Every session's client has a request or a socket there. */
const attached = (server, sessions) => until(`${sessions} sessions on connections`, () => server.counters(),
	counters => counters.sessions === sessions && counters.transport_connections === sessions);

/* A connection of HTTP/2, as browsers come to have it. */
async function browse(proxy) {
	const browser = http2.connect(`https://127.0.0.1:${proxy.port}`, { ca: proxy.tls.ca });
	proxy.clients.add(browser);
	await bounded(once(browser, 'connect'), 'a connection');
	assert.equal(browser.alpnProtocol, 'h2');
	return browser;
}

/* Addresses that clients have for a server that trusts 127.0.0.1, from which they connect. */
const ATTACKER = '203.0.113.1', OTHER = '203.0.113.2';
/*
 * Begins `count` requests whose bodies stay incomplete after `sent` bytes.  Each has the status
 * of its response in `status`, and `end` sends the rest of its body.
 */
const incomplete = {
	async 'HTTP/1.1'(proxy, count, sent) {
		const open = async () => {
			const raw = await Raw.connect(proxy);
			const whole = message(`/echo${fresh()}/xhr_send`,
				{ method: 'POST', body: `["${'x'.repeat(sent)}"]`, ...forwarded(ATTACKER) });
			raw.write(whole.subarray(0, -3));
			return { status: raw.status(), end: () => raw.write(whole.subarray(-3)) };
		};
		return Promise.all(Array.from({ length: count }, open));
	},
	async 'HTTP/2'(proxy, count, sent) {
		const CONNECTIONS = 3;
		const browsers = await Promise.all(Array.from({ length: CONNECTIONS }, () => browse(proxy)));
		return Array.from({ length: count }, (_, i) => {
			const stream = browsers[i % CONNECTIONS].request({ ':method': 'POST',
				':path': `/echo${fresh()}/xhr_send`, 'content-length': sent + 4, ...forwarded(ATTACKER) });
			stream.on('error', () => {}); /* the proxy may reset it */
			stream.write(`["${'x'.repeat(sent - 1)}`);
			return {
				status: once(stream, 'response').then(([headers]) => headers[':status']),
				end: () => stream.end('x"]'),
			};
		});
	},
};

/* Two clients of another address join a room and exchange messages. */
async function talk(proxy, room) {
	const options = { headers: forwarded(OTHER) };
	const caller = await open(proxy, options);
	caller.join('caller', room);
	await caller.gets(joined('caller', room, true));
	const callee = await open(proxy, options);
	callee.join('callee', room);
	await Promise.all([caller, callee].map(each => each.gets(joined('callee', room, false))));
	await deliver(caller, callee, broadcast('caller', room, 'hello'));
	await deliver(callee, caller, broadcast('callee', room, 'hello'));
}

const INCOMPLETE = 280; /* more than MaxConnections */

for (const [version, make] of Object.entries(incomplete)) {
	const begin = async (proxy, sent) => {
		const requests = await make(proxy, INCOMPLETE, sent);
		for (const { status } of requests)
			status.catch(() => {}); /* some stay without a response */
		return requests;
	};
	for (const name of Object.keys(proxies))
		test(`${name}: incomplete bodies over ${version} take no connection of the server`, async t => {
			const { server, proxy } = await behind(t, name);
			const requests = await begin(proxy, 1);
			await talk(proxy, 'r');
			assert.equal((await server.counters()).http_requests, 2, 'those of the call');
			requests[0].end();
			assert.equal(await bounded(requests[0].status, 'a response'), 404, 'there is no such session');
			if (name === 'haproxy.cfg')
				for (const { status } of requests.slice(1))
					assert.equal(await bounded(status, 'the timeout'), 408);
			await talk(proxy, 's');
		});

	/* HAProxy forwards a body that is longer than its buffer as it comes; nginx never does. */
	test(`haproxy.cfg: long incomplete bodies over ${version} take no more than MaxPerAddress`, async t => {
		const { server, proxy } = await behind(t, 'haproxy.cfg', { conf: { MaxPerAddress: 64 } });
		const requests = await begin(proxy, 20_000);
		const statuses = [];
		for (const { status } of requests)
			status.then(got => statuses.push(got), () => {});
		await until('the rest is refused', () => server.counters(), counters =>
			counters.connections === 64 && counters.connections_refused >= INCOMPLETE - 64);
		await talk(proxy, 'r');
		assert(statuses.includes(503));
		assert(statuses.every(status => [502, 503].includes(status)), `${statuses}`);
	});
}

/* Health checks as other configurations of HAProxy have them, the first one by default. */
for (const check of ['option httpchk', 'option httpchk OPTIONS /',
	'option httpchk\n\thttp-check send meth OPTIONS uri / ver HTTP/1.1 hdr Host localhost'])
	test(`haproxy.cfg with "${check.replace('\n\t', '; ')}" has the server up`, async t => {
		const { server, proxy } = await behind(t, 'haproxy.cfg', { changes: [
			['\tserver videre ', `\t${check}\n\tdefault-server check inter 100\n\tserver videre `],
		] });
		const { headers } = await exchange(await Raw.connect(server), '/', { method: 'POST' });
		assert.match(headers.allow, /\bOPTIONS\b/);
		await until('the server is up', () => proxy.command('show stat videre 4 -1'), text => /,UP,.*,L7OK,/.test(text));
	});

for (const name of Object.keys(proxies)) {
	describe(name, { concurrency: 6 }, () => {
		test('carries calls over every transport, and a peer that leaves is reported immediately', async t => {
			const { server, proxy } = await behind(t, name);
			for (const transport of transports) {
				const { caller, callee } = await call(proxy, transport, transport);
				for (const length of [100, 10_000, 60_000])
					await deliver(caller, callee, broadcast('caller', transport, 'x'.repeat(length)));
				await deliver(callee, caller, broadcast('callee', transport, 'é \u2028 %41'));
				for (let i = 0; i < 20; i++)
					caller.send(broadcast('caller', transport, i));
				for (let i = 0; i < 20; i++)
					await callee.gets(broadcast('caller', transport, i));
				await attached(server, 2);
				caller.destroy();
				await bounded(callee.gets(left('caller', transport)), `word of ${transport}`, SOON);
				await attached(server, 1);
				callee.destroy();
				await bounded(attached(server, 0), `the end of ${transport}`, SOON);
			}
		});

		test('keeps silent peers while heartbeats arrive', async t => {
			/* The recipe's times for a heartbeat of 1 second, which may come a second later, instead of 25. */
			const unused = name === 'nginx.conf' ? 'keepalive_timeout' : 'http-keep-alive';
			const changes = [[' 40s', ' 6s'], [`${unused} 30s`, `${unused} 1500ms`]];
			const { proxy } = await behind(t, name, { conf: { Heartbeat: 1 }, changes });
			await Promise.all(transports.map(async transport => {
				const { caller, callee } = await call(proxy, transport, transport);
				for (let beats = 0; beats < 4; beats++)
					await beat(callee, transport);
				await deliver(caller, callee, broadcast('caller', transport, 'still here'));
				await deliver(callee, caller, broadcast('callee', transport, 'so am I'));
			}));
		});

		test('names the client, whatever the client claims', async t => {
			const A = '203.0.113.1';
			const { server, proxy } = await behind(t, name, { conf: { MaxPerAddress: 2 } });
			const shake = async (localAddress, hops) => {
				const raw = await Raw.connect(proxy, { localAddress });
				raw.write(handshake(undefined, { 'X-Forwarded-For': hops }));
				return raw.status();
			};
			/* From a proxy before this one, which is trusted as well. */
			for (const status of [101, 101, 503])
				assert.equal(await shake('127.0.0.1', A), status);
			/* From others. */
			for (const hops of [undefined, A, `${A}, 127.0.0.1`, [A, '127.0.0.1']])
				assert.equal(await shake('127.0.0.2', hops), 101, `${hops}`);
			await ask(proxy, '/echo/health', { 'X-Forwarded-For': A });
			const log = await fileHas(path.join(server.dir, 'log'), / requests \/echo\/health/);
			const who = [...log.matchAll(/ ([\d.]+):\d+ requests \/echo\/websocket/g)].map(([, address]) => address);
			assert.deepEqual(who, [A, A, A, ...Array(4).fill('127.0.0.2')]);
		});

		test('a server that does not respond for 4 s keeps its calls', async t => {
			const { server, proxy } = await behind(t, name);
			const calls = await Promise.all(transports.map(transport => call(proxy, transport, transport)));
			server.signal('SIGSTOP');
			await setTimeout(4000);
			for (const [i, { caller }] of calls.entries())
				caller.send(broadcast('caller', transports[i], 'hello'));
			await setTimeout(500); /* for the proxy to refuse them, if it does */
			server.signal('SIGCONT');
			for (const [i, { callee }] of calls.entries())
				await callee.gets(broadcast('caller', transports[i], 'hello'));
		});

		test('streams each message without delay, without TLS too', async t => {
			const plain = await freePort();
			const changes = name === 'nginx.conf' ? [['ssl http2;', `ssl http2;\n\tlisten 127.0.0.1:${plain};`]]
				: [['alpn h2,http/1.1', `alpn h2,http/1.1\n\tbind 127.0.0.1:${plain}`]];
			const { server, proxy } = await behind(t, name, { changes });
			for (const front of [proxy, Object.assign(Object.create(proxy), { port: plain, tls: undefined })])
				for (const kind of ['xhr-streaming', 'eventsource', 'plain']) {
					const room = `${kind} ${front.port}`;
					const sender = await open(server), receiver = await visit(front, kind);
					receiver.join('receiver', room);
					await receiver.gets(joined('receiver', room, true));
					sender.join('sender', room);
					await receiver.gets(joined('sender', room, false));
					const median = await lessThan(100, async () => {
						const times = [];
						for (let i = 0; i < 9; i++) {
							const begin = performance.now();
							await deliver(sender, receiver, broadcast('sender', room, i));
							times.push(performance.now() - begin);
						}
						return times.sort((a, b) => a - b)[4];
					});
					t.diagnostic(`${front.tls ? 'TLS' : 'TCP'}, ${kind}: ${median.toFixed(1)} ms`);
				}
		});

		test('shows the page, but neither how the server is nor what else is there', async t => {
			const { proxy } = await behind(t, name);
			for (const target of ['/health', '/metrics', '/echo/health', '/echo/../health', '/x'])
				assert.equal((await ask(proxy, target)).status, 404, target);
			assert.equal((await ask(proxy, '/echo')).body, 'Welcome to SockJS!\n');
			for (const target of ['/ice', '/ice?token=x'])
				assert.equal((await ask(proxy, target)).body, '{"iceServers":[],"ttl":86400}');
			for (const target of ['/ice/', '/ice/x', '/icex', '/echo/ice'])
				assert.equal((await ask(proxy, target)).status, 404, target);
			for (const target of ['/', '/videre.js']) {
				const { status, headers } = await ask(proxy, target);
				assert.deepEqual([status, headers.link], [200, '<./echo/websocket>; rel="service"'], target);
			}
		});

		test('streams over HTTP/2, and tells at once that a stream is reset', async t => {
			const { server, proxy } = await behind(t, name);
			const browser = await browse(proxy);
			const session = `/echo${fresh()}`, room = 'h2';
			const stream = browser.request({ ':path': `${session}/eventsource` });
			stream.setEncoding('utf8');
			let text = '';
			stream.on('data', data => text += data);
			const shows = what => until(what, () => text, () => text.includes(what));
			await shows('data: o');
			const watcher = await open(proxy);
			watcher.join('watcher', room);
			await watcher.gets(joined('watcher', room, true));
			const sending = browser.request({ ':method': 'POST', ':path': `${session}/xhr_send` });
			sending.end(JSON.stringify([packet('connect', 'h2', room, '{}')]));
			const [headers] = await bounded(once(sending, 'response'), 'an answer');
			assert.equal(headers[':status'], 204);
			await watcher.gets(joined('h2', room, false));
			watcher.send(broadcast('watcher', room, 'soon'));
			await shows('soon');
			stream.close(http2.constants.NGHTTP2_CANCEL);
			await bounded(watcher.gets(left('h2', room)), 'word of the stream', SOON);
			await attached(server, 1);
		});

		test('carries a WebSocket over HTTP/2 if it says that it can', async t => {
			const { server, proxy } = await behind(t, name);
			const browser = await browse(proxy);
			const greeting = browser.request({ ':path': '/echo' });
			assert.equal((await bounded(once(greeting, 'response'), 'an answer'))[0][':status'], 200);
			/* Of one that does not, browsers ask for it over HTTP/1.1. */
			const can = browser.remoteSettings.enableConnectProtocol ?? false;
			assert.equal(can, name === 'haproxy.cfg');
			if (!can)
				return;
			const stream = browser.request({ ':method': 'CONNECT', ':protocol': 'websocket',
				':path': '/echo/websocket', 'sec-websocket-version': '13' });
			assert.equal((await bounded(once(stream, 'response'), 'an answer'))[0][':status'], 200);
			stream.setEncoding('utf8');
			let text = '';
			stream.on('data', data => text += data);
			stream.write(frame(OPCODE.text, packet('connect', 'h2', 'r', '{}')));
			await until('joined', () => text, () => text.includes(joined('h2', 'r', true)));
			stream.close(http2.constants.NGHTTP2_CANCEL);
			await bounded(attached(server, 0), 'its end', SOON);
		});

		test('answers while the server is away, and finds it again', async t => {
			const conf = { ...trusting, Port: await freePort() };
			const first = await start({ conf });
			const proxy = await proxies[name](t, name, [['127.0.0.1:1111', `127.0.0.1:${conf.Port}`]]);
			try {
				const peers = await Promise.all(transports.map(transport => visit(proxy, transport)));
				await first.stop();
				for (const peer of peers)
					await peer.closed();
			} finally {
				await first.stop();
			}
			const { status } = await ask(proxy, '/echo');
			assert([502, 503].includes(status), status);
			await serve(t, { conf });
			await until('the server is back', () => ask(proxy, '/echo'), answer => answer.status === 200);
			for (const transport of transports)
				await call(proxy, transport, transport);
		});
	});
}
