//! What becomes of contracts: uploading code, making contracts of it, upgrading, pausing and describing them.
//!
//! The contract with the id [`LIFECYCLE`] is part of every chain. Transactions and other contracts call it like any other;
//! arguments and outputs are encoded by [`ledger_core::codec`].
//!
//! | method | arguments | output | who |
//! |---|---|---|---|
//! | `upload` | [`Upload`] | the code's digest | whom the chain lets deploy |
//! | `instantiate` | [`Instantiate`] | the new contract's id | whom the chain lets deploy |
//! | `upgrade` | [`Upgrade`] | – | whom the contract's policy names |
//! | `pause`, `resume` | a contract's id, 32 bytes | – | whom the contract's policy names |
//! | `describe` | a contract's id, 32 bytes | a [`Description`] | everyone |
//!
//! A deployment by [`Action::Deploy`](ledger_core::Action::Deploy) does the first two in one, and makes a contract that is
//! immutable and has no metadata.
//!
//! - **Instantiating** runs the constructor, with the caller as its caller. The id is
//!   [`ContractId::instantiated_by`](ledger_core::ContractId::instantiated_by) the transaction; in a simulation, which has
//!   none, by zeros.
//! - **Upgrading** puts code that was uploaded in the place of a contract's, and the new metadata, if there are any, in the place of its
//!   metadata; then it runs the new code's migration, with whoever upgrades as its caller. If that fails, the whole
//!   upgrade does. A contract that is running can't be upgraded, so none upgrades itself. A paused one can, and stays paused.
//! - A **paused** contract refuses calls and [commits](ledger_core::Action::Commit). Its state stays what it is, readable and provable.
//! - The **record** ([`ContractRecord`]), the metadata and the code are state under
//!   [`Key::contract`](ledger_core::Key::contract), [`metadata_key`](crate::record::metadata_key) and
//!   [`code_key`](crate::record::code_key): provable like all state, and their older values by its history.
//!
//! Events, whose contract is [`LIFECYCLE`]: `uploaded` (the code's digest), `instantiated` and `upgraded` (the contract's id, the code's
//! digest), `paused` and `resumed` (the contract's id).
//!
//! Fuel: `write` and `write_byte` for each value that is written, `read` and `read_byte` for each that is read, both as
//! [`Host`](crate::Host) says; `prepare_byte` for each byte of code in `upload`, `instantiate` and `upgrade`.

use crate::record::{ContractRecord, UpgradePolicy};
use ledger_core::codec::{Bytes, Decode, Encode, Format, List, Text};
use ledger_core::{AccountId, ContractId, Failure};
use ledger_crypto::{Digest, PublicKey};

/// The id of the contract that rules over the others: the digest of `lifecycle` in the domain `ledgerkit.1.builtin`.
pub const LIFECYCLE: ContractId = ContractId(Digest::new(LIFECYCLE_BYTES));

/// The version of the metadata format that this crate writes and reads.
pub const METADATA_VERSION: u8 = 1;

/// The longest [`Metadata::source`], [`Metadata::compiler`], in bytes.
pub const MAX_LINK_BYTES: usize = 512;

/// The longest [`Metadata::interface`], in bytes.
pub const MAX_INTERFACE_BYTES: usize = 64 << 10;

/// The most keys of a [`WritePolicy::Endorsed`], and the most accounts of a [`WritePolicy::Accounts`].
pub const MAX_WRITERS: usize = 256;

/// What `upload` is given.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "ledger_core::codec::wire")]
pub struct Upload {
    /// Which runtime is to run it.
    pub runtime: Text,
    /// The code.
    pub code: Bytes,
}

/// What `instantiate` is given.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "ledger_core::codec::wire")]
pub struct Instantiate {
    /// Which runtime runs it.
    pub runtime: Text,
    /// The digest of code that was uploaded.
    pub code: Digest,
    /// Who may change the contract, for ever.
    pub policy: UpgradePolicy,
    /// What there is to know of it.
    pub metadata: Metadata,
    /// Arguments of the constructor.
    pub arguments: Bytes,
}

