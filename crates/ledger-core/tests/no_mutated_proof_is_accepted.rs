//! Whoever changes a proof or a checkpoint on its way has made nothing that is accepted; whoever changes a trust root,
//! which is the client's own, can't make it accept anything else than before.
//!
//! Some changes give another proof that is as true, so they are told apart here: a transaction's body may be left out, the
//! older values of a key may be, and what shows one key or range of the state shows every other that lies alike among the
//! keys, and after every other block that left the same state. What such a proof says is held against the chain itself;
//! and what a proof says has one proof.
//! `LEDGERKIT_MUTATIONS` sets the number of random mutations.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::cast_possible_truncation)]

mod common;

use common::chain::{self, Chain, note, notes};
use common::random::{Random, Rng};
use common::samples::{all_notes, golden_proofs};
use ledger_core::codec::{Bytes, List};
use ledger_core::state::tree::{PrunedTree, Step, ValueHistory};
use ledger_core::*;

/// A proof that holds, and everything that it is verified with.
struct Case {
    proof: Proof,
    bytes: Vec<u8>,
    size: u64,
    proven: Proven,
}

/// Proofs of every kind, of every item of the chain, at checkpoints of three sizes.
fn cases(chain: &Chain) -> Vec<Case> {
    let mut cases = Vec::new();
    for size in [4, 7, 8] {
        let mut proofs = Vec::new();
        for height in 1..4 {
            for index in 0..chain.blocks[height as usize].transactions.len() {
                proofs.push(Proof::Transaction(chain.transaction_proof(height, index, size)));
                proofs.push(Proof::Receipt(chain.receipt_proof(height, index, size)));
                for event in 0..chain.results[height as usize][index].events.len() {
                    proofs.push(Proof::Event(chain.event_proof(height, index, event, size)));
                }
            }
        }
        for key in [note("tea"), note("rye"), note("count"), note(""), note("zzz")] {
            proofs.push(Proof::State(chain.state_proof(&key, size)));
            for height in 0..size {
                proofs.push(Proof::Past(PastProof::State(chain.past_state(&key, height, size))));
            }
        }
        let prefix = |prefix: &str| KeyRange::prefix(chain::contract(), prefix.as_bytes());
        let (first, last) = (Bytes::from(b"d".as_slice()), Some(Bytes::from(b"tea\0".as_slice())));
        let middle = KeyRange { from: first, to: last, ..all_notes() };
        for range in [all_notes(), prefix("index/"), prefix("j"), prefix("t"), middle] {
            proofs.push(Proof::Range(chain.range_proof(&range, size)));
            for height in 1..4 {
                proofs.push(Proof::Past(PastProof::Range(chain.past_range(&range, height, size))));
            }
        }
        for (key, older) in [("tea", 1), ("tea", 0), ("count", 0)] {
            proofs.push(Proof::ValueHistory(chain.value_history(&note(key), older, size)));
        }
        proofs.extend((1..size).map(|from| Proof::History(chain.consistency(from, size))));
        let checkpoint = chain.verified(size);
        cases.extend(proofs.into_iter().map(|proof| Case {
            bytes: codec::encode(&proof),
            proven: proof.verify(&checkpoint).unwrap(),
            size,
            proof,
        }));
    }
    cases
}

fn accepted(bytes: &[u8], checkpoint: &VerifiedCheckpoint) -> Option<Proven> {
    codec::decode::<Proof>(bytes).ok()?.verify(checkpoint).ok()
}

