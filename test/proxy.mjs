/* Runs a proxy with a configuration of proxy/, in which only ports, paths and users are replaced. */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { subscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { promisify } from 'node:util';
import { open } from './client.mjs';
import { Peer } from './peer.mjs';
import { Lines, bounded, freePort, run, scratch, until } from './server.mjs';
import { visit as visitByHand } from './sockjs.mjs';
import './trusting.mjs';

/* In Node sockjs-client notices only the event `end` of a response; browsers also report a response cut short. */
subscribe('http.client.response.finish', ({ response }) =>
	response.once('close', () => response.complete || response.emit('end')));

const execute = promisify(execFile);

/* A configuration with pairs of texts replaced.  It must contain the first text of each. */
async function adapt(name, changes) {
	let text = await readFile(new URL(`../proxy/${name}`, import.meta.url), 'utf8');
	for (const [from, to] of changes) {
		assert(text.includes(from), `${name} has ${from}`);
		text = text.replaceAll(from, to);
	}
	return text;
}

const listens = port => new Promise(resolve => {
	const socket = net.connect(port, '127.0.0.1', () => resolve(true));
	socket.on('error', () => resolve(false));
	socket.on('connect', () => socket.destroy());
});

/* Has the members of a server that clients need. */
class Proxy {
	host = '127.0.0.1';
	prefix = '/echo';
	clients = new Set();

	/* Writes the configuration file, which the proxy reads when it starts or reloads. */
	async configure(changes = []) {
		await writeFile(this.file, await adapt(this.name, [...this.own, ...changes]));
	}

	async start(command, args) {
		this.child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
		const orphaned = () => this.child.kill('SIGTERM');
		process.on('exit', orphaned);
		this.exited = once(this.child, 'close').finally(() => process.off('exit', orphaned));
		this.exited.catch(() => {});
		this.lines = new Lines(this.child.stderr);
		await Promise.race([
			until(`${command} listens`, () => listens(this.port), yes => yes),
			this.exited.then(() => assert.fail(`${command} ended:\n${this.lines.all.join('\n')}`)),
		]);
	}

	/* The master starts new workers; the old ones keep their connections. */
	async reload(changes) {
		const from = this.lines.all.length;
		await this.configure(changes);
		this.child.kill('SIGUSR2');
		await this.lines.match(/Loading success/, from);
	}

	/* The response of HAProxy to a command.  On a busy machine it may close before it reads one. */
	async command(text, tries = 5) {
		const answer = [];
		try {
			const socket = net.connect(path.join(this.dir, 'admin.sock'), () => socket.end(`${text}\n`));
			for await (const data of socket)
				answer.push(data);
		} catch (error) {
			if (tries === 1 || !['EPIPE', 'ECONNRESET'].includes(error.code))
				throw error;
			return this.command(text, tries - 1);
		}
		return Buffer.concat(answer).toString();
	}

	async stop() {
		for (const client of this.clients)
			client.destroy();
		this.child.kill('SIGTERM');
		await bounded(this.exited, `the end of ${this.name}`);
	}
}

async function prepare(t, name, certificate, key) {
	const dir = await scratch(t);
	const cert = path.join(dir, certificate);
	const { code, stderr } = await run(['-k', cert, path.join(dir, key), 'localhost', '127.0.0.1']);
	assert.equal(code, 0, stderr);
	const [port, ca] = await Promise.all([freePort(), readFile(cert, 'utf8')]);
	return Object.assign(new Proxy(), { name, dir, port, tls: { ca }, file: path.join(dir, name) });
}

/* Removes what needs root, and replaces port and directories. */
const unprivileged = (dir, port) => [
	['\tchroot /var/lib/haproxy\n\tuser haproxy\n\tgroup haproxy\n', ''],
	['bind :::443 v4v6 ', `bind 127.0.0.1:${port} `],
	['/etc/haproxy/', `${dir}/`],
	['/run/haproxy/', `${dir}/`],
];

const HAPROXY = '/usr/sbin/haproxy';

/* HAProxy for one test, with a master process and workers as in Debian. */
export async function haproxy(t, name, changes) {
	const proxy = await prepare(t, name, 'cert.pem', 'cert.pem.key');
	proxy.own = unprivileged(proxy.dir, proxy.port);
	await proxy.configure(changes);
	await execute(HAPROXY, ['-c', '-dW', '-f', proxy.file]); /* a warning is an error */
	await proxy.start(HAPROXY, ['-W', '-f', proxy.file]);
	t.after(() => proxy.stop());
	return proxy;
}

/* nginx for one test, with the main configuration that Debian has around conf.d. */
export async function nginx(t, name, changes) {
	const proxy = await prepare(t, name, 'cert.pem', 'key.pem');
	const { dir, port } = proxy;
	proxy.own = [
		['listen 443 ', `listen 127.0.0.1:${port} `],
		['\tlisten [::]:443 ssl http2;\n', ''],
		['/etc/nginx/', `${dir}/`],
	];
	await proxy.configure(changes);
	const around = path.join(dir, 'around.conf');
	const own = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
		.map(what => `${what}_temp_path ${dir}/${what};`).join(' ');
	await writeFile(around, `${process.getuid() === 0 ? 'user root;' : ''} daemon off; pid ${dir}/pid;
		worker_processes 2; events { worker_connections 768; }
		http { access_log off; ${own} include ${proxy.file}; }`);
	await proxy.start('/usr/sbin/nginx', ['-c', around, '-p', dir, '-e', 'stderr']);
	t.after(() => proxy.stop());
	return proxy;
}

/* The transports of sockjs-client in Node, jsonp from sockjs.mjs, and plain, a WebSocket without SockJS. */
export const transports = ['plain', 'websocket', 'xhr-streaming', 'eventsource', 'xhr-polling', 'jsonp'];

/* A client over one of these. */
export function visit(server, transport) {
	switch (transport) {
	case 'plain': return open(server);
	case 'jsonp': return visitByHand(server, transport);
	default: return Peer.open(server, ['1.6.1', transport]);
	}
}
