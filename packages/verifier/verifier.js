// Verifies ledgerkit's proofs and traces. No network, no clock, no dependencies: what it trusts is the trust root it is given.
// @ts-check

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));
const hex = (bytes) => Array.from(bytes, (byte) => HEX[byte]).join('');
const unhex = (text) => Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
const utf8 = (bytes) => new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);

/** Loads the module `ledger_verifier.wasm` from its bytes. */
export async function load(module) {
  const { instance } = await WebAssembly.instantiate(module);
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
 * hold, and why, is in `lines`; whether the lines are all there are is in `faults`, which is empty when nothing is left out.
 */
export function checkTrace(verifier, { trustRoot, checkpoint, item, pieces, events }) {
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

  const lines = events.map((event, index) => line(event, records[index], unreadable[index], contract, state));
  const byKey = new Map(lines.filter((it) => !it.error).map((it) => [it.key, it]));
  const { items, faults } = itemsOf(state, byKey);
  lines.forEach((it, index) => it.error && faults.push(`line ${index + 1} is not proven`));
  const walk = walkFrom(item, items, byKey, faults);
  for (const it of byKey.values()) it.included = walk.included.has(it.key);
  const holds = faults.length === 0;
  return { holds, checkpoint: opened.value, contract, code, lines, items, flows: walk.flows, own: walk.own, faults };
}

/** One event: signed in a block, and in the checkpoint's state from there. */
function line(event, record, unreadable, contract, state) {
  const failed = (why) => ({ error: why });
  if (unreadable) return failed(unreadable);
  if (!record) return failed('who recorded this event is not proven');
  const { account, key, action } = record.transaction;
  if (action.call?.contract !== contract || action.call?.method !== 'record') return failed('the transaction is no record of an event');
  const content = hex(event);
  if (record.body?.content !== content) return failed('the transaction records another event than the one that is shown');
  for (const [name, stored] of state) {
    if (!name.startsWith('65') || name.length !== 66 || stored === null || !stored.value.endsWith(content)) continue;
    const reader = new Reader(unhex(stored.value));
    const recorder = hex(reader.take(32));
    if (reader.number() !== event.length || reader.at + event.length !== reader.bytes.length) continue;
    const { height, index } = stored.version;
    if (recorder !== account || height !== record.place.height || index !== record.place.index) {
      return failed('the state has this event from another transaction');
    }
    let json;
    try {
      json = JSON.parse(utf8(event));
    } catch {
      return failed('the event is not JSON');
    }
    const time = instant(json.eventTime, json.eventTimeZoneOffset);
    return { key: name.slice(2), event: json, recorder, signedBy: key, transaction: record.id, place: record.place, time, roles: [], included: false, wrong: null };
  }
  return failed('the event is not proven to be in the checkpoint\'s state');
}

/** The instant that an EPCIS time names, in milliseconds; `local` is its offset from UTC where it names none. */
export function instant(text, local) {
  if (typeof text !== 'string') return NaN;
  const zoned = /(?:[zZ]|[+-]\d\d:\d\d)$/.test(text) ? text : text + (local ?? 'Z');
  return Date.parse(zoned.replace(/:60(?=[.zZ+-])/, ':59').replace(/(\.\d{3})\d+/, '$1'));
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
      const found = byKey.get(event);
      if (!found) faults.push(`an event that names ${item.item} is not among the lines that hold (${event})`);
      else found.roles.push({ item: item.item, role });
      item.links.push({ event, role });
    }
    items.set(item.item, item);
  }
  return { items, faults };
}

const NAMED = {
  input: ['inputEPCList', 'inputQuantityList'], output: ['outputEPCList', 'outputQuantityList'], child: ['childEPCs', 'childQuantityList'],
};
const named = (event, role) => {
  const [single, quantities] = NAMED[role];
  const list = (name) => (Array.isArray(event[name]) ? event[name] : []);
  return new Set([...list(single), ...list(quantities).map((it) => it.epcClass)]).size;
};
const isVoid = (it) => it.wrong !== null || it.event.errorDeclaration !== undefined;

/**
 * The walk of `ledger_traceability::walk`, over proven links: which events are the item's history, and what became of what. An item that it
 * needs and that isn't there is a fault.
 */
function walkFrom(start, items, byKey, faults) {
  const [included, own, flows, done, todo] = [new Set(), new Set(), [], new Set(), []];
  for (const it of byKey.values()) {
    if (it.event.errorDeclaration === undefined || it.event.eventID === undefined) continue;
    for (const other of byKey.values()) {
      const same = other.event.eventID === it.event.eventID && other.recorder === it.recorder;
      if (same && other.event.errorDeclaration === undefined) other.wrong = it.key;
    }
  }
  const of = (it, role) => it.roles.filter((entry) => entry.role === role).map((entry) => entry.item);
  const all = (it, role) => {
    const found = new Set(of(it, role));
    if (found.size < named(it.event, role)) faults.push(`an ${role} of event ${it.key} is not on the page`);
    return found;
  };
  const push = (step) => {
    const id = JSON.stringify(step);
    if (!done.has(id)) {
      done.add(id);
      todo.push(step);
    }
  };
  const always = [-Infinity, Infinity];
  const linked = (item) => (items.get(item)?.links ?? []).map((link) => ({ ...link, it: byKey.get(link.event) })).filter((link) => link.it)
    .sort((a, b) => a.it.time - b.it.time || (a.event < b.event ? -1 : 1));
  if (!items.has(start)) faults.push(`how many events name ${start} is not proven`);
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
        const parts = new Set([it, ...of(it, 'process').flatMap((process) => linked(process).map((link) => link.it)).filter((part) => !isVoid(part))]);
        for (const part of parts) {
          included.add(part.key);
          for (const item of all(part, other)) {
            const [source, target] = other === 'input' ? [item, step.item] : [step.item, item];
            if (!flows.some((flow) => flow.from === source && flow.to === target && flow.by === it.key)) flows.push({ from: source, to: target, by: it.key });
            push({ item, up: other === 'input', down: other === 'output', into: false, own: false, within: always });
          }
        }
      }
      if (role === 'parent' && step.into) {
        included.add(it.key);
        for (const item of all(it, 'child')) push({ item, up: step.up, down: step.down, into: true, own: false, within: always });
      }
    }
    containers(step, [from, to], links, { of, linked, included, push, faults });
  }
  return { included, own, flows };
}

/** Goes aside to the containers that the item was in, for as long as it was. */
function containers(step, [from, to], links, { of, linked, included, push, faults }) {
  const inside = new Map();
  for (const { it } of links.filter((link) => link.role === 'child' && !isVoid(link.it))) {
    const [parent] = of(it, 'parent');
    if (parent === undefined && it.event.parentID !== undefined) faults.push(`the container of event ${it.key} is not on the page`);
    if (parent !== undefined) inside.set(parent, [...(inside.get(parent) ?? []), it]);
  }
  for (const [container, changes] of inside) {
    const empties = linked(container).filter(({ it, role }) => role === 'parent' && !isVoid(it) && it.event.action === 'DELETE' && named(it.event, 'child') === 0);
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
