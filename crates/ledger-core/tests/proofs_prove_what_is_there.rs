//! Every kind of proof, against a chain whose content is known beforehand.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::cast_possible_truncation)]

mod common;

use common::chain::{BEGINNING, Chain, Entry, contract, note, notes, signer};
use common::samples::{all_notes, golden_proofs};
use ledger_core::codec::Bytes;
use ledger_core::state::tree::StateProofError;
use ledger_core::transaction::TransactionError;
use ledger_core::*;
use ledger_crypto::merkle::MerkleError;
use ledger_crypto::{Digest, PublicKey, Signature};

/// Through bytes, as a client does it.
fn prove(chain: &Chain, proof: Proof, height: u64) -> Result<Proven, ProofError> {
    let (proof, checkpoint, root) = (proof, chain.checkpoint(height), chain.trust());
    verify(&codec::encode(&proof), &codec::encode(&checkpoint), &codec::encode(&root))
}

fn place(height: u64, index: u32) -> Place {
    Place { height: Height(height), timestamp: BEGINNING.plus(1_000 * height), index }
}

#[test]
fn transactions_receipts_and_events_are_proven_at_their_place_from_every_later_checkpoint() {
    let chain = notes();
    for size in 4..9 {
        for height in 1..4_usize {
            for index in 0..chain.blocks[height].transactions.len() {
                let (at, h) = (place(height as u64, index as u32), height as u64);
                let transaction = &chain.blocks[height].transactions[index];
                let expected = Proven::Transaction {
                    id: transaction.id(),
                    leaf: Box::new(transaction.leaf()),
                    body: transaction.body.clone(),
                    place: at,
                };
                let proof = Proof::Transaction(chain.transaction_proof(h, index, size));
                assert_eq!(prove(&chain, proof, size), Ok(expected));

                let result = &chain.results[height][index];
                let proof = Proof::Receipt(chain.receipt_proof(h, index, size));
                let expected = Proven::Receipt { receipt: result.receipt.clone(), place: at };
                assert_eq!(prove(&chain, proof, size), Ok(expected));

                for (number, event) in result.events.iter().enumerate() {
                    let proof = Proof::Event(chain.event_proof(h, index, number, size));
                    let expected = Proven::Event { event: event.clone(), transaction: transaction.id(), place: at };
                    assert_eq!(prove(&chain, proof, size), Ok(expected));
                }
            }
        }
    }
}

#[test]
fn state_is_proven_present_and_absent_as_it_is_after_the_last_executed_block() {
    let chain = notes();
    let keys = [note("tea"), note("rye"), note("count"), note("index/t"), Key::contract(&contract())];
    let absent = [note("absent"), note("tea\0"), note("zzz"), Key::new(contract(), b"".as_slice())];
    let mut present = 0;
    for size in 1..9 {
        for key in keys.iter().chain(&absent) {
            let proof = Proof::State(chain.state_proof(key, size));
            let value = chain.states[size as usize - 1].get(key).cloned();
            present += usize::from(value.is_some());
            assert_eq!(prove(&chain, proof, size), Ok(Proven::State { key: key.clone(), value, at: Height(size - 1) }));
        }
    }
    assert_eq!(present, 1 + 5 + 4 * 5);
    let Ok(Proven::State { value: Some(tea), .. }) = prove(&chain, Proof::State(chain.state_proof(&note("tea"), 4)), 4)
    else {
        panic!("no tea")
    };
    assert_eq!(&*tea.value, b"black");
    assert_eq!(tea.predecessor, Some(chain.states[2][&note("tea")].leaf(&note("tea"))));
}

#[test]
fn a_history_is_proven_to_continue_every_older_one() {
    let chain = notes();
    for to in 0..9 {
        for from in 0..=to {
            let consistency = chain.consistency(from, to);
            assert_eq!(consistency.from, chain.head(from));
            let proof = Proof::History(consistency.clone());
            assert_eq!(prove(&chain, proof, to), Ok(Proven::History(consistency)));
        }
    }
}

#[test]
fn a_proof_holds_against_its_own_checkpoint_only() {
    let chain = notes();
    for (name, proof) in golden_proofs(&chain) {
        for height in (0..9).filter(|height| *height != 4) {
            assert!(prove(&chain, proof.clone(), height).is_err(), "{name} at {height}");
        }
        assert!(prove(&chain, proof, 4).is_ok(), "{name}");
    }
}

#[test]
fn an_old_state_is_not_shown_as_the_current_one() {
    let chain = notes();
    let mut proof = chain.state_proof(&note("tea"), 3);
    proof.block = chain.block_proof(2, 4);
    let expected = ProofError::NotCurrent { found: Height(2), expected: Height(3) };
    assert_eq!(prove(&chain, Proof::State(proof), 4), Err(expected));
    let genesis = Proof::State(chain.state_proof(&note("tea"), 1));
    assert_eq!(prove(&chain, genesis, 0), Err(ProofError::NothingExecuted));
}

