//! A machine that has lost everything and begins again with a snapshot that the others give. As a validator whose votes are
//! lost it decides nothing any more: it only follows.
//!
//! The machine that joins is the node's own, and so is what is verified, imported and logged; only who calls it is not.

use super::machine::Machine;
use super::schedule::{Happening, Local};
use super::world::NetworkWorld;
use crate::growing::Views;
use crate::report::Violation;
use ledger_core::codec;
use ledger_core::{ChainId, Height, Lane, SnapshotError, TrustRoot, VerifiedSnapshot};
use ledger_crypto::{Digest, PublicKey};
use ledger_node::core::join::{Begun, Join, JoinEffect, JoinEvent, MissingChunk};
use ledger_node::core::{Holding, Offer, PART_BYTES};
use ledger_node::{JoinConfig, beginning_records, recovery, snapshot_checkpoint};
use ledger_storage::chain::{ChainConfig, ChainReader, ChainStore};
use ledger_storage::disk::SimulatedDisk;
use ledger_storage::engine::Engine;
use ledger_storage::log::{Log, LogId};
use ledger_storage::snapshot::{ExportConfig, SnapshotExport, SnapshotImport, SnapshotStoreError};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const JOINS: &str = "a node that has lost everything joins by a snapshot or by blocks";

/// Snapshots are of the first checkpoint at each multiple of so many blocks.
const EVERY_BLOCKS: u64 = 3;

/// A life that is spent on joining.
pub(super) struct Joining {
    join: Join,
    import: Option<SnapshotImport>,
    /// Peers that the transport holds for connected.
    pub(super) connected: BTreeSet<PublicKey>,
    /// The number of the alarm that counts.
    pub(super) alarm: u64,
}

/// A snapshot that a machine gives.
pub(super) struct Made {
    offer: Offer,
    pieces: BTreeMap<Digest, Vec<u8>>,
}

/// How far a wiped machine has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Newcomer {
    /// It has nothing.
    Empty,
    /// Its log begins behind this block.
    Behind(Height),
    /// It takes the blocks from the genesis.
    AtGenesis,
}

fn failed(error: impl std::fmt::Display) -> Violation {
    Violation::new(JOINS, error.to_string())
}

impl Made {
    fn of(reader: &ChainReader, there: Option<Height>) -> Result<Option<Self>, Violation> {
        let Some(checkpoint) = snapshot_checkpoint(reader, EVERY_BLOCKS, there).map_err(failed)? else {
            return Ok(None);
        };
        let config = ExportConfig { chunk_bytes: 1 << 10 };
        let mut export = match SnapshotExport::begin(reader, checkpoint.into(), config) {
            Ok(export) => export,
            // After a restart the state of earlier blocks can't be proven: the next one will be.
            Err(SnapshotStoreError::Store(_)) => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let mut pieces = BTreeMap::new();
        while let Some((chunk, bytes)) = export.next_chunk().map_err(failed)? {
            pieces.insert(chunk.digest, bytes);
        }
        let manifest = export.finish().map_err(failed)?;
        let bytes = codec::encode(&manifest);
        let offer = Offer::of(&bytes, manifest.height());
        pieces.insert(offer.manifest, bytes);
        Ok(Some(Made { offer, pieces }))
    }

    pub(super) fn part(&self, digest: &Digest, offset: u32) -> Option<Vec<u8>> {
        let piece = self.pieces.get(digest)?.get(usize::try_from(offset).ok()?..)?;
        Some(piece.chunks(PART_BYTES as usize).next()?.to_vec())
    }
}

impl Machine {
    /// Whether a process of it runs.
    pub(super) fn is_up(&self) -> bool {
        self.live.is_some() || self.joining.is_some()
    }

