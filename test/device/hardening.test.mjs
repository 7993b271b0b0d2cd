/* The protections against exploits in the built files. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFile, stat } from 'node:fs/promises';
import { describe, test } from 'node:test';
import { built, scratch, serve } from '../server.mjs';
import { binaryOf, emulate, runTests, targets } from './targets.mjs';

const readelf = (file, ...options) => execFileSync('readelf', ['-W', ...options, file],
	{ encoding: 'utf8', maxBuffer: 1 << 26 });

/* The program headers: type, where the contents end in the file, and flags. */
function segments(file) {
	const header = /^ {2}(\w+) +(0x\w+) (?:0x\w+ ){2}(0x\w+) 0x\w+ ([R ][W ][E ]) /gm;
	return [...readelf(file, '-l').matchAll(header)]
		.map(([, type, offset, size, flags]) => ({ type, end: Number(offset) + Number(size), flags }));
}

/* Nothing that can be written can be run, and no code has to be written at the start. */
function isApart(file) {
	const all = segments(file);
	const stack = all.filter(({ type }) => type === 'GNU_STACK');
	assert.deepEqual(stack.map(({ flags }) => flags), ['RW ']);
	const loaded = all.filter(({ type }) => type === 'LOAD');
	assert(loaded.length >= 2);
	for (const { flags } of loaded)
		assert.notEqual(flags.slice(1), 'WE');
	assert.doesNotMatch(readelf(file, '-d'), /TEXTREL/);
}

const isPie = file => / Type: +DYN /.test(readelf(file, '-h'));
const hasRelro = file => segments(file).some(({ type }) => type === 'GNU_RELRO');

/* The rights of those pages of a running server that only its start may write to. */
async function rightsOfRelocated({ pid }, file) {
	const [vaddr, size] = / GNU_RELRO +0x\w+ (0x\w+) (?:0x\w+ ){2}(0x\w+) /.exec(readelf(file, '-l'))
		.slice(1).map(BigInt);
	const maps = (await readFile(`/proc/${pid}/maps`, 'utf8')).trim().split('\n').map(line => {
		const [, from, to, rights, name] = /^(\w+)-(\w+) (\S+) \S+ \S+ \d+ *(.*)$/.exec(line);
		return { from: BigInt(`0x${from}`), to: BigInt(`0x${to}`), rights, name };
	});
	const { from: base } = maps.find(({ name }) => name === file);
	const page = address => base + address / 4096n * 4096n;
	return maps.filter(({ from, to }) => from < page(vaddr + size) && page(vaddr) < to)
		.map(({ rights }) => rights);
}

const symbols = file => readelf(file, '-s');
const isProtected = file => /\b__stack_chk_fail/.test(symbols(file));

/* The others need no relocation, so nothing of theirs is written to at the start. */
const PIE = ['x86_64', 'i386', 'aarch64', 'armhf', 'armel', 'riscv64', 'powerpc'];

for (const target of targets)
	for (const tls of [true, false])
		describe(`${target.name} ${tls ? 'with' : 'without'} TLS`, () => {
			const file = binaryOf(target, { tls, symbols: true });
			const packed = binaryOf(target, { tls });

			test('keeps code and data apart', () => isApart(packed));

			test('has only what a kernel loads', async () => {
				const loaded = segments(packed).filter(({ type }) => type === 'LOAD');
				assert.equal((await stat(packed)).size, Math.max(...loaded.map(({ end }) => end)));
				assert.match(readelf(packed, '-h'), /Number of section headers: +0\n/);
			});

			test('has the stack protector', () => assert(isProtected(file)));

			const claimed = PIE.includes(target.name);
			test(`is position-independent: ${claimed}`, () => assert.equal(isPie(packed), claimed));

			if (claimed)
				test('protects relocated data when it has started', async t => {
					const binary = await emulate(await scratch(t), packed, target.processors[0]);
					const rights = await rightsOfRelocated(await serve(t, { binary }), packed);
					assert(rights.length > 0);
					assert(rights.every(each => each === 'r--p'), rights.join());
				});
		});

/* The filter must have the system calls that musl makes. */
test('the packed x86_64 build does all its work in the sandbox', {
	skip: process.arch !== 'x64' && 'needs x86_64', timeout: 300_000,
}, async () => {
	const { passed } = await runTests('sandbox.test.mjs', '.',
		{ VIDERE_PLAIN: binaryOf(targets.find(({ name }) => name === 'x86_64')) });
	assert(passed.length >= 5, passed.join());
});

describe('the ordinary build', () => {
	const file = built('VIDERE_PLAIN', 'videre');
	/* One of our own objects: the libraries have been hardened by others.  This one copies a
	   number of bytes that the compiler can not know into an array whose size it knows. */
	const object = built('OBJECT_PLAIN', 'build/plain/websocket.o');

	test('keeps code and data apart', () => isApart(file));
	test('is position-independent', () => assert(isPie(file)));
	test('has relocated data protected, and all of it relocated at the start', () => {
		assert(hasRelro(file));
		assert.match(readelf(file, '-d'), /\bNOW\b/);
	});
	test('has the stack protector', () => assert(isProtected(object)));
	test('checks the sizes that libc is given', () =>
		assert.match(symbols(object), /\b__memcpy_chk\b/));
});
