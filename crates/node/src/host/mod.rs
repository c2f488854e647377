//! A host: what many chains share, and the chains.

mod builder;
pub(crate) mod checker;

pub use builder::{Limits, NodeBuilder};

use crate::apply::Applier;
use crate::chain::shell::{Peers, Shell, Signal};
use crate::chain::{Chain, Shared, durable};
use crate::core::{ChainCore, Event, Start};
use crate::guard::DiskGuard;
use crate::progress::Progress;
use crate::recovery::{self, GENESIS_RECORD, LoggedChain, RecoveryError};
use checker::{CheckContext, CheckJob, UrgentJob};
use ledger_consensus::{EngineFactory, Setup, StartError};
use ledger_core::{ChainId, Evidence, Executor, Genesis, GenesisError, Height, ValidatorSet, codec, finality};
use ledger_crypto::{Digest, Verifier};
use ledger_network::{Admission, JoinError, Observers, Transport};
use ledger_storage::chain::{ChainStore, StoreError};
use ledger_storage::disk::{Disk, DiskError};
use ledger_storage::engine::{Engine, EngineError};
use ledger_storage::log::{Log, LogCounters, LogEnd, LogError, LogId, LogReader, LogWriter, Record};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

/// Why a host or a chain of it can't be opened, or closed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// The builder was given no such part.
    #[error("the builder was given no {part}")]
    Missing {
        /// What is missing.
        part: &'static str,
    },
    /// The disk failed, or is in use.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The log can't be opened, read or written.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The views' engine can't be opened.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The views can't be removed to be made anew.
    #[error("the views in {} can't be removed: {reason}", folder.display())]
    Views {
        /// Where they are.
        folder: PathBuf,
        /// Why not.
        reason: String,
    },
    /// A chain can't be recovered from the log.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    /// A chain's views can't be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The genesis makes no chain.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// The consensus engine can't run the chain.
    #[error(transparent)]
    Consensus(#[from] StartError),
    /// The transport doesn't let the node take part in the chain.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// The chain is open already.
    #[error("chain {chain} is open already, or being opened")]
    AlreadyOpen {
        /// Which.
        chain: ChainId,
    },
    /// The log has no such chain.
    #[error("the log has no chain {chain}")]
    UnknownChain {
        /// Which.
        chain: ChainId,
    },
    /// The operating system gives no random bytes.
    #[error("the system gives no random bytes for the log's id: {reason}")]
    Random {
        /// What it said.
        reason: String,
    },
    /// A task of the host's ended where it shouldn't.
    #[error("the host's {task} ended: {reason}")]
    Task {
        /// Which.
        task: &'static str,
        /// How.
        reason: String,
    },
}

struct Open {
    /// Keeps the chain running while nobody else holds a handle on it.
    chain: Chain,
    signals: mpsc::UnboundedSender<Signal>,
    task: JoinHandle<()>,
}

/// What a chain goes on from.
struct Recovered {
    start: Start,
    records: Vec<ledger_consensus::Record>,
    evidence: Vec<Evidence>,
    observers: Observers,
}

/// The right to open a chain, until it is dropped.
struct Opening<'a> {
    opening: &'a Mutex<BTreeSet<ChainId>>,
    chain: ChainId,
}

impl<'a> Opening<'a> {
    fn claim(opening: &'a Mutex<BTreeSet<ChainId>>, chain: ChainId) -> Result<Self, HostError> {
        match opening.lock().unwrap_or_else(PoisonError::into_inner).insert(chain) {
            true => Ok(Opening { opening, chain }),
            false => Err(HostError::AlreadyOpen { chain }),
        }
    }
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        self.opening.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.chain);
    }
}

/// What many chains share: one log with one group commit, one engine, one pool for signatures. A chain of it is a value
/// and a task: it has no thread and no file of its own but its vote guard.
pub struct Host {
    disk: Arc<dyn Disk>,
    engine: Arc<dyn Engine>,
    executor: Arc<dyn Executor>,
    limits: Limits,
    log: Arc<LogWriter>,
    reader: LogReader,
    checks: mpsc::UnboundedSender<CheckJob>,
    urgent: mpsc::UnboundedSender<UrgentJob>,
    transport: Option<Arc<dyn Transport>>,
    /// What the log said of chains that aren't open yet.
    logged: Mutex<BTreeMap<ChainId, LoggedChain>>,
    open: Mutex<BTreeMap<ChainId, Open>>,
    /// Chains that are being opened right now: two at once would write one chain's views.
    opening: Mutex<BTreeSet<ChainId>>,
    rebuilt: Option<EngineError>,
}

