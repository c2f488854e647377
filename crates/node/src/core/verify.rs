//! May this block follow its parent? What its bytes and its ancestors decide, and whether its history head is what this
//! node's own execution gives.

use super::blocks::Known;
use super::driver::Driver;
use crate::mempool::Mempool;
use ledger_consensus::RequestId;
use ledger_core::{Block, Header, Rules, SignatureCheck, Timestamp, codec, domains};
use std::collections::BTreeMap;

/// A block whose check has begun.
struct Pending {
    header: Header,
    signatures: bool,
}

/// What a check came to at once.
pub(super) enum Begun {
    /// The verdict.
    Verdict(Result<(), String>),
    /// These signatures have to be checked first.
    Check(Vec<SignatureCheck>),
    /// This node has to execute first what the header commits to.
    Waits,
}

/// What a verification is to be held against.
pub(super) struct Surroundings<'a> {
    pub(super) now: Timestamp,
    pub(super) rules: &'a Rules,
    pub(super) mempool: &'a Mempool,
    /// When this node last saw the chain move.
    pub(super) moved: Timestamp,
}

/// The blocks under verification. The engine shows a few for each view that it keeps, which bounds them.
#[derive(Default)]
pub(super) struct Verification {
    pending: BTreeMap<RequestId, Pending>,
}

impl Verification {
    /// Begins with what can be told at once. A block that passes is known from then on.
    pub(super) fn begin(
        &mut self,
        request: RequestId,
        parent: &Header,
        header: Header,
        payload: &[u8],
        driver: &mut Driver,
        around: &Surroundings<'_>,
    ) -> Begun {
        let block = match Self::read(parent, &header, payload, around) {
            Ok(block) => block,
            Err(reason) => return Begun::Verdict(Err(reason)),
        };
        let known = Known::of(block);
        let checks: Vec<SignatureCheck> = known
            .transactions()
            .filter(|(id, transaction)| {
                // The id leaves the witness open, so the pool's check holds for the same witness only.
                around.mempool.get(id).is_none_or(|checked| checked.witness != transaction.witness)
            })
            .map(|(id, transaction)| {
                let check = transaction.witness.check(&id);
                SignatureCheck {
                    key: *check.key,
                    domain: domains::SIGN_TRANSACTION,
                    message: id.0.as_bytes().to_vec(),
                    signature: *check.signature,
                }
            })
            .collect();
        driver.blocks.insert(header.digest(), known);
        let signatures = checks.is_empty();
        self.pending.insert(request, Pending { header, signatures });
        if !signatures {
            return Begun::Check(checks);
        }
        self.settle(request, driver).map_or(Begun::Waits, Begun::Verdict)
    }

    fn read(parent: &Header, header: &Header, payload: &[u8], around: &Surroundings<'_>) -> Result<Block, String> {
        let block: Block = codec::decode(payload).map_err(|error| error.to_string())?;
        if block.header != *header {
            return Err(format!("its payload is block {}, not {}", block.digest(), header.digest()));
        }
        block.check_against(parent, around.rules).map_err(|error| error.to_string())?;
        if !header.seal.is_empty() {
            return Err(format!("it has a seal of {} bytes; this engine uses none", header.seal.len()));
        }
        // Wider while the chain stands still, so that clocks that are off can't hold it for ever. The parent's own time moves
        // nothing on, however far ahead it is: whoever refused that would refuse every child.
        let still = around.now.0.saturating_sub(around.moved.0);
        let latest = around.now.plus(around.rules.max_clock_ahead_ms).plus(still).max(parent.timestamp);
        if header.timestamp > latest {
            return Err(format!("its timestamp {} is beyond {latest}, this node's clock and bound", header.timestamp));
        }
        Ok(block)
    }

    /// The signatures of a block were checked.
    pub(super) fn checked(
        &mut self,
        request: RequestId,
        valid: &[bool],
        driver: &Driver,
    ) -> Option<Result<(), String>> {
        let pending = self.pending.get_mut(&request)?;
        if let Some(index) = valid.iter().position(|valid| !valid) {
            self.pending.remove(&request);
            return Some(Err(format!("transaction signature {index} of those unknown here is invalid")));
        }
        pending.signatures = true;
        self.settle(request, driver)
    }

    /// Gives the verdict if nothing has to be waited for any more.
    fn settle(&mut self, request: RequestId, driver: &Driver) -> Option<Result<(), String>> {
        let pending = self.pending.get(&request).filter(|pending| pending.signatures)?;
        let verdict = driver.agrees_with(&pending.header.history)?;
        self.pending.remove(&request);
        Some(verdict)
    }

    /// Another block was executed: the verdicts that waited for it. What lies at or below the last finalized height has
    /// lost its point.
    pub(super) fn executed(&mut self, driver: &Driver) -> Vec<(RequestId, Result<(), String>)> {
        let finalized = driver.finalized().height;
        self.pending.retain(|_, pending| pending.header.height > finalized);
        let waiting: Vec<RequestId> = self.pending.keys().copied().collect();
        waiting.into_iter().filter_map(|request| Some((request, self.settle(request, driver)?))).collect()
    }
}
