//! What each import does.
//!
//! Pieces of memory are checked before anything is charged, and what an import moves is charged before it works.

use super::fault::ImportStopped;
use super::session::{Guest, Parts, import, piece, read, write};
use crate::call::{Answer, CallTerms};
use crate::host::HashFunction;
use crate::runtime::Trap;
use ledger_core::outcome::MAX_MESSAGE_BYTES;
use ledger_core::{ContractId, Fuel};
use ledger_crypto::Digest;

type Done<T> = Result<T, ImportStopped>;

/// Copies `len` bytes from `offset` of `source`. More than there is counts as out of bounds of memory.
fn copy_part<G: Guest>(
    parts: &mut Parts<'_>,
    guest: &mut G,
    source: impl for<'s> Fn(&'s Parts<'_>) -> &'s [u8],
    [to, offset, len]: [i32; 3],
) -> Result<(), Trap> {
    let place = piece(guest.memory(), to, len)?;
    let wanted = piece(source(parts), offset, len)?;
    parts.pay(place.len())?;
    let bytes = source(parts).get(wanted).unwrap_or_default();
    write(guest.memory(), to, bytes)
}

pub(super) fn arguments<G: Guest>(guest: &mut G, to: i32, offset: i32, len: i32) -> Done<()> {
    import(guest, |parts, guest| copy_part(parts, guest, |parts| parts.arguments, [to, offset, len]))
}

pub(super) fn arguments_len<G: Guest>(guest: &mut G) -> Done<i32> {
    fact(guest, |parts| length(parts.arguments.len()))
}

pub(super) fn result<G: Guest>(guest: &mut G, to: i32, offset: i32, len: i32) -> Done<()> {
    import(guest, |parts, guest| copy_part(parts, guest, |parts| &parts.kept.result, [to, offset, len]))
}

pub(super) fn result_len<G: Guest>(guest: &mut G) -> Done<i32> {
    fact(guest, |parts| length(parts.kept.result.len()))
}

pub(super) fn get<G: Guest>(guest: &mut G, key: i32, key_len: i32) -> Done<i64> {
    import(guest, |parts, guest| {
        let key = read(guest.memory(), key, key_len)?;
        parts.pay(key.len())?;
        match parts.host.get(key)? {
            Some(value) => Ok(i64::from(length(parts.answer(value)?).cast_unsigned())),
            None => Ok(-1),
        }
    })
}

pub(super) fn put<G: Guest>(guest: &mut G, key: i32, key_len: i32, value: i32, value_len: i32) -> Done<()> {
    import(guest, |parts, guest| {
        let memory = &*guest.memory();
        let (key, value) = (read(memory, key, key_len)?, read(memory, value, value_len)?);
        parts.pay(key.len().saturating_add(value.len()))?;
        Ok(parts.host.put(key, value)?)
    })
}

pub(super) fn delete<G: Guest>(guest: &mut G, key: i32, key_len: i32) -> Done<()> {
    import(guest, |parts, guest| {
        let key = read(guest.memory(), key, key_len)?;
        parts.pay(key.len())?;
        Ok(parts.host.delete(key)?)
    })
}

pub(super) fn scan<G: Guest>(guest: &mut G, from: i32, from_len: i32, to: i32, to_len: i32, limit: i32) -> Done<i32> {
    import(guest, |parts, guest| {
        let memory = &*guest.memory();
        let from = read(memory, from, from_len)?;
        let to = if to_len == -1 { None } else { Some(read(memory, to, to_len)?) };
        parts.pay(from.len().saturating_add(to.map_or(0, <[u8]>::len)))?;
        let entries = parts.host.scan(from, to, limit.cast_unsigned() as usize)?;
        let count = length(entries.len());
        let size =
            entries.iter().map(|entry| entry.key.len().saturating_add(entry.value.len()).saturating_add(8)).sum();
        parts.may_answer(size)?;
        let mut bytes = Vec::with_capacity(size);
        for entry in entries {
            for part in [entry.key, entry.value] {
                bytes.extend_from_slice(&length(part.len()).to_le_bytes());
                bytes.extend_from_slice(&part);
            }
        }
        parts.answer(bytes)?;
        Ok(count)
    })
}