    /// Whether nothing is there that the chain could go on from.
    fn needs_a_beginning(&self, chain: &ChainId) -> Result<bool, Violation> {
        match self.newcomer {
            None | Some(Newcomer::AtGenesis) => Ok(false),
            Some(Newcomer::Empty) => Ok(true),
            Some(Newcomer::Behind(base)) => {
                let height = ChainStore::height_of(&self.views, chain).map_err(failed)?;
                Ok(height.is_none_or(|height| height < base))
            }
        }
    }
}

impl NetworkWorld<'_> {
    /// The machine loses everything that it had, for good. One with a second body, and a liar, stays.
    pub(super) fn wipe(&mut self, machine: usize) -> Result<(), Violation> {
        let Some(one) = self.machines.get(machine).filter(|one| one.honest) else { return Ok(()) };
        let key = one.key;
        let bodies = self.machines.iter().filter(|other| other.key == key).count();
        if bodies > 1 || self.machines.iter().any(|other| other.newcomer.is_some()) {
            return Ok(());
        }
        self.counters.add("join: a node lost everything");
        self.kill(machine)?;
        let seed = self.random.draw();
        let Some(one) = self.machine(machine) else { return Ok(()) };
        one.disk = SimulatedDisk::new(seed);
        one.counted = ledger_storage::disk::simulated::FaultCounts::default();
        one.views = Views::new(false);
        (one.guard, one.copy, one.made) = (None, None, Vec::new());
        one.newcomer = Some(Newcomer::Empty);
        self.oracle.lost(machine);
        Ok(())
    }

    /// Starts a machine that has to join; whether it was one.
    pub(super) fn start_joining(&mut self, machine: usize) -> Result<bool, Violation> {
        let chain = self.settings.genesis.chain();
        let Some(one) = self.machines.get(machine) else { return Ok(false) };
        if !one.needs_a_beginning(&chain)? {
            return Ok(false);
        }
        let key = one.key;
        if one.newcomer == Some(Newcomer::Empty) {
            // A crash may have kept what nobody was told of.
            let base = self.logged_base(machine);
            let Some(one) = self.machine(machine) else { return Ok(true) };
            match base {
                _ if one.crashed() => return self.lose_power(machine).map(|()| true),
                Ok(Some(base)) => one.newcomer = Some(Newcomer::Behind(base)),
                Ok(None) => {}
                Err(_) if one.faulty => return self.kill(machine).map(|()| true),
                Err(reason) => return Err(failed(reason)),
            }
            if !one.needs_a_beginning(&chain)? {
                return Ok(false);
            }
        }
        let Some(one) = self.machines.get(machine) else { return Ok(true) };
        let pending = SnapshotImport::pending(&one.views, &chain).map_err(failed)?;
        let trust = TrustRoot::new(self.settings.genesis.clone());
        let import = match pending {
            Some(manifest) => Some(self.import(machine, manifest.verify(&trust).map_err(failed)?)?),
            None => None,
        };
        let begun = import.as_ref().map(begun_of);
        self.counters.add(if begun.is_some() { "join: gone on with" } else { "join: begun" });
        self.trace.note(self.now, &format!("node {machine} joins, {begun:?}"));
        let validators = self.settings.members.iter().map(|member| member.key).filter(|other| *other != key);
        let config = JoinConfig { patience_ms: 3_000, ..JoinConfig::default() };
        let join = Join::new(validators, begun, config);
        if let Some(one) = self.machine(machine) {
            one.joining = Some(Joining { join, import, connected: BTreeSet::new(), alarm: 0 });
        }
        self.step_join(machine, JoinEvent::Wake)?;
        self.connect(machine)?;
        Ok(true)
    }

    /// The block behind which the machine's log begins, if it says so.
    fn logged_base(&mut self, machine: usize) -> Result<Option<Height>, String> {
        let (chain, id) = (self.settings.genesis.chain(), self.random.bytes());
        let Some(one) = self.machines.get(machine) else { return Ok(None) };
        let log = Log::open_or_create(Arc::new(one.disk.clone()), LogId::new(id), self.settings.log.clone());
        let log = log.map_err(|error| error.to_string())?;
        let logged = recovery::index(&log.reader()).map_err(|error| error.to_string())?.remove(&chain);
        Ok(logged.map(|logged| logged.base()).filter(|base| *base > Height::GENESIS))
    }

    fn import(&self, machine: usize, snapshot: VerifiedSnapshot) -> Result<SnapshotImport, Violation> {
        let views = self.machines.get(machine).map(|one| one.views.clone()).ok_or_else(|| failed("no such machine"))?;
        let engine: Arc<dyn Engine> = Arc::new(views);
        SnapshotImport::open(engine, &self.settings.genesis, snapshot, ChainConfig::default()).map_err(failed)
    }

