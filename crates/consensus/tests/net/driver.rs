//! The driver's part of the contract, without execution.

use super::{Event, MockSigner, Net, valid};
use ledger_consensus::{Bft, BftConfig, EngineFactory, Input, Output, Record, RecordKind, RequestId, Setup, Started};
use ledger_core::{Block, Genesis, Header, HistoryHead, Timestamp, View, codec, finality};
use ledger_crypto::{Digest, MemoryGuard, PublicKey};
use std::collections::BTreeSet;
use std::sync::Arc;

pub struct Node {
    pub index: usize,
    pub key: PublicKey,
    pub lies: bool,
    pub up: bool,
    pub life: u64,
    pub started: Option<Started>,
    pub config: BftConfig,
    pub guard: MemoryGuard,
    pub log: Vec<Record>,
    pub tip: Header,
    /// The time at which each height became final here, from height 1 on.
    pub times: Vec<u64>,
    /// A request for a proposal that waits for work.
    pub open: Option<(RequestId, Header)>,
    /// Blocks that the driver was given, or that are final.
    pub given: BTreeSet<Digest>,
    /// Its driver makes no blocks.
    pub mute: bool,
    pub halted: Option<String>,
    pub records: u64,
    /// The proposals asked for.
    pub proposals: u64,
}

impl Node {
    pub fn new(genesis: &Genesis, index: usize, key: PublicKey, lies: bool, config: BftConfig) -> Node {
        Node {
            index,
            key,
            lies,
            up: false,
            life: 0,
            started: None,
            config,
            guard: MemoryGuard::new(),
            log: Vec::new(),
            tip: genesis.header(),
            times: Vec::new(),
            open: None,
            given: BTreeSet::new(),
            mute: false,
            halted: None,
            records: 0,
            proposals: 0,
        }
    }

    /// What the log gives back: records above the last final height, and the last vote.
    fn records(&self) -> Vec<Record> {
        let last = self.log.iter().rposition(|record| record.kind == RecordKind::Vote);
        let kept = |(index, record): &(usize, &Record)| {
            record.kind != RecordKind::Certificate && (record.height > self.tip.height || Some(*index) == last)
        };
        self.log.iter().enumerate().filter(kept).map(|(_, record)| record.clone()).collect()
    }
}

/// An empty block on `parent`. Its history head says who made it, so that no two make the same.
pub fn empty_block(genesis: &Genesis, parent: &Header, timestamp: u64, maker: usize) -> Block {
    let header = Header {
        height: parent.height.next(),
        parent: parent.digest(),
        timestamp: Timestamp(timestamp.max(parent.timestamp.0)),
        history: HistoryHead { size: 1, root: Digest::new([maker as u8; 32]) },
        ..genesis.header()
    };
    Block { header, transactions: Vec::new().into() }
}

impl Net {
    /// Starts a node from its log.
    pub fn boot(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        let bft = Bft::new(MockSigner(node.key)).config(node.config.clone());
        let log = Digest::new([index as u8 + 1; 32]);
        let (records, guard) = (node.records(), Box::new(node.guard.clone()));
        let setup = Setup { genesis: &self.genesis, chain: self.genesis.chain(), log, tip: &node.tip, records, guard };
        match Box::new(bft).start(setup) {
            Ok(started) => node.started = Some(started),
            Err(error) => {
                self.broken.push(format!("node {index} can't start: {error}"));
                return;
            }
        }
        node.up = true;
        node.given = BTreeSet::from([node.tip.digest()]);
        let tip = node.tip.clone();
        self.feed(index, Input::Start { tip });
        self.feed(index, Input::Work(self.work));
    }

    /// Answers an open request, if there is one.
    pub fn answer(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        let Some((request, parent)) = node.open.take() else { return };
        let block = empty_block(&self.genesis, &parent, self.now, index);
        node.given.insert(block.digest());
        let payload: Arc<[u8]> = codec::encode(&block).into();
        self.feed(index, Input::Proposed { request, header: block.header, payload });
    }

