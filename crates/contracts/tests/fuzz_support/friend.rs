//! A native contract for others to call. It never panics, whatever it is told: a fuzzer takes a panic for what it looks for.

use ledger_contracts::{Answer, CallTerms, Contract, Host, LIFECYCLE, Trap};
use ledger_core::{ContractId, Fuel};
use ledger_crypto::Digest;

/// Does what it is told, under a name of its choice.
///
/// | method | arguments | does |
/// |---|---|---|
/// | `put`, `get` | a key of one byte, a value | as they say |
/// | `relay`, `ask` | a contract, 32 bytes; arguments | calls its method `n`; `ask` read-only |
/// | `manage` | the length of a method's name, the name, arguments | calls that of the lifecycle contract |
/// | `spin` | | charges for ever |
/// | `refuse` | | refuses |
pub(crate) struct Friend(pub(crate) &'static str);

impl Contract for Friend {
    fn name(&self) -> &str {
        self.0
    }

    fn construct(&self, host: &mut dyn Host, arguments: &[u8]) -> Result<(), Trap> {
        let founder = host.caller();
        host.put(b"founder", founder.0.as_bytes())?;
        if arguments.starts_with(b"refuse") { Err(Trap::refused(7, "no")) } else { Ok(()) }
    }

    fn migrate(&self, host: &mut dyn Host, arguments: &[u8]) -> Result<(), Trap> {
        host.put(b"migrated", arguments)?;
        host.emit("migrated", arguments)?;
        match arguments {
            [b'r', ..] => Err(Trap::refused(7, "no")),
            [b'b', ..] => Ok(host.charge(Fuel(u64::MAX))?),
            _ => Ok(()),
        }
    }

    fn call(&self, host: &mut dyn Host, method: &str, arguments: &[u8]) -> Result<Vec<u8>, Trap> {
        let (key, value) = arguments.split_at_checked(1).unwrap_or((arguments, &[]));
        match method {
            "put" => host.put(key, value)?,
            "get" => return Ok(host.get(key)?.unwrap_or_default()),
            "relay" => return pass_on(host, arguments, CallTerms::default()),
            "ask" => return pass_on(host, arguments, CallTerms::READ_ONLY),
            "manage" => {
                let (length, rest) = arguments.split_first().ok_or_else(|| Trap::bad_arguments("no length"))?;
                let (method, rest) =
                    rest.split_at_checked((*length).into()).ok_or_else(|| Trap::bad_arguments("no method"))?;
                let method = str::from_utf8(method).map_err(|_| Trap::bad_arguments("no name"))?;
                return told(host.call(&LIFECYCLE, method, rest, CallTerms::default())?);
            }
            "spin" => loop {
                host.charge(Fuel(1_000))?;
            },
            "refuse" => return Err(Trap::refused(7, "no")),
            _ => return Err(Trap::UnknownMethod),
        }
        Ok(Vec::new())
    }
}

fn pass_on(host: &mut dyn Host, arguments: &[u8], terms: CallTerms) -> Result<Vec<u8>, Trap> {
    let (callee, rest) =
        arguments.split_first_chunk::<32>().ok_or_else(|| Trap::bad_arguments("a contract is 32 bytes"))?;
    told(host.call(&ContractId(Digest::new(*callee)), "n", rest, terms)?)
}

fn told(answer: Answer) -> Result<Vec<u8>, Trap> {
    answer.into_result().map_err(|failure| Trap::refused(3, failure.words()))
}
