/* A TURN server (coturn), and a client that asks it for a relay address (RFC 8656). */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash, createHmac, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { bounded, freePort, scratch, until } from './server.mjs';

export const REALM = 'example.org';

const listens = port => new Promise(resolve => {
	const socket = net.connect(port, '127.0.0.1', () => resolve(true));
	socket.on('error', () => resolve(false));
	socket.on('connect', () => socket.destroy());
});

/* Starts coturn on loopback, with this secret and environment.  Returns its port. */
export async function serveTurn(t, secret, env = {}) {
	const dir = await scratch(t), port = await freePort(), file = path.join(dir, 'turnserver.conf');
	await writeFile(file, [
		'use-auth-secret', `static-auth-secret=${secret}`, `realm=${REALM}`,
		`listening-port=${port}`, 'listening-ip=127.0.0.1', 'relay-ip=127.0.0.1', 'relay-threads=1',
		'allow-loopback-peers', 'no-cli', 'no-tls', 'no-dtls', 'log-file=stdout', `pidfile=${dir}/pid`, `userdb=${dir}/users`, '',
	].join('\n'));
	const child = spawn('turnserver', ['-c', file], { cwd: dir, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
	const orphaned = () => child.kill('SIGKILL');
	process.on('exit', orphaned);
	let log = '';
	for (const stream of [child.stdout, child.stderr])
		stream.setEncoding('utf8').on('data', data => log += data);
	const exited = once(child, 'close').finally(() => process.off('exit', orphaned));
	exited.catch(() => {});
	t.after(async () => {
		child.kill('SIGKILL');
		await exited;
	});
	await Promise.race([
		until('turnserver listens', () => listens(port), yes => yes),
		exited.then(() => assert.fail(`turnserver ended:\n${log}`)),
	]);
	return port;
}

/* Messages and attributes of STUN (RFC 8489 sections 5, 14 and 18). */
const ALLOCATE = 0x0003, SUCCESS = 0x0103, ERROR = 0x0113;
const COOKIE = 0x2112a442;
const USERNAME = 0x0006, INTEGRITY = 0x0008, ERROR_CODE = 0x0009, REALM_OF = 0x0014, NONCE = 0x0015;
const REQUESTED_TRANSPORT = 0x0019;
const UDP = Buffer.from([17, 0, 0, 0]);

function attribute(type, value) {
	const padded = Buffer.alloc(4 + Math.ceil(value.length / 4) * 4);
	padded.writeUInt16BE(type, 0);
	padded.writeUInt16BE(value.length, 2);
	value.copy(padded, 4);
	return padded;
}

const header = (length, id) => {
	const bytes = Buffer.alloc(8);
	bytes.writeUInt16BE(ALLOCATE, 0);
	bytes.writeUInt16BE(length, 2);
	bytes.writeUInt32BE(COOKIE, 4);
	return Buffer.concat([bytes, id]);
};

/* An Allocate request; with `key` it ends with MESSAGE-INTEGRITY, which the header's length includes. */
function allocateRequest(attributes, key) {
	const id = randomBytes(12);
	const body = Buffer.concat([[REQUESTED_TRANSPORT, UDP], ...attributes]
		.map(([type, value]) => attribute(type, Buffer.from(value))));
	if (key === undefined)
		return Buffer.concat([header(body.length, id), body]);
	const signed = Buffer.concat([header(body.length + 24, id), body]);
	return Buffer.concat([signed, attribute(INTEGRITY, createHmac('sha1', key).update(signed).digest())]);
}

/* The type of a whole message and its attributes; undefined while it is incomplete. */
function parse(bytes) {
	if (bytes.length < 20 || bytes.length < 20 + bytes.readUInt16BE(2))
		return undefined;
	const attributes = {};
	for (let at = 20; at < bytes.length;) {
		const length = bytes.readUInt16BE(at + 2);
		attributes[bytes.readUInt16BE(at)] ??= bytes.subarray(at + 4, at + 4 + length);
		at += 4 + Math.ceil(length / 4) * 4;
	}
	return { type: bytes.readUInt16BE(0), attributes };
}

async function exchange(socket, request) {
	let bytes = Buffer.alloc(0), message;
	socket.write(request);
	while ((message = parse(bytes)) === undefined) {
		const [data] = await bounded(once(socket, 'data'), 'a response of TURN');
		bytes = Buffer.concat([bytes, data]);
	}
	return message;
}

/* The number in ERROR-CODE: hundreds in the third byte, the rest in the fourth. */
const errorOf = ({ attributes: { [ERROR_CODE]: value } }) => 100 * value[2] + value[3];

/*
 * Requests an allocation over TCP, as browsers do: first without credentials, then with the long-term
 * credentials for the server's realm and nonce.  Returns 'allocated', or the code of the error.
 */
export async function allocate(port, { username, credential }) {
	const socket = net.connect(port, '127.0.0.1');
	try {
		await bounded(once(socket, 'connect'), 'a connection to TURN');
		const first = await exchange(socket, allocateRequest([]));
		assert.equal(first.type, ERROR);
		assert.equal(errorOf(first), 401);
		const { [REALM_OF]: realm, [NONCE]: nonce } = first.attributes;
		assert.equal(`${realm}`, REALM);
		const key = createHash('md5').update(`${username}:${realm}:${credential}`).digest();
		const second = await exchange(socket, allocateRequest(
			[[USERNAME, username], [REALM_OF, realm], [NONCE, nonce]], key));
		assert([SUCCESS, ERROR].includes(second.type), `${second.type}`);
		return second.type === SUCCESS ? 'allocated' : errorOf(second);
	} finally {
		socket.destroy();
	}
}
