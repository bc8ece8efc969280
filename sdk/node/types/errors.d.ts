/** All errors of calls, but for wrong arguments (TypeError) and the caller's own abort. None holds a token, a key or a value. */
export class KeyNestError extends Error {
  /** The change may have taken effect although the call failed. */
  outcomeUnknown: boolean;
}

/** The server answered, and said no. */
export class APIError extends KeyNestError {
  protected constructor();
  readonly status: number;
  /** The server's text. */
  readonly error: string;
  /** Texts by field, a list, a text, or null. */
  readonly details: unknown;
  /** Such as CONFLICT; "" if the server said none. */
  readonly code: string;
  /** The server's Covey-Reason, or "". */
  readonly reason: string;
  /** Finds the request in the server's log. */
  readonly requestId: string;
  /** Seconds that the server asked to wait, or null. */
  readonly retryAfter: number | null;
  /** host:port of the endpoint that answered. */
  readonly endpoint: string;
  /** The whole answer, if it was JSON. */
  readonly body: Record<string, unknown>;
}

/** 401 */
export class AuthenticationError extends APIError {}
/** 403 */
export class PermissionDenied extends APIError {}
/** 404: not there, or not for the caller */
export class NotFound extends APIError {}
/** 400, 422 */
export class ValidationError extends APIError {}
/** 409, 412 */
export class Conflict extends APIError {}
/** 429, when waiting for as long as the server wants would take too long */
export class RateLimited extends APIError {}
/** 503 of all endpoints */
export class Unavailable extends APIError {}
/** 504: a write may have taken effect */
export class UnknownOutcome extends APIError {}

/** No endpoint gave an answer in time. */
export class ConnectionError extends KeyNestError {
  private constructor();
  /** host:port of the last one asked. */
  readonly endpoint: string;
}

/** A webhook's message is not signed with the secret, or was signed too long ago. */
export class SignatureError extends KeyNestError {}
