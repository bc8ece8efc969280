'use strict';

const crypto = require('node:crypto');
const { exchange, newAgents, Broken } = require('./exchange.js');
const { fromAnswer, ConnectionError, APIError } = require('./errors.js');
const { parseEndpoints } = require('./endpoints.js');

/** A node waits 10 s for a leader before it answers 503; it must be heard. */
const patience = 15_000;
/** How long a version counts as "just before the first try". */
const freshFor = 2000;
const firstPause = 200;
const longestPause = 5000;
/** What a timer of Node can wait; with more it fires at once. */
const longestTimeout = 2 ** 31 - 1;
/** Answers that say nothing of an earlier try: what it needed may be gone since. */
const silent = new Set([401, 403, 404, 429]);
const version = require('../package.json').version;

/**
 * Transport sends requests to whichever endpoint answers, and repeats them as
 * far as that cannot do anything twice:
 *
 *  - 503, and a connection that did not come about, mean that nothing was done:
 *    every request goes on to the next endpoint.
 *  - A lost answer, 502 and 504 mean that a write may have been done: it is
 *    repeated only under the same Idempotency-Key.
 *  - 429 waits for as long as the server says, if the call's time allows.
 *
 * A round asks each endpoint once; maxRetries more rounds follow, with growing
 * pauses between them. Everything ends with the call's time.
 */
class Transport {
  #token;
  #endpoints;
  #agents;
  #preferred = 0;
  #seen = { version: 0n, at: 0 };

  constructor({ token, baseUrl, timeout, maxRetries, tls }) {
    this.token = token;
    this.#endpoints = parseEndpoints(baseUrl);
    this.#agents = newAgents(tls);
    this.timeout = number('timeout', timeout, 1, longestTimeout);
    this.maxRetries = number('maxRetries', maxRetries, 0);
  }

  get endpoints() {
    return this.#endpoints.map((e) => e.origin);
  }

  get token() {
    return this.#token;
  }

  set token(token) {
    if (token !== null && !(typeof token === 'string' && /^[\x21-\x7e]+$/.test(token))) {
      throw new TypeError('the token must be text of visible ASCII characters');
    }
    this.#token = token;
  }

  close() {
    Object.values(this.#agents).forEach((agent) => agent.destroy());
  }

  /**
   * Sends a call and resolves with its answer, whose status is below 300.
   *
   * call: {method, path, query, headers, body, credential, once}. credential is
   * the Authorization header in place of the client's token, null for none. once
   * marks a write that the server takes no Idempotency-Key for.
   * options: {timeout, signal, idempotencyKey}, of the caller; an idempotencyKey
   * of null sends a write without one, so that it is not repeated.
   */
  async send(call, options = {}) {
    const message = this.#message(call, options);
    const timeout = number('timeout', options.timeout ?? this.timeout, 1, longestTimeout);
    const clock = new Clock(timeout, options.signal);
    try {
      return await this.#rounds(message, clock);
    } finally {
      clock.stop();
    }
  }

  #message(call, { idempotencyKey }) {
    const method = call.method;
    const headers = { Accept: '*/*', 'User-Agent': `keynest-sdk-node/${version}`, ...call.headers };
    const credential = call.credential === undefined ? this.#token && `Token ${this.#token}` : call.credential;
    if (credential) {
      headers.Authorization = credential;
    }
    const changes = method !== 'GET' && method !== 'HEAD';
    const keyed = changes && !call.once && idempotencyKey !== null;
    if (keyed) {
      headers['Idempotency-Key'] = idempotencyKey ?? crypto.randomUUID().replaceAll('-', '');
      if (Date.now() - this.#seen.at < freshFor) {
        headers['Covey-Version'] = String(this.#seen.version);
      }
    }
    const body = call.body ?? null;
    if (body !== null || changes) {
      headers['Content-Length'] = String(body === null ? 0 : Buffer.byteLength(body));
    }
    const query = call.query && call.query.toString();
    return {
      method, headers, body, changes, repeatable: !changes || keyed || Boolean(call.harmless),
      path: call.path + (query ? `?${query}` : ''), what: `${method} ${call.path}`,
    };
  }

  async #rounds(message, clock) {
    let unknown = false;
    let slowest = 0; // how long an answer took that said why nothing was done
    for (let round = 0; ; round++) {
      const first = this.#preferred;
      let told = null;
      let last = null;
      for (let i = 0; i < this.#endpoints.length; i++) {
        const at = (first + i) % this.#endpoints.length;
        const began = Date.now();
        const answer = await this.#once(this.#endpoints[at], message, clock);
        if (!(answer instanceof Error)) {
          this.#preferred = at;
          return answer;
        }
        unknown = unknown || answer.outcomeUnknown;
        slowest = answer.status === 503 ? Math.max(slowest, Date.now() - began) : slowest;
        told = worthTelling(told, answer, message);
        last = answer;
        if (!elsewhere(answer, message) || clock.over) {
          break;
        }
      }
      const wait = pause(round, told.retryAfter);
      // A try that could not end in time would only make a write that was refused
      // uncertain, and hide the reason.
      const late = told.status === 503 && !unknown && clock.left - wait < slowest;
      if (!again(last, message) || round >= this.maxRetries || late || !(await clock.sleep(wait))) {
        clock.rethrow();
        told.outcomeUnknown = unknown && inDoubt(told);
        throw told;
      }
    }
  }

