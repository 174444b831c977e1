//! Loads a Compose project from a text.

use std::collections::BTreeMap;

use kernel_compose::{FileText, Files, LoadRequest, Project};
use kernel_core::source::Sources;

struct NoFiles;

impl Files for NoFiles {
    fn read(&self, _: &str) -> FileText {
        FileText::Missing
    }
}

/// The project; the generated variable `TOKEN` is `hunter2`.
pub fn load(text: &str) -> Project {
    let mut sources = Sources::default();
    let files = [sources.add("compose.yml", text)];
    let generated = BTreeMap::from([("TOKEN".to_owned(), "hunter2".to_owned())]);
    let request = LoadRequest {
        files: &files,
        env_files: &[],
        environment: &BTreeMap::new(),
        generated: &generated,
        profiles: &[],
        project_name: None,
        project_directory: "/src",
        reader: &NoFiles,
    };
    let loaded = kernel_compose::load(&request, &mut sources);
    loaded.project.unwrap_or_else(|| panic!("{:#?}", loaded.diagnostics))
}
