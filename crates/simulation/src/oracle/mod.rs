//! The laws of a chain, held against what was told to clients and what is found after each restart.
//!
//! An oracle lives outside the host: no crash takes from it what was promised before. It trusts the codec, digests and
//! signatures, and nothing of node, storage and execution.

pub(crate) mod model;
pub(crate) mod past;

pub(crate) use model::LEAST_FUEL;

use crate::report::{Counters, Violation, ensure};
use crate::truth::Said;
use ledger_core::codec::{self, List};
use ledger_core::history::{self, HistoryHasher};
use ledger_core::outcome::receipts_root;
use ledger_core::{
    AccountId, Block, Checkpoint, Consistency, Genesis, Height, HistoryHead, LightClient, Order, Outcome,
    SignedTransaction, Status, TransactionId, TransactionResult, TrustRoot,
};
use ledger_crypto::Digest;
use ledger_crypto::merkle::Frontier;
use ledger_storage::chain::ChainReader;
use ledger_storage::log::{LogReader, RecordKind};
use model::{Model, Verdict};
use past::{Expected, Past, digest_of};
use std::collections::{BTreeMap, BTreeSet};

const ORDER: &str = "blocks come in order, each on the one before";
const ONE_CERTIFICATE: &str = "there is one certified block at a height, for ever";
const ORDERED_STAYS: &str = "what was ordered stays, at its place";
const RECEIPTS_STAY: &str = "a receipt never changes";
const MODEL: &str = "receipts and state are what a model of the contract gives";
const HISTORY: &str = "headers commit to the history of what was executed";
const CHECKPOINT: &str = "a light client follows every checkpoint";
const HONEST: &str = "a block holds only transactions that their accounts signed";
const READABLE: &str = "what was written can be read";

/// A block that was seen final: told to clients, or found in the log after a restart.
struct Seen {
    digest: Digest,
    verdicts: Vec<Verdict>,
    state_root: Digest,
    /// What executing it gave, once that was seen: the digest of outcome and results.
    executed: Option<Digest>,
}

/// Everything that is known of one chain from outside.
pub(crate) struct Oracle {
    chain: u64,
    light: LightClient,
    model: Model,
    tip: ledger_core::Header,
    blocks: Vec<Seen>,
    /// The height up to which blocks were told to be ordered.
    ordered: u64,
    history: Frontier<HistoryHasher>,
    /// The head of the history at each size from 1 on.
    heads: Vec<HistoryHead>,
    /// Leaf hashes of the transactions that accounts did sign.
    signed: BTreeSet<Digest>,
    /// Which transaction took up an account's number.
    numbers: BTreeMap<(AccountId, u64), TransactionId>,
    /// The last block with transactions.
    busy: Option<Height>,
    /// What has to be told of each block, where logs are cut.
    past: Option<Vec<Expected>>,
}

fn unreadable(error: impl std::fmt::Display) -> Violation {
    Violation::new(READABLE, error.to_string())
}

impl Oracle {
    pub(crate) fn new(chain: u64, genesis: &Genesis, cut: bool) -> Result<Self, Violation> {
        let light = LightClient::new(TrustRoot::new(genesis.clone()))
            .map_err(|error| Violation::new(CHECKPOINT, error.to_string()))?;
        let (header, outcome) = (genesis.header(), genesis.outcome());
        let mut history = Frontier::new();
        history.append(history::leaf(&header.digest(), &outcome.digest()), &mut |_, _| ());
        Ok(Oracle {
            chain,
            light,
            model: Model::default(),
            tip: header,
            blocks: Vec::new(),
            ordered: 0,
            heads: vec![HistoryHead::of(&history)],
            history,
            signed: BTreeSet::new(),
            numbers: BTreeMap::new(),
            busy: None,
            past: cut.then(Vec::new),
        })
    }

    /// An account has signed `transaction`.
    pub(crate) fn signs(&mut self, transaction: &SignedTransaction) {
        self.signed.insert(transaction.leaf().hash());
    }

    /// How many blocks were seen.
    pub(crate) fn height(&self) -> u64 {
        self.blocks.len() as u64
    }

    /// Whose transaction took up `number` of `account`.
    pub(crate) fn taken(&self, account: &AccountId, number: u64) -> Option<&TransactionId> {
        self.numbers.get(&(*account, number))
    }

    fn seen(&self, height: Height) -> Option<&Seen> {
        self.blocks.get(usize::try_from(height.0.checked_sub(1)?).ok()?)
    }

