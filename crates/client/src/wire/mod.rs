//! The JSON that servers and clients of the API exchange.
//!
//! # How values travel
//! | value | JSON |
//! |---|---|
//! | digests, ids, public keys | lower-case hex, fixed length |
//! | state keys | lower-case hex ([`Hex`]) |
//! | other bytes | base64, the standard alphabet, padded ([`Base64`]) |
//! | 64-bit numbers: heights, times, fuel, numbers in a lane | a string of decimal digits ([`U64`]) |
//! | numbers of up to 32 bits | a JSON number |
//! | what isn't there | `null` |
//!
//! 64-bit numbers are strings because a JSON number is exact up to 2^53 only in most languages (RFC 8259, section 6).
//! Each type states its own [JSON schema](schema::Schema); the server's OpenAPI document is made of those.

mod problem;
pub mod schema;
mod types;
mod values;

pub use problem::{PROBLEM_PREFIX, Problem, ProblemKind};
pub use types::{
    Answer, BlockPage, ChainInfo, ChainList, CheckpointInfo, ConsistencyAnswer, EventInfo, GenesisInfo, HeaderAnswer,
    HeaderInfo, Health, HistoryInfo, NextNumber, PeerInfo, PeerList, Place, Proved, QueryAnswer, QueryRequest,
    ReceiptAnswer, ReceiptInfo, ReceiptStatus, SimulationAnswer, StateAnswer, StateEntry, StatePage, StreamedEvent,
    SubmitRequest, TransactionAnswer, TransactionInfo, TransactionProofAnswer,
};
pub use values::{Base64, Hex, U64};
