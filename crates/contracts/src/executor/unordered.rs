//! The ids of unordered transactions, which are state: each is remembered until the transaction expires, so that it is
//! executed at most once, and then forgotten.
//!
//! A key holds expiry and id, so one look-up tells a replay, and what has expired is one range at the front. Nothing that
//! is forgotten can come again: block times never run back, and an expired transaction is rejected as such.

use crate::journal::Journal;
use ledger_core::{Action, Key, KeyRange, Order, SignedTransaction, StateError, StateView, Timestamp, TransactionId};

/// How many expired ids a block forgets at the most, besides two for every unordered transaction that it has. Blocks
/// without transactions forget none, so that they change no state.
pub const FORGOTTEN_AT_LEAST: usize = 64;

/// Where the id is remembered; `None` for transactions that have a lane, or never expire.
pub(super) fn key(signed: &SignedTransaction, id: &TransactionId) -> Option<Key> {
    let transaction = &signed.transaction;
    match (transaction.order, transaction.expires_at) {
        (Order::Unordered, Some(expires_at)) => Some(match &transaction.action {
            // What endorsers have signed counts once, however their signatures are put together.
            Action::Commit { .. } => Key::unordered(expires_at, &TransactionId(transaction.endorsed())),
            _ => Key::unordered(expires_at, id),
        }),
        _ => None,
    }
}

/// Forgets ids that have expired by the time of the block, the oldest first. Its work is in proportion to the block's:
/// more is forgotten than can be added, so they don't heap up.
pub(super) fn forget(
    transactions: &[SignedTransaction],
    now: Timestamp,
    state: &dyn StateView,
    journal: &mut Journal<'_>,
) -> Result<(), StateError> {
    if transactions.is_empty() {
        return Ok(());
    }
    let unordered = transactions.iter().filter(|signed| signed.transaction.order == Order::Unordered).count();
    for found in state.scan(&KeyRange::unordered_before(now)).take(FORGOTTEN_AT_LEAST + 2 * unordered) {
        journal.delete(found?.0);
    }
    Ok(())
}
