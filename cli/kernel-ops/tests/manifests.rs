//! The manifests of this workspace: fresh, by the rules, and by the calls that services really make.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use kernel_core::exit::ExitCode;
use kernel_core::source::Sources;
use kernel_manifests::document::{Document, parse, to_json};
use kernel_manifests::placeholder::{Placeholder, placeholders};
use kernel_ops::lint::{LintSettings, lint};
use kernel_ops::load::LoadSettings;
use kernel_ops::manifests::{self, Change, RenderSettings, Rendering};
use kernel_ops::{Failure, Workspace};
use serde_json::{Value, json};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn rendered(environment: &str) -> Rendering {
    let workspace = Workspace::find(&root()).unwrap();
    let settings = RenderSettings { environments: vec![environment.to_owned()], ..RenderSettings::default() };
    manifests::render(&workspace, &settings).unwrap().remove(0)
}

fn documents(rendering: &Rendering) -> Vec<Document> {
    let mut sources = Sources::default();
    let mut problems = Vec::new();
    let documents = rendering.files.iter().flat_map(|file| {
        let source = sources.add(file.name.clone(), file.text.as_str());
        parse(source, &file.text, &mut problems)
    });
    let documents = documents.collect();
    assert!(problems.is_empty(), "{problems:?}");
    documents
}

fn all_placeholders(rendering: &Rendering) -> Vec<Placeholder> {
    documents(rendering).iter().flat_map(|document| placeholders(&to_json(&document.node))).collect()
}

fn objects(rendering: &Rendering, kind: &str) -> BTreeMap<String, Value> {
    let documents = documents(rendering);
    let of_kind = documents.iter().filter(|document| document.kind() == kind);
    of_kind.map(|document| (document.name().to_owned(), to_json(&document.node))).collect()
}

/// A copy of what manifests are made of, to break it.
fn copy() -> (tempfile::TempDir, Workspace) {
    let folder = tempfile::tempdir().unwrap();
    let mut left = ["versions.env", "docker", "templates/k8s", "k8s"].map(PathBuf::from).to_vec();
    while let Some(path) = left.pop() {
        let (from, to) = (root().join(&path), folder.path().join(&path));
        if from.is_dir() {
            std::fs::create_dir_all(&to).unwrap();
            left.extend(std::fs::read_dir(&from).unwrap().map(|entry| path.join(entry.unwrap().file_name())));
        } else {
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::fs::copy(from, to).unwrap();
        }
    }
    let workspace = Workspace::find(folder.path()).unwrap();
    (folder, workspace)
}

fn edit(workspace: &Workspace, file: &str, from: &str, to: &str) {
    let path = workspace.root().join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{file} has no {from:?}");
    std::fs::write(path, text.replacen(from, to, 1)).unwrap();
}

fn told(failure: &Failure) -> Vec<String> {
    let one = |problem: &kernel_core::diagnostic::Diagnostic| {
        let place = problem.labels.first().and_then(|label| failure.sources.locate(label.span));
        format!("{} {}", place.unwrap_or_default(), problem.code)
    };
    failure.diagnostics.iter().map(one).collect()
}

#[test]
fn the_committed_manifests_are_fresh() {
    let workspace = Workspace::find(&root()).unwrap();
    let renderings = manifests::render(&workspace, &RenderSettings::default()).unwrap();
    let names: Vec<_> = renderings.iter().map(|rendering| rendering.environment.as_str()).collect();
    assert_eq!(names, ["local", "production", "staging"]);
    if let Err(failure) = manifests::check(&workspace, &renderings) {
        let stale: Vec<_> = failure.problems.iter().map(|problem| &problem.message).collect();
        unreachable!("run `kernel manifests render`: {stale:#?}");
    }
}

