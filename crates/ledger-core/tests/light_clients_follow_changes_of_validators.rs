//! A client that trusts the genesis alone follows every change of the validators that was decided by those before, and no
//! other; and none by validators whom it knew too long ago.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::cast_possible_truncation)]

mod common;

use common::bft::{self, Network};
use common::chain::{BEGINNING, Chain, note, notes};
use common::random::Rng;
use common::samples::changing;
use ledger_core::codec::{self, Bytes, CodecError, List};
use ledger_core::*;
use ledger_crypto::Digest;

fn bundle(chain: &Chain, height: u64, changes: impl IntoIterator<Item = EpochChange>) -> CheckpointBundle {
    CheckpointBundle { checkpoint: chain.checkpoint(height), changes: changes.into_iter().collect() }
}

/// Why the change that ends `epoch` isn't followed.
#[track_caller]
fn refused(result: Result<VerifiedCheckpoint, TrustError>, at: u64) -> EpochChangeError {
    match result {
        Err(TrustError::EpochChange { epoch, error }) if epoch == Epoch(at) => *error,
        other => panic!("{other:?}"),
    }
}

fn verify(chain: &Chain, height: u64, changes: &[EpochChange]) -> Result<VerifiedCheckpoint, TrustError> {
    chain.trust().verify_bundle(bundle(chain, height, changes.iter().cloned()))
}

/// The certificate of the validators of `epoch` for `header`, whatever it says.
fn certified(chain: &Chain, epoch: usize, header: Header) -> Checkpoint {
    let network = &chain.networks[epoch];
    network.checkpoint(&header, View(9), &network.seeds())
}

#[test]
fn every_checkpoint_verifies_with_the_changes_that_lead_to_it() {
    let chain = changing();
    for height in 0..9 {
        let bundle = chain.bundle(height);
        let bytes = bundle.to_bytes();
        assert_eq!(CheckpointBundle::from_bytes(&bytes), Ok(bundle.clone()));
        assert_eq!(checkpoint::verify_bytes(&chain.trust(), &bytes).unwrap().checkpoint(), &bundle.checkpoint);
        let epoch = bundle.checkpoint.header.epoch.0;
        assert_eq!(epoch, [0, 0, 0, 1, 1, 1, 2, 2, 2][height as usize]);
        assert_eq!(chain.trust().verify(bundle.checkpoint).is_ok(), epoch == 0);
    }
}

#[test]
fn a_proof_holds_against_a_checkpoint_of_a_later_epoch_with_its_changes_only() {
    let chain = changing();
    let proof = codec::encode(&Proof::State(chain.state_proof(&note("tea"), 8)));
    let root = codec::encode(&chain.trust());
    let proven = verify_proof(&proof, &chain.bundle(8).to_bytes(), &root).unwrap();
    assert!(matches!(proven, Proven::State { value: Some(_), at: Height(7), .. }));
    let bare = codec::encode(&chain.checkpoint(8));
    let error = verify_proof(&proof, &bare, &root).unwrap_err();
    assert!(error.to_string().contains("epoch 2, not 0"), "{error}");
}

use ledger_core::verify as verify_proof;

#[test]
fn skipped_repeated_and_exchanged_changes_are_refused() {
    let chain = changing();
    let [first, second] = [0, 1].map(|epoch| chain.epoch_change(epoch));
    assert!(verify(&chain, 8, &[first.clone(), second.clone()]).is_ok());
    for (changes, at) in [
        (vec![second.clone()], 0),
        (vec![second.clone(), first.clone()], 0),
        (vec![first.clone(), first.clone()], 1),
        (vec![first.clone(), second.clone(), second.clone()], 2),
        (vec![first.clone(), first.clone(), second.clone()], 1),
    ] {
        let changes = changes.into_iter();
        let result = chain.trust().verify_bundle(bundle(&chain, 8, changes));
        let error = match result {
            // Where it can be said without looking at signatures.
            Err(TrustError::EpochChange { epoch, error }) if epoch == Epoch(at) => *error,
            other => panic!("{other:?}"),
        };
        let expected = matches!(error, EpochChangeError::Closing(_) | EpochChangeError::NotAfter { .. });
        assert!(expected, "{error:?}");
    }
    // One too few, one too many.
    assert!(matches!(verify(&chain, 8, std::slice::from_ref(&first)), Err(TrustError::Certificate(_))));
    let error = verify(&chain, 5, &[first, second]).unwrap_err();
    assert_eq!(error, TrustError::Older { found: Height(5), seen: Height(5) });
}

