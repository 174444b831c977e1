//! Adapter: child processes on this machine under a small supervisor, no Docker.
