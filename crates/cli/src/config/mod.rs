//! A node's settings: one TOML file, in which everything that isn't said has its default and a key that isn't known is an
//! error.
//!
//! [`template`] writes such a file with every default in a comment. Paths are relative to the file's own folder.

mod template;

pub use template::template;

use ledger_consensus::BftConfig;
use ledger_crypto::PublicKey;
use ledger_node::Limits;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The longest settings file, in bytes.
pub const MAX_BYTES: u64 = 1 << 20;

/// A node's settings.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The file of the node's key: it signs the node's votes and names the node to its peers. Default `node.key`.
    pub key: PathBuf,
    /// A file whose first line is the key file's passphrase. Default none: it comes from `LEDGERKIT_PASSPHRASE`, or is
    /// asked for.
    pub passphrase_file: Option<PathBuf>,
    /// The folder in which the last vote is remembered, beside the key, so that a data folder restored from a copy isn't
    /// voted with. Default `guard`.
    pub guard: PathBuf,
    /// The file of the chain's genesis. Default `genesis.bin`.
    pub genesis: PathBuf,
    /// The data folder: the log and the views. Default `data`.
    pub data: PathBuf,
    /// How the node reaches its peers.
    pub network: NetworkSection,
    /// How clients reach the node.
    pub api: ApiSection,
    /// Bounds.
    pub limits: LimitsSection,
    /// Snapshots of the state, for and from peers.
    pub snapshots: SnapshotsSection,
    /// How blocks are made.
    pub blocks: BlocksSection,
    /// The voting engine.
    pub consensus: ConsensusSection,
    /// What is logged.
    pub log: LogSection,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            key: "node.key".into(),
            passphrase_file: None,
            guard: "guard".into(),
            genesis: "genesis.bin".into(),
            data: "data".into(),
            network: NetworkSection::default(),
            api: ApiSection::default(),
            limits: LimitsSection::default(),
            snapshots: SnapshotsSection::default(),
            blocks: BlocksSection::default(),
            consensus: ConsensusSection::default(),
            log: LogSection::default(),
        }
    }
}

/// How the node reaches its peers, over QUIC. A ledger with one owner has none.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkSection {
    /// Where peers reach this node (UDP). Default `127.0.0.1:7600`.
    pub listen: SocketAddr,
    /// Whether whoever proves to hold some key may follow the chain. Default false: validators only.
    pub open_to_observers: bool,
    /// Whether this node follows without a vote, as an observer. Default false.
    pub observe: bool,
    /// The other members.
    pub peers: Vec<Peer>,
}

impl Default for NetworkSection {
    fn default() -> Self {
        NetworkSection {
            listen: SocketAddr::from(([127, 0, 0, 1], 7600)),
            open_to_observers: false,
            observe: false,
            peers: Vec::new(),
        }
    }
}

/// Another member, and where it is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// Its public key: 64 hex digits.
    pub key: PublicKey,
    /// Its address (UDP): `host:port`, where the host may be a name.
    pub address: String,
}

/// How clients reach the node, over HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApiSection {
    /// Where clients reach this node (TCP). Without tokens it must be a loopback address. Port 0 takes one that is free.
    /// Default `127.0.0.1:7601`.
    pub listen: SocketAddr,
    /// A file of bearer tokens' digests and rights: see [`Tokens::parse`](ledger_api::Tokens::parse). Default none.
    pub tokens: Option<PathBuf>,
}

impl Default for ApiSection {
    fn default() -> Self {
        ApiSection { listen: SocketAddr::from(([127, 0, 0, 1], 7601)), tokens: None }
    }
}

/// Bounds on what the node holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsSection {
    /// The most transactions in the mempool.
    pub mempool_transactions: usize,
    /// The most bytes of transactions in the mempool.
    pub mempool_bytes: usize,
    /// The most transactions of one account in the mempool.
    pub mempool_per_account: usize,
    /// How long a transaction may wait in the mempool, in ms.
    pub mempool_wait_ms: u64,
    /// Submissions that wait to be taken up before clients wait.
    pub submissions: usize,
    /// Memory for values that were read or written lately, in bytes.
    pub value_cache_bytes: usize,
    /// How many of the latest states can be proven, beside the newest.
    pub state_window_blocks: u64,
    /// Decompressed public keys that are kept.
    pub cached_keys: usize,
    /// A segment of the log is closed when it would grow beyond so many bytes.
    pub log_segment_bytes: u64,
    /// Bytes that may wait for the disk.
    pub log_queue_bytes: u64,
}

impl Default for LimitsSection {
    fn default() -> Self {
        let limits = Limits::default();
        LimitsSection {
            mempool_transactions: limits.core.mempool.max_transactions,
            mempool_bytes: limits.core.mempool.max_bytes,
            mempool_per_account: limits.core.mempool.max_per_account,
            mempool_wait_ms: limits.core.mempool.max_wait_ms,
            submissions: limits.submissions,
            value_cache_bytes: limits.value_cache_bytes,
            state_window_blocks: limits.views.state.window_blocks,
            cached_keys: limits.cached_keys,
            log_segment_bytes: limits.log.segment_bytes,
            log_queue_bytes: limits.log.queue_bytes,
        }
    }
}

