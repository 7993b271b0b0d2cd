/*
 * README and doc/ agree with the program: links and anchors, and the tables of errors, close codes, status codes,
 * limits, memory, metrics and refusals.  Also the alert rules and the dashboard.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { access, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe } from 'node:test';
import { promisify } from 'node:util';
import { pair } from './certificate.mjs';
import { anchorsOf, blocksOf, codes, documents, prose, read, root, tableOf } from './documents.mjs';
import { scratch, serve, test } from './server.mjs';
import { ask } from './sockjs.mjs';

const execute = promisify(execFile);

/* The number that a C file gives a name. */
async function constant(file, name) {
	const text = await read(file);
	const [, value] = new RegExp(`\\b${name} = (\\d+)\\b`).exec(text) ?? assert.fail(`${file} has no ${name}`);
	return Number(value);
}

/* The strings of a C initialiser, joined as the compiler joins them, and split at their NULs. */
const strings = text => [...text.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(([, one]) => one).join('')
	.split('\\0').map(one => one.replaceAll('\\"', '"')).filter(one => one !== '');

describe('documents', () => {
	test('have links to files and headings that exist', async () => {
		const wrong = [];
		for (const name of documents)
			for (const [, target] of prose(await read(name)).matchAll(/\]\(([^)\s]*)\)/g)) {
				const [file, anchor] = target.split('#');
				const at = file === '' ? name : path.join(path.dirname(name), file);
				if (/^https?:/.test(target))
					continue;
				if (!await access(path.join(root, at)).then(() => true, () => false))
					wrong.push(`${name}: ${target}: no such file`);
				else if (anchor !== undefined && !anchorsOf(await read(at)).includes(anchor))
					wrong.push(`${name}: ${target}: no such heading`);
			}
		assert.deepEqual(wrong, []);
	});

	test('have no heading twice', async () => {
		for (const name of documents) {
			const anchors = anchorsOf(await read(name));
			assert.deepEqual(anchors.filter((one, i) => anchors.indexOf(one) < i), [], name);
		}
	});

	test('README has at most 160 lines, and leads to every page of doc/', async () => {
		const readme = await read('README.md');
		assert(readme.trimEnd().split('\n').length <= 160);
		for (const name of documents.filter(one => one !== 'README.md'))
			assert(readme.includes(`](${name}`), name);
	});
});

describe('texts that documents quote', () => {
	test('are those of the page, the module and the server', async () => {
		const files = ['videre.js', 'index.html', ...(await readdir(root)).filter(name => /\.c$/.test(name))];
		const sources = (await Promise.all(files.map(read))).join('\n').replace(/"\n\s+"/g, '');
		const symptoms = tableOf(await read('README.md'), 'symptom | cause |').flatMap(([cell]) => codes(cell));
		assert(symptoms.length > 8);
		const quoted = symptoms.filter(text => !/^ERR_|^blocked by CORS|^\/health$|^\/metrics$/.test(text)).flatMap(text => text.split(/\.\.\.:?/));
		const controls = tableOf(await read('doc/clients.md'), 'control | what').flatMap(([cell]) => cell.replace(/ \(.*\)/, '').split(', '))
			.filter(name => !/ on a picture/.test(name));
		for (const text of [...quoted, ...controls, 'Trust this server', 'No way to this peer. The operator needs a TURN server (IceServers).'])
			assert(sources.includes(text.trim()), text);
	});
});

describe('doc/clients.md', () => {
	test('has the options, events and codes of the module', async () => {
		const module = await read('videre.js'), clients = await read('doc/clients.md');
		const properties = type => [...module.split(`@typedef {object} ${type}\n`)[1].split('*/')[0]
			.matchAll(/^ \* @property \{(?:[^{}]|\{[^}]*\})*\} \[?(\w+)/gm)].map(([, name]) => name);
		const names = head => tableOf(clients, head).flatMap(([cell]) => codes(cell));
		assert(properties('Options').length > 4 && properties('Events').length > 5);
		assert.deepEqual(names('option | meaning').sort(), properties('Options').sort());
		assert.deepEqual(names('event | members').sort(), properties('Events').sort());
		const reasons = [...module.split('const REASONS = {\n')[1].split('\n};')[0].matchAll(/^\t'([^' ]+)':/gm)].map(([, code]) => code);
		assert(reasons.length > 8);
		assert.deepEqual(names('`code` | event').sort(), [...reasons, 'ice', 'failed'].sort());
	});
});