/// Whether `proven` says something else than `original`, of the state of the same chain, and it is so.
fn is_another_truth(chain: &Chain, size: u64, original: &Proven, proven: &Proven) -> bool {
    let at = |height: &Height| &chain.states[height.0 as usize];
    let holds = |range: &KeyRange, entries: &[(Key, Versioned)], height: &Height| {
        let inside = at(height).iter().filter(|(key, _)| range.contains(key));
        inside.eq(entries.iter().map(|(key, value)| (key, value)))
    };
    let newest = Height(size - 1);
    original != proven
        && match proven {
            Proven::State { key, value, at: height } => *height == newest && at(height).get(key) == value.as_ref(),
            Proven::PastState { key, value, at: height } => at(height).get(key) == value.as_ref(),
            Proven::Range { range, entries, at: height } => *height == newest && holds(range, entries, height),
            Proven::PastRange { range, entries, at: height } => holds(range, entries, height),
            Proven::Values(values) => {
                let expected = chain.value_history(&values.key, usize::MAX, size).history.older;
                values.at == newest
                    && at(&newest).get(&values.key) == Some(&values.newest)
                    && expected.starts_with(&values.older)
            }
            _ => false,
        }
}

fn flipped(bytes: &[u8]) -> impl Iterator<Item = (usize, Vec<u8>)> {
    (0..bytes.len() * 8).map(|bit| {
        let mut bytes = bytes.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        (bit, bytes)
    })
}

#[test]
fn no_proof_with_a_flipped_bit_is_accepted() {
    let chain = notes();
    let checkpoint = chain.verified(4);
    for (name, proof) in golden_proofs(&chain) {
        let (bytes, original) = (codec::encode(&proof), proof.verify(&checkpoint).unwrap());
        for (bit, bytes) in flipped(&bytes) {
            if let Some(proven) = accepted(&bytes, &checkpoint) {
                let is_true = is_another_truth(&chain, 4, &original, &proven);
                assert!(is_true, "{name} with bit {bit} flipped proves {proven:?}");
            }
        }
    }
}

#[test]
fn no_checkpoint_with_a_flipped_bit_is_accepted() {
    let chain = notes();
    let (proof, root) = (codec::encode(&golden_proofs(&chain)[4].1), codec::encode(&chain.trust()));
    for height in [0, 4] {
        let bytes = codec::encode(&chain.checkpoint(height));
        assert!(checkpoint::verify_bytes(&chain.trust(), &bytes).is_ok());
        for (bit, bytes) in flipped(&bytes) {
            assert!(verify(&proof, &bytes, &root).is_err(), "bit {bit} of the checkpoint at {height} flipped");
            assert!(checkpoint::verify_bytes(&chain.trust(), &bytes).is_err());
        }
    }
}

#[test]
fn no_trust_root_with_a_flipped_bit_accepts_anything_else() {
    let chain = notes();
    let (proof, checkpoint) = (codec::encode(&golden_proofs(&chain)[2].1), codec::encode(&chain.checkpoint(4)));
    let bytes = codec::encode(&chain.trust());
    let proven = verify(&proof, &checkpoint, &bytes).unwrap();
    for (bit, bytes) in flipped(&bytes) {
        assert!(verify(&proof, &checkpoint, &bytes).is_err(), "bit {bit} flipped");
    }
    // A pin says what the client has seen; another pin can refuse more or less, but it proves nothing by itself.
    let pinned = TrustRoot { pinned: Some(chain.head(3)), ..chain.trust() };
    for (bit, bytes) in flipped(&codec::encode(&pinned)) {
        if let Ok(other) = verify(&proof, &checkpoint, &bytes) {
            assert_eq!(other, proven, "bit {bit} flipped");
        }
    }
}

#[test]
fn no_mutated_proof_is_accepted() {
    no_mutation_is_accepted(7, common::count("LEDGERKIT_MUTATIONS", 6_000, 100_000), |_| true);
}

/// Of proofs that a key is there, that it isn't, of ranges, of older states and older values.
#[test]
fn no_mutated_proof_of_state_is_accepted() {
    no_mutation_is_accepted(17, common::count("LEDGERKIT_MUTATIONS", 100_000, 400_000), |proof| {
        matches!(proof, Proof::State(_) | Proof::Range(_) | Proof::Past(_) | Proof::ValueHistory(_))
    });
}

