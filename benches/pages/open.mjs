// Opens trace pages in headless Chromium and says of each, on a line of its own: how many lines it has, the milliseconds that it says
// verifying took, and the milliseconds from the beginning of the navigation until it said so; medians of several openings.
//
//     node open.mjs CHROMIUM ROUNDS PAGE…
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { start } from '../../crates/trace-page/chromium.mjs';

const [chromium, rounds, ...pages] = process.argv.slice(2);
const { send, stop } = start(chromium);
const sleep = (ms) => new Promise((done) => { setTimeout(done, ms); });
const median = (values) => values.sort((a, b) => a - b)[values.length >> 1];

// Runs in the page before anything of the page does: notes when the page says that it has verified itself.
const WATCH = `new MutationObserver((_, watch) => {
  if (document.documentElement?.dataset.took === undefined) return;
  watch.disconnect();
  globalThis.shownAfter = performance.now();
}).observe(document, { attributes: true, childList: true, subtree: true, attributeFilter: ['data-took'] });`;

async function opened(page) {
  const { targetId } = await send('Target.createTarget', { url: 'about:blank' });
  const { sessionId } = await send('Target.attachToTarget', { targetId, flatten: true });
  await send('Page.enable', {}, sessionId);
  await send('Page.addScriptToEvaluateOnNewDocument', { source: WATCH }, sessionId);
  await send('Page.navigate', { url: pathToFileURL(resolve(page)).href }, sessionId);
  const ask = async (expression) => (await send('Runtime.evaluate', { expression, returnByValue: true }, sessionId)).result.value;
  for (let round = 0; round < 600 && !await ask('globalThis.shownAfter !== undefined'); round += 1) await sleep(20);
  const found = await ask(`({ verified: document.documentElement.dataset.verified, took: Number(document.documentElement.dataset.took),
    shown: globalThis.shownAfter, lines: document.querySelectorAll('#events > .line.good').length, all: document.querySelectorAll('#events > .line').length })`);
  await send('Target.closeTarget', { targetId });
  if (found.verified !== 'true' || found.lines !== found.all) throw new Error(`${page}: ${JSON.stringify(found)}`);
  return found;
}

try {
  // The first page that a browser opens pays for the browser's start.
  await opened(pages[0]);
  for (const page of pages) {
    const found = [];
    for (let round = 0; round < Number(rounds); round += 1) found.push(await opened(page));
    console.log(found[0].lines, median(found.map((it) => it.took)).toFixed(1), median(found.map((it) => it.shown)).toFixed(1));
  }
} finally {
  await stop();
}
