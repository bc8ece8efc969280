'use strict';

const test = require('node:test');
const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { fake } = require('../testkit/fake.js');
const { KeyNest, NotFound, ValidationError } = require('../index.js');

const at = new Date('2026-01-31T10:30:00.250Z');

// What each call sends: method, path with query, JSON body.
const calls = [
  [(c) => c.auth.profile(), 'GET', '/api/auth/profile/'],
  [(c) => c.auth.updateProfile({ firstName: 'Ada' }), 'PATCH', '/api/auth/profile/', { first_name: 'Ada' }],
  [(c) => c.auth.changePassword({ currentPassword: 'a', newPassword: 'b' }), 'POST', '/api/auth/password/',
    { current_password: 'a', new_password: 'b', confirm_new_password: 'b' }],
  [(c) => c.auth.logout(), 'POST', '/api/auth/logout/', {}],
  [(c) => c.organizations.list(), 'GET', '/api/organizations/?page_size=100'],
  [(c) => c.organizations.get(3), 'GET', '/api/organizations/3/'],
  [(c) => c.organizations.create({ name: 'Acme' }), 'POST', '/api/organizations/', { name: 'Acme' }],
  [(c) => c.organizations.update(3, { description: null }), 'PATCH', '/api/organizations/3/', { description: null }],
  [(c) => c.organizations.delete(3), 'DELETE', '/api/organizations/3/'],
  [(c) => c.organizations.inviteMember(3, { email: 'b@example.com', role: 'editor' }), 'POST', '/api/organizations/3/invite_member/',
    { email: 'b@example.com', role: 'editor' }],
  [(c) => c.organizations.updateMemberRole(3, { userId: 2, role: 'admin' }), 'PATCH', '/api/organizations/3/update_member_role/',
    { user_id: 2, role: 'admin' }],
  [(c) => c.organizations.removeMember(3, 2), 'DELETE', '/api/organizations/3/remove_member/', { user_id: 2 }],
  [(c) => c.projects.list({ organizationId: 3, search: 'a b', pageSize: 5 }), 'GET', '/api/projects/?page_size=5&organization=3&search=a+b'],
  [(c) => c.projects.create({ name: 'Web', organizationId: '3' }), 'POST', '/api/projects/', { name: 'Web', organization: 3 }],
  [(c) => c.projects.update(4, { organizationId: 5 }), 'PATCH', '/api/projects/4/', { organization: 5 }],
  [(c) => c.projects.delete(4), 'DELETE', '/api/projects/4/'],
  [(c) => c.projects.environments(4), 'GET', '/api/projects/4/environments/'],
  [(c) => c.environments.list({ projectId: 4, environmentType: 'staging' }), 'GET',
    '/api/environments/?page_size=100&project=4&environment_type=staging'],
  [(c) => c.environments.get(1), 'GET', '/api/environments/1/'],
  [(c) => c.environments.create({ name: 'x', projectId: 4, environmentType: 'testing' }), 'POST', '/api/environments/',
    { name: 'x', project: 4, environment_type: 'testing' }],
  [(c) => c.environments.update(1, { name: 'y' }), 'PATCH', '/api/environments/1/', { name: 'y' }],
  [(c) => c.environments.delete(1), 'DELETE', '/api/environments/1/'],
  [(c) => c.environments.variables(1), 'GET', '/api/environments/1/variables/'],
  [(c) => c.environments.variables(1, { at, resolve: true }), 'GET', '/api/environments/1/variables/?at=2026-01-31T10%3A30%3A00Z&resolve=true'],
  [(c) => c.environments.export(1, { format: 'env', style: 'shell' }), 'GET', '/api/environments/1/export/?format=env&style=shell'],
  [(c) => c.environments.values(1, { resolve: true }), 'GET', '/api/environments/1/export/?resolve=true&format=json'],
  [(c) => c.environments.import(1, { data: 'A=1', overwrite: false }), 'POST', '/api/environments/1/import/', { data: 'A=1', overwrite: false }],
  [(c) => c.environments.diff(1, { with: 2, values: true }), 'GET', '/api/environments/1/diff/?with=2&values=true'],
  [(c) => c.environments.copy(1, { to: 2, keys: ['A'], dryRun: true }), 'POST', '/api/environments/1/copy/', { to: 2, keys: ['A'], dry_run: true }],
  [(c) => c.environments.promote(1, { to: 2, removeMissing: true }), 'POST', '/api/environments/1/promote/', { to: 2, remove_missing: true }],
  [(c) => c.environments.rollback(1, { at }), 'POST', '/api/environments/1/rollback/', { at: '2026-01-31T10:30:00Z' }],
  [(c) => c.variables.list({ environmentId: 1, key: 'API' }), 'GET', '/api/variables/?page_size=100&environment=1&key=API'],
  [(c) => c.variables.get(9, { resolve: true }), 'GET', '/api/variables/9/?resolve=true'],
  [(c) => c.variables.create({ key: 'A', value: ' v ', environmentId: 1 }), 'POST', '/api/variables/', { key: 'A', value: ' v ', environment: 1 }],
  [(c) => c.variables.update(9, { value: '', version: 3 }), 'PATCH', '/api/variables/9/', { value: '', version: 3 }],
  [(c) => c.variables.delete(9), 'DELETE', '/api/variables/9/'],
  [(c) => c.variables.versions(9), 'GET', '/api/variables/9/versions/?page_size=100'],
  [(c) => c.variables.version(9, 2), 'GET', '/api/variables/9/versions/2/'],
  [(c) => c.variables.rollback(9, 2), 'POST', '/api/variables/9/rollback/', { version: 2 }],
  [(c) => c.auditLogs.list({ action: 'variable_created', dateFrom: '2026-01-01' }), 'GET',
    '/api/audit-logs/?page_size=100&action=variable_created&date_from=2026-01-01'],
  [(c) => c.auditLogs.export({ format: 'csv' }), 'GET', '/api/audit-logs/export/?format=csv'],
  [(c) => c.serviceTokens.create({ name: 'ci', environmentId: 1, readOnly: true, expiresIn: '30d', allowedNetworks: ['10.0.0.0/8'] }),
    'POST', '/api/service-tokens/',
    { name: 'ci', environment: 1, read_only: true, expires_in: '30d', allowed_networks: ['10.0.0.0/8'] }],
  [(c) => c.serviceTokens.rename(1, 'cd'), 'PATCH', '/api/service-tokens/1/', { name: 'cd' }],
  [(c) => c.serviceTokens.revoke(1), 'DELETE', '/api/service-tokens/1/'],
  [(c) => c.webhooks.create({ url: 'https://x.example', events: ['*'], organizationId: 3, isActive: true }), 'POST', '/api/webhooks/',
    { url: 'https://x.example', events: ['*'], organization: 3, is_active: true }],
  [(c) => c.webhooks.get('webhook_1'), 'GET', '/api/webhooks/webhook_1/'],
  [(c) => c.webhooks.update('webhook_1', { secret: '' }), 'PATCH', '/api/webhooks/webhook_1/', { secret: '' }],
  [(c) => c.webhooks.delete(1), 'DELETE', '/api/webhooks/1/'],
  [(c) => c.webhooks.deliveries(1), 'GET', '/api/webhooks/1/deliveries/?page_size=100'],
  [(c) => c.webhooks.delivery(1, 5), 'GET', '/api/webhooks/1/deliveries/5/'],
  [(c) => c.webhooks.redeliver(1, 5), 'POST', '/api/webhooks/1/deliveries/5/redeliver/', {}],
  [(c) => c.webhooks.test(1), 'POST', '/api/webhooks/1/test/', {}],
  [(c) => c.request('get', '/api/anything/', { query: { pageSize: 2 } }), 'GET', '/api/anything/?page_size=2'],
  [(c) => c.request('POST', '/api/anything/', { body: { asItIs: 1 } }), 'POST', '/api/anything/', { asItIs: 1 }],
];

