//! Random values of every wire type, from a seed.

use ledger_core::codec::{Bytes, List, Text};
use ledger_core::state::tree::{PrunedTree, Step, ValueHistory};
use ledger_core::*;
use ledger_crypto::{Digest, PublicKey, Signature};

/// SplitMix64 (Steele, Lea and Flood, 2014).
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `limit`, which is at least 1.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub fn index(&mut self, length: usize) -> usize {
        self.below(length as u64) as usize
    }

    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }
}

/// A type that can be made up.
pub trait Random {
    fn random(rng: &mut Rng) -> Self;
}

fn any<T: Random>(rng: &mut Rng) -> T {
    T::random(rng)
}

impl Random for u8 {
    fn random(rng: &mut Rng) -> Self {
        rng.next() as u8
    }
}

impl Random for u16 {
    fn random(rng: &mut Rng) -> Self {
        let shift = rng.below(16);
        rng.next() as u16 >> shift
    }
}

impl Random for u32 {
    fn random(rng: &mut Rng) -> Self {
        let shift = rng.below(32);
        rng.next() as u32 >> shift
    }
}

// Numbers of every magnitude, and those at which the encoding changes its length.
impl Random for u64 {
    fn random(rng: &mut Rng) -> Self {
        const EDGES: [u64; 9] = [0, 250, 251, 255, 256, 65_535, 65_536, u32::MAX as u64, u64::MAX];
        match rng.below(4) {
            0 => EDGES[rng.index(EDGES.len())],
            _ => {
                let shift = rng.below(64);
                rng.next() >> shift
            }
        }
    }
}

impl<const N: usize> Random for [u8; N] {
    fn random(rng: &mut Rng) -> Self {
        core::array::from_fn(|_| rng.next() as u8)
    }
}

impl<T: Random> Random for Option<T> {
    fn random(rng: &mut Rng) -> Self {
        (rng.below(2) == 0).then(|| any(rng))
    }
}

impl<T: Random> Random for List<T> {
    fn random(rng: &mut Rng) -> Self {
        (0..rng.below(4)).map(|_| any(rng)).collect()
    }
}

impl<A: Random, B: Random> Random for (A, B) {
    fn random(rng: &mut Rng) -> Self {
        (any(rng), any(rng))
    }
}

impl Random for Bytes {
    fn random(rng: &mut Rng) -> Self {
        let length = match rng.below(16) {
            0 => 250 + rng.index(4),
            _ => rng.index(24),
        };
        Bytes::from(rng.bytes(length))
    }
}

impl Random for Text {
    fn random(rng: &mut Rng) -> Self {
        const LETTERS: [char; 8] = ['a', 'Z', '0', ' ', '"', 'é', '→', '🫘'];
        let text: String = (0..rng.below(12)).map(|_| LETTERS[rng.index(LETTERS.len())]).collect();
        Text::from(text)
    }
}

macro_rules! wrapped {
    ($($name:path),* $(,)?) => {
        $(impl Random for $name {
            fn random(rng: &mut Rng) -> Self {
                $name(any(rng))
            }
        })*
    };
}

wrapped!(Height, Timestamp, Fuel, Weight, Epoch, View, ChainId, AccountId, ContractId, TransactionId);

macro_rules! fixed {
    ($($name:ident),*) => {
        $(impl Random for $name {
            fn random(rng: &mut Rng) -> Self {
                $name::new(any(rng))
            }
        })*
    };
}

fixed!(Digest, PublicKey, Signature);

macro_rules! fields {
    ($($name:ident { $($field:ident),* $(,)? })*) => {
        $(impl Random for $name {
            fn random(rng: &mut Rng) -> Self {
                $name { $($field: any(rng)),* }
            }
        })*
    };
}