    /// A block is final and may be known to others: told as ordered, or found in a recovered log.
    fn finalized(&mut self, block: &Block) -> Result<(), Violation> {
        let (height, digest, chain) = (block.header.height, block.digest(), self.chain);
        if let Some(seen) = self.seen(height) {
            return ensure(seen.digest == digest, ONE_CERTIFICATE, || {
                format!("chain {chain} block {height} is {digest}, and was {}", seen.digest)
            });
        }
        let follows = height == self.tip.height.next() && block.header.parent == self.tip.digest();
        ensure(follows, ORDER, || format!("chain {chain} block {height} after {}", self.tip.height))?;
        for transaction in &block.transactions {
            let id = transaction.id();
            ensure(self.signed.contains(&transaction.leaf().hash()), HONEST, || format!("chain {chain}: {id}"))?;
        }
        let (verdicts, state_root) = self.model.execute(block);
        for (transaction, verdict) in block.transactions.iter().zip(&verdicts) {
            if !matches!(verdict, Verdict::Expired | Verdict::OutOfOrder)
                && let Order::Sequence { number, .. } = transaction.transaction.order
            {
                self.numbers.insert((transaction.transaction.account, number), transaction.id());
            }
        }
        if !block.transactions.is_empty() {
            self.busy = Some(height);
        }
        self.tip = block.header.clone();
        if let Some(past) = &mut self.past {
            past.push(Expected::of(block, state_root, self.model.values().clone().into()));
        }
        self.blocks.push(Seen { digest, verdicts, state_root, executed: None });
        Ok(())
    }

    /// Clients were told that `block` is ordered.
    pub(crate) fn ordered(&mut self, block: &Block) -> Result<(), Violation> {
        self.finalized(block)?;
        let height = block.header.height.0;
        self.ordered = self.ordered.max(height);
        Ok(())
    }

    /// Clients were told, or can read, what became of block `height`.
    pub(crate) fn executed(&mut self, outcome: &Outcome, results: &[TransactionResult]) -> Result<(), Violation> {
        let (height, chain) = (outcome.height, self.chain);
        let digest = digest_of(outcome, results);
        let at = || format!("chain {chain} block {height}");
        let index = height.0.checked_sub(1).and_then(|index| usize::try_from(index).ok());
        let size = self.history.size();
        let Some(seen) = index.and_then(|index| self.blocks.get_mut(index)) else {
            return Err(Violation::new(ORDERED_STAYS, format!("{} was executed and never ordered", at())));
        };
        if let Some(before) = seen.executed {
            return ensure(before == digest, RECEIPTS_STAY, at);
        }
        ensure(size == height.0, ORDER, || format!("{} was executed after {size} leaves", at()))?;
        let fuel: u64 = results.iter().map(|result| result.receipt.fuel_used.0).sum();
        let sound = outcome.block == seen.digest
            && outcome.fuel_used.0 == fuel
            && outcome.receipts_root == receipts_root(results)
            && outcome.validators.is_empty();
        ensure(sound, MODEL, || format!("{}: the outcome is not that of its results", at()))?;
        ensure(results.len() == seen.verdicts.len(), MODEL, || format!("{}: {} results", at(), results.len()))?;
        for (result, verdict) in results.iter().zip(&seen.verdicts) {
            let status = &result.receipt.status;
            ensure(verdict.agrees_with(status), MODEL, || format!("{}: {status:?} instead of {verdict:?}", at()))?;
        }
        let (found, expected) = (outcome.state_root, seen.state_root);
        ensure(found == expected, MODEL, || format!("{}: state root {found} instead of {expected}", at()))?;
        seen.executed = Some(digest);
        let past = self.past.as_mut().and_then(|past| past.get_mut(index.unwrap_or(usize::MAX)));
        if let Some(expected) = past {
            expected.executed = Some(digest);
        }
        let leaf = history::leaf(&seen.digest, &outcome.digest());
        self.history.append(leaf, &mut |_, _| ());
        self.heads.push(HistoryHead::of(&self.history));
        Ok(())
    }

    /// Clients were told a checkpoint: a light client goes on to it, with a proof from the node that told it.
    pub(crate) fn certified(&mut self, checkpoint: &Checkpoint, reader: &ChainReader) -> Result<(), Violation> {
        let (height, chain, size) = (checkpoint.header.height, self.chain, checkpoint.header.history.size);
        let at = || format!("chain {chain} checkpoint {height} with {size} leaves");
        if height > Height::GENESIS {
            let known = self.seen(height).is_some_and(|seen| seen.digest == checkpoint.header.digest());
            ensure(known, ONE_CERTIFICATE, at)?;
            let head = usize::try_from(size).ok().and_then(|size| self.heads.get(size.checked_sub(1)?));
            ensure(head == Some(&checkpoint.header.history), HISTORY, at)?;
        }
        let from = self.light.seen();
        let consistency = if from.size == 0 {
            None
        } else {
            let path = reader.consistency(from.size, size).map_err(unreadable)?;
            Some(Consistency { from, path: List::from(path.into_vec()) })
        };
        let advanced = self.light.advance(checkpoint.clone(), consistency.as_ref());
        advanced.map(|_| ()).map_err(|error| Violation::new(CHECKPOINT, format!("{}: {error}", at())))
    }

