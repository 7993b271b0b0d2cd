/*
 * Clients: `open` makes WebSockets of the npm package ws; `Raw` is a connection that sends and reads
 * single bytes.
 */
import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';
import { WebSocket } from 'ws';
import { bounded } from './server.mjs';

/* Packets, byte for byte as the server writes them. */
export const packet = (event, user, room, payload) =>
	JSON.stringify({ Header: { Event: event, UserId: user, RoomId: room }, Payload: payload });
export const joined = (user, room, initiator) => packet('connect', user, room, String(initiator));
export const broadcast = (user, room, payload) => packet('broadcast', user, room, payload);
/* A packet with a To. */
export const addressed = (event, user, room, to, payload = 'x') => JSON.stringify({
	Header: { Event: event, UserId: user, RoomId: room, To: to }, Payload: payload,
});
export const ping = (user, room) => packet('ping', user, room, '{}');
export const quit = (user, room) => packet('disconnect', user, room, '{"bye":1}');
export const left = (user, room) => packet('disconnect', user, room, '{}');
export const members = (user, room, ...users) =>
	packet('ping', user, room, JSON.stringify(users));
export const refused = (reason, user = '', room = '') => packet('error', user, room, reason);

let rounds = 0;

/* A stream to the server.  Its `tcp` is the TCP socket: below TLS, or the stream itself. */
export function dial({ host, port, tls: pair }, options = {}) {
	const tcp = net.connect({ host: host.replace(/[[\]]/g, ''), port, noDelay: true, ...options });
	if (pair === undefined)
		return Object.assign(tcp, { tcp });
	const socket = tls.connect({ socket: tcp, ca: pair.ca });
	tcp.on('error', error => socket.destroy(error));
	return Object.assign(socket, { tcp });
}

/* The URL of a path of the server, and the options of ws for it. */
export const url = ({ host, port, tls: pair }, path, scheme = 'ws') =>
	`${scheme}${pair ? 's' : ''}://${host}:${port}${path}`;
export const dialing = server => ({
	perMessageDeflate: false,
	createConnection: () => dial(server),
});

/*
 * What a client has received and no test has read yet.  A subclass calls `receive` and `finish`, and has
 * `send`.
 */
export class Inbox {
	#messages = [];
	#events = new EventEmitter();
	#end; /* code and reason */

