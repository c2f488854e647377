//! A host's life: one log, one engine, and the chains on them, opened as a node opens them.

use crate::growing::{Growing, Views};
use crate::planted::PlantedBug;
use crate::random::Random;
use crate::settings::{ChainSpec, Settings};
use crate::stages::{Meanwhile, Pace, Stages};
use crate::truth::Taken;
use ledger_consensus::{EngineFactory, Setup, SharedSigner, Solo, StartError};
use ledger_contracts::testing::HookedExecutor;
use ledger_core::codec::{self, Bytes};
use ledger_core::{Checkpoint, Executor, Genesis, Writes, finality};
use ledger_crypto::{Digest, MemorySigner, VoteError, VotePosition};
use ledger_node::core::{Applied, ChainCore, Effect, Event, Start, Stop, Token};
use ledger_node::log_start::LogStart;
use ledger_node::recovery::{self, GENESIS_RECORD, LoggedChain, POLICY_RECORD, RecoveryError};
use ledger_node::{Applier, DiskGuard};
use ledger_storage::chain::{ChainConfig, ChainReader, ChainStore};
use ledger_storage::disk::SimulatedDisk;
use ledger_storage::engine::Engine;
use ledger_storage::log::{Log, LogId, Outcome, Record, Ticket};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// What a chain's task would find in its channel.
#[expect(clippy::large_enum_variant, reason = "few are there at a time")]
pub(crate) enum Item {
    Event(Event),
    Durable { token: Token, voted: Option<VotePosition>, outcome: Outcome },
    Stop(Stop),
}

/// A chain in this life.
pub(crate) struct LiveChain {
    pub(crate) core: ChainCore,
    pub(crate) stages: Stages,
    pub(crate) reader: ChainReader,
    pub(crate) signer: Option<SharedSigner>,
    /// Not carried out yet.
    pub(crate) effects: VecDeque<Effect>,
    /// Not taken up yet.
    pub(crate) inbox: VecDeque<Item>,
    /// The log's queue is full, and the next effect has to wait for it.
    pub(crate) blocked: bool,
    /// What was applied and not yet told to be executed.
    pub(crate) applied: VecDeque<Applied>,
    /// The number of the alarm that counts.
    pub(crate) alarm: u64,
    /// When the last news of durable records arrive: they arrive in order.
    pub(crate) last_notice: u64,
    pub(crate) stopped: Option<Stop>,
}

/// Records in the log's queue.
pub(crate) struct Waiting {
    pub(crate) chain: usize,
    pub(crate) token: Token,
    pub(crate) voted: Option<VotePosition>,
    pub(crate) ticket: Ticket,
}

pub(crate) struct Host {
    pub(crate) log: Log,
    pub(crate) chains: BTreeMap<usize, LiveChain>,
    pub(crate) waiting: Vec<Waiting>,
    pub(crate) flushing: bool,
    /// Chains whose signer refused the log as rolled back.
    pub(crate) refused: Vec<usize>,
    /// How many blocks were replayed into the views.
    pub(crate) replayed: u64,
    /// How the log is cut, if it is.
    pub(crate) growing: Option<Growing>,
    /// What was taken from a log that may have been cut.
    pub(crate) taken: BTreeMap<usize, Taken>,
    /// Chains whose views lack blocks that were cut off the log and given up.
    pub(crate) lacking: Vec<usize>,
}

/// What a host is opened on.
pub(crate) struct Machine<'a> {
    pub(crate) disk: &'a SimulatedDisk,
    pub(crate) engine: &'a Views,
    pub(crate) executor: &'a Arc<dyn Executor>,
    pub(crate) settings: &'a Settings,
    pub(crate) planted: Option<PlantedBug>,
    /// The id of the log, should there be none yet.
    pub(crate) log_id: [u8; 32],
    /// Chooses how the log is cut in this life.
    pub(crate) growth_seed: u64,
    /// Chooses how blocks are executed and stored in this life.
    pub(crate) stages: Random,
}

