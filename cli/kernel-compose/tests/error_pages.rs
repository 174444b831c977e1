//! The pages that `kernel explain` prints: the example on each gives the error that the page is about.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::path::Path;

use common::compose;
use kernel_compose::codes;
use kernel_compose::discover::{Options, discover};
use kernel_core::diagnostic::Code;
use kernel_core::pins::{self, Kind, Pins};
use kernel_core::source::Sources;

/// The language and text of the first example of a page.
fn example(code: Code) -> (String, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../docs/errors/{code}.md"));
    let page = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(page.starts_with(&format!("# {code}: ")), "{code}");
    assert!(page.contains("\n## What to do\n"), "{code}");
    let (_, rest) = page.split_once("\n```").unwrap();
    let (language, rest) = rest.split_once('\n').unwrap();
    (language.to_owned(), rest.split_once("```").unwrap().0.to_owned())
}

#[test]
fn the_example_of_each_compose_code_gives_it() {
    for code in codes::ALL {
        if *code == codes::TOO_LARGE {
            // No page can hold an example of it.
            let case = compose(&format!("x-a: [{}]", "a,".repeat(500_001)));
            assert_eq!(case.load().0.diagnostics.first().map(|problem| problem.code), Some(*code));
            continue;
        }
        let (language, text) = example(*code);
        if language == "sh" {
            let nothing = std::collections::BTreeMap::<String, String>::new();
            let found = discover(&Options::default(), &nothing, &mut Sources::default());
            let told: Vec<Code> = found.diagnostics.iter().map(|diagnostic| diagnostic.code).collect();
            assert_eq!(told, [*code]);
            continue;
        }
        let case = match language.as_str() {
            "env" => compose("services: { a: { image: i } }").env_file(&text),
            _ => compose(&text).generated("TOKEN", "made"),
        };
        let profile = text.lines().find_map(|line| line.strip_prefix("# --profile "));
        let case = if let Some(profile) = profile { case.profile(profile) } else { case };
        let case = if text.contains("x-kernel: { generate") { case } else { case.without_generated() };
        let (loaded, sources) = case.load();
        let told: Vec<Code> = loaded.diagnostics.iter().map(|diagnostic| diagnostic.code).collect();
        assert!(told.contains(code), "{code} gives {}", common::told(&loaded.diagnostics, &sources));
    }
}

#[test]
fn the_example_of_each_pin_code_gives_it() {
    for code in pins::ALL {
        let (language, text) = example(*code);
        let mut sources = Sources::default();
        let env = if language == "env" { text.clone() } else { "RUST_VERSION=1.95.0\n".to_owned() };
        let source = sources.add("versions.env", env.as_str());
        let (pins, mut problems) = Pins::parse(source, &env);
        let kind = match language.as_str() {
            "yaml" => Some(Kind::Compose),
            "toml" => Some(Kind::Toolchain),
            _ => None,
        };
        let files: Vec<_> = kind.map(|kind| (kind, sources.add("file", text.as_str()))).into_iter().collect();
        problems.extend(pins.check(&files, &sources).diagnostics);
        assert!(
            problems.iter().any(|problem| problem.code == *code),
            "{code}: {}",
            common::told(&problems, &sources)
        );
    }
}
