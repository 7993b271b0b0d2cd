/* Servers whose system calls fail: see faults.c, whose `struct control` is written here. */
import { open as openFile } from 'node:fs/promises';
import path from 'node:path';
import { built, scratch, serve } from './server.mjs';

const SIZE = 40; /* bytes of a struct control */

/*
 * Returns the environment of a process with faults, and `set`, which sets them from now on.  `at` are the
 * faults from the start; by default there are none.
 */
export async function faults(t, at = {}) {
	const name = path.join(await scratch(t), 'control');
	const file = await openFile(name, 'w');
	t.after(() => file.close());
	const set = async ({ realtime = 0, monotonic = 0, accept = 0, write = 0, madvise = 0, signal = 0, delay = 0, wait = 0 }) => {
		const bytes = Buffer.alloc(SIZE);
		bytes.set(new Uint8Array(BigInt64Array.of(BigInt(realtime), BigInt(monotonic)).buffer), 0);
		bytes.set(new Uint8Array(Int32Array.of(accept, write, madvise, signal, delay, wait).buffer), 16);
		await file.write(bytes, 0, SIZE, 0);
	};
	await set(at);
	return { env: { LD_PRELOAD: built('FAULTS', 'build/faults.so'), FAULTS_CONTROL: name }, set };
}

/* Returns a server with faults, and `set`. */
export async function serveFaulty(t, { env = {}, at, ...options } = {}) {
	const { env: preload, set } = await faults(t, at);
	const server = await serve(t, { binary: built('VIDERE_PLAIN', 'videre'), env: { ...preload, ...env }, ...options });
	return { server, set };
}
