//! What transactions will read, read together before they are executed. It changes nothing but how long they take.

use super::LedgerExecutor;
use crate::journal::Journal;
use crate::record::ContractRecord;
use crate::runtime::{EntryPoint, Invocation, Prepared, Runtime};
use ledger_core::state::tree::MAX_KEY_NAME_BYTES;
use ledger_core::{Action, ContractId, Key, Order, SignedTransaction, StateError, codec};
use std::collections::HashMap;

/// The most names that are taken from one call's contract.
const MOST_NAMES: usize = 16;

/// A contract's code, if it has run here before.
type Known<'a> = Option<(&'a dyn Runtime, Prepared)>;

impl LedgerExecutor {
    /// Reads what `transactions` are known to read: the numbers of their lanes, and what the contracts that they call
    /// [say](Runtime::expected_reads).
    pub(super) fn read_ahead<'t>(
        &self,
        transactions: impl Iterator<Item = &'t SignedTransaction> + Clone,
        journal: &mut Journal<'_>,
    ) -> Result<(), StateError> {
        let mut keys: Vec<Key> = transactions.clone().filter_map(lane_key).collect();
        // Looked up and never walked.
        let mut contracts: HashMap<ContractId, Known<'_>> = HashMap::new();
        let mut names = Vec::new();
        for signed in transactions {
            let (Action::Call { contract, method }, Some(arguments)) = (&signed.transaction.action, signed.content())
            else {
                continue;
            };
            let known = match contracts.get(contract) {
                Some(known) => known,
                None => {
                    let known = self.known(contract, journal)?;
                    contracts.entry(*contract).or_insert(known)
                }
            };
            let Some((runtime, code)) = known else { continue };
            let invocation = Invocation { entry: EntryPoint::Method(method), arguments };
            runtime.expected_reads(code, &signed.transaction.account, &invocation, &mut names);
            let names = names.drain(..).take(MOST_NAMES).filter(|name: &Vec<u8>| name.len() <= MAX_KEY_NAME_BYTES);
            keys.extend(names.map(|name| Key::new(*contract, name)));
        }
        journal.prefetch(keys)
    }

    fn known(&self, contract: &ContractId, journal: &mut Journal<'_>) -> Result<Known<'_>, StateError> {
        let Some(record) = journal.get(&Key::contract(contract))? else { return Ok(None) };
        // What is wrong with it is told by whoever executes the call.
        let Ok(record) = codec::decode::<ContractRecord>(&record) else { return Ok(None) };
        let runtime = self.runtimes.get(&*record.runtime).map(|runtime| &**runtime);
        Ok(runtime.zip(self.prepared.get(&record.runtime, &record.code)))
    }
}

/// The key that says which number comes next in a transaction's lane, if it has one.
fn lane_key(signed: &SignedTransaction) -> Option<Key> {
    match signed.transaction.order {
        Order::Sequence { lane, .. } => Some(Key::sequence(&signed.transaction.account, lane)),
        Order::Unordered => None,
    }
}
