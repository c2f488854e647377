//! Between the log and the core: what is durable moves the vote guard before anyone hears of it.

use super::shell::Signal;
use crate::core::{Event, Stop, Token};
use ledger_consensus::SharedSigner;
use ledger_crypto::VotePosition;
use ledger_storage::log;
use std::sync::PoisonError;
use tokio::sync::mpsc;

/// A group of records, as the log is done with it.
pub(crate) struct Logged {
    pub(crate) token: Token,
    pub(crate) voted: Option<VotePosition>,
    pub(crate) outcome: log::Outcome,
}

/// Groups that are taken up together: one write of the guard covers them all.
const BATCH: usize = 256;

/// Passes on what the log has done, in its order, the guard moved before. Ends with the chain, or when log or guard fails.
pub(crate) async fn run(
    signer: Option<SharedSigner>,
    mut logged: mpsc::UnboundedReceiver<Logged>,
    signals: mpsc::UnboundedSender<Signal>,
) {
    let mut batch = Vec::new();
    while logged.recv_many(&mut batch, BATCH).await > 0 {
        let voted = batch.iter().take_while(|group| group.outcome.is_ok()).filter_map(|group| group.voted).max();
        let moved = match (voted, &signer) {
            (Some(position), Some(signer)) => move_guard(signer.clone(), position).await,
            _ => Ok(()),
        };
        let mut events = Vec::with_capacity(batch.len());
        let mut failed = moved.err();
        for Logged { token, outcome, .. } in batch.drain(..) {
            match outcome {
                Ok(positions) if failed.is_none() => events.push(Event::Persisted { token, positions }),
                Err(error) if failed.is_none() => failed = Some(error.to_string()),
                _ => {}
            }
        }
        // A chain that has ended needs no answer.
        let _ = signals.send(Signal::Events(events));
        if let Some(reason) = failed {
            let _ = signals.send(Signal::Stop(Stop::Log(reason)));
            return;
        }
    }
}

async fn move_guard(signer: SharedSigner, position: VotePosition) -> Result<(), String> {
    let advance = move || signer.lock().unwrap_or_else(PoisonError::into_inner).advance(position);
    match tokio::task::spawn_blocking(advance).await {
        Ok(moved) => moved.map_err(|error| error.to_string()),
        Err(error) => Err(format!("the guard's task ended: {error}")),
    }
}
