//! `kernel deploy` on a real cluster, over the built binary. The cluster is the testbed's: without `KUBECONFIG` the tests
//! say that they are left out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#![cfg(target_os = "linux")]

#[path = "cluster.rs"]
mod cluster;

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Instant;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Endpoints, Secret, Service};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use testbed::kubernetes::workload_image;

use cluster::{Bench, PATIENCE};

fn config(name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"greeting": value}})
}

fn service() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
    })
}

fn web(version: &str, settings: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {
                    "terminationGracePeriodSeconds": 5,
                    "containers": [{
                        "name": "workload", "image": workload_image(version), "imagePullPolicy": "Never",
                        "envFrom": [{"configMapRef": {"name": settings}}],
                        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 1},
                    }],
                },
            },
        },
    })
}

#[test]
fn files_are_deployed_changed_rolled_back_and_nothing_is_done_twice() {
    let Some(bench) = Bench::of("files_are_deployed_changed_rolled_back_and_nothing_is_done_twice") else {
        return;
    };
    bench.write("web.yaml", &[web("1", "settings-1"), service(), config("settings-1", "hello")]);
    let told = bench.ends_with(3, &["diff", "-f", "."]);
    assert!(told.contains("ConfigMap settings-1: create, not found"), "{told}");
    assert!(bench.deployment("web").is_none(), "a diff changes nothing");
    let told = bench.ends_with(0, &["deploy", "-f", "."]);
    assert!(told.contains("release 1"), "{told}");
    let status = bench.deployment("web").unwrap().status.unwrap();
    assert_eq!((status.ready_replicas, status.updated_replicas), (Some(2), Some(2)));
    let told = bench.ends_with(0, &["deploy", "-f", "."]);
    assert!(told.contains("nothing to do"), "{told}");
    let status = bench.ends_with(0, &["status", "-o", "json"]);
    let status: Value = serde_json::from_str(&status).unwrap();
    let states: Vec<String> = status["objects"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| format!("{} {}", one["kind"], one["state"]))
        .collect();
    assert_eq!(states, [r#""ConfigMap" "there""#, r#""Service" "there""#, r#""Deployment" "ready""#]);
    assert_eq!(bench.ends_with(0, &["diff", "-f", "."]).lines().count(), 1);

    // Another image, another configuration: the old one stays for the way back.
    bench.write("web.yaml", &[web("2", "settings-2"), service(), config("settings-2", "good evening")]);
    let told = bench.ends_with(3, &["diff", "-f", "."]);
    assert!(told.contains("~ spec.template.spec.containers[workload].image:"), "{told}");
    bench.ends_with(0, &["deploy", "-f", "."]);
    assert_eq!(bench.image_of("web"), workload_image("2"));
    assert_eq!(bench.configs(), ["settings-1", "settings-2"]);

    bench.ends_with(0, &["rollback"]);
    assert_eq!(bench.image_of("web"), workload_image("1"));
    let history = bench.ends_with(0, &["history", "-o", "json"]);
    let history: Value = serde_json::from_str(&history).unwrap();
    let outcomes: Vec<&str> =
        history["releases"].as_array().unwrap().iter().map(|one| one["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["deployed", "deployed", "deployed"]);

    // What is no longer written goes.
    bench.write("web.yaml", &[web("1", "settings-1"), config("settings-1", "hello")]);
    let told = bench.ends_with(0, &["deploy", "-f", "."]);
    assert!(told.contains("Service web"), "{told}");
    assert!(bench.runtime.block_on(bench.api::<Service>().get_opt("web")).unwrap().is_none());
}

#[test]
fn a_doomed_version_is_a_verdict_and_what_was_there_is_there_again() {
    let Some(bench) = Bench::of("a_doomed_version_is_a_verdict_and_what_was_there_is_there_again") else {
        return;
    };
    bench.write("web.yaml", &[web("1", "settings"), config("settings", "hello")]);
    bench.ends_with(0, &["deploy", "-f", "."]);

    let mut broken = web("1", "settings");
    broken["spec"]["template"]["spec"]["containers"][0]["image"] = json!("localhost/nobody-has-this:1");
    bench.write("web.yaml", &[broken, config("settings", "changed")]);
    let told = bench.ends_with(11, &["deploy", "-f", "."]);
    assert!(told.contains("K-DEPLOY-013") && told.contains("ErrImageNeverPull"), "{told}");
    assert!(told.contains("release 1 of") && told.contains("is there again"), "{told}");
    assert_eq!(bench.image_of("web"), workload_image("1"));
    let map = bench.runtime.block_on(bench.api::<ConfigMap>().get("settings")).unwrap();
    assert_eq!(map.data.unwrap()["greeting"], "hello", "the configuration goes back with the code");

    // A reference to nothing, and a program that ends: each with its own words.
    let mut lost = web("1", "not-there");
    lost["metadata"]["name"] = json!("lost");
    let mut crashing = web("1", "settings");
    crashing["metadata"]["name"] = json!("crashing");
    crashing["spec"]["template"]["spec"]["containers"][0]["args"] = json!(["exit", "7"]);
    let mut greedy = web("1", "settings");
    greedy["metadata"]["name"] = json!("greedy");
    greedy["spec"]["template"]["spec"]["containers"][0]["args"] = json!(["fill"]);
    greedy["spec"]["template"]["spec"]["containers"][0]["resources"] = json!({"limits": {"memory": "32Mi"}});
    for (object, words) in [
        (lost, "CreateContainerConfigError"),
        (crashing, "exit code 7"),
        (greedy, "took more memory than its limit"),
    ] {
        bench.write("web.yaml", &[web("1", "settings"), config("settings", "hello"), object]);
        let told = bench.ends_with(11, &["deploy", "-f", "."]);
        assert!(told.contains(words), "{told}");
    }
    let mut large = web("1", "settings");
    large["metadata"]["name"] = json!("large");
    large["spec"]["template"]["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "4000"}});
    bench.write("web.yaml", &[web("1", "settings"), config("settings", "hello"), large]);
    let told = bench.ends_with(11, &["deploy", "-f", ".", "--no-room-check"]);
    assert!(told.contains("Unschedulable") && told.contains("Insufficient cpu"), "{told}");
    assert!(bench.deployment("large").is_none(), "what failed is taken back");
    let releases = || bench.ends_with(0, &["history", "-o", "json"]);
    let before = releases();
    let told = bench.ends_with(10, &["deploy", "-f", "."]);
    assert!(told.contains("K-DEPLOY-020") && told.contains("2 of 2 more pods find no node"), "{told}");
    assert_eq!(before, releases(), "nothing was begun");
}

#[test]
fn what_the_cluster_refuses_is_told_before_anything_is_changed() {
    let Some(bench) = Bench::of("what_the_cluster_refuses_is_told_before_anything_is_changed") else {
        return;
    };
    let mut wrong = web("1", "settings");
    wrong["spec"]["replicsa"] = json!(3);
    let unknown = json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}});
    bench.write("web.yaml", &[config("settings", "hello"), wrong.clone()]);
    bench.write("widget.yaml", &[unknown]);
    let told = bench.ends_with(2, &["deploy", "-f", "."]);
    assert!(told.contains("K-DEPLOY-005") && told.contains("widget.yaml:1"), "{told}");
    std::fs::remove_file(bench.folder.path().join("widget.yaml")).unwrap();
    let told = bench.ends_with(2, &["deploy", "-f", "."]);
    assert!(
        told.contains("K-DEPLOY-006") && told.contains("replicsa") && told.contains("web.yaml:3"),
        "{told}"
    );
    assert!(bench.configs().is_empty(), "nothing was changed");

    // A selector can't be changed where it stands.
    bench.write("web.yaml", &[config("settings", "hello"), web("1", "settings")]);
    bench.ends_with(0, &["deploy", "-f", "."]);
    let mut other = web("1", "settings");
    other["spec"]["selector"]["matchLabels"]["app"] = json!("other");
    other["spec"]["template"]["metadata"]["labels"]["app"] = json!("other");
    bench.write("web.yaml", &[config("settings", "hello"), other]);
    let told = bench.ends_with(2, &["deploy", "-f", "."]);
    assert!(told.contains("K-DEPLOY-007") && told.contains("spec.selector"), "{told}");
    let told = bench.ends_with(2, &["deploy", "-f", ".", "--replace"]);
    assert!(told.contains("K-DEPLOY-019") && told.contains("Deployment web: replace"), "{told}");
    let told = bench.ends_with(2, &["deploy", "-f", ".", "--replace", "--confirm=another"]);
    assert!(told.contains("`another` is not the name of the release"), "{told}");
    let confirm = format!("--confirm={}", bench.namespace);
    bench.ends_with(0, &["deploy", "-f", ".", "--replace", &confirm]);
}

#[test]
fn others_keep_their_fields_and_earlier_tools_hand_theirs_over() {
    let Some(bench) = Bench::of("others_keep_their_fields_and_earlier_tools_hand_theirs_over") else {
        return;
    };
    // As `kubectl apply` on the client's side leaves it.
    let mut map: ConfigMap = serde_json::from_value(config("settings", "old")).unwrap();
    map.data.as_mut().unwrap().insert("dropped".to_owned(), "x".to_owned());
    let parameters =
        PostParams { field_manager: Some("kubectl-client-side-apply".to_owned()), ..PostParams::default() };
    bench.runtime.block_on(bench.api::<ConfigMap>().create(&parameters, &map)).unwrap();
    bench.write("settings.yaml", &[config("settings", "new")]);
    bench.ends_with(0, &["deploy", "-f", "."]);
    let map = bench.runtime.block_on(bench.api::<ConfigMap>().get("settings")).unwrap();
    let data = map.data.unwrap();
    assert_eq!(
        (data.len(), data["greeting"].as_str()),
        (1, "new"),
        "what is no longer written is gone: {data:?}"
    );

    // A person's edit is not overwritten without a word.
    let edit = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"greeting": "by hand"}});
    let parameters = PatchParams::apply("kubectl-edit").force();
    bench
        .runtime
        .block_on(bench.api::<ConfigMap>().patch("settings", &parameters, &Patch::Apply(edit)))
        .unwrap();
    let told = bench.ends_with(2, &["deploy", "-f", "."]);
    assert!(
        told.contains("K-DEPLOY-008") && told.contains("`data.greeting` is set by `kubectl-edit`"),
        "{told}"
    );
    bench.ends_with(0, &["deploy", "-f", ".", "--force-conflicts"]);
}

