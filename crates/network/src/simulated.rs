//! A network in one thread, without a clock, whose every fault comes from a seed.

use crate::config::{ConfigError, NetworkConfig};
use crate::inbox::Inbox;
use crate::random::Random;
use crate::report::{PeerReport, lock};
use crate::router::{Announcements, Delivered, Router};
use crate::seam::{Admission, JoinError, QueueBound, SendError, Transport};
use ledger_core::{ChainId, Lane};
use ledger_crypto::PublicKey;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard};

/// How many messages of a link are kept to be sent again.
const REPLAYABLE: usize = 64;
/// After how many µs a message that found no room is tried again.
const RETRY_MICROS: u64 = 1_000;

/// What a link does to the messages that are sent over it, each lane by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkFaults {
    /// How long a message takes, in µs.
    pub delay_micros: RangeInclusive<u64>,
    /// How many of 100 messages are lost.
    pub loss_percent: u8,
    /// After how many of 100 messages an older one of the link, or that one itself, comes again.
    pub replay_percent: u8,
    /// How many of 100 messages may be overtaken by later ones of their lane. Others keep their order.
    pub reorder_percent: u8,
}

impl Default for LinkFaults {
    /// 1 ms, and nothing goes wrong.
    fn default() -> Self {
        Self { delay_micros: 1_000..=1_000, loss_percent: 0, replay_percent: 0, reorder_percent: 0 }
    }
}

/// How often each fault really happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultCounts {
    /// Messages that were delivered.
    pub delivered: u64,
    /// Messages that were lost by chance.
    pub lost: u64,
    /// Messages that came again.
    pub replayed: u64,
    /// Messages that were overtaken by one that was sent later over the same link and lane.
    pub overtaken: u64,
    /// Messages that were lost because their direction was blocked, or their connection cut.
    pub blocked: u64,
    /// Messages that had to wait since the inbox had no room.
    pub held: u64,
}

/// Connects transports through links that delay, lose, repeat and reorder what is sent. Nothing happens by itself: sending
/// puts a message into flight, and [`SimulatedNetwork::advance`] lets arrive what is due. The same calls give the same
/// deliveries for the same seed.
///
/// What QUIC would have told the ends, who takes part in which chain, is known at once; [`SimulatedNetwork::block`]
/// loses messages only, as a firewall would, and [`SimulatedNetwork::disconnect`] tells both ends.
#[derive(Clone)]
pub struct SimulatedNetwork {
    world: Arc<Mutex<World>>,
}

/// One node's end of a [`SimulatedNetwork`].
pub struct SimulatedTransport {
    local: PublicKey,
    world: Arc<Mutex<World>>,
}

type Direction = (PublicKey, PublicKey);

struct World {
    config: Arc<NetworkConfig>,
    random: Random,
    now_micros: u64,
    /// Numbers messages, so that those due at one time arrive in the order they were sent.
    sent: u64,
    routers: BTreeMap<PublicKey, Router>,
    faults: LinkFaults,
    faults_of: BTreeMap<Direction, LinkFaults>,
    blocked: BTreeSet<Direction>,
    severed: BTreeSet<Direction>,
    flight: BTreeMap<(u64, u64), Event>,
    lanes: BTreeMap<(Direction, Lane), LaneState>,
    past: BTreeMap<Direction, VecDeque<Message>>,
    counts: FaultCounts,
}

enum Event {
    Arrive(Message),
    /// Tries again what is held in a lane.
    Retry(Direction, Lane),
}

#[derive(Clone)]
struct Message {
    direction: Direction,
    chain: ChainId,
    lane: Lane,
    bytes: Arc<[u8]>,
    /// Its place in its lane; `None` for one that comes again.
    number: Option<u64>,
}

#[derive(Default)]
struct LaneState {
    /// What is under way, and of that, what has found no room.
    frames: usize,
    bytes: usize,
    held: VecDeque<Message>,
    /// When the last message that keeps its order arrives.
    last_arrival: u64,
    /// The next number, and the highest that has arrived.
    next: u64,
    arrived: Option<u64>,
}

impl SimulatedNetwork {
    /// A network whose faults follow from `seed`. What is under way between two nodes in one lane is bounded by
    /// `config` like what waits in a queue.
    ///
    /// # Errors
    /// [`ConfigError`] when the bounds don't go together.
    pub fn new(seed: u64, config: NetworkConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        let world = World {
            config: Arc::new(config),
            random: Random::new(seed),
            now_micros: 0,
            sent: 0,
            routers: BTreeMap::new(),
            faults: LinkFaults::default(),
            faults_of: BTreeMap::new(),
            blocked: BTreeSet::new(),
            severed: BTreeSet::new(),
            flight: BTreeMap::new(),
            lanes: BTreeMap::new(),
            past: BTreeMap::new(),
            counts: FaultCounts::default(),
        };
        Ok(Self { world: Arc::new(Mutex::new(world)) })
    }

