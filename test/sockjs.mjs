/*
 * SockJS over raw sockets: single requests and their responses, receivers that check each chunk, and
 * sessions over each transport, with the methods of the clients of client.mjs.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { WebSocket } from 'ws';
import { Inbox, Raw, dialing, joined, open, packet, request, url } from './client.mjs';
import { built, serve } from './server.mjs';

export const GO_AWAY = 'c[3000,"Go away!"]';
export const SECOND = 'c[2010,"Another connection still open"]';
export const AT_ONCE = 4000; /* milliseconds that an event takes at most without a timer, whose shortest is 5 s */
export const DELAY = 5000; /* milliseconds that a session lives without a receiver */
export const CALLBACK = '_jp.abc123';

/* The echo service, with a response limit of 4096 bytes; `heartbeat` is in seconds. */
export const serveEcho = (t, heartbeat) => serve(t, {
	binary: built('ECHO', 'build/san/echo'),
	conf: null,
	args: ['0', ...heartbeat === undefined ? [] : [String(heartbeat)]],
});

/* Another service of the same server. */
export const under = (server, prefix) => Object.assign(Object.create(server), { prefix });

/* Tests that run concurrently start many servers in one process. */
process.setMaxListeners(0);

let sessions = 0;

/* The path of an unused session, below the prefix. */
export const fresh = () => `/000/session_${++sessions}`;

/* A string as SockJS quotes it: JSON, with certain code units escaped, among them all surrogates. */
export const quote = text => JSON.stringify(text).replace(
	/[\u200c-\u200f\u2028-\u202f\u2060-\u206f\ufff0-\uffff\ud800-\udfff]/g,
	unit => `\\u${unit.charCodeAt(0).toString(16)}`);

/* The frame of these messages. */
export const batch = (...messages) => `a[${messages.map(quote).join(',')}]`;

/*
 * Requests and responses
 */

/* A request with its body, if it has one. */
export function message(target, { method = 'GET', body, ...headers } = {}) {
	const length = body === undefined ? {} : { 'Content-Length': String(Buffer.byteLength(body)) };
	const head = request(target, { method, ...length, ...headers });
	return Buffer.concat([Buffer.from(head, 'latin1'), Buffer.from(body ?? '')]);
}

/* Reads the head of a response, in which each field occurs once. */
export async function head(raw) {
	const [first, ...lines] = (await raw.through('\r\n\r\n')).slice(0, -4).split('\r\n');
	const [, status] = /^HTTP\/1\.1 (\d{3}) \S/.exec(first) ?? assert.fail(first);
	const headers = {};
	for (const line of lines) {
		const [, name, value] = /^([\w-]+): ?(.*)$/.exec(line) ?? assert.fail(line);
		assert(!(name.toLowerCase() in headers), `${name} comes twice`);
		headers[name.toLowerCase()] = value;
	}
	return { status: Number(status), headers };
}

/* Reads the next chunk; the last one is empty. */
export async function chunk(raw) {
	const line = await raw.through('\r\n');
	assert.match(line, /^[0-9A-Fa-f]+\r\n$/);
	const data = await raw.read(parseInt(line, 16));
	assert.equal((await raw.read(2)).toString(), '\r\n', 'the end of a chunk');
	return data.toString();
}

/* Reads until the server closes. */
async function remainder(raw) {
	const bytes = [];
	for (let byte; (byte = await raw.read(1).catch(() => undefined)); )
		bytes.push(byte);
	await raw.ended();
	return Buffer.concat(bytes).toString();
}

/* Reads the body of a response, whose end must be defined. */
async function content(raw, { status, headers }, method) {
	if (method === 'HEAD' || [100, 101, 204, 304].includes(status))
		return '';
	if ('transfer-encoding' in headers) {
		assert.equal(headers['transfer-encoding'], 'chunked');
		assert(!('content-length' in headers));
		let body = '';
		for (let data; (data = await chunk(raw)) !== ''; )
			body += data;
		return body;
	}
	if ('content-length' in headers)
		return (await raw.read(Number(headers['content-length']))).toString();
	assert.equal(headers.connection, 'close', 'the end of the body can be known');
	return remainder(raw);
}

export async function answer(raw, method = 'GET') {
	const start = await head(raw);
	return { ...start, body: await content(raw, start, method) };
}

/* Sends a request on this connection, and reads the response. */
export async function exchange(raw, target, options = {}) {
	raw.write(message(target, options));
	return answer(raw, options.method);
}

export const post = (raw, target, body, headers) =>
	exchange(raw, target, { method: 'POST', body, ...headers });

