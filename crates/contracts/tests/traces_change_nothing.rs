//! A trace changes nothing of what it tells, and tells what happened: events, writes, fuel, however small its limits.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use common::{Act, Puppet, alice, call, call_read_only, put, script};
use ledger_contracts::testing::{Probe, TestLedger};
use ledger_contracts::trace::{AccessKind, CallTrace, FuelProfile, Step, TraceConfig, TransactionTrace};
use ledger_contracts::{LedgerExecutor, NATIVE, NativeRuntime};
use ledger_core::codec::Bytes;
use ledger_core::{
    AccountId, Call, ContractId, Event, Execution, Executor, Fuel, Key, SignedTransaction, TransactionBuilder, Writes,
};
use ledger_crypto::Signer;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::Arc;

#[derive(Clone, Debug)]
enum Node {
    Put(u8, u8),
    Delete(u8),
    Show(u8),
    Collect,
    Emit(u8),
    Burn(u32),
    Refuse,
    Panic,
    Call { callee: usize, read_only: bool, fuel: Option<u64>, nodes: Vec<Node> },
}

fn nodes() -> impl Strategy<Value = Vec<Node>> {
    let leaf = prop_oneof![
        6 => (0..3u8, 0..3u8).prop_map(|(key, length)| Node::Put(key, length)),
        2 => (0..3u8).prop_map(Node::Delete),
        2 => (0..3u8).prop_map(Node::Show),
        1 => Just(Node::Collect),
        3 => any::<u8>().prop_map(Node::Emit),
        1 => (0..200_000u32).prop_map(Node::Burn),
        1 => Just(Node::Refuse),
        1 => Just(Node::Panic),
    ];
    let node = leaf.prop_recursive(4, 40, 5, |inner| {
        let fuel = prop::option::weighted(0.2, 0..60_000u64);
        (0..3usize, prop::bool::weighted(0.15), fuel, prop::collection::vec(inner, 0..5))
            .prop_map(|(callee, read_only, fuel, nodes)| Node::Call { callee, read_only, fuel, nodes })
    });
    prop::collection::vec(node, 0..8)
}

fn acts(nodes: &[Node], puppets: &[ContractId; 3]) -> Vec<Act> {
    let key = |key: u8| Bytes::from(vec![key]);
    let act = |node: &Node| match node {
        Node::Put(name, length) => Act::Put(key(*name), Bytes::from(vec![7; usize::from(*length)])),
        Node::Delete(name) => Act::Delete(key(*name)),
        Node::Show(name) => Act::Show(key(*name)),
        Node::Collect => Act::Collect(Bytes::default(), None, 10, key(9)),
        Node::Emit(data) => Act::Emit(key(*data)),
        Node::Burn(fuel) => Act::Charge((*fuel).into()),
        Node::Refuse => Act::Refuse,
        Node::Panic => Act::Panic,
        Node::Call { callee, read_only, fuel, nodes } => Act::Call {
            callee: puppets[*callee],
            fuel_limit: *fuel,
            read_only: *read_only,
            script: script(&acts(nodes, puppets)),
        },
    };
    nodes.iter().map(act).collect()
}

/// A ledger with three puppets, and its executor.
fn ledger() -> (TestLedger, Arc<LedgerExecutor>, [ContractId; 3]) {
    let native = NativeRuntime::new().with(Puppet).with(Probe);
    let executor = Arc::new(LedgerExecutor::default().with(native));
    let mut ledger = TestLedger::new(Arc::clone(&executor));
    let puppets = core::array::from_fn(|_| ledger.deploy(&alice(), NATIVE, b"puppet", b"").unwrap());
    (ledger, executor, puppets)
}

fn limits() -> [TraceConfig; 4] {
    let tiny = TraceConfig { max_calls: 0, max_accesses: 0, max_events: 0, max_bytes: 0 };
    [
        TraceConfig::default(),
        tiny,
        TraceConfig { max_calls: 4, max_accesses: 1, max_events: 1, max_bytes: 1 },
        TraceConfig { max_calls: usize::MAX, max_accesses: usize::MAX, max_events: usize::MAX, max_bytes: usize::MAX },
    ]
}

