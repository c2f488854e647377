//! Building transactions without holding the format in one's head.

use crate::codec::{self, Bytes, List, Text};
use crate::id::{AccountId, ChainId, ContractId};
use crate::rules::Rules;
use crate::transaction::{
    Action, Body, DeployBody, Endorsement, Order, SignedTransaction, TRANSACTION_VERSION, Transaction,
};
use crate::units::{Fuel, Timestamp};
use ledger_crypto::{Signer, SignerError};

/// Fuel that a transaction may use where its builder isn't told otherwise: half as much again as the dearest call of the
/// contracts in `examples/contracts`, with code of up to 26 KB that nothing in the block has loaded before. Larger code needs
/// more, 61 for each of its bytes under the default rules.
///
/// **A block is filled by limits,** whatever is used of them: under the default rules it has room for 80 transactions with
/// this one, and for 10,000 native transfers with 20,000. So whoever sends many says what they need, which
/// [`Executor::simulate_transaction`](crate::Executor::simulate_transaction) tells, with some to spare.
pub const DEFAULT_FUEL_LIMIT: Fuel = Fuel(2_500_000);

/// What a deployment may use besides for each byte of code where its builder isn't told otherwise: what storing the byte and
/// making it ready cost under the default rules, with some to spare.
pub const DEFAULT_FUEL_PER_CODE_BYTE: Fuel = Fuel(100);

/// Builds one signed transaction.
///
/// ```
/// use ledger_core::{ChainId, ContractId, TransactionBuilder};
/// use ledger_crypto::{Digest, MemorySigner, Signer};
///
/// let signer = MemorySigner::from_seed([7; 32]);
/// let chain = ChainId(Digest::ZERO);
/// let contract = ContractId(Digest::ZERO);
/// let transaction = TransactionBuilder::call(chain, contract, "greet", b"world".to_vec())
///     .sequence(0, 3)
///     .salt([1; 16])
///     .sign(&signer)?;
/// assert!(transaction.witness.verify(&transaction.id()).is_ok());
/// # Ok::<(), ledger_crypto::SignerError>(())
/// ```
#[derive(Clone, Debug)]
pub struct TransactionBuilder {
    chain: ChainId,
    order: Order,
    expires_at: Option<Timestamp>,
    fuel_limit: Fuel,
    action: Action,
    body: Body,
}

impl TransactionBuilder {
    /// A call of `method` of `contract`.
    pub fn call(chain: ChainId, contract: ContractId, method: &str, arguments: Vec<u8>) -> Self {
        Self::new(chain, Action::Call { contract, method: Text::from(method) }, arguments)
    }

    /// The deployment of `code` to `runtime`, and the arguments of its constructor. Its fuel limit is
    /// [`DEFAULT_FUEL_LIMIT`] for the constructor and [`DEFAULT_FUEL_PER_CODE_BYTE`] for each byte of code, as far as the
    /// default rules let a transaction have that: so whatever they let a transaction deploy can be deployed like this.
    pub fn deploy(chain: ChainId, runtime: &str, code: Vec<u8>, arguments: Vec<u8>) -> Self {
        let bytes = u64::try_from(code.len()).unwrap_or(u64::MAX);
        let limit = bytes.saturating_mul(DEFAULT_FUEL_PER_CODE_BYTE.0).saturating_add(DEFAULT_FUEL_LIMIT.0);
        let limit = Fuel(limit).min(Rules::default().max_transaction_fuel);
        let body = DeployBody { code: Bytes::from(code), arguments: Bytes::from(arguments) };
        Self::new(chain, Action::Deploy { runtime: Text::from(runtime) }, codec::encode(&body)).fuel_limit(limit)
    }

    /// The commit of an encoded [`ReadWriteSet`](crate::ReadWriteSet).
    pub fn commit(chain: ChainId, set: &crate::ReadWriteSet) -> Self {
        Self::new(chain, Action::Commit { endorsements: List::new() }, codec::encode(set))
    }

