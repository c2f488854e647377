//! A trace for people.

use super::{Access, AccessKind, CallTrace, End, EventTrace, Excerpt, Kind, Omitted, Step, TransactionTrace};
use crate::lifecycle::LIFECYCLE;
use core::fmt;
use ledger_core::{ContractId, Status};
use std::collections::BTreeMap;

/// How many bytes of an excerpt are shown.
const SHOWN_BYTES: usize = 24;

/// How many hexadecimal digits of an id are shown.
const SHOWN_DIGITS: usize = 8;

/// Names of contracts, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names(BTreeMap<ContractId, String>);

impl Names {
    /// No names.
    pub fn new() -> Self {
        Self::default()
    }

    /// With this name for `contract`.
    #[must_use]
    pub fn with(mut self, contract: ContractId, name: impl Into<String>) -> Self {
        self.0.insert(contract, name.into());
        self
    }

    /// The name of `contract`: what it was given, or the first digits of its id.
    pub fn of(&self, contract: &ContractId) -> String {
        match self.0.get(contract) {
            Some(name) => name.clone(),
            None if *contract == LIFECYCLE => "lifecycle".to_owned(),
            None => short(contract),
        }
    }
}

/// A [`TransactionTrace`] to be printed as a tree. Long strings of bytes are cut; whatever comes from contracts is escaped.
#[derive(Clone, Copy, Debug)]
pub struct Tree<'t> {
    trace: &'t TransactionTrace,
    names: &'t Names,
}

impl<'t> Tree<'t> {
    pub(super) fn new(trace: &'t TransactionTrace, names: &'t Names) -> Self {
        Tree { trace, names }
    }
}

impl fmt::Display for TransactionTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.tree(&Names::new()), f)
    }
}

impl fmt::Display for Tree<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let trace = self.trace;
        let kind = match trace.kind {
            Kind::Deploy => "deployment",
            Kind::Call => "call",
            Kind::Commit => "commit",
            Kind::Simulation => "simulated call",
            Kind::Query => "query",
        };
        write!(f, "{kind}")?;
        if let Some(id) = &trace.transaction {
            write!(f, " {}, place {}", short(id), trace.index)?;
        }
        let (used, limit, own) = (grouped(trace.fuel_used.0), grouped(trace.fuel_limit.0), grouped(trace.own_fuel.0));
        write!(f, " · by {} · fuel {used} of {limit}, own {own} · ", short(&trace.account))?;
        match &trace.status {
            Status::Succeeded => f.write_str("succeeded")?,
            Status::Failed(failure) => write!(f, "failed: {}", failure.to_string().escape_debug())?,
            Status::Rejected(rejection) => write!(f, "rejected: {}", rejection.to_string().escape_debug())?,
        }
        let mut lines = Lines { f, names: self.names, indent: String::new() };
        lines.steps(&trace.steps, trace.omitted, None, None)
    }
}

/// Writes what is below a line.
struct Lines<'l, 'f> {
    f: &'l mut fmt::Formatter<'f>,
    names: &'l Names,
    indent: String,
}

impl Lines<'_, '_> {
    fn steps(
        &mut self,
        steps: &[Step],
        omitted: Omitted,
        within: Option<&ContractId>,
        end: Option<String>,
    ) -> fmt::Result {
        let omitted = omitted_in_words(omitted);
        let mut left = steps.len() + usize::from(omitted.is_some()) + usize::from(end.is_some());
        for step in steps {
            left -= 1;
            match step {
                Step::Access(access) => self.line(&self.access(access, within), left == 0)?,
                Step::Event(EventTrace { topic, data }) => {
                    let line = format!("event {:?} {}", topic.as_str(), shown(data));
                    self.line(&line, left == 0)?;
                }
                Step::Call(call) => self.call(call, left == 0)?,
            }
        }
        for line in [omitted, end].into_iter().flatten() {
            left -= 1;
            self.line(&line, left == 0)?;
        }
        Ok(())
    }

    fn line(&mut self, line: &str, last: bool) -> fmt::Result {
        write!(self.f, "\n{}{} {line}", self.indent, if last { "└─" } else { "├─" })
    }

