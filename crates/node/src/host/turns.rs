//! In which order the transactions of all chains are checked.

use ledger_core::ChainId;
use std::collections::{HashMap, VecDeque};

/// Signatures that are checked as one equation; more gain next to nothing.
pub(super) const BATCH: usize = 256;

/// Transactions of one chain that are taken before it is the next one's turn.
const TURN: usize = 32;

/// Transactions that wait for their check. Chains take turns, and a chain that is *flooded*, of which more than a batch
/// waits, has batches of its own: so nobody else's transaction is one of 256 that have to be checked before it is heard of.
pub(super) struct Turns<T> {
    chains: HashMap<ChainId, VecDeque<T>>,
    /// Chains of which less than a batch waits, each once.
    turns: VecDeque<ChainId>,
    /// Chains of which more does, each once.
    flooded: VecDeque<ChainId>,
    /// Whose batch comes next where there are both.
    floods_turn: bool,
}

impl<T> Default for Turns<T> {
    fn default() -> Self {
        let (turns, flooded) = (VecDeque::new(), VecDeque::new());
        Turns { chains: HashMap::new(), turns, flooded, floods_turn: false }
    }
}

impl<T> Turns<T> {
    pub(super) fn push(&mut self, chain: ChainId, job: T) {
        let queue = self.chains.entry(chain).or_default();
        queue.push_back(job);
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

    /// Whether chains that aren't flooded wait beside one that is.
    pub(super) fn is_mixed(&self) -> bool {
        !self.turns.is_empty() && !self.flooded.is_empty()
    }

    /// The next batch: in turn, one of flooded chains and one of the others.
    pub(super) fn take(&mut self) -> Vec<T> {
        if self.is_mixed() {
            self.floods_turn = !self.floods_turn;
        } else {
            self.floods_turn = self.turns.is_empty();
        }
        if self.floods_turn { self.take_flooded() } else { self.take_others() }
    }

    /// A batch of the flooded chain whose turn it is.
    fn take_flooded(&mut self) -> Vec<T> {
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
        batch.extend(queue.drain(..count.min(queue.len())));
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
        assert!(!turns.is_mixed());
        let batch = turns.take();
        assert_eq!(batch.len(), 241);
        // The order within a chain is kept, and nobody has more than a turn before the next.
        assert_eq!(&batch[31..34], [(1, 31), (2, 0), (2, 1)]);
        assert_eq!(batch[64], (3, 0));
        assert!(turns.is_empty() && turns.take().is_empty());
    }

    #[test]
    fn a_flooded_chain_keeps_to_itself_and_takes_turns_with_the_others() {
        let mut turns = waiting(&[(1, 3 * BATCH), (2, 5), (3, 255)]);
        assert!(turns.is_mixed());
        let batches: Vec<_> = std::iter::from_fn(|| Some(turns.take()).filter(|batch| !batch.is_empty())).collect();
        let chains = |batch: &Vec<(u8, usize)>| {
            let mut chains: Vec<u8> = batch.iter().map(|(chain, _)| *chain).collect();
            chains.dedup();
            (chains, batch.len())
        };
        let found: Vec<_> = batches.iter().map(chains).collect();
        assert_eq!(found[0], (vec![1], BATCH));
        assert_eq!(found[1], (vec![2, 3], BATCH));
        assert_eq!(found[2], (vec![1], BATCH));
        // What is left of it is a batch, and what is left of the others four.
        let sizes: Vec<usize> = found[3..].iter().map(|(_, size)| *size).collect();
        assert_eq!(sizes.iter().sum::<usize>(), BATCH + 4);
        let all: Vec<usize> = batches.concat().iter().filter(|(chain, _)| *chain == 1).map(|(_, job)| *job).collect();
        assert!(all.is_sorted(), "the order within a chain is kept");
    }

    #[test]
    fn one_that_was_flooded_shares_again() {
        let mut turns = waiting(&[(1, BATCH + 10), (2, 1)]);
        assert!(turns.is_mixed());
        assert_eq!(turns.take().len(), BATCH);
        assert!(!turns.is_mixed());
        assert_eq!(turns.take(), {
            let mut rest = vec![(2, 0)];
            rest.extend((BATCH..BATCH + 10).map(|job| (1, job)));
            rest
        });
        assert!(turns.is_empty());
    }
}
