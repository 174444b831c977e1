//! What does not run here is said by name, so that nobody takes it for green.

use std::io::Write;

/// Says which test does not run here and why: straight to the terminal, as what a test that passes prints is shown to
/// nobody.
pub fn left_out(test: &str, why: &str) {
    let _nobody_listens = std::io::stderr().write_all(format!("left out: {test}: {why}\n").as_bytes());
}
