//! A small world for bare engines: a virtual clock, a seeded network, a driver that keeps the contract, crashes at every
//! edge between log, guard and network. The simulator does the same around whole nodes; this one is for the protocol.
#![allow(dead_code, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::expect_used)]
#![allow(clippy::cast_possible_truncation, clippy::type_complexity, unreachable_pub)]

pub mod driver;
pub mod rng;
pub mod storm;

use driver::Node;
use ledger_consensus::BftConfig;
use ledger_consensus::Input;
use ledger_core::{Evidence, Genesis, Lane, SignatureCheck, Timestamp, Validator, ValidatorSet, Weight};
use ledger_crypto::{Digest, Domain, MemorySigner, PublicKey, Signature, Signer, SignerError, hash};
use rng::Rng;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Signatures that are cheap to make and to check: two hashes of the key and what is signed.
pub struct MockSigner(pub PublicKey);

const MOCK: [Domain; 2] = [Domain::new("test.mock.0"), Domain::new("test.mock.1")];

fn mock(key: &PublicKey, domain: Domain, message: &[u8]) -> Signature {
    let inner = hash(domain, message);
    let text = [key.as_bytes().as_slice(), inner.as_bytes()].concat();
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(hash(MOCK[0], &text).as_bytes());
    bytes[32..].copy_from_slice(hash(MOCK[1], &text).as_bytes());
    Signature::new(bytes)
}

impl Signer for MockSigner {
    fn public_key(&self) -> PublicKey {
        self.0
    }
    fn sign(&self, domain: Domain, message: &[u8]) -> Result<Signature, SignerError> {
        Ok(mock(&self.0, domain, message))
    }
}

pub fn valid(check: &SignatureCheck) -> bool {
    check.signature == mock(&check.key, check.domain, &check.message)
}

/// What the network does to messages.
#[derive(Clone, Copy, Debug)]
pub struct Faults {
    /// Least and greatest delay in ms.
    pub delay: (u64, u64),
    /// In percent.
    pub loss: u64,
    /// In percent.
    pub replay: u64,
    /// Crashes per thousand steps.
    pub crash: u64,
}

pub const CALM: Faults = Faults { delay: (10, 10), loss: 0, replay: 0, crash: 0 };

#[derive(Clone)]
pub enum Event {
    Deliver {
        to: usize,
        from: PublicKey,
        lane: Lane,
        bytes: Arc<[u8]>,
    },
    /// For an incarnation of a node only.
    Input {
        to: usize,
        life: u64,
        input: Input,
    },
    Restart(usize),
    /// The driver has made a block.
    Answer {
        to: usize,
        life: u64,
    },
    CatchUp {
        to: usize,
        life: u64,
        height: u64,
    },
}

pub struct Net {
    pub genesis: Genesis,
    pub nodes: Vec<Node>,
    pub now: u64,
    pub rng: Rng,
    pub faults: Faults,
    /// Nodes of different groups don't hear each other.
    pub groups: Vec<u8>,
    queue: BTreeMap<(u64, u64), Event>,
    sequence: u64,
    /// By height: the block and its certificate, as first seen final.
    pub chain: BTreeMap<u64, (Digest, Arc<[u8]>, Arc<[u8]>)>,
    pub broken: Vec<String>,
    pub evidence: Vec<Evidence>,
    pub messages: u64,
    pub bytes: u64,
    pub crashes: u64,
    /// Whether one validator's weight is a quorum.
    pub alone: bool,
    /// Messages that get lost in any case.
    pub drops: Option<fn(Lane, &[u8]) -> bool>,
    /// The node whose blocks the others' drivers refuse.
    pub refused: Option<usize>,
    /// Whether drivers say there is work and answer requests for proposals.
    pub work: bool,
}

pub fn validators(weights: &[u64]) -> ValidatorSet {
    let key = |index: usize| MemorySigner::from_seed([index as u8 + 1; 32]).public_key();
    let one = |(index, weight): (usize, &u64)| Validator { key: key(index), weight: Weight(*weight) };
    ValidatorSet::new(weights.iter().enumerate().map(one)).unwrap()
}

impl Net {
    pub fn new(seed: u64, weights: &[u64], config: &BftConfig) -> Net {
        Net::with_twins(seed, weights, 0, |_| config.clone())
    }

