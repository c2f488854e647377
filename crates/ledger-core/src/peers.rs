//! What travels between nodes, told apart so that the large never delays the urgent.

/// A stream of messages between two nodes of a chain. Lanes don't wait for each other; within one, messages keep their
/// order while a connection lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Votes, certificates, and proposals without their payload: small, and first in line.
    Votes,
    /// Encoded blocks.
    Payloads,
    /// Transactions on their way to a proposer.
    Gossip,
    /// Catching up: announcements, requests, blocks.
    Sync,
}

impl Lane {
    /// All lanes, the most urgent first.
    pub const ALL: [Lane; 4] = [Lane::Votes, Lane::Payloads, Lane::Gossip, Lane::Sync];
}

impl core::fmt::Display for Lane {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Lane::Votes => "votes",
            Lane::Payloads => "payloads",
            Lane::Gossip => "gossip",
            Lane::Sync => "sync",
        })
    }
}
