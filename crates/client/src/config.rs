//! A client's bounds.

use std::time::Duration;

/// A client's bounds, each with a default that works.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// How often a request is tried, over all servers (default 8).
    pub attempts: u32,
    /// The first pause between attempts; each later one is twice as long (default 50 ms).
    pub first_pause: Duration,
    /// The longest pause (default 2 s). Pauses are drawn between half of theirs and the whole.
    pub longest_pause: Duration,
    /// How long a server may take to answer (default 15 s), beside what it is asked to wait.
    pub timeout: Duration,
    /// How long connecting may take (default 3 s).
    pub connect_timeout: Duration,
    /// The largest answer, in bytes (default 64 MiB).
    pub answer_bytes: usize,
    /// The longest message of a stream, in bytes (default 24 MiB).
    pub message_bytes: usize,
    /// How long a stream may be silent before it is opened anew (default 60 s; servers give a sign of life every 15 s).
    pub stream_silence: Duration,
    /// Idle connections that are kept for each server (default 32).
    pub idle_connections: usize,
}

impl Default for ClientConfig {
    fn default() -> Self {
        ClientConfig {
            attempts: 8,
            first_pause: Duration::from_millis(50),
            longest_pause: Duration::from_secs(2),
            timeout: Duration::from_secs(15),
            connect_timeout: Duration::from_secs(3),
            answer_bytes: 64 << 20,
            message_bytes: 24 << 20,
            stream_silence: Duration::from_secs(60),
            idle_connections: 32,
        }
    }
}

impl ClientConfig {
    /// The pause after attempt `attempt` (from 1): capped, with jitter, and not before the server asks for it.
    pub(crate) fn pause(&self, attempt: u32, asked_ms: Option<u64>) -> Duration {
        let doubled = self.first_pause.saturating_mul(1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX));
        let pause = doubled.min(self.longest_pause);
        // Without random numbers the pause is whole.
        let share = getrandom::u32().map_or(1.0, |random| 0.5 + f64::from(random) / f64::from(u32::MAX) / 2.0);
        let asked = Duration::from_millis(asked_ms.unwrap_or(0)).min(self.longest_pause);
        pause.mul_f64(share).max(asked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_cap_and_no_further() {
        let config = ClientConfig::default();
        for attempt in 1..100 {
            let whole = config.first_pause.saturating_mul(1 << (attempt - 1).min(20)).min(config.longest_pause);
            let pause = config.pause(attempt, None);
            assert!(pause >= whole / 2 && pause <= whole, "{attempt}: {pause:?}");
        }
        assert_eq!(config.pause(1, Some(u64::MAX)), config.longest_pause);
    }
}
