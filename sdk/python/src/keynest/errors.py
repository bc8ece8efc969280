"""What can go wrong, as exceptions.

Everything this package raises about a call is a `KeyNestError`. Mistakes in the
arguments of a call are `ValueError` or `TypeError`, as everywhere in Python.
No exception holds a token, a key or a value.
"""

from __future__ import annotations

import builtins
import json
from typing import Any, Mapping, Optional, Type

_LONGEST = 500  # characters of an answer that is not JSON and is shown all the same


class KeyNestError(Exception):
    """The base of all errors of this package.

    `outcome_unknown` says that a change may have been applied although no answer
    says so. Repeating it is safe with `idempotency_key`::

        client.with_options(idempotency_key=error.idempotency_key)
    """

    outcome_unknown: bool = False
    idempotency_key: Optional[str] = None
    retried: bool = False  # whether a try before this answer may have been applied


class ConnectionError(KeyNestError, builtins.ConnectionError):
    """No endpoint answered: none could be reached, or the connection was lost."""

    def __str__(self) -> str:
        return super().__str__() + ("; the change may have been applied" if self.outcome_unknown else "")


class Timeout(ConnectionError, builtins.TimeoutError):
    """No endpoint answered in time."""


class WebhookVerificationError(KeyNestError):
    """A message is not one that the server signed with this secret, or is too old."""


class APIError(KeyNestError):
    """The server answered, and refused.

    `status` is the HTTP status, `error` the server's text, `details` a text, a
    list, texts by field, or None, `code` such as `CONFLICT`, `body` all members of
    the answer if it was a JSON object, `request_id` what finds the request in the
    server's log, and `retry_after` the seconds that it asked to wait, if it did.
    """

    def __init__(
        self,
        status: int,
        error: str,
        *,
        details: Any = None,
        code: str = "",
        body: Optional[Mapping[str, Any]] = None,
        request_id: str = "",
        retry_after: Optional[float] = None,
    ) -> None:
        super().__init__(status, error)
        self.status = status
        self.error = error
        self.details = details
        self.code = code
        self.body: Mapping[str, Any] = body or {}
        self.request_id = request_id
        self.retry_after = retry_after

    def __str__(self) -> str:
        text = "%d %s" % (self.status, self.error)
        if self.details and self.details != self.error:
            text = text.rstrip(".") + ": " + _flat(self.details)
        if self.outcome_unknown:
            text += "; the change may have been applied"
        if self.request_id:
            text += " (request %s)" % self.request_id
        return text

    def __reduce__(self) -> Any:
        return _rebuild, (type(self), self.args, dict(self.__dict__))


class ValidationError(APIError):
    """400 or 422: the request is wrong; `details` says where."""


class AuthenticationError(APIError):
    """401: no token, a wrong one, or one that has expired."""


class PermissionDenied(APIError):
    """403: the token does not allow this."""


class NotFound(APIError):
    """404: it is not there, or not for this token."""


class Conflict(APIError):
    """409 or 412: a name is taken, or a stated condition does not hold."""


class RateLimited(APIError):
    """429, and the time to wait is longer than the call's timeout."""


class Unavailable(APIError):
    """502 or 503, through all endpoints and all retries."""


class UnknownOutcome(APIError):
    """504: the change may have been applied."""


_KINDS: Mapping[int, Type[APIError]] = {
    400: ValidationError,
    401: AuthenticationError,
    403: PermissionDenied,
    404: NotFound,
    409: Conflict,
    412: Conflict,
    422: ValidationError,
    429: RateLimited,
    502: Unavailable,
    503: Unavailable,
    504: UnknownOutcome,
}


def from_answer(status: int, headers: Mapping[str, str], body: bytes) -> APIError:
    """The error that an answer of one of the server's APIs tells of.

    The names in headers are in lower case.
    """
    told = _object(body)
    text = told.get("error") or told.get("message") or headers.get("covey-reason") or ""
    if not isinstance(text, str) or not text:
        text = body[:_LONGEST].decode("utf-8", "replace").strip() if not told else "HTTP status %d" % status
    return _KINDS.get(status, APIError)(
        status,
        text or "HTTP status %d" % status,
        details=told.get("details", told.get("list")),
        code=str(told.get("code") or told.get("name") or ""),
        body=told,
        request_id=headers.get("covey-request-id", ""),
        retry_after=retry_after(headers),
    )


def unexpected() -> APIError:
    """The error for a success whose content is not that of the API."""
    return APIError(200, "the answer is not what was asked for: is this the base URL of the API?")


def retry_after(headers: Mapping[str, str]) -> Optional[float]:
    """How many seconds an answer asks to wait; None if it does not say."""
    text = headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _flat(details: Any) -> str:
    if isinstance(details, str):
        return details
    if isinstance(details, dict):
        return "; ".join("%s: %s" % (name, _flat(texts)) for name, texts in details.items())
    if isinstance(details, list):
        return ", ".join(_flat(text) for text in details)
    return str(details)


def _rebuild(kind: Type[APIError], args: Any, state: Mapping[str, Any]) -> APIError:
    error = kind(*args)
    error.__dict__.update(state)
    return error
