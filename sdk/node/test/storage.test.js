'use strict';

const test = require('node:test');
const assert = require('node:assert/strict');
const { fake } = require('../testkit/fake.js');
const { KeyNest, Conflict, NotFound } = require('../index.js');

async function world(t, ...steps) {
  const s = await fake(t, ...steps);
  const c = new KeyNest({ token: 'must-not-be-sent', baseUrl: s.url });
  t.after(() => c.close());
  return { s, bucket: c.bucket('my-bucket', 'wr1te'), books: c.database({ key: 'rest-key', host: 'shop.example' }).collection('books'), c };
}

test('a key goes into the path as it is', async (t) => {
  const { s, bucket } = await world(t, { body: 'v' });
  const paths = {
    'user:1': '/my-bucket/user%3A1', 'a/b': '/my-bucket/a/b', '../x': '/my-bucket/%2E%2E/x', './.': '/my-bucket/%2E/%2E',
    'a b?c#d%': '/my-bucket/a%20b%3Fc%23d%25', 'żółć': '/my-bucket/%C5%BC%C3%B3%C5%82%C4%87', '/': '/my-bucket//',
  };
  for (const [key, path] of Object.entries(paths)) {
    assert.equal(await bucket.get(key), 'v');
    assert.equal(s.requests.at(-1).url, path);
  }
  assert.equal(s.requests[0].headers.authorization, 'Bearer wr1te');
});

test('no key is refused: the path would be the bucket', async (t) => {
  const { s, bucket } = await world(t, {});
  for (const key of ['', undefined, null, 5]) {
    await assert.rejects(bucket.delete(key), TypeError);
    await assert.rejects(bucket.set(key, 'v'), TypeError);
  }
  assert.equal(s.requests.length, 0);
});

test('a value is written with its time and its condition', async (t) => {
  const { s, bucket } = await world(t, { headers: { ETag: '"v5"', 'Covey-Version': '5' }, body: '' });
  assert.deepEqual(await bucket.set('k', Buffer.from([0, 255]), { ttl: 0, ifMatch: '"v4"' }), { etag: '"v5"', version: '5' });
  const [r] = s.requests;
  assert.deepEqual([r.method, r.url, r.headers['if-match'], [...r.body]], ['PUT', '/my-bucket/k?ttl=0', '"v4"', [0, 255]]);
  await bucket.set('k', '');
  assert.equal(s.requests[1].headers['content-length'], '0');
  await assert.rejects(bucket.set('k', { a: 1 }), TypeError);
  await assert.rejects(bucket.set('k'), TypeError);
});

test('sums are exact', async (t) => {
  const { s, bucket } = await world(t, { body: '3' }, { body: '2.5' }, { body: '9007199254740993' });
  assert.equal(await bucket.increment('n'), 3);
  assert.equal(await bucket.increment('n', -0.5, { ttl: 9 }), 2.5);
  assert.equal(await bucket.increment('n', 2n), 9007199254740993n);
  assert.deepEqual(s.requests.map((r) => `${r.method} ${r.url} ${r.body}`), ['PATCH /my-bucket/n +1', 'PATCH /my-bucket/n?ttl=9 -0.5', 'PATCH /my-bucket/n +2']);
});

test('a missing key is null, a missing bucket is an error', async (t) => {
  const { bucket } = await world(t, { status: 404, headers: { 'Covey-Reason': 'the key does not exist' }, body: 'Not Found' },
    { status: 404, headers: { 'Covey-Reason': 'bucket my-bucket does not exist' }, body: 'Not Found' });
  assert.equal(await bucket.get('k'), null);
  await assert.rejects(bucket.get('k'), (e) => e instanceof NotFound && e.error === 'bucket my-bucket does not exist');
});

test('a condition that does not hold is a Conflict', async (t) => {
  const { bucket } = await world(t, { status: 412, headers: { 'Covey-Reason': 'the key exists' }, body: 'Precondition Failed' });
  await assert.rejects(bucket.set('k', 'v', { ifNoneMatch: '*' }), (e) => e instanceof Conflict && e.status === 412);
});

