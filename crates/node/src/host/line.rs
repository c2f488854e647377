//! Whose block is next while many chains of a host have one to make.
//!
//! A block costs its host as much as several transactions, however few it holds. So once as many chains as it takes to keep
//! the processors and the disk busy have a block under way, the others line up: what comes in for them while they wait
//! goes into the same block, and an outcome that is only waiting to be committed to is committed to by that block and
//! not by an empty one. The longer the line, the larger the blocks; where there is none, nobody waits.

use crate::chain::shell::Signal;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::SendError;

/// The line of a host's chains. A chain stands in it once at most, so it is bounded by their number.
#[derive(Clone)]
pub(crate) struct BlockLine {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// How many wait, to be asked without the lock.
    waiting: AtomicUsize,
}

struct State {
    /// Passes that nobody holds.
    free: usize,
    waiting: VecDeque<mpsc::UnboundedSender<Signal>>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Every change under this lock leaves the state whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to make blocks, until it is dropped: then it is the next chain's, wherever it was dropped.
pub(crate) struct Pass {
    /// None in one that was handed on.
    shared: Option<Arc<Shared>>,
}

impl BlockLine {
    /// A line with so many passes.
    pub(crate) fn new(passes: usize) -> Self {
        let state = Mutex::new(State { free: passes.max(1), waiting: VecDeque::new() });
        BlockLine { shared: Arc::new(Shared { state, waiting: AtomicUsize::new(0) }) }
    }

    /// A pass, if one is free. If not, the chain stands in line, and is sent [`Signal::Turn`] when it is its turn.
    pub(crate) fn enter(&self, chain: &mpsc::UnboundedSender<Signal>) -> Option<Pass> {
        let mut state = self.shared.state();
        if let Some(free) = state.free.checked_sub(1) {
            state.free = free;
            return Some(Pass { shared: Some(Arc::clone(&self.shared)) });
        }
        state.waiting.push_back(chain.clone());
        self.shared.waiting.store(state.waiting.len(), Ordering::Relaxed);
        None
    }

    /// Whether anybody waits.
    pub(crate) fn is_long(&self) -> bool {
        self.shared.waiting.load(Ordering::Relaxed) > 0
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let Some(shared) = self.shared.take() else { return };
        loop {
            let next = {
                let mut state = shared.state();
                let next = state.waiting.pop_front();
                shared.waiting.store(state.waiting.len(), Ordering::Relaxed);
                match next {
                    Some(next) => next,
                    None => return state.free += 1,
                }
            };
            // A chain that has ended gives its turn back, which is then the next one's.
            match next.send(Signal::Turn(Pass { shared: Some(Arc::clone(&shared)) })) {
                Err(SendError(Signal::Turn(mut back))) => back.shared = None,
                _ => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Chain = (mpsc::UnboundedSender<Signal>, mpsc::UnboundedReceiver<Signal>);

    fn chain() -> Chain {
        mpsc::unbounded_channel()
    }

    fn turn(chain: &mut Chain) -> Option<Pass> {
        match chain.1.try_recv() {
            Ok(Signal::Turn(pass)) => Some(pass),
            _ => None,
        }
    }

    #[test]
    fn passes_go_to_those_who_came_first() {
        let line = BlockLine::new(2);
        let (mut third, mut fourth) = (chain(), chain());
        let first = line.enter(&chain().0);
        let second = line.enter(&chain().0);
        assert!(first.is_some() && second.is_some() && !line.is_long());
        assert!(line.enter(&third.0).is_none() && line.enter(&fourth.0).is_none() && line.is_long());
        drop(second);
        let given = turn(&mut third);
        assert!(given.is_some() && turn(&mut fourth).is_none() && line.is_long());
        drop(given);
        let given = turn(&mut fourth);
        assert!(given.is_some() && !line.is_long());
        drop((first, given));
        assert!(line.enter(&third.0).is_some());
    }

    #[test]
    fn chains_that_have_ended_are_passed_over() {
        let line = BlockLine::new(1);
        let first = line.enter(&chain().0);
        for _ in 0..100_000 {
            assert!(line.enter(&chain().0).is_none());
        }
        let mut last = chain();
        assert!(line.enter(&last.0).is_none());
        drop(first);
        let given = turn(&mut last);
        assert!(given.is_some() && !line.is_long());
        // One that ends before it has seen that it is its turn gives it back.
        let gone = chain();
        assert!(line.enter(&gone.0).is_none() && line.enter(&last.0).is_none());
        drop(given);
        drop(gone);
        assert!(turn(&mut last).is_some());
    }
}
