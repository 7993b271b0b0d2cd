/* `make install` and `make uninstall`, as packagers run them. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, readFile, readdir, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { environment } from './make.mjs';
import { scratch, test } from './server.mjs';

const execute = promisify(execFile);
const root = fileURLToPath(new URL('..', import.meta.url));

/* As a packager's shell would run it, with a umask that must not matter; a compiler would fail. */
const makeWith = (env, ...args) => execute('sh', ['-c', 'umask 077; exec make --silent "$@"', 'make',
	'CC=false', ...args], { cwd: root, env: { ...environment, ...env } });
const make = (...args) => makeWith({}, ...args);

/* Every file there, or directory, with its mode. */
async function tree(directory) {
	const names = await readdir(directory, { recursive: true });
	return Promise.all(names.sort().map(async name => {
		const { mode } = await stat(path.join(directory, name));
		return `${name} ${(mode & 0o7777).toString(8)}`;
	}));
}

/* When what is built was last written. */
const times = async () => (await execute('find', ['build/plain', 'videre', '-printf', '%p %T@\n'],
	{ cwd: root })).stdout;

const INSTALLED = ['sbin/videre 755', 'share/man/man8/videre.8 644',
	...['CHANGELOG.md', 'CONTRIBUTING.md', 'LICENSE', 'README.md', 'SECURITY.md', 'conf.json', 'page.png']
		.map(name => `share/doc/videre/${name} 644`),
	...(await readdir(path.join(root, 'doc'))).map(name => `share/doc/videre/doc/${name} 644`)];
const DIRECTORIES = ['sbin 755', 'share 755', 'share/doc 755', 'share/doc/videre 755', 'share/doc/videre/doc 755', 'share/man 755',
	'share/man/man8 755'];

for (const [where, args, prefix] of [['/usr/local', [], 'usr/local'], ['any PREFIX', ['PREFIX=/opt/v'], 'opt/v']])
	test(`it is installed below DESTDIR and ${where}, without a compiler, and again`, async t => {
		const destination = await scratch(t);
		const before = await times();
		for (let i = 0; i < 2; i++) {
			await make('install', `DESTDIR=${destination}`, ...args);
			const [first] = prefix.split('/');
			assert.deepEqual(await tree(path.join(destination, prefix)),
				[...DIRECTORIES, ...INSTALLED].sort());
			assert.deepEqual(await readdir(destination), [first]);
		}
		assert.equal(await times(), before, 'nothing was built');
		const { stdout } = await execute(path.join(destination, prefix, 'sbin/videre'), ['-V']);
		assert.match(stdout, /^videre /);
	});

test('all files that README links to are installed', async () => {
	const readme = await readFile(path.join(root, 'README.md'), 'utf8');
	for (const [, name] of readme.matchAll(/\]\((?!https?:)([^)#]+)/g))
		assert(INSTALLED.includes(`share/doc/videre/${name} 644`), name);
});

/*
 * Where DESTDIR or PREFIX is not read from the environment, the files still arrive below the scratch
 * directory, because the other variable leads there.
 */
test('DESTDIR and PREFIX can stand in the environment', async t => {
	const destination = await scratch(t);
	const prefix = path.join(destination, 'prefix');
	const below = path.join(destination, 'DESTDIR', prefix);
	const PREFIX = `PREFIX=${prefix}`, DESTDIR = path.join(destination, 'DESTDIR');
	await makeWith({ DESTDIR }, 'install', PREFIX);
	assert.deepEqual(await tree(below), [...DIRECTORIES, ...INSTALLED].sort());
	assert.deepEqual(await readdir(destination), ['DESTDIR']);
	await makeWith({ DESTDIR }, 'uninstall', PREFIX);
	assert(!(await tree(below)).some(name => name.startsWith('sbin/')), 'uninstalled');

	await makeWith({ PREFIX: '/opt/v' }, 'install', `DESTDIR=${DESTDIR}`);
	assert.deepEqual(await tree(path.join(DESTDIR, 'opt/v')), [...DIRECTORIES, ...INSTALLED].sort());
	await makeWith({ DESTDIR: path.join(destination, 'both'), PREFIX: '/opt/v' }, 'install', `DESTDIR=${DESTDIR}`);
	assert.deepEqual(await readdir(destination), ['DESTDIR'], 'the command line overrides the environment');
});

test('what is uninstalled leaves everything else', async t => {
	const destination = await scratch(t);
	const local = path.join(destination, 'usr/local');
	await mkdir(path.join(destination, 'etc'));
	await writeFile(path.join(destination, 'etc/videre.json'), 'mine');
	await make('install', `DESTDIR=${destination}`);
	await writeFile(path.join(local, 'sbin/other'), 'other');
	await make('uninstall', `DESTDIR=${destination}`);
	const shared = DIRECTORIES.filter(name => !name.startsWith('share/doc/videre'));
	assert.deepEqual(await tree(local), [...shared, 'sbin/other 644'].sort());
	assert.equal(await readFile(path.join(destination, 'etc/videre.json'), 'utf8'), 'mine');
	await make('uninstall', `DESTDIR=${destination}`);
});