    /// A transport for the member `local`, connected with all others. An older one with the same key is closed, as when a
    /// node crashes and starts again; what is under way to it arrives at the new one.
    pub fn transport(&self, local: PublicKey) -> SimulatedTransport {
        let mut world = lock(&self.world);
        world.remove(&local);
        let router = Router::new(local, world.config.clone());
        world.routers.insert(local, router);
        let others: Vec<_> = world.routers.keys().copied().filter(|other| *other != local).collect();
        others.iter().for_each(|other| world.connect(&local, other));
        SimulatedTransport { local, world: self.world.clone() }
    }

    /// Sets what all links do that [`SimulatedNetwork::set_link_faults`] wasn't called for.
    pub fn set_faults(&self, faults: LinkFaults) {
        lock(&self.world).faults = faults;
    }

    /// Sets what the link from one node to another does; the way back is another link.
    pub fn set_link_faults(&self, from: &PublicKey, to: &PublicKey, faults: LinkFaults) {
        lock(&self.world).faults_of.insert((*from, *to), faults);
    }

    /// Loses everything from one node to another, without a word. The way back isn't touched.
    pub fn block(&self, from: &PublicKey, to: &PublicKey) {
        lock(&self.world).blocked.insert((*from, *to));
    }

    /// Ends a [`SimulatedNetwork::block`].
    pub fn unblock(&self, from: &PublicKey, to: &PublicKey) {
        lock(&self.world).blocked.remove(&(*from, *to));
    }

    /// Cuts the connection between two nodes, and tells them. What is under way is lost.
    pub fn disconnect(&self, one: &PublicKey, other: &PublicKey) {
        let mut world = lock(&self.world);
        world.severed.extend([(*one, *other), (*other, *one)]);
        world.lose_under_way(one, other);
        for (at, gone) in [(one, other), (other, one)] {
            if let Some(router) = world.routers.get_mut(at) {
                router.down(gone, Some("disconnected".into()));
            }
        }
    }

    /// Connects two nodes that were disconnected.
    pub fn connect(&self, one: &PublicKey, other: &PublicKey) {
        let mut world = lock(&self.world);
        let severed = world.severed.remove(&(*one, *other));
        world.severed.remove(&(*other, *one));
        if severed {
            world.connect(one, other);
        }
    }

    /// Ends all faults, blocks and disconnections. Delays stay.
    pub fn heal(&self) {
        let mut world = lock(&self.world);
        let quiet = |faults: &mut LinkFaults| {
            (faults.loss_percent, faults.replay_percent, faults.reorder_percent) = (0, 0, 0);
        };
        quiet(&mut world.faults);
        world.faults_of.values_mut().for_each(quiet);
        world.blocked.clear();
        for (one, other) in std::mem::take(&mut world.severed) {
            if one < other {
                world.connect(&one, &other);
            }
        }
    }

    /// Lets the time be `now_micros` and everything arrive that is due. Time that runs backwards changes nothing.
    pub fn advance(&self, now_micros: u64) {
        let mut world = lock(&self.world);
        while let Some(entry) = world.flight.first_entry().filter(|entry| entry.key().0 <= now_micros) {
            let ((due, _), event) = entry.remove_entry();
            world.now_micros = world.now_micros.max(due);
            match event {
                Event::Arrive(message) => world.arrive(message),
                Event::Retry(direction, lane) => world.retry(direction, lane),
            }
        }
        world.now_micros = world.now_micros.max(now_micros);
    }

    /// When the next message arrives, in µs; `None` if nothing is under way.
    pub fn next_at(&self) -> Option<u64> {
        lock(&self.world).flight.keys().next().map(|(due, _)| *due)
    }

    /// How often each fault happened.
    pub fn counts(&self) -> FaultCounts {
        lock(&self.world).counts
    }
}

impl World {
    fn connect(&mut self, one: &PublicKey, other: &PublicKey) {
        if self.severed.contains(&(*one, *other)) || !self.routers.contains_key(other) {
            return;
        }
        let now_ms = self.now_micros / 1_000;
        let Some(router) = self.routers.get_mut(one) else { return };
        let told_other = router.up(*other, now_ms).1;
        let Some(router) = self.routers.get_mut(other) else { return };
        let told_one = router.up(*one, now_ms).1;
        self.tell(one, told_other.into_iter().map(|control| (*other, control)).collect());
        self.tell(other, told_one.into_iter().map(|control| (*one, control)).collect());
    }

