import all from './index.js';

export default all.KeyNest;
export const {
  KeyNest, Bucket, Database, Collection, Listing, verifyWebhook,
  KeyNestError, APIError, AuthenticationError, PermissionDenied, NotFound, ValidationError, Conflict, RateLimited,
  Unavailable, UnknownOutcome, ConnectionError, SignatureError,
} = all;
