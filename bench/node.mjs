/* Shared by both Node servers: listens on a free port, with HTTPS if the arguments are `CERT KEY`, else HTTP. */
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { createRequire } from 'node:module';

/* The packages are in test/node_modules. */
export const packages = createRequire(new URL('../test/', import.meta.url));

export function listen() {
	const [cert, key] = process.argv.slice(2).map(file => readFileSync(file));
	const server = cert ? https.createServer({ cert, key }) : http.createServer();
	process.on('SIGTERM', () => process.exit());
	server.listen({ port: 0, host: '127.0.0.1', backlog: 512 }, () =>
		console.error(`node info - listening on 127.0.0.1:${server.address().port}`));
	return server;
}
