//! The HTTP/JSON server over a node's chains.
//!
//! ```text
//!   connection ─▶ bounds of head and time ─▶ route ─▶ host, token, rate, permit, body ─▶ handler ─▶ Chain
//!                                              │                                            │
//!   /openapi.json ◀── one table of routes ─────┘              problem details (RFC 9457) ◀──┘
//! ```
//!
//! # Contract
//! - The four answers of a transaction mean what [`ledger_node`]'s types say. A wait that ends early answers with
//!   `complete: false`: the outcome is unknown then, never guessed. The same signed bytes may be handed in again at any
//!   time; the answer says where they stand.
//! - Proofs and checkpoints are the ledger's canonical bytes, which `ledger_core::verify` takes. What a client names as
//!   seen (`seen_size`, `seen_root`) comes back with a consistency proof to the very checkpoint of the answer.
//! - The JSON is [`ledger_client::wire`]'s: hex, base64, 64-bit numbers as strings. `/openapi.json` is made from the
//!   same table as the router and from the types' own schemas.
//! - A stream of events goes on behind `Last-Event-ID` without gap or repetition, whatever its filter.
//! - Without tokens only a loopback address is bound, and only requests that name the loopback in `Host` are served, so
//!   that no web page reaches the node through a name of its own. Bodies have a media type that browsers don't send
//!   across origins unasked. TLS ends at a reverse proxy in front.
//! - Everything is bounded by [`ApiLimits`]; memory is at most about connections × head, requests × body, reads × result
//!   and streams × (one block's results + 17 messages), and what is remembered of transactions and rates.
//!
//! # Example
//! ```
//! use ledger_api::{ApiConfig, ApiServer};
//! use ledger_client::Client;
//! # use ledger_consensus::Solo;
//! # use ledger_contracts::{NATIVE, NativeRuntime, token::Token};
//! # use ledger_core::{Genesis, Timestamp, TransactionBuilder};
//! # use ledger_crypto::{MemorySigner, Signer};
//! # use ledger_node::NodeBuilder;
//! # use std::time::Duration;
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let owner = MemorySigner::from_seed([7; 32]);
//! # let genesis = Genesis::solo("example", owner.public_key(), Timestamp(0));
//! # let host = NodeBuilder::new().folder(&folder)?.runtime(NativeRuntime::new().with(Token)).start().await?;
//! let chain = host.chain(genesis, Solo::new(owner)).await?;
//! let (id, trust_root) = (chain.id(), chain.trust_root());
//! let server = ApiServer::bind("127.0.0.1:0".parse()?, ApiConfig::default(), chain).await?;
//! let url = format!("http://{}", server.local_addr());
//! let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
//! let serving = tokio::spawn(server.serve(async { drop(stopped.await) }));
//!
//! let client = Client::new(&url, trust_root)?;
//! let alice = MemorySigner::from_seed([8; 32]);
//! let deploy = TransactionBuilder::deploy(id, NATIVE, b"token".to_vec(), vec![]).sign(&alice)?;
//! let submitted = client.submit(&deploy).await?;
//! let receipt = client.wait_certified(submitted.id, Duration::from_secs(10)).await?; // proven
//! assert!(receipt.receipt.succeeded());
//!
//! drop(stop);
//! serving.await?;
//! host.shutdown().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Failure
//! | what | effect |
//! |---|---|
//! | the address is taken, or open to others without tokens | [`ApiError`] names it |
//! | a bound is met | 408, 413, 422, 429 or 503 with the limit, and when to come back |
//! | a slow or silent client | cut off after `head_timeout`, `body_timeout` or `write_timeout` |
//! | the chain is busy | 503 with `Retry-After`; the transaction wasn't taken up |
//! | the chain stops or is closed | 503 `chain-closed`; `outcome-unknown` where something may have been taken up |
//! | a panic while something is read or queried | 500; anywhere else that connection is closed; others go on |
//! | no file descriptors are left | accepting rests for 50 ms and is tried again |
//!
//! # Features
//! None.
#![forbid(unsafe_code)]

mod chains;
mod config;
mod events;
mod failure;
mod gate;
mod handlers;
mod instruments;
mod metrics;
mod openapi;
mod params;
mod rate;
mod recent;
mod routes;
mod server;
mod timed_io;
mod tokens;

pub use chains::Chains;
pub use config::{ApiConfig, ApiLimits};
pub use instruments::{Instruments, Metric, MetricKind, NoInstruments, Sample};
pub use openapi::document;
pub use server::{ApiError, ApiServer};
pub use tokens::{MAX_TOKENS, Right, Rights, TokenError, Tokens};
