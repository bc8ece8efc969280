// Package posting delivers what waits for webhooks: it is the outbox's Sender for
// layers that put events into queues, one ordered queue for each webhook.
//
// A layer says what an item of its queues is as a message, and what it keeps of
// tries; this package makes the tries, and holds what is the same for all
// webhooks: their order, their patience, what an answer means. At least once,
// in the order of the commits, is the outbox's promise. What has been tried is
// told to the layer within the commits that it belongs to.
package posting
