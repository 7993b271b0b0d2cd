/* The binaries that `make device-test` builds, and the emulators that run them. */
import { execFile, execFileSync } from 'node:child_process';
import { cp, mkdir, symlink } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { scratch, wrapped } from '../server.mjs';

const execute = promisify(execFile);
export const root = fileURLToPath(new URL('../..', import.meta.url));

/* Where an emulator maps the program's memory, which separates it from the emulator's own. */
export const GUEST = 0x200000000000n;

/* The targets of device.mk: name, prefix of the tools, and processors to test on. */
export const targets = execFileSync('make', ['--silent', '--no-print-directory', 'list-targets'],
	{ cwd: root, encoding: 'utf8' }).trim().split('\n').map(line => {
	const [name, tools, ...processors] = line.split(' ');
	return { name, tools, processors };
});

/* A target's binary, stripped as in the package, or with symbols. */
export const binaryOf = ({ name }, { tls = true, symbols = false } = {}) => path.join(root,
	`build/device${tls ? '' : '-notls'}/${name}/videre${symbols ? '' : '.stripped'}`);

/* Writes a program that runs the binary on an emulated processor.  Returns its path. */
export async function emulate(directory, binary, processor) {
	if (processor === 'native')
		return binary;
	const [arch, cpu] = processor.split(':');
	return wrapped(directory, binary, `qemu-${arch}-static -cpu ${cpu} -B ${GUEST}`);
}

/*
 * Runs the tests of a file of test/ whose names match `only`; none may fail.  Returns the names of those
 * that passed and of those that were skipped.
 */
export async function runTests(file, only, variables) {
	const { NODE_TEST_CONTEXT, ...env } = process.env; /* not a subtest of this run */
	const child = execute(process.execPath, ['--test-reporter=tap', `--test-name-pattern=${only}`,
		path.join(root, 'test', file)], {
		timeout: 600_000, killSignal: 'SIGKILL', maxBuffer: 1 << 26, cwd: path.join(root, 'test'),
		env: { ...env, ...variables },
	});
	const { stdout } = await child.catch(({ message, stdout }) => {
		const failed = stdout.match(/^ *not ok [^]*?^ +\.\.\.$/gm) ?? [stdout];
		throw new Error(`${message}\n${failed.join('\n')}`);
	});
	const tests = /^ *ok \d+ - (.*?)( # SKIP.*)?\n +---\n.*\n(?! +type: 'suite')/gm;
	const names = { passed: [], skipped: [] };
	for (const [, name, skip] of stdout.matchAll(tests))
		if (!/does not match pattern/.test(skip))
			names[skip ? 'skipped' : 'passed'].push(name);
	return names;
}

/*
 * A copy of all files that git has of the project; with `toolchain`, archives can be built there.  `below` is its
 * path in a temporary directory.
 */
export async function copy(t, { toolchain = false, below = '' } = {}) {
	const there = path.join(await scratch(t), below);
	const { stdout } = await execute('git', ['ls-files', '-z'], { cwd: root });
	for (const file of stdout.split('\0').filter(name => name !== '')) {
		await mkdir(path.dirname(path.join(there, file)), { recursive: true });
		await cp(path.join(root, file), path.join(there, file));
	}
	if (toolchain)
		await symlink(path.join(root, 'toolchain'), path.join(there, 'toolchain'));
	return there;
}
