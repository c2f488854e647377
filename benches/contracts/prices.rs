//! What a unit of fuel takes, for every class of instruction and every import.
//!
//! A loop of 2,000 turns has the measured instructions many times over; the same loop without them is taken off, from time
//! and from fuel.

use super::Figures;
use super::guests::{Guest, Machine};
use ledgerkit::contracts::wasm::MODULE;
use std::collections::BTreeMap;

/// How often a loop goes round.
const TURNS: u32 = 2_000;

/// One class: its name, how often its instructions stand in the loop, and they themselves. They leave the stack as it was.
struct Class {
    name: &'static str,
    times: usize,
    code: &'static str,
}

const fn class(name: &'static str, times: usize, code: &'static str) -> Class {
    Class { name, times, code }
}

/// `$x` changes from turn to turn, so no compiler knows what comes out.
const CLASSES: &[Class] = &[
    class("basic: add", 100, "(local.set $x (i64.add (local.get $x) (i64.const 12345)))"),
    class("basic: shift, or", 100, "(local.set $x (i64.or (i64.rotl (local.get $x) (i64.const 5)) (i64.const 3)))"),
    class("basic: select", 100, "(local.set $x (select (local.get $y) (local.get $x) (i32.wrap_i64 (local.get $x))))"),
    class(
        "basic: clz, compare",
        100,
        "(local.set $x (i64.add (local.get $x) (i64.extend_i32_u (i64.lt_u (i64.clz (local.get $x)) (local.get $y)))))",
    ),
    class("multiply", 100, "(local.set $x (i64.mul (local.get $x) (local.get $y)))"),
    class("divide", 100, "(local.set $x (i64.div_u (local.get $y) (i64.or (local.get $x) (i64.const 1))))"),
    class("load", 100, "(local.set $x (i64.load (i32.and (i32.wrap_i64 (local.get $x)) (i32.const 65528))))"),
    class(
        "load: far apart",
        100,
        "(local.set $x (i64.add (i64.load (i32.and (i32.wrap_i64 (local.get $x)) (i32.const 4194296))) (i64.add (local.get $x) (i64.const 1234567))))",
    ),
    class("store", 100, "(i64.store (i32.and (i32.wrap_i64 (local.get $x)) (i32.const 65528)) (local.get $y))"),
    class("global", 100, "(global.set $g (i64.add (global.get $g) (local.get $x)))"),
    class(
        "branch: if",
        100,
        "(if (i32.wrap_i64 (local.get $x)) (then (local.set $x (i64.const 0))) (else (local.set $x (i64.const 1))))",
    ),
    class("branch: br_if", 100, "(block (br_if 0 (i32.wrap_i64 (local.get $y))) (local.set $x (i64.const 1)))"),
    class(
        "branch_table",
        100,
        "(block (block (block (br_table 0 1 2 (i32.and (i32.wrap_i64 (local.get $x)) (i32.const 3))))) (local.set $x (i64.add (local.get $x) (i64.const 1))))",
    ),
    class("call", 100, "(call $nothing)"),
    class("call: 100 locals", 100, "(call $locals)"),
    class("call_indirect", 100, "(call_indirect (type $empty) (i32.const 0))"),
    class("memory.size", 100, "(drop (memory.size))"),
    class("memory.grow by nothing", 20, "(drop (memory.grow (i32.const 0)))"),
    class("memory.fill 64", 50, "(memory.fill (i32.const 4096) (i32.const 7) (i32.const 64))"),
    class("memory.fill 64 KiB", 1, "(memory.fill (i32.const 4096) (i32.const 7) (i32.const 65536))"),
    class("memory.copy 1", 50, "(memory.copy (i32.const 4096) (i32.const 8192) (i32.const 1))"),
    class("memory.copy 64 KiB", 1, "(memory.copy (i32.const 4096) (i32.const 1048576) (i32.const 65536))"),
    class("arguments", 10, "(call $arguments (i32.const 4096) (i32.const 0) (i32.const 9))"),
    class("caller", 10, "(call $caller (i32.const 4096))"),
    class("height", 10, "(drop (call $height))"),
    class("fuel_left", 10, "(drop (call $fuel_left))"),
    class("get: absent", 10, "(drop (call $get (i32.const 128) (i32.const 32)))"),
    class("get: 1 KiB", 10, "(drop (call $get (i32.const 160) (i32.const 32)))"),
    class("put: 32 bytes", 10, "(call $put (i32.const 192) (i32.const 32) (i32.const 4096) (i32.const 32))"),
    class("put: 1 KiB", 10, "(call $put (i32.const 192) (i32.const 32) (i32.const 4096) (i32.const 1024))"),
    class("delete", 10, "(call $delete (i32.const 224) (i32.const 32))"),
    class(
        "scan: 10 entries",
        2,
        "(drop (call $scan (i32.const 0) (i32.const 0) (i32.const 0) (i32.const -1) (i32.const 10)))",
    ),
    class("hash_blake3: 32 bytes", 10, "(call $blake3 (i32.const 128) (i32.const 32) (i32.const 4096))"),
    class("hash_blake3: 64 KiB", 1, "(call $blake3 (i32.const 128) (i32.const 65536) (i32.const 131072))"),
    class("hash_sha256: 32 bytes", 10, "(call $sha256 (i32.const 128) (i32.const 32) (i32.const 4096))"),
    class("hash_sha256: 64 KiB", 1, "(call $sha256 (i32.const 128) (i32.const 65536) (i32.const 131072))"),
    class("verify_ed25519", 1, "(drop (call $verify (i32.const 256) (i32.const 0) (i32.const 32) (i32.const 288)))"),
];

