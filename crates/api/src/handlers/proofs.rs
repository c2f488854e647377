//! Answers with proofs.

use crate::failure::{self, malformed};
use crate::gate::{Context, Reply};
use crate::params::Params;
use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ledger_client::wire::{
    Base64, CheckpointInfo, ConsistencyAnswer, EventInfo, Hex, Place, Problem, ProblemKind, Proved, ReceiptAnswer,
    ReceiptInfo, StateAnswer, StateEntry, StreamedEvent, TransactionInfo, TransactionProofAnswer,
};
use ledger_core::{
    Checkpoint, CheckpointBundle, ContractId, Height, HistoryHead, Key, Proof, SignedTransaction, StateView,
    TransactionId, Versioned, codec,
};
use ledger_node::{Chain, ChainError, Stage, TransactionStatus};

/// The history that a client has seen, from `seen_size` and `seen_root`.
pub(crate) fn seen(params: &Params) -> Result<Option<HistoryHead>, Problem> {
    match (params.number("seen_size")?, params.optional_id("seen_root")?) {
        (Some(size), Some(root)) => Ok(Some(HistoryHead { size, root })),
        (None, None) => Ok(None),
        _ => Err(malformed("`seen_size` and `seen_root` belong together")),
    }
}

/// The bytes of a checkpoint, as a client verifies it.
pub(crate) fn encoded(checkpoint: &Checkpoint) -> Vec<u8> {
    CheckpointBundle::from(checkpoint.clone()).to_bytes()
}

/// Shows that `checkpoint` continues what the client has seen; `None` where it has seen nothing, or more than this.
fn consistency(
    chain: &Chain,
    seen: Option<HistoryHead>,
    checkpoint: &Checkpoint,
) -> Result<Option<Base64>, ChainError> {
    let size = checkpoint.header.history.size;
    let Some(from) = seen.filter(|seen| seen.size > 0 && seen.size <= size) else { return Ok(None) };
    Ok(Some(Base64(codec::encode(&chain.prove_continues(from, checkpoint)?))))
}

pub(crate) fn proved(
    chain: &Chain,
    proof: &Proof,
    checkpoint: &Checkpoint,
    seen: Option<HistoryHead>,
) -> Result<Proved, Problem> {
    let consistency = consistency(chain, seen, checkpoint).map_err(failure::of_chain)?;
    Ok(Proved { proof: Base64(codec::encode(proof)), checkpoint: Base64(encoded(checkpoint)), consistency })
}

fn missing(id: TransactionId) -> Problem {
    failure::of_chain(ChainError::NoTransaction { id })
}

pub(crate) async fn receipt(context: Context) -> Result<Reply, Problem> {
    let (chain, id): (Chain, TransactionId) = (context.chain()?, context.params.id("id")?);
    let (prove, seen) = (context.params.flag("proof")?, seen(&context.params)?);
    let answer = context.shared.read(move || {
        let executed = match chain.status(&id).map_err(failure::of_chain)? {
            TransactionStatus::Executed(executed) => executed,
            TransactionStatus::Certified(certified) => certified.executed,
            TransactionStatus::Unknown => return Err(missing(id)),
        };
        let proof = if prove {
            let (proof, checkpoint) = chain.prove_receipt(&id).map_err(failure::of_chain)?;
            Some(proved(&chain, &proof, &checkpoint, seen)?)
        } else {
            None
        };
        Ok(ReceiptAnswer { place: executed.place.into(), receipt: ReceiptInfo::from(&executed.result), proof })
    });
    context.json(StatusCode::OK, &answer.await?)
}

pub(crate) async fn transaction(context: Context) -> Result<Reply, Problem> {
    let (chain, id): (Chain, TransactionId) = (context.chain()?, context.params.id("id")?);
    let seen = seen(&context.params)?;
    let answer = context.shared.read(move || {
        let (proof, checkpoint) = chain.prove_transaction(&id).map_err(failure::of_chain)?;
        let Proof::Transaction(shown) = &proof else { return Err(missing(id)) };
        let signed = SignedTransaction {
            transaction: shown.leaf.transaction.clone(),
            witness: shown.leaf.witness.clone(),
            body: shown.body.clone(),
        };
        let place = Place { height: shown.block.header.height.into(), index: shown.index };
        let proof = proved(&chain, &proof, &checkpoint, seen)?;
        Ok(TransactionProofAnswer { place, transaction: TransactionInfo::from(&signed), proof })
    });
    context.json(StatusCode::OK, &answer.await?)
}

