/*
 * A second implementation of the signaller: messages go in, and the exact text for each session comes
 * out.  It knows nothing of sockets; the caller gives it the time.
 */
import { createHmac } from 'node:crypto';
import { inspect } from 'node:util';
import { joined, left, refused } from './client.mjs';

export const REPLACED = 'closed with 4001, replaced';

const DEPTH = 32; /* objects and arrays within each other, at most */
const ID = 128; /* bytes of an id, at most */
const TAKEOVERS = 3; /* of a user, that can follow each other */
const PAUSE = 10_000; /* milliseconds after which one more is possible */
const REASON = 40; /* bytes of an unknown Event that its error repeats, at most */

/*
 * Reading
 */

/*
 * Any beginning of a literal, a number or an escape matches, so that the cursor stops at the first
 * invalid byte.
 */
const SPACE = /[ \t\r\n]*/y;
const LITERAL = /t(r(ue?)?)?|f(a(l(se?)?)?)?|n(u(ll?)?)?/y;
const NUMBER = /-?((0|[1-9]\d*)(\.(\d+)?)?((?<=\d)[eE]([+-]?\d*))?)?/y;
const WHOLE = /^(true|false|null|-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?)$/;
const CONTENTS = /([^"\\\0-\x1f]|\\["\\/bfnrt]|\\u[\da-fA-F]{4})*/y;
const ESCAPE = /\\(u[\da-fA-F]{0,3})?/y;

class Refusal extends Error {}

/*
 * Parses a JSON text.  A value is its start and end and, for an object, the members that were read, in
 * order.
 */
class Reader {
	#at = 0;
	#depth = 0;
	#commas = []; /* offsets of extra commas */

	constructor(text) {
		this.text = text;
	}

	/* The text with the extra commas blanked. */
	get clean() {
		const units = this.text.split('');
		for (const comma of this.#commas)
			units[comma] = ' ';
		return units.join('');
	}

	/* Reads the whole text into `top`.  Returns an error text, or undefined. */
	read() {
		try {
			this.#over(SPACE);
			this.#value(this.top = {});
			this.#over(SPACE);
			if (this.#at < this.text.length)
				this.#fail();
		} catch (error) {
			if (!(error instanceof Refusal))
				throw error;
			return error.message;
		}
	}

	#fail() {
		throw new Refusal(`not JSON at byte ${bytes(this.text.slice(0, this.#at))}`);
	}

	get #next() {
		return this.text[this.#at];
	}

	/* Skips what the pattern matches here, and returns it. */
	#over(pattern) {
		pattern.lastIndex = this.#at;
		const [matched] = pattern.exec(this.text) ?? [''];
		this.#at += matched.length;
		return matched;
	}

	#eat(character) {
		if (this.#next !== character)
			this.#fail();
		this.#at++;
	}

	#value(value) {
		value.start = this.#at;
		if (this.#next === '{') {
			value.members = [];
			this.#items('}', () => this.#member(value.members));
		} else if (this.#next === '[') {
			this.#items(']', () => this.#value({}));
		} else if (this.#next === '"') {
			this.#string();
		} else if (!WHOLE.test(this.#over(LITERAL) || this.#over(NUMBER))) {
			this.#fail();
		}
		value.end = this.#at;
	}

