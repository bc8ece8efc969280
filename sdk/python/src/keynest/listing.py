"""Lists that come in pages."""

from __future__ import annotations

from typing import Any, Callable, Generic, Iterator, List, Mapping, Optional, Tuple, TypeVar
from urllib.parse import parse_qsl, urlsplit

from .errors import NotFound, unexpected

T = TypeVar("T")

Query = List[Tuple[str, str]]
Fetch = Callable[[Optional[Query]], Mapping[str, Any]]


class Listing(Generic[T]):
    """One page of a list, and an iterator over it and all pages behind it.

    ::

        projects = client.projects.list()
        projects.count            # how many there are in all
        projects.results          # those of this page
        for project in projects:  # all, page by page, as they are needed
            ...

    Pages are numbered, and each is read when it is its turn: what is deleted
    meanwhile may move an item to a page that was read already, and it is missed.
    """

    def __init__(self, fetch: Fetch, make: Callable[[Mapping[str, Any]], T], page: Optional[Mapping[str, Any]] = None) -> None:
        page = fetch(None) if page is None else page
        if not isinstance(page.get("count"), int) or not isinstance(page.get("results"), list):
            raise unexpected()
        self._fetch, self._make = fetch, make
        self._next: Optional[str] = page.get("next")
        self.count: int = page["count"]
        self.results: List[T] = [make(item) for item in page["results"]]
        # What the answer holds beside the page, such as `unknown` of an environment as of a time.
        self.extra = {k: v for k, v in page.items() if k not in ("count", "next", "previous", "results")}

    def next_page(self) -> Optional[Listing[T]]:
        """The page behind this one; None if this is the last."""
        if not self._next:
            return None
        # Only what the server says about the page counts: the token goes to the
        # endpoints that were configured, and nowhere else.
        query = parse_qsl(urlsplit(self._next).query, keep_blank_values=True)
        try:
            return Listing(self._fetch, self._make, self._fetch(query))
        except NotFound:
            return None  # what was on it has been deleted meanwhile

    def pages(self) -> Iterator[Listing[T]]:
        """This page and all behind it."""
        page: Optional[Listing[T]] = self
        while page is not None:
            yield page
            page = page.next_page()

    def all(self) -> List[T]:
        """The items of this page and of all behind it."""
        return list(self)

    def first(self) -> Optional[T]:
        """The first item of this page, if it has one."""
        return self.results[0] if self.results else None

    def __iter__(self) -> Iterator[T]:
        for page in self.pages():
            yield from page.results

    def __len__(self) -> int:
        return self.count

    def __repr__(self) -> str:
        return "Listing(count=%d, results=%r)" % (self.count, self.results)
