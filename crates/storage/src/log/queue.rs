//! What waits for the disk: bounded in bytes, and shared between chains.
//!
//! While everything that waits fits one group, a group is simply all of it. When it doesn't, chains take turns by *deficit
//! round robin* (Shreedhar and Varghese, 1995): at its turn a chain is given a share of the group, takes submits from the
//! front of its own queue as long as they fit what it was given, and keeps the rest for its next turn. So a chain gets into
//! a group by how little it asks for, and not by how much others do. A chain whose next submit is too large for what is left
//! of a group goes on with its turn in the next one; nobody gets a second turn in the room that it left, or chains with
//! small submits would get ahead of it a little in every group.
//!
//! ```text
//!   chain A  ■■■■■■■■■■■■■■■■■    turns: A, B, C, A, ..          a submit of several chains, or without records,
//!   chain B  ■                    ──────────────────> group      is a fence: what came before it goes before it,
//!   chain C  ■■■                                                 what came later waits behind it
//! ```
//! Within a group submits stand in the order in which they came. A submit costs one look-up, and a chain for which nothing
//! waits costs nothing.

use std::collections::{HashMap, VecDeque};

use ledger_crypto::Digest;

use super::format::{FRAME, frame_length};
use super::ticket::Promise;
use super::{LogConfig, LogError, Record, Ticket};

/// The records of one submit.
#[derive(Debug)]
pub(super) struct Submission {
    pub(super) records: Vec<Record>,
    pub(super) promise: Promise,
    number: u64,
    size: u64,
}

/// What waits of one chain.
#[derive(Debug, Default)]
struct Lane {
    waiting: VecDeque<Submission>,
    /// Bytes that wait, those behind a fence included.
    bytes: u64,
    /// Bytes that it was given and has not used.
    deficit: u64,
    /// Its turn was cut short by the end of a group, and goes on in the next.
    cut_short: bool,
    /// The last group in which it had a turn.
    turn_in: u64,
}

/// The least share of a group that a turn gives, in bytes: it bounds how many turns a large submit needs.
const LEAST_SHARE: u64 = 4 << 10;

/// How many chains are passed over before a group is closed, because their next submit is too large for what is left of it
/// or they had their turn.
const MOST_PASSED_OVER: usize = 1024;

#[derive(Debug)]
pub(super) struct Queue {
    /// Only looked up in, never walked through: its order decides nothing.
    lanes: HashMap<Digest, Lane>,
    /// The chains whose lane isn't empty, in the order of their turns.
    turns: VecDeque<Digest>,
    /// The first fence and everything after it.
    behind: VecDeque<Submission>,
    bytes: u64,
    submits: u64,
    /// How many groups were filled by turns.
    groups: u64,
    limit: u64,
    chain_limit: u64,
    group_limit: u64,
}

/// A group being filled.
struct Group {
    taken: Vec<Submission>,
    room: u64,
}

impl Group {
    fn has_room(&self, size: u64) -> bool {
        size <= self.room || self.taken.is_empty()
    }

    fn take(&mut self, submission: Submission) {
        self.room = self.room.saturating_sub(submission.size);
        self.taken.push(submission);
    }
}

/// The chain of all records, unless they are of several or there is none.
fn sole_chain(records: &[Record]) -> Option<Digest> {
    let (first, rest) = records.split_first()?;
    rest.iter().all(|record| record.chain == first.chain).then_some(first.chain)
}

impl Queue {
    pub(super) fn new(config: &LogConfig) -> Self {
        Self {
            lanes: HashMap::new(),
            turns: VecDeque::new(),
            behind: VecDeque::new(),
            bytes: 0,
            submits: 0,
            groups: 0,
            limit: config.queue_bytes,
            chain_limit: config.chain_queue_bytes,
            group_limit: config.group_bytes,
        }
    }

    /// What `records` count for; a submit without any still takes memory.
    fn size(records: &[Record]) -> u64 {
        records.iter().fold(0_u64, |sum, record| sum.saturating_add(frame_length(record))).max(FRAME as u64)
    }

