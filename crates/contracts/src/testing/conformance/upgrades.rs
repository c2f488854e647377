//! Laws of migrations.

use super::{Suite, Violation, hold};
use crate::lifecycle::{Instantiate, LIFECYCLE, Metadata, Upgrade, Upload};
use crate::record::{UpgradePolicy, code_digest};
use crate::testing::TestError;
use ledger_core::codec::{self, Bytes, Text};
use ledger_core::state::SYSTEM;
use ledger_core::{AccountId, ContractId, Failure, Key, Receipt, Status, Versioned};
use ledger_crypto::{Digest, Signer};

impl Suite {
    pub(super) fn upgrades(&self, probe: &[u8]) -> Result<(), Violation> {
        let mut ledger = self.ledger.clone();
        let mut told = |method: &str, arguments: Vec<u8>| -> Result<Receipt, Violation> {
            let receipt = ledger.call(&self.signer, LIFECYCLE, method, &arguments)?.receipt;
            match receipt.status {
                Status::Succeeded => Ok(receipt),
                status => Err(TestError::NoEffect { status }.into()),
            }
        };
        let runtime = Text::from(self.name.as_str());
        let code = code_digest(probe);
        told("upload", codec::encode(&Upload { runtime: runtime.clone(), code: Bytes::from(probe) }))?;
        let policy = UpgradePolicy::Owner(AccountId::of_ed25519(&self.signer.public_key()));
        let (metadata, arguments) = (Metadata::default(), Bytes::from(b"begun".as_slice()));
        let made =
            told("instantiate", codec::encode(&Instantiate { runtime, code, policy, metadata, arguments }))?.output;
        let Ok(made) = <[u8; 32]>::try_from(&*made) else {
            return hold("an instantiation answers with the contract's id", false, made);
        };
        let contract = ContractId(Digest::new(made));
        ledger.call(&self.signer, contract, "put", b"kvalue")?;

        let all_of = |ledger: &super::TestLedger| -> Vec<(Key, Versioned)> {
            let of_it = |key: &Key| {
                key.namespace == contract || (key.namespace == SYSTEM && key.name.ends_with(contract.0.as_bytes()))
            };
            ledger.state.iter().filter(|(key, _)| of_it(key)).map(|(key, found)| (key.clone(), found.clone())).collect()
        };
        let before = all_of(&ledger);
        for arguments in ["refuse", "break", "spin"] {
            let mut ledger = ledger.clone();
            let receipt = self.upgrade(&mut ledger, contract, code, arguments)?;
            let expected = match &receipt.status {
                Status::Failed(Failure::Refused { code: 7, message }) => arguments == "refuse" && &**message == "no",
                Status::Failed(Failure::Trapped { .. }) => arguments == "break",
                Status::Failed(Failure::OutOfFuel { .. }) => arguments == "spin",
                _ => false,
            };
            hold("a migration that fails says why", expected, &receipt)?;
            let law = "an upgrade whose migration fails leaves nothing";
            hold(law, all_of(&ledger) == before && receipt.event_count == 0, (arguments, all_of(&ledger)))?;
        }
        let receipt = self.upgrade(&mut ledger, contract, code, "moved")?;
        let has = |name: &[u8], value: &[u8]| {
            all_of(&ledger).iter().any(|(key, found)| &*key.name == name && &*found.value == value)
        };
        hold("a migration runs, and gets its arguments", has(b"migrated", b"moved"), &receipt)?;
        hold("it finds what was there, and nothing is constructed anew", has(b"k", b"value"), &receipt)?;
        hold("nor does a constructor run", has(b"constructed", b"begun"), &receipt)
    }

    fn upgrade(
        &self,
        ledger: &mut super::TestLedger,
        contract: ContractId,
        code: Digest,
        arguments: &str,
    ) -> Result<Receipt, Violation> {
        let metadata = Metadata { source: Text::from("another source"), ..Metadata::default() };
        let (runtime, arguments) = (Text::from(self.name.as_str()), Bytes::from(arguments.as_bytes()));
        let upgrade = Upgrade { contract, runtime, code, metadata: Some(metadata), arguments };
        Ok(ledger.call(&self.signer, LIFECYCLE, "upgrade", &codec::encode(&upgrade))?.receipt)
    }
}
