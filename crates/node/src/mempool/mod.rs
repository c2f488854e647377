//! Transactions that wait for a block: bounded, fair to senders, in each account's order.
//!
//! A transaction is *reserved* when it arrives, *admitted* once its signature and the state were checked elsewhere,
//! *taken* into a proposal, and forgotten when its block was applied. From the reservation on its lane is known here, so
//! that no block applied in the meantime is missed, whatever height the check read the state at.
//!
//! Nothing is ever evicted: a full pool says [`Refusal::Busy`]. Transactions that can't run yet because an earlier one
//! of their lane is missing have a share of their own, so that a flood of them leaves room for those that can.

mod lane;

use lane::Lane;
use ledger_core::{AccountId, Fuel, Order, Rejection, Rules, SignedTransaction, Status, Timestamp, TransactionId};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

/// The pool's bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MempoolConfig {
    /// The most transactions, those being checked and those in unapplied blocks included (default 100,000).
    pub max_transactions: usize,
    /// The most bytes of encoded transactions (default 256 MiB).
    pub max_bytes: usize,
    /// The most transactions of one account (default 10,000).
    pub max_per_account: usize,
    /// The most transactions that wait for an earlier one of their lane (default 10,000).
    pub max_unexecutable: usize,
    /// How long a transaction may wait, in ms (default 10 minutes).
    pub max_wait_ms: u64,
}

impl Default for MempoolConfig {
    fn default() -> Self {
        MempoolConfig {
            max_transactions: 100_000,
            max_bytes: 256 << 20,
            max_per_account: 10_000,
            max_unexecutable: 10_000,
            max_wait_ms: 600_000,
        }
    }
}

/// Why a transaction doesn't get in, or doesn't stay.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The pool is full; nothing is wrong with the transaction. Try again later.
    #[error("busy: the mempool holds {limit} {what}; try again later")]
    Busy {
        /// What there is too much of.
        what: &'static str,
        /// The bound.
        limit: usize,
    },
    /// The same transaction is here already, or a copy of it whose signature is still being checked. A copy can be a
    /// forgery by somebody who has seen the envelope, so ask for the transaction's status, or hand it in again.
    #[error("transaction {id} is in the mempool already")]
    Duplicate {
        /// Its id.
        id: TransactionId,
    },
    /// Another transaction with this number waits already.
    #[error("lane {lane} has another transaction with number {number} waiting")]
    NumberTaken {
        /// The lane.
        lane: u64,
        /// The number.
        number: u64,
    },
    /// It can't be executed as the state and the transactions under way stand. For
    /// [`OutOfOrder`](Rejection::OutOfOrder) this isn't final: if the block that uses its number is lost in a crash
    /// before it is durable, the number is free again.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// It waited too long for an earlier one of its lane.
    #[error("the transaction waited {waited_ms} ms for its turn; the limit is {limit_ms} ms")]
    WaitedTooLong {
        /// How long it waited.
        waited_ms: u64,
        /// The bound.
        limit_ms: u64,
    },
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    transaction: Arc<SignedTransaction>,
    id: TransactionId,
    size: usize,
    since: Timestamp,
}

#[derive(Debug)]
enum Stage {
    Checking { entry: Entry },
    Waiting,
    InFlight { size: usize },
}

#[derive(Debug, Default)]
struct Account {
    lanes: BTreeMap<u64, Lane>,
    /// Lanes with something to take, in turn.
    turns: VecDeque<u64>,
    transactions: usize,
}

/// What a proposal takes.
#[derive(Debug, Default)]
pub struct Taken {
    /// In their order of execution.
    pub transactions: Vec<(TransactionId, Arc<SignedTransaction>)>,
    /// Dropped on the way: they expired.
    pub dropped: Vec<(TransactionId, Refusal)>,
}

/// The pool of one chain.
#[derive(Debug)]
pub struct Mempool {
    config: MempoolConfig,
    /// Looked up and never walked, as the other hash maps here: their order would differ from run to run.
    stages: HashMap<TransactionId, (AccountId, Order, Stage)>,
    accounts: HashMap<AccountId, Account>,
    /// Accounts with something to take, in turn.
    turns: VecDeque<AccountId>,
    /// The accounts in `turns`.
    queued: HashSet<AccountId>,
    /// Transactions in the order of their admission; those that no longer wait are passed over.
    ages: VecDeque<(Timestamp, TransactionId)>,
    bytes: usize,
    executable: usize,
    unexecutable: usize,
}

