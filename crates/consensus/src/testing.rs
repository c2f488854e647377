//! The conformance suite of the seam: what every engine that can finalize alone must keep.
//!
//! It drives an engine as a driver would, with empty blocks, and checks the engine's promises. Engines that need peers
//! are held to the same promises by the simulation.

use crate::seam::{EngineFactory, Input, Output, Record, RecordKind, Setup};
use ledger_core::codec;
use ledger_core::{Block, Genesis, Header, Timestamp, finality};
use ledger_crypto::{Digest, MemoryGuard};
use std::sync::Arc;

/// Runs an engine for `blocks` blocks, restarts it in the middle from what it persisted, and checks: it proposes on the
/// tip, finalizes every answer once and in order, persists payload and certificate before, gives certificates that the
/// chain's finality accepts, is deterministic, ignores answers to old requests, and halts on a block with another
/// parent.
///
/// # Errors
/// The promise that was broken, in words.
pub fn conformance(genesis: &Genesis, factory: impl Fn() -> Box<dyn EngineFactory>, blocks: u64) -> Result<(), String> {
    let first = run(genesis, &factory, blocks)?;
    let second = run(genesis, &factory, blocks)?;
    ensure(first == second, "the same inputs must give the same certificates")?;
    halts_on_a_foreign_block(genesis, &factory)
}

fn ensure(holds: bool, promise: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(promise.to_owned()) }
}

fn setup<'a>(genesis: &'a Genesis, tip: &'a Header, guard: &MemoryGuard) -> Setup<'a> {
    let log = Digest::new([7; 32]);
    Setup { genesis, chain: genesis.chain(), log, tip, records: Vec::new(), guard: Box::new(guard.clone()) }
}

/// An empty block on `parent` that commits to the history the parent commits to, or to the genesis alone.
fn empty_block(genesis: &Genesis, parent: &Header) -> Block {
    let mut history = ledger_crypto::merkle::Frontier::<ledger_core::history::HistoryHasher>::new();
    let leaf = ledger_core::history::leaf(&genesis.header().digest(), &genesis.outcome().digest());
    history.append(leaf, &mut |_, _| ());
    let header = Header {
        height: parent.height.next(),
        parent: parent.digest(),
        history: ledger_core::HistoryHead::of(&history),
        ..genesis.header()
    };
    Block { header, transactions: Vec::new().into() }
}

fn run(
    genesis: &Genesis,
    factory: &impl Fn() -> Box<dyn EngineFactory>,
    blocks: u64,
) -> Result<Vec<Arc<[u8]>>, String> {
    let finality = finality::of(genesis).map_err(|error| error.to_string())?;
    let guard = MemoryGuard::new();
    let mut tip = genesis.header();
    let mut certificates = Vec::new();
    while tip.height.0 < blocks {
        let maker = factory();
        let mut started = maker.start(setup(genesis, &tip, &guard)).map_err(|error| error.to_string())?;
        let mut out = Vec::new();
        started.engine.step(Timestamp(0), Input::Start { tip: tip.clone() }, &mut out);
        // Half of the heights before a restart, the rest after it.
        let until = if tip.height.0 == 0 { blocks.div_ceil(2) } else { blocks };
        while tip.height.0 < until {
            let [Output::Propose { request, parent }] = out.as_slice() else {
                return Err("an engine that can order asks for a proposal, and for nothing else".to_owned());
            };
            ensure(*parent == tip, "a proposal extends the last finalized header")?;
            let block = empty_block(genesis, &tip);
            let payload: Arc<[u8]> = codec::encode(&block).into();
            let answer =
                Input::Proposed { request: *request, header: block.header.clone(), payload: Arc::clone(&payload) };
            let mut next = Vec::new();
            started.engine.step(Timestamp(tip.height.0), answer.clone(), &mut next);
            let (certificate, rest) = check_finalization(&next, &block, &payload)?;
            finality.verify(&block.header, &certificate).map_err(|error| error.to_string())?;
            if let (Some(signer), Some(position)) = (&started.signer, voted(&next)) {
                let mut signer = signer.lock().map_err(|_| "the signer's lock is poisoned".to_owned())?;
                signer.advance(position).map_err(|error| error.to_string())?;
            }
            let mut repeated = Vec::new();
            started.engine.step(Timestamp(tip.height.0), answer, &mut repeated);
            ensure(repeated.is_empty(), "an answer to an old request has no effect")?;
            certificates.push(certificate);
            tip = block.header;
            out = rest;
        }
    }
    Ok(certificates)
}

fn voted(outputs: &[Output]) -> Option<ledger_crypto::VotePosition> {
    outputs.iter().rev().find_map(|output| match output {
        Output::Voted(position) => Some(*position),
        _ => None,
    })
}

fn check_finalization(
    outputs: &[Output],
    block: &Block,
    payload: &Arc<[u8]>,
) -> Result<(Arc<[u8]>, Vec<Output>), String> {
    let finalized = outputs.iter().position(|output| matches!(output, Output::Finalize { .. }));
    let at = finalized.ok_or("an answered proposal is finalized by an engine that needs nobody else")?;
    let (before, rest) = outputs.split_at(at);
    let Some((Output::Finalize { header, payload: finalized, certificate }, rest)) = rest.split_first() else {
        return Err("an answered proposal is finalized".to_owned());
    };
    ensure(*header == block.header && finalized == payload, "what is finalized is what was proposed")?;
    let persisted = |kind, content: &Arc<[u8]>| {
        let record = Record { kind, height: header.height, block: header.digest(), bytes: Arc::clone(content) };
        before.iter().any(|output| matches!(output, Output::Persist(found) if *found == record))
    };
    let kept = persisted(RecordKind::Payload, payload);
    let certified = persisted(RecordKind::Certificate, certificate);
    ensure(kept && certified, "payload and certificate are persisted before the block is finalized")?;
    Ok((Arc::clone(certificate), rest.to_vec()))
}

fn halts_on_a_foreign_block(genesis: &Genesis, factory: &impl Fn() -> Box<dyn EngineFactory>) -> Result<(), String> {
    let guard = MemoryGuard::new();
    let tip = genesis.header();
    let mut started = factory().start(setup(genesis, &tip, &guard)).map_err(|error| error.to_string())?;
    let mut out = Vec::new();
    started.engine.step(Timestamp(0), Input::Start { tip: tip.clone() }, &mut out);
    let Some(Output::Propose { request, .. }) = out.pop() else {
        return Err("an engine that can order asks for a proposal".to_owned());
    };
    let mut block = empty_block(genesis, &tip);
    block.header.parent = Digest::new([9; 32]);
    let payload: Arc<[u8]> = codec::encode(&block).into();
    let answer = Input::Proposed { request, header: block.header, payload };
    started.engine.step(Timestamp(0), answer, &mut out);
    ensure(matches!(out.as_slice(), [Output::Halt(_)]), "a block on another parent halts the engine unsigned")
}
