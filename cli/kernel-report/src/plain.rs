//! One line per change of state, with the time since the command began: for pipes, logs and build machines. When
//! nothing was said for a while, a heartbeat tells what is waited for, so that nobody takes silence for a hang.

use std::io::Write;

use kernel_core::diagnostic::Severity;
use kernel_core::event::{Event, LogLine, Problem, Verdict};

use crate::Listener;
use crate::board::{Board, Phase};
use crate::log_text::readable;
use crate::look::{Look, Paint};

/// Milliseconds of silence after which a heartbeat is due.
pub const HEARTBEAT_MS: u64 = 15_000;

/// Milliseconds between two lines about how far a step is: a build says so hundreds of times.
const PROGRESS_MS: u64 = 2_000;

/// How many names a heartbeat tells before it only counts.
const NAMES_IN_A_HEARTBEAT: usize = 4;

/// Writes lines.
#[derive(Debug)]
pub struct Plain<W> {
    out: W,
    look: Look,
    verbose: bool,
    board: Board,
    last_ms: u64,
    last_progress_ms: Option<u64>,
}

impl<W: Write> Plain<W> {
    /// Lines into `out`; `verbose` tells also what usually goes without saying.
    pub fn new(out: W, look: Look, verbose: bool) -> Self {
        Self { out, look, verbose, board: Board::default(), last_ms: 0, last_progress_ms: None }
    }

    /// What was written to.
    pub fn into_inner(self) -> W {
        self.out
    }

    fn line(&mut self, at_ms: u64, paint: Option<Paint>, name: &str, text: &str) {
        let time = self.look.paint(Paint::Faint, &format!("{:>8}", seconds(at_ms)));
        let text = paint.map_or_else(|| text.to_owned(), |paint| self.look.paint(paint, text));
        let name = if name.is_empty() { String::new() } else { format!("{name:<18} ") };
        // Who reads stderr may be gone; that is no reason to stop working.
        let _gone = writeln!(self.out, "{time}  {name}{text}");
        self.last_ms = at_ms;
    }

    fn evidence(&mut self, lines: &[String]) {
        for line in lines {
            let _gone = writeln!(self.out, "{:>8}    {} {}", "", self.look.symbol("│", "|"), readable(line));
        }
    }

    fn problem(&mut self, at_ms: u64, problem: &Problem) {
        self.line(at_ms, Some(Paint::Careful), "", &format!("warning {}: {}", problem.code, problem.message));
        self.evidence(&problem.causes);
        self.evidence(&problem.evidence);
        if let Some(help) = &problem.help {
            self.line(at_ms, None, "", &format!("help: {help}"));
        }
    }
}

impl<W: Write + Send> Listener for Plain<W> {
    fn on(&mut self, at_ms: u64, event: &Event) {
        let changed = self.board.apply(at_ms, event);
        match event {
            Event::PlanMade { plan, dry_run: false } if !plan.is_empty() => {
                let count = plan.steps.len();
                let text = format!("{count} step{} to take", if count == 1 { "" } else { "s" });
                self.line(at_ms, None, "", &text);
            }
            Event::Notice { message } => self.line(at_ms, None, "", message),
            // An error ends the command, which tells it last and whole.
            Event::Problem(problem) if problem.severity == Severity::Error => {}
            Event::Problem(problem) => self.problem(at_ms, problem),
            Event::LogLine(LogLine { unit, text, .. }) => {
                self.line(at_ms, None, unit.as_str(), text);
            }
            Event::Embedded { service, by } if self.verbose => {
                self.line(at_ms, Some(Paint::Faint), service.as_str(), &format!("embedded: {by}"));
            }
            Event::CheckFinished(result) => {
                let paint = match result.verdict {
                    Verdict::Passed if !self.verbose => return,
                    Verdict::Passed => Paint::Good,
                    Verdict::Failed => Paint::Bad,
                    Verdict::Skipped => Paint::Careful,
                };
                let word = word_of(result.verdict);
                let text = format!("{} {word} ({} ms)", result.check, result.elapsed_ms);
                self.line(at_ms, Some(paint), result.service.as_str(), &text);
            }
            Event::CheckStarted { .. } => {}
            Event::StepProgress { .. }
                if self.last_progress_ms.is_some_and(|last| at_ms.saturating_sub(last) < PROGRESS_MS) => {}
            _ => {
                let Some(row) = changed.map(|place| self.board.rows()[place].clone()) else { return };
                if matches!(event, Event::StepProgress { .. }) {
                    self.last_progress_ms = Some(at_ms);
                }
                let held = row.phase == Phase::Held;
                if held && !self.verbose {
                    return;
                }
                self.line(at_ms, paint_of(row.phase), &row.name, &row.text);
                // A unit that is given up ends the command, which then shows them with the reason.
                if let Event::UnitChanged { last_lines, .. } = event
                    && row.phase != Phase::Bad
                {
                    self.evidence(last_lines);
                }
            }
        }
    }

