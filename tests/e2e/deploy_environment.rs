//! `kernel deploy ENVIRONMENT`: the platform's own manifests, on a real cluster and a node that is simulated.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#![cfg(target_os = "linux")]

#[path = "cluster_platform.rs"]
mod cluster_platform;

use serde_json::Value;

use cluster_platform::{Platform, RELEASE, SERVICES};

#[test]
fn an_environment_is_deployed_to_its_own_cluster_and_taken_back() {
    let test = "an_environment_is_deployed_to_its_own_cluster_and_taken_back";
    let Some(platform) = Platform::of(test) else { return };

    // What only a release knows is asked for, all of it at once, and nothing is sent.
    let told = platform.ends_with(2, &["deploy", "testbed"]);
    assert_eq!(told.matches("@sha256:0000").count(), 13, "{told}");
    assert!(
        told.contains("K-MANIFEST-006") && told.contains("the values of secrets are placeholders"),
        "{told}"
    );
    assert!(told.contains("k8s/rendered/testbed/iam.yaml:"), "{told}");

    // Another place than the environment's own is refused, whichever way it is named.
    let told = platform.ends_with(2, &[&RELEASE[..], &["--context", "another", "-n", "default"]].concat());
    assert!(told.contains("K-DEPLOY-018") && told.contains("`--context another`"), "{told}");
    assert!(told.contains("`--namespace default`"), "{told}");
    platform.write_environment(Some("https://elsewhere.example:6443"), "");
    let told = platform.ends_with(2, &RELEASE);
    assert!(told.contains("K-DEPLOY-018") && told.contains("https://elsewhere.example:6443"), "{told}");
    platform.write_environment(None, "");
    let told = platform.ends_with(2, &["deploy", "nowhere"]);
    assert!(told.contains("K-MANIFEST-009") && told.contains("testbed"), "{told}");

    platform.ends_with(0, &RELEASE);
    let names: Vec<String> =
        platform.deployments().into_iter().filter_map(|deployment| deployment.metadata.name).collect();
    for service in SERVICES {
        assert!(names.contains(&format!("platform-{service}")), "{service}: {names:?}");
    }
    let status: Value =
        serde_json::from_str(&platform.ends_with(0, &["status", "testbed", "-o", "json"])).unwrap();
    assert!(status["objects"].as_array().unwrap().len() > 80, "{status}");
    let told = platform.ends_with(0, &RELEASE);
    assert!(told.contains("nothing to do"), "{told}");

    // Whom the environment wants to be asked is asked, before anything is changed.
    platform.write_environment(None, "probe: { addresses: [http://127.0.0.1:1/] }");
    platform.write_secrets("never-there");
    let told = platform.ends_with(22, &RELEASE);
    assert!(told.contains("K-DEPLOY-017") && told.contains("http://127.0.0.1:1/ does not answer"), "{told}");

    // Other secrets are other objects; the old ones stay for the way back.
    let before = platform.secrets();
    platform.write_secrets("second");
    let told = platform.ends_with(3, &[&["diff"], &RELEASE[1..]].concat());
    assert!(!told.contains("second"), "a secret is told");
    platform.ends_with(0, &[&RELEASE[..], &["--no-probe"]].concat());
    platform.write_environment(None, "");
    let after = platform.secrets();
    assert!(after.len() > before.len() && before.iter().all(|name| after.contains(name)), "{after:?}");
    platform.ends_with(0, &["rollback", "testbed"]);

    // Where the environment says so, a person confirms, by the release's name.
    platform.write_environment(None, "confirm: true");
    let told = platform.ends_with(2, &RELEASE);
    assert!(told.contains("K-DEPLOY-019") && told.contains("every change is confirmed"), "{told}");
    let confirm = format!("--confirm={}", platform.namespace);
    platform.ends_with(0, &[&RELEASE[..], &[&confirm]].concat());

    let told = platform.ends_with(2, &["deploy", "testbed", "--remove"]);
    assert!(told.contains("K-DEPLOY-019") && told.contains("Deployment platform-iam: remove"), "{told}");
    platform.ends_with(0, &["deploy", "testbed", "--remove", &confirm]);
    assert_eq!(platform.deployments().len(), 0);
    assert_eq!(platform.secrets(), Vec::<String>::new());
    platform.ends_with(0, &["rollback", "testbed", &confirm]);
    assert_eq!(platform.deployments().len(), names.len());
}