/// Snapshots of the state: taken from validators by a node that is new, and given to those that are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct SnapshotsSection {
    /// Whether a data folder that has nothing of the chain begins with a snapshot that validators give, instead of all
    /// blocks. Default false: of a network that is itself new, somebody has to begin.
    pub join: bool,
    /// Whether this node gives snapshots to peers that ask. Default true.
    pub serve: bool,
    /// They are of the first checkpoint at each multiple of so many blocks: the same at every node, so that the pieces come
    /// from all of them.
    pub every_blocks: u64,
}

impl Default for SnapshotsSection {
    fn default() -> Self {
        let snapshots = Limits::default().snapshots;
        SnapshotsSection { join: false, serve: snapshots.serve, every_blocks: snapshots.every_blocks }
    }
}

/// How this node makes blocks. Two nodes of a chain may differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct BlocksSection {
    /// How many blocks may be ordered and not yet executed before no more are proposed.
    pub pipeline: u64,
    /// The shortest time between two blocks with transactions, in ms.
    pub interval_ms: u64,
    /// The most transactions that this node puts into a block. Default: as many as the chain's rules allow.
    pub transactions: Option<usize>,
    /// Propose an empty block when there was none for this long, in ms. Default: never.
    pub heartbeat_ms: Option<u64>,
}

impl Default for BlocksSection {
    fn default() -> Self {
        let core = ledger_node::CoreConfig::default();
        BlocksSection {
            pipeline: core.pipeline,
            interval_ms: core.block_interval_ms,
            transactions: None,
            heartbeat_ms: core.heartbeat_ms,
        }
    }
}

/// The voting engine's patience. Over a wide network set both timeouts to a few times the slowest round trip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConsensusSection {
    /// How long a view waits for its leader's block, in ms.
    pub leader_timeout_ms: u64,
    /// How long a view with a block waits for its notarization, in ms from its start.
    pub view_timeout_ms: u64,
    /// Where both stop to grow while views pass without a block, in ms.
    pub max_timeout_ms: u64,
    /// How often what isn't finished is sent again, in ms.
    pub resend_ms: u64,
}

impl Default for ConsensusSection {
    fn default() -> Self {
        let bft = BftConfig::default();
        ConsensusSection {
            leader_timeout_ms: bft.leader_timeout_ms,
            view_timeout_ms: bft.view_timeout_ms,
            max_timeout_ms: bft.max_timeout_ms,
            resend_ms: bft.resend_ms,
        }
    }
}

/// What is logged, on standard error.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSection {
    /// The least level: `error`, `warn`, `info`, `debug`, `trace`, or by part of the program, as in
    /// `info,ledger_network=debug`. Default `info`.
    pub level: String,
    /// `text`, or `json` for a JSON object a line. Default `text`.
    pub format: LogFormat,
}

impl Default for LogSection {
    fn default() -> Self {
        LogSection { level: "info".to_owned(), format: LogFormat::Text }
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// A JSON object a line.
    Json,
}

/// Why settings are refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The text isn't TOML, or a key or value isn't known.
    #[error("{}", .0.to_string().trim_end())]
    Toml(#[from] toml::de::Error),
    /// A setting that can't work.
    #[error("`{name}` {reason}")]
    Setting {
        /// Its name, with its section.
        name: &'static str,
        /// What is wrong.
        reason: String,
    },
}

impl Config {
    /// Reads settings. Paths stay as they stand there.
    ///
    /// # Errors
    /// [`ConfigError`] names line and key.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        Ok(toml::from_str(text)?)
    }

    /// The same settings with their paths below `folder`, where they are relative.
    #[must_use]
    pub fn relative_to(mut self, folder: &Path) -> Self {
        for path in [&mut self.key, &mut self.guard, &mut self.genesis, &mut self.data] {
            *path = folder.join(&*path);
        }
        for path in [&mut self.passphrase_file, &mut self.api.tokens].into_iter().flatten() {
            *path = folder.join(&*path);
        }
        self
    }

    /// The host's bounds.
    pub fn limits(&self) -> Limits {
        let mut limits = Limits::default();
        let (given, mempool) = (&self.limits, &mut limits.core.mempool);
        mempool.max_transactions = given.mempool_transactions;
        mempool.max_bytes = given.mempool_bytes;
        mempool.max_per_account = given.mempool_per_account;
        mempool.max_wait_ms = given.mempool_wait_ms;
        limits.submissions = given.submissions;
        limits.value_cache_bytes = given.value_cache_bytes;
        limits.views.state.window_blocks = given.state_window_blocks;
        limits.cached_keys = given.cached_keys;
        limits.log.segment_bytes = given.log_segment_bytes;
        limits.log.queue_bytes = given.log_queue_bytes;
        limits.snapshots.serve = self.snapshots.serve;
        limits.snapshots.every_blocks = self.snapshots.every_blocks;
        limits.core.pipeline = self.blocks.pipeline;
        limits.core.block_interval_ms = self.blocks.interval_ms;
        limits.core.heartbeat_ms = self.blocks.heartbeat_ms;
        if let Some(transactions) = self.blocks.transactions {
            limits.core.block_transactions = transactions;
        }
        limits
    }

    /// The voting engine's settings.
    pub fn bft(&self) -> BftConfig {
        let given = &self.consensus;
        BftConfig {
            leader_timeout_ms: given.leader_timeout_ms,
            view_timeout_ms: given.view_timeout_ms,
            max_timeout_ms: given.max_timeout_ms,
            resend_ms: given.resend_ms,
            ..BftConfig::default()
        }
    }
}
