import os
import unittest
from unittest import mock

import keynest
from keynest import KeyNestClient

from .fake import BREAK, CUT, DIE, DRIP, DROP, HANG, SLOW, Clock, answer, closed_url, refusal, serve

VARIABLE = answer(201, {"id": 7, "key": "K", "decrypted_value": "v"})
EMPTY = answer(200, {"count": 0, "next": None, "previous": None, "results": []})


class Retries(unittest.TestCase):
    def test_a_change_is_sent_again_with_the_same_key(self):
        for name, first in {"503": refusal(503), "504": refusal(504), "lost": DROP, "cut off": CUT, "cut off in the headers": BREAK, "502": refusal(502)}.items():
            with self.subTest(name):
                client, server = serve(self, [first, VARIABLE])
                self.assertEqual(client.variables.create(key="K", value="v", environment_id=1).id, 7)
                a, b = server.requests
                self.assertRegex(a.key, "^[0-9a-f]{32}$")
                self.assertEqual((a.key, a.path, a.body), (b.key, b.path, b.body))

    def test_each_call_has_a_key_of_its_own_and_reads_have_none(self):
        client, server = serve(self, [VARIABLE])
        client.variables.create(key="K", value="v", environment_id=1)
        client.variables.create(key="K", value="v", environment_id=1)
        client.variables.get(7)
        a, b, read = (r.key for r in server.requests)
        self.assertNotEqual(a, b)
        self.assertIsNone(read)

    def test_a_refusal_is_not_repeated(self):
        kinds = {
            400: keynest.ValidationError, 401: keynest.AuthenticationError, 403: keynest.PermissionDenied, 404: keynest.NotFound,
            409: keynest.Conflict, 412: keynest.Conflict, 413: keynest.APIError, 422: keynest.ValidationError, 500: keynest.APIError,
            302: keynest.APIError,
        }
        for status, kind in kinds.items():
            with self.subTest(status):
                client, server = serve(self, [refusal(status, "No.", "CODE", {"key": ["Bad."]}, Covey_Request_Id="r1", Location="/elsewhere")])
                with self.assertRaises(kind) as caught:
                    client.variables.create(key="K", value="v", environment_id=1)
                e = caught.exception
                self.assertEqual((e.status, e.error, e.code, e.details, e.request_id), (status, "No.", "CODE", {"key": ["Bad."]}, "r1"))
                self.assertEqual(str(e), "%d No: key: Bad. (request r1)" % status)
                self.assertFalse(e.outcome_unknown)
                self.assertEqual(len(server.requests), 1)

    def test_retries_end(self):
        client, server = serve(self, [refusal(503, "No leader.")], max_retries=2)
        with self.assertRaises(keynest.Unavailable) as caught:
            client.projects.list()
        self.assertEqual(len(server.requests), 3)
        self.assertFalse(caught.exception.outcome_unknown)

    def test_what_may_have_been_done_is_told(self):
        client, _ = serve(self, [DROP, refusal(503)], max_retries=1)
        with self.assertRaises(keynest.Unavailable) as caught:
            client.variables.delete(1)
        self.assertTrue(caught.exception.outcome_unknown)
        key = caught.exception.idempotency_key
        client, server = serve(self, [answer(204)])
        client.with_options(idempotency_key=key).variables.delete(1)
        self.assertEqual(server.requests[0].key, key)

    def test_a_definite_answer_ends_the_doubt(self):
        client, _ = serve(self, [DROP, refusal(409)])
        with self.assertRaises(keynest.Conflict) as caught:
            client.variables.create(key="K", value="v", environment_id=1)
        self.assertFalse(caught.exception.outcome_unknown)

    def test_what_may_be_gone_since_does_not(self):
        for status in (401, 403, 404):
            with self.subTest(status):
                client, _ = serve(self, [DROP, refusal(status)])
                with self.assertRaises(keynest.APIError) as caught:
                    client.variables.delete(1)
                self.assertTrue(caught.exception.outcome_unknown)

    def test_what_has_no_key_is_not_sent_twice(self):
        for name, first, kind in (("lost", DROP, keynest.ConnectionError), ("504", refusal(504), keynest.UnknownOutcome)):
            with self.subTest(name):
                client, server = serve(self, [first, answer(201, {"token": "x"})])
                with self.assertRaises(kind) as caught:
                    client.auth.register("ada", "ada@example.com", "lovelace-1815")
                self.assertTrue(caught.exception.outcome_unknown)
                self.assertIn("may have been applied", str(caught.exception))
                self.assertEqual([r.key for r in server.requests], [None])

    def test_what_has_no_key_is_sent_again_after_a_503(self):
        client, server = serve(self, [refusal(503), answer(201, {"token": "new", "user": {"id": 1}})])
        self.assertEqual(client.auth.register("ada", "ada@example.com", "lovelace-1815").user.id, 1)
        self.assertEqual(len(server.requests), 2)

    def test_a_logout_whose_answer_was_lost_is_done(self):
        client, _ = serve(self, [DROP, refusal(401)])
        client.auth.logout()
        client, _ = serve(self, [refusal(401)])
        with self.assertRaises(keynest.AuthenticationError):
            client.auth.logout()

    def test_the_limit_is_waited_for(self):
        client, server = serve(self, [refusal(429, Retry_After=1), EMPTY])
        with Clock() as clock:
            client.projects.list()
        self.assertGreaterEqual(clock.seconds, 1)
        self.assertEqual(len(server.requests), 2)

    def test_a_limit_that_lasts_longer_than_the_call_is_an_error_at_once(self):
        client, server = serve(self, [refusal(429, Retry_After=60)], timeout=5)
        with self.assertRaises(keynest.RateLimited) as caught:
            client.projects.list()
        self.assertEqual((caught.exception.retry_after, len(server.requests)), (60, 1))


