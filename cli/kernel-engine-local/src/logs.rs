//! Log files of units: one line each of `time stream text`, rotated by size, read back newest last and merged by
//! time.

mod reader;
mod splitter;
mod writer;

use kernel_core::event::{LogLine, Stream};
use kernel_core::name::ServiceName;

use crate::layout::Layout;

pub(crate) use reader::tail;
pub(crate) use splitter::Splitter;
pub(crate) use writer::Writer;

/// Which lines of which units are wanted.
#[derive(Clone, Debug)]
pub struct LogRequest {
    /// Whose. Empty: of all that have any.
    pub units: Vec<ServiceName>,
    /// The last so many lines of each. `None`: all that are kept.
    pub tail: Option<usize>,
    /// Go on with what comes.
    pub follow: bool,
}

/// The last lines of units, merged by time. Of all units that have a log when none is named.
pub(crate) fn merged(layout: &Layout, units: &[ServiceName], count: Option<usize>) -> Vec<LogLine> {
    let all = if units.is_empty() { with_log(layout) } else { units.to_vec() };
    let mut lines: Vec<LogLine> =
        all.iter().flat_map(|unit| tail(&layout.log_of(unit), unit, count)).collect();
    // Stable: lines of one time keep the order of their unit.
    lines.sort_by(|one, other| one.time.cmp(&other.time));
    lines
}

fn with_log(layout: &Layout) -> Vec<ServiceName> {
    let entries = std::fs::read_dir(layout.logs()).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| ServiceName::new(entry.file_name().to_str()?.strip_suffix(".log")?).ok())
        .collect()
}

/// One line of a file, its end included.
fn render(line: &LogLine) -> String {
    format!("{} {} {}\n", line.time, line.stream.word(), line.text)
}

/// Reads a line of a file back. Text that is not ours (half a line after a kill) is still shown.
fn parse(unit: &ServiceName, line: &str) -> LogLine {
    let mut parts = line.splitn(3, ' ');
    let (time, word, text) = (parts.next(), parts.next(), parts.next());
    let stream = match word {
        Some("stdout") => Some(Stream::Stdout),
        Some("stderr") => Some(Stream::Stderr),
        Some("supervisor") => Some(Stream::Supervisor),
        _ => None,
    };
    match (time, stream, text) {
        (Some(time), Some(stream), Some(text)) => {
            LogLine { unit: unit.clone(), time: time.to_owned(), stream, text: text.to_owned() }
        }
        _ => LogLine {
            unit: unit.clone(),
            time: String::new(),
            stream: Stream::Supervisor,
            text: line.to_owned(),
        },
    }
}

/// Now, as it stands in log files: microseconds, UTC, always as wide, so that text order is time order.
pub(crate) fn now() -> String {
    format!("{:.6}", jiff::Timestamp::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_back_as_it_was_written() {
        let unit = ServiceName::new("iam").unwrap();
        for text in ["", " ", "a  b", "stdout stderr"] {
            let line =
                LogLine { unit: unit.clone(), time: now(), stream: Stream::Stderr, text: text.to_owned() };
            assert_eq!(parse(&unit, render(&line).trim_end_matches('\n')), line);
        }
        assert_eq!(parse(&unit, "half a li").text, "half a li");
    }

    #[test]
    fn time_is_always_as_wide() {
        let time = now();
        assert_eq!((time.len(), time.ends_with('Z')), ("2026-11-22T17:45:01.123456Z".len(), true), "{time}");
    }
}
