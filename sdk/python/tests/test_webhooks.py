import base64
import hashlib
import hmac
import json
import unittest

from keynest import WebhookVerificationError, verify_webhook

BODY = b'{"event":"variable.created","data":{"variable":{"key":"A"}}}'
NOW = 1_756_549_800
SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode()


def own(secret=SECRET, body=BODY, at=NOW):
    digest = hmac.new(secret.encode(), b"%d." % at + body, hashlib.sha256).hexdigest()
    return {"X-KeyNest-Signature": "t=%d,v1=%s" % (at, digest)}


def standard(key=b"0123456789abcdef01234567", body=BODY, at=NOW, also=""):
    digest = hmac.new(key, b"msg_1.%d." % at + body, hashlib.sha256).digest()
    return {"webhook-id": "msg_1", "webhook-timestamp": str(at), "webhook-signature": also + "v1," + base64.b64encode(digest).decode()}


class Verify(unittest.TestCase):
    def check(self, headers, body=BODY, secret=SECRET):
        return verify_webhook(body, headers, secret, now=lambda: NOW + 10.0)

    def test_what_was_signed_passes(self):
        for name, headers, secret in (
            ("own", own(), SECRET),
            ("own, a text as secret", own("a text of one's own"), "a text of one's own"),
            ("in any case of letters", {"x-keynest-signature": own()["X-KeyNest-Signature"]}, SECRET),
            ("standard", standard(), SECRET),
            ("standard, a text as secret", standard(b"a text of one's own"), "a text of one's own"),
            ("standard, one of several", standard(also="v1,AAAA v1a,BBBB "), SECRET),
        ):
            with self.subTest(name):
                self.assertEqual(self.check(headers, secret=secret), json.loads(BODY))

    def test_everything_else_does_not(self):
        for name, headers, body in (
            ("no signature", {}, BODY),
            ("another body", own(), BODY + b" "),
            ("another secret", own("x"), BODY),
            ("too old", own(at=NOW - 400), BODY),
            ("too new", own(at=NOW + 400), BODY),
            ("another time", {"X-KeyNest-Signature": own()["X-KeyNest-Signature"].replace("t=%d" % NOW, "t=%d" % (NOW + 1))}, BODY),
            ("no time", {"X-KeyNest-Signature": own()["X-KeyNest-Signature"].split(",")[1]}, BODY),
            ("no hexadecimal", {"X-KeyNest-Signature": "t=%d,v1=ä" % NOW}, BODY),
            ("nothing", {"X-KeyNest-Signature": ""}, BODY),
            ("standard, another id", dict(standard(), **{"webhook-id": "msg_2"}), BODY),
            ("standard, too old", standard(at=NOW - 400), BODY),
            ("standard, another kind", dict(standard(), **{"webhook-signature": standard()["webhook-signature"].replace("v1,", "v2,")}), BODY),
            ("no object", own(body=b"[]"), b"[]"),
        ):
            with self.subTest(name), self.assertRaises(WebhookVerificationError):
                self.check(headers, body)

    def test_a_secret_that_cannot_be_one_is_not_shown(self):
        with self.assertRaises(ValueError) as caught:
            self.check(standard(), secret="whsec_!!!")
        self.assertNotIn("!!!", str(caught.exception))
