"""The client."""

from __future__ import annotations

import os
import ssl
from dataclasses import replace
from typing import Any, Mapping, Optional, Sequence, Union

from ._http import Secret, endpoints
from ._resource import Caller
from ._transport import Options, Query, Shared, Transport, parse
from .accounts import Auth, Organizations
from .kvdb import Buckets
from .operations import AuditLogs, ServiceTokens, Webhooks
from .projects import Environments, Projects, Variables
from .restdb import Collections

DEFAULT_BASE_URL = "http://localhost:8000"


class KeyNestClient:
    """A client of the KeyNest API, and of the buckets and collections beside it.

    ::

        client = KeyNestClient(token="...")
        client.projects.list()

    `token` is that of a user or a service token; without one it is taken from the
    environment variable KEYNEST_TOKEN, if that is set. `base_url` is one base URL
    or several, of the nodes of one cluster; else KEYNEST_BASE_URL, which may hold
    several separated by commas, else http://localhost:8000.

    `timeout` bounds each call with all its retries, in seconds. `max_retries` is
    how often a call goes round all endpoints again after an answer 429 or 503, or
    none. A change has an effect once, however often it is sent.

    A client may be used by several threads, and after a fork. Proxies in the
    environment are not used, and redirects not followed.
    """

    def __init__(
        self,
        token: Optional[str] = None,
        base_url: Union[str, Sequence[str], None] = None,
        timeout: float = 30.0,
        max_retries: int = 4,
        *,
        ssl_context: Optional[ssl.SSLContext] = None,
    ) -> None:
        token = token if token is not None else os.environ.get("KEYNEST_TOKEN") or None
        base_url = base_url if base_url is not None else os.environ.get("KEYNEST_BASE_URL") or DEFAULT_BASE_URL
        urls = base_url.split(",") if isinstance(base_url, str) else base_url
        shared = Shared(endpoints(urls, ssl_context), None if token is None else Secret(token, "token"))
        self._open(shared, _checked(Options(timeout=timeout, max_retries=max_retries)))

    def _open(self, shared: Shared, options: Options) -> None:
        self._shared, self._options = shared, options
        transport = Transport(shared, options)
        self._caller = caller = Caller(transport)
        self.auth = Auth(caller)
        self.organizations = Organizations(caller)
        self.projects = Projects(caller)
        self.environments = Environments(caller)
        self.variables = Variables(caller)
        self.audit_logs = AuditLogs(caller)
        self.service_tokens = ServiceTokens(caller)
        self.webhooks = Webhooks(caller)
        self.buckets = Buckets(transport)
        self.collections = Collections(transport)

    def with_options(
        self, *, timeout: Optional[float] = None, max_retries: Optional[int] = None, idempotency_key: Optional[str] = None
    ) -> KeyNestClient:
        """A copy of the client with other options, which shares its connections and token.

        `idempotency_key` (16 to 128 visible ASCII characters) is for one call that
        is to be repeatable by another process, or after an error whose outcome is
        unknown: the same call with the same key takes effect once.
        """
        options = replace(self._options, idempotency_key=idempotency_key)
        if timeout is not None:
            options = replace(options, timeout=timeout)
        if max_retries is not None:
            options = replace(options, max_retries=max_retries)
        copy = object.__new__(type(self))
        copy._open(self._shared, _checked(options))
        return copy

    def request(self, method: str, path: str, body: Any = None, *, query: Query = ()) -> Any:
        """Call what has no method here, such as `GET /api/openapi.json`, and return the
        JSON of its answer. `path` is escaped already and begins with a slash."""
        if not path.startswith("/"):
            raise ValueError("a path begins with a slash")
        return parse(self._caller.call(method, path, body, query=query))

    def health(self) -> Mapping[str, Any]:
        """What a node says of itself while it runs, with or without a quorum."""
        answer: Mapping[str, Any] = self.request("GET", "/health/")
        return answer

    def close(self) -> None:
        """Close the connections that are not in use. The client can still be used."""
        for endpoint in self._shared.endpoints:
            endpoint.close()

    def __enter__(self) -> KeyNestClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        urls = [endpoint.url for endpoint in self._shared.endpoints]
        return "KeyNestClient(base_url=%r, token=%s)" % (urls, "None" if self._shared.token is None else "'***'")


def _checked(options: Options) -> Options:
    if not options.timeout > 0:
        raise ValueError("timeout is a number of seconds above 0")
    if options.max_retries < 0:
        raise ValueError("max_retries is a number from 0 on")
    key = options.idempotency_key
    if key is not None and not (16 <= len(key) <= 128 and all("!" <= c <= "~" for c in key)):
        raise ValueError("an idempotency key has 16 to 128 visible ASCII characters")
    return options
