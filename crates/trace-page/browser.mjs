// Opens trace pages in Chromium, headless, and sees that they verify themselves: no npm package, the DevTools protocol over a pipe.
//
//     node browser.mjs CHROMIUM SCREENSHOTS PAGE… [--bad PAGE…]
//
// Pages after --bad were changed: they have to say so, in red.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const [chromium, screenshots, ...pages] = process.argv.slice(2);
mkdirSync(screenshots, { recursive: true });
const profile = mkdtempSync(join(tmpdir(), 'trace-page-'));
const browser = spawn(chromium, ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--remote-debugging-pipe', `--user-data-dir=${profile}`, 'about:blank'],
{ stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });

const waiting = new Map();
const events = [];
let number = 0;
let rest = Buffer.alloc(0);
browser.stdio[4].on('data', (bytes) => {
  rest = Buffer.concat([rest, bytes]);
  for (let end; (end = rest.indexOf(0)) >= 0; rest = rest.subarray(end + 1)) {
    const message = JSON.parse(rest.subarray(0, end).toString());
    if (message.id === undefined) events.push(message);
    else waiting.get(message.id)(message);
  }
});
const send = (method, params = {}, sessionId = undefined) => new Promise((done, failed) => {
  number += 1;
  const timer = setTimeout(() => failed(new Error(`${method} has no answer after 60 s`)), 60_000);
  waiting.set(number, ({ result, error }) => {
    clearTimeout(timer);
    if (error) failed(new Error(`${method}: ${error.message}`));
    else done(result);
  });
  browser.stdio[3].write(`${JSON.stringify({ id: number, method, params, sessionId })}\0`);
});
const sleep = (ms) => new Promise((done) => { setTimeout(done, ms); });

async function open(page, { width = 1000, dark = false, media = '' } = {}) {
  const { targetId } = await send('Target.createTarget', { url: 'about:blank' });
  const { sessionId } = await send('Target.attachToTarget', { targetId, flatten: true });
  const tab = (method, params) => send(method, params, sessionId);
  for (const domain of ['Runtime', 'Log', 'Network', 'Page']) await tab(`${domain}.enable`);
  await tab('Emulation.setDeviceMetricsOverride', { width, height: 900, deviceScaleFactor: 1, mobile: width < 500 });
  await tab('Emulation.setEmulatedMedia', { media, features: [{ name: 'prefers-color-scheme', value: dark ? 'dark' : 'light' }] });
  events.length = 0;
  await tab('Page.navigate', { url: pathToFileURL(resolve(page)).href });
  const ask = async (expression) => {
    const { result, exceptionDetails } = await tab('Runtime.evaluate', { expression, returnByValue: true, awaitPromise: true });
    assert(!exceptionDetails, JSON.stringify(exceptionDetails));
    return result.value;
  };
  for (let round = 0; round < 600; round += 1) {
    if (await ask('document.documentElement?.dataset.verified !== undefined')) break;
    await sleep(50);
  }
  const shoot = async (name) => {
    const { cssContentSize: { height } } = await tab('Page.getLayoutMetrics');
    const clip = { x: 0, y: 0, width, height: Math.min(height, 6000), scale: 1 };
    const { data } = await tab('Page.captureScreenshot', { format: 'png', captureBeyondViewport: true, clip });
    writeFileSync(join(screenshots, `${name}.png`), Buffer.from(data, 'base64'));
  };
  const own = events.filter((event) => event.sessionId === sessionId);
  const noise = own.filter((event) => (event.method === 'Runtime.consoleAPICalled' && event.params.type === 'error')
    || event.method === 'Runtime.exceptionThrown' || (event.method === 'Log.entryAdded' && event.params.entry.level === 'error'));
  const requests = own.filter((event) => event.method === 'Network.requestWillBeSent').map((event) => event.params.request.url)
    .filter((url) => !/^(file:|blob:|data:)/.test(url));
  return { ask, shoot, tab, noise, requests, close: () => send('Target.closeTarget', { targetId }) };
}

