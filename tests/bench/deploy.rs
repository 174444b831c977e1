//! `kernel deploy` and kubectl by turns on the platform's manifests: `cargo bench --package kernel --bench deploy`.
//!
//! Needs the testbed's cluster (`KUBECONFIG`). The release is the staging environment's, about a hundred objects, in a
//! namespace of each tool; its pods run on a simulated node, so that what is measured is what the tools do and not how
//! fast containers start. With nothing to do, `kernel deploy` stands beside `kubectl diff` and `kubectl apply --server-side` of
//! the same files, one after the other. Of the first deploy it is told what is left when the slowest rollout is taken
//! away. Nothing here is a test: no figure fails a build.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, missing_docs)]

#[path = "../e2e/cluster_platform.rs"]
mod cluster_platform;

use std::process::Command;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::DeleteParams;
use serde_json::Value;
use testbed::kubernetes::Cluster;

use cluster_platform::{Platform, RELEASE};

/// How often each figure is taken.
const ROUNDS: usize = 5;

fn main() {
    // `cargo test --benches` runs this too, and wants to know only that it starts.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let platform =
        Platform::of("the benchmark of deploy").expect("KUBECONFIG leads to the testbed's cluster");
    let kubectl = |arguments: &[&str], codes: &[i32]| {
        let mut command = Command::new(Cluster::from_environment().unwrap().programs().join("kubectl"));
        command.current_dir(platform.folder()).arg("--kubeconfig").arg(&platform.bench.kubeconfig);
        let begun = Instant::now();
        let output = command.args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.code().is_some_and(|code| codes.contains(&code)),
            "kubectl {arguments:?}: {said}"
        );
        begun.elapsed()
    };

    let begun = Instant::now();
    platform.ends_with(0, &[&["--trace", "trace.json"], &RELEASE[..]].concat());
    let first = begun.elapsed();
    let slowest = slowest_rollout(&platform);

    // The same objects in a namespace of kubectl's own.
    let peer = format!("{}-kubectl", platform.namespace);
    platform.write_environment_in("peer", &peer, None, "");
    platform.ends_with(
        0,
        &["manifests", "render", "peer", "--digests", "digests", "--secrets", "secrets", "-o", "rendered"],
    );
    let apply = ["apply", "--server-side", "-f", "rendered/peer"];
    // The namespace comes first, in a file of its own, as everybody has it.
    kubectl(&["apply", "--server-side", "-f", "rendered/peer/namespace.yaml"], &[0]);
    let first_kubectl = kubectl(&apply, &[0]);

    let (mut ours, mut diffs, mut applies) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        platform.ends_with(0, &RELEASE);
        ours.push(begun.elapsed());
        // Controllers have changed what is theirs, and `diff` shows that too.
        diffs.push(kubectl(&["diff", "--server-side", "-f", "rendered/peer"], &[0, 1]));
        applies.push(kubectl(&apply, &[0]));
    }
    let all: Api<Namespace> = Api::all(platform.bench.client.clone());
    drop(platform.bench.runtime.block_on(all.delete(&peer, &DeleteParams::default())));

    let status: Value =
        serde_json::from_str(&platform.ends_with(0, &["status", "testbed", "-o", "json"])).unwrap();
    let objects = status["objects"].as_array().unwrap().len();
    let seconds = |time: Duration| time.as_secs_f64();
    let (ours, diffs, applies) = (median(ours), median(diffs), median(applies));
    println!("{objects} objects; the middle of {ROUNDS}");
    println!(
        "  nothing to do            kernel deploy {:.2} s, kubectl diff {:.2} s and apply {:.2} s: {:.2} ×",
        seconds(ours),
        seconds(diffs),
        seconds(applies),
        seconds(ours) / seconds(diffs + applies)
    );
    println!(
        "  first deploy, all ready  kernel deploy {:.2} s, of which the slowest rollout {:.2} s: {:.2} s beside it; \
         kubectl apply, which waits for nothing, {:.2} s",
        seconds(first),
        seconds(slowest),
        seconds(first.saturating_sub(slowest)),
        seconds(first_kubectl)
    );
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// The longest wait for one object.
fn slowest_rollout(platform: &Platform) -> Duration {
    let trace = std::fs::read(platform.folder().join("trace.json")).unwrap();
    let trace: Value = serde_json::from_slice(&trace).unwrap();
    let waits = trace["traceEvents"].as_array().unwrap().iter().filter(|entry| entry["name"] == "await");
    let longest = waits.filter_map(|entry| entry["dur"].as_u64()).max();
    Duration::from_micros(longest.expect("the trace has waits"))
}
