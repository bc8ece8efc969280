'use strict';

const fs = require('node:fs/promises');
const path = require('node:path');
const { segment } = require('../fields.js');
const { multipart } = require('../multipart.js');

class Environments {
  #calls;

  constructor(calls) {
    this.#calls = calls;
  }

  list(filters, options) {
    return this.#calls.list('/api/environments/', filters, options);
  }

  async get(id, options) {
    return this.#calls.get(at(id), {}, options);
  }

  async create(environment, options) {
    return this.#calls.write('POST', '/api/environments/', environment, options);
  }

  async update(id, changes, options) {
    return this.#calls.write('PATCH', at(id), changes, options);
  }

  async delete(id, options) {
    await this.#calls.write('DELETE', at(id), null, options);
  }

  /** The variables with their values; `at` shows them as of a time, `resolve` puts values in the place of references. */
  variables(id, filters, options) {
    return this.#calls.whole(`${at(id)}variables/`, filters, options);
  }

  /** The text of a file for deployments. */
  async export(id, params, options) {
    return this.#calls.text(`${at(id)}export/`, params, options);
  }

  /** All values as an object by key, from one export. */
  async values(id, params, options) {
    return this.#calls.get(`${at(id)}export/`, { ...params, format: 'json' }, options);
  }

  /** Imports a text: {data, format, overwrite}. */
  async import(id, content, options) {
    return this.#calls.write('POST', `${at(id)}import/`, content, options);
  }

  /** Imports a file, whose name tells its format: .json, .yaml, .yml, else .env. */
  async importFile(id, file, { overwrite } = {}, options) {
    const form = multipart({
      name: path.basename(file), content: await fs.readFile(file),
      fields: overwrite === undefined ? {} : { overwrite: String(overwrite) },
    });
    return this.#calls.json({ method: 'POST', path: `${at(id)}import/`, ...form }, options);
  }

  /** What differs in the environment `with`: {added, removed, changed, unchanged_count}; with their `values` if wanted. */
  async diff(id, params, options) {
    return this.#calls.get(`${at(id)}diff/`, params, options);
  }

  /** Copies variables to the environment `to`, in one change; those that are there are a Conflict unless `overwrite`. */
  async copy(id, params, options) {
    return this.#calls.write('POST', `${at(id)}copy/`, params, options);
  }

  /** Copies variables to the environment `to` over what is there, in one change; `removeMissing` deletes the others there. */
  async promote(id, params, options) {
    return this.#calls.write('POST', `${at(id)}promote/`, params, options);
  }

  /** Makes the environment what it was `at` a time, in one change. */
  async rollback(id, params, options) {
    return this.#calls.write('POST', `${at(id)}rollback/`, params, options);
  }
}

function at(id) {
  return `/api/environments/${segment(id, 'the id of an environment')}/`;
}

module.exports = { Environments };
