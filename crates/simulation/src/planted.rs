//! Bugs that tests put into the world's shell, to see whether the laws would catch such a one in a real shell.

/// A wrong way of carrying out a core's effects. None is ever there unless a scenario plants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PlantedBug {
    /// Records are reported durable when they were handed to the log, before it has synced them.
    AcknowledgesUnsynced,
    /// The certificate is kept back from the log.
    LogsNoCertificate,
    /// The vote guard isn't moved when a vote is durable.
    LeavesTheGuard,
    /// Signatures aren't checked.
    ChecksNoSignature,
    /// Restart takes the views as they are and doesn't replay the log.
    SkipsReplay,
    /// Execution loses the last write of every block.
    LosesAWrite,
    /// An engine that starts again gets its votes back, but not the certificates and blocks beside them.
    ForgetsRecords,
    /// Segments are removed from a log before what they said is written into its start.
    RemovesBeforeStart,
    /// The views aren't synced before the log is cut behind them.
    CutsUnsynced,
    /// What of an engine's records the start of a cut log keeps is lost at a restart.
    LosesKeptRecords,
    /// A block is executed on the state that is stored, without what the block before it wrote and isn't stored yet.
    ExecutesOnStored,
}

impl PlantedBug {
    /// Those that a network's laws catch.
    pub const NETWORK: [PlantedBug; 7] = [
        PlantedBug::AcknowledgesUnsynced,
        PlantedBug::LogsNoCertificate,
        PlantedBug::LeavesTheGuard,
        PlantedBug::ChecksNoSignature,
        PlantedBug::LosesAWrite,
        PlantedBug::ForgetsRecords,
        PlantedBug::ExecutesOnStored,
    ];

    /// Those that the laws of a host with one owner catch where its log is cut.
    pub const CUTTING: [PlantedBug; 2] = [PlantedBug::RemovesBeforeStart, PlantedBug::CutsUnsynced];

    /// Those that a network's laws catch where logs are cut.
    pub const CUTTING_NETWORK: [PlantedBug; 3] =
        [PlantedBug::RemovesBeforeStart, PlantedBug::CutsUnsynced, PlantedBug::LosesKeptRecords];

    /// Those that the laws of a host with one owner catch.
    pub const ALL: [PlantedBug; 7] = [
        PlantedBug::AcknowledgesUnsynced,
        PlantedBug::LogsNoCertificate,
        PlantedBug::LeavesTheGuard,
        PlantedBug::ChecksNoSignature,
        PlantedBug::SkipsReplay,
        PlantedBug::LosesAWrite,
        PlantedBug::ExecutesOnStored,
    ];
}
