//! A behavioural suite for engines.
//!
//! Always compiled, so that it needs no feature in the tests of those who write engines: it depends on nothing, and a
//! program that doesn't call it doesn't carry it.

mod bulk;

pub use bulk::reopening;

use super::{Batch, Direction, Engine, EngineError, MAX_KEY_BYTES, Snapshot};
use std::collections::BTreeMap;

/// What an engine got wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConformanceError {
    /// It failed where it must not.
    #[error("while {checking}: {error}")]
    Failed {
        /// What was being checked.
        checking: &'static str,
        /// The engine's error.
        error: EngineError,
    },
    /// It gave something else.
    #[error("{law}: expected {expected}, found {found}")]
    Broken {
        /// The law.
        law: &'static str,
        /// What it asks for.
        expected: String,
        /// What the engine gave.
        found: String,
    },
}

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

/// Checks that the engines which `factory` gives, each empty, keep the contract of [`engine`](super). Some laws fill
/// several segments of bulk storage: engines with small ones (but at least some KiB) are checked sooner.
///
/// # Errors
/// [`ConformanceError`] names the first law that is broken.
pub fn conformance(factory: &mut dyn FnMut() -> Box<dyn Engine>) -> Result<(), ConformanceError> {
    an_empty_engine_has_nothing(&*factory())?;
    the_later_operation_on_a_key_counts(&*factory())?;
    a_refused_batch_leaves_no_trace(&*factory())?;
    ranges_are_half_open_and_run_both_ways(&*factory())?;
    snapshots_stay_as_they_were(&*factory())?;
    random_batches_follow_an_ordered_map(&*factory())?;
    batches_are_seen_whole(&*factory())?;
    bulk::bulk_bytes_come_back(&*factory())?;
    bulk::what_is_larger_than_a_segment_is_refused(&*factory())?;
    bulk::blobs_are_whole_across_segments(&*factory())?;
    bulk::readers_and_writers_go_on_together(&*factory())?;
    bulk::segments_go_when_nobody_needs_them(&*factory())?;
    bulk::scratch_is_released_apart_from_what_is_kept(&*factory())
}

fn failed(checking: &'static str) -> impl Fn(EngineError) -> ConformanceError {
    move |error| ConformanceError::Failed { checking, error }
}

fn same<T: PartialEq + std::fmt::Debug>(law: &'static str, found: &T, expected: &T) -> Result<(), ConformanceError> {
    if found == expected {
        return Ok(());
    }
    Err(ConformanceError::Broken { law, expected: format!("{expected:?}"), found: format!("{found:?}") })
}

fn all(law: &'static str, snapshot: &dyn Snapshot) -> Result<Model, ConformanceError> {
    snapshot.range(&[], None, Direction::Forward).collect::<Result<_, _>>().map_err(failed(law))
}

fn write(engine: &dyn Engine, law: &'static str, entries: &[(&[u8], Option<&[u8]>)]) -> Result<(), ConformanceError> {
    let mut batch = Batch::new();
    for (key, value) in entries {
        match value {
            Some(value) => batch.put(key.to_vec(), value.to_vec()),
            None => batch.delete(key.to_vec()),
        }
    }
    engine.apply(batch).map_err(failed(law))
}

fn an_empty_engine_has_nothing(engine: &dyn Engine) -> Result<(), ConformanceError> {
    let law = "an empty engine has nothing";
    let snapshot = engine.snapshot();
    same(law, &snapshot.get(b"key").map_err(failed(law))?, &None)?;
    same(law, &all(law, &*snapshot)?, &Model::new())?;
    engine.apply(Batch::new()).map_err(failed("applying an empty batch"))
}

fn the_later_operation_on_a_key_counts(engine: &dyn Engine) -> Result<(), ConformanceError> {
    let law = "the later operation on a key counts";
    write(engine, law, &[(b"a", Some(b"1")), (b"b", Some(b"1")), (b"a", Some(b"2")), (b"b", None)])?;
    write(engine, law, &[(b"c", None), (b"c", Some(b"")), (b"never", None)])?;
    let expected = Model::from([(b"a".to_vec(), b"2".to_vec()), (b"c".to_vec(), Vec::new())]);
    same(law, &all(law, &*engine.snapshot())?, &expected)
}

fn a_refused_batch_leaves_no_trace(engine: &dyn Engine) -> Result<(), ConformanceError> {
    let law = "a batch with a key that is empty or too long is refused whole";
    for key in [Vec::new(), vec![7; MAX_KEY_BYTES + 1]] {
        let mut batch = Batch::new();
        batch.put(b"a".to_vec(), b"1".to_vec());
        let length = key.len();
        batch.put(key, b"1".to_vec());
        let refused = Err(EngineError::KeyLength { length, limit: MAX_KEY_BYTES });
        same(law, &engine.apply(batch), &refused)?;
    }
    same(law, &all(law, &*engine.snapshot())?, &Model::new())?;
    let longest = vec![7; MAX_KEY_BYTES];
    write(engine, "writing the longest key", &[(&longest, Some(b"1"))])?;
    same(law, &engine.snapshot().get(&longest).map_err(failed(law))?, &Some(b"1".to_vec()))
}

