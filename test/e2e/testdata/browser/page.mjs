// Opens one page in headless Chromium and does there what the lines of standard
// input say, until they end. Prints one line of JSON for each thing that is seen.
//
// First line: {"browser": path, "page": url}; it is answered {"ready": true}.
// {"image": url}: shows a picture; prints {"image": url, "width": its width, 0 if it does not show}.
// {"listen": name, "urls": [url, ...]}: hears the events of the first url, and
// when that breaks off for good, or "manual" is true, at all, goes on at the
// next one behind the last event. Prints {"stream", "event", "data", "id"} for
// each event, and {"stream", "state"} when it opens or breaks off.
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';

const say = (what) => console.log(JSON.stringify(what));
let browser, page;

async function open({ browser: executablePath, page: url }) {
  browser = await chromium.launch({
    executablePath,
    headless: true,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
  page = await browser.newPage();
  await page.exposeFunction('say', say);
  await page.goto(url);
  say({ ready: true });
}

const show = (url) => page.evaluate((src) => new Promise((resolve) => {
  const image = document.createElement('img');
  image.onload = () => resolve(image.naturalWidth);
  image.onerror = () => resolve(0);
  image.src = src;
  document.body.append(image);
}), url).then((width) => say({ image: url, width }));

const listen = (what) => page.evaluate(({ listen: stream, urls, manual }) => {
  let at = 0;
  let last = '';
  const connect = () => {
    let url = urls[at % urls.length];
    if (last) url += `&lastEventId=${encodeURIComponent(last)}`;
    const source = new EventSource(url);
    source.onopen = () => window.say({ stream, state: 'open' });
    source.onerror = () => {
      window.say({ stream, state: 'broken' });
      if (!manual && source.readyState !== EventSource.CLOSED) return; // the browser connects again
      source.close();
      at += 1;
      setTimeout(connect, 200);
    };
    for (const event of ['ping', 'post', 'put', 'delete', 'publish', 'reset']) {
      source.addEventListener(event, (e) => {
        last = e.lastEventId;
        window.say({ stream, event, data: e.data, id: e.lastEventId });
      });
    }
  };
  connect();
}, what);

try {
  for await (const line of createInterface({ input: process.stdin })) {
    const what = JSON.parse(line);
    if (what.browser) await open(what);
    else if (what.image) await show(what.image);
    else await listen(what);
  }
} finally {
  await browser?.close();
}
