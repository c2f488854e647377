//! How many requests a second a client may make: token buckets.

use ledger_crypto::Digest;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Whose rate it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum RateKey {
    Token(Digest),
    Address(IpAddr),
    /// All those for whom there is no room.
    Others,
}

impl RateKey {
    /// An address; IPv6 hosts have a whole /64 to choose from, so that counts as one.
    pub(crate) fn of(address: IpAddr) -> Self {
        RateKey::Address(match address {
            IpAddr::V6(address) if address.to_ipv4_mapped().is_none() => {
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)))
            }
            other => other.to_canonical(),
        })
    }
}

struct Bucket {
    tokens: f64,
    at: Instant,
}

/// A bucket for each key, in bounded memory.
pub(crate) struct Rates {
    per_second: f64,
    burst: f64,
    keys: usize,
    buckets: Mutex<HashMap<RateKey, Bucket>>,
}

impl Rates {
    pub(crate) fn new(per_second: u32, burst: u32, keys: usize) -> Self {
        let (per_second, burst) = (f64::from(per_second.max(1)), f64::from(burst.max(1)));
        Rates { per_second, burst, keys, buckets: Mutex::new(HashMap::new()) }
    }

    /// Takes one from the bucket of `key`, or says how long until there is one.
    pub(crate) fn take(&self, key: RateKey, now: Instant) -> Result<(), Duration> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = key;
        if buckets.len() >= self.keys && !buckets.contains_key(&key) {
            // A bucket that has filled up again says no more than a new one.
            buckets.retain(|_, bucket| self.filled(bucket, now) < self.burst);
            if buckets.len() >= self.keys {
                key = RateKey::Others;
            }
        }
        let bucket = buckets.entry(key).or_insert(Bucket { tokens: self.burst, at: now });
        bucket.tokens = self.filled(bucket, now);
        bucket.at = bucket.at.max(now);
        if bucket.tokens >= 1.0 {
            bucket.tokens -= 1.0;
            return Ok(());
        }
        // A second at most: there is less than one to wait for, and at least one comes in a second.
        Err(Duration::from_secs_f64((1.0 - bucket.tokens) / self.per_second))
    }

    fn filled(&self, bucket: &Bucket, now: Instant) -> f64 {
        let since = now.saturating_duration_since(bucket.at).as_secs_f64();
        (bucket.tokens + since * self.per_second).min(self.burst)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn address(last: u8) -> RateKey {
        RateKey::of(IpAddr::from([10, 0, 0, last]))
    }

    #[test]
    fn a_burst_is_allowed_and_then_the_rate() {
        let (rates, start) = (Rates::new(10, 3, 8), Instant::now());
        for _ in 0..3 {
            rates.take(address(1), start).unwrap();
        }
        let wait = rates.take(address(1), start).unwrap_err();
        assert!(wait > Duration::from_millis(90) && wait <= Duration::from_millis(101), "{wait:?}");
        rates.take(address(2), start).unwrap();
        rates.take(address(1), start + Duration::from_millis(101)).unwrap();
        rates.take(address(1), start + Duration::from_millis(101)).unwrap_err();
    }

    #[test]
    fn many_addresses_share_what_room_is_left_and_memory_stays() {
        let (rates, start) = (Rates::new(1, 2, 4), Instant::now());
        let refused = (0..=255).filter(|last| rates.take(address(*last), start).is_err()).count();
        assert_eq!(refused, 256 - 4 - 2);
        assert!(rates.buckets.lock().unwrap().len() <= 5);
        // Those that kept still have given their room up.
        rates.take(address(77), start + Duration::from_secs(3)).unwrap();
    }

    #[test]
    fn one_ipv6_network_is_one_client() {
        let host = |last| RateKey::of(IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, last]));
        assert_eq!(host(1), host(2));
        assert_ne!(host(1), RateKey::of(IpAddr::from([0x2001, 0xdb8, 0, 2, 0, 0, 0, 1])));
        let mapped: IpAddr = "::ffff:10.0.0.1".parse().unwrap();
        assert_eq!(RateKey::of(mapped), address(1));
    }
}
