//! Who and what: accounts and contracts.

use crate::codec::{Decode, Encode, Reader};
use crate::description::{Described, Type};
use crate::key::OrderedKey;
use alloc::vec::Vec;
use core::fmt;

macro_rules! ids {
    ($($(#[doc = $docs:literal])* $name:ident, $described:literal;)*) => {$(
        $(#[doc = $docs])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 32]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl Encode for $name {
            fn encode(&self, out: &mut Vec<u8>) {
                self.0.encode(out);
            }
        }

        impl Decode for $name {
            fn decode(input: &mut Reader<'_>) -> Option<Self> {
                input.array().map($name)
            }
        }

        impl Described for $name {
            const TYPE: Type = Type::Id($described);
        }

        impl OrderedKey for $name {
            fn write(&self, out: &mut Vec<u8>) {
                self.0.write(out);
            }

            fn read(input: &mut Reader<'_>) -> Option<Self> {
                input.array().map($name)
            }
        }
    )*};
}

ids! {
    /// An account: a digest of its key. A contract that calls another is that call's caller, under its own id.
    AccountId, "account";
    /// A contract.
    ContractId, "contract";
}

impl From<ContractId> for AccountId {
    fn from(contract: ContractId) -> Self {
        AccountId(contract.0)
    }
}
