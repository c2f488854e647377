//! Generated modules on every engine.

use super::{below, bytes, engines};
use crate::wasm_support::{Remembering, generator, run as call};
use arbitrary::Unstructured;
use ledger_contracts::wasm::engine_error;
use ledger_contracts::{HostError, Runtime, Trap};
use ledger_core::Rules;
use wasm_smith::Config;

/// What a method may use: enough for loops of some thousand rounds.
const FUEL: u64 = 300_000;

/// A module and what its methods are given.
pub(crate) struct Case {
    pub(crate) module: Vec<u8>,
    /// Whether it asks a host for anything.
    pub(crate) imports: bool,
    arguments: Vec<u8>,
    less: u64,
}

impl Case {
    /// What an input stands for.
    pub(crate) fn new(input: &[u8]) -> Option<Self> {
        let mut input = Unstructured::new(input);
        let imports = below(&mut input, 4) != 0;
        let config = Config { disallow_traps: below(&mut input, 4) == 0, ..generator(imports) };
        let less = below(&mut input, 200_000) as u64;
        let arguments = bytes(&mut input, 40);
        let module = wasm_smith::Module::new(config, &mut input).ok()?.to_bytes();
        Some(Case { module, imports, arguments, less })
    }
}

/// Every engine gives the same output, trap, fuel, writes and events, also with less fuel than is needed.
pub(crate) fn run(input: &[u8]) -> Vec<String> {
    let Some(Case { module, arguments, less, .. }) = Case::new(input) else { return vec!["no module".to_owned()] };
    let prepared: Vec<_> = engines().iter().map(|engine| engine.prepare(&module, &Rules::default())).collect();
    if let Some(error) = prepared.iter().find_map(|prepared| prepared.as_ref().err()) {
        assert!(prepared.iter().all(|prepared| prepared.as_ref().err() == Some(error)), "not all refuse: {error}");
        return vec!["refused".to_owned()];
    }
    let prepared: Vec<_> = prepared.into_iter().map(Result::unwrap).collect();
    // What is only slow to compile is interpreted.
    let error = |code| engine_error(code).filter(|error| !error.starts_with("compiling "));
    assert!(prepared.iter().all(|code| error(code).is_none()));
    let mut seen = Vec::new();
    for method in ["a", "b"] {
        let everywhere = |limit: u64| {
            let mut all = prepared.iter().zip(engines()).map(|(code, engine)| {
                let mut host = Remembering::new(limit);
                let done = call(engine, code, method, &arguments, &mut host);
                (done, host)
            });
            let first = all.next().unwrap();
            all.for_each(|other| assert_eq!(first, other, "method {method} with {limit} fuel"));
            first
        };
        let (done, host) = everywhere(FUEL);
        seen.push(match &done {
            Ok(_) => "done".to_owned(),
            Err(Trap::Refused { .. }) => "refused by itself".to_owned(),
            Err(Trap::Host(HostError::State(error))) => panic!("an engine failed: {error}"),
            Err(Trap::Broken { message }) => message.to_string(),
            Err(trap) => trap.to_string(),
        });
        // With less than it used, it stops for want of fuel, and the host has heard the beginning of what it heard before.
        let less = less.min(host.used.saturating_sub(1));
        let (stopped, heard) = everywhere(less);
        if !contains(&module, b"fuel_left") {
            let out_of_fuel = matches!(stopped, Err(Trap::Host(HostError::OutOfFuel { .. })));
            assert!(out_of_fuel && heard.used == less, "with {less} of {} fuel: {stopped:?}", host.used);
            // A charge that can't be paid leaves an empty entry.
            let heard = heard.calls.strip_suffix(&[String::new()]).unwrap_or(&heard.calls);
            assert!(host.calls.starts_with(heard), "{heard:?} isn't how {:?} begins", host.calls);
        }
        if !host.calls.is_empty() {
            seen.push("asked the host".to_owned());
        }
    }
    seen
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
