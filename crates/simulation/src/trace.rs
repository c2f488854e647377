//! A run's fingerprint: the hash of all that cores were told and of all that they asked for, in order.

use ledger_core::{ChainId, Height};
use ledger_crypto::{Digest, Domain, Hasher};
use ledger_node::core::{Effect, Event};

const TRACE: Domain = Domain::new("ledgerkit.sim.trace");
const MESSAGE: Domain = Domain::new("ledgerkit.sim.message");

/// Hashes events and effects as they happen, and writes them down if asked to.
pub(crate) struct Trace {
    hasher: Hasher,
    entries: u64,
    /// Whether each entry is printed as it happens.
    print: bool,
}

impl Trace {
    pub(crate) fn new(print: bool) -> Self {
        Trace { hasher: Hasher::new(TRACE), entries: 0, print }
    }

    /// Something that happened to the world: a crash, a restart, a planned fault.
    pub(crate) fn note(&mut self, now: u64, what: &str) {
        self.entry(now, 0, what.as_bytes(), &[]);
        if self.print {
            println!("{now:>10} us  {what}");
        }
    }

    pub(crate) fn event(&mut self, now: u64, chain: usize, event: &Event) {
        let words = describe_event(event);
        self.entry(now, chain as u64 + 1, b"event", &[words.as_bytes()]);
        self.print(now, chain, "<-", &words);
    }

    pub(crate) fn effect(&mut self, now: u64, chain: usize, effect: &Effect) {
        let words = describe_effect(effect);
        let mut parts: Vec<&[u8]> = vec![words.as_bytes()];
        if let Effect::Persist { records, .. } = effect {
            parts.extend(records.iter().map(|record| &*record.bytes));
        }
        self.entry(now, chain as u64 + 1, b"effect", &parts);
        self.print(now, chain, "->", &words);
    }

    /// A node of a network takes an event. What comes often is hashed as it is, without being put into words.
    pub(crate) fn heard(&mut self, now: u64, node: usize, event: &Event) {
        let source = node as u64 + 1;
        match event {
            Event::Received { from, lane, bytes } => {
                self.entry(now, source, b"received", &[from.as_bytes(), &[*lane as u8], bytes]);
            }
            Event::Persisted { token, .. } => self.entry(now, source, b"persisted", &[&token.0.to_le_bytes()]),
            Event::SignaturesChecked { check, valid } => {
                let valid: Vec<u8> = valid.iter().map(|valid| u8::from(*valid)).collect();
                self.entry(now, source, b"signatures", &[&check.0.to_le_bytes(), &valid]);
            }
            Event::Timer(id) => self.entry(now, source, b"timer", &[&id.0.to_le_bytes()]),
            Event::Wake => self.entry(now, source, b"wake", &[]),
            Event::Applied(applied) => {
                self.entry(now, source, b"applied", &[applied.history.root.as_bytes()]);
            }
            other => self.entry(now, source, b"event", &[describe_event(other).as_bytes()]),
        }
        if self.print {
            println!("{now:>10} us  node {node} <- {}", describe_event(event));
        }
    }

    /// A node of a network wants something done.
    pub(crate) fn asked(&mut self, now: u64, node: usize, effect: &Effect) {
        let source = node as u64 + 1;
        match effect {
            Effect::Send { to, lane, bytes } => {
                self.entry(now, source, b"send", &[to.as_bytes(), &[*lane as u8], bytes]);
            }
            Effect::Persist { token, records, .. } => {
                let token = token.0.to_le_bytes();
                let mut parts: Vec<&[u8]> = vec![&token];
                parts.extend(records.iter().map(|record| &*record.bytes));
                self.entry(now, source, b"persist", &parts);
            }
            Effect::CheckSignatures { check, checks } => {
                let count = checks.len() as u64;
                self.entry(now, source, b"check", &[&check.0.to_le_bytes(), &count.to_le_bytes()]);
            }
            Effect::SetTimer { id, at } => {
                self.entry(now, source, b"set timer", &[&id.0.to_le_bytes(), &at.0.to_le_bytes()]);
            }
            Effect::Wake(at) => self.entry(now, source, b"wake at", &[&at.0.to_le_bytes()]),
            other => self.entry(now, source, b"effect", &[describe_effect(other).as_bytes()]),
        }
        if self.print {
            println!("{now:>10} us  node {node} -> {}", describe_effect(effect));
        }
    }

    /// A block was executed, or stored, by a chain or a node.
    pub(crate) fn stage(&mut self, now: u64, (who, number): (&str, usize), what: &str, height: Height) {
        self.entry(now, number as u64 + 1, what.as_bytes(), &[&height.0.to_le_bytes()]);
        if self.print {
            println!("{now:>10} us  {who} {number} .. {what} {height}");
        }
    }

