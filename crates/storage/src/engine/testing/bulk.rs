//! The laws of bulk storage.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{ConformanceError, failed, same};
use crate::engine::address::{aligned, length};
use crate::engine::{ADDRESS_ALIGN, Address, Engine, EngineError, Space};

const A: Space = Space::new(1);
const B: Space = Space::new(2);

/// A blob and where it lies.
type Placed = (Address, Vec<u8>);

fn broken<T>(law: &'static str, expected: &str, found: impl std::fmt::Debug) -> Result<T, ConformanceError> {
    Err(ConformanceError::Broken { law, expected: expected.into(), found: format!("{found:?}") })
}

/// Bytes that only this seed gives, so that nothing passes for something else.
fn blob(seed: u64, bytes: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = vec![0; usize::try_from(bytes).unwrap_or(0)];
    for part in bytes.chunks_mut(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        part.copy_from_slice(state.to_le_bytes().get(..part.len()).unwrap_or_default());
    }
    bytes
}

fn put(engine: &dyn Engine, law: &'static str, space: Space, bytes: Vec<u8>) -> Result<Placed, ConformanceError> {
    Ok((engine.append(space, &bytes).map_err(failed(law))?, bytes))
}

fn read(engine: &dyn Engine, address: Address, bytes: usize) -> Result<Vec<u8>, EngineError> {
    // What isn't read must not pass for zeros that were.
    let mut buffer = vec![0xa5; bytes];
    let count = engine.read_bulk(address, &mut buffer)?;
    buffer.truncate(count);
    Ok(buffer)
}

/// Reads of these lengths at most, made together, give what each of them gives.
fn together(engine: &dyn Engine, law: &'static str, placed: &[Placed], length: usize) -> Result<(), ConformanceError> {
    let addresses: Vec<Address> = placed.iter().map(|(address, _)| *address).collect();
    let (mut buffer, mut counts) = (vec![0xa5; addresses.len() * length], vec![0; addresses.len()]);
    engine.read_bulk_each(&addresses, &mut buffer, &mut counts).map_err(failed(law))?;
    for ((address, part), count) in addresses.iter().zip(buffer.chunks(length)).zip(counts) {
        let found = part.get(..count).unwrap_or_default().to_vec();
        same(law, &found, &read(engine, *address, length).map_err(failed(law))?)?;
    }
    Ok(())
}

fn holds(engine: &dyn Engine, law: &'static str, (address, bytes): &Placed) -> Result<(), ConformanceError> {
    let found = read(engine, *address, bytes.len()).map_err(failed(law))?;
    if found == *bytes { Ok(()) } else { broken(law, "the bytes appended", (address, bytes.len(), found.len())) }
}

/// Half a segment, so that two fill one.
fn half(engine: &dyn Engine) -> u64 {
    (engine.largest_blob() / 2 / ADDRESS_ALIGN * ADDRESS_ALIGN).max(1)
}

