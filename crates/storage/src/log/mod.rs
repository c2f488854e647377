//! The append-only log of a host: the records of all its chains, durable in groups.

mod config;
mod error;
mod format;
mod queue;
mod reader;
mod record;
mod recovery;
mod scan;
mod segments;
mod thread;
mod ticket;
mod writer;

pub use config::LogConfig;
pub use error::LogError;
pub use reader::{LogReader, Records};
pub use record::{LogEnd, LogId, LogPosition, Record, RecordKind};
pub use recovery::{Recovery, TornTail};
pub use thread::LogWriter;
pub use ticket::{Outcome, Ticket};
pub use writer::{Flushed, Log, LogCounters};