#[test]
fn a_change_that_only_the_new_validators_signed_is_refused() {
    let chain = changing();
    let mut change = chain.epoch_change(0);
    // The whole set of the next epoch, under this epoch's number: 5 is nobody yet, and without it there is no quorum.
    let usurpers = Network { epoch: Epoch(0), ..chain.networks[1].clone() };
    change.closing = usurpers.checkpoint(&change.closing.header, View(9), &usurpers.seeds());
    let error = refused(verify(&chain, 3, &[change]), 0);
    assert!(matches!(error, EpochChangeError::Closing(TrustError::Certificate(_))), "{error:?}");
    // A quorum less one.
    let mut change = chain.epoch_change(0);
    change.closing = chain.networks[0].checkpoint(&change.closing.header, View(9), &[1, 4]);
    let error = refused(verify(&chain, 3, &[change]), 0);
    assert!(error.to_string().contains("weigh 4; a quorum is 5"), "{error}");
}

#[test]
fn a_change_needs_the_outcome_that_made_it() {
    let chain = changing();
    let change = chain.epoch_change(0);
    let with = |boundary: BlockProof| EpochChange { boundary, ..change.clone() };
    // Another set in the outcome.
    let mut forged = change.boundary.clone();
    forged.outcome.validators = bft::updates(&[(1, 0), (9, 100)]).into();
    let error = refused(verify(&chain, 3, &[with(forged)]), 0);
    assert!(matches!(error, EpochChangeError::Boundary(ProofError::NotInHistory { .. })), "{error:?}");
    // A block of the history that changes nobody.
    let error = refused(verify(&chain, 3, &[with(chain.block_proof(0, 2))]), 0);
    assert_eq!(error, EpochChangeError::Unchanged { height: Height(0) });
    // A closing header that hasn't executed the boundary yet.
    let early = EpochChange { closing: chain.checkpoint(1), ..change.clone() };
    let error = refused(verify(&chain, 3, &[early]), 0);
    assert!(matches!(error, EpochChangeError::Boundary(ProofError::NotInHistory { .. })), "{error:?}");
    // The boundary of the epoch before: it stands in the history as well.
    let mut second = chain.epoch_change(1);
    second.boundary = chain.block_proof(1, 5);
    let error = refused(verify(&chain, 8, &[change.clone(), second]), 1);
    assert_eq!(error, EpochChangeError::OtherEpoch { height: Height(1), found: Epoch(0) });
}

#[test]
fn a_change_to_no_set_or_on_another_chain_is_refused() {
    let mut nobody = Chain::of_validators("nobody", &[(1, 1)]);
    nobody.append_with(Vec::new(), bft::updates(&[(1, 0)]));
    nobody.append(Vec::new());
    let change = EpochChange { closing: nobody.checkpoint(2), boundary: nobody.block_proof(1, 2) };
    let error = refused(nobody.trust().verify_bundle(bundle(&nobody, 2, [change])), 0);
    assert_eq!(error, EpochChangeError::Validators(ValidatorsError::Count { found: 0 }));
    let valid = changing();
    let mut other = Chain::of_validators("other notes", &[(1, 1), (2, 1), (3, 2), (4, 3)]);
    other.change_validators(bft::updates(&[(1, 0), (5, 2)]));
    let change = other.epoch_change(0);
    let error = refused(verify(&valid, 3, &[change]), 0);
    assert!(matches!(error, EpochChangeError::Closing(TrustError::WrongChain { .. })), "{error:?}");
}

#[test]
fn a_closing_header_that_no_chain_has_is_refused_though_they_signed_it() {
    let chain = changing();
    let changed = |change: &dyn Fn(&mut Header)| {
        let mut header = chain.epoch_change(0).closing.header;
        change(&mut header);
        let closing = certified(&chain, 0, header);
        refused(verify(&chain, 3, &[EpochChange { closing, ..chain.epoch_change(0) }]), 0)
    };
    for size in [0, 3, u64::MAX] {
        let error = changed(&|header| header.history.size = size);
        let expected = TrustError::HistorySize { height: Height(2), size };
        assert_eq!(error, EpochChangeError::Closing(expected));
    }
    let error = changed(&|header| header.version = 2);
    assert_eq!(error, EpochChangeError::Closing(TrustError::Version { found: 2 }));
    let error = changed(&|header| header.epoch = Epoch(1));
    assert!(matches!(error, EpochChangeError::Closing(TrustError::Certificate(_))), "{error:?}");
    let error = changed(&|header| header.history.root = Digest::ZERO);
    assert!(matches!(error, EpochChangeError::Boundary(_)), "{error:?}");
}

