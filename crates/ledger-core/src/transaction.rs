//! What an account asks of a chain, and how it says so.
//!
//! A [`Transaction`] is the envelope that is signed; its digest is the [`TransactionId`]. What may one day have to be
//! forgotten (code, arguments, written values) sits in a [`Body`] that the envelope binds by a salted digest: a redaction
//! drops the body, and every id, root, signature and proof stays as it was.

use crate::codec::{self, Bytes, Decode, Encode, Format, List, Text};
use crate::domains;
use crate::id::{AccountId, ChainId, ContractId, TransactionId};
use crate::state::{Key, KeyRange, Version};
use crate::units::{Fuel, Timestamp};
use ledger_crypto::merkle::{self, TreeHasher};
use ledger_crypto::{Check, Digest, Hasher, KeyError, PublicKey, Signature, SignatureError, Signer, SignerError, hash};

/// The version of the transaction format that this crate writes and reads.
pub const TRANSACTION_VERSION: u8 = 1;

/// What an account signs.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Transaction {
    /// [`TRANSACTION_VERSION`].
    pub version: u8,
    /// The chain it is meant for.
    pub chain: ChainId,
    /// Who asks.
    pub account: AccountId,
    /// Where it stands among the account's other transactions.
    pub order: Order,
    /// It must not be in a block whose timestamp is later than this; `None` never expires. Unordered ones must.
    pub expires_at: Option<Timestamp>,
    /// The most fuel it may use.
    pub fuel_limit: Fuel,
    /// What the account offers to pay, in the chain's own unit. No fee is charged yet: it must be 0.
    pub fee: u64,
    /// What it asks for.
    pub action: Action,
    /// The digest of its [`Body`].
    pub body: Digest,
}

/// How a transaction is ordered among its account's others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Order {
    /// The `number`-th (from 0) of one of the account's independent streams.
    Sequence {
        /// Which stream.
        lane: u64,
        /// Its place in the stream; a gap or a repetition is rejected.
        number: u64,
    },
    /// At any time until it expires, once: the id is remembered in the state until then. It must expire, and not too far
    /// in the future ([`Rules::max_unordered_ms`](crate::Rules::max_unordered_ms)).
    Unordered,
}

/// What a transaction asks for.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Action {
    /// Store the contract in the body (a [`DeployBody`]) and call its constructor.
    Deploy {
        /// Which runtime runs it: `native`, `wasm`, …
        runtime: Text,
    },
    /// Call `method` of `contract` with the body as arguments.
    Call {
        /// Whom to call.
        contract: ContractId,
        /// What to call.
        method: Text,
    },
    /// Apply the [`ReadWriteSet`] in the body, if every read still holds.
    Commit {
        /// Who vouches for it.
        endorsements: List<Endorsement>,
    },
}

/// Another's signature under a [`ReadWriteSet`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Endorsement {
    /// Who vouches.
    pub key: PublicKey,
    /// Over [`Transaction::endorsed`], in the domain [`SIGN_ENDORSEMENT`](domains::SIGN_ENDORSEMENT).
    pub signature: Signature,
}

impl Endorsement {
    /// Vouches for what `transaction` commits.
    ///
    /// # Errors
    /// [`SignerError`].
    pub fn sign(transaction: &Transaction, signer: &dyn Signer) -> Result<Self, SignerError> {
        let signature = signer.sign(domains::SIGN_ENDORSEMENT, transaction.endorsed().as_bytes())?;
        Ok(Endorsement { key: signer.public_key(), signature })
    }

    /// The signature check over [`endorsed`](Transaction::endorsed) that it asks for; not of the key's quality.
    pub fn check<'a>(&'a self, endorsed: &'a Digest) -> Check<'a> {
        let Endorsement { key, signature } = self;
        Check { key, domain: domains::SIGN_ENDORSEMENT, message: endorsed.as_bytes(), signature }
    }
}

/// The body of a [`Action::Deploy`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct DeployBody {
    /// What the runtime runs; for `native`, the name of a contract that is linked into the node.
    pub code: Bytes,
    /// Arguments of the constructor.
    pub arguments: Bytes,
}

impl Format for DeployBody {
    const NAME: &'static str = "deploy body";
    const LIMIT: usize = 16 << 20;
}

/// What an execution elsewhere has read and written: the body of an [`Action::Commit`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ReadWriteSet {
    /// Keys read, each with the version that was seen; `None` where there was no value.
    pub reads: List<(Key, Option<Version>)>,
    /// Ranges read, also empty ones, each with the keys and versions that were in it: so a phantom is caught.
    pub ranges: List<(KeyRange, List<(Key, Version)>)>,
    /// Keys written; `None` deletes.
    pub writes: List<(Key, Option<Bytes>)>,
}

