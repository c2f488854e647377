//! The native runtime does what every runtime has to do, and the suite notices one that doesn't.
#![allow(clippy::unwrap_used, clippy::panic)]

use ledger_contracts::testing::{Probe, Violation, conformance};
use ledger_contracts::{
    CodeError, Host, HostError, Invocation, NativeRuntime, Prepared, Runtime, Token, Trap, token::TokenError,
};
use ledger_core::Rules;

#[test]
fn the_native_runtime_conforms() {
    conformance(|| NativeRuntime::new().with(Probe), Probe::NAME.as_bytes(), b"no such contract").unwrap();
}

/// What a runtime may get wrong.
#[derive(Clone, Copy, Debug)]
enum Flaw {
    TakesAnyCode,
    LosesTheCode,
    CallsBreakdownsRefusals,
    CallsUnknownMethodsBreakdowns,
    IgnoresArguments,
}

struct Flawed(Flaw, NativeRuntime);

impl Runtime for Flawed {
    fn name(&self) -> &str {
        "flawed"
    }

    fn prepare(&self, code: &[u8], rules: &Rules) -> Result<Prepared, CodeError> {
        match self.0 {
            Flaw::TakesAnyCode => self.1.prepare(Probe::NAME.as_bytes(), rules),
            _ => self.1.prepare(code, rules),
        }
    }

    fn call(&self, code: &Prepared, invocation: &Invocation<'_>, host: &mut dyn Host) -> Result<Vec<u8>, Trap> {
        let arguments = if matches!(self.0, Flaw::IgnoresArguments) { b"" } else { invocation.arguments };
        let invocation = Invocation { arguments, ..*invocation };
        match (self.0, self.1.call(code, &invocation, host)) {
            (Flaw::LosesTheCode, Err(Trap::Refused { message, .. })) => Err(Trap::refused(0, message)),
            (Flaw::CallsBreakdownsRefusals, Err(Trap::Broken { message })) => Err(Trap::refused(0, message)),
            (Flaw::CallsUnknownMethodsBreakdowns, Err(Trap::UnknownMethod)) => Err(Trap::broken("no method")),
            (_, answer) => answer,
        }
    }
}

#[test]
fn the_suite_finds_each_flaw() {
    for flaw in [
        Flaw::TakesAnyCode,
        Flaw::LosesTheCode,
        Flaw::CallsBreakdownsRefusals,
        Flaw::CallsUnknownMethodsBreakdowns,
        Flaw::IgnoresArguments,
    ] {
        let flawed = || Flawed(flaw, NativeRuntime::new().with(Probe));
        let found = conformance(flawed, Probe::NAME.as_bytes(), b"no such contract");
        assert!(matches!(found, Err(Violation::Law { .. })), "{flaw:?}: {found:?}");
    }
}

#[test]
fn code_is_the_name_of_a_linked_contract() {
    let runtime = NativeRuntime::new().with(Token);
    let rules = Rules::default();
    assert!(runtime.prepare(b"token", &rules).is_ok());
    assert_eq!(runtime.prepare(b"tokens", &rules).unwrap_err().to_string(), "there is no native contract `tokens`");
    assert!(runtime.prepare(b"\xff", &rules).is_err());
}

#[test]
fn errors_of_a_contract_and_of_the_host_become_traps() {
    assert_eq!(Trap::from(TokenError::NotOwner), Trap::refused(1, "only the owner mints"));
    assert_eq!(Trap::from(HostError::ReadOnly), Trap::Host(HostError::ReadOnly));
}
