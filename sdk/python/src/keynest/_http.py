"""One request to one endpoint, over connections that are kept.

The standard library's client bounds each read and write; `Line` bounds the whole
exchange, so that a server that sends a byte now and then cannot hold a caller.
"""

from __future__ import annotations

import http.client
import io
import os
import re
import selectors
import socket
import ssl
import threading
import time
import weakref
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple
from urllib.parse import urlsplit

_IDLE = 20.0  # seconds that an unused connection is kept
_IDLE_MOST = 32  # unused connections of one endpoint
_CONNECT = 5.0  # seconds that connecting may take
_LARGEST = 256 << 20  # bytes of an answer
_VISIBLE = re.compile(r"[\x21-\x7e]+\Z")


class Unreached(Exception):
    """The endpoint has certainly not been given the request."""


class Lost(Exception):
    """The endpoint may have been given the request; its answer did not come."""


class Secret:
    """A credential that shows itself only to who asks for it by name."""

    __slots__ = ("_text",)

    def __init__(self, text: str, what: str) -> None:
        text = text.strip()
        if not _VISIBLE.match(text):
            # The text itself must not get into the error.
            raise ValueError("the %s is empty or holds characters that it cannot have" % what)
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "'***'"


class Headers:
    """What a request sends beside its body; credentials stay out of sight."""

    def __init__(self, *pairs: Tuple[str, str]) -> None:
        self.pairs: List[Tuple[str, str]] = list(pairs)
        self.credential: Optional[Tuple[str, str, Secret]] = None  # name, scheme, secret

    def add(self, name: str, value: str) -> None:
        self.pairs.append((name, value))

    def __repr__(self) -> str:
        return "Headers(%s)" % ", ".join(name for name, _ in self.pairs)


@dataclass
class Answer:
    status: int
    headers: Dict[str, str]  # names in lower case
    body: bytes

    def __repr__(self) -> str:
        return "Answer(status=%d, %d bytes)" % (self.status, len(self.body))


class Endpoint:
    """A base URL, and the connections to it that are not in use."""

    def __init__(self, url: str, context: Optional[ssl.SSLContext]) -> None:
        parts = urlsplit(url.strip())
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None or parts.query or parts.fragment:
            raise ValueError("a base URL is like https://keynest.example.com, without user, query or fragment")
        self.host, self.port = parts.hostname, parts.port
        self.secure, self.prefix = parts.scheme == "https", parts.path.rstrip("/")
        host = "[%s]" % self.host if ":" in self.host else self.host
        self.url = "%s://%s%s%s" % (parts.scheme, host, ":%d" % self.port if self.port else "", self.prefix)
        self._context = context
        self._lock = threading.Lock()
        self._idle: List[Tuple[float, Line]] = []
        self._process = os.getpid()
        weakref.finalize(self, _close, self._idle)

    def exchange(
        self, method: str, target: str, headers: Headers, body: Optional[bytes], *, deadline: float, lost: Optional[Callable[[], None]]
    ) -> Answer:
        """Send a request and read the whole answer, until a time of time.monotonic.

        A connection that was kept may break as it is used: a request that may be
        repeated is sent again over a new one, after a call of `lost`; another, for
        which `lost` is None, goes over a new one at once.
        """
        line = self._kept() if lost is not None else None
        if line is not None and lost is not None:
            try:
                return self._over(line, method, target, headers, body, deadline)
            except Lost:
                self.close()  # the others are as old
                if time.monotonic() >= deadline:
                    raise
                lost()
        return self._over(self._connect(deadline), method, target, headers, body, deadline)

    def close(self) -> None:
        """Close all connections that are not in use."""
        with self._lock:
            _close(self._idle)

    def _kept(self) -> Optional[Line]:
        if self._process != os.getpid():  # the sockets are the parent's too, and must not be used
            self._process = os.getpid()
            self.close()
        with self._lock:
            while self._idle:
                since, line = self._idle.pop()
                if time.monotonic() - since < _IDLE and not line.stale():
                    return line
                line.close()
        return None

    def _keep(self, line: Line) -> None:
        with self._lock:
            if len(self._idle) < _IDLE_MOST and self._process == os.getpid():
                self._idle.append((time.monotonic(), line))
                return
        line.close()

    def _connect(self, deadline: float) -> Line:
        left = deadline - time.monotonic()
        if left <= 0:
            raise Unreached("out of time")
        line = Line(self.host, self.port, self.secure, self._context, min(left, _CONNECT))
        try:
            line.connect()
        except OSError as e:
            line.close()
            raise Unreached(_reason(e)) from None
        return line

    def _over(self, line: Line, method: str, target: str, headers: Headers, body: Optional[bytes], deadline: float) -> Answer:
        line.deadline = deadline
        try:
            answer, reusable = line.exchange(method, self.prefix + target, headers, body)
        except (OSError, http.client.HTTPException) as e:
            line.close()
            raise Lost(_reason(e)) from None
        except BaseException:
            line.close()
            raise
        if reusable:
            self._keep(line)
        else:
            line.close()
        return answer

    def __repr__(self) -> str:
        return "Endpoint(%r)" % self.url


