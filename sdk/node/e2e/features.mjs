// What the SDK does against a real cluster of three. Run by test/sdk.
import test from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import {
  AuthenticationError, Conflict, KeyNest, NotFound, PermissionDenied, ValidationError,
} from '@keynest/sdk';

const nodes = process.env.KEYNEST_BASE_URL.split(',');
const client = new KeyNest();
const name = (prefix) => `${prefix}_${Math.random().toString(36).slice(2)}`;
const password = 'correct-horse-battery-7';

/** A project with an environment, which no other test uses. */
async function place() {
  const [{ id: organizationId }] = await client.organizations.list();
  const project = await client.projects.create({ name: name('p'), organizationId });
  const environment = await client.environments.create({ name: 'production', projectId: project.id, environmentType: 'production' });
  return { organizationId, project, id: environment.id };
}

/** A user of its own. */
async function newcomer() {
  const other = new KeyNest();
  const username = name('u');
  const account = await other.auth.register({ username, email: `${username}@example.com`, password, firstName: 'Bo' });
  return { other, account, email: `${username}@example.com` };
}

test('accounts', async () => {
  const { other, email } = await newcomer();
  assert.equal((await other.auth.profile()).email, email);
  assert.equal((await other.auth.updateProfile({ lastName: 'Peep' })).full_name, 'Bo Peep');
  const old = await other.auth.login({ email, password });
  await other.auth.changePassword({ currentPassword: password, newPassword: `${password}8` });
  assert.equal((await other.auth.profile()).last_name, 'Peep', 'the client has the new token');
  await assert.rejects(new KeyNest({ token: old.token }).auth.profile(), AuthenticationError);
  await assert.rejects(other.auth.login({ email, password }), (e) => e instanceof AuthenticationError && e.error === 'Invalid credentials');
  await other.auth.login({ email, password: `${password}8` });
  await other.auth.logout();
  await assert.rejects(other.auth.profile(), AuthenticationError);
});

test('organizations and members', async () => {
  const { other, account, email } = await newcomer();
  const org = await client.organizations.create({ name: name('o') });
  await assert.rejects(other.organizations.get(org.id), NotFound);
  assert.equal((await client.organizations.inviteMember(org.id, { email, role: 'viewer' })).member.role, 'viewer');
  assert.equal((await other.organizations.get(org.id)).user_role, 'viewer');
  await assert.rejects(other.projects.create({ name: 'no', organizationId: org.id }), PermissionDenied);
  await client.organizations.updateMemberRole(org.id, { userId: account.user.id, role: 'editor' });
  assert.deepEqual((await client.organizations.members(org.id)).map((m) => m.role), ['admin', 'editor']);
  assert.equal((await client.organizations.removeMember(org.id, account.user.id)).removed_member.email, email);
  assert.equal((await client.organizations.update(org.id, { description: 'all of us' })).description, 'all of us');
  await client.organizations.delete(org.id);
  await assert.rejects(client.organizations.get(org.id), NotFound);
});

test('lists of several pages', async () => {
  const { organizationId } = await place();
  const prefix = name('paged');
  for (let i = 0; i < 5; i++) {
    await client.projects.create({ name: `${prefix} ${i}`, organizationId });
  }
  const seen = [];
  for await (const p of client.projects.list({ search: prefix, pageSize: 2 })) {
    seen.push(p.name);
  }
  assert.deepEqual(seen, [0, 1, 2, 3, 4].map((i) => `${prefix} ${i}`));
  assert.equal((await client.projects.list({ search: prefix, pageSize: 2 }).page('last')).results.length, 1);
});

test('variables keep every byte, and duplicates conflict', async () => {
  const { id } = await place();
  const value = ' a\tb\n"\'$x\\ żółć 🔑 ';
  const made = await client.variables.create({ key: 'A', value, environmentId: id });
  assert.equal((await client.variables.get(made.id)).decrypted_value, value);
  await assert.rejects(client.variables.create({ key: 'A', environmentId: id }), (e) => e instanceof Conflict && e.details.key.length === 1);
  await assert.rejects(client.variables.create({ key: 'no', environmentId: id }), (e) => e instanceof ValidationError && 'key' in e.details);
  await client.variables.update(made.id, { key: 'B' });
  assert.deepEqual(await client.environments.values(id), { B: value });
  await client.variables.delete(made.id);
  assert.deepEqual(await client.environments.variables(id), []);
});

