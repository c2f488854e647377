//! Errors for records that aren't what was written.

use std::fmt;

use ledger_core::StateError;

/// The error for a record of `table` at `key`.
pub(crate) fn damaged(table: &'static str, key: impl fmt::Debug, reason: impl fmt::Display) -> StateError {
    StateError::Damaged { place: format!("{table} {key:?}"), reason: reason.to_string() }
}
