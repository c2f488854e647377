//! The threads that execute the blocks of all chains.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

type Job = Box<dyn FnOnce() + Send>;

/// A few threads for all chains of a host: a chain has at most one block under execution, so what waits is bounded by
/// the number of chains, and they take turns. The threads end when the last handle is dropped.
#[derive(Clone)]
pub(crate) struct Pool {
    jobs: Sender<Job>,
}

impl Pool {
    pub(crate) fn spawn(threads: usize) -> std::io::Result<Self> {
        let (jobs, waiting) = channel();
        let waiting = Arc::new(Mutex::new(waiting));
        for number in 0..threads.max(1) {
            let waiting = Arc::clone(&waiting);
            std::thread::Builder::new().name(format!("execute-{number}")).spawn(move || work(&waiting))?;
        }
        Ok(Pool { jobs })
    }

    /// Runs `job` once, after those that came before. A job tells its chain how it ended, panics included.
    pub(crate) fn run(&self, job: impl FnOnce() + Send + 'static) {
        // The threads live as long as this handle does.
        drop(self.jobs.send(Box::new(job)));
    }
}

fn work(waiting: &Mutex<Receiver<Job>>) {
    loop {
        let job = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        // One that panics all the same must not take the thread from the other chains.
        drop(catch_unwind(AssertUnwindSafe(job)));
    }
}
