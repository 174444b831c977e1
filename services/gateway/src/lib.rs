//! The only inbound door: REST to gRPC from the descriptors, tokens, permissions, tenancy.