/* The same on a new connection. */
export async function ask(server, target, options) {
	const raw = await Raw.connect(server);
	try {
		return await exchange(raw, target, options);
	} finally {
		raw.destroy();
		server.clients.delete(raw);
	}
}

/* Sends messages to a session, which must accept them. */
export async function send(server, session, ...messages) {
	const { status, body } = await ask(server, `${server.prefix}${session}/xhr_send`,
		{ method: 'POST', body: JSON.stringify(messages) });
	assert.deepEqual({ status, body }, { status: 204, body: '' });
}

/* True if the session exists.  Changes nothing. */
export async function exists(server, session) {
	const { status } = await ask(server, `${server.prefix}${session}/xhr_send`,
		{ method: 'POST', body: '[]' });
	assert([204, 404].includes(status), status);
	return status === 204;
}

/* A request for each kind of response: the path below the prefix, with S for a session's path. */
export const requests = {
	greeting: ['', {}],
	'404': ['/nowhere', {}],
	iframe: ['/iframe.html', {}],
	info: ['/info', {}],
	'OPTIONS of info': ['/info', { method: 'OPTIONS' }],
	xhr: ['S/xhr', { method: 'POST' }],
	xhr_send: ['S/xhr_send', { method: 'POST', body: '["x"]' }],
	'xhr_send of nothing': ['S/xhr_send', { method: 'POST' }],
	'xhr_send of no JSON': ['S/xhr_send', { method: 'POST', body: '["x' }],
	'xhr_send to nobody': ['/0/nobody/xhr_send', { method: 'POST', body: '["x"]' }],
	xhr_streaming: ['S/xhr_streaming', { method: 'POST' }],
	'OPTIONS of xhr': ['S/xhr', { method: 'OPTIONS' }],
	'OPTIONS of xhr_send': ['S/xhr_send', { method: 'OPTIONS' }],
	'OPTIONS of xhr_streaming': ['S/xhr_streaming', { method: 'OPTIONS' }],
	eventsource: ['S/eventsource', {}],
	htmlfile: ['S/htmlfile?c=cb', {}],
	'htmlfile without a callback': ['S/htmlfile', {}],
	jsonp: ['S/jsonp?c=cb', {}],
	'jsonp without a callback': ['S/jsonp', {}],
	jsonp_send: ['S/jsonp_send', { method: 'POST', body: '["x"]' }],
	'jsonp_send of nothing': ['S/jsonp_send', { method: 'POST' }],
	'jsonp_send to nobody': ['/0/nobody/jsonp_send', { method: 'POST', body: '["x"]' }],
};

/* A target with a query, or with more parameters in its query. */
export const withQuery = (target, query) =>
	query === '' ? target : `${target}${target.includes('?') ? '&' : '?'}${query}`;

/*
 * Receivers
 */

const HTMLFILE = `<!doctype html>
<html><head>
  <meta http-equiv="X-UA-Compatible" content="IE=edge" />
  <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
</head><body><h2>Don't panic!</h2>
  <script>
    document.domain = document.domain;
    var c = parent.${CALLBACK};
    c.start();
    function p(d) {c.message(d);};
    window.onload = function() {c.stop();};
  </script>`;

const script = 'application/javascript; charset=UTF-8';

/* How each transport receives: the request, the beginning of a stream, and the wrapping of a frame. */
export const receivers = {
	xhr: { method: 'POST', path: '/xhr', type: script, wrap: frame => `${frame}\n` },
	jsonp: {
		method: 'GET',
		path: `/jsonp?c=${CALLBACK}`,
		type: script,
		wrap: frame => `/**/${CALLBACK}(${JSON.stringify(frame)});\r\n`,
	},
	xhr_streaming: {
		method: 'POST',
		path: '/xhr_streaming',
		type: script,
		begins: text => assert.equal(text, `${'h'.repeat(2048)}\n`),
		wrap: frame => `${frame}\n`,
	},
	eventsource: {
		method: 'GET',
		path: '/eventsource',
		type: 'text/event-stream',
		begins: text => assert.equal(text, '\r\n'),
		wrap: frame => `data: ${frame.replaceAll('%', '%25')}\r\n\r\n`,
	},
	htmlfile: {
		method: 'GET',
		path: `/htmlfile?c=${CALLBACK}`,
		type: 'text/html; charset=UTF-8',
		begins(text) {
			assert.equal(text.trimEnd(), HTMLFILE);
			assert(text.length > 1024, 'the page is padded');
		},
		wrap: frame =>
			`<script>\np(${JSON.stringify(frame).replaceAll('<', '\\u003c')});\n</script>\r\n`,
	},
};
export const kinds = Object.keys(receivers);
export const streams = kinds.filter(kind => 'begins' in receivers[kind]);
export const polls = kinds.filter(kind => !streams.includes(kind));