    /// The host has restarted and recovered the chain: the log and the views are held against what was promised.
    pub(crate) fn recovered(&mut self, log: &LogReader, reader: &ChainReader) -> Result<u64, Violation> {
        let blocks = blocks_in(log, &self.tip.chain.0)?;
        let found = self.holds(&blocks)?;
        self.read_all(reader)?;
        Ok(found)
    }

    /// As [`Oracle::recovered`], where the log may have been cut and `said` is what the whole of it says.
    pub(crate) fn recovered_from_cut(
        &mut self,
        said: &Said,
        past: &Past<'_>,
        counters: &mut Counters,
    ) -> Result<u64, Violation> {
        let blocks: Vec<Block> = said.blocks.iter().map(|(block, _)| block.clone()).collect();
        let found = self.holds(&blocks)?;
        self.executed_through(past.reader)?;
        self.check_past(past, counters)?;
        Ok(found)
    }

    /// What the views have executed and nobody has told yet.
    fn executed_through(&mut self, reader: &ChainReader) -> Result<(), Violation> {
        let (head, expected) = (reader.head(), self.height());
        ensure(head.header.height.0 == expected, ORDERED_STAYS, || {
            format!("chain {}: the views are at {}, the log at {expected}", self.chain, head.header.height)
        })?;
        for height in (self.history.size()..=expected).map(Height) {
            let outcome = reader.outcome(height).map_err(unreadable)?;
            let results = reader.results(height).map_err(unreadable)?;
            self.executed(&outcome, &results)?;
        }
        ensure(Some(&head.history) == self.heads.last(), HISTORY, || format!("chain {} at {expected}", self.chain))
    }

    /// Everything that a node which cuts its log has of the chain's past.
    pub(crate) fn check_past(&self, past: &Past<'_>, counters: &mut Counters) -> Result<(), Violation> {
        let expected = self.past.as_deref().unwrap_or_default();
        past.check(expected, &self.heads, counters)
    }

    fn holds(&mut self, blocks: &[Block]) -> Result<u64, Violation> {
        let chain = self.chain;
        for block in blocks {
            self.finalized(block)?;
        }
        let found = blocks.len() as u64;
        ensure(found >= self.ordered, ORDERED_STAYS, || {
            format!("chain {chain} recovered {found} blocks, {} were ordered", self.ordered)
        })?;
        // A block seen in a log that was opened is durable: it counts as much as one that clients were told of.
        self.ordered = found;
        ensure(found == self.height(), ORDERED_STAYS, || {
            format!("chain {chain} recovered {found} blocks, {} were seen before", self.height())
        })?;
        Ok(found)
    }

    /// Everything that the views say of executed blocks.
    pub(crate) fn read_all(&mut self, reader: &ChainReader) -> Result<(), Violation> {
        let (head, expected) = (reader.head(), self.height());
        ensure(head.header.height.0 == expected, ORDERED_STAYS, || {
            format!("chain {}: the views are at {}, the log at {expected}", self.chain, head.header.height)
        })?;
        for height in (1..=expected).map(Height) {
            let outcome = reader.outcome(height).map_err(unreadable)?;
            let results = reader.results(height).map_err(unreadable)?;
            self.executed(&outcome, &results)?;
        }
        ensure(Some(&head.history) == self.heads.last(), HISTORY, || format!("chain {} at {expected}", self.chain))
    }

    /// Everything has come to rest: the newest checkpoint commits to all transactions, and no token was made or lost.
    pub(crate) fn at_rest(&mut self, reader: &ChainReader) -> Result<(), Violation> {
        let (chain, size) = (self.chain, self.light.latest().history().size);
        let certified = self.busy.is_none_or(|busy| size > busy.0);
        ensure(certified, "everything accepted is certified in the end", || {
            format!("chain {chain}: block {:?} isn't in the {size} leaves of the newest checkpoint", self.busy)
        })?;
        match self.past {
            None => self.read_all(reader)?,
            Some(_) => self.executed_through(reader)?,
        }
        ensure(self.model.is_balanced(), MODEL, || format!("chain {chain}: balances and supply differ"))
    }
}

/// The blocks of a chain that a log holds final: the last payload at a height before its certificate.
pub(crate) fn blocks_in(log: &LogReader, chain: &Digest) -> Result<Vec<Block>, Violation> {
    let mut blocks = Vec::new();
    let mut payload = None;
    for item in log.records() {
        let (_, record) = item.map_err(unreadable)?;
        if record.chain != *chain {
            continue;
        }
        match record.kind {
            RecordKind::PAYLOAD => payload = Some(codec::decode::<Block>(&record.bytes).map_err(unreadable)?),
            RecordKind::CERTIFICATE => blocks.extend(payload.take()),
            _ => {}
        }
    }
    Ok(blocks)
}

/// Whether a receipt says that the transaction took up its number.
pub(crate) fn takes_up(status: &Status) -> bool {
    !matches!(status, Status::Rejected(_))
}