    /// The machine that joins takes an event, and its effects are carried out.
    pub(super) fn step_join(&mut self, machine: usize, event: JoinEvent) -> Result<(), Violation> {
        let micros = self.now;
        let Some(one) = self.machines.get_mut(machine) else { return Ok(()) };
        let now = one.now(micros);
        let Some(joining) = one.joining.as_mut() else { return Ok(()) };
        let mut effects = Vec::new();
        joining.join.step(now, event, &mut effects);
        for effect in effects {
            match effect {
                JoinEffect::Send { to, bytes } => self.send(machine, to, Lane::Sync, bytes)?,
                JoinEffect::Wake(at) => {
                    let micros = self.micros_until(machine, at);
                    let Some(joining) = self.machine(machine).and_then(|one| one.joining.as_mut()) else { break };
                    joining.alarm += 1;
                    let request = joining.alarm;
                    self.within(machine, micros, Local::WakeJoining { request });
                }
                work => {
                    let at = self.after(self.settings.host.execute);
                    self.within(machine, at, Local::Join(Box::new(work)));
                }
            }
        }
        Ok(())
    }

    /// Does what takes a while.
    pub(super) fn work_at_joining(&mut self, machine: usize, work: JoinEffect) -> Result<(), Violation> {
        match work {
            JoinEffect::Begin { manifest, bytes } => {
                let trust = TrustRoot::new(self.settings.genesis.clone());
                let snapshot = match VerifiedSnapshot::from_bytes(&bytes, &trust) {
                    Ok(snapshot) => snapshot,
                    Err(error) => {
                        self.counters.add("join: false manifest");
                        let lie = !matches!(error, SnapshotError::Version { .. });
                        return self.step_join(machine, JoinEvent::Refused { manifest, lie });
                    }
                };
                let base = self.machines.get(machine).and_then(|one| one.newcomer);
                if matches!(base, Some(Newcomer::Behind(base)) if snapshot.height() < base) {
                    return self.step_join(machine, JoinEvent::Refused { manifest, lie: false });
                }
                let import = self.import(machine, snapshot)?;
                let begun = begun_of(&import);
                if let Some(joining) = self.machine(machine).and_then(|one| one.joining.as_mut()) {
                    joining.import = Some(import);
                }
                self.step_join(machine, JoinEvent::Begun(begun))
            }
            JoinEffect::Add { manifest, chunk, bytes } => {
                let Some(joining) = self.machine(machine).and_then(|one| one.joining.as_mut()) else { return Ok(()) };
                let import = joining.import.as_mut();
                let import = import.filter(|import| import.snapshot().manifest().digest() == manifest);
                let holds = match import.map(|import| import.add(chunk, &bytes)) {
                    None | Some(Ok(())) => true,
                    Some(Err(SnapshotStoreError::Snapshot(_))) => false,
                    Some(Err(error)) => return Err(failed(error)),
                };
                self.counters.add("join: chunk kept");
                self.step_join(machine, JoinEvent::Added { manifest, chunk, holds })
            }
            JoinEffect::Finish { .. } => self.finish_joining(machine),
            JoinEffect::TakeBlocks => {
                self.counters.add("join: took blocks from the genesis");
                self.begins(machine, Newcomer::AtGenesis);
                Ok(())
            }
            JoinEffect::Send { .. } | JoinEffect::Wake(_) => Ok(()),
        }
    }

