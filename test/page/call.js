/*
 * One end of a call between two.  It says what the real client says, in its order: the camera
 * first, then the socket, `connect`, and from there on whatever the server's packets ask for.
 * Everything that the test wants to know stands in window.state.
 */

const PING_INTERVAL = 1000; /* milliseconds */

const query = new URLSearchParams(location.search);
const user = query.get('user');
const room = query.get('room');

const state = window.state = {
	transport: null, /* what SockJS came to use */
	closed: null, /* the socket's close code, once it is closed */
	initiator: null, /* what the server said of this user */
	users: null, /* who is in the room, as the last ping told */
	call: 'none', /* the peer connection's state, 'none' while there is no peer connection */
	calls: 0, /* how many peer connections were begun */
	sent: [], /* packets, in order */
	received: [],
	errors: [],
};

/* SockJS would not wait as long as a busy machine may take. */
const SOCKJS_PATIENCE = 20_000; /* milliseconds for a transport to open */

/* By one of SockJS's transports, by `any` of them that it chooses, or without SockJS. */
function connect(url, transport) {
	if (!transport)
		return new WebSocket(url);
	const transports = transport === 'any' ? undefined : transport;
	return new SockJS(url, null, { transports, timeout: SOCKJS_PATIENCE });
}

let camera, socket, call;

const fail = error => state.errors.push(String(error));

function send(event, payload) {
	const packet = { Header: { Event: event, UserId: user, RoomId: room }, Payload: payload };
	const text = JSON.stringify(packet);
	state.sent.push(JSON.parse(text));
	socket.send(text);
}

function begin() {
	end();
	const mine = call = new RTCPeerConnection(); /* no STUN server: both ends are on this machine */
	state.call = call.connectionState;
	state.calls++;
	call.onconnectionstatechange = () => {
		if (call === mine)
			state.call = mine.connectionState;
	};
	call.ontrack = event => {
		document.getElementById('remote').srcObject = event.streams[0];
	};
	call.onicecandidate = ({ candidate }) => {
		if (call === mine && candidate)
			send('broadcast', {
				Type: 'Ice Candidate',
				sdpMLineIndex: candidate.sdpMLineIndex,
				candidate: candidate.candidate,
				sdpMid: candidate.sdpMid,
			});
	};
	for (const track of camera.getTracks())
		call.addTrack(track, camera);
}

function end() {
	if (!call)
		return;
	call.close();
	call = null;
	state.call = 'none';
	document.getElementById('remote').srcObject = null;
}

async function describe(type, description) {
	await call.setLocalDescription(description);
	send('broadcast', { Type: type, IcePacket: call.localDescription });
}

const on = {
	async connect({ Header, Payload }) {
		if (Header.UserId === user) {
			state.initiator = JSON.parse(Payload);
		} else if (state.initiator) {
			begin();
			await describe('Ice Offer', await call.createOffer());
		}
	},
	async broadcast({ Payload }) {
		switch (Payload.Type) {
		case 'Ice Offer':
			begin();
			await call.setRemoteDescription(Payload.IcePacket);
			await describe('Ice Answer', await call.createAnswer());
			break;
		case 'Ice Answer':
			await call.setRemoteDescription(Payload.IcePacket);
			break;
		case 'Ice Candidate':
			await call.addIceCandidate(Payload);
			break;
		}
	},
	ping({ Payload }) {
		state.users = JSON.parse(Payload);
	},
	disconnect() {
		end();
	},
	error({ Payload }) {
		fail(`server: ${Payload}`);
	},
};

async function start() {
	camera = await navigator.mediaDevices.getUserMedia({
		audio: true,
		video: { width: 160, height: 120, frameRate: 5 },
	});
	document.getElementById('local').srcObject = camera;

	let ping;
	let turn = Promise.resolve(); /* a packet waits until the one before it has been dealt with */
	socket = connect(query.get('signaller'), query.get('transport'));
	socket.onopen = () => {
		state.transport = socket.transport ?? null;
		send('connect', '{}');
		ping = setInterval(() => send('ping', '{}'), PING_INTERVAL);
	};
	socket.onmessage = ({ data }) => {
		turn = turn.then(() => {
			const packet = JSON.parse(data);
			state.received.push(packet);
			return on[packet.Header.Event](packet);
		}).catch(fail);
	};
	socket.onclose = ({ code }) => {
		clearInterval(ping);
		state.closed = code;
	};
}

start().catch(fail);
