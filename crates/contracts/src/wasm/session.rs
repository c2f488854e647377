//! One run of a contract: what the imports work on, whatever the engine.

use super::fault::{Fault, ImportStopped};
use crate::host::{Host, HostError};
use crate::runtime::Trap;
use ledger_core::{Fuel, WasmCosts};
use scoped_tls_hkt::scoped_thread_local;
use std::ops::Range;

/// What an import needs of the engine: the guest's counters and its memory.
pub(super) trait Guest {
    /// The global that holds the fuel that is left.
    fn fuel(&mut self) -> i64;
    /// Sets it.
    fn set_fuel(&mut self, fuel: i64);
    /// The global that holds the stack's free slots.
    fn stack(&mut self) -> i32;
    /// The memory; empty if there is none.
    fn memory(&mut self) -> &mut [u8];
}

/// The fuel that a guest is given at the most, so that no charge passes 64 bits.
const MAX_FUEL: u64 = 1 << 62;

/// The limits that imports keep.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) costs: WasmCosts,
    /// The longest result buffer, in bytes.
    pub(super) result_bytes: u64,
}

/// A run and what it has come to.
pub(super) struct Session<'h> {
    host: &'h mut dyn Host,
    arguments: &'h [u8],
    kept: Kept,
}

/// What a run holds beside the host.
pub(super) struct Kept {
    pub(super) limits: Limits,
    /// The last answer of variable length.
    pub(super) result: Vec<u8>,
    pub(super) output: Vec<u8>,
    /// Why an import stopped the run.
    end: Option<Trap>,
    /// What the guest's counter said when the host's meter last agreed with it.
    agreed: i64,
}

/// A session, taken apart for an import.
pub(super) struct Parts<'p> {
    pub(super) host: &'p mut dyn Host,
    pub(super) arguments: &'p [u8],
    pub(super) kept: &'p mut Kept,
}

/// A [`Session`] of any lifetime.
trait Current {
    fn parts(&mut self) -> Parts<'_>;
}

impl Current for Session<'_> {
    fn parts(&mut self) -> Parts<'_> {
        Parts { host: &mut *self.host, arguments: self.arguments, kept: &mut self.kept }
    }
}

// Engines keep their imports for ever and so can't lend them what a call borrows. A call to another contract, which comes
// back to this thread, has a session of its own until it is done.
scoped_thread_local!(static mut CURRENT: for<'a> &'a mut (dyn Current + 'a));

impl<'h> Session<'h> {
    pub(super) fn new(host: &'h mut dyn Host, arguments: &'h [u8], limits: Limits) -> Self {
        let kept = Kept { limits, result: Vec::new(), output: Vec::new(), end: None, agreed: 0 };
        Session { host, arguments, kept }
    }

    /// The fuel to start with.
    pub(super) fn begin(&mut self) -> i64 {
        self.parts().agree()
    }

    /// Runs `work`, whose imports are this session's.
    pub(super) fn enter<T>(&mut self, work: impl FnOnce() -> T) -> T {
        CURRENT.set(self, work)
    }

    /// Ends the run: settles what the guest has used, `fuel` being what its counter says.
    pub(super) fn finish(mut self, fuel: i64) -> Result<Vec<u8>, Trap> {
        let settled = self.parts().settle(fuel);
        match self.kept.end.take() {
            Some(trap) => Err(trap),
            None => settled.map(|()| self.kept.output),
        }
    }
}

impl Parts<'_> {
    /// Charges the host's meter for what the guest has used since they agreed.
    fn settle(&mut self, now: i64) -> Result<(), Trap> {
        // Below zero the guest has stopped itself, for want of fuel: that takes all there is.
        let used = if now < 0 { u64::MAX } else { self.kept.agreed.saturating_sub(now).cast_unsigned() };
        self.kept.agreed = now;
        Ok(self.host.charge(Fuel(used))?)
    }

    /// What the guest's counter must say to agree with the host's meter.
    fn agree(&mut self) -> i64 {
        self.kept.agreed = self.host.fuel_left().0.min(MAX_FUEL).cast_signed();
        self.kept.agreed
    }

    /// Pays for an import that moves `bytes` between guest and host.
    pub(super) fn pay(&mut self, bytes: usize) -> Result<(), Trap> {
        let costs = &self.kept.limits.costs;
        let moved = u64::try_from(bytes).unwrap_or(u64::MAX).div_ceil(64);
        let fuel = moved.saturating_mul(costs.bulk_64_bytes.into()).saturating_add(costs.call.into());
        Ok(self.host.charge(Fuel(fuel))?)
    }

    /// Whether an answer of so many bytes can be kept for the guest. Where it is put together, that is asked before.
    pub(super) fn may_answer(&self, bytes: usize) -> Result<(), Trap> {
        within("the answer of an import", bytes, self.kept.limits.result_bytes)
    }

    /// Keeps an answer for the guest to fetch.
    pub(super) fn answer(&mut self, result: Vec<u8>) -> Result<usize, Trap> {
        self.may_answer(result.len())?;
        self.kept.result = result;
        Ok(self.kept.result.len())
    }

    /// Keeps the guest's output. The rules' limit holds whenever it is given, so that no level of calls within each other
    /// keeps more.
    pub(super) fn give(&mut self, output: &[u8]) -> Result<(), Trap> {
        within("the output", output.len(), self.host.output_limit())?;
        self.kept.output.clear();
        self.kept.output.extend_from_slice(output);
        Ok(())
    }
}

/// Checks a size against a limit.
fn within(what: &'static str, size: usize, limit: u64) -> Result<(), Trap> {
    let size = u64::try_from(size).unwrap_or(u64::MAX);
    if size > limit { Err(HostError::Limit { what, size, limit }.into()) } else { Ok(()) }
}

/// Runs an import: the counters agree before and after it.
pub(super) fn import<G: Guest, T>(
    guest: &mut G,
    work: impl FnOnce(&mut Parts<'_>, &mut G) -> Result<T, Trap>,
) -> Result<T, ImportStopped> {
    CURRENT.with(|session| {
        let mut parts = session.parts();
        let done = parts.settle(guest.fuel()).and_then(|()| work(&mut parts, guest));
        guest.set_fuel(parts.agree());
        done.map_err(|trap| {
            parts.kept.end = Some(trap);
            ImportStopped
        })
    })
}

/// A piece of the guest's memory, if it is inside.
pub(super) fn piece(memory: &[u8], from: i32, len: i32) -> Result<Range<usize>, Trap> {
    // Pointers and lengths are unsigned, and fit in the addresses of every machine that runs this.
    let from = from.cast_unsigned() as usize;
    let end = from.checked_add(len.cast_unsigned() as usize).filter(|&end| end <= memory.len());
    end.map(|end| from..end).ok_or_else(out_of_bounds)
}

/// Reads a piece of the guest's memory.
pub(super) fn read(memory: &[u8], from: i32, len: i32) -> Result<&[u8], Trap> {
    memory.get(piece(memory, from, len)?).ok_or_else(out_of_bounds)
}

/// Copies `bytes` to the guest's memory.
pub(super) fn write(memory: &mut [u8], to: i32, bytes: &[u8]) -> Result<(), Trap> {
    let len = i32::try_from(bytes.len()).map_err(|_| out_of_bounds())?;
    let piece = piece(memory, to, len)?;
    let place = memory.get_mut(piece).ok_or_else(out_of_bounds)?;
    place.copy_from_slice(bytes);
    Ok(())
}

fn out_of_bounds() -> Trap {
    Trap::broken(Fault::OutOfBounds.to_string())
}
