//! A node composed of the parts: host, chain, builder.
#![forbid(unsafe_code)]