pub(crate) async fn event(context: Context) -> Result<Reply, Problem> {
    let (chain, id): (Chain, TransactionId) = (context.chain()?, context.params.id("id")?);
    let (index, seen) = (context.params.required_number("index")?, seen(&context.params)?);
    let index = u32::try_from(index).map_err(|_| malformed("`index` has at most 32 bits"))?;
    let reader = chain.clone();
    let (height, event, proof) = context
        .shared
        .read(move || {
            let (proof, checkpoint) = reader.prove_event(&id, index).map_err(failure::of_chain)?;
            let Proof::Event(shown) = &proof else { return Err(missing(id)) };
            let (height, event) = (shown.receipt.block.header.height, EventInfo::from(&shown.event));
            Ok((height, event, Some(proved(&reader, &proof, &checkpoint, seen)?)))
        })
        .await?;
    // The block is there, since it is certified.
    let block = chain.subscribe(height, Stage::Executed).next_block().await.map_err(failure::of_subscription)?;
    let before = block.results.iter().take_while(|result| result.receipt.transaction != id);
    let before: usize = before.map(|result| result.events.len()).sum();
    let number = u32::try_from(before).unwrap_or(u32::MAX).saturating_add(index);
    let answer = StreamedEvent { height: height.into(), number, transaction: id, index, event, proof };
    context.json(StatusCode::OK, &answer)
}

/// A state key in a path: hex, or base64url behind `b64.`.
fn state_key_of(text: &str) -> Option<Vec<u8>> {
    match text.strip_prefix("b64.") {
        Some(text) => URL_SAFE_NO_PAD.decode(text).ok(),
        None => Hex::parse(text).map(|hex| hex.0),
    }
}

pub(crate) fn entry(name: &[u8], found: &Versioned) -> StateEntry {
    let value = Base64(found.value.to_vec());
    StateEntry { key: Hex(name.to_vec()), value, version: found.version.into() }
}

pub(crate) async fn state_key(context: Context) -> Result<Reply, Problem> {
    let (chain, params) = (context.chain()?, &context.params);
    let contract: ContractId = params.id("contract")?;
    let wanted = "hex, or `b64.` and unpadded base64url";
    let name = params.named("key", wanted, state_key_of)?.ok_or_else(|| malformed("the key is missing"))?;
    let (prove, seen, height) = (params.flag("proof")?, seen(params)?, params.number("height")?.map(Height));
    if prove && height.is_some() {
        return Err(malformed("a proof is of the newest checkpoint's state; leave `height` or `proof` out"));
    }
    let answer = context.shared.read(move || {
        let key = Key::new(contract, name.clone());
        let (height, found, proof) = if prove {
            let (proof, checkpoint) = chain.prove_state(&key).map_err(failure::of_chain)?;
            let Proof::State(shown) = &proof else { return Err(malformed("the proof is of another kind")) };
            let found = shown.path.verify(&shown.block.outcome.state_root, &key);
            let found = found
                .map_err(|error| Problem::new(ProblemKind::Internal, format_args!("the views are damaged: {error}")))?;
            let height = shown.block.header.height;
            (height, found.cloned(), Some(proved(&chain, &proof, &checkpoint, seen)?))
        } else {
            let height = height.unwrap_or_else(|| chain.progress().executed);
            let found = chain.state_at(height).map_err(failure::of_chain)?.get(&key);
            (height, found.map_err(|error| Problem::new(failure::of_state(&error), error))?, None)
        };
        let entry = found.as_ref().map(|found| entry(&name, found));
        Ok(StateAnswer { contract, key: Hex(name), height: height.into(), entry, proof })
    });
    context.json(StatusCode::OK, &answer.await?)
}

pub(crate) async fn checkpoint(context: Context) -> Result<Reply, Problem> {
    let (chain, seen) = (context.chain()?, seen(&context.params)?);
    let answer = context.shared.read(move || {
        let checkpoint = chain.checkpoint();
        let consistency = consistency(&chain, seen, &checkpoint).map_err(failure::of_chain)?;
        Ok(CheckpointInfo::new(&checkpoint, encoded(&checkpoint), consistency))
    });
    context.json(StatusCode::OK, &answer.await?)
}

pub(crate) async fn continuation(context: Context) -> Result<Reply, Problem> {
    let chain = context.chain()?;
    let from = HistoryHead { size: context.params.required_number("size")?, root: context.params.id("root")? };
    let answer = context.shared.read(move || {
        let (shown, checkpoint) = chain.prove_history(from).map_err(failure::of_chain)?;
        let path = shown.path.to_vec();
        let proof = Proof::History(shown);
        let proof = Proved {
            proof: Base64(codec::encode(&proof)),
            checkpoint: Base64(encoded(&checkpoint)),
            consistency: None,
        };
        Ok(ConsistencyAnswer { from: from.into(), to: checkpoint.header.history.into(), path, proof })
    });
    context.json(StatusCode::OK, &answer.await?)
}
