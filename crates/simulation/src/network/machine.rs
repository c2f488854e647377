//! A machine: its disk, clock and guard, which survive, and the node that lives on it for a while.

use super::engine;
use super::joining::{Joining, Made, Newcomer};
use super::plan::Strike;
use super::settings::Settings;
use crate::growing::{Growing, Views};
use crate::host::create;
use crate::keys::Keys;
use crate::planted::PlantedBug;
use crate::random::Random;
use crate::settings::BEGINNING;
use crate::stages::{Ambush, Meanwhile, Pace, Stages};
use crate::truth::{Taken, Truth};
use ledger_consensus::{EngineFactory, Observer, RecordKind, Setup, SharedSigner, StartError, TimerId};
use ledger_core::{Executor, Finality, Timestamp};
use ledger_crypto::{Digest, Guard, MemoryGuard, PublicKey, VoteError, VotePosition};
use ledger_node::core::{ChainCore, Start, Stop, Token};
use ledger_node::log_start::LogStart;
use ledger_node::recovery::{self, RecoveryError};
use ledger_node::{Applier, DiskGuard};
use ledger_storage::chain::{ChainConfig, ChainReader, ChainStore};
use ledger_storage::disk::SimulatedDisk;
use ledger_storage::disk::simulated::FaultCounts;
use ledger_storage::engine::Engine;
use ledger_storage::log::{Log, LogId, Ticket};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Records in the log's queue.
pub(super) struct Waiting {
    pub(super) token: Token,
    pub(super) voted: Option<VotePosition>,
    pub(super) ticket: Ticket,
}

/// A node's life.
pub(super) struct Live {
    pub(super) log: Log,
    pub(super) core: ChainCore,
    pub(super) stages: Stages,
    pub(super) reader: ChainReader,
    pub(super) signer: Option<SharedSigner>,
    pub(super) waiting: Vec<Waiting>,
    pub(super) flushing: bool,
    /// When the last news of durable records arrive: they arrive in order.
    pub(super) last_notice: u64,
    /// The number of the alarm that counts.
    pub(super) alarm: u64,
    /// For each timer the number of the setting that counts.
    pub(super) timers: BTreeMap<TimerId, u64>,
    pub(super) settings_of_timers: u64,
    /// Peers that the transport holds for connected.
    pub(super) connected: BTreeSet<PublicKey>,
    pub(super) stopped: Option<Stop>,
    /// How many blocks were replayed at the start.
    pub(super) replayed: u64,
    /// How the log is cut, if it is.
    pub(super) growing: Option<Growing>,
    /// What was taken from a log that may have been cut.
    pub(super) taken: Option<Taken>,
}

pub(super) struct Machine {
    /// Which validator it is.
    pub(super) member: usize,
    pub(super) key: PublicKey,
    pub(super) honest: bool,
    /// Whether it forgets its votes at each restart.
    pub(super) amnesia: bool,
    pub(super) disk: SimulatedDisk,
    pub(super) views: Views,
    /// The guard beside the key; `None` where it is on the disk.
    pub(super) guard: Option<MemoryGuard>,
    pub(super) skew_ms: i64,
    /// The clock's last reading: a node's time never runs back.
    pub(super) clock: Timestamp,
    pub(super) life: u64,
    pub(super) live: Option<Live>,
    /// Disk faults that were counted already.
    pub(super) counted: FaultCounts,
    /// Whether a fault of the disk was planned for this life.
    pub(super) faulty: bool,
    /// It starts on an empty folder next time.
    pub(super) wrong_folder: bool,
    /// It isn't started again.
    pub(super) retired: bool,
    /// An older copy of disk and views, and the last vote that its log may hold.
    pub(super) copy: Option<(SimulatedDisk, Views, Option<VotePosition>)>,
    /// All that its log ever said, where it is cut.
    pub(super) truth: Truth,
    /// The views that there really are, while older ones stand in their place.
    pub(super) aside: Option<Views>,
    /// A fault that waits for a cut of the log.
    pub(super) lurking: Option<Strike>,
    /// One that waits until a block is executed and isn't stored.
    pub(super) ambush: Option<(Strike, Ambush)>,
    /// The last vote that may have left.
    pub(super) voted: Option<VotePosition>,
    /// It has lost everything, and only follows since.
    pub(super) newcomer: Option<Newcomer>,
    /// The life of one that joins.
    pub(super) joining: Option<Joining>,
    /// The snapshots that it gives, the newest first.
    pub(super) made: Vec<Made>,
}

impl Machine {
    pub(super) fn new(member: usize, key: PublicKey, honest: bool, disk_seed: u64) -> Self {
        Machine {
            member,
            key,
            honest,
            amnesia: false,
            disk: SimulatedDisk::new(disk_seed),
            views: Views::new(false),
            guard: None,
            skew_ms: 0,
            clock: BEGINNING,
            life: 0,
            live: None,
            counted: FaultCounts::default(),
            faulty: false,
            wrong_folder: false,
            retired: false,
            copy: None,
            truth: Truth::default(),
            aside: None,
            lurking: None,
            ambush: None,
            voted: None,
            newcomer: None,
            joining: None,
            made: Vec::new(),
        }
    }

    /// Reads the clock at `micros` of the world's time.
    pub(super) fn now(&mut self, micros: u64) -> Timestamp {
        let reading = BEGINNING.0.saturating_add(micros / 1_000).saturating_add_signed(self.skew_ms);
        self.clock = self.clock.max(Timestamp(reading));
        self.clock
    }

    pub(super) fn crashed(&self) -> bool {
        self.disk.faults().crashes > 0
    }
}

/// Why a node didn't start.
pub(super) enum Unopened {
    /// Its signer refuses.
    Refused(VoteError),
    /// Its views lack blocks that were cut off the log and given up.
    Lacks,
    /// Something else.
    Failed(String),
}

