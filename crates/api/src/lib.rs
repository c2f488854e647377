//! The HTTP/JSON server.
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
