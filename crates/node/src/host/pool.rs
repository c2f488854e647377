//! The threads that execute the blocks of all chains.

use ledger_contracts::EXECUTION_STACK_BYTES;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Barrier, Mutex, PoisonError};

type Job = Box<dyn FnOnce() + Send>;

/// A few threads for all chains of a host: a chain has at most one block under execution, so what waits is bounded by
/// the number of chains, and they take turns. The threads end when the last handle is dropped.
#[derive(Clone)]
pub(crate) struct Pool {
    jobs: Sender<Job>,
    waiting: Arc<AtomicUsize>,
    threads: usize,
}

/// Jobs that wait for each thread when it counts as busy.
const BUSY: usize = 4;

impl Pool {
    pub(crate) fn spawn(threads: usize) -> std::io::Result<Self> {
        let (jobs, queue) = channel();
        let (queue, threads) = (Arc::new(Mutex::new(queue)), threads.max(1));
        for number in 0..threads {
            let queue = Arc::clone(&queue);
            // The default depends on the environment; a stack that is too small ends the process, on this node alone.
            let thread =
                std::thread::Builder::new().name(format!("execute-{number}")).stack_size(EXECUTION_STACK_BYTES);
            thread.spawn(move || work(&queue))?;
        }
        Ok(Pool { jobs, waiting: Arc::default(), threads })
    }

    /// Runs `job` once, after those that came before. A job tells its chain how it ended, panics included.
    pub(crate) fn run(&self, job: impl FnOnce() + Send + 'static) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let waiting = Arc::clone(&self.waiting);
        // The threads live as long as this handle does.
        drop(self.jobs.send(Box::new(move || {
            waiting.fetch_sub(1, Ordering::Relaxed);
            job();
        })));
    }

    /// Blocks until every job that was handed in before has ended and let go of what it held.
    pub(crate) fn drain(&self) {
        let barrier = Arc::new(Barrier::new(self.threads + 1));
        for _ in 0..self.threads {
            let barrier = Arc::clone(&barrier);
            self.run(move || _ = barrier.wait());
        }
        barrier.wait();
    }

    /// Whether more waits than the threads take up soon: then a chain gains nothing by small blocks.
    pub(crate) fn is_busy(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > BUSY * self.threads
    }
}

fn work(queue: &Mutex<Receiver<Job>>) {
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        // One that panics all the same must not take the thread from the other chains.
        drop(catch_unwind(AssertUnwindSafe(job)));
    }
}
