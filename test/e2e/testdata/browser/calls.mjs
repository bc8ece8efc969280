// Opens pages in headless Chromium and makes the calls that standard input
// lists, each from a page of its origin. Prints one line of JSON for each.
//
// Input: {"browser": path, "calls": [{"page", "url", "method", "headers", "body"}]}
// Output: {"status", "body", "pagination"} or {"error"} as the page saw it.
import { readFileSync } from 'node:fs';
import { chromium } from 'playwright-core';

const { browser: executablePath, calls } = JSON.parse(readFileSync(0, 'utf8'));
const browser = await chromium.launch({
  executablePath,
  headless: true,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
try {
  for (const call of calls) {
    const page = await browser.newPage();
    await page.goto(call.page);
    const seen = await page.evaluate(({ url, method, headers, body }) => new Promise((resolve) => {
      // As the samples for pages do it: with credentials, which "*" would forbid.
      const x = new XMLHttpRequest();
      x.open(method, url);
      x.withCredentials = true;
      for (const [name, value] of Object.entries(headers)) x.setRequestHeader(name, value);
      x.onload = () => resolve({ status: x.status, body: x.responseText, pagination: x.getResponseHeader('X-Pagination') });
      x.onerror = () => resolve({ error: 'the browser lets nothing through' });
      x.send(body);
    }), call);
    console.log(JSON.stringify(seen));
    await page.close();
  }
} finally {
  await browser.close();
}
