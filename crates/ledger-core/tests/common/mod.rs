//! What the integration tests share. Each of them uses a part of it.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "helpers of tests, which may fail by panicking"
)]

pub mod bft;
pub mod chain;
pub mod random;
pub mod samples;

/// Runs `$check!(Type)` for every type that has an encoding of its own.
#[macro_export]
macro_rules! for_every_format {
    ($check:ident) => {
        $check!(ledger_core::codec::Bytes);
        $check!(ledger_core::Transaction);
        $check!(ledger_core::TransactionLeaf);
        $check!(ledger_core::SignedTransaction);
        $check!(ledger_core::DeployBody);
        $check!(ledger_core::ReadWriteSet);
        $check!(ledger_core::Header);
        $check!(ledger_core::Block);
        $check!(ledger_core::HistoryHead);
        $check!(ledger_core::Outcome);
        $check!(ledger_core::Receipt);
        $check!(ledger_core::Event);
        $check!(ledger_core::TransactionResult);
        $check!(ledger_core::Genesis);
        $check!(ledger_core::Checkpoint);
        $check!(ledger_core::TrustRoot);
        $check!(ledger_core::Consistency);
        $check!(ledger_core::Proof);
        $check!(ledger_core::BftCertificate);
        $check!(ledger_core::Evidence);
        $check!(ledger_core::EpochChange);
        $check!(ledger_core::CheckpointBundle);
        $check!(ledger_core::SnapshotManifest);
        $check!(ledger_core::Key);
        $check!(ledger_core::Versioned);
    };
}

/// How many cases a test runs: what the environment variable says, or else `debug` in a debug build and `release` in
/// a release build.
pub fn count(variable: &str, debug: u64, release: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")),
        Err(_) if cfg!(debug_assertions) => debug,
        Err(_) => release,
    }
}
