//! Transactions that wait for a block: bounded, fair to senders, in each account's order.
//!
//! A transaction is *reserved* when it arrives, *admitted* once its signature and the state were checked elsewhere,
//! *taken* into proposals, *ordered* when one of them is final, and forgotten when that block was applied. A proposal
//! that comes to nothing changes nothing here. From the reservation on its lane is known, so that no block applied in
//! the meantime is missed, whatever height the check read the state at.
//!
//! Nothing is ever evicted: a full pool says [`Refusal::Busy`]. Transactions that can't run yet because an earlier one
//! of their lane is missing have a share of their own, so that a flood of them leaves room for those that can.

mod lane;
mod take;

pub use take::{Ahead, Taken};

use crate::ids::{IdMap, IdSet};
use lane::Lane;
use ledger_core::{AccountId, Order, Rejection, SignedTransaction, Status, Timestamp, TransactionId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
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
    Checking {
        entry: Entry,
    },
    /// Unordered ones have a number of the pool's own.
    Waiting {
        number: u64,
    },
    /// In a final block that isn't applied yet.
    Ordered {
        size: usize,
    },
}

#[derive(Debug, Default)]
struct Account {
    lanes: BTreeMap<u64, Lane>,
    /// Lanes with something to take, in turn.
    turns: VecDeque<u64>,
    /// Waiting unordered transactions, in the order of their admission.
    unordered: BTreeMap<u64, Entry>,
    transactions: usize,
}

impl Account {
    fn is_executable(&self) -> bool {
        !self.turns.is_empty() || !self.unordered.is_empty()
    }

    /// The lane waits for its turn. Lanes that have gone are passed over by whoever takes; on a node that makes no blocks
    /// nobody does, so they are struck out here once they are more than those that are there.
    fn queue(&mut self, lane: u64) {
        self.turns.push_back(lane);
        if self.turns.len() > 2 * self.lanes.len() + 64 {
            let (lanes, mut seen) = (&self.lanes, BTreeSet::new());
            self.turns.retain(|number| lanes.get(number).is_some_and(|lane| lane.has_turn) && seen.insert(*number));
        }
    }
}

/// The pool of one chain.
#[derive(Debug)]
pub struct Mempool {
    config: MempoolConfig,
    /// Looked up and never walked, as the other hash maps here: their order would differ from run to run.
    stages: IdMap<TransactionId, (AccountId, Order, Stage)>,
    accounts: IdMap<AccountId, Account>,
    /// Accounts with something to take, in turn.
    turns: VecDeque<AccountId>,
    /// The accounts in `turns`.
    queued: IdSet<AccountId>,
    /// Transactions in the order of their admission; those that no longer wait are passed over.
    ages: VecDeque<(Timestamp, TransactionId)>,
    bytes: usize,
    executable: usize,
    unexecutable: usize,
    /// Numbers the unordered transactions.
    next_unordered: u64,
    /// Counts changes of what could be taken.
    changes: u64,
}

