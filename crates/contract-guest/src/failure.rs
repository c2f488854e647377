//! Why a call failed, from the number and the words that a module is told.

use ledger_contracts::{CallFailure, CallTerms};
use ledger_core::codec::Text;
use ledger_core::{ContractId, Failure, Fuel};

/// The failure that has this code and these words: that which a native contract would have been told. Words that this
/// version doesn't know come as those of a trap.
pub(crate) fn of(code: u64, words: &str, callee: &ContractId, method: &str, terms: CallTerms) -> CallFailure {
    let failure = match u32::try_from(code) {
        Ok(code) => Failure::Refused { code, message: words.into() },
        Err(_) => {
            chains(code, words, callee, method, terms).unwrap_or_else(|| Failure::Trapped { message: words.into() })
        }
    };
    CallFailure(failure)
}

/// A failure of the chain's own, by its number in the format.
fn chains(code: u64, words: &str, callee: &ContractId, method: &str, terms: CallTerms) -> Option<Failure> {
    let between =
        |before: &str, after: &str| -> Option<Text> { Some(words.strip_prefix(before)?.strip_suffix(after)?.into()) };
    Some(match code.checked_sub(CallFailure::CHAIN_CODES)? {
        // Fuel that isn't limited by these terms is the caller's as well, who would have ended too.
        0 => Failure::OutOfFuel { limit: terms.fuel_limit.unwrap_or(Fuel(0)) },
        2 => Failure::Trapped { message: between("the contract trapped: ", "")? },
        3 => Failure::UnknownContract { contract: *callee },
        4 => Failure::UnknownMethod { method: method.into() },
        5 => Failure::UnknownRuntime { runtime: between("this chain has no runtime `", "`")? },
        6 => Failure::InvalidCode { message: between("the runtime refused the code: ", "")? },
        7 => Failure::InvalidBody { message: between("the body is invalid: ", "")? },
        8 => Failure::Redacted,
        9 => limit(words)?,
        10 => Failure::Conflict { message: between("a read no longer holds: ", "")? },
        11 => Failure::Forbidden { what: between("the account may not ", " on this chain")? },
        12 => Failure::Unsupported { what: between("", " isn't supported by this version")? },
        _ => return None,
    })
}

fn limit(words: &str) -> Option<Failure> {
    let (rest, limit) = words.rsplit_once(" is over the chain's limit of ")?;
    let (what, size) = rest.rsplit_once(" of ")?;
    Some(Failure::Limit { what: what.into(), size: size.parse().ok()?, limit: limit.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger_crypto::Digest;

    #[test]
    fn every_failure_is_found_again() {
        let callee = ContractId(Digest::new([7; 32]));
        let terms = CallTerms::default().with_fuel(Fuel(99));
        let text = Text::from("a word of it: and on");
        let failures = [
            Failure::OutOfFuel { limit: Fuel(99) },
            Failure::Refused { code: 0, message: text.clone() },
            Failure::Refused { code: u32::MAX, message: text.clone() },
            Failure::Trapped { message: text.clone() },
            Failure::UnknownContract { contract: callee },
            Failure::UnknownMethod { method: "pay".into() },
            Failure::UnknownRuntime { runtime: text.clone() },
            Failure::InvalidCode { message: text.clone() },
            Failure::InvalidBody { message: text.clone() },
            Failure::Redacted,
            Failure::Limit { what: "an output of bytes".into(), size: u64::MAX, limit: 1 },
            Failure::Conflict { message: text.clone() },
            Failure::Forbidden { what: text.clone() },
            Failure::Unsupported { what: text },
        ];
        for failure in failures {
            let told = CallFailure(failure);
            assert_eq!(of(told.code(), &told.words(), &callee, "pay", terms), told);
        }
        let unknown = of(CallFailure::CHAIN_CODES + 99, "of a later version", &callee, "pay", terms);
        assert_eq!(unknown, CallFailure(Failure::Trapped { message: "of a later version".into() }));
    }
}
