//! The thread that flushes a log: one sync for all that came in during the one before.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::queue::Queue;
use super::ticket::Promise;
use super::writer::Writer;
use super::{Log, LogEnd, LogError, LogPosition, LogReader, Record, Ticket};

/// A log with a thread of its own. Any thread submits; dropping it closes the log.
pub struct LogWriter {
    inbox: Arc<Inbox>,
    reader: LogReader,
    thread: Option<JoinHandle<()>>,
}

struct Inbox {
    state: Mutex<State>,
    /// Something came in.
    work: Condvar,
    /// The queue was emptied, or the log stopped.
    room: Condvar,
}

struct State {
    queue: Queue,
    /// Who waits for the segments below a number to be gone. Numbers lie within the log, which bounds how many there are.
    removals: BTreeMap<u64, (Promise, Ticket)>,
    closing: bool,
    /// Whether the thread waits for work: to wake it while it writes would be a system call for nothing.
    idle: bool,
    /// Submitters that wait for room.
    blocked: usize,
    /// Why nothing more is taken, once the thread has ended.
    ended: Option<LogError>,
}

impl Inbox {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends a change that gave the thread something to do.
    fn has_work(&self, mut state: MutexGuard<'_, State>) {
        let idle = std::mem::take(&mut state.idle);
        drop(state);
        if idle {
            self.work.notify_one();
        }
    }

    /// Ends a change that may let submitters go on.
    fn has_room(&self, state: MutexGuard<'_, State>) {
        let blocked = state.blocked;
        drop(state);
        if blocked > 0 {
            self.room.notify_all();
        }
    }
}

impl State {
    fn check(&self) -> Result<(), LogError> {
        match &self.ended {
            Some(error) => Err(error.clone()),
            None if self.closing => Err(LogError::Closed),
            None => Ok(()),
        }
    }
}

impl LogWriter {
    /// A sensible `seal_after`: an idle log is sealed within a second.
    pub const SEAL_AFTER: Duration = Duration::from_secs(1);

    /// Starts the thread. After `seal_after` without work it seals the log (see [`Log::seal`]).
    ///
    /// # Errors
    /// [`LogError::Thread`] when the system refuses a thread.
    pub fn spawn(log: Log, seal_after: Duration) -> Result<Self, LogError> {
        let reader = log.reader();
        let Log { queue, mut writer, .. } = log;
        writer.work_ahead();
        let state = State { queue, removals: BTreeMap::new(), closing: false, idle: false, blocked: 0, ended: None };
        let inbox = Arc::new(Inbox { state: Mutex::new(state), work: Condvar::new(), room: Condvar::new() });
        let thread = std::thread::Builder::new()
            .name("log".to_owned())
            .spawn({
                let inbox = Arc::clone(&inbox);
                move || run(&inbox, writer, seal_after)
            })
            .map_err(|error: io::Error| LogError::Thread { source: Arc::new(error) })?;
        Ok(Self { inbox, reader, thread: Some(thread) })
    }

    /// Queues records that become durable together or not at all, in the order that [`Log::submit`] promises.
    ///
    /// # Errors
    /// [`LogError::Busy`] and [`LogError::TooLarge`] at the queue's bounds; [`LogError::Stopped`] after a failure.
    pub fn submit(&self, records: Vec<Record>) -> Result<Ticket, LogError> {
        let mut state = self.inbox.state();
        state.check()?;
        let ticket = state.queue.push(records)?;
        self.inbox.has_work(state);
        Ok(ticket)
    }

    /// As [`submit`](Self::submit), but blocks the thread while there is no room for it.
    ///
    /// # Errors
    /// [`LogError::TooLarge`] and [`LogError::Stopped`].
    pub fn submit_blocking(&self, records: Vec<Record>) -> Result<Ticket, LogError> {
        let mut state = self.inbox.state();
        loop {
            state.check()?;
            match state.queue.admit(&records) {
                Err(LogError::Busy { .. }) => {
                    state.blocked += 1;
                    state = self.inbox.room.wait(state).unwrap_or_else(PoisonError::into_inner);
                    state.blocked -= 1;
                }
                Err(error) => return Err(error),
                Ok(()) => break,
            }
        }
        let ticket = state.queue.push(records)?;
        self.inbox.has_work(state);
        Ok(ticket)
    }

