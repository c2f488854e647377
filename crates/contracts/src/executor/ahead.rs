//! What transactions will read, read together before they are executed. It changes nothing but how long they take.

use super::LedgerExecutor;
use super::cache::Origin;
use crate::record::ContractRecord;
use crate::runtime::{EntryPoint, Invocation, Prepared, Runtime};
use foldhash::quality::RandomState;
use ledger_core::codec::Bytes;
use ledger_core::state::tree::MAX_KEY_NAME_BYTES;
use ledger_core::{Action, ContractId, Key, Order, Rules, SignedTransaction, StateError, codec};
use std::collections::HashMap;

/// The most names that are taken from one call's contract.
const MOST_NAMES: usize = 16;

/// A contract's code, if it has run here before.
type Known<'a> = Option<(&'a dyn Runtime, Prepared)>;

impl LedgerExecutor {
    /// What `transactions` are known to read beside the numbers of their lanes: what the contracts that they call
    /// [say](Runtime::expected_reads). `read` gives a key's value.
    pub(super) fn expected_reads<'t>(
        &self,
        transactions: impl Iterator<Item = &'t SignedTransaction>,
        rules: &Rules,
        mut read: impl FnMut(&Key) -> Result<Option<Bytes>, StateError>,
        keys: &mut Vec<Key>,
    ) -> Result<(), StateError> {
        // Looked up and never walked.
        let mut contracts: HashMap<ContractId, Known<'_>, RandomState> = HashMap::default();
        let mut names = Vec::new();
        for signed in transactions {
            let (Action::Call { contract, method }, Some(arguments)) = (&signed.transaction.action, signed.content())
            else {
                continue;
            };
            let known = match contracts.get(contract) {
                Some(known) => known,
                None => {
                    let known = self.known(read(&Key::contract(contract))?, rules);
                    contracts.entry(*contract).or_insert(known)
                }
            };
            let Some((runtime, code)) = known else { continue };
            let invocation = Invocation { entry: EntryPoint::Method(method), arguments };
            runtime.expected_reads(code, &signed.transaction.account, &invocation, &mut names);
            let names = names.drain(..).take(MOST_NAMES).filter(|name: &Vec<u8>| name.len() <= MAX_KEY_NAME_BYTES);
            keys.extend(names.map(|name| Key::new(*contract, name)));
        }
        Ok(())
    }

    fn known(&self, record: Option<Bytes>, rules: &Rules) -> Known<'_> {
        // What is wrong with it is told by whoever executes the call.
        let record: ContractRecord = codec::decode(&record?).ok()?;
        let runtime = self.runtimes.get(&*record.runtime).map(|runtime| &**runtime);
        let origin = Origin { runtime: &record.runtime, digest: &record.code, rules: &rules.wasm };
        // Whoever sends transactions in must not change what is forgotten.
        runtime.zip(self.prepared.peek(&origin))
    }
}

/// The key that says which number comes next in a transaction's lane, if it has one.
pub(super) fn lane_key(signed: &SignedTransaction) -> Option<Key> {
    match signed.transaction.order {
        Order::Sequence { lane, .. } => Some(Key::sequence(&signed.transaction.account, lane)),
        Order::Unordered => None,
    }
}