const answers = { count: 0, next: null, previous: null, results: [], token: 'another' };

for (const [call, method, url, body] of calls) {
  test(`${call.toString().replace('(c) => c.', '').split('\n')[0]} is ${method} ${url}`, async (t) => {
    const s = await fake(t, { status: method === 'DELETE' && body === undefined ? 204 : 200, body: answers });
    const c = new KeyNest({ token: 'abc', baseUrl: s.url });
    t.after(() => c.close());
    await call(c);
    const [r] = s.requests;
    assert.deepEqual([r.method, r.url], [method, url]);
    assert.equal(r.headers.authorization, 'Token abc');
    assert.deepEqual(r.body.length === 0 ? undefined : JSON.parse(r.body), body);
    assert.equal(r.headers['content-type'], body && 'application/json');
  });
}

test('values are handed on as they came', async (t) => {
  const s = await fake(t, { body: { decrypted_value: ' kept \n', environment: 1 } });
  const v = await new KeyNest({ token: 'abc', baseUrl: s.url }).variables.get(1);
  assert.deepEqual(v, { decrypted_value: ' kept \n', environment: 1 });
});

test('a file is uploaded byte for byte, the same at each try', async (t) => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'keynest-'));
  t.after(() => fs.rmSync(dir, { recursive: true }));
  const file = path.join(dir, 'some"odd".env');
  const content = Buffer.from('A="\xff"\r\n--x--\n', 'latin1');
  fs.writeFileSync(file, content);
  const s = await fake(t, 'break', { body: {} });
  await new KeyNest({ token: 'abc', baseUrl: s.url }).environments.importFile(1, file, { overwrite: false });
  const [first, second] = s.requests;
  assert.deepEqual(first.body, second.body);
  assert.equal(first.headers['content-type'], second.headers['content-type']);
  const form = await new Response(second.body, { headers: { 'Content-Type': second.headers['content-type'] } }).formData();
  assert.equal(form.get('overwrite'), 'false');
  assert.equal(form.get('file').name, 'some_odd_.env');
  assert.deepEqual(Buffer.from(await form.get('file').arrayBuffer()), content);
});

