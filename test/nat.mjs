/*
 * A network of namespaces: two hosts, each behind a router of its own, and a public segment with one server.
 * Each namespace belongs to a child process, so nothing remains of it when this process ends.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, writeFile } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { Lines, eventually } from './server.mjs';

export const SERVER = '203.0.113.1'; /* the address of the server */

const NOWHERE = '203.0.113.254'; /* a gateway that does not exist */

const run = (command, args, options) =>
	execFileSync(command, args, { stdio: ['pipe', 'pipe', 'pipe'], encoding: 'utf8', ...options });

/*
 * How routers translate addresses.  A symmetric NAT has another port for each destination.  The other one
 * keeps the port of the host, so that all destinations see the same.
 */
export const SYMMETRIC = 'masquerade random', CONE = 'masquerade';

/*
 * The input chain discards what no host has asked for, as routers do.  Otherwise such a packet would
 * occupy the port that a host is about to use.
 */
const rules = nat => `flush ruleset
table ip nat {
	chain postrouting {
		type nat hook postrouting priority srcnat
		oifname "wan" ${nat}
	}
	chain input {
		type filter hook input priority filter
		iifname "wan" drop
	}
}
`;

/* The rules of a router that discards all packets from one host to the other, or none. */
const barrier = cut => `flush ruleset
table ip barrier {
	chain forward {
		type filter hook forward priority filter
		${cut ? 'ip saddr 10.0.0.0/16 ip daddr 10.0.0.0/16 drop' : ''}
	}
}
`;

/* Copies the standard input to a port of loopback, and the output of this to the standard output. */
const PIPE = `const socket = require('net').connect(Number(process.argv[1]), '127.0.0.1');
process.stdin.pipe(socket).pipe(process.stdout);
socket.on('error', () => process.exit(1));
socket.on('close', () => process.exit());`;

/* Why there is no such network here; undefined if there is one. */
export function missing() {
	if (process.getuid() !== 0)
		return 'only root has network namespaces with NAT';
	for (const [command, ...args] of [['nft', '--version'], ['turnserver', '--version'], ['ip', '-V']])
		try {
			run(command, args);
		} catch ({ code, message }) {
			if (code === 'ENOENT')
				return `${command} is missing: ./deps.sh test`;
		}
	try {
		run('unshare', ['--net', 'nft', '--file', '-'], { input: rules(SYMMETRIC) });
	} catch ({ stderr }) {
		return `no namespace with NAT: ${stderr}`;
	}
}

/* Has a page in a host go to a URL.  Chromium ends its requests when an address of the host becomes valid. */
export const goTo = (page, url) => page.goto(url).catch(error =>
	/ERR_NETWORK_CHANGED/.test(error.message) ? page.goto(url) : Promise.reject(error));

/* A network namespace. */
class Namespace {
	/* Its process ends with the pipe to it. */
	static async create() {
		const child = spawn('unshare', ['--net', 'sh', '-c', 'echo there; exec cat'],
			{ stdio: ['pipe', 'pipe', 'inherit'] });
		const self = new Namespace();
		self.child = child;
		await new Lines(child.stdout).match(/^there$/);
		self.ip('link set lo up');
		return self;
	}

	/* The command line that runs a program in it. */
	get enter() {
		return ['nsenter', '--target', `${this.child.pid}`, '--net'];
	}

	run(command, args, options) {
		const [enter, ...rest] = this.enter;
		return run(enter, [...rest, command, ...args], options);
	}

	ip(words) {
		this.run('ip', words.split(' '));
	}

	/* A cable to another namespace. */
	cable(name, other, otherName, address) {
		this.ip(`link add ${name} type veth peer name ${otherName} netns ${other.child.pid}`);
		this.ip(`address add ${address}/24 dev ${name}`);
		this.ip(`link set ${name} up`);
		other.ip(`link set ${otherName} up`);
	}

	/*
	 * Packets to unknown networks get lost on the way, as they do in the Internet.  Without a route their
	 * sender would get an error, for which coturn ends the allocation.
	 */
	loseRest(device) {
		this.ip(`neighbour add ${NOWHERE} lladdr 02:00:00:00:00:01 dev ${device}`);
		this.ip(`route add default via ${NOWHERE}`);
	}

	end() {
		this.child.kill('SIGKILL');
	}
}

/* The network. */
export class Network {
	routers = [];
	hosts = [];
	#coturn;

