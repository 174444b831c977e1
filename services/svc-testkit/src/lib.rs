//! Start any service in-process on port 0 with fake neighbours.
