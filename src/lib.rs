#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

#[cfg(feature = "http")]
pub use ledger_api as api;
#[cfg(feature = "http")]
pub use ledger_client as client;
pub use ledger_consensus as consensus;
pub use ledger_contracts as contracts;
pub use ledger_core as core;
pub use ledger_crypto as crypto;
pub use ledger_network as network;
pub use ledger_node as node;
pub use ledger_simulation as simulation;
pub use ledger_storage as storage;
pub use ledger_trace_page as trace_page;
pub use ledger_traceability as traceability;
