//! Adapter: Docker Engine API.