class Endpoints(unittest.TestCase):
    def test_the_next_one_is_asked_and_then_preferred(self):
        for name, first in {"503": refusal(503), "lost": DROP}.items():
            with self.subTest(name):
                client, a, b = serve(self, [first], [EMPTY])
                client.projects.list()
                client.projects.list()
                self.assertEqual((len(a.requests), len(b.requests)), (1, 2))

    def test_a_limit_does_not_lead_elsewhere(self):
        client, a, b = serve(self, [refusal(429, Retry_After=0), EMPTY], [EMPTY])
        client.projects.list()
        self.assertEqual((len(a.requests), len(b.requests)), (2, 0))

    def test_one_that_does_not_listen(self):
        client, server = serve(self, [EMPTY])
        with KeyNestClient(token="t", base_url=[closed_url(), server.url]) as client:
            self.assertEqual(client.projects.list().count, 0)
        with self.assertRaises(keynest.ConnectionError) as caught:
            KeyNestClient(token="t", base_url=closed_url(), max_retries=1).variables.delete(1)
        self.assertFalse(caught.exception.outcome_unknown)
        self.assertIsInstance(caught.exception, ConnectionError)

    def test_one_that_hangs(self):
        client, a, b = serve(self, [HANG], [VARIABLE], timeout=1)
        self.assertEqual(client.variables.create(key="K", value="v", environment_id=1).id, 7)
        self.assertEqual(a.requests[0].key, b.requests[0].key)

    def test_all_are_asked_in_each_round(self):
        client, *servers = serve(self, *[[refusal(503)]] * 3, max_retries=1)
        with self.assertRaises(keynest.Unavailable):
            client.projects.list()
        self.assertEqual([len(s.requests) for s in servers], [2, 2, 2])

    def test_time_ends_a_call_whatever_the_server_does(self):
        for how in (HANG, DRIP):
            with self.subTest(how):
                client, _ = serve(self, [how], timeout=0.4)
                with Clock() as clock, self.assertRaises(keynest.Timeout) as caught:
                    client.projects.list()
                self.assertLess(clock.seconds, 5)
                self.assertIsInstance(caught.exception, TimeoutError)

    def test_without_a_leader_the_reason_is_told_in_time(self):
        client, server = serve(self, [SLOW], timeout=1)
        with KeyNestClient(token="t", base_url=[closed_url(), server.url], timeout=1, max_retries=100) as client:
            with Clock() as clock, self.assertRaises(keynest.Unavailable) as caught:
                client.variables.delete(1)
        self.assertFalse(caught.exception.outcome_unknown)
        self.assertLess(clock.seconds, 1.5)
        self.assertGreater(len(server.requests), 1)

    def test_base_urls(self):
        for url in ("ftp://a", "a.example.com", "https://u:p@a", "http://a?x=1", "", []):
            with self.subTest(url), self.assertRaises(ValueError) as caught:
                KeyNestClient(token="t", base_url=url)
            self.assertNotIn("u:p", str(caught.exception))

    def test_a_prefix_of_the_path_is_kept(self):
        _, server = serve(self, [EMPTY])
        with KeyNestClient(token="t", base_url=server.url + "/vault/") as client:
            client.projects.list(page_size=5)
        self.assertEqual(server.requests[0].path, "/vault/api/projects/?page_size=5")

    def test_the_environment_tells_what_is_not_given(self):
        with mock.patch.dict(os.environ, {"KEYNEST_TOKEN": "secret-1\n", "KEYNEST_BASE_URL": "http://a:1, http://b:2"}):
            self.assertEqual(repr(KeyNestClient()), "KeyNestClient(base_url=['http://a:1', 'http://b:2'], token='***')")
        with mock.patch.dict(os.environ, clear=True):
            self.assertEqual(repr(KeyNestClient()), "KeyNestClient(base_url=['http://localhost:8000'], token=None)")