    /// Whether `records` may be pushed now.
    pub(super) fn admit(&self, records: &[Record]) -> Result<(), LogError> {
        let (size, limit) = (Self::size(records), self.limit);
        if size > limit {
            return Err(LogError::TooLarge { size, limit });
        }
        if self.bytes + size > limit {
            return Err(LogError::Busy { chain: None, queued: self.bytes, size, limit });
        }
        let Some(chain) = records.first().map(|record| record.chain) else { return Ok(()) };
        let queued = self.lanes.get(&chain).map_or(0, |lane| lane.bytes);
        // One submit is always let in, or a chain could never write what is larger than its bound.
        if queued > 0 && queued + size > self.chain_limit {
            return Err(LogError::Busy { chain: Some(chain), queued, size, limit: self.chain_limit });
        }
        Ok(())
    }

    pub(super) fn push(&mut self, records: Vec<Record>) -> Result<Ticket, LogError> {
        self.admit(&records)?;
        let size = Self::size(&records);
        self.bytes += size;
        self.submits += 1;
        if let Some(first) = records.first() {
            self.lanes.entry(first.chain).or_default().bytes += size;
        }
        let (promise, ticket) = Promise::new();
        let submission = Submission { records, promise, number: self.submits, size };
        if self.behind.is_empty() {
            self.line_up(submission)
        } else {
            self.behind.push_back(submission)
        }
        Ok(ticket)
    }

    /// Puts a submit at the end of its chain's lane, or, as the first fence, behind all lanes.
    fn line_up(&mut self, submission: Submission) {
        let Some(chain) = sole_chain(&submission.records) else { return self.behind.push_back(submission) };
        let lane = self.lanes.entry(chain).or_default();
        if lane.waiting.is_empty() {
            self.turns.push_back(chain);
        }
        lane.waiting.push_back(submission);
    }

    /// Takes everything, in the order in which it came.
    pub(super) fn take_all(&mut self) -> Vec<Submission> {
        let mut taken = Vec::new();
        for chain in self.turns.drain(..) {
            taken.extend(self.lanes.remove(&chain).into_iter().flat_map(|lane| lane.waiting));
        }
        taken.extend(self.behind.drain(..));
        self.lanes.clear();
        self.bytes = 0;
        in_order(taken)
    }

    /// Takes the next group: everything, when it fits one.
    pub(super) fn take_group(&mut self) -> Vec<Submission> {
        if self.bytes <= self.group_limit {
            return self.take_all();
        }
        self.groups += 1;
        let mut group = Group { taken: Vec::new(), room: self.group_limit };
        loop {
            self.fill(&mut group);
            if !self.turns.is_empty() || !self.pass_fences(&mut group) {
                return in_order(group.taken);
            }
        }
    }

    /// Gives turns until the group is full or no chain has anything in its lane.
    fn fill(&mut self, group: &mut Group) {
        let share = (self.group_limit / (self.turns.len() as u64).max(1)).max(LEAST_SHARE);
        let (mut passed_over, mut had_theirs) = (Vec::new(), Vec::new());
        while let Some(chain) = self.turns.pop_front() {
            if !group.has_room(FRAME as u64) || passed_over.len() + had_theirs.len() >= MOST_PASSED_OVER {
                self.turns.push_front(chain);
                break;
            }
            let Some(lane) = self.lanes.get_mut(&chain) else { continue };
            if !passed_over.is_empty() && lane.turn_in == self.groups {
                had_theirs.push(chain);
                continue;
            }
            lane.turn_in = self.groups;
            let before = lane.bytes;
            let too_large = take_turn(lane, share, group);
            self.bytes -= before - lane.bytes;
            if lane.bytes == 0 {
                self.lanes.remove(&chain);
            } else if too_large {
                passed_over.push(chain);
            } else if !lane.waiting.is_empty() {
                self.turns.push_back(chain);
            }
        }
        // Who was passed over begins the next group, which has room for the first of them whatever its size.
        for chain in passed_over.into_iter().chain(had_theirs).rev() {
            self.turns.push_front(chain);
        }
    }

    /// With all lanes empty, takes the fences at the front and lines up what waited behind them; false when there was
    /// nothing, or the group has no room for the fence.
    fn pass_fences(&mut self, group: &mut Group) -> bool {
        while let Some(next) = self.behind.front() {
            let fence = sole_chain(&next.records).is_none();
            if fence && (!self.turns.is_empty() || !group.has_room(next.size)) {
                break;
            }
            let Some(submission) = self.behind.pop_front() else { break };
            if fence {
                self.release(&submission);
                group.take(submission);
            } else {
                self.line_up(submission);
            }
        }
        !self.turns.is_empty()
    }

