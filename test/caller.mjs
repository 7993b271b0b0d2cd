/*
 * A page in a call, as tests of its recovery see it.  What depends on the page is in enterRoom: how it enters
 * a room, and what it shows.
 */
import { goTo } from './nat.mjs';

/*
 * Runs in the page before its scripts.  Afterwards it has:
 *   connections, sockets  all RTCPeerConnection and WebSocket objects that its scripts made
 *   moved                 a time in milliseconds after which frames were decoded
 *   gaps                  the times without new frames, of more than two seconds, as [from, to]
 *   shown                 what the page shows of its peer and of the server, as { time, what, text }:
 *                         a state, or the reason for it
 */
export function watch() {
	const keep = (list, Base) => class extends Base {
		constructor(...args) {
			super(...args);
			list.push(this);
		}
	};
	Object.assign(window, { connections: [], sockets: [], moved: 0, gaps: [], shown: [] });
	window.RTCPeerConnection = keep(connections, RTCPeerConnection);
	window.WebSocket = keep(sockets, WebSocket);
	/* Firefox never resolves the statistics of a connection that is closed meanwhile, so nothing waits for them. */
	const seen = new WeakMap();
	let grew = Infinity;
	const look = async connection => {
		const now = Date.now(), stats = [...await connection.getStats()].map(([, one]) => one);
		const { framesDecoded = 0 } = stats.find(({ type, kind }) => type === 'inbound-rtp' && kind === 'video') ?? {};
		const last = seen.get(connection);
		seen.set(connection, { framesDecoded, now });
		if (!last || framesDecoded <= last.framesDecoded)
			return;
		if (now - grew > 2000)
			gaps.push([grew, now]);
		grew = now;
		window.moved = last.now;
	};
	setInterval(() => connections.filter(one => one.connectionState !== 'closed').forEach(look), 250);
}

/* Has a page enter a room.  The document is the module's source: it is of the server, and has no policy. */
export async function enterRoom(page, origin, room) {
	await goTo(page, `${origin}/videre.js`);
	await page.evaluate(async name => {
		const { Room } = await import('/videre.js');
		const stream = await navigator.mediaDevices.getUserMedia({ video: { width: 160, height: 120 } });
		window.room = new Room(name, { stream });
		const show = (what, text) => shown.push({ time: Date.now(), what, text });
		for (const type of ['open', 'left', 'error', 'close'])
			room.addEventListener(type, ({ code }) => show(type, code));
		room.addEventListener('state', ({ peer, state, code }) => show(peer ? 'peer' : 'server', code || state));
	}, room);
}

/* What a page has shown since a time, of its peer or of the server. */
export const shownSince = (page, time, what) => page.evaluate((from, one) =>
	shown.filter(({ time, what }) => time >= from && what === one), time, what);

export async function until(page, what, condition, ...args) {
	try {
		await page.waitForFunction(condition, { timeout: 60_000, polling: 200 }, ...args);
	} catch (cause) {
		const state = await page.evaluate(() => JSON.stringify({ now: Date.now(), moved, gaps, shown,
			connections: connections.map(({ connectionState }) => connectionState) })).catch(String);
		throw new Error(`not seen in ${page.kind} of host ${page.host}: ${what}; the page: ${state}`, { cause });
	}
}

/* A page shows this after a time. */
export const shows = (page, what, text, time = 0) => until(page, `${what} ${text}`, (one, wanted, from) =>
	shown.some(({ time, what, text }) => time >= from && what === one && text === wanted), what, text, time);

/* The video of the peer moves after a time. */
export const moves = (page, time = Date.now()) => until(page, 'a video that moves', from => moved > from, time);

/* The times without video since one, in seconds from it to each, in order. */
export const gapsSince = (page, time) => page.evaluate(from =>
	gaps.filter(([, end]) => end > from).map(gap => gap.map(one => (one - from) / 1000)), time);

/* The number of connections to the peer so far. */
export const connectionsOf = page => page.evaluate(() => connections.length);

/* Closes the WebSocket of a page, which has not asked for it. */
export const loseSocket = page => page.evaluate(() => sockets.at(-1).close());
