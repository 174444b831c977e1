//! Operations: settings in, report out.
