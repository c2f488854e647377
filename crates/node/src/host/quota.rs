//! What one chain may use of what all chains of a host share.

use super::turns::BATCH;
use ledger_core::ChainId;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A chain's bounds on what it takes from its host. It concerns what clients of this node hand in; blocks that others
/// have decided are kept whatever they take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// The most bytes of a chain's records in the log, transactions under way included (default: no bound). A chain that
    /// has as much takes no new transactions until some of it is cut off the log; what it has is served as before. What the last blocks take besides their
    /// transactions, about 1 KiB, may come on top.
    pub log_bytes: Option<u64>,
    /// The most bytes of transactions in a second, of which a second's worth may come at once (default: no bound).
    pub bytes_per_second: Option<u64>,
}

/// A chain has used what it may.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QuotaExceeded {
    /// Its records in the log are as many as its quota allows.
    #[error("chain {chain} takes no more transactions: it has {used} bytes in the log, its quota is {limit}")]
    Log {
        /// Which chain.
        chain: ChainId,
        /// What it has, and what is under way.
        used: u64,
        /// The bound, in bytes.
        limit: u64,
    },
    /// It was handed more than it may take in a second.
    #[error("chain {chain} may take {limit} bytes a second; try again in {retry_ms} ms")]
    Rate {
        /// Which chain.
        chain: ChainId,
        /// The bound, in bytes a second.
        limit: u64,
        /// When there is room again for this transaction, in ms from now.
        retry_ms: u64,
    },
    /// A transaction that is larger than what the chain may take in a second never fits.
    #[error("the transaction has {size} bytes, and chain {chain} may take {limit} bytes a second")]
    TooLarge {
        /// Which chain.
        chain: ChainId,
        /// The transaction's bytes.
        size: u64,
        /// The bound, in bytes a second.
        limit: u64,
    },
}

/// Counts what one chain uses.
#[derive(Debug)]
pub(crate) struct Meter {
    chain: ChainId,
    quota: Quota,
    /// Bytes of the chain's records that were handed to the log or found there.
    logged: u64,
    /// Those that were cut off since.
    cut: Arc<AtomicU64>,
    /// What may be taken now, in thousandths of a byte: so many come in each ms as there are bytes in a second.
    room: u64,
    /// When that was so, in ms since the chain was opened.
    at: u64,
}

impl Meter {
    /// A meter of a chain that has `logged` bytes in the log.
    pub(crate) fn new(chain: ChainId, quota: Quota, logged: u64) -> Self {
        let room = quota.bytes_per_second.unwrap_or(0).saturating_mul(1_000);
        Meter { chain, quota, logged, cut: Arc::default(), room, at: 0 }
    }

    /// Bytes that are cut off the log are added up in `cut`.
    pub(crate) fn less(mut self, cut: Arc<AtomicU64>) -> Self {
        self.cut = cut;
        self
    }

    /// Whether there is any bound.
    pub(crate) fn is_bound(&self) -> bool {
        self.quota != Quota::default()
    }

    /// Records were handed to the log.
    pub(crate) fn wrote(&mut self, bytes: u64) {
        self.logged = self.logged.saturating_add(bytes);
    }

    /// Whether a transaction of `size` bytes may come in at `now` (since the chain was opened), with `waiting` bytes
    /// under way. One that may is counted.
    pub(crate) fn admit(&mut self, now: Duration, size: u64, waiting: u64) -> Result<(), QuotaExceeded> {
        let chain = self.chain;
        if let Some(limit) = self.quota.log_bytes {
            let logged = self.logged.saturating_sub(self.cut.load(Ordering::Relaxed));
            let used = logged.saturating_add(waiting);
            if used.saturating_add(size) > limit {
                return Err(QuotaExceeded::Log { chain, used, limit });
            }
        }
        if let Some(limit) = self.quota.bytes_per_second {
            if size > limit {
                return Err(QuotaExceeded::TooLarge { chain, size, limit });
            }
            let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
            let elapsed = now.saturating_sub(self.at);
            self.at = self.at.max(now);
            let most = limit.saturating_mul(1_000);
            self.room = self.room.saturating_add(elapsed.saturating_mul(limit)).min(most);
            let wanted = size.saturating_mul(1_000);
            if wanted > self.room {
                let retry_ms = (wanted - self.room).div_ceil(limit.max(1));
                return Err(QuotaExceeded::Rate { chain, limit, retry_ms });
            }
            self.room -= wanted;
        }
        Ok(())
    }
}

