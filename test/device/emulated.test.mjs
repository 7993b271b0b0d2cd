/* The binary of each target, in an emulator of each processor that it supports. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test as nodeTest } from 'node:test';
import { openssl } from '../certificate.mjs';
import { gather, left } from '../client.mjs';
import { run, serve } from '../server.mjs';
import { binaryOf, emulate, runTests, targets } from './targets.mjs';

const test = (name, body) => nodeTest(name, { timeout: 900_000 }, body);

/* What has to pass, and the fewest tests that this may be, lest a pattern match nothing. */
const suites = [
	['signalling over plain WebSocket', 'signalling.test.mjs', '.', {}, 120],
	['signalling over TLS', 'signalling.test.mjs', '.', { VIDERE_TLS: '1' }, 120],
	['signalling over SockJS', 'sockjs-signalling.test.mjs',
		'^peers over (websocket|xhr_streaming)', {}, 14],
];

for (const target of targets)
	for (const processor of target.processors)
		describe(`${target.name} on ${processor}`, () => {
			let directory, binary;
			const file = name => path.join(directory, name);

			before(async () => {
				directory = await mkdtemp(path.join(tmpdir(), 'videre-emulated-'));
				binary = await emulate(directory, binaryOf(target), processor);
			});
			after(() => rm(directory, { recursive: true, force: true }));

			test('-n checks a configuration', async () => {
				await writeFile(file('good.json'), '{"Port": 1}');
				await writeFile(file('bad.json'), '{\n"Port": 65536}');
				const good = await run(['-n', '-c', file('good.json')], { binary });
				assert.deepEqual(good,
					{ code: 0, stdout: `the configuration is valid: ${file('good.json')}`, stderr: '' });
				const bad = await run(['-c', file('bad.json')], { binary });
				assert.equal(bad.code, 1);
				assert.equal(bad.stderr,
					`${file('bad.json')}:2: Port must be a whole number from 0 to 65535, not 65536`);
			});

			test('-k makes a certificate, with which it serves until SIGTERM', async t => {
				const [cert, key] = [file('cert.pem'), file('key.pem')];
				const made = await run(['-k', cert, key, 'localhost', '127.0.0.1'], { binary });
				assert.equal(made.code, 0, made.stderr);
				const print = await openssl('x509', '-in', cert, '-noout', '-fingerprint', '-sha256');
				assert(made.stdout.includes(` ${print.trim().replace('sha256 Fingerprint=', '')}\n`), made.stdout);
				const server = await serve(t, { binary, tls: { cert, key, ca: await readFile(cert) } });
				const [a, b] = await gather(server, 'r', 'a', 'b');
				await b.close();
				await a.gets(left('b', 'r'));
				server.signal('SIGTERM');
				assert.equal((await a.closed()).code, 1001);
				assert.deepEqual(await server.exited, [0, null]);
			});

			for (const [what, tests, only, env, fewest] of suites)
				test(what, async t => {
					const { passed, skipped } = await runTests(tests, only,
						{ ...env, VIDERE: binary, VIDERE_PATIENCE: '4' });
					assert.deepEqual(skipped, []);
					assert(passed.length >= fewest, `only ${passed.length} tests`);
					t.diagnostic(`${passed.length} tests`);
				});
		});
