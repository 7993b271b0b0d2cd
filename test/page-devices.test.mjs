/*
 * Camera, microphone and screen in the page at /, and the signs on the tiles, in Chromium with made-up
 * devices.  Its second camera has a format that no call can carry.
 */
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { open, packet } from './client.mjs';
import {
	alone, atTheDoor, isQuiet, join, labels, makesSay, meets, packetsOf, press, reads, roomOf, says, sees, until,
	useBrowser,
} from './pages.mjs';
import { test } from './server.mjs';

const { servers, visit, enter } = useBrowser({ plain: () => ({}) });

const noticeOf = page => page.locator('#notice').textContent();
const pressed = (page, id) => page.locator(`#${id}`).getAttribute('aria-pressed');
const isPressed = (page, id, state) => until(page, `${id}: ${state}`, ([one, expected]) =>
	document.getElementById(one).ariaPressed === String(expected), [id, state]);

/* The kinds that each prompt asked for. */
const prompts = page => page.evaluate(() => seen.prompts.map(prompt => Object.keys(prompt).filter(kind => prompt[kind]).sort().join()));

/* The tracks that are open, by kind and in the order of opening. */
const openTracks = page => page.evaluate(() => seen.tracks.filter(({ readyState }) => readyState === 'live').map(({ kind }) => kind).sort());

/* The other page keeps its one connection. */
const keep = page => page.evaluate(() => [window.kept] = live()).then(() => {});
const isKept = async page => assert(await page.evaluate(() => live().length === 1 && live()[0] === kept), 'the same connection');

/* The first prompt, and those after it, wait for `page.evaluate(() => answer())`. */
function hold() {
	window.respond = async (constraints, real) => {
		await new Promise(resolve => window.answer = resolve);
		return real(constraints);
	};
}

async function call(t, { ann: first, bob: second } = {}) {
	const ann = await enter(t, servers.plain, { name: 'Ann', ...first });
	const bob = await enter(t, servers.plain, { name: 'Bob', ...second });
	await Promise.all([sees(ann, 1), sees(bob, 1)]);
	for (const page of [ann, bob])
		await keep(page);
	return [ann, bob];
}

/* How bright the other's picture is, 0 to 255, and the average of its colours. */
const look = page => page.evaluate(() => {
	const context = document.createElement('canvas').getContext('2d');
	context.drawImage(document.querySelector('li:not(.self) video'), 0, 0, 32, 24);
	const { data } = context.getImageData(0, 0, 32, 24);
	return [0, 1, 2].map(colour => data.reduce((sum, value, i) => i % 4 === colour ? sum + value : sum, 0) / 768);
});
async function looks(page, what, matches) {
	let colours;
	for (const end = Date.now() + 60_000; Date.now() < end;) {
		colours = await look(page);
		if (matches(...colours))
			return;
		await setTimeout(100);
	}
	assert.fail(`not seen: ${what}; colours: ${colours}`);
}

/* A screen: a red canvas. */
function paintScreen() {
	window.display = async () => {
		const canvas = Object.assign(document.createElement('canvas'), { width: 320, height: 240 });
		const context = canvas.getContext('2d');
		const paint = () => {
			context.fillStyle = '#f00';
			context.fillRect(0, 0, 320, 240);
		};
		paint();
		setInterval(paint, 200);
		const stream = canvas.captureStream(5);
		seen.tracks.push(...stream.getTracks());
		window.screenTrack = stream.getTracks()[0];
		return stream;
	};
}
const isRed = (red, green, blue) => red > 180 && green < 70 && blue < 70;

