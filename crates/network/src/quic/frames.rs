//! Frames on a stream: length of the message (4 bytes, big-endian), chain (32 bytes), message.

use crate::config::FRAME_OVERHEAD;
use bytes::{Buf, Bytes};
use ledger_core::ChainId;
use ledger_crypto::Digest;
use quinn::{RecvStream, SendStream, WriteError};
use std::sync::Arc;
use std::time::Duration;

use super::outbox::Frame;

/// The bytes before a frame's message.
pub(super) const HEADER_BYTES: usize = 36;
/// How much is read at a time: a message takes no more memory than this beyond twice what has come of it.
const PIECE_BYTES: usize = 64 << 10;
/// Messages of at least this length are handed to the connection without being copied.
const LONG_BYTES: usize = 16 << 10;

const _: () = assert!(HEADER_BYTES <= FRAME_OVERHEAD);

/// Why nothing more can be read from a stream.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error("the stream ended")]
    Ended,
    #[error("no bytes for {0:?} within a message")]
    Stalled(Duration),
    #[error(transparent)]
    Stream(#[from] quinn::ReadError),
}

/// Reads whole fields from a stream, taking what has come from the connection in few steps.
pub(super) struct Reader {
    stream: RecvStream,
    chunk: Bytes,
    /// How long the next bytes of something that has begun may take.
    timeout: Duration,
}

impl Reader {
    pub(super) fn new(stream: RecvStream, timeout: Duration) -> Self {
        Self { stream, chunk: Bytes::new(), timeout }
    }

    /// Makes sure that something is there to be read.
    async fn fill(&mut self) -> Result<(), ReadError> {
        while self.chunk.is_empty() {
            self.chunk = self.stream.read_chunk(PIECE_BYTES, true).await?.ok_or(ReadError::Ended)?.bytes;
        }
        Ok(())
    }

    async fn fill_soon(&mut self) -> Result<(), ReadError> {
        if !self.chunk.is_empty() {
            return Ok(());
        }
        let timeout = self.timeout;
        tokio::time::timeout(timeout, self.fill()).await.unwrap_or(Err(ReadError::Stalled(timeout)))
    }

    /// Fills `field`. Its first byte may take as long as it likes.
    pub(super) async fn read(&mut self, field: &mut [u8]) -> Result<(), ReadError> {
        self.fill().await?;
        let mut rest = field;
        while !rest.is_empty() {
            self.fill_soon().await?;
            let (now, later) = rest.split_at_mut(rest.len().min(self.chunk.len()));
            self.chunk.copy_to_slice(now);
            rest = later;
        }
        Ok(())
    }

    /// The length and chain of the next frame.
    pub(super) async fn header(&mut self) -> Result<(usize, ChainId), ReadError> {
        let mut length = [0; 4];
        let mut chain = [0; 32];
        self.read(&mut length).await?;
        self.fill_soon().await?;
        self.read(&mut chain).await?;
        Ok((u32::from_be_bytes(length) as usize, ChainId(Digest::new(chain))))
    }

    /// A message of `length` bytes. Memory grows with what has come, not with what was said to come.
    pub(super) async fn message(&mut self, length: usize) -> Result<Arc<[u8]>, ReadError> {
        if length <= self.chunk.len() {
            return Ok(Arc::from(&*self.chunk.split_to(length)));
        }
        let mut message = Vec::with_capacity(length.min(PIECE_BYTES));
        while message.len() < length {
            self.fill_soon().await?;
            let piece = self.chunk.split_to(self.chunk.len().min(length - message.len()));
            if message.capacity() - message.len() < piece.len() {
                let wanted = (2 * message.capacity()).clamp(message.len() + piece.len(), length);
                message.reserve_exact(wanted - message.len());
            }
            message.extend_from_slice(&piece);
        }
        Ok(message.into())
    }

    /// Reads past `length` bytes.
    pub(super) async fn skip(&mut self, mut length: usize) -> Result<(), ReadError> {
        while length > 0 {
            self.fill_soon().await?;
            let now = length.min(self.chunk.len());
            self.chunk.advance(now);
            length -= now;
        }
        Ok(())
    }
}

/// Writes frames. Lengths fit into 4 bytes, for lanes' limits do.
pub(super) async fn write(stream: &mut SendStream, frames: &[Frame]) -> Result<(), WriteError> {
    let mut small = Vec::new();
    for (chain, message) in frames {
        small.extend(u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
        small.extend(chain.0.as_bytes());
        if message.len() < LONG_BYTES {
            small.extend_from_slice(message);
        } else {
            stream.write_chunk(std::mem::take(&mut small).into()).await?;
            stream.write_chunk(Bytes::from_owner(message.clone())).await?;
        }
    }
    if !small.is_empty() {
        stream.write_chunk(small.into()).await?;
    }
    Ok(())
}
