//! Executing a block while the one before it isn't stored gives what executing it afterwards gives, whatever the two read
//! and write; and it is refused where that can't be.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{empty_block, genesis};
use ledger_contracts::LedgerExecutor;
use ledger_core::codec::List;
use ledger_core::{
    Block, Context, ContractId, Execution, ExecutionError, Executor, Fuel, Height, Key, KeyRange, StateView, Write,
    Writes, pass_on,
};
use ledger_crypto::{Digest, hash};
use ledger_node::core::{Applied, Execute};
use ledger_node::{Applier, ApplyError};
use ledger_storage::chain::{ChainConfig, ChainStore};
use ledger_storage::engine::MemoryEngine;
use ledger_storage::log::LogPosition;
use proptest::prelude::*;
use std::sync::Arc;

/// What a block does, by its height: reads, and writes that depend on everything that was read.
#[derive(Clone, Debug)]
struct Plan {
    reads: Vec<u8>,
    ranges: Vec<(u8, u8)>,
    /// Key, transaction, whether it deletes.
    writes: Vec<(u8, u32, bool)>,
}

struct Planned {
    executor: LedgerExecutor,
    plans: Vec<Plan>,
}

fn space() -> ContractId {
    ContractId(Digest::new([7; 32]))
}

fn key(number: u8) -> Key {
    Key::new(space(), vec![number])
}

impl Executor for Planned {
    fn execute(&self, block: &Block, _: &Context<'_>, state: &dyn StateView) -> Result<Execution, ExecutionError> {
        let plan = &self.plans[usize::try_from(block.header.height.0).unwrap() - 1];
        let mut seen = format!("{:?}", block.header.height);
        let keys: Vec<Key> = plan.reads.iter().copied().map(key).collect();
        seen += &format!("{:?}", state.get_many(&keys)?);
        for key in keys.iter().rev() {
            seen += &format!("{:?}", state.get(key)?);
        }
        for (from, to) in &plan.ranges {
            let range = KeyRange { namespace: space(), from: vec![*from].into(), to: Some(vec![*to].into()) };
            seen += &format!("{:?}", state.scan(&range).collect::<Result<Vec<_>, _>>()?);
        }
        let value = hash(ledger_core::domains::BODY, seen.as_bytes());
        let writes = plan.writes.iter().map(|(number, index, deletes)| {
            let value = (!deletes).then(|| value.as_bytes().to_vec().into());
            Write { key: key(*number), index: *index, value }
        });
        let writes = Writes::new(writes.collect());
        Ok(Execution { writes, results: Vec::new(), fuel_used: Fuel(0), validators: List::new() })
    }

    pass_on!(self => self.executor; simulate, simulate_transaction, query, admit);
}

fn applier(plans: &[Plan], cached: usize) -> Applier {
    let store = ChainStore::open(Arc::new(MemoryEngine::default()), &genesis("tea"), ChainConfig::default()).unwrap();
    let executor = Planned { executor: LedgerExecutor::default(), plans: plans.to_vec() };
    Applier::new(&genesis("tea"), Arc::new(executor), store).value_cache_bytes(cached)
}

/// So many blocks on top of the genesis, without transactions.
fn blocks(count: usize) -> Vec<Execute> {
    let mut parent = genesis("tea").header();
    let next = |_| {
        let block = Arc::new(empty_block(&parent, 0, parent.history));
        parent = block.header.clone();
        Execute { block, certificate: Arc::from([1; 64]), position: LogPosition::START }
    };
    (0..count).map(next).collect()
}

fn plan() -> impl Strategy<Value = Plan> {
    let number = 0u8..10;
    (
        prop::collection::vec(number.clone(), 0..8),
        prop::collection::vec((number.clone(), 0u8..12), 0..3),
        prop::collection::vec((number, 0u32..4, any::<bool>()), 0..8),
    )
        .prop_map(|(reads, ranges, writes)| Plan { reads, ranges, writes })
}

fn one_after_another(plans: &[Plan]) -> Vec<Applied> {
    let mut applier = applier(plans, 0);
    blocks(plans.len()).iter().map(|execute| applier.apply(execute).unwrap()).collect()
}

proptest! {
    #[test]
    fn what_is_executed_ahead_is_what_is_executed_afterwards(
        plans in prop::collection::vec(plan(), 1..14),
        ahead in prop::collection::vec(any::<bool>(), 14),
        cached in prop_oneof![Just(0usize), Just(2_000), Just(1 << 20)],
    ) {
        let (mut executing, mut storing) = applier(&plans, cached).into_stages();
        let mut applied = Vec::new();
        let mut unstored = None;
        for (execute, ahead) in blocks(plans.len()).into_iter().zip(ahead) {
            if !ahead && let Some(before) = unstored.take() {
                applied.push(storing.store(before).unwrap());
            }
            let executed = executing.execute(execute).unwrap();
            if let Some(before) = unstored.replace(executed) {
                applied.push(storing.store(before).unwrap());
            }
        }
        applied.extend(unstored.map(|last| storing.store(last).unwrap()));
        let expected = one_after_another(&plans);
        prop_assert_eq!(applied.len(), expected.len());
        for (applied, expected) in applied.iter().zip(&expected) {
            prop_assert_eq!(&applied.outcome, &expected.outcome);
            prop_assert_eq!(&applied.execution, &expected.execution);
        }
    }
}

/// Each block counts how often the key was written before.
fn counting(blocks: usize) -> Vec<Plan> {
    vec![Plan { reads: vec![1], ranges: vec![(0, 9)], writes: vec![(1, 0, false), (1, 1, false)] }; blocks]
}

#[test]
fn a_block_is_stored_while_the_next_is_executed() {
    let plans = counting(200);
    let (mut executing, mut storing) = applier(&plans, 1 << 20).into_stages();
    // One that waits is enough: the next is executed while the one before is stored, or waits for that.
    let (sender, receiver) = std::sync::mpsc::sync_channel(0);
    let storer = std::thread::spawn(move || -> Vec<_> {
        receiver.iter().map(|executed| storing.store(executed).unwrap().outcome).collect()
    });
    for execute in blocks(plans.len()) {
        sender.send(executing.execute(execute).unwrap()).unwrap();
    }
    drop(sender);
    let expected: Vec<_> = one_after_another(&plans).into_iter().map(|applied| applied.outcome).collect();
    assert_eq!(storer.join().unwrap(), expected);
}

#[test]
fn a_block_isnt_executed_on_a_state_that_cant_be_seen() {
    let plans = counting(4);
    let (mut executing, mut storing) = applier(&plans, 1 << 20).into_stages();
    let mut blocks = blocks(plans.len()).into_iter();
    let mut next = || blocks.next().unwrap();
    let refused = |executed: Result<_, ApplyError>| match executed {
        Err(ApplyError::NotNext { height, before }) => (height.0, before.0),
        other => panic!("{other:?}"),
    };
    let first = executing.execute(next()).unwrap();
    let second = executing.execute(next()).unwrap();
    // Two that aren't stored are one too many.
    let third = next();
    assert_eq!(refused(executing.execute(third.clone())), (3, 0));
    storing.store(first).unwrap();
    let executed = executing.execute(third.clone()).unwrap();
    // What can't be stored any more isn't seen either.
    drop((second, executed));
    assert_eq!(refused(executing.execute(third)), (3, 1));
    assert_eq!(storing.store(executing.execute(self::blocks(2).remove(1)).unwrap()).unwrap().outcome.height, Height(2));
}
