//! One living line per resource, for people at a terminal. What a line says is decided by the board; here is only
//! how it is drawn.

use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use kernel_core::event::{Event, LogLine};
use kernel_core::unit::UnitState;

use crate::Listener;
use crate::board::{Board, Phase, Row};
use crate::look::{Look, Paint};
use crate::plain::{Plain, paint_of, seconds};

/// How often the lines move when nothing happens.
pub const FRAME: Duration = Duration::from_millis(100);

const FRAMES: [&str; 8] = ["⠋", "⠙", "⠸", "⠴", "⠦", "⠇", "⠏", "⠹"];
const ASCII_FRAMES: [&str; 4] = ["-", "\\", "|", "/"];

/// Draws lines.
#[derive(Debug)]
pub struct Tty {
    lines: MultiProgress,
    /// One for each row of the board that is worth a line.
    bars: Vec<Option<ProgressBar>>,
    board: Board,
    look: Look,
    verbose: bool,
    now_ms: u64,
}

impl Tty {
    /// Lines on stderr.
    #[must_use]
    pub fn on_stderr(look: Look, verbose: bool) -> Self {
        Self::on_target(ProgressDrawTarget::stderr(), look, verbose)
    }

    fn on_target(target: ProgressDrawTarget, look: Look, verbose: bool) -> Self {
        Self {
            lines: MultiProgress::with_draw_target(target),
            bars: Vec::new(),
            board: Board::default(),
            look,
            verbose,
            now_ms: 0,
        }
    }

    fn draw(&mut self, place: usize) {
        let row = &self.board.rows()[place];
        if self.bars.len() <= place {
            self.bars.resize(place + 1, None);
        }
        let bar = &mut self.bars[place];
        if !row.is_worth_a_line() {
            if let Some(bar) = bar.take() {
                bar.finish_and_clear();
            }
            return;
        }
        let bar = bar.get_or_insert_with(|| {
            let bar = self.lines.add(ProgressBar::new_spinner());
            if let Ok(style) = ProgressStyle::with_template("{msg}") {
                bar.set_style(style);
            }
            bar
        });
        bar.set_message(line(row, &self.board, self.look, self.now_ms));
    }

    fn above(&self, text: &str) {
        // The terminal may be gone; that is no reason to stop working.
        let _gone = self.lines.println(text.trim_end());
    }
}

impl Listener for Tty {
    fn on(&mut self, at_ms: u64, event: &Event) {
        self.now_ms = at_ms;
        if let Some(place) = self.board.apply(at_ms, event) {
            self.draw(place);
        }
        match event {
            Event::PlanMade { dry_run: false, .. } => {
                (0..self.board.rows().len()).for_each(|place| self.draw(place));
            }
            Event::LogLine(LogLine { unit, text, .. }) => self.above(&format!("{unit} | {text}")),
            Event::UnitChanged { last_lines, state: UnitState::Restarting, .. } => {
                last_lines.iter().for_each(|line| self.above(&format!("  {line}")));
            }
            Event::Notice { .. } | Event::Problem(_) | Event::Embedded { .. } => {
                let mut plain = Plain::new(Vec::new(), self.look, self.verbose);
                plain.on(at_ms, event);
                let text = String::from_utf8(plain.into_inner()).unwrap_or_default();
                if !text.is_empty() {
                    self.above(&text);
                }
            }
            _ => {}
        }
    }

    fn tick(&mut self, at_ms: u64) {
        self.now_ms = at_ms;
        let open: Vec<usize> = (0..self.bars.len())
            .filter(|place| {
                matches!(self.board.rows()[*place].phase, Phase::Held | Phase::Busy | Phase::Waiting)
            })
            .collect();
        open.into_iter().for_each(|place| self.draw(place));
    }

    fn finish(&mut self, at_ms: u64) {
        self.now_ms = at_ms;
        for place in 0..self.bars.len() {
            self.draw(place);
            if let Some(bar) = &self.bars[place] {
                bar.abandon();
            }
        }
    }
}