/// What `upgrade` is given.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "ledger_core::codec::wire")]
pub struct Upgrade {
    /// Which contract.
    pub contract: ContractId,
    /// Which runtime runs it from now on.
    pub runtime: Text,
    /// The digest of code that was uploaded.
    pub code: Digest,
    /// What there is to know of it from now on; `None` leaves what there was.
    pub metadata: Option<Metadata>,
    /// Arguments of the migration.
    pub arguments: Bytes,
}

/// What `describe` answers.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "ledger_core::codec::wire")]
pub struct Description {
    /// What the chain needs to run it.
    pub record: ContractRecord,
    /// What its deployer says of it; the default where that is nothing.
    pub metadata: Metadata,
}

/// What a contract's deployer says of it. Only [`writes`](Self::writes) means anything to the chain.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "ledger_core::codec::wire")]
pub struct Metadata {
    /// [`METADATA_VERSION`].
    pub version: u8,
    /// Where the source is, for people.
    pub source: Text,
    /// What compiled it, for people.
    pub compiler: Text,
    /// The SHA-256 of the code that building the source again gives.
    pub build: Option<Digest>,
    /// A description of methods and events, in the contract's own format.
    pub interface: Bytes,
    /// Who may write its state by [commits](ledger_core::Action::Commit).
    pub writes: WritePolicy,
}

impl Default for Metadata {
    fn default() -> Self {
        Metadata {
            version: METADATA_VERSION,
            source: Text::default(),
            compiler: Text::default(),
            build: None,
            interface: Bytes::default(),
            writes: WritePolicy::None,
        }
    }
}

/// Who may write a contract's state past its code, by committing what was read and written elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "ledger_core::codec::wire")]
pub enum WritePolicy {
    /// Nobody.
    None,
    /// Everybody, if at least so many of these keys have endorsed it. The keys are sorted, none is there twice.
    Endorsed {
        /// Whose endorsements count.
        keys: List<PublicKey>,
        /// How many it takes: at least one, at most all.
        least: u32,
    },
    /// These accounts, sorted, none there twice.
    Accounts(List<AccountId>),
}

impl Metadata {
    /// Whether metadata are in their limits and their order.
    ///
    /// # Errors
    /// The [`Failure`] of who wanted to use them.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let bad = |message: &str| Failure::Refused { code: crate::BAD_ARGUMENTS, message: Text::from(message) };
        if self.version != METADATA_VERSION {
            return Err(Failure::Unsupported { what: Text::from("this version of metadata") });
        }
        let writers = match &self.writes {
            WritePolicy::None => 0,
            WritePolicy::Endorsed { keys, .. } => keys.len(),
            WritePolicy::Accounts(accounts) => accounts.len(),
        };
        for (what, size, limit) in [
            ("the source's link", self.source.len(), MAX_LINK_BYTES),
            ("the compiler's name", self.compiler.len(), MAX_LINK_BYTES),
            ("the interface's description", self.interface.len(), MAX_INTERFACE_BYTES),
            ("the number of writers", writers, MAX_WRITERS),
        ] {
            if size > limit {
                return Err(Failure::Limit { what: Text::from(what), size: size as u64, limit: limit as u64 });
            }
        }
        match &self.writes {
            WritePolicy::None => Ok(()),
            WritePolicy::Accounts(accounts) if accounts.is_sorted_by(|a, b| a < b) => Ok(()),
            WritePolicy::Accounts(_) => Err(bad("the accounts of a write policy are sorted, none is there twice")),
            WritePolicy::Endorsed { keys, .. } if !keys.is_sorted_by(|a, b| a < b) => {
                Err(bad("the keys of a write policy are sorted, none is there twice"))
            }
            WritePolicy::Endorsed { keys, .. } if keys.iter().any(|key| key.check_not_weak().is_err()) => {
                Err(bad("a key of the write policy is weak"))
            }
            WritePolicy::Endorsed { keys, least } if *least == 0 || *least as usize > keys.len() => {
                Err(bad("a write policy needs at least one endorsement, and no more than it has keys"))
            }
            WritePolicy::Endorsed { .. } => Ok(()),
        }
    }
}

