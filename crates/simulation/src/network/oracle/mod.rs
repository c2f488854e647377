//! The laws of a network, held against what its nodes finalize, execute, send and recover.
//!
//! The oracle lives outside all machines. It trusts codec, digests and signatures, and nothing of consensus, node,
//! storage and execution: it counts quorums, follows headers, and executes blocks by itself.

mod accountability;
mod certificates;

use crate::keys;
use crate::oracle::model::{Model, Verdict};
use crate::oracle::past::{Expected, Past, digest_of};
use crate::report::{Counters, Violation, ensure};
use crate::truth::Said;
use accountability::Pool;
use ledger_core::history::{self, HistoryHasher};
use ledger_core::outcome::receipts_root;
use ledger_core::{
    BftVote, Block, Checkpoint, Evidence, Genesis, Header, Height, HistoryHead, SignedTransaction, ValidatorSet, View,
};
use ledger_crypto::merkle::Frontier;
use ledger_crypto::{Digest, PublicKey};
use ledger_node::core::Applied;
use ledger_storage::chain::{ChainReader, StoreError};
use ledger_storage::log::LogReader;
use std::collections::{BTreeMap, BTreeSet};

pub(super) const AGREEMENT: &str = "honest nodes finalize the same block at a height";
const ONE_CERTIFICATE: &str = "no two blocks are certified at one height";
const CERTIFIED: &str = "what a node finalizes is certified by a quorum of distinct validators";
const ORDER: &str = "a node finalizes blocks in order, each on the one before";
const KEPT: &str = "what a node finalized is never lost to it";
const VALID: &str = "a final block holds only transactions that their accounts signed";
const EQUAL: &str = "nodes that execute a block get the same outcome";
const MODEL: &str = "receipts and state are what a model of the contract gives";
const HISTORY: &str = "headers commit to the history of what was executed";
const ONE_VOTE: &str = "an honest validator's votes never contradict each other";
const EVIDENCE: &str = "evidence is sound and never names an honest validator";
const ACCOUNTABLE: &str = "when the chain forks, more validators than it tolerates are proven guilty";
const READABLE: &str = "what was written can be read";

struct Seen {
    block: Block,
    digest: Digest,
    verdicts: Vec<Verdict>,
    state_root: Digest,
    /// What executing it gave: the digest of outcome and results.
    executed: Option<Digest>,
}

/// What one machine has told.
#[derive(Clone, Copy, Default)]
struct Told {
    finalized: u64,
}

pub(super) struct Oracle {
    validators: ValidatorSet,
    mocked: bool,
    honest: BTreeSet<PublicKey>,
    model: Model,
    tip: Header,
    blocks: Vec<Seen>,
    /// What was certified at each height, whoever showed the certificate.
    certified: BTreeMap<Height, Digest>,
    history: Frontier<HistoryHasher>,
    /// The head of the history at each size from 1 on.
    heads: Vec<HistoryHead>,
    /// Leaf hashes of the transactions that accounts did sign.
    signed: BTreeSet<Digest>,
    told: Vec<Told>,
    /// What honest validators voted for, by view and slot.
    votes: BTreeMap<(PublicKey, View, u8), BftVote>,
    /// Whom evidence of honest nodes names.
    accused: BTreeSet<PublicKey>,
    pool: Option<Pool>,
    fork: Option<String>,
    /// What has to be told of each block, where logs are cut.
    past: Option<Vec<Expected>>,
}

fn unreadable(error: impl std::fmt::Display) -> Violation {
    Violation::new(READABLE, error.to_string())
}

/// A vote's slot: *notarize*, or *finalize or nullify*.
fn slot(vote: &BftVote) -> u8 {
    u8::from(!matches!(vote, BftVote::Notarize(_)))
}