fn trace(
    ledger: &TestLedger,
    executor: &LedgerExecutor,
    transactions: Vec<SignedTransaction>,
    config: TraceConfig,
) -> (Execution, Vec<TransactionTrace>) {
    let block = ledger.block(transactions);
    let context =
        ledger_core::Context { height: block.header.height, timestamp: block.header.timestamp, ..ledger.context() };
    executor.trace_block(&block, &context, &ledger.state, config).unwrap()
}

/// All fuel that a trace tells of.
fn fuel(trace: &TransactionTrace) -> u64 {
    let calls = trace.all_calls();
    let own: u64 = calls.iter().map(|call| call.own_fuel.0 + call.omitted.fuel.0).sum();
    for call in &calls {
        let below: u64 = call.calls().map(|inner| inner.fuel.0).sum();
        assert_eq!(call.fuel.0, call.own_fuel.0 + call.omitted.fuel.0 + below, "{trace}");
    }
    trace.own_fuel.0 + trace.omitted.fuel.0 + own
}

fn every_step<'t>(call: &'t CallTrace, found: &mut Vec<(&'t CallTrace, &'t Step)>) {
    for step in &call.steps {
        found.push((call, step));
        if let Step::Call(inner) = step {
            every_step(inner, found);
        }
    }
}

/// The events, the keys written and the keys deleted that a trace says have lasted.
fn lasting(trace: &TransactionTrace) -> (Vec<Event>, BTreeSet<Key>, BTreeSet<Key>) {
    let mut steps = Vec::new();
    if let Some(call) = trace.call() {
        every_step(call, &mut steps);
    }
    let (mut events, mut written, mut deleted) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    for (call, step) in steps.into_iter().filter(|(call, _)| !call.taken_back) {
        match step {
            Step::Event(event) => events.push(Event {
                contract: call.contract,
                topic: event.topic.clone(),
                data: event.data.head.clone(),
            }),
            Step::Access(access) => {
                let key = Key { namespace: access.namespace, name: access.key.head.clone() };
                match access.kind {
                    AccessKind::Write { .. } => drop(written.insert(key)),
                    AccessKind::Delete => drop(deleted.insert(key)),
                    AccessKind::Read { .. } | AccessKind::Scan { .. } => {}
                }
            }
            Step::Call(_) => {}
        }
    }
    (events, written, deleted)
}

