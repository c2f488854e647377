//! The demonstration's keys: one for each party that records events, and the owner's.

use std::collections::BTreeMap;
use std::sync::Arc;

use ledger_crypto::{Domain, MemorySigner, hash};
use ledger_traceability::epcis::Event;

/// Everybody can read this, and sign in the name of any party of the demonstration.
const SEED: &str = "chain of origin, a demonstration";

const PARTY: Domain = Domain::new("example.chain-of-origin.party");
const OWNER: Domain = Domain::new("example.chain-of-origin.owner");

/// Who has a key, and the number of their next transaction.
#[derive(Default)]
pub(crate) struct Parties {
    known: BTreeMap<String, Member>,
}

/// A party that records events.
pub(crate) struct Member {
    pub(crate) signer: Arc<MemorySigner>,
    /// The number of the next transaction, once it was asked for.
    pub(crate) next: Option<u64>,
}

impl Parties {
    /// The party that recorded `event`; events that name none belong to a party without a name.
    pub(crate) fn of(&mut self, event: &Event) -> &mut Member {
        let name = event.recorder().map_or_else(String::new, |party| party.id.to_string());
        self.known.entry(name).or_insert_with_key(|name| {
            let seed = hash(PARTY, format!("{SEED}\n{name}").as_bytes());
            Member { signer: Arc::new(MemorySigner::from_seed(*seed.as_bytes())), next: None }
        })
    }

    /// How many parties have recorded something.
    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }
}

/// The ledger's owner.
pub(crate) fn owner() -> MemorySigner {
    MemorySigner::from_seed(*hash(OWNER, SEED.as_bytes()).as_bytes())
}
