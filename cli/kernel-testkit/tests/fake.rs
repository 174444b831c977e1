//! The conformance suite on the fake engine: proves the suite as much as the fake.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use kernel_core::unit::DesiredItem;
use kernel_engine::Engine;
use kernel_testkit::conformance::{Workbench, behaviours, run};
use kernel_testkit::{FakeEngine, Sample, name};

struct Bench(FakeEngine);

impl Workbench for Bench {
    fn engine(&self) -> &dyn Engine {
        &self.0
    }

    fn item(&self, sample: &Sample) -> DesiredItem {
        sample.item()
    }

    fn assert_nothing_left(&self) {}
}

#[tokio::test]
async fn the_fake_engine_does_what_every_engine_must() {
    let bench = || {
        let with = |engine: FakeEngine, (unit, behaviour)| engine.with(name(unit), behaviour);
        Bench(behaviours().into_iter().fold(FakeEngine::new(), with))
    };
    run(bench).await;
}
