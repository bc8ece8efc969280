'use strict';

const http = require('node:http');

/**
 * A server that answers what it is told, and remembers what it was asked. Each
 * request takes the next step, and the last step stays: {status, headers, body}
 * (body: text, or an object as JSON), 'break' (the connection breaks before an
 * answer), 'half' (within it), 'silent' (nothing comes), or a function of the
 * request that returns one of these, or a promise of it.
 */
async function fake(t, ...steps) {
  const requests = [];
  const server = http.createServer(async (req, res) => {
    const pieces = [];
    for await (const piece of req) {
      pieces.push(piece);
    }
    const request = { method: req.method, url: req.url, headers: req.headers, body: Buffer.concat(pieces) };
    requests.push(request);
    let step = steps.length > 1 ? steps.shift() : steps[0];
    step = typeof step === 'function' ? await step(request, requests.length) : step;
    answer(req, res, step ?? {});
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => new Promise((resolve) => {
    server.closeAllConnections();
    server.close(resolve);
  }));
  return { url: `http://127.0.0.1:${server.address().port}`, requests, server };
}

function answer(req, res, step) {
  if (step === 'silent') {
    return;
  }
  if (step === 'break') {
    req.socket.destroy();
    return;
  }
  if (step === 'half') {
    res.writeHead(200, { 'Content-Length': '100' });
    res.write('{"id":', () => req.socket.destroy());
    return;
  }
  const { status = 200, headers = {}, body = {} } = step;
  res.writeHead(status, headers);
  res.end(status === 204 ? undefined : typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body));
}

/** The base URL of a port where nobody listens. */
async function nobody() {
  const server = http.createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return `http://127.0.0.1:${port}`;
}

module.exports = { fake, nobody };
