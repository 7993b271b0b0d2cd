/*
 * ClientHellos of TLS 1.2 (RFC 5246 section 7.4.1.2), valid and mutated, and a reader of what a
 * server answers to one.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { bounded } from './server.mjs';
import { RECORD, flushed, over, split } from './tls.mjs';

/* A repeatable source of numbers (mulberry32). */
export class Random {
	#state;

	constructor(seed) {
		this.#state = seed >>> 0;
	}

	/* A number from 0 to `count` - 1. */
	below(count) {
		this.#state = (this.#state + 0x6d2b79f5) >>> 0;
		let x = this.#state;
		x = Math.imul(x ^ x >>> 15, x | 1);
		x ^= x + Math.imul(x ^ x >>> 7, x | 61);
		return ((x ^ x >>> 14) >>> 0) % count;
	}

	chance(count) {
		return this.below(count) === 0;
	}

	pick(list) {
		return list[this.below(list.length)];
	}

	bytes(length) {
		return Buffer.from(Array.from({ length }, () => this.below(256)));
	}

	shuffle(list) {
		for (let i = list.length - 1; i > 0; i--) {
			const k = this.below(i + 1);
			[list[i], list[k]] = [list[k], list[i]];
		}
	}
}

/* A number of 1 to 3 bytes. */
export function number(value, size) {
	const bytes = Buffer.alloc(4);
	bytes.writeUInt32BE(value);
	return bytes.subarray(4 - size);
}

/* A vector: its length, which may be wrong by `lie`, and its contents. */
export function vector(contents, size, lie = 0) {
	const most = 2 ** (8 * size);
	const length = (contents.length + lie + most) % most;
	return Buffer.concat([number(length, size), contents]);
}

export const EXTENSION = {
	name: 0, fragment: 1, status: 5, curves: 10, formats: 11, signatures: 13, alpn: 16,
	padding: 21, masterSecret: 23, ticket: 35, versions: 43, keyShare: 51, renegotiation: 0xff01,
};

const words = (...values) => Buffer.concat(values.map(value => number(value, 2)));

export const contents = {
	alpn: (...names) => vector(Buffer.concat(names.map(name => vector(Buffer.from(name), 1))), 2),
	name: name => vector(Buffer.concat([Buffer.of(0), vector(Buffer.from(name), 2)]), 2),
	curves: (...ids) => vector(words(...ids), 2),
	signatures: (...ids) => vector(words(...ids), 2),
	formats: () => vector(Buffer.of(0), 1),
	renegotiation: () => vector(Buffer.alloc(0), 1),
};

const SUITES = [0xc02b, 0xc02c, 0xcca9, 0xc0ac, 0xc0ad, 0xc0ae, 0xc0af];
const OTHER_SUITES = [0x00ff, 0x5600, 0xc02f, 0x1301, 0x002f, 0xc009, 0x0a0a, 0xffff];
const CURVES = [29, 23, 24, 25];
const OTHER_CURVES = [0, 1, 14, 22, 26, 28, 30, 31, 32, 256, 0x0a0a, 0xffff];
const SIGNATURES = [0x0403, 0x0503, 0x0603, 0x0804, 0x0401];
const OTHER_SIGNATURES = [0x0101, 0x0203, 0x0303, 0x0807, 0x080f, 0x08ff, 0x0a0a, 0];
const PROTOCOLS = ['http/1.1', 'h2', 'http/1.0', 'h', '', 'http/1.1\0', 'x'.repeat(255), 'ftp'];

/* The parts of a ClientHello that the server accepts.  `session` is the session to resume. */
export const valid = (random, session) => ({
	version: 0x0303,
	random: random.bytes(32),
	id: session?.id ?? Buffer.alloc(0),
	suites: session ? [session.suite] : [0xc02b],
	compression: Buffer.of(0),
	extensions: [
		[EXTENSION.name, contents.name('localhost')],
		[EXTENSION.curves, contents.curves(...CURVES)],
		[EXTENSION.formats, contents.formats()],
		[EXTENSION.signatures, contents.signatures(...SIGNATURES)],
		[EXTENSION.alpn, contents.alpn('http/1.1')],
		[EXTENSION.renegotiation, contents.renegotiation()],
	],
	lies: {}, /* errors of lengths, by name */
	type: 1,
	record: { type: RECORD.handshake, version: 0x0301 },
	cuts: [], /* offsets at which a record ends within the message */
	tail: Buffer.alloc(0), /* bytes after it, in its last record */
});

