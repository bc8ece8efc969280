"""Each method sends what the API expects."""

import io
import json
import os
import tempfile
import unittest
from datetime import date, datetime, timedelta, timezone

import keynest

from .fake import answer, serve

NOON = datetime(2026, 1, 31, 12, tzinfo=timezone(timedelta(hours=1)))
THING = {
    "id": 1, "count": 0, "next": None, "previous": None, "results": [], "members": [], "member": {}, "token": "new", "user": {}, "access_token": "cvt1",
    "totals": {"total": 3}, "result": ["a"],
}

# A call, and what it sends: method, path with query, JSON.
CALLS = [
    (lambda c: c.auth.register("ada", "a@example.com", "pw", first_name="Ada"), "POST /api/auth/register/",
     {"username": "ada", "email": "a@example.com", "password": "pw", "first_name": "Ada"}),
    (lambda c: c.auth.login("a@example.com", "pw"), "POST /api/auth/login/", {"email": "a@example.com", "password": "pw"}),
    (lambda c: c.auth.logout(), "POST /api/auth/logout/", None),
    (lambda c: c.auth.profile(), "GET /api/auth/profile/", None),
    (lambda c: c.auth.service_token(), "GET /api/auth/profile/", None),
    (lambda c: c.auth.update_profile(last_name="L"), "PATCH /api/auth/profile/", {"last_name": "L"}),
    (lambda c: c.auth.change_password("a", "b"), "POST /api/auth/password/", {"current_password": "a", "new_password": "b", "confirm_new_password": "b"}),
    (lambda c: c.organizations.list(), "GET /api/organizations/?page_size=100", None),
    (lambda c: c.organizations.get(1), "GET /api/organizations/1/", None),
    (lambda c: c.organizations.create("Acme"), "POST /api/organizations/", {"name": "Acme"}),
    (lambda c: c.organizations.update(1, description=None), "PATCH /api/organizations/1/", {"description": None}),
    (lambda c: c.organizations.delete(1), "DELETE /api/organizations/1/", None),
    (lambda c: c.organizations.members(1), "GET /api/organizations/1/members/", None),
    (lambda c: c.organizations.invite_member(1, "b@example.com", role="editor"), "POST /api/organizations/1/invite_member/",
     {"email": "b@example.com", "role": "editor"}),
    (lambda c: c.organizations.update_member_role(1, 2, "admin"), "PATCH /api/organizations/1/update_member_role/", {"user_id": 2, "role": "admin"}),
    (lambda c: c.organizations.remove_member(1, 2), "DELETE /api/organizations/1/remove_member/", {"user_id": 2}),
    (lambda c: c.projects.list(), "GET /api/projects/?page_size=100", None),
    (lambda c: c.projects.list(organization=1, search="a b&c", page_size=2), "GET /api/projects/?organization=1&search=a+b%26c&page_size=2", None),
    (lambda c: c.projects.get(1), "GET /api/projects/1/", None),
    (lambda c: c.projects.create("Web", organization_id=1), "POST /api/projects/", {"name": "Web", "organization": 1}),
    (lambda c: c.projects.update(1, organization=2), "PATCH /api/projects/1/", {"organization": 2}),
    (lambda c: c.projects.delete(1), "DELETE /api/projects/1/", None),
    (lambda c: c.projects.environments(1), "GET /api/projects/1/environments/", None),
    (lambda c: c.environments.list(project=1, environment_type="staging"), "GET /api/environments/?project=1&environment_type=staging&page_size=100", None),
    (lambda c: c.environments.get(1), "GET /api/environments/1/", None),
    (lambda c: c.environments.create("prod", 1, "production"), "POST /api/environments/", {"name": "prod", "project": 1, "environment_type": "production"}),
    (lambda c: c.environments.update(1, name="x"), "PATCH /api/environments/1/", {"name": "x"}),
    (lambda c: c.environments.delete(1), "DELETE /api/environments/1/", None),
    (lambda c: c.environments.variables(env_id=1), "GET /api/environments/1/variables/", None),
    (lambda c: c.environments.variables(1, at=NOON, resolve=True), "GET /api/environments/1/variables/?at=2026-01-31T11%3A00%3A00Z&resolve=true", None),
    (lambda c: c.environments.variables(1, at=date(2026, 1, 31)), "GET /api/environments/1/variables/?at=2026-01-31", None),
    (lambda c: c.environments.values(1), "GET /api/environments/1/export/?format=json", None),
    (lambda c: c.environments.export(1, style="shell", resolve=True), "GET /api/environments/1/export/?format=env&style=shell&resolve=true", None),
    (lambda c: c.environments.import_data(1, "A=1", overwrite=False), "POST /api/environments/1/import/", {"data": "A=1", "format": "auto", "overwrite": False}),
    (lambda c: c.environments.import_data(1, {"A": "ä"}), "POST /api/environments/1/import/", {"data": '{"A":"ä"}', "format": "json", "overwrite": True}),
    (lambda c: c.environments.diff(1, 2, values=True), "GET /api/environments/1/diff/?with=2&values=true", None),
    (lambda c: c.environments.diff(1, 2), "GET /api/environments/1/diff/?with=2", None),
    (lambda c: c.environments.copy(1, 2), "POST /api/environments/1/copy/", {"to": 2, "overwrite": False, "dry_run": False}),
    (lambda c: c.environments.promote(1, 2, keys=("A",), remove_missing=True, dry_run=True), "POST /api/environments/1/promote/",
     {"to": 2, "keys": ["A"], "remove_missing": True, "dry_run": True}),
    (lambda c: c.environments.rollback(1, NOON), "POST /api/environments/1/rollback/", {"at": "2026-01-31T11:00:00Z", "dry_run": False}),
    (lambda c: c.variables.list(environment=1, key="API"), "GET /api/variables/?environment=1&key=API&page_size=100", None),
    (lambda c: c.variables.get(1, resolve=True), "GET /api/variables/1/?resolve=true", None),
    (lambda c: c.variables.create(key="K", value="", environment_id=1), "POST /api/variables/", {"key": "K", "value": "", "environment": 1}),
    (lambda c: c.variables.update(1, value="", version=3), "PATCH /api/variables/1/", {"value": "", "version": 3}),
    (lambda c: c.variables.delete(1), "DELETE /api/variables/1/", None),
    (lambda c: c.variables.versions(1), "GET /api/variables/1/versions/?page_size=100", None),
    (lambda c: c.variables.version(1, 2), "GET /api/variables/1/versions/2/", None),
    (lambda c: c.variables.rollback(1, version=2), "POST /api/variables/1/rollback/", {"version": 2}),
    (lambda c: c.audit_logs.list(action="create", date_from=NOON, date_to="2026-02-01"),
     "GET /api/audit-logs/?action=create&page_size=100&date_from=2026-01-31&date_to=2026-02-01", None),
    (lambda c: c.audit_logs.export("csv"), "GET /api/audit-logs/export/?format=csv", None),
    (lambda c: c.service_tokens.list(project=1), "GET /api/service-tokens/?project=1&page_size=100", None),
    (lambda c: c.service_tokens.get(1), "GET /api/service-tokens/1/", None),
    (lambda c: c.service_tokens.create("ci", environment=1, expires_at=NOON, allowed_networks=("10.0.0.0/8",)), "POST /api/service-tokens/",
     {"name": "ci", "environment": 1, "read_only": True, "expires_at": "2026-01-31T11:00:00Z", "allowed_networks": ["10.0.0.0/8"]}),
    (lambda c: c.service_tokens.update(1, name="x"), "PATCH /api/service-tokens/1/", {"name": "x"}),
    (lambda c: c.service_tokens.revoke(1), "DELETE /api/service-tokens/1/", None),
    (lambda c: c.webhooks.list(), "GET /api/webhooks/?page_size=100", None),
    (lambda c: c.webhooks.get("webhook_1"), "GET /api/webhooks/webhook_1/", None),
    (lambda c: c.webhooks.create("https://x", ["*"], organization=1), "POST /api/webhooks/", {"url": "https://x", "events": ["*"], "organization": 1}),
    (lambda c: c.webhooks.update(1, secret=""), "PATCH /api/webhooks/1/", {"secret": ""}),
    (lambda c: c.webhooks.delete(1), "DELETE /api/webhooks/1/", None),
    (lambda c: c.webhooks.deliveries(1), "GET /api/webhooks/1/deliveries/?page_size=100", None),
    (lambda c: c.webhooks.delivery(1, 2), "GET /api/webhooks/1/deliveries/2/", None),
    (lambda c: c.webhooks.redeliver(1, 2), "POST /api/webhooks/1/deliveries/2/redeliver/", None),
    (lambda c: c.webhooks.test("webhook_1"), "POST /api/webhooks/webhook_1/test/", None),
    (lambda c: c.request("GET", "/api/openapi.json"), "GET /api/openapi.json", None),
    (lambda c: c.health(), "GET /health/", None),
]

