//! The thread that flushes a log: one sync for all that came in during the one before.

use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::queue::Queue;
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
    remove_before: Option<LogPosition>,
    closing: bool,
    /// Why nothing more is taken, once the thread has ended.
    ended: Option<LogError>,
}

impl Inbox {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
        let Log { queue, writer, .. } = log;
        let state = State { queue, remove_before: None, closing: false, ended: None };
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

    /// Queues records that become durable together or not at all, and after everything submitted before.
    ///
    /// # Errors
    /// [`LogError::Busy`] and [`LogError::TooLarge`] at the queue's bound; [`LogError::Stopped`] after a failure.
    pub fn submit(&self, records: Vec<Record>) -> Result<Ticket, LogError> {
        let mut state = self.inbox.state();
        state.check()?;
        let ticket = state.queue.push(records)?;
        drop(state);
        self.inbox.work.notify_one();
        Ok(ticket)
    }

    /// As [`submit`](Self::submit), but blocks the thread while the queue is full.
    ///
    /// # Errors
    /// [`LogError::TooLarge`] and [`LogError::Stopped`].
    pub fn submit_blocking(&self, records: Vec<Record>) -> Result<Ticket, LogError> {
        let mut state = self.inbox.state();
        loop {
            state.check()?;
            match state.queue.admit(&records) {
                Err(LogError::Busy { .. }) => {
                    state = self.inbox.room.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                Err(error) => return Err(error),
                Ok(()) => break,
            }
        }
        let ticket = state.queue.push(records)?;
        drop(state);
        self.inbox.work.notify_one();
        Ok(ticket)
    }

    /// Asks for the segments before `position`'s to be removed, between two groups (see [`Log::remove_before`]).
    pub fn remove_before(&self, position: LogPosition) {
        let mut state = self.inbox.state();
        state.remove_before = state.remove_before.max(Some(position));
        drop(state);
        self.inbox.work.notify_one();
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
        self.inbox.state().closing = true;
        self.inbox.work.notify_one();
        self.inbox.room.notify_all();
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
        let waiting = state.queue.take();
        drop(state);
        self.inbox.room.notify_all();
        for submission in waiting {
            submission.promise.complete(Err(self.error.clone()));
        }
    }
}

fn run(inbox: &Inbox, mut writer: Writer, seal_after: Duration) {
    let mut ending = Ending { inbox, error: LogError::Closed };
    if let Err(error) = flush_until_closed(inbox, &mut writer, seal_after) {
        ending.error = error;
    }
}

fn flush_until_closed(inbox: &Inbox, writer: &mut Writer, seal_after: Duration) -> Result<(), LogError> {
    loop {
        let mut state = inbox.state();
        let mut idle = false;
        while state.queue.is_empty() && state.remove_before.is_none() && !state.closing && !idle {
            if writer.is_sealed() {
                state = inbox.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            } else {
                let (woken, timeout) =
                    inbox.work.wait_timeout(state, seal_after).unwrap_or_else(PoisonError::into_inner);
                state = woken;
                idle = timeout.timed_out();
            }
        }
        let submissions = state.queue.take();
        let remove_before = state.remove_before.take();
        let closing = state.closing;
        drop(state);
        inbox.room.notify_all();
        if !submissions.is_empty() {
            writer.write(submissions)?;
        } else if closing || idle {
            writer.seal()?;
        }
        if let Some(position) = remove_before {
            writer.remove_before(position)?;
        }
        if closing && inbox.state().queue.is_empty() {
            return writer.seal();
        }
    }
}
