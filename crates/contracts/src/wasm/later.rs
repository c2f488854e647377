//! Work that is done beside execution and changes no result: compiling what is interpreted meanwhile.
//!
//! The only place of this crate with a thread. Whether and when something is compiled differs from node to node, and shows in
//! nothing but time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// How many things may wait. What finds no room is interpreted on, and asks again.
const MOST_WAITING: usize = 16;

type Work = Box<dyn FnOnce() + Send>;

/// A thread that does one thing after the other. It ends with the last handle.
pub(super) struct Later {
    queue: SyncSender<Work>,
}

impl Later {
    pub(super) fn new() -> Result<Later, String> {
        let (queue, waiting) = sync_channel(MOST_WAITING);
        let thread = std::thread::Builder::new().name("ledgerkit-compile".to_owned());
        // It isn't waited for: what it does then serves nobody any more.
        thread.spawn(move || run(&waiting)).map_err(|error| error.to_string())?;
        Ok(Later { queue })
    }

    /// Does `work` when its turn comes; `false` if there is no room for it.
    pub(super) fn ask(&self, work: impl FnOnce() + Send + 'static) -> bool {
        self.queue.try_send(Box::new(work)).is_ok()
    }
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
}
