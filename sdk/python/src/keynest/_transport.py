"""Calls: which endpoint is asked, what is tried again, and what that means.

A change carries an Idempotency-Key through all its tries, so that it takes effect
once however often it is sent. What has no such key (a registration, a change of
password, whose answers hold a token) is sent again only after an answer, or the
lack of a connection, that says that nothing was done.
"""

from __future__ import annotations

import json
import logging
import random
import secrets
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union
from urllib.parse import urlencode

from . import errors
from ._http import Answer, Endpoint, Headers, Lost, Secret, Unreached

log = logging.getLogger("keynest")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0  # seconds between two rounds
_VERSION_FRESH = 2.0  # seconds for which a version counts as "just before the first try"
_SILENT = (401, 403, 404, 429)  # say nothing of an earlier try: what it needed may be gone since
_USER_AGENT = "keynest-python"

Query = Union[Mapping[str, Any], Sequence[Tuple[str, str]]]


@dataclass
class Request:
    """One call, repeatable as it stands."""

    method: str
    path: str  # escaped, with its slash
    query: Query = ()
    body: Optional[bytes] = field(default=None, repr=False)
    kind: str = ""  # content type of the body
    headers: Tuple[Tuple[str, str], ...] = ()
    credential: Optional[Tuple[str, str, Secret]] = None
    once: bool = True  # whether the server knows Idempotency-Key for this call
    harmless: bool = False  # may be repeated without one

    @property
    def changes(self) -> bool:
        return self.method not in ("GET", "HEAD") and not self.harmless

    @property
    def repeatable(self) -> bool:
        return not self.changes or self.once

    @property
    def target(self) -> str:
        pairs = self.query.items() if isinstance(self.query, Mapping) else self.query
        given = [(name, text(value)) for name, value in pairs if value is not None]
        return self.path + ("?" + urlencode(given) if given else "")


def text(value: Any) -> str:
    """A value as it stands in a query."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def encode(value: Any) -> bytes:
    """A value as JSON in UTF-8; text that has no UTF-8 is a ValueError that does not show it."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        raise ValueError("a text holds half of a surrogate pair, which is no Unicode text") from None


class Shared:
    """What all copies of a client share: endpoints, the token, and what they have learned."""

    def __init__(self, endpoints: List[Endpoint], token: Optional[Secret]) -> None:
        self.endpoints, self.token = endpoints, token
        self._lock = threading.Lock()
        self._preferred = 0
        self._version, self._seen = 0, 0.0

    def preferred(self) -> int:
        with self._lock:
            return self._preferred

    def prefer(self, index: int) -> None:
        with self._lock:
            self._preferred = index

    def note(self, answer: Answer) -> None:
        """Remember the newest version of the store that an answer named."""
        told = answer.headers.get("covey-version", "")
        if told.isascii() and told.isdigit() and len(told) <= 20:
            with self._lock:
                if int(told) >= self._version:
                    self._version, self._seen = int(told), time.monotonic()

    def version(self) -> int:
        """The version if it was seen shortly before now, else 0.

        With it a node tells a repeat that it cannot know any more from a first try.
        """
        with self._lock:
            return self._version if time.monotonic() - self._seen <= _VERSION_FRESH else 0


@dataclass(frozen=True)
class Options:
    timeout: float = 30.0
    max_retries: int = 4
    idempotency_key: Optional[str] = None


class Transport:
    """Safe for use by several threads."""

    def __init__(self, shared: Shared, options: Options) -> None:
        self.shared, self.options = shared, options

    def send(self, request: Request) -> Answer:
        """Send a request until it has an answer that a repeat would not change,
        or time or retries run out, and return it if it is a success."""
        return _Call(self.shared, self.options, request).run()