KVDB = [
    (lambda b: b.get("a/b ä"), "GET /bucket/a%2Fb%20%C3%A4", b""),
    (lambda b: b.get(b"\x00\xff"), "GET /bucket/%00%FF", b""),
    (lambda b: b.get(".."), "GET /bucket/%2E%2E", b""),
    (lambda b: b.set("k", "ä"), "PUT /bucket/k", "ä".encode()),
    (lambda b: b.set("k", b"\x00", ttl=0), "PUT /bucket/k?ttl=0", b"\x00"),
    (lambda b: b.set("k", 1.5), "PUT /bucket/k", b"1.5"),
    (lambda b: b.add("n"), "PATCH /bucket/n", b"1"),
    (lambda b: b.add("n", -2, ttl=5), "PATCH /bucket/n?ttl=5", b"-2"),
    (lambda b: b.delete("k"), "DELETE /bucket/k", b""),
    (lambda b: b.transaction([{"set": "a", "value": "1"}, {"delete": "b"}]), "POST /bucket", b'{"txn":[{"set":"a","value":"1"},{"delete":"b"}]}'),
    (lambda b: b.access_token(permissions=("read", "write"), prefix="u:"), "POST /bucket/tokens/", b'{"permissions":"read,write","prefix":"u:"}'),
    (lambda b: b.update(default_ttl=0), "PATCH /bucket", b'{"default_ttl":0}'),
    (lambda b: b.drop(), "DELETE /bucket", b""),
]

