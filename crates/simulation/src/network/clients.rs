//! Clients of a network: accounts that send to any node, and send again to another when nothing comes of it.

use crate::keys::Keys;
use crate::random::Random;
use crate::report::Violation;
use ledger_contracts::token::{Grant, mint_arguments};
use ledger_contracts::{NATIVE, Token};
use ledger_core::{AccountId, ChainId, ContractId, Order, SignedTransaction, TransactionBuilder, TransactionResult};
use ledger_crypto::Signer;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::oracle::Oracle;
use crate::oracle::takes_up;

/// Without a result, a transaction is sent again after so many µs.
const PATIENCE: u64 = 700_000;
/// An account waits with new transactions while so many have no result.
const MOST_OUTSTANDING: usize = 8;
const ACCOUNTS: usize = 4;

struct Account {
    keys: Keys,
    id: AccountId,
    /// The number of the next new transaction.
    next: u64,
    /// What was sent and has no result, by number, and when it was sent last.
    outstanding: BTreeMap<u64, (Arc<SignedTransaction>, u64)>,
}

pub(super) struct Clients {
    chain: ChainId,
    random: Random,
    accounts: Vec<Account>,
    token: ContractId,
    /// Transactions yet to be sent.
    pub(super) left: u64,
    minted: bool,
}

impl Clients {
    pub(super) fn new(chain: ChainId, mut random: Random, left: u64, mocked: bool) -> Self {
        let accounts = (0..ACCOUNTS).map(|_| {
            let keys = Keys::new(random.bytes(), mocked);
            let id = AccountId::of_ed25519(&keys.public_key());
            Account { keys, id, next: 0, outstanding: BTreeMap::new() }
        });
        let token = ContractId(ledger_crypto::Digest::ZERO);
        Clients { chain, accounts: accounts.collect(), random, token, left, minted: false }
    }

    /// What is to be sent now.
    pub(super) fn turn(&mut self, now: u64, oracle: &mut Oracle) -> Result<Vec<Arc<SignedTransaction>>, Violation> {
        let mut sent = Vec::new();
        for account in &mut self.accounts {
            // Those of a lane depend on each other, so they go out in their order.
            for (transaction, at) in account.outstanding.values_mut() {
                if now >= *at + PATIENCE {
                    *at = now;
                    sent.push(Arc::clone(transaction));
                }
            }
        }
        if self.left > 0 {
            let account = if self.minted { self.random.index(self.accounts.len()) } else { 0 };
            if self.accounts.get(account).is_some_and(|account| account.outstanding.len() < MOST_OUTSTANDING) {
                self.left -= 1;
                sent.push(self.sign(account, now, oracle)?);
            }
        }
        Ok(sent)
    }

    /// Deploys the token first, then mints, then transfers.
    fn something(&mut self, account: usize) -> TransactionBuilder {
        if account == 0 && self.accounts.first().is_some_and(|account| account.next == 0) {
            return TransactionBuilder::deploy(self.chain, NATIVE, Token::NAME.into(), Vec::new());
        }
        if !self.minted {
            self.minted = true;
            let grants: Vec<Grant> =
                self.accounts.iter().map(|account| Grant { account: account.id, amount: 1_000 }).collect();
            return TransactionBuilder::call(self.chain, self.token, "mint", mint_arguments(&grants));
        }
        let to = self.random.index(self.accounts.len());
        let account = self.accounts.get(to).map_or(AccountId(self.token.0), |account| account.id);
        let amount = if self.random.chance(10) { 1_000_000_000 } else { self.random.below(50).into() };
        TransactionBuilder::call(self.chain, self.token, "transfer", Grant { account, amount }.to_bytes().to_vec())
    }

    fn sign(&mut self, account: usize, now: u64, oracle: &mut Oracle) -> Result<Arc<SignedTransaction>, Violation> {
        let builder = self.something(account);
        let signs = |account: &Account| builder.sequence(0, account.next).sign(&account.keys).ok();
        let signed = self.accounts.get(account).and_then(signs);
        let signed = signed.ok_or_else(|| Violation::new("an account signs", format!("account {account}")))?;
        oracle.signs(&signed);
        let signed = Arc::new(signed);
        if let Some(account) = self.accounts.get_mut(account) {
            if !self.minted && account.next == 0 {
                self.token = ContractId::deployed_by(&signed.id());
            }
            account.outstanding.insert(account.next, (Arc::clone(&signed), now));
            account.next += 1;
        }
        Ok(signed)
    }

    /// What became of a block's transactions.
    pub(super) fn executed(&mut self, transactions: &[SignedTransaction], results: &[TransactionResult]) {
        for (signed, result) in transactions.iter().zip(results) {
            let Order::Sequence { number, .. } = signed.transaction.order else { continue };
            let account = self.accounts.iter_mut().find(|account| account.id == signed.transaction.account);
            if let Some(account) = account
                && takes_up(&result.receipt.status)
            {
                account.outstanding.remove(&number);
            }
        }
    }

    /// Whether everything that was sent has its result.
    pub(super) fn is_done(&self) -> bool {
        self.left == 0 && self.accounts.iter().all(|account| account.outstanding.is_empty())
    }

    /// What is waited for, for a failure's words.
    pub(super) fn waiting(&self) -> String {
        let waits = |(number, account): (usize, &Account)| {
            let (first, _) = account.outstanding.iter().next()?;
            Some(format!("account {number} for {} from {first}", account.outstanding.len()))
        };
        let waiting: Vec<String> = self.accounts.iter().enumerate().filter_map(waits).collect();
        format!("{} to send; {}", self.left, waiting.join("; "))
    }
}
