//! The engine's files are changed at random places, cut, emptied, removed, copied while they are written: views in them
//! are what was written, or say that they are damaged, and are built again. A wrong value is never read.
//!
//! `LEDGER_VIEWS_DAMAGES` sets how many damages are done.
#![cfg(feature = "fjall")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation
)]

mod chain_support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chain_support::{Made, genesis, namespace, transaction};
use ledger_core::codec::Bytes;
use ledger_core::{Height, Key, KeyRange, StateView, Status, Write};
use ledger_storage::chain::{ChainConfig, ChainStore, StoreError};
use ledger_storage::engine::{Engine, FjallConfig, FjallEngine, MemoryEngine};
use ledger_storage::state::StateConfig;

const BLOCKS: u64 = 24;

struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ (mixed >> 27)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }
}

fn engine(folder: &Path) -> Result<Arc<dyn Engine>, StoreError> {
    let config = FjallConfig {
        cache_bytes: 1 << 20,
        memtable_bytes: 1 << 20,
        bulk_segment_bytes: 64 << 10,
        ..FjallConfig::default()
    };
    Ok(Arc::new(FjallEngine::open(folder, config)?))
}

fn open(engine: Arc<dyn Engine>) -> Result<ChainStore, StoreError> {
    let state = StateConfig { window_blocks: 6, threads: 1, checkpoint_bytes: 20_000, ..StateConfig::default() };
    ChainStore::open(engine, &genesis("chain"), ChainConfig { state })
}

fn key(number: u64) -> Key {
    Key::new(namespace((number % 3) as u8), (number / 3).to_be_bytes()[6..].to_vec())
}

fn writes(height: u64, rng: &mut Rng) -> Vec<Write> {
    let write = |rng: &mut Rng| {
        let value = (rng.below(6) > 0).then(|| Bytes::from(vec![height as u8; 1 + rng.below(200) as usize]));
        Write { key: key(rng.below(900)), index: rng.below(3) as u32, value }
    };
    (0..if height.is_multiple_of(5) { 0 } else { 60 }).map(|_| write(rng)).collect()
}

/// The blocks, and everything about each that can be asked.
struct Reference {
    made: Vec<Made>,
    facts: Vec<Vec<String>>,
}

fn reference() -> Reference {
    let mut rng = Rng(5);
    let mut store = open(Arc::new(MemoryEngine::default())).unwrap();
    let mut made = Vec::new();
    for height in 1..=BLOCKS {
        let transactions =
            (0..height % 4).map(|number| (transaction("chain", height * 10 + number), Status::Succeeded));
        let next = Made::next(&store, writes(height, &mut rng), transactions.collect());
        next.apply(&mut store).unwrap();
        made.push(next);
    }
    let facts = (0..=BLOCKS).map(|height| facts(&store, Height(height), true).unwrap()).collect();
    Reference { made, facts }
}

/// All about one height; with `proofs`, the newest one's.
fn facts(store: &ChainStore, height: Height, whole: bool) -> Result<Vec<String>, StoreError> {
    let reader = store.reader();
    let state = reader.state_at(height)?;
    let mut facts = vec![
        format!("{:?}", reader.block(height)?),
        format!("{:?}", reader.results(height)?),
        format!("{:?}", reader.history_head(height.0 + 1)?),
    ];
    if whole {
        for number in 0..3 {
            let range = KeyRange { namespace: namespace(number), from: Bytes::default(), to: None };
            facts.push(format!("{:?}", state.scan(&range).collect::<Result<Vec<_>, _>>()?));
        }
        for number in (0..900).step_by(11) {
            facts.push(format!("{:?}", state.get(&key(number))?));
        }
    }
    Ok(facts)
}

fn fill(folder: &Path, made: &[Made], sync: bool) -> Result<(), StoreError> {
    let engine = engine(folder)?;
    let mut store = open(Arc::clone(&engine))?;
    let from = store.head().header.height.0 as usize;
    for made in &made[from.min(made.len())..] {
        made.apply(&mut store)?;
    }
    if sync {
        engine.sync()?;
    }
    Ok(())
}

/// Opens, reads and proves everything, replays what is missing; the error that is met first.
fn survey(folder: &Path, reference: &Reference) -> Result<u64, StoreError> {
    let mut store = open(engine(folder)?)?;
    let height = store.head().header.height;
    let reader = store.reader();
    for at in (0..=height.0).map(Height) {
        let whole = at.0 % 6 == 0 || at == height;
        let found = facts(&store, at, whole)?;
        for (found, expected) in found.iter().zip(&reference.facts[at.0 as usize]) {
            assert_eq!(found, expected, "a wrong value at block {at}");
        }
    }
    let root = store.head().outcome.state_root;
    for number in (0..900).step_by(97) {
        let found = reader.prove(height, &key(number))?.verify(&root, &key(number)).unwrap().cloned();
        assert_eq!(found, reader.state().get(&key(number))?);
        reader.value_history(&key(number), None, 100)?;
    }
    if let Some(damage) = reader.verify().damages.first() {
        return Err(damage.clone());
    }
    for made in reference.made.get(height.0 as usize..).unwrap_or_default() {
        made.apply(&mut store)?;
    }
    let found = facts(&store, Height(BLOCKS), true)?;
    assert_eq!(found, reference.facts[BLOCKS as usize]);
    Ok(height.0)
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        // What goes away meanwhile is missing in the copy.
        if path.is_dir() {
            copy(&path, &target);
        } else if let Err(error) = std::fs::copy(&path, &target) {
            assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
        }
    }
}

