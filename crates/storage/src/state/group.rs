//! Hashing many messages at once: those of one length go through BLAKE3's vector lanes together.

use ledger_crypto::{Digest, Domain, hash, hash_each};

const BLOCK: usize = 64;
/// Longer messages fill the lanes by themselves.
const MOST_BLOCKS: usize = 16;

/// Messages of one domain, by length.
pub(super) struct Messages {
    domain: Domain,
    groups: [Group; MOST_BLOCKS],
    message: Vec<u8>,
}

#[derive(Default)]
struct Group {
    bytes: Vec<u8>,
    slots: Vec<u32>,
}

impl Messages {
    pub(super) fn new(domain: Domain) -> Self {
        Self { domain, groups: std::array::from_fn(|_| Group::default()), message: Vec::new() }
    }

    /// Takes the message that `write` appends, whose length is a multiple of 64. Its digest belongs into `slot` of
    /// `digests`.
    pub(super) fn push(&mut self, slot: u32, digests: &mut [Digest], write: impl FnOnce(&mut Vec<u8>)) {
        self.message.clear();
        write(&mut self.message);
        match self.groups.get_mut((self.message.len() / BLOCK).wrapping_sub(1)) {
            Some(group) => {
                group.bytes.extend_from_slice(&self.message);
                group.slots.push(slot);
            }
            None => {
                if let Some(digest) = digests.get_mut(slot as usize) {
                    *digest = hash(self.domain, &self.message);
                }
            }
        }
    }

    /// Hashes all that were taken.
    pub(super) fn finish(&mut self, digests: &mut [Digest]) {
        let mut found = Vec::new();
        for (index, group) in self.groups.iter_mut().enumerate() {
            if group.slots.is_empty() {
                continue;
            }
            found.clear();
            hash_each(self.domain, (index + 1) * BLOCK, &group.bytes, &mut found);
            for (slot, digest) in group.slots.iter().zip(&found) {
                if let Some(place) = digests.get_mut(*slot as usize) {
                    *place = *digest;
                }
            }
            group.bytes.clear();
            group.slots.clear();
        }
    }
}