describe('doc/protocol.md', () => {
	test('has every error text, with its cause in /metrics', async () => {
		const [packet, signaller] = [await read('packet.c'), await read('signaller.c')];
		const constants = [...packet.matchAll(/return "(.*)";/g)].map(([, text]) => text);
		const begun = [...packet.matchAll(/text_string\(&t, "((?:[^"\\]|\\.)* (?:\\"|))"\);/g)].map(([, text]) => text.replace('\\"', '"'));
		assert.deepEqual([constants.length, begun.length], [9, 2], 'texts of packet.c');
		const repeated = /reason = "(.*)";/.exec(signaller)[1];
		const refusals = [...signaller.matchAll(/PACKET_([A-Z_]+),\s+"(.*)"\)/g)].map(([, cause, text]) =>
			`${text}: ${cause.toLowerCase().replaceAll('_', '-')}`);
		const rows = tableOf(await read('doc/protocol.md'), 'Payload | cause |').map(([text, , cause]) => [codes(text)[0], codes(cause)[0]]);
		const tabled = rows.filter(([, cause]) => cause !== 'token')
			.map(([text, cause]) => [text.replace(/(?<=byte )N$|(?<=")NAME"$/, ''), cause]);
		assert.deepEqual(tabled.filter(([, cause]) => cause === 'unreadable').map(([text]) => text).sort(),
			[...constants, ...begun, repeated].sort());
		assert.deepEqual(tabled.filter(([, cause]) => cause !== 'unreadable').map(row => row.join(': ')).sort(),
			[...new Set(refusals)].sort());
	});

	test('has every error text of tokens, with its cause in /metrics', async () => {
		const texts = [...(await read('token.c')).matchAll(/\[TOKEN_(\w+)\] = "(.*)",/g)].map(([, , text]) => text);
		const causes = /"cause\\0(needed [^\\]*)\\0"/.exec(await read('monitor.c'))[1].split(' ');
		const rows = tableOf(await read('doc/protocol.md'), 'Payload | `videre_tokens');
		assert.deepEqual(rows.map(([text, cause]) => [codes(text)[0], codes(cause)[0]]),
			texts.map((text, i) => [text, causes[i]]));
	});

	test('has every close code', async () => {
		const all = Object.fromEntries([...(await read('ws.h')).matchAll(/\b(WS_\w+) = (\d{4})\b/g)].map(([, name, code]) => [name, code]));
		const files = await Promise.all(['session.c', 'signaller.c', 'sockjs.c', 'websocket.c', 'receiver.c', 'ws.c'].map(read));
		const used = Object.keys(all).filter(name => name !== 'WS_NO_CODE' && files.some(text => new RegExp(`\\b${name}\\b`).test(text)));
		const stillOpen = await constant('receiver.c', 'STILL_OPEN');
		const rows = tableOf(await read('doc/protocol.md'), 'code | reason |');
		assert.deepEqual(rows.map(([code]) => code), [...used.map(name => all[name]), `${stillOpen}`].sort());
		/* Each reason of a row is in the code, next to its code's name. */
		const text = files.join('\n');
		const reasons = [...text.matchAll(/(?:(WS_\w+|STILL_OPEN),\s+|\? |: )"([A-Za-z][^"]*)"/g)].map(([, , reason]) => reason);
		for (const [, cell] of rows)
			for (const reason of codes(cell))
				assert(reasons.includes(reason), reason);
		const closing = [...text.matchAll(/(WS_\w+|STILL_OPEN),\s+"([^"]+)"/g)].map(([, name, reason]) => [all[name] ?? `${stillOpen}`, reason]);
		assert(closing.length > 6);
		for (const [code, reason] of closing)
			assert(codes(rows.find(row => row[0] === code)[1]).includes(reason), `${code} ${reason}`);
	});

	test('has every status code', async () => {
		const [, list] = /web_statuses\[\] = \{([^}]*)\}/.exec(await read('web.c'));
		const tabled = tableOf(await read('doc/protocol.md'), 'status | cause |').flatMap(([cell]) => cell.split(', '));
		assert.deepEqual(tabled.sort(), list.match(/\d+/g).sort());
	});
});