/// What a machine is opened with.
pub(super) struct Opening<'a> {
    pub(super) settings: &'a Settings,
    pub(super) executor: &'a Arc<dyn Executor>,
    pub(super) finality: &'a dyn Finality,
    pub(super) planted: Option<PlantedBug>,
    pub(super) engine: engine::Choice,
    /// The id of the log, should there be none yet.
    pub(super) log_id: [u8; 32],
    /// Chooses how the log is cut in this life.
    pub(super) growth_seed: u64,
    /// Chooses how blocks are executed and stored in this life.
    pub(super) stages: Random,
}

fn failed(error: impl std::fmt::Display) -> Unopened {
    Unopened::Failed(error.to_string())
}

impl Opening<'_> {
    /// Opens log, views and engine as a node does.
    pub(super) fn open(
        &self,
        machine: &Machine,
        disk: &SimulatedDisk,
        views: &Views,
    ) -> Result<(Live, Start), Unopened> {
        let disk = Arc::new(disk.clone());
        let engine: Arc<dyn Engine> = Arc::new(views.clone());
        let log = Log::open_or_create(disk.clone(), LogId::new(self.log_id), self.settings.log.clone());
        let mut log = log.map_err(failed)?;
        let genesis = &self.settings.genesis;
        let (mut known, growing) = match &self.settings.growth {
            None => (recovery::index(&log.reader()).map_err(failed)?, None),
            Some(settings) => {
                let start = LogStart::open(&*disk, &log.reader()).map_err(failed)?;
                let known = recovery::index_each(&log.reader(), &start).map_err(failed)?;
                let chosen = (settings, &mut Random::new(self.growth_seed));
                let growing = Growing::open(&disk, Arc::clone(&engine), log.reader(), start, chosen).map_err(failed)?;
                (known, Some(growing))
            }
        };
        let known = known.remove(&genesis.chain());
        let logged = match known {
            Some(logged) => logged,
            None => create(&mut log, genesis).map_err(Unopened::Failed)?,
        };
        if let Some(damage) = &logged.damage {
            return Err(failed(damage));
        }
        let kept = self.settings.growth.as_ref().map_or_else(ChainConfig::default, |growth| growth.views);
        let store = ChainStore::open(engine, genesis, kept).map_err(failed)?;
        let pace = match self.settings.instant {
            true => Pace::instant(self.stages.clone()),
            false => Pace::draw(self.settings.host.execute, self.stages.clone()),
        };
        let meanwhile = Meanwhile::default();
        let executor = meanwhile.around(self.executor, &store, self.planted);
        let mut applier = Applier::new(genesis, executor, store).value_cache_bytes(pace.cache_bytes);
        let reader = log.reader();
        let mut replayed = 0;
        if let Some(growing) = &growing {
            let archive = growing.growth.archived().clone();
            applier.reader().attach(archive.clone());
            let mut count = |_| replayed += 1;
            match recovery::replay_archived(&mut applier, self.finality, genesis, &archive, &logged, &mut count) {
                Err(RecoveryError::Cut { .. }) => return Err(Unopened::Lacks),
                archived => archived.map_err(failed)?,
            }
        }
        let start = recovery::replay(&mut applier, self.finality, genesis, &reader, &logged, &mut |_| replayed += 1)
            .map_err(failed)?;
        let mut records = logged.records(&reader).map_err(failed)?;
        let taken = growing.is_some().then(|| Taken::of(&logged, &records));
        if self.planted == Some(PlantedBug::LosesKeptRecords) {
            let there: BTreeSet<Vec<u8>> = reader.records().filter_map(|item| Some(item.ok()?.1.bytes)).collect();
            records.retain(|record| there.contains(&*record.bytes));
        }
        let mut guard: Box<dyn Guard> = match &machine.guard {
            Some(guard) => Box::new(guard.clone()),
            None => Box::new(DiskGuard::new(disk, format!("guard-{}", genesis.chain()))),
        };
        if machine.amnesia {
            records.retain(|record| record.kind == RecordKind::Payload);
            guard = Box::new(MemoryGuard::new());
        }
        if self.planted == Some(PlantedBug::ForgetsRecords) {
            records.retain(|record| record.kind == RecordKind::Vote);
        }
        let member = self.settings.members.get(machine.member).ok_or_else(|| failed("no such member"))?;
        if let Some(growing) = &growing {
            growing.growth.add(genesis.chain(), applier.reader(), member.policy.clone(), Arc::default());
        }
        let factory: Box<dyn EngineFactory> = match machine.newcomer {
            Some(_) => Box::new(Observer),
            None => engine::factory(Keys::new(member.seed, self.settings.mocked), self.engine),
        };
        let setup = Setup {
            genesis,
            chain: genesis.chain(),
            log: Digest::new(*log.id().as_bytes()),
            tip: &start.checkpoint.header,
            records,
            guard,
        };
        let started = factory.start(setup).map_err(|error| match error {
            StartError::Vote(error) => Unopened::Refused(error),
            error => failed(error),
        })?;
        let config = self.settings.core.clone();
        let mut core = ChainCore::new(genesis, Some(machine.key), started.engine, config).map_err(failed)?;
        if started.signer.is_none() {
            core.follow();
        }
        let live = Live {
            log,
            core,
            reader: applier.reader(),
            stages: Stages::new(applier, meanwhile, pace),
            signer: started.signer,
            waiting: Vec::new(),
            flushing: false,
            last_notice: 0,
            alarm: 0,
            timers: BTreeMap::new(),
            settings_of_timers: 0,
            connected: BTreeSet::new(),
            stopped: None,
            replayed,
            growing,
            taken,
        };
        Ok((live, start))
    }
}
