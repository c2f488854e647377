//! A seeded world for real node cores.
#![forbid(unsafe_code)]
