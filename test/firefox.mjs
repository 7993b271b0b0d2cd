/* The options of Firefox in tests, for Puppeteer: a fake camera, and calls over loopback. */
export const firefoxOptions = {
	browser: 'firefox',
	executablePath: process.env.FIREFOX ?? '/usr/bin/firefox-esr',
	headless: true,
	timeout: 120_000, /* milliseconds until it has started */
	extraPrefsFirefox: {
		'media.navigator.streams.fake': true,
		'media.navigator.video.default_fps': 5, /* which costs less */
		'media.navigator.permission.disabled': true,
		'media.autoplay.default': 0,
		'media.peerconnection.ice.loopback': true,
		/* Candidates have plain addresses, so that calls need no mDNS. */
		'media.peerconnection.ice.obfuscate_host_addresses': false,
	},
};