RESTDB = [
    (lambda c: c.insert({"a": 1}), "POST /rest/books", {"a": 1}),
    (lambda c: c.insert_many([{"a": 1}]), "POST /rest/books", [{"a": 1}]),
    (lambda c: c.get("5f"), "GET /rest/books/5f", None),
    (lambda c: c.find({"a": 1}, sort="a", descending=True, max=2), "GET /rest/books?max=2&sort=a&dir=-1&q=%7B%22a%22%3A1%7D", None),
    (lambda c: c.find(metafields=True), "GET /rest/books?metafields=true", None),
    (lambda c: c.count(), "GET /rest/books?totals=true&count=true", None),
    (lambda c: c.aggregate(["COUNT:n"], group_by=["y"]), "GET /rest/books?h=%7B%22%24aggregate%22%3A%5B%22COUNT%3An%22%5D%2C%22%24groupby%22%3A%5B%22y%22%5D%7D", None),
    (lambda c: c.update("5f", {"$inc": {"n": 1}}), "PATCH /rest/books/5f", {"$inc": {"n": 1}}),
    (lambda c: c.replace("5f", {"a": 2}), "PUT /rest/books/5f?replace=true", {"a": 2}),
    (lambda c: c.delete("5f"), "DELETE /rest/books/5f", None),
    (lambda c: c.delete_where({}), "DELETE /rest/books/*?q=%7B%7D", None),
]