    /// A network in which the last `twins` validators run twice, with one key and different logs.
    pub fn with_twins(seed: u64, weights: &[u64], twins: usize, config: impl Fn(usize) -> BftConfig) -> Net {
        let set = validators(weights);
        let genesis = Genesis::bft("test", &set, Timestamp(1));
        let count = weights.len();
        let mut nodes = Vec::new();
        for index in 0..count + twins {
            let place = if index < count { index } else { count - 1 - (index - count) };
            let lies = place >= count - twins;
            nodes.push(Node::new(&genesis, index, set.as_slice()[place].key, lies, config(place)));
        }
        let groups = vec![0; nodes.len()];
        let mut net = Net {
            genesis,
            nodes,
            now: 1_000,
            rng: Rng::new(seed),
            faults: CALM,
            groups,
            queue: BTreeMap::new(),
            sequence: 0,
            chain: BTreeMap::new(),
            broken: Vec::new(),
            evidence: Vec::new(),
            messages: 0,
            bytes: 0,
            crashes: 0,
            alone: set.as_slice().iter().any(|validator| validator.weight.0 >= set.quorum()),
            drops: None,
            refused: None,
            work: true,
        };
        for index in 0..net.nodes.len() {
            net.boot(index);
        }
        net
    }

    /// Whether anything was broken, or an honest validator was reported.
    pub fn is_sound(&self) -> bool {
        let lies = |key| self.nodes.iter().any(|node| node.lies && node.key == key);
        self.broken.is_empty() && self.evidence.iter().all(|evidence| lies(evidence.validator))
    }

    pub fn honest(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| !node.lies)
    }

    /// The height that all honest nodes which are up have reached.
    pub fn height(&self) -> u64 {
        self.honest().filter(|node| node.up).map(|node| node.tip.height.0).min().unwrap_or(0)
    }

    pub fn at(&mut self, time: u64, event: Event) {
        self.sequence += 1;
        self.queue.insert((time, self.sequence), event);
    }

    pub fn set_work(&mut self, work: bool) {
        self.work = work;
        for index in 0..self.nodes.len() {
            self.feed(index, Input::Work(work));
            if work {
                self.answer(index);
            }
        }
    }

    /// Stops a node where it stands; it comes back if told so.
    pub fn crash(&mut self, index: usize, back_in: Option<u64>) {
        self.nodes[index].up = false;
        self.nodes[index].life += 1;
        self.nodes[index].started = None;
        self.nodes[index].open = None;
        self.crashes += 1;
        if let Some(after) = back_in {
            let time = self.now + after;
            self.at(time, Event::Restart(index));
        }
    }

    pub fn transmit(&mut self, from: usize, to_key: PublicKey, lane: Lane, bytes: &Arc<[u8]>) {
        let sender = self.nodes[from].key;
        for to in 0..self.nodes.len() {
            if self.nodes[to].key != to_key || to == from || self.nodes[to].key == sender {
                continue;
            }
            self.messages += 1;
            self.bytes += bytes.len() as u64;
            let dropped = self.drops.is_some_and(|drops| drops(lane, bytes));
            if dropped || self.groups[from] != self.groups[to] || self.rng.percent(self.faults.loss) {
                continue;
            }
            let times = 1 + u64::from(self.rng.percent(self.faults.replay));
            for time in 0..times {
                let (least, most) = self.faults.delay;
                let delay = least + self.rng.below(most - least + 1) + time * self.rng.below(300);
                let time = self.now + delay;
                self.at(time, Event::Deliver { to, from: sender, lane, bytes: Arc::clone(bytes) });
            }
        }
    }

    /// Handles events until `time`.
    pub fn run_until(&mut self, time: u64) {
        self.run_while(time, |_| true);
    }

    pub fn run_for(&mut self, duration: u64) {
        self.run_until(self.now + duration);
    }

    /// Runs until every honest node that is up has reached `height`; says whether that was in time.
    pub fn reaches(&mut self, height: u64, within: u64) -> bool {
        let time = self.now + within;
        self.run_while(time, |net| net.height() < height);
        self.height() >= height
    }

    fn run_while(&mut self, time: u64, goes_on: impl Fn(&Net) -> bool) {
        while goes_on(self) {
            let Some(entry) = self.queue.first_entry() else { break };
            if entry.key().0 > time {
                break;
            }
            let ((now, _), event) = entry.remove_entry();
            self.now = now;
            self.handle(event);
        }
        if goes_on(self) {
            self.now = time.max(self.now);
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Deliver { to, from, lane, bytes } => {
                if self.nodes[to].up {
                    self.feed(to, Input::Message { from, lane, bytes });
                }
            }
            Event::Input { to, life, input } => {
                if self.nodes[to].life == life {
                    self.feed(to, input);
                }
            }
            Event::Restart(index) => self.boot(index),
            Event::Answer { to, life } => {
                if self.nodes[to].life == life && self.work && !self.nodes[to].mute {
                    self.answer(to);
                }
            }
            Event::CatchUp { to, life, height } => {
                if self.nodes[to].life == life {
                    self.catch_up(to, height);
                }
            }
        }
    }

    /// Panics if anything was broken that must hold.
    pub fn assert_sound(&self) {
        assert!(self.broken.is_empty(), "{:#?}", self.broken);
        for evidence in &self.evidence {
            let liar = self.nodes.iter().any(|node| node.lies && node.key == evidence.validator);
            assert!(liar, "evidence names an honest validator: {evidence:?}");
        }
    }
}
