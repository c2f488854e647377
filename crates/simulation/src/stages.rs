//! The two stages in which a node applies its blocks, one step at a time: a block may be executed while the one before it is
//! being stored.
//!
//! ```text
//!   add ─▶ waiting ─▶ executed, one at a time ─▶ held, one at most ─▶ stored, one at a time ─▶ told of, in order
//! ```
//! What executes and what stores are the node's own stages, in the order in which its shell lets them begin. The seed says
//! how long each step takes, and so whether a block is executed before the one before it is stored, behind that, or around
//! it: then the views move between two reads of the execution, as they do where two threads are at work. A life may end
//! between any two steps, and faults lie in wait for that.

use crate::planted::PlantedBug;
use crate::random::Random;
use crate::report::Counters;
use crate::settings::pick;
use ledger_core::{Block, Context, Execution, ExecutionError, Executor, Height, Key, KeyRange, Scan};
use ledger_core::{StateError, StateView, Versioned};
use ledger_node::Applier;
use ledger_node::apply::{ApplyError, EXECUTED_AHEAD, Executed, ExecutingStage, StoringStage};
use ledger_node::core::{Applied, ChainCore, Execute, Stop};
use ledger_storage::chain::{ChainReader, ChainStore};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Reads of an execution, at most, before the block before it is stored amid it.
const MOST_READS: u64 = 12;

/// What a seed chooses of a chain's stages for one life.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    /// The longest that executing a block takes, in µs.
    execute: u64,
    /// The longest that storing one takes, in µs.
    store: u64,
    /// Of 100 blocks that are executed beside one that is being stored, around so many that one is stored.
    amid_percent: u64,
    /// Of 100 blocks, so many come while others need the processors.
    busy_percent: u64,
    /// For values that were read or written lately, in bytes.
    pub(crate) cache_bytes: usize,
    random: Random,
}

impl Pace {
    /// Executing takes `execute` µs at most; everything else is one of chance.
    pub(crate) fn draw(execute: u64, mut random: Random) -> Self {
        Pace {
            execute,
            // Longer than what comes before execution, as a rule: else there is nothing yet to execute ahead.
            store: pick(&mut random, &[300, 4_000, 20_000, 40_000]),
            amid_percent: pick(&mut random, &[0, 30, 60]),
            busy_percent: pick(&mut random, &[0, 0, 25]),
            cache_bytes: usize::try_from(pick(&mut random, &[0, 2 << 10, 64 << 10])).unwrap_or(0),
            random,
        }
    }

    /// Nothing takes any time.
    pub(crate) fn instant(random: Random) -> Self {
        Pace { execute: 0, store: 0, amid_percent: 0, busy_percent: 0, cache_bytes: 64 << 10, random }
    }
}

/// A step that has begun, and will end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A block is being executed.
    Execute,
    /// One is being stored.
    Store,
}

/// A fault that waits until a block is executed and isn't stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ambush {
    /// So many blocks more are let by, unless one is executed ahead.
    blocks: u64,
}

impl Ambush {
    /// Half of the faults wait.
    pub(crate) fn draw(random: &mut Random) -> Option<Self> {
        let blocks = pick(random, &[0, 0, 4, 12]);
        random.chance(50).then_some(Ambush { blocks })
    }
}

/// What the executing stage and the storing one share.
#[derive(Default)]
struct Desk {
    stage: Option<StoringStage>,
    /// The block that is being stored, until the views have it.
    block: Option<Executed>,
    /// What came of that.
    stored: Option<Result<Applied, ApplyError>>,
    /// The views get it after so many more reads of the execution that is under way, or at its end.
    reads: Option<u64>,
}

impl Desk {
    fn store(&mut self) {
        self.reads = None;
        if let (Some(stage), Some(block)) = (&mut self.stage, self.block.take()) {
            self.stored = Some(stage.store(block));
        }
    }

    fn read(&mut self) {
        match &mut self.reads {
            Some(0) => self.store(),
            Some(left) => *left -= 1,
            None => {}
        }
    }
}

