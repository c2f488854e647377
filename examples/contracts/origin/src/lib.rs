//! The traceability contract of `examples/chain_of_origin` as a module: `ledger_traceability`'s native contract, from the same
//! source.

use ledger_traceability::contract::Traceability;

ledger_contract_guest::native_contract! {
    /// Supply-chain events, the items they name, and what a trace consists of.
    pub contract CONTRACT = "traceability", Traceability::default() => { "record", "trace", "items" }
}
