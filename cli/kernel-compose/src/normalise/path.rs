//! Paths as text: made absolute and cleaned without asking the file system.

use super::Base;

/// Joins a path to a directory and takes `.`, `..` and doubled slashes out.
pub fn absolute(directory: &str, path: &str) -> String {
    if path.starts_with('/') { clean(path) } else { clean(&format!("{directory}/{path}")) }
}

/// The path from one directory to another, both absolute and clean.
pub fn relative(from: &str, to: &str) -> String {
    let parts = |path: &'_ str| path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
    let (from, to): (Vec<String>, Vec<String>) = (parts(from), parts(to));
    let same = from.iter().zip(&to).take_while(|(left, right)| left == right).count();
    let up = std::iter::repeat_n("..", from.len() - same);
    clean(&up.chain(to[same..].iter().map(String::as_str)).collect::<Vec<_>>().join("/"))
}

/// Takes `.`, `..` and doubled slashes out of a path. A relative one stays relative; an empty one is `.`.
pub fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    match (rooted, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}

/// The path with `~` written out and, where it is relative, below the directory. An absolute one stays as it is written.
pub fn resolve(written: &str, base: Base<'_>) -> String {
    let path = expand(written, base);
    if path.is_empty() || path.starts_with('/') { path } else { absolute(base.directory, &path) }
}

/// The same for a path of the engine's machine, which may run Windows.
pub fn resolve_on_host(written: &str, base: Base<'_>) -> String {
    let path = expand(written, base);
    if path.starts_with('/') || is_windows_absolute(&path) { path } else { absolute(base.directory, &path) }
}

fn expand(written: &str, base: Base<'_>) -> String {
    match (written.strip_prefix('~'), base.home) {
        (Some(rest), Some(home)) => clean(&format!("{home}/{rest}")),
        _ => written.to_owned(),
    }
}

/// The directory that a file is in.
pub fn parent(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some(("", _)) | None => "/",
        Some((parent, _)) => parent,
    }
}

/// Whether a build context is fetched and not a path.
pub fn is_remote(context: &str) -> bool {
    context.contains("://")
        || ["git@", "github.com/", "service:"].iter().any(|start| context.starts_with(start))
}

/// Whether a Compose file is to be fetched from a repository or a registry.
pub fn is_elsewhere(written: &str) -> bool {
    ["https://", "http://", "git://", "ssh://", "github.com/", "git@", "oci://"]
        .iter()
        .any(|start| written.starts_with(start))
}

/// `C:\a`, `C:/a`, `\\host\share\…` and the like.
pub fn is_windows_absolute(path: &str) -> bool {
    let bytes = path.as_bytes();
    let separator = |byte: &u8| *byte == b'\\' || *byte == b'/';
    match bytes {
        [_, b':', rest @ ..] => rest.first().is_some_and(separator),
        [first, second, rest @ ..] if separator(first) && separator(second) => {
            // A share needs both a host and a name.
            rest.split(separator).filter(|part| !part.is_empty()).count() >= 2
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_made_absolute_by_text_alone() {
        assert_eq!(absolute("/proj/app", "."), "/proj/app");
        assert_eq!(absolute("/proj/app", "./a//b/../c"), "/proj/app/a/c");
        assert_eq!(absolute("/proj/app", "/x/"), "/x");
        assert_eq!(absolute("/", "../../a"), "/a");
        assert_eq!(parent("/a/b.yml"), "/a");
        assert_eq!(parent("/b.yml"), "/");
        assert_eq!(clean("a/../../b/"), "../b");
        assert_eq!(clean(""), ".");
        for (from, to, expected) in
            [("/a", "/a/b/c", "b/c"), ("/a/b", "/a/c", "../c"), ("/a", "/a", "."), ("/", "/x", "x")]
        {
            assert_eq!(relative(from, to), expected, "{from} {to}");
        }
    }

    #[test]
    fn home_is_written_out_and_absolute_paths_stay() {
        let base = Base { directory: "/proj", home: Some("/home/u") };
        for (written, expected) in
            [("~/x", "/home/u/x"), ("~", "/home/u"), ("/a/../b", "/a/../b"), ("", ""), ("a/./b", "/proj/a/b")]
        {
            assert_eq!(resolve(written, base), expected, "{written}");
        }
        assert_eq!(resolve_on_host("c:\\x", base), "c:\\x");
        assert_eq!(resolve_on_host("c:x", base), "/proj/c:x");
    }
}