describe('at the door', { concurrency: 2 }, () => {
	test('nothing is opened before Preview or Join, and a word says so', async t => {
		const page = await visit(t, servers.plain);
		assert.match(await page.locator('#door').innerText(), /Join opens your camera and microphone\./);
		assert.deepEqual(await prompts(page), []);
		assert(!await page.locator('#preview').isVisible());
	});

	test('the preview shows the camera after one prompt, and Join needs no other', async t => {
		const page = await visit(t, servers.plain);
		await press(page, 'Preview');
		await until(page, 'the preview', () => {
			const { hidden, videoWidth } = document.getElementById('preview');
			return !hidden && videoWidth > 0;
		});
		assert.deepEqual(await prompts(page), ['audio,video']);
		await page.getByRole('combobox', { name: 'Camera' }).waitFor();
		const options = await page.locator('#video option').allTextContents();
		assert.deepEqual(options, ['fake_device_0', 'fake_device_1', 'fake_device_2']);
		for (const label of ['Camera', 'Microphone'])
			assert(await page.getByRole('combobox', { name: label }).isVisible(), label);
		await isQuiet(page);
		await join(page);
		await alone(page);
		assert.deepEqual(await prompts(page), ['audio,video']);
		assert(!await page.locator('#preview').isVisible());
		await press(page, 'Leave');
		await atTheDoor(page);
		assert.deepEqual(await openTracks(page), []);
		assert(!await page.locator('#preview').isVisible());
	});

	test('devices can be chosen', async t => {
		const page = await visit(t, servers.plain);
		await press(page, 'Preview');
		await page.getByRole('combobox', { name: 'Camera' }).selectOption('fake_device_2');
		const microphones = await page.locator('#audio option').allTextContents();
		await page.getByRole('combobox', { name: 'Microphone' }).selectOption(microphones.at(-1));
		await until(page, 'the tracks', label => {
			const tracks = seen.tracks.filter(({ readyState }) => readyState === 'live');
			return tracks.length === 2 && tracks.every(track => [label, 'fake_device_2'].includes(track.label));
		}, microphones.at(-1));
		assert.deepEqual(await prompts(page), ['audio,video', 'video', 'audio']);
		await join(page);
		await alone(page);
		assert.deepEqual(await prompts(page), ['audio,video', 'video', 'audio']);
	});

	test('a choice stays when the list of devices is renewed at the same time', async t => {
		const page = await visit(t, servers.plain);
		await press(page, 'Preview');
		const camera = page.getByRole('combobox', { name: 'Camera' });
		await camera.waitFor();
		await camera.evaluate(select => {
			navigator.mediaDevices.dispatchEvent(new Event('devicechange'));
			select.selectedIndex = 2;
			select.dispatchEvent(new Event('change'));
		});
		await until(page, 'the camera', () => seen.tracks.some(({ label, readyState }) =>
			label === 'fake_device_2' && readyState === 'live'));
		await until(page, 'its name', () => {
			const [option] = document.getElementById('video').selectedOptions;
			return option.label === 'fake_device_2';
		});
		assert.deepEqual(await prompts(page), ['audio,video', 'video']);
	});

	test('a second Join, while the devices are listed, enters no second room', async t => {
		const page = await visit(t, servers.plain, { before: () => {
			const real = MediaDevices.prototype.enumerateDevices;
			let count = 0;
			MediaDevices.prototype.enumerateDevices = async function () {
				if (++count === 2)
					await new Promise(resolve => window.list = resolve);
				return real.call(this);
			};
		} });
		await join(page);
		await until(page, 'the list', () => window.list);
		await join(page);
		await alone(page);
		await page.evaluate(async () => {
			list();
			for (let i = 0; i < 3; i++)
				await navigator.mediaDevices.enumerateDevices();
		});
		assert.equal(await page.locator('.self').count(), 1);
		await press(page, 'Leave');
		await atTheDoor(page);
		assert.deepEqual(await openTracks(page), []);
	});

	test('the controls are disabled while the prompt is open', async t => {
		const page = await visit(t, servers.plain, { before: hold });
		await press(page, 'Preview');
		await says(page, 'Allow camera and microphone ...');
		const disabled = () => page.evaluate(() => [...document.querySelectorAll('#join, #try, #room, #name, #mute, #dark, #screen')]
			.map(one => one.matches(':disabled')));
		await until(page, 'the prompt', () => window.answer);
		assert((await disabled()).every(Boolean));
		await page.evaluate(() => answer());
		await until(page, 'controls', () => !document.getElementById('join').matches(':disabled'));
		assert(!(await disabled()).some(Boolean));
		assert.deepEqual(await prompts(page), ['audio,video']);
	});

	const REASONS = {
		denied: 'the browser denies it. Allow it next to the address',
		missing: 'there is none',
		busy: 'another program uses it',
	};

	for (const [what, permissions, text, asked] of [
		['everything', [], 'microphone and camera', ''],
		['a camera', ['microphone'], 'camera', 'audio'],
		['a microphone', ['camera'], 'microphone', 'video'],
	])
		test(`a user who denies ${what} joins with the rest`, async t => {
			const ann = await enter(t, servers.plain);
			await alone(ann);
			const bob = await enter(t, servers.plain, { permissions });
			await says(bob, `Without ${text}: ${REASONS.denied}.`);
			await sees(bob, 1);
			assert((await prompts(bob)).length <= 1, 'one prompt');
			assert.deepEqual((await openTracks(bob)).join(), asked);
			await until(ann, `${asked} of the other`, expected => seen.connections.at(-1).getTransceivers()
				.filter(({ receiver }) => receiver.track.muted === false).map(({ receiver }) => receiver.track.kind).sort().join() === expected,
			asked);
			await reads(ann, asked === 'audio' ? /^\w{4} · camera off$/ : asked ? /^\w{4} · muted$/ : /^\w{4} · muted · camera off$/);
		});

	test('a prompt that is denied is not opened again', async t => {
		const page = await enter(t, servers.plain, {
			before: () => {
				navigator.permissions.query = async () => ({ state: 'prompt' });
				window.respond = async () => { throw new DOMException('', 'NotAllowedError'); };
			},
		});
		await says(page, `Without microphone and camera: ${REASONS.denied}.`);
		assert.deepEqual(await prompts(page), ['audio,video']);
	});

	test('only devices that exist are asked for', async t => {
		for (const [kinds, text, asked] of [
			[['audioinput'], 'camera', ['audio']], [['videoinput'], 'microphone', ['video']], [[], 'microphone and camera', []],
		]) {
			const page = await visit(t, servers.plain);
			await page.evaluate(list => {
				const real = navigator.mediaDevices.enumerateDevices.bind(navigator.mediaDevices);
				navigator.mediaDevices.enumerateDevices = async () => (await real()).filter(({ kind }) => list.includes(kind));
			}, kinds);
			await join(page);
			await says(page, `Without ${text}: ${REASONS.missing}.`);
			assert.deepEqual(await prompts(page), asked);
			await page.context().close();
		}
	});

	test('a busy camera is named, and the microphone works without it', async t => {
		const page = await enter(t, servers.plain, {
			before: () => window.respond = async (constraints, real) => {
				if (constraints.video)
					throw new DOMException('', 'NotReadableError');
				return real(constraints);
			},
		});
		await says(page, `Without camera: ${REASONS.busy}.`);
		assert.deepEqual(await openTracks(page), ['audio']);
		/* It is free again. */
		await page.evaluate(() => window.respond = undefined);
		await press(page, 'Camera off');
		await until(page, 'no notice', () => document.getElementById('notice').textContent === '');
		assert.deepEqual(await openTracks(page), ['audio', 'video']);
	});

	test('a link that is followed while the prompt is open ends the visit, and the devices', async t => {
		const page = await enter(t, servers.plain, { before: hold });
		await until(page, 'the prompt', () => window.answer);
		await page.evaluate(() => location.hash = 'elsewhere');
		await until(page, 'the link', () => document.getElementById('room').value === 'elsewhere');
		await page.evaluate(() => answer());
		await until(page, 'devices that are off again', () => seen.tracks.length === 2
			&& seen.tracks.every(({ readyState }) => readyState === 'ended'));
		await atTheDoor(page);
		assert.deepEqual(await page.evaluate(() => seen.sockets.length), 0);
		await page.evaluate(() => window.respond = undefined);
		await join(page);
		await alone(page);
	});

	test('leaving while a prompt is open leaves no device open', async t => {
		const page = await enter(t, servers.plain);
		await alone(page);
		await press(page, 'Camera off');
		await isPressed(page, 'dark', true);
		await page.evaluate(hold);
		await press(page, 'Camera off');
		await until(page, 'the prompt', () => window.answer);
		await press(page, 'Leave');
		await atTheDoor(page);
		await page.evaluate(() => answer());
		await until(page, 'a camera that was opened', () => seen.tracks.length === 3);
		await until(page, 'devices that are off', () => seen.tracks.every(({ readyState }) => readyState === 'ended'));
	});

	test('the name is kept for the next visit, and others see it as text', async t => {
		const name = '<b>Zoë</b> & "you"';
		const ann = await enter(t, servers.plain, { name });
		await alone(ann);
		const bob = await enter(t, servers.plain);
		await reads(bob, /Zoë/);
		await sees(bob, 1);
		assert.deepEqual(await labels(bob), [name]);
		assert.equal(await bob.locator('li b').count(), 0);
		assert.equal(await bob.locator('li:not(.self) video').getAttribute('aria-label'), name);
		await ann.reload();
		assert.equal(await ann.getByLabel('Your name').inputValue(), name);
	});
});

