//! node
#![forbid(unsafe_code)]

pub mod answers;
pub mod apply;
pub mod chain;
pub mod core;
pub mod guard;
pub mod host;
pub mod mempool;
pub mod progress;
pub mod recovery;

pub use answers::{Accepted, Certified, Executed, Ordered, Pending, PendingError, TransactionStatus};
pub use apply::{Applier, ApplyError};
pub use chain::{BlockUpdate, Chain, ChainError, EventUpdate, Refused, Stage, Subscription, SubscriptionError};
pub use core::{CoreConfig, Stop, SubmitError};
pub use guard::DiskGuard;
pub use host::{Host, HostError, Limits, NodeBuilder};
pub use mempool::{MempoolConfig, Refusal};
pub use progress::Progress;
