//! The only outbound door to external interfaces.
