/* What the kernel or an operator does to the server. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { Raw, gather, joined, left, packet, request } from './client.mjs';
import { serveFaulty } from './faults.mjs';
import { test, until } from './server.mjs';
import { answer, batch, begin, fresh, message, post, send, take } from './sockjs.mjs';

const state = async pid => (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1][0];

/*
 * What comes while the server is stopped waits in the kernel.  SIGUSR1 is what makes it look at
 * its clock before it looks at its sockets.
 */
for (const signals of [[], ['SIGUSR1']]) {
	test(`a minute in SIGSTOP ends nothing${signals.length ? ', with a signal behind it' : ''}`, async t => {
		const { server, set } = await serveFaulty(t, { conf: { Heartbeat: 2 } });
		const [a, b] = await gather(server, 'r', 'a', 'b');
		const polled = await begin(server);
		await send(server, polled, packet('connect', 'polled', 'r', '{}'));
		await a.gets(joined('polled', 'r', false));
		await b.gets(joined('polled', 'r', false));
		const silent = await Raw.websocket(server);
		const { frame } = await take(server, polled);
		assert.equal(frame, batch(joined('polled', 'r', false)));

		server.signal('SIGSTOP');
		await until('it has stopped', () => state(server.pid), is => is === 'T');
		await set({ monotonic: 60 });
		const text = packet('broadcast', 'a', 'r', 'said meanwhile');
		a.send(text);
		/* It comes with a connection of its own: accepted, but not read, in the first turn. */
		const poll = await Raw.connect(server);
		poll.write(request(`/echo${polled}/xhr`, { method: 'POST', 'Content-Length': '0' }));
		for (const name of signals)
			server.signal(name);
		server.signal('SIGCONT');

		await b.gets(text);
		assert.equal((await answer(poll)).body, `${batch(text)}\n`);
		poll.destroy();
		/* The one that has said nothing is asked, and not cut. */
		assert.equal((await silent.frame()).opcode, 9);
		silent.destroy();
		await b.close();
		await a.gets(left('b', 'r'));
	});
}

test('a session whose time runs out while its poll waits to be read stays', async t => {
	const { server, set } = await serveFaulty(t);
	const session = fresh(), target = `/echo${session}/xhr`;
	const raw = await Raw.connect(server);
	assert.equal((await post(raw, target)).body, 'o\n');
	/* Of a pause two seconds count; it has five in all. */
	for (const monotonic of [2, 4]) {
		await set({ monotonic });
		await server.counters();
	}
	server.signal('SIGSTOP');
	await until('it has stopped', () => state(server.pid), is => is === 'T');
	await set({ monotonic: 60 });
	raw.write(message(target, { method: 'POST' }));
	server.signal('SIGUSR1');
	server.signal('SIGCONT');
	await send(server, session, packet('connect', 'a', 'r', '{}'));
	assert.equal((await answer(raw)).body, `${batch(joined('a', 'r', true))}\n`);
	raw.destroy();
});
