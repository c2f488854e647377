//! What the module needs of an engine.

use super::fault::Stopped;
use super::module::Metered;

/// A machine that compiles metered modules.
pub(super) trait Engine: Send + Sync {
    /// Compiles a module that [`meter`](super::module::meter) has let through.
    ///
    /// # Errors
    /// What the engine says. It must not refuse what others take.
    fn compile(&self, module: &Metered) -> Result<Box<dyn Code>, String>;
}

/// Code that is ready to run.
pub(super) trait Code: Send + Sync {
    /// About how many bytes of memory it keeps, rather too many than too few.
    fn weight(&self) -> usize;

    /// What the engine has against the module, if something else runs it for that.
    fn complaint(&self) -> Option<&str> {
        None
    }

    /// Whether it is machine code by now.
    fn is_compiled(&self) -> bool {
        false
    }

    /// Makes an instance, sets its counters, and calls these exports one after the other.
    fn run(&self, exports: &[&str], counters: Counters, purpose: Purpose) -> Run;
}

/// What a run is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A transaction: all nodes have to come to its end.
    Transaction,
    /// A simulation: somebody asks this node.
    Simulation,
}

/// The guest's counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counters {
    /// Fuel that is left. Below zero: it would have taken more.
    pub(super) fuel: i64,
    /// Free slots of the stack. Below zero: it would have taken more.
    pub(super) stack: i32,
}

/// What became of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// What the counters say at its end.
    pub(super) counters: Counters,
    /// How it ended.
    pub(super) end: Result<(), Stopped>,
    /// The function that ran last, if the module [says so](super::module::meter_with_place).
    pub(super) place: Option<u32>,
}
