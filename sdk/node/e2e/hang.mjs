// The first endpoint hangs. Run by test/sdk.
import assert from 'node:assert/strict';
import { KeyNest } from '@keynest/sdk';

const client = new KeyNest();
const { id } = await client.variables.create({ key: 'ONCE', value: 'x', environmentId: process.env.ENVIRONMENT });
const begin = Date.now();
assert.equal((await client.variables.get(id)).key, 'ONCE');
assert.ok(Date.now() - begin < 10_000, 'the second call begins with the node that answered');
