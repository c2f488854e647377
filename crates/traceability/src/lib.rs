//! EPCIS 2.0 events, the traceability contract and proven traces.
#![forbid(unsafe_code)]

pub mod contract;
pub mod epcis;
pub mod json;
pub mod records;
pub mod timeline;
pub mod walk;
