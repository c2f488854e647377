//! What trees of calls leave behind is what a model leaves that copies everything before each call.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Act, alice, call, call_read_only, ledger, script};
use ledger_core::ContractId;
use ledger_core::codec::Bytes;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
enum Node {
    Put(u8, u8),
    Delete(u8),
    Emit(u8),
    Call { callee: usize, read_only: bool, nodes: Vec<Node> },
    Refuse,
}

fn leaf() -> impl Strategy<Value = Node> {
    prop_oneof![
        6 => (0..3u8, any::<u8>()).prop_map(|(key, value)| Node::Put(key, value)),
        2 => (0..3u8).prop_map(Node::Delete),
        2 => any::<u8>().prop_map(Node::Emit),
        1 => Just(Node::Refuse),
    ]
}

fn nodes() -> impl Strategy<Value = Vec<Node>> {
    let node = leaf().prop_recursive(4, 40, 5, |inner| {
        let below = prop::collection::vec(inner, 0..5);
        (0..3usize, prop::bool::weighted(0.15), below).prop_map(|(callee, read_only, nodes)| Node::Call {
            callee,
            read_only,
            nodes,
        })
    });
    prop::collection::vec(node, 0..8)
}

fn acts(nodes: &[Node], puppets: &[ContractId; 3]) -> Vec<Act> {
    let act = |node: &Node| match node {
        Node::Put(key, value) => Act::Put(Bytes::from(vec![*key]), Bytes::from(vec![*value])),
        Node::Delete(key) => Act::Delete(Bytes::from(vec![*key])),
        Node::Emit(data) => Act::Emit(Bytes::from(vec![*data])),
        Node::Refuse => Act::Refuse,
        Node::Call { callee, read_only, nodes } => {
            let make = if *read_only { call_read_only } else { call };
            make(puppets.get(*callee).copied().unwrap(), &acts(nodes, puppets))
        }
    };
    nodes.iter().map(act).collect()
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Model {
    values: BTreeMap<(usize, Vec<u8>), Vec<u8>>,
    events: Vec<(usize, u8)>,
}

const READ_ONLY: &str = "-4294967307 the account may not write in a read-only call on this chain";
const RUNNING: &str = "-4294967307 the account may not change a contract that is running on this chain";

impl Model {
    /// What the caller is told when a puppet has done `nodes`.
    fn play(&mut self, puppet: usize, nodes: &[Node], read_only: bool, running: &[usize]) -> Result<(), &'static str> {
        if !read_only && running.contains(&puppet) {
            return Err(RUNNING);
        }
        let before = self.clone();
        let running = [running, &[puppet]].concat();
        let done = nodes.iter().try_for_each(|node| self.act(puppet, node, read_only, &running));
        if done.is_err() {
            *self = before;
        }
        done
    }

    fn act(&mut self, puppet: usize, node: &Node, read_only: bool, running: &[usize]) -> Result<(), &'static str> {
        match node {
            Node::Refuse => return Err("-9 as told"),
            Node::Call { callee, read_only: asked, nodes } => {
                let answer = self.play(*callee, nodes, read_only || *asked, running).err().unwrap_or("+");
                if read_only {
                    return Err(READ_ONLY);
                }
                self.values.insert((puppet, b"answer".to_vec()), answer.into());
            }
            _ if read_only => return Err(READ_ONLY),
            Node::Put(key, value) => drop(self.values.insert((puppet, vec![*key]), vec![*value])),
            Node::Delete(key) => drop(self.values.remove(&(puppet, vec![*key]))),
            Node::Emit(data) => self.events.push((puppet, *data)),
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_tree_of_calls_leaves_what_whole_copies_leave(first in nodes(), second in nodes()) {
        let (mut ledger, puppets) = ledger();
        let mut model = Model::default();
        for nodes in [first, second] {
            model.events.clear();
            let expected = model.play(0, &nodes, false, &[]).is_ok();
            let done = ledger.call(&alice(), puppets[0], "play", &script(&acts(&nodes, &puppets))).unwrap();
            prop_assert_eq!(done.receipt.succeeded(), expected);
            let place = |contract: &ContractId| puppets.iter().position(|puppet| puppet == contract);
            let values = ledger.state.iter().filter_map(|(key, found)| {
                Some(((place(&key.namespace)?, key.name.to_vec()), found.value.to_vec()))
            });
            prop_assert_eq!(values.collect::<BTreeMap<_, _>>(), model.values.clone());
            let events = done.events.iter().map(|event| (place(&event.contract).unwrap(), event.data[0]));
            prop_assert_eq!(events.collect::<Vec<_>>(), model.events.clone());
        }
    }
}
