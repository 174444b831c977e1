//! Paths as text: made absolute and cleaned without asking the file system.

/// Joins a path to a directory and takes `.`, `..` and doubled slashes out.
pub fn absolute(directory: &str, path: &str) -> String {
    if path.starts_with('/') { clean(path) } else { clean(&format!("{directory}/{path}")) }
}

/// Takes `.`, `..` and doubled slashes out of an absolute path.
pub fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
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
        || ["git@", "github.com/", "service:", "docker-image:"].iter().any(|start| context.starts_with(start))
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
    }
}
