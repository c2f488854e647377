//! What is measured: a class for every price and every import. `tests/every_price_is_measured.rs` sees to it that none is
//! forgotten.

use std::fmt::Write;

/// How often a loop goes round.
const TURNS: u32 = 2_000;

/// One class.
pub(crate) struct Class {
    pub(crate) name: String,
    pub(crate) work: Work,
}

/// What a class does, and what is taken off to have that alone.
pub(crate) enum Work {
    /// A loop of a contract: `code` stands `times` times in each of its turns, where `base` stands once otherwise. Of several
    /// codes the one that takes longest for its fuel counts.
    Loop { times: usize, turns: u32, codes: Vec<String>, base: &'static str },
    /// Calls of a module that does nothing and has these parts; those without them are taken off. Each call has an instance
    /// of its own.
    Parts { with: String, without: String },
    /// Calls of a module that does nothing; those of a native contract are taken off.
    Instance,
    /// A native contract's calls of a contract in WebAssembly.
    FromNative,
    /// Transactions of a block with so many bytes of arguments; those without any are taken off, if there are some.
    Transactions { arguments: usize },
    /// The first call of code that is in no cache.
    FirstCall { module: Vec<u8> },
    /// The deployment of such code.
    Deployment { module: Vec<u8> },
}

fn looped(name: &str, times: usize, code: &str) -> Class {
    several(name, times, vec![code.to_owned()])
}

fn several(name: &str, times: usize, codes: Vec<String>) -> Class {
    let turns = TURNS / if times == 1 { 20 } else { 1 };
    Class { name: name.to_owned(), work: Work::Loop { times, turns, codes, base: "" } }
}

/// One of which there may be only so many in a call.
fn few(name: &str, turns: u32, code: &str, base: &'static str) -> Class {
    Class { name: name.to_owned(), work: Work::Loop { times: 1, turns, codes: vec![code.to_owned()], base } }
}

fn parts(name: &str, with: String, without: &str) -> Class {
    Class { name: format!("instance: {name}"), work: Work::Parts { with, without: without.to_owned() } }
}

/// All classes.
pub(crate) fn classes() -> Vec<Class> {
    let mut all = arithmetic();
    all.extend(control());
    all.extend(memory_and_table());
    all.extend(imports());
    all.extend(calls());
    all.extend(instances());
    all.extend(around());
    all
}

/// Every instruction that takes numbers and gives one, alone in its class or together with those that cost as much.
fn arithmetic() -> Vec<Class> {
    let unary = |ty: &str, op: &str| match ty {
        "i64" => format!("(local.set $x (i64.{op} (local.get $x)))"),
        _ => format!("(local.set $n1 (i32.{op} (local.get $n1)))"),
    };
    let binary = |ty: &str, op: &str| match ty {
        "i64" => format!("(local.set $x (i64.{op} (local.get $x) (local.get $y)))"),
        _ => format!("(local.set $n1 (i32.{op} (local.get $n1) (local.get $n2)))"),
    };
    let compared = |ty: &str, op: &str| match ty {
        "i64" => format!("(local.set $n1 (i64.{op} (local.get $x) (local.get $y)))"),
        _ => format!("(local.set $n1 (i32.{op} (local.get $n1) (local.get $n2)))"),
    };
    // Neither zero nor the one quotient that has no place can come out of these divisors.
    let divided = |ty: &str, op: &str| match ty {
        "i64" => format!(
            "(local.set $x (i64.{op} (local.get $y) (i64.or (i64.shr_u (local.get $x) (i64.const 1)) (i64.const 1))))"
        ),
        _ => format!(
            "(local.set $n1 (i32.{op} (local.get $n2) (i32.or (i32.shr_u (local.get $n1) (i32.const 1)) (i32.const 1))))"
        ),
    };
    let both = |one: &dyn Fn(&str, &str) -> String, ops: &[&str]| -> Vec<String> {
        ["i32", "i64"].iter().flat_map(|ty| ops.iter().map(|op| one(ty, op)).collect::<Vec<_>>()).collect()
    };
    let mut counted = both(&unary, &["clz", "ctz", "popcnt", "extend8_s", "extend16_s"]);
    counted.push(unary("i64", "extend32_s"));
    let mut converted = vec![
        "(local.set $n1 (i32.wrap_i64 (local.get $x)))".to_owned(),
        "(local.set $x (i64.extend_i32_s (local.get $n1)))".to_owned(),
        "(local.set $x (i64.extend_i32_u (local.get $n1)))".to_owned(),
        "(local.set $n1 (i64.eqz (local.get $x)))".to_owned(),
        "(local.set $n1 (i32.eqz (local.get $n1)))".to_owned(),
    ];
    converted.push(
        "(local.set $x (i64.add (local.get $x) (i64.extend_i32_u (i64.lt_u (i64.clz (local.get $x)) (local.get $y)))))"
            .to_owned(),
    );
    let comparisons = ["eq", "ne", "lt_s", "lt_u", "gt_s", "gt_u", "le_s", "le_u", "ge_s", "ge_u"].as_slice();
    vec![
        looped("basic: add a constant", 100, "(local.set $x (i64.add (local.get $x) (i64.const 12345)))"),
        several("basic: add, sub, and, or, xor", 100, both(&binary, &["add", "sub", "and", "or", "xor"])),
        several("basic: shifts", 100, both(&binary, &["shl", "shr_s", "shr_u", "rotl", "rotr"])),
        several("basic: count, extend", 100, counted),
        several("basic: convert, test", 100, converted),
        several("basic: compare", 100, both(&compared, comparisons)),
        looped(
            "basic: select",
            100,
            "(local.set $x (select (local.get $y) (local.get $x) (i32.wrap_i64 (local.get $x))))",
        ),
        looped(
            "basic: locals, drop",
            100,
            "(drop (local.tee $x (local.get $y))) (local.set $y (local.get $z)) (local.set $z (local.get $x))",
        ),
        several("multiply", 100, both(&binary, &["mul"])),
        several("divide", 100, both(&divided, &["div_u", "div_s", "rem_u", "rem_s"])),
    ]
}

fn control() -> Vec<Class> {
    let targets = |count: usize| {
        let labels: String = (0..count).map(|index| if index % 2 == 0 { "0 " } else { "1 " }).collect();
        format!(
            "(block (block (br_table {labels} 1 (i32.and (i32.wrap_i64 (local.get $x)) (i32.const 4095))))
                (local.set $x (i64.add (local.get $x) (i64.const 1))))
             (local.set $x (i64.add (local.get $x) (i64.const 3)))"
        )
    };
    let sixteen = |what: &str| format!("{} {what} {}", "(local.get $x) ".repeat(16), "drop ".repeat(16));
    vec![
        looped(
            "branch: if, else",
            100,
            "(if (i32.wrap_i64 (local.get $x)) (then (local.set $x (i64.const 0))) (else (local.set $x (i64.const 1))))",
        ),
        looped("branch: if", 100, "(if (i32.wrap_i64 (local.get $y)) (then (local.set $y (local.get $x))))"),
        looped("branch: empty if", 100, "(if (local.get $n1) (then))"),
        looped("branch: if with a value", 100, "(local.set $x (if (result i64) (i32.wrap_i64 (local.get $x)) (then (i64.const 2)) (else (local.get $y))))"),
        looped("branch: br_if", 100, "(block (br_if 0 (i32.wrap_i64 (local.get $y))) (local.set $x (i64.const 1)))"),
        looped("branch: br_if, not taken", 100, "(block (br_if 0 (local.get $zero)) (local.set $x (i64.const 1)))"),
        looped("branch: br", 100, "(block (br 0))"),
        looped("branch: br with a value", 100, "(local.set $x (block (result i64) (br 0 (local.get $y))))"),
        looped(
            "branch: br_if with a value",
            100,
            "(local.set $x (block (result i64) (br_if 0 (local.get $y) (i32.wrap_i64 (local.get $x)))))",
        ),
        looped("branch: br with 16 values", 20, &format!("(block (type $sixteen) {} (br 0)) {}", "(local.get $x) ".repeat(16), "drop ".repeat(16))),
        looped("branch: loop that takes 16 values", 20, &sixteen("(loop (type $through))")),
        looped("branch: loop that takes a value", 100, "(local.get $x) (loop (param i64) (result i64)) (local.set $x)"),
        looped("branch: loops, one behind the other", 100, "(loop (drop (local.get $x)))"),
        looped("branch: return", 100, "(call $returns)"),
        looped("branch: return 16 values", 20, &format!("(call $many) {}", "drop ".repeat(16))),
        looped(
            "branch_table",
            100,
            "(block (block (block (br_table 0 1 2 (i32.and (i32.wrap_i64 (local.get $x)) (i32.const 3))))) (local.set $x (i64.add (local.get $x) (i64.const 1))))",
        ),
        looped("branch_table: 4,000 targets", 1, &targets(4_000)),
        looped("branch_table: 100 targets", 20, &targets(100)),
        looped(
            "branch_table with a value",
            100,
            "(local.set $x (block $out (result i64) (i64.add (block $in (result i64)
                (br_table $in $out $in (local.get $x) (i32.and (i32.wrap_i64 (local.get $x)) (i32.const 3)))) (i64.const 1))))",
        ),
        looped("call", 100, "(call $nothing)"),
        looped("call: 100 locals", 100, "(call $locals)"),
        looped("call: 16 parameters", 20, &format!("{} (call $takes)", "(local.get $x) ".repeat(16))),
        looped("call_indirect", 100, "(call_indirect (type $empty) (i32.const 0))"),
        looped("global", 100, "(global.set $g (i64.add (global.get $g) (local.get $x)))"),
    ]
}