impl Mempool {
    /// An empty pool.
    pub fn new(config: MempoolConfig) -> Self {
        Mempool {
            config,
            stages: HashMap::new(),
            accounts: HashMap::new(),
            turns: VecDeque::new(),
            queued: HashSet::new(),
            ages: VecDeque::new(),
            bytes: 0,
            executable: 0,
            unexecutable: 0,
        }
    }

    /// How many transactions it holds, in whatever stage.
    pub fn len(&self) -> usize {
        self.stages.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.stages.is_empty()
    }

    /// How many could be taken now.
    pub fn executable(&self) -> usize {
        self.executable
    }

    /// Makes room for a transaction that is about to be checked. `size` is its encoded length in bytes.
    ///
    /// # Errors
    /// [`Refusal::Busy`], [`Refusal::Duplicate`], or that unordered transactions aren't supported yet.
    pub fn reserve(
        &mut self,
        now: Timestamp,
        id: TransactionId,
        transaction: Arc<SignedTransaction>,
        size: usize,
    ) -> Result<(), Refusal> {
        let order = transaction.transaction.order;
        let Order::Sequence { lane, .. } = order else {
            return Err(Rejection::Unsupported { what: "an unordered transaction".into() }.into());
        };
        if self.stages.contains_key(&id) {
            return Err(Refusal::Duplicate { id });
        }
        if self.stages.len() >= self.config.max_transactions {
            return Err(Refusal::Busy { what: "transactions", limit: self.config.max_transactions });
        }
        if self.bytes.saturating_add(size) > self.config.max_bytes {
            return Err(Refusal::Busy { what: "bytes", limit: self.config.max_bytes });
        }
        let name = transaction.transaction.account;
        let account = self.accounts.entry(name).or_default();
        if account.transactions >= self.config.max_per_account {
            return Err(Refusal::Busy { what: "transactions of this account", limit: self.config.max_per_account });
        }
        account.transactions += 1;
        account.lanes.entry(lane).or_default().outside += 1;
        self.bytes += size;
        let entry = Entry { transaction, id, size, since: now };
        self.stages.insert(id, (name, order, Stage::Checking { entry }));
        Ok(())
    }

    /// The check of a reserved transaction has passed; the state says that `next` comes next in its lane.
    ///
    /// # Errors
    /// [`Refusal`] when there is no place for it in its lane; it is forgotten then.
    pub fn admit(&mut self, id: &TransactionId, next: u64) -> Result<(), Refusal> {
        let Some((name, order, Stage::Checking { entry })) = self.stages.remove(id) else { return Ok(()) };
        let admitted = self.enter_lane(&name, order, &entry, next);
        match admitted {
            Ok(()) => {
                self.stages.insert(*id, (name, order, Stage::Waiting));
                self.remember_age(entry.since, *id);
            }
            Err(_) => self.forget(&name, order, entry.size),
        }
        admitted
    }

    /// The check of a reserved transaction has failed: it is forgotten.
    pub fn refuse(&mut self, id: &TransactionId) {
        if let Some((name, order, Stage::Checking { entry })) = self.stages.remove(id) {
            if let Some(lane) = self.lane(&name, order) {
                lane.outside = lane.outside.saturating_sub(1);
            }
            self.forget(&name, order, entry.size);
        }
    }

    fn enter_lane(&mut self, name: &AccountId, order: Order, entry: &Entry, next: u64) -> Result<(), Refusal> {
        let (Order::Sequence { lane: lane_number, number }, Some(account)) = (order, self.accounts.get_mut(name))
        else {
            return Ok(());
        };
        let Some(lane) = account.lanes.get_mut(&lane_number) else { return Ok(()) };
        lane.outside = lane.outside.saturating_sub(1);
        let (ready_before, waiting_before) = lane.counts();
        lane.raise_to(next);
        if number < lane.next() {
            let expected = lane.next();
            self.recount(name, lane_number, ready_before, waiting_before);
            return Err(Rejection::OutOfOrder { lane: lane_number, expected, found: number }.into());
        }
        if lane.holds(number) {
            self.recount(name, lane_number, ready_before, waiting_before);
            return Err(Refusal::NumberTaken { lane: lane_number, number });
        }
        let limit = self.config.max_unexecutable;
        if !lane.would_be_ready(number) && self.unexecutable >= limit {
            self.recount(name, lane_number, ready_before, waiting_before);
            return Err(Refusal::Busy { what: "transactions that wait for an earlier one", limit });
        }
        lane.insert(number, entry.clone());
        self.recount(name, lane_number, ready_before, waiting_before);
        Ok(())
    }