/// What an executor needs to let a block be stored amid the execution of the next.
#[derive(Clone, Default)]
pub(crate) struct Meanwhile(Arc<Mutex<Desk>>);

impl Meanwhile {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What `executor` does; a block may be stored meanwhile.
    pub(crate) fn around(
        &self,
        executor: &Arc<dyn Executor>,
        store: &ChainStore,
        planted: Option<PlantedBug>,
    ) -> Arc<dyn Executor> {
        let stored = (planted == Some(PlantedBug::ExecutesOnStored)).then(|| store.reader());
        Arc::new(Around { executor: Arc::clone(executor), meanwhile: self.clone(), stored })
    }
}

/// See [`Meanwhile::around`].
struct Around {
    executor: Arc<dyn Executor>,
    meanwhile: Meanwhile,
    /// Where the views are to be taken for the state before a block: a planted bug.
    stored: Option<ChainReader>,
}

impl Executor for Around {
    fn execute(
        &self,
        block: &Block,
        context: &Context<'_>,
        state: &dyn StateView,
    ) -> Result<Execution, ExecutionError> {
        let stored = self.stored.as_ref().map(ChainReader::state);
        let state: &dyn StateView = match &stored {
            Some(stored) => stored,
            None => state,
        };
        let execution = self.executor.execute(block, context, &Reads { state, meanwhile: &self.meanwhile });
        let mut desk = self.meanwhile.desk();
        if desk.reads.is_some() {
            desk.store();
        }
        execution
    }

    ledger_core::pass_on!(self => self.executor; simulate, simulate_transaction, query, admit, admit_all);
}

/// A state whose reads are counted. Views can't move within one of them: whoever stored beside it would wait for that.
struct Reads<'a> {
    state: &'a dyn StateView,
    meanwhile: &'a Meanwhile,
}

impl StateView for Reads<'_> {
    fn get(&self, key: &Key) -> Result<Option<Versioned>, StateError> {
        self.meanwhile.desk().read();
        self.state.get(key)
    }

    fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Versioned>>, StateError> {
        self.meanwhile.desk().read();
        self.state.get_many(keys)
    }

    fn scan(&self, range: &KeyRange) -> Scan<'_> {
        self.meanwhile.desk().read();
        self.state.scan(range)
    }
}

/// A block that was executed.
pub(crate) struct Ran {
    pub(crate) height: Height,
    /// The block before it, if the views got that meanwhile.
    pub(crate) stored: Option<Applied>,
}

/// A block whose storing has ended.
pub(crate) struct Stored {
    pub(crate) applied: Applied,
    /// Whether the views have it since the execution of the next one.
    pub(crate) amid: bool,
}

/// See the [module](self).
pub(crate) struct Stages {
    executing: ExecutingStage,
    meanwhile: Meanwhile,
    pace: Pace,
    /// Bounded by what the core gives out at once.
    waiting: VecDeque<Execute>,
    /// Is being executed.
    execution: Option<Execute>,
    held: Option<(Height, Result<Executed, ApplyError>)>,
    /// Is being stored, or could not be executed.
    storing: Option<(Height, Option<ApplyError>)>,
    /// A block couldn't be applied: nothing follows it.
    failed: bool,
    busy: bool,
    /// When the news of the last block arrive, in µs: they arrive in order.
    told: u64,
}

impl Stages {
    /// The stages of `applier`, whose executor is one that `meanwhile` made.
    pub(crate) fn new(applier: Applier, meanwhile: Meanwhile, pace: Pace) -> Self {
        let (executing, storing) = applier.into_stages();
        meanwhile.desk().stage = Some(storing);
        Stages {
            executing,
            meanwhile,
            pace,
            waiting: VecDeque::new(),
            execution: None,
            held: None,
            storing: None,
            failed: false,
            busy: false,
            told: 0,
        }
    }