/// One line: a mark, the name, what it is at, for how long. Without colour or beyond ASCII it says the same.
fn line(row: &Row, board: &Board, look: Look, now_ms: u64) -> String {
    let frame = usize::try_from(now_ms / 100).unwrap_or(0);
    let mark = match row.phase {
        Phase::Held => look.symbol("·", "."),
        Phase::Busy | Phase::Waiting if look.unicode => FRAMES[frame % FRAMES.len()],
        Phase::Busy | Phase::Waiting => ASCII_FRAMES[frame % ASCII_FRAMES.len()],
        Phase::Good => look.symbol("✔", "+"),
        Phase::Bad => look.symbol("✘", "x"),
        Phase::Cancelled => look.symbol("○", "o"),
    };
    let moving = matches!(row.phase, Phase::Busy | Phase::Waiting);
    let time = if moving { seconds(now_ms.saturating_sub(row.since_ms)) } else { String::new() };
    let room = look.width.unwrap_or(100).saturating_sub(24 + time.len()).max(10);
    let text: String = board.explain(row).chars().take(room).collect();
    let paint = paint_of(row.phase).unwrap_or(Paint::Faint);
    let line = format!(
        "{} {:<18} {}  {}",
        look.paint(paint, mark),
        row.name,
        look.paint(paint, &text),
        look.paint(Paint::Faint, &time)
    );
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    fn after(count: usize, look: Look) -> String {
        let mut tty = Tty::on_target(ProgressDrawTarget::hidden(), look, false);
        for (at_ms, event) in samples::up().iter().take(count) {
            tty.on(*at_ms, event);
        }
        let at_ms = tty.now_ms + 50;
        tty.tick(at_ms);
        let lines = tty.board.rows().iter().map(|row| line(row, &tty.board, look, at_ms));
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn who_waits_says_for_whom_and_why() {
        let look = Look { unicode: true, color: false, width: Some(80) };
        insta::assert_snapshot!(after(11, look), @r"
        ✔ workspace          built
        ⠸ iam                /health/ready answers 503  0.05 s
        · gateway            waiting for iam: /health/ready answers 503
        ");
        insta::assert_snapshot!(after(18, look), @r"
        ✔ workspace          built
        ✔ iam                ready
        ✔ gateway            ready
        ");
    }

    #[test]
    fn a_narrow_line_is_cut_and_ascii_stays_ascii() {
        let text = after(11, Look { width: Some(40), ..Look::PLAIN });
        assert!(text.is_ascii(), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 40), "{text}");
    }

    #[test]
    fn what_only_has_to_be_there_has_a_line_while_it_is_worked_on() {
        let mut tty = Tty::on_target(ProgressDrawTarget::hidden(), Look::PLAIN, false);
        let lines = |tty: &Tty| {
            let rows = tty.board.rows().iter().zip(&tty.bars);
            let shown = rows.filter(|(_, bar)| bar.is_some());
            shown.map(|(row, _)| format!("{} {}", row.name, row.text)).collect::<Vec<_>>().join("; ")
        };
        let plan = samples::objects();
        let events: Vec<Event> = plan
            .steps
            .iter()
            .flat_map(|step| {
                let (id, subject, verb) = (step.id, step.subject.clone(), step.action.verb());
                let finished = Event::StepFinished { step: id, subject, verb, elapsed_ms: 1 };
                [Event::step_started(step), finished]
            })
            .collect();
        tty.on(0, &Event::PlanMade { plan, dry_run: false });
        let mut seen = vec![lines(&tty)];
        for event in &events {
            tty.on(1, event);
            seen.push(lines(&tty));
        }
        insta::assert_snapshot!(seen.join("\n"), @r"
        Deployment web planned
        ConfigMap settings create; Deployment web planned
        Deployment web planned
        Deployment web create
        Deployment web created
        Deployment web created
        Deployment web ready
        ");
    }
}