/* The handshake message. */
export function message(hello) {
	const { lies } = hello;
	const list = hello.extensions.map(([type, data]) =>
		Buffer.concat([number(type, 2), vector(data, 2, type === lies.type ? lies.extension : 0)]));
	const body = Buffer.concat([
		number(hello.version, 2), hello.random, vector(hello.id, 1, lies.id),
		vector(words(...hello.suites), 2, lies.suites),
		vector(hello.compression, 1, lies.compression),
		hello.bare ? Buffer.alloc(0) : vector(Buffer.concat(list), 2, lies.extensions),
	]);
	return Buffer.concat([Buffer.of(hello.type), vector(body, 3, lies.message), hello.tail]);
}

/* The handshake message in records. */
export function records(hello) {
	const bytes = message(hello), parts = [];
	const ends = hello.cuts.map(cut => cut % bytes.length).sort((a, b) => a - b);
	let start = 0;
	for (const end of [...ends, bytes.length]) {
		for (let at = start; at === start || at < end; at += 16384) /* an empty one if they are equal */
			parts.push(Buffer.concat([Buffer.of(hello.record.type), number(hello.record.version, 2),
				vector(bytes.subarray(at, Math.min(end, at + 16384)), 2, hello.lies.record)]));
		start = end;
	}
	return Buffer.concat(parts);
}

const some = (random, known, other) => {
	const list = Array.from({ length: random.below(6) },
		() => random.pick(random.chance(3) ? other : known));
	return random.chance(20) ? list.concat(Array(random.pick([100, 1000])).fill(list[0] ?? 0)) : list;
};

const protocols = random => contents.alpn(...Array.from({ length: random.below(5) },
	() => random.pick(PROTOCOLS)));

/* Replaces the contents of an extension, or adds it. */
function put(hello, type, data) {
	const at = hello.extensions.findIndex(([one]) => one === type);
	if (at < 0)
		hello.extensions.push([type, data]);
	else
		hello.extensions[at] = [type, data];
}

const lie = (random, hello, where) => {
	hello.lies[where] = random.pick([-40, -3, -2, -1, 1, 2, 3, 40, 255, 30000]);
};

const anyExtension = random => random.pick([...Object.values(EXTENSION), random.below(65536)]);

