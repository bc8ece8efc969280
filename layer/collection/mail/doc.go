// Package mail takes the mails of POST /mail, keeps them as documents, and has
// them sent.
//
// A mail to several receivers becomes one document of email_outbound for each,
// with a link of its own to unsubscribe by. Documents, the links and what the
// outbox (package kv/outbox) is to deliver are one commit: what was
// acknowledged is sent or told as failed in its document, and what was not is
// neither. Sender then sends each, at least once and with the same ID in every
// try, and notes in the document what became of it.
//
// Whoever is in email_unsubscribed when his mail's turn comes gets none.
// Somebody comes into it by his link, or by an ordinary write to the collection.
//
// Templates are documents of email_templates in Mustache without partials and
// code: what they come to is bounded in bytes and in steps.
//
// It knows no HTTP and no SMTP: Sender is given a function that sends.
package mail