    /// One step of a node's engine, and what follows from it.
    pub fn feed(&mut self, index: usize, input: Input) {
        let mut out = Vec::new();
        let Some(started) = &mut self.nodes[index].started else { return };
        started.engine.step(Timestamp(self.now), input, &mut out);
        // 0: all is lost; 1: the records are durable; 2: the guard has moved too.
        let crash = (self.rng.below(1_000) < self.faults.crash && !self.nodes[index].lies).then(|| self.rng.below(3));
        if crash == Some(0) {
            self.crash_now(index);
            return;
        }
        let (persists, rest): (Vec<_>, Vec<_>) = out.into_iter().partition(|out| matches!(out, Output::Persist(_)));
        for output in persists {
            if let Output::Persist(record) = output {
                self.nodes[index].records += 1;
                self.nodes[index].log.push(record);
            }
        }
        if crash == Some(1) {
            self.finish_log(index, &rest);
            self.crash_now(index);
            return;
        }
        for output in &rest {
            if let (Output::Voted(position), Some(started)) = (output, &self.nodes[index].started) {
                let advanced = started.signer.as_ref().unwrap().lock().unwrap().advance(*position);
                if let Err(error) = advanced {
                    self.broken.push(format!("node {index} can't advance: {error}"));
                }
            }
        }
        if crash == Some(2) {
            self.finish_log(index, &rest);
            self.crash_now(index);
            return;
        }
        let life = self.nodes[index].life;
        for output in rest {
            if self.nodes[index].life == life {
                self.act(index, output);
            }
        }
    }

    fn crash_now(&mut self, index: usize) {
        let back = 20 + self.rng.below(600);
        self.crash(index, Some(back));
    }

    /// After a crash the log says what is final, whether or not the driver heard of it.
    fn finish_log(&mut self, index: usize, rest: &[Output]) {
        for output in rest {
            if let Output::Finalize { header, payload, certificate } = output {
                self.finalized(index, header, payload, certificate);
            }
        }
    }

    fn input(&mut self, index: usize, after: u64, input: Input) {
        let (time, life) = (self.now + after, self.nodes[index].life);
        self.at(time, Event::Input { to: index, life, input });
    }

    fn act(&mut self, index: usize, output: Output) {
        match output {
            Output::Persist(_) | Output::Voted(_) => {}
            Output::Propose { request, parent } => {
                self.nodes[index].proposals += 1;
                self.holds(index, self.nodes[index].given.contains(&parent.digest()), "a proposal's parent was given");
                self.nodes[index].open = Some((request, parent));
                // Who decides alone waits for nobody, and time has to pass.
                let (time, life) = (self.now + 20 * u64::from(self.alone), self.nodes[index].life);
                self.at(time, Event::Answer { to: index, life });
            }
            Output::Withdraw { request } => {
                self.nodes[index].open.take_if(|(open, _)| *open == request);
            }
            Output::Finalize { header, payload, certificate } => {
                self.finalized(index, &header, &payload, &certificate);
            }
            Output::Send { to, lane, bytes } => self.transmit(index, to, lane, &bytes),
            Output::Broadcast { lane, bytes } => {
                let mut keys: Vec<PublicKey> = self.nodes.iter().map(|node| node.key).collect();
                keys.sort_unstable();
                keys.dedup();
                for key in keys {
                    self.transmit(index, key, lane, &bytes);
                }
            }
            Output::SetTimer { id, after } => self.input(index, after, Input::Timer(id)),
            Output::Verify { request, parent, header, payload } => {
                self.holds(index, self.nodes[index].given.contains(&parent.digest()), "a block's parent was given");
                self.nodes[index].given.insert(header.digest());
                let block: Block = codec::decode(&payload).unwrap();
                let refused = self.refused.is_some_and(|liar| header.history.root == Digest::new([liar as u8; 32]));
                let verdict = match block.header == header && !refused {
                    true => block.check_against(&parent, &self.genesis.rules).map_err(|error| error.to_string()),
                    false => Err("another header".to_owned()),
                };
                self.input(index, 0, Input::Verified { request, verdict });
            }
            Output::Check { request, checks } => {
                let valid = checks.iter().map(valid).collect();
                self.input(index, 0, Input::Checked { request, valid });
            }
            Output::FellBehind { to, .. } => {
                let (time, life) = (self.now + 50, self.nodes[index].life);
                self.at(time, Event::CatchUp { to: index, life, height: to.height.0 });
            }
            Output::Evidence(evidence) => {
                self.holds(index, evidence.checks().unwrap().iter().all(valid), "evidence proves itself");
                if !self.nodes[index].lies {
                    self.evidence.push(*evidence);
                }
            }
            Output::Halt(halt) => {
                self.nodes[index].halted = Some(halt.to_string());
                let lies = self.nodes[index].lies;
                self.holds(index, lies, &format!("no honest node halts: {halt}"));
            }
            other => panic!("{other:?}"),
        }
    }

