/* How Chromium is started for tests: with a camera of its own, and alone in the world. */
export const browserOptions = {
	executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
	args: [
		'--no-sandbox',
		'--disable-gpu',
		'--disable-quic',
		'--no-first-run',
		'--disable-background-networking',
		'--disable-component-update',
		'--disable-sync',
		'--autoplay-policy=no-user-gesture-required',
		'--use-fake-device-for-media-stream',
		'--use-fake-ui-for-media-stream',
		/* Nobody but itself has signed the certificate that videre -k makes. */
		'--ignore-certificate-errors',
		/* Candidates bear plain addresses, the loopback's among them: no network is needed ... */
		'--disable-features=WebRtcHideLocalIpsWithMdns',
		'--allow-loopback-in-peer-connection',
		/* ... and none is asked: every name fails at once. */
		'--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
	],
};
