/* Chromium gets the ICE servers from another origin, and calls through coturn's relay with them. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { SignJWT } from 'jose';
import { chromium } from 'playwright-core';
import { browserOptions } from './chromium.mjs';
import { bounded, scratch, serve, test } from './server.mjs';
import { serveTurn } from './turn.mjs';

/* In the page: connects two ends over relayed candidates alone, and sends a message. */
async function callThroughRelay([url, token]) {
	const response = await fetch(url, { headers: { Authorization: `Bearer ${token}` } });
	const { iceServers } = await response.json();
	const configuration = { iceServers, iceTransportPolicy: 'relay' };
	const caller = new RTCPeerConnection(configuration), callee = new RTCPeerConnection(configuration);
	caller.onicecandidate = ({ candidate }) => candidate && callee.addIceCandidate(candidate);
	callee.onicecandidate = ({ candidate }) => candidate && caller.addIceCandidate(candidate);
	const channel = caller.createDataChannel('test');
	channel.onopen = () => channel.send('hello');
	const received = new Promise(resolve => {
		callee.ondatachannel = event => event.channel.onmessage = ({ data }) => resolve(data);
	});
	await caller.setLocalDescription();
	await callee.setRemoteDescription(caller.localDescription);
	await callee.setLocalDescription();
	await caller.setRemoteDescription(callee.localDescription);
	const data = await received;
	const local = [...(await caller.getStats()).values()].filter(({ type }) => type === 'local-candidate')
		.map(({ candidateType }) => candidateType);
	return { status: response.status, data, local: [...new Set(local)], iceServers };
}

test('a page of another origin makes a call through the relay', async t => {
	const TURN = 'north', TOKENS = 't'.repeat(32);
	const dir = await scratch(t), file = name => path.join(dir, name);
	await writeFile(file('turn'), `${TURN}\n`, { mode: 0o600 });
	await writeFile(file('tokens'), `${TOKENS}\n`, { mode: 0o600 });
	const port = await serveTurn(t, TURN);
	const server = await serve(t, { conf: {
		TLS: false, Tokens: file('tokens'), TurnSecret: file('turn'),
		IceServers: [`stun:127.0.0.1:${port}`, `turn:127.0.0.1:${port}?transport=udp`, `turn:127.0.0.1:${port}?transport=tcp`],
	} });
	const other = await serve(t, { conf: { TLS: false } });
	const token = await new SignJWT({ exp: Math.floor(Date.now() / 1000) + 60, sub: 'Ann Ä' })
		.setProtectedHeader({ alg: 'HS256' }).sign(Buffer.from(TOKENS));
	const browser = await chromium.launch(browserOptions);
	t.after(() => browser.close());
	const page = await browser.newPage();
	await page.goto(`http://127.0.0.1:${other.port}/echo`);
	const { status, data, local, iceServers } = await bounded(
		page.evaluate(callThroughRelay, [`http://127.0.0.1:${server.port}/ice`, token]), 'a message', 30_000);
	assert.deepEqual({ status, data, local }, { status: 200, data: 'hello', local: ['relay'] });
	assert.match(iceServers[1].username, /^\d+:Ann%20%c3%84$/);
});