fn no_mutation_is_accepted(seed: u64, count: u64, wanted: fn(&Proof) -> bool) {
    let (chain, mut rng) = (notes(), Rng(seed));
    let mut cases = cases(&chain);
    cases.retain(|case| wanted(&case.proof));
    let roots: Vec<(u64, VerifiedCheckpoint)> = [4, 7, 8].map(|size| (size, chain.verified(size))).into();
    let mut decoded = 0;
    for number in 0..count {
        let case = &cases[rng.index(cases.len())];
        let other = &cases[rng.index(cases.len())];
        let bytes = match number % 2 {
            0 => mutated_bytes(&case.bytes, &other.bytes, &mut rng),
            _ => {
                let mut proof = case.proof.clone();
                mutate(&mut proof, &other.proof, &mut rng);
                codec::encode(&proof)
            }
        };
        decoded += u64::from(codec::decode::<Proof>(&bytes).is_ok());
        let (_, checkpoint) = roots.iter().find(|(size, _)| *size == case.size).unwrap();
        if let Some(proven) = accepted(&bytes, checkpoint) {
            assert!(
                bytes == case.bytes || is_another_truth(&chain, case.size, &case.proven, &proven),
                "mutation {number} proves {proven:?} instead of {:?}",
                case.proven
            );
        }
    }
    // Most must get beyond the decoder, or the law was tested on nothing.
    assert!(decoded > count / 2, "only {decoded} of {count} mutations decode");
}

#[test]
fn no_mutated_checkpoint_or_trust_root_is_accepted() {
    let (chain, mut rng) = (notes(), Rng(8));
    let stranger = Chain::new("strangers", 9);
    let proof = codec::encode(&golden_proofs(&chain)[0].1);
    let checkpoints = [chain.checkpoint(4), chain.checkpoint(5), stranger.checkpoint(0)].map(|it| codec::encode(&it));
    let trusted = [chain.trust(), stranger.trust()].map(|it| codec::encode(&it));
    for number in 0..common::count("LEDGERKIT_MUTATIONS", 6_000, 100_000) / 10 {
        if number % 2 == 0 {
            let bytes = mutated_bytes(&checkpoints[0], &checkpoints[1 + rng.index(2)], &mut rng);
            let result = verify(&proof, &bytes, &trusted[0]);
            assert!(result.is_err() || bytes == checkpoints[0], "checkpoint mutation {number}: {result:?}");
        } else {
            let bytes = mutated_bytes(&trusted[0], &trusted[1], &mut rng);
            let result = verify(&proof, &checkpoints[0], &bytes);
            assert!(result.is_err() || bytes == trusted[0], "trust root mutation {number}: {result:?}");
        }
    }
}

#[test]
fn a_transaction_shown_without_its_body_is_proven_without_it() {
    let chain = notes();
    let shown = chain.transaction_proof(2, 0, 4);
    let hidden = TransactionProof { body: None, ..shown.clone() };
    let checkpoint = chain.verified(4);
    let (shown, hidden) =
        (Proof::Transaction(shown).verify(&checkpoint), Proof::Transaction(hidden).verify(&checkpoint));
    let Ok(Proven::Transaction { id, leaf, body: Some(_), place }) = shown else { panic!("{shown:?}") };
    assert_eq!(hidden, Ok(Proven::Transaction { id, leaf, body: None, place }));
}

fn mutated_bytes(bytes: &[u8], other: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=rng.below(2) {
        let at = rng.index(bytes.len());
        let length = rng.index(40).min(bytes.len() - at);
        match rng.below(8) {
            0..=2 => bytes[at] ^= 1 << rng.below(8),
            3 => bytes[at] = rng.next().to_le_bytes()[0],
            4 => bytes[at] = bytes[at].wrapping_add(1),
            // The same place of another proof.
            5 if at < other.len() => {
                let length = length.min(other.len() - at);
                bytes[at..at + length].copy_from_slice(&other[at..at + length]);
            }
            6 => bytes[at..at + length].rotate_left(length / 2),
            _ => {
                let to = rng.index(bytes.len() - length + 1);
                bytes.copy_within(at..at + length, to);
            }
        }
    }
    bytes
}

