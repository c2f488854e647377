//! The consensus seam and its engines.
#![forbid(unsafe_code)]
