//! Digests, Merkle trees, keys, signatures and signers.
#![forbid(unsafe_code)]
