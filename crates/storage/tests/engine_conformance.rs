//! Every engine keeps the contract, and each its own promises on top.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation
)]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use ledger_storage::engine::{
    Address, Batch, Direction, Engine, EngineError, MemoryConfig, MemoryEngine, Snapshot, Space,
};
use ledger_storage::testing::{ConformanceError, conformance, reopening};

fn all(snapshot: &dyn Snapshot) -> Vec<(Vec<u8>, Vec<u8>)> {
    snapshot.range(&[], None, Direction::Forward).collect::<Result<_, _>>().unwrap()
}

fn put(engine: &dyn Engine, key: &[u8], value: &[u8]) {
    let mut batch = Batch::new();
    batch.put(key.to_vec(), value.to_vec());
    engine.apply(batch).unwrap();
}

#[test]
fn the_memory_engine_conforms() {
    for segment_bytes in [5_000, 100_000, 4 << 20] {
        for kept_batches in [0, 10] {
            let new = || MemoryEngine::with_segments(MemoryConfig { kept_batches }, segment_bytes);
            conformance(&mut || Box::new(new())).unwrap();
            let engine = new();
            reopening(&mut || Box::new(engine.clone())).unwrap();
        }
    }
}

/// How an engine may get the scratch of its spaces wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    /// It isn't: the wrapper alone breaks no law.
    Nothing,
    /// A chain's scratch space is its other one.
    TakesScratchForKept,
    /// What a chain keeps goes with its scratch.
    ReleasesKeptWithScratch,
    /// A chain's scratch goes with what it keeps.
    ReleasesScratchWithKept,
    /// Many reads at once look for kept bytes only.
    FindsNoScratchAmongMany,
    /// Which spaces' scratch is needed is mixed up.
    ReleasesEverybodysScratch,
}

#[derive(Clone)]
struct WrongEngine {
    engine: MemoryEngine,
    wrong: Wrong,
    scratch: Arc<Mutex<BTreeSet<Address>>>,
}

const SCRATCH: u32 = 1 << 31;

impl WrongEngine {
    fn space(&self, space: Space) -> Space {
        match self.wrong {
            Wrong::TakesScratchForKept => Space::new(space.number() & !SCRATCH),
            _ => space,
        }
    }
}

impl Engine for WrongEngine {
    fn snapshot(&self) -> Box<dyn Snapshot> {
        self.engine.snapshot()
    }

    fn apply(&self, batch: Batch) -> Result<(), EngineError> {
        self.engine.apply(batch)
    }

    fn append(&self, space: Space, bytes: &[u8]) -> Result<Address, EngineError> {
        let address = self.engine.append(self.space(space), bytes)?;
        if space.is_scratch() {
            self.scratch.lock().unwrap().insert(address);
        }
        Ok(address)
    }

    fn largest_blob(&self) -> u64 {
        self.engine.largest_blob()
    }

    fn read_bulk(&self, address: Address, buffer: &mut [u8]) -> Result<usize, EngineError> {
        self.engine.read_bulk(address, buffer)
    }

    fn read_bulk_each(
        &self,
        addresses: &[Address],
        buffer: &mut [u8],
        counts: &mut [usize],
    ) -> Result<(), EngineError> {
        self.engine.read_bulk_each(addresses, buffer, counts)?;
        if self.wrong == Wrong::FindsNoScratchAmongMany {
            let scratch = self.scratch.lock().unwrap();
            let missed = addresses.iter().zip(counts).filter(|(address, _)| scratch.contains(address));
            missed.for_each(|(_, count)| *count = 0);
        }
        Ok(())
    }

    fn release(&self, space: Space, below: Address) -> Result<u64, EngineError> {
        let freed = self.engine.release(self.space(space), below)?;
        let more = match (self.wrong, space.is_scratch()) {
            (Wrong::ReleasesKeptWithScratch, true) => Some(Space::new(space.number() & !SCRATCH)),
            (Wrong::ReleasesScratchWithKept, false) => Some(space.scratch()),
            (Wrong::ReleasesEverybodysScratch, true) => Some(Space::new(2).scratch()),
            _ => None,
        };
        Ok(freed + more.map_or(Ok(0), |space| self.engine.release(space, below))?)
    }

    fn sync(&self) -> Result<(), EngineError> {
        self.engine.sync()
    }

    fn disk_bytes(&self) -> Result<u64, EngineError> {
        self.engine.disk_bytes()
    }
}

