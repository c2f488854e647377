//! The executor, the runtime seam and the native runtime.
#![forbid(unsafe_code)]
