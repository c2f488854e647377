//! Laws of the solo engine.
#![allow(clippy::unwrap_used, clippy::panic)]

use ledger_consensus::{EngineFactory, Halt, Input, Output, Setup, Solo, StartError, testing};
use ledger_core::{Block, Genesis, Header, Height, HistoryHead, Timestamp, codec};
use ledger_crypto::{Digest, MemoryGuard, MemorySigner, Signer, VoteError};
use std::sync::Arc;

fn owner() -> MemorySigner {
    MemorySigner::from_seed([3; 32])
}

fn genesis() -> Genesis {
    Genesis::solo("test", owner().public_key(), Timestamp(5))
}

const LOG: Digest = Digest::new([1; 32]);

fn start(guard: &MemoryGuard, last: Option<u64>) -> Result<ledger_consensus::Started, StartError> {
    let solo = Box::new(Solo::new(owner()));
    let genesis = genesis();
    let tip = Header { height: Height(last.unwrap_or(0)), ..genesis.header() };
    solo.start(setup(&genesis, &tip, guard))
}

fn setup<'a>(genesis: &'a Genesis, tip: &'a Header, guard: &MemoryGuard) -> Setup<'a> {
    let guard = Box::new(guard.clone());
    Setup { genesis, chain: genesis.chain(), log: LOG, tip, records: Vec::new(), guard }
}

fn block(timestamp: u64) -> (Header, Arc<[u8]>) {
    let genesis = genesis();
    let parent = genesis.header();
    let header = Header {
        height: parent.height.next(),
        parent: parent.digest(),
        timestamp: Timestamp(timestamp),
        history: HistoryHead { size: 1, ..HistoryHead::EMPTY },
        ..parent
    };
    let block = Block { header: header.clone(), transactions: Vec::new().into() };
    (header, codec::encode(&block).into())
}

fn propose(started: &mut ledger_consensus::Started, timestamp: u64) -> Vec<Output> {
    let mut out = Vec::new();
    started.engine.step(Timestamp(5), Input::Start { tip: genesis().header() }, &mut out);
    let Some(Output::Propose { request, .. }) = out.pop() else { panic!("no proposal was asked for") };
    let (header, payload) = block(timestamp);
    started.engine.step(Timestamp(6), Input::Proposed { request, header, payload }, &mut out);
    out
}

#[test]
fn solo_keeps_the_contract() {
    testing::conformance(&genesis(), || Box::new(Solo::new(owner())), 9).unwrap();
}

#[test]
fn a_second_block_at_a_height_is_not_signed_even_after_a_restart() {
    let guard = MemoryGuard::new();
    let mut first = start(&guard, None).unwrap();
    let out = propose(&mut first, 6);
    let Some(Output::Voted(position)) = out.iter().find(|output| matches!(output, Output::Voted(_))) else {
        panic!("no vote")
    };
    first.signer.unwrap().lock().unwrap().advance(*position).unwrap();

    // The log is lost, the guard is not: the engine doesn't even start.
    assert!(matches!(start(&guard, None), Err(StartError::Vote(VoteError::StaleLog { .. }))));

    // The log is there, but the tip that the engine is started from is not its end: it halts unsigned.
    let mut second = start(&guard, Some(1)).unwrap();
    let out = propose(&mut second, 7);
    assert!(matches!(out.as_slice(), [Output::Halt(Halt::Signer { .. })]), "{out:?}");
}

#[test]
fn a_lost_unsynced_vote_may_be_replaced_because_it_never_left() {
    let guard = MemoryGuard::new();
    let mut first = start(&guard, None).unwrap();
    propose(&mut first, 6);
    let mut second = start(&guard, None).unwrap();
    assert!(propose(&mut second, 7).iter().any(|output| matches!(output, Output::Finalize { .. })));
}

#[test]
fn another_key_can_not_run_the_chain() {
    let genesis = genesis();
    let tip = genesis.header();
    let stranger = Box::new(Solo::new(MemorySigner::from_seed([4; 32])));
    assert!(matches!(
        stranger.start(setup(&genesis, &tip, &MemoryGuard::new())),
        Err(StartError::WrongKey { role: "owner", .. })
    ));
}
