"""What the resources of the KeyNest API have in common."""

from __future__ import annotations

import re
from typing import Any, Callable, Mapping, Optional, TypeVar

from ._http import Answer, Secret
from ._transport import Query, Request, Transport, encode, parse
from .listing import Fetch, Listing
from .listing import Query as Pairs
from .records import Record

T = TypeVar("T")

_ID = re.compile(r"(?:[a-z]+_)?[0-9]+\Z", re.ASCII)

PAGE = 100  # items that a list asks for at once; the most that the server gives


class Caller:
    """Calls of the KeyNest API, with the client's token."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @property
    def token(self) -> Optional[Secret]:
        return self._transport.shared.token

    @token.setter
    def token(self, token: Optional[Secret]) -> None:
        self._transport.shared.token = token

    def call(
        self, method: str, path: str, body: Any = None, *, query: Query = (), once: bool = True, harmless: bool = False, accept: str = "application/json"
    ) -> Answer:
        """Call the API with a body that becomes JSON, unless it is None."""
        request = Request(method, path, query, once=once, harmless=harmless, headers=(("Accept", accept),))
        if body is not None:
            request.body, request.kind = encode(body), "application/json"
        return self.send(request)

    def send(self, request: Request) -> Answer:
        if self.token is not None:
            request.credential = ("Authorization", "Token ", self.token)
        return self._transport.send(request)


class Resource:
    """A part of the API."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def _json(self, method: str, path: str, body: Any = None, *, query: Query = ()) -> Any:
        return parse(self._caller.call(method, path, body, query=query))

    def _list(self, path: str, make: Callable[[Mapping[str, Any]], T], query: Mapping[str, Any]) -> Listing[T]:
        def fetch(pairs: Optional[Pairs]) -> Mapping[str, Any]:
            page = self._json("GET", path, query=query if pairs is None else pairs)
            return {"count": len(page), "results": page} if isinstance(page, list) else Record(page)

        fetcher: Fetch = fetch
        return Listing(fetcher, make)


def ident(path: str, number: Any) -> str:
    """A path with an id in it, which must be one: anything else would lead elsewhere."""
    text = str(number)
    if not _ID.match(text):
        raise ValueError("%r is not an id" % (number,))
    return path % text

