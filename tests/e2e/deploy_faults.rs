//! `kernel deploy` when something goes wrong: killed at every request, a cluster that is away for a moment, a login that has
//! ended, a rule of admission that says no. And the opposite: what it does not send when there is nothing to do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#![cfg(target_os = "linux")]

#[path = "cluster.rs"]
mod cluster;
#[path = "wire.rs"]
mod wire;

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use base64::Engine;
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding, ValidatingWebhookConfiguration,
};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret, Service, ServiceAccount};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use testbed::kubernetes::{Cluster, workload_image};

use cluster::{Bench, PATIENCE};
use wire::{Fate, Proxy, Wire};

fn proxy(bench: &Bench) -> Proxy {
    Proxy::start(&Cluster::from_environment().unwrap().programs(), &bench.kubeconfig)
}

/// A small release: configuration, an address, and one pod.
fn release(folder: &Path, greeting: &str) {
    let objects = [
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"greeting": greeting}}),
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
        }),
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
            "spec": {
                "selector": {"matchLabels": {"app": "web"}},
                "template": {
                    "metadata": {"labels": {"app": "web"}, "annotations": {"greeting": greeting}},
                    "spec": {
                        "terminationGracePeriodSeconds": 0,
                        "containers": [{
                            "name": "workload", "image": workload_image("1"), "imagePullPolicy": "Never",
                            "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 1},
                        }],
                    },
                },
            },
        }),
    ];
    let texts: Vec<String> = objects.iter().map(|object| object.to_string() + "\n").collect();
    std::fs::write(folder.join("web.yaml"), texts.join("---\n")).unwrap();
}

fn command(folder: &Path, kubeconfig: &Path, namespace: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kernel"));
    command.current_dir(folder).env("KUBECONFIG", kubeconfig).args(["--progress", "plain"]);
    command.args(arguments).args(["--namespace", namespace]);
    command
}

/// How a deploy left a namespace: what people wrote, and what belongs to the release.
async fn end_state(client: &Client, namespace: &str) -> Value {
    let every = ListParams::default();
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let services: Api<Service> = Api::namespaced(client.clone(), namespace);
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let (maps, services, deployments) =
        tokio::join!(maps.list(&every), services.list(&every), deployments.list(&every));
    let same = |text: &str| text.replace(namespace, "NAMESPACE");
    let maps = maps
        .unwrap()
        .items
        .into_iter()
        .filter(|map| map.metadata.name.as_deref() != Some("kube-root-ca.crt"));
    let maps: Vec<Value> = maps
        .map(|map| {
            let annotations = map.metadata.annotations.unwrap_or_default();
            json!([same(&map.metadata.name.unwrap()), map.data, annotations, map.metadata.labels.is_some()])
        })
        .collect();
    let services: Vec<Value> = services
        .unwrap()
        .items
        .into_iter()
        .map(|service| json!([service.metadata.name, service.spec.unwrap().ports]))
        .collect();
    let deployments: Vec<Value> = deployments
        .unwrap()
        .items
        .into_iter()
        .map(|deployment| {
            let status = deployment.status.unwrap();
            let template = deployment.spec.unwrap().template;
            json!([deployment.metadata.name, template, status.ready_replicas, status.updated_replicas])
        })
        .collect();
    json!({"maps": maps, "services": services, "deployments": deployments})
}

