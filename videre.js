/**
 * Video calls in the rooms of a videre server.  The server carries only signalling: media
 * and messages flow between the browsers.
 *
 *     import { Room } from 'https://router.lan:1111/videre.js';
 *     const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: true });
 *     const room = new Room('kitchen', { stream });
 *     room.addEventListener('peer', ({ peer }) => show(peer.stream));
 *     room.addEventListener('left', ({ peer }) => hide(peer.stream));
 *
 * There is one RTCPeerConnection for each pair of peers.  The peer that joined first makes the
 * offers.  The two exchange `broadcast` packets.  Their Payload has `To`, the id of the connection
 * as `Session`, and one of these:
 *
 *     Description   an offer or an answer, with the Name and Instance of its sender
 *     Candidate     an ICE candidate
 *     Again         true: asks the peer that joined first for a new connection
 *
 * Instance is a random id of a Room object.  The Header of `connect` has it too: a user that joins
 * again with the same Instance still has its connections.
 *
 * @module
 */

const PING_S = 10; /* between pings, and for the answer to one */
const CONNECT_S = 20; /* for a connection to the server or to a peer */
const WAIT_MAX_S = 8; /* between attempts to reach the server */
const AGAIN_S = 2; /* between a connection that failed and the next one */
const PACKET_MAX = 20_000; /* UTF-16 code units of a packet: below the default of MaxPacket in UTF-8 */
const EARLY_MAX = 50; /* candidates kept until the description that they belong to */

/* Messages by code.  The codes with a space are error texts of the server.  Others have no message here. */
/** @type {Record<string, string | undefined>} */
const REASONS = {
	'offline': 'This device is offline.',
	'unreachable': 'No connection to the server.',
	'refused': 'The server is full, or its Origins does not allow this page.',
	'full': 'The server is full.',
	'origin': 'Origins of the server does not allow this page.',
	'websocket': 'A proxy on the way blocks WebSocket.',
	'replaced': 'The same user has joined from elsewhere.',
	'size': 'A message is longer than MaxPacket of the server.',
	'lost': 'The connection to this peer broke.',
	'direct': 'No way to this peer. The operator needs a TURN server (IceServers).',
	'relay': 'No way to this peer. The TURN server does not answer, or refuses.',
	'relayed': 'No way to this peer, not even through the TURN server.',
	'room is full': 'The room is full.',
	'token needed': 'This room needs an invitation. Ask for a link to it, and open the whole link.',
	'token is not valid': 'This invitation is not valid. It is incomplete, or was withdrawn. Ask for a new one.',
	'token has expired': 'This invitation has expired. Ask for a new one.',
	'token is not valid yet': 'This invitation is not valid yet. Join later.',
	'token is for another room': 'This invitation is for another room.',
	'token is for another user': 'This invitation is for another person. Ask for your own.',
	"the server's clock is not set": 'The server cannot check invitations: its clock is not set. Tell its operator.',
};

/** @type {Record<number, string | undefined>} */
const ENDS = { 1009: 'size', 4001: 'replaced' }; /* close codes after which another attempt is useless */

/** Returns a string of 60 random bits.  crypto.randomUUID needs a secure context. */
export const randomId = () => Array.from(crypto.getRandomValues(new Uint8Array(12)),
	byte => 'abcdefghijkmnpqrstuvwxyz23456789'[byte % 32]).join('');

/**
 * Returns the claims of a token (RFC 7519), which the server checks: `room` and `sub`, the user.
 * @param {string} token
 * @returns {{ room?: string, sub?: string }} empty if the token is not valid
 */
export function readClaims(token) {
	try {
		const claims = atob(token.split('.')[1].replace(/-/g, '+').replace(/_/g, '/'));
		const { room, sub } = JSON.parse(new TextDecoder().decode(Uint8Array.from(claims, c => c.charCodeAt(0))));
		return { room: onlyText(room), sub: onlyText(sub) };
	} catch {
		return {};
	}
}

/** @param {any} value */
const onlyText = value => typeof value === 'string' ? value : undefined;

