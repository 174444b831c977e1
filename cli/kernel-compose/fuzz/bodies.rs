//! What must hold for any input. The targets beside this file run it under `cargo fuzz`, and `tests/fuzzed.rs` runs the same
//! in `cargo test`.
//!
//! Whatever comes: nothing panics, there are not more problems than anybody reads, each points into a text that is there,
//! and what is accepted can be printed and loaded again and then stays the same.
#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;

use kernel_compose::{LoadRequest, Loaded, codes, load, render};
use kernel_core::source::Sources;
use serde_json::Value;

/// Problems that one load may tell: the stages stop at 1,000, and each may add a few.
const MANY: usize = 1_100;

/// Texts by their name, and what is around them.
#[derive(Default)]
struct Project {
    files: Vec<String>,
    env_file: Option<String>,
    readable: BTreeMap<String, String>,
}

/// An env file, for interpolation and of a service, in both formats.
pub fn env_file(text: &str) {
    let compose = "services: { a: { image: \"${A:-i}\", env_file: [e, { path: e, format: raw }] } }";
    let readable = BTreeMap::from([("/p/e".to_owned(), text.to_owned())]);
    sound(&Project { files: vec![compose.to_owned()], env_file: Some(text.to_owned()), readable });
}

/// A template as a value.
pub fn interpolation(text: &str) {
    let compose = serde_json::json!({ "services": { "a": { "image": "i", "hostname": text } } }).to_string();
    let loaded =
        sound(&Project { files: vec![compose], env_file: Some("A=1\nB=\n".into()), ..Project::default() });
    if let Some(project) = loaded.project.filter(|_| !text.contains('$')) {
        let hostname = render::json(&project)["services"]["a"]["hostname"].clone();
        assert_eq!(hostname.as_str().unwrap_or_default(), text);
    }
}

/// A whole Compose file.
pub fn yaml(text: &str) {
    sound(&Project { files: vec![text.to_owned()], ..Project::default() });
}

/// A project: parts with a NUL between them are its file, one over it, an env file, and one that it may include and extend.
pub fn loader(text: &str) {
    let mut parts = text.split('\0').map(str::to_owned);
    let mut next = || parts.next().unwrap_or_default();
    let (first, over, env_file, other) = (next(), next(), next(), next());
    let files = [first, over].into_iter().filter(|file| !file.is_empty()).collect();
    let readable =
        BTreeMap::from([("/p/other.yaml".to_owned(), other), ("/p/e".to_owned(), env_file.clone())]);
    sound(&Project { files, env_file: Some(env_file), readable });
}

fn sound(project: &Project) -> Loaded {
    let (loaded, sources) = load_project(project);
    assert!(loaded.diagnostics.len() < MANY, "{} problems", loaded.diagnostics.len());
    for problem in &loaded.diagnostics {
        for label in &problem.labels {
            let source = sources.get(label.span.source).unwrap();
            assert!(source.text.get(label.span.start..label.span.end).is_some(), "{problem:?}");
        }
    }
    if let Some(accepted) = &loaded.project {
        let printed = render::yaml(accepted);
        let (again, _) = load_project(&Project { files: vec![printed.clone()], ..Project::default() });
        let Some(again) = again.project else {
            // Not all that the reference prints can be loaded again: what a profile hides is not printed, nor that a config
            // without a source is not external, and a limit of -1 is printed as a size.
            let codes = [codes::CONFLICT, codes::BAD_VALUE];
            let known = again.diagnostics.iter().any(|problem| codes.contains(&problem.code));
            let told: Vec<_> = again.diagnostics.iter().map(|problem| &problem.message).collect();
            assert!(known || !accepted.hidden.is_empty(), "{told:?}\n{printed}");
            return loaded;
        };
        // Once it was printed, printing it again changes nothing. Only the dollar signs of keys are doubled each time, as
        // the reference has it: variables are never filled into keys.
        let printed = render::yaml(&again);
        if !has_dollar_in_key(&render::json(&again)) {
            let (third, _) = load_project(&Project { files: vec![printed.clone()], ..Project::default() });
            let third = third.project.unwrap_or_else(|| panic!("{printed}"));
            assert_eq!(render::json(&third), render::json(&again), "{printed}");
        }
    }
    loaded
}

fn has_dollar_in_key(value: &Value) -> bool {
    match value {
        Value::Object(entries) => {
            entries.iter().any(|(key, value)| key.contains('$') || has_dollar_in_key(value))
        }
        Value::Array(items) => items.iter().any(has_dollar_in_key),
        _ => false,
    }
}

fn load_project(project: &Project) -> (Loaded, Sources) {
    let mut sources = Sources::default();
    let files: Vec<_> = project
        .files
        .iter()
        .enumerate()
        .map(|(index, text)| sources.add(format!("{index}.yaml"), text.as_str()))
        .collect();
    let env_files: Vec<_> = project.env_file.iter().map(|text| sources.add(".env", text.as_str())).collect();
    let none = BTreeMap::new();
    let request = LoadRequest {
        files: &files,
        env_files: &env_files,
        environment: &none,
        generated: &none,
        profiles: &[],
        project_name: Some("p"),
        project_directory: "/p",
        reader: &project.readable,
    };
    (load(&request, &mut sources), sources)
}
