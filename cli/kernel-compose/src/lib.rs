//! Pure: the Compose Specification, text in, project or diagnostics out.
