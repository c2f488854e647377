//! A contract that does whatever a test needs to see done.

use crate::call::{Answer, CallTerms};
use crate::host::Host;
use crate::native::Contract;
use crate::runtime::Trap;
use ledger_core::{ContractId, Fuel};
use ledger_crypto::Digest;

/// The specimen of the [conformance suite](super::conformance), as a native contract. A runtime under test needs one of
/// its own that does the same; `key` and `value` are arguments of one byte and the rest.
///
/// | entry | does |
/// |---|---|
/// | constructor | puts its arguments under the key `constructed`; refuses the arguments `refuse` |
/// | migration | puts its arguments under the key `migrated` and emits them with the topic `probe`; refuses the arguments `refuse`, breaks down at `break`, charges 1,000 fuel for ever at `spin` |
/// | `echo` | returns its arguments |
/// | `put` | puts the value under the key |
/// | `get` | returns the value of the key, or nothing |
/// | `delete` | deletes the key |
/// | `emit` | emits its arguments with the topic `probe` |
/// | `caller` | returns the caller |
/// | `refuse` | puts the value under the key, emits its arguments with the topic `probe`, then refuses with code 7 and the message `no` |
/// | `break` | puts the value under the key, then breaks down (panics, runs into an invalid instruction) |
/// | `spin` | charges 1,000 fuel for ever |
/// | `swallow` | as `put`, then charges all the fuel there could be, ignores the error, and returns |
/// | `call` | calls another contract and returns what came of it, see below |
///
/// The arguments of `call` are whom to call (32 bytes), flags (1 byte: 1 is read-only, 2 is described below), the limit of
/// fuel (8 bytes, little-endian; all bits set for none), the length of the method's name (1 byte), that name, and the
/// arguments for it. It returns 8 bytes, little-endian: 0, or one more than the
/// [code](crate::CallFailure::code) of why the callee failed; then what it returned, or the reason's words. With flag 2 it
/// puts the callee's arguments under the key `c` before the call, and what it returns under `a` after it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Probe;

impl Probe {
    /// The name by which it is deployed.
    pub const NAME: &'static str = "probe";
}

impl Contract for Probe {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn construct(&self, host: &mut dyn Host, arguments: &[u8]) -> Result<(), Trap> {
        host.put(b"constructed", arguments)?;
        if arguments == b"refuse" { Err(Trap::refused(7, "no")) } else { Ok(()) }
    }

    fn migrate(&self, host: &mut dyn Host, arguments: &[u8]) -> Result<(), Trap> {
        host.put(b"migrated", arguments)?;
        host.emit("probe", arguments)?;
        match arguments {
            b"refuse" => Err(Trap::refused(7, "no")),
            b"break" => break_down(),
            b"spin" => spin(host).map(|_| ()),
            _ => Ok(()),
        }
    }

    fn call(&self, host: &mut dyn Host, method: &str, arguments: &[u8]) -> Result<Vec<u8>, Trap> {
        let (key, value) = arguments.split_at_checked(1).unwrap_or((arguments, &[]));
        match method {
            "echo" => return Ok(arguments.to_vec()),
            "put" => host.put(key, value)?,
            "get" => return Ok(host.get(key)?.unwrap_or_default()),
            "delete" => host.delete(key)?,
            "emit" => host.emit("probe", arguments)?,
            "caller" => return Ok(host.caller().0.as_bytes().to_vec()),
            "refuse" => {
                host.put(key, value)?;
                host.emit("probe", arguments)?;
                return Err(Trap::refused(7, "no"));
            }
            "break" => {
                host.put(key, value)?;
                break_down()?;
            }
            "spin" => return spin(host),
            "call" => return call_another(host, arguments),
            "swallow" => {
                host.put(key, value)?;
                let _ = host.charge(Fuel(u64::MAX));
            }
            _ => return Err(Trap::UnknownMethod),
        }
        Ok(Vec::new())
    }
}

#[expect(clippy::panic, reason = "it is what the probe is for")]
fn break_down() -> Result<(), Trap> {
    panic!("words that no receipt may hold");
}

fn spin(host: &mut dyn Host) -> Result<Vec<u8>, Trap> {
    loop {
        host.charge(Fuel(1_000))?;
    }
}

fn call_another(host: &mut dyn Host, arguments: &[u8]) -> Result<Vec<u8>, Trap> {
    let (callee, flags, fuel, method, arguments) =
        call_arguments(arguments).ok_or_else(|| Trap::bad_arguments("that is no call"))?;
    let keeps = flags & 2 != 0;
    if keeps {
        host.put(b"c", arguments)?;
    }
    let terms = CallTerms { fuel_limit: u64::try_from(fuel).ok().map(Fuel), read_only: flags & 1 != 0 };
    let (code, answer) = match host.call(&callee, method, arguments, terms)? {
        Answer::Returned(output) => (0, output),
        Answer::Failed(failure) => (failure.code().saturating_add(1), failure.words().into_bytes()),
    };
    let mut told = code.to_le_bytes().to_vec();
    told.extend(answer);
    if keeps {
        host.put(b"a", &told)?;
    }
    Ok(told)
}

fn call_arguments(bytes: &[u8]) -> Option<(ContractId, u8, i64, &str, &[u8])> {
    let (callee, rest) = bytes.split_first_chunk::<32>()?;
    let (flags, rest) = rest.split_first()?;
    let (fuel, rest) = rest.split_first_chunk::<8>()?;
    let (length, rest) = rest.split_first()?;
    let (method, arguments) = rest.split_at_checked(usize::from(*length))?;
    let method = str::from_utf8(method).ok()?;
    Some((ContractId(Digest::new(*callee)), *flags, i64::from_le_bytes(*fuel), method, arguments))
}
