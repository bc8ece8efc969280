// Package keynest serves the KeyNest API: users, organizations with roles,
// projects, environments, sealed variables with import and export, and the
// audit log. It is protocol only: what is stored, who may do what and what is
// recorded belongs to layer/vault.
//
// A request goes one way: target (path), credential, limits, method, body,
// then one transaction behind the door vault.Store.As, and the answer when that
// is committed. Clear values that were read leave only after the audit log has
// recorded so.
//
// Values, passwords and tokens are in bodies and one header. They never get
// into errors, logs or metrics.
package keynest
