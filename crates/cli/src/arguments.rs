//! The command line.

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// A ledger's node, and the tools for its keys, proofs and data.
#[derive(Debug, Parser)]
#[command(name = "ledgerkit", version, propagate_version = true)]
pub(crate) struct Arguments {
    /// Answer with JSON on standard output; errors are JSON on standard error.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make the keys, genesis and settings of a new network.
    Init(InitOptions),
    /// Run a node until it is told to stop (SIGINT or SIGTERM).
    Run(RunOptions),
    /// Make, show, encrypt and decrypt key files.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Make a bearer token for the API: shows the token, once, and the line that the file of tokens takes.
    Token(TokenOptions),
    /// Verify a proof file, offline.
    Verify(VerifyOptions),
    /// Make a snapshot of a chain, begin a data folder from one, or verify one.
    #[command(subcommand)]
    Snapshot(SnapshotCommand),
    /// Say what a data folder holds and where it is damaged, without changing anything.
    Inspect(InspectOptions),
}

#[derive(Debug, Args)]
pub(crate) struct InitOptions {
    /// How many validators agree; with 1 the ledger has one owner, who signs alone.
    #[arg(long, default_value_t = 4, value_name = "N")]
    pub(crate) validators: u16,
    /// The folder to make: the genesis, a trust root for clients, and node-1 to node-N.
    #[arg(long, value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// The chain's name.
    #[arg(long, default_value = "ledger", value_name = "TEXT")]
    pub(crate) name: String,
    /// The first port: node i takes two from here on, for its peers and for its clients. With 0, ports that are free now
    /// are written into the settings.
    #[arg(long, default_value_t = 7600, value_name = "BASE_PORT")]
    pub(crate) listen: u16,
    /// The address at which the nodes reach each other.
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    pub(crate) host: std::net::IpAddr,
    /// Only these accounts may deploy contracts (64 hex digits each, separated by commas); without it everybody may.
    #[arg(long, value_name = "ACCOUNTS", value_delimiter = ',')]
    pub(crate) deployers: Vec<String>,
    /// Put the keys under a passphrase: from this file, else from LEDGERKIT_PASSPHRASE, else asked for.
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "")]
    pub(crate) encrypt: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct RunOptions {
    /// The settings file.
    #[arg(long, value_name = "FILE", default_value = "ledgerkit.toml")]
    pub(crate) config: PathBuf,
    /// Stop when standard input ends, so that the node doesn't outlive the program that started it.
    #[arg(long)]
    pub(crate) until_stdin_ends: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Make a new key file.
    New {
        /// The file to make.
        file: PathBuf,
        /// Put it under a passphrase.
        #[arg(long)]
        encrypt: bool,
        #[command(flatten)]
        passphrase: PassphraseOption,
    },
    /// Show a key file's public key and account. Takes no passphrase.
    Show {
        /// The key file.
        file: PathBuf,
    },
    /// Write a plain key file's key into a new file under a passphrase.
    Encrypt {
        /// The plain key file. It stays as it is.
        file: PathBuf,
        /// The file to make.
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
        #[command(flatten)]
        passphrase: PassphraseOption,
    },
    /// Write an encrypted key file's key into a new plain file.
    Decrypt {
        /// The encrypted key file. It stays as it is.
        file: PathBuf,
        /// The file to make.
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
        #[command(flatten)]
        passphrase: PassphraseOption,
    },
}

#[derive(Debug, Args)]
pub(crate) struct PassphraseOption {
    /// Read the passphrase from this file's first line; else it comes from LEDGERKIT_PASSPHRASE, else it is asked for.
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct TokenOptions {
    /// What the token allows.
    #[arg(long, value_delimiter = ',', default_value = "read,submit", value_parser = ["read", "submit", "admin"])]
    pub(crate) rights: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyOptions {
    /// The proof file, or the page of a trace.
    pub(crate) file: PathBuf,
    /// A trust root or genesis from somebody you trust. Without it the file's own is taken, which proves only that the
    /// file agrees with itself.
    #[arg(long, value_name = "FILE")]
    pub(crate) trust: Option<PathBuf>,
    /// Of a trace: the contract that is to have stored the events, from somebody you trust. Without it, a contract that is a WebAssembly
    /// module is the file's own choice.
    #[arg(long, value_name = "ID")]
    pub(crate) contract: Option<ledger_core::ContractId>,
}

#[derive(Debug, Args)]
pub(crate) struct InspectOptions {
    /// The data folder. The node must be stopped.
    pub(crate) folder: PathBuf,
    /// List the blocks, at most so many from the newest back.
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "20")]
    pub(crate) blocks: Option<u64>,
    /// Execute every block anew in memory, and compare with the history that the headers commit to.
    #[arg(long)]
    pub(crate) replay: bool,
    /// Open a copy of the views and compare them with the log. Takes room for the copy in the folder for temporary files.
    #[arg(long)]
    pub(crate) views: bool,
    /// Read everything: each record of the log, each segment of the archive, and in a copy of the views each block, result
    /// and version of each key, up to the root that the newest certificate proves.
    #[arg(long)]
    pub(crate) verify: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SnapshotCommand {
    /// Write the state of a stopped node's chain, as its newest checkpoint proves it, into a folder.
    Export {
        /// The data folder. The node must be stopped.
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// The chain, where the folder has several.
        #[arg(long, value_name = "ID")]
        chain: Option<String>,
        /// The folder for the snapshot. One that is there already is replaced.
        #[arg(long, value_name = "FOLDER")]
        out: PathBuf,
    },
    /// Begin a data folder with a snapshot. An import that broke off goes on where it stopped.
    Import {
        /// The chain's genesis, from somebody you trust.
        #[arg(long, value_name = "FILE")]
        genesis: PathBuf,
        /// The snapshot's folder.
        #[arg(long, value_name = "FOLDER")]
        from: PathBuf,
        /// The data folder. It is made if it isn't there.
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// The vote guard's folder of a ledger with one owner, to move along: the key goes on in the new data folder, and
        /// in the old one no more. Refused if it has signed a block behind the snapshot's.
        #[arg(long, value_name = "DIR")]
        guard: Option<PathBuf>,
    },
    /// Verify each file of a snapshot against the genesis.
    Verify {
        /// The snapshot's folder.
        #[arg(long, value_name = "FOLDER")]
        from: PathBuf,
        /// The chain's genesis or a trust root, from somebody you trust.
        #[arg(long, value_name = "FILE")]
        genesis: PathBuf,
    },
}
