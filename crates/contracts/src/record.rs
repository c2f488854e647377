//! What the state knows of a contract.

use ledger_core::codec::{Decode, Encode, Format, Text};
use ledger_core::state::SYSTEM;
use ledger_core::{AccountId, ContractId, Height, Key};
use ledger_crypto::{Digest, Domain, hash};

/// The version of the record format that this crate writes and reads.
pub const RECORD_VERSION: u8 = 1;

/// Digest of a contract's code.
pub const CODE: Domain = Domain::new("ledgerkit.1.code");

/// A deployed contract: the value under [`Key::contract`]. Its older values are those before upgrades and pauses.
///
/// Encoded by [`ledger_core::codec`], field by field: the version (1 byte), the runtime's name (its length and UTF-8),
/// the code's digest (32 bytes), the code's length (variable-length integer), the deployer (32 bytes), the height
/// (variable-length integer), the policy (its variant's number; 32 bytes of whom it names), whether it is paused (1 byte).
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
    /// When it was deployed.
    pub height: Height,
    /// Who may upgrade, pause and resume it. Fixed when it was deployed.
    pub policy: UpgradePolicy,
    /// Whether calls are refused.
    pub paused: bool,
}

/// Who may change a contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "ledger_core::codec::wire")]
pub enum UpgradePolicy {
    /// Nobody, ever.
    Immutable,
    /// This account, by transactions of its own.
    Owner(AccountId),
    /// This contract, which decides by its own rules whom it does it for.
    Authority(ContractId),
}

impl UpgradePolicy {
    /// Whether `caller` may change the contract.
    pub fn allows(&self, caller: &AccountId) -> bool {
        match self {
            UpgradePolicy::Immutable => false,
            UpgradePolicy::Owner(owner) => owner == caller,
            UpgradePolicy::Authority(contract) => AccountId::of_contract(contract) == *caller,
        }
    }
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

/// Where a contract's [`Metadata`](crate::lifecycle::Metadata) are stored, if it has any: in the system's namespace, `m`
/// and the contract.
pub fn metadata_key(contract: &ContractId) -> Key {
    let mut name = Vec::with_capacity(33);
    name.push(b'm');
    name.extend_from_slice(contract.0.as_bytes());
    Key::new(SYSTEM, name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger_core::codec;

    #[test]
    fn the_bytes_of_a_record_are_these() {
        let record = ContractRecord {
            version: RECORD_VERSION,
            runtime: Text::from("native"),
            code: Digest::new([1; 32]),
            code_bytes: 251,
            deployer: AccountId(Digest::new([2; 32])),
            height: Height(7),
            policy: UpgradePolicy::Owner(AccountId(Digest::new([3; 32]))),
            paused: true,
        };
        let mut expected = vec![1, 6];
        expected.extend_from_slice(b"native");
        expected.extend_from_slice(&[1; 32]);
        expected.extend_from_slice(&[251, 251, 0]);
        expected.extend_from_slice(&[2; 32]);
        expected.extend_from_slice(&[7, 1]);
        expected.extend_from_slice(&[3; 32]);
        expected.push(1);
        assert_eq!(codec::encode(&record), expected);
        assert_eq!(codec::decode::<ContractRecord>(&expected), Ok(record));
        assert!(codec::decode::<ContractRecord>(&expected[1..]).is_err());
    }

    #[test]
    fn a_policy_allows_whom_it_names() {
        let [one, other] = [1, 2].map(|byte| AccountId(Digest::new([byte; 32])));
        assert!(!UpgradePolicy::Immutable.allows(&one));
        assert!(UpgradePolicy::Owner(one).allows(&one) && !UpgradePolicy::Owner(one).allows(&other));
        let authority = UpgradePolicy::Authority(ContractId(one.0));
        assert!(authority.allows(&one) && !authority.allows(&other));
    }

    #[test]
    fn code_has_a_key_that_no_contract_can_write() {
        let key = code_key(&code_digest(b"token"));
        assert_eq!((key.namespace, key.name.len(), key.name[0]), (SYSTEM, 33, b'k'));
        assert_ne!(code_digest(b"token"), code_digest(b"tokens"));
    }
}