/// The event count of a transaction is limited, so these go round less often.
const EMIT: Class =
    class("emit: 100 bytes", 1, "(call $emit (i32.const 128) (i32.const 4) (i32.const 4096) (i32.const 100))");

/// A module whose method does `code` `times` times in each turn of its loop. The key at 160 has a value of 1 KiB.
fn module(times: usize, code: &str, turns: u32) -> Vec<u8> {
    let imports: String = [
        ("arguments", "arguments", "(param i32 i32 i32)"),
        ("caller", "caller", "(param i32)"),
        ("height", "height", "(result i64)"),
        ("fuel_left", "fuel_left", "(result i64)"),
        ("get", "get", "(param i32 i32) (result i64)"),
        ("put", "put", "(param i32 i32 i32 i32)"),
        ("delete", "delete", "(param i32 i32)"),
        ("scan", "scan", "(param i32 i32 i32 i32 i32) (result i32)"),
        ("emit", "emit", "(param i32 i32 i32 i32)"),
        ("blake3", "hash_blake3", "(param i32 i32 i32)"),
        ("sha256", "hash_sha256", "(param i32 i32 i32)"),
        ("verify", "verify_ed25519", "(param i32 i32 i32 i32) (result i32)"),
    ]
    .iter()
    .map(|(name, import, ty)| format!(r#"(import "{MODULE}" "{import}" (func ${name} {ty}))"#))
    .collect();
    let key: String = guest_key().iter().map(|byte| format!("\\{byte:02x}")).collect();
    let body = code.repeat(times);
    let text = format!(
        r#"(module {imports} (type $empty (func)) (memory (export "memory") 65) (table 1 funcref) (elem (i32.const 0) $nothing)
        (global $g (mut i64) (i64.const 1))
        (data (i32.const 128) "aaaa") (data (i32.const 160) "b") (data (i32.const 192) "c") (data (i32.const 224) "d")
        (data (i32.const 256) "{key}")
        (func $nothing)
        (func $locals (local {locals}))
        (func (export "construct") (call $put (i32.const 160) (i32.const 32) (i32.const 8192) (i32.const 1024)) {fill})
        (func (export "call_work") (local $x i64) (local $y i64) (local $n i32)
            (local.set $x (i64.const 88172645463325252)) (local.set $y (i64.const 1442695040888963407))
            (loop $turn {body}
                (br_if $turn (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const {turns}))))
            (global.set $g (i64.add (local.get $x) (local.get $y)))))"#,
        locals = "i64 ".repeat(100),
        fill = (0..16u32)
            .map(|index| {
                format!(
                    "(i32.store8 (i32.const 4096) (i32.const {index})) (call $put (i32.const 4096) (i32.const 1) \
                     (i32.const 8192) (i32.const 32))"
                )
            })
            .collect::<String>(),
    );
    wat::parse_str(&text).unwrap()
}

/// A key that verifies nothing here, but has to be looked at in full.
fn guest_key() -> [u8; 32] {
    use ledgerkit::crypto::Signer;
    *ledgerkit::crypto::MemorySigner::from_seed([3; 32]).public_key().as_bytes()
}

/// Prints ns for each unit of fuel on `machine`, and keeps the largest of all machines for each class.
pub(crate) fn measure(rounds: usize, machine: Machine, slower: &mut BTreeMap<&'static str, f64>) {
    println!("  {:<24} {:>10} {:>12} {:>12}", "one unit of fuel", "ns", "fuel", "ns in all");
    for class in CLASSES.iter().chain([&EMIT]) {
        let turns = if class.name == EMIT.name { 1_000 } else { TURNS / if class.times == 1 { 20 } else { 1 } };
        let with = Guest::deployed(machine, super::rules(), &module(class.times, class.code, turns));
        let without = Guest::deployed(machine, super::rules(), &module(0, "", turns));
        let fuel = (with.run("work").fuel.0 - without.run("work").fuel.0) as f64;
        let seconds =
            super::median(rounds, || with.run("work").seconds) - super::median(rounds, || without.run("work").seconds);
        let times = f64::from(turns) * class.times as f64;
        let ns = seconds * 1e9 / fuel;
        println!("  {:<24} {ns:>10.3} {:>12.1} {:>12.1}", class.name, fuel / times, seconds * 1e9 / times);
        let worst = slower.entry(class.name).or_insert(0.0);
        *worst = worst.max(ns);
    }
}

/// Prints the median over all classes on the slower engine, and the class that takes longest.
pub(crate) fn summary(slower: &BTreeMap<&'static str, f64>, figures: &mut Figures) {
    let mut all: Vec<(f64, &str)> = slower.iter().map(|(name, ns)| (*ns, *name)).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (median, (worst, name)) = (all[all.len() / 2].0, all[all.len() - 1]);
    let ratio = worst / median;
    println!(
        "\nfuel on the slower engine: median {median:.3} ns, most {worst:.3} ns ({name}): {ratio:.1} x (at most 5)"
    );
    let limit = ledgerkit::core::Rules::default().max_block_fuel.0 as f64;
    println!("a full block of the default rules ({limit:.0} fuel) takes at most {:.2} s", limit * worst / 1e9);
    figures.insert("ns_per_fuel_median".into(), median);
    figures.insert("ns_per_fuel_worst".into(), worst);
    figures.insert("fuel_worst_to_median".into(), ratio);
}
