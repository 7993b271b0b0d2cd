/* Makes tables of build/bench/results.json, and a picture of the main results. */
import { readFile, writeFile } from 'node:fs/promises';
import { built } from '../test/server.mjs';

const names = {
	videre: 'videre', relay: 'bare relay', lws: 'libwebsockets', ws: 'Node, ws', sockjs: 'Node, sockjs',
};
const order = Object.keys(names);
const titles = {
	plain: 'Processor per delivered packet: plain WebSocket',
	beside: 'The same beside idle connections, each in a room of its own; and joining, out of another room',
	sockjs: 'Processor per delivered packet: SockJS over WebSocket',
	tls: 'Processor per delivered packet: WebSocket over TLS 1.2',
	latency: 'Latency, 300 B in 50 rooms of 2',
	memory: 'Memory and idling',
	handshakes: 'TLS handshakes: 16 at a time',
	reconnect: 'Clients that connect at the same time over TLS, next to two that exchange 100 packets a second',
	calls: 'System calls, counted by strace, in a run slowed by it',
	size: 'Size',
};

const { about, results } = JSON.parse(await readFile(built('', 'build/bench/results.json'), 'utf8'));

function median(values) {
	const sorted = [...values].sort((a, b) => a - b);
	return sorted[Math.floor(sorted.length / 2)];
}

const number = value => value >= 100 ? Math.round(value).toLocaleString('en')
	: String(Number(value.toPrecision(value < 10 ? 2 : 3)));

/* The rows of a section: name, unit, and the median of each server. */
function rows(section) {
	const found = new Map();
	for (const { section: of, row, unit, server, values, user } of results) {
		if (of !== section)
			continue;
		const key = `${row}\0${unit}`;
		if (!found.has(key))
			found.set(key, { row, unit, medians: {}, shares: {} });
		found.get(key).medians[server] = median(values);
		found.get(key).shares[server] = user;
	}
	return [...found.values()];
}

/* A server's figure, the share of user space, and videre's figure as a part of another server's. */
function cell({ medians, shares }, name) {
	const value = medians[name], own = medians.videre;
	if (value === undefined)
		return '';
	const share = shares[name] === undefined ? '' : `, ${Math.round(shares[name] * 100)} %`;
	const part = name === 'videre' || !(value > 0) || own === undefined ? '' : ` (${number(own / value)})`;
	return number(value) + part + share;
}

function table(section) {
	const all = rows(section);
	const there = order.filter(name => all.some(({ medians }) => name in medians));
	const line = cells => `| ${cells.join(' | ')} |`;
	return [`## ${titles[section]}`, '',
		line(['', 'unit', ...there.map(name => names[name])]),
		line(['---', '---', ...there.map(() => '---:')]),
		...all.map(row => line([row.row, row.unit, ...there.map(name => cell(row, name))])), ''].join('\n');
}

const measured = Object.keys(titles).filter(section => rows(section).length > 0);
const text = [`# videre beside its peers`, '',
	`${about.date}, ${about.machine}; ${about.versions}. Medians of ${about.rounds} interleaved rounds`
	+ `${about.quick ? ', a quick look only' : ''}; server and load on a processor each;`
	+ ` ${number(about.minutes)} minutes. In brackets: videre's part of that; in per cent: the share of the time that`
	+ ' is spent in user space. The bare relay and the'
	+ ' libwebsockets server read no packets: their rooms are URLs.', '',
	...measured.map(table)].join('\n');

/*
 * The picture: bars on a logarithmic scale.
 */

const colours = { videre: '#0b7a4b', relay: '#9aa0a6', lws: '#c58b2a', ws: '#6f8fd6', sockjs: '#3d5aa8' };
const groups = [
	['300 B', 'plain', '300 B, 1 in flight, rooms of 2'],
	['300 B, 4 in flight', 'plain', '300 B, 4 in flight, rooms of 2'],
	['6 KB', 'plain', '6 KB, 1 in flight, rooms of 2'],
	['60 KB', 'plain', '60 KB, 1 in flight, rooms of 2'],
	['300 B, 5,000 idle besides', 'beside', '300 B with 5000 idle connections'],
	['300 B, SockJS', 'sockjs', '300 B, 1 in flight, rooms of 2'],
	['300 B, TLS', 'tls', '300 B, 1 in flight, rooms of 2'],
];

function picture() {
	const LEFT = 170, WIDTH = 480, BAR = 11, GAP = 10, TOP = 54;
	const scale = value => Math.max(2, WIDTH * Math.log10(value) / 3); /* 1 us to 1 ms */
	const parts = [];
	const say = (x, y, words, more = '') =>
		parts.push(`<text x="${x.toFixed(1)}" y="${y}" ${more}>${words}</text>`);
	const draw = (x, y, width, name) => parts.push(`<rect x="${x}" y="${y}"`
		+ ` width="${width.toFixed(1)}" height="${BAR - 1}" fill="${colours[name]}"/>`);
	let y = TOP;
	for (const [title, section, wanted] of groups) {
		const medians = rows(section).find(({ row }) => row === wanted)?.medians ?? {};
		const there = order.filter(name => name in medians);
		if (there.length === 0)
			continue;
		say(LEFT - 8, y + there.length * BAR / 2 + 4, title, 'text-anchor="end"');
		for (const name of there) {
			const length = scale(medians[name]);
			draw(LEFT, y, length, name);
			say(LEFT + length + 4, y + 9, number(medians[name]), 'font-size="9"');
			y += BAR;
		}
		y += GAP;
	}
	for (const [i, name] of order.entries()) {
		draw(LEFT + i * 100, 32, 10, name);
		say(LEFT + i * 100 + 14, 41, names[name]);
	}
	say(8, 18, 'Microseconds of processor per delivered packet (logarithmic; less is better)',
		'font-weight="bold"');
	return `<svg xmlns="http://www.w3.org/2000/svg" width="720" height="${y}"`
		+ ` font-family="sans-serif" font-size="11">\n`
		+ `<rect width="100%" height="100%" fill="#fff"/>\n${parts.join('\n')}\n</svg>\n`;
}

console.log(text);
await writeFile(built('', 'build/bench/bench.md'), text);
await writeFile(built('', 'build/bench/bench.svg'), picture());
/* The picture in doc/performance.md. */
if (about.whole && !about.quick)
	await writeFile(new URL('bench.svg', import.meta.url), picture());