/// Changes one field of a proof: to a random value, or to what it is in another proof.
fn mutate(proof: &mut Proof, other: &Proof, rng: &mut Rng) {
    match proof {
        Proof::Transaction(proof) => {
            let other = match other {
                Proof::Transaction(other) => Some(other),
                _ => None,
            };
            match rng.below(10) {
                0..3 => mutate_block(&mut proof.block, block_of(other.map(|it| &it.block), rng), rng),
                3 => proof.index = near(proof.index.into(), rng) as u32,
                4 => proof.count = near(proof.count.into(), rng) as u32,
                5 => mutate_path(&mut proof.path, rng),
                6 => proof.body = Some(other.and_then(|it| it.body.clone()).unwrap_or_else(|| Body::random(rng))),
                7 => proof.leaf = other.map_or_else(|| TransactionLeaf::random(rng), |it| it.leaf.clone()),
                8 => mutate_transaction(&mut proof.leaf.transaction, rng),
                _ => proof.leaf.witness = other.map_or_else(|| Witness::random(rng), |it| it.leaf.witness.clone()),
            }
        }
        Proof::Receipt(proof) => {
            let other = match other {
                Proof::Receipt(other) => Some(other),
                _ => None,
            };
            mutate_receipt(proof, other, rng);
        }
        Proof::Event(proof) => {
            let other = match other {
                Proof::Event(other) => Some(other),
                _ => None,
            };
            match rng.below(8) {
                0..4 => mutate_receipt(&mut proof.receipt, other.map(|it| &it.receipt), rng),
                4 => proof.index = near(proof.index.into(), rng) as u32,
                5 => proof.event = other.map_or_else(|| Event::random(rng), |it| it.event.clone()),
                6 => match rng.below(3) {
                    0 => proof.event.contract = ContractId::random(rng),
                    1 => proof.event.topic = Random::random(rng),
                    _ => proof.event.data = Random::random(rng),
                },
                _ => mutate_path(&mut proof.path, rng),
            }
        }
        Proof::State(proof) => {
            let other = match other {
                Proof::State(other) => Some(other),
                _ => None,
            };
            mutate_state(proof, other, rng);
        }
        Proof::Range(proof) => {
            let other = match other {
                Proof::Range(other) => Some(other),
                _ => None,
            };
            mutate_range(proof, other, rng);
        }
        Proof::Past(proof) => match (proof, other) {
            (PastProof::State(proof), Proof::Past(PastProof::State(other))) => mutate_state(proof, Some(other), rng),
            (PastProof::Range(proof), Proof::Past(PastProof::Range(other))) => mutate_range(proof, Some(other), rng),
            (PastProof::State(proof), _) => mutate_state(proof, None, rng),
            (PastProof::Range(proof), _) => mutate_range(proof, None, rng),
        },
        Proof::ValueHistory(proof) => {
            let other = match other {
                Proof::ValueHistory(other) => Some(other),
                _ => None,
            };
            match rng.below(2) {
                0 => mutate_state(&mut proof.newest, other.map(|it| &it.newest), rng),
                _ => mutate_values(&mut proof.history, rng),
            }
        }
        Proof::History(proof) => match rng.below(3) {
            0 => proof.from.size = near(proof.from.size, rng),
            1 => proof.from.root = Random::random(rng),
            _ => mutate_path(&mut proof.path, rng),
        },
    }
}

fn block_of(other: Option<&BlockProof>, rng: &mut Rng) -> BlockProof {
    other.cloned().unwrap_or_else(|| BlockProof::random(rng))
}