#[test]
fn a_chain_without_validators_has_no_changes_and_a_bundle_no_more_than_the_limit() {
    let (solo, chain) = (notes(), changing());
    let bundle = CheckpointBundle { changes: vec![chain.epoch_change(0)].into(), ..solo.checkpoint(4).into() };
    assert_eq!(solo.trust().verify_bundle(bundle), Err(TrustError::NoValidators));
    let later = TrustRoot { validators: Some(trusted(&chain, 1, BEGINNING)), ..solo.trust() };
    assert_eq!(later.verify(solo.checkpoint(4)), Err(TrustError::NoValidators));
    let many = vec![chain.epoch_change(0); MAX_EPOCH_CHANGES + 1];
    assert_eq!(verify(&chain, 3, &many), Err(TrustError::TooManyChanges { found: 1_025 }));
    // A list of no changes after a checkpoint is a second form of the checkpoint.
    let bytes = [codec::encode(&solo.checkpoint(4)), vec![0]].concat();
    let error = CheckpointBundle::from_bytes(&bytes).unwrap_err();
    assert_eq!(error, CodecError::Trailing { what: "checkpoint", extra: 1 });
}

fn trusted(chain: &Chain, epoch: usize, known_at: Timestamp) -> TrustedValidators {
    let network = &chain.networks[epoch];
    TrustedValidators { epoch: network.epoch, validators: network.set.as_slice().to_vec().into(), known_at }
}

#[test]
fn a_client_begins_with_the_validators_that_somebody_trusted_names() {
    let chain = changing();
    let root = TrustRoot { validators: Some(trusted(&chain, 1, BEGINNING)), ..chain.trust() };
    assert!(root.verify(chain.checkpoint(4)).is_ok());
    assert!(root.verify(chain.checkpoint(2)).is_err());
    assert!(root.verify_bundle(bundle(&chain, 7, [chain.epoch_change(1)])).is_ok());
    assert!(root.verify_bundle(chain.bundle(7)).is_err());
    let mut unsorted = root.clone();
    unsorted.validators.as_mut().unwrap().validators =
        root.validators.unwrap().validators.iter().rev().copied().collect();
    assert!(matches!(unsorted.verify(chain.checkpoint(4)), Err(TrustError::Validators(ValidatorsError::Order { .. }))));
}

/// A period of 10 s. The changes of the chain close their epochs 2 s and 5 s after its beginning.
fn within(chain: &Chain, now: u64) -> TrustRoot {
    let trusting = TrustingPeriod { now: BEGINNING.plus(now), period_ms: 10_000 };
    TrustRoot { trusting: Some(trusting), ..chain.trust() }
}

#[test]
fn a_change_is_followed_only_within_the_trusting_period() {
    let chain = changing();
    let verify = |now, height| within(&chain, now).verify_bundle(chain.bundle(height));
    let expired = |epoch, known_at, now| TrustError::Expired {
        epoch: Epoch(epoch),
        known_at: BEGINNING.plus(known_at),
        now: BEGINNING.plus(now),
        period_ms: 10_000,
    };
    assert!(verify(9_999, 8).is_ok());
    assert_eq!(verify(10_000, 8), Err(expired(0, 0, 10_000)));
    assert_eq!(verify(10_000, 3), Err(expired(0, 0, 10_000)));
    // Without a change, the time doesn't matter.
    assert!(verify(1 << 40, 2).is_ok());
    // Knowledge of a later epoch lasts from its own time on.
    let later = |now, known_at| {
        let validators = Some(trusted(&chain, 1, BEGINNING.plus(known_at)));
        let root = TrustRoot { validators, ..within(&chain, now) };
        root.verify_bundle(bundle(&chain, 8, [chain.epoch_change(1)]))
    };
    assert!(later(12_999, 3_000).is_ok());
    assert_eq!(later(13_000, 3_000), Err(expired(1, 3_000, 13_000)));
}

