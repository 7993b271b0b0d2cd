/*
 * A server that already runs elsewhere, which tests use instead of starting one.
 *
 *     VIDERE_AT    HOST:PORT
 *     VIDERE_CA    file with its certificate, if it serves TLS
 *     VIDERE_CONF  its configuration, as JSON
 *
 * Tests that need another configuration, its counters or signals are skipped.
 */
import { readFile } from 'node:fs/promises';
import { setTimeout } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { joined, open, packet, refused } from './client.mjs';
import { Impossible, until } from './server.mjs';

const { VIDERE_AT, VIDERE_CA, VIDERE_CONF = '{}' } = process.env;

/* The rooms that more than one test uses. */
const call = JSON.parse(await readFile(new URL('call.json', import.meta.url), 'utf8'));
const rooms = ['r', 's', call.room];

class Remote {
	clients = new Set();
	prefix = '/echo';

	counters() {
		throw new Impossible('the counters of a server elsewhere cannot be seen');
	}

	signal() {
		throw new Impossible('a server elsewhere cannot be sent signals');
	}

	/*
	 * Waits until the rooms are empty for the next test.  It joins them, because pings of other rooms
	 * have a rate limit for addresses other than loopback.  The pause keeps the tests below that limit.
	 */
	async leave() {
		for (const client of this.clients)
			client.destroy();
		const last = await open(this);
		const end = refused('not JSON at byte 0');
		for (const room of rooms)
			await until(`room ${room} is empty`, async () => {
				last.join('last', room);
				last.send(packet('disconnect', 'last', room, '{}'));
				last.send('x');
				const answers = [];
				while (answers.at(-1) !== end)
					answers.push(await last.next());
				return answers[0];
			}, answer => answer === joined('last', room, true));
		await last.close();
		await setTimeout(200);
	}
}

export async function visit(t, { conf = {}, ...more } = {}) {
	if (Object.keys(more).length > 0 || !isDeepStrictEqual(conf, JSON.parse(VIDERE_CONF)))
		throw new Impossible('the server elsewhere is not configured for this');
	const [, host, port] = /^(.*):(\d+)$/.exec(VIDERE_AT);
	const tls = VIDERE_CA && { ca: await readFile(VIDERE_CA, 'utf8') };
	const server = Object.assign(new Remote(), { host, port: Number(port), tls });
	t.after(() => server.leave());
	return server;
}
