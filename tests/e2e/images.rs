//! Images through the built binary: assembled, written, loaded, run, pushed. Where there is no Engine or no registry, the
//! tests that need one say that they are left out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

#[path = "images/engine.rs"]
mod engine;
#[path = "images/registry.rs"]
mod registry;
#[path = "images/workspace.rs"]
mod workspace;

use std::path::Path;
use std::process::Command;

use bollard::query_parameters::RemoveImageOptions;
use engine::Engine;
use kernel_image::{Digest, Index, Manifest, blob_path};
use kernel_testkit::left_out;
use registry::Registry;
use workspace::{Workspace, results};

fn index(layout: &Path) -> Vec<(String, Digest)> {
    let index: Index = serde_json::from_slice(&std::fs::read(layout.join("index.json")).unwrap()).unwrap();
    index.images().map(|(name, manifest)| (name.to_string(), manifest.digest)).collect()
}

#[test]
fn a_layout_is_the_same_to_the_byte_wherever_it_is_made() {
    let make = |label: &str| {
        let workspace = Workspace::new(label);
        let answer = workspace.answer(&mut workspace.command(&["build", "--oci-layout", "out.tar"]));
        assert_eq!(results(&answer), ["written", "written"]);
        std::fs::read(workspace.path("out.tar")).unwrap()
    };
    let (one, other) = (make("same"), make("same"));
    assert!(one == other && one.len() > 100_000);
}

#[test]
fn a_layout_holds_the_images_and_their_shared_layer_once() {
    let workspace = Workspace::new("layout");
    workspace.answer(&mut workspace.command(&["build", "--oci-layout", "out"]));
    let layout = workspace.path("out");
    let images = index(&layout);
    let names: Vec<&str> = images.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, [format!("{}/one:dev", workspace.name), format!("{}/two:dev", workspace.name)]);
    let manifest = |digest: Digest| -> Manifest {
        serde_json::from_slice(&std::fs::read(layout.join(blob_path(digest))).unwrap()).unwrap()
    };
    let (one, two) = (manifest(images[0].1), manifest(images[1].1));
    // The two have the same program, so they differ in what is said of them only.
    assert_eq!(one.layers, two.layers);
    assert_ne!(one.config, two.config);
    assert_eq!(one.annotations["org.opencontainers.image.title"], "one");
    assert_eq!(one.annotations["org.opencontainers.image.created"], "2026-01-02T03:04:05Z");
}

#[test]
fn a_program_that_is_not_static_is_refused_before_anybody_runs_it() {
    let workspace = Workspace::new("dynamic");
    std::fs::copy(env!("CARGO_BIN_EXE_kernel"), workspace.path("programs/one")).unwrap();
    let told = workspace.refusal(&mut workspace.command(&["build", "one", "--oci-layout", "out"]));
    assert!(told.contains("K-IMAGE-003") && told.contains("it is not static"), "{told}");
    assert!(!workspace.path("out/index.json").exists());
}

#[test]
fn a_plan_is_shown_without_an_engine_and_nothing_is_written() {
    let workspace = Workspace::new("plan");
    let mut command = workspace.command(&["build", "--dry-run"]);
    command.env("DOCKER_HOST", "unix:///nowhere/docker.sock");
    let answer = workspace.answer(&mut command);
    assert_eq!(answer["plan"]["steps"].as_array().unwrap().len(), 2);
    let mut command = workspace.command(&["build"]);
    command.env("DOCKER_HOST", "unix:///nowhere/docker.sock");
    let told = workspace.refusal(&mut command);
    assert!(told.contains("K-IMAGE-020") && told.contains("--oci-layout"), "{told}");
}

#[test]
fn images_without_a_commit_or_an_owner_are_not_pushed() {
    let workspace = Workspace::new("unnamed");
    let told = workspace.refusal(&mut workspace.command(&["images", "push"]));
    assert!(told.contains("K-IMAGE-010") && told.contains("--owner"), "{told}");
    let told = workspace.refusal(&mut workspace.command(&["images", "push", "--owner", "acme"]));
    assert!(told.contains("K-IMAGE-006") && told.contains("--tag"), "{told}");
}

