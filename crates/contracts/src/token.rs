//! A token: the contract that benches and tests move about, and an example of one in full.
//!
//! | method | arguments | output | who |
//! |---|---|---|---|
//! | `mint` | any number of [`Grant`]s, one behind the other | – | the owner |
//! | `transfer` | one [`Grant`]: receiver and amount | – | everyone, from their own balance |
//! | `balance` | an account, 32 bytes | its balance, 16 bytes little-endian | everyone |
//! | `supply` | – | the sum of all balances, 16 bytes little-endian | everyone |
//!
//! The owner is the deployer. A balance of 0 takes no room in the state.

use crate::host::Host;
use crate::native::Contract;
use crate::runtime::Trap;
use ledger_core::AccountId;
use ledger_crypto::Digest;

/// How many bytes a [`Grant`] takes: the account's 32 and the amount's 16.
pub const GRANT_BYTES: usize = 48;

/// The topic of the event of a `mint`; its data is the new supply.
pub const MINTED: &str = "minted";

/// Why a [`Token`] refuses: the codes in its receipts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum TokenError {
    /// Only the owner mints.
    NotOwner = 1,
    /// The sender has less.
    InsufficientBalance = 2,
    /// The supply would need more than 128 bits.
    SupplyOverflow = 3,
}

impl From<TokenError> for Trap {
    fn from(error: TokenError) -> Self {
        let message = match error {
            TokenError::NotOwner => "only the owner mints",
            TokenError::InsufficientBalance => "the balance is less than the amount",
            TokenError::SupplyOverflow => "the supply would be over 128 bits",
        };
        Trap::refused(error as u32, message)
    }
}

/// An account, and an amount for it: the arguments of `transfer`, and of `mint` many times over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Who gets it.
    pub account: AccountId,
    /// How much.
    pub amount: u128,
}

impl Grant {
    /// The account's bytes, then the amount's, little-endian.
    pub fn to_bytes(self) -> [u8; GRANT_BYTES] {
        let mut bytes = [0; GRANT_BYTES];
        let (account, amount) = bytes.split_at_mut(32);
        account.copy_from_slice(self.account.0.as_bytes());
        amount.copy_from_slice(&self.amount.to_le_bytes());
        bytes
    }

    /// The grant at the front of `bytes`, and what follows it.
    fn split(bytes: &[u8]) -> Result<(Self, &[u8]), Trap> {
        let parts = bytes.split_first_chunk::<32>().and_then(|(account, rest)| {
            let (amount, rest) = rest.split_first_chunk::<16>()?;
            let account = AccountId(Digest::new(*account));
            Some((Grant { account, amount: u128::from_le_bytes(*amount) }, rest))
        });
        parts.ok_or_else(|| Trap::bad_arguments("a grant is an account and an amount: 48 bytes"))
    }
}

/// The arguments of `mint`.
pub fn mint_arguments(grants: &[Grant]) -> Vec<u8> {
    grants.iter().flat_map(|grant| grant.to_bytes()).collect()
}

/// A native contract that keeps balances. See the [module](self) for its methods.
#[derive(Clone, Copy, Debug, Default)]
pub struct Token;

impl Token {
    /// The name by which it is deployed.
    pub const NAME: &'static str = "token";
}

const OWNER: &[u8] = b"o";
const SUPPLY: &[u8] = b"s";

impl Contract for Token {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn construct(&self, host: &mut dyn Host, _arguments: &[u8]) -> Result<(), Trap> {
        let owner = host.caller();
        Ok(host.put(OWNER, owner.0.as_bytes())?)
    }

    fn call(&self, host: &mut dyn Host, method: &str, arguments: &[u8]) -> Result<Vec<u8>, Trap> {
        match method {
            "transfer" => transfer(host, arguments),
            "mint" => mint(host, arguments),
            "balance" => {
                let account =
                    <[u8; 32]>::try_from(arguments).map_err(|_| Trap::bad_arguments("an account is 32 bytes"))?;
                let balance = amount_at(host, &balance_key(&AccountId(Digest::new(account))))?;
                Ok(balance.to_le_bytes().to_vec())
            }
            "supply" => Ok(amount_at(host, SUPPLY)?.to_le_bytes().to_vec()),
            _ => Err(Trap::UnknownMethod),
        }
    }

    fn expected_reads(&self, caller: &AccountId, method: &str, arguments: &[u8], names: &mut Vec<Vec<u8>>) {
        if let ("transfer", Ok((grant, _))) = (method, Grant::split(arguments)) {
            names.extend([caller, &grant.account].map(|account| balance_key(account).to_vec()));
        }
    }
}

fn transfer(host: &mut dyn Host, arguments: &[u8]) -> Result<Vec<u8>, Trap> {
    let (grant, rest) = Grant::split(arguments)?;
    if !rest.is_empty() {
        return Err(Trap::bad_arguments("one transfer is one grant"));
    }
    let from = balance_key(&host.caller());
    let balance = amount_at(host, &from)?;
    let left = balance.checked_sub(grant.amount).ok_or(TokenError::InsufficientBalance)?;
    set_amount(host, &from, left)?;
    // Read only now, so that a transfer to oneself adds to what is left.
    credit(host, grant)?;
    Ok(Vec::new())
}

fn mint(host: &mut dyn Host, arguments: &[u8]) -> Result<Vec<u8>, Trap> {
    if host.get(OWNER)?.as_deref() != Some(host.caller().0.as_bytes()) {
        return Err(TokenError::NotOwner.into());
    }
    let mut supply = amount_at(host, SUPPLY)?;
    let mut rest = arguments;
    while !rest.is_empty() {
        let (grant, following) = Grant::split(rest)?;
        supply = supply.checked_add(grant.amount).ok_or(TokenError::SupplyOverflow)?;
        credit(host, grant)?;
        rest = following;
    }
    set_amount(host, SUPPLY, supply)?;
    host.emit(MINTED, &supply.to_le_bytes())?;
    Ok(Vec::new())
}

fn credit(host: &mut dyn Host, grant: Grant) -> Result<(), Trap> {
    let key = balance_key(&grant.account);
    // No balance is over the supply, and that was checked.
    let balance = amount_at(host, &key)?.checked_add(grant.amount).ok_or(TokenError::SupplyOverflow)?;
    set_amount(host, &key, balance)
}

/// Where an account's balance is stored in the contract's namespace: `b` and the account.
pub fn balance_key(account: &AccountId) -> [u8; 33] {
    let mut key = [b'b'; 33];
    let (_, name) = key.split_at_mut(1);
    name.copy_from_slice(account.0.as_bytes());
    key
}

fn amount_at(host: &mut dyn Host, key: &[u8]) -> Result<u128, Trap> {
    match host.get(key)? {
        None => Ok(0),
        Some(bytes) => {
            let bytes = <[u8; 16]>::try_from(bytes).map_err(|_| Trap::broken("an amount in the state has 16 bytes"))?;
            Ok(u128::from_le_bytes(bytes))
        }
    }
}

fn set_amount(host: &mut dyn Host, key: &[u8], amount: u128) -> Result<(), Trap> {
    match amount {
        0 => host.delete(key)?,
        _ => host.put(key, &amount.to_le_bytes())?,
    }
    Ok(())
}
