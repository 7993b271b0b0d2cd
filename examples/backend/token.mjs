/*
 * Gives users of a site the tokens for their rooms, in Node.
 *
 *     npm install jose
 *     node token.mjs SECRETS [PORT]
 *
 * SECRETS is the file of videre's configuration key Tokens.  A page gets its token with
 *
 *     new Room('kitchen', { token: async () => (await fetch('/token?room=kitchen')).text() })
 */
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { SignJWT } from 'jose';

const [file, port = 8080] = process.argv.slice(2);
const [secret] = (await readFile(file, 'utf8')).split('\n');
const members = { kitchen: ['ann', 'bob'], garden: ['bob'] };

/* The user that is signed in.  Replace this: here a proxy on this machine signs users in, and sets the field. */
const userOf = request => request.headers['x-remote-user'];

/* A token for one user and one room.  The server checks it when the user joins, so a minute is enough. */
const tokenFor = (user, room) => new SignJWT({ room, sub: user })
	.setProtectedHeader({ alg: 'HS256' }).setExpirationTime('1 minute').sign(new TextEncoder().encode(secret));

const server = createServer(async (request, response) => {
	const { pathname, searchParams } = new URL(`http://localhost${request.url}`);
	const user = userOf(request), room = searchParams.get('room');
	const status = pathname !== '/token' ? 404 : !user ? 401
		: !Object.hasOwn(members, room) || !members[room].includes(user) ? 403 : 200;
	response.writeHead(status, { 'Content-Type': 'text/plain', 'Cache-Control': 'no-store' });
	response.end(status === 200 ? await tokenFor(user, room) : '');
});
server.listen(port, '127.0.0.1', () => console.log(`listening on 127.0.0.1:${server.address().port}`));
