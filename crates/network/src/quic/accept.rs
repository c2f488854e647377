//! Taking connections, no more than there is room for.

use super::Shared;
use super::handshake::{HandshakeError, turn_away};
use crate::report::lock;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use tokio::time::timeout;

/// How many connections are there that others have made.
#[derive(Default)]
pub(super) struct Slots(Mutex<Taken>);

#[derive(Default)]
struct Taken {
    connections: usize,
    handshakes: usize,
    by_address: BTreeMap<IpAddr, usize>,
}

/// A connection's place among them; given back when it is dropped.
struct Slot {
    slots: Arc<Slots>,
    address: IpAddr,
    greeted: bool,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Full {
    All,
    Address,
}

impl Slots {
    fn take(self: &Arc<Self>, address: IpAddr, config: &super::QuicConfig) -> Result<(Slot, usize), Full> {
        let address = site(address);
        let mut taken = lock(&self.0);
        if taken.connections >= config.connections || taken.handshakes >= config.handshakes {
            return Err(Full::All);
        }
        let of_address = taken.by_address.entry(address).or_default();
        if *of_address >= config.connections_per_ip {
            return Err(Full::Address);
        }
        *of_address += 1;
        taken.connections += 1;
        taken.handshakes += 1;
        let handshakes = taken.handshakes;
        Ok((Slot { slots: self.clone(), address, greeted: false }, handshakes))
    }
}

impl Slot {
    fn greeted(&mut self) {
        if !std::mem::replace(&mut self.greeted, true) {
            lock(&self.slots.0).handshakes -= 1;
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.greeted();
        let mut taken = lock(&self.slots.0);
        taken.connections -= 1;
        if let Some(count) = taken.by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                taken.by_address.remove(&self.address);
            }
        }
    }
}

/// What counts as one address: for IPv6 the first 64 bits, since a site has all that follow.
fn site(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address => address,
    }
}

/// Takes connections until the endpoint is closed.
pub(super) async fn accept(shared: Arc<Shared>) {
    while let Some(incoming) = shared.endpoint.accept().await {
        let (mut slot, handshakes) = match shared.slots.take(incoming.remote_address().ip(), &shared.config) {
            Ok(taken) => taken,
            Err(full) => {
                let counter = match full {
                    Full::All => &shared.refusals.full,
                    Full::Address => &shared.refusals.address_full,
                };
                counter.fetch_add(1, Relaxed);
                incoming.refuse();
                continue;
            }
        };
        if handshakes > shared.config.handshakes / 2 && incoming.may_retry() {
            // Whoever made the address up never sees the retry.
            let _ = incoming.retry();
            continue;
        }
        let shared = shared.clone();
        tokio::spawn(async move {
            let mut connection = None;
            let greeting = async {
                let accepted = incoming.accept()?.await?;
                connection = Some(accepted.clone());
                shared.be_greeted(accepted).await
            };
            match timeout(shared.config.handshake_timeout, greeting).await.unwrap_or(Err(HandshakeError::Timeout)) {
                Ok(greeted) => {
                    slot.greeted();
                    shared.clone().serve(greeted).await;
                }
                Err(error) => {
                    shared.refusals.count(&error);
                    tracing::debug!(%error, "connection refused");
                    if let Some(connection) = connection {
                        turn_away(&connection, &error);
                    }
                }
            }
            drop(slot);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::QuicConfig;

    #[test]
    fn places_are_bounded_in_all_by_address_and_in_the_handshake_and_given_back() {
        let config = QuicConfig { connections: 4, connections_per_ip: 2, handshakes: 3, ..QuicConfig::default() };
        let slots = Arc::new(Slots::default());
        let one: IpAddr = "192.0.2.1".parse().unwrap();
        let other: IpAddr = "2001:db8::1".parse().unwrap();
        let same_site: IpAddr = "2001:db8::2".parse().unwrap();
        let mut first = slots.take(one, &config).ok().unwrap().0;
        let _second = slots.take(one, &config).ok().unwrap();
        assert_eq!(slots.take(one, &config).err(), Some(Full::Address));
        let _third = slots.take(other, &config).ok().unwrap();
        assert_eq!(slots.take(same_site, &config).err(), Some(Full::All), "three are in their handshake");
        first.greeted();
        let _fourth = slots.take(same_site, &config).ok().unwrap();
        assert_eq!(slots.take(other, &config).err(), Some(Full::All), "four in all");
        drop(first);
        assert_eq!(slots.take(other, &config).err(), Some(Full::All), "three are in their handshake again");
        assert_eq!(lock(&slots.0).by_address.len(), 2);
    }
}
