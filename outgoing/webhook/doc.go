// Package webhook posts signed messages to targets that others name, as the
// Standard Webhooks specification says (standardwebhooks.com): the headers
// webhook-id, webhook-timestamp and webhook-signature, so that a receiver can
// tell who sent a message, when, and whether it has had it before.
//
// A Poster makes one try. It dials nothing but the public internet unless it is
// told to, follows no redirects, uses no proxy and keeps no cookies; its time
// and what it reads of an answer are bounded. Its errors hold neither a secret
// nor more of a URL than its host. When to try again is for the caller.
package webhook