impl Oracle {
    pub(super) fn new(
        genesis: &Genesis,
        validators: ValidatorSet,
        honest: BTreeSet<PublicKey>,
        machines: usize,
        (mocked, may_fork, cut): (bool, bool, bool),
    ) -> Self {
        let (header, outcome) = (genesis.header(), genesis.outcome());
        let mut history = Frontier::new();
        history.append(history::leaf(&header.digest(), &outcome.digest()), &mut |_, _| ());
        Oracle {
            validators,
            mocked,
            honest,
            model: Model::default(),
            tip: header,
            blocks: Vec::new(),
            certified: BTreeMap::new(),
            heads: vec![HistoryHead::of(&history)],
            history,
            signed: BTreeSet::new(),
            told: vec![Told::default(); machines],
            votes: BTreeMap::new(),
            accused: BTreeSet::new(),
            pool: may_fork.then(Pool::default),
            fork: None,
            past: cut.then(Vec::new),
        }
    }

    /// An account has signed `transaction`.
    pub(super) fn signs(&mut self, transaction: &SignedTransaction) {
        self.signed.insert(transaction.leaf().hash());
    }

    /// How many blocks honest nodes have finalized.
    pub(super) fn height(&self) -> u64 {
        self.blocks.len() as u64
    }

    /// How many blocks a machine has finalized.
    pub(super) fn height_of(&self, machine: usize) -> u64 {
        self.told.get(machine).map_or(0, |told| told.finalized)
    }

    /// Whether so many lie that the chain may fork.
    pub(super) fn may_fork(&self) -> bool {
        self.pool.is_some()
    }

    /// Where the chain forked; only ever with more liars than it tolerates.
    pub(super) fn fork(&self) -> Option<&str> {
        self.fork.as_deref()
    }

    fn seen(&self, height: Height) -> Option<&Seen> {
        self.blocks.get(usize::try_from(height.0.checked_sub(1)?).ok()?)
    }

    /// A law of agreement is broken: with too many liars that is a fork, else a violation.
    fn disagree(&mut self, law: &'static str, found: String) -> Result<(), Violation> {
        if self.pool.is_none() {
            return Err(Violation::new(law, found));
        }
        self.fork.get_or_insert(found);
        Ok(())
    }

    /// A machine shows a certificate. From a liar it counts if it is one.
    pub(super) fn certificate(
        &mut self,
        machine: usize,
        honest: bool,
        header: &Header,
        certificate: &[u8],
    ) -> Result<Option<View>, Violation> {
        let (height, digest) = (header.height, header.digest());
        let view = match self.certifies(header, certificate) {
            Ok(view) => view,
            Err(reason) if honest => {
                return Err(Violation::new(CERTIFIED, format!("node {machine}, block {height}: {reason}")));
            }
            Err(_) => return Ok(None),
        };
        let first = *self.certified.entry(height).or_insert(digest);
        if first != digest {
            let found = format!("node {machine}: block {height} {digest} in view {view}, and {first}");
            self.disagree(ONE_CERTIFICATE, found)?;
        }
        Ok(Some(view))
    }

    /// An honest node tells that a block is final.
    pub(super) fn finalized(&mut self, machine: usize, block: &Block) -> Result<(), Violation> {
        let (height, digest) = (block.header.height, block.digest());
        let told = self.told.get(machine).map_or(0, |told| told.finalized);
        ensure(height.0 == told + 1, ORDER, || format!("node {machine}: block {height} after {told}"))?;
        self.agreed(machine, block, digest)?;
        if let Some(told) = self.told.get_mut(machine) {
            told.finalized = height.0;
        }
        Ok(())
    }

    fn agreed(&mut self, machine: usize, block: &Block, digest: Digest) -> Result<(), Violation> {
        let height = block.header.height;
        if let Some(seen) = self.seen(height) {
            if seen.digest != digest {
                let found = format!("node {machine}: block {height} is {digest}, and {} elsewhere", seen.digest);
                return self.disagree(AGREEMENT, found);
            }
            return Ok(());
        }
        let follows = height == self.tip.height.next() && block.header.parent == self.tip.digest();
        if !follows {
            return self.disagree(AGREEMENT, format!("node {machine}: block {height} is on another parent"));
        }
        for transaction in &block.transactions {
            let known = self.signed.contains(&transaction.leaf().hash());
            ensure(known, VALID, || format!("block {height}: {}", transaction.id()))?;
        }
        let committed = block.header.history;
        let head = usize::try_from(committed.size).ok().and_then(|size| self.heads.get(size.checked_sub(1)?));
        ensure(head == Some(&committed), HISTORY, || format!("block {height} with {} leaves", committed.size))?;
        let (verdicts, state_root) = self.model.execute(block);
        self.tip = block.header.clone();
        if let Some(past) = &mut self.past {
            past.push(Expected::of(block, state_root, self.model.values().clone().into()));
        }
        self.blocks.push(Seen { block: block.clone(), digest, verdicts, state_root, executed: None });
        Ok(())
    }