	#items(close, item) {
		if (++this.#depth > DEPTH)
			throw new Refusal('nested too deep');
		this.#at++;
		this.#over(SPACE);
		while (this.#next !== close) {
			item();
			this.#over(SPACE);
			if (this.#next === close)
				break;
			const comma = this.#at;
			this.#eat(',');
			this.#over(SPACE);
			if (this.#next === close)
				this.#commas.push(comma);
		}
		this.#at++;
		this.#depth--;
	}

	#member(members) {
		const start = this.#at, value = {};
		this.#string();
		const key = JSON.parse(this.text.slice(start, this.#at));
		this.#over(SPACE);
		this.#eat(':');
		this.#over(SPACE);
		this.#value(value);
		members.push([key, value]);
	}

	#string() {
		this.#eat('"');
		this.#over(CONTENTS);
		if (this.#next !== '"') {
			this.#over(ESCAPE);
			this.#fail();
		}
		this.#at++;
	}
}

const bytes = text => Buffer.byteLength(text);

/* The value of an object's last member with this name. */
const last = (object, key) => object?.members?.findLast(([name]) => name === key)?.[1];

/* The first characters of a text, of at most so many bytes. */
function cut(text, most) {
	let start = '';
	for (const character of text) {
		if (bytes(start + character) > most)
			break;
		start += character;
	}
	return start;
}

/* A message as a packet.  Invalid ids are empty. */
class Packet {
	#top;
	#header;
	#fault;

	constructor(message) {
		const reader = new Reader(message);
		this.#fault = reader.read();
		this.text = reader.clean;
		this.#top = reader.top;
		this.#header = last(this.#top, 'Header');
		const user = this.#id('UserId', 1), room = this.#id('RoomId', 0);
		this.event = this.#string('Event');
		/* Only a broadcast has a To; in other packets it is an unknown member. */
		this.to = this.event === 'broadcast' ? this.#id('To', 1) : undefined;
		this.user = user ?? '';
		this.room = room ?? '';
		this.wrong = this.#why(user, room);
	}

	/* A value's text. */
	#raw({ start, end }) {
		return this.text.slice(start, end);
	}

	#string(key) {
		const value = last(this.#header, key);
		return value && this.text[value.start] === '"' ? JSON.parse(this.#raw(value)) : undefined;
	}

	#id(key, least) {
		const id = this.#string(key);
		if (id === undefined || /\p{Surrogate}/u.test(id) || bytes(id) < least || bytes(id) > ID)
			return undefined;
		return id;
	}

	/* Why the packet is rejected: the first of these reasons, or undefined. */
	#why(user, room) {
		if (this.#fault !== undefined)
			return this.#fault;
		if (this.#top.members === undefined)
			return 'a packet must be an object';
		if (this.#header === undefined)
			return 'Header is missing';
		if (this.#header.members === undefined)
			return 'Header must be an object';
		if (user === undefined)
			return 'UserId must be a string of 1 to 128 bytes';
		if (room === undefined)
			return 'RoomId must be a string of 0 to 128 bytes';
		const event = last(this.#header, 'Event');
		if (event === undefined)
			return 'Event is missing';
		if (this.event === undefined)
			return 'Event must be a string';
		if (!['connect', 'broadcast', 'ping', 'disconnect'].includes(this.event))
			return `unknown Event "${cut(this.#raw(event).slice(1, -1), REASON)}"`;
		if (this.event === 'broadcast' && last(this.#header, 'To') !== undefined && this.to === undefined)
			return 'To must be a string of 1 to 128 bytes';
	}

	get repeatsPayload() {
		return this.#top.members.filter(([name]) => name === 'Payload').length > 1;
	}

	/* The token of the Payload: undefined without one; null if it is not a string. */
	get token() {
		const value = last(last(this.#top, 'Payload'), 'Token');
		if (value === undefined)
			return undefined;
		return this.text[value.start] === '"' ? JSON.parse(this.#raw(value)) : null;
	}

	/* The packet's text with this string as Payload. */
	withPayload(string) {
		const value = JSON.stringify(string);
		const payload = last(this.#top, 'Payload');
		if (payload !== undefined)
			return this.text.slice(0, payload.start) + value + this.text.slice(payload.end);
		const brace = this.#top.end - 1;
		return `${this.text.slice(0, brace)},"Payload":${value}${this.text.slice(brace)}`;
	}
}

/*
 * Tokens
 */

const MOST_TOKEN = 2048; /* bytes */
const HEADER = { alg: 'HS256', typ: 'JWT' }; /* the only one of the tokens of the test */

/* The object in a part of a token, if it is one. */
function decoded(part) {
	try {
		return JSON.parse(Buffer.from(part, 'base64url'));
	} catch {
		return undefined;
	}
}

/* Why a token does not allow this, at a time in seconds, or undefined.  Without a user: any. */
function tokenFault(token, secrets, now, room, user) {
	if (token === undefined || token === '')
		return 'token needed';
	const [header, claims, signature, ...rest] = token?.split('.') ?? [];
	const isSigned = secrets.some(secret =>
		createHmac('sha256', secret).update(`${header}.${claims}`).digest('base64url') === signature);
	if (!isSigned || rest.length > 0 || bytes(token) > MOST_TOKEN || !isSame(decoded(header), HEADER))
		return 'token is not valid';
	const { exp, nbf = 0, room: onlyRoom = room, sub = user } = decoded(claims);
	if (!Number.isInteger(exp))
		return 'token is not valid';
	if (now >= exp)
		return 'token has expired';
	if (now < nbf)
		return 'token is not valid yet';
	if (onlyRoom !== room)
		return 'token is for another room';
	if (user !== undefined && sub !== user)
		return 'token is for another user';
}

const isSame = (one, other) => JSON.stringify(one) === JSON.stringify(other);

/*
 * Rooms
 */

export class Model {
	#mostPeers;
	#rooms = new Map(); /* by RoomId: peers in order of joining, and the initiator */
	#peers = new Map(); /* by session: its user and room, if it is in one, and `rested`: when all
		TAKEOVERS of the user are possible again */
	#secrets; /* of tokens; undefined: no token is needed */
	#now = 0;
	#told = [];

	/* The token of a session's URL is its `token`. */
	constructor(mostPeers, secrets) {
		this.#mostPeers = mostPeers;
		this.#secrets = secrets;
	}

	#tokenFault(token, room, user) {
		return this.#secrets && tokenFault(token, this.#secrets, Date.now() / 1000, room, user);
	}

	/*
	 * A session sends a message at a time in milliseconds.  Returns the texts that sessions receive:
	 * [session, text], in order.
	 */
	receive(session, message, now) {
		this.#now = now;
		const packet = new Packet(message);
		if (packet.wrong !== undefined)
			this.#refuse(session, packet, packet.wrong);
		else
			this[packet.event](session, packet);
		return this.#told.splice(0);
	}

	/*
	 * Returns true if this message is a takeover whose result depends on `tolerance`, the possible
	 * difference between the server's clock and this one, in milliseconds.
	 */
	isOpen(session, message, now, tolerance) {
		const packet = new Packet(message);
		if (packet.wrong !== undefined || packet.event !== 'connect')
			return false;
		const older = this.#older(packet);
		return older !== undefined && older !== session
			&& Math.abs(this.#afterTakeover(older, now) - now - TAKEOVERS * PAUSE) < tolerance;
	}

	/* When all takeovers will be possible again, if a session's user is taken over now. */
	#afterTakeover(session, now) {
		return Math.max(now, this.#peers.get(session).rested) + PAUSE;
	}

	/* A session ends.  Returns the texts that sessions receive. */
	end(session) {
		this.#leave(session);
		return this.#told.splice(0);
	}

	/* The { user, room } of a session; undefined if it is in no room. */
	place(session) {
		return this.#peers.get(session);
	}

	users(room) {
		return this.#in(room).peers.map(peer => this.#peers.get(peer).user);
	}

	/* The rooms and their peers as a readable text, with a star after the initiator. */
	toString() {
		const name = room => peer =>
			`${inspect(this.#peers.get(peer).user)} ${peer.name}${room.initiator === peer ? '*' : ''}`;
		return [...this.#rooms].map(([id, room]) =>
			`${inspect(id)} has ${room.peers.map(name(room)).join(', ')}`).join('; ');
	}

	connect(session, packet) {
		const { user, room } = packet;
		if (this.#secrets && packet.repeatsPayload)
			return this.#refuse(session, packet, 'Payload is given twice');
		const fault = this.#tokenFault(packet.token === undefined ? session.token : packet.token, room, user);
		if (fault !== undefined)
			return this.#refuse(session, packet, fault);
		const place = this.#peers.get(session);
		const older = this.#older(packet);
		if (older !== session) {
			const isFull = this.#in(room).peers.length === this.#mostPeers;
			if (isFull && older === undefined && place?.room !== room)
				return this.#refuse(session, packet, 'room is full');
			const rested = older === undefined ? 0 : this.#afterTakeover(older, this.#now);
			if (rested > this.#now + TAKEOVERS * PAUSE)
				return this.#refuse(session, packet, 'user is in use');
			this.#leave(session);
			if (older !== undefined) {
				this.#leave(older);
				this.#tell([older], REPLACED);
			}
			this.#join(session, user, room, rested);
		}
		const { peers, initiator } = this.#in(room);
		this.#tell(peers, packet.withPayload(String(initiator === session)));
	}

	broadcast(session, packet) {
		if (!this.#isThere(session, packet))
			return this.#refuse(session, packet, 'not in this room');
		if (packet.to === undefined)
			return this.#tell(this.#others(session), packet.text);
		const peer = this.#in(packet.room).peers[this.users(packet.room).indexOf(packet.to)];
		if (peer === undefined)
			return this.#refuse(session, packet, 'no such peer');
		this.#tell([peer], packet.text);
	}

	ping(session, packet) {
		const isInside = this.#peers.get(session)?.room === packet.room;
		/* A token for the room suffices, for any user. */
		if (!isInside && this.#tokenFault(session.token, packet.room) !== undefined)
			return this.#refuse(session, packet, 'not in this room');
		this.#tell([session], packet.withPayload(JSON.stringify(this.users(packet.room))));
	}

	disconnect(session, packet) {
		this.broadcast(session, packet);
		if (this.#isThere(session, packet))
			this.#remove(session);
	}

	#in(room) {
		return this.#rooms.get(room) ?? { peers: [] };
	}

	/* The peer with the packet's user in its room. */
	#older({ user, room }) {
		return this.#in(room).peers[this.users(room).indexOf(user)];
	}

	#others(session) {
		const { peers } = this.#in(this.#peers.get(session).room);
		return peers.filter(peer => peer !== session);
	}

	#isThere(session, { user, room }) {
		const place = this.#peers.get(session);
		return place !== undefined && place.user === user && place.room === room;
	}

	#tell(sessions, text) {
		this.#told.push(...sessions.map(session => [session, text]));
	}

	#refuse(session, { user, room }, reason) {
		this.#tell([session], refused(reason, user, room));
	}

	/* The first peer is the initiator.  In a room without initiator the oldest peer becomes it. */
	#join(session, user, id, rested) {
		const room = this.#in(id);
		const [oldest] = room.peers;
		this.#rooms.set(id, room);
		if (oldest === undefined) {
			room.initiator = session;
		} else if (room.initiator === undefined) {
			room.initiator = oldest;
			this.#tell([oldest], joined(this.#peers.get(oldest).user, id, true));
		}
		room.peers.push(session);
		this.#peers.set(session, { user, room: id, rested });
	}

	#leave(session) {
		const place = this.#peers.get(session);
		if (place === undefined)
			return;
		this.#tell(this.#others(session), left(place.user, place.room));
		this.#remove(session);
	}

	#remove(session) {
		const { room: id } = this.#peers.get(session);
		const room = this.#in(id);
		room.peers = this.#others(session);
		if (room.initiator === session)
			room.initiator = undefined;
		if (room.peers.length === 0)
			this.#rooms.delete(id);
		this.#peers.delete(session);
	}
}