/* Takes off what a transport wraps around a frame. */
function unwrap(kind, text) {
	const quoted = /\((".*")\);\r?\n/;
	switch (kind) {
	case 'xhr':
	case 'xhr_streaming': return text.slice(0, -1);
	case 'eventsource': return text.slice(6, -4).replaceAll('%25', '%');
	default: return JSON.parse((quoted.exec(text) ?? assert.fail(text))[1]);
	}
}

/* A request that receives frames. */
export class Receiver {
	#ends; /* true after the frame of a poll, or the last chunk of a stream */

	/* Returns when the server has read the request. */
	static async attach(server, session, kind, { raw, prefix = server.prefix, query = '', ...headers } = {}) {
		const receiver = new Receiver(raw ?? await Raw.connect(server), kind);
		const { method, path } = receivers[kind];
		const text = message(withQuery(`${prefix}${session}${path}`, query), { method, ...headers });
		if (receiver.streams) {
			receiver.raw.write(text);
			await receiver.#begin();
		} else {
			/* A poll has no response until it ends, so a request before it shows that it was read. */
			receiver.raw.write(Buffer.concat([message('/nowhere'), text]));
			assert.equal((await answer(receiver.raw)).status, 404);
		}
		return receiver;
	}

	constructor(raw, kind) {
		Object.assign(this, { raw, kind, streams: streams.includes(kind) });
	}