    /// Takes a fence's bytes off the books.
    fn release(&mut self, fence: &Submission) {
        self.bytes -= fence.size;
        let Some(chain) = fence.records.first().map(|record| record.chain) else { return };
        let Some(lane) = self.lanes.get_mut(&chain) else { return };
        lane.bytes -= fence.size;
        if lane.bytes == 0 {
            self.lanes.remove(&chain);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// How many chains wait for their turn.
    pub(super) fn chains(&self) -> usize {
        self.turns.len()
    }

    /// Whether more waits than fits a group.
    pub(super) fn exceeds_group(&self) -> bool {
        self.bytes > self.group_limit
    }
}

/// One chain's turn; true when it ended because the group has no room for the lane's next submit.
fn take_turn(lane: &mut Lane, share: u64, group: &mut Group) -> bool {
    if !std::mem::take(&mut lane.cut_short) && lane.waiting.front().is_some_and(|next| next.size > lane.deficit) {
        lane.deficit += share;
    }
    while let Some(next) = lane.waiting.front() {
        if !group.has_room(next.size) {
            lane.cut_short = true;
            return true;
        }
        if next.size > lane.deficit {
            return false;
        }
        lane.deficit -= next.size;
        lane.bytes -= next.size;
        group.take_front(&mut lane.waiting);
    }
    // What a chain can't use now it doesn't save for a flood.
    lane.deficit = 0;
    false
}

impl Group {
    fn take_front(&mut self, waiting: &mut VecDeque<Submission>) {
        if let Some(submission) = waiting.pop_front() {
            self.take(submission);
        }
    }
}

fn in_order(mut taken: Vec<Submission>) -> Vec<Submission> {
    // Runs of one chain each: the standard sort merges runs.
    taken.sort_by_key(|submission| submission.number);
    taken
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::RecordKind;

    fn record(chain: u8, length: usize) -> Record {
        Record { chain: Digest::new([chain; 32]), kind: RecordKind::PAYLOAD, height: 0, bytes: vec![0; length] }
    }

    #[test]
    fn chains_of_which_nothing_waits_leave_nothing_behind() {
        let config = LogConfig { group_bytes: 500, ..LogConfig::default() };
        let mut queue = Queue::new(&config);
        for round in 0..3 {
            for chain in 0..100 {
                queue.push(vec![record(chain, 100)]).unwrap();
                if chain % 40 == 7 {
                    queue.push(vec![record(chain, 10), record(chain + 1, 10)]).unwrap();
                    queue.push(vec![]).unwrap();
                }
            }
            assert_eq!(queue.lanes.len(), 100);
            let mut taken = 0;
            while !queue.is_empty() {
                // At the end everything is taken at once, which must leave as little behind as taking group by group.
                taken += if round == 1 && taken > 50 { queue.take_all() } else { queue.take_group() }.len();
            }
            assert_eq!(taken, 100 + 2 * 3);
            let left = (queue.lanes.len(), queue.turns.len(), queue.behind.len(), queue.bytes);
            assert_eq!(left, (0, 0, 0, 0));
        }
    }

    #[test]
    fn every_chain_gets_its_share_of_a_group() {
        let config = LogConfig { group_bytes: 1 << 20, ..LogConfig::default() };
        let mut queue = Queue::new(&config);
        for number in 0..50_u8 {
            for _ in 0..100 {
                queue.push(vec![record(number, 1_000)]).unwrap();
            }
        }
        for _ in 0..2 {
            queue.push(vec![record(200, 100)]).unwrap();
        }
        let group = queue.take_group();
        let own = |chain: u8| {
            let chain = Digest::new([chain; 32]);
            group.iter().filter(|one| one.records.iter().all(|record| record.chain == chain)).count()
        };
        assert_eq!(own(200), 2, "what is asked for is less than a share");
        let shares: Vec<usize> = (0..50).map(own).collect();
        // What is left of the group after one turn each goes to those whose turn is next.
        assert!(shares.iter().all(|share| (19..=38).contains(share)), "{shares:?}");
        assert!(shares.iter().filter(|share| **share > 19).count() <= 2, "{shares:?}");
    }
}
