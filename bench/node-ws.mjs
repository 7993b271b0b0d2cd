/* A server of the benchmark with npm's `ws`. */
import { Connection } from './rooms.mjs';
import { listen, packages } from './node.mjs';

const HEARTBEAT = 25_000; /* milliseconds, the same in all servers */

const { WebSocketServer } = packages('ws');
const sockets = new WebSocketServer({ server: listen(), path: '/echo/websocket' });

sockets.on('connection', socket => {
	const connection = new Connection(text => socket.send(text));
	socket.on('message', data => connection.receive(data.toString()));
	socket.on('close', () => connection.close());
	socket.on('error', () => {});
});

setInterval(() => sockets.clients.forEach(socket => socket.ping()), HEARTBEAT);
