//! One suite, every transport.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use ledger_crypto::{MemorySigner, PublicKey, Signer};
use ledger_network::testing::{World, config, conformance};
use ledger_network::{InProcessHub, Peer, QuicConfig, QuicTransport, SimulatedNetwork, Transport};
use std::sync::Arc;
use std::time::{Duration, Instant};

fn signer(node: u8) -> MemorySigner {
    MemorySigner::from_seed([node + 1; 32])
}

fn key(node: usize) -> PublicKey {
    signer(u8::try_from(node).unwrap()).public_key()
}

struct InProcess {
    hub: InProcessHub,
    transports: Vec<Arc<dyn Transport>>,
}

impl World for InProcess {
    fn transports(&self) -> Vec<Arc<dyn Transport>> {
        self.transports.clone()
    }
    fn settle(&mut self, done: &mut dyn FnMut() -> bool) -> bool {
        done()
    }
    fn disconnect(&mut self, one: usize, other: usize) {
        self.hub.disconnect(&key(one), &key(other));
    }
    fn connect(&mut self, one: usize, other: usize) {
        self.hub.connect(&key(one), &key(other));
    }
    fn under_way_bytes(&self) -> usize {
        0
    }
}

#[test]
fn in_process() {
    let make = || {
        let hub = InProcessHub::new(config()).unwrap();
        let transports = (0..3).map(|node| Arc::new(hub.transport(key(node))) as Arc<dyn Transport>).collect();
        InProcess { hub, transports }
    };
    conformance(make).unwrap();
}

struct Simulated {
    network: SimulatedNetwork,
    transports: Vec<Arc<dyn Transport>>,
}

impl World for Simulated {
    fn transports(&self) -> Vec<Arc<dyn Transport>> {
        self.transports.clone()
    }
    fn settle(&mut self, done: &mut dyn FnMut() -> bool) -> bool {
        while !done() {
            let Some(next) = self.network.next_at() else { return done() };
            self.network.advance(next);
        }
        true
    }
    fn disconnect(&mut self, one: usize, other: usize) {
        self.network.disconnect(&key(one), &key(other));
    }
    fn connect(&mut self, one: usize, other: usize) {
        self.network.connect(&key(one), &key(other));
    }
    fn under_way_bytes(&self) -> usize {
        0
    }
}

#[test]
fn simulated() {
    let make = || {
        let network = SimulatedNetwork::new(7, config()).unwrap();
        let transports = (0..3).map(|node| Arc::new(network.transport(key(node))) as Arc<dyn Transport>).collect();
        Simulated { network, transports }
    };
    conformance(make).unwrap();
}

const STREAM_WINDOW: u32 = 64 << 10;

struct Quic {
    transports: Vec<Arc<QuicTransport>>,
    _runtime: tokio::runtime::Runtime,
}

impl World for Quic {
    fn transports(&self) -> Vec<Arc<dyn Transport>> {
        self.transports.iter().map(|transport| transport.clone() as Arc<dyn Transport>).collect()
    }
    fn settle(&mut self, done: &mut dyn FnMut() -> bool) -> bool {
        let start = Instant::now();
        loop {
            if done() {
                return true;
            }
            if start.elapsed() > Duration::from_secs(10) {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    fn disconnect(&mut self, one: usize, other: usize) {
        self.transports[one].pause(&key(other));
    }
    fn connect(&mut self, one: usize, other: usize) {
        self.transports[one].resume(&key(other));
    }
    fn under_way_bytes(&self) -> usize {
        // What is being written, what the peer's stream takes, and what is being read there.
        (64 << 10) + STREAM_WINDOW as usize + (64 << 10)
    }
}

#[test]
fn quic() {
    let make = || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let entered = runtime.enter();
        let settings = || QuicConfig {
            stream_window: STREAM_WINDOW,
            back_off: Duration::from_millis(10),
            back_off_limit: Duration::from_millis(50),
            ..QuicConfig::new(config())
        };
        let transports: Vec<_> = (0..3)
            .map(|node| {
                let listen = "127.0.0.1:0".parse().unwrap();
                Arc::new(QuicTransport::start(settings(), Arc::new(signer(node)), listen, Vec::new()).unwrap())
            })
            .collect();
        let peers: Vec<_> = transports
            .iter()
            .map(|transport| Peer {
                member: transport.local(),
                addresses: vec![transport.local_address().unwrap().to_string()],
            })
            .collect();
        transports.iter().for_each(|transport| transport.set_peers(peers.clone()));
        drop(entered);
        Quic { transports, _runtime: runtime }
    };
    conformance(make).unwrap();
}
