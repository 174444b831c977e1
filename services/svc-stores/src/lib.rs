//! Backing-store ports and their adapters, each judged by one suite.
