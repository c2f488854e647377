//! The files that the log, guard files and settings live in: a real folder, or a simulated one that fails as disks do.
