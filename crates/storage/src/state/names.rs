//! Numbers for namespaces: a record names its own with four bytes instead of 32.

use std::collections::BTreeMap;

use ledger_core::{ContractId, StateError};
use ledger_crypto::Digest;

use super::damage::damaged;
use super::record::NamespaceId;
use crate::engine::{Batch, Direction, Snapshot, Space, after_prefix};

const NAMESPACES: u8 = 0x14;

/// A chain's namespaces, numbered in the order in which they were first written to.
#[derive(Debug, Default)]
pub(super) struct Namespaces {
    by_id: Vec<ContractId>,
    ids: BTreeMap<ContractId, NamespaceId>,
}

impl Namespaces {
    pub(super) fn read(space: Space, reader: &dyn Snapshot) -> Result<Self, StateError> {
        let mut names = Self::default();
        let from = space.key(NAMESPACES, &[]);
        for entry in reader.range(&from, after_prefix(from.clone()).as_deref(), Direction::Forward) {
            let (key, value) = entry?;
            let id = Space::suffix(&key).first_chunk::<4>().map(|id| u32::from_be_bytes(*id));
            let namespace = value.first_chunk::<32>().filter(|_| value.len() == 32);
            match namespace {
                Some(namespace) if id == u32::try_from(names.by_id.len()).ok() => {
                    names.add(ContractId(Digest::new(*namespace)));
                }
                _ => return Err(damaged("namespace", &key, "it isn't the next one")),
            }
        }
        Ok(names)
    }

    fn add(&mut self, namespace: ContractId) -> NamespaceId {
        let id = u32::try_from(self.by_id.len()).unwrap_or(NamespaceId::MAX);
        self.by_id.push(namespace);
        self.ids.insert(namespace, id);
        id
    }

    /// The namespace's number; a new one gets the next.
    pub(super) fn number(&mut self, space: Space, namespace: ContractId, batch: &mut Batch) -> NamespaceId {
        if let Some(id) = self.ids.get(&namespace) {
            return *id;
        }
        let id = self.add(namespace);
        batch.put(space.key(NAMESPACES, &[&id.to_be_bytes()]), namespace.0.as_bytes().to_vec());
        id
    }

    pub(super) fn id(&self, namespace: &ContractId) -> Option<NamespaceId> {
        self.ids.get(namespace).copied()
    }

    pub(super) fn namespace(&self, id: NamespaceId) -> Result<ContractId, StateError> {
        self.by_id
            .get(id as usize)
            .copied()
            .ok_or_else(|| damaged("namespace", id, "a record names it, but it isn't there"))
    }
}