def _close(idle: List[Tuple[float, Line]]) -> None:
    while idle:
        idle.pop()[1].close()


class Line:
    """A connection whose reads and writes all end at its deadline."""

    def __init__(self, host: str, port: Optional[int], secure: bool, context: Optional[ssl.SSLContext], connect: float) -> None:
        self.deadline = 0.0
        self._conn: http.client.HTTPConnection
        if secure:
            self._conn = http.client.HTTPSConnection(host, port, timeout=connect, context=context or ssl.create_default_context())
        else:
            self._conn = http.client.HTTPConnection(host, port, timeout=connect)

    def connect(self) -> None:
        self._conn.connect()
        self._conn.sock = _Bounded(self._conn.sock, self)

    def close(self) -> None:
        self._conn.close()

    def stale(self) -> bool:
        """Whether the server has closed the connection, or spoken out of turn."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._conn.sock.fileno(), selectors.EVENT_READ)
            return bool(selector.select(0))

    def exchange(self, method: str, target: str, headers: Headers, body: Optional[bytes]) -> Tuple[Answer, bool]:
        conn = self._conn
        named = {name.lower() for name, _ in headers.pairs}
        conn.putrequest(method, target, skip_host="host" in named, skip_accept_encoding=True)
        for name, value in headers.pairs:
            conn.putheader(name, value)
        if headers.credential is not None:
            name, scheme, secret = headers.credential
            conn.putheader(name, scheme + secret.reveal())
        if body is not None:
            conn.putheader("Content-Length", str(len(body)))
        elif method in ("POST", "PUT", "PATCH"):
            conn.putheader("Content-Length", "0")
        conn.endheaders(body)
        bounded: Any = conn.sock
        response = conn.getresponse()
        with response:
            if bounded.ended or response.status < 200:  # http.client takes headers that break off for whole ones
                raise http.client.IncompleteRead(b"")
            told = {name.lower(): value for name, value in response.getheaders()}
            promised = response.length  # None when it comes in chunks
            content = _whole(response)
            if promised is not None and promised != len(content):  # http.client lets that pass
                raise http.client.IncompleteRead(b"")
            return Answer(response.status, told, content), not response.will_close


def _whole(response: http.client.HTTPResponse) -> bytes:
    pieces: List[bytes] = []
    size = 0
    while size <= _LARGEST:
        piece = response.read(1 << 16)
        if not piece:
            return b"".join(pieces)
        pieces.append(piece)
        size += len(piece)
    raise http.client.HTTPException("the answer is larger than %d bytes" % _LARGEST)


class _Bounded:
    """The part of a socket that the standard library's client uses."""

    def __init__(self, sock: Any, line: Line) -> None:
        self._sock, self._line = sock, line
        self.ended = False  # the server has closed the connection

    def arm(self) -> None:
        left = self._line.deadline - time.monotonic()
        if left <= 0:
            raise socket.timeout("timed out")
        self._sock.settimeout(left)

    def sendall(self, data: Any) -> None:
        self.arm()
        self._sock.sendall(data)

    def makefile(self, mode: str, *_: Any) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self._sock.makefile(mode, buffering=0), self))

    def fileno(self) -> int:
        number: int = self._sock.fileno()
        return number

    def close(self) -> None:
        self._sock.close()


class _Reader(io.RawIOBase):
    def __init__(self, raw: Any, bounded: _Bounded) -> None:
        self._raw, self._bounded = raw, bounded

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> Any:
        self._bounded.arm()
        count = self._raw.readinto(buffer)
        if count == 0:
            self._bounded.ended = True
        return count

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()


def _reason(e: BaseException) -> str:
    """What happened, in words that hold nothing of the request."""
    if isinstance(e, socket.timeout):
        return "timed out"
    if isinstance(e, ssl.SSLError):
        return "TLS: %s" % (getattr(e, "verify_message", "") or e.reason or type(e).__name__)
    if isinstance(e, OSError) and e.strerror:
        return e.strerror
    if isinstance(e, (http.client.RemoteDisconnected, http.client.IncompleteRead)):
        return "the connection was closed"
    return type(e).__name__


def endpoints(urls: Sequence[str], context: Optional[ssl.SSLContext]) -> List[Endpoint]:
    """The endpoints of base URLs, at least one."""
    found = [Endpoint(url, context) for url in urls if url.strip()]
    if not found:
        raise ValueError("no base URL is given")
    return found
