//! Transactions, blocks, outcomes, checkpoints, proofs, the light client and the seams.
#![forbid(unsafe_code)]
