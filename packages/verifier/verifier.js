// Verifies ledgerkit's proofs and traces. No network, no clock, no dependencies: what it trusts is the trust root it is given.
// @ts-check
import { contentOf, exactly, instant, mentions } from './epcis.js';

export { instant } from './epcis.js';

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const utf8 = (bytes) => decoder.decode(bytes);
const letter = (nibble) => nibble + (nibble < 10 ? 48 : 87);
const nibble = (letter) => letter - (letter < 58 ? 48 : 87);
// Letter by letter, since a page has megabytes of it in some events, and in a contract's code.
function hex(bytes) {
  const letters = new Uint8Array(bytes.length * 2);
  for (let at = 0; at < bytes.length; at += 1) {
    letters[2 * at] = letter(bytes[at] >> 4);
    letters[2 * at + 1] = letter(bytes[at] & 15);
  }
  return utf8(letters);
}
function unhex(text) {
  const bytes = new Uint8Array(text.length >> 1);
  for (let at = 0; at < bytes.length; at += 1) bytes[at] = (nibble(text.charCodeAt(2 * at)) << 4) | nibble(text.charCodeAt(2 * at + 1));
  return bytes;
}

/** Compiles at once where that is allowed: handing it to other threads takes browsers ten times as long as so small a module. */
async function compiled(module) {
  try {
    return new WebAssembly.Instance(new WebAssembly.Module(module));
  } catch (error) {
    // Older browsers compile no more than 4 KB so.
    if (!(error instanceof RangeError)) throw error;
    return (await WebAssembly.instantiate(module)).instance;
  }
}

/** Loads the module `ledger_verifier.wasm` from its bytes. */
export async function load(module) {
  const instance = await compiled(module);
  const wasm = instance.exports;
  const put = (slot, bytes) => {
    const address = wasm.input(slot, bytes.length);
    if (bytes.length > 0 && address === 0) throw new RangeError(`an input of ${bytes.length} bytes is too long`);
    new Uint8Array(wasm.memory.buffer, address, bytes.length).set(bytes);
  };
  const answer = (holds) => {
    const text = utf8(new Uint8Array(wasm.memory.buffer, wasm.result(), wasm.result_length()));
    return { holds: holds === 1, value: JSON.parse(text) };
  };
  return {
    verify(proof, checkpoint, trustRoot) {
      [proof, checkpoint, trustRoot].forEach((bytes, slot) => put(slot, bytes));
      return answer(wasm.verify());
    },
    open(checkpoint, trustRoot) {
      put(1, checkpoint);
      put(2, trustRoot);
      return answer(wasm.open());
    },
    check(proof) {
      put(0, proof);
      return answer(wasm.check());
    },
  };
}

/** Reads bytes as the ledger's encoding writes them: integers of variable length, and lengths before what has one. */
class Reader {
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
  }

  take(count) {
    if (!(this.at + count <= this.bytes.length)) throw new RangeError('a value ends too early');
    this.at += count;
    return this.bytes.subarray(this.at - count, this.at);
  }

  number() {
    const [first] = this.take(1);
    if (first <= 250) return first;
    if (first > 252) throw new RangeError('a number is out of range');
    return this.take(first === 251 ? 2 : 4).reduceRight((sum, byte) => sum * 256 + byte, 0);
  }

  text() {
    return utf8(this.take(this.number()));
  }
}

/** The pieces of a trace page: for each its length, 1 + the number of its event or 0, where the event belongs, and its bytes. */
export function readPieces(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const pieces = [];
  for (let at = 0; at < bytes.length;) {
    const [length, event, place] = [0, 4, 8].map((offset) => view.getUint32(at + offset, true));
    if (at + 12 + length > bytes.length || place > length) throw new RangeError('the proofs are cut off');
    pieces.push({ bytes: bytes.subarray(at + 12, at + 12 + length), event: event - 1, at: place });
    at += 12 + length;
  }
  return pieces;
}