#[test]
fn a_forged_change_with_a_fresh_timestamp_is_no_fresher() {
    // The first validators, long after they left, hand over to whom they like, now.
    let chain = changing();
    let mut forged = Chain::of_validators("four notes", &[(1, 1), (2, 1), (3, 2), (4, 3)]);
    forged.change_validators(bft::updates(&[(9, 1_000)]));
    let now = BEGINNING.plus(1_000_000);
    let mut header = forged.epoch_change(0).closing.header;
    header.timestamp = now;
    let change = EpochChange { closing: certified(&forged, 0, header), ..forged.epoch_change(0) };
    let next = &forged.networks[1];
    let mut last = forged.epoch_change(0).closing.header;
    (last.height, last.epoch, last.timestamp) = (Height(3), Epoch(1), now);
    let checkpoint = next.checkpoint(&last, View(9), &next.seeds());
    let bundle = CheckpointBundle { checkpoint, changes: vec![change].into() };
    assert_eq!(forged.id(), chain.id());
    // Who sets no period trusts that the keys of validators who left are gone.
    assert!(chain.trust().verify_bundle(bundle.clone()).is_ok());
    let error = within(&chain, 1_000_000).verify_bundle(bundle.clone()).unwrap_err();
    assert!(matches!(error, TrustError::Expired { epoch: Epoch(0), .. }), "{error:?}");
    // Nor does a forged checkpoint of their own epoch renew what the client knows of them.
    let mut client = LightClient::new(within(&chain, 1_000_000)).unwrap();
    let mut fresh = forged.checkpoint(1).header;
    fresh.timestamp = now;
    client.advance(certified(&forged, 0, fresh), None).unwrap();
    let consistency = forged.consistency(1, 2);
    let error = client.advance_through(bundle, Some(&consistency)).unwrap_err();
    assert!(matches!(error, TrustError::Expired { epoch: Epoch(0), .. }), "{error:?}");
}

#[test]
fn a_client_that_stays_in_touch_follows_for_ever_and_begins_again_where_it_was() {
    let chain = changing();
    let mut client = LightClient::new(within(&chain, 0)).unwrap();
    let mut seen = 0;
    for height in 1..9 {
        // Always 4 s behind: at the end more than the period after the beginning.
        client.tell_time(BEGINNING.plus(1_000 * height + 4_000));
        let epoch = client.validators().unwrap().0.0;
        let changes = (epoch..chain.blocks[height as usize].header.epoch.0).map(|epoch| chain.epoch_change(epoch));
        let consistency = (seen > 0).then(|| chain.consistency(seen, height));
        client.advance_through(bundle(&chain, height, changes), consistency.as_ref()).unwrap();
        assert_eq!(client.validators().unwrap().0, chain.blocks[height as usize].header.epoch);
        seen = height;
        let root: TrustRoot = codec::decode(&codec::encode(&client.trust_root())).unwrap();
        assert_eq!(root.pinned, Some(chain.head(height)));
        assert_eq!(root.validators.as_ref().unwrap().known_at, chain.blocks[height as usize].header.timestamp);
        client = LightClient::new(root).unwrap();
    }
    let (epoch, set) = client.validators().unwrap();
    assert_eq!((epoch, set), (Epoch(2), &bft::set(&[(2, 3), (3, 2), (4, 3), (5, 2)])));
}

#[test]
fn known_times_never_run_ahead_of_the_clients_clock() {
    let chain = changing();
    let mut client = LightClient::new(within(&chain, 500)).unwrap();
    client.advance(chain.checkpoint(2), None).unwrap();
    assert_eq!(client.trust_root().validators.unwrap().known_at, BEGINNING.plus(500));
    client.tell_time(BEGINNING);
    assert_eq!(client.trust_root().trusting.unwrap().now, BEGINNING.plus(500), "time doesn't run back");
}

#[test]
fn a_client_without_a_clock_learns_validators_but_not_when_it_knew_them() {
    let chain = changing();
    let mut client = LightClient::new(chain.trust()).unwrap();
    client.advance_through(chain.bundle(7), None).unwrap();
    let known = client.trust_root().validators.unwrap();
    assert_eq!((known.epoch, known.known_at), (Epoch(2), BEGINNING));
}

#[test]
fn a_failed_advance_leaves_client_and_validators_where_they_were() {
    let chain = changing();
    let mut client = LightClient::new(chain.trust()).unwrap();
    client.advance(chain.checkpoint(2), None).unwrap();
    let changes = [chain.epoch_change(0), chain.epoch_change(1)];
    // The changes hold, but nothing connects the histories.
    let error = client.advance_through(bundle(&chain, 7, changes.clone()), None).unwrap_err();
    assert_eq!(error, TrustError::Unconnected { seen: 2 });
    assert_eq!((client.validators().unwrap().0, client.latest().header().height), (Epoch(0), Height(2)));
    client.advance_through(bundle(&chain, 7, changes), Some(&chain.consistency(2, 7))).unwrap();
    assert_eq!((client.validators().unwrap().0, client.latest().header().height), (Epoch(2), Height(7)));
}

