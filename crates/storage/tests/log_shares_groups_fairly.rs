//! Chains share the log: each keeps its order, gets its part of every group, and waits for what it asks for itself, not for
//! what others do.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::cast_possible_truncation)]

mod log_support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ledger_crypto::Digest;
use ledger_storage::disk::SimulatedDisk;
use ledger_storage::log::{Flushed, Log, LogConfig, LogError, LogPosition, Record, RecordKind, Ticket};
use log_support::{Dice, ID};
use proptest::prelude::*;

/// Bytes of a record in the log beside its content, and of a group beside its records.
const FRAME: u64 = 64;
const GROUP: u64 = 72;

fn config(group_bytes: u64, chain_queue_bytes: u64) -> LogConfig {
    let mut config = LogConfig::default();
    config.queue_bytes = 1 << 20;
    config.group_bytes = group_bytes;
    config.chain_queue_bytes = chain_queue_bytes;
    config.fill_bytes = 0;
    config
}

fn log(config: LogConfig) -> Log {
    Log::create(Arc::new(SimulatedDisk::new(1)), ID, config).unwrap()
}

/// A record that takes `size` bytes of the log.
fn record(chain: u8, size: u64) -> Record {
    let bytes = vec![chain; (size - FRAME) as usize];
    Record { chain: Digest::new([chain; 32]), kind: RecordKind::PAYLOAD, height: 0, bytes }
}

/// What was submitted: its chains, its bytes, its ticket.
struct Submitted {
    chains: BTreeSet<u8>,
    size: u64,
    ticket: Ticket,
}

impl Submitted {
    fn new(log: &mut Log, parts: &[(u8, u64)]) -> Result<Self, LogError> {
        let ticket = log.submit(parts.iter().map(|(chain, size)| record(*chain, *size)).collect())?;
        let chains = parts.iter().map(|(chain, _)| *chain).collect();
        Ok(Self { chains, size: parts.iter().map(|(_, size)| size).sum(), ticket })
    }

    fn is_fence(&self) -> bool {
        self.chains.len() != 1
    }

    fn positions(&self) -> Option<Arc<[LogPosition]>> {
        self.ticket.outcome().map(Result::unwrap)
    }
}

