//! Module manifests, installation, versions.