    fn new(chain: ChainId, action: Action, content: Vec<u8>) -> Self {
        TransactionBuilder {
            chain,
            order: Order::Sequence { lane: 0, number: 0 },
            expires_at: None,
            fuel_limit: DEFAULT_FUEL_LIMIT,
            action,
            body: Body { salt: [0; 16], content: Bytes::from(content) },
        }
    }

    /// Its place in one of the account's streams; without this call, the first of lane 0.
    #[must_use]
    pub fn sequence(mut self, lane: u64, number: u64) -> Self {
        self.order = Order::Sequence { lane, number };
        self
    }

    /// Not ordered among the account's others. It must [expire](Self::expires_at), at the most
    /// [`Rules::max_unordered_ms`](crate::Rules::max_unordered_ms) after the block that it comes into.
    #[must_use]
    pub fn unordered(mut self) -> Self {
        self.order = Order::Unordered;
        self
    }

    /// The latest block time at which it may be ordered.
    #[must_use]
    pub fn expires_at(mut self, time: Timestamp) -> Self {
        self.expires_at = Some(time);
        self
    }

    /// The most fuel it may use; [`DEFAULT_FUEL_LIMIT`] without this call, and more in a [deployment](Self::deploy).
    #[must_use]
    pub fn fuel_limit(mut self, limit: Fuel) -> Self {
        self.fuel_limit = limit;
        self
    }

    /// The body's salt. It must be unpredictable where the body may one day be redacted; all zero without this call,
    /// which keeps nothing secret.
    #[must_use]
    pub fn salt(mut self, salt: [u8; 16]) -> Self {
        self.body.salt = salt;
        self
    }

    /// Adds who vouches for a commit; see [`envelope`](Self::envelope) for what they sign. Other actions have no endorsements.
    #[must_use]
    pub fn endorsed_by(mut self, by: impl IntoIterator<Item = Endorsement>) -> Self {
        if let Action::Commit { endorsements } = &mut self.action {
            *endorsements = by.into_iter().collect();
        }
        self
    }

    /// Signs with the key of the account that sends it.
    ///
    /// # Errors
    /// [`SignerError`] when the signer can't sign.
    pub fn sign(self, signer: &dyn Signer) -> Result<SignedTransaction, SignerError> {
        self.envelope(AccountId::of_ed25519(&signer.public_key())).sign(signer, self.body)
    }

    /// The transaction that `account` is going to sign, as it stands now: what it asks others to
    /// [endorse](Endorsement::sign).
    pub fn envelope(&self, account: AccountId) -> Transaction {
        Transaction {
            version: TRANSACTION_VERSION,
            chain: self.chain,
            account,
            order: self.order,
            expires_at: self.expires_at,
            fuel_limit: self.fuel_limit,
            fee: 0,
            action: self.action.clone(),
            body: self.body.digest(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger_crypto::Digest;

    #[test]
    fn a_block_has_room_for_as_many_by_default_as_the_constant_says() {
        assert_eq!(Rules::default().max_block_fuel.0 / DEFAULT_FUEL_LIMIT.0, 80);
    }

    #[test]
    fn a_deployment_may_use_what_the_default_rules_take_for_its_code() {
        let crate::Prices { body_byte, write_byte, prepare_byte, .. } = crate::Prices::default();
        assert!(DEFAULT_FUEL_PER_CODE_BYTE.0 >= body_byte + write_byte + prepare_byte);
        let limit = |bytes| {
            let deploy = TransactionBuilder::deploy(ChainId(Digest::ZERO), "wasm", vec![0; bytes], Vec::new());
            deploy.envelope(AccountId(Digest::ZERO)).fuel_limit
        };
        assert_eq!(limit(0), DEFAULT_FUEL_LIMIT);
        assert_eq!(limit(228_000), Fuel(25_300_000));
        assert_eq!(limit(1 << 20), Rules::default().max_transaction_fuel);
    }
}
