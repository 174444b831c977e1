//! For this crate's own tests.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::Path;

use kernel_compose::Project;

/// The project of a Compose file that stands in `folder`.
pub(crate) fn project(folder: &Path, compose: &str) -> Project {
    let mut sources = kernel_core::source::Sources::default();
    let files = [sources.add("compose.yaml", compose)];
    let (environment, nothing) = (BTreeMap::new(), BTreeMap::<String, String>::new());
    let request = kernel_compose::LoadRequest {
        files: &files,
        env_files: &[],
        environment: &environment,
        generated: &environment,
        profiles: &[],
        project_name: Some("shop"),
        project_directory: folder.to_str().unwrap(),
        reader: &nothing,
    };
    let loaded = kernel_compose::load(&request, &mut sources);
    loaded.project.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics))
}
