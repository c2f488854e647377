//! Requests and answers.

use super::schema::{names, wire};
use super::{Base64, Hex, U64};
use ledger_core::{
    AccountId, Action, ChainId, Checkpoint, ContractId, Event, Failure, Genesis, Header, HistoryHead, Order, Receipt,
    SignedTransaction, Simulation, Status, TransactionId, TransactionResult, Version, codec,
};
use ledger_crypto::Digest;

names! {
    /// The four answers that a transaction gets, one after the other.
    pub enum Answer {
        /// The node has checked it and holds it in memory. A crash can still lose it.
        Accepted = "accepted",
        /// It has its place in a final block, which is durable.
        Ordered = "ordered",
        /// It was executed: there is a receipt.
        Executed = "executed",
        /// A finalized header commits to the receipt: it can be proven.
        Certified = "certified",
    }
}

names! {
    /// What became of an executed transaction.
    pub enum ReceiptStatus {
        /// It did what it asked for.
        Succeeded = "succeeded",
        /// It used up its place, but its writes and events were rolled back.
        Failed = "failed",
        /// It should never have been in a block, and used nothing up.
        Rejected = "rejected",
    }
}

wire! {
    /// A chain and how far it has come.
    pub struct ChainInfo {
        /// The chain's id.
        pub id: ChainId,
        /// Its name, for people.
        pub name: String,
        /// The consensus engine's name.
        pub engine: String,
        /// The last final, durable block.
        pub ordered: U64,
        /// The last block whose outcome is stored.
        pub executed: U64,
        /// The last block whose outcome the newest checkpoint commits to.
        pub certified: Option<U64>,
        /// Why the chain has stopped, if it has.
        pub stopped: Option<String>,
    }

    /// The chains that are served.
    pub struct ChainList {
        /// By rising ids.
        pub chains: Vec<ChainInfo>,
    }

    /// A transaction that is handed in as JSON.
    pub struct SubmitRequest {
        /// The signed transaction's canonical bytes.
        pub transaction: Base64,
    }

    /// A transaction's place.
    pub struct Place {
        /// The block.
        pub height: U64,
        /// The place in the block, from 0.
        pub index: u32,
    }

    /// Where a transaction stands.
    pub struct TransactionAnswer {
        /// The transaction.
        pub id: TransactionId,
        /// The last answer that is known; null when the node knows nothing, which doesn't mean that nothing happened.
        pub reached: Option<Answer>,
        /// Whether the answer that was waited for was reached. When false, the outcome is unknown, not negative: ask
        /// again, or hand the same bytes in again.
        pub complete: bool,
        /// Whether the node held the same transaction already.
        pub duplicate: bool,
        /// Its place, from *ordered* on.
        pub place: Option<Place>,
        /// Its receipt, from *executed* on.
        pub receipt: Option<ReceiptInfo>,
    }

    /// A receipt, with its events.
    pub struct ReceiptInfo {
        /// The transaction.
        pub transaction: TransactionId,
        /// Its place in the block.
        pub index: u32,
        /// What became of it.
        pub status: ReceiptStatus,
        /// Why it didn't succeed.
        pub reason: Option<String>,
        /// The contract's own number for the reason, when the contract refused.
        pub code: Option<u32>,
        /// Fuel that it used.
        pub fuel_used: U64,
        /// What the contract returned.
        pub output: Base64,
        /// The list root of its events.
        pub events_root: Digest,
        /// Its events, in order.
        pub events: Vec<EventInfo>,
    }

    /// What would become of a transaction. No proof shows it: it is this node's word.
    pub struct SimulationAnswer {
        /// The transaction that was asked about.
        pub transaction: TransactionId,
        /// What would become of it.
        pub status: ReceiptStatus,
        /// Why it wouldn't succeed.
        pub reason: Option<String>,
        /// The contract's own number for the reason, when the contract would refuse.
        pub code: Option<u32>,
        /// Fuel that it would use. With this as limit it succeeds while the state stays as it is; leave room for changes.
        pub fuel_used: U64,
        /// What the contract would return.
        pub output: Base64,
        /// The events that it would emit, in order.
        pub events: Vec<EventInfo>,
    }

    /// Something that a contract said.
    pub struct EventInfo {
        /// Who says so.
        pub contract: ContractId,
        /// What kind of event it is.
        pub topic: String,
        /// The contract's own bytes.
        pub data: Base64,
    }

    /// What `ledger_core::verify` takes beside a trust root.
    pub struct Proved {
        /// The encoded proof.
        pub proof: Base64,
        /// The encoded checkpoint that it is against, alone or with changes of validators.
        pub checkpoint: Base64,
        /// The encoded consistency proof from the history that the request named with `seen_size` and `seen_root`.
        pub consistency: Option<Base64>,
    }

    /// A receipt.
    pub struct ReceiptAnswer {
        /// Where it is.
        pub place: Place,
        /// The receipt.
        pub receipt: ReceiptInfo,
        /// Its proof, when it was asked for.
        pub proof: Option<Proved>,
    }

    /// A proof that a block holds a transaction.
    pub struct TransactionProofAnswer {
        /// Where it is.
        pub place: Place,
        /// The transaction.
        pub transaction: TransactionInfo,
        /// The proof.
        pub proof: Proved,
    }

    /// A transaction, for people.
    pub struct TransactionInfo {
        /// Its id.
        pub id: TransactionId,
        /// Who sent it.
        pub account: AccountId,
        /// Its stream; null when it is unordered.
        pub lane: Option<U64>,
        /// Its place in the stream; null when it is unordered.
        pub number: Option<U64>,
        /// Milliseconds since 1970 after which it isn't valid any more; null never expires.
        pub expires_at: Option<U64>,
        /// The most fuel that it may use.
        pub fuel_limit: U64,
        /// `deploy`, `call` or `commit`.
        pub action: String,
        /// Whom it calls.
        pub contract: Option<ContractId>,
        /// What it calls.
        pub method: Option<String>,
        /// The encoded length in bytes.
        pub size: u32,
    }

    /// A block's header.
    pub struct HeaderInfo {
        /// The header's digest.
        pub digest: Digest,
        /// The block's place in the chain.
        pub height: U64,
        /// The digest of the header before.
        pub parent: Digest,
        /// Milliseconds since 1970.
        pub timestamp: U64,
        /// The list root of the transactions.
        pub transactions_root: Digest,
        /// The history that it commits to.
        pub history: HistoryInfo,
        /// The validators' epoch.
        pub epoch: U64,
    }

    /// A history's head: a tree over headers and outcomes (RFC 9162).
    pub struct HistoryInfo {
        /// How many blocks it holds.
        pub size: U64,
        /// Its root.
        pub root: Digest,
    }

    /// A header, readable and as bytes.
    pub struct HeaderAnswer {
        /// The header.
        pub header: HeaderInfo,
        /// The canonical bytes.
        pub encoded: Base64,
    }

    /// A block and a page of its transactions.
    pub struct BlockPage {
        /// The block's header.
        pub header: HeaderInfo,
        /// How many transactions the block has.
        pub count: u32,
        /// The place of the first one on this page.
        pub from: u32,
        /// The transactions on this page.
        pub transactions: Vec<TransactionInfo>,
        /// The whole block's canonical bytes, when they were asked for.
        pub encoded: Option<Base64>,
    }

    /// A state key and what it holds.
    pub struct StateEntry {
        /// The key, without its contract.
        pub key: Hex,
        /// The value.
        pub value: Base64,
        /// The transaction that wrote it.
        pub version: Place,
    }

    /// What a key holds.
    pub struct StateAnswer {
        /// The namespace.
        pub contract: ContractId,
        /// The key, without its contract.
        pub key: Hex,
        /// The block after which this holds.
        pub height: U64,
        /// The value and who wrote it; null when the key holds nothing.
        pub entry: Option<StateEntry>,
        /// The proof, when it was asked for.
        pub proof: Option<Proved>,
    }

    /// A page of a contract's state, by rising keys.
    pub struct StatePage {
        /// The namespace.
        pub contract: ContractId,
        /// The block after which this holds.
        pub height: U64,
        /// The entries.
        pub entries: Vec<StateEntry>,
        /// The key to continue after; null when this was the last page.
        pub next: Option<Hex>,
    }

    /// A checkpoint: a finalized header with its certificate.
    pub struct CheckpointInfo {
        /// The header.
        pub header: HeaderInfo,
        /// The engine's certificate.
        pub certificate: Base64,
        /// The encoded checkpoint, alone or with changes of validators.
        pub encoded: Base64,
        /// The encoded consistency proof from the history that the request named with `seen_size` and `seen_root`.
        pub consistency: Option<Base64>,
    }

    /// Shows that the newest checkpoint continues an older history.
    pub struct ConsistencyAnswer {
        /// The older history, as the request named it.
        pub from: HistoryInfo,
        /// The newer history.
        pub to: HistoryInfo,
        /// RFC 9162's consistency proof between the two.
        pub path: Vec<Digest>,
        /// For `ledger_core::verify`.
        pub proof: Proved,
    }

    /// The number that comes next in a stream of an account, as the executed state stands.
    pub struct NextNumber {
        /// The account.
        pub account: AccountId,
        /// The stream.
        pub lane: U64,
        /// The number.
        pub number: U64,
    }

    /// Arguments of a contract's reading method.
    pub struct QueryRequest {
        /// The contract's own bytes.
        pub arguments: Base64,
    }

    /// What a contract's reading method returned. No proof shows it: it is this node's word.
    pub struct QueryAnswer {
        /// The contract's own bytes.
        pub output: Base64,
    }

    /// A chain's genesis.
    pub struct GenesisInfo {
        /// The chain's id, which is the genesis' digest.
        pub chain: ChainId,
        /// The chain's name, for people.
        pub name: String,
        /// Milliseconds since 1970.
        pub timestamp: U64,
        /// The consensus engine's name.
        pub engine: String,
        /// The canonical bytes.
        pub encoded: Base64,
    }

    /// An event in the stream of events. The message's id is the height, a dot, and the event's number in its block.
    pub struct StreamedEvent {
        /// The block.
        pub height: U64,
        /// The event's number among all events of the block, from 0.
        pub number: u32,
        /// The transaction that emitted it.
        pub transaction: TransactionId,
        /// The event's place among the transaction's events.
        pub index: u32,
        /// The event.
        pub event: EventInfo,
        /// Its proof, when it was asked for.
        pub proof: Option<Proved>,
    }

    /// A peer of this node.
    pub struct PeerInfo {
        /// Its key.
        pub key: Digest,
        /// Where it is.
        pub address: String,
        /// Whether there is a connection.
        pub connected: bool,
        /// The round-trip time in microseconds, when it is known.
        pub round_trip_us: Option<U64>,
    }

    /// A chain's peers.
    pub struct PeerList {
        /// By rising keys.
        pub peers: Vec<PeerInfo>,
    }

    /// Whether the server is well.
    pub struct Health {
        /// Whether it is.
        pub healthy: bool,
        /// What is wrong, chain by chain.
        pub problems: Vec<String>,
    }
}

