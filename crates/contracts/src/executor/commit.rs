//! Applying what was executed elsewhere: a read-write set, if whoever may write says so and every read still holds.

use super::host::within;
use super::run::{Run, Stop, USE_PAUSED, message};
use crate::fuel::Meter;
use crate::lifecycle::{LIFECYCLE, WritePolicy};
use crate::trace::AccessKind;
use ledger_core::codec::{self, Text};
use ledger_core::state::SYSTEM;
use ledger_core::{Action, ContractId, Endorsement, Failure, Key, KeyRange, ReadWriteSet, Transaction, Version};
use ledger_crypto::{Digest, PublicKey, verify};
use std::collections::BTreeMap;

/// How many keys are read together. Their values are paid for only once they are there, so this bounds what may have to
/// be owed.
const READ_TOGETHER: usize = 32;

/// What those who vouch for a set have signed.
struct Endorsements<'t> {
    by: &'t [Endorsement],
    over: Digest,
    /// Keys whose signature was looked at, and whether it is valid.
    verdicts: BTreeMap<PublicKey, bool>,
}

impl Run<'_, '_> {
    /// Applies the set in `body`, of a transaction that is a commit.
    pub(super) fn commit(&mut self, transaction: &Transaction, body: &[u8], meter: &mut Meter) -> Result<(), Stop> {
        let invalid = |words: &str| Failure::InvalidBody { message: Text::from(words) };
        let set: ReadWriteSet =
            codec::decode(body).map_err(|_| invalid("it isn't a read-write set in its canonical encoding"))?;
        let ReadWriteSet { reads, ranges, writes } = &set;
        let rising = reads.is_sorted_by(|(a, _), (b, _)| a < b)
            && writes.is_sorted_by(|(a, _), (b, _)| a < b)
            && ranges.iter().all(|(_, there)| there.is_sorted_by(|(a, _), (b, _)| a < b));
        if !rising {
            return Err(invalid("its keys don't rise").into());
        }
        if ranges.iter().any(|(range, there)| there.iter().any(|(key, _)| !range.contains(key))) {
            return Err(invalid("a key isn't in the range that lists it").into());
        }
        self.check_lengths(&set)?;
        let by: &[Endorsement] = match &transaction.action {
            Action::Commit { endorsements } => endorsements,
            _ => &[],
        };
        let mut endorsements = Endorsements { by, over: transaction.endorsed(), verdicts: BTreeMap::new() };
        for same in writes.chunk_by(|(a, _), (b, _)| a.namespace == b.namespace) {
            if let Some((key, _)) = same.first() {
                self.may_write(&key.namespace, transaction, &mut endorsements, meter)?;
            }
        }
        self.check_reads(reads, meter)?;
        for (range, there) in ranges {
            let bytes = self.check_range(range, there, meter)?;
            self.note_scan(range, || (there.len(), bytes));
        }
        let prices = &self.context.rules.prices;
        for (key, value) in set.writes.into_vec() {
            let size = key.name.len().saturating_add(value.as_ref().map_or(0, |value| value.len()));
            meter.charge_sized(prices.write, prices.write_byte, size)?;
            match value {
                Some(value) => {
                    self.note(&key.namespace, &key.name, AccessKind::Write { bytes: value.len() });
                    self.journal.put(key, value);
                }
                None => {
                    self.note(&key.namespace, &key.name, AccessKind::Delete);
                    self.journal.delete(key);
                }
            }
        }
        Ok(())
    }

    /// Checks that no key, bound or value is longer than contracts may have them.
    fn check_lengths(&self, set: &ReadWriteSet) -> Result<(), Stop> {
        let rules = self.context.rules;
        let most = u64::from(rules.max_key_bytes);
        let listed = set.ranges.iter().flat_map(|(_, there)| there.iter().map(|(key, _)| key));
        let keys = set.reads.iter().map(|(key, _)| key).chain(set.writes.iter().map(|(key, _)| key)).chain(listed);
        for key in keys {
            within("a key", key.name.len(), most)?;
        }
        for (range, _) in &set.ranges {
            within("a range's bound", range.from.len().max(range.to.as_ref().map_or(0, |to| to.len())), most + 1)?;
        }
        for value in set.writes.iter().filter_map(|(_, value)| value.as_ref()) {
            within("a value", value.len(), rules.max_value_bytes.into())?;
        }
        Ok(())
    }