#[test]
fn an_item_is_not_proven_at_another_place_or_in_a_list_of_another_length() {
    let chain = notes();
    let checkpoint = chain.verified(4);
    // In a bare Merkle tree the last of three transactions is reached as the last of two is.
    for (index, count) in [(1, 2), (2, 4), (1, 3), (0, 1), (3, 4), (u32::MAX, u32::MAX)] {
        let proof = TransactionProof { index, count, ..chain.transaction_proof(2, 2, 4) };
        let result = Proof::Transaction(proof).verify(&checkpoint);
        assert!(matches!(result, Err(ProofError::NotUnderRoot { what: "transaction", .. })), "{result:?}");
    }
    for count in [0, 1, 2, 4, u32::MAX] {
        let proof = ReceiptProof { count, ..chain.receipt_proof(2, 0, 4) };
        let result = Proof::Receipt(proof).verify(&checkpoint);
        assert!(matches!(result, Err(ProofError::NotUnderRoot { what: "receipt", .. })), "{result:?}");
    }
    let mut proof = chain.receipt_proof(2, 0, 4);
    proof.receipt.index = 1;
    assert!(Proof::Receipt(proof).verify(&checkpoint).is_err());
    for index in [0, 2, 3] {
        let proof = EventProof { index, ..chain.event_proof(2, 0, 1, 4) };
        let result = Proof::Event(proof).verify(&checkpoint);
        assert!(matches!(result, Err(ProofError::NotUnderRoot { what: "event", .. })), "{result:?}");
    }
}

#[test]
fn header_and_outcome_of_different_blocks_prove_nothing() {
    let chain = notes();
    let mut proof = chain.receipt_proof(2, 0, 4);
    proof.block.outcome = chain.outcomes[3].clone();
    let result = Proof::Receipt(proof.clone()).verify(&chain.verified(4));
    assert!(matches!(result, Err(ProofError::OutcomeMismatch { height: Height(3), .. })), "{result:?}");
    // An outcome that is made to fit isn't the one in the history.
    proof.block.outcome.height = Height(2);
    proof.block.outcome.block = chain.blocks[2].digest();
    let result = Proof::Receipt(proof).verify(&chain.verified(4));
    let error = MerkleError::RootMismatch;
    assert_eq!(result, Err(ProofError::NotInHistory { height: Height(2), error }));
}

#[test]
fn a_block_that_is_not_yet_executed_is_not_in_the_history() {
    let chain = notes();
    let mut proof = chain.receipt_proof(3, 0, 4);
    proof.block.path = codec::List::new();
    let result = Proof::Receipt(proof).verify(&chain.verified(3));
    let error = MerkleError::IndexOutOfRange { index: 3, size: 3 };
    assert_eq!(result, Err(ProofError::NotInHistory { height: Height(3), error }));
}

#[test]
fn another_body_is_refused() {
    let chain = notes();
    let mut proof = chain.transaction_proof(2, 0, 4);
    proof.body = chain.blocks[2].transactions[1].body.clone();
    let result = Proof::Transaction(proof).verify(&chain.verified(4));
    assert!(matches!(result, Err(ProofError::Transaction(TransactionError::WrongBody { .. }))), "{result:?}");
}

/// An owner who doesn't keep the rules, and puts into a block what no honest node would. The block is in the history,
/// and still the proof says no.
fn chain_that_holds(transaction: SignedTransaction) -> (Chain, Proof) {
    let mut chain = Chain::new("careless", 1);
    chain.append(vec![]);
    // `append` checks blocks as honest nodes do; so the header is made here.
    let mut dishonest = chain.clone();
    dishonest.append(vec![]);
    let block = &mut dishonest.blocks[2];
    block.header.transactions_root = Block::transactions_root(core::slice::from_ref(&transaction));
    let outcome = Outcome { block: block.digest(), ..dishonest.outcomes[2].clone() };
    let header = block.header.clone();
    let leaves = [
        history::leaf(&chain.blocks[0].digest(), &chain.outcomes[0].digest()),
        history::leaf(&chain.blocks[1].digest(), &chain.outcomes[1].digest()),
        history::leaf(&header.digest(), &outcome.digest()),
    ];
    let path = ledger_crypto::merkle::prove_inclusion::<history::HistoryHasher>(&leaves, 2).unwrap();
    let root = ledger_crypto::merkle::root::<history::HistoryHasher>(&leaves);
    let last = Header {
        height: Height(3),
        parent: header.digest(),
        history: HistoryHead { size: 3, root },
        transactions_root: Block::transactions_root(&[]),
        ..header.clone()
    };
    chain.append(vec![]);
    chain.append(vec![]);
    chain.blocks[3].header = last;
    let proof = TransactionProof {
        block: BlockProof { header, outcome, path: path.into() },
        leaf: transaction.leaf(),
        body: None,
        index: 0,
        count: 1,
        path: codec::List::new(),
    };
    (chain, Proof::Transaction(proof))
}