    fn print(&self, now: u64, chain: usize, arrow: &str, words: &str) {
        if self.print {
            println!("{now:>10} us  chain {chain} {arrow} {words}");
        }
    }

    fn entry(&mut self, now: u64, source: u64, kind: &[u8], parts: &[&[u8]]) {
        self.entries += 1;
        self.hasher.update(&now.to_le_bytes()).update(&source.to_le_bytes());
        for part in [kind].iter().chain(parts) {
            self.hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
        }
    }

    pub(crate) fn entries(&self) -> u64 {
        self.entries
    }

    pub(crate) fn hash(&self) -> Digest {
        self.hasher.finalize()
    }
}

/// The hash of the chains' ids names the world in a trace.
pub(crate) fn world_of(chains: impl Iterator<Item = ChainId>) -> String {
    chains.map(|chain| chain.to_string()).collect::<Vec<_>>().join(" ")
}

/// Names a message in a trace.
fn name(bytes: &[u8]) -> Digest {
    ledger_crypto::hash(MESSAGE, bytes)
}

fn describe_event(event: &Event) -> String {
    match event {
        Event::Start(start) => {
            let header = &start.checkpoint.header;
            format!("start at {} {} owed {:?}", header.height, header.digest(), start.owed)
        }
        Event::Submit { ask, transaction } => format!("submit {} {}", ask.0, transaction.id()),
        Event::Checked { id, verdict } => match verdict {
            Ok(next) => format!("checked {id}: next {next}"),
            Err(failure) => format!("checked {id}: {failure}"),
        },
        Event::Persisted { token, positions } => {
            let places: Vec<String> = positions.iter().map(ToString::to_string).collect();
            format!("persisted {} at {}", token.0, places.join(", "))
        }
        Event::Applied(applied) => {
            let outcome = &applied.outcome;
            format!("applied {} {} history {}", outcome.height, outcome.digest(), applied.history.root)
        }
        Event::Wake => "wake".to_owned(),
        Event::Close => "close".to_owned(),
        Event::Connected { peer } => format!("connected {peer}"),
        Event::Disconnected { peer } => format!("disconnected {peer}"),
        Event::Received { from, lane, bytes } => format!("received {lane} from {from}: {}", name(bytes)),
        Event::Timer(id) => format!("timer {}", id.0),
        Event::SignaturesChecked { check, valid } => format!("signatures {}: {valid:?}", check.0),
        Event::BlocksRead { read, blocks } => format!("blocks {}: {}", read.0, blocks.len()),
        Event::SnapshotRead { read, holding } => {
            let snapshot = holding.snapshot.map_or_else(|| "none".to_owned(), |offer| offer.manifest.to_string());
            format!("holding {}: blocks {} to {}, snapshot {snapshot}", read.0, holding.first, holding.newest)
        }
        Event::PieceRead { read, bytes } => format!("part {}: {}", read.0, name(bytes)),
    }
}

fn describe_effect(effect: &Effect) -> String {
    match effect {
        Effect::Check { id, .. } => format!("check {id}"),
        Effect::Persist { token, records, voted } => {
            let voted = voted.map_or_else(String::new, |position| format!(", vote at {position}"));
            format!("persist {}: {} records{voted}", token.0, records.len())
        }
        Effect::Execute(execute) => {
            format!("execute {} {} at {}", execute.block.header.height, execute.block.digest(), execute.position)
        }
        Effect::Answer { ask, id, answer } => match answer {
            Ok(()) => format!("answer {} {id}: accepted", ask.0),
            Err(error) => format!("answer {} {id}: {error}", ask.0),
        },
        Effect::Drop { id, reason } => format!("drop {id}: {reason}"),
        Effect::Ordered { block, .. } => {
            format!("ordered {} {} ({} transactions)", block.header.height, block.digest(), block.transactions.len())
        }
        Effect::Executed { height } => format!("executed {height}"),
        Effect::Certified(checkpoint) => {
            let header = &checkpoint.header;
            format!("certified {} by {} {}", header.history.size, header.height, header.digest())
        }
        Effect::Wake(at) => format!("wake at {at}"),
        Effect::CheckSignatures { check, checks } => format!("check {} signatures {}", checks.len(), check.0),
        Effect::Send { to, lane, bytes } => format!("send {lane} to {to}: {}", name(bytes)),
        Effect::SetTimer { id, at } => format!("timer {} at {at}", id.0),
        Effect::ReadBlocks { read, from, count, max_bytes } => {
            format!("read {}: {count} blocks from {from}, {max_bytes} bytes", read.0)
        }
        Effect::ReadSnapshot { read } => format!("read {}: the snapshot", read.0),
        Effect::ReadPiece { read, digest, offset } => format!("read {}: {digest} from {offset} on", read.0),
        Effect::Evidence(evidence) => format!("evidence against {} in view {}", evidence.validator, evidence.view),
        Effect::Stop(stop) => format!("stop: {stop}"),
    }
}