fn ranges_are_half_open_and_run_both_ways(engine: &dyn Engine) -> Result<(), ConformanceError> {
    let law = "a range holds its first key and not its end, and runs both ways";
    let keys: [&[u8]; 7] = [b"\0", b"a", b"a\0", b"a\xff", b"b", b"\xff", b"\xff\xff"];
    let entries: Vec<(&[u8], Option<&[u8]>)> = keys.iter().map(|key| (*key, Some(*key))).collect();
    write(engine, law, &entries)?;
    let snapshot = engine.snapshot();
    let bounds: [&[u8]; 9] = [b"", b"\0", b"a", b"a\0", b"a\x80", b"a\xff", b"b", b"\xff", b"\xff\xff\xff"];
    for from in bounds {
        for to in bounds.iter().copied().map(Some).chain([None]) {
            let inside = |key: &&&[u8]| **key >= from && to.is_none_or(|to| **key < to);
            let mut expected: Vec<Vec<u8>> = keys.iter().filter(inside).map(|key| key.to_vec()).collect();
            for direction in [Direction::Forward, Direction::Backward] {
                let found: Result<Vec<_>, _> =
                    snapshot.range(from, to, direction).map(|entry| entry.map(|(key, _)| key)).collect();
                same(law, &found.map_err(failed(law))?, &expected)?;
                expected.reverse();
            }
        }
    }
    Ok(())
}

fn snapshots_stay_as_they_were(engine: &dyn Engine) -> Result<(), ConformanceError> {
    let law = "a snapshot stays as it was";
    let mut kept = Vec::new();
    let mut model = Model::new();
    for round in 0..40_u8 {
        let (put, deleted) = (vec![round % 7], vec![(round * 3) % 11]);
        write(engine, law, &[(&put, Some(&[round])), (&deleted, None)])?;
        model.insert(put.clone(), vec![round]);
        model.remove(&deleted);
        kept.push((engine.snapshot(), model.clone()));
        if round % 3 == 0 {
            kept.remove(usize::from(round % 5).min(kept.len() - 1));
        }
        for (snapshot, model) in &kept {
            same(law, &all(law, &**snapshot)?, model)?;
            same(law, &snapshot.get(&put).map_err(failed(law))?, &model.get(&put).cloned())?;
        }
    }
    let mut slow = engine.snapshot();
    let before = all(law, &*slow)?;
    let mut range = slow.range(&[], None, Direction::Forward);
    let first = range.next().transpose().map_err(failed(law))?;
    write(engine, law, &[(&[5], None), (&[6], Some(b"later"))])?;
    let rest: Result<Vec<_>, _> = range.collect();
    let found: Model = first.into_iter().chain(rest.map_err(failed(law))?).collect();
    same("a range under way stays as it was", &found, &before)?;
    slow = engine.snapshot();
    same("a new snapshot sees the new values", &slow.get(&[6]).map_err(failed(law))?, &Some(b"later".to_vec()))
}

fn random_batches_follow_an_ordered_map(engine: &dyn Engine) -> Result<(), ConformanceError> {
    let law = "random batches follow an ordered map";
    let mut model = Model::new();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    for round in 0..200 {
        let mut batch = Batch::new();
        for _ in 0..random(30) {
            let key = format!("key {:03}", random(300)).into_bytes();
            if random(3) == 0 {
                model.remove(&key);
                batch.delete(key);
            } else {
                let value: Vec<u8> = (0..=random(40)).flat_map(|part| (part ^ round).to_le_bytes()).collect();
                model.insert(key.clone(), value.clone());
                batch.put(key, value);
            }
        }
        engine.apply(batch).map_err(failed(law))?;
        let key = format!("key {:03}", random(300)).into_bytes();
        same(law, &engine.snapshot().get(&key).map_err(failed(law))?, &model.get(&key).cloned())?;
    }
    same(law, &all(law, &*engine.snapshot())?, &model)
}

fn batches_are_seen_whole(engine: &dyn Engine) -> Result<(), ConformanceError> {
    let law = "a batch is seen whole by other threads";
    const ROUNDS: u32 = 200;
    let keys: Vec<Vec<u8>> = (0..20_u8).map(|key| vec![key]).collect();
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            loop {
                let entries = all(law, &*engine.snapshot())?;
                let mut values = entries.values();
                let Some(first) = values.next() else { continue };
                same(law, &entries.len(), &keys.len())?;
                if let Some(other) = values.find(|value| *value != first) {
                    same(law, other, first)?;
                }
                if *first == ROUNDS.to_be_bytes() {
                    return Ok(());
                }
            }
        });
        let mut written = Ok(());
        for round in 1..=ROUNDS {
            let mut batch = Batch::new();
            for key in &keys {
                batch.put(key.clone(), round.to_be_bytes().to_vec());
            }
            written = written.and(engine.apply(batch).map_err(failed(law)));
        }
        let read = reader.join().unwrap_or_else(|_| {
            Err(ConformanceError::Broken { law, expected: "no panic".into(), found: "a panic while reading".into() })
        });
        written.and(read)
    })
}
