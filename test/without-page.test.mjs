/* The build without the page and the module (make PAGE=0). */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { chain, inDirectory } from './certificate.mjs';
import { Raw, gather, request } from './client.mjs';
import { built, serve, test } from './server.mjs';

const binary = built('VIDERE_NOPAGE', 'build/nopage/videre');

async function status(server, target, method = 'GET') {
	const raw = await Raw.connect(server);
	raw.write(request(target, { method, Connection: 'close' }));
	const answer = await raw.response({ bodiless: method === 'HEAD' });
	raw.destroy();
	return answer.status;
}

test('serves calls and the authority, but neither page nor module', async t => {
	const { texts, key, ca } = await chain('P-256', 'without a page');
	const cert = inDirectory('without-page.pem');
	await writeFile(cert, [...texts, ca].join(''));
	const server = await serve(t, { binary, tls: { cert, key, ca } });
	for (const target of ['/', '/videre.js'])
		for (const method of ['GET', 'HEAD', 'POST'])
			assert.equal(await status(server, target, method), 404, target);
	assert.equal(await status(server, '/ca.crt'), 200);
	const [a] = await gather(server, 'r', 'a', 'b');
	await a.close();
});

test('reports a page that the configuration turns on, and only then', async t => {
	const report = / info - no page: this build has none \(Page\)$/;
	const conf = { LogLevel: 'info' };
	await (await serve(t, { binary, conf: { ...conf, Page: true } })).lines.match(report);
	const { lines } = await serve(t, { binary, conf });
	assert.deepEqual(lines.all.filter(line => report.test(line)), []);
});

test('contains neither', async () => {
	const { stdout } = await promisify(execFile)('nm', [binary]);
	assert.match(stdout, / page_answer$/m);
	assert.doesNotMatch(stdout, / (page|module)_data$/m);
});