function whole(piece, events) {
  if (piece.event < 0) return piece.bytes;
  const event = events[piece.event];
  if (event === undefined) throw new RangeError('a proof belongs to an event that is not shown');
  const joined = new Uint8Array(piece.bytes.length + event.length);
  joined.set(piece.bytes.subarray(0, piece.at));
  joined.set(event, piece.at);
  joined.set(piece.bytes.subarray(piece.at), piece.at + event.length);
  return joined;
}

const ROLES = ['subject', 'input', 'output', 'parent', 'child', 'process'];
const TRACEABILITY = 'traceability';

/**
 * Verifies a trace line by line: `events` are the events' bytes as they are shown, `pieces` are the proofs without them. Which line doesn't
 * hold, and why, is in `lines`; whether the lines are all there are is in `faults`, which is empty when nothing is left out. With `expected`,
 * the ID of a contract, only what that contract has stored holds.
 */
export function checkTrace(verifier, { trustRoot, checkpoint, item, pieces, events, expected }) {
  const opened = verifier.open(checkpoint, trustRoot);
  const nothing = (why) => ({
    holds: false, error: why, checkpoint: opened.holds ? opened.value : null, contract: null, code: null,
    lines: events.map(() => ({ error: why })), items: new Map(), flows: [], faults: [why], own: new Set(),
  });
  if (!opened.holds) return nothing(`the checkpoint is not trusted: ${opened.value.error}`);
  let contract;
  let code;
  try {
    const deployed = verifier.check(whole(pieces[0] ?? { bytes: new Uint8Array(), event: -1 }, events));
    if (!deployed.holds) return nothing(`the contract's deployment: ${deployed.value.error}`);
    const { deploy } = deployed.value.transaction.action;
    contract = deploy.contract;
    if (expected !== undefined && expected !== contract) {
      return nothing(`the events are stored by contract ${contract}, not by ${expected}`);
    }
    const content = new Reader(unhex(deployed.value.body.content));
    code = { runtime: deploy.runtime, bytes: content.take(content.number()).slice(), deployer: deployed.value.transaction.account };
    if (deploy.runtime === 'native' && utf8(code.bytes) !== TRACEABILITY) return nothing('the code is another contract\'s');
    if (!['native', 'wasm'].includes(deploy.runtime)) return nothing('the code is another contract\'s');
  } catch {
    return nothing('the contract\'s deployment is not proven');
  }

  const state = new Map();
  const records = events.map(() => null);
  const unreadable = events.map(() => null);
  for (const piece of pieces.slice(1)) {
    let proven;
    try {
      const { holds, value } = verifier.check(whole(piece, events));
      if (!holds) throw new Error(value.error);
      proven = value;
    } catch (error) {
      unreadable[piece.event] ??= error.message;
      continue;
    }
    if (proven.proven === 'state' && proven.key.namespace === contract) state.set(proven.key.name, proven.value);
    if (proven.proven === 'transaction' && piece.event >= 0) records[piece.event] ??= proven;
  }

  const recorded = recordedIn(state);
  const lines = events.map((event, index) => line(event, records[index], unreadable[index], contract, recorded));
  const byKey = new Map(lines.filter((it) => !it.error).map((it) => [it.key, it]));
  const { items, faults } = itemsOf(state, byKey);
  lines.forEach((it, index) => it.error && faults.push(`line ${index + 1} is not proven`));
  declare([...byKey.values()]);
  const walk = walkFrom(item, items, byKey, faults);
  for (const it of byKey.values()) it.included = walk.included.has(it.key);
  const holds = faults.length === 0;
  return { holds, checkpoint: opened.value, contract, code, lines, items, flows: walk.flows, own: walk.own, faults };
}

