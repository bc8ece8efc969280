'use strict';

/**
 * Reads base URLs: an array, or a text with commas between them. An endpoint is
 * scheme, host and port; a path in front of all of the API's paths is kept, and
 * an /api at its end, which is how some write the address of the API, is not.
 */
function parseEndpoints(given) {
  const texts = (Array.isArray(given) ? given : String(given ?? '').split(',')).map((t) => String(t).trim()).filter(Boolean);
  if (texts.length === 0) {
    throw new TypeError('baseUrl names no endpoint');
  }
  return texts.map(parse);
}

function parse(text) {
  const full = text.includes('://') ? text : `http://${text}`;
  let url;
  try {
    url = new URL(full);
  } catch {
    throw new TypeError('baseUrl holds something that is not a URL such as http://localhost:8000');
  }
  if (!['http:', 'https:'].includes(url.protocol)) {
    throw new TypeError(`baseUrl: ${url.protocol} is neither http: nor https:`);
  }
  if (url.username || url.password || url.search || url.hash) {
    throw new TypeError(`baseUrl: ${url.host} may come with a scheme and a path only, without credentials, query and fragment`);
  }
  const prefix = url.pathname.replace(/\/+$/, '').replace(/\/api$/, '');
  return { url, prefix, origin: url.origin + prefix };
}

module.exports = { parseEndpoints };
