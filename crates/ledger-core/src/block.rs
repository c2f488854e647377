//! Headers and blocks.

use crate::codec::{self, Bytes, Decode, Encode, Format, List, MAX_INPUT_BYTES};
use crate::domains;
use crate::history::HistoryHead;
use crate::id::ChainId;
use crate::list_root;
use crate::transaction::SignedTransaction;
use crate::units::{Epoch, Height, Timestamp};
use ledger_crypto::{Digest, hash};

/// The version of the header format that this crate writes and reads.
pub const HEADER_VERSION: u8 = 1;

/// What a block says of itself. A finalized header is a [checkpoint](crate::Checkpoint): through `history` it commits
/// to every earlier block and to what executing them gave.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Header {
    /// [`HEADER_VERSION`].
    pub version: u8,
    /// The chain.
    pub chain: ChainId,
    /// The block's place in it.
    pub height: Height,
    /// Digest of the header before; zero for the genesis.
    pub parent: Digest,
    /// When the proposer made it; never before the parent's.
    pub timestamp: Timestamp,
    /// [List root](crate::list_root) of the transactions' [leaves](crate::TransactionLeaf).
    pub transactions_root: Digest,
    /// The head of the history that the proposer has executed: `parent.history.size ≤ history.size ≤ height`.
    pub history: HistoryHead,
    /// The validators' epoch.
    pub epoch: Epoch,
    /// The consensus engine's own bytes (a proof-of-work nonce, say); empty for most.
    pub seal: Bytes,
}

impl Format for Header {
    const NAME: &'static str = "header";
    const LIMIT: usize = 4 << 10;
}

impl Header {
    /// The header's digest, by which votes, parents and history leaves name the block.
    pub fn digest(&self) -> Digest {
        hash(domains::HEADER, &codec::encode(self))
    }
}

/// A header and its transactions, in their order of execution.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Block {
    /// What the block says of itself.
    pub header: Header,
    /// The transactions.
    pub transactions: List<SignedTransaction>,
}

impl Format for Block {
    const NAME: &'static str = "block";
    const LIMIT: usize = MAX_INPUT_BYTES;
}

/// Why a block doesn't follow its parent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BlockError {
    /// A format this crate doesn't know.
    #[error("header version {found} isn't known; this node reads version {HEADER_VERSION}")]
    Version {
        /// What the header says.
        found: u8,
    },
    /// Another chain's block.
    #[error("block {height} is of chain {found}, not of {expected}")]
    WrongChain {
        /// The block's height.
        height: Height,
        /// The chain it names.
        found: ChainId,
        /// The parent's chain.
        expected: ChainId,
    },
    /// Not the next height.
    #[error("block {found} can't follow block {parent}")]
    WrongHeight {
        /// The block's height.
        found: Height,
        /// The parent's height.
        parent: Height,
    },
    /// Another parent.
    #[error("block {height} names parent {found}, not {expected}")]
    WrongParent {
        /// The block's height.
        height: Height,
        /// The parent it names.
        found: Digest,
        /// The parent it was held against.
        expected: Digest,
    },
    /// Older than its parent.
    #[error("block {height} has timestamp {found} ms, before its parent's {parent} ms")]
    TimeRunsBack {
        /// The block's height.
        height: Height,
        /// Its timestamp.
        found: Timestamp,
        /// The parent's timestamp.
        parent: Timestamp,
    },
    /// An epoch that doesn't follow.
    #[error(
        "block {height} is of epoch {found}, its parent of epoch {parent}; an epoch is followed by itself or the next"
    )]
    WrongEpoch {
        /// The block's height.
        height: Height,
        /// Its epoch.
        found: Epoch,
        /// The parent's epoch.
        parent: Epoch,
    },
    /// A history head out of range.
    #[error("block {height} commits to {found} leaves of history; allowed are {least} to {height}")]
    HistorySize {
        /// The block's height.
        height: Height,
        /// The size it commits to.
        found: u64,
        /// The parent's size.
        least: u64,
    },
    /// Transactions although the history head lags too far behind.
    #[error("block {height} lags {behind} blocks behind in execution (limit {limit}) and must be empty")]
    MustBeEmpty {
        /// The block's height.
        height: Height,
        /// `height - history.size`.
        behind: u64,
        /// The rules' lag.
        limit: u64,
    },
    /// The root in the header isn't the transactions'.
    #[error("block {height}'s header commits to other transactions (root {expected}, found {found})")]
    WrongTransactions {
        /// The block's height.
        height: Height,
        /// The root of the transactions that came along.
        found: Digest,
        /// The root in the header.
        expected: Digest,
    },
    /// More transactions or bytes than the rules allow.
    #[error("block {height} has {found} {what}; the limit is {limit}")]
    TooLarge {
        /// The block's height.
        height: Height,
        /// What there is too much of.
        what: &'static str,
        /// How much there is.
        found: usize,
        /// How much is allowed.
        limit: usize,
    },
    /// A transaction that can't be in any block of this chain.
    #[error("transaction {index} of block {height}: {error}")]
    Transaction {
        /// The block's height.
        height: Height,
        /// The transaction's place in the block.
        index: usize,
        /// What is wrong with it.
        error: crate::TransactionError,
    },
}

