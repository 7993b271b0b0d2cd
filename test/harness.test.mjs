/* The helpers of server.mjs, where a test fails. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { apart, scratch, test } from './server.mjs';

const helpers = JSON.stringify(new URL('server.mjs', import.meta.url));

/* Runs a file of tests.  Returns its status, which is null if it does not end, and its output. */
async function runTests(t, text) {
	const file = path.join(await scratch(t), 'failing.mjs');
	await writeFile(file, `import { serve, test } from ${helpers};\n${text}`);
	const { NODE_TEST_CONTEXT, ...env } = process.env;
	return new Promise(resolve => execFile(process.execPath, [file],
		{ env, timeout: 30_000, killSignal: 'SIGKILL' },
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