#[test]
fn a_stale_a_missing_and_a_left_over_file_are_told() {
    let (_folder, workspace) = copy();
    let folder = workspace.root().join("k8s/rendered/staging");
    edit(&workspace, "k8s/rendered/staging/iam.yaml", "kind: Service", "kind: Servise");
    std::fs::remove_file(folder.join("money.yaml")).unwrap();
    std::fs::write(folder.join("gone.yaml"), format!("{}.\n", manifests::HEADER)).unwrap();
    std::fs::write(folder.join("foreign.yaml"), "kind: Mine\n").unwrap();
    let renderings = manifests::render(&workspace, &RenderSettings::default()).unwrap();
    let failure = manifests::check(&workspace, &renderings).unwrap_err();
    assert_eq!(failure.exit, ExitCode::Changes);
    let messages: BTreeSet<_> = failure.problems.iter().map(|problem| problem.message.as_str()).collect();
    let expected = [
        "`k8s/rendered/staging/iam.yaml` is not what its sources give",
        "`k8s/rendered/staging/money.yaml` is missing",
        "nothing gives `k8s/rendered/staging/gone.yaml` any more",
    ];
    assert_eq!(messages, BTreeSet::from(expected));
    let done = manifests::write(&renderings, &workspace.root().join("k8s/rendered"), false).unwrap();
    assert_eq!(done.iter().filter(|(_, change)| *change != Change::Unchanged).count(), 3);
    assert!(folder.join("foreign.yaml").is_file(), "what others wrote stays");
    assert!(manifests::check(&workspace, &renderings).is_ok());
}

#[test]
fn the_manifests_keep_every_rule() {
    let load = LoadSettings { working_directory: root(), ..LoadSettings::default() };
    for environment in ["local", "staging", "production"] {
        let settings = LintSettings { targets: vec![environment.to_owned()], ..LintSettings::default() };
        let linted = lint(&load, &settings).unwrap();
        let found: Vec<String> = linted
            .diagnostics
            .iter()
            .map(|found| {
                let place = found.labels.first().and_then(|label| linted.sources.locate(label.span));
                format!("{} {}: {}", place.unwrap_or_default(), found.code, found.message)
            })
            .collect();
        assert!(found.is_empty(), "{environment}: {found:#?}");
        assert!(linted.objects > 90, "{environment} has only {} objects", linted.objects);
    }
}

#[test]
fn the_twelve_are_as_the_deployment_page_says() {
    for environment in ["local", "staging", "production"] {
        let rendering = rendered(environment);
        let deployments = objects(&rendering, "Deployment");
        let twelve = [
            "gateway",
            "iam",
            "data-layer",
            "event-bus",
            "notify",
            "files",
            "money",
            "audit",
            "billing",
            "module-registry",
            "integration-hub",
            "domain-resolver",
        ];
        for service in twelve {
            let deployment = &deployments[&format!("platform-{service}")];
            let spec = &deployment["spec"];
            let replicas = if service == "gateway" { Value::Null } else { json!(3) };
            assert_eq!(spec["replicas"], replicas, "{service}");
            assert_eq!(spec["strategy"]["rollingUpdate"], json!({"maxSurge": 1, "maxUnavailable": 0}));
            let pod = &spec["template"]["spec"];
            assert_eq!(pod["terminationGracePeriodSeconds"], 30);
            assert_eq!(pod["securityContext"]["runAsUser"], 10001);
            let container = &pod["containers"][0];
            let live = &container["livenessProbe"];
            assert_eq!((&live["initialDelaySeconds"], &live["periodSeconds"]), (&json!(5), &json!(10)));
            assert_eq!(live["httpGet"]["path"], "/health/live");
            let ready = &container["readinessProbe"];
            assert_eq!((&ready["initialDelaySeconds"], &ready["periodSeconds"]), (&json!(3), &json!(5)));
            assert_eq!(ready["httpGet"]["path"], "/health/ready");
            assert!(container["startupProbe"].is_object());
        }
        let scaler = &objects(&rendering, "HorizontalPodAutoscaler")["platform-gateway"]["spec"];
        assert_eq!((&scaler["minReplicas"], &scaler["maxReplicas"]), (&json!(2), &json!(20)));
        assert_eq!(scaler["metrics"][0]["resource"]["target"]["averageUtilization"], 70);
        assert_eq!(scaler["behavior"]["scaleDown"]["stabilizationWindowSeconds"], 300);
        let stores = objects(&rendering, "StatefulSet").len();
        assert_eq!(stores > 0, environment == "local", "{environment} has {stores} stores");
    }
}

