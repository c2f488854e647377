//! The one table of routes, from which both the router and the OpenAPI document are made.

use crate::tokens::Right;
use axum::http::Method;
use ledger_client::wire::schema::Schema;
use ledger_client::wire::{
    Answer, BlockPage, ChainInfo, ChainList, CheckpointInfo, ConsistencyAnswer, GenesisInfo, HeaderAnswer, Health, Hex,
    NextNumber, PeerList, ProblemKind, QueryAnswer, QueryRequest, ReceiptAnswer, SimulationAnswer, StateAnswer,
    StatePage, StreamedEvent, SubmitRequest, TransactionAnswer, TransactionProofAnswer, U64,
};
use ledger_core::{AccountId, ChainId, ContractId, TransactionId};
use ledger_crypto::Digest;
use serde_json::{Map, Value, json};

/// What can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Operation {
    Live,
    Ready,
    Metrics,
    OpenApi,
    ListChains,
    ShowChain,
    Genesis,
    Submit,
    Status,
    Receipt,
    TransactionProof,
    EventProof,
    Block,
    Header,
    StateKey,
    StatePage,
    Checkpoint,
    Consistency,
    NextNumber,
    Simulate,
    Query,
    Events,
    Peers,
}

/// Where a parameter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Path,
    Query,
    Header,
}

/// A parameter.
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    pub(crate) place: Place,
    pub(crate) schema: fn() -> Value,
    pub(crate) required: bool,
    pub(crate) about: &'static str,
}

/// A type that takes part in the document.
#[derive(Clone, Copy)]
pub(crate) struct Body {
    pub(crate) schema: fn() -> Value,
    pub(crate) define: fn(&mut Map<String, Value>),
}

const fn body<T: Schema>() -> Body {
    Body { schema: T::schema, define: T::define }
}

/// What a route answers when all is well.
pub(crate) enum Answers {
    Json(Body),
    Text(&'static str),
    Stream(Body),
    Document,
}

/// A route.
pub(crate) struct Route {
    pub(crate) operation: Operation,
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) right: Right,
    pub(crate) about: &'static str,
    pub(crate) parameters: &'static [&'static Parameter],
    /// The JSON form of a body, where the route takes one; the other form is plain bytes.
    pub(crate) request: Option<Body>,
    pub(crate) answers: Answers,
    /// Problems beside those that every route has.
    pub(crate) problems: &'static [ProblemKind],
}

macro_rules! parameters {
    ($($constant:ident: $place:ident $name:literal, $required:literal, $schema:expr, $about:literal;)+) => {$(
        const $constant: &Parameter = &Parameter {
            name: $name,
            place: Place::$place,
            schema: $schema,
            required: $required,
            about: $about,
        };
    )+};
}

fn flag() -> Value {
    json!({"type": "boolean", "default": false})
}

fn answer_name() -> Value {
    json!({"type": "string", "enum": Answer::ALL.iter().map(|answer| answer.name()).collect::<Vec<_>>()})
}

fn text() -> Value {
    json!({"type": "string"})
}

fn state_key() -> Value {
    json!({"type": "string", "description": "bytes as lower-case hex, or `b64.` and bytes as unpadded base64url"})
}

fn stage() -> Value {
    json!({"type": "string", "enum": ["executed", "certified"], "default": "certified"})
}

parameters! {
    CHAIN: Path "chain", true, ChainId::schema, "the chain's id";
    ID: Path "id", true, TransactionId::schema, "the transaction's id";
    INDEX: Path "index", true, U64::schema, "the event's place among the transaction's events";
    HEIGHT: Path "height", true, text, "a height in decimal digits, or `latest`: the newest executed block";
    CONTRACT: Path "contract", true, ContractId::schema, "the contract's id";
    KEY: Path "key", true, state_key, "the state key, without its contract";
    ACCOUNT: Path "account", true, AccountId::schema, "the account's id";
    METHOD: Path "method", true, text, "the contract's method";
    WAIT: Query "wait", false, answer_name, "the answer to wait for";
    TIMEOUT: Query "timeout_ms", false, U64::schema, "how long to wait, in ms; more than the server's bound is cut to it";
    PROOF: Query "proof", false, flag, "whether to prove it, against the newest checkpoint";
    SEEN_SIZE: Query "seen_size", false, U64::schema, "the size of the history that the client has seen";
    SEEN_ROOT: Query "seen_root", false, Digest::schema, "the root of the history that the client has seen";
    AT_HEIGHT: Query "height", false, U64::schema, "the block after which to look; the newest one by default";
    FROM: Query "from", false, U64::schema, "the first item";
    LIMIT: Query "limit", false, U64::schema, "the most items; more than the server's bound is cut to it";
    ENCODED: Query "encoded", false, flag, "whether to give the whole block's canonical bytes as well";
    PREFIX: Query "prefix", false, Hex::schema, "what the keys begin with";
    AFTER: Query "after", false, Hex::schema, "the key to continue after";
    SIZE: Query "size", true, U64::schema, "the older history's size";
    ROOT: Query "root", true, Digest::schema, "the older history's root";
    LANE: Query "lane", false, U64::schema, "the stream; 0 by default";
    FROM_HEIGHT: Query "from", false, U64::schema, "the first block; the next one by default";
    STAGE: Query "stage", false, stage, "how far a block must have come to be told";
    OF_CONTRACT: Query "contract", false, ContractId::schema, "events of this contract only";
    TOPIC: Query "topic", false, text, "events of this topic only";
    LAST_EVENT: Header "last-event-id", false, text, "the id of the last message that was read: the stream goes on after it";
}

