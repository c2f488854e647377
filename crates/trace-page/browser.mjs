// Opens trace pages in Chromium and sees that they verify themselves, show what Rust derives, and refuse what they have to.
//
//     node browser.mjs CHROMIUM SCREENSHOTS PAGE… [--bad PAGE…] [--index INDEX…] [--stranger ROOT]
//
// Pages after --bad were changed, or are of another lot or chain: they have to say so, in red. An index has to link to pages that are there. A
// file beside a page with the ending `.json` has what Rust derives from it, `.root` a trust root, `.contract` the contract's ID, of which a reader
// may know. ROOT is another chain's trust root.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { start } from './chromium.mjs';

const [chromium, screenshots, ...words] = process.argv.slice(2);
mkdirSync(screenshots, { recursive: true });
const given = { pages: [], '--bad': [], '--index': [], '--stranger': [] };
for (let at = 0, kind = 'pages'; at < words.length; at += 1) {
  if (words[at] in given) kind = words[at];
  else given[kind].push(words[at]);
}
const stranger = given['--stranger'][0];
const { open, stop } = start(chromium, screenshots);

/** The longest that opening a page of 30 lines may take until all is verified and shown, in ms: the median of some openings. */
const GOAL = 200;
const OPENINGS = 9;

const FACTS = `({
  verified: document.documentElement.dataset.verified, verdict: document.getElementById('verdict').textContent,
  kind: document.getElementById('verdict').className,
  unpacked: performance.getEntriesByName('unpacked')[0]?.startTime, loaded: performance.getEntriesByName('loaded')[0]?.startTime,
  took: Number(document.documentElement.dataset.took), shown: Number(document.documentElement.dataset.shown),
  lines: document.querySelectorAll('#events > .line').length, good: document.querySelectorAll('#events > .line.good').length,
  bad: document.querySelectorAll('#events > .line.bad').length,
  proofs: [...document.querySelectorAll('.proof')].filter((it) => it.textContent.includes('signed by key')).length,
  plots: document.querySelectorAll('figure.plot svg').length, excursions: document.querySelectorAll('.reading.excursion').length,
  cut: document.documentElement.scrollWidth > document.documentElement.clientWidth,
  narrow: [...document.querySelectorAll('main p, main li, main dd, h1, h2, h3')].filter((it) => it.getBoundingClientRect().right > innerWidth + 1
    && !it.closest('.scroll')).length,
  outside: [...document.querySelectorAll('figure svg text')].filter((it) => {
    const [box, view] = [it.getBBox(), it.ownerSVGElement.viewBox.baseVal];
    return box.x < 0 || box.x + box.width > view.width + 1;
  }).map((it) => it.textContent),
  injected: document.querySelectorAll('img, iframe, main script, #lines b').length,
  reason: document.querySelector('.line.bad .proof')?.textContent ?? '',
  color: document.querySelector('.line.bad') && getComputedStyle(document.querySelector('.line.bad')).borderLeftColor,
  unnamed: document.querySelectorAll('svg[role=img]:not([aria-label]), input:not([id]), section:not([aria-labelledby])').length,
  unlabelled: [...document.querySelectorAll('input, textarea')].filter((it) => it.labels.length === 0).length,
  broken: [...document.querySelectorAll('a[href^="#"]')].filter((it) => !document.querySelector(it.getAttribute('href'))).length,
  landmarks: ['header', 'nav', 'main', 'footer'].filter((name) => !document.querySelector(name)).join(),
  language: document.documentElement.lang })`;