    fn tick(&mut self, at_ms: u64) {
        if at_ms.saturating_sub(self.last_ms) < HEARTBEAT_MS {
            return;
        }
        let open: Vec<String> =
            self.board.open().map(|row| format!("{} ({})", row.name, self.board.explain(row))).collect();
        if open.is_empty() {
            return;
        }
        let more = open.len().saturating_sub(NAMES_IN_A_HEARTBEAT);
        let mut text = format!("still at it: {}", open[..open.len() - more].join("; "));
        if more > 0 {
            text.push_str(&format!("; and {more} more"));
        }
        self.line(at_ms, None, "", &text);
    }

    fn finish(&mut self, _at_ms: u64) {
        let _gone = self.out.flush();
    }
}

/// A time as people read it: `0.35 s`, `12.3 s`, `2 min 05 s`.
#[must_use]
pub fn seconds(ms: u64) -> String {
    match ms {
        0..10_000 => format!("{}.{:02} s", ms / 1000, ms % 1000 / 10),
        10_000..60_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        _ => format!("{} min {:02} s", ms / 60_000, ms % 60_000 / 1000),
    }
}

pub(crate) const fn word_of(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "passed",
        Verdict::Failed => "failed",
        Verdict::Skipped => "skipped",
    }
}

pub(crate) const fn paint_of(phase: Phase) -> Option<Paint> {
    match phase {
        Phase::Held | Phase::Busy => None,
        Phase::Waiting => Some(Paint::Busy),
        Phase::Good => Some(Paint::Good),
        Phase::Bad => Some(Paint::Bad),
        Phase::Cancelled => Some(Paint::Careful),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    fn plain(events: &[(u64, Event)], verbose: bool) -> String {
        let mut plain = Plain::new(Vec::new(), Look::PLAIN, verbose);
        for (at_ms, event) in events {
            plain.tick(*at_ms);
            plain.on(*at_ms, event);
        }
        String::from_utf8(plain.into_inner()).unwrap()
    }

    #[test]
    fn an_up_is_one_line_per_change_of_state() {
        insta::assert_snapshot!(plain(&samples::up(), false), @r"
        0.00 s  engine: local (the Docker engine is not implemented yet)
        0.00 s  5 steps to take
        0.00 s  workspace          building
        0.90 s  workspace          built
        0.90 s  iam                starting
        0.95 s  iam                started
        1.00 s  iam                /health/ready answers 503
        1.20 s  iam                ready
        1.20 s  gateway            starting
        1.23 s  gateway            started
        1.40 s  gateway            ready
        ");
    }

    #[test]
    fn holds_and_embedded_stores_are_told_when_asked() {
        let text = plain(&samples::up(), true);
        assert!(text.contains("gateway            waiting for iam\n"), "{text}");
        assert!(text.contains("postgres           embedded: SQLite files"), "{text}");
    }

    #[test]
    fn a_crash_is_one_line_here_and_told_whole_at_the_end() {
        insta::assert_snapshot!(plain(&samples::crash(), false), @r"
        0.00 s  5 steps to take
        0.01 s  iam                starting
        0.02 s  iam                started
        0.08 s  iam                crash-looping (exit code 64)
        0.08 s  gateway            given up: iam is not ready
        ");
    }

    #[test]
    fn silence_is_broken_by_a_heartbeat_that_says_what_is_waited_for() {
        let mut events = samples::up();
        events.truncate(8);
        let mut plain = Plain::new(Vec::new(), Look::PLAIN, false);
        for (at_ms, event) in &events {
            plain.on(*at_ms, event);
        }
        let before = plain.out.len();
        plain.tick(10_000);
        assert_eq!(plain.out.len(), before);
        plain.tick(20_000);
        plain.tick(20_100);
        let text = String::from_utf8(plain.into_inner().split_off(before)).unwrap();
        insta::assert_snapshot!(text, @"  20.0 s  still at it: iam (starting); gateway (waiting for iam)");
    }

    #[test]
    fn a_build_is_not_told_crate_by_crate() {
        let mut events = samples::up();
        events.truncate(4);
        for index in 0..100 {
            let (step, message) = (kernel_core::plan::StepId(1), format!("compiling crate{index}"));
            let event = Event::StepProgress { step, message, done: Some(index), total: Some(100) };
            events.push((100 + 50 * index, event));
        }
        let text = plain(&events, false);
        assert_eq!(text.matches("compiling").count(), 3, "{text}");
    }

    #[test]
    fn times_are_short() {
        assert_eq!(seconds(350), "0.35 s");
        assert_eq!(seconds(12_345), "12.3 s");
        assert_eq!(seconds(125_000), "2 min 05 s");
    }
}
