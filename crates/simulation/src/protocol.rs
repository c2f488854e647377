//! Bare protocols: an engine alone, with a log and a guard that are values, stopped at every edge between a record, its
//! sync, its guard and what follows.
//!
//! ```text
//!   engine.step ──▶ Persist ──①──▶ synced ──②──▶ guard moved ──③──▶ Finalize acted upon ──④──▶ next step
//! ```
//! At ① the records may be lost or found, at ②, ③ and ④ they are there. After each stop the engine is made anew from what
//! is left, and has to go on. Whatever the edges: one certificate at one height, for life.

use crate::random::Random;
use crate::report::{Violation, ensure};
use ledger_consensus::{EngineFactory, Input, Output, Record, RecordKind, Setup, SharedSigner, StartError};
use ledger_core::history::{self, HistoryHasher};
use ledger_core::{Block, Finality, Genesis, HEADER_VERSION, Header, Height, HistoryHead, Timestamp, codec, finality};
use ledger_crypto::merkle::Frontier;
use ledger_crypto::{Digest, MemoryGuard, VotePosition};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, PoisonError};

const ONE_CERTIFICATE: &str = "there is one certificate at a height, for life";
const STARTS: &str = "an engine starts from whatever a crash left";
const PROGRESS: &str = "an engine that is left alone finalizes";
const CERTIFIES: &str = "a certificate makes its header final";
const PERSISTS_FIRST: &str = "what is finalized was persisted";

/// Where a life of the engine ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Edge {
    /// Before the records are synced, and they are lost.
    Lost,
    /// Before the engine's driver hears that they are synced: they are found after the restart.
    Found,
    /// After they are synced, before the guard moves.
    BeforeGuard,
    /// After the guard has moved, before anything leaves.
    BeforeFinalize,
    /// After all effects of the step.
    After,
}

/// All edges, in the order in which a step meets them.
pub const EDGES: [Edge; 5] = [Edge::Lost, Edge::Found, Edge::BeforeGuard, Edge::BeforeFinalize, Edge::After];

/// What a run of a bare protocol went through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProtocolReport {
    /// Heights finalized.
    pub heights: u64,
    /// How often each edge ended a life.
    pub stops: BTreeMap<Edge, u64>,
}

/// Runs an engine to height `heights`. Each number of `stops` ends a life at an edge: it counts the edges passed since
/// the last stop. So `[n]` for every `n` below `5 × heights` stops at every edge once, and longer lists stop again.
///
/// # Errors
/// [`Violation`] names the law that the engine broke.
pub fn run(
    genesis: &Genesis,
    factory: impl Fn() -> Box<dyn EngineFactory>,
    heights: u64,
    stops: &[u64],
) -> Result<ProtocolReport, Violation> {
    let finality = finality::of(genesis).map_err(|error| Violation::new(STARTS, error.to_string()))?;
    let mut alone = Alone {
        genesis,
        finality,
        guard: MemoryGuard::new(),
        log: Vec::new(),
        seen: BTreeMap::new(),
        stops: stops.iter().copied().collect(),
        passed: 0,
        life: 0,
        report: ProtocolReport::default(),
    };
    loop {
        alone.life += 1;
        let ended = alone.live(&factory, heights)?;
        match ended {
            Some(edge) => *alone.report.stops.entry(edge).or_default() += 1,
            None => return Ok(alone.report),
        }
    }
}

/// Stops that follow from a seed: many lives, most of them short.
#[must_use]
pub fn stops(seed: u64, count: u64) -> Vec<u64> {
    let mut random = Random::new(seed);
    (0..count).map(|_| if random.chance(60) { random.below(6) } else { random.below(40) }).collect()
}

struct Alone<'a> {
    genesis: &'a Genesis,
    finality: Box<dyn Finality>,
    guard: MemoryGuard,
    /// Groups of records that are durable.
    log: Vec<Vec<Record>>,
    /// The header that was ever certified at a height: acted upon, or found in the log.
    seen: BTreeMap<Height, Digest>,
    stops: VecDeque<u64>,
    passed: u64,
    life: u64,
    report: ProtocolReport,
}

/// A step's outputs, sorted as a driver sorts them.
#[derive(Default)]
struct Outputs {
    records: Vec<Record>,
    voted: Option<VotePosition>,
    finalized: Vec<(Header, Arc<[u8]>)>,
    proposal: Option<(ledger_consensus::RequestId, Header)>,
}

