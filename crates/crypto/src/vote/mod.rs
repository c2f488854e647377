//! Signing votes, one to a position for life: [`VoteSigner`] and its [`Guard`].

mod guard;
#[cfg(feature = "files")]
mod guard_file;

pub use guard::{Guard, GuardError, GuardRecord, LastVote, MemoryGuard, RecordError};
#[cfg(feature = "files")]
pub use guard_file::FileGuard;

use std::collections::VecDeque;
use std::fmt;

use crate::{Digest, Domain, Hasher, PublicKey, Signature, Signer, SignerError};

const VOTE: Domain = Domain::new("ledgerkit vote guard message");

/// Where in a chain's life a vote stands. Ordered by epoch, then view, then slot; a chain's votes only go up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VotePosition {
    /// Epoch.
    pub epoch: u64,
    /// View within the epoch.
    pub view: u64,
    /// Kind of vote within the view, as the protocol numbers them.
    pub slot: u8,
}

impl fmt::Display for VotePosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "epoch {}, view {}, slot {}", self.epoch, self.view, self.slot)
    }
}

/// What the log says of itself once it is recovered. Only what would survive power loss counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogFacts {
    /// The log's random identity, given when it was made.
    pub id: Digest,
    /// Position of the chain's last vote in it. Truncating the log must not lose this.
    pub last: Option<VotePosition>,
}

/// Why a vote signer wasn't opened, didn't sign or didn't advance.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VoteError {
    /// The log holds votes and there is no guard: it was deleted, or the key was moved without it.
    #[error("vote guard is missing though the log holds votes up to {last}")]
    GuardMissing {
        /// The log's last vote.
        last: VotePosition,
    },
    /// The guard belongs to another log: the data folder was replaced, or another node runs with this key.
    #[error("vote guard belongs to log {guard}, not to {log}")]
    ForeignLog {
        /// Log that the guard names.
        guard: Digest,
        /// Log that was given.
        log: Digest,
    },
    /// The guard belongs to another chain.
    #[error("vote guard belongs to chain {guard}, not to {chain}")]
    ForeignChain {
        /// Chain that the guard names.
        guard: Digest,
        /// Chain that was given.
        chain: Digest,
    },
    /// The log ends before votes that have left: it was rolled back or restored from a copy.
    #[error("log is stale: the guard has seen a vote at {guard}, the log ends at {}", Shown(.log))]
    StaleLog {
        /// Last vote that the guard knows of.
        guard: VotePosition,
        /// Last vote in the log.
        log: Option<VotePosition>,
    },
    /// The position lies below one that was voted at.
    #[error("vote at {position} refused: already voted at {last}")]
    Passed {
        /// Position that was asked for.
        position: VotePosition,
        /// Highest position voted at.
        last: VotePosition,
    },
    /// Another message was voted for at this position, or one that only the log knows.
    #[error("second vote at {position} refused")]
    Conflict {
        /// Position that was asked for.
        position: VotePosition,
    },
    /// Nothing was signed at this position, so there is nothing that the log could have made durable.
    #[error("cannot advance to {position}: no vote was signed there")]
    NotSigned {
        /// Position that was asked for.
        position: VotePosition,
    },
    /// Too many votes were signed and not yet advanced over.
    #[error("{limit} votes are signed and not yet durable: advance first")]
    TooManyPending {
        /// How many may be pending: [`VoteSigner::MAX_PENDING`].
        limit: usize,
    },
    /// The guard failed before. What it holds is unknown, so the signer has to be opened anew.
    #[error("vote guard failed earlier: open the signer anew")]
    Poisoned,
    /// The guard couldn't be read or written.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// The key gave no signature.
    #[error(transparent)]
    Signer(#[from] SignerError),
}

struct Shown<'a>(&'a Option<VotePosition>);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(position) => position.fmt(f),
            None => f.write_str("no vote"),
        }
    }
}