fn memory_and_table() -> Vec<Class> {
    let at = "(i32.and (i32.wrap_i64 (local.get $x)) (i32.const 65528))";
    let mut loads = Vec::new();
    for op in ["load", "load8_s", "load8_u", "load16_s", "load16_u"] {
        loads.push(format!("(local.set $x (i64.extend_i32_u (i32.{op} {at})))"));
        loads.push(format!("(local.set $x (i64.{op} {at}))"));
    }
    loads.extend(["load32_s", "load32_u"].map(|op| format!("(local.set $x (i64.{op} {at}))")));
    let mut stores: Vec<String> =
        ["store", "store8", "store16", "store32"].iter().map(|op| format!("(i64.{op} {at} (local.get $y))")).collect();
    stores.extend(["store", "store8", "store16"].map(|op| format!("(i32.{op} {at} (local.get $n1))")));
    let touch: String =
        (0..16).map(|index| format!("(i64.store offset={} (local.get $n1) (local.get $y))", index * 4_096)).collect();
    vec![
        several("load", 100, loads),
        looped(
            "load: far apart",
            100,
            "(local.set $x (i64.add (i64.load (i32.and (i32.wrap_i64 (local.get $x)) (i32.const 4194296))) (i64.add (local.get $x) (i64.const 1234567))))",
        ),
        several("store", 100, stores),
        looped("memory.size", 100, "(drop (memory.size))"),
        looped("memory.grow by nothing", 20, "(drop (memory.grow (i32.const 0)))"),
        few(
            "memory.grow by a page, written to",
            150,
            &format!("(local.set $n1 (i32.shl (memory.grow (i32.const 1)) (i32.const 16))) {touch}"),
            "",
        ),
        looped("memory.fill 64", 50, "(memory.fill (i32.const 4096) (i32.const 7) (i32.const 64))"),
        looped("memory.fill 64 KiB", 1, "(memory.fill (i32.const 4096) (i32.const 7) (i32.const 65536))"),
        looped("memory.copy 1", 50, "(memory.copy (i32.const 4096) (i32.const 8192) (i32.const 1))"),
        looped("memory.copy 64 KiB", 1, "(memory.copy (i32.const 4096) (i32.const 1048576) (i32.const 65536))"),
        looped("memory.init 1", 50, "(memory.init $passive (i32.const 4096) (i32.const 0) (i32.const 1))"),
        looped("memory.init 32 KiB", 1, "(memory.init $passive (i32.const 4096) (i32.const 0) (i32.const 32768))"),
        looped("data.drop", 50, "(data.drop $dropped)"),
        looped("table.init of nothing", 50, "(table.init $entries (i32.const 0) (i32.const 0) (i32.const 0))"),
        looped("table.init 1,000", 1, "(table.init $entries (i32.const 0) (i32.const 0) (i32.const 1000))"),
        looped("table.copy of nothing", 50, "(table.copy (i32.const 0) (i32.const 0) (i32.const 0))"),
        looped("table.copy 1,000", 1, "(table.copy (i32.const 0) (i32.const 500) (i32.const 1000))"),
        looped("elem.drop", 50, "(elem.drop $gone)"),
    ]
}