impl Mempool {
    /// An empty pool.
    pub fn new(config: MempoolConfig) -> Self {
        Mempool {
            config,
            stages: IdMap::default(),
            accounts: IdMap::default(),
            turns: VecDeque::new(),
            queued: IdSet::default(),
            ages: VecDeque::new(),
            bytes: 0,
            executable: 0,
            unexecutable: 0,
            next_unordered: 0,
            changes: 0,
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        *self = Mempool { changes: self.changes + 1, ..Mempool::new(self.config.clone()) };
    }

    /// How many transactions it holds, in whatever stage.
    pub fn len(&self) -> usize {
        self.stages.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.stages.is_empty()
    }

    /// The encoded bytes of the transactions that it holds.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many could be taken now, were no block under way.
    pub fn executable(&self) -> usize {
        self.executable
    }

    /// A number that grows with every change of what could be taken.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// A transaction that has passed its check and isn't ordered yet.
    pub fn get(&self, id: &TransactionId) -> Option<&Arc<SignedTransaction>> {
        let (name, order, Stage::Waiting { number }) = self.stages.get(id)? else { return None };
        let account = self.accounts.get(name)?;
        let entry = match order {
            Order::Sequence { lane, number } => account.lanes.get(lane)?.get(*number)?,
            Order::Unordered => account.unordered.get(number)?,
        };
        (entry.id == *id).then_some(&entry.transaction)
    }

    /// Whether it knows of a transaction, in whatever stage.
    pub fn contains(&self, id: &TransactionId) -> bool {
        self.stages.contains_key(id)
    }

    /// Up to `count` transactions that wait, the oldest first.
    pub fn oldest(&self, count: usize) -> impl Iterator<Item = &Arc<SignedTransaction>> {
        self.ages.iter().filter_map(|(_, id)| self.get(id)).take(count)
    }

    /// Makes room for a transaction that is about to be checked. `size` is its encoded length in bytes.
    ///
    /// # Errors
    /// [`Refusal::Busy`] or [`Refusal::Duplicate`].
    pub fn reserve(
        &mut self,
        now: Timestamp,
        id: TransactionId,
        transaction: Arc<SignedTransaction>,
        size: usize,
    ) -> Result<(), Refusal> {
        let order = transaction.transaction.order;
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
        if let Order::Sequence { lane, .. } = order {
            account.lanes.entry(lane).or_default().outside += 1;
        }
        self.bytes += size;
        let entry = Entry { transaction, id, size, since: now };
        self.stages.insert(id, (name, order, Stage::Checking { entry }));
        Ok(())
    }

    /// The check of a reserved transaction has passed; the state says that `next` comes next in its lane (nothing is
    /// meant by it for an unordered one).
    ///
    /// # Errors
    /// [`Refusal`] when there is no place for it in its lane; it is forgotten then.
    pub fn admit(&mut self, id: &TransactionId, next: u64) -> Result<(), Refusal> {
        let Some((name, order, Stage::Checking { entry })) = self.stages.remove(id) else { return Ok(()) };
        let admitted = match order {
            Order::Sequence { .. } => self.enter_lane(&name, order, &entry, next).map(|()| 0),
            Order::Unordered => Ok(self.enter_unordered(&name, &entry)),
        };
        self.changes += 1;
        match admitted {
            Ok(number) => {
                self.stages.insert(*id, (name, order, Stage::Waiting { number }));
                self.remember_age(entry.since, *id);
                Ok(())
            }
            Err(refusal) => {
                self.forget(&name, order, entry.size);
                Err(refusal)
            }
        }
    }

    fn enter_unordered(&mut self, name: &AccountId, entry: &Entry) -> u64 {
        self.next_unordered += 1;
        let number = self.next_unordered;
        if let Some(account) = self.accounts.get_mut(name) {
            account.unordered.insert(number, entry.clone());
            self.executable += 1;
            self.queue(*name);
        }
        number
    }

    /// The account waits for its turn. Those that have gone are struck out as [`Account::queue`] does it.
    fn queue(&mut self, name: AccountId) {
        if !self.queued.insert(name) {
            return;
        }
        self.turns.push_back(name);
        if self.turns.len() > 2 * self.accounts.len() + 1_024 {
            let (accounts, queued) = (&self.accounts, &mut self.queued);
            self.turns.retain(|name| {
                let waits = accounts.get(name).is_some_and(Account::is_executable);
                waits || !queued.remove(name)
            });
        }
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
            account.queue(lane_number);
            self.queue(*name);
        }
    }

    fn lane(&mut self, name: &AccountId, order: Order) -> Option<&mut Lane> {
        let Order::Sequence { lane, .. } = order else { return None };
        self.accounts.get_mut(name)?.lanes.get_mut(&lane)
    }

