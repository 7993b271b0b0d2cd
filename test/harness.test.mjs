/* The helpers of server.mjs and the list of failures, where a test fails. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { apart, patience, scratch, test } from './server.mjs';

const reporter = new URL('failures.mjs', import.meta.url).pathname;
const helpers = JSON.stringify(new URL('server.mjs', import.meta.url));

/* Runs a file of tests.  Returns its status, which is null if it does not end, and its output. */
async function runTests(t, text, ...options) {
	const file = path.join(await scratch(t), 'failing.test.mjs');
	await writeFile(file, `import { serve, test } from ${helpers};\n${text}`);
	const { NODE_TEST_CONTEXT, ...env } = process.env;
	return new Promise(resolve => execFile(process.execPath, [...options, file],
		{ env, timeout: 30_000 * patience, killSignal: 'SIGKILL' },
		(error, stdout) => resolve({ status: error === null ? 0 : error.code, stdout })));
}

test('a hook that fails keeps no server running, and hides no failure of another', async t => {
	if (!apart)
		return t.skip('needs its own servers');
	const { status, stdout } = await runTests(t, `
		test('a failure', async t => {
			await serve(t);
			t.after(() => { throw new Error('the first failure'); });
			await serve(t, { expect: [/a second failure/] });
			await serve(t);
		});
		test('a success', async t => { await serve(t); });`);
	assert.equal(status, 1, stdout);
	assert.match(stdout, /the first failure/);
	assert.match(stdout, /no line like .*a second failure/);
	assert.match(stdout, /^ok 2 - a success/m);
});

test('a run ends with a line for each failure, with its place and reason', async t => {
	const { status, stdout } = await runTests(t, `
		import { describe } from 'node:test';
		describe('a group', () => {
			test('success', () => {});
			test('not equal', () => { throw new Error('1 is not\\n  2'); });
		});
		test('a hook', t => t.after(() => { throw new Error('no end'); }));`,
	'--test', '--test-reporter', reporter);
	assert.equal(status, 1);
	assert.deepEqual(stdout.split('\n'),
		['failing.test.mjs:6: not equal: 1 is not 2', 'failing.test.mjs:8: a hook: no end', '']);
});
