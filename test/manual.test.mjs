/* The manual page agrees with doc/ and the program. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { before, describe } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { codes, tableOf } from './documents.mjs';
import { run, scratch, test } from './server.mjs';

const execute = promisify(execFile);
const root = fileURLToPath(new URL('..', import.meta.url));
const file = name => path.join(root, name);

describe('the manual page', () => {
	let source, page, configuration, operations, protocol;

	before(async () => {
		source = await readFile(file('videre.8'), 'utf8');
		const { stdout } = await execute('mandoc', ['-Tascii', '-Owidth=500', file('videre.8')]);
		page = stdout.replace(/.\x08/g, ''); /* bold and underlined are struck twice */
		configuration = await readFile(file('doc/configuration.md'), 'utf8');
		operations = await readFile(file('doc/operations.md'), 'utf8');
		protocol = await readFile(file('doc/protocol.md'), 'utf8');
	});

	/* The entries of a section's list: [what is described, how]. */
	function entries(section) {
		const [, text] = new RegExp(`^${section}\\n([^]*?)^(?=\\S)`, 'm').exec(page);
		return [...text.matchAll(/^ {5}(\S.*?)(?:\n| {2,})((?: {6,}\S.*\n)*|\S.*\n)/gm)]
			.map(([, tag, said]) => [tag, said.trim()]);
	}

	/* The rows of a table of configuration.md or operations.md, without marks of code. */
	const rows = (text, head) => tableOf(text, head).map(row => row.map(cell => cell.replaceAll('`', '')));

	/* What the program says of a configuration that is wrong. */
	async function objection(t, text) {
		const cwd = await scratch(t);
		await writeFile(path.join(cwd, 'conf.json'), text);
		const { code, stderr } = await run(['-n'], { cwd });
		assert.equal(code, 1);
		return stderr;
	}

	const keysOf = async t => {
		const [, list] = /the keys are (.*)/.exec(await objection(t, '{"?": 0}'));
		return list.split(', ');
	};

	test('passes mandoc -Tlint', async () => {
		const { stdout } = await execute('mandoc', ['-Tlint', '-Wall', file('videre.8')]);
		assert.equal(stdout, '');
	});

	test('has the options of -h, and no other', async () => {
		const { stdout } = await run(['-h']);
		const options = stdout.match(/^ {2}-\w( [A-Z]+)?/gm).map(option => option.trim().toLowerCase());
		const told = entries('DESCRIPTION').map(([tag]) => tag).filter(tag => /^-/.test(tag));
		assert.deepEqual(told.map(tag => tag.replace(/(^-[kt]).*/, '$1').toLowerCase()).sort(),
			options.sort());
	});

	test('has the keys of the program and of configuration.md, with the same defaults', async t => {
		const keys = await keysOf(t);
		const described = entries('CONFIGURATION')
			.flatMap(([tag]) => /^(\w+) \((.*)\)$/.exec(tag)?.slice(1, 3).join(' ') ?? []);
		const tabled = rows(configuration, 'key').flatMap(([names, defaults]) => {
			const [values, list] = [defaults.split(', '), names.split(', ')];
			return list.map((key, i) => `${key} ${list.length > 1 ? values[i] : defaults}`);
		});
		assert.deepEqual(tabled.map(line => line.split(' ')[0]), keys);
		assert.deepEqual(described, tabled);
	});

	test('has the range of every key, as configuration.md has', async t => {
		const described = Object.fromEntries(entries('CONFIGURATION')
			.map(([tag, said]) => [tag.split(' ')[0], said]));
		const tabled = Object.fromEntries(rows(configuration, 'key').flatMap(([names, , ...said]) =>
			names.split(', ').map(key => [key, said.join(' | ')])));
		for (const key of await keysOf(t)) {
			const rule = (await objection(t, `{"${key}": {}}`)).split(' must be ')[1].split(', not ')[0];
			const [, low, high] = /number from (\d+) to (\d+)/.exec(rule) ?? [];
			const [, most] = /list of (at most \d+)/.exec(rule) ?? [];
			const words = high !== undefined ? [`${low} to ${high}`] : most !== undefined ? [most]
				: rule.startsWith('one of ') ? rule.slice('one of '.length).split(', ') : [];
			for (const word of words)
				assert(described[key].includes(word), `${key}: ${word}`);
			for (const word of high !== undefined ? [high] : words)
				assert(tabled[key].includes(word), `configuration.md, ${key}: ${word}`);
		}
	});

	test('has every signal that operations.md has', () => {
		assert.deepEqual(entries('SIGNALS').map(([tag]) => tag), rows(operations, 'signal').map(([tag]) => tag));
	});

	/* The same from the source, for sections whose entries contain only text: [tag, text]. */
	function items(section) {
		const [, text] = new RegExp(`^\\.Sh ${section}\\n([^]*?)^\\.Sh `, 'm').exec(source);
		return [...text.matchAll(/^\.It (?:Li )?(.*?)(?: Pq (.*))?\n((?:(?!\.).*\n)*)/gm)]
			.map(([, tag, more, said]) => [more ? `${tag} (${more})` : tag, said.trim().replaceAll('\n', ' ')]
				.map(one => one.replaceAll('\\(dq', '"')));
	}

	/* A cell of a table without its marks of code and links; as a sentence. */
	const plain = cell => cell.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').replaceAll('`', '');
	const sentence = text => text === '' ? '' : `${text[0].toUpperCase()}${text.slice(1)}.`;

	test('has the limits of configuration.md', () => {
		assert.deepEqual(items('LIMITS'), tableOf(configuration, 'what | limit |').map(row => {
			const [what, limit, beyond] = row.map(plain);
			return [what, `${limit.replace(' (see Memory)', '')}: ${beyond}.`];
		}));
	});

	test('has the metrics of operations.md', () => {
		assert.deepEqual(items('METRICS'), tableOf(operations, 'metric | unit |')
			.map(([name, , , meaning]) => [codes(name)[0], `${meaning}.`]));
	});

	test('has the error packets of protocol.md', () => {
		const errors = tableOf(protocol, 'Payload | cause |').filter(([, , cause]) => codes(cause)[0] !== 'token');
		const tokens = tableOf(protocol, 'Payload | `videre_tokens');
		assert.deepEqual(items('ERROR PACKETS'), [...errors.map(([text, cause]) => [plain(text), sentence(plain(cause))]),
			...tokens.map(([text]) => [plain(text), ''])]);
	});

	test('has the close codes of protocol.md', () => {
		assert.deepEqual(items('CLOSE CODES'), tableOf(protocol, 'code | reason |')
			.map(([code, reason, cause]) => [`${code} (${plain(reason)})`, sentence(plain(cause))]));
	});
});
