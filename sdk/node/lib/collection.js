'use strict';

const { parse } = require('./calls.js');
const { segment } = require('./fields.js');

/** How many documents one request of a walk over a collection fetches. */
const walk = 500;

/** Database is a handle on a database of RestDB, by one of its keys. It does not connect. */
class Database {
  #transport;
  #headers;

  constructor(transport, { key, host }) {
    if (typeof key !== 'string' || !/^[\x21-\x7e]+$/.test(key)) {
      throw new TypeError('a database needs a key, a text of visible ASCII characters');
    }
    this.#transport = transport;
    this.#headers = { 'x-apikey': key, ...(host && { Host: host }) };
  }

  collection(name) {
    return new Collection(name, (call, options) => this.#send(call, options));
  }

  async #send({ body, ...call }, options) {
    const sent = { ...call, credential: null, headers: { ...this.#headers, ...call.headers } };
    if (body !== undefined) {
      sent.headers['Content-Type'] = 'application/json';
      sent.body = JSON.stringify(body);
    }
    return parse(await this.#transport.send(sent, options), sent);
  }
}

/** Collection is a handle on a collection of documents. Each write is one atomic change. */
class Collection {
  #send;
  #root;

  constructor(name, send) {
    this.name = segment(name, 'the name of a collection');
    this.#root = `/rest/${this.name}`;
    this.#send = send;
  }

  /**
   * The documents that a query matches, as an array: up to 1000 unless max says
   * otherwise. search: {max, skip, sort, dir, filter, metafields, hints}, hints
   * being RestDB's `h`.
   */
  async find(query = {}, search = {}, options) {
    return this.#send({ method: 'GET', path: this.#root, query: params(query, search) }, options);
  }

  /** All matches in the order of their _id, a page at a time; others being written meanwhile move nothing. */
  async *iterate(query = {}, { pageSize = walk, ...search } = {}, options) {
    for (let last = null; ;) {
      const q = last === null ? query : { $and: [query, { _id: { $gt: last } }] };
      const page = await this.find(q, { ...search, sort: '_id', dir: 1, max: pageSize }, options);
      yield* page;
      if (page.length < pageSize) {
        return;
      }
      last = page[page.length - 1]._id;
    }
  }

  /** How many documents a query matches. */
  async count(query = {}, options) {
    const q = params(query, {});
    q.set('totals', 'true');
    q.set('count', 'true');
    return (await this.#send({ method: 'GET', path: this.#root, query: q }, options)).totals.total;
  }

  async get(id, search = {}, options) {
    return this.#send({ method: 'GET', path: this.#at(id), query: params(undefined, search) }, options);
  }

  /** Stores a document, or all of an array or none; returns what was stored. */
  async insert(documents, options) {
    return this.#send({ method: 'POST', path: this.#root, body: documents }, options);
  }

  /** Changes fields, with operators such as $inc and $push; with `version` only if that is its _version, else a Conflict. */
  async update(id, changes, { version } = {}, options) {
    return this.#send({ method: 'PATCH', path: this.#at(id), body: changes, headers: ifMatch(version) }, options);
  }

  /** Puts a document in the place of another; _id stays. */
  async replace(id, document, { version } = {}, options) {
    const query = new URLSearchParams({ replace: 'true' });
    return this.#send({ method: 'PUT', path: this.#at(id), query, body: document, headers: ifMatch(version) }, options);
  }

  async delete(id, options) {
    await this.#send({ method: 'DELETE', path: this.#at(id) }, options);
  }

  /**
   * Deletes what a query matches, or an array of ids; returns how many that were.
   * A query is needed: {} means all. More than 100,000 documents are several
   * changes, which need the option {idempotencyKey: null}.
   */
  async deleteMany(what, options) {
    if (what === null || typeof what !== 'object') {
      throw new TypeError('deleteMany needs a query or an array of ids');
    }
    const call = { method: 'DELETE', path: `${this.#root}/*` };
    if (Array.isArray(what)) {
      call.body = what;
    } else {
      call.query = params(what, {});
    }
    const answer = await this.#send(call, options);
    return answer.count ?? answer.result.length;
  }

  #at(id) {
    return `${this.#root}/${segment(id, 'the id of a document')}`;
  }
}

function params(query, { hints, ...search }) {
  const q = new URLSearchParams();
  if (query !== undefined) {
    q.set('q', JSON.stringify(query));
  }
  if (hints !== undefined) {
    q.set('h', JSON.stringify(hints));
  }
  for (const [name, value] of Object.entries(search)) {
    if (value !== undefined) {
      q.set(name, String(value));
    }
  }
  return q;
}

function ifMatch(version) {
  return version === undefined ? {} : { 'If-Match': String(version) };
}

module.exports = { Database, Collection };
