//! The demonstration's keys: one for each party that records events, each member's, and the owner's.

use std::collections::BTreeMap;
use std::sync::Arc;

use ledger_crypto::{Domain, MemorySigner, hash};
use ledger_traceability::epcis::Event;

/// Everybody can read this, and sign in the name of any party of the demonstration.
const SEED: &str = "chain of origin, a demonstration";

const PARTY: Domain = Domain::new("example.chain-of-origin.party");
const MEMBER: Domain = Domain::new("example.chain-of-origin.member");
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

/// Who the members of a network are: the parties of the supply chain.
const ROLES: [&str; 4] = ["farm cooperative", "exporter", "roaster", "retailer"];

/// The name of the member with this number, counted from 0, of so many.
pub(crate) fn member_name(number: usize, members: usize) -> String {
    let role = ROLES.get(number % ROLES.len()).copied().unwrap_or("member");
    match members > ROLES.len() {
        true => format!("{role} {}", number / ROLES.len() + 1),
        false => role.to_owned(),
    }
}

/// The member that records `event`: by what it did, and where there are several of a kind, by the party. Farms and inspectors
/// record with the cooperative, carriers with the exporter.
pub(crate) fn home(event: &Event, members: usize) -> usize {
    let party = event.recorder().map_or_else(String::new, |party| party.id.to_string());
    let [first, second, ..] = *hash(PARTY, party.as_bytes()).as_bytes();
    let any = usize::from(u16::from_le_bytes([first, second]));
    let step = event.text("bizStep").map(|step| step.rsplit([':', '/', '-']).next().unwrap_or(step));
    let role = match step {
        Some("commissioning" | "inspecting") => 0,
        Some("processing" | "packing" | "shipping" | "transporting" | "departing" | "loading") => 1,
        Some("receiving" | "unpacking" | "roasting" | "arriving" | "accepting" | "storing") => 2,
        Some("retail_selling" | "stocking" | "consigning") => 3,
        _ => any % ROLES.len(),
    };
    // Members with this role: role, role + 4, role + 8 …
    let of_role = members.saturating_sub(role).div_ceil(ROLES.len()).max(1);
    (role + ROLES.len() * (any % of_role)) % members.max(1)
}

/// The seed of a member's key.
pub(crate) fn member_seed(number: usize) -> [u8; 32] {
    *hash(MEMBER, format!("{SEED}\n{number}").as_bytes()).as_bytes()
}

/// A member's key.
pub(crate) fn member(number: usize) -> MemorySigner {
    MemorySigner::from_seed(member_seed(number))
}

/// The ledger's owner; in a network, who set it up and deploys the contract.
pub(crate) fn owner() -> MemorySigner {
    MemorySigner::from_seed(*hash(OWNER, SEED.as_bytes()).as_bytes())
}
