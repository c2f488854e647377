//! What fuzzing has found, each as the smallest case that shows it.
#![cfg(feature = "wasm")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod fuzz_support;
mod wasm_support;

use fuzz_support::ledgers::{account, alice, ledgers};
use ledger_contracts::wasm::{WASM, instrument};
use ledger_core::codec::Bytes;
use ledger_core::{Call, Executor, Failure, Fuel, Status, WasmRules};

/// Found by `host_calls`: with as much fuel as it used, a transaction ended where a callee used up a limit that then was
/// exactly what was left, instead of going on as it did with more.
#[test]
fn a_limit_that_is_all_that_is_left_is_still_the_callees_own() {
    let text = r#"(module
        (import "ledgerkit.1" "arguments" (func $arguments (param i32 i32 i32)))
        (import "ledgerkit.1" "call" (func $call (param i32 i32 i32 i32 i32 i64 i32) (result i64)))
        (memory 1) (data (i32.const 32) "spin")
        (func (export "call_m")
            (call $arguments (i32.const 0) (i32.const 0) (i32.const 32))
            (drop (call $call (i32.const 0) (i32.const 32) (i32.const 4) (i32.const 0) (i32.const 0)
                (i64.const 10000) (i32.const 0)))))"#;
    let (all, residents) = ledgers();
    for mut ledger in all.into_iter().map(|ledger| ledger.ledger) {
        let contract = ledger.deploy(alice(), WASM, &wat::parse_str(text).unwrap(), b"").unwrap();
        let with = |fuel_limit: Fuel| {
            let arguments = Bytes::from(residents.friend.0.as_bytes().as_slice());
            let call = Call { account: account(alice()), contract, method: "m".to_owned(), arguments, fuel_limit };
            ledger.executor.simulate(&call, &ledger.context(), &ledger.state).unwrap()
        };
        let whole = with(Fuel(1_000_000));
        assert_eq!(whole.status, Status::Succeeded);
        assert_eq!(with(whole.fuel_used), whole);
        let limit = Fuel(whole.fuel_used.0 - 1);
        assert_eq!(with(limit).status, Status::Failed(Failure::OutOfFuel { limit }));
    }
}

/// Found by `prepare`, for its memory (`fuzz_prepare_is_frugal` has the same module): a group of a million types takes a few
/// bytes to claim, and the parser reserved 64 bytes for each before it looked for the first.
#[test]
fn a_group_of_types_is_refused_before_it_is_read() {
    let section = |content: &[u8]| {
        let length = u8::try_from(content.len()).unwrap();
        [b"\0asm\x01\0\0\0".as_slice(), &[1, length], content].concat()
    };
    let million = [0x4e, 0xc0, 0x84, 0x3d];
    for (types, offset) in [([&[1], &million[..]].concat(), 11), ([&[2, 0x60, 0, 0], &million[..]].concat(), 14)] {
        let refused = instrument(&section(&types), &WasmRules::default()).unwrap_err();
        assert_eq!(refused.to_string(), format!("a group of types at offset {offset} isn't supported"));
    }
}

/// Found by `differential`: a condition that takes a value along and has no second arm failed an assertion of wasmi's, so
/// that a node with assertions could be stopped by a deployment. The workspace builds wasmi without them; here is that what
/// it compiles is right.
#[test]
fn a_condition_with_a_value_and_one_arm_gives_the_value_that_it_should() {
    let text = r#"(module
        (import "ledgerkit.1" "return" (func $return (param i32 i32)))
        (memory 1)
        (global $g (mut i32) (i32.const 3))
        (func $one (result i32) (i32.const 1))
        (func $give (param i32)
            (i32.store8 (i32.const 0) (local.get 0))
            (call $return (i32.const 0) (i32.const 1)))
        (func (export "call_trap") (local i32)
            (drop (global.get $g) (local.get 0)
                (if (param i32) (result i32) (then (drop) (call $one) (unreachable)))))
        (func (export "call_passed") (local i32)
            (global.get $g) (local.get 0) (if (param i32) (result i32) (then (drop) (call $one))) (call $give))
        (func (export "call_taken") (local i32)
            (global.get $g) (i32.const 1) (if (param i32) (result i32) (then (drop) (call $one))) (call $give))
        (func (export "call_branched") (local i32)
            (global.get $g) (i32.const 1)
            (if (param i32) (result i32) (then (i32.const 4) (i32.add) (br_if 0 (global.get $g)) (drop) (call $one)))
            (call $give)))"#;
    let (all, _) = ledgers();
    for mut ledger in all.into_iter().map(|ledger| ledger.ledger) {
        let contract = ledger.deploy(alice(), WASM, &wat::parse_str(text).unwrap(), b"").unwrap();
        for (method, value) in [("trap", 3), ("passed", 3), ("taken", 1), ("branched", 7)] {
            if method == "trap" {
                // The condition doesn't hold, so nothing traps.
                assert!(ledger.call(alice(), contract, method, b"").unwrap().receipt.succeeded());
                continue;
            }
            let done = ledger.simulate(account(alice()), contract, method, b"").unwrap();
            assert_eq!((done.status, done.output.to_vec()), (Status::Succeeded, vec![value]), "{method}");
        }
    }
}
