//! Whether a chain has the host's processors to itself.

use super::quota::ACTIVE_MS;
use ledger_core::ChainId;
use std::time::{Duration, Instant};

const ACTIVE: Duration = Duration::from_millis(ACTIVE_MS);

/// Of which chains transactions have come lately: of one alone, or of several.
#[derive(Default)]
pub(super) struct Company {
    last: Option<ChainId>,
    /// When the newest transaction came that was another chain's than the one before.
    changed: Option<Instant>,
}

impl Company {
    /// A transaction of `chain` has come.
    pub(super) fn met(&mut self, chain: ChainId) {
        if self.last.replace(chain).is_some_and(|last| last != chain) {
            self.changed = Some(Instant::now());
        }
    }

    /// Whether all that came lately was one chain's.
    pub(super) fn is_one_chain(&self) -> bool {
        self.changed.is_none_or(|at| at.elapsed() > ACTIVE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger_crypto::Digest;

    #[test]
    fn a_second_chain_is_company_for_a_while() {
        let [one, other] = [1, 2].map(|number| ChainId(Digest::new([number; 32])));
        let mut company = Company::default();
        assert!(company.is_one_chain());
        company.met(one);
        company.met(one);
        assert!(company.is_one_chain());
        company.met(other);
        assert!(!company.is_one_chain());
        company.met(other);
        assert!(!company.is_one_chain(), "the first one may come back any moment");
        std::thread::sleep(ACTIVE + Duration::from_millis(20));
        company.met(other);
        assert!(company.is_one_chain());
        company.met(one);
        assert!(!company.is_one_chain());
    }
}
