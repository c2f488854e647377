//! What a node that cuts its log has of a chain's past, read as its clients read it, and held against what was seen.

use crate::growing::promised;
use crate::report::{Counters, Violation, ensure};
use ledger_core::codec;
use ledger_core::history::{self, HistoryHasher};
use ledger_core::{
    Block, ChainId, Height, HistoryHead, Key, Outcome, StateError, StateView, TransactionId, TransactionResult,
};
use ledger_crypto::merkle::verify_inclusion;
use ledger_crypto::{Digest, Domain, hash};
use ledger_node::{Growth, Kept, Retention};
use ledger_storage::chain::{ChainReader, StoreError};
use ledger_storage::log::{LogError, LogReader};
use std::collections::BTreeMap;
use std::sync::Arc;

const PROMISED: &str = "what a chain's policy promises can be read and proven";
const TRUE: &str = "what was given up is refused by name, and never answered wrongly";
const HEADERS: &str = "headers, outcomes, places and the history stay, whatever is cut";

const BODY: Domain = Domain::new("ledgerkit.sim.body");

/// All keys with their values.
pub(crate) type Values = BTreeMap<Key, Vec<u8>>;

/// What has to be told of a block.
#[derive(Clone)]
pub(crate) struct Expected {
    header: Digest,
    body: Digest,
    first: Option<TransactionId>,
    /// What executing it gave, once that was seen: the digest of outcome and results.
    pub(crate) executed: Option<Digest>,
    state_root: Digest,
    /// The state after it.
    values: Arc<Values>,
}

impl Expected {
    pub(crate) fn of(block: &Block, state_root: Digest, values: Arc<Values>) -> Self {
        Expected {
            header: block.digest(),
            body: hash(BODY, &codec::encode(block)),
            first: block.transactions.first().map(ledger_core::SignedTransaction::id),
            executed: None,
            state_root,
            values,
        }
    }
}

/// The digest of what executing a block gave.
pub(crate) fn digest_of(outcome: &Outcome, results: &[TransactionResult]) -> Digest {
    let mut hasher = ledger_crypto::Hasher::new(ledger_core::domains::OUTCOME);
    hasher.update(outcome.digest().as_bytes());
    for result in results {
        hasher.update(&codec::encode(result));
    }
    hasher.finalize()
}

/// See the [module](self).
pub(crate) struct Past<'a> {
    pub(crate) growth: &'a Growth,
    pub(crate) log: &'a LogReader,
    pub(crate) reader: &'a ChainReader,
    pub(crate) chain: ChainId,
    pub(crate) retention: Retention,
}

fn broken(law: &'static str, height: Height, error: impl std::fmt::Display) -> Violation {
    Violation::new(law, format!("block {height}: {error}"))
}