    /// Whether a contract's metadata let this transaction write its state. What is only read needs no leave: it makes
    /// the commit depend on a state that everybody may see.
    fn may_write(
        &mut self,
        contract: &ContractId,
        transaction: &Transaction,
        endorsements: &mut Endorsements<'_>,
        meter: &mut Meter,
    ) -> Result<(), Stop> {
        let forbidden = |what: &str| -> Stop { Failure::Forbidden { what: message(what) }.into() };
        if *contract == SYSTEM || *contract == LIFECYCLE {
            return Err(forbidden("commit to the chain's own state"));
        }
        if self.record(contract, meter)?.paused {
            return Err(forbidden(USE_PAUSED));
        }
        match self.metadata(contract, meter)?.writes {
            WritePolicy::Accounts(accounts) if accounts.binary_search(&transaction.account).is_ok() => Ok(()),
            WritePolicy::None | WritePolicy::Accounts(_) => {
                Err(forbidden(&format!("commit to the state of contract {contract}")))
            }
            WritePolicy::Endorsed { keys, least } => {
                let found = self.count(endorsements, &keys, least, meter)?;
                if found >= least {
                    return Ok(());
                }
                let words =
                    format!("commit to the state of contract {contract} with {found} valid endorsements of {least}");
                Err(forbidden(&words))
            }
        }
    }

    /// How many of `keys` have endorsed, up to `enough`. Of a key's endorsements the first counts.
    fn count(
        &self,
        endorsements: &mut Endorsements<'_>,
        keys: &[PublicKey],
        enough: u32,
        meter: &mut Meter,
    ) -> Result<u32, Stop> {
        let Endorsements { by, over, verdicts } = endorsements;
        let mut counted: Vec<&PublicKey> = Vec::new();
        let mut found = 0;
        for endorsement in by.iter() {
            if found >= enough {
                break;
            }
            let key = &endorsement.key;
            if keys.binary_search(key).is_err() || counted.contains(&key) {
                continue;
            }
            counted.push(key);
            let valid = match verdicts.get(key) {
                Some(valid) => *valid,
                None => {
                    meter.charge(self.context.rules.prices.verify)?;
                    *verdicts.entry(*key).or_insert(verify(&endorsement.check(over)).is_ok())
                }
            };
            found += u32::from(valid);
        }
        Ok(found)
    }

    /// Whether each key still has the version that was seen.
    fn check_reads(&mut self, reads: &[(Key, Option<Version>)], meter: &mut Meter) -> Result<(), Stop> {
        let prices = &self.context.rules.prices;
        for some in reads.chunks(READ_TOGETHER) {
            for _ in some {
                meter.charge(prices.read)?;
            }
            self.journal.prefetch(some.iter().map(|(key, _)| key.clone()).collect())?;
            let (mut there, mut bytes) = (Vec::with_capacity(some.len()), 0usize);
            for (key, _) in some {
                let found = self.journal.version(key, self.context.height)?;
                let length = found.map(|(_, bytes)| bytes);
                self.note(&key.namespace, &key.name, AccessKind::Read { bytes: length });
                bytes = bytes.saturating_add(length.unwrap_or(0));
                there.push(found.map(|(version, _)| version));
            }
            meter.charge_done(prices.read_byte, bytes)?;
            for ((key, seen), found) in some.iter().zip(there) {
                if found != *seen {
                    let (found, seen) = (version_in_words(found), version_in_words(*seen));
                    return Err(conflict(&format!("{key:?} is {found}, read was {seen}")));
                }
            }
        }
        Ok(())
    }

    /// Whether the same keys as were seen, in the same versions, are in a range, and no others; how many bytes they and
    /// their values have.
    fn check_range(&mut self, range: &KeyRange, seen: &[(Key, Version)], meter: &mut Meter) -> Result<usize, Stop> {
        let prices = &self.context.rules.prices;
        let height = self.context.height;
        let differs = |key: &Key, found: &str| {
            let to = range.to.as_ref().map_or("the end".to_owned(), |to| format!("{to:?}"));
            conflict(&format!("{key:?} {found} in the range from {:?} to {to}", range.from))
        };
        let mut seen = seen.iter();
        let mut all = 0usize;
        let mut steps = self.journal.scan(range);
        loop {
            meter.charge(prices.read)?;
            let Some(step) = steps.next().transpose()? else { break };
            meter.charge_done(prices.read_byte, step.bytes_read())?;
            let Some(value) = &step.value else { continue };
            all = all.saturating_add(step.key.name.len()).saturating_add(value.len());
            let found = step.writer.map(|index| Version { height, index }).or(step.base);
            match seen.next() {
                Some((key, version)) if *key == step.key && Some(*version) == found => {}
                Some((key, _)) if *key < step.key => return Err(differs(key, "isn't there any more")),
                Some((key, _)) if *key == step.key => return Err(differs(key, "has changed")),
                _ => return Err(differs(&step.key, "is new")),
            }
        }
        match seen.next() {
            Some((key, _)) => Err(differs(key, "isn't there any more")),
            None => Ok(all),
        }
    }
}

fn conflict(words: &str) -> Stop {
    Failure::Conflict { message: message(words) }.into()
}

fn version_in_words(version: Option<Version>) -> String {
    version.map_or("absent".to_owned(), |version| format!("of {version}"))
}