use ProblemKind as P;

const SUBMITTING: &[P] = &[
    P::UnknownChain,
    P::BodyTooLarge,
    P::UnsupportedMediaType,
    P::InvalidTransaction,
    P::TransactionRefused,
    P::TransactionDropped,
    P::OutcomeUnknown,
    P::ChainClosed,
];
const SIMULATING: &[P] = &[P::UnknownChain, P::BodyTooLarge, P::UnsupportedMediaType, P::InvalidTransaction];
const OF_TRANSACTION: &[P] = &[P::UnknownChain, P::UnknownTransaction, P::NotCertified, P::NotKept];

macro_rules! routes {
    ($($operation:ident, $method:ident $path:literal, $right:ident, $about:literal, [$($parameter:ident),*], $request:expr,
       $answers:expr, $problems:expr;)+) => {
        /// Every route.
        pub(crate) const ROUTES: &[Route] = &[$(Route {
            operation: Operation::$operation,
            method: Method::$method,
            path: $path,
            right: Right::$right,
            about: $about,
            parameters: &[$($parameter),*],
            request: $request,
            answers: $answers,
            problems: $problems,
        }),+];
    };
}

routes! {
    Live, GET "/health/live", Public, "Whether the server runs", [], None, Answers::Json(body::<Health>()), &[];
    Ready, GET "/health/ready", Public, "Whether every chain goes on; 503 when one has stopped",
        [], None, Answers::Json(body::<Health>()), &[];
    Metrics, GET "/metrics", Read, "Metrics in Prometheus' text format",
        [], None, Answers::Text("text/plain; version=0.0.4; charset=utf-8"), &[];
    OpenApi, GET "/openapi.json", Public, "This document", [], None, Answers::Document, &[];
    ListChains, GET "/v1/chains", Read, "The chains that are served",
        [], None, Answers::Json(body::<ChainList>()), &[];
    ShowChain, GET "/v1/chains/{chain}", Read, "A chain, and how far it has come",
        [CHAIN], None, Answers::Json(body::<ChainInfo>()), &[P::UnknownChain];
    Genesis, GET "/v1/chains/{chain}/genesis", Read, "The chain's genesis",
        [CHAIN], None, Answers::Json(body::<GenesisInfo>()), &[P::UnknownChain];
    Submit, POST "/v1/chains/{chain}/transactions", Submit,
        "Hands a signed transaction in. The same bytes may be handed in again at any time: they have one place. 200 with a \
         receipt, else 202. A wait that ends early doesn't say that the transaction failed: `complete` is false then",
        [CHAIN, WAIT, TIMEOUT], Some(body::<SubmitRequest>()), Answers::Json(body::<TransactionAnswer>()), SUBMITTING;
    Status, GET "/v1/chains/{chain}/transactions/{id}", ReadOrSubmit, "Where a transaction stands",
        [CHAIN, ID, WAIT, TIMEOUT], None, Answers::Json(body::<TransactionAnswer>()),
        &[P::UnknownChain, P::TransactionDropped, P::OutcomeUnknown];
    Receipt, GET "/v1/chains/{chain}/transactions/{id}/receipt", Read, "What became of a transaction",
        [CHAIN, ID, PROOF, SEEN_SIZE, SEEN_ROOT], None, Answers::Json(body::<ReceiptAnswer>()), OF_TRANSACTION;
    TransactionProof, GET "/v1/chains/{chain}/transactions/{id}/proof", Read, "Proves that a block holds the transaction",
        [CHAIN, ID, SEEN_SIZE, SEEN_ROOT], None, Answers::Json(body::<TransactionProofAnswer>()), OF_TRANSACTION;
    EventProof, GET "/v1/chains/{chain}/transactions/{id}/events/{index}", Read, "An event of a transaction, with its proof",
        [CHAIN, ID, INDEX, SEEN_SIZE, SEEN_ROOT], None, Answers::Json(body::<StreamedEvent>()), OF_TRANSACTION;
    Block, GET "/v1/chains/{chain}/blocks/{height}", Read, "A block and a page of its transactions",
        [CHAIN, HEIGHT, FROM, LIMIT, ENCODED], None, Answers::Json(body::<BlockPage>()),
        &[P::UnknownChain, P::UnknownBlock, P::NotKept, P::ResultTooLarge];
    Header, GET "/v1/chains/{chain}/headers/{height}", Read, "A block's header",
        [CHAIN, HEIGHT], None, Answers::Json(body::<HeaderAnswer>()), &[P::UnknownChain, P::UnknownBlock];
    StatePage, GET "/v1/chains/{chain}/state/{contract}", Read, "A contract's state, page by page",
        [CHAIN, CONTRACT, PREFIX, AFTER, LIMIT, AT_HEIGHT], None, Answers::Json(body::<StatePage>()),
        &[P::UnknownChain, P::UnknownBlock, P::NotKept, P::ResultTooLarge];
    StateKey, GET "/v1/chains/{chain}/state/{contract}/{key}", Read,
        "What a state key holds. With a proof it is the state of the newest checkpoint, so `height` can't be asked for",
        [CHAIN, CONTRACT, KEY, PROOF, SEEN_SIZE, SEEN_ROOT, AT_HEIGHT], None, Answers::Json(body::<StateAnswer>()),
        &[P::UnknownChain, P::UnknownBlock, P::NotKept, P::NotCertified];
    Checkpoint, GET "/v1/chains/{chain}/checkpoint", Read, "The newest checkpoint",
        [CHAIN, SEEN_SIZE, SEEN_ROOT], None, Answers::Json(body::<CheckpointInfo>()), &[P::UnknownChain];
    Consistency, GET "/v1/chains/{chain}/history/consistency", Read,
        "Proves that the newest checkpoint continues an older history. A root that was never this chain's gets a proof \
         that doesn't verify",
        [CHAIN, SIZE, ROOT], None, Answers::Json(body::<ConsistencyAnswer>()), &[P::UnknownChain];
    NextNumber, GET "/v1/chains/{chain}/accounts/{account}/next-number", ReadOrSubmit,
        "The number that comes next in a stream of an account, without counting transactions under way",
        [CHAIN, ACCOUNT, LANE], None, Answers::Json(body::<NextNumber>()), &[P::UnknownChain];
    Simulate, POST "/v1/chains/{chain}/simulations", ReadOrSubmit,
        "Says what would become of a signed transaction on the newest state, and what fuel it would use, whatever its own \
         limit; nothing is changed. Neither its signature nor its place in a stream is looked at, so it may be signed \
         anew with a limit that is better. The answer is this node's word, and holds as long as the state does",
        [CHAIN], Some(body::<SubmitRequest>()), Answers::Json(body::<SimulationAnswer>()), SIMULATING;
    Query, POST "/v1/chains/{chain}/contracts/{contract}/query/{method}", Read,
        "Calls a contract's reading method on the newest state. The answer is this node's word; no proof shows it",
        [CHAIN, CONTRACT, METHOD], Some(body::<QueryRequest>()), Answers::Json(body::<QueryAnswer>()),
        &[P::UnknownChain, P::BodyTooLarge, P::UnsupportedMediaType, P::QueryRefused];
    Events, GET "/v1/chains/{chain}/events", Read,
        "Events as they happen, as server-sent events. A message `event` is an event; a message `position` only moves the \
         id on; a message `end` holds the problem that ended the stream. The id is a height, a dot and a number in the \
         block: with it in `Last-Event-ID` the stream goes on behind it, without gap or repetition",
        [CHAIN, FROM_HEIGHT, LAST_EVENT, STAGE, OF_CONTRACT, TOPIC, PROOF], None,
        Answers::Stream(body::<StreamedEvent>()), &[P::UnknownChain, P::TooManyStreams];
    Peers, GET "/v1/chains/{chain}/peers", Admin, "The chain's peers",
        [CHAIN], None, Answers::Json(body::<PeerList>()), &[P::UnknownChain];
}