/* Mutations of a ClientHello, by name. */
const mutations = {
	alpn: (random, hello) => put(hello, EXTENSION.alpn, protocols(random)),
	foreign: (random, hello) => put(hello, EXTENSION.alpn, contents.alpn('h2')),
	foreignLast(random, hello) {
		hello.extensions = hello.extensions.filter(([type]) => type !== EXTENSION.alpn);
		put(hello, EXTENSION.alpn, contents.alpn(random.pick(PROTOCOLS.slice(1))));
	},
	alpnTwice(random, hello) {
		hello.extensions.push([EXTENSION.alpn, protocols(random)]);
		random.shuffle(hello.extensions);
	},
	alpnBytes: (random, hello) => put(hello, EXTENSION.alpn, random.bytes(random.below(20))),
	absent: (random, hello) => hello.extensions.splice(random.below(hello.extensions.length), 1),
	empty: (random, hello) => put(hello, anyExtension(random), Buffer.alloc(0)),
	twice: (random, hello) => hello.extensions.push(random.pick(hello.extensions)),
	oversized: (random, hello) => put(hello, anyExtension(random),
		random.bytes(random.pick([300, 4000, 17000, 30000]))),
	garbage: (random, hello) => put(hello, anyExtension(random), random.bytes(random.below(40))),
	order: (random, hello) => random.shuffle(hello.extensions),
	many: (random, hello) => hello.extensions.push(...Array.from({ length: 200 },
		() => [random.below(65536), random.bytes(random.below(4))])),
	bare(random, hello) {
		hello.bare = true;
	},
	fragment: (random, hello) => put(hello, EXTENSION.fragment,
		random.chance(4) ? random.bytes(random.below(3)) : Buffer.of(random.below(6))),
	name: (random, hello) => put(hello, EXTENSION.name,
		contents.name('n'.repeat(random.pick([0, 1, 63, 254, 255, 256, 1000])))),
	names: (random, hello) => put(hello, EXTENSION.name, vector(Buffer.concat(Array.from(
		{ length: random.below(4) }, () => Buffer.concat([Buffer.of(random.below(2)),
			vector(random.bytes(random.below(300)), 2)]))), 2)),
	renegotiation: (random, hello) => put(hello, EXTENSION.renegotiation,
		vector(random.bytes(random.pick([0, 1, 12, 24, 255])), 1)),
	modern(random, hello) {
		put(hello, EXTENSION.versions, vector(words(0x0304, 0x0303), 1));
		put(hello, EXTENSION.keyShare, vector(Buffer.concat([words(29), vector(random.bytes(32), 2)]), 2));
		put(hello, EXTENSION.masterSecret, Buffer.alloc(0));
		put(hello, EXTENSION.ticket, Buffer.alloc(0));
	},
	id(random, hello) {
		hello.id = random.bytes(random.chance(3) ? random.below(256) : random.below(34));
	},
	almostId(random, hello) {
		hello.id = Buffer.from(hello.id);
		if (hello.id.length > 0)
			hello.id[random.below(hello.id.length)] ^= 1 << random.below(8);
	},
	shortId(random, hello) {
		hello.id = hello.id.subarray(0, random.below(33));
	},
	version(random, hello) {
		hello.version = random.pick([0, 0x0002, 0x0200, 0x0300, 0x0301, 0x0302, 0x0304, 0x0403, 0xffff]);
	},
	suites(random, hello) {
		hello.suites = some(random, SUITES, OTHER_SUITES);
	},
	moreSuites: (random, hello) => hello.suites.push(...some(random, SUITES, OTHER_SUITES)),
	otherSuite(random, hello) {
		hello.suites = [random.pick(SUITES)];
	},
	curves: (random, hello) => put(hello, EXTENSION.curves,
		contents.curves(...some(random, CURVES, OTHER_CURVES))),
	signatures: (random, hello) => put(hello, EXTENSION.signatures,
		contents.signatures(...some(random, SIGNATURES, OTHER_SIGNATURES))),
	compression(random, hello) {
		hello.compression = random.bytes(random.pick([0, 1, 2, 255]));
	},
	lieId: (random, hello) => lie(random, hello, 'id'),
	lieSuites: (random, hello) => lie(random, hello, 'suites'),
	lieCompression: (random, hello) => lie(random, hello, 'compression'),
	lieExtensions: (random, hello) => lie(random, hello, 'extensions'),
	lieExtension(random, hello) {
		hello.lies.type = random.pick(hello.extensions.length ? hello.extensions : [[0]])[0];
		lie(random, hello, 'extension');
	},
	lieMessage: (random, hello) => lie(random, hello, 'message'),
	lieRecord: (random, hello) => lie(random, hello, 'record'),
	cuts(random, hello) {
		hello.cuts = Array.from({ length: 1 + random.below(5) }, () => random.below(100000));
	},
	crumbs(random, hello) {
		hello.cuts = Array.from({ length: 400 }, (_, i) => i);
	},
	tail(random, hello) {
		hello.tail = random.bytes(1 + random.below(10));
	},
	twoMessages(random, hello) {
		hello.tail = message({ ...hello, tail: Buffer.alloc(0) });
	},
	type(random, hello) {
		hello.type = random.pick([0, 2, 11, 16, 20, 255]);
	},
	record(random, hello) {
		hello.record.type = random.pick([20, 22, 22, 23, 24, 0]);
		hello.record.version = random.pick([0x0300, 0x0303, 0x0304, 0x0403, 0]);
	},
};

/* The bytes of a ClientHello with up to four mutations, and the names of all changes. */
export function mutated(random, session) {
	const hello = valid(random, session);
	const done = [];
	for (let i = random.below(5); i > 0; i--) {
		const name = random.pick(Object.keys(mutations));
		if (hello.extensions.length === 0)
			break;
		mutations[name](random, hello);
		done.push(name);
	}
	let bytes = records(hello);
	if (random.chance(20)) {
		bytes = Buffer.from(bytes);
		bytes[random.below(bytes.length)] ^= 1 << random.below(8);
		done.push('a bit');
	}
	if (random.chance(30)) {
		bytes = bytes.subarray(0, random.below(bytes.length));
		done.push('cut off');
	}
	return { bytes, done };
}

/* The ID and the cipher suite of a session of node:tls. */
export function sessionOf(der) {
	/* SSL_SESSION is a SEQUENCE: version, TLS version, suite, ID, master secret, ... */
	const at = der.findIndex((_, i) => der[i] === 4 && der[i + 1] === 2
		&& der[i + 4] === 4 && der[i + 5] === 32);
	assert(at >= 0, 'a session with an ID');
	return { suite: der.readUInt16BE(at + 2), id: der.subarray(at + 6, at + 38) };
}

const HELLO = 2, DONE = 14;

/* The extensions of a ServerHello's body. */
function extensions(body) {
	const found = new Map();
	let at = 2 + 32 + 1 + 32 + 2 + 1;
	if (body.length === at)
		return found;
	assert.equal(body.readUInt16BE(at), body.length - at - 2, 'the length of the extensions');
	for (at += 2; at < body.length;) {
		const length = body.readUInt16BE(at + 2);
		found.set(body.readUInt16BE(at), body.subarray(at + 4, at + 4 + length));
		at += 4 + length;
	}
	assert.equal(at, body.length);
	return found;
}