impl Host {
    async fn start(
        disk: Arc<dyn Disk>,
        engine: Arc<dyn Engine>,
        executor: Arc<dyn Executor>,
        limits: Limits,
        rebuilt: Option<EngineError>,
        transport: Option<Arc<dyn Transport>>,
    ) -> Result<Self, HostError> {
        let mut id = [0; 32];
        getrandom::fill(&mut id).map_err(|error| HostError::Random { reason: error.to_string() })?;
        let (log_disk, config) = (Arc::clone(&disk), limits.log.clone());
        let (log, logged) = blocking("log", move || {
            let log = Log::open_or_create(log_disk, LogId::new(id), config)?;
            let logged = recovery::index(&log.reader())?;
            Ok::<_, HostError>((log, logged))
        })
        .await??;
        let reader = log.reader();
        let log = Arc::new(LogWriter::spawn(log, LogWriter::SEAL_AFTER)?);
        let (checks, jobs) = mpsc::unbounded_channel();
        let verifier = Arc::new(Verifier::new(limits.cached_keys));
        let (urgent, urgent_jobs) = mpsc::unbounded_channel();
        tokio::spawn(checker::run_urgent(urgent_jobs, Arc::clone(&verifier)));
        tokio::spawn(checker::run(jobs, verifier, limits.check_workers));
        let (logged, open, opening) = (Mutex::new(logged), Mutex::default(), Mutex::default());
        Ok(Host {
            disk,
            engine,
            executor,
            limits,
            log,
            reader,
            checks,
            urgent,
            transport,
            logged,
            open,
            opening,
            rebuilt,
        })
    }

    /// Why the views were thrown away and are replayed from the log, if they were.
    pub fn rebuilt_views(&self) -> Option<&EngineError> {
        self.rebuilt.as_ref()
    }

    /// What the log has done since the start: records, groups, bytes, syncs.
    pub fn log_counters(&self) -> LogCounters {
        self.reader.counters()
    }

    /// The chains that the log holds and that aren't open yet, with their height.
    pub fn closed_chains(&self) -> Vec<(Genesis, Height)> {
        let logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        logged.values().filter_map(|chain| Some((chain.genesis.clone()?, chain.height()))).collect()
    }

