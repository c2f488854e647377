//! What parent and child say to each other.

use super::Fallible;
use ledger_core::codec::{self, Bytes, Decode, Encode, Format, List, Text};
use ledger_crypto::PublicKey;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// The longest message, in bytes.
const LONGEST: usize = 64 << 20;

/// How a validator starts.
#[derive(Clone, Debug, Encode, Decode)]
#[bincode(crate = "ledger_core::codec::wire")]
pub(crate) struct StartRequest {
    /// Its data folder.
    pub(crate) folder: Text,
    /// The seed of its key.
    pub(crate) seed: [u8; 32],
    /// The encoded genesis.
    pub(crate) genesis: Bytes,
    /// What of the node is set.
    pub(crate) settings: Settings,
}

/// What of a node is set; what is `None` has its default.
#[derive(Clone, Copy, Debug, Default, Encode, Decode)]
#[bincode(crate = "ledger_core::codec::wire")]
pub(crate) struct Settings {
    /// The most transactions that it puts into a block.
    pub(crate) block_transactions: Option<u64>,
    /// How many blocks may be ordered and not executed.
    pub(crate) pipeline: Option<u64>,
    /// The shortest time between two blocks, in ms.
    pub(crate) block_interval_ms: Option<u64>,
    /// How long a view waits for its leader's block, in ms.
    pub(crate) leader_timeout_ms: Option<u64>,
    /// The most transactions in the mempool.
    pub(crate) mempool_transactions: Option<u64>,
    /// Public keys that are kept decompressed.
    pub(crate) cached_keys: Option<u64>,
    /// Memory for values, in bytes.
    pub(crate) value_cache_bytes: Option<u64>,
}

/// A peer, and where it is.
#[derive(Clone, Debug, Encode, Decode)]
#[bincode(crate = "ledger_core::codec::wire")]
pub(crate) struct PeerAt {
    pub(crate) key: PublicKey,
    pub(crate) address: Text,
}

/// From parent to child.
#[derive(Clone, Debug, Encode, Decode)]
#[bincode(crate = "ledger_core::codec::wire")]
pub(crate) enum Request {
    /// Open folder and chain.
    Start(StartRequest),
    /// These are the peers.
    Peers(List<PeerAt>),
    /// The program's own.
    Ask(Bytes),
    /// Close everything in good order.
    Stop,
}

impl Format for Request {
    const NAME: &'static str = "request to a validator";
    const LIMIT: usize = LONGEST;
}

/// From child to parent.
#[derive(Clone, Debug, Encode, Decode)]
#[bincode(crate = "ledger_core::codec::wire")]
pub(crate) enum Reply {
    /// Where its peers reach it.
    Started(Text),
    /// It is done.
    Done,
    /// The program's own.
    Answer(Bytes),
    /// It can't be done.
    Failed(Text),
}

impl Format for Reply {
    const NAME: &'static str = "answer of a validator";
    const LIMIT: usize = LONGEST;
}

/// Writes a numbered message: length, number, bytes; both integers little-endian.
pub(crate) async fn write<T: Encode>(to: &mut (impl AsyncWrite + Unpin), number: u64, message: &T) -> Fallible<()> {
    let bytes = codec::encode(message);
    let length = u32::try_from(bytes.len()).ok().filter(|_| bytes.len() <= LONGEST).ok_or("the message is too long")?;
    let frame = [length.to_le_bytes().as_slice(), &number.to_le_bytes(), &bytes].concat();
    Ok(to.write_all(&frame).await?)
}

/// Reads a numbered message.
pub(crate) async fn read<T: Format>(from: &mut (impl AsyncRead + Unpin)) -> Fallible<(u64, T)> {
    let length = usize::try_from(from.read_u32_le().await?)?;
    if length > LONGEST {
        return Err(format!("a message of {length} bytes; the limit is {LONGEST}").into());
    }
    let number = from.read_u64_le().await?;
    let mut bytes = vec![0; length];
    from.read_exact(&mut bytes).await?;
    Ok((number, codec::decode(&bytes)?))
}