pub(super) fn emit<G: Guest>(guest: &mut G, topic: i32, topic_len: i32, data: i32, data_len: i32) -> Done<()> {
    import(guest, |parts, guest| {
        let memory = &*guest.memory();
        let (topic, data) = (read(memory, topic, topic_len)?, read(memory, data, data_len)?);
        parts.pay(topic.len().saturating_add(data.len()))?;
        let topic = str::from_utf8(topic).map_err(|_| Trap::broken("an event's topic isn't UTF-8"))?;
        Ok(parts.host.emit(topic, data)?)
    })
}

pub(super) fn caller<G: Guest>(guest: &mut G, to: i32) -> Done<()> {
    identity(guest, to, |parts| Some(*parts.host.environment().caller.0.as_bytes())).map(drop)
}

pub(super) fn contract<G: Guest>(guest: &mut G, to: i32) -> Done<()> {
    identity(guest, to, |parts| Some(*parts.host.environment().contract.0.as_bytes())).map(drop)
}

pub(super) fn chain<G: Guest>(guest: &mut G, to: i32) -> Done<()> {
    identity(guest, to, |parts| Some(*parts.host.environment().chain.0.as_bytes())).map(drop)
}

pub(super) fn transaction<G: Guest>(guest: &mut G, to: i32) -> Done<i32> {
    identity(guest, to, |parts| parts.host.environment().transaction.map(|id| *id.0.as_bytes()))
}

pub(super) fn height<G: Guest>(guest: &mut G) -> Done<i64> {
    fact(guest, |parts| parts.host.environment().height.0.cast_signed())
}

pub(super) fn timestamp<G: Guest>(guest: &mut G) -> Done<i64> {
    fact(guest, |parts| parts.host.environment().timestamp.0.cast_signed())
}

pub(super) fn is_read_only<G: Guest>(guest: &mut G) -> Done<i32> {
    fact(guest, |parts| parts.host.environment().read_only.into())
}

pub(super) fn fuel_left<G: Guest>(guest: &mut G) -> Done<i64> {
    fact(guest, |parts| parts.host.fuel_left().0.min(i64::MAX.cast_unsigned()).cast_signed())
}

pub(super) fn charge<G: Guest>(guest: &mut G, fuel: i64) -> Done<()> {
    import(guest, |parts, _| {
        parts.pay(0)?;
        // Below zero is, without sign, more than there ever is.
        Ok(parts.host.charge(Fuel(fuel.cast_unsigned()))?)
    })
}

pub(super) fn hash_blake3<G: Guest>(guest: &mut G, from: i32, len: i32, to: i32) -> Done<()> {
    hash(guest, HashFunction::Blake3, [from, len, to])
}

pub(super) fn hash_sha256<G: Guest>(guest: &mut G, from: i32, len: i32, to: i32) -> Done<()> {
    hash(guest, HashFunction::Sha256, [from, len, to])
}

fn hash<G: Guest>(guest: &mut G, function: HashFunction, [from, len, to]: [i32; 3]) -> Done<()> {
    import(guest, |parts, guest| {
        let memory = &*guest.memory();
        piece(memory, to, 32)?;
        let data = read(memory, from, len)?;
        parts.pay(data.len().saturating_add(32))?;
        let digest = parts.host.hash(function, data)?;
        write(guest.memory(), to, &digest)
    })
}

