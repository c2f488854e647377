//! Certificates and logs, read by a reader of the oracle's own.

use super::{CERTIFIED, Oracle, unreadable};
use crate::keys;
use crate::report::{Violation, ensure};
use ledger_core::codec;
use ledger_core::{BftCertificate, BftVote, Block, Header, View};
use ledger_crypto::Digest;
use ledger_storage::log::{LogReader, RecordKind};
use std::collections::{BTreeMap, BTreeSet};

impl Oracle {
    /// The view in which a quorum of distinct validators finalized `header` or a descendant of it.
    pub(super) fn certifies(&mut self, header: &Header, certificate: &[u8]) -> Result<View, String> {
        let certificate: BftCertificate = codec::decode(certificate).map_err(|error| error.to_string())?;
        let mut signed = header.clone();
        for next in certificate.descendants.iter() {
            if next.parent != signed.digest() || next.height.0 != signed.height.0 + 1 {
                return Err(format!("header {} is no child of header {}", next.height, signed.height));
            }
            signed = next.clone();
        }
        let vote = BftVote::Finalize(signed.digest());
        let mut signers = BTreeSet::new();
        let mut weight = 0u128;
        for one in certificate.votes.iter() {
            let Some(validator) = self.validators.get(one.validator).copied() else {
                return Err(format!("validator {} isn't one", one.validator));
            };
            let check = vote.check(header.chain, header.epoch, certificate.view, validator.key, one.signature);
            if !keys::verifies(&check, self.mocked) {
                return Err(format!("validator {} didn't sign in view {}", one.validator, certificate.view));
            }
            if !signers.insert(validator.key) {
                return Err(format!("validator {} counts twice", one.validator));
            }
            weight += u128::from(validator.weight.0);
        }
        // Counted apart from the production code: more than two thirds of the weight, so that two quorums share an
        // honest validator.
        let total: u128 = self.validators.as_slice().iter().map(|validator| u128::from(validator.weight.0)).sum();
        if weight * 3 <= total * 2 {
            return Err(format!("{weight} of {total} signed"));
        }
        if let Some(pool) = &mut self.pool {
            for one in certificate.votes.iter() {
                if let Some(validator) = self.validators.get(one.validator) {
                    pool.add(validator.key, certificate.view, vote, one.signature);
                }
            }
        }
        Ok(certificate.view)
    }

    /// The blocks that a log holds final, from height 1 on.
    pub(super) fn finalized_in(&mut self, machine: usize, log: &LogReader) -> Result<Vec<Block>, Violation> {
        let mut payloads: BTreeMap<Digest, Block> = BTreeMap::new();
        let mut blocks: Vec<Block> = Vec::new();
        for item in log.records() {
            let (_, record) = item.map_err(unreadable)?;
            if record.kind == RecordKind::PAYLOAD {
                let block = codec::decode::<Block>(&record.bytes).map_err(unreadable)?;
                payloads.insert(block.digest(), block);
            } else if record.kind == RecordKind::CERTIFICATE {
                let Some((digest, certificate)) = record.bytes.split_first_chunk::<32>() else {
                    return Err(unreadable("a short certificate"));
                };
                let block = payloads.get(&Digest::new(*digest)).cloned();
                let block = block.ok_or_else(|| unreadable("a certificate without its payload"))?;
                let found = block.header.height.0;
                ensure(found == blocks.len() as u64 + 1, CERTIFIED, || {
                    format!("the log of node {machine} holds block {found} after {} blocks", blocks.len())
                })?;
                self.certificate(machine, true, &block.header, certificate)?;
                blocks.push(block);
            }
        }
        Ok(blocks)
    }
}
