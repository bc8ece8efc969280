// Uses the client as a page does, and ends with "all is well".
const assert = require("node:assert/strict");
const vm = require("node:vm");

const url = process.env.COVEY_URL, key = process.env.COVEY_KEY;

// called runs fn with a callback and returns what it is called with.
function called(fn) {
  return new Promise((done, fail) => {
    const promise = fn((err, res) => (err ? fail(err) : done(res)));
    if (promise && promise.then) promise.then(() => {}, () => {});
  });
}

async function main() {
  const text = await (await fetch(url + "/rest/_jsapi.js?plainjs=true")).text();
  // Without an address of its own it wants one.
  vm.runInThisContext(text);
  assert.throws(() => new restdb(key), /url/);
  // With one, like in a page, it finds the server.
  globalThis.document = { currentScript: { src: url + "/rest/_jsapi.js" } };
  vm.runInThisContext(text);
  delete globalThis.document;

  const heard = [];
  const db = new restdb(key, { realtime: true });
  const until = (what) => new Promise((done, fail) => {
    const late = setTimeout(() => fail(new Error("nothing heard of " + what)), 20000);
    db.on(what, (err, ev) => { clearTimeout(late); done(ev); });
  });
  await until("CONNECT");
  for (const name of ["POST", "PUT", "DELETE"]) db.on(name, (err, ev) => heard.push(ev));

  // Documents.
  const item = new db.items({ name: "ann", n: 1 });
  assert.ok(item instanceof db.items);
  const saved = await called((cb) => item.save(cb));
  assert.equal(saved, item);
  assert.match(item._id, /^[0-9a-f]{24}$/);
  assert.equal(item._version, 0);
  item.n = 2;
  await item.save();
  assert.equal(item._version, 1);
  const found = await called((cb) => db.items.find({ n: 2 }, { $max: 5 }, cb));
  assert.equal(found.length, 1);
  assert.ok(found[0] instanceof db.items);
  assert.equal(found[0].name, "ann");
  assert.equal((await called((cb) => db.items.find(cb))).length, 1);
  assert.equal((await db.items.getById(item._id)).n, 2);
  assert.deepEqual(await db.items.find({}, { $aggregate: ["SUM:n", "COUNT:"] }), { "SUM n": 2, "COUNT ": 1 });
  assert.deepEqual(await db.items.find({ $distinct: "name" }), ["ann"]);
  found[0].n = 99;
  await found[0].reload();
  assert.equal(found[0].n, 2);
  const child = await called((cb) => item.addChild("letters", { to: "bob" }, cb));
  assert.equal(child._parent_id, item._id);
  assert.equal((await db.letters.find({}))[0].to, "bob");
  await new (db.collection("on"))({ name: "x" }).save().then(() => assert.fail("web keys make no collections"), () => {});

  // Errors.
  const err = await new db.items({}).save().then(() => assert.fail("saved"), (e) => e);
  assert.equal(err.status, 400);
  assert.equal(err.name, "ValidationError");
  assert.equal(err.list[0].field, "name");
  await assert.rejects(called((cb) => db.items.getById("no-id", cb)), { status: 404 });
  await assert.rejects(called((cb) => new db.items({ name: "y" }).reload(cb)), /not saved/);
  await assert.rejects(new restdb("0".repeat(24)).items.find({}), { status: 401 });

  // A promise can hold the database, and its text does not ask for documents.
  assert.equal(await Promise.resolve(db), db);
  JSON.stringify(db);
  const polluted = new db.items(JSON.parse('{"__proto__":{"bad":1}}'));
  assert.equal(polluted.bad, undefined);
  assert.ok(polluted instanceof db.items);

  // Media.
  const up = await called((cb) => db.upload(new File(["hello"], "a.txt"), cb));
  assert.equal(up.msg, "OK");
  assert.equal(await (await fetch(db.media(up.ids[0]))).text(), "hello");
  assert.equal((await db.upload([new File(["1"], "a"), new File(["2"], "b")])).ids.length, 2);

  // Events.
  const news = until("news");
  const wrong = () => assert.fail("heard after off");
  db.on("news", wrong).off("news", wrong);
  const sent = await called((cb) => db.publish("news", { a: [1] }, cb));
  assert.deepEqual(sent, { event: "news", data: { a: [1] } });
  assert.deepEqual(await news, sent);
  const gone = until("DELETE");
  await item.delete();
  await gone;
  assert.deepEqual(heard.map((e) => e.event + " " + e.collection), ["post items", "put items", "delete items"]);
  assert.equal(heard[0].data.name, "ann");
  assert.equal(heard[1].data, item._id);
  assert.deepEqual(heard[2].data, [item._id]);
  db.close();

  await reconnects();
  console.log("all is well");
  process.exit(0);
}

// reconnects looks at what a client does with connections that are lost.
async function reconnects() {
  const made = [];
  class Source {
    constructor(at) { this.at = new URL(at); this.kinds = {}; made.push(this); }
    addEventListener(kind, fn) { this.kinds[kind] = fn; }
    close() { this.closed = true; }
    say(kind, id, data) { this.kinds[kind]({ lastEventId: id, data: JSON.stringify(data) }); }
  }
  const db = new restdb("user.jwt.x", { url: url + "/rest/", jwt: true, apikey: "k", EventSource: Source, realtime: true });
  const log = [];
  for (const name of ["CONNECT", "DISCONNECT", "RECONNECT", "PATCH", "RESET"]) db.on(name, () => log.push(name));
  db.on("POST", () => { throw new Error("of a handler"); });
  db.on("POST", (err, ev) => log.push("POST " + ev.data));
  const thrown = new Promise((done) => process.once("uncaughtException", done));
  assert.equal(made.length, 1);
  assert.equal(made[0].at.href, url + "/realtime?jwt=user.jwt.x&rt-apikey=k");
  made[0].onopen();
  made[0].say("post", "7.0", { event: "post", data: 1 });
  assert.match((await thrown).message, /of a handler/);
  made[0].say("publish", "7.1", { event: "POST", data: "not of the database" });
  const again = new Promise((done) => { const t = setInterval(() => { if (made[1]) { clearInterval(t); done(made[1]); } }, 5); });
  made[0].onerror();
  assert.ok(made[0].closed);
  made[0].say("put", "9.9", { event: "put", data: "late" });
  const second = await again;
  assert.equal(second.at.searchParams.get("lastEventId"), "7.1");
  second.onopen();
  second.say("put", "8.0", { event: "put", data: "x" });
  second.say("reset", "9.0", { event: "reset", data: {} });
  assert.deepEqual(log, ["CONNECT", "POST 1", "DISCONNECT", "RECONNECT", "PATCH", "RESET"]);
  db.close();
  assert.ok(second.closed);
}

main().catch((err) => { console.error(err); process.exit(1); });
