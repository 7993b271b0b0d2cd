/*
 * A process of tls-hostile.test.mjs.  A hundred clients at a time connect, complete a TLS handshake and
 * close, again and again for the number of seconds in the first message.
 */
import { once } from 'node:events';
import tls from 'node:tls';

const AT_ONCE = 100;

const [{ host, port, seconds }] = await once(process, 'message');
const until = performance.now() + 1000 * seconds;
const counts = { done: 0, failed: 0 };

async function client() {
	while (performance.now() < until) {
		const socket = tls.connect({ host, port, noDelay: true, rejectUnauthorized: false });
		try {
			await once(socket, 'secureConnect');
			counts.done++;
		} catch {
			counts.failed++;
		}
		socket.destroy();
		await new Promise(resolve => setImmediate(resolve));
	}
}

await Promise.all(Array.from({ length: AT_ONCE }, client));
process.send(counts);
process.disconnect();