#[test]
fn an_autoscaler_is_not_fought() {
    let Some(bench) = Bench::of("an_autoscaler_is_not_fought") else { return };
    bench.write("web.yaml", &[config("settings", "hello"), web("1", "settings")]);
    bench.ends_with(0, &["deploy", "-f", "."]);
    let scaler = json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "minReplicas": 1, "maxReplicas": 5,
        },
    });
    bench.write("scaler.yaml", &[scaler]);
    let told = bench.ends_with(3, &["diff", "-f", "."]);
    assert!(!told.contains("replicas"), "{told}");
    bench.ends_with(0, &["deploy", "-f", "."]);
    let replicas = || bench.deployment("web").unwrap().spec.unwrap().replicas;
    assert_eq!(replicas(), Some(2), "handed over at its live value");
    // As the autoscaler would do it; the next deploy leaves it.
    let scale = json!({"spec": {"replicas": 3}});
    let parameters = PatchParams::default();
    let scaled = bench.api::<Deployment>();
    bench.runtime.block_on(scaled.patch_scale("web", &parameters, &Patch::Merge(scale))).unwrap();
    bench.write("web.yaml", &[config("settings", "hello"), web("2", "settings")]);
    bench.ends_with(0, &["deploy", "-f", "."]);
    assert_eq!((replicas(), bench.image_of("web")), (Some(3), workload_image("2")));
}

