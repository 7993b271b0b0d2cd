/* A call of two browsers, packet by packet: call.json has what each of their pages sent. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { joined, left, members, open } from './client.mjs';
import { serve, test } from './server.mjs';

const { room, first, second, packets } =
	JSON.parse(await readFile(new URL('call.json', import.meta.url), 'utf8'));
const users = { first, second };
const other = { first: 'second', second: 'first' };

/* What a packet of one page brings to whom, as a list of [page, text]. */
function deliveries({ page, text }) {
	const initiator = page === 'first';
	const answer = joined(users[page], room, initiator);
	switch (JSON.parse(text).Header.Event) {
	case 'connect': return initiator ? [[page, answer]] : [['first', answer], ['second', answer]];
	case 'ping': return [[page, members(users[page], room, first, second)]];
	default: return [[other[page], text]];
	}
}

async function meet(t) {
	const server = await serve(t);
	return { first: await open(server), second: await open(server) };
}

/* Sends each packet when the one before it has arrived. */
async function play(pages, some) {
	for (const packet of some) {
		pages[packet.page].send(packet.text);
		for (const [page, text] of deliveries(packet))
			await pages[page].gets(text);
	}
}

/* The second hangs up: the first is told. */
async function hangUp(pages) {
	await pages.second.none();
	await pages.second.close();
	await pages.first.gets(left(second, room));
	await pages.first.none();
}

test('each page gets exactly what the other sent, and the answers', async t => {
	const pages = await meet(t);
	await play(pages, packets);
	await hangUp(pages);
});

test('the same holds if neither waits for anything', async t => {
	const pages = await meet(t);
	const connects = packets.filter(({ text }) => text.includes('"Event":"connect"'));
	const rest = packets.filter(packet => !connects.includes(packet));
	await play(pages, connects);
	rest.forEach(({ page, text }) => pages[page].send(text));
	for (const page of ['first', 'second']) {
		const wanted = rest.flatMap(deliveries).filter(([to]) => to === page)
			.map(([, text]) => text);
		const got = [];
		while (got.length < wanted.length)
			got.push(await pages[page].next());
		/* The answers to its own pings may come between those of the other's packets. */
		const parts = list => [true, false].map(own =>
			list.filter(text => text.includes('"Event":"ping"') === own));
		assert.deepEqual(parts(got), parts(wanted));
	}
	await hangUp(pages);
});
