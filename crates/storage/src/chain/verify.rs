//! Reading all of a chain's views, and holding each part against what commits to it.

use ledger_core::history::{self, HistoryHasher};
use ledger_core::outcome::receipts_root;
use ledger_core::{Height, HistoryHead, Outcome, StateError, Status, Version};
use ledger_crypto::Digest;
use ledger_crypto::merkle::Frontier;

use super::records::{self, Block, HeadRecord, damaged};
use super::{ChainReader, StoreError};
use crate::engine::Snapshot;
use crate::state::VerifiedState;

/// Damages that are kept in a [`VerifiedViews`]; more are counted only.
const MOST_DAMAGES: usize = 256;

/// What [`ChainReader::verify`] has read, and what was wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifiedViews {
    /// Records of blocks, that of the genesis included; in a chain that began from a snapshot, from its block on.
    pub blocks: u64,
    /// Results of transactions, each with its transaction's place.
    pub results: u64,
    /// Blocks whose results were given up.
    pub pruned: u64,
    /// Nodes of the history tree.
    pub history_nodes: u64,
    /// The state.
    pub state: VerifiedState,
    /// The damages, the first 256 of them. Each names its height or place.
    pub damages: Vec<StoreError>,
    /// How many there are.
    pub damaged: u64,
}

impl VerifiedViews {
    fn add(&mut self, error: StoreError) {
        self.damaged += 1;
        if self.damages.len() < MOST_DAMAGES {
            self.damages.push(error);
        }
    }

    fn check(&mut self, holds: bool, height: Height, reason: &str) {
        if !holds {
            self.add(damaged(format!("block {height}"), reason));
        }
    }

    fn found<T>(&mut self, result: Result<T, StoreError>) -> Option<T> {
        result.map_err(|error| self.add(error)).ok()
    }
}

impl ChainReader {
    /// Reads all views up to the newest block: every block's record against the one before it and its outcome, every
    /// result against the outcome's receipts root, every node of the history tree, and the whole state, from each key's
    /// newest record back to its first, up to the root that the newest outcome names. That the newest block is final is
    /// its certificate's to show. Memory doesn't grow with the chain; the writer waits while the state is read.
    #[must_use]
    pub fn verify(&self) -> VerifiedViews {
        let mut verified = VerifiedViews::default();
        let (space, snapshot) = (self.shared.space, self.shared.engine.snapshot());
        let head =
            HeadRecord::read(space, &*snapshot).and_then(|head| head.ok_or_else(|| damaged("head", "it is missing")));
        let Some(head) = verified.found(head) else { return verified };
        // A chain that began from a snapshot has that block's record, and the history before it as peaks.
        let base = self.base();
        let peaks = records::peaks(space, &*snapshot, base.0);
        let before = peaks.and_then(|peaks| {
            Frontier::from_parts(base.0, peaks).map_err(|error| damaged("peaks of the snapshot's history", error))
        });
        let Some(mut frontier) = verified.found(before) else { return verified };
        let mut parent = None;
        let mut root = None;
        for height in (base.0..=head.height.0).map(Height) {
            let block = Block::read(space, &*snapshot, height)
                .and_then(|block| block.ok_or_else(|| damaged(format!("block {height}"), "it is missing")));
            // Without the block the history behind it can't be computed either.
            let Some(block) = verified.found(block) else { break };
            self.verify_block(&block, height, parent, &mut verified);
            self.verify_results(&*snapshot, &block.outcome, head.height, &mut verified);
            let leaf = history::leaf(&block.outcome.block, &block.outcome.digest());
            self.verify_history(&*snapshot, &mut frontier, leaf, &mut verified);
            parent = Some(block.header.digest());
            root = Some(block.outcome.state_root).filter(|_| height == head.height);
        }
        if verified.blocks == head.height.next().0.saturating_sub(base.0) {
            let same = head.history().is_ok_and(|stored| HistoryHead::of(&stored) == HistoryHead::of(&frontier));
            verified.check(same, head.height, "the head's history isn't that of its blocks");
        }
        let state = self.shared.state.verify(head.height, &mut |error: StateError| verified.add(error.into()));
        verified.state = state;
        if let Some(root) = root {
            let same = root == verified.state.root;
            verified.check(same, head.height, "the state's records don't make the root that its outcome names");
        }
        verified
    }

    fn verify_block(&self, block: &Block, height: Height, parent: Option<Digest>, verified: &mut VerifiedViews) {
        verified.blocks += 1;
        let Block { header, outcome, .. } = block;
        verified.check(header.height == height, height, "its header is of another height");
        let follows = parent.is_none_or(|parent| header.parent == parent);
        verified.check(follows, height, "its header doesn't name the block before it");
        let own = outcome.height == height && outcome.block == header.digest();
        verified.check(own, height, "its outcome is another block's");
        // A header commits to the history of some blocks before it. What lies before a snapshot isn't here to be held
        // against it: that the header is final is what stands for it.
        let HistoryHead { size, .. } = header.history;
        if size != 0 && Height(size) < self.base() {
            return;
        }
        let head = match size <= height.0 {
            true => verified.found(self.history_head(size)),
            false => None,
        };
        verified.check(head == Some(header.history), height, "its header's history isn't that of the blocks before it");
    }

    fn verify_results(&self, snapshot: &dyn Snapshot, outcome: &Outcome, newest: Height, verified: &mut VerifiedViews) {
        let (space, height) = (self.shared.space, outcome.height);
        let results = match self.results(height) {
            // The block that a snapshot is of has none here.
            Err(StoreError::BeforeSnapshot { .. }) => return,
            Err(StoreError::Pruned { .. }) => {
                verified.pruned += 1;
                return;
            }
            results => results,
        };
        let Some(results) = verified.found(results) else { return };
        let same = receipts_root(&results) == outcome.receipts_root;
        verified.check(same, height, "its results aren't those that its outcome names");
        for result in &results {
            verified.results += 1;
            let here = Version { height, index: result.receipt.index };
            let Some(place) = verified.found(records::read_place(space, snapshot, &result.receipt.transaction)) else {
                continue;
            };
            // A rejected inclusion leaves the transaction where it was.
            let rejected = matches!(result.receipt.status, Status::Rejected(_));
            let place = place.filter(|place| place.height <= newest && (rejected || *place >= here));
            verified.check(place.is_some(), height, "the place of one of its transactions isn't known");
        }
    }

    fn verify_history(
        &self,
        snapshot: &dyn Snapshot,
        frontier: &mut Frontier<HistoryHasher>,
        leaf: Digest,
        verified: &mut VerifiedViews,
    ) {
        let mut nodes = Vec::new();
        frontier.append(leaf, &mut |position, digest| nodes.push((position, digest)));
        for (position, digest) in nodes {
            verified.history_nodes += 1;
            let place = format!("history node {} of level {}", position.index, position.level);
            match records::read_history(self.shared.space, snapshot, position) {
                Ok(Some(found)) if found == digest => {}
                Ok(Some(_)) => verified.add(damaged(place, "it isn't that of the blocks below it")),
                Ok(None) => verified.add(damaged(place, "it is missing")),
                Err(error) => verified.add(error),
            }
        }
    }
}