    pub fn holds(&mut self, index: usize, holds: bool, what: &str) {
        if !holds {
            self.broken.push(format!("at {} ms, node {index}: {what}", self.now));
        }
    }

    fn finalized(&mut self, index: usize, header: &Header, payload: &Arc<[u8]>, certificate: &Arc<[u8]>) {
        let (height, digest) = (header.height.0, header.digest());
        let node = &mut self.nodes[index];
        node.given.insert(digest);
        let follows = header.parent == node.tip.digest() && height == node.tip.height.0 + 1;
        let has = |kind| node.log.iter().rev().any(|record| record.kind == kind && record.block == digest);
        let logged = has(RecordKind::Payload) && has(RecordKind::Certificate);
        node.tip = header.clone();
        node.times.push(self.now);
        if node.lies {
            return;
        }
        self.holds(index, follows, "blocks come in order");
        self.holds(index, logged, "a final block is in the log");
        let checks = finality::of(&self.genesis).unwrap().checks(header, certificate);
        self.holds(index, checks.is_ok_and(|checks| checks.iter().all(valid)), "a certificate proves its block");
        let whole = codec::decode::<Block>(payload).is_ok_and(|block| block.header == *header);
        self.holds(index, whole, "a payload is its header's");
        let first = self.chain.entry(height).or_insert_with(|| (digest, Arc::clone(payload), Arc::clone(certificate)));
        let same = first.0 == digest;
        self.holds(index, same, "one block is final at a height");
    }

    /// What a node's sync does: takes final blocks from others.
    pub fn catch_up(&mut self, index: usize, height: u64) {
        let mut last = None;
        for at in self.nodes[index].tip.height.0 + 1..=height {
            let Some((digest, payload, certificate)) = self.chain.get(&at).cloned() else { break };
            let header = codec::decode::<Block>(&payload).unwrap().header;
            for (kind, bytes) in [(RecordKind::Payload, &payload), (RecordKind::Certificate, &certificate)] {
                let bytes = Arc::clone(bytes);
                self.nodes[index].log.push(Record { kind, height: header.height, block: digest, bytes });
            }
            self.finalized(index, &header, &payload, &certificate);
            last = Some((header, certificate));
        }
        // What was caught up with is durable; the engine hasn't heard of it.
        if last.is_some() && self.faults.crash > 0 && self.rng.percent(20) {
            self.crash_now(index);
            return;
        }
        if let Some((header, certificate)) = last {
            self.feed(index, Input::Synced { header, certificate });
        }
    }
}

/// The view of a certificate.
pub fn view_of(certificate: &[u8]) -> View {
    codec::decode::<ledger_core::BftCertificate>(certificate).unwrap().view
}
