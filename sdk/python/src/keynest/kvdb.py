"""KVdb buckets: keys and counters of a cluster that serves KeyNest too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple, Union
from urllib.parse import quote

from ._http import Answer, Secret
from ._transport import Request, Transport, compact, encode, member, parse
from .errors import NotFound, unexpected

Key = Union[str, bytes]
Value = Union[str, bytes, int, float]

_PAGE = 10_000  # keys of a list; the most that the server gives


@dataclass(frozen=True)
class Entry:
    """A value and its tag, which changes with every write of the key."""

    value: bytes
    etag: str

    def __repr__(self) -> str:
        return "Entry(%d bytes, etag=%r)" % (len(self.value), self.etag)


class Buckets:
    """`client.buckets`: makes buckets, and opens them by their id::

        bucket = client.buckets("SZnNG7Ls8kEsMKHZCnu5UX", key=secret)
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def __call__(self, bucket_id: str, key: Optional[str] = None) -> Bucket:
        """A bucket that is there, with one of its keys or an access token. Nothing is sent."""
        return Bucket(self._transport, bucket_id, key)

    def create(
        self,
        *,
        secret_key: Optional[str] = None,
        write_key: Optional[str] = None,
        read_key: Optional[str] = None,
        signing_key: Optional[str] = None,
        default_ttl: Optional[int] = None,
    ) -> Bucket:
        """Make a bucket, with the strongest of the given keys to use it with. Keys of
        the bucket live for a week unless `default_ttl` (seconds, 0 for ever) says otherwise."""
        policy = {"secret_key": secret_key, "write_key": write_key, "read_key": read_key, "signing_key": signing_key, "default_ttl": default_ttl}
        request = Request("POST", "/", body=encode(compact(policy)), kind="application/json")
        answer = self._transport.send(request)
        return Bucket(self._transport, answer.body.decode(), secret_key or write_key or read_key)


class Bucket:
    """One bucket. Keys are texts or bytes, values are bytes."""

    def __init__(self, transport: Transport, bucket_id: str, key: Optional[str]) -> None:
        if not bucket_id.isascii() or not bucket_id.replace("_", "").replace("-", "").isalnum():
            raise ValueError("%r is not the id of a bucket" % bucket_id)
        self.id = bucket_id
        self._transport = transport
        self._key = None if key is None else Secret(key, "key of the bucket")

    def get(self, key: Key) -> bytes:
        """The value of a key; NotFound if it has none."""
        return self._send("GET", self._at(key)).body

    def text(self, key: Key, default: Optional[str] = None) -> Optional[str]:
        """The value of a key as text, or `default`."""
        try:
            return self.get(key).decode()
        except NotFound:
            return default

    def entry(self, key: Key) -> Entry:
        """The value with its tag, for `set` and `delete` with `if_match`."""
        answer = self._send("GET", self._at(key))
        return Entry(answer.body, answer.headers.get("etag", ""))

    def set(self, key: Key, value: Value, *, ttl: Optional[int] = None, if_match: Optional[str] = None, if_absent: bool = False) -> str:
        """Set a key, for `ttl` seconds (0 for ever), and return its tag. With
        `if_match` only if it still has that tag, with `if_absent` only if it is
        not there: else Conflict."""
        conditions = (("If-Match", if_match),) if if_match is not None else ()
        headers = conditions + ((("If-None-Match", "*"),) if if_absent else ())
        answer = self._send("PUT", self._at(key), body=_bytes(value), query=compact({"ttl": ttl}), headers=headers)
        return answer.headers.get("etag", "")

    def add(self, key: Key, amount: Union[int, float] = 1, *, ttl: Optional[int] = None) -> Union[int, float]:
        """Add to a counter, once however often the call is tried, and return the sum."""
        total = parse(self._send("PATCH", self._at(key), body=encode(amount), query=compact({"ttl": ttl})))
        if not isinstance(total, (int, float)):
            raise unexpected()
        return total

    def delete(self, key: Key, *, if_match: Optional[str] = None) -> None:
        self._send("DELETE", self._at(key), headers=(("If-Match", if_match),) if if_match is not None else ())

    def keys(self, *, prefix: Optional[str] = None, regex: Optional[str] = None, reverse: bool = False) -> Iterator[str]:
        """Keys in the order of their bytes, read in pages as they are needed."""
        query = {"prefix": prefix, "regex": regex, "reverse": reverse or None}
        for key in self._pages(query):
            yield str(key)

    def items(self, *, prefix: Optional[str] = None, regex: Optional[str] = None, reverse: bool = False) -> Iterator[Tuple[str, Any]]:
        """Keys with their values. Values that are numbers, or were set as JSON by a
        transaction, come as such; bytes that are no UTF-8 come as U+FFFD."""
        query = {"prefix": prefix, "regex": regex, "reverse": reverse or None, "values": True}
        for key, value in self._pages(query):
            yield key, value

    def transaction(self, operations: Sequence[Dict[str, Any]]) -> None:
        """Apply `{"set": key, "value": any, "ttl": seconds}` and `{"delete": key}`, all or none."""
        self._send("POST", "/" + self.id, body=encode({"txn": list(operations)}), kind="application/json")

    def access_token(self, *, permissions: Sequence[str] = ("read",), prefix: Optional[str] = None, ttl: Optional[int] = None) -> str:
        """A token for others; needs the secret key, and a signing key of the bucket."""
        form = compact({"permissions": ",".join(permissions), "prefix": prefix, "ttl": ttl})
        request = self._request("POST", "/%s/tokens/" % self.id, body=encode(form), kind="application/json", headers=(("Accept", "application/json"),))
        request.harmless = True
        token: str = member(parse(self._transport.send(request)), "access_token")
        return token

    def update(self, **policy: Any) -> None:
        """Change `secret_key`, `write_key`, `read_key`, `signing_key` or `default_ttl`; an empty key is removed."""
        self._send("PATCH", "/" + self.id, body=encode(policy), kind="application/json")

    def drop(self) -> None:
        """Delete the bucket with all its keys."""
        self._send("DELETE", "/" + self.id)

    def _at(self, key: Key) -> str:
        escaped = quote(key, safe="")
        # Proxies clean a path of dots, unless they are escaped.
        return "/%s/%s" % (self.id, escaped.replace(".", "%2E") if escaped in (".", "..") else escaped)

    def _pages(self, query: Dict[str, Any]) -> Iterator[Any]:
        skip = 0
        while True:
            page: List[Any] = parse(self._send("GET", "/%s/" % self.id, query=dict(compact(query), format="json", limit=_PAGE, skip=skip)))
            yield from page
            skip += len(page)
            if len(page) < _PAGE:
                return

    def _send(self, method: str, path: str, **rest: Any) -> Answer:
        return self._transport.send(self._request(method, path, **rest))

    def _request(self, method: str, path: str, **rest: Any) -> Request:
        request = Request(method, path, **rest)
        if self._key is not None:
            request.credential = ("Authorization", "Bearer ", self._key)
        return request

    def __repr__(self) -> str:
        return "Bucket(%r)" % self.id


def _bytes(value: Value) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        try:
            return value.encode()
        except UnicodeEncodeError:
            raise ValueError("the value holds half of a surrogate pair, which is no Unicode text") from None
    return encode(value)
