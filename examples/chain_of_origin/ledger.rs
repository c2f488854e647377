//! The ledger that events are recorded on: one owner's, in this process, or a network's of members, each in its own.

use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use ledger_core::{AccountId, ChainId, ContractId, Height, Receipt, Rules, SignedTransaction};
use ledger_traceability::epcis::{EventKey, Item};

use crate::book::Evidence;
use crate::machine::Machine;
use crate::network::Network;
use crate::owner::Owner;
use crate::processes::{Fallible, Program};

/// Becomes the outcome of a transaction, and how long it took until it was final.
pub(crate) type Recording = Pin<Box<dyn Future<Output = Fallible<(Recorded, Duration)>> + Send>>;

/// What became of a transaction that is final.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recorded {
    /// Why it had no effect, where it had none.
    pub(crate) failure: Option<String>,
}

impl Recorded {
    pub(crate) fn of(receipt: &Receipt) -> Self {
        let failure =
            (!receipt.succeeded()).then(|| format!("transaction {}: {:?}", receipt.transaction, receipt.status));
        Recorded { failure }
    }
}

/// Where the ledger stands.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    /// Blocks, the genesis not counted.
    pub(crate) blocks: u64,
    /// Leaves of history under the newest checkpoint.
    pub(crate) checkpoint_size: u64,
    /// The state root that it commits to.
    pub(crate) state_root: String,
}

pub(crate) enum Ledger {
    /// One owner orders.
    Owner(Box<Owner>),
    /// Members agree.
    Network(Box<Network>),
}

impl Ledger {
    /// Opens the ledger of `nodes` members in `folder`, or makes one there.
    pub(crate) async fn open(folder: &Path, nodes: usize, machine: Machine, program: &Program) -> Fallible<Self> {
        match nodes {
            1 => Ok(Ledger::Owner(Box::new(Owner::open(folder, machine).await?))),
            _ => Ok(Ledger::Network(Box::new(Network::open(folder, nodes, machine, program.clone()).await?))),
        }
    }

    pub(crate) fn chain(&self) -> ChainId {
        match self {
            Ledger::Owner(owner) => owner.book.chain.id(),
            Ledger::Network(network) => network.chain(),
        }
    }

    /// The contract, and what runs it.
    pub(crate) fn contract(&self) -> (ContractId, Machine) {
        match self {
            Ledger::Owner(owner) => (owner.book.contract, owner.book.machine),
            Ledger::Network(network) => network.contract(),
        }
    }

    fn rules(&self) -> &Rules {
        match self {
            Ledger::Owner(owner) => &owner.book.chain.genesis().rules,
            Ledger::Network(network) => &network.genesis().rules,
        }
    }

    /// The most fuel that a transaction may ask for.
    pub(crate) fn fuel_limit(&self) -> u64 {
        self.rules().max_transaction_fuel.0
    }

    /// The last block whose outcome is known everywhere.
    pub(crate) async fn height(&self) -> Fallible<Height> {
        match self {
            Ledger::Owner(owner) => Ok(owner.book.chain.progress().executed),
            Ledger::Network(network) => network.settled_height().await,
        }
    }

    /// Whether the ledger had these events after block `height`.
    pub(crate) async fn known(&self, height: Height, events: &[EventKey]) -> Fallible<Vec<bool>> {
        match self {
            Ledger::Owner(owner) => owner.book.known(height, events),
            Ledger::Network(network) => network.known(height, events).await,
        }
    }

    /// The number that comes next in lane 0 of the account.
    pub(crate) async fn next_number(&self, account: &AccountId) -> Fallible<u64> {
        match self {
            Ledger::Owner(owner) => Ok(owner.book.chain.next_number(account, 0)?),
            Ledger::Network(network) => network.next_number(account).await,
        }
    }

    /// Hands in a transaction, with a network to the member `home`; what is returned waits until it is final.
    pub(crate) async fn submit(&self, transaction: SignedTransaction, home: usize) -> Fallible<Recording> {
        match self {
            Ledger::Owner(owner) => Ok(Box::pin(owner.submit(transaction).await?)),
            Ledger::Network(network) => Ok(Box::pin(network.submit(&transaction, home))),
        }
    }

    /// How many events the trace of an item has; `None` where there is none that can be shown.
    pub(crate) async fn trace(&self, item: &Item) -> Fallible<Option<u32>> {
        match self {
            // A history too large to trace can't be shown either.
            Ledger::Owner(owner) => Ok(owner.book.trace(item).ok().map(|answer| answer.included)),
            Ledger::Network(network) => network.trace(item).await,
        }
    }

    /// The items that events name, with the number of their links; at most `limit`.
    pub(crate) async fn items(&self, limit: usize) -> Fallible<Vec<(Item, u32)>> {
        match self {
            Ledger::Owner(owner) => owner.book.items(limit),
            Ledger::Network(network) => network.items(limit).await,
        }
    }

    /// Proves the trace of an item at the newest checkpoint.
    pub(crate) async fn prove(&self, item: &Item) -> Fallible<Evidence> {
        match self {
            Ledger::Owner(owner) => owner.book.prove(item),
            Ledger::Network(network) => network.prove(item).await,
        }
    }

    /// Where the ledger stands.
    pub(crate) async fn figures(&self) -> Fallible<Figures> {
        match self {
            Ledger::Owner(owner) => crate::agreement::figures(&owner.book),
            Ledger::Network(network) => Ok(network.agree().await?.figures()),
        }
    }

    /// Closes the ledger; what was final stays.
    pub(crate) async fn close(self) -> Fallible<()> {
        match self {
            Ledger::Owner(owner) => owner.close().await,
            Ledger::Network(network) => network.close().await,
        }
    }
}
