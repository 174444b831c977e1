//! Tenants' own host names, verification, certificates.