/// Every address that a service is given must be let through at both ends, and nothing else.
#[test]
fn policies_follow_the_addresses_that_services_are_given() {
    let rendering = rendered("local");
    let policies = objects(&rendering, "NetworkPolicy");
    let peers = |policy: &Value, direction: &str, peer: &str| -> BTreeSet<(String, u64)> {
        let mut found = BTreeSet::new();
        for rule in policy["spec"][direction].as_array().into_iter().flatten() {
            for other in rule[peer].as_array().into_iter().flatten() {
                let Some(name) = other["podSelector"]["matchLabels"]["app.kubernetes.io/name"].as_str()
                else {
                    continue;
                };
                for port in rule["ports"].as_array().unwrap() {
                    found.insert((name.to_owned(), port["port"].as_u64().unwrap()));
                }
            }
        }
        found
    };
    let name = |policy: &Value| {
        policy["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/name"].as_str().map(str::to_owned)
    };
    let (mut out, mut into) = (BTreeSet::new(), BTreeSet::new());
    for policy in policies.values() {
        let Some(name) = name(policy) else { continue };
        out.extend(peers(policy, "egress", "to").into_iter().map(|(to, port)| (name.clone(), to, port)));
        into.extend(
            peers(policy, "ingress", "from").into_iter().map(|(from, port)| (from, name.clone(), port)),
        );
    }
    assert_eq!(out, into, "what one may say the other may hear");
    let call = |from: &str, to: &str, port| out.contains(&(from.to_owned(), to.to_owned(), port));
    assert!(
        call("gateway", "money", 8080) && call("iam", "money", 8080) && call("event-bus", "kafka", 29092)
    );
    assert!(
        call("iam", "postgres", 5432) && call("files", "seaweedfs", 8333) && call("audit", "event-bus", 8080)
    );
    assert!(
        !call("money", "iam", 8080) && !call("files", "kafka", 29092) && !call("gateway", "postgres", 5432)
    );
    // Nothing is selected twice, and one policy closes everything else.
    assert_eq!(policies["deny-all"]["spec"]["podSelector"], json!({}));
}

#[test]
fn stores_of_elsewhere_are_called_where_they_are() {
    let rendering = rendered("staging");
    let deployment = &objects(&rendering, "Deployment")["platform-iam"];
    let variables = deployment["spec"]["template"]["spec"]["containers"][0]["env"].as_array().unwrap();
    let database = variables.iter().find(|variable| variable["name"] == "DATABASE_URL").unwrap();
    let url = "postgres://platform:$(POSTGRES_APP_PASSWORD)@postgres.staging.example:5432/platform_kernel";
    assert_eq!(database["value"], url);
    // Kubernetes fills in only what stands before.
    let place = |name: &str| variables.iter().position(|variable| variable["name"] == name);
    assert!(place("POSTGRES_APP_PASSWORD").unwrap() < place("DATABASE_URL").unwrap());
    assert!(!objects(&rendering, "Service").contains_key("postgres"));
    let hub = rendering.files.iter().find(|file| file.name == "integration-hub.yaml").unwrap();
    assert!(!hub.text.contains("ALLOW_PRIVATE_TARGETS"), "for development only");
}

#[test]
fn what_is_committed_has_placeholders_and_a_release_has_none() {
    let (folder, workspace) = copy();
    let committed = rendered("local");
    let found = all_placeholders(&committed);
    let images = found.iter().filter(|found| matches!(found, Placeholder::Digest(_))).count();
    assert!(images >= 19 && found.contains(&Placeholder::Values), "{found:?}");
    let digest = |name: &str| format!("{name}=sha256:{}\n", "ab".repeat(32));
    let names = committed.files.iter().filter_map(|file| file.name.strip_suffix(".yaml"));
    let names: Vec<&str> = names.filter(|name| *name != "namespace").collect();
    let digests: String = names.iter().map(|name| digest(name)).collect();
    std::fs::write(folder.path().join("digests"), digests).unwrap();
    let secrets = [
        "INTERNAL_TOKEN",
        "POSTGRES_PASSWORD",
        "POSTGRES_APP_PASSWORD",
        "VALKEY_PASSWORD",
        "RABBITMQ_PASSWORD",
        "CLICKHOUSE_PASSWORD",
        "VAULT_ROOT_TOKEN",
        "OBJECTS_SECRET_KEY",
    ];
    let values = |value: &str| secrets.map(|name| format!("{name}={value}\n")).concat();
    std::fs::write(folder.path().join("secrets"), values("first")).unwrap();
    let settings = RenderSettings {
        environments: vec!["local".to_owned()],
        digests: Some(folder.path().join("digests")),
        secrets: Some(folder.path().join("secrets")),
    };
    let release = manifests::release(&workspace, &settings).unwrap();
    assert_eq!(all_placeholders(&release[0]), []);
    let out = folder.path().join("out");
    manifests::write(&release, &out, false).unwrap();
    let mode =
        |name: &str| std::fs::metadata(out.join("local").join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("iam.yaml"), mode("namespace.yaml")), (0o600, 0o644));

    // Another value is another Secret, so that the pods that use it are replaced, and a rollback finds the old one.
    let secrets_of =
        |rendering: &Rendering| objects(rendering, "Secret").into_keys().collect::<BTreeSet<_>>();
    let first = secrets_of(&release[0]);
    std::fs::write(folder.path().join("secrets"), values("second")).unwrap();
    let second = secrets_of(&manifests::render(&workspace, &settings).unwrap()[0]);
    assert!(first.is_disjoint(&second) && first.len() == second.len());

    std::fs::write(folder.path().join("digests"), digest("iam")).unwrap();
    std::fs::write(folder.path().join("secrets"), "INTERNAL_TOKEN=x\n").unwrap();
    let failure = manifests::render(&workspace, &settings).unwrap_err();
    let codes: BTreeSet<_> = failure.diagnostics.iter().map(|problem| problem.code.0).collect();
    assert_eq!(codes, BTreeSet::from(["K-MANIFEST-007", "K-MANIFEST-008"]), "all that is missing at once");
}