impl From<Version> for Place {
    fn from(version: Version) -> Self {
        Place { height: version.height.into(), index: version.index }
    }
}

impl From<HistoryHead> for HistoryInfo {
    fn from(head: HistoryHead) -> Self {
        HistoryInfo { size: U64(head.size), root: head.root }
    }
}

impl From<&Event> for EventInfo {
    fn from(event: &Event) -> Self {
        let data = Base64(event.data.to_vec());
        EventInfo { contract: event.contract, topic: event.topic.to_string(), data }
    }
}

impl EventInfo {
    /// The event as the ledger has it.
    pub fn to_event(&self) -> Event {
        let data = self.data.0.clone().into();
        Event { contract: self.contract, topic: self.topic.as_str().into(), data }
    }
}

/// A status, its reason, and the contract's own number for it.
fn of_status(status: &Status) -> (ReceiptStatus, Option<String>, Option<u32>) {
    match status {
        Status::Succeeded => (ReceiptStatus::Succeeded, None, None),
        Status::Failed(failure) => {
            let code = match failure {
                Failure::Refused { code, .. } => Some(*code),
                _ => None,
            };
            (ReceiptStatus::Failed, Some(failure.to_string()), code)
        }
        Status::Rejected(rejection) => (ReceiptStatus::Rejected, Some(rejection.to_string()), None),
    }
}

