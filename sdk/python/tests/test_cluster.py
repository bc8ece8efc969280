"""Tests against real nodes, which go test ./test/sdk starts.

KEYNEST_BASE_URL names the nodes, KEYNEST_TOKEN is a user's token, TEST_ENVIRONMENT
an environment and TEST_ORGANIZATION an organization of its own, RESTDB_KEY a
full-access key. With TEST_SECONDS leaders are being killed for at least so long.
"""

import json
import os
import threading
import time
import unittest
from datetime import datetime, timedelta, timezone

import keynest
from keynest import KeyNestClient

URL = os.environ.get("KEYNEST_BASE_URL")
ENVIRONMENT = int(os.environ.get("TEST_ENVIRONMENT", 0))
ORGANIZATION = int(os.environ.get("TEST_ORGANIZATION", 0))
SECONDS = float(os.environ.get("TEST_SECONDS", 0))


@unittest.skipUnless(URL and ENVIRONMENT, "there are no nodes: go test ./test/sdk")
class Calm(unittest.TestCase):
    """Everything once, on nodes that live."""

    def setUp(self):
        self.client = KeyNestClient()
        self.addCleanup(self.client.close)
        self.project = self.client.projects.create("p " + self._testMethodName, organization_id=ORGANIZATION)
        self.env = self.client.environments.create("one", project_id=self.project.id)

    def test_accounts(self):
        with KeyNestClient(base_url=URL) as c:
            s = c.auth.register("py_ada", "py_ada@example.com", "lovelace-1815", first_name="Ada")
            self.assertEqual((s.user.email, c.auth.profile().full_name), ("py_ada@example.com", "Ada"))
            self.assertEqual(c.auth.update_profile(last_name="L").full_name, "Ada L")
            c.auth.change_password("lovelace-1815", "engine-number-2")
            self.assertEqual(c.auth.profile().username, "py_ada")
            c.auth.logout()
            with self.assertRaises(keynest.AuthenticationError):
                c.auth.profile()
            with self.assertRaises(keynest.AuthenticationError) as caught:
                c.auth.login("py_ada@example.com", "wrong-password-1")
            self.assertEqual((caught.exception.error, caught.exception.code), ("Invalid credentials", "INVALID_CREDENTIALS"))
            again = c.auth.login("py_ada@example.com", "engine-number-2")
            member = self.client.organizations.invite_member(ORGANIZATION, "py_ada@example.com", "viewer")
            self.assertEqual(member.role, "viewer")
            self.client.variables.create(key="A", value="1", environment_id=self.env.id)
            self.assertEqual(c.environments.variables(self.env.id).first().decrypted_value, keynest.HIDDEN)
            with self.assertRaises(keynest.PermissionDenied):
                c.environments.values(self.env.id)
            self.client.organizations.update_member_role(ORGANIZATION, again.user.id, "editor")
            self.assertEqual(c.environments.values(self.env.id), {"A": "1"})
            self.assertEqual([m.email for m in self.client.organizations.members(ORGANIZATION)][-1], "py_ada@example.com")
            self.client.organizations.remove_member(ORGANIZATION, again.user.id)
            with self.assertRaises(keynest.NotFound):
                c.environments.get(self.env.id)

    def test_organizations_and_projects(self):
        c = self.client
        org = c.organizations.create("Py Acme", "of Python")
        self.assertEqual((org.user_role, c.organizations.update(org.id, name="Py Acme 2").name), ("admin", "Py Acme 2"))
        self.assertIn(org.id, [o.id for o in c.organizations.list(page_size=1)])
        moved = c.projects.update(self.project.id, organization=org.id)
        self.assertEqual((moved.organization, c.projects.list(organization=org.id).count), (org.id, 1))
        self.assertEqual([e.name for e in c.projects.environments(self.project.id)], ["one"])
        self.assertEqual(c.environments.update(self.env.id, environment_type="staging").environment_type, "staging")
        self.assertEqual(c.environments.list(project=self.project.id, environment_type="staging").count, 1)
        c.environments.delete(self.env.id)
        c.projects.delete(self.project.id)
        c.organizations.delete(org.id)
        with self.assertRaises(keynest.NotFound):
            c.organizations.get(org.id)

    def test_variables_survive_the_way(self):
        c, env = self.client, self.env.id
        values = {"PEM": "-----BEGIN-----\nä\n'\"$`\\\n", "BLANKS": "  kept  ", "EMPTY": ""}
        self.assertEqual(c.environments.import_data(env, values).summary.imported, 3)
        self.assertEqual(c.environments.values(env), values)
        self.assertEqual(c.environments.import_data(env, c.environments.export(env), "env").summary.updated, 3)
        self.assertEqual({v.key: v.decrypted_value for v in c.environments.variables(env)}, values)
        with self.assertRaises(keynest.Conflict) as caught:
            c.environments.import_data(env, {"PEM": "x"}, overwrite=False)
        self.assertEqual(caught.exception.body["conflicts"], ["PEM"])
        with self.assertRaises(keynest.Conflict) as caught:
            c.variables.create(key="PEM", value="x", environment_id=env)
        self.assertIn("key", caught.exception.details)
        with self.assertRaises(keynest.ValidationError):
            c.variables.create(key="lower", value="x", environment_id=env)

    def test_lists_of_many_pages(self):
        c, env = self.client, self.env.id
        c.environments.import_data(env, {"KEY_%03d" % i: str(i) for i in range(250)})
        self.assertEqual([v.key for v in c.variables.list(environment=env)], ["KEY_%03d" % i for i in range(250)])
        self.assertEqual(len(c.environments.variables(env).results), 250)

    def test_versions(self):
        c, env = self.client, self.env.id
        v = c.variables.create(key="A", value="first", environment_id=env)
        self.assertEqual(v.version, 1)
        before = datetime.now(timezone.utc)
        time.sleep(1.1)  # times of the API are whole seconds
        self.assertEqual(c.variables.update(v.id, value="second", version=1).version, 2)
        with self.assertRaises(keynest.Conflict) as caught:
            c.variables.update(v.id, value="third", version=1)
        self.assertEqual(caught.exception.body["version"], 2)
        self.assertEqual([(x.version, x.decrypted_value, x.is_current) for x in c.variables.versions(v.id)], [(2, "second", True), (1, "first", False)])
        self.assertEqual(c.variables.version(v.id, 1).decrypted_value, "first")
        self.assertEqual([x.decrypted_value for x in c.environments.variables(env, at=before)], ["first"])
        back = c.variables.rollback(v.id, version=1)
        self.assertEqual((back.version, back.decrypted_value), (3, "first"))
        c.variables.update(v.id, value="fourth")
        self.assertEqual(c.environments.rollback(env, at=before, dry_run=True).restored, ["A"])
        self.assertEqual(c.environments.rollback(env, at=before).restored, ["A"])
        self.assertEqual(c.environments.values(env), {"A": "first"})
        with self.assertRaises(keynest.NotFound):
            c.variables.version(v.id, 99)

    def test_two_environments(self):
        c, env = self.client, self.env.id
        other = c.environments.create("two", project_id=self.project.id).id
        c.environments.import_data(env, {"A": "1", "B": "2", "LINK": "${A}-${two.D}"})
        c.environments.import_data(other, {"B": "other", "D": "4"})
        diff = c.environments.diff(env, other, values=True)
        self.assertEqual(([i.key for i in diff.added], [i.key for i in diff.removed]), (["D"], ["A", "LINK"]))
        self.assertEqual([(i.key, i.value, i.with_value) for i in diff.changed], [("B", "2", "other")])
        self.assertEqual(c.environments.values(env, resolve=True)["LINK"], "1-4")
        self.assertEqual(c.environments.values(env)["LINK"], "${A}-${two.D}")
        with self.assertRaises(keynest.Conflict) as caught:
            c.environments.copy(env, other)
        self.assertEqual(caught.exception.body["conflicts"], ["B"])
        self.assertEqual(c.environments.copy(env, other, keys=["A"]).created, ["A"])
        self.assertEqual(c.environments.promote(env, other, remove_missing=True, dry_run=True).deleted, ["D"])
        done = c.environments.promote(env, other, remove_missing=True)
        self.assertEqual((done.created, done.updated, done.deleted), (["LINK"], ["B"], ["D"]))
        loop = c.variables.update(c.variables.list(environment=env, key="A").first().id, value="${LINK}")
        self.assertEqual(c.variables.get(loop.id, resolve=True).unresolved, "cycle")
        with self.assertRaises(keynest.ValidationError):
            c.environments.values(env, resolve=True)

    def test_service_tokens(self):
        c, env = self.client, self.env.id
        c.environments.import_data(env, {"A": "1"})
        made = c.service_tokens.create("ci", environment=env, expires_at=datetime.now(timezone.utc) + timedelta(hours=1))
        self.assertTrue(made.token.startswith("svc_") and made.read_only)
        with KeyNestClient(token=made.token) as ci:
            self.assertEqual(ci.environments.values(env), {"A": "1"})
            self.assertEqual(ci.auth.service_token().name, "ci")
            with self.assertRaises(keynest.PermissionDenied):
                ci.environments.import_data(env, {"B": "2"})
            with self.assertRaises(keynest.NotFound):
                ci.environments.values(ENVIRONMENT)
            self.assertEqual([t.id for t in c.service_tokens.list(environment=env)], [made.id])
            self.assertEqual(c.service_tokens.update(made.id, name="ci 2").name, "ci 2")
            c.service_tokens.revoke(made.id)
            with self.assertRaises(keynest.AuthenticationError):
                ci.environments.values(env)

    def test_audit_log(self):
        self.client.variables.create(key="A", value="hidden-value", environment_id=self.env.id)
        entry = self.client.audit_logs.list(action="variable_created").first()
        self.assertEqual((entry.action, entry.details["key"]), ("variable_created", "A"))
        self.assertNotIn("hidden-value", self.client.audit_logs.export())

    def test_buckets(self):
        b = self.client.buckets.create(secret_key="s3cret-of-bucket", signing_key="signing-of-bucket")
        tag = b.set("a/b ä", b"\x00\xff")
        self.assertEqual((b.get("a/b ä"), b.entry("a/b ä").etag), (b"\x00\xff", tag))
        with self.assertRaises(keynest.Conflict):
            b.set("a/b ä", "x", if_absent=True)
        b.delete("a/b ä", if_match=tag)
        with self.assertRaises(keynest.NotFound):
            b.get("a/b ä")
        self.assertEqual((b.add("n"), b.add("n", 2), b.add("n", 0.5)), (1, 3, 3.5))
        b.transaction([{"set": "..", "value": {"x": 1}}, {"delete": "n"}])
        self.assertEqual((list(b.keys()), list(b.items())), ([".."], [("..", {"x": 1})]))
        reader = self.client.buckets(b.id, key=b.access_token(permissions=["read", "enumerate"], ttl=60))
        self.assertEqual(list(reader.keys(prefix=".")), [".."])
        with self.assertRaises(keynest.APIError) as caught:
            self.client.buckets(b.id, key="wrong-key").drop()
        self.assertEqual(caught.exception.status, 401)
        b.update(default_ttl=0)
        b.drop()

    def test_collections(self):
        books = self.client.collections("py_books", key=os.environ["RESTDB_KEY"])
        one = books.insert({"title": "Emma", "year": 1815})
        books.insert_many([{"title": "T%04d" % i, "year": 1900 + i} for i in range(1200)])
        self.assertEqual((books.count(), sum(1 for _ in books.iterate())), (1201, 1201))
        self.assertEqual(books.update(one["_id"], {"$inc": {"sold": 2}})["sold"], 2)
        with self.assertRaises(keynest.Conflict):
            books.update(one["_id"], {"sold": 0}, version=99)
        self.assertNotIn("sold", books.replace(one["_id"], {"title": "Emma", "year": 1816}))
        self.assertEqual([b["year"] for b in books.find({"year": {"$lt": 1902}}, sort="year", descending=True)], [1901, 1900, 1816])
        self.assertEqual(books.aggregate(["SUM:year"], {"year": {"$gt": 3097}})["SUM year"], 6197)
        books.delete(one["_id"])
        with self.assertRaises(keynest.NotFound):
            books.get(one["_id"])
        self.assertEqual(books.delete_where({}), 1200)


