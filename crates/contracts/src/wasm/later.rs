//! Work that is done beside execution and changes no result: compiling what is interpreted meanwhile.
//!
//! The only place of this crate with a thread and a clock. Whether and when something is compiled differs from node to node, and
//! shows in nothing but time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// How many things may wait. What finds no room is interpreted on, and asks again.
const MOST_WAITING: usize = 16;

/// How long one waits for a thing: more than reading compiled code from a disk takes.
const MOST_WAIT: Duration = Duration::from_millis(25);
/// How long all wait together: whoever has had many modules compiled could make a block wait for each of them.
const MOST_WAIT_IN_ALL: Duration = Duration::from_millis(500);

type Work = Box<dyn FnOnce() + Send>;

/// A thread that does one thing after the other. It ends with the last handle.
pub(super) struct Later {
    queue: SyncSender<Work>,
    /// How many µs may still be waited.
    patience: AtomicU64,
}

impl Later {
    pub(super) fn new() -> Result<Later, String> {
        let (queue, waiting) = sync_channel(MOST_WAITING);
        let thread = std::thread::Builder::new().name("ledgerkit-compile".to_owned());
        // It isn't waited for: what it does then serves nobody any more.
        thread.spawn(move || run(&waiting)).map_err(|error| error.to_string())?;
        Ok(Later { queue, patience: AtomicU64::new(micros(MOST_WAIT_IN_ALL)) })
    }

    /// Does `work` when its turn comes; `false` if there is no room for it.
    pub(super) fn ask(&self, work: impl FnOnce() + Send + 'static) -> bool {
        self.queue.try_send(Box::new(work)).is_ok()
    }

    /// The same, and waits a while for its end.
    pub(super) fn ask_and_wait(&self, work: impl FnOnce() + Send + 'static) -> bool {
        let (done, end) = sync_channel(1);
        let taken = self.ask(move || {
            work();
            // If nobody waits any more, nobody needs to know.
            let _ = done.send(());
        });
        let left = Duration::from_micros(self.patience.load(Ordering::Relaxed));
        if taken && !left.is_zero() {
            let start = Instant::now();
            let _ = end.recv_timeout(left.min(MOST_WAIT));
            let waited = micros(start.elapsed());
            // It only counts, and two at once may wait for the same time.
            let less = |left: u64| Some(left.saturating_sub(waited));
            let _ = self.patience.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        }
        taken
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn run(waiting: &Receiver<Work>) {
    while let Ok(work) = waiting.recv() {
        // A compiler that panics has compiled nothing, and goes on with the next: no work shares anything with another.
        let _ = catch_unwind(AssertUnwindSafe(work));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn what_finds_no_room_is_told_so_and_a_panic_ends_nothing() {
        let later = Later::new().unwrap();
        let (go, gone) = channel::<()>();
        let (began, begun) = channel();
        assert!(later.ask(move || {
            began.send(()).unwrap();
            gone.recv().unwrap();
            panic!("a compiler's");
        }));
        begun.recv().unwrap();
        let (done, all) = channel();
        for _ in 0..MOST_WAITING {
            let done = done.clone();
            assert!(later.ask(move || done.send(()).unwrap()));
        }
        assert!(!later.ask(|| ()));
        go.send(()).unwrap();
        for _ in 0..MOST_WAITING {
            all.recv().unwrap();
        }
        assert!(later.ask(|| ()));
    }

    #[test]
    fn who_waits_does_so_for_a_bounded_time() {
        let later = Later::new().unwrap();
        let (done, all) = channel();
        let quick = done.clone();
        assert!(later.ask_and_wait(move || quick.send(1).unwrap()));
        assert_eq!(all.recv().unwrap(), 1);
        // One that doesn't end holds up for a while, and that is taken from what there is.
        let before = later.patience.load(Ordering::Relaxed);
        let (go, gone) = channel::<()>();
        assert!(later.ask_and_wait(move || gone.recv().unwrap()));
        let left = later.patience.load(Ordering::Relaxed);
        assert!(left + micros(MOST_WAIT) <= before, "{before} {left}");
        // With nothing left nobody waits: the thread is still held up.
        later.patience.store(0, Ordering::Relaxed);
        assert!(later.ask_and_wait(move || done.send(2).unwrap()));
        assert!(all.try_recv().is_err());
        go.send(()).unwrap();
        assert_eq!(all.recv().unwrap(), 2);
    }
}
