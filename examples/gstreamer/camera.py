#!/usr/bin/python3
"""A board's camera as a peer in a room of a videre server.  It sends video to each other peer, and plays nothing.

    apt install python3-websockets python3-gst-1.0 gir1.2-gst-plugins-bad-1.0 gstreamer1.0-nice \\
        gstreamer1.0-plugins-good gstreamer1.0-plugins-bad
    ./camera.py wss://router.lan:1111/echo/websocket kitchen --ca ca.crt --source 'v4l2src device=/dev/video0 ! decodebin'

The video is encoded once.  The pipeline ends in a tee, and each call is a branch of it.
"""
import argparse
import asyncio
import contextlib
import json
import random
import re
import secrets
import signal
import ssl
import sys
from pathlib import Path
from urllib.parse import quote, urljoin
from urllib.request import Request, urlopen

import gi
for module in 'Gst', 'GstSdp', 'GstWebRTC':
    gi.require_version(module, '1.0')
from gi.repository import Gst, GstSdp, GstWebRTC
import websockets

PIPELINE = '{} ! videoconvert ! vp8enc deadline=1 cpu-used=8 target-bitrate=800000 ! tee name=tee allow-not-linked=true'
BRANCH = ('queue leaky=downstream ! rtpvp8pay picture-id-mode=15-bit pt={0} '
          '! application/x-rtp,media=video,encoding-name=VP8,payload={0} ! webrtcbin name=webrtc bundle-policy=max-bundle')


def trust(file):
    """A TLS context that trusts the authority in a file, DER or PEM; without a file those of the system."""
    if not file:
        return ssl.create_default_context()
    data = Path(file).read_bytes()
    return ssl.create_default_context(cadata=data.decode() if data.startswith(b'-----') else data)


class Call:
    """A connection to a peer."""

    def __init__(self, camera, peer, session, payload, servers):
        self.camera, self.peer, self.session, self.instance = camera, peer, session, None
        self.offered = self.absent = False  # our offer has no answer yet; the last ping did not list the peer
        self.branch = Gst.parse_bin_from_description(BRANCH.format(payload), True)
        self.webrtc = self.branch.get_by_name('webrtc')
        for url in servers:
            if url.startswith('stun'):
                self.webrtc.props.stun_server = url
            else:
                self.webrtc.emit('add-turn-server', url)
        self.webrtc.connect('on-ice-candidate', self.on_candidate)
        self.webrtc.connect('pad-added', self.on_pad)
        camera.pipeline.add(self.branch)
        self.branch.sync_state_with_parent()
        self.pad = camera.tee.request_pad_simple('src_%u')
        self.pad.link(self.branch.get_static_pad('sink'))

    def close(self):
        self.camera.tee.release_request_pad(self.pad)
        self.branch.set_state(Gst.State.NULL)
        self.camera.pipeline.remove(self.branch)
        del self.branch, self.webrtc  # which refer to this object, so its sockets would stay open

    def send(self, members):
        self.camera.send('broadcast', {'To': self.peer, 'Session': self.session, **members}, To=self.peer)

    def on_candidate(self, _, line, text):  # in a thread of GStreamer
        self.camera.loop.call_soon_threadsafe(self.send, {'Candidate': {'candidate': text, 'sdpMLineIndex': line}})

    @staticmethod
    def on_pad(webrtc, pad):  # in a thread of GStreamer
        """Discards what the peer sends.  Without a sink for it, GStreamer would end the connection."""
        if pad.direction == Gst.PadDirection.SRC:
            sink = Gst.parse_bin_from_description('fakesink sync=false async=false', True)
            webrtc.get_parent().add(sink)
            sink.sync_state_with_parent()
            pad.link(sink.get_static_pad('sink'))

    async def ask(self, action, *arguments):
        """Emits an action of webrtcbin.  Returns the promise, which owns the reply."""
        done = asyncio.Event()
        promise = Gst.Promise.new_with_change_func(lambda _: self.camera.loop.call_soon_threadsafe(done.set))
        self.webrtc.emit(action, *arguments, promise)
        await asyncio.wait_for(done.wait(), 10)
        return promise

    async def apply(self, kind, sdp):
        _, message = GstSdp.SDPMessage.new_from_text(sdp)
        description = GstWebRTC.WebRTCSessionDescription.new(getattr(GstWebRTC.WebRTCSDPType, kind.upper()), message)
        await self.ask('set-remote-description', description)

    async def describe(self, kind):
        """Sends an offer or an answer.  The candidates follow it."""
        self.webrtc.emit('get-transceiver', 0).props.direction = GstWebRTC.WebRTCRTPTransceiverDirection.SENDONLY
        promise = await self.ask(f'create-{kind}', None)
        reply = promise.get_reply()  # owns the description
        description = reply.get_value(kind)
        self.send({'Description': {'type': kind, 'sdp': description.sdp.as_text()},
                   'Name': self.camera.options.name, 'Instance': self.camera.instance})
        await self.ask('set-local-description', description)


