//! What the state knows of a contract.

use ledger_core::codec::{Decode, Encode, Format, Text};
use ledger_core::state::SYSTEM;
use ledger_core::{AccountId, Height, Key};
use ledger_crypto::{Digest, Domain, hash};

/// The version of the record format that this crate writes and reads.
pub const RECORD_VERSION: u8 = 0;

/// Digest of a contract's code.
pub const CODE: Domain = Domain::new("ledgerkit.0.code");

/// A deployed contract: the value under [`Key::contract`].
///
/// Encoded by [`ledger_core::codec`], field by field: the version (1 byte), the runtime's name (its length and UTF-8),
/// the code's digest (32 bytes), the code's length (variable-length integer), the deployer (32 bytes), the height
/// (variable-length integer).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "ledger_core::codec::wire")]
pub struct ContractRecord {
    /// [`RECORD_VERSION`].
    pub version: u8,
    /// Which runtime runs it.
    pub runtime: Text,
    /// The digest of its code; the code is under [`code_key`].
    pub code: Digest,
    /// How long the code is, in bytes. A call pays for loading them, cached or not.
    pub code_bytes: u32,
    /// Who deployed it.
    pub deployer: AccountId,
    /// When.
    pub height: Height,
}

impl Format for ContractRecord {
    const NAME: &'static str = "contract record";
    const LIMIT: usize = 4 << 10;
}

/// The digest by which code is known.
pub fn code_digest(code: &[u8]) -> Digest {
    hash(CODE, code)
}

/// Where code is stored: in the system's namespace, `k` and the digest. Contracts with the same code share it.
pub fn code_key(digest: &Digest) -> Key {
    let mut name = Vec::with_capacity(33);
    name.push(b'k');
    name.extend_from_slice(digest.as_bytes());
    Key::new(SYSTEM, name)
}