/// What a waiting transaction takes besides its bytes, roughly.
const ENTRY_BYTES: usize = 512;

/// A chain with so many waiting transactions is flooded, as [`turns`](super::turns) has it.
const FLOODED: usize = BATCH;

/// A chain counts as active for so long after its last transaction, in ms: a flooded one gives way to it.
pub(super) const ACTIVE_MS: u64 = 200;

/// What the mempools of a host's chains take together, and may take.
#[derive(Debug)]
pub(crate) struct Waiting {
    limit: usize,
    used: AtomicUsize,
    chains: AtomicUsize,
    /// How many chains there ever were.
    known: AtomicU64,
    started: Instant,
    /// When a chain that isn't flooded had transactions last, in ms since `started`, and which.
    quiet_at: AtomicU64,
    quiet: AtomicU64,
}

impl Waiting {
    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Waiting {
            limit,
            used: AtomicUsize::new(0),
            chains: AtomicUsize::new(0),
            known: AtomicU64::new(0),
            started: Instant::now(),
            quiet_at: AtomicU64::new(0),
            quiet: AtomicU64::new(0),
        })
    }
}

/// One chain's part in that.
#[derive(Debug)]
pub(crate) struct Share {
    waiting: Arc<Waiting>,
    /// From 1 on.
    number: u64,
    used: usize,
    count: usize,
}

impl Share {
    pub(crate) fn new(waiting: &Arc<Waiting>) -> Self {
        waiting.chains.fetch_add(1, Ordering::Relaxed);
        let number = waiting.known.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        Share { waiting: Arc::clone(waiting), number, used: 0, count: 0 }
    }

    /// Whether no other chain is open.
    pub(crate) fn is_alone(&self) -> bool {
        self.waiting.chains.load(Ordering::Relaxed) <= 1
    }

    /// The chain's mempool holds `count` transactions of `bytes` bytes now.
    pub(crate) fn set(&mut self, count: usize, bytes: usize) {
        self.count = count;
        if (1..FLOODED).contains(&count) {
            self.waiting.quiet.store(self.number, Ordering::Relaxed);
            self.waiting.quiet_at.store(self.waiting.now(), Ordering::Relaxed);
        }
        let now = bytes.saturating_add(count.saturating_mul(ENTRY_BYTES));
        if now > self.used {
            self.waiting.used.fetch_add(now - self.used, Ordering::Relaxed);
        } else {
            self.waiting.used.fetch_sub(self.used - now, Ordering::Relaxed);
        }
        self.used = now;
    }

    /// Whether the chain is flooded, and another one, which isn't, had something to do just now.
    pub(crate) fn gives_way(&self) -> bool {
        let Waiting { quiet, quiet_at, .. } = &*self.waiting;
        let quiet = quiet.load(Ordering::Relaxed);
        let another = quiet != 0 && quiet != self.number;
        let until = quiet_at.load(Ordering::Relaxed).saturating_add(ACTIVE_MS);
        self.count >= FLOODED && another && self.waiting.now() <= until
    }

    /// Whether the chain may take another transaction. While there is room anyone may; when there is none, those that
    /// hold less than an equal part still may, so that together they hold at most twice the limit.
    ///
    /// # Errors
    /// The limit, in bytes.
    pub(crate) fn check(&self) -> Result<(), usize> {
        let limit = self.waiting.limit;
        if self.waiting.used.load(Ordering::Relaxed) < limit {
            return Ok(());
        }
        let part = limit / self.waiting.chains.load(Ordering::Relaxed).max(1);
        if self.used < part { Ok(()) } else { Err(limit) }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0, 0);
        self.waiting.chains.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger_crypto::Digest;

