//! What the state must be: a second, simple implementation of accounts and of the token contract, on plain maps.

use ledger_contracts::record::{RECORD_VERSION, code_digest, code_key};
use ledger_contracts::{ContractRecord, NATIVE, Token, UpgradePolicy};
use ledger_core::codec::{self, Text};
use ledger_core::state::tree;
use ledger_core::transaction::DeployBody;
use ledger_core::{
    AccountId, Action, Block, ContractId, Failure, Header, Height, Key, Order, Rejection, SignedTransaction, Status,
    Version,
};
use ledger_crypto::Digest;
use std::collections::BTreeMap;

/// What must become of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Succeeded,
    OutOfFuel,
    NotOwner,
    InsufficientBalance,
    UnknownContract,
    UnknownMethod,
    Expired,
    OutOfOrder,
    /// Something that no client here sends.
    Foreign,
}

impl Verdict {
    /// Whether a receipt says the same.
    pub(crate) fn agrees_with(self, status: &Status) -> bool {
        match (self, status) {
            (Verdict::Succeeded, Status::Succeeded)
            | (Verdict::OutOfFuel, Status::Failed(Failure::OutOfFuel { .. }))
            | (Verdict::UnknownContract, Status::Failed(Failure::UnknownContract { .. }))
            | (Verdict::UnknownMethod, Status::Failed(Failure::UnknownMethod { .. }))
            | (Verdict::Expired, Status::Rejected(Rejection::Expired { .. }))
            | (Verdict::OutOfOrder, Status::Rejected(Rejection::OutOfOrder { .. })) => true,
            (Verdict::NotOwner, Status::Failed(Failure::Refused { code, .. })) => *code == 1,
            (Verdict::InsufficientBalance, Status::Failed(Failure::Refused { code, .. })) => *code == 2,
            _ => false,
        }
    }
}

/// The least fuel with which anything here succeeds; clients give plenty or less than this.
pub(crate) const LEAST_FUEL: u64 = 5_000;

type Overlay = BTreeMap<Key, Option<Vec<u8>>>;

/// Accounts, contracts and balances.
#[derive(Default)]
pub(crate) struct Model {
    values: BTreeMap<Key, Vec<u8>>,
    /// The digests of the state tree's leaves.
    leaves: BTreeMap<Key, Digest>,
}

impl Model {
    /// Executes a block: what must become of its transactions, and the state root after it.
    pub(crate) fn execute(&mut self, block: &Block) -> (Vec<Verdict>, Digest) {
        let verdicts = (0..)
            .zip(block.transactions.iter())
            .map(|(index, signed)| self.transaction(signed, &block.header, index))
            .collect();
        (verdicts, self.root())
    }

    /// All keys and values.
    pub(crate) fn values(&self) -> &BTreeMap<Key, Vec<u8>> {
        &self.values
    }

    fn root(&self) -> Digest {
        let leaves: Vec<(Key, Digest)> = self.leaves.iter().map(|(key, leaf)| (key.clone(), *leaf)).collect();
        tree::root_of(&leaves)
    }

    /// The number that comes next in an account's lane 0.
    pub(crate) fn next_number(&self, account: &AccountId) -> u64 {
        let stored = self.values.get(&Key::sequence(account, 0));
        stored.and_then(|bytes| bytes.as_slice().try_into().ok()).map_or(0, u64::from_le_bytes)
    }

    /// Whether no unit of any token was made or lost: balances add up to the supply.
    pub(crate) fn is_balanced(&self) -> bool {
        let sum = |first: u8| -> u128 {
            let named = self
                .values
                .iter()
                .filter(|(key, _)| key.namespace != ledger_core::state::SYSTEM && key.name.first() == Some(&first));
            named.map(|(_, value)| amount(value)).sum()
        };
        sum(b'b') == sum(b's')
    }

    fn transaction(&mut self, signed: &SignedTransaction, header: &Header, index: u32) -> Verdict {
        let transaction = &signed.transaction;
        let Order::Sequence { lane: 0, number } = transaction.order else { return Verdict::Foreign };
        if transaction.expires_at.is_some_and(|time| time < header.timestamp) {
            return Verdict::Expired;
        }
        if number != self.next_number(&transaction.account) {
            return Verdict::OutOfOrder;
        }
        let mut writes = Overlay::new();
        let verdict = self.attempt(signed, header.height, &mut writes);
        if verdict != Verdict::Succeeded {
            writes.clear();
        }
        writes.insert(Key::sequence(&transaction.account, 0), Some((number + 1).to_le_bytes().to_vec()));
        let version = Version { height: header.height, index };
        for (key, value) in writes {
            self.write(key, value, version);
        }
        verdict
    }

