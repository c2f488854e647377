//! Transactions that a node must refuse, or that do no harm.

use super::Clients;
use crate::oracle::Oracle;
use crate::report::Violation;
use ledger_core::codec::Bytes;
use ledger_core::{
    ChainId, Fuel, Rejection, Rules, SignedTransaction, Timestamp, TransactionBuilder, TransactionError, Witness,
};
use ledger_crypto::{Signature, Signer};
use ledger_node::core::SubmitError;
use ledger_node::mempool::Refusal;
use std::sync::Arc;

/// What is wrong with a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// Another one's signature, under an envelope that its account did sign.
    Signature,
    /// Meant for another chain.
    Chain,
    /// Sent again, though it was executed.
    Replay,
    /// Expired when it was sent.
    Expired,
    /// Far ahead of its account's numbers.
    Gap,
    /// More fuel than the rules allow.
    Fuel,
    /// Another body than its envelope binds.
    Body,
}

const ALL: [Wrong; 7] =
    [Wrong::Signature, Wrong::Chain, Wrong::Replay, Wrong::Expired, Wrong::Gap, Wrong::Fuel, Wrong::Body];

impl Wrong {
    pub(super) fn counter(self) -> &'static str {
        match self {
            Wrong::Signature => "wrong: signature",
            Wrong::Chain => "wrong: chain",
            Wrong::Replay => "wrong: replayed",
            Wrong::Expired => "wrong: expired",
            Wrong::Gap => "wrong: out of order",
            Wrong::Fuel => "wrong: fuel limit",
            Wrong::Body => "wrong: body",
        }
    }

    /// Whether a node may answer so. A node that stops may always say that.
    pub(super) fn fits(self, answer: &Result<(), SubmitError>) -> bool {
        use SubmitError::{Mempool, Transaction};
        let busy = matches!(
            answer,
            Err(SubmitError::Stopped(_) | SubmitError::Closed | SubmitError::Check(_) | Mempool(Refusal::Busy { .. }))
        );
        let same = matches!(answer, Err(Mempool(Refusal::Duplicate { .. } | Refusal::NumberTaken { .. })));
        let out_of_order = matches!(answer, Err(Mempool(Refusal::Rejected(Rejection::OutOfOrder { .. }))));
        let expired = matches!(answer, Err(Mempool(Refusal::Rejected(Rejection::Expired { .. }))));
        busy || match self {
            Wrong::Signature => same || matches!(answer, Err(Transaction(TransactionError::WrongSignature { .. }))),
            Wrong::Chain => matches!(answer, Err(Transaction(TransactionError::WrongChain { .. }))),
            Wrong::Replay => expired || same || out_of_order,
            Wrong::Expired => answer.is_ok() || expired || same || out_of_order,
            Wrong::Gap => answer.is_ok() || same || out_of_order,
            Wrong::Fuel => matches!(answer, Err(Transaction(TransactionError::FuelLimit { .. }))),
            Wrong::Body => matches!(answer, Err(Transaction(TransactionError::WrongBody { .. }))),
        }
    }
}

impl Clients {
    /// Something wrong from `account`, if there is an occasion.
    pub(super) fn mischief(
        &mut self,
        now: Timestamp,
        account: usize,
        oracle: &mut Oracle,
    ) -> Result<Option<(Wrong, Arc<SignedTransaction>)>, Violation> {
        let wrong = ALL.get(self.random.index(ALL.len())).copied().unwrap_or(Wrong::Signature);
        let builder = self.transfer();
        let Some(state) = self.accounts.get(account) else { return Ok(None) };
        let next = state.next;
        let made = match wrong {
            Wrong::Replay => {
                let count = state.done.len();
                let index = self.random.index(count);
                self.accounts.get(account).and_then(|state| state.done.get(index)).cloned()
            }
            Wrong::Signature => Some(Arc::new(self.forged(account, builder.sequence(0, next))?)),
            Wrong::Chain => {
                let elsewhere = ChainId(ledger_crypto::Digest::new(self.random.bytes()));
                let builder = TransactionBuilder::call(elsewhere, self.token, "transfer", Vec::new());
                Some(Arc::new(self.unregistered(account, builder.sequence(0, next))?))
            }
            Wrong::Expired => {
                let builder = builder.expires_at(Timestamp(now.0.saturating_sub(self.random.below(1_000))));
                Some(self.sign(account, builder.sequence(0, next), oracle)?)
            }
            Wrong::Gap => {
                let ahead = 2 + self.random.below(8);
                Some(self.sign(account, builder.sequence(0, next + ahead), oracle)?)
            }
            Wrong::Fuel => {
                let fuel = Fuel(Rules::default().max_transaction_fuel.0 + 1);
                Some(Arc::new(self.unregistered(account, builder.sequence(0, next).fuel_limit(fuel))?))
            }
            Wrong::Body => {
                let mut transaction = self.unregistered(account, builder.sequence(0, next))?;
                if let Some(body) = &mut transaction.body {
                    body.content = Bytes::from(vec![1; 48]);
                }
                Some(Arc::new(transaction))
            }
        };
        Ok(made.map(|transaction| (wrong, transaction)))
    }

    /// Signed, and not meant to get into any block.
    fn unregistered(&self, account: usize, builder: TransactionBuilder) -> Result<SignedTransaction, Violation> {
        let signed = self.accounts.get(account).and_then(|account| builder.sign(&account.keys).ok());
        signed.ok_or_else(|| Violation::new("an account signs", format!("account {account}")))
    }

    /// An envelope in the account's name, under a signature for something else or one bit away from the right one.
    fn forged(&mut self, account: usize, builder: TransactionBuilder) -> Result<SignedTransaction, Violation> {
        let mut forged = self.unregistered(account, builder)?;
        let Witness::Ed25519 { signature, .. } = &mut forged.witness;
        if self.random.chance(50) {
            let other = self.accounts.get(account).and_then(|account| {
                account.keys.sign(ledger_core::domains::SIGN_SOLO, forged.transaction.id().0.as_bytes()).ok()
            });
            *signature = other.unwrap_or_else(|| Signature::new([0; 64]));
        } else {
            let mut bytes = *signature.as_bytes();
            let bit = self.random.index(512);
            if let Some(byte) = bytes.get_mut(bit / 8) {
                *byte ^= 1 << (bit % 8);
            }
            *signature = Signature::new(bytes);
        }
        Ok(forged)
    }
}
