/*
 * Counts the instructions that a relayed packet costs the server, with valgrind's callgrind: the difference
 * between a run and one of twice as many packets.  Fails above 110 % of instructions.json.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile } from 'node:fs/promises';
import { LISTENING, built, start } from '../test/server.mjs';

const PACKETS = 1000;
const MOST = 1.1;

const directory = built('', 'build/bench');
const kinds = {
	'WebSocket, 300 B': ['-s', 300],
	'WebSocket, 6 KB': ['-s', 6144],
	'SockJS, 300 B': ['-s', 300, '-j'],
};

/* The instructions of a whole run, with start and stop. */
async function count(packets, options) {
	const out = `${directory}/callgrind.out`;
	const server = await start({
		/* valgrind needs more system calls than the sandbox has. */
		binary: built('VIDERE', 'videre'), conf: { Sandbox: false }, allow: [LISTENING],
		shell: `exec valgrind -q --tool=callgrind --callgrind-out-file=${out} "$0" "$@"`,
	});
	const load = spawn(`${directory}/load`, ['relay', '-p', server.port, '-n', packets, ...options],
		{ stdio: ['ignore', 'ignore', 'inherit'] });
	const [code] = await once(load, 'exit');
	await server.stop();
	if (code !== 0)
		throw new Error('the load failed');
	return Number(/^(?:summary|totals): (\d+)/m.exec(await readFile(out, 'utf8'))[1]);
}

const known = JSON.parse(await readFile(new URL('instructions.json', import.meta.url), 'utf8'));
await mkdir(directory, { recursive: true });
for (const [kind, options] of Object.entries(kinds)) {
	const once = await count(PACKETS, options), twice = await count(2 * PACKETS, options);
	const packet = Math.round((twice - once) / PACKETS);
	const bad = packet > MOST * known[kind];
	console.log(`${kind}: ${packet} instructions a packet, known: ${known[kind]}${bad ? ': too many' : ''}`);
	process.exitCode ||= Number(bad);
}