pub(super) fn bulk_bytes_come_back(engine: &dyn Engine) -> Result<(), ConformanceError> {
    let law = "bulk bytes come back from their address, and from inside";
    same(law, &read(engine, Address::ZERO, 10).map_err(failed(law))?, &Vec::new())?;
    let mut placed: Vec<Placed> = Vec::new();
    for round in 0..300_u64 {
        let size = (blob(round, 8).iter().map(|byte| u64::from(*byte)).sum::<u64>() * 3).min(engine.largest_blob());
        let size = if round % 50 == 0 { 0 } else { size.max(1) };
        let space = if round % 3 == 0 { A } else { B };
        let (address, bytes) = put(engine, law, space, blob(round, size))?;
        if let Some((before, earlier)) = placed.last()
            && address.get() < before.get() + aligned(length(earlier))
        {
            return broken("addresses grow, and blobs don't overlap", "a later address", (before, address));
        }
        holds(engine, law, &(address, bytes.clone()))?;
        let inside = length(&bytes) / 2 / ADDRESS_ALIGN * ADDRESS_ALIGN;
        let Some(middle) = address.offset(inside) else { return broken(law, "an address inside", address) };
        let rest = bytes.get(usize::try_from(inside).unwrap_or(0)..).unwrap_or_default();
        same(law, &read(engine, middle, rest.len()).map_err(failed(law))?, &rest.to_vec())?;
        placed.push((address, bytes));
    }
    placed.iter().try_for_each(|placed| holds(engine, law, placed))?;
    [1, 40, 1_000].iter().try_for_each(|length| together(engine, law, &placed, *length))?;
    let Some((address, bytes)) = placed.last() else { return Ok(()) };
    let law = "a read ends where the written bytes end";
    let found = read(engine, *address, bytes.len() + 1_000).map_err(failed(law))?;
    if !found.starts_with(bytes) || length(&found) > aligned(length(bytes)) {
        return broken(law, "the last blob and at most its padding", (bytes.len(), found.len()));
    }
    let behind = address.offset(aligned(length(bytes)) + (1 << 30));
    let Some(behind) = behind else { return broken(law, "an address behind", address) };
    same(law, &read(engine, behind, 10).map_err(failed(law))?, &Vec::new())
}

pub(super) fn what_is_larger_than_a_segment_is_refused(engine: &dyn Engine) -> Result<(), ConformanceError> {
    let law = "a blob larger than a segment is refused, one as large is taken";
    let limit = engine.largest_blob();
    let small = put(engine, law, A, blob(1, 5))?;
    let refused = engine.append(A, &blob(2, limit + 1));
    same(law, &refused, &Err(EngineError::BlobLength { bytes: limit + 1, limit }))?;
    let largest = put(engine, law, A, blob(3, limit))?;
    let behind = put(engine, law, A, blob(4, 5))?;
    [small, largest, behind].iter().try_for_each(|placed| holds(engine, law, placed))
}

pub(super) fn blobs_are_whole_across_segments(engine: &dyn Engine) -> Result<(), ConformanceError> {
    let law = "a blob is whole wherever a segment ends, and counts in the engine's size";
    let before = engine.disk_bytes().map_err(failed(law))?;
    let size = (engine.largest_blob() * 2 / 5).max(1);
    let placed: Result<Vec<_>, _> = (0..8).map(|round| put(engine, law, A, blob(round, size))).collect();
    placed?.iter().try_for_each(|placed| holds(engine, law, placed))?;
    engine.sync().map_err(failed(law))?;
    let after = engine.disk_bytes().map_err(failed(law))?;
    if after < before + 8 * size { broken(law, "8 blobs more", (before, size, after)) } else { Ok(()) }
}

pub(super) fn readers_and_writers_go_on_together(engine: &dyn Engine) -> Result<(), ConformanceError> {
    let law = "what was appended is read by other threads, whatever is being appended";
    let size = (engine.largest_blob() / 20).clamp(1, 5_000);
    let known: Mutex<Vec<Placed>> = Mutex::default();
    let done = AtomicBool::new(false);
    let last = || known.lock().map(|known| known.clone()).unwrap_or_default();
    std::thread::scope(|scope| {
        let readers = [0, 1].map(|_| {
            scope.spawn(|| {
                while !done.load(Ordering::Acquire) {
                    last().iter().rev().take(30).try_for_each(|placed| holds(engine, law, placed))?;
                }
                last().iter().try_for_each(|placed| holds(engine, law, placed))
            })
        });
        let writers = [A, B].map(|space| {
            let known = &known;
            scope.spawn(move || {
                for round in 0..150 {
                    let seed = round + 1_000 * u64::from(space.number());
                    let placed = put(engine, law, space, blob(seed, 1 + seed * 7 % size))?;
                    if let Ok(mut known) = known.lock() {
                        known.push(placed);
                    }
                    if round % 40 == 0 {
                        engine.sync().map_err(failed(law))?;
                    }
                }
                Ok(())
            })
        });
        let panicked = || broken(law, "no panic", "a panic");
        let written = writers.map(|thread| thread.join().unwrap_or_else(|_| panicked()));
        done.store(true, Ordering::Release);
        let read = readers.map(|thread| thread.join().unwrap_or_else(|_| panicked()));
        written.into_iter().chain(read).collect::<Result<Vec<()>, _>>()
    })?;
    same(law, &last().len(), &300)
}

