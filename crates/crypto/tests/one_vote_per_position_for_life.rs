//! Whatever is asked of it and wherever it crashes, a vote signer never lets two different votes for one position out.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::panic
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ledger_crypto::{
    Check, Digest, Domain, Guard, GuardError, GuardRecord, LastVote, LogFacts, MemoryGuard, MemorySigner, PublicKey,
    Signature, Signer, SignerError, VoteError, VotePosition, VoteSigner, hash, verify,
};
use proptest::prelude::*;

const VOTE: Domain = Domain::new("test vote");
const OTHER: Domain = Domain::new("test other");

fn at(epoch: u64, view: u64, slot: u8) -> VotePosition {
    VotePosition { epoch, view, slot }
}

fn id(name: &str) -> Digest {
    hash(VOTE, name.as_bytes())
}

fn key() -> Box<dyn Signer> {
    Box::new(MemorySigner::from_seed([9; 32]))
}

fn log(last: Option<VotePosition>) -> LogFacts {
    LogFacts { id: id("log"), last }
}

fn open(guard: &MemoryGuard, last: Option<VotePosition>) -> Result<VoteSigner, VoteError> {
    VoteSigner::open(key(), Box::new(guard.clone()), id("chain"), log(last))
}

/// A guard that has seen a vote at `position`.
fn guard_at(position: VotePosition) -> MemoryGuard {
    let guard = MemoryGuard::new();
    let mut signer = open(&guard, None).unwrap();
    signer.sign_vote(VOTE, position, b"m").unwrap();
    signer.advance(position).unwrap();
    guard
}

#[test]
fn positions_only_go_up() {
    let mut signer = open(&MemoryGuard::new(), None).unwrap();
    assert_eq!(signer.last(), None);
    let mut rising = vec![at(0, 0, 0), at(0, 0, 1), at(0, 1, 0), at(0, 7, 1), at(1, 0, 0), at(1, 0, 1)];
    rising.push(at(u64::MAX, u64::MAX, u8::MAX));
    for (number, position) in rising.iter().enumerate() {
        let signature = signer.sign_vote(VOTE, *position, b"m").unwrap();
        let check = Check { key: &signer.public_key(), domain: VOTE, message: b"m", signature: &signature };
        assert_eq!(verify(&check), Ok(()));
        assert_eq!(signer.last(), Some(*position));
        for below in &rising[..number] {
            let refused = signer.sign_vote(VOTE, *below, b"m").unwrap_err();
            assert!(matches!(refused, VoteError::Passed { position: p, last } if p == *below && last == *position));
        }
        signer.advance(*position).unwrap();
    }
}

#[test]
fn a_position_takes_one_message_in_one_domain() {
    let guard = MemoryGuard::new();
    let mut signer = open(&guard, None).unwrap();
    let position = at(1, 2, 0);
    let signature = signer.sign_vote(VOTE, position, b"m").unwrap();
    for advanced in [false, true] {
        assert_eq!(signer.sign_vote(VOTE, position, b"m").unwrap(), signature);
        for (domain, message) in [(VOTE, b"n"), (OTHER, b"m")] {
            let refused = signer.sign_vote(domain, position, message).unwrap_err();
            assert!(matches!(refused, VoteError::Conflict { position: p } if p == position), "{advanced}");
        }
        signer.advance(position).unwrap();
    }
    // Nor after a restart.
    let mut signer = open(&guard, Some(position)).unwrap();
    assert_eq!(signer.sign_vote(VOTE, position, b"m").unwrap(), signature);
    assert!(matches!(signer.sign_vote(VOTE, position, b"n"), Err(VoteError::Conflict { .. })));
}

#[test]
fn votes_in_the_log_without_a_guard_are_refused() {
    let refused = open(&MemoryGuard::new(), Some(at(0, 3, 1))).unwrap_err();
    assert!(matches!(refused, VoteError::GuardMissing { last } if last == at(0, 3, 1)));
}

#[test]
fn a_log_that_is_shorter_than_the_guard_is_refused() {
    let guard = guard_at(at(1, 4, 1));
    for shorter in [None, Some(at(1, 4, 0)), Some(at(1, 3, 1)), Some(at(0, 9, 9))] {
        let refused = open(&guard, shorter).unwrap_err();
        assert!(matches!(refused, VoteError::StaleLog { guard, log } if guard == at(1, 4, 1) && log == shorter));
    }
    assert!(open(&guard, Some(at(1, 4, 1))).is_ok());
}

#[test]
fn another_log_or_chain_is_refused() {
    let guard = guard_at(at(1, 4, 1));
    let last = Some(at(1, 4, 1));
    let boxed = || Box::new(guard.clone());
    let foreign = LogFacts { id: id("another log"), last };
    let refused = VoteSigner::open(key(), boxed(), id("chain"), foreign).unwrap_err();
    assert!(matches!(refused, VoteError::ForeignLog { .. }));
    let refused = VoteSigner::open(key(), boxed(), id("another chain"), log(last)).unwrap_err();
    assert!(matches!(refused, VoteError::ForeignChain { .. }));
    // Even if no vote was ever made: the guard was bound to log and chain when it was made.
    let fresh = MemoryGuard::new();
    drop(open(&fresh, None).unwrap());
    let empty = LogFacts { id: id("another log"), last: None };
    assert!(matches!(VoteSigner::open(key(), Box::new(fresh), id("chain"), empty), Err(VoteError::ForeignLog { .. })));
}

