/* Imported for clients that have no setting for trusted certificates: they accept any. */
import https from 'node:https';

process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
https.globalAgent.options.rejectUnauthorized = false;
