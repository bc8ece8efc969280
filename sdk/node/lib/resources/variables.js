'use strict';

const { segment } = require('../fields.js');

class Variables {
  #calls;

  constructor(calls) {
    this.#calls = calls;
  }

  list(filters, options) {
    return this.#calls.list('/api/variables/', filters, options);
  }

  async get(id, params, options) {
    return this.#calls.get(at(id), params, options);
  }

  async create(variable, options) {
    return this.#calls.write('POST', '/api/variables/', variable, options);
  }

  /** Changes `key`, `value` or both; with `version` only if that is the current one, else a Conflict. */
  async update(id, changes, options) {
    return this.#calls.write('PATCH', at(id), changes, options);
  }

  async delete(id, options) {
    await this.#calls.write('DELETE', at(id), null, options);
  }

  /** The versions that are kept, newest first. */
  versions(id, filters, options) {
    return this.#calls.list(`${at(id)}versions/`, filters, options);
  }

  async version(id, number, options) {
    return this.#calls.get(`${at(id)}versions/${segment(number, 'a version')}/`, {}, options);
  }

  /** Makes a new version that is as an old one was. */
  async rollback(id, version, options) {
    return this.#calls.write('POST', `${at(id)}rollback/`, { version }, options);
  }
}

function at(id) {
  return `/api/variables/${segment(id, 'the id of a variable')}/`;
}

module.exports = { Variables };
