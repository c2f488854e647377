//! The HTTP/JSON server.
#![forbid(unsafe_code)]