    /// Brings the counters and the turns up to date after a lane has changed.
    fn recount(&mut self, name: &AccountId, lane_number: u64, ready_before: usize, waiting_before: usize) {
        let Some(account) = self.accounts.get_mut(name) else { return };
        let Some(lane) = account.lanes.get_mut(&lane_number) else { return };
        let (ready, waiting) = lane.counts();
        self.executable = (self.executable + ready).saturating_sub(ready_before);
        self.unexecutable =
            (self.unexecutable + (waiting - ready)).saturating_sub(waiting_before - ready_before.min(waiting_before));
        if ready > 0 && !lane.has_turn {
            lane.has_turn = true;
            account.turns.push_back(lane_number);
            if self.queued.insert(*name) {
                self.turns.push_back(*name);
            }
        }
    }

    fn lane(&mut self, name: &AccountId, order: Order) -> Option<&mut Lane> {
        let Order::Sequence { lane, .. } = order else { return None };
        self.accounts.get_mut(name)?.lanes.get_mut(&lane)
    }

    /// Gives back the room of a transaction that left, and what its account no longer needs.
    fn forget(&mut self, name: &AccountId, order: Order, size: usize) {
        self.bytes = self.bytes.saturating_sub(size);
        let Order::Sequence { lane, .. } = order else { return };
        if let Some(account) = self.accounts.get_mut(name) {
            account.transactions = account.transactions.saturating_sub(1);
            if account.lanes.get(&lane).is_some_and(Lane::is_idle) {
                account.lanes.remove(&lane);
            }
            if account.lanes.is_empty() {
                self.accounts.remove(name);
            }
        }
    }

    /// Takes transactions for a block with time `timestamp`: one of each account in turn, within the rules' limits.
    pub fn take(&mut self, timestamp: Timestamp, rules: &Rules) -> Taken {
        // Header and counts take less than this.
        const BLOCK_OVERHEAD: usize = 1 << 10;
        let mut taken = Taken::default();
        let (mut bytes, mut fuel) = (BLOCK_OVERHEAD, 0u64);
        while taken.transactions.len() < rules.max_block_transactions as usize {
            let Some(name) = self.turns.pop_front() else { break };
            self.queued.remove(&name);
            let Some((lane_number, number, entry)) = self.peek(&name) else {
                self.pass_turn(&name);
                continue;
            };
            let limit = entry.transaction.transaction.fuel_limit;
            let fits = bytes + entry.size <= rules.max_block_bytes as usize
                && Fuel(fuel.saturating_add(limit.0)) <= rules.max_block_fuel;
            if !fits {
                self.turns.push_front(name);
                self.queued.insert(name);
                break;
            }
            let expired = entry.transaction.transaction.expires_at.filter(|time| *time < timestamp);
            if let Some(expired_at) = expired {
                let reason = Rejection::Expired { expired_at, now: timestamp };
                taken.dropped.push((entry.id, reason.into()));
                self.drop_waiting(&name, lane_number, number, &entry);
            } else {
                bytes += entry.size;
                fuel = fuel.saturating_add(limit.0);
                self.advance(&name, lane_number);
                if let Some((_, _, stage)) = self.stages.get_mut(&entry.id) {
                    *stage = Stage::InFlight { size: entry.size };
                }
                taken.transactions.push((entry.id, entry.transaction));
            }
            self.pass_turn(&name);
        }
        taken
    }

    /// The next transaction of an account whose turn it is.
    fn peek(&self, name: &AccountId) -> Option<(u64, u64, Entry)> {
        let account = self.accounts.get(name)?;
        let lane_number = *account.turns.front()?;
        let (number, entry) = account.lanes.get(&lane_number)?.first_ready()?;
        Some((lane_number, number, entry.clone()))
    }

    fn advance(&mut self, name: &AccountId, lane_number: u64) {
        if let Some(lane) = self.accounts.get_mut(name).and_then(|account| account.lanes.get_mut(&lane_number)) {
            lane.take_first();
            lane.outside += 1;
            self.executable = self.executable.saturating_sub(1);
        }
    }