pub(super) fn segments_go_when_nobody_needs_them(engine: &dyn Engine) -> Result<(), ConformanceError> {
    let law = "a segment goes when no space that wrote into it needs it, and not before";
    // Each of these fills half a segment: A A | A B | B B | A B | A
    let spaces = [A, A, A, B, B, B, A, B, A];
    let size = half(engine);
    let placed = spaces.iter().zip(0..).map(|(space, round)| put(engine, law, *space, blob(round, size)));
    let placed: Vec<Placed> = placed.collect::<Result<_, _>>()?;
    let address = |index: usize| placed.get(index).map_or(Address::MAX, |(address, _)| *address);
    let release = |space, below, freed: u64, gone: &[usize]| -> Result<(), ConformanceError> {
        same(law, &engine.release(space, below).map_err(failed(law))?, &(freed * aligned(size)))?;
        for (index, placed) in placed.iter().enumerate() {
            if gone.contains(&index) {
                let found = read(engine, placed.0, 10);
                same(
                    "released bytes are said to be released",
                    &found,
                    &Err(EngineError::Released { address: placed.0 }),
                )?;
            } else {
                holds(engine, law, placed)?;
            }
        }
        Ok(())
    };
    let before = engine.disk_bytes().map_err(failed(law))?;
    release(A, address(1), 0, &[])?;
    release(A, address(2), 2, &[0, 1])?;
    release(A, address(1), 0, &[0, 1])?;
    release(A, address(8), 0, &[0, 1])?;
    release(B, address(5), 2, &[0, 1, 2, 3])?;
    release(B, Address::MAX, 4, &[0, 1, 2, 3, 4, 5, 6, 7])?;
    release(A, Address::MAX, 0, &[0, 1, 2, 3, 4, 5, 6, 7])?;
    let after = engine.disk_bytes().map_err(failed(law))?;
    if after >= before {
        return broken(law, "fewer bytes than before", (before, after));
    }
    let law = "addresses still grow when all before was released";
    let later = put(engine, law, B, blob(99, size))?;
    if later.0 <= address(8) {
        return broken(law, "a later address", (address(8), later.0));
    }
    holds(engine, law, &later)
}

pub(super) fn scratch_is_released_apart_from_what_is_kept(engine: &dyn Engine) -> Result<(), ConformanceError> {
    let law = "a chain's scratch bytes and those that it keeps are released apart";
    // Each fills half a segment, whatever shares one.
    let (size, mut seed) = (half(engine), 0);
    let mut put = |space| {
        seed += 1;
        put(engine, law, space, blob(seed, size))
    };
    let (mut kept, mut scratch) = (Vec::new(), Vec::new());
    let other = put(B.scratch())?;
    for _ in 0..6 {
        kept.push(put(A)?);
        scratch.push(put(A.scratch())?);
    }
    let all: Vec<Placed> = kept.iter().chain(&scratch).chain([&other]).cloned().collect();
    all.iter().try_for_each(|placed| holds(engine, law, placed))?;
    together(engine, law, &all, 100)?;
    let mut sorted: Vec<Address> = all.iter().map(|(address, _)| *address).collect();
    sorted.sort_unstable();
    let apart = |pair: &[Address]| matches!(pair, [one, next] if next.get() >= one.get() + aligned(size));
    if !sorted.windows(2).all(apart) {
        return broken("blobs don't overlap, scratch or not", "addresses apart", sorted);
    }
    let released = |(address, _): &Placed| match read(engine, *address, 10) {
        Err(EngineError::Released { .. }) => Ok(()),
        found => broken(law, "released bytes are said to be released", (address, found.map(|found| found.len()))),
    };
    let ([.., kept_last], [.., scratch_last]) = (kept.as_slice(), scratch.as_slice()) else { return Ok(()) };
    engine.release(A.scratch(), scratch_last.0).map_err(failed(law))?;
    kept.iter().chain([scratch_last, &other]).try_for_each(|placed| holds(engine, law, placed))?;
    engine.release(A, kept_last.0).map_err(failed(law))?;
    [kept_last, scratch_last, &other].into_iter().try_for_each(|placed| holds(engine, law, placed))?;
    // The first may share its segment with the other chain's.
    for placed in kept.get(2..4).into_iter().chain(scratch.get(2..4)).flatten() {
        released(placed)?;
    }
    let mut later = Vec::new();
    for _ in 0..4 {
        later.push(put(A.scratch())?);
        kept.push(put(A)?);
    }
    let Some((newest, _)) = kept.last() else { return Ok(()) };
    engine.release(A, *newest).map_err(failed(law))?;
    later.iter().chain([scratch_last, &other]).try_for_each(|placed| holds(engine, law, placed))
}