impl Past<'_> {
    /// The bytes of a block, from the log or the archive; `None` when they were given up.
    fn body(&self, height: Height) -> Result<Option<Vec<u8>>, Violation> {
        let position = self.reader.position(height).map_err(|error| broken(HEADERS, height, error))?;
        let position = position.ok_or_else(|| broken(HEADERS, height, "it has no place"))?;
        match self.log.read(position) {
            Ok(record) => Ok(Some(record.bytes)),
            Err(LogError::Removed { .. }) => {
                let archived = self.growth.block(self.chain, height).map_err(|error| broken(TRUE, height, error))?;
                Ok(archived.map(|archived| archived.block))
            }
            Err(error) => Err(broken(TRUE, height, error)),
        }
    }

    /// Reads all that is there up to the views' newest block. `heads` are those of the history at each size from 1 on.
    pub(crate) fn check(
        &self,
        expected: &[Expected],
        heads: &[HistoryHead],
        counters: &mut Counters,
    ) -> Result<(), Violation> {
        let newest = self.reader.head().header.height;
        let kept = self.growth.kept(&self.chain, newest);
        let fits = promised(self.retention, newest).is_none_or(|promised| kept.first <= promised);
        ensure(fits && kept.newest == newest, PROMISED, || format!("{:?} at {newest}: {kept:?}", self.retention))?;
        counters.add("past: read");
        for (height, expected) in (1..=newest.0).map(Height).zip(expected) {
            self.check_block(height, expected, &kept, counters)?;
            if height == newest || height.0 % 7 == newest.0 % 7 {
                self.check_place(height, expected, heads)?;
            }
        }
        self.check_states(newest, expected, counters)
    }

    fn check_block(
        &self,
        height: Height,
        expected: &Expected,
        kept: &Kept,
        counters: &mut Counters,
    ) -> Result<(), Violation> {
        let stays = height >= kept.first;
        match self.body(height)? {
            Some(bytes) => {
                let same = hash(BODY, &bytes) == expected.body;
                ensure(same, TRUE, || format!("{:?}: block {height} is another", self.chain))?;
            }
            None => {
                ensure(!stays, PROMISED, || format!("{:?}: block {height} of {kept:?} is gone", self.retention))?;
                counters.add("past: body refused as given up");
            }
        }
        match self.reader.results(height) {
            Ok(results) => {
                let outcome = self.reader.outcome(height).map_err(|error| broken(HEADERS, height, error))?;
                let digest = digest_of(&outcome, &results);
                let same = expected.executed.is_none_or(|executed| executed == digest);
                ensure(same, TRUE, || format!("{:?}: results of block {height} are others", self.chain))
            }
            Err(StoreError::Pruned { .. }) => {
                ensure(!stays, PROMISED, || format!("{:?}: results {height} of {kept:?} are gone", self.retention))?;
                counters.add("past: results refused as given up");
                Ok(())
            }
            Err(error) => Err(broken(TRUE, height, error)),
        }
    }

    /// Header, outcome and place in the history are there, and proven.
    fn check_place(&self, height: Height, expected: &Expected, heads: &[HistoryHead]) -> Result<(), Violation> {
        let failed = |error: StoreError| broken(HEADERS, height, error);
        let block = self.reader.block(height).map_err(failed)?;
        let known = block.header.digest() == expected.header && block.outcome.block == expected.header;
        ensure(known, HEADERS, || format!("header {height} is another"))?;
        ensure(!block.certificate.is_empty(), HEADERS, || format!("block {height} has no certificate"))?;
        let newest = self.reader.head().history.size;
        if let Some(head) = heads.iter().rev().find(|head| head.size <= newest && head.size > height.0) {
            let path = self.reader.history_path(height, head.size).map_err(failed)?;
            let leaf = history::leaf(&expected.header, &block.outcome.digest());
            verify_inclusion::<HistoryHasher>(&head.root, head.size, height.0, &leaf, &path)
                .map_err(|error| broken(HEADERS, height, error))?;
        }
        if let Some(first) = &expected.first {
            let place = self.reader.place(first).map_err(failed)?;
            ensure(place.is_some(), HEADERS, || format!("{first} of block {height} has no place"))?;
        }
        Ok(())
    }

    fn check_states(&self, newest: Height, expected: &[Expected], counters: &mut Counters) -> Result<(), Violation> {
        let oldest = promised(self.retention, newest).unwrap_or(newest).max(Height(1));
        let found = self.reader.oldest_state();
        ensure(found <= oldest || newest < oldest, PROMISED, || {
            format!("{:?} at {newest}: states are kept from {found} on", self.retention)
        })?;
        for at in [Height(1), Height(oldest.0.midpoint(newest.0)), oldest, newest] {
            let Some(state) = index(at).and_then(|index| expected.get(index)).filter(|_| at <= newest) else {
                continue;
            };
            let view = match self.reader.state_at(at) {
                Err(StoreError::State(StateError::Height { .. })) if at < oldest => {
                    counters.add("past: state refused as given up");
                    continue;
                }
                view => view.map_err(|error| broken(PROMISED, at, error))?,
            };
            let last = index(newest).and_then(|index| expected.get(index)).map(|last| &last.values);
            let absent = last.iter().flat_map(|values| values.keys()).filter(|key| !state.values.contains_key(*key));
            for key in state.values.keys().chain(absent.take(3)) {
                let value = view.get(key).map_err(|error| broken(PROMISED, at, error))?;
                let (found, wanted) = (value.as_ref().map(|value| &*value.value), state.values.get(key));
                ensure(found == wanted.map(Vec::as_slice), TRUE, || format!("{key:?} in the state of block {at}"))?;
            }
            if at >= self.reader.oldest_provable() {
                for key in state.values.keys().take(2) {
                    self.check_proof(at, key, state)?;
                }
            }
        }
        Ok(())
    }

    fn check_proof(&self, at: Height, key: &Key, state: &Expected) -> Result<(), Violation> {
        let failed = |error: &dyn std::fmt::Display| broken(PROMISED, at, error);
        let path = self.reader.prove(at, key).map_err(|error| failed(&error))?;
        let proven = path.verify(&state.state_root, key).map_err(|error| failed(&error))?;
        let same = proven.map(|value| &*value.value) == state.values.get(key).map(Vec::as_slice);
        ensure(same, PROMISED, || format!("another value of {key:?} is proven at {at}"))
    }
}

fn index(height: Height) -> Option<usize> {
    usize::try_from(height.0.checked_sub(1)?).ok()
}
