//! Choosing transactions for a block. Nothing leaves the pool by it: a proposal may come to nothing.

use super::{Entry, Mempool, Refusal};
use crate::ids::{IdMap, IdSet};
use ledger_core::{AccountId, Fuel, Order, Rules, SignedTransaction, Timestamp, TransactionId};
use std::collections::VecDeque;
use std::sync::Arc;

/// What a proposal takes.
#[derive(Debug, Default)]
pub struct Taken {
    /// In their order of execution.
    pub transactions: Vec<(TransactionId, Arc<SignedTransaction>)>,
    /// Dropped on the way: they expired.
    pub dropped: Vec<(TransactionId, Refusal)>,
}

/// The transactions of blocks that a proposal builds on and that aren't final yet: they aren't taken a second time.
#[derive(Debug, Default)]
pub struct Ahead {
    /// The number that comes next in a lane after those blocks. Looked up and never walked.
    lanes: IdMap<(AccountId, u64), u64>,
    unordered: IdSet<TransactionId>,
}

impl Ahead {
    /// Counts in a block's transactions, the oldest block first.
    pub fn extend<'a>(&mut self, transactions: impl IntoIterator<Item = (TransactionId, &'a SignedTransaction)>) {
        for (id, transaction) in transactions {
            match transaction.transaction.order {
                Order::Sequence { lane, number } => {
                    let next = self.lanes.entry((transaction.transaction.account, lane)).or_default();
                    *next = (*next).max(number.saturating_add(1));
                }
                Order::Unordered => {
                    self.unordered.insert(id);
                }
            }
        }
    }
}

/// What a block may still hold.
struct Room {
    transactions: usize,
    bytes: usize,
    fuel: u64,
}

impl Room {
    fn of(rules: &Rules, limit: usize) -> Self {
        // Header and counts take less than this.
        const BLOCK_OVERHEAD: usize = 1 << 10;
        Room {
            transactions: (rules.max_block_transactions as usize).min(limit),
            bytes: (rules.max_block_bytes as usize).saturating_sub(BLOCK_OVERHEAD),
            fuel: rules.max_block_fuel.0,
        }
    }

    fn take(&mut self, bytes: usize, fuel: Fuel) -> bool {
        match (self.transactions.checked_sub(1), self.bytes.checked_sub(bytes), self.fuel.checked_sub(fuel.0)) {
            (Some(transactions), Some(bytes), Some(fuel)) => {
                *self = Room { transactions, bytes, fuel };
                true
            }
            _ => false,
        }
    }
}

/// How far a block has taken each stream. `None` is an account's unordered transactions.
type Cursors = IdMap<(AccountId, Option<u64>), u64>;

impl Mempool {
    /// Chooses transactions for a block with time `timestamp` that builds on the blocks in `ahead`: one of each account
    /// in turn, within the rules' limits and at most `limit`. They stay in the pool; only what has expired leaves it.
    pub fn take(&mut self, timestamp: Timestamp, rules: &Rules, limit: usize, ahead: &Ahead) -> Taken {
        let mut taken = Taken::default();
        let mut room = Room::of(rules, limit);
        let mut cursors = Cursors::default();
        let mut again: VecDeque<AccountId> = VecDeque::new();
        let mut fresh = self.turns.len();
        loop {
            let first_turn = fresh > 0;
            let name = match first_turn {
                true => self.turns.pop_front(),
                false => again.pop_front(),
            };
            let Some(name) = name else { break };
            fresh = fresh.saturating_sub(1);
            let found = self.choose(&name, ahead, &cursors);
            if let Some((stream, number, entry)) = &found {
                let envelope = &entry.transaction.transaction;
                if let Err(reason) = rules.check_expiry(envelope, timestamp) {
                    taken.dropped.push((entry.id, reason.into()));
                    self.drop_waiting(&name, envelope.order, *number, entry);
                } else if room.take(entry.size, envelope.fuel_limit) {
                    cursors.insert((name, *stream), number.saturating_add(1));
                    taken.transactions.push((entry.id, Arc::clone(&entry.transaction)));
                } else {
                    // Whoever doesn't fit any more is the first of the next block.
                    if first_turn {
                        self.turns.push_front(name);
                    }
                    break;
                }
                again.push_back(name);
            }
            if first_turn {
                self.keep_turn(name);
            }
        }
        taken
    }

    /// The account goes to the end of the queue while it has something to take.
    fn keep_turn(&mut self, name: AccountId) {
        let more = self.accounts.get(&name).is_some_and(|account| account.is_executable());
        if more {
            self.turns.push_back(name);
        } else {
            self.queued.remove(&name);
        }
    }

    /// The next transaction of an account that neither the blocks ahead nor this one hold. Its streams take turns.
    fn choose(&mut self, name: &AccountId, ahead: &Ahead, cursors: &Cursors) -> Option<(Option<u64>, u64, Entry)> {
        let account = self.accounts.get_mut(name)?;
        for _ in 0..account.turns.len() {
            let lane_number = account.turns.pop_front()?;
            let Some(lane) = account.lanes.get_mut(&lane_number) else { continue };
            if lane.counts().0 == 0 {
                lane.has_turn = false;
                continue;
            }
            account.turns.push_back(lane_number);
            let lane = account.lanes.get(&lane_number)?;
            let from = cursors
                .get(&(*name, Some(lane_number)))
                .or_else(|| ahead.lanes.get(&(*name, lane_number)))
                .copied()
                .unwrap_or(0);
            if let Some((number, entry)) = lane.ready_from(from) {
                return Some((Some(lane_number), number, entry.clone()));
            }
        }
        let from = cursors.get(&(*name, None)).copied().unwrap_or(0);
        let mut waiting = account.unordered.range(from..);
        let (number, entry) = waiting.find(|(_, entry)| !ahead.unordered.contains(&entry.id))?;
        Some((None, *number, entry.clone()))
    }
}