@unittest.skipUnless(URL and SECONDS, "there are no nodes: go test ./test/sdk")
class Storm(unittest.TestCase):
    """What is done takes effect once, while leaders are killed."""

    def test_exactly_once(self):
        client = KeyNestClient(timeout=60, max_retries=100)
        self.addCleanup(client.close)
        bucket = client.buckets.create()
        documents = client.collections("py_storm", key=os.environ["RESTDB_KEY"])
        made, sums, inserted, faults = [], [], [], []
        end = time.monotonic() + SECONDS

        def work(worker):
            try:
                number = 0
                while time.monotonic() < end:
                    key = "STORM_%d_%d" % (worker, number)
                    # Made twice, it would be a Conflict, which ends the test.
                    if number < 2000:  # an environment has room for 10,000
                        made.append((key, client.variables.create(key=key, value=key, environment_id=ENVIRONMENT).id))
                    sums.append(bucket.add("counter"))
                    inserted.append(documents.insert({"key": key})["_id"])
                    number += 1
            except Exception as e:
                faults.append(e)

        workers = [threading.Thread(target=work, args=(i,)) for i in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        self.assertEqual(faults, [])
        self.assertGreater(len(made), 10)
        # Each addition was answered a sum of its own, and there are as many as the counter says.
        self.assertEqual(sorted(sums), list(range(1, len(sums) + 1)))
        self.assertEqual(bucket.text("counter"), str(len(sums)))
        there = {v.key: (v.id, v.decrypted_value) for v in client.environments.variables(ENVIRONMENT) if v.key.startswith("STORM_")}
        self.assertEqual(there, {key: (number, key) for key, number in made})
        self.assertEqual(sorted(d["_id"] for d in documents.iterate()), sorted(inserted))
        print(json.dumps({"variables": len(made), "additions": len(sums), "documents": len(inserted)}))
