//! Tenants' own host names, verification, certificates.

pub mod domain;
pub mod lookup;
