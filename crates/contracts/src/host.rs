//! What a running contract can see and do: the [`Host`].

use crate::call::{Answer, CallTerms};
use crate::runtime::Trap;
use ledger_core::codec::{self, Format};
use ledger_core::{AccountId, ChainId, ContractId, Fuel, Height, KeyRange, StateError, Timestamp, TransactionId};

/// Where a contract runs. All of it is agreed on by every node of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Environment {
    /// The chain.
    pub chain: ChainId,
    /// The block's height; in a simulation, the height whose state is read.
    pub height: Height,
    /// The block's time.
    pub timestamp: Timestamp,
    /// The contract itself, whose namespace the host reads and writes.
    pub contract: ContractId,
    /// Who calls: the account that sent the transaction, or the [account of the
    /// contract](AccountId::of_contract) that called this one.
    pub caller: AccountId,
    /// The transaction, unless this is a simulation.
    pub transaction: Option<TransactionId>,
    /// Whether writes and events are refused.
    pub read_only: bool,
}

/// A key and its value, as a scan gives them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key, without the contract's namespace.
    pub key: Vec<u8>,
    /// The value.
    pub value: Vec<u8>,
}

/// Why the host didn't do what a contract asked. Each of these **ends the contract's run**: from then on the host refuses
/// everything with the same error, and whoever called is told it, whatever the contract makes of it.
///
/// Where the caller is a transaction, its receipt names the error. Where it is another contract, that one goes on with
/// [`Answer::Failed`], unless the error concerns it too: fuel that gave out was the caller's as well if the call had no
/// limit of its own below it, and a state that can't be read ends everything.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// There isn't fuel enough.
    #[error("out of fuel: the limit of {limit} was reached")]
    OutOfFuel {
        /// The limit of the transaction, or of the call.
        limit: Fuel,
    },
    /// Something is larger than the chain's rules allow.
    #[error("{what} of {size} is over the chain's limit of {limit}")]
    Limit {
        /// What is too large.
        what: &'static str,
        /// How large it is.
        size: u64,
        /// How large it may be.
        limit: u64,
    },
    /// A write or an event in a read-only call.
    #[error("the call is read-only")]
    ReadOnly,
    /// The state can't be read. No receipt says this: the node stops.
    #[error(transparent)]
    State(#[from] StateError),
}

/// A digest function that contracts can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashFunction {
    /// BLAKE3, neither keyed nor in one of the chain's own domains.
    Blake3,
    /// SHA-256 (FIPS 180-4).
    Sha256,
}

/// A contract's only way to the world. Keys are the contract's own: there is no way to name another's.
///
/// # Fuel
/// Every call is paid for by the chain's [`Prices`](ledger_core::Prices) before it does its work; where the work
/// shows the size (a value read), the bytes are paid for before the contract gets them. If there isn't fuel for them then,
/// they were read all the same, so what is missing is *owed*: if the contract was called with a limit of fuel by another
/// one, that one pays it; what a transaction can't pay takes room in its block as if it had been paid. So the values that a block
/// reads are paid for but for the last one.
///
/// | call | price |
/// |---|---|
/// | [`get`](Host::get) | `read`, and `read_byte` for each byte of the value |
/// | [`scan`](Host::scan) | for each step, the last one that finds the end included: `read`, and `read_byte` for each byte of key and value; for a key that the block has written, also of the value that it had before the block; where `limit` ends it, also of the next key of the state before the block and its value, if they were needed to see which key comes next |
/// | [`put`](Host::put) | `write`, and `write_byte` for each byte of key and value |
/// | [`delete`](Host::delete) | `write`, and `write_byte` for each byte of the key |
/// | [`emit`](Host::emit) | `event`, and `event_byte` for each byte of topic and data |
/// | [`call`](Host::call) | `call`, and `read_byte` for each byte of method and arguments; then, as part of what the callee uses, what a transaction pays to find and load a contract (`read`, `read` again, `read_byte` and `prepare_byte` for each byte of its code if nothing in the block has loaded it before), and `read_byte` for each byte that it returns |
/// | [`hash`](Host::hash) | `hash`, and `hash_byte` for each byte |
/// | [`verify`](Host::verify) | `verify`, and `hash_byte` for each byte of the message |
///
/// A key deleted earlier in the same block is a step of a scan too, for it has to be stepped over; one that was written and
/// taken back is none.
pub trait Host {
    /// Where the contract runs.
    fn environment(&self) -> &Environment;

    /// The value of `key`.
    ///
    /// # Errors
    /// [`HostError`], which ends the contract's run.
    fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, HostError>;

    /// Up to `limit` keys from `from` (inclusive) to `to` (exclusive; `None` is the end), in order, with their values.
    /// To go on after a full answer, start from the last key with a zero byte behind it.
    ///
    /// # Errors
    /// [`HostError`], which ends the contract's run.
    fn scan(&mut self, from: &[u8], to: Option<&[u8]>, limit: usize) -> Result<Vec<Entry>, HostError>;

