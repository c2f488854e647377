//! The faults that a run goes through.

/// A fault, or another interruption of a host's life. Each ends the life; where it strikes follows from the seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Power is cut at an I/O operation.
    CutAtOperation,
    /// Power is cut at some moment.
    CutAtTime,
    /// The process is killed at some moment; what it wrote stays in the operating system's cache.
    Kill,
    /// The host is closed properly: what was accepted must be certified before.
    Shutdown,
    /// A sync fails.
    FailSync,
    /// A write fails, part of it done.
    FailWrite,
    /// The disk runs full.
    FillDisk,
    /// The log's files are replaced by older copies.
    RestoreLog,
}

impl Fault {
    /// The counter that says how often it struck.
    #[must_use]
    pub fn counter(self) -> &'static str {
        match self {
            Fault::CutAtOperation => "crash: power cut at an I/O operation",
            Fault::CutAtTime => "crash: power cut between operations",
            Fault::Kill => "crash: process killed",
            Fault::Shutdown => "host closed properly",
            Fault::FailSync => "disk: sync failed",
            Fault::FailWrite => "disk: write failed",
            Fault::FillDisk => "disk: full",
            Fault::RestoreLog => "log replaced by an older copy",
        }
    }

    /// What it is called in a trace.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Fault::CutAtOperation => "cut at operation",
            Fault::CutAtTime => "cut at time",
            Fault::Kill => "kill",
            Fault::Shutdown => "shutdown",
            Fault::FailSync => "fail sync",
            Fault::FailWrite => "fail write",
            Fault::FillDisk => "fill disk",
            Fault::RestoreLog => "restore log",
        }
    }
}
