"""Tokens, keys and values are shown by nothing that shows itself."""

import io
import logging
import pickle
import traceback
import unittest

import keynest
from keynest import KeyNestClient

from .fake import DROP, answer, refusal, serve

SECRET = "s3cret-that-nobody-sees"


def shown(e):
    """An exception as error trackers show it: with the variables of all frames."""
    report = traceback.TracebackException.from_exception(e, capture_locals=True)
    return "".join(report.format())


class Secrets(unittest.TestCase):
    def test_records(self):
        for record in (
            keynest.Variable({"id": 1, "key": "K", "decrypted_value": SECRET}),
            keynest.Version({"version": 1, "decrypted_value": SECRET}),
            keynest.Session({"token": SECRET, "user": {"id": 1}}),
            keynest.ServiceToken({"id": 1, "token": SECRET}),
            keynest.Webhook({"id": "webhook_1", "secret": SECRET}),
            keynest.Diff({"added": [{"key": "K", "value": SECRET}], "removed": [], "changed": []}),
            keynest.DiffItem({"key": "K", "with_value": SECRET}),
            keynest.Entry(SECRET.encode(), "v1"),
        ):
            with self.subTest(type(record).__name__):
                for text in (repr(record), str(record), "%r" % [record], "{}".format(record)):
                    self.assertNotIn(SECRET, text)
                    self.assertIn("(", text)

    def test_the_client_and_its_parts(self):
        client = KeyNestClient(token=SECRET, base_url="http://localhost:1")
        for thing in (client, client.buckets("bucket", key=SECRET), client.collections("books", key=SECRET), client._shared, client._options):
            self.assertNotIn(SECRET, repr(thing))
            self.assertNotIn(SECRET, repr(vars(thing)))

    def test_a_token_that_cannot_be_one(self):
        for token in (SECRET + "\nX-Evil: 1", SECRET + " x", SECRET + "ä", ""):
            with self.assertRaises(ValueError) as caught:
                KeyNestClient(token=token)
            self.assertNotIn(SECRET, str(caught.exception))

    def test_errors_with_all_that_their_frames_hold(self):
        for name, reply in {"refused": refusal(400, "No."), "lost": DROP, "no JSON": answer(201, b"x")}.items():
            with self.subTest(name):
                client, _ = serve(self, [reply], max_retries=0)
                client._shared.token = keynest.client.Secret(SECRET, "token")
                value = SECRET.join(["a", "b"])
                with self.assertRaises(keynest.KeyNestError) as caught:
                    client.webhooks.test(1) if name == "no JSON" else client.variables.delete(1)
                del value
                self.assertNotIn(SECRET, shown(caught.exception))

    def test_text_that_is_no_unicode(self):
        client, server = serve(self, [refusal(500)])
        with self.assertRaises(ValueError) as caught:
            client.variables.create(key="K", value=SECRET + "\udc80", environment_id=1)
        self.assertNotIn(SECRET, str(caught.exception))
        with self.assertRaises(ValueError):
            client.buckets("bucket").set("k", SECRET + "\udc80")
        self.assertEqual(server.requests, [])

    def test_logs(self):
        stream = io.StringIO()
        handler, log = logging.StreamHandler(stream), logging.getLogger("keynest")
        log.addHandler(handler)
        self.addCleanup(log.removeHandler, handler)
        self.addCleanup(log.setLevel, log.level)
        log.setLevel(logging.DEBUG)
        client, _ = serve(self, [DROP, answer(201, {"id": 1, "key": "K", "decrypted_value": SECRET})])
        client._shared.token = keynest.client.Secret(SECRET, "token")
        client.variables.create(key="K", value=SECRET, environment_id=1)
        self.assertIn("POST /api/variables/: 201", stream.getvalue())
        self.assertNotIn(SECRET, stream.getvalue())

    def test_errors_can_be_sent_to_another_process(self):
        e = keynest.errors.from_answer(409, {"covey-request-id": "r"}, b'{"error":"taken","details":{"key":["taken"]},"conflicts":["A"]}')
        e.outcome_unknown = True
        copy = pickle.loads(pickle.dumps(e))
        self.assertEqual((type(copy), str(copy), copy.body["conflicts"]), (keynest.Conflict, str(e), ["A"]))
