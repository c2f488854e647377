//! A client that verifies what it gets, and the API's JSON types.
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
