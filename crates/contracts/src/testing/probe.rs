//! A contract that does whatever a test needs to see done.

use crate::host::Host;
use crate::native::Contract;
use crate::runtime::Trap;
use ledger_core::Fuel;

/// The specimen of the [conformance suite](super::conformance), as a native contract. A runtime under test needs one of
/// its own that does the same; `key` and `value` are arguments of one byte and the rest.
///
/// | entry | does |
/// |---|---|
/// | constructor | puts its arguments under the key `constructed`; refuses the arguments `refuse` |
/// | `echo` | returns its arguments |
/// | `put` | puts the value under the key |
/// | `get` | returns the value of the key, or nothing |
/// | `delete` | deletes the key |
/// | `emit` | emits its arguments with the topic `probe` |
/// | `caller` | returns the caller |
/// | `refuse` | puts the value under the key, then refuses with code 7 and the message `no` |
/// | `break` | puts the value under the key, then breaks down (panics, runs into an invalid instruction) |
/// | `spin` | charges 1,000 fuel for ever |
/// | `swallow` | as `put`, then charges all the fuel there could be, ignores the error, and returns |
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
                return Err(Trap::refused(7, "no"));
            }
            "break" => {
                host.put(key, value)?;
                #[expect(clippy::panic, reason = "it is what the method is for")]
                {
                    panic!("words that no receipt may hold");
                }
            }
            "spin" => loop {
                host.charge(Fuel(1_000))?;
            },
            "swallow" => {
                host.put(key, value)?;
                let _ = host.charge(Fuel(u64::MAX));
            }
            _ => return Err(Trap::UnknownMethod),
        }
        Ok(Vec::new())
    }
}