	#judge({ status, headers }) {
		assert.equal(status, 200);
		assert.equal(headers['content-type'], receivers[this.kind].type);
	}

	async #begin() {
		const start = await head(this.raw);
		this.#judge(start);
		assert.equal(start.headers['transfer-encoding'], 'chunked');
		assert(!('content-length' in start.headers));
		this.headers = start.headers;
		receivers[this.kind].begins(await chunk(this.raw));
	}

	/* The next frame, alone in its chunk or body; undefined at the end of a stream. */
	async frame() {
		assert(!this.#ends, 'a frame is expected of an answer that has ended');
		let text;
		if (this.streams) {
			text = await chunk(this.raw);
		} else {
			const whole = await answer(this.raw);
			this.#judge(whole);
			text = whole.body;
			this.headers = whole.headers;
		}
		this.#ends = !this.streams || text === '';
		if (text === '')
			return assert(this.streams, 'a poll without a frame');
		const frame = unwrap(this.kind, text);
		assert.equal(text, receivers[this.kind].wrap(frame));
		return frame;
	}

	/* The next frames are exactly these. */
	async gets(...frames) {
		for (const frame of frames)
			assert.equal(await this.frame(), frame);
	}

	/* The response must be complete. */
	async ends() {
		if (this.streams)
			assert.equal(await this.frame(), undefined);
		assert(this.#ends, 'the answer goes on');
	}

	/* The next receiver, on the same connection. */
	again(server, session, kind = this.kind) {
		return Receiver.attach(server, session, kind, { raw: this.raw });
	}

	destroy() {
		this.raw.destroy();
	}
}

/* The ways in which a client can close its connection. */
export const cuts = {
	'a FIN': raw => raw.destroy(),
	'a reset': raw => raw.reset(),
	'a half-close': async raw => {
		raw.end();
		await once(raw.socket, 'finish');
	},
};

/* Receives the first frame of one request. */
export async function take(server, session, kind = 'xhr') {
	const receiver = await Receiver.attach(server, session, kind);
	const frame = await receiver.frame();
	if (!receiver.streams)
		receiver.destroy();
	return { frame, receiver };
}

/* Opens a session by a poll, which ends and leaves the session without a receiver. */
export async function begin(server, session = fresh()) {
	const { frame } = await take(server, session);
	assert.equal(frame, 'o');
	return session;
}

/*
 * Sessions
 */

class Session extends Inbox {
	#isOpen = false;
	heartbeats = 0;

	constructor(server) {
		super();
		this.server = server;
		this.path = fresh();
		server.clients.add(this);
	}

	opened() {
		return this.until('opening', () => this.#isOpen);
	}

	take(frame) {
		switch (frame[0]) {
		case 'o':
			assert(!this.#isOpen, 'opened twice');
			this.#isOpen = true;
			break;
		case 'h': this.heartbeats++; break;
		case 'a': return this.receive(...JSON.parse(frame.slice(1)));
		default: {
			const [code, reason] = JSON.parse(frame.slice(1));
			return this.finish({ code, reason });
		}
		}
		this.changed();
	}

	send(message) {
		this.transmit(typeof message === 'string' ? message : JSON.stringify(message));
	}

	async beat() {
		const before = this.heartbeats;
		await this.until('heartbeat', () => this.heartbeats > before);
	}
}

class HttpSession extends Session {
	#kind;
	#query; /* of each receiver, as sockjs-client has it */
	#attaching;
	#receiving;
	#sending;
	#outbox = [];
	#busy = false;
	#left = false;

	constructor(server, kind, query) {
		super(server);
		this.#kind = kind;
		this.#query = query;
		this.#fetch().catch(error => this.finish({ code: 1006, reason: error.message }));
	}

	async #fetch() {
		while (!this.isOver && !this.#left) {
			this.#attaching = Receiver.attach(this.server, this.path, this.#kind,
				{ raw: this.#receiving, query: this.#query });
			const receiver = await this.#attaching;
			this.#receiving = receiver.raw;
			do {
				const frame = await receiver.frame();
				if (frame === undefined)
					break;
				this.take(frame);
			} while (receiver.streams);
		}
	}

	/* Sends one request at a time with all queued messages, as sockjs-client does. */
	async #transmit() {
		if (this.#sending?.socket.readableEnded ?? true)
			this.#sending = await Raw.connect(this.server);
		while (this.#outbox.length > 0) {
			const text = JSON.stringify(this.#outbox.splice(0));
			const [target, body, headers, status] = this.#kind === 'jsonp'
				? ['jsonp_send', `d=${encodeURIComponent(text)}`,
					{ 'Content-Type': 'application/x-www-form-urlencoded' }, 200]
				: ['xhr_send', text, { 'Content-Type': 'text/plain' }, 204];
			const got = await post(this.#sending,
				`${this.server.prefix}${this.path}/${target}`, body, headers);
			assert.equal(got.status, status, got.body);
		}
	}

	transmit(text) {
		this.#outbox.push(text);
		if (this.#busy)
			return;
		this.#busy = true;
		this.#transmit()
			.catch(error => this.finish({ code: 1006, reason: error.message }))
			.finally(() => this.#busy = false);
	}

	/* Waits until the server has read the present receive request. */
	async attached() {
		await this.#attaching;
	}

	/* Sends no further poll after the present one. */
	leave() {
		this.#left = true;
	}

	close() {
		this.destroy();
	}

	destroy() {
		this.#receiving?.destroy();
		this.#sending?.destroy();
	}

	reset() {
		this.#receiving?.reset();
	}

	/* Stops reading. */
	pause() {
		this.#receiving.socket.pause();
	}
}

class SocketSession extends Session {
	constructor(server, query) {
		super(server);
		this.socket = new WebSocket(
			url(server, withQuery(`${server.prefix}${this.path}/websocket`, query)), dialing(server));
		this.socket.on('message', data => this.take(data.toString()));
		this.socket.on('close', (code, reason) => this.finish({ code, reason: reason.toString() }));
		this.socket.on('error', () => {});
	}

	async attached() {}

	transmit(text) {
		this.socket.send(JSON.stringify([text]));
	}

	close() {
		this.socket.close();
	}

	destroy() {
		this.socket.terminate();
	}

	reset() {
		this.socket._socket.tcp.resetAndDestroy();
	}

	pause() {
		this.socket.pause();
	}
}

/* All transports of a peer; plain is a WebSocket without SockJS. */
export const transports = [...kinds, 'websocket', 'plain'];

/* Opens a session.  `query`: of its URL. */
export async function visit(server, kind, query = '') {
	if (kind === 'plain')
		return open(server, { path: withQuery(`${server.prefix}/websocket`, query) });
	const session = kind === 'websocket'
		? new SocketSession(server, query) : new HttpSession(server, kind, query);
	await session.opened();
	return session;
}

/*
 * The signaller
 */

/* Opens peers, pairs of user and transport, and joins the room.  What they receive is read. */
export async function meet(server, room, ...pairs) {
	const peers = [];
	for (const [user, kind] of pairs) {
		const peer = await visit(server, kind);
		peers.push(peer);
		peer.join(user, room);
		for (const each of peers)
			await each.gets(joined(user, room, peers.length === 1));
	}
	return peers;
}

/* A session in a room.  The poll that received the join has ended, so it has no receiver. */
export async function join(server, room, user, witness) {
	const session = await begin(server);
	await send(server, session, packet('connect', user, room, '{}'));
	const text = joined(user, room, witness === undefined);
	assert.equal((await take(server, session)).frame, batch(text));
	await witness?.gets(text);
	return session;
}