    fn call(&mut self, call: &CallTrace, last: bool) -> fmt::Result {
        let name = self.names.of(&call.contract);
        let mut line = format!("{name}.{}({})", call.entry.name().escape_debug(), shown(&call.arguments));
        if let Some(runtime) = &call.runtime {
            line += &format!(" · {}", runtime.as_str().escape_debug());
        }
        if call.read_only {
            line += " · read-only";
        }
        line += &format!(" · fuel {}, own {}", grouped(call.fuel.0), grouped(call.own_fuel.0));
        if call.taken_back {
            line += " · taken back";
        }
        self.line(&line, last)?;
        let end = match &call.end {
            End::Returned(output) => format!("returned {}", shown(output)),
            End::Failed { failure, function: None } => format!("failed: {}", failure.to_string().escape_debug()),
            End::Failed { failure, function: Some(function) } => {
                format!("failed in {:?}: {}", function.as_str(), failure.to_string().escape_debug())
            }
        };
        let before = self.indent.len();
        self.indent += if last { "   " } else { "│  " };
        self.steps(&call.steps, call.omitted, Some(&call.contract), Some(end))?;
        self.indent.truncate(before);
        Ok(())
    }

    fn access(&self, access: &Access, within: Option<&ContractId>) -> String {
        let Access { namespace, key, kind, times } = access;
        let key = if within == Some(namespace) {
            shown(key)
        } else {
            format!("{} of {}", shown(key), self.names.of(namespace))
        };
        let what = match kind {
            AccessKind::Read { bytes: None } => format!("read {key}, which isn't there"),
            AccessKind::Read { bytes: Some(bytes) } => format!("read {key} {bytes} bytes"),
            AccessKind::Write { bytes } => format!("write {key} {bytes} bytes"),
            AccessKind::Delete => format!("delete {key}"),
            AccessKind::Scan { to, entries, bytes } => {
                let to = to.as_ref().map_or_else(|| "the end".to_owned(), shown);
                format!("scan {key} to {to}, {entries} entries of {bytes} bytes")
            }
        };
        if *times > 1 { format!("{what}, {times} times") } else { what }
    }
}

fn omitted_in_words(omitted: Omitted) -> Option<String> {
    let Omitted { accesses, events, calls, fuel } = omitted;
    if omitted == Omitted::default() {
        return None;
    }
    let fuel = grouped(fuel.0);
    Some(format!("… and {accesses} accesses, {events} events, {calls} calls (fuel {fuel}) more"))
}

/// The first digits of an id.
fn short(id: &impl fmt::Display) -> String {
    let mut digits = id.to_string();
    digits.truncate(SHOWN_DIGITS);
    digits
}

/// Text in quotes, anything else in hexadecimal; cut, with its length then.
fn shown(bytes: &Excerpt) -> String {
    if bytes.length == 0 {
        return "nothing".to_owned();
    }
    let head = bytes.head.get(..SHOWN_BYTES).unwrap_or(&bytes.head);
    let mut text = match str::from_utf8(head) {
        Ok(text) if head.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ') => format!("{text:?}"),
        _ => hex(head),
    };
    if head.len() < bytes.length {
        text += &format!("… ({} bytes)", bytes.length);
    }
    text
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A number with commas between each three digits.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_three() {
        assert_eq!(
            [0, 12, 999, 1_000, 12_345, 1_234_567].map(grouped),
            ["0", "12", "999", "1,000", "12,345", "1,234,567"]
        );
    }

    #[test]
    fn bytes_are_shown_as_text_only_where_they_are_plain() {
        let show = |bytes: &[u8]| shown(&Excerpt::of(bytes, 64));
        assert_eq!(show(b""), "nothing");
        assert_eq!(show(b"a key"), "\"a key\"");
        assert_eq!(show(b"a \"key\""), "\"a \\\"key\\\"\"");
        assert_eq!(show(b"a\nkey"), "610a6b6579");
        assert_eq!(show("ü".as_bytes()), "c3bc");
        assert_eq!(show(&[b'x'; 30]), "\"xxxxxxxxxxxxxxxxxxxxxxxx\"… (30 bytes)");
        assert_eq!(shown(&Excerpt::of(b"abcdef", 2)), "\"ab\"… (6 bytes)");
    }
}