#[tokio::test]
async fn an_engine_gets_what_it_does_not_have_and_runs_it_without_any_right() {
    let workspace = Workspace::new("engine");
    let test = "an_engine_gets_what_it_does_not_have_and_runs_it_without_any_right";
    let Some(engine) = Engine::find(test, &workspace.name, &["one:dev", "one:again", "two:dev"]).await else {
        return;
    };
    let build = |arguments: &[&str]| {
        let mut command = workspace.command(arguments);
        command.env("DOCKER_HOST", &engine.host);
        workspace.answer(&mut command)
    };
    let first = build(&["build"]);
    assert_eq!(results(&first), ["loaded", "loaded"]);
    assert_eq!(results(&build(&["build"])), ["unchanged", "unchanged"]);

    // Another name for what is there: nothing is sent.
    let compose = std::fs::read_to_string(workspace.path("docker/docker-compose.yml")).unwrap();
    workspace.write("again.yml", compose.replace("/one:dev", "/one:again").as_bytes());
    let again = build(&["-f", "again.yml", "build", "one"]);
    assert_eq!(results(&again), ["tagged"]);
    assert_eq!(again["images"][0]["id"], first["images"][0]["id"]);

    let one = format!("{}/one:dev", workspace.name);
    let container = engine.start(&one, "one", &[], &[]).await;
    engine.healthy(&container).await;
    let names = ["look", "one", "nobody-has-this-name"];
    let seen =
        engine.output(&engine.start(&format!("{}/two:dev", workspace.name), "two", &names, &[]).await).await;
    assert!(seen.contains("Uid: 10001") && seen.contains("Gid: 10001"), "{seen}");
    assert!(seen.contains("CapEff: 0000000000000000"), "{seen}");
    assert!(seen.contains("write /probe: false") && seen.contains("write /tmp/probe: true"), "{seen}");
    assert!(!seen.contains("authorities: 0"), "{seen}");
    assert!(
        seen.contains("resolve one: true") && seen.contains("resolve nobody-has-this-name: false"),
        "{seen}"
    );
}

#[tokio::test]
async fn a_dockerfile_is_built_with_both_builders() {
    let workspace = Workspace::new("dockerfile");
    let test = "a_dockerfile_is_built_with_both_builders";
    let Some(engine) = Engine::find(test, &workspace.name, &["three:dev"]).await else { return };
    for (buildkit, says) in [("1", "new"), ("0", "old")] {
        let argument = format!("SAYS={says}");
        let mut command = workspace.command(&["build", "--via", "docker", "--build-arg", &argument, "three"]);
        command.env("DOCKER_HOST", &engine.host).env("DOCKER_BUILDKIT", buildkit);
        assert_eq!(results(&workspace.answer(&mut command)), ["built"]);
        let image = engine.docker.inspect_image(&format!("{}/three:dev", workspace.name)).await.unwrap();
        let labels = image.config.unwrap().labels.unwrap();
        assert_eq!(labels["says"], says);

        workspace.write("docker/three/Dockerfile", b"FROM scratch\nCOPY missing /\n");
        let told = workspace.refusal(&mut command);
        assert!(told.contains("K-IMAGE-022") && told.contains("missing"), "{told}");
        workspace
            .write("docker/three/Dockerfile", b"FROM scratch\nARG SAYS\nLABEL says=$SAYS\nCOPY hello /\n");
    }
}

#[tokio::test]
async fn a_registry_gets_every_blob_once_and_lets_only_those_in_that_it_knows() {
    let workspace = Workspace::new("registry");
    let test = "a_registry_gets_every_blob_once_and_lets_only_those_in_that_it_knows";
    let Some(registry) = Registry::start(test, true).await else { return };
    let push = |arguments: &[&str]| {
        let mut command = workspace.command(&["images", "push", "--registry", &registry.address]);
        command.args(arguments);
        command
    };
    let to_acme = ["--owner", "Acme", "--tag", "1", "--tag", "latest"];
    let told = workspace.refusal(&mut push(&to_acme));
    assert!(told.contains("K-IMAGE-008") && told.contains("docker login"), "{told}");

    let login = registry.login();
    let signed_in = |arguments: &[&str]| {
        let mut command = push(arguments);
        command.env("DOCKER_CONFIG", &login);
        workspace.answer(&mut command)
    };
    let answer = signed_in(&to_acme);
    assert_eq!(results(&answer), ["pushed", "pushed"]);
    for (service, image) in ["one", "two"].iter().zip(answer["images"].as_array().unwrap()) {
        for tag in ["1", "latest"] {
            let repository = format!("acme/platform-kernel/{service}");
            let (status, manifest) = registry.get(&format!("{repository}/manifests/{tag}")).await;
            assert_eq!(
                (status, Digest::of(&manifest).to_string().as_str()),
                (200, image["id"].as_str().unwrap())
            );
            let manifest: Manifest = serde_json::from_slice(&manifest).unwrap();
            for blob in manifest.layers.iter().chain([&manifest.config]) {
                let (status, bytes) = registry.get(&format!("{repository}/blobs/{}", blob.digest)).await;
                assert_eq!((status, Digest::of(&bytes)), (200, blob.digest));
            }
        }
    }
    assert_eq!(results(&signed_in(&to_acme)), ["unchanged", "unchanged"]);

    // The same from a layout that was written before, without a program at hand.
    workspace.answer(&mut workspace.command(&["build", "--oci-layout", "out"]));
    std::fs::remove_dir_all(workspace.path("programs")).unwrap();
    assert_eq!(results(&signed_in(&["--oci-layout", "out"])), ["pushed", "pushed"]);
    let (status, manifest) = registry.get(&format!("{}/one/manifests/dev", workspace.name)).await;
    assert_eq!((status, Digest::of(&manifest)), (200, index(&workspace.path("out"))[0].1));
}

