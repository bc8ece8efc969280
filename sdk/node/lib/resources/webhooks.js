'use strict';

const { segment } = require('../fields.js');

class Webhooks {
  #calls;

  constructor(calls) {
    this.#calls = calls;
  }

  list(filters, options) {
    return this.#calls.list('/api/webhooks/', filters, options);
  }

  async get(id, options) {
    return this.#calls.get(at(id), {}, options);
  }

  /** The answer's `secret` is shown this once. */
  async create(webhook, options) {
    return this.#calls.write('POST', '/api/webhooks/', webhook, options);
  }

  /** A `secret` of "" draws a new one, which the answer shows. */
  async update(id, changes, options) {
    return this.#calls.write('PATCH', at(id), changes, options);
  }

  async delete(id, options) {
    await this.#calls.write('DELETE', at(id), null, options);
  }

  /** What was sent and what came of it, newest first. */
  deliveries(id, filters, options) {
    return this.#calls.list(`${at(id)}deliveries/`, filters, options);
  }

  /** One delivery with its payload. */
  async delivery(id, number, options) {
    return this.#calls.get(`${at(id)}deliveries/${segment(number, 'the id of a delivery')}/`, {}, options);
  }

  async redeliver(id, number, options) {
    return this.#calls.write('POST', `${at(id)}deliveries/${segment(number, 'the id of a delivery')}/redeliver/`, {}, options);
  }

  /** Sends a message that tells of no change. */
  async test(id, options) {
    return this.#calls.write('POST', `${at(id)}test/`, {}, options);
  }
}

function at(id) {
  return `/api/webhooks/${segment(id, 'the id of a webhook')}/`;
}

module.exports = { Webhooks };
