// A follower without a leader: writes are refused, not lost, and stale reads
// work. Run by test/sdk.
import assert from 'node:assert/strict';
import { KeyNest, Unavailable } from '@keynest/sdk';

const client = new KeyNest({ maxRetries: 0, timeout: 25_000 });
await assert.rejects(client.variables.create({ key: 'LOST', value: 'x', environmentId: process.env.ENVIRONMENT }), (e) => {
  assert.ok(e instanceof Unavailable, String(e));
  assert.equal(e.outcomeUnknown, false);
  assert.notEqual(e.error, '');
  return true;
});
const stale = await client.request('GET', '/api/projects/', { query: { consistency: 'stale' } });
assert.equal(stale.count, 1);
