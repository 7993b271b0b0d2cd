/* Over TLS, for clients that cannot be told whom to trust: they trust everybody. */
import https from 'node:https';

process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
https.globalAgent.options.rejectUnauthorized = false;