describe('doc/configuration.md', () => {
	test('has the limits of the program', async () => {
		const rows = Object.fromEntries(tableOf(await read('doc/configuration.md'), 'what | limit |')
			.map(([what, limit]) => [what.replaceAll('`', ''), limit]));
		const kb = bytes => `${bytes / 1024} KB`;
		const takeovers = await constant('signaller.c', 'TAKEOVERS'), rest = await constant('signaller.c', 'TAKEOVER_S');
		const [, perSecond] = /other_rooms = \{ \.per_second = (\d+)/.exec(await read('signaller.c'));
		const rates = [...(await read('lograte.c')).matchAll(/\.per_second = (\d+), \.burst_ms = (\d+)/g)];
		const lograte = ([, rate, burst]) => `${rate / 1024} KB a second, after ${rate * burst / 1000 / 1024} KB`;
		assert.equal(rates.length, 2);
		const expected = {
			'head of a request': `${kb(await constant('http.h', 'HTTP_HEAD_SIZE'))}; ${kb(await constant('http.h', 'HTTP_REPEATED_SIZE'))} for`,
			'nesting of a packet': `${await constant('json.h', 'JSON_DEPTH')} levels`,
			'UserId, RoomId, To': `${await constant('packet.h', 'PACKET_ID')} bytes`,
			'token': `${await constant('token.h', 'TOKEN_MAX')} bytes`,
			'a SockJS session without a receiver': `${await constant('receiver.c', 'RECEIVER_TIMEOUT_S')} seconds`,
			'messages in one SockJS payload': `${await constant('sockjs_frame.h', 'SOCKJS_FRAME_MESSAGES')}`,
			'id of a SockJS session': `${await constant('receiver.h', 'RECEIVER_SESSION_ID')} bytes`,
			'takeovers of a user': `${takeovers}, then 1 in ${rest} s`,
			'ping of rooms that the sender is not in': `${perSecond} a second`,
			'closing handshake': `${await constant('websocket.c', 'CLOSE_TIMEOUT_S')} seconds`,
			'log lines about one client address': lograte(rates[0]),
			'log lines about all client addresses': lograte(rates[1]),
		};
		for (const [what, limit] of Object.entries(expected))
			assert(rows[what]?.startsWith(limit), `${what}: ${limit}, not ${rows[what]}`);
	});

	test('has the memory that the log has at the start', async t => {
		const text = await read('doc/configuration.md');
		const tls = await pair('P-256');
		const logged = async conf => {
			const { lines } = await serve(t, { conf, tls: conf.TLS && tls });
			return Number((await lines.match(/ info - memory: at most (\d+) KiB with these limits$/))[1]);
		};
		/* The formula as it stands there. */
		const [formula] = blocksOf(text).filter(block => block.startsWith('block '));
		const [block, maximum] = formula.split('\n').map(line => line.split(' = ')[1].replace(/, rounded.*/, ''));
		const [, plain, secure] = /tables\s+= (\d+) bytes, with TLS (\d+) bytes/.exec(formula);
		const evaluate = (expression, values) => new Function(...Object.keys(values), `return ${expression}`)(...Object.values(values));
		const kib = ({ TLS, ...limits }) => {
			const size = Math.ceil(evaluate(block, limits) / 4096) * 4096;
			return evaluate(maximum, { ...limits, block: size, tables: Number(TLS ? secure : plain) }) / 1024;
		};
		const rows = tableOf(text, '| MaxConnections |');
		assert(rows.length >= 3);
		for (const [, MaxConnections, MaxPacket, MaxPeers, ...mib] of rows.map(row => row.map(cell => Number(cell) || cell)))
			for (const [i, TLS] of [false, true].entries()) {
				const limits = { MaxConnections, MaxPacket, MaxPeers };
				const measured = await logged({ TLS, ...limits });
				assert.equal(mib[i], Math.round(measured / 1024), `${MaxConnections}, TLS ${TLS}`);
				const error = kib({ TLS, ...limits }) / measured - 1;
				assert(Math.abs(error) < 0.01, `the formula is ${error} off for ${MaxConnections}, TLS ${TLS}`);
			}
		assert(text.includes(`memory: at most ${await logged({})} KiB with these limits`));
	});
});

/* The metrics of a server with TLS: { name: { type, help, label, values } }. */
async function metricsOf(t) {
	const server = await serve(t, { tls: await pair('P-256') });
	const { body } = await ask(server, '/metrics');
	const families = {};
	for (const line of body.trimEnd().split('\n')) {
		const [, help, text] = /^# HELP videre_(\S+) (.*)\.$/.exec(line) ?? [];
		const [, typed, type] = /^# TYPE videre_(\S+) (.*)$/.exec(line) ?? [];
		const [, name, label, value] = /^videre_(\w+)\{(\w+)="(.*)"\}/.exec(line) ?? [];
		if (help)
			families[help] = { help: text, values: [] };
		else if (typed)
			families[typed].type = type;
		else if (name) {
			families[name].label = label;
			families[name].values.push(value);
		}
	}
	assert(Object.keys(families).length > 30);
	return families;
}

describe('doc/operations.md', () => {
	test('has every metric, with its label and meaning', async t => {
		const families = await metricsOf(t);
		const rows = tableOf(await read('doc/operations.md'), 'metric | unit |');
		assert.deepEqual(rows.map(([name, , label, meaning]) => [codes(name)[0], codes(label)[0], meaning]),
			Object.entries(families).map(([name, { label, help }]) => [name, label, help]));
		for (const [name, unit] of rows)
			assert(unit !== '' || /build_info/.test(name), `${name} has a unit`);
	});

	test('has every value of the labels', async t => {
		const { build_info, ...families } = await metricsOf(t);
		const tabled = {};
		for (const [names, values] of tableOf(await read('doc/operations.md'), 'metric and label |')) {
			const list = codes(names), label = list.pop();
			for (const name of list)
				tabled[name] = { label, values: codes(values) };
		}
		assert.deepEqual(tabled, Object.fromEntries(Object.entries(families).filter(([, { label }]) => label)
			.map(([name, { label, values }]) => [name, { label, values }])));
	});

	test('has every TLS failure', async () => {
		const [, names] = /tls_error_names\[\] =\n([^;]*);/.exec(await read('tls_error.c'));
		const rows = tableOf(await read('doc/operations.md'), '`error` | cause |');
		assert.deepEqual(rows.flatMap(([cell]) => codes(cell)).sort(), strings(names)[0].split(' ').sort());
	});

	test('has every refusal that the log reports', async () => {
		const [, texts] = /\ntexts\[\] =\n([^;]*);|char texts\[\] =\n([^;]*);/.exec(await read('report.c')).filter(Boolean);
		const rows = tableOf(await read('doc/operations.md'), 'line | what you can do |');
		assert.deepEqual(rows.map(([line]) => codes(line)[0]), strings(texts));
	});

	test('has the rule for logrotate of the manual page', async () => {
		const [, rule] = /^\.Bd -literal[^\n]*\n(\/var\/log\/videre\.log \{\n[^]*?)\.Ed$/m.exec(await read('videre.8'));
		assert(blocksOf(await read('doc/operations.md')).includes(rule.trimEnd()));
	});
});

/* The names of videre's metrics in an expression, each with the labels that it selects or groups by. */
const used = expression => [...expression.matchAll(/\bvidere_(\w+)(?:\{([^}]*)\})?/g)]
	.map(([, name, selector = '']) => ({ name, labels: [...selector.matchAll(/(\w+)=/g)].map(([, label]) => label) }));

/* Labels that Prometheus adds. */
const TARGET = ['instance', 'job'];

describe('doc/alerts.yml', () => {
	test('has five rules with metrics that exist, which promtool accepts', async t => {
		const text = await read('doc/alerts.yml'), families = await metricsOf(t);
		const { stdout } = await execute('promtool', ['check', 'rules', path.join(root, 'doc/alerts.yml')]);
		assert.match(stdout, /SUCCESS: 5 rules found/);
		for (const { name, labels } of [...text.matchAll(/expr: (.*)/g)].flatMap(([, expression]) => used(expression))) {
			assert(name in families, name);
			assert.deepEqual(labels.filter(label => ![...TARGET, families[name].label].includes(label)), [], name);
		}
		const alerts = [...text.matchAll(/alert: (\w+)/g)].map(([, name]) => name);
		assert.deepEqual(tableOf(await read('doc/operations.md'), 'alert | condition |').map(([name]) => codes(name)[0]), alerts);
	});

	/* What happens to a server within an hour: its series, one sample a minute, and the alert that it raises. */
	const at = 'job="videre",instance="router.lan:1111"';
	const healthy = {
		[`up{${at}}`]: '1x60',
		[`videre_certificate_not_after_seconds{${at}}`]: `${90 * 86400}x60`,
		[`videre_certificate_reload_failures_total{${at}}`]: '0x60',
		[`videre_connections{${at}}`]: '10x60',
		[`videre_limit{${at},of="connections"}`]: '256x60',
		[`videre_limit{${at},of="peers"}`]: '1x60',
		[`videre_accept_shortages_total{${at}}`]: '0x60',
	};
	const cases = {
		none: {},
		VidereDown: { [`up{${at}}`]: '1x30 0x29' },
		VidereCertificateExpires: { [`videre_certificate_not_after_seconds{${at}}`]: `${13 * 86400}x60` },
		VidereCertificateNotLoaded: { [`videre_certificate_reload_failures_total{${at}}`]: '0x30 1x29' },
		VidereNearlyFull: { [`videre_connections{${at}}`]: '10x30 240x29' },
		VidereOutOfFiles: { [`videre_accept_shortages_total{${at}}`]: '0x55 2x4' },
	};
	for (const [alert, changes] of Object.entries(cases))
		test(`raises ${alert} when it should`, async t => {
			const file = path.join(await scratch(t), 'test.yml');
			const expected = Object.keys(cases).filter(name => name !== 'none').map(name => ({
				eval_time: '59m', alertname: name,
				exp_alerts: name === alert ? [{ exp_labels: { job: 'videre', instance: 'router.lan:1111' } }] : [],
			}));
			/* promtool reads JSON, which is YAML.  It compares annotations too, so the rules are used without. */
			const rules = path.join(path.dirname(file), 'alerts.yml');
			await writeFile(rules, (await read('doc/alerts.yml')).replace(/^ +(annotations|summary):.*\n/gm, ''));
			await writeFile(file, JSON.stringify({ rule_files: [rules], evaluation_interval: '1m', tests: [{
				interval: '1m', alert_rule_test: expected,
				input_series: Object.entries({ ...healthy, ...changes }).map(([series, values]) => ({ series, values })),
			}] }));
			await execute('promtool', ['test', 'rules', file]);
		});
});

describe('doc/grafana.json', () => {
	test('has only metrics and labels that exist, in expressions that Prometheus accepts', async t => {
		const families = await metricsOf(t), dashboard = JSON.parse(await read('doc/grafana.json'));
		const targets = dashboard.panels.flatMap(panel => panel.targets);
		const expressions = targets.map(({ expr }) => expr);
		assert(expressions.length > 10);
		for (const { expr, legendFormat } of targets) {
			const found = used(expr);
			assert(found.length > 0, expr);
			for (const { name, labels } of found) {
				assert(name in families, name);
				assert(labels.includes('instance'), expr);
				assert.deepEqual(labels.filter(label => ![...TARGET, families[name].label].includes(label)), [], expr);
			}
			for (const [, label] of legendFormat.matchAll(/\{\{(\w+)\}\}/g))
				assert([...TARGET, ...found.map(({ name }) => families[name].label)].includes(label), legendFormat);
		}
		for (const { query } of dashboard.templating.list)
			assert(used(query).every(({ name }) => name in families), query);
		const file = path.join(await scratch(t), 'rules.yml');
		await writeFile(file, JSON.stringify({ groups: [{ name: 'dashboard', rules: expressions.map((expr, i) =>
			({ record: `test:panel${i}`, expr: expr.replaceAll('$__rate_interval', '5m') })) }] }));
		await execute('promtool', ['check', 'rules', file]);
	});
});
