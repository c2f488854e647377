//! Putting a trace together while contracts run.

use super::{
    Access, AccessKind, CallTrace, End, Entered, EventTrace, Excerpt, Kind, Omitted, Step, TraceConfig,
    TransactionTrace,
};
use crate::runtime::{EntryPoint, Prepared};
use ledger_core::codec::Text;
use ledger_core::{AccountId, ContractId, Failure, Fuel, Key, KeyRange, Status, TransactionId};
use ledger_crypto::Digest;
use std::collections::BTreeMap;

/// A call that begins.
#[derive(Clone, Copy)]
pub(crate) struct Called<'c> {
    pub(crate) contract: ContractId,
    pub(crate) entry: EntryPoint<'c>,
    pub(crate) arguments: &'c [u8],
    pub(crate) caller: AccountId,
    pub(crate) read_only: bool,
}

/// A transaction that has ended.
pub(crate) struct About {
    pub(crate) transaction: Option<TransactionId>,
    pub(crate) index: u32,
    pub(crate) account: AccountId,
    pub(crate) kind: Kind,
    pub(crate) fuel_limit: Fuel,
}

/// How many codes are kept that were made ready for a trace.
const MAX_CODES: usize = 32;

/// Notes what is done, in the bounds that it was given.
pub(crate) struct Tracer {
    config: TraceConfig,
    /// How many transactions and calls may still be listed.
    left: usize,
    /// What the transaction does outside of calls.
    base: Frame,
    /// The calls that are running, each made by the one before.
    running: Vec<Frame>,
    /// Code that was made ready for this trace; `None` if that doesn't work.
    codes: BTreeMap<(Text, Digest), Option<Prepared>>,
}

/// What is being traced: a transaction, or one call.
struct Frame {
    /// The call, if this is one and is listed.
    call: Option<Box<CallTrace>>,
    /// Whether what is done gets listed.
    listed: bool,
    steps: Vec<Step>,
    omitted: Omitted,
    accesses: usize,
    events: usize,
    /// What the meter said when it began.
    began: u64,
    /// What the calls within it have used.
    below: u64,
    /// Where the machine says that it broke down.
    function: Option<Text>,
}

impl Frame {
    fn new(call: Option<Box<CallTrace>>, listed: bool, began: Fuel) -> Self {
        Frame {
            call,
            listed,
            steps: Vec::new(),
            omitted: Omitted::default(),
            accesses: 0,
            events: 0,
            began: began.0,
            below: 0,
            function: None,
        }
    }
}

impl Tracer {
    pub(crate) fn new(config: TraceConfig) -> Self {
        let base = Frame::new(None, false, Fuel(0));
        let mut tracer = Tracer { config, left: config.max_calls, base, running: Vec::new(), codes: BTreeMap::new() };
        tracer.base.listed = tracer.take();
        tracer
    }

    /// Whether there is room for one more to be listed.
    fn take(&mut self) -> bool {
        let before = self.left;
        self.left = before.saturating_sub(1);
        before > 0
    }

    fn excerpt(&self, bytes: &[u8]) -> Excerpt {
        Excerpt::of(bytes, self.config.max_bytes)
    }

    fn top(&mut self) -> &mut Frame {
        self.running.last_mut().unwrap_or(&mut self.base)
    }

    /// A call begins, with so much used on its meter. Gives what [`end`](Self::end) has to be told.
    pub(crate) fn begin(&mut self, called: &Called<'_>, used: Fuel) -> usize {
        let depth = self.running.len();
        let listed = self.take();
        let call = listed.then(|| {
            let entry = match called.entry {
                EntryPoint::Constructor => Entered::Constructor,
                EntryPoint::Migration => Entered::Migration,
                EntryPoint::Method(method) => Entered::Method(Text::truncated(method, self.config.max_bytes)),
            };
            Box::new(CallTrace {
                contract: called.contract,
                runtime: None,
                entry,
                caller: called.caller,
                arguments: self.excerpt(called.arguments),
                read_only: called.read_only,
                fuel: Fuel(0),
                own_fuel: Fuel(0),
                steps: Vec::new(),
                omitted: Omitted::default(),
                end: End::Returned(self.excerpt(&[])),
                taken_back: false,
            })
        });
        self.running.push(Frame::new(call, listed, used));
        depth
    }

    /// Code of a runtime, made ready by `prepare` unless it is there.
    pub(crate) fn code(
        &mut self,
        (runtime, digest): (&Text, Digest),
        prepare: impl FnOnce() -> Option<Prepared>,
    ) -> Option<Prepared> {
        let place = (runtime.clone(), digest);
        if let Some(known) = self.codes.get(&place) {
            return known.clone();
        }
        if self.codes.len() >= MAX_CODES {
            self.codes.clear();
        }
        self.codes.entry(place).or_insert_with(prepare).clone()
    }

