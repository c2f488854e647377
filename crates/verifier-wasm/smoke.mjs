// Loads the verifier as a browser would, and lets it judge the golden proofs, whole and damaged.
//
//     node smoke.mjs path/to/ledger_verifier.wasm
//
// The golden files' signatures and history leaf are also checked with Node's own Ed25519 and SHA-256.
import assert from 'node:assert/strict';
import { createHash, createPublicKey, verify as verifySignature } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';

const [, , modulePath] = process.argv;
const golden = (name) => {
  const text = readFileSync(new URL(`../ledger-core/tests/golden/${name}.hex`, import.meta.url), 'utf8');
  return new Map(text.trim().split('\n').map((line) => {
    const at = line.lastIndexOf(' = ');
    return [line.slice(0, at), Buffer.from(line.slice(at + 3), 'hex')];
  }));
};

const { instance, module } = await WebAssembly.instantiate(readFileSync(modulePath));
assert.deepEqual(WebAssembly.Module.imports(module), [], 'the module needs nothing from its host');
const { memory, input, verify, result, result_length: resultLength } = instance.exports;

function judge(...inputs) {
  inputs.forEach((bytes, slot) => {
    const address = input(slot, bytes.length);
    new Uint8Array(memory.buffer, address, bytes.length).set(bytes);
  });
  const holds = verify() === 1;
  const text = Buffer.from(new Uint8Array(memory.buffer, result(), resultLength())).toString('utf8');
  return { holds, value: JSON.parse(text) };
}

const [keys, primitives, transactions, checkpoints, proofs, epochs] =
  ['keys', 'primitives', 'transaction', 'checkpoint', 'proof', 'epochs'].map(golden);
const checkpoint = checkpoints.get('checkpoint at 4');
const root = checkpoints.get('trust root');
const flipped = (bytes, bit) => {
  const copy = Buffer.from(bytes);
  copy[bit >> 3] ^= 1 << (bit & 7);
  return copy;
};

// What is proven is what the chain of the golden files holds.
const proven = new Map([...proofs].map(([name, proof]) => [name, judge(proof, checkpoint, root)]));
for (const [name, { holds, value }] of proven) assert(holds, `${name}: ${value.error}`);
const shown = (name) => proven.get(name).value;
assert.equal(shown('transaction').id, transactions.get('call: id').toString('hex'));
assert.equal(shown('transaction').transaction.account, keys.get('author A: account').toString('hex'));
assert.equal(Buffer.from(shown('transaction').body.content, 'hex').toString(), 'tea=green');
assert.deepEqual(shown('transaction').place, { height: '2', timestamp: '1700000002000', index: 0 });
assert.equal(shown('transaction without body').body, null);
assert.deepEqual(shown('receipt').receipt.status,
  { failed: { kind: 'refused', message: 'the contract refused (9): no such note' } });
assert.equal(shown('event').event.topic, 'indexed');
assert.equal(Buffer.from(shown('state present').value.value, 'hex').toString(), 'black');
assert.equal(shown('state present').height, '3');
assert.equal(shown('state absent, between keys').value, null);
assert.equal(shown('state absent, after all keys').value, null);
const text = (hex) => Buffer.from(hex, 'hex').toString();
const entries = (name) => shown(name).entries.map((entry) => `${text(entry.name)}=${text(entry.value.value)}`);
assert.deepEqual(entries('range of all notes'), ['count=\x02', 'index/t=tea', 'tea=black']);
assert.deepEqual(entries('range of some notes'), ['index/t=tea']);
assert.deepEqual(entries('range without notes'), []);
assert.deepEqual([shown('range of all notes').proven, shown('range of all notes').height], ['range', '3']);
assert.deepEqual(entries('past range'), ['count=\x02', 'index/t=tea', 'rye=bread', 'tea=green']);
assert.deepEqual([shown('past range').proven, shown('past range').height], ['past range', '2']);
assert.deepEqual([shown('past state').proven, shown('past state').height], ['past state', '2']);
assert.equal(text(shown('past state').value.value), 'green');
assert.deepEqual([text(shown('values').value.value), ...shown('values').older.map((it) => text(it.value))],
  ['black', 'green']);
assert.equal(shown('history').from.size, '3');

// A checkpoint of a later epoch, with the changes of the validators that lead to it from the genesis.
const [bundle, networkRoot, networkProof] =
  ['checkpoint at 8, bundle', 'trust root', 'state present at 8'].map((name) => epochs.get(name));
const followed = judge(networkProof, bundle, networkRoot);
assert(followed.holds, followed.value.error);
assert.equal(Buffer.from(followed.value.value.value, 'hex').toString(), 'green');

// What is damaged is refused, with a reason.
let refused = 0;
const refuse = (...inputs) => {
  const { holds, value } = judge(...inputs);
  assert(!holds && value.error.length > 0, JSON.stringify(value));
  refused += 1;
};
for (const [name, proof] of proofs) {
  for (let bit = 3; bit < proof.length * 8; bit += 61) {
    const { holds, value } = judge(flipped(proof, bit), checkpoint, root);
    // What shows one key to be absent, or what is in a range, shows it of others that lie alike among the keys.
    const before = proven.get(name).value;
    const alike = before.proven === value.proven && value.height === before.height && (before.value === null
      ? value.value === null : before.entries && JSON.stringify(value.entries) === JSON.stringify(before.entries));
    assert(!holds || alike, `${name} with bit ${bit} flipped: ${JSON.stringify(value)}`);
    refused += holds ? 0 : 1;
  }
}
for (let bit = 0; bit < checkpoint.length * 8; bit += 17) refuse(proofs.get('receipt'), flipped(checkpoint, bit), root);
for (let bit = 0; bit < root.length * 8; bit += 17) refuse(proofs.get('receipt'), checkpoint, flipped(root, bit));
for (let bit = 0; bit < bundle.length * 8; bit += 101) refuse(networkProof, flipped(bundle, bit), networkRoot);
refuse(Buffer.alloc(0), Buffer.alloc(0), Buffer.alloc(0));
refuse(Buffer.alloc(1 << 20), checkpoint, root);
assert.equal(input(0, (64 << 20) + 1), 0, 'an input that is too long gets no room');
assert.equal(input(3, 1), 0, 'there is no fourth input');

// The signatures and the history leaf, by somebody else's code.
const signedBy = (key, preimage, signature) => {
  const der = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), key]);
  return verifySignature(null, preimage, createPublicKey({ key: der, format: 'der', type: 'spki' }), signature);
};
for (const name of ['deploy', 'call', 'commit']) {
  assert(signedBy(keys.get('author A: public key'), transactions.get(`${name}: signature preimage`),
    transactions.get(`${name}: signature`)), name);
}
assert(signedBy(keys.get('owner: public key'), checkpoints.get('checkpoint at 4: signature preimage'),
  checkpoints.get('checkpoint at 4: signature')));
const leaf = Buffer.concat([Buffer.from([0]), Buffer.alloc(32, 1), Buffer.alloc(32, 2)]);
assert.equal(createHash('sha256').update(leaf).digest('hex'),
  primitives.get('history leaf of header digest 01…, outcome digest 02…').toString('hex'));

const rounds = 200;
const started = process.hrtime.bigint();
for (let round = 0; round < rounds; round += 1) assert(judge(proofs.get('state present'), checkpoint, root).holds);
const each = Number(process.hrtime.bigint() - started) / rounds / 1e6;
console.log(`${proofs.size} proofs hold, ${refused} damaged inputs are refused; ` +
  `module of ${statSync(modulePath).size} bytes, ${each.toFixed(2)} ms for a checkpoint and a state proof`);