const FACTS = `({
  verified: document.documentElement.dataset.verified, took: Number(document.documentElement.dataset.took), verdict: document.getElementById('verdict').textContent,
  lines: document.querySelectorAll('#events > .line').length, good: document.querySelectorAll('#events > .line.good').length, bad: document.querySelectorAll('#events > .line.bad').length,
  proofs: [...document.querySelectorAll('.proof')].filter((it) => it.textContent.includes('signed by key')).length,
  plots: document.querySelectorAll('figure.plot svg').length, readings: document.querySelectorAll('.reading').length, excursions: document.querySelectorAll('.reading.excursion').length,
  warnings: document.querySelectorAll('#warnings li').length, stops: document.querySelectorAll('.route li').length, boxes: document.querySelectorAll('#graph rect').length,
  cut: document.documentElement.scrollWidth > document.documentElement.clientWidth, injected: document.querySelectorAll('img, iframe, main script, #lines b').length,
  reason: document.querySelector('.line.bad .proof')?.textContent ?? '', color: document.querySelector('.line.bad') && getComputedStyle(document.querySelector('.line.bad')).borderLeftColor,
  unnamed: [...document.querySelectorAll('svg[role=img]:not([aria-label]), input:not([type=file]):not([id]), section:not([aria-labelledby])')].length,
  landmarks: ['header', 'nav', 'main', 'footer'].filter((name) => !document.querySelector(name)).join(), language: document.documentElement.lang })`;

const took = [];
let opened = 0;
try {
  const bad = pages.indexOf('--bad');
  const [good, changed] = bad < 0 ? [pages, []] : [pages.slice(0, bad), pages.slice(bad + 1)];
  for (const page of good) {
    const name = basename(page, '.html');
    const wide = await open(page);
    const facts = await wide.ask(FACTS);
    assert.equal(facts.verified, 'true', `${name}: ${facts.verdict}`);
    assert.equal(facts.good, facts.lines, `${name}: ${JSON.stringify(facts)}`);
    assert.equal(facts.proofs, facts.lines);
    assert.match(facts.verdict, /the page's own word/);
    assert.deepEqual([wide.noise, wide.requests], [[], []], `${name}: console or network`);
    assert.deepEqual([facts.cut, facts.injected, facts.unnamed, facts.landmarks, facts.language], [false, 0, 0, '', 'en'], name);
    if (await wide.ask('document.body.textContent.includes(\'"Temperature"\')')) assert(facts.plots > 0, `${name}: no plots`);
    if (facts.lines <= 30) took.push(facts.took);
    // The page's own trust root, given by the reader, is a reader's; another chain's is refused.
    const given = await wide.ask(`(async () => {
      const text = document.getElementById('trust-text');
      text.value = JSON.parse(document.getElementById('trace-data').textContent).trust_root;
      document.getElementById('trust').requestSubmit();
      await new Promise((done) => setTimeout(done, 100));
      const first = document.getElementById('verdict').className;
      text.value = 'AAAA';
      document.getElementById('trust').requestSubmit();
      await new Promise((done) => setTimeout(done, 100));
      return [first, document.getElementById('verdict').className, document.querySelectorAll('.line.good').length];
    })()`);
    assert.deepEqual(given, ['good', 'bad', 0], `${name}: trust root given by the reader`);
    await wide.close();
    const first = opened === 0;
    for (const [kind, options] of [['phone', { width: 360 }], ...(first ? [['dark', { dark: true }], ['print', { media: 'print', width: 794 }], ['wide', {}]] : [])]) {
      const view = await open(page, options);
      const seen = await view.ask(FACTS);
      assert.equal(seen.cut, false, `${name}: something is cut at ${kind}`);
      if (first || seen.lines > 100 || seen.lines === 1 || seen.excursions > 0) await view.shoot(`${name}-${kind}`);
      await view.close();
    }
    opened += 1;
  }
  for (const page of changed) {
    const name = basename(page, '.html');
    const view = await open(page);
    const facts = await view.ask(FACTS);
    assert.notEqual(facts.verified, 'true', `${name}: ${facts.verdict}`);
    assert(facts.bad >= 1, `${name}: no line is red: ${JSON.stringify(facts)}`);
    assert.match(facts.verdict, /NOT VERIFIED/);
    assert(facts.reason.length > 20, `${name}: no reason`);
    assert.equal(facts.color, 'rgb(168, 18, 27)', `${name}: not red`);
    await view.shoot(`${name}-red`);
    console.log(`page: ${name}: ${facts.bad} of ${facts.lines} lines are red: ${facts.reason}`);
    await view.close();
  }
  took.sort((a, b) => a - b);
  console.log(`page: ${opened} pages verified themselves, ${changed.length} changed ones say so; of at most 30 lines, opening took ${took.at(took.length >> 1)} ms (median), ${took.at(-1)} ms (longest)`);
} finally {
  browser.kill();
  await new Promise((done) => { browser.once('exit', done); });
  rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
}
