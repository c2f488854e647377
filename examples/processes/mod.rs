//! Validators as processes of their own: a program starts itself again for each, and tells them what to do over a
//! connection on the loopback. Shared by the example and the benchmark.
//!
//! ```text
//!   parent ── spawns itself with CHILD, its address, a token ──▶ child
//!     │ ◀──────────── connects, says the token ───────────────────┤
//!     ├── Start { folder, key, genesis, settings } ──────────────▶│ log, views, QUIC on a port that is free
//!     │ ◀─────────────── Started { address } ─────────────────────┤
//!     ├── Peers [ (key, address) ] ──────────────────────────────▶│ connects to the others
//!     └── Ask(bytes) ◀──────────── Answer(bytes) ────────────────▶│ what the program does with its chain
//! ```
//! A child ends when its standard input does, so it doesn't outlive its parent, however that ends; and the parent kills its
//! children when it drops them.

pub(crate) mod child;
mod parent;
mod wire;

pub(crate) use child::{App, CHILD, run};
pub(crate) use parent::{Child, Line, Program};
pub(crate) use wire::{PeerAt, Settings, StartRequest};

/// Whatever went wrong, in words.
pub(crate) type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;
