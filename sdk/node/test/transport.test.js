'use strict';

const test = require('node:test');
const assert = require('node:assert/strict');
const { fake, nobody } = require('../testkit/fake.js');
const {
  KeyNest, KeyNestError, APIError, ConnectionError, RateLimited, Unavailable, UnknownOutcome, Conflict,
} = require('../index.js');

const token = '0123456789abcdef0123456789abcdef01234567';

function client(t, baseUrl, config = {}) {
  const c = new KeyNest({ token, baseUrl, ...config });
  t.after(() => c.close());
  return c;
}

const keys = (server) => server.requests.map((r) => r.headers['idempotency-key']);
const busy = { status: 503, body: { error: 'no leader', code: 'UNAVAILABLE' } };
const variable = { key: 'A', value: 'v', environmentId: 1 };

test('the next endpoint is asked when nobody listens', async (t) => {
  const up = await fake(t, { body: { id: 7 } });
  const c = client(t, [await nobody(), up.url], { maxRetries: 0 });
  assert.deepEqual(await c.variables.create(variable), { id: 7 });
});

test('the next endpoint is asked when one has no leader, under the same key', async (t) => {
  const down = await fake(t, busy);
  const up = await fake(t, { status: 201, body: { id: 7 } });
  await client(t, [down.url, up.url], { maxRetries: 0 }).variables.create(variable);
  assert.equal(down.requests.length, 1);
  assert.match(keys(down)[0], /^[0-9a-f]{32}$/);
  assert.deepEqual(keys(up), keys(down));
  assert.deepEqual(up.requests[0].body, down.requests[0].body);
});

test('later calls begin with the endpoint that answered', async (t) => {
  const down = await fake(t, busy);
  const up = await fake(t, {});
  const c = client(t, [down.url, up.url]);
  await c.projects.get(1);
  await c.projects.get(1);
  assert.equal(down.requests.length, 1);
  assert.equal(up.requests.length, 2);
});

for (const lost of ['break', 'half', { status: 502, body: 'bad gateway' }, { status: 504, body: { error: 'unknown' } }]) {
  const name = typeof lost === 'string' ? lost : lost.status;
  test(`a write whose answer is lost (${name}) is sent again with the same key`, async (t) => {
    const s = await fake(t, lost, { status: 201, body: { id: 7 } });
    assert.equal((await client(t, s.url).variables.create(variable)).id, 7);
    assert.equal(s.requests.length, 2);
    assert.equal(keys(s)[0], keys(s)[1]);
  });

  test(`a write without a key is not sent again when its answer is lost (${name})`, async (t) => {
    const s = await fake(t, lost, { status: 201, body: { id: 7 } });
    await assert.rejects(client(t, s.url).variables.create(variable, { idempotencyKey: null }), (e) => {
      assert.ok(e instanceof ConnectionError || e instanceof APIError);
      assert.equal(e.outcomeUnknown, true);
      return true;
    });
    assert.equal(s.requests.length, 1);
    assert.equal(keys(s)[0], undefined);
  });

  test(`a read whose answer is lost (${name}) is sent again`, async (t) => {
    const s = await fake(t, lost, { body: { id: 1 } });
    assert.equal((await client(t, s.url).projects.get(1)).id, 1);
  });
}

test('two writes have two keys, unless the caller chooses one', async (t) => {
  const s = await fake(t, {});
  const c = client(t, s.url);
  await c.variables.create(variable);
  await c.variables.create(variable);
  await c.variables.create(variable, { idempotencyKey: 'chosen-by-caller' });
  const [a, b, chosen] = keys(s);
  assert.notEqual(a, b);
  assert.equal(chosen, 'chosen-by-caller');
});

test('registering is sent again only if it was certainly not done', async (t) => {
  const account = { username: 'ada', email: 'ada@example.com', password: 'lovelace-1815' };
  const s = await fake(t, busy, 'break');
  await assert.rejects(client(t, s.url).auth.register(account), (e) => e instanceof ConnectionError && e.outcomeUnknown);
  assert.equal(s.requests.length, 2);
  assert.equal(keys(s)[0], undefined, 'it takes no key');
});

test('registering ends with the endpoint that may have done it', async (t) => {
  const first = await fake(t, busy);
  const second = await fake(t, 'break');
  const c = client(t, [first.url, second.url, first.url]);
  await assert.rejects(c.auth.register({ username: 'ada' }), (e) => e instanceof ConnectionError && e.outcomeUnknown);
  assert.deepEqual([first.requests.length, second.requests.length], [1, 1]);
});

