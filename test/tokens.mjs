/* Tokens of the tests' own, and servers that need them. */
import { createHmac } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { packet } from './client.mjs';
import { scratch, serve } from './server.mjs';

export const FIRST = 'the-first-secret-has-some-39-characters';
export const SECOND = 'the-second-secret-has-some-40-characters';
export const DAY = 86_400; /* seconds */

/* The log line of a refusal. */
export const REFUSED = / warn \S+ refused: ([^(]*) \(Tokens\): (?:room ~[0-9a-f]{8}|\/ice)(?:, and (\d+) other refusals since the last line)?$/;

export const now = () => Math.floor(Date.now() / 1000);

const encode = value => Buffer.from(JSON.stringify(value)).toString('base64url');

/* A token with these claims, and if they have no exp, of a day. */
export function sign(claims, secret = FIRST) {
	const input = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode({ exp: now() + DAY, ...claims })}`;
	return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
}

/* Starts a server with a file of secrets, and returns also the file and `put`, which writes it again. */
export async function serveTokens(t, { conf, secrets = [FIRST], start = serve, ...options } = {}) {
	const file = path.join(await scratch(t), 'secrets');
	const put = (...lines) => writeFile(file, lines.map(line => `${line}\n`).join(''), { mode: 0o600 });
	await put(...secrets);
	const started = await start(t, { conf: { Tokens: file, ...conf }, allow: [REFUSED], ...options });
	return { server: started, file, put };
}

/* A connect with a token in its Payload. */
export const connectWith = (token, user, room) => packet('connect', user, room, { Token: token });