#[test]
fn an_engine_that_mixes_scratch_up_breaks_a_law() {
    let new = |wrong| {
        let engine = MemoryEngine::with_segments(MemoryConfig::default(), 20_000);
        WrongEngine { engine, wrong, scratch: Arc::default() }
    };
    conformance(&mut || Box::new(new(Wrong::Nothing))).unwrap();
    let same = new(Wrong::Nothing);
    reopening(&mut || Box::new(same.clone())).unwrap();
    for wrong in [
        Wrong::TakesScratchForKept,
        Wrong::ReleasesKeptWithScratch,
        Wrong::ReleasesScratchWithKept,
        Wrong::FindsNoScratchAmongMany,
        Wrong::ReleasesEverybodysScratch,
    ] {
        let named = |error: ConformanceError| error.to_string().contains("scratch");
        let found = conformance(&mut || Box::new(new(wrong))).unwrap_err();
        assert!(named(found.clone()), "{wrong:?}: {found}");
    }
}

#[test]
fn a_memory_engine_comes_back_as_it_was_after_any_kept_batch() {
    let engine = MemoryEngine::new(MemoryConfig { kept_batches: 20 });
    let mut past = vec![all(&*engine.snapshot())];
    for round in 0..50_u8 {
        let mut batch = Batch::new();
        batch.put(vec![round % 5], vec![round]);
        batch.delete(vec![round % 3]);
        engine.apply(batch).unwrap();
        past.push(all(&*engine.snapshot()));
    }
    assert_eq!(engine.batches(), 50);
    for batch in 30..=50_u64 {
        let rewound = engine.rewind(batch).unwrap();
        assert_eq!(all(&*rewound.snapshot()), past[batch as usize]);
        assert_eq!(rewound.batches(), batch);
        let again = rewound.rewind(30).unwrap();
        assert_eq!(all(&*again.snapshot()), past[30]);
        put(&rewound, b"other", b"way");
        assert_eq!(all(&*engine.snapshot()), past[50], "a rewound engine is one of its own");
    }
    for batch in [0, 29, 51] {
        let refused = engine.rewind(batch).map(|_| ());
        assert_eq!(refused, Err(EngineError::NotKept { batch, oldest: 30, newest: 50 }));
    }
}

#[test]
fn what_no_snapshot_sees_is_dropped() {
    let engine = MemoryEngine::default();
    put(&engine, b"key", b"first");
    let seen = engine.snapshot();
    put(&engine, b"key", b"second");
    assert!(engine.rewind(1).is_ok(), "a snapshot still sees it");
    drop(seen);
    put(&engine, b"key", b"third");
    assert!(matches!(engine.rewind(1), Err(EngineError::NotKept { oldest: 3, .. })));
}

#[cfg(feature = "fjall")]
mod fjall {
    use super::*;
    use ledger_storage::engine::{FjallConfig, FjallEngine};

    #[test]
    fn the_fjall_engine_conforms() {
        let folders = tempfile::tempdir().unwrap();
        let mut count = 0;
        for (bulk_segment_bytes, bulk_open_files) in [(5_000, 1), (100_000, 2), (4 << 20, 100)] {
            let config = FjallConfig { bulk_segment_bytes, bulk_open_files, ..FjallConfig::default() };
            conformance(&mut || {
                count += 1;
                Box::new(FjallEngine::open(folders.path().join(count.to_string()), config).unwrap())
            })
            .unwrap();
            let same = tempfile::tempdir().unwrap();
            reopening(&mut || Box::new(FjallEngine::open(same.path(), config).unwrap())).unwrap();
        }
    }

    #[test]
    fn an_orderly_closed_engine_opens_again_with_all_batches() {
        let folder = tempfile::tempdir().unwrap();
        let config = FjallConfig { memtable_bytes: 1 << 20, ..FjallConfig::default() };
        let mut expected = Vec::new();
        for round in 0..4_u8 {
            let engine = FjallEngine::open(folder.path(), config).unwrap();
            assert_eq!(all(&*engine.snapshot()), expected);
            for key in 0..200_u8 {
                put(&engine, &[round, key], &vec![key; 3_000]);
                expected.push((vec![round, key], vec![key; 3_000]));
            }
        }
    }

