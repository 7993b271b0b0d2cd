/* A server of the benchmark with npm's `sockjs`, which accepts plain WebSockets too. */
import { Connection } from './rooms.mjs';
import { listen, packages } from './node.mjs';

const service = packages('sockjs').createServer({ prefix: '/echo', log: () => {} });

service.on('connection', session => {
	const connection = new Connection(text => session.write(text));
	session.on('data', text => connection.receive(text));
	session.on('close', () => connection.close());
});

service.installHandlers(listen());
