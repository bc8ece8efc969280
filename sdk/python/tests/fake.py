"""Servers for tests, which answer what they are told to."""

import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from keynest import KeyNestClient

SLOW = "slow"  # 503, after a while
DROP = "drop"  # close the connection without an answer
HANG = "hang"  # answer nothing until the server is closed
DRIP = "drip"  # send a byte now and then
CUT = "cut"  # promise more than is sent
BREAK = "break"  # break off within the headers
DIE = "die"  # close the connection without an answer, and listen no more


class Request:
    def __init__(self, method, path, headers, body):
        self.method, self.path, self.headers, self.body = method, path, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def key(self):
        return self.headers.get("Idempotency-Key")


def answer(status=200, body=None, **headers):
    """An answer with JSON, or with bytes."""
    text = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return status, {name.replace("_", "-"): str(value) for name, value in headers.items()}, text


def refusal(status, error="No.", code="", details=None, **headers):
    return answer(status, {"error": error, "detail": error, "details": details, "code": code}, **headers)


class Server:
    """Answers with the results of respond(request), or with the next of a list."""

    def __init__(self, respond):
        self.requests, self.connections, self._open = [], 0, []
        self._lock, self._ended = threading.Lock(), threading.Event()
        self._respond = respond if callable(respond) else self._next(list(respond))
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = "http://127.0.0.1:%d" % self._http.server_port

    def hang_up(self):
        """Close the connections that are idle."""
        for connection in self._open:
            connection.shutdown(socket.SHUT_RDWR)

    def close(self):
        self._ended.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    @staticmethod
    def _next(answers):
        return lambda request: answers.pop(0) if len(answers) > 1 else answers[0]

    def _handler(server):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                super().setup()
                server.connections += 1
                server._open.append(self.connection)

            def serve(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                request = Request(self.command, self.path, self.headers, body)
                with server._lock:
                    server.requests.append(request)
                    reply = server._respond(request)
                if isinstance(reply, str):
                    return self.misbehave(reply)
                status, headers, text = reply
                self.send_response_only(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = serve

            def misbehave(self, how):
                self.close_connection = True
                if how == SLOW:
                    server._ended.wait(0.3)
                    self.wfile.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
                elif how == HANG:
                    server._ended.wait(30)
                elif how == BREAK:
                    self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Le")
                elif how == DIE:
                    server._http.socket.shutdown(socket.SHUT_RDWR)
                elif how == CUT:
                    self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}")
                elif how == DRIP:
                    self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n")
                    try:
                        while not server._ended.wait(0.05):
                            self.wfile.write(b" ")
                            self.wfile.flush()
                    except OSError:
                        pass

            def log_message(self, *_):
                pass

        return Handler


def closed_url():
    """The URL of a port that nobody listens on."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return "http://127.0.0.1:%d" % s.getsockname()[1]


class Clock:
    """Takes the time of a block."""

    def __enter__(self):
        self._began = time.monotonic()
        return self

    def __exit__(self, *_):
        self.seconds = time.monotonic() - self._began


def serve(test, *respond, **options):
    """A client of one server for each list of answers, and the servers, until the test ends."""
    servers = [Server(r) for r in respond]
    for server in servers:
        test.addCleanup(server.close)
    client = KeyNestClient(token="t0ken", base_url=[s.url for s in servers], **options)
    test.addCleanup(client.close)
    return (client, *servers)