impl Alone<'_> {
    /// Whether a life ends at this edge.
    fn ends_at(&mut self, edge: Edge) -> Option<Edge> {
        let ends = self.stops.front() == Some(&self.passed);
        self.passed += 1;
        if ends {
            self.stops.pop_front();
            self.passed = 0;
        }
        ends.then_some(edge)
    }

    /// The headers that the log holds final, in order.
    fn recovered(&mut self) -> Result<Header, Violation> {
        let mut tip = self.genesis.header();
        let mut payload: Option<Block> = None;
        for record in self.log.iter().flatten() {
            match record.kind {
                RecordKind::Payload => {
                    let block = codec::decode::<Block>(&record.bytes);
                    payload = Some(block.map_err(|error| Violation::new(CERTIFIES, error.to_string()))?);
                }
                RecordKind::Certificate => {
                    let Some(block) = payload.take() else { continue };
                    certified(&mut self.seen, &*self.finality, &block.header, &record.bytes)?;
                    tip = block.header;
                }
                // An engine that is alone needs no others.
                RecordKind::Vote | RecordKind::Note => {}
            }
        }
        Ok(tip)
    }

    fn live(&mut self, factory: &impl Fn() -> Box<dyn EngineFactory>, heights: u64) -> Result<Option<Edge>, Violation> {
        let tip = self.recovered()?;
        self.report.heights = tip.height.0;
        let maker = factory();
        let (log, guard) = (Digest::new([5; 32]), Box::new(self.guard.clone()));
        let (genesis, records) = (self.genesis, Vec::new());
        let setup = Setup { genesis, chain: genesis.chain(), log, tip: &tip, records, guard };
        let failed = |error: StartError| Violation::new(STARTS, error.to_string());
        let mut started = maker.start(setup).map_err(failed)?;
        let mut step = |input| {
            let mut out = Vec::new();
            started.engine.step(Timestamp(0), input, &mut out);
            sort(out)
        };
        let mut outputs = step(Input::Start { tip })?;
        loop {
            let proposal = outputs.proposal.take();
            if let Some(edge) = self.carry_out(outputs, started.signer.as_ref())? {
                return Ok(Some(edge));
            }
            if self.report.heights >= heights {
                return Ok(None);
            }
            let Some((request, parent)) = proposal else {
                return Err(Violation::new(PROGRESS, format!("height {}: no proposal", self.report.heights)));
            };
            let block = self.block_on(&parent);
            let payload = codec::encode(&block).into();
            outputs = step(Input::Proposed { request, header: block.header, payload })?;
        }
    }

    /// Another block in every life: what was signed and lost is not made again by chance.
    fn block_on(&self, parent: &Header) -> Block {
        let mut frontier = Frontier::<HistoryHasher>::new();
        let leaf = history::leaf(&self.genesis.header().digest(), &self.genesis.outcome().digest());
        frontier.append(leaf, &mut |_, _| ());
        let header = Header {
            version: HEADER_VERSION,
            height: parent.height.next(),
            parent: parent.digest(),
            timestamp: parent.timestamp.max(self.genesis.timestamp.plus(self.life)),
            history: HistoryHead::of(&frontier),
            ..self.genesis.header()
        };
        Block { header, transactions: Vec::new().into() }
    }

    fn carry_out(&mut self, outputs: Outputs, signer: Option<&SharedSigner>) -> Result<Option<Edge>, Violation> {
        if !outputs.records.is_empty() {
            if let Some(edge) = self.ends_at(Edge::Lost) {
                return Ok(Some(edge));
            }
            self.log.push(outputs.records);
            for edge in [Edge::Found, Edge::BeforeGuard] {
                if let Some(edge) = self.ends_at(edge) {
                    return Ok(Some(edge));
                }
            }
            if let (Some(position), Some(signer)) = (outputs.voted, signer) {
                let mut signer = signer.lock().unwrap_or_else(PoisonError::into_inner);
                signer.advance(position).map_err(|error| Violation::new(PROGRESS, error.to_string()))?;
            }
            if let Some(edge) = self.ends_at(Edge::BeforeFinalize) {
                return Ok(Some(edge));
            }
        }
        let acted = !outputs.finalized.is_empty();
        for (header, certificate) in outputs.finalized {
            let logged = self.log.iter().flatten().any(|record| {
                record.kind == RecordKind::Certificate && record.height == header.height && record.bytes == certificate
            });
            ensure(logged, PERSISTS_FIRST, || format!("height {}", header.height))?;
            certified(&mut self.seen, &*self.finality, &header, &certificate)?;
            self.report.heights = header.height.0;
        }
        Ok(if acted { self.ends_at(Edge::After) } else { None })
    }
}

fn certified(
    seen: &mut BTreeMap<Height, Digest>,
    finality: &dyn Finality,
    header: &Header,
    certificate: &[u8],
) -> Result<(), Violation> {
    finality.verify(header, certificate).map_err(|error| Violation::new(CERTIFIES, error.to_string()))?;
    let (height, digest) = (header.height, header.digest());
    let first = *seen.entry(height).or_insert(digest);
    ensure(first == digest, ONE_CERTIFICATE, || format!("height {height}: {digest}, and {first} before"))
}

fn sort(outputs: Vec<Output>) -> Result<Outputs, Violation> {
    let mut sorted = Outputs::default();
    for output in outputs {
        match output {
            Output::Persist(record) => sorted.records.push(record),
            Output::Voted(position) => sorted.voted = Some(position),
            Output::Finalize { header, certificate, .. } => sorted.finalized.push((header, certificate)),
            Output::Propose { request, parent } => sorted.proposal = Some((request, parent)),
            Output::Halt(halt) => return Err(Violation::new(PROGRESS, halt.to_string())),
            _ => {}
        }
    }
    Ok(sorted)
}
