'use strict';

const crypto = require('node:crypto');

/**
 * A multipart/form-data body with one file and further fields, made once: all
 * tries of a call send the same bytes, or the server would take them for another
 * request.
 */
function multipart({ name, content, fields }) {
  const boundary = `keynest-${crypto.randomBytes(16).toString('hex')}`;
  const parts = [];
  for (const [field, value] of Object.entries(fields)) {
    parts.push(Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; name="${field}"\r\n\r\n${value}\r\n`));
  }
  const quoted = name.replace(/[\r\n"\\]/g, '_');
  parts.push(
    Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="${quoted}"\r\nContent-Type: application/octet-stream\r\n\r\n`),
    content, Buffer.from(`\r\n--${boundary}--\r\n`),
  );
  return { headers: { 'Content-Type': `multipart/form-data; boundary=${boundary}` }, body: Buffer.concat(parts) };
}

module.exports = { multipart };