fields! {
    Transaction { version, chain, account, order, expires_at, fuel_limit, fee, action, body }
    Endorsement { key, signature }
    DeployBody { code, arguments }
    ReadWriteSet { reads, ranges, writes }
    Body { salt, content }
    TransactionLeaf { transaction, witness }
    SignedTransaction { transaction, witness, body }
    HistoryHead { size, root }
    Header { version, chain, height, parent, timestamp, transactions_root, history, epoch, seal }
    Block { header, transactions }
    ValidatorUpdate { key, weight }
    Outcome { height, block, state_root, receipts_root, fuel_used, validators }
    Receipt { transaction, index, status, fuel_used, output, event_count, events_root }
    Event { contract, topic, data }
    TransactionResult { receipt, events }
    Engine { name, parameters }
    Prices {
        transaction, body_byte, read, read_byte, write, write_byte, event, event_byte, hash, hash_byte, verify, call,
        prepare_byte,
    }
    WasmCosts {
        instance, instance_function, instance_global, instance_name, instance_segment, basic, multiply, divide, load,
        store, global, branch, branch_table, call, call_indirect, local_zeroed, memory_size, memory_grow_page, bulk,
        bulk_64_bytes, table_entry,
    }
    WasmRules {
        max_module_bytes, max_functions, max_function_bytes, max_locals, max_table_entries, max_globals,
        max_memory_pages, max_br_table, max_stack_slots, costs,
    }
    Rules {
        state_scheme, deployers, lag, max_clock_ahead_ms, max_unordered_ms, max_transaction_bytes, max_block_bytes,
        max_block_transactions, max_transaction_fuel, max_block_fuel, max_key_bytes, max_value_bytes, max_events,
        max_event_bytes, max_output_bytes, max_call_depth, block_code_bytes, prices, wasm,
    }
    Genesis { version, name, timestamp, engine, rules }
    Checkpoint { header, certificate }
    Validator { key, weight }
    TrustedValidators { epoch, validators, known_at }
    TrustingPeriod { now, period_ms }
    TrustRoot { genesis, pinned, validators, trusting }
    EpochChange { closing, boundary }
    CheckpointBundle { checkpoint, changes }
    Consistency { from, path }
    Signed { validator, signature }
    BftCertificate { descendants, view, votes }
    Evidence { chain, epoch, view, validator, first, second }
    BlockProof { header, outcome, path }
    TransactionProof { block, leaf, body, index, count, path }
    ReceiptProof { block, receipt, count, path }
    EventProof { receipt, event, index, path }
    StateProof { block, key, path }
    RangeProof { block, range, tree }
    ValueHistoryProof { newest, history }
    Key { namespace, name }
    KeyRange { namespace, from, to }
    Version { height, index }
    Versioned { value, version, predecessor }
    SnapshotChunk { from, digest, length }
    SnapshotManifest { version, chain, checkpoint, block, outcome, peaks, chunks }
}

/// One of the variants, each given as an expression.
macro_rules! one_of {
    ($rng:ident: $($variant:expr),* $(,)?) => {{
        let variants: &[fn(&mut Rng) -> Self] = &[$(|$rng: &mut Rng| { let _ = &$rng; $variant }),*];
        let choice = $rng.index(variants.len());
        variants[choice]($rng)
    }};
}

impl Random for Order {
    fn random(rng: &mut Rng) -> Self {
        one_of!(rng: Order::Sequence { lane: any(rng), number: any(rng) }, Order::Unordered)
    }
}

impl Random for Action {
    fn random(rng: &mut Rng) -> Self {
        one_of!(rng:
            Action::Deploy { runtime: any(rng) },
            Action::Call { contract: any(rng), method: any(rng) },
            Action::Commit { endorsements: any(rng) },
        )
    }
}

impl Random for Witness {
    fn random(rng: &mut Rng) -> Self {
        Witness::Ed25519 { key: any(rng), signature: any(rng) }
    }
}

impl Random for BftVote {
    fn random(rng: &mut Rng) -> Self {
        one_of!(rng: BftVote::Notarize(any(rng)), BftVote::Nullify, BftVote::Finalize(any(rng)))
    }
}