/** The events in the state, by their bytes: under which key, for which account, and by which transaction. */
function recordedIn(state) {
  const recorded = new Map();
  for (const [name, stored] of state) {
    if (!name.startsWith('65') || name.length !== 66 || stored === null) continue;
    try {
      // The account, the event's length, and the event.
      const reader = new Reader(unhex(stored.value.slice(0, 80)));
      const recorder = hex(reader.take(32));
      const length = reader.number();
      const event = stored.value.slice(2 * reader.at);
      if (event.length === 2 * length) recorded.set(event, { key: name.slice(2), recorder, version: stored.version });
    } catch {
      // What isn't written as the contract writes it is no event.
    }
  }
  return recorded;
}

/** One event: signed in a block, and in the checkpoint's state from there. */
function line(event, record, unreadable, contract, recorded) {
  const failed = (why) => ({ error: why });
  if (unreadable) return failed(unreadable);
  if (!record) return failed('who recorded this event is not proven');
  const { account, key: signedBy, action } = record.transaction;
  if (action.call?.contract !== contract || action.call?.method !== 'record') return failed('the transaction is no record of an event');
  const content = hex(event);
  if (record.body?.content !== content) return failed('the transaction records another event than the one that is shown');
  const stored = recorded.get(content);
  if (!stored) return failed('the event is not proven to be in the checkpoint\'s state');
  const { key, recorder, version: { height, index } } = stored;
  if (recorder !== account || height !== record.place.height || index !== record.place.index) {
    return failed('the state has this event from another transaction');
  }
  try {
    const text = utf8(event);
    const [json, exact] = [JSON.parse(text), exactly(text)];
    return {
      key, event: json, exact, recorder, signedBy, transaction: record.id, place: record.place, roles: mentions(exact),
      time: instant(json.eventTime, json.eventTimeZoneOffset), included: false, wrong: null, declares: null, disputed: [],
    };
  } catch {
    return failed('the event is not JSON');
  }
}

/** Each proven item with all its links; what is missing for that is a fault. */
function itemsOf(state, byKey) {
  const items = new Map();
  const faults = [];
  for (const [name, stored] of state) {
    if (!name.startsWith('69') || stored === null) continue;
    const record = new Reader(unhex(stored.value));
    const item = { item: record.text(), links: [] };
    const count = record.number();
    for (let number = 0; number < count; number += 1) {
      const link = state.get(`6c${name.slice(2)}${number.toString(16).padStart(8, '0')}`);
      if (!link) {
        faults.push(`event ${number + 1} of ${count} that name ${item.item} is not proven`);
        break;
      }
      const [event, role] = [link.value.slice(0, 64), ROLES[parseInt(link.value.slice(64), 16)]];
      if (!byKey.has(event)) faults.push(`an event that names ${item.item} is not among the lines that hold (${event})`);
      item.links.push({ event, role });
    }
    items.set(item.item, item);
  }
  return { items, faults };
}

const isVoid = (it) => it.wrong !== null || it.event.errorDeclaration !== undefined;

/** Links error declarations to the events that they are about, whose content they repeat. */
function declare(lines) {
  const height = (it) => Number(it.place.height);
  const declarations = lines.filter((it) => it.event.errorDeclaration !== undefined)
    .sort((a, b) => height(a) - height(b) || a.place.index - b.place.index);
  const when = (it) => instant(it.event.errorDeclaration?.declarationTime, it.event.eventTimeZoneOffset);
  for (const by of declarations) {
    if (Number.isNaN(when(by))) continue;
    const content = contentOf(by.exact);
    // Equal content happened at one time, so that few have to be compared.
    const about = lines.find((it) => it.event.errorDeclaration === undefined && it.time === by.time && contentOf(it.exact) === content);
    if (!about) continue;
    by.declares = about.key;
    const earlier = lines.find((it) => it.key === about.wrong);
    if (about.recorder !== by.recorder) about.disputed.push(by.key);
    // Of several declarations by the recorder the last one counts.
    else if (!earlier || when(earlier) <= when(by)) about.wrong = by.key;
  }
}

/**
 * The walk of `ledger_traceability::walk`, over proven links: which events are the item's history, and what became of what. An item that it
 * needs and that isn't there is a fault.
 */
