/* Clients that are npm's sockjs-client in Node, in a new and an old version. */
import assert from 'node:assert/strict';
import SockJS10 from 'sockjs-client-1.0';
import SockJS16 from 'sockjs-client';
import { Inbox, url } from './client.mjs';
import { bounded } from './server.mjs';

export const versions = { '1.6.1': SockJS16, '1.0.3': SockJS10 };
export const transports = ['websocket', 'xhr-streaming', 'eventsource', 'xhr-polling'];
export const PATIENCE = 20_000; /* milliseconds, for a transport to open */

/* sockjs-client derives the limit of a transport from the time of its first request; tests are slower. */
for (const [version, { prototype }] of Object.entries(versions)) {
	assert.equal(versions[version].version, version);
	assert.equal(typeof prototype.countRTO, 'function');
	prototype.countRTO = () => PATIENCE;
}

export const base = server => url(server, server.prefix, 'http');

export class Peer extends Inbox {
	static async open(server, [version, transport]) {
		const peer = new Peer(new versions[version](base(server), null, { transports: transport }));
		server.clients.add(peer);
		const opened = new Promise((resolve, reject) => {
			peer.socket.onopen = resolve;
			peer.ended.then(({ code, reason }) => reject(new Error(`closed: ${code} ${reason}`)));
		});
		await bounded(opened, `${version} to open by ${transport}`);
		assert.equal(peer.socket.transport, transport);
		return peer;
	}

	constructor(socket) {
		super();
		this.socket = socket;
		socket.onmessage = ({ data }) => this.receive(data);
		socket.onclose = ({ code, reason, wasClean }) => this.finish({ code, reason, wasClean });
	}

	send(text) {
		this.socket.send(text);
	}

	async close(code, reason) {
		this.socket.close(code, reason);
		return this.closed();
	}

	destroy() {
		this.socket.close();
	}
}
