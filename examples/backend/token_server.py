#!/usr/bin/python3
"""Gives users of a site the tokens for their rooms, in Python.

    apt install python3-jwt
    ./token_server.py SECRETS [PORT]

SECRETS is the file of videre's configuration key Tokens.  A page gets its token with

    new Room('kitchen', { token: async () => (await fetch('/token?room=kitchen')).text() })
"""
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import jwt

with open(sys.argv[1], encoding='ascii') as secrets:
    SECRET = secrets.readline().strip()
MEMBERS = {'kitchen': ['ann', 'bob'], 'garden': ['bob']}


def token_for(user, room):
    """A token for one user and one room.  The server checks it when the user joins, so a minute is enough."""
    return jwt.encode({'room': room, 'sub': user, 'exp': int(time.time()) + 60}, SECRET, 'HS256')


class Handler(BaseHTTPRequestHandler):
    def user(self):
        """The user that is signed in.  Replace this: here a proxy on this machine signs users in, and sets the field."""
        return self.headers.get('X-Remote-User')

    def do_GET(self):
        url = urlsplit(self.path)
        user, room = self.user(), parse_qs(url.query).get('room', [''])[0]
        status = 404 if url.path != '/token' else 401 if not user else 200 if user in MEMBERS.get(room, []) else 403
        body = token_for(user, room) if status == 200 else ''
        self.send_response(status)
        self.send_header('Content-Type', 'text/plain')
        self.send_header('Cache-Control', 'no-store')
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())


server = ThreadingHTTPServer(('127.0.0.1', int(sys.argv[2]) if len(sys.argv) > 2 else 8080), Handler)
print(f'listening on 127.0.0.1:{server.server_port}', flush=True)
server.serve_forever()
