'use strict';

const test = require('node:test');
const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const https = require('node:https');
const os = require('node:os');
const path = require('node:path');
const { inspect } = require('node:util');
const { fake, nobody } = require('../testkit/fake.js');
const { KeyNest, ConnectionError } = require('../index.js');

const secret = 'svc_5eC4e75eC4e75eC4e75eC4e7';

/** Runs f with environment variables set. */
function withEnvironment(t, variables, f) {
  const before = { ...process.env };
  t.after(() => Object.keys(variables).forEach((name) => {
    if (before[name] === undefined) {
      delete process.env[name];
    } else {
      process.env[name] = before[name];
    }
  }));
  Object.assign(process.env, variables);
  return f();
}

test('base URLs', async (t) => {
  const cases = [
    ['http://localhost:8000', ['http://localhost:8000']],
    ['http://a:1, https://b/', ['http://a:1', 'https://b']],
    ['a:8700', ['http://a:8700']],
    [['http://[::1]:8700/'], ['http://[::1]:8700']],
    ['https://x.example/keynest/api/', ['https://x.example/keynest']],
  ];
  for (const [given, want] of cases) {
    await t.test(String(given), () => assert.deepEqual(new KeyNest({ baseUrl: given }).endpoints, want));
  }
  for (const bad of ['ftp://x', 'http://user:hunter2@x', 'http://x?token=hunter2', 'http://', [], ',', 'http://x#hunter2']) {
    await t.test(`${JSON.stringify(bad)} is refused`, () => {
      assert.throws(() => new KeyNest({ baseUrl: bad }), (e) => e instanceof TypeError && !e.message.includes('hunter2'));
    });
  }
});

test('a path in front of the API is kept', async (t) => {
  const s = await fake(t, {});
  await new KeyNest({ token: 'abc', baseUrl: `${s.url}/proxy` }).projects.get(1);
  assert.equal(s.requests[0].url, '/proxy/api/projects/1/');
});

test('the environment gives token and endpoints', async (t) => {
  const s = await fake(t, {});
  await withEnvironment(t, { KEYNEST_TOKEN: `${secret}\n`, KEYNEST_BASE_URL: `${s.url},${s.url}` }, async () => {
    const c = new KeyNest();
    assert.equal(c.endpoints.length, 2);
    await c.projects.get(1);
    assert.equal(s.requests[0].headers.authorization, `Token ${secret}`);
    const other = new KeyNest({ token: 'other' });
    await other.projects.get(1);
    assert.equal(s.requests[1].headers.authorization, 'Token other');
  });
});

test('without configuration it is the document\'s address', async (t) => {
  await withEnvironment(t, { KEYNEST_BASE_URL: '', KEYNEST_TOKEN: '' }, () => {
    assert.deepEqual(new KeyNest().endpoints, ['http://localhost:8000']);
  });
});

test('wrong configuration is told at once', () => {
  for (const bad of [{ token: 'a b' }, { token: 'a\r\nX: y' }, { token: '' }, { token: 5 }, { timeout: 0 }, { timeout: '1' }, { maxRetries: -1 }, { timeout: NaN }]) {
    assert.throws(() => new KeyNest({ baseUrl: 'http://x', ...bad }), TypeError, JSON.stringify(bad));
  }
  assert.throws(() => new KeyNest({ base_url: 'http://x' }), /^TypeError: the configuration has no base_url$/);
  assert.throws(() => new KeyNest('http://x'), TypeError);
  assert.throws(() => new KeyNest(null), TypeError);
});

test('a private certificate authority is believed only when it is given', async (t) => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'keynest-'));
  t.after(() => fs.rmSync(dir, { recursive: true }));
  const [key, cert] = [path.join(dir, 'key.pem'), path.join(dir, 'cert.pem')];
  const made = spawnSync('openssl', [
    'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-subj', '/CN=x',
    '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', cert,
  ]);
  if (made.error || made.status !== 0) {
    t.skip('this machine has no openssl that makes certificates');
    return;
  }
  const server = https.createServer({ key: fs.readFileSync(key), cert: fs.readFileSync(cert) }, (req, res) => res.end('{"token":"fresh"}'));
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const baseUrl = `https://127.0.0.1:${server.address().port}`;
  await assert.rejects(new KeyNest({ baseUrl, maxRetries: 0 }).health(), (e) => e instanceof ConnectionError && /certificate/.test(e.message));
  const c = new KeyNest({ baseUrl, tls: { ca: fs.readFileSync(cert) }, maxRetries: 0 });
  await c.auth.register({ username: 'ada' });
  assert.deepEqual(await c.health(), { token: 'fresh' });
  c.close();
});

test('nothing that is printed shows a secret', async (t) => {
  const s = await fake(t, { status: 401, body: { error: 'Invalid token.' } });
  const c = new KeyNest({ token: secret, baseUrl: s.url, maxRetries: 0 });
  const lost = new KeyNest({ token: secret, baseUrl: await nobody(), maxRetries: 0 });
  const failed = [];
  for (const call of [
    () => c.variables.create({ key: 'A', value: secret, environmentId: 1 }), () => lost.variables.create({ key: 'A', value: secret, environmentId: 1 }),
    () => c.auth.login({ email: 'a@example.com', password: secret }), () => c.bucket('b', secret).set('k', secret),
    () => c.database({ key: secret }).collection('books').insert({ a: secret }), () => lost.bucket('b', secret).get('k'),
  ]) {
    await call().catch((e) => failed.push(e));
  }
  assert.equal(failed.length, 6);
  const printed = [c, c.variables, c.projects.list(), c.bucket('b', secret), c.database({ key: secret }), c.database({ key: secret }).collection('x'), ...failed];
  for (const thing of printed) {
    const shown = `${inspect(thing, { depth: 12, showHidden: true })} ${JSON.stringify(thing)} ${String(thing?.stack ?? thing?.constructor?.name)}`;
    assert.ok(!shown.includes(secret), shown);
  }
});