    fn write(&mut self, key: Key, value: Option<Vec<u8>>, version: Version) {
        match value {
            Some(value) => {
                let before = self.leaves.get(&key);
                let leaf = tree::leaf(&key.to_bytes(), version, before, &tree::value_digest(&value));
                self.leaves.insert(key.clone(), leaf);
                self.values.insert(key, value);
            }
            None => {
                self.leaves.remove(&key);
                self.values.remove(&key);
            }
        }
    }

    fn attempt(&self, signed: &SignedTransaction, height: Height, writes: &mut Overlay) -> Verdict {
        let transaction = &signed.transaction;
        if transaction.fuel_limit.0 < LEAST_FUEL {
            return Verdict::OutOfFuel;
        }
        let content = signed.content().unwrap_or_default();
        match &transaction.action {
            Action::Deploy { runtime } if runtime.as_str() == NATIVE => {
                let Ok(DeployBody { code, .. }) = codec::decode(content) else { return Verdict::Foreign };
                if &*code != Token::NAME.as_bytes() {
                    return Verdict::Foreign;
                }
                let contract = ContractId::deployed_by(&signed.id());
                let digest = code_digest(&code);
                let record = ContractRecord {
                    version: RECORD_VERSION,
                    runtime: Text::from(NATIVE),
                    code: digest,
                    code_bytes: u32::try_from(code.len()).unwrap_or(u32::MAX),
                    deployer: transaction.account,
                    height,
                    policy: UpgradePolicy::Immutable,
                    paused: false,
                };
                if !self.values.contains_key(&code_key(&digest)) {
                    writes.insert(code_key(&digest), Some(code.to_vec()));
                }
                writes.insert(Key::contract(&contract), Some(codec::encode(&record)));
                let owner = transaction.account.0.as_bytes().to_vec();
                writes.insert(Key::new(contract, b"o".as_slice()), Some(owner));
                Verdict::Succeeded
            }
            Action::Call { contract, method } => {
                if !self.values.contains_key(&Key::contract(contract)) {
                    return Verdict::UnknownContract;
                }
                let mut token = TokenModel { model: self, contract: *contract, writes };
                match method.as_str() {
                    "transfer" => token.transfer(transaction.account, content),
                    "mint" => token.mint(transaction.account, content),
                    _ => Verdict::UnknownMethod,
                }
            }
            _ => Verdict::Foreign,
        }
    }
}

struct TokenModel<'a> {
    model: &'a Model,
    contract: ContractId,
    writes: &'a mut Overlay,
}

impl TokenModel<'_> {
    fn key(&self, parts: &[&[u8]]) -> Key {
        Key::new(self.contract, parts.concat())
    }

    fn read(&self, key: &Key) -> u128 {
        match self.writes.get(key) {
            Some(written) => written.as_deref().map_or(0, amount),
            None => self.model.values.get(key).map_or(0, |value| amount(value)),
        }
    }

    fn set(&mut self, key: Key, value: u128) {
        let value = (value != 0).then(|| value.to_le_bytes().to_vec());
        self.writes.insert(key, value);
    }

    fn add(&mut self, account: &[u8], value: u128) {
        let key = self.key(&[b"b", account]);
        let sum = self.read(&key) + value;
        self.set(key, sum);
    }

    fn transfer(&mut self, from: AccountId, arguments: &[u8]) -> Verdict {
        let Some((to, value)) = arguments.split_at_checked(32) else { return Verdict::Foreign };
        let (value, from) = (amount(value), self.key(&[b"b", from.0.as_bytes()]));
        let balance = self.read(&from);
        if value > balance {
            return Verdict::InsufficientBalance;
        }
        self.set(from, balance - value);
        self.add(to, value);
        Verdict::Succeeded
    }

    fn mint(&mut self, caller: AccountId, arguments: &[u8]) -> Verdict {
        let owner = self.model.values.get(&self.key(&[b"o"]));
        if owner.is_none_or(|owner| owner.as_slice() != caller.0.as_bytes()) {
            return Verdict::NotOwner;
        }
        let supply = self.key(&[b"s"]);
        let mut sum = self.read(&supply);
        for grant in arguments.chunks(48) {
            let (to, value) = grant.split_at_checked(32).unwrap_or_default();
            sum += amount(value);
            self.add(to, amount(value));
        }
        // Written also when nothing was minted: a version of its own.
        self.set(supply, sum);
        Verdict::Succeeded
    }
}

fn amount(bytes: &[u8]) -> u128 {
    bytes.first_chunk::<16>().map_or(0, |bytes| u128::from_le_bytes(*bytes))
}
