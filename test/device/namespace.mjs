/* Network namespaces of test files: loopback is down at first, all ports are free, and settings of the network end with them. */
import { execFileSync, spawnSync } from 'node:child_process';

/* For setpriv: kills the program when its parent ends, however that ends. */
export const DIES = ['--pdeathsig', 'KILL'];

export const root = process.getuid() === 0;

export const ip = (...args) => execFileSync('ip', args);

/* Starts the test file once more in a namespace, and ends with it; in the namespace it only returns. */
export function enterNamespace() {
	if (process.env.VIDERE_NAMESPACE === '1')
		return;
	const user = root ? [] : ['--map-root-user'];
	const { status } = spawnSync('setpriv', [...DIES, 'unshare', ...user, '--net', process.execPath,
		...process.execArgv, process.argv[1]],
		{ stdio: 'inherit', env: { ...process.env, VIDERE_NAMESPACE: '1' } });
	process.exit(status ?? 1);
}
