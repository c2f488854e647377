//! The domains of every digest and signature that the formats know. Each is used for one thing only, so bytes that
//! mean one thing can never be taken for another.

use ledger_crypto::Domain;

/// Digest of a [`Genesis`](crate::Genesis): the chain's id.
pub const GENESIS: Domain = Domain::new("ledgerkit.1.genesis");
/// Digest of a [`Transaction`](crate::Transaction): its id.
pub const TRANSACTION: Domain = Domain::new("ledgerkit.1.transaction");
/// Digest of a salted [`Body`](crate::Body).
pub const BODY: Domain = Domain::new("ledgerkit.1.body");
/// Digest of the key that an account was opened with: the account's id.
pub const ACCOUNT: Domain = Domain::new("ledgerkit.1.account");
/// Digest of the transaction that deployed a contract: the contract's id.
pub const CONTRACT: Domain = Domain::new("ledgerkit.1.contract");
/// Digest of a [`Header`](crate::Header).
pub const HEADER: Domain = Domain::new("ledgerkit.1.header");
/// Digest of an [`Outcome`](crate::Outcome).
pub const OUTCOME: Domain = Domain::new("ledgerkit.1.outcome");
/// [List root](crate::list_root) of a block's transactions.
pub const TRANSACTIONS: Domain = Domain::new("ledgerkit.1.transactions");
/// [List root](crate::list_root) of a block's receipts.
pub const RECEIPTS: Domain = Domain::new("ledgerkit.1.receipts");
/// [List root](crate::list_root) of a receipt's events.
pub const EVENTS: Domain = Domain::new("ledgerkit.1.events");
/// Digest of a state value ([`value_digest`](crate::state::tree::value_digest)).
pub const STATE_VALUE: Domain = Domain::new("ledgerkit.1.state-value");
/// Digest of a [leaf](crate::state::tree::leaf) of the state tree.
pub const STATE_LEAF: Domain = Domain::new("ledgerkit.1.state-leaf");
/// Digest of an inner [node](crate::state::tree::node) of the state tree.
pub const STATE_NODE: Domain = Domain::new("ledgerkit.1.state-node");
/// Digest of a [snapshot manifest](crate::SnapshotManifest)'s encoding, which names it.
pub const SNAPSHOT_MANIFEST: Domain = Domain::new("ledgerkit.1.snapshot-manifest");
/// Digest of a [snapshot](crate::snapshot)'s chunk, which names it.
pub const SNAPSHOT_CHUNK: Domain = Domain::new("ledgerkit.1.snapshot-chunk");

/// Signature of a transaction's account over the transaction's id.
pub const SIGN_TRANSACTION: Domain = Domain::new("ledgerkit.1.sign.transaction");
/// Signature of an endorser over what [`Transaction::endorsed`](crate::Transaction::endorsed) gives.
pub const SIGN_ENDORSEMENT: Domain = Domain::new("ledgerkit.1.sign.endorsement");
/// Signature of a one-owner chain's owner over a header's digest.
pub const SIGN_SOLO: Domain = Domain::new("ledgerkit.1.sign.solo");
/// Signature of a validator's *notarize* vote.
pub const SIGN_NOTARIZE: Domain = Domain::new("ledgerkit.1.sign.notarize");
/// Signature of a validator's *nullify* vote.
pub const SIGN_NULLIFY: Domain = Domain::new("ledgerkit.1.sign.nullify");
/// Signature of a validator's *finalize* vote.
pub const SIGN_FINALIZE: Domain = Domain::new("ledgerkit.1.sign.finalize");
