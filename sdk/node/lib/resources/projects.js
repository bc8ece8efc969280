'use strict';

const { segment } = require('../fields.js');

class Projects {
  #calls;

  constructor(calls) {
    this.#calls = calls;
  }

  list(filters, options) {
    return this.#calls.list('/api/projects/', filters, options);
  }

  async get(id, options) {
    return this.#calls.get(at(id), {}, options);
  }

  async create(project, options) {
    return this.#calls.write('POST', '/api/projects/', project, options);
  }

  async update(id, changes, options) {
    return this.#calls.write('PATCH', at(id), changes, options);
  }

  async delete(id, options) {
    await this.#calls.write('DELETE', at(id), null, options);
  }

  environments(id, filters, options) {
    return this.#calls.whole(`${at(id)}environments/`, filters, options);
  }
}

function at(id) {
  return `/api/projects/${segment(id, 'the id of a project')}/`;
}

module.exports = { Projects };
