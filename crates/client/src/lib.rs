//! The JSON types and a client.
#![forbid(unsafe_code)]

pub mod wire;