	/* How it ended, when it has. */
	ended = new Promise(resolve => this.#events.once('end', resolve));

	get isOver() {
		return this.#end !== undefined;
	}

	receive(...messages) {
		this.#messages.push(...messages);
		this.changed();
	}

	/* What `until` waits for may have come. */
	changed() {
		this.#events.emit('change');
	}

	/* The first end counts. */
	finish(end) {
		if (this.isOver)
			return;
		this.#end = end;
		this.#events.emit('end', end);
		this.changed();
	}

	/* Waits for `poll` to return something other than undefined or false, and returns that. */
	async until(what, poll) {
		const wait = async () => {
			for (;;) {
				const found = poll() ?? false;
				if (found !== false)
					return found;
				assert(!this.isOver, `closed before the ${what}: ${this.#end?.code} ${this.#end?.reason}`);
				await once(this.#events, 'change');
			}
		};
		return bounded(wait(), what);
	}

	join(user, room) {
		this.send(packet('connect', user, room, '{}'));
	}

	/* The next message. */
	next() {
		return this.until('message', () => this.#messages.shift());
	}

	/* The next messages are exactly these. */
	async gets(...texts) {
		for (const text of texts)
			assert.equal(await this.next(), text);
	}

	/*
	 * Nothing has been sent to this client: the response to its own packet comes next.  The server has then also
	 * read everything that the client sent before.
	 */
	async none() {
		const room = `nobody is here ${++rounds}`;
		this.send(packet('broadcast', 'me', room, {}));
		await this.gets(packet('error', 'me', room, 'not in this room'));
	}

	closed() {
		return bounded(this.ended, 'the close');
	}
}

class Client extends Inbox {
	constructor(url, options) {
		super();
		this.socket = new WebSocket(url, options);
		this.socket.on('message', (data, binary) => {
			assert(!binary, 'the server answers with text only');
			this.receive(data.toString());
		});
		this.socket.on('close', (code, reason) => this.finish({ code, reason: reason.toString() }));
		this.socket.on('error', () => {}); /* a close follows */
	}

	send(message) {
		const raw = typeof message === 'string' || Buffer.isBuffer(message);
		this.socket.send(raw ? message : JSON.stringify(message));
	}

	async close(code, reason) {
		this.socket.close(code, reason);
		return this.closed();
	}

	destroy() {
		this.socket.terminate();
	}

	/* Ends the connection with a reset. */
	reset() {
		this.socket._socket.tcp.resetAndDestroy();
	}
}

export async function open(server, { path = `${server.prefix}/websocket`, ...options } = {}) {
	const client = new Client(url(server, path), { ...dialing(server), ...options });
	server.clients.add(client);
	await bounded(new Promise((resolve, reject) => {
		client.socket.once('open', resolve);
		client.socket.once('error', reject);
	}), 'the handshake');
	return client;
}

/* Opens a client for each user and joins the room in this order.  What they receive is read. */
export async function gather(server, room, ...users) {
	const clients = [];
	for (const user of users) {
		const client = await open(server);
		clients.push(client);
		client.join(user, room);
		for (const each of clients)
			await each.gets(joined(user, room, clients.length === 1));
	}
	return clients;
}

/* Sends a packet that one other peer receives next, unchanged. */
export async function deliver(from, to, text) {
	from.send(text);
	await to.gets(text);
}

/*
 * Sends packets to room r, in which one peer reads nothing, until the server removes that peer: `left` is the
 * packet that tells of it.  `reader`, another peer in r, receives that once and all others in order.
 */
export async function overflow(sender, user, reader, left) {
	const filler = 'x'.repeat(60_000);
	for (let number = 0, removed = false; !removed; number++) {
		assert(number < 5000, 'the peer that does not read is still there');
		const text = broadcast(user, 'r', { number, filler });
		sender.send(text);
		let got = await reader.next();
		if (got === left) {
			removed = true;
			got = await reader.next();
		}
		assert(got === text, `packet ${number} arrives`);
	}
	await sender.gets(left);
}

/* None of these clients has received anything.  Name those that acted first, then the others. */
export async function silence(...clients) {
	for (const client of clients)
		await client.none();
}

export const OPCODE = { more: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 };

/*
 * A client's frame header (RFC 6455 section 5.2).  `form` is the number of bits of the length: 7, 16 or
 * 64; default: the shortest form.
 */
export function frameHeader(opcode, length, options = {}) {
	const { fin = true, rsv = 0, mask = Buffer.from('m4sk'), form } = options;
	const bits = form ?? (length < 126 ? 7 : length < 65536 ? 16 : 64);
	const extended = Buffer.alloc({ 7: 0, 16: 2, 64: 8 }[bits]);
	if (bits === 16)
		extended.writeUInt16BE(length);
	if (bits === 64)
		extended.writeBigUInt64BE(BigInt(length));
	const short = { 7: Number(length), 16: 126, 64: 127 }[bits];
	const start = [(fin ? 0x80 : 0) | rsv << 4 | opcode, (mask ? 0x80 : 0) | short];
	return Buffer.concat([Buffer.from(start), extended, mask ?? Buffer.alloc(0)]);
}

export function frame(opcode, payload = '', options = {}) {
	const { mask = Buffer.from('m4sk') } = options;
	const bytes = Buffer.from(payload);
	const header = frameHeader(opcode, bytes.length, options);
	return Buffer.concat([header, mask ? bytes.map((byte, i) => byte ^ mask[i & 3]) : bytes]);
}

export function closeFrame(code, reason = '', options) {
	const bytes = Buffer.concat([Buffer.alloc(2), Buffer.from(reason)]);
	bytes.writeUInt16BE(code);
	return frame(OPCODE.close, bytes, options);
}

/* The header field that names the client of a proxy, or several hops. */
export const forwarded = hops => ({ 'X-Forwarded-For': hops });

export const KEY = 'dGhlIHNhbXBsZSBub25jZQ=='; /* the example of RFC 6455 section 1.3 */
export const ACCEPT = 's3pPLMBiTxaQ9kYGzzhZRbK+xOo='; /* its Sec-WebSocket-Accept */

/* The head of a request.  A field with the value undefined is left out, a list repeats the field. */
export function request(target, { method = 'GET', version = '1.1', ...headers } = {}) {
	const lines = Object.entries({ Host: 'localhost', ...headers })
		.flatMap(([name, value]) => [value].flat().map(one => [name, one]))
		.filter(([, value]) => value !== undefined)
		.map(([name, value]) => `${name}: ${value}\r\n`);
	return `${method} ${target} HTTP/${version}\r\n${lines.join('')}\r\n`;
}

export const handshake = (target = '/echo/websocket', changes = {}) => request(target, {
	Upgrade: 'websocket',
	Connection: 'Upgrade',
	'Sec-WebSocket-Key': KEY,
	'Sec-WebSocket-Version': '13',
	...changes,
});

/* A connection: bytes out, bytes in. */
export class Raw {
	#bytes = Buffer.alloc(0);
	#ended = false;
	#discards = false;
	#events = new EventEmitter();

	static async connect(server, options = {}) {
		const raw = new Raw(dial(server, { ...options, allowHalfOpen: true }));
		server.clients.add(raw);
		await bounded(once(raw.socket, server.tls ? 'secureConnect' : 'connect'), 'a connection');
		return raw;
	}

	/* Completes the opening handshake; `more` is sent with it in one segment. */
	static async websocket(server, { path = `${server.prefix}/websocket`, more = '' } = {}) {
		const raw = await Raw.connect(server);
		raw.write(Buffer.concat([Buffer.from(handshake(path)), Buffer.from(more)]));
		assert.equal((await raw.response()).status, 101);
		return raw;
	}

	constructor(socket) {
		this.socket = socket;
		socket.on('data', data => this.#change(() => {
			if (!this.#discards)
				this.#bytes = Buffer.concat([this.#bytes, data]);
		}));
		socket.on('error', () => {}); /* a reset is an end like any other */
		for (const event of ['end', 'close'])
			socket.on(event, () => this.#change(() => this.#ended = true));
	}

	#change(how) {
		how();
		this.#events.emit('change');
	}

	/* Takes as many bytes as `enough` returns, when they have arrived. */
	async #take(enough, what) {
		const wait = async () => {
			let length;
			while ((length = enough()) < 0 || length > this.#bytes.length) {
				assert(!this.#ended, `the connection ended before ${what}`);
				await once(this.#events, 'change');
			}
			const taken = this.#bytes.subarray(0, length);
			this.#bytes = this.#bytes.subarray(length);
			return taken;
		};
		return bounded(wait(), what);
	}

	write(data) {
		this.socket.write(data);
	}

	/* Sends each byte in a separate segment, unless the kernel joins them. */
	async trickle(data) {
		for (const byte of Buffer.from(data))
			await new Promise(resolve => this.socket.write(Buffer.of(byte), resolve));
	}

	read(length) {
		return this.#take(() => length, `${length} bytes`);
	}

	/* Reads up to the end of this text. */
	async through(text) {
		const found = () => this.#bytes.indexOf(text);
		const taken = await this.#take(() => found() < 0 ? -1 : found() + text.length,
			JSON.stringify(text));
		return taken.toString('latin1');
	}

	/* Waits for the end of the server's output; nothing may precede it. */
	async ended() {
		const wait = async () => {
			while (!this.#ended)
				await once(this.#events, 'change');
		};
		await bounded(wait(), 'the end of the connection');
		assert.equal(this.#bytes.toString(), '', 'bytes before the end');
	}

	/* Discards all output of the server up to its end. */
	async drained() {
		this.#discards = true;
		this.#bytes = Buffer.alloc(0);
		await this.ended();
	}

	/*
	 * Reads a response with a Content-Length or without a body.  `bytes`: the body as a Buffer, not as text.
	 * `bodiless`: the response is to HEAD.
	 */
	async response({ bytes = false, bodiless = false } = {}) {
		const [first, ...lines] = (await this.through('\r\n\r\n')).trimEnd().split('\r\n');
		const [, status] = /^HTTP\/1\.[01] (\d{3}) /.exec(first) ?? assert.fail(first);
		const headers = Object.fromEntries(lines.map(line => {
			const [, name, value] = /^([\w-]+): ?(.*)$/.exec(line) ?? assert.fail(line);
			return [name.toLowerCase(), value];
		}));
		const length = bodiless ? 0 : Number(headers['content-length'] ?? 0);
		const body = await this.read(length);
		return { status: Number(status), headers, body: bytes ? body : body.toString() };
	}

	async status() {
		return (await this.response()).status;
	}

	/* The next frame, which must be valid for a server. */
	async frame() {
		const [first, second] = await this.read(2);
		assert.equal(first & 0x70, 0, 'reserved bits are zero');
		assert.equal(second & 0x80, 0, 'a server does not mask');
		let length = second;
		if (second === 126) {
			length = (await this.read(2)).readUInt16BE();
			assert(length > 125, 'the shortest form of the length');
		} else if (second === 127) {
			length = Number((await this.read(8)).readBigUInt64BE());
			assert(length > 65535, 'the shortest form of the length');
		}
		const payload = await this.read(length);
		return { fin: first >> 7 === 1, opcode: first & 15, payload, text: payload.toString() };
	}

	/* The next message is this text. */
	async gets(text) {
		const { opcode, fin, text: got } = await this.frame();
		assert.deepEqual({ opcode, fin, got }, { opcode: OPCODE.text, fin: true, got: text });
	}

	/* The next frame is a Close; its code, or undefined without one. */
	async close() {
		const { opcode, payload } = await this.frame();
		assert.equal(opcode, OPCODE.close, 'a Close frame');
		const code = payload.length > 0 ? payload.readUInt16BE() : undefined;
		return { code, reason: payload.subarray(2).toString() };
	}

	/* The closing handshake: the server closes with this code and, once answered, ends TCP. */
	async fails(code) {
		assert.equal((await this.close()).code, code);
		this.write(closeFrame(code));
		await this.ended();
	}

	text(text, options) {
		this.write(frame(OPCODE.text, text, options));
	}

	/* Sends FIN. */
	end() {
		this.socket.end();
	}

	destroy() {
		this.socket.destroy();
	}

	/* Ends the connection with a reset. */
	reset() {
		this.socket.tcp.resetAndDestroy();
	}
}