/// Signs votes, and never two different ones at one position, across crashes, restarts and wrong folders.
///
/// ```text
///   sign_vote(p, m) ──► vote ──► log ──► fsync ──► advance(p) ──► guard, durable ──► the vote may leave
///                                          ▲                          ▲
///                                 crash before: no vote      crash before: the log is ahead of the guard,
///                                 anywhere; guard too        which `open` repairs; the vote hasn't left
/// ```
///
/// The order is the caller's duty: sign, make the vote durable in the log, [`advance`](Self::advance), send. The guard
/// must never be ahead of the log: a guard that is ahead means that the log has lost votes which left, and then
/// [`open`](Self::open) refuses for good, because nobody knows what they said. With this order only a log that was
/// rolled back, replaced or restored from a copy can cause that. A log that is ahead is fine: its last vote never left,
/// or left as the log has it. Written the other way round, a crash between the two would lock an honest validator out.
///
/// Its rules:
/// - positions only go up; below the last one nothing is signed;
/// - at the last one the same message gets the same signature again, another is refused;
/// - a position that only the log knows (see above) takes no message at all: resend the vote from the log.
pub struct VoteSigner {
    signer: Box<dyn Signer>,
    guard: Box<dyn Guard>,
    /// As the guard holds it.
    record: GuardRecord,
    /// Signed, not advanced over, in rising order.
    pending: VecDeque<LastVote>,
    /// The last signature given, and for what.
    last_signature: Option<(LastVote, Signature)>,
    poisoned: bool,
}

impl VoteSigner {
    /// Votes that may be signed and not yet advanced over.
    pub const MAX_PENDING: usize = 64;

    /// Opens the signer of one chain's votes, for a log that has been recovered.
    ///
    /// A fresh guard is made only when there is none and the log holds no vote. A log that is ahead of the guard moves
    /// the guard to the log's end at once, so that the log can't fall back behind it later.
    ///
    /// # Errors
    /// [`VoteError::GuardMissing`], [`ForeignChain`](VoteError::ForeignChain), [`ForeignLog`](VoteError::ForeignLog) and
    /// [`StaleLog`](VoteError::StaleLog) where guard and log don't belong together; [`VoteError::Guard`] if the guard
    /// is damaged or can't be read or written.
    pub fn open(
        signer: Box<dyn Signer>,
        mut guard: Box<dyn Guard>,
        chain: Digest,
        log: LogFacts,
    ) -> Result<Self, VoteError> {
        let found = guard.load()?;
        let record = match found {
            Some(record) => {
                let record_last = record.last.map(|last| last.position);
                if record.chain != chain {
                    return Err(VoteError::ForeignChain { guard: record.chain, chain });
                }
                if record.log != log.id {
                    return Err(VoteError::ForeignLog { guard: record.log, log: log.id });
                }
                match record_last {
                    Some(last) if log.last < Some(last) => {
                        return Err(VoteError::StaleLog { guard: last, log: log.last });
                    }
                    _ if log.last > record_last => GuardRecord { last: log.last.map(LastVote::known_to_log), ..record },
                    _ => record,
                }
            }
            None => match log.last {
                Some(last) => return Err(VoteError::GuardMissing { last }),
                None => GuardRecord { log: log.id, chain, last: None },
            },
        };
        if found != Some(record) {
            guard.store(&record)?;
        }
        Ok(Self { signer, guard, record, pending: VecDeque::new(), last_signature: None, poisoned: false })
    }

    /// The key that votes verify under.
    pub fn public_key(&self) -> PublicKey {
        self.signer.public_key()
    }

    /// The highest position voted at, durable or not.
    pub fn last(&self) -> Option<VotePosition> {
        self.last_vote().map(|last| last.position)
    }

