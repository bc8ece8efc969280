'use strict';

const { fields, query } = require('./fields.js');
const { KeyNestError } = require('./errors.js');
const { Listing } = require('./listing.js');

const pageSize = '100';

/** Calls is what all resources of /api have in common: JSON in and out. */
class Calls {
  #transport;

  constructor(transport) {
    this.#transport = transport;
  }

  get transport() {
    return this.#transport;
  }

  /** GET; params become the query. */
  async get(path, params, options) {
    return this.json({ method: 'GET', path, query: query(params) }, options);
  }

  /** A write whose fields become a JSON body; null means no body. */
  async write(method, path, body, options, more = {}) {
    const call = { method, path, ...more };
    if (body !== null) {
      call.headers = { 'Content-Type': 'application/json' };
      call.body = JSON.stringify(fields(body));
    }
    return this.json(call, options);
  }

  /** A list in pages, as large as the server makes them. */
  list(path, filters, options) {
    return this.#listing(path, { pageSize, ...filters }, options);
  }

  /** A list that the server gives as one page, from one moment, unless pages are asked for. */
  whole(path, filters, options) {
    return this.#listing(path, filters, options);
  }

  #listing(path, filters, options) {
    return new Listing((q) => this.json({ method: 'GET', path, query: q }, options), query(filters));
  }

  /** The text that a GET answers. */
  async text(path, params, options) {
    const answer = await this.#transport.send({ method: 'GET', path, query: query(params) }, options);
    return answer.body.toString('utf8');
  }

  /** The JSON of an answer; null if it has no body. */
  async json(call, options) {
    const answer = await this.#transport.send(call, options);
    return parse(answer, call);
  }
}

/** The JSON of an answer, which is null if there is none. */
function parse({ body, endpoint }, { method, path }) {
  if (body.length === 0) {
    return null;
  }
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    // What JSON.parse says quotes the text, which may be a value.
    throw new KeyNestError(`${method} ${path}: the answer of ${endpoint} is not JSON`);
  }
}

module.exports = { Calls, parse };
