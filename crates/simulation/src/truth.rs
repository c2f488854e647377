//! A memory of all that a log ever held durably, outside every crash: what a cut log has to be as good as.

use crate::report::{Violation, ensure};
use ledger_consensus::RecordKind as Kind;
use ledger_core::codec;
use ledger_core::{Block, ChainId, Height};
use ledger_crypto::Digest;
use ledger_node::recovery::{EVIDENCE_RECORD, LoggedChain, NOTE_RECORD, POLICY_RECORD};
use ledger_storage::log::{LogError, LogPosition, LogReader, Record, RecordKind};
use std::collections::BTreeMap;

const SAME: &str = "a log that was cut says what the whole log said";
const READABLE: &str = "what was written can be read";

/// See the [module](self).
#[derive(Default)]
pub(crate) struct Truth {
    records: Vec<Record>,
    /// Where the log goes on behind them.
    next: Option<LogPosition>,
}

/// What the whole log says of one chain.
pub(crate) struct Said {
    /// Its final blocks from height 1 on, with their certificates.
    pub(crate) blocks: Vec<(Block, Vec<u8>)>,
    /// What an engine gets back: kind, height, bytes.
    records: Vec<(Kind, Height, Vec<u8>)>,
    evidence: Vec<Vec<u8>>,
    policy: Option<Vec<u8>>,
}

/// What a host that has started took from its log of one chain.
pub(crate) struct Taken {
    records: Vec<(Kind, Height, Vec<u8>)>,
    evidence: Vec<Vec<u8>>,
    policy: Option<Vec<u8>>,
}

impl Taken {
    pub(crate) fn of(logged: &LoggedChain, records: &[ledger_consensus::Record]) -> Self {
        let record = |record: &ledger_consensus::Record| (record.kind, record.height, record.bytes.to_vec());
        Taken {
            records: records.iter().map(record).collect(),
            evidence: logged.evidence.iter().map(codec::encode).collect(),
            policy: logged.policy.as_ref().map(codec::encode),
        }
    }
}

fn unreadable(error: impl std::fmt::Display) -> Violation {
    Violation::new(READABLE, error.to_string())
}

impl Truth {
    /// Takes in what is new in the log. It is asked before anything is removed from it.
    pub(crate) fn take_in(&mut self, log: &LogReader) -> Result<(), Violation> {
        let records = match self.next.map(|next| log.records_from(next)) {
            // What was removed was taken in before.
            None | Some(Err(LogError::Removed { .. })) => log.records(),
            Some(records) => records.map_err(unreadable)?,
        };
        for item in records {
            let (position, record) = item.map_err(unreadable)?;
            self.records.push(record);
            self.next = Some(position.after());
        }
        Ok(())
    }

    /// What the log said of `chain`, from its beginning.
    pub(crate) fn said(&self, chain: &ChainId) -> Result<Said, Violation> {
        let mut payloads: BTreeMap<Digest, Block> = BTreeMap::new();
        let (mut blocks, mut evidence, mut policy): (Vec<(Block, Vec<u8>)>, _, _) = (Vec::new(), Vec::new(), None);
        let own = || self.records.iter().filter(|record| record.chain == chain.0);
        for record in own() {
            match record.kind {
                RecordKind::PAYLOAD => {
                    let block = codec::decode::<Block>(&record.bytes).map_err(unreadable)?;
                    payloads.insert(block.digest(), block);
                }
                RecordKind::CERTIFICATE => {
                    let split = record.bytes.split_first_chunk::<32>();
                    let (digest, certificate) = split.ok_or_else(|| unreadable("a short certificate"))?;
                    let block = payloads.get(&Digest::new(*digest)).cloned();
                    let block = block.ok_or_else(|| unreadable("a certificate without its payload"))?;
                    let (found, before) = (block.header.height.0, blocks.len() as u64);
                    ensure(found == before + 1, SAME, || format!("block {found} after {before} of chain {chain}"))?;
                    blocks.push((block, certificate.to_vec()));
                }
                EVIDENCE_RECORD => evidence.push(record.bytes.clone()),
                POLICY_RECORD => policy = Some(record.bytes.clone()),
                _ => {}
            }
        }
        let height = blocks.len() as u64;
        let votes = own().enumerate().filter(|(_, record)| record.kind == RecordKind::VOTE);
        let last_vote = votes.map(|(index, _)| index).last();
        let waits = |(index, record): (usize, &Record)| {
            let kind = match record.kind {
                RecordKind::PAYLOAD => Kind::Payload,
                RecordKind::VOTE => Kind::Vote,
                NOTE_RECORD => Kind::Note,
                _ => return None,
            };
            let counts = record.height > height || last_vote == Some(index);
            counts.then(|| (kind, Height(record.height), record.bytes.clone()))
        };
        let records = own().enumerate().filter_map(waits).collect();
        Ok(Said { blocks, records, evidence, policy })
    }
}

impl Said {
    /// Holds what a host took from its log against it.
    pub(crate) fn check(&self, who: &str, taken: &Taken) -> Result<(), Violation> {
        let names = |records: &[(Kind, Height, Vec<u8>)]| -> Vec<String> {
            records.iter().map(|(kind, height, bytes)| format!("{kind:?} {height} ({} bytes)", bytes.len())).collect()
        };
        ensure(self.records == taken.records, SAME, || {
            format!("{who}: records {:?} instead of {:?}", names(&taken.records), names(&self.records))
        })?;
        ensure(self.evidence == taken.evidence, SAME, || {
            format!("{who}: {} pieces of evidence instead of {}", taken.evidence.len(), self.evidence.len())
        })?;
        ensure(self.policy == taken.policy, SAME, || format!("{who}: another policy"))
    }
}
