'use strict';

// The package is the class KeyNest with everything else as its properties, so
// that each way of importing works: require(), require().KeyNest, and the named
// and the default import of ES modules, which see the same classes.

const { KeyNest } = require('./lib/client.js');
const errors = require('./lib/errors.js');
const { Bucket } = require('./lib/bucket.js');
const { Database, Collection } = require('./lib/collection.js');
const { Listing } = require('./lib/listing.js');
const { verifyWebhook } = require('./lib/signature.js');

module.exports = Object.assign(KeyNest, {
  KeyNest, default: KeyNest, Bucket, Database, Collection, Listing, verifyWebhook, ...errors,
});