/**
 * The events of a room, by type.  `code` is a key of REASONS, `ice`, `failed` or an error text of the
 * server.  `message` is for the user: the value in REASONS, the error of the browser, or the same text.
 * @typedef {object} Events
 * @property {Event} open the room is entered, for the first time or again
 * @property {Event & { peer: Peer }} peer a peer has joined, or was there before
 * @property {Event & { peer: Peer }} left a peer has left the room, or is lost
 * @property {Event & { peer?: Peer, state: string, code?: string, message?: string }} state a new
 * state of `peer`, or of the room if `peer` is undefined
 * @property {Event & { peer: Peer }} ready the data channel of a peer is open, for the first time or again
 * @property {Event & { peer: Peer, data: any }} message a text from a peer
 * @property {Event & { peer?: Peer, code: string, message: string }} error the server refuses a
 * packet, or the browser refuses the ICE servers (`ice`) or a connection to `peer` (`failed`)
 * @property {Event & { code?: string, message?: string }} close the room is closed, after leave()
 * without a code
 */

/** Another peer in the room.  It stays the same object when its connection is replaced. */
export class Peer {
	/** The UserId. */
	id;
	/** The name that the peer shows: untrusted text; "" until its first Description arrives. */
	name = '';
	/** The peer's audio and video.  The tracks change when its connection is replaced. */
	stream = new MediaStream();
	/** @type {'connecting' | 'connected' | 'failed'} */
	state = 'connecting';
	/** The current connection, for its statistics. @type {RTCPeerConnection | undefined} */
	connection;
	/** The current data channel. @type {RTCDataChannel | undefined} */
	channel;

	/** @param {string} id */
	constructor(id) {
		this.id = id;
	}

	/**
	 * Sends a text to this peer only.  Returns false if the data channel is not open, or refuses it.
	 * @param {string} data
	 */
	send(data) {
		if (this.channel?.readyState !== 'open')
			return false;
		try {
			this.channel.send(data);
			return true;
		} catch {
			return false; /* longer than the peer accepts, or too much waits */
		}
	}
}

/* The state that a room keeps for a peer. */
class Call {
	peer;
	/** The id of the connection. @type {string | undefined} */
	session;
	offers = false; /* this side makes the offers of the present connection */
	first = false; /* this side joined first: it makes those of the next one */
	away = false; /* the server has lost the peer, but its connection is healthy */
	/** The Instance of the peer's Room object. @type {string | undefined} */
	instance;
	connected = false; /* at least once */
	built = 0; /* when the connection was made, in milliseconds */
	/** @type {{ Session?: string, Candidate: RTCIceCandidateInit }[]} */
	early = [];
	work = Promise.resolve(); /* the steps on the connection, one after another */
	/** @type {number | undefined} */
	timer;

	/** @param {string} id */
	constructor(id) {
		this.peer = new Peer(id);
	}
}

/**
 * @typedef {object} Options
 * @property {MediaStream} [stream] sent to each peer; see also Room.stream
 * @property {string} [user] the UserId, of 1 to 128 bytes; default: the user of the token, else a random id
 * @property {string} [name] shown to the peers
 * @property {string | (() => string | Promise<string>)} [token] a token, or a function that gets one for each attempt
 * to reach the server
 * @property {RTCIceServer[]} [iceServers] default: those of the server (IceServers)
 * @property {string | URL} [url] of the server, or of its WebSocket (ws:, wss:); default: the server of this module
 * @property {(new (url: string) => any) | ((url: string) => any)} [socket] makes the socket, with the interface
 * of WebSocket: SockJS, for example, which then gets the URL of the service
 */

/** A room that this page is in, or tries to enter, until the event `close`. */
export class Room extends EventTarget {
	/** The RoomId. */
	name;
	/** The UserId; undefined until the token is known. @type {string | undefined} */
	user;
	/** @type {'connecting' | 'open' | 'closed'} */
	state = 'connecting';
	/** Resolves when the room is entered for the first time.  Rejects if the room closes before. */
	opened;

	#options;
	/** @type {Map<string, Call>} */
	#calls = new Map();
	/** @type {MediaStream | undefined} */
	#stream;
	#token = '';
	/** @type {RTCIceServer[]} */
	#ice = [];
	#iceFrom = 0; /* when it was fetched, and when half of its time is over; in milliseconds */
	#iceUntil = 0;
	/** @type {WebSocket | undefined} */
	#socket;
	/** The URL of the last one that was open, for the next attempt. @type {URL | undefined} */
	#service;
	#attempt = 0; /* to reach the server: callbacks of previous ones do nothing */
	#tries = 0; /* attempts since the room was open */
	#inside = false; /* our `connect` has come back */
	/** @type {number | undefined} */
	#timer;
	#code = ''; /* why the state is not good */
	#listening = new AbortController(); /* to the page's events */
	#instance = randomId(); /* tells the peers whether this user has its connections still */
	/** @type {(value?: any) => void} */
	#resolve = () => {};
	/** @type {(error: Error) => void} */
	#reject = () => {};