test('an id that would be another path is refused', async () => {
  const c = new KeyNest({ token: 'abc', baseUrl: 'http://127.0.0.1:1' });
  for (const id of [undefined, null, '', '..', '1/../2', '1?x', {}, '%2e']) {
    await assert.rejects(c.variables.delete(id), TypeError, String(id));
    await assert.rejects(c.environments.get(id), TypeError, String(id));
  }
});

test('the fields of a wrong request are told', async (t) => {
  const details = { key: ['This field is required.'] };
  const s = await fake(t, {
    status: 400, headers: { 'Covey-Request-Id': 'r1' }, body: { error: 'Validation failed', details, code: 'VALIDATION_ERROR' },
  });
  await assert.rejects(new KeyNest({ token: 'abc', baseUrl: s.url }).variables.create({ environmentId: 1 }), (e) => {
    assert.ok(e instanceof ValidationError);
    assert.equal(e.name, 'ValidationError');
    assert.equal(e.message, 'POST /api/variables/: 400 Validation failed: key: This field is required.');
    assert.deepEqual([e.status, e.error, e.details, e.code, e.requestId], [400, 'Validation failed', details, 'VALIDATION_ERROR', 'r1']);
    return true;
  });
});

test('an answer that is not JSON is told without what it holds', async (t) => {
  const s = await fake(t, { body: 'SECRET=sk_live_1' });
  await assert.rejects(new KeyNest({ token: 'abc', baseUrl: s.url }).environments.values(1), (e) => {
    assert.match(e.message, /is not JSON$/);
    return !e.stack.includes('sk_live');
  });
});

test('a proxy that answers with a page is told by its status', async (t) => {
  const s = await fake(t, { status: 404, body: '<html>nothing here</html>' });
  await assert.rejects(new KeyNest({ token: 'abc', baseUrl: s.url }).projects.get(1), (e) => e instanceof NotFound && e.code === '');
});
