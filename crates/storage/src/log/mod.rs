//! The append-only log of a host: the records of all its chains, durable in groups.
