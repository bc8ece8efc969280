'use strict';

const http = require('node:http');
const https = require('node:https');

const maxAnswer = 256 * 1024 * 1024;
const connectWithin = 3000;

/**
 * Sends one request to one endpoint and resolves with the whole answer
 * {status, headers, body, endpoint}, whatever its status. Redirects are not
 * followed: they would carry credentials elsewhere.
 *
 * A rejection is a Broken, or the reason of the signal.
 *
 * node:http is used rather than fetch because it sends paths as they are ("..",
 * "%00" are keys of KVdb), may set Host, and is silent on Node 18.
 */
function exchange(endpoint, message, { agent, patience, signal }) {
  return new Promise((resolve, reject) => {
    const secure = endpoint.protocol === 'https:';
    const req = (secure ? https : http).request({
      protocol: endpoint.protocol, hostname: endpoint.hostname.replace(/^\[|\]$/g, ''), port: endpoint.port || undefined,
      method: message.method, path: message.path, headers: message.headers, agent,
    });
    let connected = false;
    let settled = false;
    let dialing = null;
    const end = (settle, value) => {
      if (settled) {
        return;
      }
      settled = true;
      clearTimeout(dialing);
      signal?.removeEventListener('abort', abort);
      settle(value);
    };
    const fail = (cause) => {
      end(reject, new Broken(cause, endpoint.host, connected));
      req.destroy();
    };
    const abort = () => {
      end(reject, new Broken(signal.reason, endpoint.host, connected));
      req.destroy();
    };
    if (signal?.aborted) {
      abort();
      return;
    }
    signal?.addEventListener('abort', abort, { once: true });
    req.setTimeout(patience, () => fail(new Error(`nothing came for ${patience} ms`)));
    req.on('error', fail);
    req.on('close', () => fail(new Error('the connection was closed'))); // after an answer that switches protocols
    req.on('socket', (socket) => {
      if (!socket.connecting) {
        connected = true; // a kept one
        return;
      }
      dialing = setTimeout(() => fail(new Error('the connection takes too long')), Math.min(connectWithin, patience));
      socket.once(secure ? 'secureConnect' : 'connect', () => {
        connected = true;
        clearTimeout(dialing);
      });
    });
    req.on('response', (res) => receive(res, endpoint.host, (answer) => end(resolve, answer), fail));
    req.end(message.body ?? undefined);
  });
}

function receive(res, endpoint, done, fail) {
  const pieces = [];
  let length = 0;
  res.on('data', (piece) => {
    length += piece.length;
    if (length > maxAnswer) {
      fail(Object.assign(new Error('the answer is larger than 256 MiB'), { final: true }));
      return;
    }
    pieces.push(piece);
  });
  res.on('error', () => fail(new Error('the answer broke off')));
  res.on('end', () => {
    if (!res.complete) {
      fail(new Error('the answer broke off'));
      return;
    }
    done({ status: res.statusCode, headers: res.headers, body: Buffer.concat(pieces), endpoint });
  });
}

/** An exchange without an answer. If it was not connected the request was certainly not delivered. */
class Broken extends Error {
  constructor(cause, endpoint, connected) {
    super(cause?.message ?? 'aborted');
    this.cause = cause;
    this.endpoint = endpoint;
    this.connected = connected;
    this.final = Boolean(cause?.final);
  }
}

/** Agents that keep connections, by scheme. Idle ones do not keep a program running. */
function newAgents(tls) {
  const kept = { keepAlive: true, maxSockets: 64, maxFreeSockets: 16 };
  return { 'http:': new http.Agent(kept), 'https:': new https.Agent({ ...tls, ...kept }) };
}

module.exports = { exchange, newAgents, Broken };
