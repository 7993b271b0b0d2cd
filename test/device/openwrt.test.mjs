/* OpenWrt's init script and configuration, run by busybox with stand-ins for OpenWrt's functions. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmod, chown, mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { inDirectory, pair } from '../certificate.mjs';
import { built, run, scratch, test } from '../server.mjs';
import { optionOf } from '../uci.mjs';
import { root } from './targets.mjs';
import { UCI } from './openwrt.mjs';

const execute = promisify(execFile);
const videre = built('VIDERE_DEVICE', 'build/device/x86_64/videre');
const shipped = name => path.join(root, 'device/openwrt/videre/files', name);

/* The shipped configuration, but for a user that there is here, too. */
const config = (await readFile(shipped('videre.config'), 'utf8')).replace("user 'videre'", "user 'nobody'");

/* /etc/rc.common, which writes down what procd is asked for. */
const RC_COMMON = `
ROOT=.
${UCI}
for name in open_instance set_param close_instance send_signal add_reload_trigger add_raw_trigger; do
	eval "procd_$name() { echo $name \\"\\$@\\" >>procd; }"
done
start() { echo set >>procd; start_service; }
reload() { reload_service; }

. "$1"
PROG=$VIDERE
CONF=./var/etc/videre.json
"$2"
`;

/* What happens when the script is called so, on a system with this configuration. */
async function call(t, action, config, dir) {
	dir ??= await scratch(t);
	const file = name => path.join(dir, name);
	await mkdir(file('etc/config'), { recursive: true });
	await writeFile(file('etc/rc.common'), RC_COMMON);
	await writeFile(file('etc/config/videre'), config);
	await writeFile(file('procd'), '');
	const { code = 0, stderr } = await execute('/bin/busybox',
		['ash', 'etc/rc.common', shipped('videre.init'), action],
		{ cwd: dir, env: { PATH: process.env.PATH, VIDERE: videre } }).catch(error => error);
	const read = async name => readFile(file(name), 'utf8').catch(() => undefined);
	return { code, stderr, dir, json: await read('var/etc/videre.json'), procd: await read('procd') };
}

/* As UCI quotes it. */
const quote = value => `'${value.replaceAll('\'', '\'\\\'\'')}'`;
const configuration = options => `config videre 'main'\n${Object.entries(options).flatMap(([name, value]) =>
	[value].flat().map(one => `\t${Array.isArray(value) ? 'list' : 'option'} ${name} ${quote(one)}\n`)).join('')}`;

const { cert, key } = await pair('P-256');
const secrets = inDirectory('secrets');
await writeFile(secrets, `${'s'.repeat(32)}\n`, { mode: 0o600 });

/* User, which is nobody, must be able to read them. */
if (process.getuid() === 0) {
	const [, group] = /^nobody:[^:]*:\d+:(\d+):/m.exec(await readFile('/etc/passwd', 'utf8'));
	await chmod(path.dirname(key), 0o755);
	for (const file of [key, secrets]) {
		await chown(file, 0, Number(group));
		await chmod(file, 0o640);
	}
}

/* Each key: the value of its option, and the value that the server must get. */
const values = {
	Port: ['8080', 8080],
	TLS: ['1', true],
	Cert: [cert, cert],
	Key: [key, key],
	Tokens: [secrets, secrets],
	IceServers: [['stun:example.org', '{"urls": "turn:example.org", "username": "u", "credential": "\'c\'"}'],
		['stun:example.org', { urls: 'turn:example.org', username: 'u', credential: '\'c\'' }]],
	TurnSecret: [secrets, secrets],
	Host: ['192.168.1.1', '192.168.1.1'],
	Prefix: ['none', ''],
	Page: ['0', false],
	Log: ['syslog', 'syslog'],
	LogLevel: ['info', 'info'],
	LogSize: ['0', 0],
	User: ['nobody', 'nobody'],
	Sandbox: ['off', false],
	Origins: [['https://a.example', 'https://b.example'], ['https://a.example', 'https://b.example']],
	SockJS: ['/sockjs.js', '/sockjs.js'],
	MaxConnections: ['32', 32],
	MaxPerAddress: ['8', 8],
	TrustedProxies: [['fd00::/8'], ['fd00::/8']],
	Monitor: [['fd00::/8'], ['fd00::/8']],
	MaxPeers: ['4', 4],
	MaxPacket: ['2048', 2048],
	Heartbeat: ['10', 10],
	HandshakeTimeout: ['5', 5],
};

const all = configuration(Object.fromEntries(Object.entries(values).map(([name, [option]]) =>
	[optionOf(name), option])));

/* What the program says of this configuration, except that no interface here has the router's address. */
async function judge(t, text) {
	const file = path.join(await scratch(t), 'videre.json');
	await writeFile(file, text);
	const { stderr, ...result } = await run(['-n', '-c', file], { binary: videre });
	return { ...result, stderr: withoutHost(stderr) };
}

const withoutHost = stderr => stderr.replace(/^.* info - no interface has the address 192\.168\.1\.1 yet: .*\n?/m, '');

test('every key has an option, whose value the server takes', async t => {
	const [, keys] = /the keys are (.*)/.exec((await judge(t, '{"?": 0}')).stderr);
	assert.deepEqual(Object.keys(values), keys.split(', '));
	const { code, stderr, json } = await call(t, 'start', all);
	assert.deepEqual({ code, stderr: withoutHost(stderr) }, { code: 0, stderr: '' });
	assert.deepEqual(JSON.parse(json),
		Object.fromEntries(Object.entries(values).map(([name, [, value]]) => [name, value])));
	assert.equal((await judge(t, json)).stderr, '');
});

