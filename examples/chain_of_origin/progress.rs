//! A progress bar for terminals; nothing where nobody looks.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

const WIDTH: usize = 30;
const BETWEEN: Duration = Duration::from_millis(80);

/// How much of the documents was loaded, drawn on standard error.
pub(crate) struct Progress {
    shown: bool,
    total: u64,
    drawn: Option<Instant>,
    started: Instant,
}

impl Progress {
    /// A bar for `total` bytes of documents.
    pub(crate) fn new(total: u64) -> Self {
        Self { shown: std::io::stderr().is_terminal(), total, drawn: None, started: Instant::now() }
    }

    /// Draws, unless that was done a moment ago: `done` bytes of documents are loaded, `events` events are final.
    pub(crate) fn show(&mut self, done: u64, events: u64) {
        if self.shown && self.drawn.is_none_or(|drawn| drawn.elapsed() >= BETWEEN) {
            self.draw(done, events);
        }
    }

    fn draw(&mut self, done: u64, events: u64) {
        self.drawn = Some(Instant::now());
        let whole = u128::from(self.total.max(1));
        let part = usize::try_from(u128::from(done).min(whole) * WIDTH as u128 / whole).unwrap_or(WIDTH);
        let percent = u128::from(done).min(whole) * 100 / whole;
        let seconds = self.started.elapsed().as_secs_f64().max(0.001);
        let rate = events as f64 / seconds;
        let bar = format!("{}{}", "=".repeat(part), " ".repeat(WIDTH.saturating_sub(part)));
        // A bar that can't be drawn is no reason to stop.
        let _ = write!(std::io::stderr(), "\r[{bar}] {percent:>3} %  {events} events final, {rate:.0}/s ");
    }

    /// Takes the bar away, so that a line can be written in its place.
    pub(crate) fn clear(&self) {
        if self.drawn.is_some() {
            let _ = write!(std::io::stderr(), "\r{}\r", " ".repeat(WIDTH + 50));
        }
    }
}
