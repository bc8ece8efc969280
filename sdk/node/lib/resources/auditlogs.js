'use strict';

class AuditLogs {
  #calls;

  constructor(calls) {
    this.#calls = calls;
  }

  /** Entries, newest first. */
  list(filters, options) {
    return this.#calls.list('/api/audit-logs/', filters, options);
  }

  /** The whole log that the caller may see, as the text of a file that `covey audit verify` proves. */
  async export(params, options) {
    return this.#calls.text('/api/audit-logs/export/', params, options);
  }
}

module.exports = { AuditLogs };
