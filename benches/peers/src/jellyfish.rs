//! Penumbra's `jmt` 0.12: Diem's Jellyfish Merkle tree, versioned, over a store in memory. Nothing is durable.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::error::Error;
use std::hint::black_box;
use std::sync::RwLock;
use std::time::Instant;

use jmt::storage::{LeafNode, Node, NodeKey, TreeReader, TreeUpdateBatch};
use jmt::{KeyHash, OwnedValue, Sha256Jmt, Version};

use crate::measure::{Clock, Report, memory};
use crate::workload::{Update, Workload, key};
use crate::{Outcome, SAMPLES};

#[derive(Default)]
struct Memory {
    nodes: HashMap<NodeKey, Node>,
    values: HashMap<KeyHash, Vec<(Version, Option<OwnedValue>)>>,
}

#[derive(Default)]
struct Store(RwLock<Memory>);

impl TreeReader for Store {
    fn get_node_option(&self, node_key: &NodeKey) -> anyhow::Result<Option<Node>> {
        Ok(self.read().nodes.get(node_key).cloned())
    }

    fn get_value_option(&self, max_version: Version, key: KeyHash) -> anyhow::Result<Option<OwnedValue>> {
        let memory = self.read();
        let history = memory.values.get(&key).into_iter().flatten().rev();
        let mut known = history.skip_while(|(version, _)| *version > max_version);
        Ok(known.next().and_then(|(_, value)| value.clone()))
    }

    fn get_rightmost_leaf(&self) -> anyhow::Result<Option<(NodeKey, LeafNode)>> {
        // Only restoring asks for it.
        anyhow::bail!("not kept")
    }
}

impl Store {
    fn read(&self) -> std::sync::RwLockReadGuard<'_, Memory> {
        self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn write(&self, batch: TreeUpdateBatch) {
        let mut memory = self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        for (node_key, node) in batch.node_batch.nodes() {
            memory.nodes.insert(node_key.clone(), node.clone());
        }
        for ((version, key), value) in batch.node_batch.values() {
            match memory.values.entry(*key) {
                Entry::Occupied(mut known) => known.get_mut().push((*version, value.clone())),
                Entry::Vacant(place) => drop(place.insert(vec![(*version, value.clone())])),
            }
        }
        // Only the newest tree is kept: 256 older ones would take gigabytes.
        for stale in batch.stale_node_index_batch {
            memory.nodes.remove(&stale.node_key);
        }
    }
}

type Batch = Vec<(KeyHash, Option<OwnedValue>)>;

fn prepare(updates: Vec<Update>) -> Batch {
    updates.into_iter().map(|(key, value)| (KeyHash(key), Some(value.to_vec()))).collect()
}

fn apply(store: &Store, version: Version, batch: Batch) -> Result<[u8; 32], Box<dyn Error>> {
    let (root, changes) = Sha256Jmt::new(store).put_value_set(batch, version)?;
    store.write(changes);
    Ok(root.0)
}

pub(crate) fn run(workload: Workload) -> Outcome {
    let before = memory();
    let store = Store::default();
    let mut version = 0;
    for load in workload.loads() {
        apply(&store, version, prepare(load))?;
        version += 1;
    }
    for number in 0..workload.warm_up {
        apply(&store, version, prepare(workload.batch(number)))?;
        version += 1;
    }
    let mut clock = Clock::start();
    for number in workload.warm_up..workload.warm_up + workload.batches {
        let batch = clock.aside(|| prepare(workload.batch(number)));
        let begun = clock.begin();
        black_box(apply(&store, version, batch)?);
        version += 1;
        clock.done(begun);
    }
    let mut report = Report::default();
    clock.report(workload.batch, &mut report);
    report.put_memory(before, workload.keys);
    let newest = version - 1;
    let tree = Sha256Jmt::new(&store);
    let start = Instant::now();
    for number in workload.reads(SAMPLES) {
        black_box(store.get_value_option(newest, KeyHash(key(number)))?);
    }
    report.put("reads_per_s", format!("{:.0}", SAMPLES as f64 / start.elapsed().as_secs_f64()));
    let (start, proofs, mut bytes) = (Instant::now(), SAMPLES / 10, 0);
    for number in workload.reads(proofs) {
        let (_, proof) = tree.get_with_proof(KeyHash(key(number)), newest)?;
        bytes += borsh::to_vec(&proof)?.len();
    }
    report.put("proofs_per_s", format!("{:.0}", proofs as f64 / start.elapsed().as_secs_f64()));
    report.put("proof_bytes", bytes as u64 / proofs);
    report.put("name", "jmt 0.12.0 (SHA-256), store in memory");
    report.put("durable", "nothing: all in memory");
    report.put("commits", "keys and values of now; the order of operations has no part in the root");
    report.put(
        "proves",
        "presence, absence, ranges from the left; older versions where their nodes are kept (here they aren't)",
    );
    Ok(report)
}
