'use strict';

const { segment } = require('../fields.js');

class ServiceTokens {
  #calls;

  constructor(calls) {
    this.#calls = calls;
  }

  list(filters, options) {
    return this.#calls.list('/api/service-tokens/', filters, options);
  }

  async get(id, options) {
    return this.#calls.get(at(id), {}, options);
  }

  /** The answer's `token` is shown this once. */
  async create(token, options) {
    return this.#calls.write('POST', '/api/service-tokens/', token, options);
  }

  async rename(id, name, options) {
    return this.#calls.write('PATCH', at(id), { name }, options);
  }

  async revoke(id, options) {
    await this.#calls.write('DELETE', at(id), null, options);
  }
}

function at(id) {
  return `/api/service-tokens/${segment(id, 'the id of a service token')}/`;
}

module.exports = { ServiceTokens };
