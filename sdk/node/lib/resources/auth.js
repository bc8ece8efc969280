'use strict';

const { AuthenticationError, member } = require('../errors.js');
const { fields } = require('../fields.js');

/** The account that the token is of. Logging in and registering give the client its token. */
class Auth {
  #calls;

  constructor(calls) {
    this.#calls = calls;
  }

  async login(account, options) {
    const { email, password } = fields(account, 'the account');
    return this.#enter('/api/auth/login/', { email, password }, options, { harmless: true });
  }

  /** Not repeated when its answer is lost: log in then, to see whether it was done. */
  async register(account, options) {
    return this.#enter('/api/auth/register/', account, options);
  }

  async logout(options) {
    let answer = { message: 'Successfully logged out' };
    try {
      answer = await this.#calls.write('POST', '/api/auth/logout/', {}, options);
    } catch (e) {
      if (!(e instanceof AuthenticationError && e.outcomeUnknown)) { // else an earlier try has done it
        throw e;
      }
    }
    this.#calls.transport.token = null;
    return answer;
  }

  async profile(options) {
    return this.#calls.get('/api/auth/profile/', {}, options);
  }

  async updateProfile(changes, options) {
    return this.#calls.write('PATCH', '/api/auth/profile/', changes, options);
  }

  /** Not repeated when its answer is lost. The client goes on with the new token. */
  async changePassword({ currentPassword, newPassword, confirmNewPassword = newPassword }, options) {
    const body = fields({ currentPassword, newPassword, confirmNewPassword });
    const answer = await this.#calls.write('POST', '/api/auth/password/', body, options, { once: true });
    this.#calls.transport.token = member(answer, 'token', 'string', 'POST /api/auth/password/');
    return answer;
  }

  async #enter(path, body, options, more) {
    const answer = await this.#calls.write('POST', path, body, options, { once: true, credential: null, ...more });
    this.#calls.transport.token = member(answer, 'token', 'string', `POST ${path}`);
    return answer;
  }
}

module.exports = { Auth };
