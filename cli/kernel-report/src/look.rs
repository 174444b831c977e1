//! What the place that is written to can show.

/// Colour, characters and width of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Escape sequences for colour are understood and wanted.
    pub color: bool,
    /// Characters beyond ASCII are shown.
    pub unicode: bool,
    /// Columns of a line. `None` when nobody cuts lines, as in a pipe.
    pub width: Option<usize>,
}

impl Look {
    /// Plain text of any width: what a pipe, a file or a test gets.
    pub const PLAIN: Self = Self { color: false, unicode: false, width: None };

    /// `text` in a colour where colours are shown. The text says the same without it.
    #[must_use]
    pub fn paint(self, paint: Paint, text: &str) -> String {
        if !self.color || text.is_empty() {
            return text.to_owned();
        }
        let code = match paint {
            Paint::Good => "32",
            Paint::Bad => "31",
            Paint::Careful => "33",
            Paint::Busy => "36",
            Paint::Faint => "2",
            Paint::Strong => "1",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    /// The first of the two where characters beyond ASCII are shown.
    #[must_use]
    pub fn symbol(self, unicode: &'static str, ascii: &'static str) -> &'static str {
        if self.unicode { unicode } else { ascii }
    }
}

/// What a colour is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// Went well.
    Good,
    /// Went wrong.
    Bad,
    /// Wants attention.
    Careful,
    /// Under way.
    Busy,
    /// Beside the point.
    Faint,
    /// A heading.
    Strong,
}
