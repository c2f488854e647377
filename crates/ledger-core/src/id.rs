//! Names that are digests: of a chain, an account, a contract, a transaction.

use crate::codec::{Decode, Encode};
use crate::domains;
use core::fmt;
use core::str::FromStr;
use ledger_crypto::{Digest, PublicKey, hash};
use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Digest);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = <Digest as FromStr>::Err;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map($name)
            }
        }
    };
}

id! {
    /// A chain: the digest of its genesis. Every signature covers it, so nothing replays across chains.
    ChainId
}
id! {
    /// A transaction: the digest of its unsigned envelope.
    TransactionId
}
id! {
    /// Who sends transactions: the digest of the key the account was opened with. The account outlives the key.
    AccountId
}
id! {
    /// A deployed contract, and the namespace of its state.
    ContractId
}

impl AccountId {
    /// The account that `key` opens: digest of the signature scheme's tag (0 = Ed25519) and the key.
    pub fn of_ed25519(key: &PublicKey) -> Self {
        let mut message = [0; 33];
        let (_, rest) = message.split_at_mut(1);
        rest.copy_from_slice(key.as_bytes());
        AccountId(hash(domains::ACCOUNT, &message))
    }
}

impl AccountId {
    /// The account as which `contract` calls others and owns things: its own digest. No key opens it, since the ids of
    /// contracts and of keys are digests in different domains.
    pub const fn of_contract(contract: &ContractId) -> Self {
        AccountId(contract.0)
    }
}

impl ContractId {
    /// The contract that the transaction `id` deploys.
    pub fn deployed_by(id: &TransactionId) -> Self {
        ContractId(hash(domains::CONTRACT, id.0.as_bytes()))
    }

    /// The contract that the transaction `id` instantiates as its `index`-th (from 0), where it does so by calls.
    pub fn instantiated_by(id: &TransactionId, index: u32) -> Self {
        let mut message = [0; 36];
        let (front, back) = message.split_at_mut(32);
        front.copy_from_slice(id.0.as_bytes());
        back.copy_from_slice(&index.to_le_bytes());
        ContractId(hash(domains::CONTRACT, &message))
    }
}
