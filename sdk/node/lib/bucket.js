'use strict';

const { NotFound, member, unexpected } = require('./errors.js');
const { parse } = require('./calls.js');
const { fields } = require('./fields.js');

/** The most keys that the server puts into one list. */
const listMax = 10_000;

/** What the server's reason is when it is the key that is missing, not the bucket. */
const noSuchKey = 'the key does not exist';

/** Makes a bucket. settings: {secretKey, writeKey, readKey, signingKey, defaultTtl (s, 0 = for ever), id with rootKey}. */
async function createBucket(transport, { rootKey, ...settings }, options) {
  const answer = await transport.send({
    method: 'POST', path: '/', ...json(fields(settings, 'settings')), credential: bearer(rootKey),
  }, options);
  return new Bucket(transport, answer.body.toString('utf8'), settings.secretKey);
}

/** Bucket is a handle on a bucket of KVdb: keys and values, counters, transactions. It does not connect. */
class Bucket {
  #transport;
  #key;

  constructor(transport, id, key) {
    if (typeof id !== 'string' || id === '') {
      throw new TypeError('the id of a bucket must be a text');
    }
    this.#transport = transport;
    if (key && !(typeof key === 'string' && /^[\x21-\x7e]+$/.test(key))) {
      throw new TypeError('the key of a bucket must be text of visible ASCII characters');
    }
    this.#key = key;
    this.id = id;
  }

  /** The value as text, or null if the key is not there or has expired. */
  async get(key, options) {
    const entry = await this.getEntry(key, options);
    return entry && entry.value.toString('utf8');
  }

  /** {value: Buffer, etag, version}, or null. The etag is for ifMatch. */
  async getEntry(key, options) {
    try {
      const answer = await this.#send({ method: 'GET', path: this.#at(key) }, options);
      return { value: answer.body, etag: answer.headers.etag ?? '', version: answer.headers['covey-version'] ?? '' };
    } catch (e) {
      if (e instanceof NotFound && e.reason === noSuchKey) {
        return null;
      }
      throw e;
    }
  }

  /**
   * Sets a text or bytes. write: {ttl (s, 0 = for ever), ifMatch, ifNoneMatch};
   * a condition that does not hold is a Conflict. Returns {etag, version}.
   */
  async set(key, value, write = {}, options) {
    const body = typeof value === 'number' || typeof value === 'bigint' ? String(value) : value;
    if (typeof body !== 'string' && !(body instanceof Uint8Array)) {
      throw new TypeError('a value is a text, bytes or a number; make JSON of anything else');
    }
    return this.#change('PUT', key, body, write, options);
  }