impl Format for ReadWriteSet {
    const NAME: &'static str = "read-write set";
    const LIMIT: usize = 16 << 20;
}

/// The part of a transaction that can be dropped without breaking a proof.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Body {
    /// Random, so that a dropped body can't be guessed from its digest. Dropped together with the content.
    pub salt: [u8; 16],
    /// What the action needs: see [`Action`].
    pub content: Bytes,
}

impl Body {
    /// What [`Transaction::body`] binds: the digest of salt and content.
    pub fn digest(&self) -> Digest {
        let mut hasher = Hasher::new(domains::BODY);
        hasher.update(&self.salt).update(&self.content);
        hasher.finalize()
    }
}

/// Who signed, with what. The scheme is the variant; others follow Ed25519.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Witness {
    /// Ed25519 (RFC 8032), verified by ZIP-215's rules.
    Ed25519 {
        /// The key that signed.
        key: PublicKey,
        /// Over the transaction's id, in the domain [`SIGN_TRANSACTION`](domains::SIGN_TRANSACTION).
        signature: Signature,
    },
}

/// A transaction as it travels and as blocks hold it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SignedTransaction {
    /// The envelope.
    pub transaction: Transaction,
    /// The signature over it.
    pub witness: Witness,
    /// The body; `None` once it was redacted.
    pub body: Option<Body>,
}

impl Format for Transaction {
    const NAME: &'static str = "transaction";
    const LIMIT: usize = 64 << 10;
}

impl Format for SignedTransaction {
    const NAME: &'static str = "signed transaction";
    const LIMIT: usize = 16 << 20;
}

/// What `transactions_root` commits to: envelope and witness, not the body.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct TransactionLeaf {
    /// The envelope.
    pub transaction: Transaction,
    /// The signature over it.
    pub witness: Witness,
}

impl Format for TransactionLeaf {
    const NAME: &'static str = "transaction leaf";
    const LIMIT: usize = 64 << 10;
}

impl TransactionLeaf {
    /// The leaf hash under a header's `transactions_root`.
    pub fn hash(&self) -> Digest {
        merkle::Blake3::leaf(&codec::encode(self))
    }
}

/// Why bytes are no transaction for this chain, whatever the state says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TransactionError {
    /// A format this crate doesn't know.
    #[error("transaction version {found} isn't known; this node reads version {TRANSACTION_VERSION}")]
    Version {
        /// What the transaction says.
        found: u8,
    },
    /// Meant for another chain.
    #[error("the transaction is for chain {found}, not for {expected}")]
    WrongChain {
        /// The chain it names.
        found: ChainId,
        /// This chain.
        expected: ChainId,
    },
    /// Longer than the chain's rules allow, or with an envelope longer than the format allows.
    #[error("the transaction takes {size} bytes; the chain's limit is {limit}")]
    TooLong {
        /// Its encoded length in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The body isn't the one the envelope binds.
    #[error("the body's digest is {found}, but the envelope binds {expected}")]
    WrongBody {
        /// The digest of the body that came along.
        found: Digest,
        /// The digest in the envelope.
        expected: Digest,
    },
    /// The body was left out.
    #[error("the transaction comes without its body")]
    NoBody,
    /// The signature isn't the key's over this transaction.
    #[error("the signature by {key} is not valid: {reason}")]
    WrongSignature {
        /// The key named by the witness.
        key: PublicKey,
        /// What is wrong with it.
        reason: SignatureError,
    },
    /// A key with which anybody can sign, or whose signatures bind nothing.
    #[error("the key {key} is refused: {error}")]
    Key {
        /// The key named by the witness.
        key: PublicKey,
        /// What is wrong with it.
        error: KeyError,
    },
    /// A fee, which this version doesn't charge.
    #[error("a fee of {fee} is offered, but the chain charges none; it must be 0")]
    Fee {
        /// What was offered.
        fee: u64,
    },
    /// An unordered transaction that never expires: its id would have to be remembered for ever.
    #[error("an unordered transaction needs an expiry")]
    NoExpiry,
    /// More fuel than a transaction may use.
    #[error("the fuel limit {found} is over the chain's limit of {limit} for one transaction")]
    FuelLimit {
        /// What the transaction says.
        found: Fuel,
        /// What the rules allow.
        limit: Fuel,
    },
}

impl Transaction {
    /// The transaction's id.
    pub fn id(&self) -> TransactionId {
        // A call is about as long; more than that grows.
        let mut bytes = Vec::with_capacity(256);
        codec::encode_into(self, &mut bytes);
        TransactionId(hash(domains::TRANSACTION, &bytes))
    }