impl Machine<'_> {
    /// Opens the log and then all chains, in the order given.
    pub(crate) fn open(&self, order: &[usize]) -> Result<(Host, BTreeMap<usize, Start>), String> {
        let log = Log::open_or_create(Arc::new(self.disk.clone()), LogId::new(self.log_id), self.settings.log.clone());
        let log = log.map_err(said)?;
        let (mut logged, growing) = match &self.settings.growth {
            None => (recovery::index(&log.reader()).map_err(said)?, None),
            Some(settings) => {
                let start = LogStart::open(self.disk, &log.reader()).map_err(said)?;
                let logged = recovery::index_each(&log.reader(), &start).map_err(said)?;
                let views: Arc<dyn Engine> = Arc::new(self.engine.clone());
                let chosen = (settings, &mut Random::new(self.growth_seed));
                let growing = Growing::open(self.disk, views, log.reader(), start, chosen).map_err(said)?;
                (logged, Some(growing))
            }
        };
        let mut host = Host {
            log,
            chains: BTreeMap::new(),
            waiting: Vec::new(),
            flushing: false,
            refused: Vec::new(),
            replayed: 0,
            growing,
            taken: BTreeMap::new(),
            lacking: Vec::new(),
        };
        let mut starts = BTreeMap::new();
        for &number in order {
            let Some(spec) = self.settings.chains.get(number) else { continue };
            let known = logged.remove(&spec.genesis.chain());
            if let Some(start) = self.open_chain(number, spec, known, &mut host)? {
                starts.insert(number, start);
            }
        }
        Ok((host, starts))
    }

    fn open_chain(
        &self,
        number: usize,
        spec: &ChainSpec,
        known: Option<LoggedChain>,
        host: &mut Host,
    ) -> Result<Option<Start>, String> {
        let genesis = &spec.genesis;
        genesis.check().map_err(said)?;
        let mut logged = match known {
            Some(logged) => logged,
            None => create(&mut host.log, genesis)?,
        };
        if let Some(damage) = &logged.damage {
            return Err(damage.to_string());
        }
        if self.settings.growth.is_some() && spec.said && logged.policy.is_none() {
            let bytes = codec::encode(&spec.policy);
            append(&mut host.log, Record { chain: genesis.chain().0, kind: POLICY_RECORD, height: 0, bytes })?;
            logged.policy = Some(spec.policy.clone());
        }
        let engine: Arc<dyn Engine> = Arc::new(self.engine.clone());
        let views = self.settings.growth.as_ref().map_or_else(ChainConfig::default, |growth| growth.views);
        let store = ChainStore::open(engine, genesis, views).map_err(said)?;
        let pace = Pace::draw(self.settings.delays.execute, self.stages.fork("chain", number as u64));
        let meanwhile = Meanwhile::default();
        let executor = meanwhile.around(self.executor, &store, self.planted);
        let mut applier = Applier::new(genesis, executor, store).value_cache_bytes(pace.cache_bytes);
        let start = if self.planted == Some(PlantedBug::SkipsReplay) {
            unreplayed(&applier)?
        } else {
            let finality = finality::of(genesis).map_err(said)?;
            let replayed = &mut host.replayed;
            let reader = host.log.reader();
            if let Some(growing) = &host.growing {
                let archive = growing.growth.archived().clone();
                applier.reader().attach(archive.clone());
                let archived =
                    recovery::replay_archived(&mut applier, &*finality, genesis, &archive, &logged, &mut |_| {
                        *replayed += 1;
                    });
                match archived {
                    Err(RecoveryError::Cut { .. }) => {
                        host.lacking.push(number);
                        return Ok(None);
                    }
                    archived => archived.map_err(said)?,
                }
            }
            recovery::replay(&mut applier, &*finality, genesis, &reader, &logged, &mut |_| *replayed += 1)
                .map_err(said)?
        };
        if let Some(growing) = &host.growing {
            let records = logged.records(&host.log.reader()).map_err(said)?;
            host.taken.insert(number, Taken::of(&logged, &records));
            let policy = logged.policy.unwrap_or_else(|| spec.policy.clone());
            growing.growth.add(genesis.chain(), applier.reader(), policy, Arc::default());
        }
        let factory = Box::new(Solo::new(MemorySigner::from_seed(spec.owner)));
        let (chain, log) = (genesis.chain(), Digest::new(*host.log.id().as_bytes()));
        let (tip, records) = (&start.checkpoint.header, Vec::new());
        let guard = Box::new(DiskGuard::new(Arc::new(self.disk.clone()), format!("guard-{chain}")));
        let started = match factory.start(Setup { genesis, chain, log, tip, records, guard }) {
            Ok(started) => started,
            Err(StartError::Vote(VoteError::StaleLog { .. })) => {
                host.refused.push(number);
                return Ok(None);
            }
            Err(error) => return Err(said(error)),
        };
        let core = ChainCore::new(genesis, None, started.engine, self.settings.core.clone()).map_err(said)?;
        let live = LiveChain {
            core,
            reader: applier.reader(),
            stages: Stages::new(applier, meanwhile, pace),
            signer: started.signer,
            effects: VecDeque::new(),
            inbox: VecDeque::new(),
            blocked: false,
            applied: VecDeque::new(),
            alarm: 0,
            last_notice: 0,
            stopped: None,
        };
        host.chains.insert(number, live);
        Ok(Some(start))
    }
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}

pub(crate) fn create(log: &mut Log, genesis: &Genesis) -> Result<LoggedChain, String> {
    append(log, Record { chain: genesis.chain().0, kind: GENESIS_RECORD, height: 0, bytes: codec::encode(genesis) })?;
    Ok(LoggedChain::new(genesis.clone()))
}

/// Makes a record durable.
pub(crate) fn append(log: &mut Log, record: Record) -> Result<(), String> {
    let ticket = log.submit(vec![record]).map_err(said)?;
    log.flush().map_err(said)?;
    match ticket.outcome() {
        Some(Ok(_)) => Ok(()),
        Some(Err(error)) => Err(said(error)),
        None => Err("a flush left a ticket open".to_owned()),
    }
}

/// What a shell would start from that takes the views for the truth.
fn unreplayed(applier: &Applier) -> Result<Start, String> {
    let head = applier.store().head();
    let certificate = applier.reader().certificate(head.header.height).map_err(said)?;
    let certificate = Bytes::from(certificate.into_vec());
    Ok(Start {
        checkpoint: Checkpoint { header: head.header.clone(), certificate },
        history: head.history,
        owed: None,
        heads: vec![head.history],
        payloads: Vec::new(),
    })
}

/// What `executor` does, but the last write of every block is lost.
pub(crate) fn forgetful(executor: Arc<dyn Executor>) -> Arc<dyn Executor> {
    Arc::new(HookedExecutor::new(executor).after_execution(|_, _, execution| {
        let kept = execution.writes.len().saturating_sub(1);
        execution.writes = Writes::new(execution.writes.iter().take(kept).cloned().collect());
    }))
}
