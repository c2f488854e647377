// Drives Chromium, headless: no npm package, the DevTools protocol over a pipe.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--remote-debugging-pipe'];
const sleep = (ms) => new Promise((done) => { setTimeout(done, ms); });

/** Starts the browser; `send` gives it a command of the protocol, `open(page, view)` opens a file in a tab and waits until it has verified itself, where it does so. */
export function start(chromium, screenshots) {
  const profile = mkdtempSync(join(tmpdir(), 'trace-page-'));
  const stdio = ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'];
  const browser = spawn(chromium, [...FLAGS, `--user-data-dir=${profile}`, 'about:blank'], { stdio });
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

  async function open(page, { width = 1000, dark = false, media = '', verifies = true } = {}) {
    const { targetId } = await send('Target.createTarget', { url: 'about:blank' });
    const { sessionId } = await send('Target.attachToTarget', { targetId, flatten: true });
    const tab = (method, params) => send(method, params, sessionId);
    for (const domain of ['Runtime', 'Log', 'Network', 'Page', 'DOM']) await tab(`${domain}.enable`);
    await tab('Emulation.setDeviceMetricsOverride', { width, height: 900, deviceScaleFactor: 1, mobile: width < 500 });
    await tab('Emulation.setEmulatedMedia', { media, features: [{ name: 'prefers-color-scheme', value: dark ? 'dark' : 'light' }] });
    events.length = 0;
    await tab('Page.navigate', { url: pathToFileURL(resolve(page)).href });
    const ask = async (expression) => {
      const { result, exceptionDetails } = await tab('Runtime.evaluate', { expression, returnByValue: true, awaitPromise: true });
      assert(!exceptionDetails, JSON.stringify(exceptionDetails));
      return result.value;
    };
    const opened = verifies ? 'document.documentElement?.dataset.verified !== undefined'
      : 'document.readyState === "complete" && location.href !== "about:blank"';
    for (let round = 0; round < 600 && !await ask(opened); round += 1) await sleep(50);
    const shoot = async (name) => {
      const { cssContentSize: { height } } = await tab('Page.getLayoutMetrics');
      const clip = { x: 0, y: 0, width, height: Math.min(height, 6000), scale: 1 };
      const { data } = await tab('Page.captureScreenshot', { format: 'png', captureBeyondViewport: true, clip });
      writeFileSync(join(screenshots, `${name}.png`), Buffer.from(data, 'base64'));
    };
    const choose = async (selector, files) => {
      const { root } = await tab('DOM.getDocument');
      const { nodeId } = await tab('DOM.querySelector', { nodeId: root.nodeId, selector });
      await tab('DOM.setFileInputFiles', { files, nodeId });
    };
    const own = () => events.filter((event) => event.sessionId === sessionId);
    const isError = ({ method, params }) => (method === 'Runtime.consoleAPICalled' && params.type === 'error')
      || method === 'Runtime.exceptionThrown' || (method === 'Log.entryAdded' && params.entry.level === 'error');
    const noise = () => own().filter(isError);
    const requests = () => own().filter((event) => event.method === 'Network.requestWillBeSent').map((event) => event.params.request.url)
      .filter((url) => !/^(file:|blob:|data:)/.test(url));
    return { ask, shoot, choose, noise, requests, close: () => send('Target.closeTarget', { targetId }) };
  }

  async function stop() {
    const exited = new Promise((done) => { browser.once('exit', done); });
    // It stops what it has started itself, and then itself.
    await send('Browser.close').catch(() => browser.kill());
    await exited;
    rmSync(profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
  return { open, send, stop };
}
