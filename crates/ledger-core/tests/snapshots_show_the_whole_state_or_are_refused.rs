//! A manifest that verifies, with chunks that verify, is the whole state of the trusted chain at its height. Whatever is
//! stale, mixed, truncated, reordered, missing or changed is refused, and the error says where.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::cast_possible_truncation)]

mod common;

use common::bft;
use common::chain::{self, Chain, note, notes};
use ledger_core::codec::{self, Bytes};
use ledger_core::snapshot::{self, SNAPSHOT_VERSION};
use ledger_core::state::tree::{PrunedTree, StateProofError};
use ledger_core::*;
use ledger_crypto::Digest;

type Snapshot = (SnapshotManifest, Vec<Vec<u8>>);

/// The whole state that a snapshot shows, or why it doesn't.
fn read(trust: &TrustRoot, (manifest, chunks): &Snapshot) -> Result<Vec<(Key, Versioned)>, SnapshotError> {
    let verified = manifest.clone().verify(trust)?;
    let mut entries = Vec::new();
    for index in 0..verified.chunks() {
        entries.extend(verified.verify_chunk(index, chunks.get(index).map_or(&[], Vec::as_slice))?);
    }
    Ok(entries)
}

fn state(chain: &Chain, height: u64) -> Vec<(Key, Versioned)> {
    chain::leaves(&chain.states[height as usize])
}

/// Gives chunk `index` other bytes, and says so in the manifest, as its maker could.
fn replace((manifest, chunks): &mut Snapshot, index: usize, bytes: Vec<u8>) {
    let mut named = manifest.chunks.to_vec();
    named[index].digest = snapshot::chunk_digest(&bytes);
    named[index].length = bytes.len() as u32;
    manifest.chunks = named.into();
    chunks[index] = bytes;
}

#[test]
fn a_snapshot_is_the_state_however_it_is_cut() {
    let chain = notes();
    let cuts = [
        vec![],
        vec![note("rye")],
        vec![note("")],
        vec![note("count"), note("index/t"), note("tea")],
        vec![Key::contract(&chain::contract()), note("count"), note("count\0"), note("zzz")],
    ];
    for at in 1..chain.next_height() {
        for cuts in &cuts {
            let snapshot = chain.snapshot(at, cuts);
            assert_eq!(read(&chain.trust(), &snapshot).unwrap(), state(&chain, at - 1), "at {at}, cut at {cuts:?}");
            let verified = snapshot.0.clone().verify(&chain.trust()).unwrap();
            assert_eq!((verified.height(), verified.history().size()), (Height(at - 1), at));
            let bytes = codec::encode(&snapshot.0);
            assert_eq!(VerifiedSnapshot::from_bytes(&bytes, &chain.trust()).unwrap(), verified);
            assert_eq!(snapshot.0.digest(), snapshot::manifest_digest(&bytes));
            assert_eq!(snapshot.0.bytes(), snapshot.1.iter().map(|chunk| chunk.len() as u64).sum::<u64>());
        }
    }
}

#[test]
fn a_snapshot_verifies_across_changes_of_the_validators() {
    let mut chain = Chain::of_validators("voters", &[(1, 1), (2, 1), (3, 1), (4, 1)]);
    chain.append(Vec::new());
    chain.change_validators(bft::updates(&[(4, 0), (5, 2)]));
    chain.append(Vec::new());
    chain.append(Vec::new());
    // One whose block is the boundary of the epoch before the checkpoint's, and others on either side.
    for at in 1..chain.next_height() {
        let snapshot = chain.snapshot(at, &[]);
        assert_eq!(read(&chain.trust(), &snapshot), Ok(Vec::new()), "at {at}");
        let mut unsigned = snapshot.clone();
        unsigned.0.block.certificate = snapshot.0.checkpoint.checkpoint.certificate.clone();
        assert!(matches!(read(&chain.trust(), &unsigned), Err(SnapshotError::Block { .. })), "at {at}");
    }
}