    const CHAIN: ChainId = ChainId(Digest::ZERO);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_second_holds_what_the_quota_says() {
        let quota = Quota { bytes_per_second: Some(1_000), ..Quota::default() };
        let mut meter = Meter::new(CHAIN, quota, 0);
        assert_eq!(
            meter.admit(ms(0), 1_001, 0),
            Err(QuotaExceeded::TooLarge { chain: CHAIN, size: 1_001, limit: 1_000 })
        );
        assert_eq!(meter.admit(ms(0), 700, 0), Ok(()));
        assert_eq!(meter.admit(ms(0), 400, 0), Err(QuotaExceeded::Rate { chain: CHAIN, limit: 1_000, retry_ms: 100 }));
        assert_eq!(meter.admit(ms(99), 400, 0), Err(QuotaExceeded::Rate { chain: CHAIN, limit: 1_000, retry_ms: 1 }));
        assert_eq!(meter.admit(ms(100), 400, 0), Ok(()));
        // What wasn't used for long doesn't add up to more than a second's worth.
        let admitted = (0..100).filter(|_| meter.admit(ms(60_000), 100, 0).is_ok()).count();
        assert_eq!(admitted, 10);
    }

    #[test]
    fn what_is_logged_and_what_waits_count_together() {
        let quota = Quota { log_bytes: Some(10_000), ..Quota::default() };
        let mut meter = Meter::new(CHAIN, quota, 4_000);
        assert_eq!(meter.admit(ms(0), 3_000, 3_000), Ok(()));
        meter.wrote(3_500);
        let full = QuotaExceeded::Log { chain: CHAIN, used: 9_500, limit: 10_000 };
        assert_eq!(meter.admit(ms(0), 501, 2_000), Err(full));
        assert_eq!(meter.admit(ms(0), 500, 2_000), Ok(()));
    }

    #[test]
    fn what_is_cut_off_makes_room() {
        let quota = Quota { log_bytes: Some(10_000), ..Quota::default() };
        let cut = Arc::new(AtomicU64::new(0));
        let mut meter = Meter::new(CHAIN, quota, 9_900).less(Arc::clone(&cut));
        assert!(meter.admit(ms(0), 200, 0).is_err());
        cut.fetch_add(5_000, Ordering::Relaxed);
        assert_eq!(meter.admit(ms(0), 5_100, 0), Ok(()));
        meter.wrote(5_100);
        let full = QuotaExceeded::Log { chain: CHAIN, used: 10_000, limit: 10_000 };
        assert_eq!(meter.admit(ms(0), 1, 0), Err(full));
    }

    #[test]
    fn a_full_host_refuses_those_that_hold_more_than_their_part() {
        let waiting = Waiting::new(10_000);
        let (mut greedy, modest) = (Share::new(&waiting), Share::new(&waiting));
        greedy.set(0, 9_999);
        assert_eq!(greedy.check(), Ok(()));
        greedy.set(0, 10_000);
        assert_eq!((greedy.check(), modest.check()), (Err(10_000), Ok(())));
        drop(greedy);
        assert_eq!(waiting.used.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_flooded_chain_gives_way_to_others_that_are_not() {
        let waiting = Waiting::new(usize::MAX);
        let (mut flooded, mut quiet) = (Share::new(&waiting), Share::new(&waiting));
        flooded.set(FLOODED, 1);
        assert!(!flooded.gives_way(), "nobody else has anything to do");
        quiet.set(1, 1);
        assert!(flooded.gives_way() && !quiet.gives_way());
        // One that is about to be flooded isn't another.
        flooded.set(FLOODED - 1, 1);
        flooded.set(FLOODED, 1);
        assert!(!flooded.gives_way());
        quiet.set(FLOODED, 1);
        assert!(!flooded.gives_way() && quiet.gives_way());
    }
}