/* Reads the server's records: `kind`, with the alert's number or the contents of the ServerHello. */
function readAnswer(list) {
	if (list.length === 0)
		return { kind: 'close' };
	if (list[0][0] === RECORD.alert) {
		assert.equal(list.length, 1, 'nothing comes after an alert');
		assert.equal(list[0].length, 7);
		return { kind: 'alert', level: list[0][5], alert: list[0][6] };
	}
	const types = list.map(record => record[0]);
	const resumed = types.includes(RECORD.change);
	/* The messages up to ChangeCipherSpec, in one record or more. */
	const end = resumed ? types.indexOf(RECORD.change) : types.length;
	let bytes = Buffer.concat(list.slice(0, end)
		.filter(record => record[0] === RECORD.handshake).map(record => record.subarray(5)));
	const messages = [];
	while (bytes.length >= 4) {
		const length = bytes.readUIntBE(1, 3);
		assert(bytes.length >= 4 + length, 'whole messages');
		messages.push([bytes[0], bytes.subarray(4, 4 + length)]);
		bytes = bytes.subarray(4 + length);
	}
	assert.equal(bytes.length, 0);
	assert.equal(messages[0][0], HELLO);
	const body = messages[0][1];
	if (resumed)
		assert.deepEqual(types.slice(end, end + 2), [RECORD.change, RECORD.handshake]);
	else
		assert.equal(messages.at(-1)[0], DONE);
	return {
		kind: resumed ? 'resumed' : 'full', random: body.subarray(2, 34), id: body.subarray(35, 67),
		extensions: extensions(body), messages,
		last: list.at(-1)[0],
	};
}

/* Sends the first bytes of a client and then FIN.  Returns what the server sends until it closes. */
export async function answer(server, bytes, pieces = [bytes]) {
	const tcp = net.connect({ host: server.host, port: server.port, noDelay: true, allowHalfOpen: true });
	const got = [];
	server.clients.add(tcp);
	tcp.on('data', data => got.push(data));
	tcp.on('error', () => {}); /* a reset is an end like any other */
	await bounded(once(tcp, 'connect'), 'a connection');
	for (const piece of pieces)
		await flushed(tcp, piece);
	tcp.end();
	await over(tcp);
	tcp.destroy();
	server.clients.delete(tcp);
	const all = Buffer.concat(got);
	if (bytes[0] !== RECORD.handshake && all.toString('latin1').startsWith('HTTP/1.1 400 '))
		return { kind: 'plain' };
	const { records: list, rest } = split(all);
	assert.equal(rest.length, 0, 'whole records');
	return readAnswer(list);
}

const hello = changes => records({ ...valid(new Random(1)), ...changes });
const header = (type, length, version = 0x0301) =>
	Buffer.concat([Buffer.of(type), number(version, 2), number(length, 2)]);

/* A ClientHello's first byte, so that the server expects TLS, then a fatal alert. */
const alert = code => Buffer.concat([header(RECORD.handshake, 1), Buffer.of(1),
	header(RECORD.alert, 2), Buffer.of(2, code)]);

const sent = name => `${name.replaceAll('_', ' ')}, sent by the client${/cert|_ca/.test(name) ? ' (Cert)' : ''}`;
const alerts = {
	handshake_failure: 40, bad_certificate: 42, certificate_expired: 45, certificate_unknown: 46,
	illegal_parameter: 47, unknown_ca: 48, decrypt_error: 51, unexpected_message: 10,
	bad_record_mac: 20, record_overflow: 22, decode_error: 50, protocol_version: 70,
};

/*
 * First bytes of clients that make TLS fail: the name of the failure, what the log says, and the
 * bytes.
 */
export const failures = [
	['no_common_version', 'no common version', hello({ version: 0x0301 })],
	['no_common_cipher', 'no common cipher', hello({ suites: [0x002f] })],
	['no_common_alpn', 'no common alpn',
		hello({ extensions: [...valid(new Random(1)).extensions.filter(([type]) => type !== EXTENSION.alpn),
			[EXTENSION.alpn, contents.alpn('h2')]] })],
	['unexpected_message', 'unexpected message', hello({ type: 2 })],
	['record_overflow', 'record overflow', header(RECORD.handshake, 0x6000)],
	['decode_error', 'decode error', Buffer.concat([header(RECORD.handshake, 5), Buffer.of(1, 0, 0, 1, 0)])],
	['protocol_version', 'protocol version', header(RECORD.handshake, 5, 0x0909)],
	['other', 'alert 113, sent by the client', alert(113)],
	['other', 'BearSSL error 15', Buffer.concat([header(RECORD.handshake, 39),
		Buffer.of(1, 0, 0, 250, 3, 3), Buffer.alloc(32), Buffer.of(33)])],
	...Object.entries(alerts).map(([name, code]) => [name, sent(name), alert(code)]),
];