/// Changes one file, and says how.
fn damage(folder: &Path, rng: &mut Rng) -> String {
    let mut all = Vec::new();
    files(folder, &mut all);
    all.retain(|path| std::fs::metadata(path).unwrap().len() > 0);
    let bulk: Vec<_> = all.iter().filter(|path| path.to_str().unwrap().contains("/bulk-")).cloned().collect();
    let path = if rng.below(2) == 0 && !bulk.is_empty() {
        &bulk[rng.below(bulk.len() as u64) as usize]
    } else {
        &all[rng.below(all.len() as u64) as usize]
    };
    let mut bytes = std::fs::read(path).unwrap();
    // Files that are preallocated are zero to the end.
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(bytes.len(), |last| last + 1);
    let at = rng.below(used as u64) as usize;
    let end = (at + 512).min(bytes.len());
    let how = match rng.below(10) {
        0..5 => {
            bytes[at] ^= 1 << rng.below(8);
            "a flipped bit"
        }
        5 => {
            bytes[at..end].fill(0);
            "a zeroed sector"
        }
        6 => {
            bytes[at..end].iter_mut().for_each(|byte| *byte = rng.next() as u8);
            "a sector of garbage"
        }
        7 => {
            bytes.truncate(at);
            "cut"
        }
        8 => {
            bytes.clear();
            "emptied"
        }
        _ => {
            std::fs::remove_file(path).unwrap();
            return format!("{} removed", path.display());
        }
    };
    std::fs::write(path, bytes).unwrap();
    format!("{}: {how} at {at}", path.strip_prefix(folder).unwrap().display())
}

#[test]
fn damaged_files_are_noticed_and_views_are_built_again() {
    let usual = if cfg!(debug_assertions) { 40 } else { 1_000 };
    let count: u64 = std::env::var("LEDGER_VIEWS_DAMAGES").map_or(usual, |count| count.parse().unwrap());
    let reference = reference();
    let folder = tempfile::tempdir().unwrap();
    let (whole, victim) = (folder.path().join("whole"), folder.path().join("victim"));
    // Opened a few times, so that there are tables beside the journal.
    for blocks in [8, 16, BLOCKS as usize] {
        fill(&whole, &reference.made[..blocks], true).unwrap();
    }
    assert_eq!(survey(&whole, &reference), Ok(BLOCKS));
    let (mut noticed, mut harmless, mut panicked) = (0, 0, 0);
    for number in 0..count {
        let mut rng = Rng(number + 1);
        copy(&whole, &victim);
        let done = damage(&victim, &mut rng);
        match catch_unwind(AssertUnwindSafe(|| survey(&victim, &reference))) {
            Ok(Ok(_)) => harmless += 1,
            Ok(Err(error)) => {
                noticed += 1;
                let text = error.to_string();
                assert!(
                    error.wants_rebuild() || matches!(error, StoreError::Engine(_) | StoreError::State(_)),
                    "{done}: {text}"
                );
                if number % 25 == 0 {
                    std::fs::remove_dir_all(&victim).unwrap();
                    fill(&victim, &reference.made, false).unwrap();
                    assert_eq!(survey(&victim, &reference), Ok(BLOCKS), "{done}");
                }
            }
            Err(cause) => {
                let text = cause
                    .downcast_ref::<String>()
                    .cloned()
                    .or_else(|| cause.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                let text = text.unwrap_or_default();
                assert!(
                    !text.contains("a wrong value") && !text.contains("assertion"),
                    "damage {number}, {done}: {text}"
                );
                panicked += 1;
                println!("damage {number}, {done}: panicked: {text}");
            }
        }
        std::fs::remove_dir_all(&victim).unwrap();
    }
    println!("{count} damages: {noticed} noticed, {harmless} harmless, {panicked} panics in fjall");
    assert!(noticed > count / 8, "only {noticed} of {count} noticed");
    assert!(panicked <= count / 20, "{panicked} of {count} damages panic");
}

/// Files are copied one after another while blocks are applied: more than any crash mixes up.
#[test]
fn folders_copied_while_they_are_written_hold_some_height_or_say_that_they_do_not() {
    let reference = reference();
    let folder = tempfile::tempdir().unwrap();
    let (live, copied) = (folder.path().join("live"), folder.path().join("copied"));
    let (mut opened, mut refused) = (0, 0);
    for round in 0..if cfg!(debug_assertions) { 3 } else { 40 } {
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                fill(&live, &reference.made, round % 2 == 0).unwrap();
                done.store(true, Ordering::Release);
            });
            while !done.load(Ordering::Acquire) {
                let _ = std::fs::remove_dir_all(&copied);
                if live.join("bulk").exists() {
                    copy(&live, &copied);
                    match catch_unwind(AssertUnwindSafe(|| survey(&copied, &reference))) {
                        Ok(Ok(_)) => opened += 1,
                        Ok(Err(_)) => refused += 1,
                        Err(cause) => {
                            let text = cause.downcast_ref::<String>().cloned().unwrap_or_default();
                            assert!(!text.contains("a wrong value") && !text.contains("assertion"), "{text}");
                            refused += 1;
                        }
                    }
                }
            }
        });
        std::fs::remove_dir_all(&live).unwrap();
    }
    println!("{opened} copies opened, {refused} refused");
    assert!(opened + refused > 0);
}