    /// Sets the value of `key`.
    ///
    /// # Errors
    /// [`HostError`], which ends the contract's run.
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), HostError>;

    /// Removes `key` and its value, if there is one.
    ///
    /// # Errors
    /// [`HostError`], which ends the contract's run.
    fn delete(&mut self, key: &[u8]) -> Result<(), HostError>;

    /// Tells the world.
    ///
    /// # Errors
    /// [`HostError`], which ends the contract's run.
    fn emit(&mut self, topic: &str, data: &[u8]) -> Result<(), HostError>;

    /// Pays for work of the contract's own. A native contract whose work grows with its input must charge for it, since
    /// nobody else counts it.
    ///
    /// # Errors
    /// [`HostError::OutOfFuel`], which ends the contract's run.
    fn charge(&mut self, fuel: Fuel) -> Result<(), HostError>;

    /// Fuel that is left. A contract that acts on it makes estimates of its fuel worthless.
    fn fuel_left(&self) -> Fuel;

    /// Calls `method` of another contract, whatever runtime it has, on the same journal. If it fails, its writes and
    /// events, and those of whom it called, are taken back, and the caller goes on with the reason. Fuel that it used
    /// stays used.
    ///
    /// The callee sees this contract as its caller ([`AccountId::of_contract`]). In a read-only contract's calls
    /// everything is read-only, whatever `terms` say.
    ///
    /// **Re-entrancy**: a contract that is running can be called only read-only, by itself too, so nothing that it has
    /// half done can be changed under it. Such a call reads what was written so far.
    ///
    /// At most [`Rules::max_call_depth`](ledger_core::Rules::max_call_depth) contracts run within each other, and each
    /// call takes [`CALL_STACK_SLOTS`](crate::CALL_STACK_SLOTS) of the transaction's stack. A call that may not be made
    /// has failed, too.
    ///
    /// # Errors
    /// [`HostError`], which ends the caller as well: it is out of fuel, or the state can't be read.
    fn call(
        &mut self,
        callee: &ContractId,
        method: &str,
        arguments: &[u8],
        terms: CallTerms,
    ) -> Result<Answer, HostError>;

    /// The digest of `data`.
    ///
    /// # Errors
    /// [`HostError::OutOfFuel`], which ends the contract's run.
    fn hash(&mut self, function: HashFunction, data: &[u8]) -> Result<[u8; 32], HostError>;

    /// Whether `signature` is that of `key` over the bytes of `message`, with no domain: plain Ed25519 by the rules of
    /// ZIP-215, as the chain verifies. A [weak key](ledger_crypto::PublicKey::check_not_weak) has no valid signatures.
    ///
    /// # Errors
    /// [`HostError::OutOfFuel`], which ends the contract's run.
    fn verify(&mut self, key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> Result<bool, HostError>;

    /// The longest output that the chain takes, in bytes. A runtime holds against it what a contract gives before it keeps
    /// it, with [`HostError::Limit`]; whoever called the runtime does so again. No limit, unless implemented.
    fn output_limit(&self) -> u64 {
        u64::MAX
    }

    /// What is left of the transaction's stack, in slots of 8 bytes: one budget for all contracts that run within each
    /// other, from the chain's [`max_stack_slots`](ledger_core::WasmRules::max_stack_slots). The host takes a fixed part
    /// for each call; a runtime that counts the rest tells by [`set_stack_left`](Host::set_stack_left) before it calls
    /// another contract. Native contracts needn't.
    fn stack_left(&self) -> u32;

    /// Says how many slots of the stack are left: fewer as functions call each other, more as they return. More than there
    /// were when the contract was entered is taken for those.
    fn set_stack_left(&mut self, slots: u32);

    /// A runtime says in which function the contract broke down, if it knows, for a [trace](crate::trace). No receipt says
    /// it, since not every machine knows. Ignored, unless there is a trace.
    fn broke_down_in(&mut self, function: &str) {
        let _ = function;
    }
}

impl dyn Host + '_ {
    /// Who calls.
    pub fn caller(&self) -> AccountId {
        self.environment().caller
    }

    /// The value of `key`, decoded.
    ///
    /// # Errors
    /// [`Trap::Broken`] when there is something else than a `T`; [`Trap::Host`] for the host's errors.
    pub fn get_value<T: Format>(&mut self, key: &[u8]) -> Result<Option<T>, Trap> {
        match self.get(key)? {
            None => Ok(None),
            Some(bytes) => decode_value(&bytes).map(Some),
        }
    }

    /// Sets the value of `key` to the encoding of `value`.
    ///
    /// # Errors
    /// [`HostError`], which ends the contract's run.
    pub fn put_value<T: Format>(&mut self, key: &[u8], value: &T) -> Result<(), HostError> {
        self.put(key, &codec::encode(value))
    }

    /// Emits the encoding of `value`.
    ///
    /// # Errors
    /// [`HostError`], which ends the contract's run.
    pub fn emit_value<T: Format>(&mut self, topic: &str, value: &T) -> Result<(), HostError> {
        self.emit(topic, &codec::encode(value))
    }

    /// Up to `limit` keys that begin with `prefix`, in order, with their values.
    ///
    /// # Errors
    /// [`HostError`], which ends the contract's run.
    pub fn scan_prefix(&mut self, prefix: &[u8], limit: usize) -> Result<Vec<Entry>, HostError> {
        let range = KeyRange::prefix(self.environment().contract, prefix);
        self.scan(&range.from, range.to.as_deref(), limit)
    }
}

/// Decodes a value that the contract wrote itself.
///
/// # Errors
/// [`Trap::Broken`] when the bytes are no `T`. The message has no word of the decoder's in it, because receipts must
/// be the same on every node.
pub fn decode_value<T: Format>(bytes: &[u8]) -> Result<T, Trap> {
    codec::decode(bytes).map_err(|_| Trap::broken(format!("the state holds something else than a {}", T::NAME)))
}

/// Decodes the arguments of a call.
///
/// # Errors
/// [`Trap::Refused`] with the code [`BAD_ARGUMENTS`](crate::BAD_ARGUMENTS) when the bytes are no `T`.
pub fn decode_arguments<T: Format>(arguments: &[u8]) -> Result<T, Trap> {
    codec::decode(arguments).map_err(|_| Trap::bad_arguments(format!("the arguments are not a {}", T::NAME)))
}
