/* Chromium and Firefox in two hosts of a network of namespaces (nat.mjs), and calls between their pages. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import puppeteer from 'puppeteer-core';
import { pair } from './certificate.mjs';
import { slowCameraOptions } from './chromium.mjs';
import { firefoxOptions } from './firefox.mjs';
import { Network, SERVER } from './nat.mjs';
import { enterRoom, watch } from './caller.mjs';
import { freePort, start } from './server.mjs';

/* Calls within a host would have a path that no cut affects. */
const UNWANTED = '--allow-loopback-in-peer-connection';

const launch = {
	chromium: executablePath => puppeteer.launch({ executablePath, headless: true, pipe: true,
		args: slowCameraOptions.args.filter(arg => arg !== UNWANTED)
			.map(arg => arg.replace('127.0.0.1', SERVER)) }),
	firefox: async (executablePath, network, i) => {
		const debuggingPort = await freePort();
		await network.forward(i, debuggingPort);
		return puppeteer.launch({ ...firefoxOptions, executablePath, debuggingPort, acceptInsecureCerts: true,
			extraPrefsFirefox: {
				...firefoxOptions.extraPrefsFirefox,
				'media.peerconnection.ice.loopback': false,
				'network.manage-offline-status': true,
			} });
	},
};

const programs = { chromium: slowCameraOptions.executablePath, firefox: firefoxOptions.executablePath };

export class Hosts {
	#browsers = [];
	#servers = new Set();

	static async create() {
		const hosts = new Hosts();
		try {
			await hosts.#start();
		} catch (error) {
			await hosts.end();
			throw error;
		}
		return hosts;
	}

	async #start() {
		this.directory = await mkdtemp(path.join(tmpdir(), 'videre-hosts-'));
		this.network = await Network.lay();
		this.network.connect();
		for (const i of [0, 1]) {
			const host = this.#browsers[i] = {};
			for (const [kind, run] of Object.entries(launch))
				host[kind] = await run(await this.network.program(this.directory, i, programs[kind]), this.network, i);
		}
	}

	/* Starts a server in the public segment. */
	async serve(options) {
		const { conf } = options ?? {};
		const server = await start({
			...options,
			tls: await pair('P-256', 'hosts', `subjectAltName=IP:${SERVER}`),
			conf: { Host: SERVER, ...conf },
			shell: `exec ${this.network.segment.enter.join(' ')} "$0" "$@"`,
		});
		this.#servers.add(server);
		server.exited.finally(() => this.#servers.delete(server)).catch(() => {});
		return server;
	}

	/* A page in a host that enters a room. */
	async enter(i, kind, server, room) {
		const context = await this.#browsers[i][kind].createBrowserContext();
		const page = await context.newPage();
		await page.evaluateOnNewDocument(watch);
		await enterRoom(page, `https://${SERVER}:${server.port}`, room);
		return Object.assign(page, { host: i, kind, close: () => context.close() });
	}

	async end() {
		await Promise.all(this.#browsers.flatMap(Object.values).map(browser => browser.close()));
		await Promise.all([...this.#servers].map(server => server.stop()));
		this.network?.end();
		await rm(this.directory, { recursive: true, force: true });
	}
}
