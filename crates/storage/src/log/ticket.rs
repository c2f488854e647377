//! A promise of durability: handed out at once, kept when the group is synced.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::{LogError, LogPosition};

/// What a ticket ends with: the records' positions in the order submitted, or why they are not known to be durable.
pub type Outcome = Result<Arc<[LogPosition]>, LogError>;

type Callback = Box<dyn FnOnce(Outcome) + Send>;

/// Completes when the records of one submit are durable together, or the log has failed. Clones share one outcome.
#[derive(Clone)]
pub struct Ticket {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    done: Condvar,
}

#[derive(Default)]
struct State {
    outcome: Option<Outcome>,
    callbacks: Vec<Callback>,
    /// Threads that wait: waking nobody would be a system call for every submit.
    waiting: usize,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing runs under this lock that can leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    /// Whether the outcome is known.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.shared.state().outcome.is_some()
    }

    /// The outcome, once known.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        self.shared.state().outcome.clone()
    }

    /// Blocks the thread until the outcome is known. Whoever drives [`Log::flush`](super::Log::flush) in the same thread
    /// asks for [`outcome`](Self::outcome) instead.
    ///
    /// # Errors
    /// Why the records are not known to be durable.
    pub fn wait(&self) -> Outcome {
        let mut state = self.shared.state();
        loop {
            if let Some(outcome) = &state.outcome {
                return outcome.clone();
            }
            state.waiting += 1;
            state = self.shared.done.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
        }
    }

    /// Calls `callback` once, when the outcome is known: at once in this thread, or later in the one that syncs the log,
    /// which it must not hold up.
    pub fn on_done(&self, callback: impl FnOnce(Outcome) + Send + 'static) {
        let mut state = self.shared.state();
        if let Some(outcome) = state.outcome.clone() {
            drop(state);
            callback(outcome);
        } else {
            state.callbacks.push(Box::new(callback));
        }
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Ticket").field("outcome", &self.outcome()).finish()
    }
}

/// The log's side of a ticket. Dropping it unkept completes the ticket with [`LogError::Closed`]: nobody waits for ever.
pub(super) struct Promise {
    shared: Option<Arc<Shared>>,
}

impl Promise {
    pub(super) fn new() -> (Self, Ticket) {
        let shared = Arc::new(Shared { state: Mutex::default(), done: Condvar::new() });
        (Self { shared: Some(Arc::clone(&shared)) }, Ticket { shared })
    }

    pub(super) fn complete(mut self, outcome: Outcome) {
        self.finish(outcome);
    }

    fn finish(&mut self, outcome: Outcome) {
        let Some(shared) = self.shared.take() else { return };
        let (callbacks, waiting) = {
            let mut state = shared.state();
            state.outcome = Some(outcome.clone());
            (std::mem::take(&mut state.callbacks), state.waiting)
        };
        if waiting > 0 {
            shared.done.notify_all();
        }
        for callback in callbacks {
            callback(outcome.clone());
        }
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.finish(Err(LogError::Closed));
    }
}

impl fmt::Debug for Promise {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Promise")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn every_way_of_waiting_sees_one_outcome() {
        let (promise, ticket) = Promise::new();
        let (sender, receiver) = mpsc::channel();
        ticket.on_done(move |outcome| sender.send(outcome.unwrap().len()).unwrap());
        assert!(!ticket.is_done());
        let waiting = std::thread::spawn({
            let ticket = ticket.clone();
            move || ticket.wait().unwrap().len()
        });
        promise.complete(Ok(Arc::from([LogPosition::START])));
        assert_eq!(waiting.join().unwrap(), 1);
        assert_eq!(receiver.recv().unwrap(), 1);
        let (sender, receiver) = mpsc::channel();
        ticket.on_done(move |outcome| sender.send(outcome.unwrap().len()).unwrap());
        assert_eq!(receiver.recv().unwrap(), 1);
    }

    #[test]
    fn an_abandoned_promise_fails_its_ticket() {
        let (promise, ticket) = Promise::new();
        drop(promise);
        assert!(matches!(ticket.wait(), Err(LogError::Closed)));
    }
}
