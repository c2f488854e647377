//! The accounts of one chain: they sign, send, wait, and send again after a restart.
//!
//! Each account keeps what it signed until that was executed. A client that gets no answer doesn't know what became of
//! its transaction, so it sends the same bytes again; the account's numbers make that harmless.

mod wrong;

use crate::keys::Keys;
use crate::oracle::{LEAST_FUEL, Oracle, takes_up};
use crate::random::Random;
use crate::report::{Counters, Violation, ensure};
use ledger_contracts::token::{Grant, mint_arguments};
use ledger_contracts::{NATIVE, Token};
use ledger_core::{
    AccountId, ChainId, ContractId, Fuel, Order, Rejection, SignedTransaction, Timestamp, TransactionBuilder,
    TransactionId, TransactionResult,
};
use ledger_crypto::Signer;
use ledger_node::core::{Ask, SubmitError};
use ledger_node::mempool::Refusal;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
pub(crate) use wrong::Wrong;

const ANSWERS: &str = "every answer fits its transaction";

struct Account {
    keys: Keys,
    id: AccountId,
    /// The number of the next new transaction.
    next: u64,
    /// What was signed and isn't known to be executed, by number.
    outstanding: BTreeMap<u64, Outstanding>,
    /// What was executed: to be replayed by mischief.
    done: Vec<Arc<SignedTransaction>>,
}

struct Outstanding {
    transaction: Arc<SignedTransaction>,
    /// Whether the node that runs now has accepted it.
    accepted: bool,
}

/// What an answer is waited for.
#[derive(Clone, Copy, Debug)]
enum Purpose {
    Honest { account: usize, number: u64 },
    Wrong { account: usize, wrong: Wrong },
}

pub(crate) struct Clients {
    chain: ChainId,
    random: Random,
    accounts: Vec<Account>,
    token: ContractId,
    wrong_percent: u64,
    /// Transactions yet to be sent.
    left: u64,
    next_ask: u64,
    asks: BTreeMap<Ask, Purpose>,
    /// To be sent again: account and number.
    again: VecDeque<(usize, u64)>,
}

/// What the clients say to the node.
pub(crate) struct Submission {
    pub(crate) ask: Ask,
    pub(crate) transaction: Arc<SignedTransaction>,
}

impl Clients {
    /// `count` accounts on `chain`. The first one deploys the token and mints for all.
    pub(crate) fn new(
        chain: ChainId,
        mut random: Random,
        count: u64,
        transactions: u64,
        wrong_percent: u64,
        mocked: bool,
        oracle: &mut Oracle,
    ) -> Result<Self, Violation> {
        let accounts = (0..count).map(|_| {
            let keys = Keys::new(random.bytes(), mocked);
            let id = AccountId::of_ed25519(&keys.public_key());
            Account { keys, id, next: 0, outstanding: BTreeMap::new(), done: Vec::new() }
        });
        let mut clients = Clients {
            chain,
            accounts: accounts.collect(),
            random,
            token: ContractId(ledger_crypto::Digest::ZERO),
            wrong_percent,
            left: transactions,
            next_ask: 0,
            asks: BTreeMap::new(),
            again: VecDeque::new(),
        };
        let deploy = TransactionBuilder::deploy(chain, NATIVE, Token::NAME.into(), Vec::new());
        let deployed = clients.sign_next(0, deploy, oracle)?;
        clients.token = ContractId::deployed_by(&deployed.id());
        let grants: Vec<Grant> =
            clients.accounts.iter().map(|account| Grant { account: account.id, amount: 1_000 }).collect();
        let mint = clients.call("mint", mint_arguments(&grants));
        clients.sign_next(0, mint, oracle)?;
        clients.send_all_again();
        Ok(clients)
    }

    fn call(&self, method: &str, arguments: Vec<u8>) -> TransactionBuilder {
        TransactionBuilder::call(self.chain, self.token, method, arguments)
    }

    /// A transfer to an account of chance; one in ten of more than anybody has.
    fn transfer(&mut self) -> TransactionBuilder {
        let to = self.random.index(self.accounts.len());
        let account = self.accounts.get(to).map_or(AccountId(self.token.0), |account| account.id);
        let amount = if self.random.chance(10) { 1_000_000_000 } else { self.random.below(50).into() };
        self.call("transfer", Grant { account, amount }.to_bytes().to_vec())
    }