impl Random for Status {
    fn random(rng: &mut Rng) -> Self {
        one_of!(rng: Status::Succeeded, Status::Failed(any(rng)), Status::Rejected(any(rng)))
    }
}

impl Random for Failure {
    fn random(rng: &mut Rng) -> Self {
        one_of!(rng:
            Failure::OutOfFuel { limit: any(rng) },
            Failure::Refused { code: any(rng), message: any(rng) },
            Failure::Trapped { message: any(rng) },
            Failure::UnknownContract { contract: any(rng) },
            Failure::UnknownMethod { method: any(rng) },
            Failure::UnknownRuntime { runtime: any(rng) },
            Failure::InvalidCode { message: any(rng) },
            Failure::InvalidBody { message: any(rng) },
            Failure::Redacted,
            Failure::Limit { what: any(rng), size: any(rng), limit: any(rng) },
            Failure::Conflict { message: any(rng) },
            Failure::Forbidden { what: any(rng) },
            Failure::Unsupported { what: any(rng) },
        )
    }
}

impl Random for Rejection {
    fn random(rng: &mut Rng) -> Self {
        one_of!(rng:
            Rejection::OutOfOrder { lane: any(rng), expected: any(rng), found: any(rng) },
            Rejection::Expired { expired_at: any(rng), now: any(rng) },
            Rejection::WrongKey { key: any(rng) },
            Rejection::Duplicate,
            Rejection::Unsupported { what: any(rng) },
            Rejection::BlockFuel { left: any(rng), limit: any(rng) },
            Rejection::TooDistant { expires_at: any(rng), latest: any(rng) },
        )
    }
}

impl Random for StateScheme {
    fn random(_: &mut Rng) -> Self {
        StateScheme::SortedMerkle
    }
}

impl Random for Deployers {
    fn random(rng: &mut Rng) -> Self {
        one_of!(rng: Deployers::Anyone, Deployers::Only(any(rng)))
    }
}

impl Random for PastProof {
    fn random(rng: &mut Rng) -> Self {
        one_of!(rng: PastProof::State(any(rng)), PastProof::Range(any(rng)))
    }
}

/// A step that pushes.
fn push(rng: &mut Rng) -> Step {
    match rng.below(3) {
        0 => Step::Opaque(any(rng)),
        1 => Step::Leaf { key: any(rng), versioned: any(rng) },
        _ => Step::Bare { key: any(rng), version: any(rng), predecessor: any(rng), value: Box::new(any(rng)) },
    }
}

impl Random for Step {
    fn random(rng: &mut Rng) -> Self {
        match rng.below(4) {
            0 => Step::Node,
            _ => push(rng),
        }
    }
}

// One tree, or nothing: other steps don't decode.
impl Random for PrunedTree {
    fn random(rng: &mut Rng) -> Self {
        let (mut steps, mut standing) = (Vec::new(), 0);
        for _ in 0..rng.below(5) {
            steps.push(push(rng));
            standing += 1;
            while standing > 1 && rng.below(2) == 0 {
                steps.push(Step::Node);
                standing -= 1;
            }
        }
        steps.extend((1..standing).map(|_| Step::Node));
        PrunedTree { steps: steps.into() }
    }
}

impl Random for ValueHistory {
    fn random(rng: &mut Rng) -> Self {
        let mut older: Vec<Versioned> = (0..rng.below(4)).map(|_| any(rng)).collect();
        let replaced = older.len().saturating_sub(1);
        for value in &mut older[..replaced] {
            value.predecessor = Some(any(rng));
        }
        ValueHistory { older: older.into() }
    }
}

impl Random for Proof {
    fn random(rng: &mut Rng) -> Self {
        one_of!(rng:
            Proof::Transaction(any(rng)),
            Proof::Receipt(any(rng)),
            Proof::Event(any(rng)),
            Proof::State(any(rng)),
            Proof::History(any(rng)),
            Proof::Range(any(rng)),
            Proof::Past(any(rng)),
            Proof::ValueHistory(any(rng)),
        )
    }
}