class _Call:
    def __init__(self, shared: Shared, options: Options, request: Request) -> None:
        self.shared, self.options, self.request = shared, options, request
        self.deadline = time.monotonic() + options.timeout
        self.index = shared.preferred()
        self.rounds = self.asked = 0
        self.unknown = False  # some try may have been applied
        self.doubted = False  # so it was at some time
        self.refused: Optional[errors.Unavailable] = None  # the last answer that said why nothing was done
        self.slowest = 0.0  # seconds that such an answer took to come
        self.key: Optional[str] = None
        self.headers = self._headers()

    def _headers(self) -> Headers:
        request, headers = self.request, Headers(("User-Agent", _USER_AGENT), *self.request.headers)
        if request.kind:
            headers.add("Content-Type", request.kind)
        headers.credential = request.credential
        if request.changes and request.once:
            self.key = self.options.idempotency_key or secrets.token_hex(16)
            headers.add("Idempotency-Key", self.key)
            version = self.shared.version()
            if version:
                headers.add("Covey-Version", str(version))
        return headers

    def run(self) -> Answer:
        while True:
            endpoint = self.shared.endpoints[self.index]
            began = time.monotonic()
            try:
                answer = self._ask(endpoint)
            except Unreached as e:
                failure: errors.KeyNestError = self._silence(endpoint, e)
            except Lost as e:
                self._doubt()
                failure = self._silence(endpoint, e)
                if not self.request.repeatable:
                    raise self._mark(failure) from None
            else:
                log.debug("%s %s: %d from %s in %.0f ms", self.request.method, self.request.path, answer.status, endpoint.url,
                          (time.monotonic() - began) * 1000)
                self.shared.note(answer)
                if answer.status < 500:
                    self.shared.prefer(self.index)
                if answer.status < 300:
                    return answer
                failure = self._refusal(answer, time.monotonic() - began)
            if not self._again(failure):
                raise self._mark(failure) from None

    def _ask(self, endpoint: Endpoint) -> Answer:
        # Of several endpoints none gets all of the time: it may hang.
        limit = self.deadline
        if len(self.shared.endpoints) > 1:
            limit = min(limit, time.monotonic() + self.options.timeout / 2)
        request = self.request
        return endpoint.exchange(request.method, request.target, self.headers, request.body, deadline=limit, lost=self._doubt if request.repeatable else None)

    def _silence(self, endpoint: Endpoint, e: Exception) -> errors.KeyNestError:
        log.debug("%s %s: no answer from %s: %s", self.request.method, self.request.path, endpoint.url, e)
        reached = "cannot reach" if isinstance(e, Unreached) else "no answer from"
        kind = errors.Timeout if str(e) in ("timed out", "out of time") else errors.ConnectionError
        return kind("%s %s: %s %s (%s)" % (self.request.method, self.request.path, reached, endpoint.url, e))

    def _doubt(self) -> None:
        if self.request.changes:
            self.unknown = self.doubted = True

    def _refusal(self, answer: Answer, took: float) -> errors.APIError:
        error = errors.from_answer(answer.status, answer.headers, answer.body)
        if isinstance(error, errors.Unavailable) and error.status == 503:
            self.refused, self.slowest = error, max(self.slowest, took)
        if answer.status in (502, 504):
            self._doubt()
        elif 400 <= answer.status < 500 and answer.status not in _SILENT:
            self.unknown = False  # the change was judged anew: no try before was applied
        return error

    def _again(self, failure: errors.KeyNestError) -> bool:
        """Wait before the next try, and report whether there is to be one."""
        least = 0.0
        if isinstance(failure, errors.RateLimited):
            # Every node counts for itself, but going elsewhere would be evading.
            self.rounds, least = self.rounds + 1, failure.retry_after or 1.0
        elif isinstance(failure, (errors.ConnectionError, errors.Unavailable, errors.UnknownOutcome)):
            if isinstance(failure, errors.APIError) and failure.status != 503 and not self.request.repeatable:
                return False
            self.index, self.asked = (self.index + 1) % len(self.shared.endpoints), self.asked + 1
            if self.asked < len(self.shared.endpoints):
                return time.monotonic() < self.deadline
            self.rounds, self.asked = self.rounds + 1, 0
            if isinstance(failure, errors.APIError):
                least = min(failure.retry_after or 0.0, 2.0)
        else:
            return False
        if self.rounds > self.options.max_retries:
            return False
        pause: float = min(_FIRST_PAUSE * 2 ** (self.rounds - 1), _LONGEST_PAUSE)
        pause = max(pause / 2 + random.random() * pause, least)
        left = self.deadline - time.monotonic() - pause
        if left <= 0 or (self.refused and not self.unknown and left < self.slowest):
            # A try that could not end in time would only make a change that was
            # refused uncertain, and hide the reason.
            return False
        time.sleep(pause)
        return True

    def _mark(self, failure: errors.KeyNestError) -> errors.KeyNestError:
        if self.refused and not self.unknown and isinstance(failure, errors.ConnectionError):
            failure = self.refused
        failure.idempotency_key = self.key
        failure.outcome_unknown = self.unknown
        failure.retried = self.doubted
        return failure


def parse(answer: Answer) -> Any:
    """The JSON of an answer; None if it has no body."""
    if not answer.body:
        return None
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError):
        raise errors.APIError(answer.status, "the answer is not JSON: is this the base URL of the API?") from None


def member(answer: Any, name: str) -> Any:
    """A member of an answer that is to be an object with it."""
    if not isinstance(answer, dict) or name not in answer:
        raise errors.unexpected()
    return answer[name]


def compact(members: Dict[str, Any]) -> Dict[str, Any]:
    """The members that are given."""
    return {name: value for name, value in members.items() if value is not None}