#[test]
fn a_rollout_is_proved_to_lose_nothing_and_stopped_when_it_does() {
    let Some(bench) = Bench::of("a_rollout_is_proved_to_lose_nothing_and_stopped_when_it_does") else {
        return;
    };
    // Before it ends, a pod goes on answering until nobody sends to it any more.
    let graceful = |version: &str| {
        let mut object = web(version, "settings");
        let container = &mut object["spec"]["template"]["spec"]["containers"][0];
        container["lifecycle"] = json!({"preStop": {"sleep": {"seconds": 3}}});
        object
    };
    bench.write("web.yaml", &[config("settings", "hello"), service(), graceful("1")]);
    bench.ends_with(0, &["deploy", "-f", "."]);
    let service_object = bench.runtime.block_on(bench.api::<Service>().get("web")).unwrap();
    let host = service_object.spec.unwrap().cluster_ip.unwrap();
    let (url, grpc) = (format!("http://{host}/"), format!("grpc://{host}:80"));
    bench.write("web.yaml", &[config("settings", "hello"), service(), graceful("2")]);
    let told = bench.ends_with(0, &["deploy", "-f", ".", "--probe", &url, "--probe", &grpc]);
    assert!(told.contains(" requests, 0 lost; with 95 % certainty"), "{told}");

    // Every service whose pods are replaced, without its address.
    bench.write("web.yaml", &[config("settings", "hello"), service(), graceful("1")]);
    let told = bench.ends_with(0, &["deploy", "-f", ".", "--probe-services", "--probe-rate", "50"]);
    assert!(told.contains("50 requests a second during the rollout to Service web"), "{told}");
    assert!(told.contains(" requests, 0 lost; with 95 % certainty"), "{told}");
    bench.write("web.yaml", &[config("settings", "hello"), service(), graceful("2")]);
    bench.ends_with(0, &["deploy", "-f", "."]);

    // Pods that are said to be ready long before they answer.
    let mut rash = graceful("1");
    let container = &mut rash["spec"]["template"]["spec"]["containers"][0];
    container.as_object_mut().unwrap().remove("readinessProbe");
    container["env"] = json!([{"name": "START_SECONDS", "value": "20"}]);
    bench.write("web.yaml", &[config("settings", "hello"), service(), rash]);
    let told = bench.ends_with(20, &["deploy", "-f", ".", "--probe", &url]);
    assert!(told.contains("K-DEPLOY-016") && told.contains("requests began to go to pod web-"), "{told}");
    assert!(told.contains("that could not answer yet: give it a readiness probe"), "{told}");
    assert_eq!(bench.image_of("web"), workload_image("2"), "what was there is there again:\n{told}");

    for nobody in ["http://127.0.0.1:1/", "grpc://127.0.0.1:1"] {
        let told = bench.ends_with(22, &["deploy", "-f", ".", "--probe", nobody]);
        assert!(told.contains("K-DEPLOY-017"), "{told}");
    }
}

