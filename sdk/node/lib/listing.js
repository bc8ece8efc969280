'use strict';

const { NotFound, member, unexpected } = require('./errors.js');

/**
 * Listing is a list that has not been fetched yet. `await` it for an array of
 * everything, go over it with `for await` to fetch page by page, or take
 * page(n) alone. Every use fetches anew. Pages are read one after the other, so
 * a list of several pages is no picture of one moment.
 */
class Listing {
  #load;
  #query;

  constructor(load, query) {
    this.#load = load;
    this.#query = query;
  }

  /** One page as the server sends it: {count, next, previous, results}. Without a number, the one the filters name, else the first. */
  async page(number) {
    const q = new URLSearchParams(this.#query);
    if (number !== undefined) {
      q.set('page', String(number));
    }
    return this.#fetch(q);
  }

  async #fetch(q) {
    const page = await this.#load(q);
    member(page, 'results', 'array', 'a list');
    if (typeof (page.next ?? '') !== 'string') {
      throw unexpected('a list');
    }
    return page;
  }

  /** All pages; only one if the filters name it. */
  async *pages() {
    let q = new URLSearchParams(this.#query);
    const one = q.has('page');
    for (let first = true; ; first = false) {
      let page;
      try {
        page = await this.#fetch(q);
      } catch (e) {
        if (!first && e instanceof NotFound) {
          return; // what was on this page has been deleted meanwhile
        }
        throw e;
      }
      yield page;
      const next = one ? null : page.next;
      if (!next) {
        return;
      }
      // Only the query is followed: another host must not get the token.
      const follow = new URLSearchParams(next.slice(next.indexOf('?') + 1));
      if (follow.toString() === q.toString()) {
        return;
      }
      q = follow;
    }
  }

  async *[Symbol.asyncIterator]() {
    for await (const page of this.pages()) {
      yield* page.results;
    }
  }

  /** Everything, as an array. */
  async all() {
    const items = [];
    for await (const page of this.pages()) {
      for (const item of page.results) {
        items.push(item);
      }
    }
    return items;
  }

  then(fulfilled, rejected) {
    return this.all().then(fulfilled, rejected);
  }

  catch(rejected) {
    return this.all().catch(rejected);
  }

  finally(done) {
    return this.all().finally(done);
  }
}

module.exports = { Listing };