    fn tell(&mut self, from: &PublicKey, told: Announcements) {
        for (to, control) in told {
            if let Some(router) = self.routers.get_mut(&to) {
                // Nobody here announces more chains than it is in.
                let _ = router.control(from, control);
            }
        }
    }

    fn remove(&mut self, local: &PublicKey) {
        let Some(mut router) = self.routers.remove(local) else { return };
        router.close();
        for other in self.routers.values_mut() {
            other.down(local, Some("closed".into()));
        }
    }

    fn percent(&mut self, percent: u8) -> bool {
        self.random.below(100) < u64::from(percent)
    }

    fn send(&mut self, direction: Direction, chain: ChainId, lane: Lane, bytes: Arc<[u8]>) -> Result<(), SendError> {
        let (from, to) = direction;
        let Some(router) = self.routers.get_mut(&from) else { return Err(SendError::UnknownChain(chain)) };
        router.may_send(&chain, &to, lane, bytes.len())?;
        let record = router.record(to);
        let limits = *self.config.lanes.get(lane);
        let state = self.lanes.entry((direction, lane)).or_default();
        let full = if state.frames >= limits.queue_frames {
            Some(QueueBound::Frames(limits.queue_frames))
        } else if state.bytes + bytes.len() > limits.queue_bytes {
            Some(QueueBound::Bytes(limits.queue_bytes))
        } else {
            None
        };
        if let Some(limit) = full {
            if lane != Lane::Votes {
                return Err(SendError::QueueFull { lane, limit });
            }
            self.drop_oldest_vote(direction);
            record.drops.votes_out.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
        record.count_out(lane, bytes.len());
        let number = self.lanes.get(&(direction, lane)).map(|state| state.next);
        self.fly(Message { direction, chain, lane, bytes, number });
        Ok(())
    }

    fn drop_oldest_vote(&mut self, direction: Direction) {
        let is_vote = |event: &Event| {
            matches!(event, Event::Arrive(message)
                if message.direction == direction && message.lane == Lane::Votes && message.number.is_some())
        };
        let oldest = self.flight.iter().find(|(_, event)| is_vote(event)).map(|(key, _)| *key);
        if let Some(Event::Arrive(message)) = oldest.and_then(|key| self.flight.remove(&key)) {
            self.landed(&message);
        }
    }

    /// Puts a message into flight, or loses it.
    fn fly(&mut self, message: Message) {
        let direction = message.direction;
        let faults = self.faults_of.get(&direction).unwrap_or(&self.faults).clone();
        let (shortest, longest) = faults.delay_micros.clone().into_inner();
        let spread = longest.saturating_sub(shortest).saturating_add(1);
        // Drawn in any case, so that a seed's later faults don't hang on earlier ones.
        let delay = shortest.saturating_add(self.random.below(spread));
        let again_delay = shortest.saturating_add(self.random.below(spread));
        let (lost, free) = (self.percent(faults.loss_percent), self.percent(faults.reorder_percent));
        let (again, which) = (self.percent(faults.replay_percent), self.random.next());

        let now = self.now_micros;
        let state = self.lanes.entry((direction, message.lane)).or_default();
        state.next += 1;
        if self.blocked.contains(&direction) {
            self.counts.blocked += 1;
            return;
        }
        let past = self.past.entry(direction).or_default();
        if past.len() == REPLAYABLE {
            past.pop_front();
        }
        past.push_back(Message { number: None, ..message.clone() });
        let old = past.get(usize::try_from(which % past.len().max(1) as u64).unwrap_or(0)).cloned();
        if lost {
            self.counts.lost += 1;
        } else {
            let mut due = now.saturating_add(delay);
            if !free {
                due = due.max(state.last_arrival);
                state.last_arrival = due;
            }
            state.frames += 1;
            state.bytes += message.bytes.len();
            self.schedule(due, Event::Arrive(message));
        }
        if let (true, Some(old)) = (again, old) {
            self.counts.replayed += 1;
            self.schedule(now.saturating_add(again_delay), Event::Arrive(old));
        }
    }

    fn landed(&mut self, message: &Message) {
        if let (Some(_), Some(state)) = (message.number, self.lanes.get_mut(&(message.direction, message.lane))) {
            state.frames -= 1;
            state.bytes -= message.bytes.len();
        }
    }

    fn schedule(&mut self, due: u64, event: Event) {
        self.flight.insert((due, self.sent), event);
        self.sent += 1;
    }

    /// A message is there. One that finds no room, or others that wait for it, waits too: the reader holds up its peer.
    fn arrive(&mut self, message: Message) {
        let place = (message.direction, message.lane);
        let waits = message.number.is_some() && self.lanes.get(&place).is_some_and(|state| !state.held.is_empty());
        let (direction, lane) = place;
        if waits {
            self.counts.held += 1;
            self.lanes.entry(place).or_default().held.push_back(message);
        } else if let Some(message) = self.hand_over(message) {
            self.counts.held += 1;
            self.lanes.entry(place).or_default().held.push_back(message);
            self.schedule(self.now_micros.saturating_add(RETRY_MICROS), Event::Retry(direction, lane));
        }
    }

    fn retry(&mut self, direction: Direction, lane: Lane) {
        let place = (direction, lane);
        while let Some(message) = self.lanes.get_mut(&place).and_then(|state| state.held.pop_front()) {
            if let Some(message) = self.hand_over(message) {
                self.lanes.entry(place).or_default().held.push_front(message);
                self.schedule(self.now_micros.saturating_add(RETRY_MICROS), Event::Retry(direction, lane));
                return;
            }
        }
    }

    /// Gives a message to its inbox. Gives it back if there is no room; one that comes again is lost then.
    fn hand_over(&mut self, message: Message) -> Option<Message> {
        let (from, to) = message.direction;
        if self.blocked.contains(&message.direction) {
            self.counts.blocked += 1;
            self.landed(&message);
            return None;
        }
        let delivered = match self.routers.get_mut(&to) {
            Some(router) => router.deliver(&message.chain, &from, message.lane, &message.bytes),
            None => Delivered::NotAdmitted,
        };
        match delivered {
            Delivered::Full(_) if message.number.is_some() => return Some(message),
            Delivered::Full(_) | Delivered::NotAdmitted => {}
            Delivered::Queued => {
                self.counts.delivered += 1;
                let state = self.lanes.entry((message.direction, message.lane)).or_default();
                let overtaken = message.number.is_some() && state.arrived > message.number;
                self.counts.overtaken += u64::from(overtaken);
                state.arrived = state.arrived.max(message.number);
            }
        }
        self.landed(&message);
        None
    }

    /// The connection between two nodes is gone, and all that was under way over it.
    fn lose_under_way(&mut self, one: &PublicKey, other: &PublicKey) {
        let between = |(from, to): &Direction| (from == one && to == other) || (from == other && to == one);
        let before = self.flight.len();
        self.flight.retain(|_, event| match event {
            Event::Arrive(message) => !between(&message.direction),
            // With nothing held it does nothing.
            Event::Retry(..) => true,
        });
        self.counts.blocked += (before - self.flight.len()) as u64;
        for (_, state) in self.lanes.iter_mut().filter(|((direction, _), _)| between(direction)) {
            self.counts.blocked += state.held.len() as u64;
            *state = LaneState { next: state.next, arrived: state.arrived, ..LaneState::default() };
        }
    }
}

impl SimulatedTransport {
    fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.world)
    }
}