/** What the page says of its lines together, in the form of the file that Rust has written. */
const DERIVED = `(() => {
  const numbers = (element) => [...element?.querySelectorAll('a') ?? []].map((it) => Number(it.hash.slice('#line-'.length)));
  const said = (line, pattern) => [...line.querySelectorAll('.standing')].filter((it) => pattern.test(it.textContent))
    .map((it) => { const [before, after] = it.textContent.split('Right instead'); const count = (before.match(/line \\d+/g) ?? []).length;
      return { other: numbers(it).slice(0, count), instead: numbers(it).slice(count) }; })[0];
  return {
    flows: [...document.querySelectorAll('#graph tbody tr')].map((row) => [...row.cells].slice(0, 2).map((cell) => cell.textContent)),
    warnings: [...document.querySelectorAll('#warnings li')].map((it) => [numbers(it)[0], it.textContent]),
    state: (document.getElementById('state')?.textContent ?? '').split('; ').filter((it) => it)
      .map((it, at) => [it.split(' since ')[0], numbers(document.getElementById('state'))[at]]),
    lines: [...document.querySelectorAll('#events > .line')].map((line) => {
      const wrong = said(line, /^Declared wrong/);
      const declaration = said(line, /^Error declaration/);
      const struck = line.querySelector('h3 s') !== null;
      return {
        standing: wrong ? 'wrong' : declaration ? 'declaration' : 'stands', struck, marked: line.classList.contains('wrong'),
        aside: line.classList.contains('aside'),
        other: (wrong ?? declaration)?.other[0] ?? null, instead: (wrong ?? declaration)?.instead ?? [],
        corrects: said(line, /^Corrects/)?.other ?? [], disputed: said(line, /^Stands, though/)?.other ?? [],
      };
    }),
  };
})()`;

const clipped = (text) => (text.length > 300 ? `${text.slice(0, 300)}…` : text);
function compare(name, shown, derived) {
  const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
  const expected = derived.warnings.slice(0, 200);
  assert.equal(shown.warnings.length, expected.length, `${name}: ${JSON.stringify([shown.warnings, expected], null, 1)}`);
  expected.forEach(([line, text], at) => {
    assert.equal(shown.warnings[at][0], line, `${name}: ${text}`);
    assert(shown.warnings[at][1].startsWith(`${clipped(capital(text))} (`), `${name}: ${shown.warnings[at][1]} is not ${text}`);
  });
  const words = (disposition) => { const text = disposition.replaceAll('_', ' '); return text.length > 100 ? `${text.slice(0, 100)}…` : text; };
  assert.deepEqual(shown.state, derived.state.map(([disposition, line]) => [words(disposition), line]), name);
  derived.lines.forEach(({ holds, ...line }, at) => {
    const { struck, marked, aside, ...found } = shown.lines[at];
    assert(!aside, `${name}: line ${at + 1} belongs to the history`);
    assert.deepEqual(found, line, `${name}: line ${at + 1}`);
    assert.deepEqual([struck, marked], [line.standing === 'wrong', line.standing !== 'stands'], `${name}: line ${at + 1}`);
  });
  for (const line of shown.lines.slice(derived.lines.length)) assert(line.aside, `${name}: a line that doesn't belong to the history`);
  if (derived.flows.length <= 200) assert.deepEqual(shown.flows.sort(), derived.flows.sort(), `${name}: what became of what`);
}

/** What the reader gives, and the verdict on the page then. */
async function judged(view, { root, file, contract = '' }) {
  await view.ask('document.getElementById("trust").reset()');
  if (file) await view.choose('#trust-file', [resolve(file)]);
  return view.ask(`(async () => {
    document.getElementById('trust-text').value = ${JSON.stringify(root ?? '')};
    document.getElementById('contract').value = ${JSON.stringify(contract)};
    const verdict = document.getElementById('verdict');
    verdict.className = '';
    document.getElementById('trust').requestSubmit();
    for (let round = 0; round < 1000 && verdict.className === ''; round += 1) await new Promise((done) => setTimeout(done, 10));
    return { kind: verdict.className, text: verdict.textContent, good: document.querySelectorAll('.line.good').length };
  })()`);
}