  /** One try; resolves with an answer or an error of ours. */
  async #once(endpoint, message, clock) {
    let answer;
    try {
      answer = await exchange(endpoint.url, { ...message, path: endpoint.prefix + message.path }, {
        // A kept connection may be closed by the server just as it is used, which
        // would leave a write that cannot be repeated in doubt for nothing.
        agent: message.repeatable ? this.#agents[endpoint.url.protocol] : this.#fresh(endpoint.url.protocol),
        patience: Math.min(patience, clock.left), signal: clock.signal,
      });
    } catch (broken) {
      clock.rethrow();
      if (!(broken instanceof Broken)) {
        throw broken; // a TypeError: what was given cannot be sent
      }
      return this.#lost(broken, message, clock);
    }
    this.#note(answer.headers['covey-version']);
    return answer.status < 300 ? answer : fromAnswer(message.what, answer, message.changes);
  }

  #fresh(protocol) {
    const kept = this.#agents[protocol];
    return new kept.constructor({ ...kept.options, keepAlive: false });
  }

  #lost(broken, message, clock) {
    const why = clock.over ? `there was no answer within ${clock.timeout} ms` : broken.message;
    const verb = broken.connected ? 'no answer from' : 'cannot reach';
    const error = new ConnectionError(`${message.what}: ${verb} ${broken.endpoint} (${why})`, {
      endpoint: broken.endpoint, cause: broken.cause, outcomeUnknown: broken.connected && message.changes,
    });
    Object.defineProperty(error, 'final', { value: broken.final });
    return error;
  }

  #note(header) {
    if (header && /^\d{1,20}$/.test(header) && BigInt(header) >= this.#seen.version) {
      this.#seen = { version: BigInt(header), at: Date.now() };
    }
  }
}

/** The time of one call, and its caller's wish to end it. */
class Clock {
  #timer;
  #abort = new AbortController();
  #caller;
  #relay;

  constructor(timeout, caller) {
    this.timeout = timeout;
    this.end = Date.now() + timeout;
    this.#caller = caller;
    caller?.throwIfAborted();
    this.#relay = () => this.#abort.abort(caller.reason);
    caller?.addEventListener('abort', this.#relay, { once: true });
    this.#timer = setTimeout(() => this.#abort.abort(new Error('time is up')), timeout);
  }

  get signal() {
    return this.#abort.signal;
  }

  get left() {
    return Math.max(1, this.end - Date.now());
  }

  get over() {
    return this.#abort.signal.aborted;
  }

  /** Throws the caller's reason, if the caller has ended the call. */
  rethrow() {
    this.#caller?.throwIfAborted();
  }

  /** Waits, and tells whether there is time for another try. */
  async sleep(ms) {
    if (this.over || ms >= this.left) {
      return false;
    }
    await new Promise((resolve) => {
      const timer = setTimeout(done, ms);
      const signal = this.signal;
      signal.addEventListener('abort', done, { once: true });
      function done() {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        resolve();
      }
    });
    return !this.over;
  }

  stop() {
    clearTimeout(this.#timer);
    this.#caller?.removeEventListener('abort', this.#relay);
  }
}

/** Whether another endpoint may fare better right now. Limits are not evaded. */
function elsewhere(error, message) {
  return again(error, message) && error.status !== 429;
}

/** Whether the same request may be sent again. */
function again(error, message) {
  if (error.final) {
    return false;
  }
  if (error instanceof APIError) {
    const refused = error.status === 503 || error.status === 429;
    return refused || ((error.status === 502 || error.status === 504) && message.repeatable);
  }
  return message.repeatable || !error.outcomeUnknown;
}

/** Of the errors of a round the one worth telling: one that ends the call, else an answer rather than a broken connection. */
function worthTelling(before, error, message) {
  return before instanceof APIError && !(error instanceof APIError) && again(error, message) ? before : error;
}

/** Whether an error leaves open what became of an earlier try. */
function inDoubt(error) {
  return !(error instanceof APIError) || error.status >= 500 || silent.has(error.status);
}

function pause(round, retryAfter) {
  const most = Math.min(firstPause * 2 ** round, longestPause);
  const jittered = most / 2 + Math.random() * (most / 2);
  return Math.max(jittered, (retryAfter ?? 0) * 1000);
}

function number(name, value, least, most = Number.MAX_SAFE_INTEGER) {
  if (typeof value !== 'number' || !(value >= least && value <= most)) {
    throw new TypeError(`${name} must be a number from ${least} to ${most}`);
  }
  return value;
}

module.exports = { Transport };