    /// Says to a core what a node's shell says to it before it goes on: how far it may run ahead.
    pub(crate) fn lead(&self, core: &mut ChainCore) {
        let alone = core.decides_alone();
        let pipeline = match self.busy {
            true => 1,
            false if alone => EXECUTED_AHEAD as u64,
            false => u64::MAX,
        };
        core.limit(pipeline, usize::MAX);
        core.execute_ahead(if self.busy { 1 } else { EXECUTED_AHEAD });
        core.gather(alone);
    }

    /// A block to be applied after those that came before.
    pub(crate) fn add(&mut self, execute: Execute) {
        self.busy = self.pace.random.chance(self.pace.busy_percent);
        if !self.failed {
            self.waiting.push_back(execute);
        }
    }

    /// Begins what can begin, and says how many µs it takes.
    pub(crate) fn begin(&mut self) -> Vec<(u64, Step)> {
        let mut begun = Vec::new();
        if self.storing.is_none()
            && let Some((height, executed)) = self.held.take()
        {
            let refused = match executed {
                Ok(block) => {
                    self.meanwhile.desk().block = Some(block);
                    None
                }
                Err(error) => Some(error),
            };
            self.storing = Some((height, refused));
            begun.push((self.pace.random.within(0..=self.pace.store), Step::Store));
        }
        if self.execution.is_none()
            && self.held.is_none()
            && let Some(execute) = self.waiting.pop_front()
        {
            self.execution = Some(execute);
            begun.push((self.pace.random.within(0..=self.pace.execute), Step::Execute));
        }
        begun
    }

    /// Executes the block whose execution has begun.
    pub(crate) fn execute(&mut self, counters: &mut Counters) -> Option<Ran> {
        let execute = self.execution.take()?;
        let height = execute.block.header.height;
        let beside = self.meanwhile.desk().block.is_some();
        if beside && self.pace.random.chance(self.pace.amid_percent) {
            let reads = self.pace.random.below(MOST_READS);
            self.meanwhile.desk().reads = Some(reads);
        }
        let executed = self.executing.execute(execute);
        let mut desk = self.meanwhile.desk();
        desk.reads = None;
        let amid = beside && desk.block.is_none();
        counters.add(match (beside, amid) {
            (false, _) => "stages: executed on what was stored",
            (true, true) => "stages: stored amid an execution",
            (true, false) => "stages: executed ahead of storing",
        });
        let stored = desk.stored.as_ref().filter(|_| amid).and_then(|stored| stored.as_ref().ok().cloned());
        drop(desk);
        self.held = Some((height, executed));
        Some(Ran { height, stored })
    }

    /// Stores the block whose storing has begun, unless the views have it already.
    pub(crate) fn store(&mut self) -> Option<Result<Stored, Stop>> {
        let (height, refused) = self.storing.take()?;
        let mut desk = self.meanwhile.desk();
        let amid = desk.block.is_none();
        desk.store();
        let stored = match refused {
            Some(error) => Err(error),
            None => desk.stored.take()?,
        };
        drop(desk);
        Some(match stored {
            Ok(applied) => Ok(Stored { applied, amid }),
            Err(error) => {
                self.failed = true;
                (self.execution, self.held) = (None, None);
                self.waiting.clear();
                Err(Stop::Apply { height, reason: error.to_string() })
            }
        })
    }

    /// When the news of a block arrive, should they take until `at`.
    pub(crate) fn tell_at(&mut self, at: u64) -> u64 {
        self.told = self.told.max(at);
        self.told
    }

    /// How many blocks are executed and not stored.
    fn unstored(&self) -> u64 {
        u64::from(self.meanwhile.desk().block.is_some()) + u64::from(matches!(self.held, Some((_, Ok(_)))))
    }

    /// Counts what a life leaves that ends now.
    pub(crate) fn count_end(&self, counters: &mut Counters) {
        let unstored = self.unstored();
        if unstored > 0 {
            counters.add("crash: between execution and storing");
        }
        if unstored > 1 {
            counters.add("crash: with a block executed ahead");
        }
    }