test('logging in is sent again, and gives the client its token', async (t) => {
  const s = await fake(t, 'break', { body: { token: 'fresh' } }, {});
  const c = client(t, s.url);
  await c.auth.login({ email: 'ada@example.com', password: 'lovelace-1815' });
  await c.auth.profile();
  assert.equal(s.requests[0].headers.authorization, undefined, 'an old token would make a login fail');
  assert.equal(s.requests[2].headers.authorization, 'Token fresh');
});

test('429 waits as long as the server says', async (t) => {
  const s = await fake(t, { status: 429, headers: { 'Retry-After': '1' } }, { body: { id: 1 } });
  const begin = process.hrtime.bigint();
  await client(t, s.url).projects.get(1);
  assert.ok(process.hrtime.bigint() - begin >= 990_000_000n, 'it did not wait');
});

test('429 is told at once when the wait is longer than the call may take, and goes to no other endpoint', async (t) => {
  const s = await fake(t, { status: 429, headers: { 'Retry-After': '60' }, body: { error: 'Rate limit exceeded' } });
  const other = await fake(t, {});
  await assert.rejects(client(t, [s.url, other.url]).projects.get(1), (e) => e instanceof RateLimited && e.retryAfter === 60);
  assert.equal(s.requests.length, 1);
  assert.equal(other.requests.length, 0);
});

test('a cluster without a leader is asked maxRetries more times, and its reason is told', async (t) => {
  const s = await fake(t, busy);
  await assert.rejects(client(t, [s.url, await nobody()], { maxRetries: 1 }).variables.create(variable), (e) => {
    assert.ok(e instanceof Unavailable, String(e));
    assert.equal(e.error, 'no leader');
    assert.equal(e.outcomeUnknown, false);
    return true;
  });
  assert.equal(s.requests.length, 2);
});

test('a refusal after a lost answer leaves the outcome unknown', async (t) => {
  const s = await fake(t, 'break', busy);
  await assert.rejects(client(t, s.url, { maxRetries: 1 }).variables.create(variable), (e) => e instanceof Unavailable && e.outcomeUnknown);
});

test('an answer after a lost one is the outcome', async (t) => {
  const s = await fake(t, 'break', { status: 409, body: { error: 'taken' } });
  await assert.rejects(client(t, s.url).variables.create(variable), (e) => e instanceof Conflict && !e.outcomeUnknown);
});

test('504 of a write that cannot be repeated is an UnknownOutcome', async (t) => {
  const s = await fake(t, { status: 504, headers: { 'Covey-Outcome': 'unknown' }, body: { error: 'unknown outcome' } });
  await assert.rejects(client(t, s.url).variables.create(variable, { idempotencyKey: null }), UnknownOutcome);
});

