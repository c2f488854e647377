//! The native runtime does what every runtime has to do, and the suite notices one that doesn't.
#![allow(clippy::unwrap_used, clippy::panic)]

use ledger_contracts::testing::{Probe, Violation, conformance};
use ledger_contracts::{
    Answer, CallTerms, CodeError, Entry, EntryPoint, Environment, HashFunction, Host, HostError, Invocation,
    NativeRuntime, Prepared, Runtime, Token, Trap, token::TokenError,
};
use ledger_core::{ContractId, Fuel, Rules};

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
    LosesFailuresOfCallees,
    ForgetsLimitsOfCalls,
    ForgetsThatCallsAreReadOnly,
    CallsInItsCallersName,
    SkipsMigrations,
    ConstructsInsteadOfMigrating,
}

/// A host that a flawed runtime puts between the contract and the true one.
struct Careless<'h>(Flaw, &'h mut dyn Host);

impl Host for Careless<'_> {
    fn environment(&self) -> &Environment {
        self.1.environment()
    }

    fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, HostError> {
        self.1.get(key)
    }

    fn scan(&mut self, from: &[u8], to: Option<&[u8]>, limit: usize) -> Result<Vec<Entry>, HostError> {
        self.1.scan(from, to, limit)
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), HostError> {
        self.1.put(key, value)
    }

    fn delete(&mut self, key: &[u8]) -> Result<(), HostError> {
        self.1.delete(key)
    }

    fn emit(&mut self, topic: &str, data: &[u8]) -> Result<(), HostError> {
        self.1.emit(topic, data)
    }

    fn charge(&mut self, fuel: Fuel) -> Result<(), HostError> {
        self.1.charge(fuel)
    }

    fn fuel_left(&self) -> Fuel {
        self.1.fuel_left()
    }

    fn call(
        &mut self,
        callee: &ContractId,
        method: &str,
        arguments: &[u8],
        mut terms: CallTerms,
    ) -> Result<Answer, HostError> {
        match self.0 {
            Flaw::ForgetsLimitsOfCalls => terms.fuel_limit = None,
            Flaw::ForgetsThatCallsAreReadOnly => terms.read_only = false,
            _ => {}
        }
        // Its own code, run here and now instead of by the host.
        if matches!(self.0, Flaw::CallsInItsCallersName) && method == "put" {
            let (key, value) = arguments.split_at(1);
            return self.1.put(key, value).map(|()| Answer::Returned(Vec::new()));
        }
        match (self.0, self.1.call(callee, method, arguments, terms)?) {
            (Flaw::LosesFailuresOfCallees, Answer::Failed(_)) => Ok(Answer::Returned(Vec::new())),
            (_, answer) => Ok(answer),
        }
    }

    fn hash(&mut self, function: HashFunction, data: &[u8]) -> Result<[u8; 32], HostError> {
        self.1.hash(function, data)
    }

    fn verify(&mut self, key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> Result<bool, HostError> {
        self.1.verify(key, message, signature)
    }

    fn stack_left(&self) -> u32 {
        self.1.stack_left()
    }

    fn set_stack_left(&mut self, slots: u32) {
        self.1.set_stack_left(slots);
    }
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
        let entry = match (self.0, invocation.entry) {
            (Flaw::SkipsMigrations, EntryPoint::Migration) => return Ok(Vec::new()),
            (Flaw::ConstructsInsteadOfMigrating, EntryPoint::Migration) => EntryPoint::Constructor,
            (_, entry) => entry,
        };
        let invocation = Invocation { entry, arguments };
        match (self.0, self.1.call(code, &invocation, &mut Careless(self.0, host))) {
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
        Flaw::LosesFailuresOfCallees,
        Flaw::ForgetsLimitsOfCalls,
        Flaw::ForgetsThatCallsAreReadOnly,
        Flaw::CallsInItsCallersName,
        Flaw::SkipsMigrations,
        Flaw::ConstructsInsteadOfMigrating,
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