#[test]
fn a_deploy_that_was_killed_is_gone_on_with() {
    let Some(bench) = Bench::of("a_deploy_that_was_killed_is_gone_on_with") else { return };
    let told = bench.ends_with(5, &["deploy", "--resume"]);
    assert!(told.contains("K-DEPLOY-015"), "{told}");
    bench.write("web.yaml", &[config("settings", "hello"), service(), web("1", "settings")]);
    let mut killed = bench.command(&["deploy", "-f", "."]);
    let mut killed = killed.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    let releases =
        || bench.runtime.block_on(bench.api::<Secret>().list(&ListParams::default())).unwrap().items;
    while releases().is_empty() {
        assert!(begun.elapsed() < PATIENCE, "the deploy does not begin");
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    // Without its files: what was to be deployed is in the cluster.
    std::fs::remove_file(bench.folder.path().join("web.yaml")).unwrap();
    bench.ends_with(0, &["deploy", "--resume"]);
    let status = bench.deployment("web").unwrap().status.unwrap();
    assert_eq!(status.ready_replicas, Some(2));
    let history: Value = serde_json::from_str(&bench.ends_with(0, &["history", "-o", "json"])).unwrap();
    assert_eq!(history["releases"][0]["outcome"], "failed");
    assert_eq!(
        (&history["releases"][1]["outcome"], &history["releases"][1]["note"]),
        (&json!("deployed"), &json!("go on with 1"))
    );
}

#[test]
fn an_approved_plan_is_carried_out_or_nothing() {
    let Some(bench) = Bench::of("an_approved_plan_is_carried_out_or_nothing") else { return };
    bench.write("settings.yaml", &[config("settings", "one")]);
    bench.ends_with(0, &["deploy", "-f", ".", "--plan-only", "-o", "plan.json"]);
    assert!(bench.configs().is_empty());
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(bench.folder.path().join("plan.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "a plan holds secrets");
    std::fs::rename(bench.folder.path().join("plan.json"), bench.folder.path().join("plan.kplan")).unwrap();
    bench.ends_with(0, &["deploy", "--plan", "plan.kplan"]);
    assert_eq!(bench.configs(), ["settings"]);
    let told = bench.ends_with(14, &["deploy", "--plan", "plan.kplan"]);
    assert!(told.contains("K-DEPLOY-012"), "{told}");
}

#[test]
fn a_living_deploy_keeps_others_out_and_a_dead_one_does_not() {
    let Some(bench) = Bench::of("a_living_deploy_keeps_others_out_and_a_dead_one_does_not") else { return };
    let mut slow = web("1", "settings");
    slow["spec"]["template"]["spec"]["containers"][0]["env"] = json!([{"name": "READY", "value": "false"}]);
    bench.write("web.yaml", &[config("settings", "hello"), slow]);
    let mut first = bench.command(&["deploy", "-f", "."]);
    let mut first = first.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    while bench.deployment("web").is_none() {
        assert!(begun.elapsed() < PATIENCE, "the first deploy does not begin");
        std::thread::yield_now();
    }
    bench.write("web.yaml", &[config("settings", "hello"), web("1", "settings")]);
    let told = bench.ends_with(13, &["deploy", "-f", "."]);
    assert!(told.contains("K-DEPLOY-011"), "{told}");
    first.kill().unwrap();
    first.wait().unwrap();
    let told = bench.ends_with(0, &["deploy", "-f", "."]);
    assert!(told.contains("waiting to see whether that deploy is still alive"), "{told}");
    let lease = bench.runtime.block_on(bench.api::<Lease>().list(&ListParams::default())).unwrap();
    let holder = lease.items[0].spec.as_ref().unwrap().holder_identity.clone();
    assert_eq!(holder.as_deref(), Some(""), "it was given back");
    let releases = bench.runtime.block_on(bench.api::<Secret>().list(&ListParams::default())).unwrap();
    assert!(releases.items.len() >= 2);
}

#[test]
fn a_watch_shows_each_change_until_it_is_interrupted() {
    let Some(bench) = Bench::of("a_watch_shows_each_change_until_it_is_interrupted") else { return };
    let mut watch = bench.command(&["status", "--watch"]);
    let mut watch = watch.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let (line, lines) = mpsc::channel();
    let output = BufReader::new(watch.stdout.take().unwrap());
    std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|text| line.send(text)));
    let sees = |words: &[&str]| {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            match lines.recv_timeout(PATIENCE) {
                Ok(line) if words.iter().all(|word| line.contains(word)) => return,
                Ok(_) => {}
                Err(error) => panic!("{words:?} is never shown: {error}"),
            }
        }
        panic!("{words:?} is never shown");
    };
    sees(&["nothing of", "is deployed"]);
    bench.write("web.yaml", &[config("settings", "hello"), service(), web("1", "settings")]);
    bench.ends_with(0, &["deploy", "-f", "."]);
    sees(&["Deployment", "web", "ready"]);
    // Another's doing is seen as well.
    let scale = json!({"spec": {"replicas": 0}});
    let scaled = bench.api::<Deployment>();
    let parameters = PatchParams::default();
    bench.runtime.block_on(scaled.patch_scale("web", &parameters, &Patch::Merge(scale))).unwrap();
    sees(&["Deployment", "web"]);
    let process = rustix::process::Pid::from_child(&watch);
    rustix::process::kill_process(process, rustix::process::Signal::INT).unwrap();
    assert!(watch.wait().unwrap().success(), "to be interrupted is its good end");
}