async function readersChoice(view, page, name, isModule) {
  const beside = (ending) => page.replace(/\.html$/, ending);
  const good = isModule ? 'own' : 'good';
  const own = await view.ask('JSON.parse(document.getElementById("trace-data").textContent).trust_root');
  assert.equal((await judged(view, { root: own })).kind, good, `${name}: its own trust root, pasted`);
  for (const wrong of [{ root: 'AAAA' }, { root: '?' }]) {
    const { kind, text, good: lines } = await judged(view, wrong);
    assert.deepEqual([kind, lines, text.startsWith('NOT VERIFIED: ')], ['bad', 0, true], `${name}: ${text}`);
  }
  if (existsSync(beside('.root'))) {
    assert.equal((await judged(view, { file: beside('.root') })).kind, good, `${name}: a trust root in a file`);
  }
  if (stranger) {
    for (const foreign of [{ file: stranger }, { root: readFileSync(stranger).toString('base64') }]) {
      const { kind, text, good: lines } = await judged(view, foreign);
      assert.deepEqual([kind, lines], ['bad', 0], `${name}: ${text}`);
      assert.match(text, /NOT VERIFIED: the checkpoint is not trusted: /);
    }
  }
  const other = await judged(view, { root: own, contract: '12'.repeat(32) });
  assert.deepEqual([other.kind, other.good], ['bad', 0]);
  assert.match(other.text, /NOT VERIFIED: the events are stored by contract [0-9a-f]{64}, not by (12){32}/);
  if (existsSync(beside('.contract'))) {
    const contract = readFileSync(beside('.contract'), 'utf8');
    assert.equal((await judged(view, { root: own, contract })).kind, 'good', `${name}: its contract`);
    assert.equal((await judged(view, { contract })).kind, 'own', `${name}: a contract on its own`);
  }
  const { kind } = await judged(view, {});
  assert.equal(kind, 'own', `${name}: nothing given is the page's own word`);
}

