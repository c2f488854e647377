//! What is counted while a network runs: delays, messages, bytes.

use ledger_core::{Block, Height, Lane, TransactionId};
use std::collections::BTreeMap;

/// When things happened first, in simulated µs, and how much travelled.
#[derive(Clone, Debug, Default)]
pub(super) struct Watch {
    /// When a transaction was handed in first.
    pub(super) submitted: BTreeMap<TransactionId, u64>,
    /// When a block was proposed first.
    pub(super) proposed: BTreeMap<Height, u64>,
    /// When a block was final first, and the transactions in it.
    pub(super) ordered: BTreeMap<Height, (u64, Vec<TransactionId>)>,
    /// When a block's outcome was certified first.
    pub(super) certified: BTreeMap<Height, u64>,
    /// Messages sent, by lane.
    pub(super) messages: BTreeMap<Lane, u64>,
    /// Bytes sent, by lane.
    pub(super) bytes: BTreeMap<Lane, u64>,
    /// Signatures checked.
    pub(super) signatures: u64,
}

impl Watch {
    pub(super) fn submitted(&mut self, now: u64, id: TransactionId) {
        self.submitted.entry(id).or_insert(now);
    }

    pub(super) fn proposed(&mut self, now: u64, height: Height) {
        self.proposed.entry(height).or_insert(now);
    }

    pub(super) fn ordered(&mut self, now: u64, block: &Block) {
        let ids = || block.transactions.iter().map(ledger_core::SignedTransaction::id).collect();
        self.ordered.entry(block.header.height).or_insert_with(|| (now, ids()));
    }

    pub(super) fn certified(&mut self, now: u64, size: u64) {
        let first = self.certified.last_key_value().map_or(1, |(height, _)| height.0 + 1);
        for height in (first..size).map(Height) {
            self.certified.insert(height, now);
        }
    }

    pub(super) fn sent(&mut self, lane: Lane, bytes: usize) {
        *self.messages.entry(lane).or_default() += 1;
        *self.bytes.entry(lane).or_default() += bytes as u64;
    }

    pub(super) fn checked(&mut self, signatures: usize) {
        self.signatures += signatures as u64;
    }
}
