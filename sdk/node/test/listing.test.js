'use strict';

const test = require('node:test');
const assert = require('node:assert/strict');
const { fake } = require('../testkit/fake.js');
const { KeyNest, NotFound, PermissionDenied } = require('../index.js');

/** A server with pages of two, whose links name another host. */
async function paged(t, items, refuse) {
  return fake(t, ({ url }) => {
    const q = new URL(url, 'http://x').searchParams;
    const n = Number(q.get('page') ?? 1);
    if (refuse?.page === n) {
      return refuse;
    }
    const link = (page) => `http://thief.example/api/projects/?page_size=100&search=a%26b&page=${page}`;
    return {
      body: {
        count: items.length, next: n * 2 < items.length ? link(n + 1) : null, previous: n > 1 ? link(n - 1) : null,
        results: items.slice(n * 2 - 2, n * 2),
      },
    };
  });
}

const list = (s, filters = { search: 'a&b' }) => new KeyNest({ token: 'abc', baseUrl: s.url }).projects.list(filters);

test('awaiting a list gives everything, from the own endpoint', async (t) => {
  const s = await paged(t, [1, 2, 3, 4, 5]);
  assert.deepEqual(await list(s), [1, 2, 3, 4, 5]);
  assert.deepEqual(s.requests.map((r) => r.url), [
    '/api/projects/?page_size=100&search=a%26b', '/api/projects/?page_size=100&search=a%26b&page=2',
    '/api/projects/?page_size=100&search=a%26b&page=3',
  ]);
});

test('going over a list fetches pages as they are needed', async (t) => {
  const s = await paged(t, [1, 2, 3, 4, 5]);
  const seen = [];
  for await (const item of list(s)) {
    seen.push(item);
    if (item === 3) {
      break;
    }
  }
  assert.deepEqual(seen, [1, 2, 3]);
  assert.equal(s.requests.length, 2);
});

test('a list that nobody uses is not fetched', async (t) => {
  const s = await paged(t, [1]);
  list(s);
  await list(s).all();
  assert.equal(s.requests.length, 1);
});

test('one page is given as the server sends it', async (t) => {
  const s = await paged(t, [1, 2, 3]);
  const page = await list(s).page(2);
  assert.deepEqual([page.count, page.next, page.results], [3, null, [3]]);
  assert.deepEqual(await list(s, { page: 1 }), [1, 2]);
});

test('pages are gone over one by one', async (t) => {
  const s = await paged(t, [1, 2, 3]);
  const sizes = [];
  for await (const page of list(s).pages()) {
    sizes.push(page.results.length);
  }
  assert.deepEqual(sizes, [2, 1]);
});

test('a page that is gone by then is the end', async (t) => {
  const s = await paged(t, [1, 2, 3, 4, 5], { page: 3, status: 404, body: { error: 'Invalid page.' } });
  assert.deepEqual(await list(s), [1, 2, 3, 4]);
});

test('a first page that is not there, and any other refusal, is an error', async (t) => {
  const gone = await paged(t, [1, 2, 3], { page: 1, status: 404, body: { error: 'Not found.' } });
  await assert.rejects(list(gone).all(), NotFound);
  const denied = await paged(t, [1, 2, 3], { page: 2, status: 403, body: { error: 'no' } });
  await assert.rejects(async () => list(denied), PermissionDenied);
  await assert.rejects(list(denied).catch((e) => { throw e; }), PermissionDenied);
});

test('a server whose next page is the same page ends a list', async (t) => {
  const s = await fake(t, { body: { count: 1, next: 'http://x/?page=2', previous: null, results: [1] } });
  assert.deepEqual(await list(s), [1, 1]);
});
