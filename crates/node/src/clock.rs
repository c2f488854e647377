//! The time that chains are told: the system's, made to run neither backwards nor not at all.

use ledger_core::Timestamp;
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// Follows the system's clock. While that is behind what was told already, since it was set back, time goes on at half its
/// pace until both agree: where it stood still, nothing would time out, and nothing that is due later would be done.
#[derive(Debug)]
pub(crate) struct Clock {
    told: Timestamp,
    /// When that was, by a clock that nobody sets.
    at: Instant,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Clock { told: system(), at: Instant::now() }
    }

    /// The time in ms since 1970.
    pub(crate) fn now(&mut self) -> Timestamp {
        self.read(system(), Instant::now())
    }

    fn read(&mut self, system: Timestamp, at: Instant) -> Timestamp {
        if system >= self.told {
            (self.told, self.at) = (system, at);
            return system;
        }
        let passed = at.saturating_duration_since(self.at);
        let slowed = u64::try_from(passed.as_millis() / 2).unwrap_or(u64::MAX);
        self.told = self.told.plus(slowed);
        self.at = self.at.checked_add(Duration::from_millis(slowed.saturating_mul(2))).unwrap_or(at);
        self.told
    }
}

fn system() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;

    #[test]
    fn a_clock_that_is_set_back_does_not_stand_still() {
        let begun = Instant::now();
        let mut clock = Clock { told: Timestamp(0), at: begun };
        let after = |ms: u64| begun + Duration::from_millis(ms);
        let first = clock.read(Timestamp(10 * HOUR), after(0));
        // It is an hour earlier from now on.
        let system = |ms: u64| Timestamp(9 * HOUR + ms);
        let mut told = first;
        for ms in (0..3 * HOUR).step_by(7) {
            let now = clock.read(system(ms), after(ms));
            assert!(now >= told && now >= system(ms), "{now} after {told} at {ms}");
            told = now;
            if ms % 10_000 == 0 && ms < HOUR {
                assert!(now.0.abs_diff(first.0 + ms / 2) <= 1, "{now} at {ms}");
            }
        }
        // Twice as long as it was set back, and it is right again.
        assert_eq!(clock.read(system(3 * HOUR), after(3 * HOUR)), system(3 * HOUR));
    }

    #[test]
    fn it_tells_the_system_s_time_where_that_goes_on() {
        let begun = Instant::now();
        let mut clock = Clock { told: Timestamp(0), at: begun };
        let now = clock.read(Timestamp(u64::MAX - 5), begun);
        assert_eq!(now, Timestamp(u64::MAX - 5));
        assert_eq!(clock.read(Timestamp(u64::MAX - 2), begun), Timestamp(u64::MAX - 2));
        assert_eq!(clock.read(Timestamp(0), begun + Duration::from_secs(9)), Timestamp(u64::MAX));
    }
}