	/**
	 * Starts to enter a room.
	 * @param {string} name the RoomId: at most 128 bytes of UTF-8
	 * @param {Options} [options]
	 */
	constructor(name, options = {}) {
		super();
		if (new TextEncoder().encode(name).length > 128)
			throw new RangeError('the name of a room has at most 128 bytes');
		this.name = name;
		this.user = options.user;
		this.#options = options;
		this.#stream = options.stream;
		this.opened = new Promise((resolve, reject) => {
			this.#resolve = resolve;
			this.#reject = reject;
		});
		this.opened.catch(() => {}); /* the event `close` tells it too */
		const { signal } = this.#listening;
		addEventListener('online', () => this.#checkNow(), { signal });
		addEventListener('offline', () => this.#report('connecting', 'offline'), { signal });
		document.addEventListener('visibilitychange', () => document.hidden || this.#checkNow(), { signal });
		addEventListener('pagehide', () => this.#suspend(), { signal });
		addEventListener('pageshow', ({ persisted }) => persisted && this.#connect(), { signal });
		this.#connect();
	}

	/**
	 * @template {keyof Events} T
	 * @param {T} type
	 * @param {((event: Events[T]) => any) | EventListenerObject | null} listener
	 * @param {AddEventListenerOptions | boolean} [options]
	 */
	addEventListener(type, listener, options) {
		super.addEventListener(type, /** @type {EventListener} */ (listener), options);
	}

	/** The other peers, in no particular order. */
	get peers() {
		return [...this.#calls.values()].map(({ peer }) => peer);
	}

	/** The audio and video sent to the peers.  Setting it replaces the tracks in each connection. */
	get stream() {
		return this.#stream;
	}

	set stream(stream) {
		this.#stream = stream;
		for (const call of this.#calls.values())
			this.#step(call, connection => this.#attach(connection));
	}

	/**
	 * Sends a text to each peer whose data channel is open.  Returns the number of these peers.
	 * @param {string} data
	 */
	send(data) {
		return this.peers.filter(peer => peer.send(data)).length;
	}

	/** Leaves the room, and closes all connections. */
	leave() {
		this.#end();
	}

	/*
	 * The server
	 */

	/** @param {keyof Events} type @param {object} [members] */
	#emit(type, members) {
		this.dispatchEvent(Object.assign(new Event(type), members));
	}

	/* Sets the state of the room, and reports a change. */
	/** @param {'connecting' | 'open'} state @param {string} [code] */
	#report(state, code = '') {
		if (this.state === 'closed' || (this.state === state && this.#code === code))
			return;
		this.state = state;
		this.#code = code;
		this.#emit('state', { state, code, message: REASONS[code] ?? code });
	}

	/** @param {number} seconds @param {() => void} then */
	#wait(seconds, then) {
		clearTimeout(this.#timer);
		this.#timer = setTimeout(then, 1000 * seconds);
	}

	/* Returns the URL of the service, from the option `url` or the field Link of this module's response. */
	async #find() {
		const url = new URL(this.#options.url ?? import.meta.url, location.href);
		if (/^wss?:/.test(url.protocol))
			return new URL(url.href.replace(/^ws/, 'http').replace(/\/websocket$/, ''));
		const { headers } = await fetch(new URL('videre.js', url), { method: 'HEAD', cache: 'no-store' });
		const [, service] = /<([^>]*)\/websocket>; rel="service"/.exec(headers.get('Link') ?? '') ?? [];
		return new URL(service ?? 'echo', url);
	}

	async #connect() {
		const attempt = ++this.#attempt;
		const isOver = () => attempt !== this.#attempt;
		this.#socket?.close();
		this.#wait(CONNECT_S, () => this.#retry('unreachable'));
		try {
			/* A request can wait in vain on a connection from a previous address of this host.  A WebSocket has a new one. */
			const service = this.#service ?? await this.#find();
			const { token = '' } = this.#options;
			const given = typeof token === 'function' ? await token() : token;
			if (isOver())
				return;
			this.#service = undefined;
			this.#token = given;
			this.user ??= readClaims(this.#token).sub ?? randomId();
			await this.#renewIce();
			if (!isOver())
				this.#open(service, isOver);
		} catch {
			if (!isOver())
				this.#retry('unreachable');
		}
	}

	/** @param {URL} service @param {() => boolean} isOver */
	#open(service, isOver) {
		const { socket: make } = this.#options;
		const url = make ? service.href : `${service.href.replace(/^http/, 'ws')}/websocket`;
		/* Arrow functions have no prototype and are not constructors: call them without `new`. */
		const socket = !make ? new WebSocket(url) : make.prototype
			? new (/** @type {any} */ (make))(url) : /** @type {any} */ (make)(url);
		this.#socket = socket;
		socket.onopen = () => {
			if (isOver())
				return;
			this.#service = service;
			this.#send('connect', this.#token ? { Token: this.#token } : '', { Instance: this.#instance });
		};
		/** @param {{ data: string }} event */
		socket.onmessage = ({ data }) => isOver() || this.#receive(JSON.parse(data));
		/** @param {{ code: number }} event */
		socket.onclose = async ({ code }) => {
			if (isOver())
				return;
			if (ENDS[code])
				return this.#end(ENDS[code]);
			const reason = this.#service ? 'unreachable' : await this.#diagnose(service);
			if (!isOver())
				this.#retry(reason);
		};
	}

	/*
	 * Returns the code of the reason why a WebSocket does not open, which browsers hide.  The status of
	 * a request to the same service shows it.  The method is OPTIONS because browsers then send Origin
	 * even if the page comes from the server itself.
	 */
	/** @param {URL} service */
	async #diagnose(service) {
		/* Without credentials, the request has a connection of its own, as the WebSocket had: the server may be full. */
		/** @param {RequestInit} options */
		const ask = options => fetch(`${service.href}/info`, { ...options, cache: 'no-store', credentials: 'omit' });
		try {
			const { status } = await ask({ method: 'OPTIONS' });
			return status === 403 ? 'origin' : status === 503 ? 'full' : status < 300 ? 'websocket' : 'unreachable';
		} catch {
			/* The server is reachable if it answers, even if CORS forbids this page to read the answer. */
			return ask({ mode: 'no-cors' }).then(() => 'refused', () => 'unreachable');
		}
	}

	/* Ends the attempt to reach the server, or the connection to it. */
	#disconnect() {
		this.#attempt++;
		clearTimeout(this.#timer);
		this.#socket?.close();
		this.#inside = false;
	}

	/** @param {string} code */
	#retry(code) {
		this.#disconnect();
		this.#report('connecting', navigator.onLine ? code : 'offline');
		this.#wait(Math.min(2 ** this.#tries++, WAIT_MAX_S) * (1 + Math.random()) / 2, () => this.#connect());
	}

	/* The server rejects the token at a reconnection.  Calls continue; #checkNow tries again. */
	/** @param {string} code */
	#pause(code) {
		this.#disconnect();
		this.#report('connecting', code);
	}

	/* The device is online or the page visible again: checks all connections immediately. */
	#checkNow() {
		if (this.state === 'closed')
			return;
		if (!this.#inside) {
			this.#tries = 0;
			this.#connect();
			return;
		}
		this.#ping(3);
		for (const call of this.#calls.values())
			if (call.peer.connection?.connectionState !== 'connected')
				this.#renew(call);
	}

	/* Leaves the room: the page enters the back/forward cache or is unloaded, or the room closes. */
	#suspend() {
		this.#send('disconnect', { Left: true });
		this.#disconnect();
		this.#calls.forEach(call => this.#removePeer(call));
	}

	/** @param {string} [code] */
	#end(code) {
		if (this.state === 'closed')
			return;
		this.#suspend();
		this.#listening.abort();
		this.state = 'closed';
		const message = REASONS[code ?? ''] ?? code;
		this.#reject(new Error(message ?? 'left'));
		this.#emit('close', { code, message });
	}

	/** @param {string} Event @param {any} Payload @param {{ To?: string, Instance?: string }} [more] */
	#send(Event, Payload, { To, Instance } = {}) {
		const packet = JSON.stringify({ Header: { Event, UserId: this.user, RoomId: this.name, To, Instance }, Payload });
		/* For a longer one the server would end the session.  A peer can make an answer long. */
		if (this.#socket?.readyState === WebSocket.OPEN && packet.length < PACKET_MAX)
			this.#socket.send(packet);
	}

	/** @param {{ Header: { Event: string, UserId: string, Instance?: string }, Payload: any }} packet */
	#receive({ Header: { Event: event, UserId: from, Instance }, Payload }) {
		if (event === 'error')
			this.#refused(String(Payload));
		else if (event === 'ping')
			this.#compare(JSON.parse(Payload));
		else if (event === 'connect' && from === this.user)
			this.#inside || this.#enter();
		else if (event === 'connect')
			this.#addPeer(from, true, Instance);
		else if (event === 'disconnect' && this.#calls.has(from))
			this.#peerGone(/** @type {Call} */ (this.#calls.get(from)), Payload?.Left);
		else if (event === 'broadcast' && Payload?.To === this.user)
			this.#signal(from, Payload);
	}

	/** @param {string} text */
	#refused(text) {
		if (text === 'no such peer')
			return; /* the next ping shows it */
		this.#emit('error', { code: text, message: text });
		if (!this.#inside && /token|clock/.test(text) && this.#calls.size)
			this.#pause(text);
		else if (!this.#inside && this.#calls.size)
			this.#retry(text); /* such as: room is full */
		else if (!this.#inside)
			this.#end(text);
		else if (text === 'not in this room')
			this.#retry('unreachable');
	}

	#enter() {
		this.#inside = true;
		this.#tries = 0;
		this.#report('open');
		this.#emit('open');
		this.#resolve();
		this.#ping();
		for (const call of this.#calls.values())
			if (call.peer.state !== 'connected')
				this.#renew(call);
	}

	/* Scripts see no WebSocket pings, so this sends a packet.  Without an answer, connects again. */
	#ping(seconds = PING_S) {
		this.#send('ping', '');
		this.#wait(seconds, () => this.#retry('unreachable'));
	}

	/* Makes up for missed packets, with the ids of all peers in the room, in the order of joining. */
	/** @param {string[]} ids */
	#compare(ids) {
		const ours = ids.indexOf(String(this.user));
		if (ours < 0)
			return this.#retry('unreachable');
		this.#report('open'); /* after `offline` */
		this.#wait(PING_S, () => this.#ping());
		if (Date.now() > this.#iceUntil)
			this.#renewIce();
		for (const call of this.#calls.values())
			if (!ids.includes(call.peer.id))
				this.#peerGone(call);
		ids.forEach((id, i) => i !== ours && this.#addPeer(id, i > ours));
	}

	/*
	 * Fetches the ICE servers, at most once a minute.  If that fails, the previous ones stay in use: older
	 * versions of the server have no /ice.
	 */
	async #renewIce() {
		const now = Date.now(), { iceServers, url } = this.#options;
		if (iceServers)
			this.#ice = iceServers;
		if (iceServers || now - this.#iceFrom < 60_000)
			return;
		this.#iceFrom = now;
		this.#iceUntil = now + 60_000;
		try {
			const base = String(url ?? import.meta.url).replace(/^ws(.*)\/.*?\/websocket$/, 'http$1/');
			const answer = await fetch(new URL('ice', base), {
				headers: this.#token ? { Authorization: `Bearer ${this.#token}` } : {},
				signal: AbortSignal.timeout(5000),
			});
			const { iceServers, ttl } = await answer.json();
			if (answer.ok && Array.isArray(iceServers)) {
				this.#ice = iceServers;
				this.#iceUntil = now + ttl * 500;
			}
		} catch { /* the next ping tries again */ }
	}

	/*
	 * Peers
	 */

	/** @param {string} id @param {boolean} first @param {string} [instance] */
	#addPeer(id, first, instance) {
		let call = this.#calls.get(id);
		if (call && instance && call.instance !== instance) {
			this.#removePeer(call);
			call = undefined;
		}
		if (!call) {
			call = new Call(id);
			call.instance = instance;
			this.#calls.set(id, call);
			this.#emit('peer', { peer: call.peer });
			if (first)
				this.#build(call, true, randomId());
			else /* Its offer is on the way, unless it has taken this page for the one before. */
				this.#expect(call, 5);
		}
		call.first = first;
		call.away = false;
		return call;
	}

	/** @param {Call} call */
	#removePeer(call) {
		const { peer } = call, { connection } = peer;
		this.#calls.delete(peer.id);
		clearTimeout(call.timer);
		peer.connection = peer.channel = undefined; /* whose events then change nothing */
		connection?.close();
		this.#emit('left', { peer });
	}

	/* A peer is no longer in the room.  If it has only lost its WebSocket, its call continues. */
	/** @param {Call} call @param {boolean} [left] */
	#peerGone(call, left) {
		if (left || call.peer.state !== 'connected')
			this.#removePeer(call);
		else
			call.away = true;
	}

	/** @param {Call} call @param {object} members */
	#sendTo({ peer, session }, members) {
		this.#send('broadcast', { To: peer.id, Session: session, ...members }, { To: peer.id });
	}

