//! Proofs of a real state of more than 10,000 keys, of single keys, absent ones and ranges, at several heights, changed
//! in every manner: none shows anything but what was so. And their encodings are canonical.
//!
//! `LEDGERKIT_MUTATIONS` sets the number of changed proofs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation
)]

use std::sync::Arc;

use ledger_core::codec::{self, Bytes, Format, wire};
use ledger_core::state::tree::{PrunedTree, Step};
use ledger_core::{ContractId, Height, Key, Version, Versioned, Write, Writes};
use ledger_crypto::Digest;
use ledger_storage::engine::{Batch, Engine, MemoryEngine, Space};
use ledger_storage::state::{StateConfig, StateStore};

#[derive(codec::Encode, codec::Decode)]
#[bincode(crate = "wire")]
struct Carried(PrunedTree);

impl Format for Carried {
    const NAME: &'static str = "proof";
    const LIMIT: usize = 1 << 20;
}

struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

type Shown = Vec<(Key, Versioned)>;

struct Case {
    root: Digest,
    from: Key,
    to: Option<Key>,
    proof: PrunedTree,
    shown: Shown,
}

fn key(number: u64) -> Key {
    Key::new(ContractId(Digest::new([(number % 3) as u8; 32])), (number / 3).to_be_bytes()[5..].to_vec())
}

fn verified(proof: &PrunedTree, root: &Digest, from: &Key, to: Option<&Key>) -> Option<Shown> {
    let found = proof.verify_range(root, from, to).ok()?;
    Some(found.into_iter().map(|(key, value)| (key.clone(), value.clone())).collect())
}

/// Proofs at several heights of a state with 12,000 keys, some of them deleted or written again.
fn cases(rng: &mut Rng) -> Vec<Case> {
    let engine: Arc<dyn Engine> = Arc::new(MemoryEngine::default());
    let config = StateConfig { window_blocks: 20, ..StateConfig::default() };
    let mut store = StateStore::open(Arc::clone(&engine), Space::new(1), Height(0), config).unwrap();
    let mut roots = vec![store.root()];
    for height in 1..=12 {
        let amount = if height == 1 { 36_000 } else { 300 };
        let write = |number| {
            let value = (rng.below(5) > 0).then(|| Bytes::from(rng.next().to_le_bytes()[..1 + rng.below(8)].to_vec()));
            Write {
                key: key(if height == 1 { number } else { rng.next() % 36_000 }),
                index: (number % 4) as u32,
                value,
            }
        };
        let writes = Writes::new(
            (0..amount).filter(|number| height > 1 || number % 3 != 1 || number % 2 == 0).map(write).collect(),
        );
        let mut batch = Batch::new();
        roots.push(store.update(Height(height), &writes, &mut batch).unwrap());
        engine.apply(batch).unwrap();
    }
    assert!(store.keys() > 10_000, "{}", store.keys());
    let reader = store.reader();
    let mut cases = Vec::new();
    for number in 0..240 {
        let at = [12, 11, 7, 3, 1][number % 5];
        let from = key(rng.next() % 40_000);
        let to = match number % 4 {
            0 | 1 => Some(from.successor()),
            2 => Some(Key::new(from.namespace, from.name.iter().copied().chain([0xff]).collect::<Vec<_>>())),
            _ => Some(from.clone()).map(|from| {
                let number =
                    from.name.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte)) + 1 + rng.next() % 12;
                Key::new(from.namespace, number.to_be_bytes()[5..].to_vec())
            }),
        };
        let proof = reader.prove_range(Height(12), Height(at), &from, to.as_ref()).unwrap();
        let root = roots[at as usize];
        let shown = verified(&proof, &root, &from, to.as_ref()).unwrap();
        let truth: Shown = {
            let range = ledger_core::KeyRange {
                namespace: from.namespace,
                from: from.name.clone(),
                to: to.as_ref().map(|to| to.name.clone()),
            };
            reader.scan(&range, Height(at)).map(Result::unwrap).collect()
        };
        assert_eq!(shown, truth);
        cases.push(Case { root, from, to, proof, shown });
    }
    cases
}

fn mutate_digest(digest: &mut Digest, other: Digest, rng: &mut Rng) {
    let mut bytes = *digest.as_bytes();
    match rng.below(3) {
        0 => bytes[rng.below(32)] ^= 1 << rng.below(8),
        1 => bytes = *other.as_bytes(),
        _ => bytes = [0; 32],
    }
    *digest = Digest::new(bytes);
}

fn mutate_key(key: &mut Key, rng: &mut Rng) {
    let mut name = key.name.to_vec();
    match rng.below(4) {
        0 => name.push(0),
        1 => drop(name.pop()),
        2 if !name.is_empty() => {
            let at = rng.below(name.len());
            name[at] ^= 1 << rng.below(8);
        }
        _ => key.namespace = ContractId(Digest::new([rng.below(4) as u8; 32])),
    }
    key.name = Bytes::from(name);
}

fn mutate_version(version: &mut Version, rng: &mut Rng) {
    match rng.below(2) {
        0 => version.height = Height(version.height.0 ^ (1 << rng.below(5))),
        _ => version.index ^= 1 << rng.below(3),
    }
}

