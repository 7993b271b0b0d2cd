/*
 * Calls for photographs: the page is real, its peers are WebSocket clients, and a stand-in for RTCPeerConnection
 * shows drawn people.  So 16 people cost no more than 16 small canvases.
 */
import { addressed, open } from './client.mjs';
import { until } from './pages.mjs';

/*
 * Runs in the page, before its script.  The description of a peer's answer is JSON:
 *   state    the connectionState that follows
 *   look     a number that chooses colours
 *   portrait true for a camera that is higher than wide
 *   status   the first message on the data channel
 */
export function actors() {
	function paint(canvas, look) {
		const { width, height } = canvas, c = canvas.getContext('2d'), size = Math.min(width, height);
		const ellipse = (color, x, y, rx, ry) => {
			c.fillStyle = color;
			c.beginPath();
			c.ellipse(width * x, height - size * y, size * rx, size * ry, 0, 0, 7);
			c.fill();
		};
		c.fillStyle = ['#7d95a6', '#b9a68c', '#8fa58a', '#a58c9d', '#c4b9a5', '#6f7f8f'][look % 6];
		c.fillRect(0, 0, width, height);
		c.fillStyle = '#fff4';
		c.fillRect(width * (look % 2 ? .08 : .68), height * .08, width * .24, height * .4);
		ellipse(['#2f2622', '#6b4a2b', '#1c1c22', '#8a5a34'][look % 4], .5, .66, .21, .26);
		ellipse(['#31536b', '#7a3b3b', '#3f5d45', '#5b4a7a', '#3b3b3b'][look % 5], .5, 0, .4, .3);
		ellipse(['#e0b394', '#c58f6c', '#8d5d40', '#f0cbb0'][look % 4], .5, .58, .16, .21);
	}

	function camera(look, portrait) {
		const canvas = document.createElement('canvas');
		[canvas.width, canvas.height] = portrait ? [240, 320] : [320, 240];
		paint(canvas, look);
		const [track] = canvas.captureStream(1).getTracks();
		setInterval(() => paint(canvas, look), 1000);
		return track;
	}

	window.RTCPeerConnection = class {
		connectionState = 'new';
		#channel = { readyState: 'connecting', send() {} };

		createDataChannel() {
			return this.#channel;
		}

		getTransceivers() {
			return [];
		}

		getSenders() {
			return [];
		}

		getStats() {
			return [];
		}

		addTransceiver() {}
		close() {}

		async setLocalDescription() {
			this.localDescription = { type: 'offer', sdp: '' };
		}

		async setRemoteDescription({ sdp }) {
			const { state, look, portrait, status } = JSON.parse(sdp);
			this.remoteDescription = { sdp };
			this.connectionState = state;
			if (state === 'connected') {
				this.ontrack({ track: camera(look, portrait) });
				this.#channel.readyState = 'open';
				this.#channel.onopen();
				this.#channel.onmessage({ data: status ?? 'muted=false dark=false' });
			}
			this.onconnectionstatechange();
		}
	};

	const { mediaDevices } = navigator;
	const really = mediaDevices?.getUserMedia.bind(mediaDevices);
	if (really)
		mediaDevices.getUserMedia = async ({ audio, video }) => {
			const stream = await really({ audio, video: video && { width: 160, height: 120 } });
			const [real] = stream.getVideoTracks();
			if (!real)
				return stream;
			const drawn = camera(1, matchMedia('(pointer: coarse)').matches);
			const settings = real.getSettings();
			drawn.getSettings = () => settings;
			stream.addTrack(drawn);
			stream.removeTrack(real);
			real.stop();
			return stream;
		};
}

/* Joins with a client that answers each offer of the page. */
export async function enterActor(server, room, name, { status, ...answer }) {
	const client = await open(server);
	client.socket.on('message', data => {
		const { Header, Payload } = JSON.parse(data);
		if (Header.Event !== 'broadcast' || Payload.Description?.type !== 'offer')
			return;
		const Description = { type: 'answer', sdp: JSON.stringify({ state: 'connected', status, ...answer }) };
		client.send(addressed('broadcast', name, room, Header.UserId,
			{ To: Header.UserId, Session: Payload.Session, Description, Name: name }));
	});
	client.join(name, room);
	return client;
}

/* The page shows each tile in the state that its peer is in. */
export const shows = (page, count) => until(page, `${count} people`, expected => {
	const tiles = [...document.querySelectorAll('li')];
	return tiles.length === expected && tiles.every(tile => /no connection|camera off/.test(tile.textContent)
		|| tile.querySelector('video').videoWidth > 0);
}, count);