fn mutate_receipt(proof: &mut ReceiptProof, other: Option<&ReceiptProof>, rng: &mut Rng) {
    match rng.below(12) {
        0..3 => mutate_block(&mut proof.block, block_of(other.map(|it| &it.block), rng), rng),
        3 => proof.count = near(proof.count.into(), rng) as u32,
        4 => mutate_path(&mut proof.path, rng),
        5 => proof.receipt = other.map_or_else(|| Receipt::random(rng), |it| it.receipt.clone()),
        6 => proof.receipt.index = near(proof.receipt.index.into(), rng) as u32,
        7 => proof.receipt.status = Status::random(rng),
        8 => proof.receipt.fuel_used = Fuel::random(rng),
        9 => proof.receipt.output = Bytes::random(rng),
        10 => proof.receipt.event_count = near(proof.receipt.event_count.into(), rng) as u32,
        _ => proof.receipt.transaction = TransactionId::random(rng),
    }
}

fn mutate_block(proof: &mut BlockProof, other: BlockProof, rng: &mut Rng) {
    let (header, outcome) = (&mut proof.header, &mut proof.outcome);
    match rng.below(20) {
        0 => *header = other.header,
        1 => *outcome = other.outcome,
        2 => proof.path = other.path,
        3 => mutate_path(&mut proof.path, rng),
        4 => header.version = Random::random(rng),
        5 => header.chain = Random::random(rng),
        // Height in header and outcome together, so that they agree.
        6 => (header.height, outcome.height) = (other.header.height, other.header.height),
        7 => header.parent = Random::random(rng),
        8 => header.timestamp = Random::random(rng),
        9 => header.transactions_root = other.header.transactions_root,
        10 => header.history = other.header.history,
        11 => header.epoch = Random::random(rng),
        12 => header.seal = Random::random(rng),
        13 => outcome.state_root = other.outcome.state_root,
        14 => outcome.receipts_root = other.outcome.receipts_root,
        15 => outcome.fuel_used = Random::random(rng),
        16 => outcome.validators = Random::random(rng),
        17 => outcome.height = Random::random(rng),
        // A header with any change, and an outcome that fits it.
        18 => {
            header.timestamp = header.timestamp.plus(1);
            outcome.block = header.digest();
        }
        _ => *proof = other,
    }
}

fn mutate_transaction(transaction: &mut Transaction, rng: &mut Rng) {
    match rng.below(9) {
        0 => transaction.version = Random::random(rng),
        1 => transaction.chain = Random::random(rng),
        2 => transaction.account = Random::random(rng),
        3 => transaction.order = Random::random(rng),
        4 => transaction.expires_at = Random::random(rng),
        5 => transaction.fuel_limit = Random::random(rng),
        6 => transaction.fee = Random::random(rng),
        7 => transaction.action = Random::random(rng),
        _ => transaction.body = Random::random(rng),
    }
}

fn mutate_state(proof: &mut StateProof, other: Option<&StateProof>, rng: &mut Rng) {
    match rng.below(10) {
        0..3 => mutate_block(&mut proof.block, block_of(other.map(|it| &it.block), rng), rng),
        3 => proof.key = other.map_or_else(|| note("nothing"), |it| it.key.clone()),
        4 => proof.key.name = Bytes::random(rng),
        5 => proof.path = other.map_or_else(|| PrunedTree::random(rng), |it| it.path.clone()),
        _ => mutate_tree(&mut proof.path, rng),
    }
}

fn mutate_range(proof: &mut RangeProof, other: Option<&RangeProof>, rng: &mut Rng) {
    match rng.below(12) {
        0..3 => mutate_block(&mut proof.block, block_of(other.map(|it| &it.block), rng), rng),
        3 => proof.range = other.map_or_else(|| KeyRange::random(rng), |it| it.range.clone()),
        4 => proof.range.from = Bytes::random(rng),
        5 => proof.range.to = Option::random(rng),
        6 => proof.tree = other.map_or_else(|| PrunedTree::random(rng), |it| it.tree.clone()),
        _ => mutate_tree(&mut proof.tree, rng),
    }
}

