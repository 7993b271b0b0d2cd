/* Each place that lists the configuration keys has every key of conf.c's table, and nothing else. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from './server.mjs';
import { optionOf } from './uci.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const read = file => readFile(path.join(root, file), 'utf8');
const all = (text, pattern) => [...text.matchAll(pattern)].map(([, found]) => found);
const between = (text, start, end) => text.split(start)[1]?.split(end)[0] ?? '';
const members = text => Object.keys(JSON.parse(text));

/* The keys of conf.c: name, type, and member of struct conf. */
const keys = [...between(await read('conf.c'), '} keys[] = {\n', '\n};').matchAll(
	/^\t\{ "(\w+)", ([A-Z]+),\s+offsetof\(struct conf, (\w+)\)/gm)]
	.map(([, name, type, member]) => ({ name, type, member }));

/* What videre.init calls for a key of each type, and what UCI has for its option. */
const uci = {
	NUMBER: ['put number', 'option'],
	FLAG: ['put flag', 'option'],
	STRING: ['put string', 'option'],
	LEVEL: ['put string', 'option'],
	ORIGINS: ['put_list', 'list'],
	NETWORKS: ['put_list', 'list'],
	SERVERS: ['put_list', 'list'],
};

/*
 * How the entries of each place are read, what the entry of a key is unless it is the key's name, and
 * which keys it has unless it has all.
 */
const places = {
	'conf.h': {
		entries: text => all(between(text, 'struct conf {\n', '\n};').replace(/\/\*.*?\*\//g, ''),
			/(\w+)(?:\[[^\]]*\])?;/g),
		entry: ({ member }) => member,
	},
	'conf.json': { entries: members },
	'doc/configuration.md': {
		entries: text => all(between(text, '\n| key | default | values | meaning |\n', '\n\n'), /^\| (`.*?) \|/gm)
			.flatMap(cell => all(cell, /`(\w+)`/g)),
	},
	'videre.8': {
		entries: text => all(between(text, '.Sh CONFIGURATION', '.Sh '), /^\.It Ic (\w+)/gm),
	},
	'device/openwrt/videre/files/videre.init': {
		entries: text => all(text, /^\t(put(?:_list|(?= )).*)$/gm),
		entry: ({ name, type }) => `${uci[type][0]} ${name} ${optionOf(name)}`,
	},
	'device/openwrt/videre/files/videre.config': {
		entries: text => all(text, /^\t#?((?:option|list) \w+) /gm),
		entry: ({ name, type }) => `${uci[type][1]} ${optionOf(name)}`,
	},
	'test/device/openwrt.test.mjs': {
		entries: text => all(between(text, '\nconst values = {\n', '\n};'), /^\t(\w+):/gm),
	},
	'test/conf.test.mjs': {
		entries: text => all(between(text, '\tconst ranges = {\n', '\n\t};'), /^\t\t(\w+):/gm),
		has: ({ type }) => type === 'NUMBER',
	},
	'test/fuzz/corpus/conf/all': { entries: members },
	'test/fuzz/corpus/conf/low': { entries: members, has: ({ type }) => type === 'NUMBER' },
	'test/fuzz/corpus/conf/high': { entries: members, has: ({ type }) => type === 'NUMBER' },
	/* Its checks; a flag has no value out of range. */
	'test/fuzz/conf_fuzz.c': {
		entries: text => [...new Set(all(between(text, '\ncheck_conf(', '\n}\n'), /\bc->(\w+)/g))],
		entry: ({ member }) => member,
		has: ({ type }) => type !== 'FLAG',
	},
	/* The text that has all keys, and the defaults. */
	'test/conf_test.c: every_key_is_read': {
		entries: text => all(between(text, '\nevery_key_is_read(', '\n}\n'), /\\"(\w+)\\":/g),
	},
	'test/conf_test.c: assert_defaults': {
		entries: text => all(between(text, '\nassert_defaults(', '\n}\n'), /\bc(?:->|, no_)(\w+)/g),
		entry: ({ member }) => member,
	},
};

const missing = (list, others) => list.filter(one => !others.includes(one));

test('every place that lists the configuration keys has all of them', async () => {
	assert(keys.length > 20, JSON.stringify(keys));
	const wrong = [];
	for (const [place, { entries, entry = ({ name }) => name, has = () => true }] of Object.entries(places)) {
		const found = entries(await read(place.split(':')[0]));
		const expected = keys.filter(has).map(entry);
		wrong.push(...missing(expected, found).map(one => `${place} lacks ${one}`),
			...missing(found, expected).map(one => `${place} has ${one}, which is not expected`),
			...found.filter((one, i) => found.indexOf(one) < i).map(one => `${place} has ${one} twice`));
	}
	const names = keys.map(({ name }) => name);
	wrong.push(...missing(members(await read('device/conf.json')), names)
		.map(one => `device/conf.json has ${one}, which is not expected`));
	assert.deepEqual(wrong, []);
});

/* videre.8 has the same defaults as configuration.md (manual.test.mjs), conf.json those of conf.c (conf_test.c). */
test('doc/configuration.md has the defaults of conf.json', async () => {
	const rows = between(await read('doc/configuration.md'), '\n| key | default | values | meaning |\n', '\n\n')
		.split('\n').slice(1).map(row => row.split(' | '));
	const defaults = Object.fromEntries(rows.flatMap(([cell, values]) => {
		const names = all(cell, /`(\w+)`/g);
		if (names[0] === 'SockJS') /* a URL that the table does not spell out */
			return [];
		const list = names.length > 1 ? JSON.parse(`[${values}]`) : [JSON.parse(values)];
		return names.map((name, i) => [name, list[i]]);
	}));
	const { SockJS, ...shipped } = JSON.parse(await read('conf.json'));
	assert.match(SockJS, /\/sockjs-client@1\.6\.1\//);
	assert.deepEqual(defaults, shipped);
});
