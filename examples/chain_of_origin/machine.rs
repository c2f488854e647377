//! What runs the contract: the nodes themselves, into which it is linked, or a machine for WebAssembly, which is given the same
//! source as a module.

use ledger_contracts::NATIVE;
use ledger_contracts::wasm::WASM;
use ledger_core::{ChainId, Genesis, Rules, SignedTransaction, TransactionBuilder};
use ledger_traceability::contract;
use ledger_traceability::epcis::Event;
use ledger_traceability::records;
use ledger_traceability::timeline::ContractCode;
use sha2::{Digest as _, Sha256};

use crate::parties;
use crate::processes::Fallible;

/// `examples/contracts/origin`, built.
const MODULE: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/contracts/fixtures/origin.wasm"));

/// What runs the contract.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Machine {
    #[default]
    Native,
    Wasm,
}

impl Machine {
    const ALL: [Machine; 2] = [Machine::Native, Machine::Wasm];

    /// What the command line calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Machine::Native => NATIVE,
            Machine::Wasm => WASM,
        }
    }

    /// What is said of the contract.
    pub(crate) fn described(self) -> String {
        match self {
            Machine::Native => "native, linked into the nodes".to_owned(),
            Machine::Wasm => format!("a WebAssembly module of {} bytes, deployed with the ledger", MODULE.len()),
        }
    }

    /// The machine with this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|machine| machine.name() == name)
    }

    /// The name of a chain with this machine: so everybody who knows the genesis knows it too.
    pub(crate) fn chain(self) -> &'static str {
        match self {
            Machine::Native => "chain of origin",
            Machine::Wasm => "chain of origin, in WebAssembly",
        }
    }

    /// The machine of a chain of this example.
    pub(crate) fn of(genesis: &Genesis) -> Option<Self> {
        Self::ALL.into_iter().find(|machine| machine.chain() == genesis.name.as_str())
    }

    /// Whether a chain that is there is for this machine.
    pub(crate) fn check(self, genesis: &Genesis) -> Fallible<()> {
        match Machine::of(genesis) {
            Some(found) if found == self => Ok(()),
            Some(found) => Err(format!("its contract runs otherwise: use --runtime {}", found.name()).into()),
            None => Err("it holds another chain".into()),
        }
    }

    /// What the contract was deployed as, for verifiers.
    pub(crate) fn code(self) -> ContractCode {
        match self {
            Machine::Native => ContractCode::Native,
            Machine::Wasm => ContractCode::Module(Sha256::digest(MODULE).into()),
        }
    }

    /// The transaction that deploys the contract: the owner's first, so it is the same one every time.
    pub(crate) fn deployment(self, chain: ChainId) -> Fallible<SignedTransaction> {
        let deploy = match self {
            Machine::Native => TransactionBuilder::deploy(chain, NATIVE, records::CONTRACT.into(), Vec::new()),
            Machine::Wasm => TransactionBuilder::deploy(chain, WASM, MODULE.to_vec(), Vec::new())
                .fuel_limit(Rules::default().max_transaction_fuel),
        };
        Ok(deploy.sequence(0, 0).sign(&parties::owner())?)
    }

    /// Fuel enough for recording the event.
    pub(crate) fn fuel_for(self, event: &Event) -> ledger_core::Fuel {
        let (bytes, mentions) = (event.size(), event.mentions().len());
        match self {
            Machine::Native => contract::fuel_for(bytes, mentions),
            Machine::Wasm => contract::module_fuel_for(MODULE.len(), bytes, mentions),
        }
    }
}
