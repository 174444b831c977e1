//! `kernel new service`, over a copy of what it reads and changes.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use std::path::Path;

use common::Workspace;

const READ: [&str; 7] = [
    "docker/docker-compose.yml",
    "docker/docker-compose.gateway.yaml",
    "docker/docker-compose.kafka.yaml",
    "docker/docker-compose.ci.yml",
    "docker/postgres/init.sql",
    "docs/crate-graph.md",
    "versions.env",
];

fn workspace() -> Workspace {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let workspace = Workspace::new("services: {}\n");
    for file in READ {
        workspace.write(file, &std::fs::read_to_string(root.join(file)).unwrap());
    }
    copy(&root, "templates/service", &workspace);
    copy(&root, "services/svc-api/proto/platform/iam", &workspace);
    workspace
}

fn copy(root: &Path, folder: &str, workspace: &Workspace) {
    for entry in std::fs::read_dir(root.join(folder)).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            copy(root, &path, workspace);
        } else {
            workspace.write(&path, &std::fs::read_to_string(entry.path()).unwrap());
        }
    }
}

#[test]
fn a_new_service_is_whole_and_the_project_knows_it() {
    let workspace = workspace();
    let before = workspace.files();
    let dry = workspace.run(&["new", "service", "price-list", "--dry-run"]);
    assert_eq!(dry.code, 0, "{}", dry.shown());
    assert_eq!(workspace.files(), before, "a dry run writes nothing");

    let output = workspace.run(&["new", "service", "price-list", "--description", "What things cost"]);
    assert_eq!(output.code, 0, "{}", output.shown());
    assert_eq!(output.stdout, dry.stdout);
    assert!(output.stderr.contains("`kernel smoke price-list`"), "{}", output.shown());
    let config = workspace.run(&["config", "--format", "json"]);
    let config: serde_json::Value = serde_json::from_str(&config.stdout).unwrap();
    let service = &config["services"]["price-list"];
    assert_eq!(service["build"]["args"]["SERVICE"], "price-list");
    assert_eq!(service["ports"][0]["published"], "8091");
    assert_eq!(config["services"]["gateway"]["environment"]["PRICE_LIST_URL"], "http://price-list:8080");
    assert!(workspace.read("services/price-list/Cargo.toml").contains("description = \"What things cost.\""));
    assert!(workspace.read("services/price-list/src/main.rs").contains("run::<price_list::PriceList>()"));
    let proto = workspace.read("services/svc-api/proto/platform/price_list/v1/price_list.proto");
    assert!(proto.contains("post: \"/v1/price-list/items\""), "{proto}");
    assert!(
        workspace
            .read("docker/postgres/init.sql")
            .contains("CREATE DATABASE platform_price_list OWNER platform;")
    );
    assert!(workspace.read("docs/crate-graph.md").contains("  price-list --> svc-stores\n"));
    assert!(
        workspace
            .files()
            .keys()
            .all(|path| !path.display().to_string().contains("price-list") || !path.ends_with(".j2"))
    );

    let second = workspace.run(&["new", "service", "stock"]);
    assert_eq!(second.code, 0, "{}", second.shown());
    assert!(second.stderr.contains("port 8092"), "{}", second.shown());
}

#[test]
fn what_is_there_is_never_overwritten() {
    let workspace = workspace();
    let before = workspace.files();
    let taken = [
        ("money", "K-OPS-008"),
        ("auth", "K-OPS-008"),
        ("iam", "K-OPS-008"),
        ("Bad_Name", "K-OPS-007"),
        ("mod", "K-OPS-007"),
    ];
    for (name, code) in taken {
        let output = workspace.run(&["new", "service", name]);
        assert_eq!(output.code, 2, "{}", output.shown());
        assert!(output.stderr.contains(code), "{name}: {}", output.shown());
    }
    assert_eq!(workspace.files(), before);
}

#[test]
fn a_failure_leaves_nothing_half_done() {
    let workspace = workspace();
    workspace.write("templates/service/crate/src/lib.rs.j2", "{{ missing }}\n");
    let before = workspace.files();
    let output = workspace.run(&["new", "service", "price-list"]);
    assert_eq!(output.code, 1, "{}", output.shown());
    assert!(output.stderr.contains("K-OPS-009"), "{}", output.shown());
    assert_eq!(workspace.files(), before);
}