pub(super) fn verify_ed25519<G: Guest>(
    guest: &mut G,
    key: i32,
    message: i32,
    message_len: i32,
    signature: i32,
) -> Done<i32> {
    import(guest, |parts, guest| {
        let memory = &*guest.memory();
        let (key, signature) = (bytes::<32>(memory, key)?, bytes::<64>(memory, signature)?);
        let message = read(memory, message, message_len)?;
        parts.pay(message.len().saturating_add(96))?;
        Ok(parts.host.verify(&key, message, &signature)?.into())
    })
}

#[expect(clippy::too_many_arguments, reason = "they are the import's")]
pub(super) fn call<G: Guest>(
    guest: &mut G,
    contract: i32,
    method: i32,
    method_len: i32,
    arguments: i32,
    arguments_len: i32,
    fuel: i64,
    flags: i32,
) -> Done<i64> {
    import(guest, |parts, guest| {
        let stack = guest.stack();
        let memory = &*guest.memory();
        let callee = ContractId(Digest::new(bytes::<32>(memory, contract)?));
        let (method, arguments) = (read(memory, method, method_len)?, read(memory, arguments, arguments_len)?);
        parts.pay(method.len().saturating_add(arguments.len()).saturating_add(32))?;
        let method = str::from_utf8(method).map_err(|_| Trap::broken("a method's name isn't UTF-8"))?;
        let fuel_limit = u64::try_from(fuel).ok().map(Fuel);
        let terms = CallTerms { fuel_limit, read_only: flags & 1 != 0 };
        parts.host.set_stack_left(u32::try_from(stack).unwrap_or(0));
        match parts.host.call(&callee, method, arguments, terms)? {
            Answer::Returned(output) => Ok(i64::from(length(parts.answer(output)?).cast_unsigned())),
            Answer::Failed(failure) => {
                parts.answer(failure.words().into_bytes())?;
                Ok((-1i64).saturating_sub_unsigned(failure.code()))
            }
        }
    })
}

pub(super) fn give<G: Guest>(guest: &mut G, from: i32, len: i32) -> Done<()> {
    import(guest, |parts, guest| {
        let output = read(guest.memory(), from, len)?;
        parts.pay(output.len())?;
        parts.give(output)
    })
}

pub(super) fn refuse<G: Guest>(guest: &mut G, code: i32, message: i32, message_len: i32) -> Done<()> {
    import(guest, |parts, guest| {
        let message = read(guest.memory(), message, message_len)?;
        parts.pay(message.len())?;
        // A receipt has no more of it.
        let message = message.get(..MAX_MESSAGE_BYTES).unwrap_or(message);
        Err(Trap::refused(code.cast_unsigned(), String::from_utf8_lossy(message)))
    })
}

/// So many bytes of the guest's memory.
fn bytes<const N: usize>(memory: &[u8], from: i32) -> Result<[u8; N], Trap> {
    let len = i32::try_from(N).unwrap_or(i32::MAX);
    let mut bytes = [0; N];
    // They are as many as were asked for.
    bytes.copy_from_slice(read(memory, from, len)?);
    Ok(bytes)
}

/// Answers with a number that is there already.
fn fact<G: Guest, T>(guest: &mut G, fact: impl FnOnce(&Parts<'_>) -> T) -> Done<T> {
    import(guest, |parts, _| {
        parts.pay(0)?;
        Ok(fact(parts))
    })
}

/// Writes 32 bytes, if there are any, and says whether.
fn identity<G: Guest>(guest: &mut G, to: i32, which: impl FnOnce(&Parts<'_>) -> Option<[u8; 32]>) -> Done<i32> {
    import(guest, |parts, guest| {
        piece(guest.memory(), to, 32)?;
        parts.pay(32)?;
        let Some(bytes) = which(parts) else { return Ok(0) };
        write(guest.memory(), to, &bytes)?;
        Ok(1)
    })
}

/// A length as guests see it: unsigned, in 32 bits. Nothing that they are given is longer.
fn length(length: usize) -> i32 {
    u32::try_from(length).unwrap_or(u32::MAX).cast_signed()
}