#[test]
fn what_holds_a_rollout_up_is_told_in_the_words_of_the_cluster() {
    let Some(bench) = Bench::of("what_holds_a_rollout_up_is_told_in_the_words_of_the_cluster") else {
        return;
    };
    let mut slow = web("1", "settings");
    slow["spec"]["template"]["spec"]["containers"][0]["env"] = json!([{"name": "READY", "value": "false"}]);
    bench.write("web.yaml", &[config("settings", "hello"), slow]);
    let told = bench.ends_with(12, &["deploy", "-f", ".", "--wait-timeout", "10s"]);
    assert!(told.contains("its readiness probe does not succeed yet"), "{told}");
    assert!(
        told.contains("Unhealthy: Readiness probe failed: HTTP probe failed with statuscode: 503"),
        "{told}"
    );
    assert!(told.contains("workload 1 listens on 8080"), "what its pod says is told:\n{told}");
}

#[test]
fn what_controllers_copy_or_tidy_up_is_no_change() {
    let Some(bench) = Bench::of("what_controllers_copy_or_tidy_up_is_no_change") else { return };
    let group = format!("{}.example", bench.namespace);
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": format!("shops.{group}")},
        "spec": {
            "group": group, "scope": "Namespaced", "names": {"kind": "Shop", "plural": "shops", "singular": "shop"},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
            }],
        },
    });
    // Its group is not there either when it is looked at first.
    let shop = json!({"apiVersion": format!("{group}/v1"), "kind": "Shop", "metadata": {"name": "corner"}, "spec": {"open": true}});
    // The cluster makes Endpoints for the service, with its labels.
    let endpoints = json!({
        "apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "outside"},
        "subsets": [{"addresses": [{"ip": "192.0.2.1"}], "ports": [{"port": 80}]}],
    });
    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once"},
        "spec": {
            "ttlSecondsAfterFinished": 0,
            "template": {"spec": {
                "restartPolicy": "Never",
                "containers": [{
                    "name": "workload", "image": workload_image("1"), "imagePullPolicy": "Never", "args": ["exit", "0"],
                }],
            }},
        },
    });
    bench.write("all.yaml", &[definition, shop, service(), endpoints, job]);
    bench.ends_with(0, &["deploy", "-f", "."]);
    let jobs: Api<Job> = bench.api();
    let endpoints: Api<Endpoints> = bench.api();
    let begun = Instant::now();
    let there = |name: &str| bench.runtime.block_on(endpoints.get_opt(name)).unwrap().is_some();
    while bench.runtime.block_on(jobs.get_opt("once")).unwrap().is_some() || !there("web") {
        assert!(begun.elapsed() < PATIENCE, "the job is not tidied up, or the service has no endpoints");
    }
    let told = bench.ends_with(0, &["diff", "-f", "."]);
    assert!(told.contains("nothing to do"), "{told}");
    let definitions: Api<CustomResourceDefinition> = Api::all(bench.client.clone());
    let name = format!("shops.{group}");
    drop(bench.runtime.block_on(definitions.delete(&name, &DeleteParams::default())));
}
