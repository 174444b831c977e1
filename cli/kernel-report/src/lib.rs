//! Events to terminal, plain lines, JSON lines, JUnit, trace.
