#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub use ledger_consensus as consensus;
pub use ledger_contracts as contracts;
pub use ledger_core as core;
pub use ledger_crypto as crypto;
pub use ledger_node as node;
pub use ledger_simulation as simulation;
pub use ledger_storage as storage;
pub use ledger_traceability as traceability;
