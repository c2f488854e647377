//! What a host keeps of its chains.

use super::{Host, HostError, append};
use crate::recovery::POLICY_RECORD;
use crate::retention::ChainPolicy;
use ledger_core::{ChainId, codec};
use ledger_storage::log::Record;

impl Host {
    /// Says what is kept of an open chain from now on, and who keeps its archive, also after a restart: it is in the log
    /// before it counts. What was given up doesn't come back.
    ///
    /// # Errors
    /// [`HostError::Policy`] when it can't be kept; [`HostError::UnknownChain`] when the chain isn't open;
    /// [`HostError::Log`] when the log doesn't take it: the policy before counts on then, or this one after a restart.
    pub async fn set_policy(&self, chain: &ChainId, policy: &ChainPolicy) -> Result<(), HostError> {
        policy.check()?;
        let unknown = || HostError::UnknownChain { chain: *chain };
        let shard = self.shards.iter().find(|shard| shard.growth.has(chain)).ok_or_else(unknown)?;
        let record = Record { chain: chain.0, kind: POLICY_RECORD, height: 0, bytes: codec::encode(policy) };
        append(&shard.log, record).await?.await?;
        match shard.growth.set_policy(chain, policy) {
            true => Ok(()),
            false => Err(unknown()),
        }
    }

    /// What is kept of an open chain, and who keeps its archive.
    pub fn policy(&self, chain: &ChainId) -> Option<ChainPolicy> {
        self.shards.iter().find_map(|shard| shard.growth.policy(chain))
    }
}
