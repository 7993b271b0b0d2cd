/* What makes a defect harder to use, as it stands in the built files. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { describe, test } from 'node:test';
import { built } from '../server.mjs';
import { binaryOf, targets } from './targets.mjs';

const readelf = (file, ...options) => execFileSync('readelf', ['-W', ...options, file],
	{ encoding: 'utf8', maxBuffer: 1 << 26 });

/* Its program headers by type, with their flags and all that is said of them. */
function segments(file) {
	const header = /^ {2}(\w+) +(?:0x\w+ ){3}0x\w+ 0x\w+ ([R ][W ][E ]) /gm;
	return [...readelf(file, '-l').matchAll(header)].map(([, type, flags]) => ({ type, flags }));
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
const symbols = file => readelf(file, '-s');
const isProtected = file => /\b__stack_chk_fail/.test(symbols(file));

/* The targets of which each is claimed. */
const PIE = ['x86_64', 'i386', 'aarch64', 'armhf', 'armel', 'riscv64', 'powerpc'];
const RELRO = PIE;

for (const target of targets)
	for (const tls of [true, false])
		describe(`${target.name} ${tls ? 'with' : 'without'} TLS`, () => {
			const file = binaryOf(target, { tls, symbols: true });
			const packed = binaryOf(target, { tls });

			test('keeps code and data apart', () => isApart(packed));

			test('has the stack protector', () => assert(isProtected(file)));

			for (const [what, has, claimed] of [
				['is position-independent', isPie, PIE],
				['has relocated data protected', hasRelro, RELRO],
			])
				test(`${what}: ${claimed.includes(target.name)}`, () =>
					assert.equal(has(file), claimed.includes(target.name)));
		});

describe('the ordinary build', () => {
	const file = built('VIDERE_PLAIN', 'videre');
	/* One of our own objects: the libraries have been hardened by others. */
	const object = built('OBJECT_PLAIN', 'build/plain/web.o');

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
