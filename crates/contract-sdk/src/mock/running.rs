//! The host's functions while a mocked call runs, on the thread that runs it.

use super::world::{self, World, within};
use super::{Chain, Failure};
use crate::host;
use crate::id::{AccountId, ContractId};
use crate::{Handler, Refusal};
use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::any::Any;
use core::cell::RefCell;
use ledger_crypto::{PublicKey, Signature};
use sha2::Digest;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread_local;

/// Where a contract is entered.
#[derive(Clone, Copy)]
pub(super) enum Entry<'a> {
    Construct,
    Migrate,
    Method(&'a str),
}

/// A contract that is running.
struct Frame {
    contract: ContractId,
    caller: AccountId,
    read_only: bool,
}

struct Running {
    chain: Chain,
    frames: Vec<Frame>,
    fuel_limit: u64,
    fuel_left: u64,
    transaction: [u8; 32],
}

thread_local! {
    static RUNNING: RefCell<Option<Running>> = const { RefCell::new(None) };
}

/// What unwinds a contract that the host has stopped.
struct Stop(Failure);

/// Runs a call on `chain`.
pub(super) fn run(
    chain: &mut Chain,
    caller: AccountId,
    contract: ContractId,
    entry: Entry<'_>,
    arguments: &[u8],
) -> Result<Vec<u8>, Failure> {
    with(chain, || enter(Frame { contract, caller, read_only: false }, entry, arguments))
}

/// Runs `look` on `chain` as if it were a contract's, read-only.
pub(super) fn inside<T>(mut chain: Chain, contract: ContractId, look: impl FnOnce() -> T) -> Result<T, Failure> {
    with(&mut chain, || {
        let caller = contract.into();
        act(|running| {
            running.frames.push(Frame { contract, caller, read_only: true });
            Ok(())
        });
        catch_unwind(AssertUnwindSafe(look)).map_err(failure)
    })
}

/// Lends `chain` to the host's functions while `body` runs.
fn with<T>(chain: &mut Chain, body: impl FnOnce() -> T) -> T {
    let mut lent = core::mem::take(chain);
    lent.world.begin();
    let seed = (lent.height, lent.timestamp, lent.world.events.len());
    let transaction = *blake3::hash(alloc::format!("{seed:?}").as_bytes()).as_bytes();
    let (fuel_limit, fuel_left) = (lent.fuel_limit, lent.fuel_limit);
    let outer = RUNNING.replace(Some(Running { chain: lent, frames: Vec::new(), fuel_limit, fuel_left, transaction }));
    let done = body();
    if let Some(running) = RUNNING.replace(outer) {
        *chain = running.chain;
    }
    done
}

/// Runs a contract; what it did is taken back if it fails.
fn enter(frame: Frame, entry: Entry<'_>, arguments: &[u8]) -> Result<Vec<u8>, Failure> {
    let (savepoint, handler) = attempt(|running| {
        let handler = find(&running.chain.world, frame.contract, entry)?;
        running.frames.push(frame);
        Ok((running.chain.world.savepoint(), handler))
    })?;
    let done = match catch_unwind(AssertUnwindSafe(|| handler(arguments))) {
        Ok(done) => done.map_err(Failure::Refused),
        Err(payload) => Err(failure(payload)),
    };
    let done = done.and_then(|answer| {
        within("the output", answer.len(), world::MAX_OUTPUT_BYTES)?;
        Ok(answer)
    });
    act(|running| {
        running.frames.pop();
        if done.is_err() {
            running.chain.world.rollback(savepoint);
        }
        Ok(done)
    })
}

fn find(world: &World, contract: ContractId, entry: Entry<'_>) -> Result<Handler, Failure> {
    let definition = world.contracts.get(&contract).ok_or(Failure::UnknownContract(contract))?;
    match entry {
        Entry::Construct => Ok(definition.construct),
        Entry::Migrate => definition.migrate.ok_or_else(|| Failure::UnknownMethod("migration".to_owned())),
        Entry::Method(name) => {
            let method = definition.methods.iter().find(|(method, _)| *method == name);
            method.map(|(_, handler)| *handler).ok_or_else(|| Failure::UnknownMethod(name.to_owned()))
        }
    }
}

/// What a panic was.
fn failure(payload: Box<dyn Any + Send>) -> Failure {
    match payload.downcast::<Stop>() {
        Ok(stop) => stop.0,
        Err(payload) => {
            let words = payload.downcast_ref::<&str>().map(|words| String::from(*words));
            let words = words.or_else(|| payload.downcast_ref::<String>().cloned());
            Failure::Trapped(words.unwrap_or_else(|| "the contract panicked".to_owned()))
        }
    }
}

/// Does something to the running call.
fn attempt<T>(act: impl FnOnce(&mut Running) -> Result<T, Failure>) -> Result<T, Failure> {
    RUNNING.with_borrow_mut(|running| match running {
        Some(running) => act(running),
        #[expect(clippy::panic, reason = "a test that does this is wrong, and has to be told so")]
        None => panic!("the host was asked outside of a call: enter by `mock::Chain`"),
    })
}

/// As [`attempt`]; a failure ends the contract.
fn act<T>(act: impl FnOnce(&mut Running) -> Result<T, Failure>) -> T {
    attempt(act).unwrap_or_else(|failure| stop(failure))
}