test('lists are asked for as JSON, long ones in parts', async (t) => {
  const keys = Array.from({ length: 10_001 }, (_, i) => `k${i}`);
  const { s, bucket } = await world(t, ({ url }) => {
    const q = new URL(url, 'http://x').searchParams;
    const skip = Number(q.get('skip') ?? 0);
    return { body: keys.slice(skip, skip + Number(q.get('limit') ?? 10_000)) };
  });
  assert.equal((await bucket.keys({ prefix: 'k', reverse: true })).length, 10_000);
  assert.equal(s.requests[0].url, '/my-bucket/?format=json&prefix=k&reverse=true');
  const all = [];
  for await (const key of bucket.allKeys()) {
    all.push(key);
  }
  assert.deepEqual(all, keys);
  const some = [];
  for await (const key of bucket.allKeys({ skip: 3, limit: 2 })) {
    some.push(key);
  }
  assert.deepEqual(some, ['k3', 'k4']);
});

test('a bucket is made, changed, opened to others and dropped', async (t) => {
  const { s, c } = await world(t, { body: 'new-id' }, {}, {}, { body: { access_token: 'cvt1_x' } }, {});
  const b = await c.createBucket({ secretKey: 's3cret', defaultTtl: 0 });
  await b.transaction([{ set: 'a', value: { x: 1 } }, { delete: 'b' }]);
  await b.update({ readKey: '', secretKey: 'n3w' });
  assert.equal(await b.createToken({ prefix: 'user:', permissions: ['read', 'write'], ttl: 60 }), 'cvt1_x');
  await b.drop();
  assert.equal(b.id, 'new-id');
  const sent = s.requests.map((r) => [r.method, r.url, r.headers.authorization, String(r.body)]);
  assert.deepEqual(sent, [
    ['POST', '/', undefined, '{"secret_key":"s3cret","default_ttl":0}'],
    ['POST', '/new-id/', 'Bearer s3cret', '{"txn":[{"set":"a","value":{"x":1}},{"delete":"b"}]}'],
    ['PATCH', '/new-id/', 'Bearer s3cret', '{"read_key":"","secret_key":"n3w"}'],
    ['POST', '/new-id/tokens/', 'Bearer n3w', '{"prefix":"user:","ttl":60,"permissions":"read,write"}'],
    ['DELETE', '/new-id/', 'Bearer n3w', ''],
  ]);
});

test('documents are asked for with the database\'s key and name', async (t) => {
  const { s, books } = await world(t, { body: [] }, { body: { totals: { total: 3 } } }, { body: {} }, { body: {} }, { body: {} }, { body: {} },
    { body: { result: ['1', '2'] } }, { body: { result: ['1'], count: 900 } });
  await books.find({ year: { $lt: 1920 } }, { max: 5, hints: { $fields: { a: 1 } }, metafields: true });
  assert.equal(await books.count(), 3);
  await books.insert([{ a: 1 }]);
  await books.update('abc', { $inc: { n: 1 } }, { version: 2 });
  await books.replace('abc', { a: 2 });
  await books.delete('abc');
  assert.equal(await books.deleteMany(['1', '2']), 2);
  assert.equal(await books.deleteMany({}), 900);
  const sent = s.requests.map((r) => [r.method, decodeURIComponent(r.url), String(r.body), r.headers['if-match']]);
  assert.deepEqual(sent, [
    ['GET', '/rest/books?q={"year":{"$lt":1920}}&h={"$fields":{"a":1}}&max=5&metafields=true', '', undefined],
    ['GET', '/rest/books?q={}&totals=true&count=true', '', undefined],
    ['POST', '/rest/books', '[{"a":1}]', undefined],
    ['PATCH', '/rest/books/abc', '{"$inc":{"n":1}}', '2'],
    ['PUT', '/rest/books/abc?replace=true', '{"a":2}', undefined],
    ['DELETE', '/rest/books/abc', '', undefined],
    ['DELETE', '/rest/books/*', '["1","2"]', undefined],
    ['DELETE', '/rest/books/*?q={}', '', undefined],
  ]);
  for (const r of s.requests) {
    assert.deepEqual([r.headers['x-apikey'], r.headers.host, r.headers.authorization], ['rest-key', 'shop.example', undefined]);
  }
  await assert.rejects(books.deleteMany(), TypeError);
  await assert.rejects(books.delete(''), TypeError);
});

test('a walk over a collection goes on behind the last document', async (t) => {
  const { s, books } = await world(t, { body: [{ _id: 'a' }, { _id: 'b' }] }, { body: [{ _id: 'c' }] });
  const ids = [];
  for await (const d of books.iterate({ x: 1 }, { pageSize: 2 })) {
    ids.push(d._id);
  }
  assert.deepEqual(ids, ['a', 'b', 'c']);
  assert.equal(decodeURIComponent(s.requests[1].url), '/rest/books?q={"$and":[{"x":1},{"_id":{"$gt":"b"}}]}&sort=_id&dir=1&max=2');
});
