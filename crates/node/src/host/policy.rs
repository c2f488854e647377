//! What a host keeps of its chains.

use super::{Host, HostError, submit};
use crate::recovery::POLICY_RECORD;
use crate::retention::ChainPolicy;
use ledger_core::{ChainId, codec};
use ledger_storage::log::Record;
use std::sync::Arc;
use tokio::sync::oneshot;

impl Host {
    /// Says what is kept of an open chain from now on, and who keeps its archive, also after a restart: it is in the log
    /// before it counts, and counts then even if the future is dropped. What was given up doesn't come back.
    ///
    /// # Errors
    /// [`HostError::Policy`] when it can't be kept; [`HostError::UnknownChain`] when the chain isn't open;
    /// [`HostError::Log`] when the log doesn't take it: the policy before counts on then, or this one after a restart.
    pub async fn set_policy(&self, chain: &ChainId, policy: &ChainPolicy) -> Result<(), HostError> {
        policy.check()?;
        let id = *chain;
        let unknown = || HostError::UnknownChain { chain: id };
        let shard = self.shards.iter().find(|shard| shard.growth.has(chain)).ok_or_else(unknown)?;
        let record = Record { chain: chain.0, kind: POLICY_RECORD, height: 0, bytes: codec::encode(policy) };
        let ticket = submit(&shard.log, vec![record]).await?;
        let (told, done) = oneshot::channel();
        let (growth, chain, policy) = (Arc::clone(&shard.growth), *chain, policy.clone());
        // In the order of the log, and whether anyone waits or not: what counts now is what counts after a restart.
        ticket.on_done(move |outcome| {
            let known = outcome.map(|_| growth.set_policy(&chain, &policy));
            // Whoever waited may have gone.
            let _ = told.send(known);
        });
        match done.await.map_err(|error| HostError::Task { task: "log", reason: error.to_string() })?? {
            true => Ok(()),
            false => Err(unknown()),
        }
    }

    /// What is kept of an open chain, and who keeps its archive.
    pub fn policy(&self, chain: &ChainId) -> Option<ChainPolicy> {
        self.shards.iter().find_map(|shard| shard.growth.policy(chain))
    }
}