impl Block {
    /// The digest of the header.
    pub fn digest(&self) -> Digest {
        self.header.digest()
    }

    /// The [list root](list_root) of `transactions`, as a header commits to it.
    pub fn transactions_root(transactions: &[SignedTransaction]) -> Digest {
        list_root::commit(domains::TRANSACTIONS, &Self::transaction_leaves(transactions))
    }

    /// The leaf hashes under [`Block::transactions_root`], in order.
    pub fn transaction_leaves(transactions: &[SignedTransaction]) -> Vec<Digest> {
        let mut bytes = Vec::new();
        transactions.iter().map(|transaction| transaction.leaf_hash(&mut bytes)).collect()
    }

    /// Whether transactions and bodies are those that the header commits to, so that its digest names these bytes and no
    /// others: the transactions' root covers their envelopes and witnesses, and each envelope binds its body. A body that
    /// is missing counts as another one.
    pub fn is_whole(&self) -> bool {
        let bound = |signed: &SignedTransaction| {
            signed.body.as_ref().is_some_and(|body| body.digest() == signed.transaction.body)
        };
        self.transactions.iter().all(bound)
            && Self::transactions_root(&self.transactions) == self.header.transactions_root
    }

    /// Checks what the block's bytes and its parent's header decide: chain, height, parent, time order, history size,
    /// lag, the transactions' root, sizes and forms. Signatures are checked apart, pooled.
    ///
    /// # Errors
    /// [`BlockError`] names what is wrong.
    pub fn check_against(&self, parent: &Header, rules: &crate::Rules) -> Result<(), BlockError> {
        let header = &self.header;
        let height = header.height;
        header.check_against(parent)?;
        let behind = height.0.saturating_sub(header.history.size);
        if behind > rules.lag && !self.transactions.is_empty() {
            return Err(BlockError::MustBeEmpty { height, behind, limit: rules.lag });
        }
        let limit = rules.max_block_transactions as usize;
        if self.transactions.len() > limit {
            return Err(BlockError::TooLarge { height, what: "transactions", found: self.transactions.len(), limit });
        }
        let (found, limit) = (codec::encoded_length(self), rules.max_block_bytes as usize);
        if found > limit {
            return Err(BlockError::TooLarge { height, what: "bytes", found, limit });
        }
        let found = Self::transactions_root(&self.transactions);
        if found != header.transactions_root {
            return Err(BlockError::WrongTransactions { height, found, expected: header.transactions_root });
        }
        for (index, transaction) in self.transactions.iter().enumerate() {
            rules.check(transaction, &header.chain).map_err(|error| BlockError::Transaction {
                height,
                index,
                error,
            })?;
        }
        Ok(())
    }
}

impl Header {
    /// Checks what this header and its parent decide: version, length, chain, height, parent, time order, epoch, history
    /// size.
    ///
    /// # Errors
    /// [`BlockError`] names what is wrong.
    pub fn check_against(&self, parent: &Header) -> Result<(), BlockError> {
        let height = self.height;
        if self.version != HEADER_VERSION {
            return Err(BlockError::Version { found: self.version });
        }
        let (found, limit) = (codec::encoded_length(self), Self::LIMIT);
        if found > limit {
            return Err(BlockError::TooLarge { height, what: "bytes of header", found, limit });
        }
        if self.chain != parent.chain {
            return Err(BlockError::WrongChain { height, found: self.chain, expected: parent.chain });
        }
        if height.previous() != Some(parent.height) {
            return Err(BlockError::WrongHeight { found: height, parent: parent.height });
        }
        let expected = parent.digest();
        if self.parent != expected {
            return Err(BlockError::WrongParent { height, found: self.parent, expected });
        }
        if self.timestamp < parent.timestamp {
            return Err(BlockError::TimeRunsBack { height, found: self.timestamp, parent: parent.timestamp });
        }
        if self.epoch != parent.epoch && self.epoch != parent.epoch.next() {
            return Err(BlockError::WrongEpoch { height, found: self.epoch, parent: parent.epoch });
        }
        let least = parent.history.size.max(1);
        if self.history.size < least || self.history.size > height.0 {
            return Err(BlockError::HistorySize { height, found: self.history.size, least });
        }
        Ok(())
    }
}
