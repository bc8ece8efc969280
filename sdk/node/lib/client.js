'use strict';

const { Transport } = require('./transport.js');
const { Calls } = require('./calls.js');
const { Auth } = require('./resources/auth.js');
const { Organizations } = require('./resources/organizations.js');
const { Projects } = require('./resources/projects.js');
const { Environments } = require('./resources/environments.js');
const { Variables } = require('./resources/variables.js');
const { AuditLogs } = require('./resources/auditlogs.js');
const { ServiceTokens } = require('./resources/servicetokens.js');
const { Webhooks } = require('./resources/webhooks.js');
const { Bucket, createBucket } = require('./bucket.js');
const { Database } = require('./collection.js');
const { query } = require('./fields.js');

const defaultBaseUrl = 'http://localhost:8000';

/**
 * KeyNest is a client of a cluster. It connects when it is used, keeps
 * connections, and may be used by any number of calls at once. Printing it shows
 * no token.
 */
class KeyNest {
  #transport;
  #calls;

  /**
   * config: {token, baseUrl, timeout, maxRetries, tls}. The token and baseUrl
   * default to KEYNEST_TOKEN and KEYNEST_BASE_URL; baseUrl is one, or several as
   * an array or with commas between them. timeout (ms) bounds a call with all its
   * tries. tls are options of https.Agent such as ca.
   */
  constructor(config = {}) {
    if (config === null || typeof config !== 'object') {
      throw new TypeError('the configuration must be an object such as { token }');
    }
    const { token, baseUrl, timeout = 30_000, maxRetries = 4, tls, ...others } = config;
    const [unknown] = Object.keys(others);
    if (unknown !== undefined) {
      throw new TypeError(`the configuration has no ${unknown}`);
    }
    const { KEYNEST_TOKEN, KEYNEST_BASE_URL } = process.env;
    this.#transport = new Transport({
      token: token ?? (KEYNEST_TOKEN?.trim() || null), baseUrl: baseUrl ?? (KEYNEST_BASE_URL?.trim() || defaultBaseUrl),
      timeout, maxRetries, tls,
    });
    this.#calls = new Calls(this.#transport);
    this.auth = new Auth(this.#calls);
    this.organizations = new Organizations(this.#calls);
    this.projects = new Projects(this.#calls);
    this.environments = new Environments(this.#calls);
    this.variables = new Variables(this.#calls);
    this.auditLogs = new AuditLogs(this.#calls);
    this.serviceTokens = new ServiceTokens(this.#calls);
    this.webhooks = new Webhooks(this.#calls);
  }

  /** The base URLs, in the order they were given. */
  get endpoints() {
    return this.#transport.endpoints;
  }

  /** A handle on a bucket of KVdb. key is its credential: one of its keys or an access token. */
  bucket(id, key) {
    return new Bucket(this.#transport, id, key);
  }

  /** Makes a bucket of KVdb and returns a handle on it, with its secret key if it has one. */
  async createBucket(settings = {}, options) {
    return createBucket(this.#transport, settings, options);
  }

  /** A database of RestDB, by one of its keys; host is its name where the cluster has several. */
  database({ key, host } = {}) {
    return new Database(this.#transport, { key, host });
  }

  /** Any call of the API: the JSON of its answer. body is sent as it is, as JSON. */
  async request(method, path, { query: params, body } = {}, options) {
    if (typeof path !== 'string' || !path.startsWith('/')) {
      throw new TypeError('path must begin with a slash');
    }
    const call = { method: method.toUpperCase(), path, query: query(params) };
    if (body !== undefined) {
      call.headers = { 'Content-Type': 'application/json' };
      call.body = JSON.stringify(body);
    }
    return this.#calls.json(call, options);
  }

  /** Whether an endpoint answers: {status, service, version}. */
  async health(options) {
    return this.#calls.json({ method: 'GET', path: '/health/', credential: null }, options);
  }

  /** Ends the connections that are kept. The client can still be used. */
  close() {
    this.#transport.close();
  }
}

module.exports = { KeyNest };
