//! Two stages by which a chain's blocks are applied: one is executed while the one before it is being stored.
//!
//! ```text
//!   begin ─▶ waiting ─▶ executed, one at a time ─▶ held, one at most ─▶ stored, one at a time ─▶ Event::Applied
//! ```
//! Neither stage waits in a thread of the pool: whoever ends a step begins what can follow it. Blocks are stored and told of
//! in their order. After the first that can't be executed or stored nothing follows.

use super::shell::{Signal, panic_message};
use crate::apply::{Applier, ApplyError, Executed, ExecutingStage, StoringStage};
use crate::core::{Event, Execute, Stop};
use crate::host::pool::Pool;
use ledger_core::Height;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::mpsc;

/// A block to be applied.
struct Task {
    execute: Execute,
    /// Where the chain gives way to others: it lets go of the processor for as long as the block took.
    rests: Option<tokio::runtime::Handle>,
}

/// A block between the stages, and since when it has been under way.
struct Between {
    height: Height,
    executed: Result<Executed, Stop>,
    begun: Instant,
    rests: Option<tokio::runtime::Handle>,
}

#[derive(Default)]
struct Desk {
    /// Bounded by what the core gives out at once.
    waiting: VecDeque<Task>,
    executing: bool,
    held: Option<Between>,
    storing: bool,
    /// Nothing is begun any more: whoever held the stages is gone, or a block couldn't be applied.
    ended: bool,
}

impl Desk {
    /// What hasn't begun never does. A block that was executed and waits to be stored goes with the rest.
    fn end(&mut self) {
        self.ended = true;
        self.waiting.clear();
        self.held = None;
    }
}

struct Inner {
    executing: Mutex<ExecutingStage>,
    storing: Mutex<StoringStage>,
    desk: Mutex<Desk>,
    pool: Pool,
    signals: mpsc::UnboundedSender<Signal>,
}

/// See the [module](self). When it is dropped, what hasn't begun never does.
pub(crate) struct Stages(Arc<Inner>);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Stages {
    pub(crate) fn new(applier: Applier, pool: Pool, signals: mpsc::UnboundedSender<Signal>) -> Self {
        let (executing, storing) = applier.into_stages();
        let (executing, storing) = (Mutex::new(executing), Mutex::new(storing));
        Stages(Arc::new(Inner { executing, storing, desk: Mutex::default(), pool, signals }))
    }

    /// Applies a block after those that came before, and tells the chain by a signal. With `rests`, that comes later by as
    /// long as it took.
    pub(crate) fn begin(&self, execute: Execute, rests: Option<tokio::runtime::Handle>) {
        let mut desk = lock(&self.0.desk);
        desk.waiting.push_back(Task { execute, rests });
        self.0.execute_next(&mut desk);
    }

    /// Lets the views be opened without reading what is in them twice: writes a copy of their index in the pool, if
    /// `is_wanted` still holds when its turn comes. `None` where so little would be read twice that it isn't worth it;
    /// otherwise what ends when it is done.
    pub(crate) fn write_index(
        &self,
        is_wanted: impl FnOnce() -> bool + Send + 'static,
    ) -> Option<impl Future<Output = ()>> {
        if !lock(&self.0.storing).is_worth_a_checkpoint() {
            return None;
        }
        let (done, written) = tokio::sync::oneshot::channel::<()>();
        let inner = Arc::clone(&self.0);
        self.0.pool.run(move || {
            if is_wanted() {
                // What isn't written is read again from the records.
                let _ = lock(&inner.storing).checkpoint();
            }
            // The views are let go of before the host hears that the chain is closed.
            drop(inner);
            drop(done);
        });
        Some(async move { _ = written.await })
    }
}

impl Drop for Stages {
    fn drop(&mut self) {
        lock(&self.0.desk).end();
    }
}

impl Inner {
    /// Begins to execute the next block, if none is and none waits to be stored.
    fn execute_next(self: &Arc<Self>, desk: &mut Desk) {
        if desk.ended || desk.executing || desk.held.is_some() {
            return;
        }
        let Some(task) = desk.waiting.pop_front() else { return };
        desk.executing = true;
        let inner = Arc::clone(self);
        self.pool.run(move || {
            inner.execute(task);
            inner.store();
        });
    }

    fn execute(&self, Task { execute, rests }: Task) {
        let (begun, height) = (Instant::now(), execute.block.header.height);
        let work = || lock(&self.executing).execute(execute);
        let executed = guarded(height, "execution", work);
        let mut desk = lock(&self.desk);
        desk.executing = false;
        // A block that couldn't be applied isn't followed by one that was being executed meanwhile.
        if !desk.ended {
            desk.held = Some(Between { height, executed, begun, rests });
        }
    }

    /// Stores what was executed, unless another thread is about to.
    fn store(self: &Arc<Self>) {
        loop {
            let between = {
                let mut desk = lock(&self.desk);
                let between = if desk.storing { None } else { desk.held.take() };
                desk.storing |= between.is_some();
                self.execute_next(&mut desk);
                between
            };
            let Some(Between { height, executed, begun, rests }) = between else { return };
            let work = |executed| lock(&self.storing).store(executed);
            let signal = match executed.and_then(|executed| guarded(height, "storing", || work(executed))) {
                Ok(applied) => Signal::Events(vec![Event::Applied(applied)]),
                Err(stop) => Signal::Stop(stop),
            };
            match rests {
                Some(runtime) if matches!(signal, Signal::Events(_)) => {
                    self.rest(&runtime, begun, signal);
                    return;
                }
                _ => self.tell(signal),
            }
        }
    }

