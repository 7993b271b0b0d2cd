/*
 * The table of doc/devices.md with the size of each target must be up to date: the packed binary, and the resident
 * memory of the server.  In an emulator that is the memory of the emulated program.  With VIDERE_SIZES=write
 * (`make sizes`) the measured rows are written there.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { after, describe, test as nodeTest } from 'node:test';
import { promisify } from 'node:util';
import { pair } from '../certificate.mjs';
import { joined, open } from '../client.mjs';
import { scratch, serve } from '../server.mjs';
import { GUEST, binaryOf, emulate, targets } from './targets.mjs';

const execute = promisify(execFile);
const test = (name, body) => nodeTest(name, { timeout: 300_000 }, body);

/* In KB, but for what a connection holds, in bytes. */
const LIMITS = { tls: 160, plain: 90, started: 200, connection: 575, secure: 14 * 1024 };

/* Where a limit is not kept, what is kept instead, so that it gets no worse. */
const ABOVE = {
	x86_64: { tls: 210, plain: 128, started: 300 },
	i386: { tls: 224, plain: 141, started: 312 },
	aarch64: { tls: 220, plain: 142, started: 304 },
	armhf: { tls: 176, plain: 116, started: 264 },
	armel: { tls: 198, plain: 122, started: 284 },
	mipsel: { tls: 251, plain: 162, started: 328 },
	mips: { tls: 251, plain: 162, started: 328 },
	riscv64: { tls: 197, plain: 129, started: 268 },
	powerpc: { tls: 244, plain: 159, started: 324 },
};

/* How far the table may be off: what is resident of a file is up to the kernel. */
const TOLERANCE = { tls: 3, plain: 3, started: 48 };

/* Instructions of a floating point unit: MIPS's coprocessor 1, ARM's VFP. */
const FLOATING = {
	mips: /\t(?:[ls][wd]x?c1|[cm][ft]h?c1|bc1|[a-z]+\.[sd]\b)/,
	mipsel: /\t(?:[ls][wd]x?c1|[cm][ft]h?c1|bc1|[a-z]+\.[sd]\b)/,
	armel: /\t(?:v[a-z]+\.f|v(?:ldr|str|ldm|stm|push|pop|mov|mrs|msr)|f(?:ld|st|mr|ms|add|mul|cpy)[a-z]*\b)/,
};

const kilobytes = bytes => Math.ceil(bytes / 1024);

/* The server's resident memory in bytes: all of it, and what no file backs. */
async function resident({ pid }, emulated) {
	const smaps = await readFile(`/proc/${pid}/smaps`, 'utf8');
	const total = { all: 0, anonymous: 0 };
	let counts;
	for (const line of smaps.split('\n')) {
		const [, start] = /^([0-9a-f]+)-[0-9a-f]+ /.exec(line) ?? [];
		if (start !== undefined)
			counts = !emulated || (BigInt(`0x${start}`) >= GUEST && BigInt(`0x${start}`) < 2n * GUEST);
		const [, name, kb] = /^(Rss|Anonymous): +(\d+) kB$/.exec(line) ?? [];
		if (name !== undefined && counts)
			total[name === 'Rss' ? 'all' : 'anonymous'] += 1024 * kb;
	}
	return total;
}

/* What a connection in a room adds to it, as the mean of `count` after a few others. */
async function perConnection(server, emulated, count) {
	const join = async user => {
		const client = await open(server);
		client.join(user, user);
		await client.gets(joined(user, user, true));
	};
	for (let i = 0; i < 5; i++)
		await join(`first ${i}`);
	const before = await resident(server, emulated);
	for (let i = 0; i < count; i++)
		await join(`user ${i}`);
	const { anonymous } = await resident(server, emulated);
	return Math.round((anonymous - before.anonymous) / count);
}

const conf = { MaxConnections: 1000, MaxPacket: 16384, LogLevel: 'info' };

async function measure(t, target) {
	const [processor] = target.processors;
	const emulated = processor !== 'native';
	const binary = await emulate(await scratch(t), binaryOf(target), processor);
	const size = async options => kilobytes((await stat(binaryOf(target, options))).size);
	const started = await serve(t, { binary });
	const plain = await serve(t, { binary, conf });
	const secure = await serve(t, { binary, conf, tls: await pair('P-256') });
	return {
		tls: await size(),
		plain: await size({ tls: false }),
		started: kilobytes((await resident(started, emulated)).all),
		connection: await perConnection(plain, emulated, 500),
		secure: await perConnection(secure, emulated, 40),
	};
}

const TABLE = new URL('../../doc/devices.md', import.meta.url);
const rowOf = (name, figures) => `| ${name} | ${Object.values(figures).join(' | ')} |`;

/* Replaces a target's row of the table. */
async function writeRow(name, figures) {
	const text = await readFile(TABLE, 'utf8');
	await writeFile(TABLE, text.replace(new RegExp(`^\\| ${name} \\|.*$`, 'm'), rowOf(name, figures)));
}

describe('each target', () => {
	const rows = [];

	after(() => console.log(`\n${rows.join('\n')}\n`));

	for (const target of targets)
		test(`${target.name} is as small as the table says, and within its limits`, async t => {
			const figures = await measure(t, target);
			rows.push(rowOf(target.name, figures));
			if (process.env.VIDERE_SIZES === 'write')
				await writeRow(target.name, figures);
			for (const [what, most] of Object.entries({ ...LIMITS, ...ABOVE[target.name] }))
				assert(figures[what] <= most, `${what}: ${figures[what]} instead of ${most}`);
			const [row] = new RegExp(`^\\| ${target.name} \\|.*$`, 'm').exec(await readFile(TABLE, 'utf8')) ??
				assert.fail('the table has no row for it');
			const told = row.split('|').slice(2, -1).map(Number);
			Object.entries(figures).forEach(([what, figure], i) =>
				assert(Math.abs(figure - told[i]) <= (TOLERANCE[what] ?? 0.05 * told[i]),
					`the table has ${row} instead of ${rowOf(target.name, figures)}`));
		});

	for (const target of targets.filter(({ name }) => name in FLOATING))
		test(`${target.name} has no instruction of a floating point unit`, async () => {
			const { stdout } = await execute(`${target.tools}-objdump`,
				['-d', '--no-show-raw-insn', binaryOf(target, { symbols: true })],
				{ maxBuffer: 1 << 26 });
			assert(stdout.split('\n').length > 20_000, 'it is all there');
			assert.deepEqual(stdout.split('\n').filter(line => FLOATING[target.name].test(line)), []);
		});
});
