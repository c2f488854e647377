//! Following a chain.

use crate::block::Header;
use crate::checkpoint::{Checkpoint, CheckpointBundle, Consistency, TrustError, TrustRoot, VerifiedCheckpoint};
use crate::codec::Bytes;
use crate::epochs::Authority;
use crate::history::HistoryHead;
use crate::units::{Epoch, Timestamp};
use crate::validators::ValidatorSet;

/// Follows a chain from checkpoint to checkpoint and through changes of its validators, and notices when it is rolled
/// back or rewritten.
///
/// What it compares is the history: blocks that were ordered but, at the latest checkpoint, not yet executed are not in
/// it, and no proof against that checkpoint could have shown any of them.
#[derive(Clone, Debug)]
pub struct LightClient {
    root: TrustRoot,
    latest: VerifiedCheckpoint,
    authority: Authority,
}

impl LightClient {
    /// Starts at the genesis, with the validators that the trust root names.
    ///
    /// # Errors
    /// [`TrustError`] when the trust root is invalid.
    pub fn new(root: TrustRoot) -> Result<Self, TrustError> {
        let header = root.genesis.header();
        let unpinned = TrustRoot::new(root.genesis.clone());
        let latest = unpinned.verify(Checkpoint { header, certificate: Bytes::default() })?;
        let authority = Authority::new(&root)?;
        Ok(LightClient { root, latest, authority })
    }

    /// The newest checkpoint that was accepted.
    pub fn latest(&self) -> &VerifiedCheckpoint {
        &self.latest
    }

    /// The epoch whose validators certify from here on, and those; `None` where the engine has none.
    pub fn validators(&self) -> Option<(Epoch, &ValidatorSet)> {
        self.authority.validators()
    }

    /// Tells the time, which the trusting period is held against. It never runs back; without a trusting period it
    /// doesn't matter.
    pub fn tell_time(&mut self, now: Timestamp) {
        if let Some(trusting) = &mut self.root.trusting {
            trusting.now = trusting.now.max(now);
        }
    }

    /// What this client has come to trust, to be stored and begun from again.
    pub fn trust_root(&self) -> TrustRoot {
        let seen = self.seen();
        TrustRoot {
            genesis: self.root.genesis.clone(),
            pinned: (seen.size > 0).then_some(seen),
            validators: self.authority.trusted(),
            trusting: self.root.trusting,
        }
    }

    /// Goes on to a newer checkpoint of the same validators, or stays at the same header. `consistency` must lead from
    /// the history seen last (the pinned one, if none was seen yet); it may be `None` while nothing was seen, or where
    /// the size is the same.
    ///
    /// # Errors
    /// [`TrustError`]; the client then stays where it is.
    pub fn advance(
        &mut self,
        checkpoint: Checkpoint,
        consistency: Option<&Consistency>,
    ) -> Result<&VerifiedCheckpoint, TrustError> {
        self.advance_through(checkpoint.into(), consistency)
    }

    /// Goes on to a newer checkpoint, through every change of the validators in between: the first one ends the epoch
    /// that the client is in ([`LightClient::validators`]). Else as [`LightClient::advance`].
    ///
    /// # Errors
    /// [`TrustError`]; the client then stays where it is.
    pub fn advance_through(
        &mut self,
        bundle: CheckpointBundle,
        consistency: Option<&Consistency>,
    ) -> Result<&VerifiedCheckpoint, TrustError> {
        let mut authority = self.authority.clone();
        authority.follow(&self.root, &bundle.changes)?;
        let verified = self.root.verify_by(&authority, bundle.checkpoint)?;
        let (seen, found) = (self.seen(), verified.history());
        if found.size < seen.size {
            return Err(TrustError::RolledBack { found: found.size, seen: seen.size });
        }
        for change in &bundle.changes {
            self.check_forward(&change.closing.header)?;
        }
        self.check_forward(verified.header())?;
        if seen.size > 0 {
            match consistency {
                Some(consistency) if consistency.from == seen => {
                    consistency.verify(&found).map_err(TrustError::Forked)?;
                }
                None if found == seen => {}
                None if found.size == seen.size => return Err(TrustError::OtherHistory { size: seen.size }),
                _ => return Err(TrustError::Unconnected { seen: seen.size }),
            }
        }
        authority.confirm(&self.root, verified.header());
        self.authority = authority;
        self.latest = verified;
        Ok(&self.latest)
    }

    /// Refuses what the history heads alone don't show: a step back, or another header, above the executed blocks.
    fn check_forward(&self, header: &Header) -> Result<(), TrustError> {
        let latest = self.latest.header();
        if header.height < latest.height {
            return Err(TrustError::Older { found: header.height, seen: latest.height });
        }
        let (found, seen) = (header.digest(), latest.digest());
        if header.height == latest.height && found != seen {
            return Err(TrustError::OtherHeader { height: header.height, found, seen });
        }
        Ok(())
    }

    /// The newest history that the client has accepted, or was told to begin from.
    pub fn seen(&self) -> HistoryHead {
        let latest = self.latest.history();
        match self.root.pinned {
            Some(pinned) if pinned.size > latest.size => pinned,
            _ => latest,
        }
    }
}