fn imports() -> Vec<Class> {
    vec![
        looped("arguments", 10, "(call $arguments (i32.const 4096) (i32.const 0) (i32.const 9))"),
        looped("arguments_len", 10, "(drop (call $arguments_len))"),
        looped("result: 1 KiB", 10, "(call $result (i32.const 4096) (i32.const 0) (i32.const 1024))"),
        looped("result_len", 10, "(drop (call $result_len))"),
        looped("caller", 10, "(call $caller (i32.const 4096))"),
        looped("contract", 10, "(call $contract (i32.const 4096))"),
        looped("chain", 10, "(call $chain (i32.const 4096))"),
        looped("transaction", 10, "(drop (call $transaction (i32.const 4096)))"),
        looped("height", 10, "(drop (call $height))"),
        looped("timestamp", 10, "(drop (call $timestamp))"),
        looped("is_read_only", 10, "(drop (call $is_read_only))"),
        looped("fuel_left", 10, "(drop (call $fuel_left))"),
        looped("charge", 10, "(call $charge (i64.const 0))"),
        looped("get: absent", 10, "(drop (call $get (i32.const 128) (i32.const 32)))"),
        looped("get: 1 KiB", 10, "(drop (call $get (i32.const 160) (i32.const 32)))"),
        looped("get: 100 KB", 1, "(drop (call $get (i32.const 416) (i32.const 32)))"),
        looped("put: 32 bytes", 10, "(call $put (i32.const 192) (i32.const 32) (i32.const 4096) (i32.const 32))"),
        looped("put: 1 KiB", 10, "(call $put (i32.const 192) (i32.const 32) (i32.const 4096) (i32.const 1024))"),
        looped("delete", 10, "(call $delete (i32.const 224) (i32.const 32))"),
        looped(
            "scan: 10 entries",
            2,
            "(drop (call $scan (i32.const 0) (i32.const 0) (i32.const 0) (i32.const -1) (i32.const 10)))",
        ),
        looped(
            "scan: nothing",
            10,
            "(drop (call $scan (i32.const 128) (i32.const 32) (i32.const 128) (i32.const 32) (i32.const 10)))",
        ),
        looped("hash_blake3: 32 bytes", 10, "(call $hash_blake3 (i32.const 128) (i32.const 32) (i32.const 4096))"),
        looped("hash_blake3: 64 KiB", 1, "(call $hash_blake3 (i32.const 128) (i32.const 65536) (i32.const 131072))"),
        looped("hash_sha256: 32 bytes", 10, "(call $hash_sha256 (i32.const 128) (i32.const 32) (i32.const 4096))"),
        looped("hash_sha256: 64 KiB", 1, "(call $hash_sha256 (i32.const 128) (i32.const 65536) (i32.const 131072))"),
        looped(
            "verify_ed25519",
            1,
            "(drop (call $verify_ed25519 (i32.const 256) (i32.const 0) (i32.const 32) (i32.const 1024)))",
        ),
        looped("return: 1 KiB", 10, "(call $return (i32.const 4096) (i32.const 1024))"),
        // The events of a transaction are limited.
        few(
            "emit: 100 bytes",
            1_000,
            "(call $emit (i32.const 128) (i32.const 4) (i32.const 4096) (i32.const 100))",
            "",
        ),
        few("emit: 10 KB", 1_000, "(call $emit (i32.const 128) (i32.const 4) (i32.const 4096) (i32.const 10000))", ""),
    ]
}

