#!/usr/bin/python3
"""Records what the peers in a room of a videre server send: a file for each track.  It sends them nothing.

    apt install python3-websockets python3-aiortc
    ./record.py wss://router.lan:1111/echo/websocket kitchen recordings --ca ca.crt
"""
import argparse
import asyncio
import json
import os
import re
import secrets
import signal
import ssl
import sys
import time
from pathlib import Path

from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.media import MediaRecorder
from aiortc.sdp import candidate_from_sdp
import websockets


def trust(file):
    """A TLS context that trusts the authority in a file, DER or PEM; without a file those of the system."""
    if not file:
        return ssl.create_default_context()
    data = Path(file).read_bytes()
    return ssl.create_default_context(cadata=data.decode() if data.startswith(b'-----') else data)


class Call:
    """A connection to a peer, and what records its tracks."""

    def __init__(self, session, directory):
        self.session, self.recorders = session, []
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))  # aiortc's default is a public STUN server
        path = os.path.join(directory, f'{time.strftime("%Y-%m-%d-%H-%M-%S")}-{secrets.token_hex(4)}')

        @self.connection.on('track')
        def record(track):
            recorder = MediaRecorder(f'{path}-{track.kind}.mkv')
            recorder.addTrack(track)
            self.recorders.append(recorder)

    async def apply(self, description):
        await self.connection.setRemoteDescription(RTCSessionDescription(description['sdp'], description['type']))
        for recorder in self.recorders:
            await recorder.start()

    async def add(self, candidate):
        parsed = candidate_from_sdp(candidate['candidate'].removeprefix('candidate:'))
        parsed.sdpMid, parsed.sdpMLineIndex = candidate.get('sdpMid'), candidate.get('sdpMLineIndex')
        await self.connection.addIceCandidate(parsed)

    async def close(self):
        await self.connection.close()
        for recorder in self.recorders:
            await recorder.stop()


class Room:
    """The room, from one connection to the server to the next."""

    def __init__(self, options, socket):
        self.options, self.socket, self.calls = options, socket, {}

    async def send(self, event, payload, **header):
        header = {'Event': event, 'UserId': self.options.user, 'RoomId': self.options.room, **header}
        await self.socket.send(json.dumps({'Header': header, 'Payload': payload}))

    async def stay(self):
        token = self.options.token
        await self.send('connect', {'Token': token} if token else '', Instance=secrets.token_hex(8))
        try:
            async for text in self.socket:
                try:
                    packet = json.loads(text)
                    await self.receive(packet['Header']['Event'], packet['Header']['UserId'], packet.get('Payload'))
                except Exception as error:  # whatever a peer has sent, the other calls go on
                    print(f'{text[:100]}: {error!r}', file=sys.stderr)
        finally:
            for peer in list(self.calls):
                await self.end(peer)

    async def receive(self, event, peer, payload):
        if event == 'error' and payload != 'no such peer':
            print(payload, file=sys.stderr)  # such as: room is full
            await self.socket.close()
        elif event == 'connect' and peer != self.options.user:
            await self.offer(peer)
        elif event == 'disconnect':
            await self.end(peer)
        elif event == 'broadcast' and payload['To'] == self.options.user:
            await self.signal(peer, self.calls.get(peer), **payload)

    async def signal(self, peer, call, Session=None, Description=None, Candidate=None, Again=False, **_):
        isOurs = call and Session == call.session
        if Again or isOurs and Description and Description['type'] == 'offer':
            await self.offer(peer)  # the peer looks for another way: aiortc needs another connection for it
        elif Description and Description['type'] == 'offer':
            call = await self.begin(peer, Session)
            await call.apply(Description)
            await call.connection.setLocalDescription(await call.connection.createAnswer())
            await self.describe(peer, call)
        elif isOurs and Description:
            await call.apply(Description)
        elif isOurs and Candidate['candidate']:
            await call.add(Candidate)

    async def offer(self, peer):
        call = await self.begin(peer, secrets.token_hex(8))
        for kind in 'audio', 'video':
            call.connection.addTransceiver(kind, direction='recvonly')
        await call.connection.setLocalDescription(await call.connection.createOffer())
        await self.describe(peer, call)

    async def describe(self, peer, call):
        """Sends an offer or an answer, which has the candidates."""
        kind, sdp = call.connection.localDescription.type, call.connection.localDescription.sdp
        if kind == 'offer':  # aiortc 1.4 gives two header extensions one number, which Chromium refuses
            sdp = re.sub(r'a=extmap:.*\r\n', '', sdp)
        await self.send('broadcast', {'To': peer, 'Session': call.session, 'Name': self.options.name,
                                      'Description': {'type': kind, 'sdp': sdp}}, To=peer)

    async def begin(self, peer, session):
        await self.end(peer)
        self.calls[peer] = Call(session, self.options.directory)
        return self.calls[peer]

    async def end(self, peer):
        if peer in self.calls:
            await self.calls.pop(peer).close()


async def main():
    parser = argparse.ArgumentParser(description='Records what the peers in a room of a videre server send')
    parser.add_argument('url', help='of the WebSocket, such as wss://router.lan:1111/echo/websocket')
    parser.add_argument('room')
    parser.add_argument('directory', help='for the files; made if it does not exist')
    parser.add_argument('--user', default=secrets.token_hex(8), help='the UserId; with a token, the one that it is for')
    parser.add_argument('--name', default='recorder', help='shown to the peers')
    parser.add_argument('--token')
    parser.add_argument('--ca', help="the server's /ca.crt, or the certificate of videre -k")
    options = parser.parse_args()
    os.makedirs(options.directory, exist_ok=True)
    tls = trust(options.ca) if options.url.startswith('wss:') else None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asyncio.current_task().cancel)
    while True:
        socket = None
        try:
            async with websockets.connect(options.url, ssl=tls) as socket:
                await Room(options, socket).stay()
        except asyncio.CancelledError:
            return
        except (OSError, websockets.WebSocketException) as error:
            print(error, file=sys.stderr)
        if socket and socket.close_code == 4001:
            sys.exit('the same user has joined from elsewhere')
        await asyncio.sleep(2)

asyncio.run(main())
