//! A settings file in which every default stands in a comment.

use super::{Config, Peer};
use std::fmt::Write as _;

/// A settings file that says what `config` says and shows every other default in a comment: a line `#name = value` can be
/// made to count by removing its first character.
///
/// It states the paths, the addresses and the peers; every other setting it leaves at its default.
pub fn template(config: &Config) -> String {
    let mut text = format!(
        "\
# Settings of a ledgerkit node: `ledgerkit run --config FILE`.
# Lines that begin with `#name =` show a default; remove the `#` to set something else. A name that isn't known is an error.
# Paths are relative to this file's folder.

# The node's key: it signs the node's votes and names the node to its peers.
key = {key}

# A file whose first line is the key file's passphrase. Without it, LEDGERKIT_PASSPHRASE, or whoever starts the node.
#passphrase_file = \"passphrase\"   (no default)

# Where the last vote is remembered: beside the key and not in the data folder, so that a data folder which was restored
# from a copy is noticed and not voted with. Never copy or remove it while the key is in use.
guard = {guard}

# The chain's genesis: the same bytes at every node.
genesis = {genesis}

# The log, which is the truth, and the views, which are replayed from it when they are lost.
data = {data}

[network]
# Where peers reach this node (UDP, QUIC with mutual TLS).
listen = {network}

# Whether whoever proves to hold some key may follow the chain; else the validators only.
#open_to_observers = false

# Whether this node follows without a vote: a read replica, an auditor.
#observe = false

[api]
# Where clients reach this node (TCP, HTTP). Without tokens it must be a loopback address; port 0 takes one that is free.
listen = {api}

# A file of bearer tokens' digests and rights, a line each; `ledgerkit token` makes a token and its line.
#tokens = \"tokens\"   (no default)

[limits]
# The most transactions in the mempool, the most bytes of them, and the most of one account.
#mempool_transactions = 100000
#mempool_bytes = 268435456
#mempool_per_account = 10000

# How long a transaction may wait in the mempool, in ms.
#mempool_wait_ms = 600000

# Submissions that wait to be taken up before clients wait.
#submissions = 4096

# Memory for values that were read or written lately, in bytes.
#value_cache_bytes = 67108864

# How many of the latest states can be proven, beside the newest.
#state_window_blocks = 256

# Decompressed public keys that are kept; some 256 bytes each.
#cached_keys = 65536

# A segment of the log is closed when it would grow beyond so many bytes; and the bytes that may wait for the disk.
#log_segment_bytes = 67108864
#log_queue_bytes = 33554432

[snapshots]
# Whether a data folder that has nothing of the chain begins with a snapshot of the state that validators give, instead of
# all blocks. Not while the whole network is new: nobody has one then.
#join = false

# Whether this node gives snapshots to peers that ask: that takes twice the state's size on disk, and three times while one
# is made. They are of the first checkpoint at each multiple of so many blocks; the same at every node is best.
#serve = true
#every_blocks = 128

[blocks]
# How many blocks may be ordered and not yet executed before no more are proposed.
#pipeline = 4

# The shortest time between two blocks with transactions, in ms.
#interval_ms = 0

# The most transactions that this node puts into a block; without it, as many as the chain's rules allow.
#transactions = 1000   (no default)

# Propose an empty block when there was none for this long, in ms, so that the chain's time goes on; without it, never.
#heartbeat_ms = 60000   (no default)

[consensus]
# How long a view waits for its leader's block, how long a view with a block waits for its notarization, and where both
# stop to grow while views pass without a block, in ms. Over a wide network: a few times the slowest round trip.
#leader_timeout_ms = 400
#view_timeout_ms = 1000
#max_timeout_ms = 4000

# How often what isn't finished is sent again, in ms.
#resend_ms = 200

[log]
# The least level that is logged: error, warn, info, debug, trace; or by part, as in \"info,ledger_network=debug\".
#level = \"info\"

# \"text\", or \"json\" for an object a line.
#format = \"text\"
",
        key = quoted(config.key.display()),
        guard = quoted(config.guard.display()),
        genesis = quoted(config.genesis.display()),
        data = quoted(config.data.display()),
        network = quoted(config.network.listen),
        api = quoted(config.api.listen),
    );
    for Peer { key, address } in &config.network.peers {
        // Writing to a string doesn't fail.
        let _ = write!(text, "\n[[network.peers]]\nkey = \"{key}\"\naddress = {}\n", quoted(address));
    }
    text
}

/// A TOML string.
fn quoted(value: impl std::fmt::Display) -> String {
    let mut text = String::from("\"");
    for letter in value.to_string().chars() {
        match letter {
            '"' | '\\' => text.extend(['\\', letter]),
            _ if letter.is_control() => {
                let _ = write!(text, "\\u{:04X}", u32::from(letter));
            }
            _ => text.push(letter),
        }
    }
    text.push('"');
    text
}
