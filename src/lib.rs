//! ledgerkit: reusable libraries for ledgers.
#![forbid(unsafe_code)]
