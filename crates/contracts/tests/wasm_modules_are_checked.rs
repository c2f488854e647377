//! Modules that no contract may be are refused, with instruction and place, in bounded time; whatever the bytes, there is
//! an answer and no panic.
#![cfg(feature = "wasm")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod wasm_support;

use ledger_contracts::Runtime;
use ledger_contracts::wasm::{ModuleError, WasmRuntime, engine_error, instrument};
use ledger_core::{Rules, WasmRules};
use std::time::{Duration, Instant};
use wasm_support::{Numbers, cases, generated, generator};

fn check(text: &str) -> Result<Vec<u8>, ModuleError> {
    instrument(&wat::parse_str(text).unwrap(), &WasmRules::default())
}

fn refused(text: &str) -> String {
    match check(text) {
        Ok(_) => panic!("taken: {text}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn generated_modules_are_valid_with_their_counters() {
    let mut grown = (0, 0);
    for seed in 0..cases(200) {
        let module = generated(&generator(true), seed);
        let metered = match instrument(&module, &WasmRules::default()) {
            Ok(metered) => metered,
            // The generator puts some segments outside on purpose.
            Err(ModuleError::Segment { .. }) => continue,
            Err(error) => panic!("seed {seed}: {error}"),
        };
        wasmparser::Validator::new().validate_all(&metered).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        grown = (grown.0 + module.len(), grown.1 + metered.len());
    }
    println!("{} bytes became {}", grown.0, grown.1);
    assert!(grown.0 as u64 > cases(200) * 500);
}

#[test]
fn instructions_are_refused_by_name_and_offset() {
    for (body, name) in [
        ("(drop (f32.const 1))", "f32.const"),
        ("(drop (f64.add (f64.const 1) (f64.const 1)))", "f64.const"),
        ("(drop (f64.load (i32.const 0)))", "f64.load"),
        ("(drop (i32.trunc_sat_f32_s (f32.const 0)))", "f32.const"),
        ("(drop (i32.atomic.load (i32.const 0)))", "i32.atomic.load"),
        ("(drop (i64.atomic.rmw.add (i32.const 0) (i64.const 0)))", "i64.atomic.rmw.add"),
        ("(drop (memory.atomic.notify (i32.const 0) (i32.const 0)))", "memory.atomic.notify"),
        ("(drop (v128.load (i32.const 0)))", "0xfd 0x00 (SIMD)"),
        ("(return_call 0)", "return_call"),
        ("(drop (table.get 0 (i32.const 0)))", "table.get"),
        ("(drop (table.grow 0 (ref.null func) (i32.const 0)))", "ref.null"),
        ("(drop (table.size 0))", "table.size"),
        ("(drop (ref.func 0))", "ref.func"),
        ("(throw 0)", "throw"),
        ("(drop (struct.new_default 1))", "struct.new_default"),
        ("(drop (i64.add128 (i64.const 0) (i64.const 0) (i64.const 0) (i64.const 0))) drop", "i64.add128"),
    ] {
        let mut text = format!("(module (memory 1) (table 1 funcref) (func $f {body}))");
        if name == "throw" || name == "struct.new_default" {
            // What these name is refused as such; here the instruction alone is looked at.
            text = format!("(module (memory 1) (table 1 funcref) (func $f {body}) (type (struct)) (tag))");
            let message = refused(&text);
            assert!(message.contains("offset"), "{message}");
            continue;
        }
        let message = refused(&text);
        assert!(message.starts_with(&format!("the instruction {name} at offset ")), "{body}: {message}");
    }
    // The place is that of the instruction: header, type and function section, and in the code section size, count,
    // size of the body, locals, `nop`.
    let message = refused("(module (func nop (drop (f32.const 1))))");
    assert_eq!(message, "the instruction f32.const at offset 24 isn't supported");
}

#[test]
fn other_features_are_refused_by_name() {
    for (text, words) in [
        ("(module (func (param f32)))", "at offset 11: floating-point support is disabled"),
        ("(module (func (result f64) unreachable))", "floating-point"),
        ("(module (func (local f64)))", "a value of type f64 at offset "),
        ("(module (global f32 (f32.const 0)))", "floating-point"),
        ("(module (func (block (result f32) unreachable) drop))", "a value of type f32 at offset "),
        ("(module (func (param v128)))", "SIMD"),
        ("(module (func (param externref)))", "at offset "),
        ("(module (table 1 externref))", "at offset "),
        ("(module (memory i64 1))", "at offset "),
        ("(module (memory 1 2 shared))", "at offset "),
        ("(module (memory 1) (memory 1))", "the number of memories of 2"),
        ("(module (table 1 funcref) (table 1 funcref))", "the number of tables of 2"),
        ("(module (tag))", "tags"),
        ("(module (type (struct)))", "offset"),
        ("(module (global i32 (i32.add (i32.const 1) (i32.const 2))))", "offset"),
        (r#"(module (import "env" "abort" (func)))"#, "the import `env` `abort` isn't known"),
        (r#"(module (import "ledgerkit.1" "nothing" (func)))"#, "the import `ledgerkit.1` `nothing` isn't known"),
        (
            r#"(module (import "ledgerkit.2" "height" (func (result i64))))"#,
            "the import `ledgerkit.2` `height` isn't known",
        ),
        (r#"(module (import "ledgerkit.1" "height" (func (result i32))))"#, "the import `height` has another type"),
        (r#"(module (import "ledgerkit.1" "height" (global i64)))"#, "isn't known"),
        (r#"(module (import "ledgerkit.1" "memory" (memory 1)))"#, "isn't known"),
        (r#"(module (func (export "ledgerkit.fuel")))"#, "the export name `ledgerkit.fuel` is reserved"),
        (r#"(module (global (export "ledgerkit.") i32 (i32.const 0)))"#, "reserved"),
        (r#"(module (func (export "call_m") (param i32)))"#, "the export `call_m` must be a function without"),
        (r#"(module (func (export "construct") (result i32) unreachable))"#, "the export `construct` must be"),
        (r#"(module (memory (export "migrate") 1))"#, "the export `migrate` must be"),
        (r#"(module (memory 1) (data (i32.const 65535) "ab"))"#, "doesn't fit in its memory"),
        (r#"(module (table 1 funcref) (elem (i32.const 1) 0) (func))"#, "doesn't fit in its table"),
        ("(module (memory 257))", "the memory's size in pages of 257 is over the limit of 256"),
        ("(module (table 10001 funcref))", "a table's size of 10001 is over the limit of 10000"),
    ] {
        let message = refused(text);
        assert!(message.contains(words), "{text}: {message}");
    }
}

#[test]
fn what_compilers_emit_by_default_is_taken() {
    for text in [
        "(module)",
        r#"(module (memory 1) (func (drop (i32.extend8_s (i32.const 1))) (memory.fill (i32.const 0) (i32.const 0) (i32.const 1))))"#,
        "(module (func (result i32 i64) (i32.const 1) (i64.const 2)) (func (call 0) drop drop))",
        "(module (type $t (func (param i32) (result i32 i32))) (func (block (type $t) (i32.const 1)) drop drop) )",
        "(module (table 2 funcref) (elem (i32.const 0) func 0) (elem funcref (ref.func 0)) (func (call_indirect (i32.const 0))))",
        r#"(module (memory (export "memory") 2) (global $sp (export "__stack_pointer") (mut i32) (i32.const 65536)))"#,
    ] {
        let text = text.replace("(block (type $t) (i32.const 1))", "(i32.const 1) (block (type $t) (i32.const 1))");
        check(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
    }
    // An index of a table that is longer than needed.
    let mut module = wat::parse_str("(module (table 1 funcref) (func (call_indirect (i32.const 0))))").unwrap();
    let place = module.windows(3).position(|bytes| bytes == [0x11, 0, 0]).unwrap();
    module.splice(place + 2..=place + 2, [0x80, 0x80, 0x80, 0x80, 0]);
    let code = module.len() - (place + 2 + 5);
    let (body, section) = (place - 4, place - 6);
    assert!(code == 1 && module[section] > 0);
    module[body] += 4;
    module[section] += 4;
    instrument(&module, &WasmRules::default()).unwrap();
}

#[test]
fn exports_of_no_use_are_dropped() {
    let metered = check(
        r#"(module (memory (export "memory") 1) (table (export "t") 1 funcref) (global (export "g") i32 (i32.const 0))
            (func (export "other")) (func (export "call_m")))"#,
    )
    .unwrap();
    let mut names = Vec::new();
    for payload in wasmparser::Parser::new(0).parse_all(&metered) {
        if let wasmparser::Payload::ExportSection(reader) = payload.unwrap() {
            names.extend(reader.into_iter().map(|export| export.unwrap().name));
        }
    }
    assert_eq!(names, ["ledgerkit.fuel", "ledgerkit.stack", "ledgerkit.memory", "call_m"]);
}

/// A function that sets one of its locals on each of many conditions.
fn conditions(locals: usize, conditions: usize) -> String {
    let one = |index| format!("(if (local.get 0) (then (local.set {} (i64.const 1))))", 1 + index % locals);
    format!(
        "(module (func (param i32) (local {}) {}))",
        "i64 ".repeat(locals),
        (0..conditions).map(one).collect::<String>()
    )
}

/// A function with many a `br_table` to many labels, which takes 16 values along.
fn carrying(targets: usize, tables: usize) -> String {
    let types = "i64 ".repeat(16);
    let targets: String = (0..targets - 1).map(|index| format!("{} ", 1 + index % 50)).collect();
    let table =
        format!("(if (local.get 0) (then {} (br_table {targets} 1 (local.get 0))))", "(i64.const 1)".repeat(16));
    let blocks = format!("(block (result {types}) ").repeat(50);
    format!(
        "(module (func (param i32) (result {types}) {blocks} {} unreachable {}))",
        table.repeat(tables),
        ")".repeat(50)
    )
}

#[test]
fn what_makes_compilers_slow_is_refused_by_name() {
    let refused = |text: &str| check(text).unwrap_err();
    let work = "locals and operands times branches and labels";
    assert_eq!(
        refused(&conditions(2_000, 1_500)),
        ModuleError::Function { function: 0, what: work, found: 2_002 * 3_001, limit: 1 << 20 }
    );
    assert_eq!(
        refused(&carrying(100, 11).replace("(module", "(module (func)")).to_string(),
        "the values that the targets of br_tables take along of function 1 come to 17600, which is over the limit of 16384"
    );
    let parameters = "i32 ".repeat(17);
    let block = format!("(module (func {} (block (param {parameters}) unreachable)))", "(i32.const 0)".repeat(17));
    let message = refused(&block).to_string();
    assert!(message.starts_with("the number of a block's parameters of 17 is over the limit of 16"), "{message}");
    // Half of all the stack there is.
    let large = format!("(module (func (local {})))", "i64 ".repeat(4_000));
    let rules = WasmRules { max_stack_slots: 8_000, ..WasmRules::default() };
    let message = instrument(&wat::parse_str(&large).unwrap(), &rules).unwrap_err().to_string();
    assert!(message.starts_with("a function's stack, in slots, of 4016 is over the limit of 2000"), "{message}");
}

/// Runs `work` and says how long it took, which must not be long even without optimisation and with others at work.
fn soon<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let done = work();
    println!("{what}: {:?}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(20), "{what} took {:?}", begun.elapsed());
    done
}

#[test]
fn bombs_are_refused_or_done_in_time() {
    let rules = Rules::default();
    #[cfg_attr(not(feature = "wasmtime"), allow(unused_mut))]
    let mut runtimes = vec![WasmRuntime::wasmi().unwrap()];
    // Without optimisation the compiler itself is too slow to tell anything.
    #[cfg(feature = "wasmtime")]
    if !cfg!(debug_assertions) {
        runtimes.push(WasmRuntime::wasmtime(ledger_contracts::wasm::WasmtimeConfig::at_once()).unwrap());
    }
    let many = |piece: &str, count: usize| piece.repeat(count);
    let indexed = |count: usize, piece: &dyn Fn(usize) -> String| (0..count).map(piece).collect::<String>();
    for (what, text, taken) in [
        ("nesting", format!("(module (func {}{}))", many("block ", 5_000), many("end ", 5_000)), false),
        ("deep nesting", format!("(module (func {}{}))", many("block ", 4_000), many("end ", 4_000)), true),
        ("loops", format!("(module (func {}{}))", many("loop i32.const 1 drop ", 2_000), many("end ", 2_000)), true),
        ("targets", format!("(module (func (br_table {} (i32.const 0))))", many("0 ", 5_000)), false),
        ("all targets", format!("(module (func (block (br_table {} (i32.const 0)))))", many("0 1 ", 2_000)), true),
        ("imports", format!("(module {})", many(r#"(import "ledgerkit.1" "height" (func (result i64)))"#, 300)), false),
        ("locals", format!("(module (func (local {})))", many("i64 ", 4_097)), false),
        ("all locals", format!("(module (func (local {})))", many("i64 ", 4_096)), true),
        (
            "operands",
            format!(
                "(module (func $f (result {}) unreachable) (func {} unreachable))",
                many("i32 ", 16),
                many("call $f ", 2_100)
            ),
            false,
        ),
        (
            "many operands",
            format!(
                "(module (func $f (result {}) unreachable) (func {} unreachable))",
                many("i32 ", 16),
                many("call $f ", 500)
            ),
            true,
        ),
        ("functions", format!("(module {})", many("(func)", 10_001)), false),
        ("functions for the module's size", format!("(module {})", many("(func)", 10_000)), false),
        ("short functions", format!("(module {})", many("(func)", 256)), true),
        ("all functions", format!("(module {} (data \"{}\"))", many("(func)", 10_000), many("a", 130_000)), true),
        ("globals", format!("(module {})", many("(global i32 (i32.const 0))", 1_001)), false),
        ("types", format!("(module {})", many("(type (func))", 4_097)), false),
        ("parameters", format!("(module (func (param {})))", many("i32 ", 129)), false),
        ("results", format!("(module (func (result {}) unreachable))", many("i32 ", 17)), false),
        (
            "exports",
            format!("(module (func) {})", indexed(4_097, &|i| format!(r#"(export "call_{i}" (func 0))"#))),
            false,
        ),
        ("segments", format!("(module (memory 1) {})", many(r#"(data "")"#, 4_097)), false),
        ("a long function", format!("(module (func {}))", many("i32.const 1 drop ", 50_000)), false),
        (
            "a function that grows",
            format!("(module (func (param i32) {}))", many("local.get 0 br_if 0 ", 30_000)),
            false,
        ),
        ("too many locals by conditions", conditions(2_000, 1_500), false),
        ("many locals by conditions", conditions(500, 1_000), true),
        ("many conditions", conditions(2, 2_500), true),
        ("too many values by targets", carrying(100, 11), false),
        ("values by targets", carrying(100, 10), true),
    ] {
        let module = wat::parse_str(&text).unwrap();
        for runtime in &runtimes {
            let done = soon(what, || runtime.prepare(&module, &rules));
            assert_eq!(done.is_ok(), taken, "{what}: {:?}", done.err());
            let error = done.ok().as_ref().and_then(engine_error).map(str::to_owned);
            assert_eq!(error.filter(|error| !error.starts_with("compiling ")), None, "{what}");
        }
    }
    let large = vec![0; (1 << 20) + 1];
    let error = instrument(&large, &rules.wasm).unwrap_err().to_string();
    assert_eq!(error, "the module's size of 1048577 is over the limit of 1048576, at offset 0");
}

#[test]
fn every_truncation_has_an_answer() {
    for module in [wat::parse_str(include_str!("wasm_support/probe.wat")).unwrap(), generated(&generator(false), 3)] {
        // Only at the end of a section may it be that nothing is missed.
        let ends: Vec<usize> = wasmparser::Parser::new(0)
            .parse_all(&module)
            .filter_map(|payload| payload.unwrap().as_section().map(|(_, range)| range.end))
            .collect();
        for length in 0..module.len() {
            let done = instrument(&module[..length], &WasmRules::default());
            assert!(done.is_err() || ends.contains(&length) || length == 8, "{length}");
        }
        instrument(&module, &WasmRules::default()).unwrap();
    }
}

#[test]
fn whatever_the_bytes_there_is_an_answer_and_what_is_taken_runs_on_the_engine() {
    let rules = Rules::default();
    let runtime = WasmRuntime::wasmi().unwrap();
    let probe = wat::parse_str(include_str!("wasm_support/probe.wat")).unwrap();
    let mut numbers = Numbers(1);
    let (mut taken, count) = (0, cases(500));
    for case in 0..count {
        let mut module = if case % 2 == 0 { probe.clone() } else { generated(&generator(true), case % 64) };
        for _ in 0..1 + numbers.below(3) {
            let place = numbers.below(module.len());
            match numbers.below(4) {
                0 => module[place] ^= 1 << numbers.below(8),
                1 => module[place] = numbers.next().to_le_bytes()[0],
                2 => drop(module.remove(place)),
                _ => module.insert(place, numbers.next().to_le_bytes()[0]),
            }
        }
        // What the check lets through, the engine must take: otherwise engines would disagree.
        if instrument(&module, &rules.wasm).is_ok() {
            taken += 1;
            let code = runtime.prepare(&module, &rules).unwrap_or_else(|error| panic!("case {case}: {error}"));
            assert_eq!(engine_error(&code), None, "case {case}");
        }
    }
    assert!(taken > count / 100 && taken < count, "{taken} of {count}");
}
