/* The option of OpenWrt's /etc/config/videre for a key: MaxPeers is max_peers, and SockJS is one word. */
export const optionOf = key => key === 'SockJS' ? 'sockjs'
	: key.replace(/(?<=[a-z])(?=[A-Z])/g, '_').toLowerCase();
