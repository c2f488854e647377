//! A cut of a log that was broken off once its start was written, and gone on with by a host that cuts less at a time: what
//! the start says already isn't counted again.
#![allow(clippy::unwrap_used)]

use ledger_core::{BftVote, ChainId, Epoch, Evidence, View, codec};
use ledger_crypto::{Digest, MemorySigner, Signature, Signer};
use ledger_node::log_start::LogStart;
use ledger_node::recovery::{EVIDENCE_RECORD, index_each};
use ledger_node::{CutStage, Growth, GrowthConfig};
use ledger_storage::disk::SimulatedDisk;
use ledger_storage::engine::MemoryEngine;
use ledger_storage::log::{Log, LogConfig, LogId, Record};
use std::sync::Arc;

const CHAIN: ChainId = ChainId(Digest::new([1; 32]));
const RECORDS: u64 = 24;

fn evidence(view: u64) -> Vec<u8> {
    let signed = |vote| (vote, Signature::new([2; 64]));
    codec::encode(&Evidence {
        chain: CHAIN,
        epoch: Epoch(0),
        view: View(view),
        validator: MemorySigner::from_seed([u8::try_from(view).unwrap(); 32]).public_key(),
        first: signed(BftVote::Nullify),
        second: signed(BftVote::Finalize(Digest::new([4; 32]))),
    })
}

fn open(disk: &SimulatedDisk) -> (Log, Growth) {
    let mut config = LogConfig::default();
    config.segment_bytes = 1 << 10;
    config.fill_bytes = 0;
    let log = Log::open_or_create(Arc::new(disk.clone()), LogId::new([5; 32]), config).unwrap();
    let start = LogStart::open(disk, &log.reader()).unwrap();
    let parts = (Arc::new(disk.clone()) as _, Arc::new(MemoryEngine::default()) as _);
    let growth = Growth::open(parts, log.reader(), start, GrowthConfig::default().archive).unwrap();
    (log, growth)
}

/// Cuts the log as far as `config` says, or until the cut would remove segments.
fn cut(log: &mut Log, growth: &Growth, config: &GrowthConfig, removes: bool) {
    let mut under_way = growth.begin(config).unwrap();
    assert!(under_way.is_some(), "there is nothing to cut");
    while let Some(cut) = under_way {
        if cut.stage() == CutStage::Remove && !removes {
            return;
        }
        if let Some(position) = cut.removes() {
            log.remove_before(position).unwrap();
        }
        under_way = growth.go_on(cut).unwrap();
    }
}

#[test]
fn what_was_folded_before_is_not_folded_again() {
    let disk = SimulatedDisk::new(1);
    let (mut log, growth) = open(&disk);
    for view in 0..RECORDS {
        let record = Record { chain: CHAIN.0, kind: EVIDENCE_RECORD, height: 0, bytes: evidence(view) };
        let ticket = log.submit(vec![record]).unwrap();
        log.flush().unwrap();
        ticket.wait().unwrap();
    }
    let all = GrowthConfig { log_bytes: 1, ..GrowthConfig::default() };
    cut(&mut log, &growth, &all, false);
    drop((log, growth));

    // The power goes before a segment is removed; then one is taken at a time.
    let disk = disk.survivor(0);
    let (mut log, growth) = open(&disk);
    assert_eq!(log.reader().first_segment(), 1);
    let one = GrowthConfig { log_bytes: 1, step_bytes: 1, ..GrowthConfig::default() };
    cut(&mut log, &growth, &one, true);
    assert!(log.reader().first_segment() > 1);
    let record = Record { chain: CHAIN.0, kind: EVIDENCE_RECORD, height: 0, bytes: evidence(RECORDS) };
    for _ in 0..4 {
        drop(log.submit(vec![record.clone()]).unwrap());
        log.flush().unwrap();
    }
    cut(&mut log, &growth, &all, true);
    drop((log, growth));

    let (log, _) = open(&disk);
    let start = LogStart::open(&disk, &log.reader()).unwrap();
    let found = &index_each(&log.reader(), &start).unwrap()[&CHAIN].evidence;
    let views: Vec<u64> = found.iter().map(|evidence| evidence.view.0).collect();
    // A validator is guilty once.
    let expected: Vec<u64> = (0..=RECORDS).collect();
    assert_eq!(views, expected);
}
