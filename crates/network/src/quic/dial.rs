//! Making connections, again and again, ever more slowly.

use super::config::Peer;
use super::handshake::{Greeted, HandshakeError, turn_away};
use super::{Shared, tls};
use crate::random::Random;
use crate::report::lock;
use ledger_crypto::PublicKey;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// The wait before attempt `attempt + 1`: doubling from `first` to `limit`, shortened by up to half.
pub(super) fn back_off(first: Duration, limit: Duration, attempt: u32, random: &mut Random) -> Duration {
    let full = first.saturating_mul(1 << attempt.min(20)).min(limit);
    let half = full / 2;
    let spread = u64::try_from(half.as_micros()).unwrap_or(u64::MAX);
    full - Duration::from_micros(random.below(spread.saturating_add(1)))
}

/// Keeps a connection with `peer`, as long as some chain admits it.
pub(super) async fn keep_connected(shared: Arc<Shared>, peer: Peer) {
    let mut random =
        Random::new(shared.config.jitter_seed ^ number(&shared.local) ^ number(&peer.member).rotate_left(32));
    let mut attempt = 0;
    loop {
        let idle = Instant::now();
        shared.until(|shared| shared.wants(&peer.member) && !shared.is_linked(&peer.member)).await;
        if idle.elapsed() >= shared.config.back_off_limit {
            attempt = 0;
        }
        // Both ends dial. The smaller key goes first, so that most pairs make one connection only.
        if attempt == 0 && shared.local > peer.member {
            sleep(shared.config.back_off).await;
            if shared.is_linked(&peer.member) {
                continue;
            }
        }
        let started = Instant::now();
        match dial(&shared, &peer).await {
            Ok(greeted) => shared.clone().serve(greeted).await,
            Err(error) => shared.note(&peer.member, &error),
        }
        if started.elapsed() >= shared.config.back_off_limit.max(shared.config.handshake_timeout.saturating_mul(2)) {
            attempt = 0;
        }
        sleep(back_off(shared.config.back_off, shared.config.back_off_limit, attempt, &mut random)).await;
        attempt = attempt.saturating_add(1);
    }
}

async fn dial(shared: &Shared, peer: &Peer) -> Result<Greeted, HandshakeError> {
    let mut last = HandshakeError::NoAddress;
    for address in &peer.addresses {
        let found: Vec<SocketAddr> = match tokio::net::lookup_host(address.as_str()).await {
            Ok(found) => found.collect(),
            Err(error) => {
                last = error.into();
                continue;
            }
        };
        for address in found {
            match timeout(shared.config.handshake_timeout, dial_at(shared, address, peer.member)).await {
                Ok(Ok(greeted)) => return Ok(greeted),
                Ok(Err(error)) => last = error,
                Err(_) => last = HandshakeError::Timeout,
            }
        }
    }
    Err(last)
}

async fn dial_at(shared: &Shared, address: SocketAddr, member: PublicKey) -> Result<Greeted, HandshakeError> {
    let connection = shared.endpoint.connect(address, tls::SERVER_NAME)?.await?;
    let greeted = shared.greet(connection.clone(), member).await;
    if let Err(error) = &greeted {
        turn_away(&connection, error);
    }
    greeted
}

fn number(key: &PublicKey) -> u64 {
    key.as_bytes().first_chunk().map_or(0, |first| u64::from_be_bytes(*first))
}

impl Shared {
    fn note(&self, peer: &PublicKey, error: &HandshakeError) {
        tracing::debug!(%peer, %error, "connection failed");
        let mut router = lock(&self.router);
        if router.admits(peer) {
            router.record(*peer).standing().last_error = Some(error.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_their_limit_and_are_shortened_by_at_most_half() {
        let (first, limit) = (Duration::from_millis(100), Duration::from_secs(5));
        let mut random = Random::new(1);
        for attempt in 0..40 {
            let full = limit.min(first * (1 << attempt.min(10)));
            let wait = back_off(first, limit, attempt, &mut random);
            assert!(wait <= full && wait >= full / 2, "attempt {attempt}: {wait:?} of {full:?}");
        }
    }
}