/// What every group must hold: its bound, the order of each chain and around each fence.
fn hold_to_laws(all: &[Submitted], before: &[bool], flushed: Flushed, group_bytes: u64) {
    let done: Vec<bool> = all.iter().map(|one| one.ticket.is_done()).collect();
    let waiting = |done: &[bool]| -> u64 {
        all.iter().zip(done).filter(|(_, done)| !**done).map(|(one, _)| one.size.max(FRAME)).sum()
    };
    let queued = waiting(before);
    let taken = queued - waiting(&done);
    assert!(taken > 0 || queued == 0, "something waits, and nothing was written");
    assert!(taken <= group_bytes || flushed.tickets == 1, "{taken} bytes in a group of {group_bytes}");
    assert!(queued > group_bytes || taken == queued, "all that waits fits, and was not taken");
    let mut open: BTreeSet<u8> = BTreeSet::new();
    let (mut any_open, mut fence_open) = (false, false);
    let mut last: BTreeMap<u8, LogPosition> = BTreeMap::new();
    for (one, done) in all.iter().zip(&done) {
        if !done {
            (any_open, fence_open) = (true, fence_open || one.is_fence());
            open.extend(&one.chains);
            continue;
        }
        assert!(!fence_open, "written before a fence that was submitted earlier");
        assert!(!(one.is_fence() && any_open), "a fence was written before what was submitted earlier");
        assert!(one.chains.is_disjoint(&open), "a chain's submits changed places");
        for position in one.positions().unwrap().iter() {
            for chain in &one.chains {
                let before = last.insert(*chain, *position);
                assert!(before.is_none_or(|before| before < *position), "a chain's records changed places");
            }
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Submit(Vec<(u8, u64)>),
    FlushGroup,
}

fn step() -> impl Strategy<Value = Step> {
    let size = || prop_oneof![8 => FRAME..600, 2 => 600..3_000_u64, 1 => 3_000..20_000_u64];
    // The first chain submits most.
    let chain = || prop_oneof![3 => Just(0_u8), 4 => 1..6_u8];
    prop_oneof![
        12 => (chain(), prop::collection::vec(size(), 1..4))
            .prop_map(|(chain, sizes)| Step::Submit(sizes.into_iter().map(|size| (chain, size)).collect())),
        1 => prop::collection::vec((chain(), size()), 0..4).prop_map(Step::Submit),
        4 => Just(Step::FlushGroup),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn groups_are_bounded_and_keep_the_order_of_chains_and_fences(
        group_bytes in prop_oneof![64..2_000_u64, 2_000..40_000_u64],
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut log = log(config(group_bytes, 1 << 20));
        let mut all = Vec::new();
        let flush = |log: &mut Log, all: &[Submitted]| {
            let before: Vec<bool> = all.iter().map(|one| one.ticket.is_done()).collect();
            let flushed = log.flush_group().unwrap();
            hold_to_laws(all, &before, flushed, group_bytes);
        };
        for step in steps {
            match step {
                Step::Submit(parts) => match Submitted::new(&mut log, &parts) {
                    Ok(one) => all.push(one),
                    Err(error) => prop_assert!(matches!(error, LogError::Busy { .. }), "{}", error),
                },
                Step::FlushGroup => flush(&mut log, &all),
            }
        }
        while !log.is_idle() {
            flush(&mut log, &all);
        }
        prop_assert!(all.iter().all(|one| one.ticket.is_done()));
        prop_assert_eq!(log.reader().verify().unwrap(), all.iter().map(|one| one.positions().unwrap().len() as u64).sum::<u64>());
    }

}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_small_submit_waits_for_at_most_one_group_more_than_there_are_floods(
        seed in any::<u64>(),
        floods in 1..6_u8,
        largest in 100..60_000_u64,
        group_bytes in 8_000..40_000_u64,
    ) {
        let mut log = log(config(group_bytes, 1 << 16));
        let mut dice = Dice::new(seed);
        for _ in 0..20 {
            for chain in 0..floods {
                // Until its part of the queue is full.
                while log.submit(vec![record(chain, FRAME + dice.roll(largest))]).is_ok() {}
            }
            for _ in 0..dice.roll(3) {
                log.flush_group().unwrap();
            }
            let quiet = log.submit(vec![record(99, FRAME + dice.roll(1_000))]).unwrap();
            let mut groups = 0;
            while !quiet.is_done() {
                log.flush_group().unwrap();
                groups += 1;
                // The floods go on.
                for chain in 0..floods {
                    while log.submit(vec![record(chain, FRAME + dice.roll(largest))]).is_ok() {}
                }
            }
            prop_assert!(groups <= u64::from(floods) + 1, "{} groups with {} floods", groups, floods);
        }
    }

    #[test]
    fn floods_get_equal_parts(
        seed in any::<u64>(),
        chains in 2..6_usize,
        group_bytes in 20_000..60_000_u64,
    ) {
        parts_stay_equal(seed, chains, group_bytes)?;
    }
}

/// Chains whose queues never get empty, each with submits of its own size: after any number of groups none is ahead of
/// another by more than what turns are made of.
fn parts_stay_equal(seed: u64, chains: usize, group_bytes: u64) -> Result<(), TestCaseError> {
    let mut log = log(config(group_bytes, 1 << 16));
    let sizes: Vec<u64> = (0..chains as u64).map(|chain| FRAME + Dice::new(seed ^ chain).roll(6_000)).collect();
    let mut waiting: Vec<Vec<Ticket>> = vec![Vec::new(); chains];
    let mut served = vec![0_u64; chains];
    for _ in 0..100 {
        for (chain, size) in sizes.iter().enumerate() {
            while let Ok(ticket) = log.submit(vec![record(chain as u8, *size)]) {
                waiting[chain].push(ticket);
            }
        }
        log.flush_group().unwrap();
        for (chain, waiting) in waiting.iter_mut().enumerate() {
            let before = waiting.len();
            waiting.retain(|ticket| !ticket.is_done());
            served[chain] += (before - waiting.len()) as u64 * sizes[chain];
        }
        let (least, most) = (served.iter().min().unwrap(), served.iter().max().unwrap());
        // One turn more gives a share; what a turn couldn't use, a share and what a submit lacked, is still to come.
        let share = (group_bytes / chains as u64).max(4096);
        prop_assert!(most - least <= 2 * share + sizes.iter().max().unwrap(), "{:?} of {:?}", served, sizes);
    }
    Ok(())
}

/// Second turns in the room that a large submit left made the small ones get ahead of it, group by group.
#[test]
fn floods_of_small_submits_do_not_get_ahead_in_what_large_ones_leave() {
    parts_stay_equal(8_222_162_811_225_475_476, 4, 20_125).unwrap();
}

#[test]
fn the_bound_of_one_chain_is_named_and_leaves_room_for_others() {
    let mut log = log(config(1 << 12, 1_000));
    let first = log.submit(vec![record(1, 600)]).unwrap();
    let error = log.submit(vec![record(1, 600)]).unwrap_err();
    let chain = Digest::new([1; 32]);
    assert!(
        matches!(error, LogError::Busy { chain: Some(named), queued: 600, size: 600, limit: 1_000 } if named == chain),
        "{error}"
    );
    assert!(error.to_string().contains(&chain.to_string()), "{error}");
    log.submit(vec![record(2, 600)]).unwrap();
    // Behind a fence a chain's bytes count as well.
    log.submit(vec![]).unwrap();
    log.submit(vec![record(1, 400)]).unwrap();
    assert!(matches!(log.submit(vec![record(1, 64)]), Err(LogError::Busy { chain: Some(_), queued: 1_000, .. })));
    // One submit of a chain of which nothing waits is always let in, up to the whole queue.
    log.submit(vec![record(3, 100_000)]).unwrap();
    assert!(matches!(log.submit(vec![record(3, 64)]), Err(LogError::Busy { chain: Some(_), .. })));
    let flushed = log.flush().unwrap();
    assert_eq!((flushed.tickets, flushed.records), (5, 4));
    assert!(first.is_done());
    log.submit(vec![record(1, 600)]).unwrap();
    log.submit(vec![record(3, 64)]).unwrap();
}

#[test]
fn a_flush_writes_as_many_groups_as_it_takes() {
    let mut log = log(config(10_000, 1 << 20));
    let tickets: Vec<_> = (0..100).map(|number| log.submit(vec![record(number % 7, 1_000)]).unwrap()).collect();
    let flushed = log.flush().unwrap();
    assert_eq!((flushed.groups, flushed.tickets, flushed.records), (10, 100, 100));
    assert_eq!(flushed.bytes, 10 * (GROUP + 10_000));
    assert_eq!(log.counters().groups, 10);
    assert!(tickets.iter().all(Ticket::is_done) && log.is_idle());
}

#[test]
fn a_failure_between_two_groups_reaches_all_that_waits() {
    let disk = SimulatedDisk::new(1);
    let mut log = Log::create(Arc::new(disk.clone()), ID, config(1_000, 1 << 20)).unwrap();
    let tickets: Vec<_> = (0..5).map(|_| log.submit(vec![record(1, 900)]).unwrap()).collect();
    disk.fail_sync(3);
    let error = log.flush().unwrap_err();
    assert!(matches!(error, LogError::Stopped { .. }), "{error}");
    let outcomes: Vec<bool> = tickets.iter().map(|ticket| ticket.outcome().unwrap().is_ok()).collect();
    assert_eq!(outcomes, [true, true, false, false, false]);
    assert_eq!(disk.faults().failed_syncs, 1);
}
