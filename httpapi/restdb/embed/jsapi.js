// The client of this database for JavaScript: a browser's, or any other with
// fetch. It needs no library. /rest/_jsapi.doc says what it can do.
(function (root) {
  "use strict";
  var script = root.document && root.document.currentScript;
  var home = script && script.src ? new URL("..", script.src).href : "";
  var METHODS = { post: ["POST"], put: ["PUT", "PATCH"], delete: ["DELETE"] };
  var RESERVED = /^(POST|PUT|PATCH|DELETE|CONNECT|DISCONNECT|RECONNECT|RESET|ERROR)$/;
  var SILENCE = 25000; // the server says something at least every 10 s
  var MAXWAIT = 30000;

  // report hands a promise's end to a callback too, if there is one.
  function report(promise, cb) {
    if (typeof cb === "function") promise.then(function (v) { cb(null, v); }, function (e) { cb(e); });
    return promise;
  }

  // take copies the members of a document into an object.
  function take(into, doc) {
    Object.keys(doc || {}).forEach(function (k) { if (k !== "__proto__") into[k] = doc[k]; });
    return into;
  }

  function restdb(key, options) {
    if (!(this instanceof restdb)) return new restdb(key, options);
    options = options || {};
    var base = String(options.url || home).replace(/\/+$/, "").replace(/\/rest$/, "");
    if (!base) throw new Error("restdb: the option url is needed where the script has no address of its own");
    var models = Object.create(null);
    var handlers = Object.create(null);
    var source = null, watchdog = 0, retry = 0, tries = 0, last = "", met = false, closed = false;

    function log() {
      if (options.logging && root.console) root.console.log.apply(root.console, ["restdb"].concat([].slice.call(arguments)));
    }

    function call(method, path, body) {
      var headers = {}, form = root.FormData && body instanceof root.FormData;
      if (options.jwt) headers.Authorization = "Bearer " + key;
      else headers["x-apikey"] = key;
      if (body !== undefined && !form) {
        headers["Content-Type"] = "application/json";
        body = JSON.stringify(body);
      }
      log(method, path);
      return root.fetch(base + path, { method: method, headers: headers, body: body, credentials: "omit" }).then(function (res) {
        return res.text().then(function (text) {
          var value = null;
          try { value = text ? JSON.parse(text) : null; } catch (e) { if (res.ok) throw e; }
          if (res.ok) return value;
          var err = take(new Error((value && value.message) || "HTTP status " + res.status), value);
          err.status = res.status;
          throw err;
        });
      });
    }

    function model(name) {
      if (models[name]) return models[name];
      var path = "/rest/" + encodeURIComponent(name);
      function Model(doc) { take(this, doc); }
      function show(v) { return v && typeof v === "object" && !Array.isArray(v) && typeof v._id === "string" ? new Model(v) : v; }
      function at(doc) {
        if (!doc._id) throw new Error("restdb: the document was not saved yet");
        return path + "/" + encodeURIComponent(doc._id);
      }
      // later makes a method of a document: what goes wrong before the request
      // is told like what goes wrong with it.
      function later(name, work) {
        Object.defineProperty(Model.prototype, name, { value: function () {
          var args = [].slice.call(arguments), cb = typeof args[args.length - 1] === "function" ? args.pop() : null, self = this;
          return report(new Promise(function (done) { done(work(self, args)); }), cb);
        }, writable: true });
      }
      later("save", function (doc) {
        return (doc._id ? call("PUT", at(doc), doc) : call("POST", path, doc)).then(function (v) { return take(doc, v); });
      });
      later("delete", function (doc) { return call("DELETE", at(doc)).then(function () { return doc; }); });
      Model.prototype.remove = Model.prototype.delete;
      Object.defineProperty(Model.prototype, "remove", { enumerable: false });
      later("reload", function (doc) {
        return call("GET", at(doc)).then(function (v) {
          Object.keys(doc).forEach(function (k) { delete doc[k]; });
          return take(doc, v);
        });
      });
      later("addChild", function (doc, args) {
        var child = args[1];
        return call("POST", at(doc) + "/" + encodeURIComponent(args[0]), child).then(function (v) {
          return Array.isArray(v) ? v : take(child, v);
        });
      });
      Model.find = function (query, hints, cb) {
        if (typeof query === "function") { cb = query; query = hints = null; }
        if (typeof hints === "function") { cb = hints; hints = null; }
        var params = "?q=" + encodeURIComponent(JSON.stringify(query || {})) + "&h=" + encodeURIComponent(JSON.stringify(hints || {}));
        return report(call("GET", path + params).then(function (v) { return Array.isArray(v) ? v.map(show) : v; }), cb);
      };
      Model.getById = function (id, cb) {
        return report(call("GET", path + "/" + encodeURIComponent(id)).then(show), cb);
      };
      return (models[name] = Model);
    }

    function emit(name, err, data) {
      (handlers[name] || []).slice().forEach(function (fn) {
        try { fn(err, data); } catch (e) { setTimeout(function () { throw e; }); } // one does not stop the others
      });
    }

    // alive puts off the moment at which silence counts as a lost connection.
    function alive() {
      clearTimeout(watchdog);
      watchdog = setTimeout(lost, SILENCE);
    }

    function hear(kind, ev) {
      if (this !== source) return; // of a connection that was given up
      alive();
      if (ev.lastEventId) last = ev.lastEventId;
      if (kind === "ping") return;
      var data;
      try { data = JSON.parse(ev.data); } catch (e) { return log("an event that is no JSON", kind); }
      if (kind === "publish") {
        if (!RESERVED.test(data.event)) emit(data.event, null, data);
        return;
      }
      (METHODS[kind] || [kind.toUpperCase()]).forEach(function (name) { emit(name, null, data); });
    }

    function connect() {
      var Source = options.EventSource || root.EventSource;
      if (!Source) throw new Error("restdb: realtime needs EventSource");
      clearTimeout(retry);
      retry = 0;
      var params = options.jwt
        ? "jwt=" + encodeURIComponent(key) + "&rt-apikey=" + encodeURIComponent(options.apikey || "")
        : "apikey=" + encodeURIComponent(key);
      var mine = (source = new Source(base + "/realtime?" + params + (last ? "&lastEventId=" + encodeURIComponent(last) : "")));
      alive();
      mine.onopen = function () {
        if (mine !== source) return;
        log("realtime is connected");
        tries = 0;
        alive();
        emit(met ? "RECONNECT" : "CONNECT", null, {});
        met = true;
      };
      mine.onerror = function () { if (mine === source) lost(); };
      ["ping", "post", "put", "delete", "publish", "reset"].forEach(function (kind) {
        mine.addEventListener(kind, hear.bind(mine, kind));
      });
    }

    // lost gives a connection up and opens another, which begins behind the
    // last event that came. The browser's own way of connecting again would not
    // notice silence, and ends at the first answer that is an error.
    function lost() {
      clearTimeout(watchdog);
      if (source) source.close();
      source = null;
      if (closed) return;
      log("realtime is not connected");
      emit("DISCONNECT", null, {});
      if (closed) return;
      var wait = Math.min(MAXWAIT, 500 * Math.pow(2, tries++));
      retry = setTimeout(connect, wait / 2 + Math.random() * wait / 2);
    }

    var db = {
      collection: model,
      on: function (event, fn) {
        (handlers[event] = handlers[event] || []).push(fn);
        if (!source && !retry && !closed) connect();
        return proxy;
      },
      off: function (event, fn) {
        handlers[event] = fn ? (handlers[event] || []).filter(function (f) { return f !== fn; }) : [];
        return proxy;
      },
      publish: function (event, data, cb) {
        return report(call("POST", "/realtime", { event: event, data: data === undefined ? null : data }), cb);
      },
      upload: function (files, cb) {
        var form = files;
        if (!(form instanceof root.FormData)) {
          if (root.HTMLFormElement && files instanceof root.HTMLFormElement) form = new root.FormData(files);
          else {
            form = new root.FormData();
            (typeof files.length === "number" ? [].slice.call(files) : [files]).forEach(function (f) { form.append("file", f); });
          }
        }
        return report(call("POST", "/media", form), cb);
      },
      media: function (id, size) {
        return base + "/media/" + encodeURIComponent(id) + (size ? "?s=" + encodeURIComponent(size) : "");
      },
      close: function () {
        closed = true;
        clearTimeout(retry);
        clearTimeout(watchdog);
        if (source) source.close();
        source = null;
      }
    };
    var proxy = new Proxy(db, {
      get: function (target, name) {
        // A promise that resolves to the database asks it for then.
        if (name in target || typeof name !== "string" || name === "then" || name === "toJSON") return target[name];
        return model(name);
      }
    });
    if (options.realtime) connect();
    return proxy;
  }

  root.restdb = restdb;
  if (typeof module === "object" && module.exports) module.exports = restdb;
})(typeof globalThis === "object" ? globalThis : self);
