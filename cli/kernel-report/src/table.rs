//! Columns for people: as wide as their content, cut to the terminal, never wrapped in a pipe.

use crate::look::{Look, Paint};

/// Rows below headings.
#[derive(Clone, Debug, Default)]
pub struct Table {
    headings: Vec<String>,
    rows: Vec<Vec<Cell>>,
}

/// One field of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    text: String,
    paint: Option<Paint>,
}

impl Cell {
    /// A field whose colour underlines what its text says.
    #[must_use]
    pub fn painted(text: impl Into<String>, paint: Paint) -> Self {
        Self { text: text.into(), paint: Some(paint) }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), paint: None }
    }
}

impl Table {
    /// A table without rows.
    #[must_use]
    pub fn new<T: Into<String>>(headings: impl IntoIterator<Item = T>) -> Self {
        Self { headings: headings.into_iter().map(Into::into).collect(), rows: Vec::new() }
    }

    /// Adds a row. Fields beyond the headings are dropped, missing ones are empty.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        let mut row: Vec<Cell> = cells.into_iter().take(self.headings.len()).collect();
        row.resize_with(self.headings.len(), || Cell::from(""));
        self.rows.push(row);
    }

    /// Whether there is nothing below the headings.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table as text, each line ended. Only the last column gives way to a narrow terminal.
    #[must_use]
    pub fn render(&self, look: Look) -> String {
        let last = self.headings.len().saturating_sub(1);
        let widths: Vec<usize> = (0..self.headings.len()).map(|column| self.width_of(column)).collect();
        let before_last: usize = widths.iter().take(last).map(|width| width + 2).sum();
        let room = look.width.map(|width| width.saturating_sub(before_last).max(12));

        let headings: Vec<Cell> =
            self.headings.iter().map(|heading| Cell::painted(heading.as_str(), Paint::Strong)).collect();
        let mut out = String::new();
        for row in std::iter::once(&headings).chain(&self.rows) {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let text = match room {
                    Some(room) if column == last => cut(&cell.text, room, look),
                    _ => cell.text.clone(),
                };
                let padding = widths[column].saturating_sub(text.chars().count());
                line.push_str(&cell.paint.map_or_else(|| text.clone(), |paint| look.paint(paint, &text)));
                if column < last {
                    line.push_str(&" ".repeat(padding + 2));
                }
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }

    fn width_of(&self, column: usize) -> usize {
        let heading = self.headings[column].chars().count();
        let cells = self.rows.iter().map(|row| row[column].text.chars().count());
        cells.chain(std::iter::once(heading)).max().unwrap_or(0)
    }
}

fn cut(text: &str, room: usize, look: Look) -> String {
    if text.chars().count() <= room {
        return text.to_owned();
    }
    let dots = look.symbol("…", "...");
    let kept: String = text.chars().take(room.saturating_sub(dots.chars().count())).collect();
    kept + dots
}

#[cfg(test)]
mod tests {
    use super::*;

    fn services() -> Table {
        let mut table = Table::new(["SERVICE", "STATE", "WHY"]);
        table.row([Cell::from("iam"), Cell::painted("ready", Paint::Good), Cell::from("")]);
        table.row([
            Cell::from("data-layer"),
            Cell::painted("waiting", Paint::Busy),
            Cell::from("waiting for iam: /health/ready says 503"),
        ]);
        table
    }

    #[test]
    fn columns_are_as_wide_as_their_content() {
        insta::assert_snapshot!(services().render(Look::PLAIN), @r"
        SERVICE     STATE    WHY
        iam         ready
        data-layer  waiting  waiting for iam: /health/ready says 503
        ");
    }

    #[test]
    fn a_narrow_terminal_cuts_the_last_column_only() {
        let look = Look { width: Some(40), ..Look::PLAIN };
        insta::assert_snapshot!(services().render(look), @r"
        SERVICE     STATE    WHY
        iam         ready
        data-layer  waiting  waiting for iam:...
        ");
    }

    #[test]
    fn colour_does_not_move_columns() {
        let plain = services().render(Look::PLAIN);
        let colored = services().render(Look { color: true, ..Look::PLAIN });
        let stripped: String = colored
            .split('\u{1b}')
            .map(|part| {
                part.strip_prefix('[').and_then(|rest| rest.split_once('m')).map_or(part, |(_, text)| text)
            })
            .collect();
        assert_ne!(plain, colored);
        assert_eq!(plain, stripped);
    }
}
