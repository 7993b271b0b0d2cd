/*
 * What the tests of TLS have in common: node:tls with every record in the tests' hands, and
 * openssl and curl as clients.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { Duplex } from 'node:stream';
import tls from 'node:tls';
import { Raw, gather, packet } from './client.mjs';
import { bounded, until } from './server.mjs';

export const RECORD = { change: 20, alert: 21, handshake: 22, data: 23 };
export const TLS12 = 0x0303; /* the version that each record bears */
export const GREETING = 'Welcome to SockJS!\n'; /* what PREFIX answers */

const address = ({ host, port }) => ({ host, port, noDelay: true });

/* A client's handshake; how it went is its socket's to tell. */
export async function shake(server, options = {}) {
	const socket = tls.connect({ ...address(server), ca: server.tls.ca, ...options });
	server.clients.add(socket);
	await bounded(once(socket, 'secureConnect'), 'a TLS handshake');
	return socket;
}

/* The same for one that only has to fail; the error. */
export async function shakeFails(server, options) {
	const { socket, error } = await shake(server, options).then(
		socket => ({ socket }), error => ({ error }));
	socket?.destroy();
	return error ?? assert.fail('the handshake was done');
}

/* The server as those see it who do not know of TLS. */
export const inClear = server => Object.assign(Object.create(server), { tls: undefined });

/* The whole records at the front of some bytes, and the rest. */
export function split(bytes) {
	const records = [];
	while (bytes.length >= 5 && bytes.length >= 5 + bytes.readUInt16BE(3)) {
		const length = 5 + bytes.readUInt16BE(3);
		records.push(bytes.subarray(0, length));
		bytes = bytes.subarray(length);
	}
	return { records, rest: bytes };
}

const describe = record =>
	({ type: record[0], version: record.readUInt16BE(1), length: record.length - 5 });

/* Writes, and returns when that was handed to the kernel. */
export const flushed = (socket, bytes) =>
	new Promise(resolve => socket.write(bytes, resolve));

/*
 * What node:tls has below it instead of TCP.  `send(tcp, record, index, wire)` sends each
 * record, or whatever it likes; with `crumbs` what comes is handed up byte by byte.
 */
export class Wire extends Duplex {
	sent = []; /* type, version and length of each record, in order */
	got = [];
	deaf = false; /* TLS hears no more of what comes, nor of its end */
	#out = Buffer.alloc(0);
	#in = Buffer.alloc(0);

	constructor(tcp, { send = flushed, crumbs = false } = {}) {
		super({ allowHalfOpen: true });
		Object.assign(this, { tcp, send, crumbs });
		tcp.on('data', data => this.#receive(data));
		tcp.on('end', () => this.deaf || this.push(null));
		tcp.on('error', () => {}); /* a reset is an end like any other */
		tcp.on('close', () => this.deaf || this.destroy());
	}

	#receive(data) {
		const { records, rest } = split(Buffer.concat([this.#in, data]));
		this.#in = rest;
		this.got.push(...records.map(describe));
		if (this.deaf)
			return;
		if (this.crumbs)
			for (const byte of data)
				this.push(Buffer.of(byte));
		else
			this.push(data);
	}

	_read() {}

	async #transmit(data) {
		const { records, rest } = split(Buffer.concat([this.#out, data]));
		this.#out = rest;
		for (const record of records) {
			const { length } = this.sent;
			this.sent.push(describe(record));
			if (!this.tcp.destroyed)
				await this.send(this.tcp, record, length, this);
		}
	}

	_write(data, encoding, done) {
		this.#transmit(data).then(() => done(), done);
	}

	_final(done) {
		this.tcp.end(() => done());
	}

	_destroy(error, done) {
		this.tcp.destroy();
		done(error);
	}
}

/* A Raw over TLS over a Wire, which it has as `wire`; the handshake may still be going on. */
export async function wired(server, { send, crumbs, ...options } = {}) {
	const tcp = net.connect({ ...address(server), allowHalfOpen: true });
	await bounded(once(tcp, 'connect'), 'a connection');
	const wire = new Wire(tcp, { send, crumbs });
	const raw = new Raw(tls.connect({ socket: wire, ca: server.tls.ca, ...options }));
	server.clients.add(raw);
	server.clients.add(wire);
	return Object.assign(raw, { wire });
}

/* The same with the handshake done. */
export async function wiredThrough(server, options) {
	const raw = await wired(server, options);
	await bounded(once(raw.socket, 'secureConnect'), 'a TLS handshake');
	return raw;
}

/* The end of what a socket receives, whatever comes before it; a reset is one. */
export async function over(tcp) {
	if (!tcp.readableEnded && !tcp.destroyed)
		await bounded(Promise.race([once(tcp, 'end'), once(tcp, 'close')]),
			'the end of the connection', 5000);
}

/* The server's side of the connection has ended, and it has said so to TLS as well. */
export async function saysGoodbye({ wire }) {
	await over(wire.tcp);
	assert.equal(wire.got.at(-1)?.type, RECORD.alert, 'a close_notify comes last');
}

/* Nobody is there, and nothing of them is left. */
export async function cleared(server) {
	const kept = ({ connections, sessions, rooms, peers, blocks, engines = 0 }) =>
		[connections, sessions, rooms, peers, blocks, engines];
	await until('everything is given back', () => server.counters(),
		counters => kept(counters).every(number => number === 0));
}

/* Two who exchange packets, and to whom nothing else happens. */
export async function bystanders(server) {
	const pair = await gather(server, 'bystanders', 'one', 'two');
	let count = 0;
	const talk = async () => {
		for (const [i, user] of ['one', 'two'].entries()) {
			const text = packet('broadcast', user, 'bystanders', { count: count++ });
			pair[i].send(text);
			await pair[1 - i].gets(text);
		}
	};
	const leave = async () => {
		await talk();
		for (const peer of pair)
			await peer.none();
		for (const peer of pair)
			await peer.close();
	};
	await talk();
	return { talk, leave };
}

/*
 * Runs a client to its end.  `input` goes to its stdin and ends it; with `react`, a function of
 * what it has printed so far and its stdin, that stays open.
 */
async function execute(command, args, { input = '', react } = {}) {
	const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] });
	let output = '';
	for (const stream of [child.stdout, child.stderr])
		stream.setEncoding('latin1').on('data', text => {
			output += text;
			react?.(output, child.stdin);
		});
	child.stdin.on('error', () => {});
	if (react)
		child.stdin.write(input);
	else
		child.stdin.end(input);
	try {
		const [code] = await bounded(once(child, 'close'), `${command} ${args.join(' ')}`);
		return { code, output };
	} finally {
		child.kill('SIGKILL');
	}
}

export const sClient = ({ host, port, tls: { cert } }, args = [], options = {}) =>
	execute('openssl', ['s_client', '-connect', `${host}:${port}`, '-CAfile', cert,
		'-verify_return_error', '-msg', ...args], options);

export const curl = ({ host, port, prefix, tls: { cert } }, args = []) =>
	execute('curl', ['--silent', '--show-error', '--cacert', cert, ...args,
		`https://${host}:${port}${prefix}`]);
