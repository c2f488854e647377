//! What each import does.
//!
//! Pieces of memory are checked before anything is charged, and what an import moves is charged before it works.

use super::session::{Guest, Parts, import, piece, read, write};
use super::fault::ImportStopped;
use crate::runtime::Trap;
use ledger_core::Fuel;
use ledger_core::outcome::MAX_MESSAGE_BYTES;

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
            Some(value) => Ok(i64::from(length(parts.answer(value)?))),
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

pub(super) fn scan<G: Guest>(
    guest: &mut G,
    from: i32,
    from_len: i32,
    to: i32,
    to_len: i32,
    limit: i32,
) -> Done<i32> {
    import(guest, |parts, guest| {
        let memory = &*guest.memory();
        let from = read(memory, from, from_len)?;
        let to = if to_len == -1 { None } else { Some(read(memory, to, to_len)?) };
        parts.pay(from.len().saturating_add(to.map_or(0, <[u8]>::len)))?;
        let entries = parts.host.scan(from, to, limit.cast_unsigned() as usize)?;
        let count = length(entries.len());
        let mut bytes = Vec::new();
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

pub(super) fn give<G: Guest>(guest: &mut G, from: i32, len: i32) -> Done<()> {
    import(guest, |parts, guest| {
        let output = read(guest.memory(), from, len)?;
        parts.pay(output.len())?;
        parts.kept.output.clear();
        parts.kept.output.extend_from_slice(output);
        Ok(())
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
