// The package does what its README says: with the golden proofs of ledger-core, and with the trace pages in the folder that LEDGERKIT_PAGES names.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { inflateSync } from 'node:zlib';
import { contentOf, exactly, isFaulty, mentions, short } from './epcis.js';
import { checkTrace, instant, load, readPieces } from './verifier.js';

const here = (name) => new URL(name, import.meta.url);
const wasm = readFileSync(here('ledger_verifier.wasm'));
const golden = (name) => new Map(readFileSync(here(`../../crates/ledger-core/tests/golden/${name}.hex`), 'utf8').trim().split('\n').map((line) => {
  const at = line.lastIndexOf(' = ');
  return [line.slice(0, at), Buffer.from(line.slice(at + 3), 'hex')];
}));

test('the module is the one whose digest stands beside it, and small', () => {
  const [digest] = readFileSync(here('SHA256SUMS'), 'utf8').split(' ');
  assert.equal(createHash('sha256').update(wasm).digest('hex'), digest);
  assert(wasm.length < 250_000);
});

test('one proof, or many against one checkpoint, say the same', async () => {
  const verifier = await load(wasm);
  const [checkpoint, root] = ['checkpoint at 4', 'trust root'].map((name) => golden('checkpoint').get(name));
  assert(!verifier.check(golden('proof').get('receipt')).holds, 'nothing was opened yet');
  const opened = verifier.open(checkpoint, root);
  assert(opened.holds);
  assert.equal(opened.value.signed_by.length, 1);
  for (const [name, proof] of golden('proof')) assert.deepEqual(verifier.check(proof), verifier.verify(proof, checkpoint, root), name);
  const other = Buffer.from(checkpoint);
  other[40] ^= 1;
  assert(!verifier.open(other, root).holds);
  assert(!verifier.check(golden('proof').get('receipt')).holds, 'a checkpoint that is refused leaves none open');
});

test('a network\'s checkpoint names all who signed it', async () => {
  const [bundle, root] = ['checkpoint at 8, bundle', 'trust root'].map((name) => golden('epochs').get(name));
  const { holds, value } = (await load(wasm)).open(bundle, root);
  assert(holds, value.error);
  // Of an epoch whose validators the genesis doesn't name.
  assert.deepEqual(value.signed_by, []);
});

test('times are read with their zones', () => {
  assert.equal(instant('2026-01-31T12:00:00+02:00'), Date.UTC(2026, 0, 31, 10));
  assert.equal(instant('2026-01-31T12:00:00.123456789', '-01:00'), Date.UTC(2026, 0, 31, 13, 0, 0, 123) + 0.456789);
  assert.equal(instant('2026-01-31T23:59:60Z'), Date.UTC(2026, 0, 31, 23, 59, 59));
  assert(Number.isNaN(instant(7)));
});

const written = process.env.LEDGERKIT_EVENTS;
test('events are read as in Rust: which are the same, when they were, and what they name', { skip: written === undefined }, () => {
  const [byRust, byUs] = [new Map(), new Map()];
  const cases = JSON.parse(readFileSync(written, 'utf8'));
  assert(cases.length > 600);
  cases.forEach(({ event: text, content, time, items }, number) => {
    const event = exactly(text);
    // The first event of the same content, by either's word.
    const [first, ours] = [[byRust, content], [byUs, contentOf(event)]].map(([map, key]) => map.get(key) ?? map.set(key, number).get(key));
    assert.equal(ours, first, text);
    const nanoseconds = BigInt(Math.round(instant(event.eventTime, event.eventTimeZoneOffset))) * 1_000_000n - BigInt(time);
    assert(-1_000_000n < nanoseconds && nanoseconds < 1_000_000n, text);
    assert.deepEqual(mentions(event).map(({ role, item }) => [role, item, isFaulty(item), short(item)]), items, text);
  });
  console.log(`${cases.length} events, ${byUs.size} different`);
});

const folder = process.env.LEDGERKIT_PAGES;
const unescape = (text) => text.replace(/&(amp|lt|gt|quot|#39|#13);/g, (_, name) => ({ amp: '&', lt: '<', gt: '>', quot: '"', '#39': '\'', '#13': '\r' })[name]);
function traceOf(path) {
  const html = readFileSync(path, 'utf8');
  const data = JSON.parse(/id="trace-data">([^<]*)</.exec(html)[1]);
  const bytes = (text) => new Uint8Array(Buffer.from(text, 'base64'));
  const events = [...html.matchAll(/<pre class="signed">([^<]*)</g)].map(([, text]) => new TextEncoder().encode(unescape(text)));
  return { trustRoot: bytes(data.trust_root), checkpoint: bytes(data.checkpoint), item: data.item, pieces: readPieces(new Uint8Array(inflateSync(bytes(data.proofs)))), events };
}

test('traces hold, and with a byte changed anywhere they don\'t', { skip: folder === undefined }, async () => {
  const verifier = await load(wasm);
  const pages = readdirSync(folder).filter((name) => name.endsWith('.html') && name !== 'index.html');
  const traces = pages.map((name) => traceOf(join(folder, name)));
  assert(traces.length > 0);
  for (const trace of traces) {
    const checked = checkTrace(verifier, trace);
    assert(checked.holds, checked.faults[0]);
  }
  const trace = traces.find((it) => it.events.length > 8 && it.events.length < 30);
  const flip = (bytes, at) => { const copy = bytes.slice(); copy[at % copy.length] ^= 1 << (at % 8); return copy; };
  let refused = 0;
  trace.events.forEach((event, line) => {
    for (let at = 0; at < event.length; at += 97) {
      const events = trace.events.with(line, flip(event, at));
      const { holds, lines } = checkTrace(verifier, { ...trace, events });
      assert(!holds && lines[line].error, `byte ${at} of line ${line}`);
      assert.equal(lines.filter((it) => it.error).length, 1);
      refused += 1;
    }
  });
  trace.pieces.forEach((piece, index) => {
    for (let at = 3; at < piece.bytes.length; at += 131) {
      const pieces = trace.pieces.with(index, { ...piece, bytes: flip(piece.bytes, at) });
      assert(!checkTrace(verifier, { ...trace, pieces }).holds, `byte ${at} of piece ${index}`);
      refused += 1;
    }
  });
  for (let at = 0; at < trace.checkpoint.length; at += 7) assert(!checkTrace(verifier, { ...trace, checkpoint: flip(trace.checkpoint, at) }).holds);
  const without = checkTrace(verifier, { ...trace, events: trace.events.slice(1), pieces: trace.pieces.filter((it) => it.event !== 0).map((it) => ({ ...it, event: Math.max(it.event - 1, -1) })) });
  assert(!without.holds && without.faults.length > 0, 'a line left out is missed');
  const [one, other] = traces;
  assert(!checkTrace(verifier, { ...one, item: other.item }).holds, 'another lot');
  assert(!checkTrace(verifier, { ...one, pieces: other.pieces }).holds, 'another lot\'s proofs');
  console.log(`${traces.length} traces hold; ${refused} changed ones don't`);
});
