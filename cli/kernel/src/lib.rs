//! The kernel command: arguments, settings, command, exit code.