    /// A handle on a chain that is open.
    pub fn open_chain(&self, id: &ChainId) -> Option<Chain> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.get(id).map(|open| open.chain.clone())
    }

    /// Opens the chain of `genesis`, or creates it. Blocks that the views lack are replayed first.
    ///
    /// # Errors
    /// [`HostError`] when the genesis is invalid, the engine can't run it, or what is stored is damaged.
    pub async fn chain(&self, genesis: Genesis, engine: impl EngineFactory + 'static) -> Result<Chain, HostError> {
        self.chain_with(genesis, engine, Observers::None).await
    }

    /// As [`Host::chain`], and says who may follow the chain without being one of its validators.
    ///
    /// # Errors
    /// As [`Host::chain`].
    pub async fn chain_with(
        &self,
        genesis: Genesis,
        engine: impl EngineFactory + 'static,
        observers: Observers,
    ) -> Result<Chain, HostError> {
        genesis.check()?;
        let id = genesis.chain();
        let _opening = Opening::claim(&self.opening, id)?;
        if self.open.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&id) {
            return Err(HostError::AlreadyOpen { chain: id });
        }
        let known = self.logged.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        let logged = match known {
            Some(logged) => logged,
            None => self.create(&genesis).await?,
        };
        let opened = self.recover(genesis.clone(), logged.clone()).await;
        let (applier, start, records) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                self.logged.lock().unwrap_or_else(PoisonError::into_inner).insert(id, logged);
                return Err(error);
            }
        };
        let evidence = logged.evidence;
        self.run(genesis, Box::new(engine), applier, Recovered { start, records, evidence, observers })
    }

    /// Opens a chain that the log holds.
    ///
    /// # Errors
    /// [`HostError::UnknownChain`], or as [`Host::chain`].
    pub async fn reopen(&self, id: ChainId, engine: impl EngineFactory + 'static) -> Result<Chain, HostError> {
        let genesis = {
            let logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
            logged.get(&id).and_then(|chain| chain.genesis.clone())
        };
        self.chain(genesis.ok_or(HostError::UnknownChain { chain: id })?, engine).await
    }

    /// Writes the genesis to the log.
    async fn create(&self, genesis: &Genesis) -> Result<LoggedChain, HostError> {
        let record =
            Record { chain: genesis.chain().0, kind: GENESIS_RECORD, height: 0, bytes: codec::encode(genesis) };
        let ticket = self.log.submit(vec![record])?;
        let (sender, receiver) = oneshot::channel();
        ticket.on_done(move |outcome| {
            // Whoever waited may have gone.
            let _ = sender.send(outcome);
        });
        let task = |error: oneshot::error::RecvError| HostError::Task { task: "log", reason: error.to_string() };
        receiver.await.map_err(task)??;
        Ok(LoggedChain::new(genesis.clone()))
    }

    async fn recover(
        &self,
        genesis: Genesis,
        logged: LoggedChain,
    ) -> Result<(Applier, Start, Vec<ledger_consensus::Record>), HostError> {
        let (engine, executor) = (Arc::clone(&self.engine), Arc::clone(&self.executor));
        let (reader, config, cache) = (self.reader.clone(), self.limits.views, self.limits.value_cache_bytes);
        blocking("recovery", move || {
            let finality = finality::of(&genesis)?;
            let store = ChainStore::open(engine, &genesis, config)?;
            let mut applier = Applier::new(&genesis, executor, store).value_cache_bytes(cache);
            let start = recovery::replay(&mut applier, &*finality, &genesis, &reader, &logged, &mut |_| ())?;
            let records = logged.records(&reader)?;
            Ok((applier, start, records))
        })
        .await?
    }

    fn run(
        &self,
        genesis: Genesis,
        engine: Box<dyn EngineFactory>,
        applier: Applier,
        recovered: Recovered,
    ) -> Result<Chain, HostError> {
        let Recovered { start, records, evidence, observers } = recovered;
        let id = genesis.chain();
        let height = start.checkpoint.header.height;
        let log = Digest::new(*self.reader.id().as_bytes());
        let guard = Box::new(DiskGuard::new(Arc::clone(&self.disk), format!("guard-{id}")));
        let tip = &start.checkpoint.header;
        let started = engine.start(Setup { genesis: &genesis, chain: id, log, tip, records, guard })?;

        let reader = applier.reader();
        let checkpoint = Arc::new(start.checkpoint.clone());
        let caught = evidence.len();
        let progress = Progress { ordered: height, executed: height, checkpoint, stopped: None, evidence: caught };
        let evidence = Arc::new(Mutex::new(evidence));
        let peers = self.join(&genesis, observers)?;
        let node = peers.as_ref().map(|peers| peers.transport.local());
        let (progress, watched) = watch::channel(progress);
        let (signals, received) = mpsc::unbounded_channel();
        let (logged, groups) = mpsc::unbounded_channel();
        tokio::spawn(durable::run(started.signer, groups, signals.clone()));
        let (submissions, waiting) = mpsc::channel(self.limits.submissions.max(1));
        let executor = Arc::clone(&self.executor);
        let context = CheckContext {
            genesis: genesis.clone(),
            reader: reader.clone(),
            values: applier.cache(),
            executor: Arc::clone(&executor),
            signals: signals.clone(),
        };
        let core = ChainCore::new(&genesis, node, started.engine, self.limits.core.clone())?;
        let shell = Shell {
            chain: id,
            core,
            applier: Arc::new(Mutex::new(applier)),
            reader: reader.clone(),
            logged,
            log: Arc::clone(&self.log),
            checks: self.checks.clone(),
            urgent: self.urgent.clone(),
            peers,
            evidence: Arc::clone(&evidence),
            context: Arc::new(context),
            submissions: waiting,
            signals: received,
            progress,
        };
        let task = tokio::spawn(shell.run(Event::Start(start)));
        let shared = Shared { id, genesis, reader, log: self.reader.clone(), executor, progress: watched, evidence };
        let chain = Chain { shared: Arc::new(shared), submissions };
        let open = Open { chain: chain.clone(), signals, task };
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(id, open);
        Ok(chain)
    }

    /// Takes part in a chain's network, if there is one: its validators are its members.
    fn join(&self, genesis: &Genesis, observers: Observers) -> Result<Option<Peers>, HostError> {
        let Some(transport) = &self.transport else { return Ok(None) };
        if genesis.engine.name.as_str() != finality::BFT {
            return Ok(None);
        }
        let validators = ValidatorSet::from_bytes(&genesis.engine.parameters).map_err(|error| {
            GenesisError::EngineParameters { name: genesis.engine.name.clone(), reason: error.to_string() }
        })?;
        let members = validators.as_slice().iter().map(|validator| validator.key).collect();
        let inbox = transport.join(genesis.chain(), Admission { members, observers })?;
        Ok(Some(Peers { transport: Arc::clone(transport), inbox }))
    }

    /// Closes the host: chains take nothing new, what was accepted is ordered, executed and certified, the log is
    /// closed. Handles on chains that are still held keep the folder in use.
    ///
    /// # Errors
    /// [`HostError`] when a task has ended badly or the log has failed; what was acknowledged is safe all the same.
    pub async fn shutdown(self) -> Result<LogEnd, HostError> {
        let open = std::mem::take(&mut *self.open.lock().unwrap_or_else(PoisonError::into_inner));
        let mut waiting = Vec::new();
        for Open { chain, signals, task } in open.into_values() {
            let (done, closed) = oneshot::channel();
            // A chain whose task has ended is closed already.
            let _ = signals.send(Signal::Close(done));
            drop((chain, signals));
            waiting.push((closed, task));
        }
        let mut failed = None;
        for (closed, task) in waiting {
            // An error here means that the task has ended, which the next line waits for.
            let _ = closed.await;
            if let Err(error) = task.await {
                failed = Some(HostError::Task { task: "chain", reason: error.to_string() });
            }
        }
        let end = match Arc::try_unwrap(self.log) {
            Ok(log) => blocking("log", move || log.close()).await??,
            Err(log) => log.reader().end(),
        };
        match failed {
            Some(error) => Err(error),
            None => Ok(end),
        }
    }
}

async fn blocking<T: Send + 'static>(
    task: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, HostError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| HostError::Task { task, reason: error.to_string() })
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").field("log", &self.reader.id()).finish_non_exhaustive()
    }
}
