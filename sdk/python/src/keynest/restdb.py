"""RestDB collections: JSON documents of a cluster that serves KeyNest too."""

from __future__ import annotations

import json
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple, Union
from urllib.parse import quote

from ._http import Secret
from ._transport import Request, Transport, encode, parse

Document = Dict[str, Any]

_PAGE = 1000  # documents that an iteration asks for at once


class Collections:
    """`client.collections`: opens collections::

        books = client.collections("books", key=api_key)
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def __call__(self, name: str, key: str, *, host: Optional[str] = None) -> Collection:
        """A collection, with an API key of its database. Nothing is sent. `host`
        chooses the database, such as `shop.db.example.com`; none means the default one."""
        return Collection(self._transport, name, Secret(key, "API key"), host)


class Collection:
    """One collection. Queries are objects such as `{"year": {"$lt": 1900}}`."""

    def __init__(self, transport: Transport, name: str, key: Secret, host: Optional[str]) -> None:
        if not name or "/" in name or name in (".", ".."):
            raise ValueError("%r is not the name of a collection" % name)
        self.name = name
        self._transport, self._key, self._host = transport, key, host
        self._path = "/rest/" + quote(name, safe="")

    def insert(self, document: Mapping[str, Any]) -> Document:
        """Store a document, and return it with its `_id` and other metafields."""
        stored: Document = self._json("POST", self._path, dict(document))
        return stored

    def insert_many(self, documents: Sequence[Mapping[str, Any]]) -> List[Document]:
        """Store documents, all or none."""
        stored: List[Document] = self._json("POST", self._path, [dict(d) for d in documents])
        return stored

    def get(self, document_id: str) -> Document:
        found: Document = self._json("GET", self._at(document_id))
        return found

    def find(
        self,
        query: Optional[Mapping[str, Any]] = None,
        *,
        sort: Optional[str] = None,
        descending: bool = False,
        max: Optional[int] = None,
        skip: Optional[int] = None,
        hints: Optional[Mapping[str, Any]] = None,
        **parameters: Any,
    ) -> List[Document]:
        """Documents that match, 1000 at most unless `max` says otherwise. `hints` is
        the API's `h`; further parameters of it (`filter`, `metafields`, ...) go by name."""
        asked: Dict[str, Any] = {"max": max, "skip": skip, "sort": sort, "dir": -1 if descending else None, **parameters}
        asked.update(_query(query, hints))
        found: List[Document] = self._json("GET", self._path, query=asked)
        return found

    def iterate(self, query: Optional[Mapping[str, Any]] = None, **parameters: Any) -> Iterator[Document]:
        """All documents that match, read in pages as they are needed; see `find`."""
        skip = 0
        while True:
            page = self.find(query, max=_PAGE, skip=skip, **parameters)
            yield from page
            skip += len(page)
            if len(page) < _PAGE:
                return

    def count(self, query: Optional[Mapping[str, Any]] = None) -> int:
        answer = self._json("GET", self._path, query=dict(_query(query, None), totals=True, count=True))
        return int(answer["totals"]["total"])

    def aggregate(self, functions: Sequence[str], query: Optional[Mapping[str, Any]] = None, *, group_by: Optional[Sequence[str]] = None) -> Any:
        """Results of functions such as `SUM:price` over all matches, or over groups of them."""
        hints: Dict[str, Any] = {"$aggregate": list(functions)}
        if group_by:
            hints["$groupby"] = list(group_by)
        return self._json("GET", self._path, query=_query(query, hints))

    def update(self, document_id: str, changes: Mapping[str, Any], *, version: Optional[int] = None) -> Document:
        """Change the given fields, or what operators such as `$inc` say, and return the
        whole document; with `version` only if that is its `_version`, else Conflict."""
        headers = () if version is None else (("If-Match", str(version)),)
        changed: Document = self._json("PATCH", self._at(document_id), dict(changes), headers=headers)
        return changed

    def replace(self, document_id: str, document: Mapping[str, Any]) -> Document:
        """Put another document in the place of one."""
        changed: Document = self._json("PUT", self._at(document_id), dict(document), query={"replace": True})
        return changed

    def delete(self, document_id: str) -> None:
        self._json("DELETE", self._at(document_id))

    def delete_where(self, query: Mapping[str, Any]) -> int:
        """Delete what matches, up to some thousands at once, and return how many there
        were. `{}` means all."""
        answer = self._json("DELETE", self._path + "/*", query=_query(query, None))
        return int(answer.get("count", len(answer["result"])))

    def _at(self, document_id: str) -> str:
        if not document_id or document_id in (".", "..", "*"):
            raise ValueError("%r is not the id of a document" % document_id)
        return self._path + "/" + quote(document_id, safe="")

    def _json(
        self, method: str, path: str, body: Any = None, *, query: Optional[Dict[str, Any]] = None, headers: Tuple[Tuple[str, str], ...] = ()
    ) -> Any:
        headers += (("Accept", "application/json"),)
        if self._host is not None:
            headers += (("Host", self._host),)
        request = Request(method, path, query or {}, headers=headers, credential=("x-apikey", "", self._key))
        if body is not None:
            request.body, request.kind = encode(body), "application/json"
        return parse(self._transport.send(request))

    def __repr__(self) -> str:
        return "Collection(%r)" % self.name


def _query(query: Optional[Mapping[str, Any]], hints: Optional[Mapping[str, Any]]) -> Dict[str, Any]:
    given: Dict[str, Union[Mapping[str, Any], None]] = {"q": query, "h": hints}
    return {name: json.dumps(value, separators=(",", ":"), allow_nan=False) for name, value in given.items() if value is not None}
