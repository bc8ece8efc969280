'use strict';

const crypto = require('node:crypto');
const { SignatureError } = require('./errors.js');

const defaultTolerance = 300;

/**
 * Verifies that a message comes from one's webhook and returns its payload;
 * throws a SignatureError otherwise.
 *
 * body is the request's body as it came (Buffer or text, not parsed), headers
 * those of the request (an object or a Headers). X-KeyNest-Signature counts if
 * it is there, else the headers of Standard Webhooks. Messages signed more than
 * tolerance seconds (300) from now are refused, since they may be replayed.
 */
function verifyWebhook(body, headers, secret, { tolerance = defaultTolerance, now = Date.now() } = {}) {
  if (typeof body !== 'string' && !(body instanceof Uint8Array)) {
    throw new TypeError('body must be the text or the bytes of the request, as they came');
  }
  if (typeof secret !== 'string' || secret === '') {
    throw new TypeError('secret must be the text that the webhook was made with');
  }
  const bytes = typeof body === 'string' ? Buffer.from(body, 'utf8') : Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  const get = lookup(headers);
  const own = get('x-keynest-signature');
  const signed = own ? keynest(own, secret) : standard(get, secret);
  const age = Math.abs(now / 1000 - Number(signed.timestamp));
  if (!(age <= tolerance)) {
    throw new SignatureError(`the message was signed more than ${tolerance} s from now`);
  }
  const want = crypto.createHmac('sha256', signed.key).update(signed.before).update(bytes).digest();
  if (!signed.signatures.some((s) => s.length === want.length && crypto.timingSafeEqual(s, want))) {
    throw new SignatureError('the message was not signed with this secret');
  }
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    throw new SignatureError('the signed message is not JSON');
  }
}

/** t=<unix>,v1=<hex HMAC-SHA256(secret, "<t>.<body>")> */
function keynest(header, secret) {
  const parts = header.split(',').map((p) => p.trim().split('='));
  const timestamp = unix(parts.find(([name]) => name === 't')?.[1], 'X-KeyNest-Signature');
  const signatures = parts.filter(([name]) => name === 'v1').map(([, hex]) => Buffer.from(hex ?? '', 'hex'));
  return { timestamp, signatures, key: secret, before: `${timestamp}.` };
}

/** webhook-signature: v1,<base64 HMAC-SHA256(key, "<id>.<timestamp>.<body>")>, several with blanks between. */
function standard(get, secret) {
  const id = get('webhook-id');
  const header = get('webhook-signature');
  if (!id || !header) {
    throw new SignatureError('the message has no signature');
  }
  const timestamp = unix(get('webhook-timestamp'), 'webhook-timestamp');
  const signatures = header.split(' ').filter((s) => s.startsWith('v1,')).map((s) => Buffer.from(s.slice(3), 'base64'));
  const prefix = 'whsec_';
  const key = secret.startsWith(prefix) ? Buffer.from(secret.slice(prefix.length), 'base64') : secret;
  return { timestamp, signatures, key, before: `${id}.${timestamp}.` };
}

function unix(text, header) {
  if (!/^\d{1,12}$/.test(text ?? '')) {
    throw new SignatureError(`${header} holds no time`);
  }
  return text;
}

function lookup(headers) {
  if (typeof headers?.get === 'function') {
    return (name) => headers.get(name) ?? '';
  }
  const lower = new Map(Object.entries(headers ?? {}).map(([name, value]) => [name.toLowerCase(), value]));
  return (name) => {
    const value = lower.get(name) ?? '';
    return String(Array.isArray(value) ? value[0] : value);
  };
}

module.exports = { verifyWebhook };
