//! Identity, tokens, roles, tenants.
