// Counters and variables through all nodes, for SECONDS, while somebody kills
// the leader, and over a network that loses answers: what was acknowledged is
// there, once. Run by test/sdk.
import assert from 'node:assert/strict';
import { subscribe } from 'node:diagnostics_channel';
import net from 'node:net';
import { KeyNest } from '@keynest/sdk';

const { ENVIRONMENT, RESTDB_KEY, SECONDS } = process.env;
const nodes = await Promise.all(process.env.KEYNEST_BASE_URL.split(',').map(lossy));
const begin = Date.now();
const end = begin + Number(SECONDS) * 1000;

/** How many workers each node has. */
const workers = 2;

/** How many variables a worker makes at most: an environment has room for 10,000. */
const most = Math.floor(9_000 / (workers * nodes.length));

/** Writes whose first answer was lost. */
let replayed = 0;
subscribe('http.client.response.finish', ({ response }) => {
  replayed += response.headers['covey-replayed'] === 'true' ? 1 : 0;
});

const first = new KeyNest({ baseUrl: nodes });
const bucket = await first.createBucket();
const sums = [];
const created = [];
const stored = [];

/** The base URL of a way to a node on which each 25th answer is lost, and its connection breaks. */
async function lossy(baseUrl) {
  const { hostname, port } = new URL(baseUrl);
  let answers = 0;
  const server = net.createServer((near) => {
    const far = net.connect(Number(port), hostname);
    const end = () => [near, far].forEach((socket) => socket.destroy());
    for (const socket of [near, far]) {
      socket.on('error', end).on('close', end).setNoDelay().unref(); // idle ones keep nothing running
    }
    near.pipe(far);
    far.on('data', (bytes) => {
      answers += 1;
      if (answers % 25 === 0) {
        end();
      } else {
        near.write(bytes);
      }
    });
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  server.unref();
  return `http://127.0.0.1:${server.address().port}`;
}

/** One worker, which prefers one of the nodes. */
async function work(number) {
  const at = number % nodes.length;
  const client = new KeyNest({ baseUrl: [...nodes.slice(at), ...nodes.slice(0, at)] });
  const counter = client.bucket(bucket.id);
  const things = client.database({ key: RESTDB_KEY }).collection('once');
  for (let round = 0; Date.now() < end; round++) {
    sums.push(await counter.increment('n'));
    const key = `KEY_${number}_${round}`;
    if (round < most) {
      const made = await client.variables.create({ key, value: `${number}.${round}`, environmentId: ENVIRONMENT });
      created.push(made.key);
    }
    stored.push((await things.insert({ key }))._id);
  }
  client.close();
}

await Promise.all(Array.from({ length: workers * nodes.length }, (_, number) => work(number)));

const took = Math.round((Date.now() - begin) / 1000);
assert.ok(replayed > 0, 'no answer was lost');
assert.equal(await bucket.get('n'), String(sums.length), 'the counter is what was acknowledged');
assert.equal(new Set(sums).size, sums.length, 'no two increments were given the same sum');
const values = await first.environments.values(ENVIRONMENT);
assert.deepEqual(Object.keys(values).sort(), [...created].sort(), 'the variables are those that were acknowledged');
for (const [key, value] of Object.entries(values)) {
  assert.equal(`KEY_${value.replace('.', '_')}`, key);
}
const documents = [];
for await (const d of first.database({ key: RESTDB_KEY }).collection('once').iterate({}, { pageSize: 100 })) {
  documents.push(d._id);
}
assert.deepEqual(documents.sort(), stored.sort(), 'the documents are those that were acknowledged');
console.log(`${sums.length} increments, ${created.length} variables, ${stored.length} documents in ${took} s; ${replayed} answers came with a repeat`);
