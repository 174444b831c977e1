//! Typed clients: deadline, retry by status, trace propagation.