#[test]
fn a_second_closing_header_at_a_height_seen_before_is_refused() {
    let chain = changing();
    let mut client = LightClient::new(chain.trust()).unwrap();
    client.advance(chain.checkpoint(2), None).unwrap();
    let mut header = chain.epoch_change(0).closing.header;
    header.timestamp = header.timestamp.plus(1);
    let (found, seen) = (header.digest(), chain.blocks[2].digest());
    let change = EpochChange { closing: certified(&chain, 0, header), ..chain.epoch_change(0) };
    let error = client.advance_through(bundle(&chain, 4, [change]), Some(&chain.consistency(2, 4))).unwrap_err();
    assert_eq!(error, TrustError::OtherHeader { height: Height(2), found, seen });
}

#[test]
fn no_bundle_with_a_flipped_bit_is_accepted() {
    let chain = changing();
    let bytes = chain.bundle(8).to_bytes();
    assert!(checkpoint::verify_bytes(&chain.trust(), &bytes).is_ok());
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(checkpoint::verify_bytes(&chain.trust(), &flipped).is_err(), "bit {bit}");
    }
}

#[test]
fn no_mutated_bundle_is_accepted() {
    let (chain, mut rng) = (changing(), Rng(12));
    let bytes = chain.bundle(8).to_bytes();
    for number in 0..common::count("LEDGERKIT_MUTATIONS", 1_500, 20_000) {
        let mut mutated = bytes.clone();
        for _ in 0..=rng.below(2) {
            let at = rng.index(mutated.len());
            let length = rng.index(100).min(mutated.len() - at);
            match rng.below(5) {
                0 => mutated[at] = rng.next() as u8,
                1 => mutated[at] = mutated[at].wrapping_add(1),
                2 => drop(mutated.remove(at)),
                3 => mutated.insert(at, rng.next() as u8),
                _ => {
                    let from = rng.index(bytes.len() - length);
                    mutated[at..at + length].copy_from_slice(&bytes[from..from + length]);
                }
            }
        }
        let accepted = checkpoint::verify_bytes(&chain.trust(), &mutated).is_ok();
        assert!(mutated == bytes || !accepted, "mutation {number}");
    }
}

#[test]
fn no_changed_field_of_a_change_is_accepted() {
    let chain = changing();
    let changes: [fn(&mut EpochChange); 18] = [
        |it| it.closing.header.version = 2,
        |it| it.closing.header.chain = ChainId(Digest::ZERO),
        |it| it.closing.header.height = Height(3),
        |it| it.closing.header.parent = Digest::ZERO,
        |it| it.closing.header.timestamp = Timestamp(0),
        |it| it.closing.header.transactions_root = Digest::ZERO,
        |it| it.closing.header.history.size = 1,
        |it| it.closing.header.history.root = Digest::ZERO,
        |it| it.closing.header.epoch = Epoch(1),
        |it| it.closing.header.seal = Bytes::from(vec![0]),
        |it| it.closing.certificate = Bytes::default(),
        |it| it.boundary.header.timestamp = Timestamp(0),
        |it| it.boundary.header.epoch = Epoch(1),
        |it| it.boundary.outcome.state_root = Digest::new([1; 32]),
        |it| it.boundary.outcome.height = Height(0),
        |it| it.boundary.outcome.fuel_used = Fuel(1),
        |it| it.boundary.outcome.validators = List::new(),
        |it| it.boundary.path = List::new(),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut changed = chain.epoch_change(0);
        change(&mut changed);
        let _ = refused(verify(&chain, 3, &[changed]), 0);
        assert!(verify(&chain, 3, &[chain.epoch_change(0)]).is_ok(), "{number}");
    }
}

#[test]
fn an_epoch_is_followed_by_itself_or_the_next() {
    let chain = changing();
    let parent = chain.blocks[4].header.clone();
    for (epoch, allowed) in [(0, false), (1, true), (2, true), (3, false), (u64::MAX, false)] {
        let header = Header { epoch: Epoch(epoch), ..chain.blocks[5].header.clone() };
        assert_eq!(header.check_against(&parent).is_ok(), allowed, "{epoch}");
    }
    let header = Header { epoch: Epoch(0), ..chain.blocks[5].header.clone() };
    let error = BlockError::WrongEpoch { height: Height(5), found: Epoch(0), parent: Epoch(1) };
    assert_eq!(header.check_against(&parent), Err(error));
}
