//! Transports of one process, connected through a hub: for tests, benchmarks and networks inside one program.

use crate::config::{ConfigError, NetworkConfig};
use crate::inbox::Inbox;
use crate::report::{PeerReport, lock};
use crate::router::{Announcements, Delivered, Router};
use crate::seam::{Admission, JoinError, SendError, Transport};
use ledger_core::{ChainId, Lane};
use ledger_crypto::PublicKey;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, Weak};

/// Connects every transport that is made from it with every other. A message goes straight into the other's inbox, so
/// an inbox that is full is what [`SendError::QueueFull`] reports.
#[derive(Clone)]
pub struct InProcessHub {
    shared: Arc<Shared>,
}

struct Shared {
    config: Arc<NetworkConfig>,
    /// Held while chains, connections or members change, so that both ends change together.
    control: Mutex<Control>,
}

#[derive(Default)]
struct Control {
    routers: BTreeMap<PublicKey, Arc<Mutex<Router>>>,
    severed: BTreeSet<(PublicKey, PublicKey)>,
}

/// One node's end of an [`InProcessHub`].
pub struct InProcessTransport {
    local: PublicKey,
    router: Arc<Mutex<Router>>,
    shared: Arc<Shared>,
}

impl InProcessHub {
    /// A hub whose transports keep these bounds.
    ///
    /// # Errors
    /// [`ConfigError`] when they don't go together.
    pub fn new(config: NetworkConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self { shared: Arc::new(Shared { config: Arc::new(config), control: Mutex::default() }) })
    }

    /// A transport for the member `local`, connected with all others. An older one with the same key is closed.
    pub fn transport(&self, local: PublicKey) -> InProcessTransport {
        let router = Arc::new(Mutex::new(Router::new(local, self.shared.config.clone())));
        let mut control = lock(&self.shared.control);
        control.remove(&local);
        control.routers.insert(local, router.clone());
        let others: Vec<_> = control.routers.keys().copied().filter(|other| *other != local).collect();
        for other in others {
            control.connect(&local, &other);
        }
        InProcessTransport { local, router, shared: self.shared.clone() }
    }

    /// Cuts the connection between two members, as if the cable were drawn.
    pub fn disconnect(&self, one: &PublicKey, other: &PublicKey) {
        let mut control = lock(&self.shared.control);
        control.severed.insert(pair(one, other));
        for (at, gone) in [(one, other), (other, one)] {
            if let Some(router) = control.routers.get(at) {
                lock(router).down(gone, Some("disconnected".into()));
            }
        }
    }

    /// Connects two members that were disconnected.
    pub fn connect(&self, one: &PublicKey, other: &PublicKey) {
        let mut control = lock(&self.shared.control);
        if control.severed.remove(&pair(one, other)) {
            control.connect(one, other);
        }
    }
}

fn pair(one: &PublicKey, other: &PublicKey) -> (PublicKey, PublicKey) {
    (*one.min(other), *one.max(other))
}

/// The time of day in ms; 0 on a machine whose clock stands before 1970.
pub(crate) fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

impl Control {
    fn connect(&self, one: &PublicKey, other: &PublicKey) {
        if self.severed.contains(&pair(one, other)) {
            return;
        }
        let (Some(first), Some(second)) = (self.routers.get(one), self.routers.get(other)) else { return };
        let told_second = lock(first).up(*other, now_ms()).1;
        let told_first = lock(second).up(*one, now_ms()).1;
        self.tell(one, told_second.into_iter().map(|control| (*other, control)).collect());
        self.tell(other, told_first.into_iter().map(|control| (*one, control)).collect());
    }

    fn tell(&self, from: &PublicKey, told: Announcements) {
        for (to, control) in told {
            if let Some(router) = self.routers.get(&to) {
                // A peer of one's own process takes part in no more chains than it wants to.
                let _ = lock(router).control(from, control);
            }
        }
    }

    fn remove(&mut self, local: &PublicKey) {
        let Some(router) = self.routers.remove(local) else { return };
        lock(&router).close();
        for other in self.routers.values() {
            lock(other).down(local, Some("closed".into()));
        }
    }
}

impl Transport for InProcessTransport {
    fn local(&self) -> PublicKey {
        self.local
    }

    fn join(&self, chain: ChainId, admission: Admission) -> Result<Inbox, JoinError> {
        let control = lock(&self.shared.control);
        let (mailbox, told) = lock(&self.router).join(chain, admission)?;
        control.tell(&self.local, told);
        let (local, shared, router) = (self.local, Arc::downgrade(&self.shared), Arc::downgrade(&self.router));
        Ok(Inbox::new(chain, mailbox.clone(), move || {
            let (Some(shared), Some(router)) = (Weak::upgrade(&shared), Weak::upgrade(&router)) else {
                return mailbox.close(true);
            };
            let control = lock(&shared.control);
            let told = lock(&router).leave(&chain, &mailbox);
            control.tell(&local, told);
        }))
    }

    fn admit(&self, chain: &ChainId, admission: Admission) -> Result<(), JoinError> {
        let control = lock(&self.shared.control);
        let told = lock(&self.router).admit(chain, admission)?;
        control.tell(&self.local, told);
        Ok(())
    }

    fn send(&self, chain: &ChainId, to: &PublicKey, lane: Lane, bytes: Arc<[u8]>) -> Result<(), SendError> {
        let record = {
            let mut router = lock(&self.router);
            router.may_send(chain, to, lane, bytes.len())?;
            router.record(*to)
        };
        let peer = lock(&self.shared.control).routers.get(to).cloned();
        let Some(peer) = peer else { return Err(SendError::NotConnected { chain: *chain, to: *to }) };
        match lock(&peer).deliver(chain, &self.local, lane, &bytes) {
            Delivered::Queued => {
                record.count_out(lane, bytes.len());
                Ok(())
            }
            Delivered::Full(limit) => Err(SendError::QueueFull { lane, limit }),
            Delivered::NotAdmitted => Err(SendError::NotConnected { chain: *chain, to: *to }),
        }
    }

    fn peers(&self) -> Vec<PeerReport> {
        lock(&self.router).records().map(|(peer, record)| record.report(*peer, None)).collect()
    }
}

impl Drop for InProcessTransport {
    fn drop(&mut self) {
        let mut control = lock(&self.shared.control);
        // Another with the same key may have taken its place.
        if control.routers.get(&self.local).is_some_and(|router| Arc::ptr_eq(router, &self.router)) {
            control.remove(&self.local);
        }
    }
}

impl fmt::Debug for InProcessHub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InProcessHub").field("members", &lock(&self.shared.control).routers.len()).finish()
    }
}

impl fmt::Debug for InProcessTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InProcessTransport").field("local", &self.local).finish_non_exhaustive()
    }
}
