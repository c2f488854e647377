//! The fuel that a contract is charged is the price of the instructions that it executes, no more and no less.
//!
//! The oracle counts differently: it adds each instruction's price to a global right before that instruction, and knows
//! nothing of segments.
#![cfg(feature = "wasm")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::cast_possible_truncation)]

mod fuzz_support;
mod wasm_support;

use fuzz_support::{differential, inputs};
use ledger_contracts::Trap;
use ledger_contracts::wasm::WasmRuntime;
use ledger_core::{Rules, WasmCosts};
use wasm_support::{Remembering, cases, generated, generator, prepared, run};
use wasmparser::{Operator, Parser, Payload};

/// The price of an instruction by its name, and of a unit of its last operand with the unit's size.
fn price(operator: &Operator<'_>, costs: &WasmCosts) -> (u32, Option<(u32, u64)>) {
    let name = format!("{operator:?}");
    let name = name.split([' ', '{']).next().unwrap();
    let price = match name {
        "Nop" | "Block" | "Else" | "End" => 0,
        "Br" | "BrIf" | "Loop" | "Return" => costs.branch,
        "If" => 2 * costs.branch,
        "BrTable" => costs.branch_table,
        "Call" => costs.call,
        "CallIndirect" => costs.call_indirect,
        "GlobalGet" | "GlobalSet" => costs.global,
        "MemorySize" | "MemoryGrow" => costs.memory_size,
        "MemoryCopy" | "MemoryFill" | "MemoryInit" | "TableCopy" | "TableInit" | "DataDrop" | "ElemDrop" => costs.bulk,
        name if name.contains("Load") => costs.load,
        name if name.contains("Store") => costs.store,
        name if name.contains("Div") || name.contains("Rem") => costs.divide,
        name if ["Mul", "Eqz", "Clz", "Ctz", "Popcnt", "Extend", "Wrap"].iter().any(|part| name.contains(part)) => {
            costs.multiply
        }
        name if ["Eq", "Ne", "LtS", "LtU", "GtS", "GtU", "LeS", "LeU", "GeS", "GeU"]
            .iter()
            .any(|end| name.ends_with(end)) =>
        {
            costs.multiply
        }
        _ => costs.basic,
    };
    let unit: Option<(u32, u64)> = match name {
        "MemoryCopy" | "MemoryFill" | "MemoryInit" => Some((costs.bulk_64_bytes, 64)),
        "TableCopy" | "TableInit" => Some((costs.table_entry, 1)),
        "MemoryGrow" => Some((costs.memory_grow_page, 1)),
        _ => None,
    };
    (price, unit)
}

