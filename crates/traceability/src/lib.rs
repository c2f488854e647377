//! EPCIS 2.0 events, the traceability contract and proven traces.
#![forbid(unsafe_code)]

pub mod epcis;
pub mod json;