fn stop(failure: Failure) -> ! {
    resume_unwind(Box::new(Stop(failure)))
}

impl Running {
    /// The contract that is running now. Outside of all frames there is none, and `attempt` has said so before.
    fn frame(&self) -> Result<&Frame, Failure> {
        self.frames.last().ok_or(Failure::Forbidden("act outside of a contract"))
    }

    /// The contract that is running now, if it may write.
    fn writer(&self) -> Result<ContractId, Failure> {
        let frame = self.frame()?;
        if frame.read_only { Err(Failure::Forbidden("write in a read-only call")) } else { Ok(frame.contract) }
    }
}

pub(crate) fn get(key: &[u8]) -> Option<Vec<u8>> {
    act(|running| running.chain.world.get(running.frame()?.contract, key))
}

pub(crate) fn put(key: &[u8], value: &[u8]) {
    act(|running| {
        let contract = running.writer()?;
        running.chain.world.set(contract, key, Some(value))
    });
}

pub(crate) fn delete(key: &[u8]) {
    act(|running| {
        let contract = running.writer()?;
        running.chain.world.set(contract, key, None)
    });
}

pub(crate) fn scan(from: &[u8], to: Option<&[u8]>, limit: u32) -> Vec<host::Entry> {
    act(|running| Ok(running.chain.world.scan(running.frame()?.contract, from, to, limit)))
}

pub(crate) fn emit(topic: &str, data: &[u8]) {
    act(|running| {
        let contract = running.writer()?;
        running.chain.world.emit(contract, topic, data)
    });
}

pub(crate) fn caller() -> [u8; 32] {
    act(|running| Ok(running.frame()?.caller.0))
}

pub(crate) fn contract() -> [u8; 32] {
    act(|running| Ok(running.frame()?.contract.0))
}

pub(crate) fn chain() -> [u8; 32] {
    act(|_| Ok([0; 32]))
}

pub(crate) fn transaction() -> Option<[u8; 32]> {
    act(|running| Ok(Some(running.transaction)))
}

pub(crate) fn height() -> u64 {
    act(|running| Ok(running.chain.height))
}

pub(crate) fn timestamp() -> u64 {
    act(|running| Ok(running.chain.timestamp))
}

pub(crate) fn is_read_only() -> bool {
    act(|running| Ok(running.frame()?.read_only))
}

pub(crate) fn fuel_left() -> u64 {
    act(|running| Ok(running.fuel_left))
}

pub(crate) fn charge(fuel: u64) {
    act(|running| {
        let left = running.fuel_left.checked_sub(fuel);
        running.fuel_left = left.unwrap_or(0);
        left.map(|_| ()).ok_or(Failure::OutOfFuel { limit: running.fuel_limit })
    });
}

pub(crate) fn blake3(data: &[u8]) -> [u8; 32] {
    *blake3::hash(data).as_bytes()
}

pub(crate) fn sha256(data: &[u8]) -> [u8; 32] {
    sha2::Sha256::digest(data).into()
}

pub(crate) fn verify_ed25519(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    // A weak key's signatures hold for whatever message.
    let (key, signature) = (PublicKey::new(*key), Signature::new(*signature));
    key.check_not_weak().is_ok() && ledger_crypto::verify_raw(&key, message, &signature).is_ok()
}

pub(crate) fn refuse(code: u32, message: &str) -> ! {
    stop(Failure::Refused(Refusal::new(code, message.to_owned())))
}

pub(crate) fn trap(why: &'static str) -> ! {
    stop(Failure::Trapped(why.to_owned()))
}

pub(crate) fn call(
    contract: &[u8; 32],
    method: &str,
    arguments: &[u8],
    fuel: Option<u64>,
    read_only: bool,
) -> Result<Vec<u8>, (u64, Vec<u8>)> {
    let contract = ContractId(*contract);
    let (outer_limit, outer_left) = act(|running| Ok((running.fuel_limit, running.fuel_left)));
    let limit = fuel.map_or(outer_left, |fuel| fuel.min(outer_left));
    let done = attempt(|running| {
        let frame = running.frame()?;
        let (caller, read_only) = (frame.contract.into(), read_only || frame.read_only);
        within("the depth of calls", running.frames.len() + 1, world::MAX_CALL_DEPTH)?;
        if !read_only && running.frames.iter().any(|frame| frame.contract == contract) {
            return Err(Failure::Forbidden("change a contract that is running"));
        }
        (running.fuel_limit, running.fuel_left) = (limit, limit);
        Ok(Frame { contract, caller, read_only })
    });
    let done = done.and_then(|frame| {
        let done = enter(frame, Entry::Method(method), arguments);
        act(|running| {
            running.fuel_left = outer_left - (limit - running.fuel_left);
            running.fuel_limit = outer_limit;
            Ok(())
        });
        done
    });
    match done {
        Ok(answer) => Ok(answer),
        // The caller's own fuel is at its end, too.
        Err(failure @ Failure::OutOfFuel { .. }) if limit == outer_left => stop(failure),
        Err(failure) => {
            let told = failure.told();
            Err((told.code, told.message.into_bytes()))
        }
    }
}