impl SimulationAnswer {
    /// What would become of transaction `id`.
    pub fn new(id: TransactionId, simulation: &Simulation) -> Self {
        let (status, reason, code) = of_status(&simulation.status);
        SimulationAnswer {
            transaction: id,
            status,
            reason,
            code,
            fuel_used: simulation.fuel_used.into(),
            output: Base64(simulation.output.to_vec()),
            events: simulation.events.iter().map(EventInfo::from).collect(),
        }
    }
}

impl ReceiptInfo {
    /// A receipt and the events that it commits to.
    pub fn new(receipt: &Receipt, events: &[Event]) -> Self {
        let (status, reason, code) = of_status(&receipt.status);
        ReceiptInfo {
            transaction: receipt.transaction,
            index: receipt.index,
            status,
            reason,
            code,
            fuel_used: receipt.fuel_used.into(),
            output: Base64(receipt.output.to_vec()),
            events_root: receipt.events_root,
            events: events.iter().map(EventInfo::from).collect(),
        }
    }
}

impl From<&TransactionResult> for ReceiptInfo {
    fn from(result: &TransactionResult) -> Self {
        ReceiptInfo::new(&result.receipt, &result.events)
    }
}

impl From<&Header> for HeaderInfo {
    fn from(header: &Header) -> Self {
        HeaderInfo {
            digest: header.digest(),
            height: header.height.into(),
            parent: header.parent,
            timestamp: header.timestamp.into(),
            transactions_root: header.transactions_root,
            history: header.history.into(),
            epoch: header.epoch.into(),
        }
    }
}

