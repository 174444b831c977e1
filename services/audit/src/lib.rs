//! The append-only, tamper-evident trail.