/// Where a chunk begins may move as long as it passes no key: that is another manifest, and as true.
#[test]
fn no_manifest_with_a_flipped_bit_shows_anything_else() {
    let chain = notes();
    let (manifest, chunks) = chain.snapshot(4, &[note("index/t"), note("rye")]);
    let bytes = codec::encode(&manifest);
    let mut decoded = 0;
    for bit in 0..bytes.len() * 8 {
        let mut bytes = bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let Ok(changed) = codec::decode::<SnapshotManifest>(&bytes) else { continue };
        decoded += 1;
        let moved = |changed: &SnapshotManifest| {
            let froms = manifest.chunks.iter().map(|chunk| &chunk.from);
            let chunks = froms
                .zip(changed.chunks.iter())
                .map(|(from, chunk)| SnapshotChunk { from: from.clone(), ..chunk.clone() });
            SnapshotManifest { chunks: chunks.collect(), ..changed.clone() } == manifest
        };
        let changed = (changed, chunks.clone());
        if let Ok(entries) = read(&chain.trust(), &changed) {
            assert_ne!(changed.0.digest(), manifest.digest());
            assert!(moved(&changed.0) && entries == state(&chain, 3), "bit {bit} flipped");
        }
    }
    assert!(decoded > bytes.len() * 4, "{decoded} of {} flips were looked at", bytes.len() * 8);
}

#[test]
fn no_chunk_with_a_flipped_bit_is_accepted_though_its_maker_names_it() {
    let chain = notes();
    let whole = chain.snapshot(4, &[note("index/t"), note("rye")]);
    let mut decoded = 0;
    for (index, chunk) in whole.1.iter().enumerate() {
        for bit in 0..chunk.len() * 8 {
            let mut bytes = chunk.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let mut changed = whole.clone();
            changed.1[index] = bytes.clone();
            let refused = read(&chain.trust(), &changed).unwrap_err();
            assert!(matches!(refused, SnapshotError::ChunkDigest { chunk, .. } if chunk == index), "{refused}");
            replace(&mut changed, index, bytes);
            match read(&chain.trust(), &changed).unwrap_err() {
                SnapshotError::Chunk { chunk, .. } if chunk == index => decoded += 1,
                SnapshotError::ChunkCodec { chunk, .. } if chunk == index => {}
                other => panic!("chunk {index}, bit {bit}: {other}"),
            }
        }
    }
    assert!(decoded > 1_000, "{decoded} flips made another tree");
}

#[test]
fn chunks_that_are_truncated_mixed_reordered_or_missing_are_named() {
    let chain = notes();
    let cuts = [note("index/t"), note("rye")];
    let whole = chain.snapshot(4, &cuts);
    let trust = chain.trust();
    let (id, height) = (chain.id(), Height(3));

    let mut cut = whole.clone();
    cut.1[1].pop();
    let length = whole.1[1].len() as u64;
    let expected = SnapshotError::ChunkLength { chain: id, height, chunk: 1, found: length - 1, expected: length };
    assert_eq!(read(&trust, &cut), Err(expected));
    let bytes = cut.1[1].clone();
    replace(&mut cut, 1, bytes);
    assert!(matches!(read(&trust, &cut), Err(SnapshotError::ChunkCodec { chunk: 1, .. })));

    let mut swapped = whole.clone();
    swapped.1.swap(1, 2);
    assert!(matches!(
        read(&trust, &swapped),
        Err(SnapshotError::ChunkLength { chunk: 1, .. } | SnapshotError::ChunkDigest { chunk: 1, .. })
    ));
    let (one, two) = (whole.1[1].clone(), whole.1[2].clone());
    replace(&mut swapped, 1, two);
    replace(&mut swapped, 2, one);
    assert!(matches!(read(&trust, &swapped), Err(SnapshotError::Chunk { chunk: 1, .. })));

    // A chunk left out: the one before it would have to show more.
    let mut missing = whole.clone();
    let mut named = missing.0.chunks.to_vec();
    named.remove(1);
    missing.0.chunks = named.into();
    missing.1.remove(1);
    assert!(matches!(read(&trust, &missing), Err(SnapshotError::Chunk { chunk: 0, .. })));
    let mut headless = whole.clone();
    headless.0.chunks = whole.0.chunks[1..].to_vec().into();
    assert!(matches!(read(&trust, &headless), Err(SnapshotError::Chunks { chunk: 0, .. })));
    headless.0.chunks = Vec::new().into();
    assert!(matches!(read(&trust, &headless), Err(SnapshotError::Chunks { chunk: 0, .. })));
    let mut order = whole.0.chunks.to_vec();
    order.swap(1, 2);
    headless.0.chunks = order.into();
    assert!(matches!(read(&trust, &headless), Err(SnapshotError::Chunks { chunk: 2, .. })));

    // Of another height, though of the same range.
    let mut mixed = whole.clone();
    replace(&mut mixed, 1, chain.snapshot(3, &cuts).1[1].clone());
    let refused = read(&trust, &mixed).unwrap_err();
    let SnapshotError::Chunk { chunk: 1, ref error, .. } = refused else { panic!("{refused}") };
    assert!(matches!(**error, StateProofError::WrongRoot { .. }));
    assert_eq!(
        refused.to_string(),
        format!("chunk 1 of the snapshot of chain {id} at height 3 doesn't show its keys: {error}")
    );

    // An empty tree shows that there is nothing only where there is nothing.
    let mut empty = whole.clone();
    replace(&mut empty, 2, codec::encode(&PrunedTree::default()));
    assert!(matches!(read(&trust, &empty), Err(SnapshotError::Chunk { chunk: 2, .. })));

    let verified = whole.0.clone().verify(&trust).unwrap();
    assert_eq!(
        verified.verify_chunk(3, &whole.1[2]),
        Err(SnapshotError::NoSuchChunk { chain: id, height, chunk: 3, count: 3 })
    );
}