test('files', async (t) => {
  const { id } = await place();
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'keynest-'));
  t.after(() => fs.rmSync(dir, { recursive: true }));
  const file = path.join(dir, 'some.json');
  fs.writeFileSync(file, JSON.stringify({ A: 'one', B: 'two\nlines' }));
  assert.equal((await client.environments.importFile(id, file)).summary.imported, 2);
  await assert.rejects(client.environments.importFile(id, file, { overwrite: false }), (e) => e instanceof Conflict && e.body.conflicts.length === 2);
  assert.deepEqual(await client.environments.values(id), { A: 'one', B: 'two\nlines' });
  const text = await client.environments.export(id);
  await client.environments.import(id, { data: text });
  assert.deepEqual(await client.environments.values(id), { A: 'one', B: 'two\nlines' });
});

test('the audit log', async () => {
  const { id } = await place();
  await client.environments.values(id);
  const page = await client.auditLogs.list({ action: 'environment_exported' }).page();
  assert.equal(page.results[0].target_id, id);
  const lines = (await client.auditLogs.export()).trim().split('\n');
  assert.ok(lines.every((line) => typeof JSON.parse(line) === 'object'));
});

test('versions', async () => {
  const { id } = await place();
  const made = await client.variables.create({ key: 'A', value: 'one', environmentId: id });
  await client.variables.update(made.id, { value: 'two', version: 1 });
  await assert.rejects(client.variables.update(made.id, { value: 'three', version: 1 }), (e) => e instanceof Conflict && e.body.version === 2);
  assert.deepEqual((await client.variables.versions(made.id)).map((v) => [v.version, v.decrypted_value, v.is_current]), [[2, 'two', true], [1, 'one', false]]);
  assert.equal((await client.variables.version(made.id, 1)).decrypted_value, 'one');
  assert.equal((await client.variables.rollback(made.id, 1)).decrypted_value, 'one');
  await assert.rejects(client.variables.version(made.id, 9), NotFound);
  const then = await client.environments.variables(id, { at: new Date() }).page();
  assert.deepEqual(then.results.map((v) => v.version), [3]);
  assert.deepEqual(then.unknown ?? [], []);
  const undone = await client.environments.rollback(id, { at: new Date(), dryRun: true });
  assert.deepEqual([undone.dry_run, undone.unchanged_count], [true, 1]);
});

test('environments are compared, copied and promoted', async () => {
  const { id, project } = await place();
  const { id: to } = await client.environments.create({ name: 'staging', projectId: project.id });
  await client.environments.import(id, { data: 'A=1\nB=2\nC=3' });
  await client.environments.import(to, { data: 'A=1\nB=old\nD=4' });
  const diff = await client.environments.diff(id, { with: to, values: true });
  assert.deepEqual([diff.added, diff.removed, diff.changed, diff.unchanged_count], [
    [{ key: 'D', value: '4' }], [{ key: 'C', value: '3' }], [{ key: 'B', value: '2', with_value: 'old' }], 1,
  ]);
  await assert.rejects(client.environments.copy(id, { to }), (e) => e instanceof Conflict && e.body.conflicts.includes('B'));
  assert.deepEqual((await client.environments.copy(id, { to, keys: ['C'] })).created, ['C']);
  const done = await client.environments.promote(id, { to, removeMissing: true });
  assert.deepEqual([done.updated, done.deleted], [['B'], ['D']]);
  assert.deepEqual(await client.environments.values(to), { A: '1', B: '2', C: '3' });
});

test('references are resolved if that is wanted', async () => {
  const { id } = await place();
  await client.environments.import(id, { data: "HOST=db\nURL='postgres://${HOST}/app'" });
  assert.equal((await client.environments.values(id)).URL, 'postgres://${HOST}/app');
  assert.equal((await client.environments.values(id, { resolve: true })).URL, 'postgres://db/app');
});

test('service tokens', async () => {
  const { id } = await place();
  const { id: elsewhere } = await place();
  const made = await client.serviceTokens.create({ name: 'ci', environmentId: id, expiresIn: '1h' });
  await client.variables.create({ key: 'A', value: 'one', environmentId: id });
  const ci = new KeyNest({ token: made.token });
  assert.deepEqual(await ci.environments.values(id), { A: 'one' });
  assert.equal((await ci.auth.profile()).type, 'service_token');
  await assert.rejects(ci.variables.create({ key: 'B', environmentId: id }), PermissionDenied);
  await assert.rejects(ci.environments.values(elsewhere), NotFound);
  assert.equal((await client.serviceTokens.rename(made.id, 'cd')).name, 'cd');
  assert.deepEqual((await client.serviceTokens.list({ environmentId: id })).map((k) => k.token), [undefined]);
  await client.serviceTokens.revoke(made.id);
  await assert.rejects(ci.environments.values(id), AuthenticationError);
});