    /// An honest node has executed block `height`. The first time, gives back the block.
    pub(super) fn executed(&mut self, machine: usize, applied: &Applied) -> Result<Option<Block>, Violation> {
        let (outcome, results) = (&applied.outcome, &applied.execution.results);
        let height = outcome.height;
        // Behind a fork another block may have this height.
        if self.fork.is_some() && self.seen(height).is_none_or(|seen| seen.digest != outcome.block) {
            return Ok(None);
        }
        let at = || format!("node {machine}, block {height}");
        let digest = digest_of(outcome, results);
        let size = self.history.size();
        let index = height.0.checked_sub(1).and_then(|index| usize::try_from(index).ok());
        let Some(seen) = index.and_then(|index| self.blocks.get_mut(index)) else {
            return Err(Violation::new(ORDER, format!("{} was executed and never final", at())));
        };
        if let Some(before) = seen.executed {
            ensure(before == digest, EQUAL, at)?;
            let head = self.heads.get(usize::try_from(height.0).unwrap_or(usize::MAX));
            ensure(head == Some(&applied.history), EQUAL, || format!("{}: another history", at()))?;
            return Ok(None);
        }
        ensure(size == height.0, ORDER, || format!("{} was executed after {size} leaves", at()))?;
        let fuel: u64 = results.iter().map(|result| result.receipt.fuel_used.0).sum();
        let sound = outcome.block == seen.digest
            && outcome.fuel_used.0 == fuel
            && outcome.receipts_root == receipts_root(results)
            && outcome.validators.is_empty()
            && results.len() == seen.verdicts.len();
        ensure(sound, MODEL, || format!("{}: the outcome is not that of its results", at()))?;
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
        let block = seen.block.clone();
        self.history.append(history::leaf(&seen.digest, &outcome.digest()), &mut |_, _| ());
        let head = HistoryHead::of(&self.history);
        self.heads.push(head);
        ensure(head == applied.history, HISTORY, || format!("{}: another history", at()))?;
        Ok(Some(block))
    }

    /// An honest node tells a checkpoint.
    pub(super) fn checkpoint(&mut self, machine: usize, checkpoint: &Checkpoint) -> Result<(), Violation> {
        let header = &checkpoint.header;
        if header.height == Height::GENESIS {
            return Ok(());
        }
        let known = self.seen(header.height).is_some_and(|seen| seen.digest == header.digest());
        match known {
            true => Ok(()),
            false => self.disagree(AGREEMENT, format!("node {machine} certifies another block {}", header.height)),
        }
    }

    /// An honest machine is up again: what it finalized before is in its log, certified, and nothing else.
    pub(super) fn recovered(&mut self, machine: usize, log: &LogReader, head: &Header) -> Result<(), Violation> {
        let found = self.finalized_in(machine, log)?;
        self.holds(machine, &found, head)
    }

    /// As [`Oracle::recovered`], where the log may have been cut and `said` is what the whole of it says.
    pub(super) fn recovered_from_cut(&mut self, machine: usize, said: &Said, head: &Header) -> Result<(), Violation> {
        for (block, certificate) in &said.blocks {
            self.certificate(machine, true, &block.header, certificate)?;
        }
        let blocks: Vec<Block> = said.blocks.iter().map(|(block, _)| block.clone()).collect();
        self.holds(machine, &blocks, head)
    }

    /// Everything that a node which cuts its log has of the chain's past.
    pub(super) fn check_past(&self, past: &Past<'_>, counters: &mut Counters) -> Result<(), Violation> {
        past.check(self.past.as_deref().unwrap_or_default(), &self.heads, counters)
    }