	/* Fails the call unless its connection is established within this time. */
	/** @param {Call} call @param {number} [seconds] */
	#expect(call, seconds = CONNECT_S) {
		clearTimeout(call.timer);
		call.timer = setTimeout(() => this.#fail(call), 1000 * seconds);
	}

	/*
	 * Runs a step on the current connection after all previous steps.  If a step fails, for example because
	 * of an invalid description, the next ones still run; the timer of #expect then makes a new connection.
	 */
	/** @param {Call} call @param {(connection: RTCPeerConnection) => any} step */
	#step(call, step) {
		const { connection } = call.peer;
		if (connection)
			call.work = call.work.then(() => call.peer.connection === connection && step(connection)).catch(() => {});
	}

	/* Browsers reject the whole list of ICE servers for one invalid URL.  Then connects without any. */
	#makeConnection() {
		try {
			return new RTCPeerConnection({ iceServers: this.#ice });
		} catch (error) {
			if (!this.#ice.length)
				throw error;
			this.#ice = [];
			this.#emit('error', { code: 'ice', message: String(error) });
			return new RTCPeerConnection();
		}
	}

	/** @param {Call} call @param {boolean} offers @param {string | undefined} session */
	#build(call, offers, session) {
		const { peer } = call;
		/* No way to the peer: it has failed there. */
		if (peer.connection?.remoteDescription && peer.channel?.readyState === 'connecting')
			this.#fail(call);
		peer.connection?.close(); /* whose steps may never end, so they are forgotten */
		Object.assign(call, { offers, session, built: Date.now(), work: Promise.resolve() });
		this.#expect(call);
		let connection;
		try {
			connection = peer.connection = this.#makeConnection();
		} catch (error) {
			return this.#emit('error', { peer, code: 'failed', message: String(error) }); /* such as: too many */
		}
		peer.stream.getTracks().forEach(track => peer.stream.removeTrack(track));
		/* Both sides create it (negotiated), so neither waits for the event datachannel. */
		const channel = peer.channel = connection.createDataChannel('videre', { negotiated: true, id: 0 });
		channel.onopen = () => this.#emit('ready', { peer });
		channel.onmessage = ({ data }) => this.#emit('message', { peer, data });
		channel.onclose = () => call.away && peer.connection === connection && this.#removePeer(call);
		connection.onicecandidate = ({ candidate }) => candidate && this.#sendTo(call, { Candidate: candidate });
		connection.ontrack = ({ track }) => peer.stream.addTrack(track);
		connection.onconnectionstatechange = () => peer.connection === connection && this.#changed(call, connection);
		if (!offers)
			return;
		for (const kind of ['audio', 'video'])
			connection.addTransceiver(kind);
		this.#step(call, async () => {
			await this.#attach(connection);
			await this.#describe(call, connection);
		});
	}

	/* Sends the tracks of the stream.  A kind without a track keeps its transceiver, for a later one. */
	/** @param {RTCPeerConnection} connection */
	async #attach(connection) {
		const stream = this.#stream ?? new MediaStream();
		for (const kind of ['audio', 'video']) {
			const transceiver = connection.getTransceivers().find(one => one.receiver.track.kind === kind);
			if (!transceiver)
				continue;
			transceiver.direction = 'sendrecv';
			transceiver.sender.setStreams(stream);
			await transceiver.sender.replaceTrack(stream.getTracks().find(track => track.kind === kind) ?? null);
		}
	}

	/* Creates and sends an offer, or the answer to one. */
	/** @param {Call} call @param {RTCPeerConnection} connection */
	async #describe(call, connection) {
		await connection.setLocalDescription();
		this.#sendTo(call, { Description: connection.localDescription, Name: this.#options.name, Instance: this.#instance });
	}

	/** @param {string} from @param {any} payload */
	#signal(from, { Session, Description, Candidate, Again, Name, Instance }) {
		const call = this.#calls.get(from) ?? this.#addPeer(from, false);
		if (typeof Name === 'string')
			call.peer.name = Name;
		call.instance = Instance ?? call.instance;
		/* The offer of a new connection may have crossed with this. */
		if (Again && call.first && Date.now() - call.built > 1000 * AGAIN_S)
			this.#build(call, true, randomId());
		else if (Description?.type === 'offer')
			this.#accept(call, Session, Description);
		else if (Description && call.offers && (Session === undefined || Session === call.session))
			this.#apply(call, Description);
		else if (Candidate)
			this.#add(call, Session, Candidate);
	}

	/** @param {Call} call @param {string | undefined} session @param {RTCSessionDescriptionInit} offer */
	#accept(call, session, offer) {
		const { connection } = call.peer;
		/* Both peers offer if each believes that it joined first: the offer of the smaller UserId wins. */
		if (call.offers && connection && !connection.remoteDescription && String(this.user) < call.peer.id)
			return;
		if (!connection || call.offers || session !== call.session)
			this.#build(call, false, session);
		this.#apply(call, offer);
	}

	/** @param {Call} call @param {RTCSessionDescriptionInit} description */
	#apply(call, { type, sdp }) {
		this.#step(call, async connection => {
			await connection.setRemoteDescription({ type: type === 'offer' ? 'offer' : 'answer', sdp: String(sdp) });
			if (!call.offers) {
				await this.#attach(connection);
				await this.#describe(call, connection);
			}
			for (const { Session, Candidate } of call.early.splice(0))
				this.#add(call, Session, Candidate);
		});
	}

	/** @param {Call} call @param {string | undefined} Session @param {RTCIceCandidateInit} Candidate */
	#add(call, Session, Candidate) {
		if (!call.peer.connection?.remoteDescription && call.early.length < EARLY_MAX)
			call.early.push({ Session, Candidate });
		else if (Session === undefined || Session === call.session)
			this.#step(call, connection => connection.addIceCandidate(Candidate));
	}

	/*
	 * A connection that fails
	 */

	/** @param {Call} call @param {RTCPeerConnection} connection */
	#changed(call, { connectionState }) {
		const { peer } = call;
		if (connectionState === 'connected') {
			clearTimeout(call.timer);
			call.connected = true;
			this.#setState(peer, 'connected');
		} else if (call.away && /disconnected|failed/.test(connectionState)) {
			this.#removePeer(call);
		} else if (connectionState === 'disconnected') {
			if (peer.state === 'connected')
				this.#setState(peer, 'connecting');
			/* The server may be lost too, for example if this host has another address. */
			if (this.#inside)
				this.#ping(3);
			this.#renew(call);
		} else if (connectionState === 'failed') {
			this.#fail(call);
		}
	}

	/** @param {Peer} peer @param {Peer['state']} state @param {string} [code] */
	#setState(peer, state, code) {
		if (peer.state === state)
			return;
		peer.state = state;
		this.#emit('state', { peer, state, code, message: REASONS[code ?? ''] });
	}

	/* The peer's state stays `failed` until one of the new connections is established. */
	/** @param {Call} call */
	#fail(call) {
		const { connection } = call.peer;
		clearTimeout(call.timer);
		if (connection)
			this.#setState(call.peer, 'failed', call.connected ? 'lost'
				: / typ relay/.test(connection.localDescription?.sdp ?? '') ? 'relayed'
					: this.#ice.some(({ urls }) => /(^|,)turns?:/.test(String(urls))) ? 'relay' : 'direct');
		call.timer = setTimeout(() => this.#renew(call), connection ? 1000 * AGAIN_S : 0);
	}

	/*
	 * Replaces a connection that is broken or missing.  After an ICE restart whose offer is lost, both browsers
	 * can be `connected` without media.
	 */
	/** @param {Call} call */
	async #renew(call) {
		const { connection } = call.peer;
		await this.#renewIce();
		if (!this.#inside || this.#calls.get(call.peer.id) !== call || call.peer.connection !== connection
			|| connection?.connectionState === 'connected')
			return; /* #enter or the new connection continues */
		if (call.first)
			return this.#build(call, true, randomId());
		this.#sendTo(call, { Again: true });
		this.#expect(call);
	}
}