#[test]
fn killed_at_any_request_a_deploy_comes_to_the_same_end() {
    let Some(bench) = Bench::of("killed_at_any_request_a_deploy_comes_to_the_same_end") else { return };
    let proxy = proxy(&bench);
    let folder = bench.folder.path();
    release(folder, "hello");
    let namespace = |name: &str| {
        let name = format!("{}-{name}", bench.namespace);
        let body = json!({"metadata": {"name": name}});
        let made = Api::<Namespace>::all(bench.client.clone());
        let body: Namespace = serde_json::from_value(body).unwrap();
        bench.runtime.block_on(made.create(&PostParams::default(), &body)).unwrap();
        name
    };
    let model = namespace("whole");
    let wire = Wire::before(&proxy, folder, |_, _| Fate::Passes);
    let output = command(folder, &wire.kubeconfig, &model, &["deploy", "-f", "."]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let expected = bench.runtime.block_on(end_state(&bench.client, &model));
    // The lease is renewed as long as it takes, so the last ones may not come again.
    let requests = wire.requests().len();
    assert!(wire.writes().len() >= 8, "{:?}", wire.requests());
    let namespaces: Vec<String> = (0..requests).map(|at| namespace(&format!("killed-at-{at}"))).collect();

    // A dead deploy's lock is waited for, so all of them at the same time, some at once.
    let next = std::sync::atomic::AtomicUsize::new(0);
    let (reached, failures) = std::thread::scope(|threads| {
        let (next, namespaces, proxy, bench, expected) = (&next, &namespaces, &proxy, &bench, &expected);
        let workers: Vec<_> = (0..24)
            .map(|_| {
                threads.spawn(move || {
                    let (mut reached, mut failures) = (0, Vec::new());
                    loop {
                        let at = next.fetch_add(1, Ordering::Relaxed);
                        let Some(namespace) = namespaces.get(at) else { return (reached, failures) };
                        match killed_at(bench, proxy, namespace, at, expected) {
                            Ok(true) => reached += 1,
                            Ok(false) => {}
                            Err(failure) => failures.push(failure),
                        }
                    }
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).fold((0, Vec::new()), |mut all, one| {
            all.1.extend(one.1);
            (all.0 + one.0, all.1)
        })
    });
    let all: Api<Namespace> = Api::all(bench.client.clone());
    for namespace in namespaces.iter().chain([&model]) {
        drop(bench.runtime.block_on(all.delete(namespace, &DeleteParams::default())));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    assert!(reached + 5 >= requests, "of {requests} requests only {reached} came again");
}

/// Kills a deploy before its request number `at` goes on, and goes on with it. Says whether that request came at all: how
/// often a lock is renewed and a state looked at is not the same each time.
fn killed_at(
    bench: &Bench,
    proxy: &Proxy,
    namespace: &str,
    at: usize,
    expected: &Value,
) -> Result<bool, String> {
    let folder = bench.folder.path();
    let (reached, is_reached) = mpsc::channel();
    let dead = Arc::new(AtomicBool::new(false));
    let wire = Wire::before(proxy, folder, move |number, _| {
        if number >= at {
            dead.store(true, Ordering::SeqCst);
            let _nobody_waits_twice = reached.send(());
        }
        // What comes after the end of a process can't have been sent by it.
        if dead.load(Ordering::SeqCst) { Fate::Dropped } else { Fate::Passes }
    });
    let mut child = command(folder, &wire.kubeconfig, namespace, &["deploy", "-f", "."])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    let was_reached = loop {
        match is_reached.recv_timeout(Duration::from_millis(20)) {
            Ok(()) => break true,
            Err(_) if child.try_wait().unwrap().is_some() => break false,
            Err(_) if begun.elapsed() > PATIENCE => return Err(format!("no end, and no request {at}")),
            Err(_) => {}
        }
    };
    drop(child.kill());
    drop(child.wait());
    let run = |arguments: &[&str]| command(folder, &bench.kubeconfig, namespace, arguments).output().unwrap();
    let mut output = run(&["deploy", "--resume"]);
    // Killed before it wrote down what it was about to do, or after it wrote down that it was done.
    if output.status.code() == Some(5) {
        output = run(&["deploy", "-f", "."]);
    }
    let told =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if !output.status.success() {
        return Err(format!("killed at request {at}, then:\n{told}"));
    }
    let found = bench.runtime.block_on(end_state(&bench.client, namespace));
    if found != *expected {
        return Err(format!(
            "killed at request {at}, the end is another:\n{found:#}\nnot\n{expected:#}\n{told}"
        ));
    }
    Ok(was_reached)
}

#[test]
fn a_deploy_with_nothing_to_do_writes_nothing() {
    let Some(bench) = Bench::of("a_deploy_with_nothing_to_do_writes_nothing") else { return };
    let proxy = proxy(&bench);
    release(bench.folder.path(), "hello");
    let wire = Wire::before(&proxy, bench.folder.path(), |_, _| Fate::Passes);
    let deploy = || {
        let output = command(bench.folder.path(), &wire.kubeconfig, &bench.namespace, &["deploy", "-f", "."])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    deploy();
    let (requests, writes) = (wire.requests().len(), wire.writes().len());
    assert!(writes > 0, "the first one writes");
    deploy();
    assert!(wire.requests().len() > requests, "the second one looks");
    assert_eq!(wire.writes()[writes..], [] as [String; 0], "and writes nothing");
}

#[test]
fn a_cluster_that_is_away_for_a_moment_is_waited_for() {
    let Some(bench) = Bench::of("a_cluster_that_is_away_for_a_moment_is_waited_for") else { return };
    let proxy = proxy(&bench);
    release(bench.folder.path(), "hello");
    // Away from the first real write on, for so many requests.
    const AWAY: usize = 6;
    let missed = std::sync::atomic::AtomicUsize::new(0);
    let begun = AtomicBool::new(false);
    let wire = Wire::before(&proxy, bench.folder.path(), move |_, line| {
        if line.starts_with("PATCH ") && line.contains("/configmaps/settings") && !line.contains("dryRun") {
            begun.store(true, Ordering::SeqCst);
        }
        let away = begun.load(Ordering::SeqCst) && missed.fetch_add(1, Ordering::SeqCst) < AWAY;
        if away { Fate::Dropped } else { Fate::Passes }
    });
    let output = command(bench.folder.path(), &wire.kubeconfig, &bench.namespace, &["deploy", "-f", "."])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}\n{:#?}", wire.requests());
    assert!(told.contains("the cluster does not answer"), "{told}");
    assert_eq!(bench.deployment("web").unwrap().status.unwrap().ready_replicas, Some(1));

    // Away for good before anything was begun: told, and nothing was changed.
    let wire = Wire::before(&proxy, bench.folder.path(), |_, _| Fate::Dropped);
    let output = command(bench.folder.path(), &wire.kubeconfig, &bench.namespace, &["deploy", "-f", "."])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(10) && told.contains("K-DEPLOY-003"), "{told}");
}

#[test]
fn a_login_that_has_ended_is_told_as_such() {
    let Some(bench) = Bench::of("a_login_that_has_ended_is_told_as_such") else { return };
    release(bench.folder.path(), "hello");
    let text = std::fs::read(&bench.kubeconfig).unwrap();
    let mut kubeconfig: Value = serde_json::from_slice(&text).unwrap();
    kubeconfig["users"][0]["user"] = json!({"token": "of-yesterday"});
    let path = bench.folder.path().join("old.kubeconfig");
    std::fs::write(&path, kubeconfig.to_string()).unwrap();
    let output = command(bench.folder.path(), &path, &bench.namespace, &["deploy", "-f", "web.yaml"])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{told}");
    assert!(told.contains("K-DEPLOY-004") && told.contains("log in again"), "{told}");
    assert!(!told.contains("of-yesterday"), "a token is told: {told}");
}

/// Somebody who may do what an administrator of the namespace may, and no more; the token by which the cluster knows them.
fn administrator_of_the_namespace(bench: &Bench) -> String {
    let (accounts, bindings): (Api<ServiceAccount>, Api<RoleBinding>) = (bench.api(), bench.api());
    let account = json!({"metadata": {"name": "deployer"}});
    let binding = json!({
        "metadata": {"name": "deployer"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "deployer", "namespace": bench.namespace}],
    });
    let request = json!({"metadata": {}, "spec": {"audiences": []}});
    bench.runtime.block_on(async {
        accounts.create(&PostParams::default(), &serde_json::from_value(account).unwrap()).await.unwrap();
        bindings.create(&PostParams::default(), &serde_json::from_value(binding).unwrap()).await.unwrap();
        let request = serde_json::from_value(request).unwrap();
        let token =
            accounts.create_token_request("deployer", &PostParams::default(), &request).await.unwrap();
        token.status.unwrap().token
    })
}

#[test]
fn who_we_are_is_told_by_a_program_or_by_the_pod_that_we_run_in() {
    let Some(bench) = Bench::of("who_we_are_is_told_by_a_program_or_by_the_pod_that_we_run_in") else {
        return;
    };
    release(bench.folder.path(), "hello");
    let token = administrator_of_the_namespace(&bench);
    let write = |name: &str, text: &str| {
        let path = bench.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let mut kubeconfig: Value = serde_json::from_slice(&std::fs::read(&bench.kubeconfig).unwrap()).unwrap();

    // A program of the kubeconfig, as the ones of cloud providers.
    let answer = json!({
        "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": token},
    });
    let answer = write("answer.json", &answer.to_string());
    let mut login = |program: &str| {
        kubeconfig["users"][0]["user"] = json!({"exec": {
            "apiVersion": "client.authentication.k8s.io/v1", "command": program, "args": [answer], "interactiveMode": "Never",
        }});
        write("login.kubeconfig", &kubeconfig.to_string())
    };
    let path = login("no-such-login");
    let output =
        command(bench.folder.path(), &path, &bench.namespace, &["diff", "-f", "web.yaml"]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("K-DEPLOY-004") && told.contains("`no-such-login`"), "{told}");
    let path = login("cat");
    let output = command(bench.folder.path(), &path, &bench.namespace, &["deploy", "-f", "web.yaml"])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    assert!(!told.contains(&token), "a token is told: {told}");

    // The files that every pod has, at the place where every pod has them, for this one process.
    let authority = kubeconfig["clusters"][0]["cluster"]["certificate-authority-data"].as_str().unwrap();
    let authority = base64::engine::general_purpose::STANDARD.decode(authority).unwrap();
    write("ca.crt", &String::from_utf8(authority).unwrap());
    write("token", &token);
    write("namespace", &bench.namespace);
    let server: http::Uri = kubeconfig["clusters"][0]["cluster"]["server"].as_str().unwrap().parse().unwrap();
    let script = "set -e; here=/run/secrets/kubernetes.io/serviceaccount; mount -t tmpfs none /run; mkdir -p $here; \
                  cp ca.crt token namespace $here; exec \"$0\" diff -f web.yaml";
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", script, env!("CARGO_BIN_EXE_kernel")])
        .current_dir(bench.folder.path())
        .env_remove("KUBECONFIG")
        .env("HOME", bench.folder.path())
        .env("KUBERNETES_SERVICE_HOST", server.host().unwrap())
        .env("KUBERNETES_SERVICE_PORT", server.port_u16().unwrap().to_string())
        .output()
        .unwrap();
    let told =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.contains("nothing to do"), "{told}");
}

#[test]
fn a_webhook_that_refuses_is_heard_before_anything_is_changed() {
    let Some(bench) = Bench::of("a_webhook_that_refuses_is_heard_before_anything_is_changed") else { return };
    release(bench.folder.path(), "hello");
    let name = format!("{}.refuses.example", bench.namespace);
    let hook = json!({
        "metadata": {"name": name},
        "webhooks": [{
            "name": name, "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": "Fail",
            "timeoutSeconds": 2, "clientConfig": {"url": "https://127.0.0.1:1/review"},
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": bench.namespace}},
            "rules": [{"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["*"], "resources": ["deployments"]}],
        }],
    });
    let hooks: Api<ValidatingWebhookConfiguration> = Api::all(bench.client.clone());
    let hook = serde_json::from_value(hook).unwrap();
    bench.runtime.block_on(hooks.create(&PostParams::default(), &hook)).unwrap();
    // It takes effect a moment later; until then a look finds only what is to be made.
    let begun = Instant::now();
    let told = loop {
        let output = bench.command(&["diff", "-f", "."]).output().unwrap();
        if output.status.code() != Some(3) {
            break String::from_utf8_lossy(&output.stderr).into_owned();
        }
        assert!(begun.elapsed() < PATIENCE, "the webhook never takes effect");
    };
    let refused = |told: &str| {
        assert!(told.contains("K-DEPLOY-006") && told.contains("web.yaml:"), "{told}");
        assert!(told.contains("Deployment web") && told.contains(&name), "{told}");
    };
    refused(&told);
    refused(&bench.ends_with(2, &["deploy", "-f", "."]));
    drop(bench.runtime.block_on(hooks.delete(&name, &DeleteParams::default())));
    let (maps, releases): (Api<ConfigMap>, Api<Secret>) = (bench.api(), bench.api());
    assert!(bench.runtime.block_on(maps.get_opt("settings")).unwrap().is_none(), "something was changed");
    assert_eq!(bench.runtime.block_on(releases.list(&ListParams::default())).unwrap().items.len(), 0);
}

#[test]
fn what_there_is_no_way_back_from_is_refused_before_anything_is_changed() {
    let Some(bench) = Bench::of("what_there_is_no_way_back_from_is_refused_before_anything_is_changed")
    else {
        return;
    };
    release(bench.folder.path(), "hello");
    let frozen = |immutable: bool| {
        let body = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "frozen"}, "immutable": immutable, "data": {"a": "b"},
        });
        bench.write("frozen.yaml", &[body]);
    };
    frozen(false);
    bench.ends_with(0, &["deploy", "-f", "."]);

    // A policy that is younger than the release: it could not be deployed again.
    let name = format!("{}.no-hello", bench.namespace);
    let policy = json!({
        "metadata": {"name": name},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [{
                "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["configmaps"],
            }]},
            "validations": [{
                "expression": "!has(object.data) || !('greeting' in object.data) || object.data['greeting'] != 'hello'",
                "message": "nobody says hello any more",
            }],
        },
    });
    let binding = json!({
        "metadata": {"name": name},
        "spec": {
            "policyName": name, "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": bench.namespace}}},
        },
    });
    let policies: Api<ValidatingAdmissionPolicy> = Api::all(bench.client.clone());
    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(bench.client.clone());
    let (policy, binding) =
        (serde_json::from_value(policy).unwrap(), serde_json::from_value(binding).unwrap());
    bench.runtime.block_on(policies.create(&PostParams::default(), &policy)).unwrap();
    bench.runtime.block_on(bindings.create(&PostParams::default(), &binding)).unwrap();
    // It takes effect a moment later.
    let begun = Instant::now();
    while bench.command(&["diff", "-f", "."]).output().unwrap().status.success() {
        assert!(begun.elapsed() < PATIENCE, "the policy never takes effect");
    }

    release(bench.folder.path(), "good evening");
    frozen(true);
    for arguments in [&["deploy", "-f", ".", "--plan-only"], &["deploy", "-f", ".", "--no-rollback"]] {
        let told = bench.ends_with(2, arguments);
        assert!(told.contains("K-DEPLOY-021") && told.contains("--one-way"), "{told}");
        assert!(told.contains("ConfigMap frozen becomes immutable"), "{told}");
        assert!(
            told.contains("release 1 is refused now") && told.contains("nobody says hello any more"),
            "{told}"
        );
    }
    let greeting = || {
        let maps: Api<ConfigMap> = bench.api();
        bench.runtime.block_on(maps.get("settings")).unwrap().data.unwrap()["greeting"].clone()
    };
    assert_eq!(greeting(), "hello", "something was changed");
    bench.ends_with(0, &["deploy", "-f", ".", "--one-way"]);
    assert_eq!(greeting(), "good evening");
    drop(bench.runtime.block_on(bindings.delete(&name, &DeleteParams::default())));
    drop(bench.runtime.block_on(policies.delete(&name, &DeleteParams::default())));
}
