'use strict';

// What callers write in camel case, the server reads with underscores. Answers
// are handed on as they are.

/** Names of references to things, which the API calls by the thing alone. */
const references = new Map([
  ['environment_id', 'environment'], ['project_id', 'project'], ['organization_id', 'organization'],
]);

/** The fields of a request's body or query: {environmentId: 1} becomes {environment: 1}. Undefined ones are left out. */
function fields(given, what = 'fields') {
  if (given === null || typeof given !== 'object' || Array.isArray(given)) {
    throw new TypeError(`${what} must be an object`);
  }
  const out = {};
  for (const [name, value] of Object.entries(given)) {
    if (value !== undefined) {
      const snake = name.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`);
      const reference = references.get(snake);
      out[reference ?? snake] = reference ? id(value) : value instanceof Date ? stamp(value) : value;
    }
  }
  return out;
}

/** The API takes ids in bodies as numbers only; callers may have read them from a text. */
function id(value) {
  return typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : value;
}

/** fields as a query. */
function query(given) {
  const q = new URLSearchParams();
  for (const [name, value] of Object.entries(fields(given ?? {}, 'filters'))) {
    if (value !== null) {
      q.set(name, String(value));
    }
  }
  return q;
}

/** The server's spelling of times: whole seconds, UTC. */
function stamp(date) {
  return date.toISOString().replace(/\.\d+Z$/, 'Z');
}

/** An id as a segment of a path. Anything that is none is refused here, since the path would mean something else. */
function segment(id, what) {
  const text = typeof id === 'number' || typeof id === 'bigint' || typeof id === 'string' ? String(id) : '';
  if (!/^[A-Za-z0-9_-]+$/.test(text)) {
    throw new TypeError(`${what} must be a number or a text of letters, digits, - and _`);
  }
  return text;
}

module.exports = { fields, query, segment, stamp };