#[test]
fn a_log_ahead_of_the_guard_moves_it_so_that_falling_back_shows() {
    let guard = guard_at(at(1, 4, 1));
    let mut signer = open(&guard, Some(at(1, 6, 0))).unwrap();
    assert_eq!(guard.load().unwrap().unwrap().last, Some(LastVote { position: at(1, 6, 0), message: None }));
    // Only the log knows what was voted there.
    assert!(matches!(signer.sign_vote(VOTE, at(1, 6, 0), b"m"), Err(VoteError::Conflict { .. })));
    signer.advance(at(1, 6, 0)).unwrap();
    signer.sign_vote(VOTE, at(1, 6, 1), b"m").unwrap();
    drop(signer);
    assert!(matches!(open(&guard, Some(at(1, 5, 1))), Err(VoteError::StaleLog { .. })));
}

#[test]
fn advancing_needs_a_vote_and_covers_earlier_ones() {
    let guard = MemoryGuard::new();
    let mut signer = open(&guard, None).unwrap();
    assert!(matches!(signer.advance(at(0, 0, 0)), Err(VoteError::NotSigned { .. })));
    for view in 0..5 {
        signer.sign_vote(VOTE, at(0, view, 0), b"m").unwrap();
    }
    // Signing alone moves nothing durable.
    assert_eq!(guard.load().unwrap().unwrap().last, None);
    signer.advance(at(0, 3, 0)).unwrap();
    assert_eq!(guard.load().unwrap().unwrap().last.unwrap().position, at(0, 3, 0));
    signer.advance(at(0, 1, 0)).unwrap();
    assert_eq!(guard.load().unwrap().unwrap().last.unwrap().position, at(0, 3, 0));
    assert!(matches!(signer.advance(at(0, 5, 0)), Err(VoteError::NotSigned { .. })));
    signer.advance(at(0, 4, 0)).unwrap();
}

#[test]
fn votes_that_wait_for_the_log_are_bounded() {
    let mut signer = open(&MemoryGuard::new(), None).unwrap();
    let limit = VoteSigner::MAX_PENDING as u64;
    for view in 0..limit {
        signer.sign_vote(VOTE, at(0, view, 0), b"m").unwrap();
    }
    assert!(matches!(signer.sign_vote(VOTE, at(0, limit, 0), b"m"), Err(VoteError::TooManyPending { .. })));
    signer.sign_vote(VOTE, at(0, limit - 1, 0), b"m").unwrap();
    signer.advance(at(0, 0, 0)).unwrap();
    signer.sign_vote(VOTE, at(0, limit, 0), b"m").unwrap();
}

#[test]
fn a_guard_written_elsewhere_counts_once_it_is_said_to_be() {
    let mut signer = open(&MemoryGuard::new(), None).unwrap();
    assert!(matches!(signer.advancing(at(0, 1, 0)), Err(VoteError::NotSigned { .. })));
    for view in 1..=3 {
        signer.sign_vote(VOTE, at(0, view, 0), b"m").unwrap();
    }
    let record = signer.advancing(at(0, 2, 0)).unwrap().unwrap();
    assert_eq!(record.last.map(|last| last.position), Some(at(0, 2, 0)));
    // Nothing counts before it is durable.
    assert_eq!(signer.advancing(at(0, 2, 0)).unwrap(), Some(record));
    // Records that the signer didn't ask for change nothing.
    signer.advanced(&GuardRecord { chain: id("other"), ..record });
    signer.advanced(&GuardRecord { last: None, ..record });
    let unsigned = LastVote { position: at(0, 9, 0), message: None };
    signer.advanced(&GuardRecord { last: Some(unsigned), ..record });
    assert_eq!(signer.advancing(at(0, 2, 0)).unwrap(), Some(record));

    signer.advanced(&record);
    assert_eq!(signer.advancing(at(0, 2, 0)).unwrap(), None);
    assert_eq!(signer.advancing(at(0, 1, 0)).unwrap(), None);
    assert!(signer.advancing(at(0, 3, 0)).unwrap().is_some());
    signer.poison();
    assert!(matches!(signer.advancing(at(0, 3, 0)), Err(VoteError::Poisoned)));
    assert!(matches!(signer.sign_vote(VOTE, at(0, 4, 0), b"m"), Err(VoteError::Poisoned)));
}

/// A guard whose writes fail from a moment on.
struct FailingGuard {
    inner: MemoryGuard,
    failing: Arc<AtomicBool>,
}

impl Guard for FailingGuard {
    fn load(&self) -> Result<Option<GuardRecord>, GuardError> {
        self.inner.load()
    }

    fn store(&mut self, record: &GuardRecord) -> Result<(), GuardError> {
        if self.failing.load(Ordering::SeqCst) {
            let error = std::io::Error::other("no space");
            return Err(GuardError::Storage { place: "test".to_owned(), action: "write", error });
        }
        self.inner.store(record)
    }
}

