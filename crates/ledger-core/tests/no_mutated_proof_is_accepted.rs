//! Whoever changes a proof or a checkpoint on its way has made nothing that is accepted; whoever changes a trust root,
//! which is the client's own, can't make it accept anything else than before.
//!
//! Two changes give another proof that is as true, so they are told apart here: a transaction's body may be left out,
//! and a path that shows one key to be absent shows it of every absent key in the same gap.
//! `LEDGERKIT_MUTATIONS` sets the number of random mutations.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::cast_possible_truncation)]

mod common;

use common::chain::{Chain, note, notes};
use common::random::{Random, Rng};
use common::samples::{absent_key, golden_proofs};
use ledger_core::codec::{Bytes, List};
use ledger_core::state::sparse::PathEnd;
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
        for key in [note("tea"), note("rye"), note("count"), absent_key(chain, true), absent_key(chain, false)] {
            proofs.push(Proof::State(chain.state_proof(&key, size)));
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

/// Whether `proven` says of another key than `original` that it is absent, and the key is absent.
fn is_absence_of_another_key(chain: &Chain, original: &Proven, proven: &Proven) -> bool {
    let (Proven::State { value: None, at: then, .. }, Proven::State { key, value: None, at }) = (original, proven)
    else {
        return false;
    };
    at == then && !chain.states[at.0 as usize].contains_key(key)
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
                let is_true = is_absence_of_another_key(&chain, &original, &proven);
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
    let (chain, mut rng) = (notes(), Rng(7));
    let cases = cases(&chain);
    let roots: Vec<(u64, VerifiedCheckpoint)> = [4, 7, 8].map(|size| (size, chain.verified(size))).into();
    let mut decoded = 0;
    let count = common::count("LEDGERKIT_MUTATIONS", 6_000, 100_000);
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
                bytes == case.bytes || is_absence_of_another_key(&chain, &case.proven, &proven),
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
            match rng.below(8) {
                0..2 => mutate_block(&mut proof.block, block_of(other.map(|it| &it.block), rng), rng),
                2 => proof.key = other.map_or_else(|| note("nothing"), |it| it.key.clone()),
                3 => proof.key.name = Bytes::random(rng),
                4 => proof.path.end = other.map_or(PathEnd::Empty, |it| it.path.end.clone()),
                5 => mutate_end(&mut proof.path.end, rng),
                _ => mutate_siblings(&mut proof.path.siblings, rng),
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

fn mutate_end(end: &mut PathEnd, rng: &mut Rng) {
    match end {
        PathEnd::Present(versioned) => match rng.below(4) {
            0 => versioned.value = Random::random(rng),
            1 => versioned.version.height = Random::random(rng),
            2 => versioned.version.index = Random::random(rng),
            _ => versioned.predecessor = Random::random(rng),
        },
        PathEnd::Empty => *end = PathEnd::random(rng),
        PathEnd::Other { key, content } => match rng.below(2) {
            0 => *key = Random::random(rng),
            _ => *content = Random::random(rng),
        },
    }
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

fn mutate_siblings(siblings: &mut List<Option<ledger_crypto::Digest>>, rng: &mut Rng) {
    let empty = siblings.iter().position(Option::is_none);
    match (empty, rng.below(3)) {
        // The empty subtree, written out.
        (Some(at), 0) => {
            let mut items = core::mem::take(siblings).into_vec();
            items[at] = Some(state::sparse::EMPTY);
            *siblings = items.into();
        }
        _ => mutate_path(siblings, rng),
    }
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