    fn drop_waiting(&mut self, name: &AccountId, lane_number: u64, number: u64, entry: &Entry) {
        if let Some(lane) = self.accounts.get_mut(name).and_then(|account| account.lanes.get_mut(&lane_number)) {
            let (ready_before, waiting_before) = lane.counts();
            lane.remove(number);
            self.recount(name, lane_number, ready_before, waiting_before);
        }
        self.stages.remove(&entry.id);
        self.forget(name, Order::Sequence { lane: lane_number, number }, entry.size);
    }

    /// Puts the account's current lane, and the account, at the end of their queues if they have more to give.
    fn pass_turn(&mut self, name: &AccountId) {
        let Some(account) = self.accounts.get_mut(name) else { return };
        if let Some(lane_number) = account.turns.pop_front()
            && let Some(lane) = account.lanes.get_mut(&lane_number)
        {
            if lane.counts().0 > 0 {
                account.turns.push_back(lane_number);
            } else {
                lane.has_turn = false;
            }
        }
        if !account.turns.is_empty() && self.queued.insert(*name) {
            self.turns.push_back(*name);
        }
    }

    /// A block was applied: its transactions are forgotten, and their lanes go on from what became of them. Waiting
    /// transactions whose number was used up by another are dropped and returned.
    pub fn applied<'a>(
        &mut self,
        results: impl IntoIterator<Item = (&'a SignedTransaction, TransactionId, &'a Status)>,
    ) -> Vec<(TransactionId, Refusal)> {
        let mut dropped = Vec::new();
        for (transaction, id, status) in results {
            let (name, order) = (transaction.transaction.account, transaction.transaction.order);
            let Order::Sequence { lane: lane_number, number } = order else { continue };
            if let Some(lane) = self.lane(&name, order) {
                let (ready_before, waiting_before) = lane.counts();
                match status {
                    Status::Rejected(Rejection::OutOfOrder { expected, .. }) => lane.reset_to(*expected),
                    Status::Rejected(_) => lane.reset_to(number),
                    Status::Succeeded | Status::Failed(_) => lane.raise_to(number.saturating_add(1)),
                }
                let passed = lane.take_passed();
                let expected = lane.next();
                self.recount(&name, lane_number, ready_before, waiting_before);
                for (found, entry) in passed {
                    self.stages.remove(&entry.id);
                    self.forget(&name, order, entry.size);
                    dropped.push((entry.id, Rejection::OutOfOrder { lane: lane_number, expected, found }.into()));
                }
            }
            if let Some((_, _, Stage::InFlight { size })) = self.stages.get(&id) {
                let size = *size;
                self.stages.remove(&id);
                if let Some(lane) = self.lane(&name, order) {
                    lane.outside = lane.outside.saturating_sub(1);
                }
                self.forget(&name, order, size);
            }
        }
        dropped
    }

    fn waits(&self, id: &TransactionId) -> bool {
        matches!(self.stages.get(id), Some((_, _, Stage::Waiting)))
    }

    fn remember_age(&mut self, since: Timestamp, id: TransactionId) {
        self.ages.push_back((since, id));
        // So that what is passed over never outgrows what waits.
        if self.ages.len() > 2 * self.stages.len() + 1_024 {
            let mut ages = std::mem::take(&mut self.ages);
            ages.retain(|(_, id)| self.waits(id));
            self.ages = ages;
        }
    }

    /// Drops what has waited too long.
    pub fn prune(&mut self, now: Timestamp) -> Vec<(TransactionId, Refusal)> {
        let mut dropped = Vec::new();
        while let Some((since, id)) = self.ages.front().copied() {
            let waited_ms = now.0.saturating_sub(since.0);
            if waited_ms <= self.config.max_wait_ms && self.waits(&id) {
                break;
            }
            self.ages.pop_front();
            let Some((name, Order::Sequence { lane, number }, Stage::Waiting)) = self.stages.get(&id) else { continue };
            let (name, lane, number) = (*name, *lane, *number);
            let entry = self.accounts.get(&name).and_then(|account| account.lanes.get(&lane)?.get(number)).cloned();
            if let Some(entry) = entry {
                self.drop_waiting(&name, lane, number, &entry);
                dropped.push((id, Refusal::WaitedTooLong { waited_ms, limit_ms: self.config.max_wait_ms }));
            }
        }
        dropped
    }

    /// When [`Mempool::prune`] next has something to drop, or to look at.
    pub fn prune_at(&self) -> Option<Timestamp> {
        let (since, _) = self.ages.front()?;
        Some(since.plus(self.config.max_wait_ms).plus(1))
    }
}

#[cfg(test)]
mod tests;