#[test]
fn a_guard_that_failed_once_ends_the_signer() {
    let failing = Arc::new(AtomicBool::new(false));
    let guard = FailingGuard { inner: MemoryGuard::new(), failing: failing.clone() };
    let mut signer = VoteSigner::open(key(), Box::new(guard), id("chain"), log(None)).unwrap();
    signer.sign_vote(VOTE, at(0, 0, 0), b"m").unwrap();
    failing.store(true, Ordering::SeqCst);
    assert!(matches!(signer.advance(at(0, 0, 0)), Err(VoteError::Guard(_))));
    failing.store(false, Ordering::SeqCst);
    assert!(matches!(signer.advance(at(0, 0, 0)), Err(VoteError::Poisoned)));
    assert!(matches!(signer.sign_vote(VOTE, at(0, 1, 0), b"m"), Err(VoteError::Poisoned)));
}

/// A device that signs differently each time and fails every third time.
struct Device {
    calls: AtomicU64,
    inner: MemorySigner,
}

impl Signer for Device {
    fn public_key(&self) -> PublicKey {
        self.inner.public_key()
    }

    fn sign(&self, _: Domain, _: &[u8]) -> Result<Signature, SignerError> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        if call.is_multiple_of(3) {
            return Err(SignerError::Refused { reason: "busy".to_owned() });
        }
        Ok(Signature::new([call as u8; 64]))
    }
}

#[test]
fn a_position_stays_taken_when_the_device_fails_and_keeps_one_signature() {
    let device = Device { calls: AtomicU64::new(0), inner: MemorySigner::from_seed([9; 32]) };
    let guard = MemoryGuard::new();
    let mut signer = VoteSigner::open(Box::new(device), Box::new(guard), id("chain"), log(None)).unwrap();
    assert!(matches!(signer.sign_vote(VOTE, at(0, 0, 0), b"m"), Err(VoteError::Signer(_))));
    assert!(matches!(signer.sign_vote(VOTE, at(0, 0, 0), b"n"), Err(VoteError::Conflict { .. })));
    let signature = signer.sign_vote(VOTE, at(0, 0, 0), b"m").unwrap();
    for _ in 0..5 {
        assert_eq!(signer.sign_vote(VOTE, at(0, 0, 0), b"m").unwrap(), signature);
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// Vote for a message at a position, and go as far as the crash point allows: 0 signed, 1 in the log, 2 guarded,
    /// 3 sent.
    Vote { position: (u64, u64, u8), message: u8, reach: u8 },
    /// Go on with a restart; the log may have lost its last votes.
    Restart { lost: usize },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => ((0..2_u64, 0..4_u64, 0..2_u8), 0..3_u8, 0..=3_u8)
            .prop_map(|(position, message, reach)| Step::Vote { position, message, reach }),
        1 => (0..3_usize).prop_map(|lost| Step::Restart { lost }),
    ]
}

proptest! {
    #[test]
    fn no_two_votes_for_one_position_leave(steps in prop::collection::vec(step(), 1..60)) {
        let guard = MemoryGuard::new();
        let mut log: Vec<(VotePosition, u8)> = Vec::new();
        let mut sent: BTreeMap<VotePosition, u8> = BTreeMap::new();
        let mut signer = open(&guard, None).unwrap();
        for step in steps {
            match step {
                Step::Vote { position: (epoch, view, slot), message, reach } => {
                    let position = at(epoch, view, slot);
                    if signer.sign_vote(VOTE, position, &[message]).is_err() {
                        continue;
                    }
                    if reach >= 1 && log.last().is_none_or(|last| last.0 < position) {
                        log.push((position, message));
                    }
                    if reach >= 2 {
                        signer.advance(position).unwrap();
                    }
                    if reach >= 3 {
                        prop_assert_eq!(*sent.entry(position).or_insert(message), message, "two votes left");
                    }
                    if reach < 3 {
                        // The crash.
                        match open(&guard, log.last().map(|last| last.0)) {
                            Ok(reopened) => signer = reopened,
                            Err(error) => panic!("an honest crash locked the validator out: {error}"),
                        }
                        // What the log holds is what is resent.
                        if let Some((position, message)) = log.last() {
                            prop_assert_eq!(*sent.entry(*position).or_insert(*message), *message);
                        }
                    }
                }
                Step::Restart { lost } => {
                    let shorter = log.len().saturating_sub(lost);
                    let stale = log[shorter..].iter().any(|vote| sent.contains_key(&vote.0));
                    let opened = open(&guard, log[..shorter].last().map(|last| last.0));
                    if opened.is_ok() {
                        prop_assert!(!stale, "opened on a log that lost a vote which had left");
                        log.truncate(shorter);
                        signer = opened.unwrap();
                    } else {
                        signer = open(&guard, log.last().map(|last| last.0)).unwrap();
                    }
                }
            }
            // Guard never ahead of the log.
            let guarded = guard.load().unwrap().unwrap().last.map(|last| last.position);
            prop_assert!(guarded <= log.last().map(|last| last.0));
        }
    }
}