class Calls(unittest.TestCase):
    def test_of_keynest(self):
        for call, line, body in CALLS:
            with self.subTest(line):
                client, server = serve(self, [answer(200, THING)])
                call(client)
                (sent,) = server.requests
                self.assertEqual("%s %s" % (sent.method, sent.path), line)
                self.assertEqual(sent.json if sent.body else None, body)
                self.assertEqual(sent.headers["Authorization"], "Token t0ken")

    def test_of_buckets(self):
        for call, line, body in KVDB:
            with self.subTest(line):
                client, server = serve(self, [answer(200, 7 if "/bucket/n" in line else THING)])
                call(client.buckets("bucket", key="s3cret"))
                (sent,) = server.requests
                self.assertEqual(("%s %s" % (sent.method, sent.path), sent.body), (line, body))
                self.assertEqual(sent.headers["Authorization"], "Bearer s3cret")

    def test_of_collections(self):
        for call, line, body in RESTDB:
            with self.subTest(line):
                client, server = serve(self, [answer(200, THING)])
                call(client.collections("books", key="k3y", host="shop.localhost"))
                (sent,) = server.requests
                self.assertEqual("%s %s" % (sent.method, sent.path), line)
                self.assertEqual(sent.json if sent.body else None, body)
                self.assertEqual((sent.headers["x-apikey"], sent.headers["Host"], sent.headers["Authorization"]), ("k3y", "shop.localhost", None))

    def test_what_is_no_id_is_not_sent(self):
        client, server = serve(self, [answer(200, THING)])
        for wrong in ("1/../2", "", "a b", "ä", True, None, "1?x"):
            with self.subTest(wrong), self.assertRaises(ValueError):
                client.variables.get(wrong)
        for wrong in ("", "a/b", "a?b"):
            with self.subTest(wrong), self.assertRaises(ValueError):
                client.buckets(wrong)
        for wrong in ("", "a/b", ".."):
            with self.subTest(wrong), self.assertRaises(ValueError):
                client.collections(wrong, key="k")
        for wrong in ("", "*", ".."):
            with self.subTest(wrong), self.assertRaises(ValueError):
                client.collections("books", key="k").delete(wrong)
        self.assertEqual(server.requests, [])

    def test_a_time_without_a_zone_is_refused(self):
        client, _ = serve(self, [answer(200, THING)])
        with self.assertRaises(ValueError):
            client.environments.rollback(1, datetime(2026, 1, 31))

    def test_one_key_is_no_list_of_keys(self):
        client, _ = serve(self, [answer(200, THING)])
        with self.assertRaises(TypeError):
            client.environments.copy(1, 2, keys="API_KEY")


class Files(unittest.TestCase):
    def sent(self, file):
        client, server = serve(self, [answer(200, {"message": "m", "summary": {"imported": 2}, "failed_imports": None})])
        self.assertEqual(client.environments.import_file(1, file, overwrite=False).summary.imported, 2)
        return server.requests[0]

    def test_are_sent_as_they_are(self):
        content = b"\xef\xbb\xbfA=1\r\nB=\xff\n"
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "a\"b.env")
            with open(path, "wb") as f:
                f.write(content)
            request = self.sent(path)
        kind, _, boundary = request.headers["Content-Type"].partition("; boundary=")
        self.assertEqual(kind, "multipart/form-data")
        parts = request.body.split(b"--" + boundary.encode())
        self.assertEqual(len(parts), 4)
        self.assertTrue(parts[1].endswith(b'name="overwrite"\r\n\r\nfalse\r\n'))
        self.assertTrue(parts[2].startswith(b'\r\nContent-Disposition: form-data; name="file"; filename="a_b.env"\r\n'))
        self.assertTrue(parts[2].endswith(b"\r\n\r\n" + content + b"\r\n"))
        self.assertEqual(parts[3], b"--\r\n")

    def test_may_be_open(self):
        self.assertIn(b'filename=".env"', self.sent(io.BytesIO(b"A=1")).body)


def pages(request):
    """A list of five numbers, two a page, by a server that knows itself by another name."""
    number = 1
    if "page=" in request.path:
        number = int(request.path.rpartition("page=")[2])
    items = [{"id": i} for i in range(1, 6)][2 * number - 2 : 2 * number]
    following = "http://elsewhere.example.com/api/projects/?search=a&page=%d" % (number + 1) if number < 3 else None
    return answer(200, {"count": 5, "next": following, "previous": None, "results": items, "unknown": ["K"]})