    /// Tells the chain what came of a block, and is ready for the next.
    fn tell(&self, signal: Signal) {
        let stopped = matches!(signal, Signal::Stop(_));
        // A chain that has ended needs no answer.
        let _ = self.signals.send(signal);
        let mut desk = lock(&self.desk);
        desk.storing = false;
        if stopped {
            desk.end();
        }
    }

    /// Tells it later by as long as the block took. Nothing is stored meanwhile, and nobody who waits holds the views.
    fn rest(self: &Arc<Self>, runtime: &tokio::runtime::Handle, begun: Instant, signal: Signal) {
        let (rest, inner) = (begun.elapsed(), Arc::downgrade(self));
        runtime.spawn(async move {
            tokio::time::sleep(rest).await;
            let Some(inner) = inner.upgrade() else { return };
            inner.tell(signal);
            let pool = inner.pool.clone();
            if lock(&inner.desk).held.is_some() {
                pool.run(move || inner.store());
            }
        });
    }
}

fn guarded<T>(height: Height, place: &'static str, work: impl FnOnce() -> Result<T, ApplyError>) -> Result<T, Stop> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(Stop::Apply { height, reason: error.to_string() }),
        Err(panic) => Err(Stop::Panic { place, message: panic_message(&*panic) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger_contracts::LedgerExecutor;
    use ledger_contracts::testing::HookedExecutor;
    use ledger_core::codec::List;
    use ledger_core::{Block, Genesis, Header, Timestamp};
    use ledger_crypto::{MemorySigner, Signer};
    use ledger_storage::chain::{ChainConfig, ChainStore};
    use ledger_storage::engine::MemoryEngine;
    use ledger_storage::log::LogPosition;
    use std::time::Duration;

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

    /// Stages whose executor first does `hook` with a block's height.
    fn stages(hook: impl Fn(u64) + Send + Sync + 'static) -> (Stages, mpsc::UnboundedReceiver<Signal>, Pool) {
        let store = ChainStore::open(Arc::new(MemoryEngine::default()), &genesis(), ChainConfig::default()).unwrap();
        let executor = HookedExecutor::new(LedgerExecutor::default());
        let executor = executor.before_execution(move |block, _| hook(block.header.height.0));
        let (signals, told) = mpsc::unbounded_channel();
        let pool = Pool::spawn(2).unwrap();
        (Stages::new(Applier::new(&genesis(), Arc::new(executor), store), pool.clone(), signals), told, pool)
    }

    async fn applied(told: &mut mpsc::UnboundedReceiver<Signal>) -> Result<u64, Stop> {
        match tokio::time::timeout(Duration::from_secs(20), told.recv()).await {
            Ok(Some(Signal::Events(mut events))) => match events.pop() {
                Some(Event::Applied(applied)) => Ok(applied.outcome.height.0),
                other => panic!("{other:?}"),
            },
            Ok(Some(Signal::Stop(stop))) => Err(stop),
            _ => panic!("nothing came"),
        }
    }

    #[tokio::test]
    async fn blocks_are_told_of_in_their_order_whether_the_chain_gives_way_or_not() {
        let (stages, mut told, _) = stages(|height| std::thread::sleep(Duration::from_micros(height % 3 * 300)));
        for execute in blocks(60) {
            let gives_way = execute.block.header.height.0 % 4 == 1;
            stages.begin(execute, gives_way.then(tokio::runtime::Handle::current));
        }
        for height in 1..=60 {
            assert_eq!(applied(&mut told).await, Ok(height));
        }
    }

    #[tokio::test]
    async fn nothing_follows_a_block_that_cant_be_applied() {
        let (stages, mut told, pool) = stages(|height| assert!(height != 3, "as it was told to"));
        for execute in blocks(6) {
            stages.begin(execute, None);
        }
        assert_eq!((applied(&mut told).await, applied(&mut told).await), (Ok(1), Ok(2)));
        let stop = applied(&mut told).await.unwrap_err();
        assert!(matches!(&stop, Stop::Panic { place: "execution", message } if message.contains("as it was told to")));
        stages.begin(blocks(6).remove(3), None);
        tokio::task::spawn_blocking(move || pool.drain()).await.unwrap();
        assert!(told.try_recv().is_err());
    }

    #[tokio::test]
    async fn who_is_dropped_begins_nothing_more_and_lets_go_of_the_views() {
        let (began, begun) = std::sync::mpsc::channel();
        let (go_on, waits) = std::sync::mpsc::channel::<()>();
        let waits = Mutex::new(waits);
        let (stages, mut told, pool) = stages(move |height| {
            began.send(height).unwrap();
            let _ = lock(&waits).recv();
        });
        let views = Arc::downgrade(&stages.0);
        for execute in blocks(5) {
            stages.begin(execute, None);
        }
        assert_eq!(begun.recv(), Ok(1));
        drop(stages);
        drop(go_on);
        tokio::task::spawn_blocking(move || pool.drain()).await.unwrap();
        assert!(views.upgrade().is_none(), "the views are still held");
        // Storing the block that was being executed would be a beginning, too.
        assert!(told.recv().await.is_none() && begun.try_recv().is_err());
    }
}