    #[test]
    fn scratch_that_was_given_up_is_gone_when_the_engine_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let config = FjallConfig { bulk_segment_bytes: 64 << 10, ..FjallConfig::default() };
        let engine = FjallEngine::open(folder.path(), config).unwrap();
        let scratch = Space::new(1).scratch();
        let placed: Vec<Address> = (0..20).map(|_| engine.append(scratch, &[7; 40_000]).unwrap()).collect();
        let files = || std::fs::read_dir(folder.path().join("scratch")).unwrap().count();
        assert_eq!(files(), 20);
        // One after another, as the commits of a chain do.
        for below in &placed[1..] {
            assert_eq!(engine.release(scratch, *below).unwrap(), 40_000);
            assert!(matches!(engine.read_bulk(placed[0], &mut [0; 10]), Err(EngineError::Released { .. })));
        }
        drop(engine);
        assert_eq!(files(), 1);
        let engine = FjallEngine::open(folder.path(), config).unwrap();
        assert_eq!(engine.read_bulk(placed[19], &mut [0; 10]).unwrap(), 10);
    }

    #[test]
    fn a_folder_in_use_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let engine = FjallEngine::open(folder.path(), FjallConfig::default()).unwrap();
        let refused = FjallEngine::open(folder.path(), FjallConfig::default()).map(|_| ());
        assert_eq!(refused, Err(EngineError::InUse { folder: folder.path().to_path_buf() }));
        drop(engine);
        FjallEngine::open(folder.path(), FjallConfig::default()).unwrap();
    }

    #[test]
    fn settings_that_cannot_work_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        for (name, config) in [
            ("memtable_bytes", FjallConfig { memtable_bytes: 1, ..FjallConfig::default() }),
            ("worker_threads", FjallConfig { worker_threads: 0, ..FjallConfig::default() }),
            ("journal_bytes", FjallConfig { journal_bytes: 1, ..FjallConfig::default() }),
        ] {
            match FjallEngine::open(folder.path(), config).map(|_| ()) {
                Err(EngineError::BadConfig { name: found, .. }) => assert_eq!(found, name),
                other => panic!("{name}: {other:?}"),
            }
        }
    }

    /// Every file of the folder, one at a time, overwritten with garbage or cut: opening and reading gives an error
    /// with a name, or the content of some batch. Never a panic, never another content.
    #[test]
    fn a_damaged_folder_is_said_to_be_damaged() {
        let original = tempfile::tempdir().unwrap();
        let config = FjallConfig { memtable_bytes: 1 << 20, ..FjallConfig::default() };
        let engine = FjallEngine::open(original.path(), config).unwrap();
        for round in 0..30_u8 {
            let mut batch = Batch::new();
            for key in 0..100_u8 {
                batch.put(vec![key], vec![round; 1_000]);
            }
            engine.apply(batch).unwrap();
        }
        drop(engine);
        let mut refused = 0;
        for file in files(original.path()) {
            let relative = file.strip_prefix(original.path()).unwrap().to_path_buf();
            for damage in [garbage as fn(&std::path::Path), cut] {
                let copy = tempfile::tempdir().unwrap();
                for file in files(original.path()) {
                    let target = copy.path().join(file.strip_prefix(original.path()).unwrap());
                    std::fs::create_dir_all(target.parent().unwrap()).unwrap();
                    std::fs::copy(&file, &target).unwrap();
                }
                damage(&copy.path().join(&relative));
                match FjallEngine::open(copy.path(), config) {
                    Ok(engine) => {
                        let snapshot = engine.snapshot();
                        let read: Result<Vec<_>, _> = snapshot.range(&[], None, Direction::Forward).collect();
                        if let Ok(entries) = read {
                            let rounds: Vec<_> = entries.iter().map(|(_, value)| value.clone()).collect();
                            assert!(
                                rounds.windows(2).all(|pair| pair[0] == pair[1]),
                                "half a batch after {relative:?}"
                            );
                        } else {
                            refused += 1;
                        }
                    }
                    Err(EngineError::Damaged { .. } | EngineError::Version { .. } | EngineError::Failed { .. }) => {
                        refused += 1;
                    }
                    Err(other) => panic!("{relative:?}: {other}"),
                }
            }
        }
        assert!(refused > 0, "no damage was noticed");
    }

    fn files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
        }
        found.sort();
        found
    }

    fn garbage(file: &std::path::Path) {
        let length = std::fs::metadata(file).unwrap().len().min(1 << 20) as usize;
        let bytes = std::fs::read(file).unwrap();
        let changed: Vec<u8> = bytes.iter().take(length).map(|byte| byte ^ 0x5a).collect();
        std::fs::write(file, changed).unwrap();
    }

    fn cut(file: &std::path::Path) {
        let bytes = std::fs::read(file).unwrap();
        std::fs::write(file, &bytes[..bytes.len() / 2]).unwrap();
    }
}