class Lists(unittest.TestCase):
    def test_are_read_page_by_page(self):
        client, server = serve(self, pages)
        listing = client.projects.list(search="a")
        self.assertEqual((listing.count, len(listing), listing.extra), (5, 5, {"unknown": ["K"]}))
        self.assertEqual([p.id for p in listing.results], [1, 2])
        self.assertEqual(len(server.requests), 1)
        self.assertEqual([p.id for p in listing], [1, 2, 3, 4, 5])
        self.assertEqual([len(page.results) for page in listing.pages()], [2, 2, 1])
        self.assertEqual(listing.first().id, 1)
        self.assertEqual(server.requests[1].path, "/api/projects/?search=a&page=2")

    def test_stay_with_the_endpoints_that_were_given(self):
        client, server = serve(self, pages)
        self.assertEqual(len(client.projects.list(search="a").all()), 5)
        self.assertEqual(len(server.requests), 3)

    def test_may_be_empty(self):
        client, _ = serve(self, [answer(200, {"count": 0, "next": None, "previous": None, "results": []})])
        self.assertIsNone(client.projects.list().first())
        self.assertFalse(client.projects.list())

    def test_of_buckets_and_collections_end(self):
        for name, first, rest in (("keys", 10_000, ["z"]), ("documents", 1000, [{"a": 1}])):
            with self.subTest(name):
                client, server = serve(self, [answer(200, [rest[0]] * first), answer(200, rest), answer(200, [])])
                many = client.buckets("bucket").keys() if name == "keys" else client.collections("books", key="k").iterate()
                self.assertEqual(sum(1 for _ in many), first + 1)
                self.assertEqual(len(server.requests), 2)
                self.assertIn("skip=%d" % first, server.requests[1].path)


class Records(unittest.TestCase):
    def test_have_the_members_of_the_answer(self):
        v = keynest.Variable({"id": 1, "key": "K", "new_in_the_server": [1]})
        self.assertEqual((v.key, v["key"], v.get("nothing"), v.new_in_the_server, dict(v)), ("K", "K", None, [1], v.to_dict()))
        self.assertIsNone(v.environment_name)
        with self.assertRaises(AttributeError):
            v.nothing
        with self.assertRaises(KeyError):
            v["environment_name"]
        self.assertEqual(v, keynest.Variable(json.loads(json.dumps(v.to_dict()))))

    def test_hold_others(self):
        d = keynest.Diff({"added": [{"key": "A"}], "removed": [], "changed": [{"key": "B", "value": "1", "with_value": "2"}]})
        self.assertEqual((d.added[0].key, d.removed, d.changed[0].with_value), ("A", [], "2"))

    def test_times(self):
        self.assertEqual(keynest.parse_time("2026-01-31T11:00:00Z"), NOON)


class Conditions(unittest.TestCase):
    def test_are_headers(self):
        client, server = serve(self, [answer(200, b"v", ETag='"v1"')])
        bucket = client.buckets("bucket")
        self.assertEqual(bucket.entry("k"), keynest.Entry(b"v", '"v1"'))
        self.assertEqual(bucket.set("k", "w", if_match='"v1"'), '"v1"')
        bucket.set("k", "w", if_absent=True)
        bucket.delete("k", if_match='"v1"')
        self.assertEqual([(r.headers["If-Match"], r.headers["If-None-Match"]) for r in server.requests],
                         [(None, None), ('"v1"', None), (None, "*"), ('"v1"', None)])

    def test_of_documents_too(self):
        client, server = serve(self, [answer(200, {})])
        client.collections("books", key="k").update("5f", {"a": 1}, version=2)
        self.assertEqual(server.requests[0].headers["If-Match"], "2")

    def test_making_a_bucket_takes_its_strongest_key(self):
        client, server = serve(self, [answer(200, b"newbucket1")])
        bucket = client.buckets.create(secret_key="s3cret", read_key="r3ad")
        bucket.get("k")
        self.assertEqual((bucket.id, server.requests[1].headers["Authorization"]), ("newbucket1", "Bearer s3cret"))
        self.assertIsNone(server.requests[0].headers["Authorization"])