fn written(writes: &Writes, puppets: &[ContractId; 3], index: u32) -> BTreeSet<Key> {
    let of_it = writes.iter().filter(|write| write.index == index && puppets.contains(&write.key.namespace));
    of_it.map(|write| write.key.clone()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_block_is_executed_as_without_a_trace(scripts in prop::collection::vec((0..3usize, nodes()), 0..5)) {
        let (mut ledger, executor, puppets) = ledger();
        let chain = ledger.chain();
        let mut block = Vec::new();
        for (puppet, nodes) in &scripts {
            let arguments = script(&acts(nodes, &puppets)).into_vec();
            let call = TransactionBuilder::call(chain, puppets[*puppet], "play", arguments);
            block.push(ledger.sign(&alice(), call.fuel_limit(Fuel(1_000_000))).unwrap());
        }
        // One that is rejected: it was there before.
        block.extend(block.first().cloned());
        let plain = ledger.execute(block.clone()).unwrap();
        for config in limits() {
            let (traced, traces) = trace(&ledger, &executor, block.clone(), config);
            prop_assert_eq!(&traced, &plain);
            prop_assert_eq!(traces.len(), plain.results.len());
            for (trace, result) in traces.iter().zip(&plain.results) {
                prop_assert_eq!(&trace.status, &result.receipt.status);
                prop_assert_eq!(trace.transaction, Some(result.receipt.transaction));
                prop_assert_eq!(trace.fuel_used, result.receipt.fuel_used);
                prop_assert_eq!(fuel(trace), trace.fuel_used.0);
                let json: serde_json::Value = serde_json::from_str(&trace.to_json()).unwrap();
                prop_assert_eq!(json["fuel_used"].as_u64(), Some(trace.fuel_used.0));
            }
            let listed: usize = traces.iter().map(|trace| trace.all_calls().len()).sum();
            prop_assert!(listed <= config.max_calls);
            for call in traces.iter().flat_map(TransactionTrace::all_calls) {
                prop_assert!(call.accesses().count() <= config.max_accesses);
                prop_assert!(call.events().count() <= config.max_events);
            }
            let mut profile = FuelProfile::new();
            traces.iter().for_each(|trace| profile.add(trace));
            let own: u64 = profile.rows().iter().map(|row| row.own_fuel.0).sum();
            let all = own + profile.outside_calls().0 + profile.omitted().1.0;
            prop_assert_eq!(all, plain.fuel_used.0);
            if config.max_calls == usize::MAX {
                for (trace, result) in traces.iter().zip(&plain.results) {
                    let (events, put, deleted) = lasting(trace);
                    prop_assert_eq!(events, result.events.to_vec());
                    // To delete what isn't there is no write.
                    let written = written(&plain.writes, &puppets, result.receipt.index);
                    prop_assert!(written.iter().all(|key| put.contains(key) || deleted.contains(key)), "{}", trace);
                    prop_assert!(put.difference(&deleted).all(|key| written.contains(key)), "{}", trace);
                }
            }
        }
    }

    #[test]
    fn a_call_is_simulated_as_without_a_trace(nodes in nodes(), fuel_limit in 0..300_000u64) {
        let (mut ledger, executor, puppets) = ledger();
        ledger.call(&alice(), puppets[0], "play", &script(&[put("k", "v")])).unwrap();
        let call = Call {
            account: AccountId::of_ed25519(&alice().public_key()),
            contract: puppets[0],
            method: "play".to_owned(),
            arguments: script(&acts(&nodes, &puppets)),
            fuel_limit: Fuel(fuel_limit),
        };
        let context = ledger.context();
        let plain = ledger.executor.simulate(&call, &context, &ledger.state).unwrap();
        let query = executor.query(&call, &context, &ledger.state).unwrap();
        for config in limits() {
            let (traced, trace) = executor.trace_simulation(&call, &context, &ledger.state, config).unwrap();
            prop_assert_eq!(&traced, &plain);
            prop_assert_eq!(fuel(&trace), plain.fuel_used.0);
            let (traced, trace) = executor.trace_query(&call, &context, &ledger.state, config).unwrap();
            prop_assert_eq!(&traced, &query);
            prop_assert_eq!(fuel(&trace), query.fuel_used.0);
            prop_assert!(lasting(&trace).1.is_empty());
        }
    }
}

#[test]
fn what_is_beyond_the_limits_is_counted() {
    let (ledger, executor, [a, b, c]) = ledger();
    let below = [put("1", "v"), put("2", "v"), common::emit("x"), common::emit("y"), call(c, &[]), call(c, &[])];
    let acts = [put("1", "v"), put("2", "v"), call(b, &below), call_read_only(c, &[])];
    let account = AccountId::of_ed25519(&alice().public_key());
    let call = Call {
        account,
        contract: a,
        method: "play".to_owned(),
        arguments: script(&acts),
        fuel_limit: ledger.rules.max_transaction_fuel,
    };
    let config = TraceConfig { max_calls: 3, max_accesses: 1, max_events: 1, max_bytes: 2 };
    let (_, trace) = executor.trace_simulation(&call, &ledger.context(), &ledger.state, config).unwrap();
    // The transaction, the call of `a`, and that of `b` are listed.
    let outer = trace.call().unwrap();
    let inner = outer.calls().next().unwrap();
    assert_eq!(trace.all_calls(), [outer, inner]);
    // `a` and `b` put `answer` beside `1` and `2`, each time after a call.
    assert_eq!((outer.omitted.accesses, outer.omitted.events, outer.omitted.calls), (3, 0, 1));
    assert_eq!((inner.omitted.accesses, inner.omitted.events, inner.omitted.calls), (3, 1, 2));
    assert!(inner.omitted.fuel > Fuel(0));
    assert_eq!(&*outer.arguments.head, &script(&acts)[..2]);
    assert_eq!(outer.arguments.length, script(&acts).len());
    assert_eq!(outer.arguments.digest.unwrap().as_bytes(), blake3::hash(&script(&acts)).as_bytes());
    assert_eq!(outer.entry.name(), "pl");
}