#[test]
fn a_registry_that_is_not_there_is_told() {
    let workspace = Workspace::new("nobody");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let arguments = ["images", "push", "--registry", &address, "--owner", "acme", "--tag", "1", "one"];
    let told = workspace.refusal(&mut workspace.command(&arguments));
    assert!(told.contains("K-IMAGE-009") && told.contains("does not answer"), "{told}");
}

/// The real thing: one of our services, built by cargo as in production.
#[tokio::test]
async fn a_service_of_the_workspace_runs_in_its_image() {
    let test = "a_service_of_the_workspace_runs_in_its_image";
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let name = format!("kernel-test-service-{}", std::process::id());
    let Some(engine) = Engine::find(test, &name, &["platform-kernel/money:dev"]).await else { return };
    // A release build of half the workspace is not for everybody's every test run.
    if std::env::var_os("CI").is_none() && std::env::var_os("TEST_IMAGES").is_none() {
        left_out(test, "it builds a service with optimisation, which takes minutes; set TEST_IMAGES=1");
        return;
    }
    let output = Command::new(env!("CARGO_BIN_EXE_kernel"))
        .args(["--progress", "plain", "build", "money"])
        .current_dir(root)
        .env("DOCKER_HOST", &engine.host)
        .env("KERNEL_REGISTRY", format!("{name}/"))
        .env_remove("KERNEL_TAG")
        .env_remove("KERNEL_BIN_DIR")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let image = format!("{name}/platform-kernel/money:dev");
    let variables =
        ["INTERNAL_TOKEN=t", "DATABASE_URL=sqlite:///tmp/money.db", "EVENTS_URL=http://event-bus:8080"];
    let container = engine.start(&image, "money", &[], &variables).await;
    engine.healthy(&container).await;
}

/// By the Engine, with what `docker login` kept: the way of a Compose project anywhere.
#[tokio::test]
async fn images_of_a_project_go_to_their_registry_and_come_back() {
    let test = "images_of_a_project_go_to_their_registry_and_come_back";
    let workspace = Workspace::new("transfer");
    let Some(engine) = Engine::find(test, &workspace.name, &[]).await else { return };
    let Some(registry) = Registry::start(test, true).await else { return };
    let image = format!("{}/tool:1", registry.address);
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("hello", "hello");
    write("Dockerfile", "FROM scratch\nCOPY hello /\n");
    write("compose.yaml", &format!("services:\n  tool:\n    image: {image}\n    build: .\n"));
    let kernel = |arguments: &[&str], login: bool| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kernel"));
        command.args(["--engine", "docker", "--project-name", &workspace.name]).args(arguments);
        command.current_dir(folder.path()).env("DOCKER_HOST", &engine.host);
        let config = if login { registry.login() } else { folder.path().to_owned() };
        command.env("DOCKER_CONFIG", config).output().unwrap()
    };
    let done = |arguments: &[&str]| {
        let output = kernel(arguments, true);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let told = |arguments: &[&str], login: bool| {
        let output = kernel(arguments, login);
        assert!(!output.status.success(), "{arguments:?} was not refused");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let remove = || engine.docker.remove_image(&image, None::<RemoveImageOptions>, None);

    assert!(told(&["push"], true).contains("K-DOCKER-013"));
    done(&["build", "--via", "docker", "tool"]);
    let refusal = told(&["push"], false);
    assert!(refusal.contains("K-DOCKER-013") && refusal.contains("docker login"), "{refusal}");
    done(&["--dry-run", "push"]);
    assert_eq!(registry.get("tool/manifests/1").await.0, 404);
    done(&["push"]);
    assert_eq!(registry.get("tool/manifests/1").await.0, 200);

    remove().await.unwrap();
    assert!(told(&["pull"], false).contains("K-DOCKER-007"));
    done(&["pull", "--ignore-buildable"]);
    assert!(engine.docker.inspect_image(&image).await.is_err());
    done(&["pull"]);
    assert!(engine.docker.inspect_image(&image).await.is_ok());
    remove().await.unwrap();
}