impl Format for Upload {
    const NAME: &'static str = "code upload";
    const LIMIT: usize = 16 << 20;
}

impl Format for Instantiate {
    const NAME: &'static str = "contract instantiation";
    const LIMIT: usize = 16 << 20;
}

impl Format for Upgrade {
    const NAME: &'static str = "contract upgrade";
    const LIMIT: usize = 16 << 20;
}

impl Format for Description {
    const NAME: &'static str = "description";
    const LIMIT: usize = 128 << 10;
}

impl Format for Metadata {
    const NAME: &'static str = "metadata";
    const LIMIT: usize = 96 << 10;
}

const LIFECYCLE_BYTES: [u8; 32] = [
    0xeb, 0xd9, 0x80, 0x02, 0x10, 0xce, 0x73, 0x53, 0x58, 0x44, 0x74, 0xbd, 0x98, 0x29, 0x32, 0x79, 0x43, 0x24, 0x42,
    0xc5, 0xea, 0x33, 0x19, 0x0f, 0xb3, 0xcc, 0xa7, 0x13, 0x85, 0xc7, 0x91, 0x8f,
];

#[cfg(test)]
mod tests {
    use super::*;
    use ledger_crypto::{Domain, hash};

    #[test]
    fn the_id_is_a_digest_in_a_domain_of_its_own() {
        assert_eq!(LIFECYCLE.0, hash(Domain::new("ledgerkit.1.builtin"), b"lifecycle"));
    }

    fn writes(writes: WritePolicy) -> Result<(), Failure> {
        Metadata { writes, ..Metadata::default() }.check()
    }

    #[test]
    fn metadata_are_bounded_and_in_order() {
        assert_eq!(Metadata::default().check(), Ok(()));
        let text = |length: usize| Text::from("x".repeat(length).as_str());
        assert!(Metadata { source: text(512), compiler: text(512), ..Metadata::default() }.check().is_ok());
        for over in [
            Metadata { source: text(513), ..Metadata::default() },
            Metadata { compiler: text(513), ..Metadata::default() },
            Metadata { interface: vec![0; MAX_INTERFACE_BYTES + 1].into(), ..Metadata::default() },
        ] {
            assert!(matches!(over.check(), Err(Failure::Limit { .. })));
        }
        assert!(matches!(Metadata { version: 2, ..Metadata::default() }.check(), Err(Failure::Unsupported { .. })));
        let account = |byte| AccountId(Digest::new([byte; 32]));
        assert!(writes(WritePolicy::Accounts(vec![account(1), account(2)].into())).is_ok());
        for wrong in [vec![account(2), account(1)], vec![account(1), account(1)]] {
            assert!(matches!(writes(WritePolicy::Accounts(wrong.into())), Err(Failure::Refused { .. })));
        }
        let many = (0..=255u8).flat_map(|a| [[a; 32], [a; 32]]).map(|bytes| AccountId(Digest::new(bytes)));
        assert!(matches!(writes(WritePolicy::Accounts(many.collect())), Err(Failure::Limit { .. })));
        let key = |byte| PublicKey::new([byte; 32]);
        let endorsed = |keys: &[PublicKey], least| writes(WritePolicy::Endorsed { keys: keys.to_vec().into(), least });
        assert!(endorsed(&[key(4), key(5)], 2).is_ok());
        for (keys, least) in [
            (&[key(4), key(5)][..], 0),
            (&[key(4), key(5)], 3),
            (&[key(5), key(4)], 1),
            (&[key(4), key(4)], 1),
            (&[], 0),
            (&[key(0)], 1),
        ] {
            assert!(matches!(endorsed(keys, least), Err(Failure::Refused { .. })), "{keys:?} {least}");
        }
    }
}
