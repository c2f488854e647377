//! The ledger with one owner, in this process.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ledger_consensus::Solo;
use ledger_contracts::NativeRuntime;
use ledger_core::codec::List;
use ledger_core::{AccountId, Deployers, Genesis, SignedTransaction, Timestamp};
use ledger_crypto::Signer as _;
use ledger_node::{Host, NodeBuilder};
use ledger_traceability::contract::Traceability;

use crate::book::Book;
use crate::ledger::Recorded;
use crate::machine::Machine;
use crate::network;
use crate::parties;
use crate::processes::{Fallible, child};

/// A node with one chain, which one owner orders.
pub(crate) struct Owner {
    host: Host,
    pub(crate) book: Book,
}

impl Owner {
    /// Opens the ledger in `folder`, or makes one there.
    pub(crate) async fn open(folder: &Path, machine: Machine) -> Fallible<Self> {
        if folder.join(network::GENESIS).exists() {
            return Err("it holds a network of members: use --nodes with their number".into());
        }
        let host = NodeBuilder::new()
            .folder(folder)?
            .runtime(NativeRuntime::new().with(Traceability::default()))
            .runtime(child::wasm_runtime()?)
            .start()
            .await?;
        let owner = parties::owner();
        let known =
            host.closed_chains().into_iter().map(|(genesis, _)| genesis).find(|genesis| Machine::of(genesis).is_some());
        let genesis = match known {
            Some(genesis) => {
                machine.check(&genesis)?;
                genesis
            }
            None => with_deployer(Genesis::solo(machine.chain(), owner.public_key(), now()?)),
        };
        let chain = host.chain(genesis, Solo::new(owner)).await?;
        let book = Book::new(chain)?;
        if !book.is_open()? {
            let certified = book.chain.submit(machine.deployment(book.chain.id())?).await?.certified().await?;
            let receipt = certified.executed.result.receipt;
            if !receipt.succeeded() {
                return Err(format!("the contract was not deployed: {:?}", receipt.status).into());
            }
        }
        Ok(Self { host, book })
    }

    /// Hands in a transaction; the future that is returned waits until it is final.
    pub(crate) async fn submit(
        &self,
        transaction: SignedTransaction,
    ) -> Fallible<impl Future<Output = Fallible<(Recorded, Duration)>> + Send + use<>> {
        let handed_in = Instant::now();
        let accepted = self.book.chain.enqueue(transaction).await?;
        Ok(async move {
            let certified = accepted.await?.certified().await?;
            Ok((Recorded::of(&certified.executed.result.receipt), handed_in.elapsed()))
        })
    }

    /// Closes the ledger; what was final stays.
    pub(crate) async fn close(self) -> Fallible<()> {
        drop(self.book);
        self.host.shutdown().await?;
        Ok(())
    }
}

/// Lets only the owner deploy contracts, so that the contract's deployment shows whose it is.
pub(crate) fn with_deployer(mut genesis: Genesis) -> Genesis {
    let owner = AccountId::of_ed25519(&parties::owner().public_key());
    genesis.rules.deployers = Deployers::Only(List::from(vec![owner]));
    genesis
}

/// The time.
pub(crate) fn now() -> Fallible<Timestamp> {
    Ok(Timestamp(u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?))
}