class Connections(unittest.TestCase):
    def test_one_is_kept(self):
        client, server = serve(self, [EMPTY])
        for _ in range(5):
            client.projects.list()
        self.assertEqual(server.connections, 1)

    def test_one_that_was_closed_meanwhile_costs_no_try(self):
        client, server = serve(self, [EMPTY, DROP, VARIABLE], max_retries=0)
        client.projects.list()
        self.assertEqual(client.variables.create(key="K", value="v", environment_id=1).id, 7)

    def test_a_change_over_one_that_broke_may_have_been_applied(self):
        client, _ = serve(self, [EMPTY, DIE], max_retries=0)
        client.projects.list()
        with self.assertRaises(keynest.ConnectionError) as caught:
            client.variables.delete(1)
        self.assertTrue(caught.exception.outcome_unknown)

    def test_one_that_was_closed_while_idle_leaves_no_doubt(self):
        client, server = serve(self, [EMPTY, answer(404)], max_retries=0)
        client.projects.list()
        server.hang_up()
        with self.assertRaises(keynest.NotFound) as caught:
            client.variables.delete(1)
        self.assertFalse(caught.exception.outcome_unknown)

    def test_after_a_fork_it_is_not_used(self):
        client, server = serve(self, [EMPTY])
        client.projects.list()
        with mock.patch("os.getpid", return_value=os.getpid() + 1):
            client.projects.list()
        self.assertEqual(server.connections, 2)

    def test_what_is_no_json_is_said(self):
        client, _ = serve(self, [answer(200, b"<html>")])
        with self.assertRaisesRegex(keynest.APIError, "is this the base URL"):
            client.projects.list()

    def test_a_version_that_was_just_seen_goes_with_a_change(self):
        client, server = serve(self, [answer(200, {"count": 0, "next": None, "results": []}, Covey_Version=41), VARIABLE])
        client.projects.list()
        client.variables.create(key="K", value="v", environment_id=1)
        self.assertEqual([r.headers.get("Covey-Version") for r in server.requests], [None, "41"])


class Unexpected(unittest.TestCase):
    """Answers that are not those of the API are errors of this package."""

    def test_answers_of_another_shape(self):
        calls = {
            "list": lambda c: c.projects.list(), "get": lambda c: c.variables.get(1), "login": lambda c: c.auth.login("a@b.c", "p"),
            "members": lambda c: c.organizations.members(1), "sum": lambda c: c.buckets("b").add("n"), "invite": lambda c: c.organizations.invite_member(1, "a@b.c"),
        }
        for body in (b"", b"null", b'"x"', b'[["x"]]', b"[" * 100_000, b'{"token": 5', b'{"count": 1, "results": null}'):
            for name, call in calls.items():
                if name == "get" and b"results" in body:
                    continue  # any object will do
                with self.subTest(name, body=body[:30]):
                    client, _ = serve(self, [answer(200, body)])
                    with self.assertRaises(keynest.APIError) as caught:
                        call(client)
                    self.assertIn("is this the base URL", str(caught.exception))

    def test_headers_that_look_like_numbers(self):
        for value in ("\u00b2", "9" * 5000):
            client, server = serve(self, [answer(200, {"count": 0, "results": []}, Covey_Version=value), answer(503, Retry_After=value), VARIABLE])
            client.projects.list()
            self.assertEqual(client.variables.create(key="K", value="v", environment_id=1).id, 7)
            self.assertIsNone(server.requests[1].headers.get("Covey-Version"))

    def test_a_list_that_becomes_shorter_meanwhile_ends(self):
        page = {"count": 3, "next": "http://elsewhere/?page=2", "previous": None, "results": [{"id": 1}]}
        client, server = serve(self, [answer(200, page), refusal(404, "Invalid page.")])
        self.assertEqual([p.id for p in client.projects.list()], [1])
        self.assertEqual(server.requests[1].path, "/api/projects/?page=2")


class Options(unittest.TestCase):
    def test_wrong_ones_are_refused(self):
        for options in ({"timeout": 0}, {"max_retries": -1}):
            with self.subTest(options), self.assertRaises(ValueError):
                KeyNestClient(token="t", **options)
        for key in ("short", "x" * 129, "with a blank in it"):
            with self.subTest(key), self.assertRaises(ValueError):
                KeyNestClient(token="t").with_options(idempotency_key=key)

    def test_a_copy_shares_the_token(self):
        client, server = serve(self, [answer(200, {"token": "other", "user": {}}), EMPTY])
        client.with_options(timeout=3).auth.login("ada@example.com", "lovelace-1815")
        client.projects.list()
        self.assertEqual(server.requests[1].headers["Authorization"], "Token other")