    /// What runs the call that began last.
    pub(crate) fn runs(&mut self, runtime: &str) {
        let most = self.config.max_bytes;
        if let Some(call) = &mut self.top().call {
            call.runtime = Some(Text::truncated(runtime, most));
        }
    }

    /// The call that began at `depth` has ended, with so much used on its meter.
    pub(crate) fn end(&mut self, depth: usize, used: Fuel, done: Result<&[u8], Failure>) {
        // A machine that panics ends calls that nobody else ends.
        self.running.truncate(depth.saturating_add(1));
        let Some(frame) = self.running.pop() else { return };
        let fuel = used.0.saturating_sub(frame.began);
        let end = match done {
            Ok(output) => End::Returned(self.excerpt(output)),
            Err(failure) => {
                let function = frame.function.filter(|_| matches!(failure, Failure::Trapped { .. }));
                End::Failed { failure, function }
            }
        };
        let top = self.top();
        top.below = top.below.saturating_add(fuel);
        match frame.call {
            Some(mut call) => {
                call.fuel = Fuel(fuel);
                call.own_fuel = Fuel(fuel.saturating_sub(frame.below));
                call.steps = frame.steps;
                call.omitted = frame.omitted;
                call.end = end;
                top.steps.push(Step::Call(call));
            }
            None => {
                top.omitted.calls = top.omitted.calls.saturating_add(frame.omitted.calls).saturating_add(1);
                top.omitted.fuel = Fuel(top.omitted.fuel.0.saturating_add(fuel));
            }
        }
    }

    /// The call that began at `depth` was ended by what ends everything.
    pub(crate) fn forget(&mut self, depth: usize) {
        self.running.truncate(depth);
    }

    /// The state was read or written.
    pub(crate) fn access(&mut self, key: &Key, kind: AccessKind) {
        self.note(key.namespace, &key.name, kind);
    }

    fn note(&mut self, namespace: ContractId, name: &[u8], kind: AccessKind) {
        let key = self.excerpt(name);
        let most = self.config.max_accesses;
        let top = self.top();
        let recent = top.steps.iter_mut().rev().map_while(|step| match step {
            Step::Access(access) => Some(access),
            _ => None,
        });
        let same = |access: &&mut Access| access.namespace == namespace && access.key == key && access.kind == kind;
        if let Some(again) = recent.into_iter().find(same) {
            again.times = again.times.saturating_add(1);
        } else if top.listed && top.accesses < most {
            top.accesses += 1;
            top.steps.push(Step::Access(Access { namespace, key, kind, times: 1 }));
        } else {
            top.omitted.accesses = top.omitted.accesses.saturating_add(1);
        }
    }

    /// A range was read, in which there were so many entries of so many bytes together.
    pub(crate) fn scan(&mut self, range: &KeyRange, (entries, bytes): (usize, usize)) {
        let to = range.to.as_ref().map(|to| self.excerpt(to));
        self.note(range.namespace, &range.from, AccessKind::Scan { to, entries, bytes });
    }

    /// An event was emitted.
    pub(crate) fn event(&mut self, topic: &str, data: &[u8]) {
        let TraceConfig { max_events, max_bytes, .. } = self.config;
        let top = self.top();
        if top.listed && top.events < max_events {
            top.events += 1;
            let (topic, data) = (Text::truncated(topic, max_bytes), Excerpt::of(data, max_bytes));
            top.steps.push(Step::Event(EventTrace { topic, data }));
        } else {
            top.omitted.events = top.omitted.events.saturating_add(1);
        }
    }

    /// The contract that runs has broken down in this function.
    pub(crate) fn broke_down_in(&mut self, function: &str) {
        let function = Text::truncated(function, self.config.max_bytes);
        self.top().function = Some(function);
    }

    /// The transaction has ended. What comes next is another one's.
    pub(crate) fn finish(&mut self, about: About, status: Status, fuel_used: Fuel) -> TransactionTrace {
        self.running.clear();
        let listed = self.take();
        let Frame { mut steps, omitted, below, .. } =
            core::mem::replace(&mut self.base, Frame::new(None, listed, Fuel(0)));
        mark(&mut steps, status != Status::Succeeded);
        let About { transaction, index, account, kind, fuel_limit } = about;
        let own_fuel = Fuel(fuel_used.0.saturating_sub(below));
        TransactionTrace { transaction, index, account, kind, status, fuel_limit, fuel_used, own_fuel, steps, omitted }
    }
}

/// Says of each call whether what it did was taken back.
fn mark(steps: &mut [Step], above: bool) {
    for step in steps {
        if let Step::Call(call) = step {
            call.taken_back = above || !call.returned();
            mark(&mut call.steps, call.taken_back);
        }
    }
}