fn leb(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 0x7f {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// A constant, long enough never to look negative.
fn constant(opcode: u8, value: u64) -> Vec<u8> {
    let mut bytes = vec![opcode];
    bytes.extend((0..4).map(|index| (value >> (7 * index)) as u8 | 0x80));
    bytes.push((value >> 28) as u8 & 0x3f);
    bytes
}

/// How many values a function or block takes and gives.
type Shape = (u32, u32);

/// How many values an instruction moves: those that a block takes and gives, those that a branch takes along. `labels` has
/// the latter for each label around it.
fn moved(operator: &Operator<'_>, types: &[Shape], labels: &mut Vec<u32>) -> u32 {
    let label = |depth: u32| labels[labels.len() - 1 - depth as usize];
    match operator {
        Operator::Block { blockty } | Operator::Loop { blockty } | Operator::If { blockty } => {
            let (parameters, results) = match blockty {
                wasmparser::BlockType::Empty => (0, 0),
                wasmparser::BlockType::Type(_) => (0, 1),
                wasmparser::BlockType::FuncType(index) => types[*index as usize],
            };
            labels.push(if matches!(operator, Operator::Loop { .. }) { parameters } else { results });
            parameters + results
        }
        Operator::End => {
            labels.pop();
            0
        }
        Operator::Br { relative_depth } | Operator::BrIf { relative_depth } => label(*relative_depth),
        Operator::BrTable { targets } => label(targets.default()),
        Operator::Return => labels[0],
        _ => 0,
    }
}

/// The module with a global that counts the prices of executed instructions, and its setup price.
fn counting(module: &[u8], costs: &WasmCosts) -> (Vec<u8>, u64) {
    let (mut globals, mut before, mut setup) = (0, module[..8].to_vec(), u64::from(costs.instance));
    let (mut types, mut functions, mut next): (Vec<Shape>, Vec<u32>, usize) = (Vec::new(), Vec::new(), 0);
    let mut bodies: Vec<u8> = Vec::new();
    let mut after: Vec<u8> = Vec::new();
    let (mut global_items, mut export_items, mut exports) = (Vec::new(), Vec::new(), 0);
    let (mut middle, mut count) = (Vec::new(), 0);
    let section = |id: u8, content: &[u8]| [vec![id], leb(content.len() as u64), content.to_vec()].concat();
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload.unwrap();
        let raw = payload.as_section().map(|(id, range)| section(id, &module[range]));
        match payload {
            Payload::TypeSection(reader) => {
                let count = |values: &[wasmparser::ValType]| values.len() as u32;
                let all = reader.into_iter_err_on_gc_types();
                types = all.map(|ty| ty.unwrap()).map(|ty| (count(ty.params()), count(ty.results()))).collect();
                before.extend(raw.unwrap());
            }
            Payload::FunctionSection(reader) => {
                functions = reader.into_iter().map(Result::unwrap).collect();
                setup += functions.len() as u64 * u64::from(costs.instance_function);
                before.extend(raw.unwrap());
            }
            Payload::GlobalSection(reader) => {
                globals = reader.count();
                setup += u64::from(globals * costs.instance_global);
                global_items = module[reader.original_position()..reader.range().end].to_vec();
            }
            Payload::ExportSection(reader) => {
                exports = reader.count();
                let methods = reader.clone().into_iter().filter(|export| {
                    let name = export.as_ref().unwrap().name;
                    name.starts_with("call_") || name == "construct" || name == "migrate"
                });
                setup += methods.count() as u64 * u64::from(costs.instance_name);
                export_items = module[reader.original_position()..reader.range().end].to_vec();
            }
            Payload::MemorySection(reader) => {
                setup += reader
                    .clone()
                    .into_iter()
                    .map(|m| m.unwrap().initial * u64::from(costs.memory_grow_page))
                    .sum::<u64>();
                before.extend(raw.unwrap());
            }
            Payload::TableSection(reader) => {
                setup += reader
                    .clone()
                    .into_iter()
                    .map(|t| t.unwrap().ty.initial * u64::from(costs.table_entry))
                    .sum::<u64>();
                before.extend(raw.unwrap());
            }
            Payload::ElementSection(reader) => {
                for element in reader.clone() {
                    let entries = match element.unwrap().items {
                        wasmparser::ElementItems::Functions(items) => items.count(),
                        wasmparser::ElementItems::Expressions(_, items) => items.count(),
                    };
                    setup += u64::from(entries) * u64::from(costs.table_entry) + u64::from(costs.instance_segment);
                }
                middle.extend(raw.unwrap());
            }
            Payload::DataCountSection { .. } => middle.extend(raw.unwrap()),
            Payload::DataSection(reader) => {
                for data in reader.clone() {
                    setup += (data.unwrap().data.len() as u64).div_ceil(64) * u64::from(costs.bulk_64_bytes);
                    setup += u64::from(costs.instance_segment);
                }
                after.extend(raw.unwrap());
            }
            Payload::CodeSectionStart { count: bodies, .. } => count = bodies,
            Payload::CodeSectionEntry(body) => {
                let counter = leb(globals.into());
                let operand = leb(u64::from(globals) + 1);
                let add = |amount: &[u8]| [&[0x23][..], &counter, amount, &[0x7c, 0x24], &counter].concat();
                let mut reader = body.get_operators_reader().unwrap();
                let mut code = module[body.range().start..reader.original_position()].to_vec();
                let locals: u32 = body.get_locals_reader().unwrap().into_iter().map(|group| group.unwrap().0).sum();
                code.extend(add(&constant(0x42, u64::from(locals) * u64::from(costs.local_zeroed))));
                let mut labels = vec![types[functions[next] as usize].1];
                next += 1;
                while !reader.eof() {
                    let start = reader.original_position();
                    let operator = reader.read().unwrap();
                    let (price, unit) = price(&operator, costs);
                    let price = price + costs.basic * moved(&operator, &types, &mut labels);
                    if price > 0 {
                        code.extend(add(&constant(0x42, price.into())));
                    }
                    if let Some((price, size)) = unit {
                        // The operand goes through a global of its own: units times price, rounded up by division.
                        let units = [
                            &[0x23][..],
                            &operand,
                            &[0xad],
                            &constant(0x42, size - 1),
                            &[0x7c],
                            &constant(0x42, size),
                            &[0x80],
                            &constant(0x42, price.into()),
                            &[0x7e],
                        ];
                        code.extend([&[0x24][..], &operand].concat());
                        code.extend(add(&units.concat()));
                        code.extend([&[0x23][..], &operand].concat());
                    }
                    code.extend(&module[start..reader.original_position()]);
                }
                bodies.extend(leb(code.len() as u64));
                bodies.extend(code);
            }
            Payload::StartSection { .. } => middle.extend(raw.unwrap()),
            Payload::Version { .. } | Payload::End(_) | Payload::CustomSection(_) => {}
            _ => before.extend(raw.unwrap()),
        }
    }
    global_items.extend([0x7e, 1, 0x42, 0, 0x0b, 0x7f, 1, 0x41, 0, 0x0b]);
    export_items.extend([&[5][..], b"count", &[3], &leb(globals.into())].concat());
    before.extend(section(6, &[leb(u64::from(globals) + 2), global_items].concat()));
    before.extend(section(7, &[leb(u64::from(exports) + 1), export_items].concat()));
    before.extend(middle);
    before.extend(section(10, &[leb(count.into()), bodies].concat()));
    before.extend(after);
    (before, setup)
}

/// What the oracle counts for a method, if it ends by itself.
fn oracle(module: &[u8], method: &str, most: u64) -> Option<u64> {
    let (counting, setup) = counting(module, &WasmCosts::default());
    let mut config = wasmi::Config::default();
    // For methods that don't end.
    config.consume_fuel(true);
    let engine = wasmi::Engine::new(&config);
    let compiled = wasmi::Module::new(&engine, &counting).unwrap();
    let mut store = wasmi::Store::new(&engine, ());
    store.set_fuel(20 * most).unwrap();
    let instance = wasmi::Linker::new(&engine).instantiate_and_start(&mut store, &compiled).ok()?;
    let function = instance.get_typed_func::<(), ()>(&store, &format!("call_{method}")).unwrap();
    function.call(&mut store, ()).ok()?;
    let count = instance.get_global(&store, "count").unwrap().get(&store).i64().unwrap();
    Some(setup + count as u64)
}

#[test]
fn fuel_is_the_sum_of_what_was_executed() {
    const MOST: u64 = 3_000_000;
    let runtime = WasmRuntime::wasmi().unwrap();
    let config = wasm_smith::Config { disallow_traps: true, ..generator(false) };
    let (mut compared, mut loops) = (0, 0);
    for seed in 0..cases(200) {
        let module = generated(&config, seed);
        let code = ledger_contracts::Runtime::prepare(&runtime, &module, &Rules::default())
            .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        for method in ["a", "b"] {
            let mut host = Remembering::new(MOST);
            let done = run(&runtime, &code, method, b"", &mut host);
            let Some(expected) = oracle(&module, method, MOST) else { continue };
            match done {
                Ok(_) => assert_eq!(host.used, expected, "seed {seed}, method {method}"),
                Err(Trap::Host(_)) => assert!(expected > MOST, "seed {seed}, method {method}: {expected}"),
                Err(other) => panic!("seed {seed}, method {method}: {other}"),
            }
            compared += 1;
            loops += u64::from(host.used > 100_000);
        }
    }
    // Otherwise the generator has lost what is of interest.
    assert!(compared > cases(200), "{compared}");
    println!("{compared} runs compared, {loops} of them long");
}

/// What a fuzzer kept because it reaches something new, and what it would try next.
#[test]
fn fuel_of_fuzzed_modules_is_the_sum_of_what_was_executed() {
    const MOST: u64 = 300_000;
    let runtime = WasmRuntime::wasmi().unwrap();
    let committed = inputs::committed("differential");
    let fresh = (0..inputs::cases(60)).map(|seed| inputs::fresh(seed, &committed));
    let mut compared = 0;
    for input in committed.iter().map(|(_, input)| input.clone()).chain(fresh) {
        let Some(case) = differential::Case::new(&input).filter(|case| !case.imports) else { continue };
        let Ok(code) = ledger_contracts::Runtime::prepare(&runtime, &case.module, &Rules::default()) else { continue };
        for method in ["a", "b"] {
            let mut host = Remembering::new(MOST);
            if run(&runtime, &code, method, b"", &mut host).is_ok() {
                assert_eq!(oracle(&case.module, method, MOST), Some(host.used), "method {method} of {input:02x?}");
                compared += 1;
            }
        }
    }
    println!("{compared} runs compared");
    assert!(compared > 10, "{compared}");
}

/// What a method's instructions cost, the instance not counted.
fn cost(text: &str) -> (u64, Result<Vec<u8>, Trap>) {
    let runtime = WasmRuntime::wasmi().unwrap();
    let code = prepared(&runtime, &format!("(module (memory 1) (table 4 funcref) {text})"));
    let mut host = Remembering::new(10_000_000);
    let done = run(&runtime, &code, "m", b"", &mut host);
    let functions = text.matches("(func ").count() as u64;
    (host.used - setup() - functions * u64::from(WasmCosts::default().instance_function), done)
}

/// What an instance costs that has one method, a page of memory and a table of four entries, without its functions.
fn setup() -> u64 {
    let costs = WasmCosts::default();
    u64::from(costs.instance + costs.instance_name + costs.memory_grow_page + 4 * costs.table_entry)
}

#[test]
fn prices_by_hand() {
    let WasmCosts { basic, multiply, divide, load, store, branch, branch_table, call, bulk, .. } = WasmCosts::default();
    let WasmCosts { bulk_64_bytes, memory_size, memory_grow_page, local_zeroed, table_entry, .. } =
        WasmCosts::default();
    let cases: &[(&str, u32)] = &[
        ("", 0),
        ("(local i32 i64) nop", 2 * local_zeroed),
        ("(drop (i32.add (i32.const 1) (i32.const 2)))", 4 * basic),
        ("(drop (i64.mul (i64.const 1) (i64.const 2)))", 3 * basic + multiply),
        ("(drop (i64.lt_s (i64.const 1) (i64.const 2)))", 3 * basic + multiply),
        ("(drop (i64.popcnt (i64.extend_i32_u (i32.eqz (i32.const 1)))))", 2 * basic + 3 * multiply),
        ("(drop (i64.rem_u (i64.const 1) (i64.const 2)))", 3 * basic + divide),
        ("(i32.store (i32.const 0) (i32.load (i32.const 4)))", 2 * basic + load + store),
        // Ten rounds of: get, subtract 1, tee, branch.
        (
            "(local i32) (local.set 0 (i32.const 10))
             (loop (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))",
            local_zeroed + 2 * basic + branch + 10 * (4 * basic + branch),
        ),
        (
            "(if (i32.const 1) (then (drop (i32.const 1))) (else (drop (i64.mul (i64.const 1) (i64.const 2)))))",
            3 * basic + 2 * branch,
        ),
        (
            "(if (i32.const 0) (then (drop (i32.const 1))) (else (drop (i64.mul (i64.const 1) (i64.const 2)))))",
            4 * basic + 2 * branch + multiply,
        ),
        // What is behind the branch isn't executed, what is behind the block is.
        ("(block (br 0) (drop (i32.const 1))) (drop (i32.const 2))", branch + 2 * basic),
        (
            "(block (block (br_table 0 1 (i32.const 1)) (drop (i32.const 1))) (drop (i32.const 1))) (drop (i32.const 1))",
            3 * basic + branch_table,
        ),
        (
            "(block (block (br_table 0 1 (i32.const 0))) (drop (i32.const 1))) (drop (i32.const 1))",
            5 * basic + branch_table,
        ),
        ("return (drop (i32.const 1))", branch),
        ("(call $f)", call + 2 * basic),
        ("(memory.fill (i32.const 0) (i32.const 7) (i32.const 65))", 3 * basic + bulk + 2 * bulk_64_bytes),
        ("(memory.copy (i32.const 0) (i32.const 7) (i32.const 0))", 3 * basic + bulk),
        ("(table.copy (i32.const 0) (i32.const 1) (i32.const 3))", 3 * basic + bulk + 3 * table_entry),
        ("(drop (memory.grow (i32.const 2)))", 2 * basic + memory_size + 2 * memory_grow_page),
        ("(drop (memory.grow (i32.const 256)))", 2 * basic + memory_size + 256 * memory_grow_page),
    ];
    for (body, expected) in cases {
        let text = format!(r#"(func (export "call_m") {body}) (func $f (drop (i32.const 1)))"#);
        let (used, done) = cost(&text);
        assert_eq!((used, done), (u64::from(*expected), Ok(Vec::new())), "{body}");
    }
}

#[test]
fn a_trap_costs_what_was_begun() {
    let WasmCosts { basic, divide, bulk, bulk_64_bytes, .. } = WasmCosts::default();
    // The whole run of instructions up to the next branch was paid for.
    let (used, done) =
        cost(r#"(func (export "call_m") (drop (i32.div_u (i32.const 1) (i32.const 0))) (drop (i32.const 1)))"#);
    assert_eq!((used, done), (u64::from(5 * basic + divide), Err(Trap::broken("integer divide by zero"))));
    let (used, done) = cost(
        r#"(func (export "call_m") (memory.fill (i32.const 0) (i32.const 7) (i32.const 65537)) (drop (i32.const 1)))"#,
    );
    let expected = 5 * basic + bulk + 1025 * bulk_64_bytes;
    assert_eq!((used, done), (u64::from(expected), Err(Trap::broken("memory access out of bounds"))));
}

#[test]
fn a_loop_without_end_takes_all_the_fuel_and_no_more() {
    let (used, done) = cost(r#"(func (export "call_m") (loop (br 0)))"#);
    assert!(matches!(done, Err(Trap::Host(_))), "{done:?}");
    assert_eq!(used, 10_000_000 - setup() - u64::from(WasmCosts::default().instance_function));
}

/// What a module's instance costs.
fn instance(text: &str) -> u64 {
    let runtime = WasmRuntime::wasmi().unwrap();
    let code = prepared(&runtime, &format!(r#"(module {text} (func (export "call_m")))"#));
    let mut host = Remembering::new(10_000_000);
    assert_eq!(run(&runtime, &code, "m", b"", &mut host), Ok(Vec::new()));
    host.used
}

#[test]
fn all_that_an_instance_has_is_paid_for() {
    let WasmCosts { instance_function, instance_global, instance_name, instance_segment, .. } = WasmCosts::default();
    let WasmCosts { table_entry, bulk_64_bytes, memory_grow_page, .. } = WasmCosts::default();
    let least = instance("");
    assert_eq!(least, u64::from(WasmCosts::default().instance + instance_function + instance_name));
    for (text, price) in [
        ("(func) (func (param i32))", 2 * instance_function),
        ("(global i32 (i32.const 1)) (global (mut i64) (i64.const 1))", 2 * instance_global),
        (r#"(import "ledgerkit.1" "height" (func (result i64)))"#, instance_name),
        (r#"(func $f) (export "call_n" (func $f)) (export "call_o" (func $f))"#, instance_function + 2 * instance_name),
        // What nobody can call isn't there.
        (r#"(func $f) (export "other" (func $f))"#, instance_function),
        (
            "(table 2 funcref) (func $f) (elem (i32.const 0) $f $f) (elem func $f)",
            instance_function + 5 * table_entry + 2 * instance_segment,
        ),
        (
            r#"(memory 2) (data (i32.const 0) "a") (data "")"#,
            2 * memory_grow_page + 2 * instance_segment + bulk_64_bytes,
        ),
    ] {
        assert_eq!(instance(text) - least, u64::from(price), "{text}");
    }
}

#[test]
fn values_that_blocks_and_branches_move_are_paid_for() {
    let WasmCosts { basic, branch, branch_table, call, .. } = WasmCosts::default();
    for (body, expected) in [
        // Given by the block, taken along by the branch.
        ("(drop (block (result i32) (br 0 (i32.const 1))))", 2 * basic + branch + basic + basic),
        ("(drop (block (result i32) (i32.const 1)))", 3 * basic),
        (
            "(i64.const 1) (i64.const 2) (loop (param i64 i64) (br_if 0 (i64.const 1) (i64.const 2) (i32.const 0)) drop drop drop drop)",
            2 * basic + branch + 2 * basic + 3 * basic + branch + 2 * basic + 4 * basic,
        ),
        (
            "(block (result i32 i32) (block (result i32 i32) (br_table 0 1 (i32.const 1) (i32.const 2) (i32.const 0)))) drop drop",
            4 * basic + 3 * basic + branch_table + 2 * basic + 2 * basic,
        ),
        ("(call $g) drop drop drop", call + 3 * basic + branch + 3 * basic + 3 * basic),
    ] {
        let text = format!(
            r#"(func (export "call_m") {body})
            (func $g (result i32 i32 i32) (return (i32.const 1) (i32.const 2) (i32.const 3)))"#
        );
        let (used, done) = cost(&text);
        assert_eq!((used, done), (u64::from(expected), Ok(Vec::new())), "{body}");
    }
}