  /**
   * Adds to a number, a missing key counting as 0, and returns the sum: a number,
   * or a bigint if it is whole and beyond what a number holds exactly.
   */
  async increment(key, by = 1, { ttl } = {}, options) {
    const delta = String(by);
    const answer = await this.#send({
      method: 'PATCH', path: this.#at(key), query: ttlQuery(ttl), body: /^[+-]/.test(delta) ? delta : `+${delta}`,
    }, options);
    const sum = answer.body.toString('utf8');
    if (!/^-?\d+(\.\d+)?(e[+-]?\d+)?$/i.test(sum)) {
      throw unexpected('PATCH of a key');
    }
    return /^-?\d+$/.test(sum) && !Number.isSafeInteger(Number(sum)) ? BigInt(sum) : Number(sum);
  }

  /** Deletes a key; that it is not there is no error. */
  async delete(key, { ifMatch, ifNoneMatch } = {}, options) {
    await this.#change('DELETE', key, undefined, { ifMatch, ifNoneMatch }, options);
  }

  /**
   * Keys in the order of their bytes, as an array from one moment. query: {prefix,
   * regex, reverse, skip, limit}; at most 10,000.
   */
  async keys(query = {}, options) {
    return this.#list({ ...query, values: undefined }, options);
  }

  /** The same as [key, value] pairs. A value that is a JSON number is a number, else a text, unless it was set as JSON. */
  async entries(query = {}, options) {
    return this.#list({ ...query, values: true }, options);
  }

  /** All keys, one request for 10,000. Keys that are made or deleted meanwhile may move others between requests. */
  async *allKeys(query = {}, options) {
    yield* this.#pages({ ...query, values: undefined }, options);
  }

  /** All [key, value] pairs, as allKeys. */
  async *allEntries(query = {}, options) {
    yield* this.#pages({ ...query, values: true }, options);
  }

  /** Does all of it in order, or nothing: up to 1000 of {set, value, ttl} and {delete}. A value that is no text is stored as JSON. */
  async transaction(operations, options) {
    await this.#send({ method: 'POST', path: this.#root, ...json({ txn: operations }) }, options);
  }

  /** Changes the policy: {secretKey, writeKey, readKey, signingKey, defaultTtl}; "" removes a key. */
  async update(settings, options) {
    await this.#send({ method: 'PATCH', path: this.#root, ...json(fields(settings, 'settings')) }, options);
    if (settings.secretKey) {
      this.#key = settings.secretKey;
    }
  }

  /** An access token: {prefix, permissions: ['read', 'write', 'enumerate', 'delete'], ttl (s)}. */
  async createToken({ prefix, permissions, ttl } = {}, options) {
    const call = {
      method: 'POST', path: `${this.#root}tokens/`,
      ...json(fields({ prefix, ttl, permissions: Array.isArray(permissions) ? permissions.join(',') : permissions })),
    };
    call.headers.Accept = 'application/json';
    return member(parse(await this.#send(call, options), call), 'access_token', 'string', 'POST of a token');
  }

  /** Deletes the bucket with everything in it. */
  async drop(options) {
    await this.#send({ method: 'DELETE', path: this.#root }, options);
  }

  get #root() {
    return `/${encodeURIComponent(this.id)}/`;
  }

  /** The path of a key. Without one it would mean the bucket, and a delete of no key would delete that. */
  #at(key) {
    if (typeof key !== 'string' || key === '') {
      throw new TypeError('a key must be a text that is not empty');
    }
    return this.#root + key.split('/').map(escape).join('/');
  }

  async #change(method, key, body, { ttl, ifMatch, ifNoneMatch }, options) {
    const headers = {};
    if (ifMatch !== undefined) {
      headers['If-Match'] = ifMatch;
    }
    if (ifNoneMatch !== undefined) {
      headers['If-None-Match'] = ifNoneMatch;
    }
    const answer = await this.#send({ method, path: this.#at(key), query: ttlQuery(ttl), headers, body }, options);
    return { etag: answer.headers.etag ?? '', version: answer.headers['covey-version'] ?? '' };
  }

  async #list(query, options) {
    const q = new URLSearchParams({ format: 'json' });
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined) {
        q.set(name, String(value));
      }
    }
    const call = { method: 'GET', path: this.#root, query: q };
    const page = parse(await this.#send(call, options), call);
    if (!Array.isArray(page)) {
      throw unexpected('GET of a bucket');
    }
    return page;
  }

  async *#pages({ skip = 0, limit = Infinity, ...query }, options) {
    for (let left = limit, at = skip; left > 0;) {
      const size = Math.min(left, listMax);
      const page = await this.#list({ ...query, skip: at, limit: size }, options);
      yield* page;
      if (page.length < size) {
        return;
      }
      at += page.length;
      left -= page.length;
    }
  }

  #send(call, options) {
    return this.#transport.send({ ...call, credential: bearer(this.#key) }, options);
  }
}

/** A segment of a key in a path; dots are escaped where a proxy would take them for folders. */
function escape(part) {
  return part === '.' || part === '..' ? part.replaceAll('.', '%2E') : encodeURIComponent(part);
}

function ttlQuery(ttl) {
  return ttl === undefined ? undefined : new URLSearchParams({ ttl: String(ttl) });
}

function bearer(key) {
  return key ? `Bearer ${key}` : null;
}

function json(body) {
  return { headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) };
}

module.exports = { Bucket, createBucket };
