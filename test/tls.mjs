/*
 * Helpers for the TLS tests: node:tls with access to each record, and openssl and curl as
 * clients.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { Duplex } from 'node:stream';
import tls from 'node:tls';
import { Raw } from './client.mjs';
import { bounded, until } from './server.mjs';

export const RECORD = { change: 20, alert: 21, handshake: 22, data: 23 };
export const TLS12 = 0x0303; /* the version in each record */
export const GREETING = 'Welcome to SockJS!\n'; /* the answer to GET PREFIX */

const address = ({ host, port }) => ({ host, port, noDelay: true });

/* Completes a client's handshake and returns its socket; throws if it fails. */
export async function shake(server, options = {}) {
	const socket = tls.connect({ ...address(server), ca: server.tls.ca, ...options });
	server.clients.add(socket);
	await bounded(once(socket, 'secureConnect'), 'a TLS handshake');
	return socket;
}

/* Expects a handshake to fail. Returns the error. */
export async function shakeFails(server, options) {
	const { socket, error } = await shake(server, options).then(
		socket => ({ socket }), error => ({ error }));
	socket?.destroy();
	return error ?? assert.fail('the handshake was done');
}

/* The first bytes that a client sends. */
export async function clientHello() {
	const server = net.createServer().listen(0, '127.0.0.1');
	await once(server, 'listening');
	const client = tls.connect({ port: server.address().port, host: '127.0.0.1', maxVersion: 'TLSv1.2' });
	client.on('error', () => {});
	const [peer] = await once(server, 'connection');
	const [hello] = await once(peer, 'data');
	peer.destroy();
	client.destroy();
	server.close();
	return hello;
}

/* The server without its TLS settings, for clients in clear text. */
export const inClear = server => Object.assign(Object.create(server), { tls: undefined });

/* Splits bytes into the complete records at their start and the rest. */
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

/* Writes, and resolves when the kernel has the bytes. */
export const flushed = (socket, bytes) =>
	new Promise(resolve => socket.write(bytes, resolve));

/*
 * The transport below node:tls in place of TCP.  `send(tcp, record, index, wire)` sends each
 * record, or other bytes instead.  With `crumbs`, node:tls receives single bytes.
 */
export class Wire extends Duplex {
	sent = []; /* type, version and length of each record, in order */
	got = [];
	deaf = false; /* node:tls receives no more input, and no end */
	#out = Buffer.alloc(0);
	#in = Buffer.alloc(0);

	constructor(tcp, { send = flushed, crumbs = false } = {}) {
		super({ allowHalfOpen: true });
		Object.assign(this, { tcp, send, crumbs });
		tcp.on('data', data => this.#receive(data));
		tcp.on('end', () => this.deaf || this.push(null));
		tcp.on('error', () => {}); /* a reset counts as an end */
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

/* Returns a Raw over TLS over a Wire, its `wire`. The handshake may still be in progress. */
export async function wired(server, { send, crumbs, ...options } = {}) {
	const tcp = net.connect({ ...address(server), allowHalfOpen: true });
	await bounded(once(tcp, 'connect'), 'a connection');
	const wire = new Wire(tcp, { send, crumbs });
	const raw = new Raw(tls.connect({ socket: wire, ca: server.tls.ca, ...options }));
	server.clients.add(raw);
	server.clients.add(wire);
	return Object.assign(raw, { wire });
}

/* The same, with the handshake complete. */
export async function wiredThrough(server, options) {
	const raw = await wired(server, options);
	await bounded(once(raw.socket, 'secureConnect'), 'a TLS handshake');
	return raw;
}

/* Waits for the end of a socket's input or for a reset, and ignores the data before it. */
export async function over(tcp) {
	if (!tcp.readableEnded && !tcp.destroyed)
		await bounded(Promise.race([once(tcp, 'end'), once(tcp, 'close')]),
			'the end of the connection');
}

/* Waits for the end of the server's output, which must be a close_notify. */
export async function saysGoodbye({ wire }) {
	await over(wire.tcp);
	assert.equal(wire.got.at(-1)?.type, RECORD.alert, 'a close_notify comes last');
}

/*
 * Runs a client until it exits.  `input` is all of its stdin.  With `react`, a function of its
 * output so far and its stdin, stdin stays open.
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
