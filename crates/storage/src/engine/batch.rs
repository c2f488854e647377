//! What is written at once.

use super::{EngineError, MAX_KEY_BYTES};

/// A batch's operations: keys, each with its new value; `None` deletes.
pub type Operations = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// Puts and deletes that become visible together. Of two operations on one key the later counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    operations: Operations,
    bytes: usize,
}

impl Batch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets `key` to `value`.
    pub fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.bytes += key.len() + value.len();
        self.operations.push((key, Some(value)));
    }

    /// Removes `key`, if it is there.
    pub fn delete(&mut self, key: Vec<u8>) {
        self.bytes += key.len();
        self.operations.push((key, None));
    }

    /// Adds the operations of `later` behind these.
    pub fn append(&mut self, mut later: Self) {
        self.bytes += later.bytes;
        self.operations.append(&mut later.operations);
    }

    /// How many operations there are, replaced ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    /// Whether nothing is written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// Keys and values together, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The operations by key, one a key: what an engine applies.
    ///
    /// # Errors
    /// [`EngineError::KeyLength`] when a key is empty or too long.
    pub fn into_operations(mut self) -> Result<Operations, EngineError> {
        if let Some((key, _)) = self.operations.iter().find(|(key, _)| key.is_empty() || key.len() > MAX_KEY_BYTES) {
            return Err(EngineError::KeyLength { length: key.len(), limit: MAX_KEY_BYTES });
        }
        self.operations.sort_by(|(a, _), (b, _)| a.cmp(b));
        self.operations.dedup_by(|later, kept| {
            let same = later.0 == kept.0;
            if same {
                std::mem::swap(later, kept);
            }
            same
        });
        Ok(self.operations)
    }
}
