//! A test ledger's clock, and going back.

use super::ledger::{TestError, TestLedger};
use super::state::MapState;
use ledger_core::{AccountId, Height, Rules, Timestamp};
use std::collections::BTreeMap;

/// A moment of a [`TestLedger`] to go back to: state, height, time, rules, the numbers of lanes. Which executor there is
/// isn't part of it.
///
/// Taking one and going back to it cost nothing; the first block after either copies the state, once.
#[derive(Clone, Debug)]
pub struct Snapshot {
    state: MapState,
    rules: Rules,
    height: Height,
    timestamp: Timestamp,
    next_time: Option<Timestamp>,
    numbers: BTreeMap<AccountId, u64>,
}

impl TestLedger {
    /// Goes on by so many empty blocks, each a second after the one before.
    ///
    /// # Errors
    /// [`TestError::Execution`] from the executor.
    pub fn advance_blocks(&mut self, count: u64) -> Result<(), TestError> {
        for _ in 0..count {
            self.apply(Vec::new())?;
        }
        Ok(())
    }

    /// Goes on to an empty block at `time`, so that both what is simulated and what comes next is at that time or after it.
    ///
    /// # Errors
    /// [`TestError::TimeRunsBack`] if that is before the last block; [`TestError::Execution`] from the executor.
    pub fn set_time(&mut self, time: Timestamp) -> Result<(), TestError> {
        self.next_block_at(time)?;
        self.apply(Vec::new())?;
        Ok(())
    }

    /// [Goes on](Self::set_time) to an empty block so many ms after the last one.
    ///
    /// # Errors
    /// [`TestError::Execution`] from the executor.
    pub fn advance_time(&mut self, milliseconds: u64) -> Result<(), TestError> {
        self.set_time(self.timestamp.plus(milliseconds))
    }

    /// Says at what time the next block is, for what depends on it to the millisecond. Those after it follow by seconds.
    ///
    /// # Errors
    /// [`TestError::TimeRunsBack`] if that is before the last block.
    pub fn next_block_at(&mut self, time: Timestamp) -> Result<(), TestError> {
        if time < self.timestamp {
            return Err(TestError::TimeRunsBack { asked: time, latest: self.timestamp });
        }
        self.next_time = Some(time);
        Ok(())
    }

    /// The ledger as it is now, to [go back](Self::restore) to.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            state: self.state.clone(),
            rules: self.rules.clone(),
            height: self.height,
            timestamp: self.timestamp,
            next_time: self.next_time,
            numbers: self.numbers.clone(),
        }
    }

    /// Goes back to `snapshot`, as often as is liked, also to one of another ledger.
    pub fn restore(&mut self, snapshot: &Snapshot) {
        let Snapshot { state, rules, height, timestamp, next_time, numbers } = snapshot.clone();
        self.state = state;
        self.rules = rules;
        self.height = height;
        self.timestamp = timestamp;
        self.next_time = next_time;
        self.numbers = numbers;
    }
}
