//! Event streams that the tests of several renderers are fed with.

use std::collections::BTreeMap;
use std::time::Duration;

use kernel_core::event::{Event, Problem};
use kernel_core::name::{ProjectName, ServiceName};
use kernel_core::object::{ObjectAction, ObjectName};
use kernel_core::plan::{Action, Cause, Plan, Start, Step, StepId, Subject};
use kernel_core::unit::{Condition, ExitStatus, Port, ProcessSpec, RestartPolicy, UnitState};

pub fn service(name: &str) -> ServiceName {
    ServiceName::new(name).unwrap()
}

fn subject(name: &str) -> Subject {
    Subject::Service(service(name))
}

fn start(port: u16) -> Action {
    Action::Start(Box::new(Start {
        spec: ProcessSpec {
            program: "/bin/true".to_owned(),
            arguments: Vec::new(),
            environment: BTreeMap::new(),
            directory: "/".to_owned(),
            ports: vec![Port { host: port, container: 8080 }],
            readiness: None,
            restart: RestartPolicy::Always,
            stop_grace: Duration::from_secs(1),
        },
        depends_on: Vec::new(),
    }))
}

pub fn plan() -> Plan {
    let step = |id: u32, subject: Subject, action: Action, cause: Cause, after: &[u32]| Step {
        id: StepId(id),
        subject,
        action,
        cause,
        after: after.iter().map(|id| StepId(*id)).collect(),
        deadline: Duration::from_secs(60),
    };
    let ready = || Action::Await { condition: Condition::Healthy };
    let packages = vec!["gateway".to_owned(), "iam".to_owned()];
    let stale = Cause::Stale { reason: "not built yet".to_owned() };
    Plan {
        schema: Plan::SCHEMA,
        project: ProjectName::new("kernel").unwrap(),
        steps: vec![
            step(1, Subject::Workspace, Action::Build { packages }, stale, &[]),
            step(2, subject("iam"), start(8081), Cause::NotFound, &[1]),
            step(3, subject("iam"), ready(), Cause::Started, &[2]),
            step(4, subject("gateway"), start(8080), Cause::NotFound, &[1, 3]),
            step(5, subject("gateway"), ready(), Cause::Started, &[4]),
        ],
    }
}

fn started(id: u32, subject: Subject, verb: &'static str) -> Event {
    Event::StepStarted { step: StepId(id), subject, verb }
}

fn finished(id: u32, subject: Subject, verb: &'static str, elapsed_ms: u64) -> Event {
    Event::StepFinished { step: StepId(id), subject, verb, elapsed_ms }
}

/// A start of two services, one of which needs the other.
pub fn up() -> Vec<(u64, Event)> {
    let reason = "/health/ready answers 503".to_owned();
    vec![
        (1, Event::Notice { message: "engine: local (the Docker engine is not implemented yet)".to_owned() }),
        (5, Event::PlanMade { plan: plan(), dry_run: false }),
        (6, Event::Embedded { service: service("postgres"), by: "SQLite files".to_owned() }),
        (6, started(1, Subject::Workspace, "build")),
        (6, Event::StepHeld { step: StepId(4), subject: subject("gateway"), waits_for: vec![StepId(3)] }),
        (6, Event::StepHeld { step: StepId(5), subject: subject("gateway"), waits_for: vec![StepId(4)] }),
        (900, finished(1, Subject::Workspace, "build", 894)),
        (901, started(2, subject("iam"), "start")),
        (950, finished(2, subject("iam"), "start", 49)),
        (951, started(3, subject("iam"), "await")),
        (1_000, Event::StepWaiting { step: StepId(3), subject: subject("iam"), reason: reason.clone() }),
        (1_050, Event::StepWaiting { step: StepId(3), subject: subject("iam"), reason }),
        (1_200, finished(3, subject("iam"), "await", 249)),
        (1_201, started(4, subject("gateway"), "start")),
        (1_230, finished(4, subject("gateway"), "start", 29)),
        (1_231, started(5, subject("gateway"), "await")),
        (1_400, finished(5, subject("gateway"), "await", 169)),
        (1_401, Event::PlanFinished { finished: 5, failed: 0, cancelled: 0, elapsed_ms: 1_396 }),
    ]
}

/// A start in which the first service crashes until it is given up.
pub fn crash() -> Vec<(u64, Event)> {
    let problem = Problem {
        help: Some("`kernel logs iam` shows more".to_owned()),
        ..Problem::error("K-LOCAL-001", "iam ended five times in a row")
    };
    vec![
        (5, Event::PlanMade { plan: plan(), dry_run: false }),
        (10, started(2, subject("iam"), "start")),
        (20, finished(2, subject("iam"), "start", 10)),
        (21, started(3, subject("iam"), "await")),
        (
            80,
            Event::UnitChanged {
                unit: service("iam"),
                state: UnitState::CrashLooping { status: ExitStatus::Code(64) },
                detail: None,
                last_lines: vec!["DATABASE_URL: is missing".to_owned(), "PORT: `x` is no port".to_owned()],
            },
        ),
        (
            81,
            Event::StepFailed {
                step: StepId(3),
                subject: subject("iam"),
                verb: "await",
                elapsed_ms: 60,
                problem,
            },
        ),
        (
            82,
            Event::StepCancelled {
                step: StepId(4),
                subject: subject("gateway"),
                because: "iam is not ready".to_owned(),
            },
        ),
        (83, Event::PlanFinished { finished: 1, failed: 1, cancelled: 2, elapsed_ms: 78 }),
    ]
}

/// A deploy of a configuration and a workload that needs it.
pub fn objects() -> Plan {
    let name = |kind: &str, name: &str| {
        Subject::Object(ObjectName {
            group: String::new(),
            kind: kind.to_owned(),
            namespace: Some("shop".to_owned()),
            name: name.to_owned(),
        })
    };
    let step = |id: u32, subject: Subject, action: ObjectAction| Step {
        id: StepId(id),
        subject,
        action: Action::Object(Box::new(action)),
        cause: Cause::Requested,
        after: Vec::new(),
        deadline: Duration::from_secs(1),
    };
    let steps = vec![
        step(1, name("ConfigMap", "settings"), ObjectAction::Create),
        step(2, name("Deployment", "web"), ObjectAction::Create),
        step(3, name("Deployment", "web"), ObjectAction::AwaitReady),
    ];
    Plan { schema: Plan::SCHEMA, project: ProjectName::new("shop").unwrap(), steps }
}
