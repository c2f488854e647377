//! The memory engine's crashes: bulk bytes that were synced survive, others may be gone or torn, none are made up.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use ledger_storage::engine::{Address, Batch, Engine, EngineError, MemoryConfig, MemoryEngine, Space};

const SPACE: Space = Space::new(7);

fn engine() -> MemoryEngine {
    MemoryEngine::with_segments(MemoryConfig { kept_batches: 1_000 }, 4_096)
}

fn blob(round: u64) -> Vec<u8> {
    (0..200 + round * 13 % 1_500).map(|byte| (byte * (round + 1)).to_le_bytes()[0] | 1).collect()
}

fn read(engine: &MemoryEngine, address: Address, bytes: usize) -> Result<Vec<u8>, EngineError> {
    let mut buffer = vec![0; bytes];
    let count = engine.read_bulk(address, &mut buffer)?;
    buffer.truncate(count);
    Ok(buffer)
}

fn apply(engine: &MemoryEngine, round: u64) {
    let mut batch = Batch::new();
    batch.put(b"round".to_vec(), round.to_be_bytes().to_vec());
    engine.apply(batch).unwrap();
}

/// A blob and a batch a round; synced in every tenth round.
fn rounds(engine: &MemoryEngine, count: u64) -> Vec<Address> {
    let mut addresses = Vec::new();
    for round in 0..count {
        addresses.push(engine.append(SPACE, &blob(round)).unwrap());
        apply(engine, round);
        if round % 10 == 9 {
            engine.sync().unwrap();
        }
    }
    addresses
}

#[test]
fn bytes_of_dropped_batches_are_gone_and_earlier_ones_stay() {
    let engine = engine();
    let addresses = rounds(&engine, 60);
    for batch in 0..=60_u64 {
        let rewound = engine.rewind(batch).unwrap();
        for (round, address) in (0_u64..).zip(&addresses) {
            let expected = if round < batch { blob(round) } else { Vec::new() };
            let found = read(&rewound, *address, blob(round).len()).unwrap();
            assert_eq!(found, expected, "round {round} after batch {batch}");
        }
        if let Some(dropped) = addresses.get(usize::try_from(batch).unwrap()) {
            let again = rewound.append(SPACE, b"another way").unwrap();
            assert!(again <= *dropped, "addresses are given again");
            assert_eq!(read(&rewound, again, 11).unwrap(), b"another way");
        }
    }
    assert_eq!(read(&engine, addresses[59], 10_000).unwrap()[..blob(59).len()], blob(59), "the engine itself stays");
}

#[test]
fn a_torn_crash_tears_what_was_not_synced_and_nothing_else() {
    let engine = engine();
    let addresses = rounds(&engine, 38);
    let (mut whole, mut torn, mut missing) = (0, 0, 0);
    for seed in 0..200 {
        let batch = seed % 39;
        let rewound = engine.rewind_torn(batch, seed).unwrap();
        for (round, address) in (0_u64..).zip(&addresses) {
            let found = read(&rewound, *address, blob(round).len()).unwrap();
            if round < batch / 10 * 10 {
                assert_eq!(found, blob(round), "round {round} was synced; seed {seed}");
            } else if round >= batch {
                assert_eq!(found, Vec::new(), "round {round} came after; seed {seed}");
            } else if found == blob(round) {
                whole += 1;
            } else if found.is_empty() {
                missing += 1;
            } else {
                torn += 1;
            }
        }
        let again = rewound.append(SPACE, &blob(1)).unwrap();
        assert_eq!(read(&rewound, again, blob(1).len()).unwrap(), blob(1), "one can go on");
    }
    assert!(whole > 0 && torn > 0 && missing > 0, "{whole} whole, {torn} torn, {missing} missing");
}

#[test]
fn what_was_synced_without_a_batch_survives() {
    let engine = engine();
    apply(&engine, 0);
    let synced = engine.append(SPACE, &blob(1)).unwrap();
    engine.sync().unwrap();
    let unsynced = engine.append(SPACE, &blob(2)).unwrap();
    for rewound in [engine.rewind(1), engine.rewind_torn(1, 5)] {
        let rewound = rewound.unwrap();
        assert_eq!(read(&rewound, synced, blob(1).len()).unwrap(), blob(1));
        assert_eq!(read(&rewound, unsynced, 10).unwrap(), Vec::new());
    }
}

#[test]
fn a_crash_before_a_release_brings_the_segment_back() {
    let engine = engine();
    let addresses = rounds(&engine, 30);
    let freed = engine.release(SPACE, addresses[25]).unwrap();
    assert!(freed > 0);
    apply(&engine, 30);
    let released = Err(EngineError::Released { address: addresses[0] });
    assert_eq!(read(&engine, addresses[0], 10), released);
    assert_eq!(read(&engine.rewind(31).unwrap(), addresses[0], 10), released);
    let before = engine.rewind(29).unwrap();
    for round in 0..29_u64 {
        let address = addresses[usize::try_from(round).unwrap()];
        assert_eq!(read(&before, address, blob(round).len()).unwrap(), blob(round));
    }
    assert_eq!(before.release(SPACE, addresses[25]).unwrap(), freed, "and it goes again");
}