impl Transport for SimulatedTransport {
    fn local(&self) -> PublicKey {
        self.local
    }

    fn join(&self, chain: ChainId, admission: Admission) -> Result<Inbox, JoinError> {
        let mut world = self.world();
        let router = world.routers.get_mut(&self.local).ok_or(JoinError::Closed)?;
        let (mailbox, told) = router.join(chain, admission)?;
        world.tell(&self.local, told);
        let (local, shared) = (self.local, Arc::downgrade(&self.world));
        Ok(Inbox::new(chain, mailbox.clone(), move || {
            let Some(world) = shared.upgrade() else { return mailbox.close(true) };
            let mut world = lock(&world);
            let told = world.routers.get_mut(&local).map(|router| router.leave(&chain, &mailbox));
            world.tell(&local, told.unwrap_or_default());
        }))
    }

    fn admit(&self, chain: &ChainId, admission: Admission) -> Result<(), JoinError> {
        let mut world = self.world();
        let router = world.routers.get_mut(&self.local).ok_or(JoinError::Closed)?;
        let told = router.admit(chain, admission)?;
        world.tell(&self.local, told);
        Ok(())
    }

    fn send(&self, chain: &ChainId, to: &PublicKey, lane: Lane, bytes: Arc<[u8]>) -> Result<(), SendError> {
        self.world().send((self.local, *to), *chain, lane, bytes)
    }

    fn peers(&self) -> Vec<PeerReport> {
        let world = self.world();
        let records = world.routers.get(&self.local).into_iter().flat_map(Router::records);
        records.map(|(peer, record)| record.report(*peer, None)).collect()
    }
}

impl fmt::Debug for SimulatedNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let world = lock(&self.world);
        f.debug_struct("SimulatedNetwork")
            .field("now_micros", &world.now_micros)
            .field("under_way", &world.flight.len())
            .field("counts", &world.counts)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SimulatedTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatedTransport").field("local", &self.local).finish_non_exhaustive()
    }
}
