//! A client that verifies what it gets, and the API's JSON types.
//!
//! ```text
//!   Client::receipt ─▶ GET …/receipt?proof=true&seen_size=…&seen_root=… ─▶ a server, or the next one
//!                                                                              │ proof, checkpoint, consistency
//!   VerifiedReceipt ◀─ asked for? ◀─ Proof::verify ◀─ LightClient::advance ◀───┘
//! ```
//!
//! # Contract
//! - What [`Client`] returns is proven against a checkpoint that the trust root makes trustworthy, and that continues
//!   everything seen before by this client and its clones. [`Client::trust_root`] is what to store, so that the next run
//!   goes on there.
//! - What no proof shows is under [`Client::unverified`]: a status on the way, a block's page, a contract's query.
//! - [`Client::submit`] hands the same signed bytes in until somebody says that they are taken up. An outcome that isn't
//!   known is [`ClientError::OutcomeUnknown`], never a guess; handing the bytes in again is safe.
//! - [`EventStream`] tells proven events once and in order over any number of connections. A server can be silent; that
//!   none was left out isn't proven.
//! - Plain `http://`: TLS is for a reverse proxy. The proofs need no TLS, but a bearer token and privacy do.
//!
//! # Example
//! ```
//! use ledger_client::{Client, ClientError};
//! use ledger_core::{Genesis, Timestamp, TrustRoot};
//! use ledger_crypto::{MemorySigner, Signer};
//!
//! let owner = MemorySigner::from_seed([1; 32]);
//! let genesis = Genesis::solo("coffee", owner.public_key(), Timestamp(0)); // from somebody you trust
//! let client = Client::builder("http://127.0.0.1:8080", TrustRoot::new(genesis.clone()))
//!     .server("http://127.0.0.1:8081") // asked when the first can't be reached
//!     .token("secret")
//!     .build()?;
//! assert_eq!(client.chain(), genesis.chain());
//!
//! let refused = Client::new("https://example.org", TrustRoot::new(genesis));
//! assert!(matches!(refused, Err(ClientError::Url { .. })));
//! # Ok::<(), ClientError>(())
//! ```
//! A whole round with a server stands on `ledger_api`'s front page.
//!
//! # Failure
//! | what | effect |
//! |---|---|
//! | a server can't be reached, or is busy | the next one; then pauses with jitter, up to a number of attempts |
//! | an answer was lost | the same bytes again; a place that the transaction took itself is no refusal |
//! | a proof, certificate or history doesn't verify | an error that names server and reason ([`ClientError::is_a_lie`]); another server is asked next time |
//! | a server is behind what was seen | others are asked; if all are, [`ClientError::Checkpoint`] |
//! | a connection of a stream breaks | the stream goes on behind the last event, elsewhere if need be |
//!
//! # Features
//! None.
#![forbid(unsafe_code)]

mod client;
mod config;
mod error;
mod events;
mod http;
mod unverified;
pub mod wire;

pub use client::{
    Client, ClientBuilder, Submitted, VerifiedEvent, VerifiedReceipt, VerifiedState, VerifiedTransaction,
};
pub use config::ClientConfig;
pub use error::ClientError;
pub use events::EventStream;
pub use unverified::Unverified;
