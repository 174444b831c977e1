//! Reads dep-info files as cargo writes them beside a program: `program: source source …`, a space in a path
//! written `\ `.

use std::path::PathBuf;

/// The sources that a dep-info text names. `None` when it is not such a text.
pub(crate) fn sources(text: &str) -> Option<Vec<PathBuf>> {
    let line = text.lines().find(|line| !line.trim().is_empty())?;
    let (_, list) = line.split_once(": ").or_else(|| line.strip_suffix(':').map(|program| (program, "")))?;
    let mut sources = Vec::new();
    let mut path = String::new();
    let mut characters = list.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' if characters.peek() == Some(&' ') => {
                characters.next();
                path.push(' ');
            }
            ' ' => take(&mut path, &mut sources),
            other => path.push(other),
        }
    }
    take(&mut path, &mut sources);
    Some(sources)
}

fn take(path: &mut String, sources: &mut Vec<PathBuf>) {
    if !path.is_empty() {
        sources.push(PathBuf::from(std::mem::take(path)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_space_in_a_path_is_not_the_end_of_it() {
        let text = "/t/debug/iam: /src/a.rs /my\\ src/b.rs  /c\\d.rs\n";
        let expected: Vec<PathBuf> = ["/src/a.rs", "/my src/b.rs", "/c\\d.rs"].map(PathBuf::from).to_vec();
        assert_eq!(sources(text), Some(expected));
        assert_eq!(sources("/t/debug/iam:\n"), Some(Vec::new()));
        assert_eq!(sources(""), None);
    }
}