/// A call of another contract: where its id stands, and where its method's name, of so many bytes.
macro_rules! call {
    ($contract:literal, $method:literal, $length:literal, $flags:literal) => {
        concat!(
            "(drop (call $call (i32.const ",
            $contract,
            ") (i32.const ",
            $method,
            ") (i32.const ",
            $length,
            ") (i32.const 0) (i32.const 0) (i64.const -1) (i32.const ",
            $flags,
            ")))"
        )
    };
}

fn calls() -> Vec<Class> {
    vec![
        few("call: a contract in WebAssembly", 1_000, call!(320, 384, 7, 0), ""),
        few("call: a native contract", 1_000, call!(352, 384, 7, 0), ""),
        few("call: one that isn't there", 1_000, call!(128, 384, 7, 0), ""),
        few("call: a method that isn't there", 1_000, call!(320, 384, 3, 0), ""),
        few("call: itself, read-only", 1_000, call!(480, 384, 7, 1), ""),
        few("refuse, in a call", 1_000, call!(320, 391, 7, 0), ""),
        Class { name: "call: WebAssembly from a native contract".to_owned(), work: Work::FromNative },
    ]
}

fn instances() -> Vec<Class> {
    let many = |count: usize, one: &dyn Fn(usize) -> String| (0..count).map(one).collect::<String>();
    let import = |_| r#"(import "ledgerkit.1" "height" (func (result i64)))"#.to_owned();
    let memory =
        |pages: usize, size: usize| format!(r#"(memory {pages}) (data (i32.const 0) "{}")"#, "\\01".repeat(size));
    vec![
        Class { name: "instance".to_owned(), work: Work::Instance },
        parts("1,000 functions", "(func)".repeat(1_000), ""),
        parts("900 globals", "(global (mut i64) (i64.const 1))".repeat(900), ""),
        parts("200 imports", many(200, &import), ""),
        parts(
            "1,000 methods",
            many(1_000, &|index| format!(r#"(func (export "call_m{index}"))"#)),
            &"(func)".repeat(1_000),
        ),
        parts(
            "1,000 segments of data",
            format!("(memory 1) {}", many(1_000, &|index| format!(r#"(data (i32.const {}) "a")"#, index * 60))),
            "(memory 1)",
        ),
        parts(
            "1,000 segments of entries",
            format!("(table 10000 funcref) {}", many(1_000, &|index| format!("(elem (i32.const {index}) $f)"))),
            "(table 10000 funcref)",
        ),
        parts("10,000 entries", format!("(table 10000 funcref) (elem (i32.const 0) {})", "$f ".repeat(10_000)), ""),
        parts("a table of 10,000 without entries", "(table 10000 funcref)".to_owned(), ""),
        parts("60 KB of data", memory(1, 60_000), "(memory 1)"),
        parts("1 page", "(memory 1)".to_owned(), ""),
        parts("100 pages", "(memory 100)".to_owned(), ""),
    ]
}

/// What isn't an instruction: transactions and their code.
fn around() -> Vec<Class> {
    let mut all = vec![
        Class { name: "transaction".to_owned(), work: Work::Transactions { arguments: 0 } },
        Class { name: "transaction: 10 KB of arguments".to_owned(), work: Work::Transactions { arguments: 10_000 } },
    ];
    for (name, module) in shapes() {
        let Ok(size) = u32::try_from(module.len()) else { continue };
        let kb = size / 1_000;
        all.push(Class {
            name: format!("new code: {name}, {kb} KB"),
            work: Work::FirstCall { module: module.clone() },
        });
        all.push(Class { name: format!("deployment: {name}, {kb} KB"), work: Work::Deployment { module } });
    }
    all
}

/// Modules of different shapes, with a method `nothing`.
pub(crate) fn shapes() -> Vec<(&'static str, Vec<u8>)> {
    let module =
        |text: String| wat::parse_str(format!(r#"(module (func $f) {text} (func (export "call_nothing")))"#)).unwrap();
    let mut mixed = String::from("(memory 1) (func $f0 (param i32) (result i32) (local.get 0))");
    let body = "(if (i32.and (local.get 0) (i32.const 1)) (then (local.set 1 (i32.mul (local.get 0) (i32.const 3))))
            (else (i32.store (i32.and (local.get 0) (i32.const 1020)) (local.get 1))))
        (block $out (br_if $out (i32.lt_u (local.get 1) (i32.const 100)))
            (local.set 1 (i32.xor (local.get 1) (i32.load (i32.and (local.get 1) (i32.const 1020))))))";
    for index in 1..=190 {
        let _ = write!(
            mixed,
            "(func $f{index} (param i32) (result i32) (local i32) {} (call $f{} (local.get 1)))",
            body.repeat(4),
            index - 1
        );
    }
    let branches = "(br_if 0 (i32.const 0))".repeat(600);
    vec![
        ("mixed", module(mixed)),
        ("functions", module("(func (result i64) (i64.add (i64.const 1) (i64.const 1000000)))".repeat(700))),
        (
            "empty functions",
            module(format!(r#"(memory 1) (data (i32.const 0) "{}") {}"#, "a".repeat(32_000), "(func)".repeat(2_000))),
        ),
        ("branches", module(format!("(func {branches})").repeat(16))),
        ("blocks", module(format!("(func {} {})", "block ".repeat(1_000), "end ".repeat(1_000)).repeat(16))),
        ("constants", module(format!("(func {})", "(drop (i32.const 1))".repeat(8_000)).repeat(2))),
        ("calls", module(format!("(func {})", "(call $f)".repeat(8_000)).repeat(2))),
        ("targets", module(format!("(func (block (br_table {} 0 (i32.const 1))))", "0 ".repeat(4_000)).repeat(10))),
        (
            "methods",
            module(
                (0..1_500)
                    .map(|index| format!(r#"(func (export "call_m{index}") (drop (i64.const 1000000000000)))"#))
                    .collect(),
            ),
        ),
        (
            "types",
            module(
                (0..4_000)
                    .map(|index| format!("(type (func (param {})))", if index % 2 == 0 { "i32" } else { "i64 i64" }))
                    .collect(),
            ),
        ),
        ("segments", module(format!("(memory 1) {}", r#"(data (i32.const 0) "")"#.repeat(4_000)))),
        ("locals", module("(func (local i64 i32 i64 i32 i64 i32 i64 i32) (local.set 0 (i64.const 1)))".repeat(1_500))),
        ("loops", module(format!("(func {})", "(loop (drop (i32.const 0)))".repeat(1_000)).repeat(6))),
        (
            "indirect calls",
            module(format!(
                "(table 1 funcref) {}",
                format!("(func {})", "(call_indirect (i32.const 0))".repeat(400)).repeat(16)
            )),
        ),
        ("conditions", module(format!("(func {})", "(if (i32.const 0) (then) (else))".repeat(800)).repeat(6))),
        ("globals", module("(global (mut i64) (i64.const 1))".repeat(900))),
        ("data", module(format!(r#"(memory 1) (data (i32.const 0) "{}")"#, "a".repeat(60_000)))),
    ]
}

/// The contract that the classes with calls call: `nothing`, and `refuses`.
pub(crate) fn callee() -> Vec<u8> {
    let text = r#"(module (import "ledgerkit.1" "refuse" (func $refuse (param i32 i32 i32))) (memory 1)
        (func (export "call_nothing")) (func (export "call_refuses") (call $refuse (i32.const 7) (i32.const 0) (i32.const 32))))"#;
    wat::parse_str(text).unwrap()
}

/// Where the ids of contracts stand in a [`looping`] module.
pub(crate) struct Others {
    pub(crate) wasm: [u8; 32],
    pub(crate) native: [u8; 32],
    pub(crate) key: [u8; 32],
}

/// The imports' types, by their names.
pub(crate) const TYPES: &[(&str, &str)] = &[
    ("arguments", "(param i32 i32 i32)"),
    ("arguments_len", "(result i32)"),
    ("result", "(param i32 i32 i32)"),
    ("result_len", "(result i32)"),
    ("get", "(param i32 i32) (result i64)"),
    ("put", "(param i32 i32 i32 i32)"),
    ("delete", "(param i32 i32)"),
    ("scan", "(param i32 i32 i32 i32 i32) (result i32)"),
    ("emit", "(param i32 i32 i32 i32)"),
    ("caller", "(param i32)"),
    ("contract", "(param i32)"),
    ("chain", "(param i32)"),
    ("transaction", "(param i32) (result i32)"),
    ("height", "(result i64)"),
    ("timestamp", "(result i64)"),
    ("is_read_only", "(result i32)"),
    ("fuel_left", "(result i64)"),
    ("charge", "(param i64)"),
    ("hash_blake3", "(param i32 i32 i32)"),
    ("hash_sha256", "(param i32 i32 i32)"),
    ("verify_ed25519", "(param i32 i32 i32 i32) (result i32)"),
    ("call", "(param i32 i32 i32 i32 i32 i64 i32) (result i64)"),
    ("return", "(param i32 i32)"),
];

/// A module whose method `work` does `code` `times` times in each turn of its loop. `$x` changes from turn to turn, so no
/// compiler knows what comes out. Keys: at 160 one with 1 KiB, at 416 one with 100 KB.
pub(crate) fn looping(times: usize, code: &str, turns: u32, others: &Others) -> Vec<u8> {
    let module = "ledgerkit.1";
    let imports: String =
        TYPES.iter().map(|(name, ty)| format!(r#"(import "{module}" "{name}" (func ${name} {ty}))"#)).collect();
    let escaped = |bytes: &[u8]| bytes.iter().map(|byte| format!("\\{byte:02x}")).collect::<String>();
    let body = code.repeat(times);
    let fill: String = (0..16)
        .map(|index| {
            format!(
                "(i32.store8 (i32.const 4096) (i32.const {index})) (call $put (i32.const 4096) (i32.const 1) \
                 (i32.const 8192) (i32.const 32))"
            )
        })
        .collect();
    let text = format!(
        r#"(module {imports} (type $empty (func))
        (type $sixteen (func (result {sixteen}))) (type $through (func (param {sixteen}) (result {sixteen})))
        (memory (export "memory") 65) (table 2000 funcref) (elem (i32.const 0) $nothing)
        (elem $entries func {entries}) (elem $gone func $nothing)
        (global $g (mut i64) (i64.const 1))
        (data (i32.const 128) "aaaa") (data (i32.const 160) "b") (data (i32.const 192) "c") (data (i32.const 224) "d")
        (data (i32.const 256) "{key}") (data (i32.const 320) "{wasm}") (data (i32.const 352) "{native}")
        (data (i32.const 384) "nothingrefuses") (data (i32.const 416) "e")
        (data $passive "{passive}") (data $dropped "a")
        (func $nothing) (func $returns (return))
        (func $takes (param {sixteen}))
        (func $many (type $sixteen) {numbers} (return))
        (func $locals (local {locals}))
        (func (export "construct") (call $put (i32.const 160) (i32.const 32) (i32.const 8192) (i32.const 1024))
            (call $put (i32.const 416) (i32.const 32) (i32.const 8192) (i32.const 100000)) {fill})
        (func (export "call_nothing"))
        (func (export "call_work") (local $x i64) (local $y i64) (local $z i64) (local $n i32)
            (local $n1 i32) (local $n2 i32) (local $zero i32)
            (call $contract (i32.const 480))
            (drop (call $get (i32.const 160) (i32.const 32)))
            (local.set $x (i64.const 88172645463325252)) (local.set $y (i64.const 1442695040888963407))
            (local.set $n1 (i32.const 123456789)) (local.set $n2 (i32.const 987654321))
            (loop $turn {body}
                (br_if $turn (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const {turns}))))
            (global.set $g (i64.add (i64.add (local.get $x) (local.get $y))
                (i64.add (local.get $z) (i64.extend_i32_u (i32.add (local.get $n1) (local.get $n2))))))))"#,
        sixteen = "i64 ".repeat(16),
        entries = "$nothing ".repeat(1_000),
        key = escaped(&others.key),
        wasm = escaped(&others.wasm),
        native = escaped(&others.native),
        passive = "a".repeat(32_768),
        numbers = "(i64.const 5) ".repeat(16),
        locals = "i64 ".repeat(100),
    );
    wat::parse_str(&text).unwrap()
}

/// A module with a method `nothing` and these parts, of which no used instance is made like new.
pub(crate) fn with_parts(parts: &str) -> Vec<u8> {
    let rest = r#"(func $f) (elem $passive func $f) (func (elem.drop $passive)) (func (export "call_nothing"))"#;
    // There may be so many functions only in a module of some length.
    let length = format!("(func {})", "(drop (i32.const 1000000))".repeat(4_000));
    wat::parse_str(format!("(module {parts} {rest} {length})")).unwrap()
}