fn call(chain: ChainId) -> SignedTransaction {
    TransactionBuilder::call(chain, contract(), "put", vec![]).sign(&signer(2)).unwrap()
}

#[test]
fn a_transaction_that_was_signed_for_another_chain_is_not_proven() {
    let (chain, proof) = chain_that_holds(call(Chain::new("careless", 1).id()));
    assert!(prove(&chain, proof, 3).is_ok(), "the owner's own chain");
    let (chain, proof) = chain_that_holds(call(Chain::new("elsewhere", 4).id()));
    let result = prove(&chain, proof, 3);
    assert!(matches!(result, Err(ProofError::Transaction(TransactionError::WrongChain { .. }))), "{result:?}");
}

#[test]
fn a_transaction_that_nobody_signed_is_not_proven() {
    let honest = call(Chain::new("careless", 1).id());
    let signed_by = |key: PublicKey, signature: Signature| SignedTransaction {
        witness: Witness::Ed25519 { key, signature },
        ..honest.clone()
    };
    let (chain, proof) = chain_that_holds(signed_by(*honest.witness.key(), Signature::new([0; 64])));
    let result = prove(&chain, proof, 3);
    assert!(matches!(result, Err(ProofError::Transaction(TransactionError::WrongSignature { .. }))), "{result:?}");

    // The neutral point: with R the same and s = 0 it "signs" everything by ZIP-215's rules.
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let mut signature = [0; 64];
    signature[0] = 1;
    let forged = signed_by(PublicKey::new(neutral), Signature::new(signature));
    assert!(forged.witness.verify(&forged.id()).is_ok());
    let (chain, proof) = chain_that_holds(forged);
    let result = prove(&chain, proof, 3);
    assert!(matches!(result, Err(ProofError::Transaction(TransactionError::Key { .. }))), "{result:?}");
}

#[test]
fn a_header_of_another_version_is_not_read() {
    let (chain, mut proof) = chain_that_holds(call(Chain::new("careless", 1).id()));
    let Proof::Transaction(inner) = &mut proof else { panic!("a transaction proof was made") };
    inner.block.header.version = 2;
    assert_eq!(prove(&chain, proof, 3), Err(ProofError::Version { found: 2 }));
}

#[test]
fn bytes_that_are_no_proof_are_refused_as_such() {
    let chain = notes();
    let (checkpoint, root) = (codec::encode(&chain.checkpoint(4)), codec::encode(&chain.trust()));
    assert!(matches!(verify(&[], &checkpoint, &root), Err(ProofError::Codec(_))));
    assert!(matches!(verify(&[], &[], &root), Err(ProofError::Trust(TrustError::Codec(_)))));
    assert!(matches!(verify(&[], &checkpoint, &[]), Err(ProofError::Codec(_))));
    let proof = golden_proofs(&chain).swap_remove(0).1;
    let mut long = codec::encode(&proof);
    long.push(0);
    assert!(matches!(verify(&long, &checkpoint, &root), Err(ProofError::Codec(_))));
}

/// Ranges of notes that begin and end at keys, between them, and outside.
fn ranges() -> Vec<KeyRange> {
    let names = ["", "count", "d", "index/t", "rye", "tea", "tea\0", "zzz"];
    let ends = names.iter().map(|name| Some(Bytes::from(name.as_bytes()))).chain([None]);
    let namespaces = [contract(), state::SYSTEM, ContractId(Digest::new([0xff; 32]))];
    let mut ranges = Vec::new();
    for to in ends {
        for (from, namespace) in names.iter().flat_map(|from| namespaces.map(|namespace| (from, namespace))) {
            if to.as_ref().is_none_or(|to| **to > *from.as_bytes()) {
                ranges.push(KeyRange { namespace, from: Bytes::from(from.as_bytes()), to: to.clone() });
            }
        }
    }
    ranges
}

fn entries(chain: &Chain, range: &KeyRange, height: u64) -> Vec<(Key, Versioned)> {
    let state = chain.states[height as usize].iter();
    state.filter(|(key, _)| range.contains(key)).map(|(key, value)| (key.clone(), value.clone())).collect()
}