    /// Signs `message` in `domain` as the one vote at `position`. The vote must not leave before
    /// [`advance`](Self::advance).
    ///
    /// Takes up the position even if the key then gives no signature: a device may have made one. The same message
    /// can be tried again.
    ///
    /// # Errors
    /// [`VoteError::Passed`] below the last position, [`VoteError::Conflict`] for another message at it,
    /// [`VoteError::TooManyPending`], [`VoteError::Poisoned`], and [`VoteError::Signer`] from the key.
    pub fn sign_vote(
        &mut self,
        domain: Domain,
        position: VotePosition,
        message: &[u8],
    ) -> Result<Signature, VoteError> {
        if self.poisoned {
            return Err(VoteError::Poisoned);
        }
        let vote = LastVote { position, message: Some(fingerprint(domain, message)) };
        match self.last_vote() {
            Some(last) if position < last.position => {
                return Err(VoteError::Passed { position, last: last.position });
            }
            Some(last) if position == last.position => {
                if last != vote {
                    return Err(VoteError::Conflict { position });
                }
            }
            _ => {
                if self.pending.len() >= Self::MAX_PENDING {
                    return Err(VoteError::TooManyPending { limit: Self::MAX_PENDING });
                }
                self.pending.push_back(vote);
            }
        }
        // A device may sign with fresh randomness; one vote has one signature all the same.
        if let Some((signed, signature)) = self.last_signature
            && signed == vote
        {
            return Ok(signature);
        }
        let signature = self.signer.sign(domain, message)?;
        self.last_signature = Some((vote, signature));
        Ok(signature)
    }

    /// Makes the guard remember the vote at `position`, durably. Call it when the log has that vote durable and before
    /// the vote leaves; a later position covers the earlier ones. Does nothing where the guard is as far already.
    ///
    /// # Errors
    /// [`VoteError::NotSigned`] if no vote was signed there. [`VoteError::Guard`] if the guard can't be written: the
    /// vote must not leave, and the signer refuses everything from then on.
    pub fn advance(&mut self, position: VotePosition) -> Result<(), VoteError> {
        let Some(record) = self.advancing(position)? else { return Ok(()) };
        if let Err(error) = self.guard.store(&record) {
            self.poison();
            return Err(error.into());
        }
        self.advanced(&record);
        Ok(())
    }

    /// The first half of [`advance`](Self::advance), for whoever writes the guards of many chains together: the record
    /// that the guard has to hold before the vote at `position` may leave; `None` where it is as far already. Once that
    /// record is durable the caller says so with [`advanced`](Self::advanced), before the vote leaves; if it can't be
    /// made durable, with [`poison`](Self::poison).
    ///
    /// # Errors
    /// [`VoteError::NotSigned`] if no vote was signed there; [`VoteError::Poisoned`].
    pub fn advancing(&self, position: VotePosition) -> Result<Option<GuardRecord>, VoteError> {
        if self.poisoned {
            return Err(VoteError::Poisoned);
        }
        if self.record.last.is_some_and(|last| position <= last.position) {
            return Ok(None);
        }
        let vote = self.pending.iter().find(|vote| vote.position == position).copied();
        Ok(Some(GuardRecord { last: Some(vote.ok_or(VoteError::NotSigned { position })?), ..self.record }))
    }

    /// The second half: the guard holds `record`, durably. One that [`advancing`](Self::advancing) didn't give, or that
    /// is no further than what the guard holds, changes nothing.
    pub fn advanced(&mut self, record: &GuardRecord) {
        let Some(last) = record.last else { return };
        let signed = self.pending.iter().any(|vote| *vote == last);
        if signed && record.chain == self.record.chain && record.log == self.record.log {
            self.record = *record;
            self.pending.retain(|vote| vote.position > last.position);
        }
    }

    /// The guard couldn't be written: what it holds is unknown, and the signer refuses everything from now on.
    pub fn poison(&mut self) {
        self.poisoned = true;
    }

    fn last_vote(&self) -> Option<LastVote> {
        self.pending.back().copied().or(self.record.last)
    }
}

impl fmt::Debug for VoteSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VoteSigner")
            .field("key", &self.public_key())
            .field("record", &self.record)
            .field("pending", &self.pending)
            .finish_non_exhaustive()
    }
}

/// Stands for a vote's domain and message in the guard.
fn fingerprint(domain: Domain, message: &[u8]) -> Digest {
    Hasher::new(VOTE).update(domain.padded()).update(message).finalize()
}
