//! The suite that every engine passes, on real processes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::time::Duration;

use kernel_core::unit::{Condition, Dependency, DesiredItem};
use kernel_engine::Engine;
use kernel_testkit::conformance::{Workbench, run};
use kernel_testkit::{Behaviour, Sample};
use support::{World, unit};

struct Bench {
    world: World,
    /// One port for each unit, so that a changed unit keeps its own.
    ports: std::sync::Mutex<std::collections::BTreeMap<String, u16>>,
}

impl Workbench for Bench {
    fn engine(&self) -> &dyn Engine {
        &self.world.engine
    }

    fn item(&self, sample: &Sample) -> DesiredItem {
        let mut unit = unit(sample.name.as_str(), &[]).with("VERSION", sample.version.to_string());
        unit.port = Some(*self.ports.lock().unwrap().entry(unit.name.clone()).or_insert(unit.port.unwrap()));
        unit = match sample.behaviour {
            Behaviour::Healthy => unit,
            Behaviour::Crashes => unit.with("END_WITH", "1"),
            Behaviour::NeverReady => unit.with("READY_WHEN", "/nowhere/ready"),
            Behaviour::Completes => unit.with("END_WITH", "0"),
        };
        unit.restart = sample.behaviour.restart();
        unit.grace_ms = u64::try_from(Duration::from_secs(5).as_millis()).unwrap();
        let desired = support::project::desired(&self.world.engine, &support::program(), &[unit]);
        let mut item = desired.items.into_iter().next().unwrap();
        let needed = |(name, condition): &(_, Condition)| Dependency {
            name: kernel_core::name::ServiceName::clone(name),
            condition: *condition,
            required: true,
        };
        item.depends_on = sample.needs.iter().map(needed).collect();
        item
    }

    fn assert_nothing_left(&self) {
        self.world.assert_nothing_left();
    }
}

#[tokio::test]
async fn the_local_engine_does_what_every_engine_must() {
    run(|| Bench { world: World::new(Vec::new()), ports: std::sync::Mutex::default() }).await;
}