#[test]
fn ranges_are_proven_complete_now_and_after_every_older_block() {
    let chain = notes();
    for size in [1, 3, 4, 8] {
        let checkpoint = chain.verified(size);
        for range in ranges() {
            let (now, at) = (entries(&chain, &range, size - 1), Height(size - 1));
            let proven = Proof::Range(chain.range_proof(&range, size)).verify(&checkpoint);
            assert_eq!(proven, Ok(Proven::Range { range: range.clone(), entries: now, at }));
            for height in 0..size {
                let proof = Proof::Past(PastProof::Range(chain.past_range(&range, height, size)));
                let (range, entries) = (range.clone(), entries(&chain, &range, height));
                assert_eq!(proof.verify(&checkpoint), Ok(Proven::PastRange { range, entries, at: Height(height) }));
            }
        }
    }
    let all = entries(&chain, &all_notes(), 2);
    assert_eq!(all.len(), 4, "{all:?}");
}

#[test]
fn past_states_are_proven_with_their_height_and_never_as_current() {
    let chain = notes();
    for size in 1..9 {
        for height in 0..size {
            for key in [note("tea"), note("rye"), note("absent")] {
                let proof = chain.past_state(&key, height, size);
                let value = chain.states[height as usize].get(&key).cloned();
                let at = Height(height);
                let past = Proof::Past(PastProof::State(proof.clone()));
                assert_eq!(prove(&chain, past, size), Ok(Proven::PastState { key, value, at }));
                if height + 1 < size {
                    let expected = Err(ProofError::NotCurrent { found: at, expected: Height(size - 1) });
                    assert_eq!(prove(&chain, Proof::State(proof.clone()), size), expected);
                    let history = Default::default();
                    let values = Proof::ValueHistory(ValueHistoryProof { newest: proof, history });
                    assert_eq!(prove(&chain, values, size), expected);
                    let range = Proof::Range(chain.past_range(&all_notes(), height, size));
                    assert_eq!(prove(&chain, range, size), expected);
                }
            }
        }
    }
    // Beyond the checkpoint's history there is no state.
    let mut future = chain.past_state(&note("tea"), 5, 8);
    future.block.path = Default::default();
    let result = prove(&chain, Proof::Past(PastProof::State(future)), 4);
    assert!(matches!(result, Err(ProofError::NotInHistory { height: Height(5), .. })), "{result:?}");
}

#[test]
fn older_values_are_proven_by_the_newest() {
    let chain = notes();
    let (old, new) = (&chain.states[2][&note("tea")], &chain.states[3][&note("tea")]);
    for (shown, size) in [(0, 4), (1, 4), (1, 8)] {
        let proof = Proof::ValueHistory(chain.value_history(&note("tea"), shown, size));
        let Ok(Proven::Values(values)) = prove(&chain, proof, size) else { panic!("no values") };
        assert_eq!((&values.newest, values.at), (new, Height(size - 1)));
        assert_eq!(values.at(Height(3)), Ok(new));
        assert_eq!(values.at(Height(2)).ok(), Some(old).filter(|_| shown == 1));
        assert!(values.at(Height(1)).is_err() && values.at(Height(size)).is_err());
    }
    let mut forged = chain.value_history(&note("tea"), 1, 4);
    let mut older = forged.history.older.into_vec();
    older[0].value = Bytes::from(b"white".as_slice());
    forged.history.older = older.into();
    let result = prove(&chain, Proof::ValueHistory(forged), 4);
    assert!(matches!(result, Err(ProofError::ValueHistory { .. })), "{result:?}");
    let deleted = ValueHistoryProof { newest: chain.state_proof(&note("rye"), 4), history: Default::default() };
    let expected = ProofError::NoValue { key: Box::new(note("rye")) };
    assert_eq!(prove(&chain, Proof::ValueHistory(deleted), 4), Err(expected));
}

#[test]
fn a_range_that_holds_no_key_is_refused() {
    let chain = notes();
    let mut proof = chain.range_proof(&all_notes(), 4);
    proof.range.to = Some(Bytes::default());
    let result = prove(&chain, Proof::Range(proof), 4);
    let refused = matches!(&result, Err(ProofError::Range { error: StateProofError::EmptyRange { .. }, .. }));
    assert!(refused, "{result:?}");
}

#[test]
fn entries_of_the_hand_built_chain_are_what_they_say() {
    let chain = notes();
    assert_eq!(chain.blocks.len(), 9);
    assert_eq!(chain.results[2][0].receipt.event_count, 3);
    assert_eq!(chain.states[2].len(), 5);
    assert_eq!(chain.states[3].len(), 4);
    let mut again = Chain::new("notes", 1);
    again.append(vec![Entry::succeeded(chain.blocks[1].transactions[0].clone())]);
    assert_eq!(again.blocks[1], chain.blocks[1]);
    assert_ne!(again.outcomes[1], chain.outcomes[1]);
    assert_eq!(Bytes::default().len(), 0);
}
