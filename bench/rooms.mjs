/* The signaller in Node: connect, broadcast, ping and disconnect, over any transport with `send(text)`. */
const rooms = new Map(); /* each a Map of user ids to connections */

const header = (Event, UserId, RoomId) => ({ Header: { Event, UserId, RoomId }, Payload: '{}' });

function tellOthers(connection, packet) {
	const text = JSON.stringify(packet);
	for (const other of rooms.get(connection.room)?.values() ?? [])
		if (other !== connection)
			other.send(text);
}

function leave(connection, packet) {
	const { room, user } = connection;
	if (room === undefined)
		return;
	tellOthers(connection, packet ?? header('disconnect', user, room));
	const peers = rooms.get(room);
	peers.delete(user);
	if (peers.size === 0)
		rooms.delete(room);
	connection.room = connection.user = undefined;
}

function join(connection, packet) {
	const { UserId: user, RoomId: room } = packet.Header;
	leave(connection);
	if (!rooms.has(room))
		rooms.set(room, new Map());
	const peers = rooms.get(room);
	packet.Payload = String(peers.size === 0);
	peers.set(user, connection);
	Object.assign(connection, { room, user });
	const text = JSON.stringify(packet);
	for (const peer of peers.values())
		peer.send(text);
}

const events = {
	connect: join,
	broadcast: tellOthers,
	disconnect: leave,
	ping(connection, packet) {
		packet.Payload = JSON.stringify([...rooms.get(packet.Header.RoomId)?.keys() ?? []]);
		connection.send(JSON.stringify(packet));
	},
};

/* A connection.  Its transport calls `receive` and `close`. */
export class Connection {
	constructor(send) {
		this.send = send;
	}

	receive(text) {
		try {
			const packet = JSON.parse(text);
			events[packet.Header.Event]?.(this, packet);
		} catch (error) {
			this.send(JSON.stringify({ ...header('error', '', ''), Payload: error.message }));
		}
	}

	close() {
		leave(this);
	}
}