    /// Gives back the room of a transaction that left, and what its account no longer needs.
    fn forget(&mut self, name: &AccountId, order: Order, size: usize) {
        self.bytes = self.bytes.saturating_sub(size);
        if let Some(account) = self.accounts.get_mut(name) {
            account.transactions = account.transactions.saturating_sub(1);
            if let Order::Sequence { lane, .. } = order
                && account.lanes.get(&lane).is_some_and(Lane::is_idle)
            {
                account.lanes.remove(&lane);
            }
            if account.transactions == 0 && account.lanes.is_empty() {
                self.accounts.remove(name);
            }
        }
    }

    fn drop_waiting(&mut self, name: &AccountId, order: Order, number: u64, entry: &Entry) {
        self.changes += 1;
        if let Some(account) = self.accounts.get_mut(name) {
            match order {
                Order::Sequence { lane: lane_number, .. } => {
                    if let Some(lane) = account.lanes.get_mut(&lane_number) {
                        let (ready_before, waiting_before) = lane.counts();
                        lane.remove(number);
                        self.recount(name, lane_number, ready_before, waiting_before);
                    }
                }
                Order::Unordered => {
                    if account.unordered.remove(&number).is_some() {
                        self.executable = self.executable.saturating_sub(1);
                    }
                }
            }
        }
        self.stages.remove(&entry.id);
        self.forget(name, order, entry.size);
    }

    /// A block is final: its transactions are taken out of what could be taken. What becomes of them is told by
    /// [`Mempool::applied`].
    pub fn ordered<'a>(&mut self, transactions: impl IntoIterator<Item = (TransactionId, &'a SignedTransaction)>) {
        self.changes += 1;
        for (id, transaction) in transactions {
            let (name, order) = (transaction.transaction.account, transaction.transaction.order);
            let Some(account) = self.accounts.get_mut(&name) else { continue };
            let size = match order {
                Order::Sequence { lane: lane_number, number } => {
                    let Some(lane) = account.lanes.get_mut(&lane_number) else { continue };
                    let (ready_before, waiting_before) = lane.counts();
                    let taken = lane.take(number, &id);
                    let size = taken.map(|entry| {
                        lane.outside += 1;
                        entry.size
                    });
                    self.recount(&name, lane_number, ready_before, waiting_before);
                    size
                }
                Order::Unordered => match self.stages.get(&id) {
                    Some((_, _, Stage::Waiting { number })) => {
                        let taken = account.unordered.remove(number);
                        self.executable = self.executable.saturating_sub(usize::from(taken.is_some()));
                        taken.map(|entry| entry.size)
                    }
                    _ => None,
                },
            };
            if let (Some(size), Some((_, _, stage))) = (size, self.stages.get_mut(&id)) {
                *stage = Stage::Ordered { size };
            }
        }
    }

    /// A block was applied: its transactions are forgotten, and their lanes go on from what became of them. Waiting
    /// transactions whose number was used up by another are dropped and returned.
    pub fn applied<'a>(
        &mut self,
        results: impl IntoIterator<Item = (&'a SignedTransaction, TransactionId, &'a Status)>,
    ) -> Vec<(TransactionId, Refusal)> {
        let mut dropped = Vec::new();
        self.changes += 1;
        for (transaction, id, status) in results {
            let (name, order) = (transaction.transaction.account, transaction.transaction.order);
            if let Order::Sequence { lane: lane_number, number } = order
                && let Some(lane) = self.lane(&name, order)
            {
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
            if let Some((_, _, Stage::Ordered { size })) = self.stages.get(&id) {
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
        matches!(self.stages.get(id), Some((_, _, Stage::Waiting { .. })))
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
            let Some((name, order, Stage::Waiting { number })) = self.stages.get(&id) else { continue };
            let (name, order, unordered) = (*name, *order, *number);
            let Some(account) = self.accounts.get(&name) else { continue };
            let (number, entry) = match order {
                Order::Sequence { lane, number } => {
                    (number, account.lanes.get(&lane).and_then(|lane| lane.get(number)))
                }
                Order::Unordered => (unordered, account.unordered.get(&unordered)),
            };
            if let Some(entry) = entry.cloned() {
                self.drop_waiting(&name, order, number, &entry);
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
