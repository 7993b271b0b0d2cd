/* Every key of conf.c's table stands in each place that lists the keys, and nothing else does. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from './server.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const read = file => readFile(path.join(root, file), 'utf8');
const all = (text, pattern) => [...text.matchAll(pattern)].map(([, key]) => key);
const members = text => Object.keys(JSON.parse(text));

/* MaxPeers is max_peers in UCI's files, but TLS and SockJS are one word. */
const option = key => key === 'SockJS' ? 'sockjs' : key.replace(/(?<=[a-z])(?=[A-Z])/g, '_').toLowerCase();

const INIT = 'device/openwrt/videre/files/videre.init';

/* How each place is read, in its own spelling. */
const places = {
	'conf.json': members,
	'README.md': text => all(text.split('\n| key | default | meaning |\n')[1].split('\n\n')[0],
		/^\| (`.*?) \|/gm).flatMap(cell => all(cell, /`(\w+)`/g)),
	'videre.8': text => all(text.split('.Sh CONFIGURATION')[1].split('.Sh ')[0], /^\.It Ic (\w+)/gm),
	'test/fuzz/corpus/conf/all': members,
	'test/device/openwrt.test.mjs': text => all(/^const values = \{\n([^]*?)^\};/m.exec(text)[1], /^\t(\w+):/gm),
	[INIT]: text => all(text, /^\tput(?:_list| number| flag| string) (\w+) \w+$/gm),
};
const uci = {
	[INIT]: text => all(text, /^\tput(?:_list| number| flag| string) \w+ (\w+)$/gm),
	'device/openwrt/videre/files/videre.config': text => all(text, /^\t#?(?:option|list) (\w+) /gm),
};

test('every place that lists the configuration keys has all of them', async () => {
	const keys = all(/ keys\[\] = \{\n([^]*?)^\};/m.exec(await read('conf.c'))[1], /^\t\{ "(\w+)", [A-Z]+,/gm);
	assert(keys.length > 20, keys.join());

	const wrong = [];
	const compare = (file, found, expected) => {
		wrong.push(...expected.filter(key => !found.includes(key)).map(key => `${file} lacks ${key}`));
		wrong.push(...found.filter(key => !expected.includes(key)).map(key => `${file} has ${key}, which is no key`));
	};
	for (const [file, list] of Object.entries(places))
		compare(file, list(await read(file)), keys);
	for (const [file, list] of Object.entries(uci))
		compare(file, list(await read(file)), keys.map(option));

	/* The unit test reads values of each key. */
	const unit = await read('test/conf_test.c');
	compare('test/conf_test.c', keys.filter(key => new RegExp(`\\b${key}\\b`).test(unit)), keys);
	assert.deepEqual(wrong, []);
});