    /// What an honest account sends: mostly transfers; some that can't succeed and have a receipt all the same.
    fn something(&mut self) -> TransactionBuilder {
        match self.random.below(20) {
            0 => self.call("mint", Vec::new()),
            1 => self.call("burn", Vec::new()),
            2 => TransactionBuilder::call(self.chain, ContractId(self.chain.0), "transfer", Vec::new()),
            3 => self.transfer().fuel_limit(Fuel(LEAST_FUEL - 1)),
            _ => self.transfer(),
        }
    }

    fn sign(
        &self,
        account: usize,
        builder: TransactionBuilder,
        oracle: &mut Oracle,
    ) -> Result<Arc<SignedTransaction>, Violation> {
        let signed = self.accounts.get(account).and_then(|account| builder.sign(&account.keys).ok());
        let signed = signed.ok_or_else(|| Violation::new("an account signs", format!("account {account}")))?;
        oracle.signs(&signed);
        Ok(Arc::new(signed))
    }

    fn sign_next(
        &mut self,
        account: usize,
        builder: TransactionBuilder,
        oracle: &mut Oracle,
    ) -> Result<Arc<SignedTransaction>, Violation> {
        let number = self.accounts.get(account).map_or(0, |account| account.next);
        let signed = self.sign_at(account, number, builder, oracle)?;
        if let Some(account) = self.accounts.get_mut(account) {
            account.next += 1;
        }
        Ok(signed)
    }

    fn sign_at(
        &mut self,
        account: usize,
        number: u64,
        builder: TransactionBuilder,
        oracle: &mut Oracle,
    ) -> Result<Arc<SignedTransaction>, Violation> {
        let signed = self.sign(account, builder.sequence(0, number), oracle)?;
        if let Some(account) = self.accounts.get_mut(account) {
            let outstanding = Outstanding { transaction: Arc::clone(&signed), accepted: false };
            account.outstanding.insert(number, outstanding);
        }
        Ok(signed)
    }

    /// Whether nothing is left to be sent, and nothing was sent whose end isn't known.
    pub(crate) fn is_done(&self) -> bool {
        self.left == 0 && self.accounts.iter().all(|account| account.outstanding.is_empty())
    }

    /// What is waited for, for a failure's words.
    pub(crate) fn waiting(&self) -> String {
        let accounts = self.accounts.iter().enumerate().filter_map(|(number, account)| {
            let (first, waiting) = account.outstanding.iter().next()?;
            let count = account.outstanding.len();
            Some(format!("account {number}: {count} from {first} (accepted {})", waiting.accepted))
        });
        format!("{} to send; {}", self.left, accounts.collect::<Vec<_>>().join("; "))
    }

    /// More to send than was planned: there are still faults to come.
    pub(crate) fn send_more(&mut self) {
        self.left = self.left.max(1);
    }

    /// The node has gone: nobody answers what was asked, and what was accepted may be lost.
    pub(crate) fn disconnected(&mut self) {
        self.asks.clear();
        for account in &mut self.accounts {
            for outstanding in account.outstanding.values_mut() {
                outstanding.accepted = false;
            }
        }
        self.send_all_again();
    }

    fn send_all_again(&mut self) {
        self.again.clear();
        for (account, state) in self.accounts.iter().enumerate() {
            self.again.extend(state.outstanding.keys().map(|number| (account, *number)));
        }
    }

    /// What is sent now, if anything.
    pub(crate) fn send(
        &mut self,
        now: Timestamp,
        oracle: &mut Oracle,
        counters: &mut Counters,
    ) -> Result<Option<Submission>, Violation> {
        if let Some((account, number)) = self.again.pop_front() {
            let outstanding = self.accounts.get(account).and_then(|account| account.outstanding.get(&number));
            let Some(outstanding) = outstanding.filter(|outstanding| !outstanding.accepted) else { return Ok(None) };
            let transaction = Arc::clone(&outstanding.transaction);
            return Ok(Some(self.ask(Purpose::Honest { account, number }, transaction)));
        }
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let account = self.random.index(self.accounts.len());
        if self.random.chance(self.wrong_percent)
            && let Some((wrong, transaction)) = self.mischief(now, account, oracle)?
        {
            counters.add(wrong.counter());
            return Ok(Some(self.ask(Purpose::Wrong { account, wrong }, transaction)));
        }
        let mut builder = self.something();
        if self.random.chance(5) {
            builder = builder.expires_at(now.plus(self.random.below(400)));
        }
        counters.add("transaction: sent");
        let number = self.accounts.get(account).map_or(0, |account| account.next);
        let transaction = self.sign_next(account, builder, oracle)?;
        Ok(Some(self.ask(Purpose::Honest { account, number }, transaction)))
    }