#[test]
fn an_undefined_name_is_told_with_its_place_once() {
    let (_folder, workspace) = copy();
    edit(
        &workspace,
        "templates/k8s/workload.yaml.j2",
        "{{ workload.grace_seconds }}",
        "{{ workload.grace }}",
    );
    edit(
        &workspace,
        "templates/k8s/namespace.yaml.j2",
        "{{ environment.namespace | json }}",
        "{{ enviroment.namespace | json }}",
    );
    let failure = manifests::render(&workspace, &RenderSettings::default()).unwrap_err();
    let text = std::fs::read_to_string(workspace.root().join("templates/k8s/workload.yaml.j2")).unwrap();
    let line = text.lines().position(|line| line.contains("workload.grace ")).unwrap() + 1;
    let told = told(&failure);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told.iter().any(|place| place.starts_with(&format!("templates/k8s/workload.yaml.j2:{line}:"))),
        "{told:?}"
    );
    assert!(told.iter().any(|place| place.starts_with("templates/k8s/namespace.yaml.j2:5:")), "{told:?}");
    assert!(told.iter().all(|place| place.ends_with("K-MANIFEST-003")));
}

#[test]
fn mistakes_of_environments_are_told_with_their_places() {
    let (_folder, workspace) = copy();
    edit(&workspace, "k8s/environments/staging.yaml", "leaveOut: [envoy]", "leaveOut: [envoi]");
    edit(&workspace, "k8s/environments/production.yaml", "replicas: 3", "replicas: many");
    edit(&workspace, "k8s/environments/production.yaml", "ingressService", "ingresService");
    let failure = manifests::render(&workspace, &RenderSettings::default()).unwrap_err();
    let told = told(&failure);
    let at = |file: &str| {
        told.iter().filter(|place| place.starts_with(file) && place.ends_with("K-MANIFEST-002")).count()
    };
    assert!(
        at("k8s/environments/staging.yaml:") >= 1 && at("k8s/environments/production.yaml:") >= 2,
        "{told:?}"
    );
    let unknown = RenderSettings { environments: vec!["test".to_owned()], ..RenderSettings::default() };
    let failure = manifests::render(&workspace, &unknown).unwrap_err();
    assert_eq!(failure.problems[0].code, "K-MANIFEST-009");
}

#[test]
fn a_text_stays_a_text_and_a_changed_one_gives_another_name() {
    let (_folder, workspace) = copy();
    let name_of_config = || {
        let settings =
            RenderSettings { environments: vec!["staging".to_owned()], ..RenderSettings::default() };
        let rendering = manifests::render(&workspace, &settings).unwrap().remove(0);
        let maps = objects(&rendering, "ConfigMap");
        maps.into_iter().find(|(name, _)| name.starts_with("platform-money-config-")).unwrap()
    };
    let (before, _) = name_of_config();
    edit(
        &workspace,
        "k8s/environments/staging.yaml",
        "variables:\n",
        "variables:\n  MOTTO: \"yes: {a} '\\\"\\\\ #\\n - 1e3\"\n",
    );
    let (after, map) = name_of_config();
    assert_ne!(before, after);
    assert_eq!(map["data"]["MOTTO"], "yes: {a} '\"\\ #\n - 1e3");
}
