//! What the transactions of a block have written under one key.

use ledger_core::codec::Bytes;

/// A transaction's place in the block, and the value that it wrote; `None` deletes.
pub(super) type Version = (u32, Option<Bytes>);

/// A key's values, in the order of the transactions. Most keys are written once, so the last value takes no memory of its
/// own.
#[derive(Default)]
pub(super) struct Versions {
    earlier: Vec<Version>,
    last: Option<Version>,
}

impl Versions {
    pub(super) fn is_empty(&self) -> bool {
        self.last.is_none()
    }

    pub(super) fn first(&self) -> Option<&Version> {
        self.earlier.first().or(self.last.as_ref())
    }

    pub(super) fn last(&self) -> Option<&Version> {
        self.last.as_ref()
    }

    pub(super) fn last_mut(&mut self) -> Option<&mut Version> {
        self.last.as_mut()
    }

    pub(super) fn push(&mut self, version: Version) {
        self.earlier.extend(self.last.replace(version));
    }

    pub(super) fn pop(&mut self) -> Option<Version> {
        let before = self.earlier.pop();
        core::mem::replace(&mut self.last, before)
    }
}

impl IntoIterator for Versions {
    type Item = Version;
    type IntoIter = core::iter::Chain<std::vec::IntoIter<Version>, std::option::IntoIter<Version>>;

    fn into_iter(self) -> Self::IntoIter {
        self.earlier.into_iter().chain(self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_a_stack(steps: Vec<Option<u32>>) {
            let (mut versions, mut model) = (Versions::default(), Vec::new());
            for step in steps {
                match step {
                    Some(index) => {
                        versions.push((index, None));
                        model.push((index, None));
                    }
                    None => prop_assert_eq!(versions.pop(), model.pop()),
                }
                prop_assert_eq!((versions.first(), versions.last()), (model.first(), model.last()));
                prop_assert_eq!(versions.is_empty(), model.is_empty());
            }
            prop_assert_eq!(versions.into_iter().collect::<Vec<_>>(), model);
        }
    }
}