test('webhooks', async () => {
  const { organizationId } = await place();
  const made = await client.webhooks.create({ url: 'http://127.0.0.1:1/', events: ['variable.created'], organizationId });
  assert.match(made.secret, /^whsec_/);
  assert.equal((await client.webhooks.get(made.id)).secret, undefined);
  const changed = await client.webhooks.update(made.id, { secret: '', events: ['*'] });
  assert.notEqual(changed.secret, made.secret);
  const sent = await client.webhooks.test(made.id);
  assert.equal((await client.webhooks.delivery(made.id, sent.id)).event, 'webhook.test');
  assert.ok((await client.webhooks.deliveries(made.id)).length >= 1);
  assert.equal((await client.webhooks.redeliver(made.id, sent.id)).event, 'webhook.test');
  await client.webhooks.delete(made.id);
  await assert.rejects(client.webhooks.get(made.id), NotFound);
});

test('buckets', async () => {
  const bucket = await client.createBucket({ secretKey: 's3cret', signingKey: 'signing', readKey: 'r3ad' });
  for (const key of ['a/b', '../x', 'ż ółć?#%', '\0']) {
    const { etag } = await bucket.set(key, Buffer.from([0, 255]), { ifNoneMatch: '*' });
    const entry = await bucket.getEntry(key);
    assert.deepEqual([[...entry.value], entry.etag], [[0, 255], etag]);
    await assert.rejects(bucket.set(key, 'x', { ifNoneMatch: '*' }), Conflict);
  }
  assert.equal(await bucket.get('nothing'), null);
  await assert.rejects(client.bucket('no-such-bucket').get('k'), NotFound);
  await assert.rejects(client.bucket(bucket.id).get('a/b'), PermissionDenied);
  assert.equal(await bucket.increment('n', '9007199254740993'), 9007199254740993n);
  assert.equal(await bucket.increment('f', 0.5), 0.5);
  await bucket.transaction([{ set: 'j', value: { x: [1] } }, { delete: 'n' }]);
  assert.deepEqual(await bucket.entries({ prefix: 'j' }), [['j', { x: [1] }]]);
  const keys = [];
  for await (const key of bucket.allKeys({ limit: 3 })) {
    keys.push(key);
  }
  assert.equal(keys.length, 3);
  const guest = client.bucket(bucket.id, await bucket.createToken({ prefix: 'user:', permissions: ['read', 'write'] }));
  await guest.set('user:1', 'x');
  await assert.rejects(guest.get('j'), PermissionDenied);
  await bucket.drop();
  await assert.rejects(bucket.keys(), NotFound);
});

test('collections', async () => {
  const books = client.database({ key: process.env.RESTDB_KEY }).collection(name('books'));
  const made = await books.insert(Array.from({ length: 25 }, (_, n) => ({ n })));
  assert.equal(await books.count({ n: { $lt: 10 } }), 10);
  const seen = [];
  for await (const b of books.iterate({ n: { $gte: 5 } }, { pageSize: 7 })) {
    seen.push(b.n);
  }
  assert.deepEqual(seen.sort((a, b) => a - b), Array.from({ length: 20 }, (_, n) => n + 5));
  const [{ _id: id }] = made;
  const { _version: version } = await books.update(id, { $inc: { n: 100 } });
  await assert.rejects(books.update(id, { n: 0 }, { version: version - 1 }), Conflict);
  const put = await books.replace(id, { title: 'Emma' }, { version });
  assert.deepEqual([put.title, put.n], ['Emma', undefined]);
  assert.deepEqual((await books.find({ n: { $exists: true } }, { hints: { $orderby: { n: -1 } }, max: 1 })).map((b) => b.n), [24]);
  await books.delete(id);
  await assert.rejects(books.get(id), NotFound);
  assert.equal(await books.deleteMany({ n: { $lt: 10 } }), 9);
  assert.equal(await books.deleteMany(made.slice(10, 12).map((b) => b._id)), 2);
  await assert.rejects(client.database({ key: '0'.repeat(32) }).collection('books').find(), AuthenticationError);
});

test('every node answers', async () => {
  for (const baseUrl of nodes) {
    assert.equal((await new KeyNest({ baseUrl }).health()).status, 'healthy');
  }
});
