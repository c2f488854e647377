//! In which order the transactions of all chains are checked.

use ledger_core::ChainId;
use std::collections::{HashMap, VecDeque};

/// Signatures that are checked as one equation; more gain next to nothing.
pub(super) const BATCH: usize = 256;

/// Transactions of one chain that are taken before it is the next one's turn.
const TURN: usize = 32;

/// Transactions that wait for their check. Chains take turns, and a chain that is *flooded*, of which a batch or more
/// waits, has batches of its own: so nobody else's transaction is one of 256 that have to be checked before it is heard of.
pub(super) struct Turns<T> {
    chains: HashMap<ChainId, VecDeque<T>>,
    count: usize,
    /// Chains of which less than a batch waits, each once.
    turns: VecDeque<ChainId>,
    /// Chains of which more does, each once.
    flooded: VecDeque<ChainId>,
}

impl<T> Default for Turns<T> {
    fn default() -> Self {
        Turns { chains: HashMap::new(), count: 0, turns: VecDeque::new(), flooded: VecDeque::new() }
    }
}

impl<T> Turns<T> {
    pub(super) fn push(&mut self, chain: ChainId, job: T) {
        let queue = self.chains.entry(chain).or_default();
        queue.push_back(job);
        self.count += 1;
        match queue.len() {
            1 => self.turns.push_back(chain),
            BATCH => {
                self.turns.retain(|other| *other != chain);
                self.flooded.push_back(chain);
            }
            _ => {}
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chains.is_empty()
    }

    /// How many transactions wait.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Whether a flooded chain waits.
    pub(super) fn has_flooded(&self) -> bool {
        !self.flooded.is_empty()
    }

    /// Whether one that isn't waits.
    pub(super) fn has_others(&self) -> bool {
        !self.turns.is_empty()
    }

    /// A batch of the flooded chain whose turn it is.
    pub(super) fn take_flooded(&mut self) -> Vec<T> {
        let Some(chain) = self.flooded.pop_front() else { return Vec::new() };
        let mut batch = Vec::with_capacity(BATCH);
        // One that has less by now waits like the others again.
        match self.draw(chain, BATCH, &mut batch) {
            0 => {}
            left if left < BATCH => self.turns.push_back(chain),
            _ => self.flooded.push_back(chain),
        }
        batch
    }

    /// A batch of chains that aren't flooded.
    pub(super) fn take_others(&mut self) -> Vec<T> {
        let mut batch = Vec::with_capacity(BATCH.min(TURN * self.turns.len()));
        while batch.len() < BATCH
            && let Some(chain) = self.turns.pop_front()
        {
            if self.draw(chain, TURN.min(BATCH - batch.len()), &mut batch) > 0 {
                self.turns.push_back(chain);
            }
        }
        batch
    }

    /// Moves up to `count` of a chain into `batch`; returns how many are left.
    fn draw(&mut self, chain: ChainId, count: usize, batch: &mut Vec<T>) -> usize {
        let Some(queue) = self.chains.get_mut(&chain) else { return 0 };
        let count = count.min(queue.len());
        self.count -= count;
        batch.extend(queue.drain(..count));
        let left = queue.len();
        if left == 0 {
            self.chains.remove(&chain);
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger_crypto::Digest;

    fn chain(number: u8) -> ChainId {
        ChainId(Digest::new([number; 32]))
    }

    fn waiting(chains: &[(u8, usize)]) -> Turns<(u8, usize)> {
        let mut turns = Turns::default();
        for &(number, count) in chains {
            (0..count).for_each(|index| turns.push(chain(number), (number, index)));
        }
        turns
    }

    #[test]
    fn chains_that_are_not_flooded_share_batches_in_turns() {
        let mut turns = waiting(&[(1, 200), (2, 40), (3, 1)]);
        assert!(turns.has_others() && !turns.has_flooded());
        let batch = turns.take_others();
        assert_eq!((batch.len(), turns.len()), (241, 0));
        // The order within a chain is kept, and nobody has more than a turn before the next.
        assert_eq!(&batch[31..34], [(1, 31), (2, 0), (2, 1)]);
        assert_eq!(batch[64], (3, 0));
        assert!(turns.is_empty() && turns.take_others().is_empty() && turns.take_flooded().is_empty());
    }

    #[test]
    fn flooded_chains_keep_to_themselves_and_take_turns() {
        let mut turns = waiting(&[(1, 3 * BATCH), (2, 5), (3, 255), (4, 2 * BATCH)]);
        assert!(turns.has_flooded() && turns.has_others());
        let mut of_chain_1 = Vec::new();
        for chain in [1, 4, 1, 4, 1] {
            let batch = turns.take_flooded();
            assert!(batch.len() == BATCH && batch.iter().all(|(number, _)| *number == chain));
            of_chain_1.extend(batch.into_iter().filter(|(number, _)| *number == 1).map(|(_, job)| job));
        }
        assert!(of_chain_1.len() == 3 * BATCH && of_chain_1.is_sorted(), "the order within a chain is kept");
        assert!(!turns.has_flooded());
        let sizes = [turns.take_others().len(), turns.take_others().len(), turns.take_others().len()];
        assert_eq!(sizes, [BATCH, 4, 0]);
    }

    #[test]
    fn one_that_was_flooded_shares_again() {
        let mut turns = waiting(&[(1, BATCH + 10), (2, 1)]);
        assert_eq!((turns.take_flooded().len(), turns.len()), (BATCH, 11));
        assert!(!turns.has_flooded());
        assert_eq!(turns.take_others(), {
            let mut rest = vec![(2, 0)];
            rest.extend((BATCH..BATCH + 10).map(|job| (1, job)));
            rest
        });
        assert!(turns.is_empty());
    }
}
