//! Why a command failed.

use crate::config::ConfigError;
use crate::proof_file::ProofFileError;
use ledger_core::codec::CodecError;
use ledger_core::{ChainId, GenesisError, TrustError, ValidatorsError};
use ledger_crypto::{KeyFileError, SignerError, VoteError};
use ledger_node::recovery::RecoveryError;
use ledger_node::{ChainError, HostError, MoveGuardError, Stop};
use ledger_storage::disk::DiskError;
use ledger_storage::log::LogError;
use ledger_storage::snapshot::SnapshotStoreError;
use std::io;
use std::path::PathBuf;

/// Why a command failed. The message says what to look at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CliError {
    /// The answer couldn't be written.
    #[error("cannot write the answer")]
    Output {
        /// Why.
        #[source]
        error: io::Error,
    },
    /// A file or folder couldn't be read or written.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// "read", "write", "create".
        action: &'static str,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// Something is there that would be overwritten.
    #[error("{} is there already, and nothing is ever overwritten", path.display())]
    Exists {
        /// What is there.
        path: PathBuf,
    },
    /// A file is longer than any of its kind.
    #[error("{} has {found} bytes; the limit is {limit}", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Its length in bytes.
        found: u64,
        /// The most that is read.
        limit: u64,
    },
    /// A file's bytes aren't what they should be.
    #[error("{}: {error}", path.display())]
    Codec {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: CodecError,
    },
    /// A file is neither a genesis nor a trust root.
    #[error("{} is neither a trust root ({root}) nor a genesis ({genesis})", path.display())]
    NoTrust {
        /// The file.
        path: PathBuf,
        /// Why it isn't the one.
        root: CodecError,
        /// Why it isn't the other.
        genesis: CodecError,
    },
    /// A setting is wrong.
    #[error("{}: {error}", path.display())]
    Config {
        /// The settings file.
        path: PathBuf,
        /// What is wrong.
        error: Box<ConfigError>,
    },
    /// An option is out of its range.
    #[error("--{option}: {reason}")]
    Option {
        /// The option.
        option: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A key file can't be made or opened.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// No key can be made.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// There is no passphrase to be had.
    #[error("no passphrase: {reason}")]
    Passphrase {
        /// Why not.
        reason: String,
    },
    /// The validators make no set.
    #[error(transparent)]
    Validators(#[from] ValidatorsError),
    /// The genesis makes no chain.
    #[error("{}: {error}", path.display())]
    Genesis {
        /// The genesis file.
        path: PathBuf,
        /// What is wrong.
        error: GenesisError,
    },
    /// The file holds no proof.
    #[error("{}: {error}", path.display())]
    ProofFile {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: ProofFileError,
    },
    /// The proof doesn't hold.
    #[error("{}: nothing is proven: {reason}", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The checkpoint isn't trusted.
    #[error("{}: the checkpoint is not trusted: {error}", path.display())]
    Untrusted {
        /// The file.
        path: PathBuf,
        /// Why.
        error: Box<TrustError>,
    },
    /// The data folder is damaged.
    #[error("{}: damaged: {reason}", folder.display())]
    Damaged {
        /// The folder.
        folder: PathBuf,
        /// File, place and damage.
        reason: String,
    },
    /// The data folder can't be opened.
    #[error("{}: {error}", folder.display())]
    Disk {
        /// The folder.
        folder: PathBuf,
        /// Why.
        error: DiskError,
    },
    /// The data folder's log can't be read.
    #[error("{}: {error}", folder.display())]
    Log {
        /// The folder.
        folder: PathBuf,
        /// Why.
        error: LogError,
    },
    /// The data folder's chain can't be recovered.
    #[error("{}: {error}", folder.display())]
    Recovery {
        /// The folder.
        folder: PathBuf,
        /// Why.
        error: Box<RecoveryError>,
    },
    /// The data folder is another chain's.
    #[error(
        "wrong genesis: {} is of chain {expected}, and the data folder {} holds chain {found}", genesis.display(), folder.display()
    )]
    WrongGenesis {
        /// The genesis file.
        genesis: PathBuf,
        /// Its chain.
        expected: ChainId,
        /// The data folder.
        folder: PathBuf,
        /// The chain in it.
        found: ChainId,
    },
    /// The vote signer doesn't trust the data folder.
    #[error(
        "{} and the guard {} don't belong together ({error}): the data folder is an older copy, or another one, and voting with \
         it could contradict votes that were sent. Restore the newest data folder, or give the node a new key",
        folder.display(), guard.display()
    )]
    Stale {
        /// The data folder.
        folder: PathBuf,
        /// The guard's folder.
        guard: PathBuf,
        /// What the signer says.
        error: VoteError,
    },
    /// The data folder has no chain, or several, and none was chosen.
    #[error("{}: {reason}", folder.display())]
    Chains {
        /// The folder.
        folder: PathBuf,
        /// What it has.
        reason: String,
    },
    /// A snapshot can't be verified.
    #[error("{}: {error}", folder.display())]
    Snapshot {
        /// The snapshot's folder.
        folder: PathBuf,
        /// File, and what is wrong with it.
        error: Box<SnapshotStoreError>,
    },
    /// A snapshot can't be made.
    #[error("{}: {error}", folder.display())]
    Export {
        /// The data folder.
        folder: PathBuf,
        /// Why not.
        error: Box<ChainError>,
    },
    /// The vote guard can't be moved along.
    #[error(
        "{}: {error}. The snapshot is imported; without its guard the key doesn't sign in the new data folder", guard.display()
    )]
    MoveGuard {
        /// The guard's folder.
        guard: PathBuf,
        /// Why not.
        error: MoveGuardError,
    },
    /// A trace page that can't be read.
    #[error("{}: {error}", path.display())]
    Page {
        /// The page.
        path: PathBuf,
        /// What is wrong with it.
        error: ledger_trace_page::PageError,
    },
    /// There is nobody who could give a snapshot.
    #[error(
        "{}: the chain has one owner and no validators to join; leave out `snapshots.join`, and bring the state here with \
         `ledgerkit snapshot import`", genesis.display()
    )]
    NoPeers {
        /// The genesis file.
        genesis: PathBuf,
    },
    /// No such engine in this program.
    #[error("{}: the engine `{name}` isn't in this program", genesis.display())]
    NoEngine {
        /// The genesis file.
        genesis: PathBuf,
        /// The engine.
        name: String,
    },
    /// The peers can't be served.
    #[error(transparent)]
    Network(#[from] ledger_network::StartError),
    /// Clients can't be served.
    #[error(transparent)]
    Api(#[from] ledger_api::ApiError),
    /// The tokens can't be read or made.
    #[error(transparent)]
    Token(#[from] ledger_api::TokenError),
    /// The chain stopped.
    #[error("the chain has stopped: {0}")]
    Stopped(Stop),
    /// The operating system refuses what a program needs to run.
    #[error("cannot {what}")]
    System {
        /// What.
        what: &'static str,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// The node can't be started, or didn't end well.
    #[error(transparent)]
    Host(#[from] HostError),
}