impl From<&SignedTransaction> for TransactionInfo {
    fn from(signed: &SignedTransaction) -> Self {
        let transaction = &signed.transaction;
        let (lane, number) = match transaction.order {
            Order::Sequence { lane, number } => (Some(U64(lane)), Some(U64(number))),
            Order::Unordered => (None, None),
        };
        let (action, contract, method) = match &transaction.action {
            Action::Deploy { .. } => ("deploy", None, None),
            Action::Call { contract, method } => ("call", Some(*contract), Some(method.to_string())),
            Action::Commit { .. } => ("commit", None, None),
        };
        TransactionInfo {
            id: signed.id(),
            account: transaction.account,
            lane,
            number,
            expires_at: transaction.expires_at.map(U64::from),
            fuel_limit: transaction.fuel_limit.into(),
            action: action.to_owned(),
            contract,
            method,
            size: u32::try_from(codec::encoded_length(signed)).unwrap_or(u32::MAX),
        }
    }
}

impl CheckpointInfo {
    /// A checkpoint and its encoding.
    pub fn new(checkpoint: &Checkpoint, encoded: Vec<u8>, consistency: Option<Base64>) -> Self {
        CheckpointInfo {
            header: (&checkpoint.header).into(),
            certificate: Base64(checkpoint.certificate.to_vec()),
            encoded: Base64(encoded),
            consistency,
        }
    }
}

impl From<&Genesis> for GenesisInfo {
    fn from(genesis: &Genesis) -> Self {
        GenesisInfo {
            chain: genesis.chain(),
            name: genesis.name.to_string(),
            timestamp: genesis.timestamp.into(),
            engine: genesis.engine.name.to_string(),
            encoded: Base64(codec::encode(genesis)),
        }
    }
}