describe('in a call', { concurrency: 2 }, () => {
	test('a muted page is not heard, and one whose camera is off is not seen', async t => {
		const [ann, bob] = await call(t);
		/* The made-up microphone beeps each second, which adds 0.2 to the energy; what is muted adds 1e-9. */
		const sound = heard => until(bob, `two seconds ${heard ? 'with' : 'without'} a sound`, async expected => {
			const stats = await live()[0].getStats();
			const { totalAudioEnergy = 0, totalSamplesDuration = 0 } = [...stats.values()].find(({ type, kind }) =>
				type === 'inbound-rtp' && kind === 'audio') ?? {};
			const [energy, duration] = window.heardBefore ??= [totalAudioEnergy, totalSamplesDuration];
			if (totalSamplesDuration - duration < 2)
				return false;
			window.heardBefore = undefined;
			return totalAudioEnergy - energy > 0.01 === expected;
		}, heard);
		await sound(true);
		await press(ann, 'Mute');
		await isPressed(ann, 'mute', true);
		await reads(bob, /^Ann · muted$/);
		await sound(false);
		await press(ann, 'Camera off');
		await reads(bob, /^Ann · muted · camera off$/);
		assert(!await bob.locator('li:not(.self) video').isVisible());
		assert.equal(await ann.locator('.self span').textContent(), 'You · muted · camera off');
		assert.deepEqual(await openTracks(ann), ['audio'], 'the camera is released');
		await press(ann, 'Mute');
		await reads(bob, /^Ann · camera off$/);
		await sound(true);
		await press(ann, 'Camera off');
		await reads(bob, /^Ann$/);
		await sees(bob, 1);
		assert.deepEqual(await prompts(ann), ['audio,video', 'video']);
		for (const page of [ann, bob])
			await isKept(page);
	}, 180_000);

	test('a page that joins later sees the signs of those before it', async t => {
		const ann = await enter(t, servers.plain, { name: 'Ann' });
		await alone(ann);
		await press(ann, 'Mute');
		await press(ann, 'Camera off');
		await isPressed(ann, 'dark', true);
		const bob = await enter(t, servers.plain);
		await reads(bob, /^Ann · muted · camera off$/);
	});

	test('camera and microphone are chosen without a new connection', async t => {
		const [ann, bob] = await call(t);
		await press(ann, 'Devices');
		const dialog = ann.getByRole('dialog');
		await dialog.getByRole('combobox', { name: 'Camera' }).selectOption('fake_device_2');
		await until(ann, 'the other camera', () => live()[0].getSenders()
			.some(({ track }) => track?.kind === 'video' && track.label === 'fake_device_2' && track.readyState === 'live'));
		const microphone = (await ann.locator('#audio option').allTextContents()).at(-1);
		await dialog.getByRole('combobox', { name: 'Microphone' }).selectOption(microphone);
		await until(ann, 'the other microphone', label => live()[0].getSenders()
			.some(({ track }) => track?.kind === 'audio' && track.label === label && track.readyState === 'live'), microphone);
		await dialog.getByRole('button', { name: 'Close' }).click();
		assert(!await dialog.isVisible());
		assert.equal(await ann.evaluate(() => document.activeElement.id), 'choose');
		assert.deepEqual(await openTracks(ann), ['audio', 'video']);
		await sees(bob, 1);
		for (const page of [ann, bob])
			await isKept(page);
	});

	test('choosing a microphone while muted stays muted, and choosing a camera while it is off opens none', async t => {
		const [ann, bob] = await call(t);
		await press(ann, 'Mute');
		await press(ann, 'Camera off');
		await reads(bob, /^Ann · muted · camera off$/);
		await press(ann, 'Devices');
		const microphone = (await ann.locator('#audio option').allTextContents()).at(-1);
		await ann.getByRole('combobox', { name: 'Microphone' }).selectOption(microphone);
		await until(ann, 'the other microphone', label => seen.tracks.some(track => track.label === label), microphone);
		await until(ann, 'its controls', () => !document.getElementById('mute').disabled);
		assert.equal(await pressed(ann, 'mute'), 'true');
		assert.deepEqual(await ann.evaluate(() => seen.tracks.filter(({ kind, enabled, readyState }) =>
			kind === 'audio' && enabled && readyState === 'live').length), 0);
		await reads(bob, /^Ann · muted · camera off$/);
	});

	test('a camera that is pulled out is noticed on both sides', async t => {
		const [ann, bob] = await call(t);
		await ann.evaluate(() => {
			const track = seen.tracks.find(({ kind }) => kind === 'video');
			track.stop();
			track.dispatchEvent(new Event('ended'));
		});
		await says(ann, 'Without camera: it was disconnected.');
		await isPressed(ann, 'dark', true);
		await reads(bob, /^Ann · camera off$/);
		await press(ann, 'Camera off');
		await reads(bob, /^Ann$/);
		await sees(bob, 1);
		assert.equal(await noticeOf(ann), '');
		for (const page of [ann, bob])
			await isKept(page);
	});

	test('a device that comes or goes is noticed, and can be chosen', async t => {
		const page = await enter(t, servers.plain);
		await alone(page);
		const plug = more => page.evaluate(others => {
			const real = MediaDevices.prototype.enumerateDevices;
			navigator.mediaDevices.enumerateDevices = async () => [...await real.call(navigator.mediaDevices), ...others];
			navigator.mediaDevices.dispatchEvent(new Event('devicechange'));
		}, more);
		const options = text => until(page, `cameras: ${text}`, expected =>
			[...document.getElementById('video').options].map(option => option.text).join() === expected, text);
		await options('fake_device_0,fake_device_1,fake_device_2');
		await makesSay(page, 'Your devices have changed.',
			() => plug([{ kind: 'videoinput', deviceId: 'new', label: 'New camera' }]));
		await options('fake_device_0,fake_device_1,fake_device_2,New camera');
		await plug([]);
		await options('fake_device_0,fake_device_1,fake_device_2');
		await until(page, 'the text has gone', () => !/changed/.test(document.getElementById('status').textContent));
	});

	for (const [what, permissions] of [['with a camera', ['camera', 'microphone']], ['without a camera', []]])
		test(`a page ${what} shares its screen`, async t => {
			const ann = await enter(t, servers.plain);
			await alone(ann);
			const bob = await enter(t, servers.plain, { name: 'Bob', permissions, before: paintScreen });
			await meets(ann, 1);
			await sees(bob, 1);
			await keep(ann);
			await press(bob, 'Screen');
			await isPressed(bob, 'screen', true);
			await reads(ann, permissions.length ? /^Bob$/ : /^Bob · muted$/);
			await looks(ann, 'the red screen', isRed);
			await press(bob, 'Screen');
			await isPressed(bob, 'screen', false);
			assert.equal(await bob.evaluate(() => screenTrack.readyState), 'ended');
			if (permissions.length) {
				await looks(ann, 'the camera', (...colours) => !isRed(...colours));
				await sees(ann, 1);
			} else
				await reads(ann, /^Bob · muted · camera off$/);
			/* The browser's own button ends it too. */
			await press(bob, 'Screen');
			await isPressed(bob, 'screen', true);
			await bob.evaluate(() => {
				screenTrack.stop();
				screenTrack.dispatchEvent(new Event('ended'));
			});
			await isPressed(bob, 'screen', false);
			/* A user who chooses no screen goes on as before. */
			await bob.evaluate(() => window.display = async () => {
				window.chosen = 'nothing';
				throw new DOMException('', 'NotAllowedError');
			});
			await press(bob, 'Screen');
			await until(bob, 'the choice', () => window.chosen);
			assert.equal(await pressed(bob, 'screen'), 'false');
			await isKept(ann);
		}, 120_000);

	test('touch screens with two cameras flip between them, others have no button for it', async t => {
		const mouse = await enter(t, servers.plain);
		await alone(mouse);
		assert(!await mouse.getByRole('button', { name: 'Flip' }).isVisible());
		const touch = await enter(t, servers.plain, { hasTouch: true, isMobile: true, viewport: { width: 390, height: 664 } });
		await sees(touch, 1);
		const facing = () => touch.evaluate(() => seen.prompts.map(({ video }) => [video.facingMode, video.deviceId]));
		assert.deepEqual(await facing(), [['user', undefined]]);
		await touch.getByRole('button', { name: 'Flip' }).tap();
		await until(touch, 'another prompt', () => seen.prompts.length === 2);
		assert.deepEqual((await facing())[1], ['environment', undefined]);
		await sees(mouse, 1);
		const mirrored = state => until(touch, `mirrored: ${state}`, expected =>
			(getComputedStyle(document.querySelector('.self video')).transform === 'matrix(-1, 0, 0, 1, 0, 0)') === expected, state);
		await mirrored(false);
		await touch.getByRole('button', { name: 'Flip' }).tap();
		await until(touch, 'another prompt', () => seen.prompts.length === 3);
		assert.deepEqual((await facing())[2], ['user', undefined]);
		await mirrored(true);
		assert.deepEqual(await openTracks(touch), ['audio', 'video']);
	});

	test('pictures get smaller as the room grows', async t => {
		const page = await enter(t, servers.plain);
		await alone(page);
		const scales = count => until(page, `${count} pictures at their size`, ([size, expected]) => {
			const senders = live().flatMap(connection => connection.getSenders()).filter(({ track }) => track?.kind === 'video');
			return senders.length === size && senders.every(sender =>
				(sender.getParameters().encodings[0].scaleResolutionDownBy ?? 1) === expected);
		}, count);
		const clients = [];
		for (const [size, expected] of [[1, 1], [2, 1], [3, 2], [7, 2], [8, 4]]) {
			while (clients.length < size) {
				const client = await open(servers.plain);
				client.join(`client ${clients.length}`, roomOf(t));
				clients.push(client);
			}
			await scales([size, expected]);
		}
		while (clients.length > 1)
			await clients.pop().close();
		await scales([1, 1]);
	}, 120_000);

	test('the screen stays awake in a call, also after the page was hidden', async t => {
		const page = await visit(t, servers.plain, {
			before: () => {
				window.locks = [];
				navigator.wakeLock.request = async type => {
					locks.push(type);
					return { release: async () => locks.push('released') };
				};
			},
		});
		const locks = () => page.evaluate(() => window.locks);
		await press(page, 'Preview');
		await until(page, 'the preview', () => !document.getElementById('preview').hidden);
		assert.deepEqual(await locks(), []);
		await join(page);
		await alone(page);
		assert.deepEqual(await locks(), ['screen']);
		const turn = hidden => page.evaluate(value => {
			Object.defineProperty(document, 'hidden', { value, configurable: true });
			document.dispatchEvent(new Event('visibilitychange'));
		}, hidden);
		await turn(true);
		assert.deepEqual(await locks(), ['screen']);
		await turn(false);
		assert.deepEqual(await locks(), ['screen', 'screen']);
		await press(page, 'Leave');
		await atTheDoor(page);
		await until(page, 'the release', () => window.locks.at(-1) === 'released');
		await turn(false);
		assert.equal((await locks()).length, 3);
	});

	test('a lock that keeps the screen awake, and comes after the call, is released', async t => {
		const page = await visit(t, servers.plain, {
			before: () => navigator.wakeLock.request = () => new Promise(resolve =>
				window.grant = () => resolve({ release: () => window.released = true })),
		});
		await join(page);
		await alone(page);
		await until(page, 'the request', () => window.grant);
		await press(page, 'Leave');
		await atTheDoor(page);
		await page.evaluate(() => grant());
		await until(page, 'the release', () => window.released);
	});

	test('a connection that loses packets has a sign until it loses none', async t => {
		const [ann] = await call(t);
		let lost = 0, received = 0;
		const measure = (more, rest) => ann.evaluate(([packetsLost, packetsReceived]) =>
			window.stats = new Map([['a', { type: 'inbound-rtp', packetsLost, packetsReceived }],
				['b', { type: 'outbound-rtp', packetsLost: 1e6 }]]), [lost += more, received += rest]).then(() => {});
		/* Each measurement of the page sees 20 lost of 100 more. */
		await measure(20_000, 80_000);
		await reads(ann, /^Bob · bad connection$/);
		await measure(5, 10_000);
		await reads(ann, /^Bob$/);
	});

	test('tiles show connecting, and the name when it is known', async t => {
		const page = await visit(t, servers.plain);
		const packets = packetsOf(page, 'connect');
		await join(page);
		await alone(page);
		const [client] = await gatherLate(servers.plain, roomOf(t), 'x'.repeat(20));
		await reads(page, /^xxxx · connecting$/);
		client.send(packet('broadcast', 'x'.repeat(20), roomOf(t), { To: packets[0].Header.UserId, Name: 'Xaver' }));
		await reads(page, /^Xaver · connecting$/);
	});
});

/* A client in a room in which there are others. */
async function gatherLate(server, room, user) {
	const client = await open(server);
	client.join(user, room);
	return [client];
}
