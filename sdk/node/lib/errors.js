'use strict';

// No error of this package holds a token, a key, a value or a body that was
// sent: errors end up in logs.

/** How much of an answer's details is in a message, in UTF-16 units. */
const maxWords = 500;

/** All errors that calls of this package reject with, but for wrong arguments (TypeError) and the caller's own abort. */
class KeyNestError extends Error {
  constructor(message, options) {
    super(message, options);
    this.name = new.target.name;
    /** Whether the change may have taken effect although the call failed. */
    this.outcomeUnknown = false;
  }
}

/** The server answered, and said no. */
class APIError extends KeyNestError {
  constructor(what, answer) {
    super(`${what}: ${answer.status} ${inWords(answer)}`);
    this.status = answer.status;
    this.error = answer.error;
    this.details = answer.details;
    this.code = answer.code;
    this.reason = answer.reason;
    this.requestId = answer.requestId;
    this.retryAfter = answer.retryAfter;
    this.endpoint = answer.endpoint;
    this.body = answer.body;
    this.outcomeUnknown = answer.outcomeUnknown;
  }
}

class AuthenticationError extends APIError {}
class PermissionDenied extends APIError {}
class NotFound extends APIError {}
class ValidationError extends APIError {}
class Conflict extends APIError {}
class RateLimited extends APIError {}
class Unavailable extends APIError {}
class UnknownOutcome extends APIError {}

/** No endpoint gave an answer. */
class ConnectionError extends KeyNestError {
  constructor(message, { endpoint, cause, outcomeUnknown = false }) {
    super(message, { cause });
    this.endpoint = endpoint;
    this.outcomeUnknown = outcomeUnknown;
  }
}

/** A webhook's message was not signed with the secret, or too long ago. */
class SignatureError extends KeyNestError {}

const byStatus = new Map([
  [400, ValidationError], [401, AuthenticationError], [403, PermissionDenied], [404, NotFound], [409, Conflict],
  [412, Conflict], [422, ValidationError], [429, RateLimited], [503, Unavailable], [504, UnknownOutcome],
]);

/**
 * The error for an answer, whichever of the APIs gave it: KeyNest's envelope
 * ({error, details, code}), RestDB's ({message, name, list}) or KVdb's text with
 * its Covey-Reason.
 */
function fromAnswer(what, { status, headers, body, endpoint }, changes) {
  let said = null;
  try {
    said = JSON.parse(body.toString('utf8'));
  } catch {
    // KVdb and proxies answer with text.
  }
  if (said === null || typeof said !== 'object') {
    said = {};
  }
  const reason = headers['covey-reason'] || '';
  const Kind = byStatus.get(status) || APIError;
  const unknown = (status === 502 || status === 504) && changes;
  return new Kind(what, {
    status, endpoint, reason,
    error: text(said.error) || text(said.message) || reason || body.toString('utf8', 0, 200).trim() || `status ${status}`,
    details: said.details ?? said.list ?? null,
    code: text(said.code) || text(said.name),
    requestId: headers['covey-request-id'] || '',
    retryAfter: seconds(headers['retry-after']),
    body: said,
    outcomeUnknown: unknown,
  });
}

/** The error for a success whose content is not that of the API. */
function unexpected(what) {
  return new KeyNestError(`${what}: the answer is not what was asked for: is this the base URL of the API?`);
}

/** A member of an answer that is to be an object with it, of a type or an array. */
function member(answer, name, type, what) {
  const value = answer?.[name];
  if (type === 'array' ? !Array.isArray(value) : typeof value !== type) {
    throw unexpected(what);
  }
  return value;
}

/** An answer's text with its details: "Validation failed: key: This field is required.". */
function inWords({ error, details }) {
  if (details === null || details === error) {
    return error;
  }
  const texts = typeof details === 'object' && !Array.isArray(details)
    ? Object.entries(details).map(([name, told]) => `${name}: ${[told].flat().filter((t) => typeof t === 'string').join(' ')}`)
    : [details].flat().filter((t) => typeof t === 'string');
  const all = texts.join('; ');
  return all ? `${error.replace(/\.$/, '')}: ${all.length > maxWords ? `${all.slice(0, maxWords)}…` : all}` : error;
}

function text(value) {
  return typeof value === 'string' ? value : '';
}

/** The seconds of a Retry-After, which may be a date, or null. */
function seconds(header) {
  if (!header) {
    return null;
  }
  const n = /^\d+$/.test(header) ? Number(header) : (Date.parse(header) - Date.now()) / 1000;
  return Number.isFinite(n) ? Math.max(0, n) : null;
}

module.exports = {
  KeyNestError, APIError, AuthenticationError, PermissionDenied, NotFound, ValidationError, Conflict, RateLimited,
  Unavailable, UnknownOutcome, ConnectionError, SignatureError,
};
for (const [name, value] of Object.entries({ fromAnswer, unexpected, member })) {
  Object.defineProperty(module.exports, name, { value, enumerable: false }); // not for callers of the package
}