    /// What endorsers sign: the id that the transaction would have without endorsements, so each is of use once only.
    pub fn endorsed(&self) -> Digest {
        match &self.action {
            Action::Commit { endorsements } if !endorsements.is_empty() => {
                Transaction { action: Action::Commit { endorsements: List::new() }, ..self.clone() }.id().0
            }
            _ => self.id().0,
        }
    }

    /// Checks version and chain.
    pub(crate) fn check_meant_for(&self, chain: &ChainId) -> Result<(), TransactionError> {
        if self.version != TRANSACTION_VERSION {
            return Err(TransactionError::Version { found: self.version });
        }
        if self.chain != *chain {
            return Err(TransactionError::WrongChain { found: self.chain, expected: *chain });
        }
        Ok(())
    }

    /// Signs with the account's key and attaches `body`, whose digest the envelope must bind already
    /// (see [`TransactionBuilder`](crate::TransactionBuilder), which takes care of both).
    ///
    /// # Errors
    /// [`SignerError`] when the signer can't sign.
    pub fn sign(self, signer: &dyn Signer, body: Body) -> Result<SignedTransaction, SignerError> {
        let signature = signer.sign(domains::SIGN_TRANSACTION, self.id().0.as_bytes())?;
        let witness = Witness::Ed25519 { key: signer.public_key(), signature };
        Ok(SignedTransaction { transaction: self, witness, body: Some(body) })
    }
}

impl SignedTransaction {
    /// The transaction's id: of the envelope alone.
    pub fn id(&self) -> TransactionId {
        self.transaction.id()
    }

    /// The hash of this transaction's [leaf](TransactionLeaf). `bytes` is overwritten: many in a row share it.
    pub(crate) fn leaf_hash(&self, bytes: &mut Vec<u8>) -> Digest {
        bytes.clear();
        // As a leaf's two fields stand one behind the other.
        codec::encode_into(&self.transaction, bytes);
        codec::encode_into(&self.witness, bytes);
        merkle::Blake3::leaf(bytes)
    }

    /// What the block's `transactions_root` commits to.
    pub fn leaf(&self) -> TransactionLeaf {
        TransactionLeaf { transaction: self.transaction.clone(), witness: self.witness.clone() }
    }

    /// The body's content, where the body is there.
    pub fn content(&self) -> Option<&[u8]> {
        self.body.as_ref().map(|body| &*body.content)
    }

    /// Checks everything but the signature that needs no state: version, chain, fee, body.
    /// Size and fuel are checked against the rules by [`Rules::check`](crate::Rules::check).
    ///
    /// # Errors
    /// [`TransactionError`] names what is wrong.
    pub fn check_form(&self, chain: &ChainId) -> Result<(), TransactionError> {
        let transaction = &self.transaction;
        transaction.check_meant_for(chain)?;
        if transaction.fee != 0 {
            return Err(TransactionError::Fee { fee: transaction.fee });
        }
        match &self.body {
            None => Err(TransactionError::NoBody),
            Some(body) if body.digest() != transaction.body => {
                Err(TransactionError::WrongBody { found: body.digest(), expected: transaction.body })
            }
            Some(_) => Ok(()),
        }
    }
}

impl Witness {
    /// The key that signed.
    pub fn key(&self) -> &PublicKey {
        let Witness::Ed25519 { key, .. } = self;
        key
    }

    /// The account that the key opens by itself, without any rotation in the state.
    pub fn account(&self) -> AccountId {
        AccountId::of_ed25519(self.key())
    }

    /// The signature check that this witness under transaction `id` asks for, to be pooled with others.
    pub fn check<'a>(&'a self, id: &'a TransactionId) -> Check<'a> {
        let Witness::Ed25519 { key, signature } = self;
        Check { key, domain: domains::SIGN_TRANSACTION, message: id.0.as_bytes(), signature }
    }

    /// Refuses keys that are no identity: those of small order, under which anyone can sign, and non-canonical
    /// encodings. [`Witness::verify`] accepts them, as ZIP-215 demands, so whoever admits a transaction calls this too;
    /// [`Rules::check`](crate::Rules::check) does.
    ///
    /// # Errors
    /// [`TransactionError::Key`].
    pub fn check_key(&self) -> Result<(), TransactionError> {
        let key = *self.key();
        key.check_not_weak().map_err(|error| TransactionError::Key { key, error })
    }

    /// Verifies the signature over transaction `id` with the verdict that a batch gives; the key's quality is
    /// [`Witness::check_key`]'s.
    ///
    /// # Errors
    /// [`TransactionError::WrongSignature`].
    pub fn verify(&self, id: &TransactionId) -> Result<(), TransactionError> {
        ledger_crypto::verify(&self.check(id))
            .map_err(|reason| TransactionError::WrongSignature { key: *self.key(), reason })
    }
}
