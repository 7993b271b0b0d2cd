/* The options of Chromium in tests: a fake camera, and no network but loopback. */
export const browserOptions = {
	executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
	timeout: 120_000, /* milliseconds until it has started */
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
		/* The tests do not install the authority of videre -k. */
		'--ignore-certificate-errors',
		/*
		 * Candidates have plain addresses, also of loopback, so that calls need no network.  The popups below the
		 * address bar, and a spare renderer, would be further processes for each window.
		 */
		'--disable-features=WebRtcHideLocalIpsWithMdns,WebUIOmniboxPopup,WebUIOmniboxAimPopup,SpareRendererForSitePerProcess',
		'--allow-loopback-in-peer-connection',
		/* No DNS: every name fails immediately. */
		'--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
	],
};

/* The same with a camera that makes five pictures per second, which costs less. */
const CAMERA = '--use-fake-device-for-media-stream';
export const slowCameraOptions = {
	...browserOptions,
	args: browserOptions.args.map(arg => arg === CAMERA ? `${CAMERA}=fps=5` : arg),
};

/* The same without permissions for all pages: each context has its own. */
export const promptingOptions = {
	...slowCameraOptions,
	args: slowCameraOptions.args.filter(arg => arg !== '--use-fake-ui-for-media-stream'),
};
