/* Which objects `make` compiles again after a change, and what `make help` lists. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cp, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { environment } from './make.mjs';
import { scratch, test } from './server.mjs';

const execute = promisify(execFile);
const root = fileURLToPath(new URL('..', import.meta.url));

/* The settings that compile fastest. */
const FAST = { TLS: '0', CFLAGS: '-O0', LDFLAGS: '' };
const words = settings => Object.entries(settings).map(([name, value]) => `${name}=${value}`);

/* Four objects, where more would only take longer. */
const SOME = ['json', 'page', 'rate', 'rooms'];
const goals = SOME.map(name => `build/plain-notls/${name}.o`);

/* A copy of what `make` and `make install` need. */
async function copy(t) {
	const dir = await scratch(t);
	const { stdout } = await execute('sh', ['-c', 'echo *.c *.h *.md *.html *.js *.json *.png *.8 Makefile device.mk LICENSE doc'],
		{ cwd: root });
	await Promise.all(stdout.trim().split(' ').map(name => cp(path.join(root, name), path.join(dir, name), { recursive: true })));

	/* The objects that `make` compiles with these settings, from its command line or its environment. */
	const make = async (goal = goals, settings = FAST, env = {}) => {
		const { stdout: commands } = await execute('make', [...goal, ...words(settings)],
			{ cwd: dir, env: { ...environment, ...env } });
		return [...commands.matchAll(/ -c -o \S+\/(\S+)\.o /g)].map(([, name]) => name).sort();
	};
	/* A compiler that makes empty files. */
	await writeFile(path.join(dir, 'stub'), '#!/bin/sh\nwhile [ $# -gt 0 ]; do [ "$1" != -o ] || : >"$2"; shift; done\n',
		{ mode: 0o755 });
	const touch = name => utimes(path.join(dir, name), new Date(), new Date());
	return { dir, make, touch };
}

/* The headers that a file of the project includes, directly or through others. */
async function includes(name) {
	const text = await readFile(path.join(root, name), 'utf8').catch(() => ''); /* page_data.h is generated */
	const direct = [...text.matchAll(/^#include "(.*)"$/gm)].map(([, header]) => header);
	return new Set([...direct, ...(await Promise.all(direct.map(includes))).flatMap(set => [...set])]);
}

test('an object is compiled again if its source or a header of it changes', async t => {
	const { make, touch } = await copy(t);
	assert.deepEqual(await make(), SOME);
	assert.deepEqual(await make(), []);
	await touch('rate.c');
	assert.deepEqual(await make(), ['rate']);
	for (const header of ['json.h', 'page.h', 'rate.h', 'text.h']) {
		const users = [];
		for (const name of SOME)
			if ((await includes(`${name}.c`)).has(header))
				users.push(name);
		assert(users.length > 0, header);
		await touch(header);
		assert.deepEqual(await make(), users, header);
		assert.deepEqual(await make(), []);
	}
	for (const file of ['index.html', 'videre.js']) {
		await touch(file);
		assert.deepEqual(await make(), ['page'], file);
	}
});

test('a removed header does not stop the build', async t => {
	const { dir, make } = await copy(t);
	const file = path.join(dir, 'rate.c');
	const source = await readFile(file, 'utf8');
	await writeFile(path.join(dir, 'removed.h'), '');
	await writeFile(file, `#include "removed.h"\n${source}`);
	assert.deepEqual(await make(), SOME);
	await rm(path.join(dir, 'removed.h'));
	await writeFile(file, source);
	assert.deepEqual(await make(), ['rate']);
});

test('everything is compiled again with other settings, and once', async t => {
	const { make } = await copy(t);
	const first = { ...FAST, CC: './stub' };
	const objects = await make(['videre'], first);
	assert(objects.length > 20, objects.join());
	for (const other of [{ CFLAGS: '-O1' }, { CPPFLAGS: '-DOTHER' }, { LDFLAGS: '-s' }, { CC: './stub -w' }]) {
		assert.deepEqual(await make(['videre'], { ...first, ...other }), objects, words(other).join());
		assert.deepEqual(await make(['videre'], { ...first, ...other }), []);
	}
	const env = { TLS: '0', CC: './stub -x', CPPFLAGS: '-w', CFLAGS: '-O0 -DOTHER', LDFLAGS: '-s' };
	assert.deepEqual(await make(['videre'], {}, env), objects);
	assert.deepEqual(await make(['videre'], env), [], 'the environment and the command line are the same');
	for (const name of ['CC', 'CPPFLAGS', 'CFLAGS', 'LDFLAGS'])
		assert.deepEqual(await make(['videre'], {}, { ...env, [name]: `${env[name]} -DANOTHER` }), objects, name);
});

test('make install compares no settings, and compiles a changed file', async t => {
	const { dir, make, touch } = await copy(t);
	const install = CC => make(['install'], { TLS: '0', DESTDIR: path.join(dir, 'installed'), CC });
	assert((await make(['videre'], { ...FAST, CC: './stub' })).length > 20);
	assert.deepEqual(await install('false'), []);
	await touch('rate.c');
	await assert.rejects(install('false'), /rate\.o/);
	assert.deepEqual(await install('./stub'), ['rate']);
});

test('make help lists every target that is not a file', async () => {
	const rules = await Promise.all(['Makefile', 'device.mk'].map(name => readFile(path.join(root, name), 'utf8')));
	const phony = rules.flatMap(text => /^\.PHONY: ((?:.*\\\n)*.*)/m.exec(text)[1].match(/[\w-]+/g));
	const { stdout } = await execute('make', ['help'], { cwd: root, env: environment });
	const listed = [...stdout.matchAll(/^([\w-]+) +\S.*$/gm)].map(([, name]) => name);
	assert.deepEqual(listed.sort(), phony.filter(name => name !== 'FORCE').sort());
});