function walkFrom(start, items, byKey, faults) {
  const [included, own, flows, done, todo, missing] = [new Set(), new Set(), [], new Set(), [], new Set()];
  const of = (it, role) => it.roles.filter((entry) => entry.role === role).map((entry) => entry.item);
  const push = (step) => {
    const id = JSON.stringify(step);
    if (!done.has(id)) {
      done.add(id);
      todo.push(step);
    }
  };
  const always = [-Infinity, Infinity];
  const linked = (item) => {
    if (!items.has(item) && !missing.has(item)) {
      missing.add(item);
      faults.push(`how many events name ${item} is not proven`);
    }
    return (items.get(item)?.links ?? []).map((link) => ({ ...link, it: byKey.get(link.event) })).filter((link) => link.it)
      .sort((a, b) => a.it.time - b.it.time || (a.event < b.event ? -1 : 1));
  };
  push({ item: start, up: true, down: true, into: true, own: true, within: always });
  while (todo.length > 0) {
    const step = todo.shift();
    const links = linked(step.item);
    // JSON has no infinity.
    const [from, to] = [step.within[0] ?? -Infinity, step.within[1] ?? Infinity];
    for (const { it, role } of links.filter((link) => from <= link.it.time && link.it.time <= to)) {
      if (step.own) own.add(it.key);
      if (isVoid(it) || role === 'subject' || role === 'child') included.add(it.key);
      if (isVoid(it)) continue;
      const other = role === 'input' && step.down ? 'output' : role === 'output' && step.up ? 'input' : null;
      if (other) {
        const parts = of(it, 'process').flatMap((process) => linked(process).map((link) => link.it)).filter((part) => !isVoid(part));
        for (const part of new Set([it, ...parts])) {
          included.add(part.key);
          for (const item of new Set(of(part, other))) {
            const [source, target] = other === 'input' ? [item, step.item] : [step.item, item];
            const known = flows.some((flow) => flow.from === source && flow.to === target && flow.by === it.key);
            if (!known) flows.push({ from: source, to: target, by: it.key });
            push({ item, up: other === 'input', down: other === 'output', into: false, own: false, within: always });
          }
        }
      }
      if (role === 'parent' && step.into) {
        included.add(it.key);
        for (const item of new Set(of(it, 'child'))) push({ item, up: step.up, down: step.down, into: true, own: false, within: always });
      }
    }
    containers(step, [from, to], links, { of, linked, included, push });
  }
  return { included, own, flows };
}

/** Goes aside to the containers that the item was in, for as long as it was. */
function containers(step, [from, to], links, { of, linked, included, push }) {
  const inside = new Map();
  for (const { it } of links.filter((link) => link.role === 'child' && !isVoid(link.it))) {
    const [parent] = of(it, 'parent');
    if (parent !== undefined) inside.set(parent, [...(inside.get(parent) ?? []), it]);
  }
  for (const [container, changes] of inside) {
    const empties = linked(container)
      .filter(({ it, role }) => role === 'parent' && !isVoid(it) && it.event.action === 'DELETE' && of(it, 'child').length === 0);
    const sorted = [...changes, ...empties.map((link) => link.it)].sort((a, b) => a.time - b.time
      || (a.event.action === 'DELETE') - (b.event.action === 'DELETE') || (a.key < b.key ? -1 : 1));
    let since = null;
    const stays = [];
    for (const it of sorted) {
      if (it.event.action !== 'DELETE') since ??= it.time;
      else if (since !== null) {
        included.add(it.key);
        stays.push([since, it.time]);
        since = null;
      }
    }
    if (since !== null) stays.push([since, Infinity]);
    for (const [begin, end] of stays) {
      const within = [Math.max(begin, from), Math.min(end, to)];
      if (within[0] <= within[1]) push({ item: container, up: step.up, down: step.down, into: false, own: step.own, within });
    }
  }
}
