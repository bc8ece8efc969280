'use strict';

const test = require('node:test');
const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const { verifyWebhook, SignatureError } = require('../index.js');

const body = '{"event":"variable.created","timestamp":"2025-08-30T10:30:00Z","data":{}}';
const sent = 1756549800;
const now = sent * 1000;

// Made with openssl.
const own = {
  secret: 'my-own-secret-text',
  headers: { 'X-KeyNest-Signature': `t=${sent},v1=78fd20482d4bb5aa250675c3078e287595aadb1e43ebbb24b90f84d43969e16d` },
};
const ownStandard = {
  secret: 'my-own-secret-text',
  headers: { 'webhook-id': 'msg_1', 'webhook-timestamp': String(sent), 'webhook-signature': 'v1,KnAJEeBMbuEaOE7uzbvlSwisS5dwNoTsGfKMaqFlvG0=' },
};
// Made with the library of the Standard Webhooks project.
const drawn = {
  secret: 'whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=',
  headers: { 'webhook-id': 'msg_1', 'webhook-timestamp': String(sent), 'webhook-signature': 'v1,xvqF+o5i6DDd//MHaKxxl3elzDaSZzzW/1uA4uWHcrg=' },
};

test('signatures of others\' programs are accepted', () => {
  for (const { secret, headers } of [own, ownStandard, drawn]) {
    assert.equal(verifyWebhook(body, headers, secret, { now }).event, 'variable.created');
    assert.equal(verifyWebhook(Buffer.from(body), new Headers(headers), secret, { now }).event, 'variable.created');
  }
});

test('one of several signatures is enough, while a secret is changed', () => {
  const { secret, headers } = drawn;
  const two = { ...headers, 'webhook-signature': `v1,${Buffer.alloc(32).toString('base64')} v2,zzz ${headers['webhook-signature']}` };
  verifyWebhook(body, two, secret, { now });
  const [t, v1] = own.headers['X-KeyNest-Signature'].split(',');
  verifyWebhook(body, { 'x-keynest-signature': [`${t},v1=${'0'.repeat(64)},${v1}`] }, own.secret, { now });
});

test('anything else is refused', async (t) => {
  const cases = {
    'another body': [`${body} `, own.headers, own.secret],
    'another secret': [body, own.headers, `${own.secret}x`],
    'another id': [body, { ...drawn.headers, 'webhook-id': 'msg_2' }, drawn.secret],
    'another time': [body, { ...drawn.headers, 'webhook-timestamp': String(sent + 1) }, drawn.secret],
    'no header': [body, {}, own.secret],
    'no headers at all': [body, undefined, own.secret],
    'a signature that is no signature': [body, { 'x-keynest-signature': 'v1=' }, own.secret],
    'an empty signature': [body, { 'x-keynest-signature': `t=${sent},v1=` }, own.secret],
    'a time that is no number': [body, { ...drawn.headers, 'webhook-timestamp': 'NaN' }, drawn.secret],
    'another version only': [body, { ...drawn.headers, 'webhook-signature': drawn.headers['webhook-signature'].replace('v1', 'v1a') }, drawn.secret],
    'a wrong own signature beside a good one': [body, { ...drawn.headers, 'x-keynest-signature': `t=${sent},v1=${'0'.repeat(64)}` }, drawn.secret],
  };
  for (const [name, [b, headers, secret]] of Object.entries(cases)) {
    await t.test(name, () => assert.throws(() => verifyWebhook(b, headers, secret, { now }), SignatureError));
  }
});

test('a message that is too old, or from the future, is refused', () => {
  const at = (seconds, options) => verifyWebhook(body, drawn.headers, drawn.secret, { now: now + seconds * 1000, ...options });
  at(300);
  at(-300);
  assert.throws(() => at(301), SignatureError);
  assert.throws(() => at(-301), SignatureError);
  at(3600, { tolerance: 3600 });
});

test('a body that was parsed already, or no secret, is the caller\'s mistake', () => {
  assert.throws(() => verifyWebhook(JSON.parse(body), own.headers, own.secret, { now }), TypeError);
  assert.throws(() => verifyWebhook(body, own.headers, '', { now }), TypeError);
});

test('no bytes of headers break it', () => {
  for (let i = 0; i < 2000; i++) {
    const noise = crypto.randomBytes(i % 80).toString('latin1');
    for (const name of ['x-keynest-signature', 'webhook-signature', 'webhook-timestamp', 'webhook-id']) {
      assert.throws(() => verifyWebhook(body, { ...drawn.headers, [name]: noise }, noise || 'x', { now }), SignatureError);
    }
  }
});