test('what is shipped has every option, and is a device\'s configuration', async t => {
	const named = [...config.matchAll(/^\t#?(?:option|list) (\w+) /gm)].map(([, name]) => name);
	assert.deepEqual(named.sort(), Object.keys(values).map(optionOf).sort());
	const { code, stderr, json } = await call(t, 'start', config);
	assert.equal(code, 0, stderr);
	const device = JSON.parse(await readFile(path.join(root, 'device/conf.json')));
	assert.deepEqual(JSON.parse(json), { ...device, Port: 1111, User: 'nobody' });
	const whole = config.replace(/^\t#(?=option|list)/gm, '\t')
		.replace('/etc/videre/cert.pem', cert).replace('/etc/videre/key.pem', key)
		.replace('/etc/videre/secrets', secrets).replace('/etc/videre/turn', secrets);
	assert.equal(withoutHost((await call(t, 'start', whole)).stderr), '');
});

test('no options are the defaults', async t => {
	const { code, json } = await call(t, 'start', configuration({}));
	assert.equal(code, 0);
	assert.deepEqual(JSON.parse(json), {});
});

test('a flag may be written in each of UCI\'s ways', async t => {
	for (const [value, options] of [[true, ['1', 'on', 'true', 'yes', 'enabled']],
		[false, ['0', 'off', 'false', 'no', 'disabled']]])
		for (const sandbox of options) {
			const { json } = await call(t, 'start', configuration({ sandbox }));
			assert.deepEqual(JSON.parse(json), { Sandbox: value }, sandbox);
		}
});

const HOSTILE = ['"', '\\', '\\"', '","User":"root', '\'; touch owned; \'', '$(touch owned)',
	'`touch owned`', '%s%n', '-n', '*', ' x  y ', '\\u0041', 'é', '&', '/\\1/'];

test('a value comes through as it is, whatever it is', async t => {
	for (const value of HOSTILE) {
		const origins = ['https://a', 'null', 'https://b'];
		const { code, stderr, json, dir } = await call(t, 'start', configuration({ cert: value, origins }));
		assert.equal(code, 0, `${value}: ${stderr}`);
		assert.deepEqual(JSON.parse(json), { Cert: value, Origins: origins });
		await assert.rejects(readFile(path.join(dir, 'owned')));
		const refused = await call(t, 'start', configuration({ origins: ['null', value] }));
		assert.notEqual(refused.code, 0, value);
		assert.match(refused.stderr, /Origins must be/);
		await assert.rejects(readFile(path.join(refused.dir, 'owned')));
	}
});

test('what is no number, flag or string is refused by its key, and nothing is started', async t => {
	const wrong = [['port', 'Port'], ['tls', 'TLS']].flatMap(([option, key]) =>
		['1,"User":"root"', '1}', '-1', '0x10', 'true,', ' ', '1 2', ...HOSTILE].map(value =>
			[{ [option]: value }, new RegExp(`videre\\.json\\.new:\\d+: ${key} must be `)]));
	for (const [options, said] of [...wrong, [{ host: 'a\nb' }, /videre\.json\.new:\d+: /]]) {
		const { code, stderr, json, procd } = await call(t, 'start', configuration(options));
		assert.notEqual(code, 0);
		assert.match(stderr, said, JSON.stringify(options));
		assert.equal(json, undefined);
		assert.equal(procd, 'set\n');
	}
});

const STARTED = 'set\nopen_instance\n' +
	`set_param command ${videre} -c ./var/etc/videre.json\nset_param file ./var/etc/videre.json\n` +
	'set_param respawn 3600 5 0\nclose_instance\n';

test('procd starts it, restarts it when it ends, and when its configuration changes', async t => {
	assert.equal((await call(t, 'start', all)).procd, STARTED);
});

test('reload sends SIGHUP, then lets procd see the configuration', async t => {
	const { dir } = await call(t, 'start', all);
	const { code, json, procd } = await call(t, 'reload', all.replace('8080', '8081'), dir);
	assert.equal(code, 0);
	assert.equal(procd, `send_signal videre\n${STARTED}`); /* which is SIGHUP, if none is named */
	assert.equal(JSON.parse(json).Port, 8081);
});

test('reload ends nothing for a bad configuration, or a bad certificate', async t => {
	const { dir, json: before } = await call(t, 'start', all);
	for (const bad of [all.replace('8080', '80800'), all.replace(cert, key)]) {
		const { code, stderr, json, procd } = await call(t, 'reload', bad, dir);
		assert.notEqual(code, 0);
		assert.notEqual(stderr, '');
		assert.equal(json, before);
		assert.equal(procd, '');
	}
});

test('a committed configuration and a renewed certificate reload it', async t => {
	const { procd } = await call(t, 'service_triggers', all);
	assert.equal(procd, 'add_reload_trigger videre\n' +
		'add_raw_trigger acme.renew 5000 /etc/init.d/videre reload\n');
});

test('the scripts have nothing that shellcheck would have otherwise', async () => {
	await execute('shellcheck', [shipped('videre.init'), ...['device/S50videre', 'deps.sh'].map(file => path.join(root, file))]);
	await execute('shellcheck', ['--severity=warning', path.join(root, 'device/install.sh')]);
});