/// Checks that what `open` gives, the same engine each time and empty at first, has the same bulk bytes at the same
/// addresses after every opening. Each engine is dropped before the next one is opened.
///
/// # Errors
/// [`ConformanceError`] names the first law that is broken.
pub fn reopening(open: &mut dyn FnMut() -> Box<dyn Engine>) -> Result<(), ConformanceError> {
    let law = "addresses hold when the engine is opened again";
    let mut placed: Vec<Placed> = Vec::new();
    for round in 0..5 {
        let engine = open();
        placed.iter().try_for_each(|placed| holds(&*engine, law, placed))?;
        let sizes = [1, 1_000.min(engine.largest_blob()), half(&*engine)];
        for (size, index) in sizes.into_iter().zip(0..) {
            placed.push(put(&*engine, law, if round < 4 { A } else { B }, blob(round * 10 + index, size))?);
        }
        if round == 2 {
            engine.sync().map_err(failed(law))?;
        }
    }
    let law = "what was released stays released, and what a space needs stays noted";
    let [Some(first), Some(last)] = [placed.first(), placed.last()] else { return Ok(()) };
    {
        let engine = open();
        let size = engine.largest_blob();
        let more = put(&*engine, law, B, blob(1_000, size))?;
        engine.release(B, more.0).map_err(failed(law))?;
        holds(&*engine, law, first)?;
    }
    {
        let engine = open();
        let freed = engine.release(A, Address::MAX).map_err(failed(law))?;
        if freed == 0 {
            return broken(law, "all but the last segment freed", freed);
        }
    }
    let engine = open();
    for (address, _) in [first, last] {
        same(law, &read(&*engine, *address, 10), &Err(EngineError::Released { address: *address }))?;
    }
    holds(&*engine, law, &(put(&*engine, law, A, blob(2_000, 100.min(engine.largest_blob())))?))?;
    drop(engine);
    scratch_stays_when_opened_again(open)
}

fn scratch_stays_when_opened_again(open: &mut dyn FnMut() -> Box<dyn Engine>) -> Result<(), ConformanceError> {
    let law = "scratch addresses hold when the engine is opened again, and none is given twice";
    let mut placed: Vec<Placed> = Vec::new();
    for round in 0..4 {
        let engine = open();
        placed.iter().try_for_each(|placed| holds(&*engine, law, placed))?;
        let size = half(&*engine);
        for (space, seed) in [(B.scratch(), 0), (B, 1), (B.scratch(), 2)] {
            placed.push(put(&*engine, law, space, blob(3_000 + round * 10 + seed, size))?);
        }
    }
    let law = "what of its scratch a space needs stays noted";
    let scratch_needed = placed.get(9).map_or(Address::MAX, |(address, _)| *address);
    open().release(B.scratch(), scratch_needed).map_err(failed(law))?;
    let engine = open();
    let stay = placed.iter().enumerate().filter(|(index, _)| index % 3 == 1 || *index >= 9);
    stay.map(|(_, placed)| placed).try_for_each(|placed| holds(&*engine, law, placed))
}
