'use strict';

const { member } = require('../errors.js');
const { segment } = require('../fields.js');

class Organizations {
  #calls;

  constructor(calls) {
    this.#calls = calls;
  }

  list(filters, options) {
    return this.#calls.list('/api/organizations/', filters, options);
  }

  async get(id, options) {
    return this.#calls.get(at(id), {}, options);
  }

  async create(organization, options) {
    return this.#calls.write('POST', '/api/organizations/', organization, options);
  }

  async update(id, changes, options) {
    return this.#calls.write('PATCH', at(id), changes, options);
  }

  async delete(id, options) {
    await this.#calls.write('DELETE', at(id), null, options);
  }

  /** The members, as an array. */
  async members(id, options) {
    const path = `${at(id)}members/`;
    return member(await this.#calls.get(path, {}, options), 'members', 'array', `GET ${path}`);
  }

  async inviteMember(id, { email, role }, options) {
    return this.#calls.write('POST', `${at(id)}invite_member/`, { email, role }, options);
  }

  async updateMemberRole(id, { userId, role }, options) {
    return this.#calls.write('PATCH', `${at(id)}update_member_role/`, { userId, role }, options);
  }

  async removeMember(id, userId, options) {
    return this.#calls.write('DELETE', `${at(id)}remove_member/`, { userId }, options);
  }
}

function at(id) {
  return `/api/organizations/${segment(id, 'the id of an organization')}/`;
}

module.exports = { Organizations };