class Camera:
    def __init__(self, options):
        self.options, self.calls, self.socket, self.loop = options, {}, None, asyncio.get_running_loop()
        self.tls = trust(options.ca) if options.url.startswith('wss:') else None
        self.servers = []  # for ICE, as webrtcbin takes them
        self.instance = secrets.token_hex(8)  # with the same one after a new connect, the peers keep their calls
        self.pipeline = Gst.parse_launch(PIPELINE.format(options.source))
        self.tee = self.pipeline.get_by_name('tee')
        self.bus = self.pipeline.get_bus()
        self.loop.add_reader(self.bus.get_pollfd().fd, self.read_bus)
        self.pipeline.set_state(Gst.State.PLAYING)

    def read_bus(self):
        """Ends the program if the source or the encoder fails."""
        errors = []
        while message := self.bus.pop():
            if message.type == Gst.MessageType.ERROR and 'webrtc' not in message.src.get_path_string():
                errors.append(message.parse_error()[0].message)
        if errors:
            sys.exit('\n'.join(errors))

    async def run(self):
        """Stays in the room.  Calls go on while the server is away."""
        while True:
            try:
                async with websockets.connect(self.options.url, ssl=self.tls) as self.socket:
                    token = self.options.token
                    self.send('connect', {'Token': token} if token else '', Instance=self.instance)
                    async for text in self.socket:
                        await self.receive(text)
            except (OSError, websockets.WebSocketException) as error:
                print(error, file=sys.stderr)
            if self.socket and self.socket.close_code == 4001:
                sys.exit('the same user has joined from elsewhere')
            await asyncio.sleep(1 + 2 * random.random())

    def leave(self):
        self.send('disconnect', {'Left': True})
        self.loop.call_soon(sys.exit)

    def send(self, event, payload, **header):
        header = {'Event': event, 'UserId': self.options.user, 'RoomId': self.options.room, **header}
        if self.socket:
            self.loop.create_task(self.put(json.dumps({'Header': header, 'Payload': payload})))

    async def put(self, text):
        with contextlib.suppress(websockets.ConnectionClosed):
            await self.socket.send(text)

    async def receive(self, text):
        peer = None
        try:
            packet = json.loads(text)
            event, peer, instance = (packet['Header'].get(key) for key in ('Event', 'UserId', 'Instance'))
            call, payload = self.calls.get(peer), packet.get('Payload')
            if event == 'error' and payload != 'no such peer':
                print(payload, file=sys.stderr)  # such as: room is full
                await self.socket.close()
            elif event == 'connect' and call and call.instance and call.instance == instance:
                pass  # it has lost the server alone
            elif event == 'connect' and peer != self.options.user:
                await self.offer(peer)
            elif event == 'disconnect' and payload == {'Left': True}:
                self.end(peer)
            elif event == 'ping':
                self.compare(json.loads(payload))
            elif event == 'broadcast' and payload['To'] == self.options.user:
                await self.signal(peer, call, **payload)
        except Exception as error:  # whatever a peer has sent, the other calls go on
            print(f'{peer}: {error!r}', file=sys.stderr)

    async def signal(self, peer, call, Session=None, Description=None, Candidate=None, Again=False, Instance=None, **_):
        if Again:
            await self.offer(peer)
        elif Description and Description['type'] == 'offer':
            await self.accept(peer, call, Session, Description['sdp'])
        elif call and Session == call.session and Description:
            call.offered = False
            await call.apply('answer', Description['sdp'])
        elif call and Session == call.session and Candidate['candidate']:
            call.webrtc.emit('add-ice-candidate', Candidate['sdpMLineIndex'], Candidate['candidate'])
        if Instance and peer in self.calls:
            self.calls[peer].instance = Instance

    async def begin(self, peer, session, payload):
        try:
            self.servers = await asyncio.to_thread(self.ice_servers)
        except (OSError, ValueError, KeyError) as error:
            print(f'/ice: {error}', file=sys.stderr)  # the previous servers stay
        self.end(peer)
        self.calls[peer] = Call(self, peer, session, payload, self.servers)
        return self.calls[peer]

    async def ping(self):
        """Looks for peers that are gone.  Those that the server has lost may still have their calls."""
        while True:
            await asyncio.sleep(self.options.ping)
            self.send('ping', '')

    def compare(self, peers):
        """Ends a call if its peer was absent the last time too."""
        for peer, call in list(self.calls.items()):
            if call.absent and peer not in peers:
                self.end(peer)
            call.absent = peer not in peers

    def end(self, peer):
        if peer in self.calls:
            self.calls.pop(peer).close()

    async def offer(self, peer):
        call = await self.begin(peer, secrets.token_hex(8), 96)
        call.offered = True
        await call.describe('offer')

    async def accept(self, peer, call, session, sdp):
        if call and call.offered and self.options.user < peer:
            return  # both offer, and this one wins
        if call and session == call.session:
            return await self.offer(peer)  # another way to the peer: webrtcbin needs another connection for it
        vp8 = re.search(r'^a=rtpmap:(\d+) VP8/90000', sdp, re.MULTILINE)
        call = await self.begin(peer, session, vp8[1])
        await call.apply('offer', sdp)
        await call.describe('answer')

    def ice_servers(self):
        """The IceServers of the server, as webrtcbin takes them."""
        url, found = urljoin(self.options.url.replace('ws', 'http', 1), '../ice'), []
        request = Request(url, headers={'Authorization': f'Bearer {self.options.token}'})
        with urlopen(request, timeout=5, context=self.tls) as answer:
            for server in json.load(answer)['iceServers']:
                login = ':'.join(quote(server[key], safe='') for key in ('username', 'credential') if key in server)
                urls = [server['urls']] if isinstance(server['urls'], str) else server['urls']
                found += [one.replace(':', f'://{login}@' if login else '://', 1) for one in urls]
        return found


async def main():
    parser = argparse.ArgumentParser(description='A camera as a peer in a room of a videre server')
    parser.add_argument('url', help='of the WebSocket, such as wss://router.lan:1111/echo/websocket')
    parser.add_argument('room')
    parser.add_argument('--source', default='videotestsrc is-live=true ! video/x-raw,width=640,height=480,framerate=15/1',
                        help='the camera, as elements of gst-launch-1.0; default: a test picture')
    parser.add_argument('--user', default=secrets.token_hex(8), help='the UserId; with a token, the one that it is for')
    parser.add_argument('--name', default='camera', help='shown to the peers')
    parser.add_argument('--token', default='')
    parser.add_argument('--ping', type=float, default=20, help='seconds between looks for peers that are gone; default: 20')
    parser.add_argument('--ca', help="the server's /ca.crt, or the certificate of videre -k")
    camera = Camera(parser.parse_args())
    camera.loop.add_signal_handler(signal.SIGTERM, camera.leave)
    try:
        await asyncio.gather(camera.run(), camera.ping())
    finally:
        camera.pipeline.set_state(Gst.State.NULL)

Gst.init(None)
asyncio.run(main())
