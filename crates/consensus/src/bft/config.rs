//! What can be set, and the defaults.

/// Settings of a [`Bft`](super::Bft) engine. They are a node's own: validators need not have the same. The defaults fit
/// a local network; over a wide one, set both timeouts to a few times the slowest round trip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BftConfig {
    /// How long a view waits for its leader's block, in ms: 400. It should cover one message, the making of a block and
    /// its transfer.
    pub leader_timeout_ms: u64,
    /// How long a view with a block waits for its notarization, in ms from its start: 1,000. Checking the block and, where
    /// this node lags behind, executing its ancestors falls into it: so it isn't shorter than what a full block may take,
    /// [`Rules::BLOCK_TIME_MS`](ledger_core::Rules::BLOCK_TIME_MS).
    pub view_timeout_ms: u64,
    /// Where both stop to grow while views pass without a block, in ms: 4,000.
    pub max_timeout_ms: u64,
    /// How often what isn't finished is sent again and what is missing asked for, in ms: 200.
    pub resend_ms: u64,
    /// Of how many views own votes are sent again: 8.
    pub resend_views: usize,
    /// How many validators send the certificate that ends a view to all at once, beginning with the view's leader: 4. The
    /// others leave it to them and to the votes, which all have; whoever still lacks it gets it by asking.
    pub relays: u64,
    /// How far beyond the current view votes are kept, in views: 64. Certificates are taken from any view.
    pub lookahead_views: u64,
    /// How many views since the last final one are kept with all their votes: 256. Older ones keep only what they came to.
    pub max_views: usize,
    /// How many blocks may be notarized and not final before leaders repeat the last one instead of extending it: 128; at
    /// most [`MAX_DESCENDANTS`](ledger_core::finality::MAX_DESCENDANTS).
    pub max_unfinalized: u64,
    /// How many bytes of blocks may be kept that aren't final: 64 MiB. From half of it on leaders repeat.
    pub max_pending_bytes: usize,
    /// How many final blocks are kept for peers that are a little behind: 16.
    pub kept_final_blocks: usize,
    /// How many bytes of final blocks are kept for them: 32 MiB.
    pub kept_final_bytes: usize,
    /// How many final heights behind this engine still catches up by itself: 8. Beyond, the driver has to.
    pub max_fetch: u64,
    /// How often a missing block of a final chain is asked for before the driver has to catch up: 10.
    pub fetch_tries: u32,
    /// How many of one peer's messages may wait for their signatures' check: 64.
    pub max_checks_per_peer: usize,
    /// How often one peer is helped on, in ms: 50.
    pub help_ms: u64,
    /// How many certificates one answer to a peer that is behind has: 32.
    pub help_certificates: usize,
    /// The rule that this engine breaks, to see whether tests find it.
    #[cfg(feature = "planted-bugs")]
    pub planted: Option<PlantedBug>,
}

impl Default for BftConfig {
    fn default() -> Self {
        BftConfig {
            leader_timeout_ms: 400,
            view_timeout_ms: 1_000,
            max_timeout_ms: 4_000,
            resend_ms: 200,
            resend_views: 8,
            relays: 4,
            lookahead_views: 64,
            max_views: 256,
            max_unfinalized: 128,
            max_pending_bytes: 64 << 20,
            kept_final_blocks: 16,
            kept_final_bytes: 32 << 20,
            max_fetch: 8,
            fetch_tries: 10,
            max_checks_per_peer: 64,
            help_ms: 50,
            help_certificates: 32,
            #[cfg(feature = "planted-bugs")]
            planted: None,
        }
    }
}

impl BftConfig {
    /// What in it makes no sense, in words.
    pub(super) fn check(&self) -> Result<(), String> {
        let positive = [
            ("leader_timeout_ms", self.leader_timeout_ms),
            ("resend_ms", self.resend_ms),
            ("resend_views", self.resend_views as u64),
            ("lookahead_views", self.lookahead_views),
            ("max_views", self.max_views as u64),
            ("max_unfinalized", self.max_unfinalized),
            ("max_checks_per_peer", self.max_checks_per_peer as u64),
            ("help_certificates", self.help_certificates as u64),
        ];
        if let Some((name, _)) = positive.iter().find(|(_, value)| *value == 0) {
            return Err(format!("`{name}` is 0; the least is 1"));
        }
        if self.view_timeout_ms < self.leader_timeout_ms {
            let (view, leader) = (self.view_timeout_ms, self.leader_timeout_ms);
            return Err(format!("`view_timeout_ms` is {view}, less than `leader_timeout_ms`, {leader}"));
        }
        if self.max_timeout_ms < self.view_timeout_ms {
            let (most, view) = (self.max_timeout_ms, self.view_timeout_ms);
            return Err(format!("`max_timeout_ms` is {most}, less than `view_timeout_ms`, {view}"));
        }
        let limit = ledger_core::finality::MAX_DESCENDANTS as u64;
        if self.max_unfinalized > limit {
            return Err(format!("`max_unfinalized` is {}; the limit is {limit}", self.max_unfinalized));
        }
        if self.max_fetch > self.kept_final_blocks as u64 {
            let (fetch, kept) = (self.max_fetch, self.kept_final_blocks);
            return Err(format!("`max_fetch` is {fetch}, more than `kept_final_blocks`, {kept}"));
        }
        Ok(())
    }

    /// Whether the engine is to break this rule.
    #[cfg(feature = "planted-bugs")]
    pub(super) fn breaks(&self, bug: PlantedBug) -> bool {
        self.planted == Some(bug)
    }
}

/// Rules that an engine can be made to break, each a mistake that others have made. For tests of tests.
#[cfg(feature = "planted-bugs")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum PlantedBug {
    /// Takes a quorum's weight less one for a quorum.
    QuorumMinusOne,
    /// Sends votes that it hasn't recorded.
    VoteBeforePersist,
    /// Signs *finalize* in a view that it nullified.
    LostLock,
    /// Counts a signer of a certificate as often as it stands there.
    CountsSignersTwice,
    /// Votes for a block although views between it and its parent aren't known to be nullified.
    SkipsParentCheck,
    /// Signs *finalize* for a block that it has only seen proposed.
    FinalizeWithoutNotarization,
    /// Starts with an empty memory of its votes, in the guard as in the engine.
    ForgetsVotesOnRestart,
    /// Takes every signature for valid.
    AcceptsUncheckedSignatures,
    /// Nullifies a view on time out although it signed *finalize* there.
    NullifyAfterFinalize,
}

#[cfg(feature = "planted-bugs")]
impl PlantedBug {
    /// All of them.
    pub const ALL: [PlantedBug; 9] = [
        PlantedBug::QuorumMinusOne,
        PlantedBug::VoteBeforePersist,
        PlantedBug::LostLock,
        PlantedBug::CountsSignersTwice,
        PlantedBug::SkipsParentCheck,
        PlantedBug::FinalizeWithoutNotarization,
        PlantedBug::ForgetsVotesOnRestart,
        PlantedBug::AcceptsUncheckedSignatures,
        PlantedBug::NullifyAfterFinalize,
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_waits_as_long_as_a_full_block_may_take() {
        assert!(BftConfig::default().view_timeout_ms >= ledger_core::Rules::BLOCK_TIME_MS);
    }
}