    /// Whether a fault that waits strikes now that a block was executed and isn't stored.
    pub(crate) fn falls_into(&self, ambush: &mut Ambush) -> bool {
        if self.unstored() > 1 || ambush.blocks == 0 {
            return true;
        }
        ambush.blocks -= 1;
        false
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use ledger_contracts::LedgerExecutor;
    use ledger_core::codec::List;
    use ledger_core::{Genesis, Header, Timestamp};
    use ledger_crypto::{MemorySigner, Signer};
    use ledger_storage::chain::ChainConfig;
    use ledger_storage::engine::MemoryEngine;
    use ledger_storage::log::LogPosition;
    use std::collections::BTreeMap;

    fn genesis() -> Genesis {
        Genesis::solo("tea", MemorySigner::from_seed([1; 32]).public_key(), Timestamp(1_000))
    }

    fn blocks(count: usize) -> Vec<Execute> {
        let mut parent = genesis().header();
        let next = |_| {
            let header = Header { height: parent.height.next(), parent: parent.digest(), ..parent.clone() };
            parent = header.clone();
            let block = Arc::new(Block { header, transactions: List::new() });
            Execute { block, certificate: Arc::from([1; 64]), position: LogPosition::START }
        };
        (0..count).map(next).collect()
    }

    /// Applies `blocks`, two given out at a time, and says what is told of them.
    fn told(seed: u64, blocks: Vec<Execute>, counters: &mut Counters) -> Vec<Result<u64, Stop>> {
        let store = ChainStore::open(Arc::new(MemoryEngine::default()), &genesis(), ChainConfig::default()).unwrap();
        let executor: Arc<dyn Executor> = Arc::new(LedgerExecutor::default());
        let meanwhile = Meanwhile::default();
        let executor = meanwhile.around(&executor, &store, None);
        let pace = Pace { amid_percent: 40, ..Pace::draw(4_000, Random::new(seed)) };
        let mut stages = Stages::new(Applier::new(&genesis(), executor, store), meanwhile, pace);
        let mut blocks = blocks.into_iter();
        for execute in blocks.by_ref().take(EXECUTED_AHEAD) {
            stages.add(execute);
        }
        let (mut told, mut under_way, mut now, mut begun) = (Vec::new(), BTreeMap::new(), 0, 0);
        loop {
            for (after, step) in stages.begin() {
                begun += 1;
                under_way.insert((now + after, begun), step);
            }
            let Some(((at, _), step)) = under_way.pop_first() else { return told };
            now = at;
            match step {
                Step::Execute => drop(stages.execute(counters)),
                Step::Store => {
                    told.extend(stages.store().map(|stored| stored.map(|stored| stored.applied.outcome.height.0)));
                    blocks.next().into_iter().for_each(|execute| stages.add(execute));
                }
            }
        }
    }

    #[test]
    fn blocks_are_told_of_in_their_order_however_their_steps_meet() {
        let mut counters = Counters::default();
        for seed in 0..12 {
            let heights: Vec<u64> = told(seed, blocks(40), &mut counters).into_iter().map(Result::unwrap).collect();
            assert_eq!(heights, (1..=40).collect::<Vec<u64>>(), "seed {seed}");
        }
        let ways = ["executed ahead of storing", "stored amid an execution", "executed on what was stored"];
        assert!(ways.iter().all(|way| counters.get(&format!("stages: {way}")) > 0), "{counters}");
    }

    #[test]
    fn nothing_follows_a_block_that_cant_be_applied() {
        for seed in 0..12 {
            let mut blocks = blocks(6);
            blocks.remove(2);
            let told = told(seed, blocks, &mut Counters::default());
            assert_eq!(told.len(), 3, "seed {seed}: {told:?}");
            assert_eq!(told[..2], [Ok(1), Ok(2)]);
            assert!(matches!(&told[2], Err(Stop::Apply { height: Height(4), .. })), "seed {seed}: {told:?}");
        }
    }
}
