//! Where in the tree a stage is, in the words of the file: `services.web.ports[0]`.

use std::fmt;

/// A path from the top of the tree.
#[derive(Clone, Debug, Default)]
pub struct Place {
    path: String,
    marks: Vec<usize>,
}

impl Place {
    /// Goes down into the value of a key.
    pub fn key(&mut self, key: &str) {
        self.marks.push(self.path.len());
        if !self.path.is_empty() {
            self.path.push('.');
        }
        self.path.push_str(key);
    }

    /// Goes down into an item of a list.
    pub fn index(&mut self, index: usize) {
        self.marks.push(self.path.len());
        self.path.push_str(&format!("[{index}]"));
    }

    /// Goes up again.
    pub fn up(&mut self) {
        let length = self.marks.pop().unwrap_or(0);
        self.path.truncate(length);
    }

    /// Whether this is the top of the tree.
    pub fn is_top(&self) -> bool {
        self.path.is_empty()
    }

    /// The path as written.
    pub fn as_str(&self) -> &str {
        if self.path.is_empty() { "the file" } else { &self.path }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() { f.write_str("the file") } else { write!(f, "`{}`", self.path) }
    }
}