test('nobody listens anywhere', async (t) => {
  await assert.rejects(client(t, [await nobody(), await nobody()], { maxRetries: 1 }).variables.create(variable), (e) => {
    assert.ok(e instanceof ConnectionError);
    assert.match(e.message, /^POST \/api\/variables\/: cannot reach 127\.0\.0\.1:\d+ \(.*ECONNREFUSED/);
    assert.equal(e.outcomeUnknown, false);
    return true;
  });
});

test('a call ends with its time', async (t) => {
  const s = await fake(t, 'silent');
  await assert.rejects(client(t, s.url).variables.create(variable, { timeout: 500 }), (e) => {
    assert.ok(e instanceof ConnectionError);
    assert.match(e.message, /no answer within 500 ms/);
    assert.equal(e.outcomeUnknown, true);
    return true;
  });
  assert.equal(s.requests.length, 1);
});

test('a call ends when its caller wants it to', async (t) => {
  const stop = new AbortController();
  const s = await fake(t, () => {
    stop.abort(new Error('enough'));
    return 'silent';
  });
  const c = client(t, s.url);
  await assert.rejects(c.projects.get(1, { signal: stop.signal }), /^Error: enough$/);
  await assert.rejects(c.projects.get(1, { signal: stop.signal }), /^Error: enough$/);
  assert.equal(s.requests.length, 1, 'an aborted signal sends nothing');
});

test('a caller may end the wait between two tries', async (t) => {
  const stop = new AbortController();
  const s = await fake(t, () => {
    setImmediate(() => setImmediate(() => stop.abort(new Error('enough'))));
    return { status: 429, headers: { 'Retry-After': '20' } };
  });
  await assert.rejects(client(t, s.url).projects.get(1, { signal: stop.signal }), /^Error: enough$/);
});

test('redirects are not followed: they would carry the token away', async (t) => {
  const thief = await fake(t, {});
  const s = await fake(t, { status: 302, headers: { Location: thief.url } });
  await assert.rejects(client(t, s.url).projects.get(1), (e) => e instanceof APIError && e.status === 302);
  assert.equal(thief.requests.length, 0);
});

test('writes tell the version that was seen just before', async (t) => {
  const s = await fake(t, { headers: { 'Covey-Version': '41' } }, { headers: { 'Covey-Version': '7' } }, {});
  const c = client(t, s.url);
  await c.projects.get(1);
  await c.projects.get(1);
  await c.variables.create(variable);
  assert.equal(s.requests[2].headers['covey-version'], '41', 'an older one does not replace it');
  assert.equal(s.requests[0].headers['covey-version'], undefined);
});

test('a kept connection that the server has closed costs nothing', async (t) => {
  const s = await fake(t, { body: { token: 'fresh' } });
  const c = client(t, s.url, { maxRetries: 0 });
  await c.projects.get(1);
  s.server.closeIdleConnections();
  await c.auth.register({ username: 'a' });
  assert.equal(s.requests.length, 2);
});

for (const status of [401, 403, 404]) {
  test(`${status} says nothing of an earlier try: what that needed may be gone since`, async (t) => {
    const s = await fake(t, 'break', { status });
    await assert.rejects(client(t, s.url).variables.delete(1), (e) => e.status === status && e.outcomeUnknown);
  });
}

test('a logout whose answer was lost is done', async (t) => {
  const s = await fake(t, 'break', { status: 401 }, { body: {} });
  const c = client(t, s.url);
  assert.deepEqual(await c.auth.logout(), { message: 'Successfully logged out' });
  await c.projects.get(1);
  assert.equal(s.requests[2].headers.authorization, undefined);
});

test('a logout with a token that does not count is refused', async (t) => {
  const s = await fake(t, { status: 401 });
  await assert.rejects(client(t, s.url).auth.logout(), { name: 'AuthenticationError' });
});

test('what cannot be sent is a TypeError, and nothing is', async (t) => {
  const s = await fake(t, {});
  const c = client(t, s.url);
  await assert.rejects(c.variables.delete(1, { idempotencyKey: 'sixteen\nletters!' }), TypeError);
  await assert.rejects(c.request('GET', '/ä b'), TypeError);
  await assert.rejects(c.request('G T', '/'), TypeError);
  await assert.rejects(c.auth.login('ada@example.com', 'hunter2'), (e) => e instanceof TypeError && !e.message.includes('hunter2'));
  assert.throws(() => c.bucket('id', 's3cret\n'), (e) => e instanceof TypeError && !e.message.includes('s3cret'));
  assert.throws(() => client(t, s.url, { timeout: 2 ** 31 }), /^TypeError: timeout must be a number from 1 to 2147483647$/);
  await assert.rejects(c.projects.get(1, { timeout: 2 ** 31 }), TypeError);
  assert.equal(s.requests.length, 0);
});

test('an answer that switches protocols is none, and is not waited for', async (t) => {
  const s = await fake(t, { status: 101, headers: { Connection: 'Upgrade', Upgrade: 'other' }, body: '' });
  await assert.rejects(client(t, s.url, { maxRetries: 0 }).projects.get(1), /no answer from .* \(the connection was closed\)$/);
});

test('answers of another shape are errors of this package', async (t) => {
  const calls = {
    list: (c) => c.projects.list(), members: (c) => c.organizations.members(1), sum: (c) => c.bucket('b').increment('n'),
    login: (c) => c.auth.login({ email: 'a', password: 'p' }), keys: (c) => c.bucket('b').keys(), token: (c) => c.bucket('b').createToken(),
    password: (c) => c.auth.changePassword({ currentPassword: 'a', newPassword: 'b' }),
  };
  for (const body of ['', 'null', '"x"', '{"results": 5, "token": 5}', '{"results": [], "next": 7}', '<html>']) {
    const s = await fake(t, { body });
    for (const [name, call] of Object.entries(calls)) {
      await assert.rejects(Promise.resolve(call(client(t, s.url))), KeyNestError, `${name}: ${body}`);
    }
  }
});

test('without a leader the reason is told in time, and that nothing was done', async (t) => {
  const s = await fake(t, () => new Promise((resolve) => setTimeout(resolve, 400, busy)));
  await assert.rejects(client(t, [s.url, await nobody()], { maxRetries: 100, timeout: 1500 }).variables.create(variable), (e) => {
    assert.ok(e instanceof Unavailable, String(e));
    assert.equal(e.error, 'no leader');
    assert.equal(e.outcomeUnknown, false);
    return true;
  });
  assert.ok(s.requests.length > 1);
});