async function verifies(page, first) {
  const name = basename(page, '.html');
  const view = await open(page);
  const facts = await view.ask(FACTS);
  assert.equal(facts.verified, 'true', `${name}: ${facts.verdict}`);
  assert.deepEqual([facts.good, facts.proofs, facts.kind], [facts.lines, facts.lines, 'own'], `${name}: ${JSON.stringify(facts)}`);
  assert.match(facts.verdict, /The trust root is the page's own word/);
  const isModule = await view.ask('document.getElementById("evidence-shown").textContent.includes("a WebAssembly module")');
  assert.equal(/module of the page's own choice/.test(facts.verdict), isModule, `${name}: ${facts.verdict}`);
  assert.deepEqual([facts.cut, facts.injected, facts.unnamed, facts.unlabelled, facts.landmarks, facts.language], [false, 0, 0, 0, '', 'en'], name);
  assert.equal(facts.broken, 0, `${name}: links to lines that aren't there`);
  assert.deepEqual(facts.outside, [], `${name}: words beyond a drawing's edge`);
  const measured = await view.ask('/"type":"Temperature","uom":"CEL","value":|"uom":"CEL","value":/.test(document.body.textContent)');
  if (measured) assert(facts.plots > 0, `${name}: no plots`);
  const derived = page.replace(/\.html$/, '.json');
  if (existsSync(derived)) compare(name, await view.ask(DERIVED), JSON.parse(readFileSync(derived, 'utf8')));
  await readersChoice(view, page, name, isModule);
  assert.deepEqual([view.noise(), view.requests()], [[], []], `${name}: console or network`);
  await view.close();
  const more = first ? [['dark', { dark: true }], ['print', { media: 'print', width: 794 }], ['wide', {}]] : [];
  for (const [kind, options] of [['phone', { width: 360 }], ...more]) {
    const shown = await open(page, options);
    const seen = await shown.ask(FACTS);
    assert.deepEqual([seen.cut, seen.narrow], [false, 0], `${name}: something is cut at ${kind}`);
    assert.deepEqual(shown.noise(), [], `${name}: console at ${kind}`);
    if (first || seen.lines > 100 || seen.lines === 1 || seen.excursions > 0) await shown.shoot(`${name}-${kind}`);
    await shown.close();
  }
  return facts;
}

async function refuses(page) {
  const name = basename(page, '.html');
  const view = await open(page);
  const facts = await view.ask(FACTS);
  assert.notEqual(facts.verified, 'true', `${name}: ${facts.verdict}`);
  assert.match(facts.verdict, /NOT VERIFIED: .{20,}/);
  assert.equal(facts.kind, 'bad');
  if (facts.bad > 0) {
    assert(facts.reason.length > 20, `${name}: no reason`);
    assert.equal(facts.color, 'rgb(168, 18, 27)', `${name}: not red`);
  } else assert.match(facts.verdict, /left out/, `${name}: no line is red`);
  assert.deepEqual([view.noise(), view.requests()], [[], []], `${name}: console or network`);
  await view.shoot(`${name}-red`);
  console.log(`page: ${name}: ${facts.bad} of ${facts.lines} lines are red: ${facts.reason || facts.verdict}`);
  await view.close();
}

async function isIndex(page) {
  const links = [];
  for (const width of [1000, 360]) {
    const view = await open(page, { width, verifies: false });
    const facts = await view.ask(`({ links: [...document.querySelectorAll('a')].map((it) => it.getAttribute('href')),
      cut: document.documentElement.scrollWidth > document.documentElement.clientWidth, scripts: document.scripts.length,
      color: getComputedStyle(document.body).color, rows: document.querySelectorAll('tbody tr').length })`);
    assert.deepEqual([facts.cut, facts.scripts, facts.rows], [false, 0, facts.links.length], `${page} at ${width} px`);
    assert.deepEqual([view.noise(), view.requests()], [[], []], `${page}: console or network`);
    await view.shoot(`index-${width}`);
    await view.close();
    links.push(...facts.links);
  }
  assert(links.length > 0, `${page} links to nothing`);
  for (const link of links) assert(existsSync(join(dirname(page), link)), `${page} links to ${link}, which isn't there`);
  // A link leads where it says.
  const view = await open(page, { verifies: false });
  await view.ask('document.querySelector("a").click()');
  for (let round = 0; round < 200; round += 1) {
    if (await view.ask('document.documentElement.dataset.verified === "true"').catch(() => false)) break;
    await new Promise((done) => { setTimeout(done, 50); });
  }
  assert.match(await view.ask('document.getElementById("verdict").textContent'), /lines? verified/);
  await view.close();
}

/** From the beginning of the navigation until everything is verified and shown, and of that verifying alone, unpacking included: medians, in ms. */
async function opening(page) {
  const times = [];
  for (let round = 0; round < OPENINGS; round += 1) {
    const view = await open(page);
    times.push(await view.ask(FACTS));
    await view.close();
  }
  const sorted = (name) => times.map((it) => it[name]).sort((a, b) => a - b);
  const [shown, took, unpacked, loaded] = ['shown', 'took', 'unpacked', 'loaded'].map(sorted);
  const middle = OPENINGS >> 1;
  console.log(`page: ${basename(page)}: ${times[0].lines} lines; verified after ${took[middle]} ms, all shown ${shown[middle]} ms after the `
    + `navigation began (unpacked at ${unpacked[middle].toFixed(0)}, verifier compiled at ${loaded[middle].toFixed(0)}; medians of ${OPENINGS}; `
    + `longest ${took.at(-1)} and ${shown.at(-1)} ms; the goal for verifying 30 lines is ${GOAL} ms)`);
  return { lines: times[0].lines, took: took[middle], shown: shown[middle] };
}

try {
  const seen = [];
  for (const page of given.pages) seen.push({ page, ...await verifies(page, seen.length === 0) });
  for (const page of given['--bad']) await refuses(page);
  for (const page of given['--index']) await isIndex(page);
  const took = seen.filter(({ lines }) => lines <= 30).map((facts) => facts.took).sort((a, b) => a - b);
  console.log(`page: ${seen.length} pages verified themselves, ${given['--bad'].length} others say that they don't hold; of at most 30 lines, `
    + `verifying took ${took.at(took.length >> 1)} ms (median), ${took.at(-1)} ms (longest)`);
  const thirty = seen.filter(({ lines }) => lines >= 30 && lines <= 60).sort((a, b) => a.lines - b.lines)[0];
  if (thirty) {
    const measured = await opening(thirty.page);
    assert(measured.took <= GOAL, `${measured.lines} lines took ${measured.took} ms to verify; the goal is ${GOAL} ms`);
  }
} finally {
  await stop();
}
