//! A part of a disk's folder whose files all begin with the same word.

use ledger_storage::disk::{Disk, DiskError, File};
use std::sync::Arc;

/// Gives every file of a user of its own a prefix, so that a second log can live in the folder of the first.
#[derive(Debug)]
pub(super) struct PrefixedDisk {
    disk: Arc<dyn Disk>,
    prefix: &'static str,
}

impl PrefixedDisk {
    pub(super) fn new(disk: Arc<dyn Disk>, prefix: &'static str) -> Self {
        PrefixedDisk { disk, prefix }
    }

    fn full(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

impl Disk for PrefixedDisk {
    fn create(&self, name: &str) -> Result<Box<dyn File>, DiskError> {
        self.disk.create(&self.full(name))
    }

    fn open(&self, name: &str) -> Result<Box<dyn File>, DiskError> {
        self.disk.open(&self.full(name))
    }

    fn list(&self) -> Result<Vec<String>, DiskError> {
        let names = self.disk.list()?;
        Ok(names.iter().filter_map(|name| name.strip_prefix(self.prefix)).map(str::to_owned).collect())
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        self.disk.rename(&self.full(from), &self.full(to))
    }

    fn remove(&self, name: &str) -> Result<(), DiskError> {
        self.disk.remove(&self.full(name))
    }

    fn sync_folder(&self) -> Result<(), DiskError> {
        self.disk.sync_folder()
    }
}