    fn ask(&mut self, purpose: Purpose, transaction: Arc<SignedTransaction>) -> Submission {
        self.next_ask += 1;
        let ask = Ask(self.next_ask);
        self.asks.insert(ask, purpose);
        Submission { ask, transaction }
    }

    /// The node's answer to a submission.
    pub(crate) fn answered(
        &mut self,
        ask: Ask,
        answer: Result<(), SubmitError>,
        oracle: &mut Oracle,
        counters: &mut Counters,
    ) -> Result<(), Violation> {
        let Some(purpose) = self.asks.remove(&ask) else {
            return Err(Violation::new(ANSWERS, format!("a second answer to submission {}", ask.0)));
        };
        match purpose {
            Purpose::Honest { account, number } => self.honest_answer(account, number, answer, oracle, counters),
            Purpose::Wrong { account, wrong } => {
                ensure(wrong.fits(&answer), ANSWERS, || format!("{wrong:?} of account {account} got {answer:?}"))
            }
        }
    }

    fn honest_answer(
        &mut self,
        account: usize,
        number: u64,
        answer: Result<(), SubmitError>,
        oracle: &mut Oracle,
        counters: &mut Counters,
    ) -> Result<(), Violation> {
        let Some(state) = self.accounts.get_mut(account) else { return Ok(()) };
        let Some(outstanding) = state.outstanding.get_mut(&number) else { return Ok(()) };
        match answer {
            Ok(()) => {
                counters.add("transaction: accepted");
                outstanding.accepted = true;
            }
            Err(SubmitError::Mempool(Refusal::Rejected(Rejection::OutOfOrder { .. })))
                if oracle.taken(&state.id, number).is_none() =>
            {
                counters.add("transaction: its number is under way");
                self.again.push_back((account, number));
            }
            Err(SubmitError::Mempool(Refusal::Rejected(_))) => self.gone(account, number, oracle, counters)?,
            Err(SubmitError::Mempool(_) | SubmitError::Stopped(_) | SubmitError::Closed | SubmitError::Check(_)) => {
                counters.add("transaction: to be sent again");
                self.again.push_back((account, number));
            }
            Err(error) => return Err(Violation::new(ANSWERS, format!("an honest transaction was refused: {error}"))),
        }
        Ok(())
    }

    /// A transaction won't be ordered any more. Its number is either taken up by another one, or has to be used again.
    fn gone(
        &mut self,
        account: usize,
        number: u64,
        oracle: &mut Oracle,
        counters: &mut Counters,
    ) -> Result<(), Violation> {
        let Some(state) = self.accounts.get_mut(account) else { return Ok(()) };
        if state.outstanding.remove(&number).is_none() {
            return Ok(());
        }
        if oracle.taken(&state.id, number).is_none() {
            counters.add("transaction: signed anew for its number");
            let transfer = self.transfer();
            self.sign_at(account, number, transfer, oracle)?;
            self.again.push_back((account, number));
        }
        Ok(())
    }

    /// The node drops a transaction that it had accepted.
    pub(crate) fn dropped(
        &mut self,
        id: &TransactionId,
        oracle: &mut Oracle,
        counters: &mut Counters,
    ) -> Result<(), Violation> {
        counters.add("transaction: dropped");
        let found = self.accounts.iter().enumerate().find_map(|(account, state)| {
            let number = state.outstanding.iter().find(|(_, outstanding)| outstanding.transaction.id() == *id);
            number.map(|(number, _)| (account, *number))
        });
        let Some((account, number)) = found else { return Ok(()) };
        self.gone(account, number, oracle, counters)
    }

    /// What became of a block's transactions.
    pub(crate) fn executed(&mut self, transactions: &[SignedTransaction], results: &[TransactionResult]) {
        for (signed, result) in transactions.iter().zip(results) {
            let Order::Sequence { number, .. } = signed.transaction.order else { continue };
            let Some((account, state)) =
                self.accounts.iter_mut().enumerate().find(|(_, state)| state.id == signed.transaction.account)
            else {
                continue;
            };
            if takes_up(&result.receipt.status) {
                state.outstanding.remove(&number);
                state.next = state.next.max(number + 1);
                state.done.push(Arc::new(signed.clone()));
            } else if let Some(outstanding) = state.outstanding.get_mut(&number) {
                outstanding.accepted = false;
                self.again.push_back((account, number));
            }
        }
    }
}
