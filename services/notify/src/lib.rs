//! Outgoing notifications: templates, channels, history.
