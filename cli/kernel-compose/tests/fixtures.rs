//! Every case of `tests/fixtures` against what docker compose made of it; see the README there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use common::differences;
use kernel_compose::discover::{Options, discover};
use kernel_compose::{
    FileText, Files, LoadOptions, LoadRequest, Project, Skip, load_with, printed_service_hash, render,
};
use kernel_core::diagnostic::{Diagnostic, Severity};
use kernel_core::source::Sources;

/// Where the fixtures stand while they are hashed, here and in `regenerate`: paths are a part of a hash.
const HASHED_AT: &str = "/tmp/kernel-compose-fixtures";

/// The files of the fixtures, wherever they are said to stand.
struct Disk;

impl Files for Disk {
    fn read(&self, path: &str) -> FileText {
        let moved = path.strip_prefix(HASHED_AT).map(|rest| format!("{}{rest}", root().display()));
        match std::fs::read_to_string(moved.as_deref().unwrap_or(path)) {
            Ok(text) => FileText::Text(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => FileText::Missing,
            Err(error) => FileText::Unreadable(error.to_string()),
        }
    }

    fn is_directory(&self, path: &str) -> bool {
        let moved = path.strip_prefix(HASHED_AT).map(|rest| format!("{}{rest}", root().display()));
        Path::new(moved.as_deref().unwrap_or(path)).is_dir()
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").canonicalize().unwrap()
}

/// What came of a case: the project or something that it was asked for, or everything that was told.
type Outcome<T> = Result<T, (Vec<Diagnostic>, Sources)>;

/// What comes of a case that stands at `place`.
fn outcome(folder: &Path, place: &str, skip: Skip) -> Outcome<Project> {
    load_case(folder, place, |request, options, sources| {
        let loaded = load_with(request, &LoadOptions { skip, ..*options }, sources);
        (loaded.project, loaded.diagnostics)
    })
}

/// Its templates.
fn templates(folder: &Path, place: &str) -> Outcome<serde_json::Value> {
    load_case(folder, place, |request, options, sources| {
        let (tree, told) = kernel_compose::templates(request, options.skip, sources);
        (tree.map(|tree| render::templates(&tree, true)), told)
    })
}

fn load_case<T>(
    folder: &Path,
    place: &str,
    load: impl FnOnce(&LoadRequest<'_>, &LoadOptions<'_>, &mut Sources) -> (Option<T>, Vec<Diagnostic>),
) -> Outcome<T> {
    let mut options = Options {
        working_directory: place.to_owned(),
        environment: BTreeMap::from([("HOME".to_owned(), "/home/u".to_owned())]),
        ..Options::default()
    };
    let (mut services, mut all_resources) = (Vec::new(), false);
    for line in std::fs::read_to_string(folder.join("arguments")).unwrap_or_default().lines() {
        if let Some((name, value)) = line.strip_prefix("env ").and_then(|line| line.split_once('=')) {
            options.environment.insert(name.to_owned(), value.to_owned());
        } else if let Some(words) = line.strip_prefix("config ") {
            services.extend(words.split_whitespace().map(str::to_owned));
        } else {
            let mut words = line.split_whitespace().map(str::to_owned);
            while let Some(word) = words.next() {
                let mut value = || words.next().unwrap();
                match word.as_str() {
                    "-f" => options.files.push(value()),
                    "-p" => options.project_name = Some(value()),
                    "--env-file" => options.env_files.push(value()),
                    "--profile" => options.profiles.push(value()),
                    "--project-directory" => options.project_directory = Some(value()),
                    "--all-resources" => all_resources = true,
                    other => panic!("{}: what is `{other}`?", folder.display()),
                }
            }
        }
    }
    let mut sources = Sources::default();
    let found = discover(&options, &Disk, &mut sources);
    let mut told = found.diagnostics;
    let mut files = Vec::new();
    for file in &found.files {
        match Disk.read(file) {
            FileText::Text(text) => files.push(sources.add(file.as_str(), text)),
            FileText::Missing | FileText::Unreadable(_) => {
                let message = format!("{file} can't be read");
                told.push(Diagnostic::error(kernel_compose::codes::EMPTY, message).help("name another"));
            }
        }
    }
    let generated = BTreeMap::new();
    let request = LoadRequest {
        files: &files,
        env_files: &found.env_sources,
        environment: &found.environment,
        generated: &generated,
        profiles: &found.profiles,
        project_name: found.project_name.as_deref(),
        project_directory: &found.project_directory,
        reader: &Disk,
    };
    let options = LoadOptions { services: &services, all_resources, ..LoadOptions::default() };
    let (result, diagnostics) = load(&request, &options, &mut sources);
    told.extend(diagnostics);
    let failed = told.iter().any(|problem| problem.severity == Severity::Error);
    match result {
        Some(result) if !failed => Ok(result),
        _ => Err((told, sources)),
    }
}

/// What is wrong with one case; nothing when all is well.
fn judge(folder: &Path) -> Vec<String> {
    let place = folder.to_str().unwrap();
    match (expected(folder, ""), outcome(folder, place, Skip::default())) {
        (Some(expected), Ok(ours)) => {
            let mut found = differences(&expected, &render::json(&ours));
            found.extend(hashes(folder));
            found.extend(also(folder));
            found
        }
        (Some(_), Err((told, sources))) => vec![format!("is refused:\n{}", common::told(&told, &sources))],
        (None, Ok(_)) => {
            let refused = std::fs::read_to_string(folder.join("refused")).unwrap();
            vec![format!("is not refused; the reference says: {}", refused.trim())]
        }
        // A problem says where it is or what to do; most say both.
        (None, Err((told, _))) => told
            .iter()
            .filter(|problem| problem.labels.is_empty() && problem.help.is_none())
            .map(|problem| format!("says only this: {}", problem.message))
            .collect(),
    }
}

/// What the reference prints, with an option.
fn expected(folder: &Path, option: &str) -> Option<serde_json::Value> {
    let text = std::fs::read_to_string(folder.join(format!("expected{option}.json"))).ok()?;
    let area = folder.parent().unwrap().to_str().unwrap();
    let text = text.replace("{case}", folder.to_str().unwrap()).replace("{area}", area);
    Some(serde_json::from_str(&text).unwrap())
}

/// What is wrong with what a case is with the options that it names.
fn also(folder: &Path) -> Vec<String> {
    let place = folder.to_str().unwrap();
    let options = std::fs::read_to_string(folder.join("also")).unwrap_or_default();
    let differences = options.lines().flat_map(|option| {
        let expected =
            expected(folder, option).unwrap_or_else(|| panic!("{place}: `{option}` has no answer"));
        let ours = match option {
            "--no-interpolate" => templates(folder, place),
            "--no-path-resolution" => {
                let skip = Skip { paths: true, ..Skip::default() };
                outcome(folder, place, skip).map(|project| render::json(&project))
            }
            other => panic!("{place}: what is `{other}`?"),
        };
        match ours {
            Ok(ours) => differences(&expected, &ours),
            Err((told, sources)) => vec![format!("is refused:\n{}", common::told(&told, &sources))],
        }
        .into_iter()
        .map(move |difference| format!("with {option} {difference}"))
    });
    differences.collect()
}

/// What is wrong with the hashes of a case.
fn hashes(folder: &Path) -> Vec<String> {
    let Ok(expected) = std::fs::read_to_string(folder.join("hashes")) else { return Vec::new() };
    let place = format!("{HASHED_AT}/{}", folder.strip_prefix(root()).unwrap().display());
    let skip = Skip { env_files: true, ..Skip::default() };
    let Ok(project) = outcome(folder, &place, skip) else { return vec!["has no hashes".to_owned()] };
    let line = |name: &String| Some(format!("{name} {}\n", printed_service_hash(&project, name)?));
    let ours: String = project.services.keys().filter_map(line).collect();
    if ours == expected { Vec::new() } else { vec![format!("other hashes:\n{expected}here:\n{ours}")] }
}

fn folders(of: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(of).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<_> = entries.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

#[test]
fn every_case_is_what_the_reference_makes_of_it() {
    let root = root();
    let listed = std::fs::read_to_string(root.join("different")).unwrap();
    let different: BTreeMap<&str, &str> = listed
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| line.split_once(": ").unwrap_or_else(|| panic!("`{line}` gives no reason")))
        .collect();
    let (mut cases, mut problems, mut unused) = (0, Vec::new(), different.clone());
    for area in folders(&root) {
        for folder in folders(&area) {
            cases += 1;
            let name = folder.strip_prefix(&root).unwrap().to_str().unwrap();
            let found = judge(&folder);
            unused.remove(name);
            match (different.get(name), found.is_empty()) {
                (None, false) => problems.push(format!("{name}: {}", found.join("\n    "))),
                (Some(_), true) => problems.push(format!("{name}: is listed as different and is the same")),
                _ => {}
            }
        }
    }
    problems.extend(unused.keys().map(|name| format!("{name}: is listed as different and is not there")));
    assert!(cases > 300, "only {cases} cases were found");
    assert!(problems.is_empty(), "{} of {cases} cases:\n{}", problems.len(), problems.join("\n"));
}