    /// Says in the log that the chain begins here, then lets the views count, then starts the node.
    fn finish_joining(&mut self, machine: usize) -> Result<(), Violation> {
        let (chain, id) = (self.settings.genesis.chain(), self.random.bytes());
        let config = self.settings.log.clone();
        let Some(one) = self.machines.get_mut(machine) else { return Ok(()) };
        let Some(import) = one.joining.as_mut().and_then(|joining| joining.import.take()) else { return Ok(()) };
        let write = || -> Result<Option<Height>, String> {
            let said = |error: &dyn std::fmt::Display| error.to_string();
            let disk = Arc::new(one.disk.clone());
            let mut log = Log::open_or_create(disk, LogId::new(id), config).map_err(|error| said(&error))?;
            let logged = recovery::index(&log.reader()).map_err(|error| said(&error))?.remove(&chain);
            let records = beginning_records(&self.settings.genesis, import.snapshot(), logged.as_ref());
            if !records.is_empty() {
                let ticket = log.submit(records).map_err(|error| said(&error))?;
                log.flush().map_err(|error| said(&error))?;
                ticket.outcome().ok_or("a flush left a ticket open")?.map_err(|error| said(&error))?;
            }
            let height = import.snapshot().height();
            let above = logged.is_none_or(|logged| height > logged.height());
            Ok(Some(height).filter(|_| above))
        };
        let written = write();
        let (crashed, faulty) = (one.crashed(), one.faulty);
        if crashed {
            return Ok(());
        }
        match written {
            Ok(Some(base)) => one.newcomer = Some(Newcomer::Behind(base)),
            Ok(None) => {}
            Err(_) if faulty => return self.kill(machine),
            Err(reason) => return Err(failed(reason)),
        }
        // A crash here leaves a log that begins behind what the views have.
        if self.random.chance(20) {
            self.counters.add("join: cut between log and views");
            return self.lose_power(machine);
        }
        import.finish().map_err(failed)?;
        self.counters.add("join: finished");
        self.trace.note(self.now, &format!("node {machine} has joined"));
        self.restart_now(machine);
        Ok(())
    }

    fn begins(&mut self, machine: usize, newcomer: Newcomer) {
        if let Some(one) = self.machine(machine) {
            one.newcomer = Some(newcomer);
        }
        self.restart_now(machine);
    }

    /// The same process goes on as a node.
    fn restart_now(&mut self, machine: usize) {
        let Some(one) = self.machine(machine) else { return };
        let (joining, key) = (one.joining.take(), one.key);
        for peer in joining.map(|joining| joining.connected).unwrap_or_default() {
            let other = self.machines.iter().position(|other| other.key == peer);
            if let Some(other) = other {
                self.schedule.at(self.now, Happening::NoticeLoss { machine: other, peer: key });
            }
        }
        self.schedule.at(self.now + 1, Happening::Restart { machine });
    }

    /// What a machine can give. It makes a newer snapshot if its newest is old.
    pub(super) fn holding(&mut self, machine: usize) -> Result<Holding, Violation> {
        let Some(one) = self.machines.get_mut(machine) else { return Ok(Holding::default()) };
        let Some(live) = one.live.as_ref() else { return Ok(Holding::default()) };
        let newest = live.reader.head().header.height;
        let chain = self.settings.genesis.chain();
        let kept = live.growing.as_ref().map(|growing| growing.growth.kept(&chain, newest).first);
        let first = kept.unwrap_or(Height(1)).max(Height(1));
        if let Some(Newcomer::Behind(base)) = one.newcomer {
            return Ok(Holding { first: base.next(), newest, making: false, snapshot: None });
        }
        let there = one.made.first().map(|made| made.offer.height);
        if let Some(made) = Made::of(&live.reader, there)? {
            one.made.insert(0, made);
            one.made.truncate(2);
            self.counters.add("join: snapshot made");
        }
        let snapshot = self.machines.get(machine).and_then(|one| one.made.first()).map(|made| made.offer);
        Ok(Holding { first, newest, making: false, snapshot })
    }

    /// A part of a piece that a machine has.
    pub(super) fn piece(&self, machine: usize, digest: &Digest, offset: u32) -> Vec<u8> {
        let made = self.machines.get(machine).map(|one| one.made.as_slice()).unwrap_or_default();
        made.iter().find_map(|made| made.part(digest, offset)).unwrap_or_default()
    }
}

fn begun_of(import: &SnapshotImport) -> Begun {
    let snapshot = import.snapshot();
    let missing = |index| {
        let chunk = snapshot.chunk(index)?;
        Some(MissingChunk { index, digest: chunk.digest, length: chunk.length })
    };
    let (manifest, height, chunks) = (snapshot.manifest().digest(), snapshot.height(), snapshot.chunks());
    Begun { manifest, height, chunks, missing: import.missing().filter_map(missing).collect() }
}