	static async lay() {
		const network = new Network();
		try {
			await network.#lay();
		} catch (error) {
			network.end();
			throw error;
		}
		return network;
	}

	async #lay() {
		const segment = this.segment = await Namespace.create();
		segment.ip('link add public type bridge');
		segment.ip(`address add ${SERVER}/24 dev public`);
		segment.ip('link set public up');
		segment.loseRest('public');
		for (const i of [1, 2]) {
			const router = await Namespace.create();
			this.routers.push(router);
			const host = await Namespace.create();
			this.hosts.push(host);
			router.cable('wan', segment, `wan${i}`, `203.0.113.1${i}`);
			segment.ip(`link set wan${i} master public`);
			router.cable('lan', host, 'lan', `10.0.${i}.1`);
			host.ip(`address add 10.0.${i}.2/24 dev lan`);
			host.ip(`route add default via 10.0.${i}.1`);
			router.loseRest('wan');
			router.run('sh', ['-c', 'echo 1 >/proc/sys/net/ipv4/ip_forward']);
		}
	}

	/* Sets how both routers translate addresses of new connections. */
	translate(nat) {
		for (const router of this.routers)
			router.run('nft', ['--file', '-'], { input: rules(nat) });
	}

	/* Has the routers forward between the hosts without translating addresses. */
	connect() {
		for (const i of [0, 1])
			this.#announce(i, `10.0.${i + 1}.0/24`);
		this.cut(false);
	}

	#announce(i, addresses) {
		for (const other of [this.segment, this.routers[1 - i]])
			other.ip(`route add ${addresses} via 203.0.113.1${i + 1}`);
	}

	/* Cuts the path between the hosts, or heals it.  Each still reaches the server. */
	cut(cut = true) {
		for (const router of this.routers)
			router.run('nft', ['--file', '-'], { input: barrier(cut) });
	}

	/* Has a host use another cable to its router, with another address. */
	recable(i) {
		const host = this.hosts[i], network = `10.0.${i + 11}`;
		this.routers[i].cable('lan2', host, 'lan2', `${network}.1`);
		this.#announce(i, `${network}.0/24`);
		host.ip(`address add ${network}.2/24 dev lan2`);
		host.ip(`route replace default via ${network}.1`);
		host.ip('address flush dev lan');
		host.ip('link set lan down');
	}

	/* Takes the carrier from the cables of a host, or returns it. */
	plug(i, isThere) {
		for (const name of ['lan', 'lan2'])
			this.routers[i].ip(`link set ${name} ${isThere ? 'up' : 'down'}`);
	}

	/* Starts coturn next to the server, with the lines of a configuration. */
	async turn(directory, lines) {
		const conf = path.join(directory, 'turnserver.conf');
		await writeFile(conf, [...lines, `listening-ip=${SERVER}`, `relay-ip=${SERVER}`, 'no-cli', 'log-file=/dev/null',
			`pidfile=${directory}/turnserver.pid`, `userdb=${directory}/turndb`, ''].join('\n'));
		const [enter, ...args] = this.segment.enter;
		this.#coturn = spawn(enter, [...args, 'turnserver', '-c', conf], { stdio: 'ignore' });
		process.on('exit', () => this.end());
		await eventually('coturn to listen', () => this.segment.run('ss', ['-Hltn', 'sport', '=', ':3478']),
			sockets => sockets.length > 0);
	}

	/* A program that runs another one in a host. */
	async program(directory, i, program) {
		const file = path.join(directory, `host${i}`);
		await writeFile(file, `#!/bin/sh\nexec ${this.hosts[i].enter.join(' ')} ${program} "$@"\n`);
		await chmod(file, 0o755);
		return file;
	}

	/* Has a port of loopback here lead to the same port of loopback in a host. */
	async forward(i, port) {
		const [enter, ...args] = this.hosts[i].enter;
		const listener = net.createServer(socket => {
			const { stdin, stdout } = spawn(enter, [...args, process.execPath, '-e', PIPE, port], { stdio: ['pipe', 'pipe', 'inherit'] });
			for (const stream of [socket, stdin, stdout])
				stream.on('error', () => socket.destroy());
			socket.pipe(stdin);
			stdout.pipe(socket);
		}).listen(port, '127.0.0.1').unref();
		await once(listener, 'listening');
	}

	end() {
		this.#coturn?.kill('SIGKILL');
		for (const namespace of [this.segment, ...this.routers, ...this.hosts])
			namespace?.end();
	}
}