    /// Asks for the segments before `position`'s to be removed (see [`Log::remove_before`]). The ticket completes, without
    /// positions, when their names are durably gone, and fails with [`LogError::Closed`] when the log is closed first.
    ///
    /// Commits go on meanwhile: between two groups at most one segment is removed, at the cost of one sync of the folder.
    ///
    /// # Errors
    /// [`LogError::Stopped`] after a failure.
    pub fn remove_before(&self, position: LogPosition) -> Result<Ticket, LogError> {
        let below = position.segment.min(self.reader.end().segment);
        let mut state = self.inbox.state();
        state.check()?;
        let (_, ticket) = state.removals.entry(below).or_insert_with(Promise::new);
        let ticket = ticket.clone();
        self.inbox.has_work(state);
        Ok(ticket)
    }

    /// A handle for reading what is durable.
    #[must_use]
    pub fn reader(&self) -> LogReader {
        self.reader.clone()
    }

    /// Makes everything submitted durable, seals the log and ends the thread.
    ///
    /// # Errors
    /// The error at which the log stopped.
    pub fn close(mut self) -> Result<LogEnd, LogError> {
        self.end_thread();
        match self.inbox.state().ended.clone() {
            Some(LogError::Closed) | None => Ok(self.reader.end()),
            Some(error) => Err(error),
        }
    }

    fn end_thread(&mut self) {
        let mut state = self.inbox.state();
        state.closing = true;
        self.inbox.has_work(state);
        self.inbox.has_room(self.inbox.state());
        if let Some(thread) = self.thread.take() {
            // A panic there (a ticket's callback's) has ended the log already, as `Ending` tells everyone.
            drop(thread.join());
        }
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        self.end_thread();
    }
}

impl fmt::Debug for LogWriter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("LogWriter").field("reader", &self.reader).finish_non_exhaustive()
    }
}

/// However the thread ends, also by a panic, nobody is left waiting for it.
struct Ending<'a> {
    inbox: &'a Inbox,
    error: LogError,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        let mut state = self.inbox.state();
        state.ended = Some(self.error.clone());
        let waiting = state.queue.take_all();
        let removals = std::mem::take(&mut state.removals);
        self.inbox.has_room(state);
        let removals = removals.into_values().map(|(promise, _)| promise);
        for promise in waiting.into_iter().map(|submission| submission.promise).chain(removals) {
            promise.complete(Err(self.error.clone()));
        }
    }
}

fn run(inbox: &Inbox, mut writer: Writer, seal_after: Duration) {
    // What is told unless this comes to its end: what was submitted isn't durable then, and the log isn't sealed.
    let error = LogError::Stopped { first: Arc::new(LogError::Panicked) };
    let mut ending = Ending { inbox, error };
    ending.error = flush_until_closed(inbox, &mut writer, seal_after).err().unwrap_or(LogError::Closed);
}

/// A group with records of so many chains is followed by a pause: there will be as many in the next.
const MANY: usize = 4;

/// How long that is.
const GATHER: Duration = Duration::from_millis(2);

fn flush_until_closed(inbox: &Inbox, writer: &mut Writer, seal_after: Duration) -> Result<(), LogError> {
    let mut many = false;
    loop {
        let mut state = inbox.state();
        if std::mem::take(&mut many) && !state.closing && !state.queue.exceeds_group() {
            drop(state);
            std::thread::sleep(GATHER);
            state = inbox.state();
        }
        let mut idle = false;
        while state.queue.is_empty() && state.removals.is_empty() && !state.closing && !idle {
            state.idle = true;
            if writer.is_sealed() {
                state = inbox.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            } else {
                let (woken, timeout) =
                    inbox.work.wait_timeout(state, seal_after).unwrap_or_else(PoisonError::into_inner);
                state = woken;
                idle = timeout.timed_out();
            }
        }
        state.idle = false;
        many = state.queue.chains() >= MANY;
        let submissions = state.queue.take_group();
        let remove_below = state.removals.last_key_value().map(|(below, _)| *below);
        let closing = state.closing;
        inbox.has_room(state);
        if !submissions.is_empty() {
            writer.write(submissions)?;
        } else if closing || idle {
            writer.seal()?;
        }
        if let Some(below) = remove_below.filter(|_| !closing) {
            remove_one(inbox, writer, below)?;
        }
        if closing && inbox.state().queue.is_empty() {
            writer.seal()?;
            writer.trim();
            return Ok(());
        }
    }
}

/// Removes one segment below `below`, and tells those who wait for no more than what is gone now.
fn remove_one(inbox: &Inbox, writer: &mut Writer, below: u64) -> Result<(), LogError> {
    writer.remove_first(below)?;
    let first = writer.shared.state().first();
    let mut state = inbox.state();
    let later = state.removals.split_off(&(first + 1));
    let done = std::mem::replace(&mut state.removals, later);
    drop(state);
    for (promise, _) in done.into_values() {
        promise.complete(Ok(Arc::from([])));
    }
    Ok(())
}
