//! Columns between tabs, as Docker's commands align them: at least ten wide, three apart, each as wide as the lines
//! that follow each other need it. What stands after the last tab of a line is in no column.

const LEAST: usize = 10;
const BETWEEN: usize = 3;

/// The lines of a text with columns in place of tabs.
pub(super) fn aligned(text: &str) -> String {
    let lines: Vec<Vec<&str>> = text.split('\n').map(|line| line.split('\t').collect()).collect();
    let mut widths: Vec<Vec<usize>> = lines.iter().map(|cells| vec![0; cells.len() - 1]).collect();
    let columns = widths.iter().map(Vec::len).max().unwrap_or(0);
    for column in 0..columns {
        let mut at = 0;
        while at < lines.len() {
            let has = |line: &usize| widths[*line].len() > column;
            let together: Vec<usize> = (at..lines.len()).take_while(has).collect();
            let needed = together.iter().map(|line| lines[*line][column].chars().count() + BETWEEN).max();
            for line in &together {
                widths[*line][column] = needed.unwrap_or(0).max(LEAST);
            }
            at += together.len().max(1);
        }
    }
    let line = |(cells, widths): (&Vec<&str>, &Vec<usize>)| {
        let mut line = String::new();
        for (place, cell) in cells.iter().enumerate() {
            let width = widths.get(place).copied().unwrap_or(0);
            line.push_str(cell);
            line.push_str(&" ".repeat(width.saturating_sub(cell.chars().count())));
        }
        line
    };
    lines.iter().zip(&widths).map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_that_follow_each_other_share_a_column() {
        let text = "a\tb\n0123456789\tb\nnone\nc\td\te\n";
        assert_eq!(aligned(text), "a            b\n0123456789   b\nnone\nc         d         e\n");
    }
}