/// Changes a step, or the steps' order; most changes leave one tree.
fn mutate_tree(tree: &mut PrunedTree, rng: &mut Rng) {
    let mut steps = core::mem::take(&mut tree.steps).into_vec();
    let at = rng.index(steps.len().max(1));
    let hidden = match steps.get(at) {
        Some(Step::Leaf { key, versioned }) => Some(Step::Opaque(versioned.leaf(key))),
        Some(Step::Bare { key, version, predecessor, value }) => {
            Some(Step::Opaque(state::tree::leaf(&key.to_bytes(), *version, predecessor.as_ref(), value)))
        }
        _ => None,
    };
    let joined = steps.get(at + 1) == Some(&Step::Node);
    match (rng.below(8), steps.get_mut(at)) {
        (0, Some(step)) => *step = Step::random(rng),
        // A leaf that is there, hidden or shown in part.
        (1, Some(step)) => *step = hidden.unwrap_or_else(|| Step::random(rng)),
        (2, Some(step)) => {
            if let Step::Leaf { key, versioned: Versioned { value, version, predecessor } } = step.clone() {
                *step = Step::Bare { key, version, predecessor, value: state::tree::value_digest(&value).into() };
            }
        }
        (3, Some(_)) => steps.swap(0, at),
        // A leaf and the node that joins it, cut out.
        (4, Some(_)) if joined => drop(steps.drain(at..at + 2)),
        (5, Some(_)) => {
            steps.splice(at..at, [Step::random(rng), Step::random(rng), Step::Node]);
        }
        (_, Some(Step::Leaf { key, versioned })) => match rng.below(5) {
            0 => key.name = Random::random(rng),
            1 => versioned.value = Random::random(rng),
            2 => versioned.version.height = Random::random(rng),
            3 => versioned.version.index = Random::random(rng),
            _ => versioned.predecessor = Random::random(rng),
        },
        (_, Some(Step::Bare { key, version, value, .. })) => match rng.below(3) {
            0 => key.name = Random::random(rng),
            1 => version.index = Random::random(rng),
            _ => **value = Random::random(rng),
        },
        _ => steps.push(Step::random(rng)),
    }
    tree.steps = steps.into();
}

fn mutate_values(history: &mut ValueHistory, rng: &mut Rng) {
    let mut older = core::mem::take(&mut history.older).into_vec();
    let at = rng.index(older.len().max(1));
    match (rng.below(6), older.get_mut(at)) {
        (0, Some(value)) => value.value = Random::random(rng),
        (1, Some(value)) => value.version.height = Random::random(rng),
        (2, Some(value)) => value.predecessor = Random::random(rng),
        (3, Some(_)) => drop(older.remove(at)),
        (4, Some(value)) => {
            let again = value.clone();
            older.push(again);
        }
        _ => older.push(Versioned::random(rng)),
    }
    history.older = older.into();
}

fn mutate_path<T: Random + Clone>(path: &mut List<T>, rng: &mut Rng) {
    let mut items = core::mem::take(path).into_vec();
    let at = rng.index(items.len().max(1));
    match rng.below(5) {
        0 if !items.is_empty() => items[at] = T::random(rng),
        1 if !items.is_empty() => drop(items.remove(at)),
        2 if items.len() > 1 => items.swap(0, at),
        3 if !items.is_empty() => items.insert(at, items[at].clone()),
        _ => items.push(T::random(rng)),
    }
    *path = items.into();
}

/// A number close by, or any.
fn near(number: u64, rng: &mut Rng) -> u64 {
    match rng.below(4) {
        0 => number.wrapping_add(1),
        1 => number.wrapping_sub(1),
        2 => number ^ (1 << rng.below(4)),
        _ => rng.below(1 << 20),
    }
}
