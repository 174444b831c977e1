//! Every relative link of the README and the pages below `docs/` leads somewhere: to a file that is there, and, with a
//! `#`, to one of its headings.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn pages_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            pages_below(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
}

/// The lines that are text: what stands between fences is not read.
fn text_lines(page: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut in_code = false;
    (1..).zip(page.lines()).filter(move |(_, line)| {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        !fence && !in_code
    })
}

/// The parts of a line outside of code.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("`")
}

/// Where the inline links `[text](target)` and the definitions `[name]: target` of a line lead.
fn targets(line: &str) -> Vec<String> {
    let line = without_code(line);
    let first_word = |text: &str| text.split_whitespace().next().unwrap_or_default().to_owned();
    let mut targets: Vec<_> = line
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .map(|(target, _)| first_word(target))
        .collect();
    if let Some((_, target)) = line.strip_prefix('[').and_then(|rest| rest.split_once("]:")) {
        targets.push(first_word(target));
    }
    targets.into_iter().map(|target| target.trim_matches(['<', '>']).to_owned()).collect()
}

/// The anchors of a page, made of its headings as GitHub makes them.
fn anchors(page: &str) -> BTreeSet<String> {
    let headings = text_lines(page).filter(|(_, line)| line.starts_with('#'));
    let slug = |line: &str| -> String {
        let text = line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
        text.chars().filter(|letter| letter.is_alphanumeric() || "-_".contains(*letter)).collect()
    };
    headings.map(|(_, line)| slug(line)).collect()
}

/// What is wrong with the links of a page, each with its line.
fn broken_links(path: &Path, page: &str) -> Vec<String> {
    let folder = path.parent().unwrap();
    let mut broken = Vec::new();
    for (number, line) in text_lines(page) {
        for target in targets(line) {
            if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let file = if file.is_empty() { path.to_owned() } else { folder.join(file) };
            let leads = match fs::read_to_string(&file) {
                Ok(text) if !anchor.is_empty() => anchors(&text).contains(anchor),
                Ok(_) => true,
                Err(_) => file.is_dir() && anchor.is_empty(),
            };
            if !leads {
                broken.push(format!("{}:{number}: `{target}` leads nowhere", path.display()));
            }
        }
    }
    broken
}

#[test]
fn every_relative_link_leads_somewhere() {
    let mut pages = vec![root().join("README.md")];
    pages_below(&root().join("docs"), &mut pages);
    assert!(pages.len() > 60, "only {} pages were found", pages.len());
    let broken: Vec<_> =
        pages.iter().flat_map(|path| broken_links(path, &fs::read_to_string(path).unwrap())).collect();
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn every_page_can_be_reached_from_the_readme() {
    let mut reached = BTreeSet::new();
    let mut open = vec![root().join("README.md")];
    while let Some(path) = open.pop() {
        if !reached.insert(path.clone()) {
            continue;
        }
        let Ok(page) = fs::read_to_string(&path) else { continue };
        let targets = text_lines(&page).flat_map(|(_, line)| targets(line)).collect::<Vec<_>>();
        for target in targets {
            let file = target.split('#').next().unwrap_or_default();
            let Ok(mut found) = path.parent().unwrap().join(file).canonicalize() else { continue };
            if found.is_dir() {
                found.push("README.md");
            }
            if found.extension().is_some_and(|extension| extension == "md") {
                open.push(found);
            }
        }
    }
    let mut pages = Vec::new();
    pages_below(&root().join("docs"), &mut pages);
    // The pages of errors are found by their codes: `kernel explain`.
    pages.retain(|path| !path.starts_with(root().join("docs/errors")) && !reached.contains(path));
    assert!(pages.is_empty(), "no link leads to {pages:?}");
}

#[test]
fn links_are_found_and_checked() {
    let page = "# A page\n\n[a](other.md) [b](#a-page) [c](#nowhere) `[d](gone.md)`\n```\n[e](gone.md)\n```\n\
        [f](https://example.org/x) and [g](<gone.md> \"title\")\n[h]: gone.md\n";
    let folder = std::env::temp_dir().join(format!("docs-links-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("other.md"), "").unwrap();
    fs::write(folder.join("page.md"), page).unwrap();
    let broken = broken_links(&folder.join("page.md"), page);
    fs::remove_dir_all(&folder).unwrap();
    let lines: Vec<_> = broken.iter().map(|text| text.rsplit_once("page.md:").unwrap().1).collect();
    assert_eq!(
        lines,
        ["3: `#nowhere` leads nowhere", "7: `gone.md` leads nowhere", "8: `gone.md` leads nowhere"]
    );
    assert!(anchors("## The `x` of *y*, twice\n").contains("the-x-of-y-twice"));
}
