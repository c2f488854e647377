//! Snapshots of a chain: made while it runs, kept in a folder, and begun from.
//!
//! ```text
//!   ChainReader ─▶ SnapshotExport ── chunk by chunk ──▶ folder, peers          the writer goes on meanwhile
//!                  (pins height h)                          │
//!   ChainStore at h ◀── SnapshotImport ◀── chunks, any order ┘                 nobody sees it before it is whole
//! ```
//! What a snapshot consists of and how each piece is verified is said in [`ledger_core::snapshot`].
//!
//! # Contract
//! - An export is exactly the state after block *h*, whatever is applied meanwhile, and holds one chunk in memory. It pins
//!   *h* in the [window](crate::state::StateConfig::window_blocks) of what can be proven, for four windows at most: an
//!   export that takes longer ends with [`SnapshotStoreError::Outlived`]. Two may run at a time on a chain.
//! - An import takes chunks in any order, each verified before anything of it is kept, and none twice. It can be left
//!   and opened again at any moment, also by a crash: what was lost is asked for again ([`SnapshotImport::missing`]). The
//!   chain has no views until [`SnapshotImport::finish`], and then all of them, with the root that the checkpoint proves.
//! - A chain that began from a snapshot has no blocks, results, places of transactions or values from before; whoever
//!   asks is told from where on they are kept ([`StoreError::BeforeSnapshot`](super::StoreError::BeforeSnapshot)). Each
//!   key's history begins with the version that it had.
//! - A folder holds one snapshot: `manifest`, and each chunk in a file named by its digest. The manifest is written last,
//!   so a folder that has one is whole; every file is verified when it is read.
//!
//! # Failure
//! A chunk that doesn't verify changes nothing. After any other error an import is to be opened again; one whose pieces
//! don't give the root removes itself.

mod error;
mod export;
mod folder;
mod import;

pub use error::SnapshotStoreError;
pub use export::{ExportConfig, SnapshotExport};
pub use folder::{
    MANIFEST_FILE, add_from_folder, chunk_file, export_to_folder, export_to_folder_while, import_from_folder,
    read_manifest, verify_folder,
};
pub use import::SnapshotImport;