fn mutate_step(step: &mut Step, other: &Step, rng: &mut Rng) {
    let digest = match other {
        Step::Opaque(digest) => *digest,
        Step::Bare { value, .. } => **value,
        _ => Digest::ZERO,
    };
    match (rng.below(5), step) {
        (0, step) => *step = other.clone(),
        (_, Step::Opaque(own)) => mutate_digest(own, digest, rng),
        (1, Step::Leaf { key, .. } | Step::Bare { key, .. }) => mutate_key(key, rng),
        (2, Step::Leaf { versioned: Versioned { version, .. }, .. } | Step::Bare { version, .. }) => {
            mutate_version(version, rng)
        }
        (3, Step::Leaf { versioned: Versioned { predecessor, .. }, .. } | Step::Bare { predecessor, .. }) => {
            *predecessor = match predecessor {
                None => Some(digest),
                Some(_) => None,
            };
        }
        (_, Step::Leaf { versioned, .. }) => {
            let mut value = versioned.value.to_vec();
            match rng.below(3) {
                0 => value.push(0),
                1 => drop(value.pop()),
                _ => value = vec![1, 2, 3],
            }
            versioned.value = Bytes::from(value);
        }
        (_, Step::Bare { value, .. }) => mutate_digest(value, digest, rng),
        (_, step @ Step::Node) => *step = Step::Opaque(digest),
    }
}

/// Shows a leaf in another way, which keeps its digest.
fn reveal(step: &mut Step) {
    let changed = match step {
        Step::Leaf { key, versioned } => Step::Bare {
            key: key.clone(),
            version: versioned.version,
            predecessor: versioned.predecessor,
            value: Box::new(ledger_core::state::tree::value_digest(&versioned.value)),
        },
        Step::Bare { key, version, predecessor, value } => {
            Step::Opaque(ledger_core::state::tree::leaf(&key.to_bytes(), *version, predecessor.as_ref(), value))
        }
        Step::Opaque(_) | Step::Node => return,
    };
    *step = changed;
}

fn mutate(proof: &PrunedTree, other: &PrunedTree, rng: &mut Rng) -> PrunedTree {
    let mut steps = proof.steps.to_vec();
    for _ in 0..=rng.below(3) {
        if steps.is_empty() {
            break;
        }
        let (at, to) = (rng.below(steps.len()), rng.below(steps.len()));
        match rng.below(9) {
            0 => drop(steps.remove(at)),
            1 => steps.insert(at, steps[to].clone()),
            2 => steps.swap(at, to),
            3 => reveal(&mut steps[at]),
            4 if !other.steps.is_empty() => {
                let theirs = other.steps.to_vec();
                steps.splice(
                    at.min(to)..=at.max(to),
                    theirs.iter().skip(rng.below(theirs.len())).take(1 + rng.below(6)).cloned(),
                );
            }
            5 if !other.steps.is_empty() => {
                // A subtree that isn't there, joined.
                steps.insert(at, other.steps[rng.below(other.steps.len())].clone());
                let behind = at + 1 + rng.below(steps.len() - at);
                steps.insert(behind.min(steps.len()), Step::Node);
            }
            _ if !other.steps.is_empty() => {
                let theirs = other.steps[rng.below(other.steps.len())].clone();
                mutate_step(&mut steps[at], &theirs, rng);
            }
            _ => steps.truncate(at),
        }
    }
    PrunedTree { steps: steps.into() }
}

#[test]
fn no_mutated_proof_of_a_real_state_is_accepted() {
    let usual = if cfg!(debug_assertions) { 4_000 } else { 100_000 };
    let count: u64 = std::env::var("LEDGERKIT_MUTATIONS").map_or(usual, |count| count.parse().unwrap());
    let mut rng = Rng(41);
    let cases = cases(&mut rng);
    assert!(cases.iter().any(|case| case.shown.is_empty()) && cases.iter().any(|case| case.shown.len() > 4));
    let (mut decoded, mut same, mut elsewhere) = (0, 0, 0);
    for number in 0..count {
        let (case, other) = (&cases[rng.below(cases.len())], &cases[rng.below(cases.len())]);
        let bytes = codec::encode(&Carried(case.proof.clone()));
        let proof =
            match rng.below(4) {
                0 => {
                    let mut bytes = bytes.clone();
                    for _ in 0..=rng.below(2) {
                        let at = rng.below(bytes.len());
                        match rng.below(4) {
                            0 => bytes.truncate(at.max(1)),
                            1 => bytes[at] = rng.next() as u8,
                            2 => drop(bytes.splice(
                                at..at,
                                codec::encode(&Carried(other.proof.clone())).into_iter().skip(at).take(9),
                            )),
                            _ => bytes[at] ^= 1 << rng.below(8),
                        }
                    }
                    let Ok(Carried(proof)) = codec::decode::<Carried>(&bytes) else { continue };
                    assert_eq!(
                        codec::encode(&Carried(proof.clone())),
                        bytes,
                        "mutation {number} is another encoding of a proof"
                    );
                    proof
                }
                _ => mutate(&case.proof, &other.proof, &mut rng),
            };
        decoded += 1;
        let Some(found) = verified(&proof, &case.root, &case.from, case.to.as_ref()) else { continue };
        assert_eq!(found, case.shown, "mutation {number} shows something else");
        assert_eq!(proof, case.proof, "mutation {number} is another proof of the same");
        same += 1;
    }
    // A proof shows its range and height, not another.
    for case in &cases {
        for other in
            cases.iter().filter(|other| (&other.root, &other.from, &other.to) != (&case.root, &case.from, &case.to))
        {
            if let Some(found) = verified(&case.proof, &other.root, &other.from, other.to.as_ref()) {
                assert_eq!(found, other.shown);
                elsewhere += 1;
            }
        }
    }
    println!(
        "{count} mutations, {decoded} of them proofs in form, {same} of them the proof itself; {elsewhere} proofs hold for another range"
    );
    assert!(decoded > count / 2, "only {decoded} of {count} decode");
    assert!(same < decoded / 10, "{same} of {decoded} mutations change nothing");
}
