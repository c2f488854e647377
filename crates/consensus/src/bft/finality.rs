//! From a quorum's *finalize* votes to blocks in height order.

use super::blocks::Path;
use super::engine::{Decided, Engine};
use super::wire;
use crate::seam::{Halt, Output, RecordKind};
use ledger_core::codec::{self, List};
use ledger_core::finality::MAX_DESCENDANTS;
use ledger_core::{BftCertificate, Header, Height, View};
use ledger_crypto::Digest;
use std::sync::Arc;

/// Finalizations kept above the last delivered block: each lets the blocks below it be proven by fewer headers.
const MAX_DECIDED: usize = 64;

impl Engine {
    /// A quorum finalized a header (Simplex, step 5): it and all its ancestors are final.
    pub(super) fn decide(&mut self, decided: Decided) {
        if decided.view <= self.root.view {
            return;
        }
        // Of a root whose view isn't known, only the height says what is older.
        if self.root.votes.is_empty() && decided.header.height < self.root.header.height {
            return;
        }
        let other = self.rounds.get(&decided.view).and_then(|round| round.notarization.as_ref());
        let forked = other.is_some_and(|(block, _)| *block != decided.digest)
            || decided.header.height < self.root.header.height
            || (decided.header.height == self.root.header.height && decided.digest != self.root.digest);
        if forked {
            self.forked(decided.header.height, decided.digest);
            return;
        }
        self.changed = true;
        self.failures = 0;
        let view = decided.view;
        if decided.header.height > self.tip.height {
            self.blocks.insert(decided.header.clone(), view);
            self.decided.insert(decided.header.height, decided.clone());
            while self.decided.len() > MAX_DECIDED {
                self.decided.pop_first();
            }
        }
        self.head_height = self.head_height.max(decided.header.height);
        self.root = decided;
        self.drop_views();
        self.enter(view.0.saturating_add(1));
        self.deliver();
    }

    /// Forgets views before the last final one's end, and blocks that were proposed in them and lost.
    fn drop_views(&mut self) {
        let after = View(self.root.view.0.saturating_add(1));
        self.rounds = self.rounds.split_off(&after);
        self.noted = self.noted.split_off(&(after, 0));
        self.head_view = self.head_view.filter(|(view, _)| *view >= after);
        let kept = self.blocks.chain_of(&self.root.digest);
        self.blocks.prune(after, self.tip.height, &kept);
    }

    fn forked(&mut self, height: Height, found: Digest) {
        self.halt(Halt::Forked { height, found });
    }

    /// Hands on what is final and here, in height order.
    pub(super) fn deliver(&mut self) {
        let before = self.tip.height;
        while !self.halted
            && let Some(decided) = self.decided.first_entry().map(|entry| entry.get().clone())
        {
            let path = match self.blocks.path(&self.tip, &self.tip_digest, &decided.digest) {
                Path::Known(path) => path,
                Path::Missing(missing) => {
                    self.want(missing, self.leaders.of(decided.view), true);
                    break;
                }
                Path::Apart => {
                    self.forked(decided.header.height, decided.digest);
                    break;
                }
            };
            let known = path.iter().filter_map(|digest| self.blocks.get(digest)).map(|found| found.header.clone());
            let headers: Vec<Header> = known.collect();
            if headers.len() > MAX_DESCENDANTS {
                break;
            }
            if !self.deliver_path(&decided, &headers) {
                break;
            }
            self.decided.remove(&decided.header.height);
        }
        if self.tip.height > before {
            self.changed = true;
            self.record_end();
        }
        self.see_whether_behind();
    }

    /// Delivers the headers of a path in order; false where a payload is missing.
    fn deliver_path(&mut self, decided: &Decided, headers: &[Header]) -> bool {
        for (index, header) in headers.iter().enumerate() {
            let digest = header.digest();
            let payload = self.blocks.get(&digest).and_then(|candidate| candidate.payload.clone());
            let Some(payload) = payload else {
                self.want(digest, self.leaders.of(decided.view), true);
                return false;
            };
            let descendants: List<Header> = headers.iter().skip(index + 1).cloned().collect();
            let certificate = BftCertificate { descendants, view: decided.view, votes: decided.votes.clone() };
            let certificate: Arc<[u8]> = codec::encode(&certificate).into();
            self.record_payload(&digest);
            self.persist(RecordKind::Certificate, header.height, digest, Arc::clone(&certificate));
            self.out.push(Output::Finalize { header: header.clone(), payload, certificate });
            self.blocks.delivered(&digest, &self.config);
            self.tip = header.clone();
            self.tip_digest = digest;
        }
        true
    }

    /// Records above the tip what has to outlast it: the finalization, which says in which view the chain stands, and
    /// notes that were recorded under heights that are final now.
    pub(super) fn record_end(&mut self) {
        let above = self.tip.height.next();
        if !self.root.votes.is_empty() {
            let bytes = wire::encode(self.epoch, self.finalization());
            self.persist(RecordKind::Note, above, Digest::ZERO, bytes);
        }
        let low: Vec<(View, u8)> =
            self.noted.iter().filter(|(_, height)| **height < above).map(|(key, _)| *key).collect();
        for key in low {
            if let Some(message) = self.ending(key.0, key.1) {
                self.noted.insert(key, above);
                let bytes = wire::encode(self.epoch, message);
                self.persist(RecordKind::Note, above, Digest::ZERO, bytes);
            }
        }
    }

    /// Tells the driver when this engine can't catch up by itself: too many heights, or blocks that nobody sends.
    fn see_whether_behind(&mut self) {
        let (tip, root) = (self.tip.height, self.root.header.height);
        let tried = self.blocks.wanted.values().any(|want| want.certified && want.tries >= self.config.fetch_tries);
        let far = root.0.saturating_sub(tip.0) > self.config.max_fetch;
        if root <= tip || !(far || tried) || self.behind.is_some_and(|to| to >= root) {
            return;
        }
        // While the driver catches up, it needn't hear of every block; when it is done, it says so.
        if self.behind.is_none_or(|to| root.0 >= to.0.saturating_add(self.config.max_fetch.max(1))) {
            self.behind = Some(root);
            let certificate =
                BftCertificate { descendants: List::new(), view: self.root.view, votes: self.root.votes.clone() };
            let certificate = codec::encode(&certificate).into();
            self.out.push(Output::FellBehind { to: self.root.header.clone(), certificate });
        }
    }

    /// The driver has caught up.
    pub(super) fn synced(&mut self, header: &Header, certificate: &[u8]) {
        self.behind = None;
        let Ok(certificate) = codec::decode::<BftCertificate>(certificate) else { return };
        if header.height <= self.tip.height {
            return;
        }
        self.changed = true;
        self.tip = header.clone();
        self.tip_digest = header.digest();
        self.decided = self.decided.split_off(&header.height.next());
        let signed = certificate.descendants.last().unwrap_or(header).clone();
        for descendant in certificate.descendants.iter() {
            self.blocks.insert(descendant.clone(), certificate.view);
        }
        let decided =
            Decided { digest: signed.digest(), header: signed, view: certificate.view, votes: certificate.votes };
        match decided.view > self.root.view {
            true => self.decide(decided),
            false => self.drop_views(),
        }
        self.record_end();
    }
}