    fn holds(&mut self, machine: usize, found: &[Block], head: &Header) -> Result<(), Violation> {
        let told = self.told.get(machine).map_or(0, |told| told.finalized);
        let count = found.len() as u64;
        ensure(count >= told, KEPT, || format!("node {machine} recovered {count} blocks, {told} were final before"))?;
        ensure(head.height.0 == count, KEPT, || format!("node {machine}: views at {}, log at {count}", head.height))?;
        for block in found {
            self.agreed(machine, block, block.digest())?;
        }
        if let Some(told) = self.told.get_mut(machine) {
            told.finalized = count;
        }
        Ok(())
    }

    /// A machine has lost everything.
    pub(super) fn lost(&mut self, machine: usize) {
        if let Some(told) = self.told.get_mut(machine) {
            told.finalized = 0;
        }
    }

    /// An honest machine that had lost everything is up again: it stands on a block of the chain, and none behind what it
    /// has finalized since.
    pub(super) fn rejoined(&mut self, machine: usize, head: &Header) -> Result<(), Violation> {
        let (height, told) = (head.height, self.height_of(machine));
        let known = height == Height::GENESIS || self.seen(height).is_some_and(|seen| seen.digest == head.digest());
        ensure(known, AGREEMENT, || format!("node {machine} begins with another block {height}"))?;
        ensure(height.0 >= told, KEPT, || format!("node {machine} is at {height} again, {told} were final before"))?;
        if let Some(told) = self.told.get_mut(machine) {
            told.finalized = height.0;
        }
        Ok(())
    }

    /// A validator's key signed a vote, and it left a machine.
    pub(super) fn vote_left(&mut self, key: &PublicKey, view: View, vote: BftVote) -> Result<(), Violation> {
        let first = *self.votes.entry((*key, view, slot(&vote))).or_insert(vote);
        ensure(first == vote, ONE_VOTE, || format!("{key} in view {view}: {first:?} and {vote:?}"))
    }

    /// An honest node shows evidence.
    pub(super) fn evidence(&mut self, machine: usize, evidence: &Evidence) -> Result<(), Violation> {
        let named = evidence.validator;
        let at = |what: &str| format!("node {machine} against {named} in view {}: {what}", evidence.view);
        let member = self.validators.place(&named).is_some();
        ensure(member && evidence.first.0 != evidence.second.0, EVIDENCE, || at("not two votes of a validator"))?;
        ensure(slot(&evidence.first.0) == slot(&evidence.second.0), EVIDENCE, || at("two slots"))?;
        for (vote, signature) in [evidence.first, evidence.second] {
            let check = vote.check(evidence.chain, evidence.epoch, evidence.view, named, signature);
            let signed = evidence.chain == self.tip.chain && keys::verifies(&check, self.mocked);
            ensure(signed, EVIDENCE, || at("a vote that wasn't signed"))?;
        }
        ensure(!self.honest.contains(&named), EVIDENCE, || at("it is honest"))?;
        self.accused.insert(named);
        Ok(())
    }

    /// Everything has come to rest: an honest node has what all others have, and no token was made or lost.
    pub(super) fn at_rest(&self, machine: usize, reader: &ChainReader) -> Result<(), Violation> {
        let head = reader.head();
        let (height, expected) = (head.header.height.0, self.height());
        ensure(height == expected && head.header == self.tip, KEPT, || {
            format!("node {machine} is at block {height}, the network at {expected}")
        })?;
        ensure(Some(&head.history) == self.heads.last(), EQUAL, || format!("node {machine}: another history"))?;
        for height in (1..=expected).map(Height) {
            let digest = match reader.header(height) {
                Err(StoreError::BeforeSnapshot { .. }) => continue,
                header => header.map_err(unreadable)?.digest(),
            };
            let known = self.seen(height).is_some_and(|seen| seen.digest == digest);
            ensure(known, AGREEMENT, || format!("node {machine} holds another block {height}"))?;
        }
        ensure(self.model.is_balanced(), MODEL, || "balances and supply differ".to_owned())
    }

    /// How many validators evidence of honest nodes names.
    pub(super) fn accused(&self) -> u64 {
        self.accused.len() as u64
    }
}