#[test]
fn what_is_stale_or_of_another_chain_version_or_block_is_refused_by_name() {
    let chain = notes();
    let trust = chain.trust();
    let verify = |manifest: &SnapshotManifest| manifest.clone().verify(&trust).map(|_| ()).unwrap_err();
    let (manifest, _) = chain.snapshot(4, &[]);

    let other = SnapshotManifest { version: SNAPSHOT_VERSION + 1, ..manifest.clone() };
    assert_eq!(verify(&other), SnapshotError::Version { chain: chain.id(), found: SNAPSHOT_VERSION + 1 });

    let stranger = Chain::new("strangers", 1);
    let mut foreign = stranger.clone();
    foreign.append(Vec::new());
    let (foreign, _) = foreign.snapshot(1, &[]);
    assert_eq!(verify(&foreign), SnapshotError::WrongChain { found: stranger.id(), expected: chain.id() });
    // The other chain's checkpoint behind our chain's name.
    let renamed = SnapshotManifest { chain: chain.id(), ..foreign };
    assert!(matches!(verify(&renamed), SnapshotError::Checkpoint(TrustError::WrongChain { .. })));

    // Older than what the client has seen.
    let pinned = TrustRoot { pinned: Some(chain.head(6)), ..chain.trust() };
    let stale = manifest.clone().verify(&pinned).unwrap_err();
    assert_eq!(stale, SnapshotError::Checkpoint(TrustError::RolledBack { found: 4, seen: 6 }));
    assert!(chain.snapshot(6, &[]).0.verify(&pinned).is_ok());

    // Blocks that the checkpoint's history holds, or doesn't yet, but not as its last.
    for at in [3, 5] {
        let (other, _) = chain.snapshot(at, &[]);
        let mixed = SnapshotManifest { checkpoint: manifest.checkpoint.clone(), ..other };
        let height = Height(at - 1);
        assert_eq!(verify(&mixed), SnapshotError::NotNewest { chain: chain.id(), height, size: 4 });
    }
    let mixed = SnapshotManifest { outcome: chain.outcomes[2].clone(), ..manifest.clone() };
    assert!(matches!(verify(&mixed), SnapshotError::Outcome { .. }));
    let forged = Outcome { state_root: Digest::ZERO, ..manifest.outcome.clone() };
    assert!(matches!(verify(&SnapshotManifest { outcome: forged, ..manifest.clone() }), SnapshotError::History { .. }));
    let (older, _) = chain.snapshot(3, &[]);
    let mixed = SnapshotManifest { peaks: older.peaks, ..manifest.clone() };
    assert!(matches!(verify(&mixed), SnapshotError::Peaks { .. } | SnapshotError::History { .. }));
    let unsigned = Checkpoint { certificate: Bytes::default(), ..manifest.block.clone() };
    assert!(matches!(verify(&SnapshotManifest { block: unsigned, ..manifest }), SnapshotError::Block { .. }));
}
