use super::*;

const PINS: &str = "# pins\nRUST_VERSION=1.95.0\nALPINE_VERSION=3.21\nPOSTGRES_VERSION=17-alpine\n";

/// Checks one file and gives all that was found as text.
fn check(path: &str, text: &str) -> String {
    let mut sources = Sources::default();
    let env = sources.add("versions.env", PINS);
    let (pins, problems) = Pins::parse(env, PINS);
    assert_eq!(problems, []);
    let file = sources.add(path, text);
    let checked = pins.check(&[(Kind::of(path).unwrap(), file)], &sources);
    let mut lines = Vec::new();
    for (name, spans) in &checked.uses {
        let places: Vec<_> = spans.iter().map(|span| sources.locate(*span).unwrap()).collect();
        lines.push(format!("{name} used at {}", places.join(" ")));
    }
    for problem in checked.diagnostics.iter().filter(|problem| problem.code != UNUSED) {
        let span = problem.labels[0].span;
        let marked = &text[span.start..span.end];
        lines.push(format!(
            "{} {} [{marked}] {}",
            sources.locate(span).unwrap(),
            problem.code,
            problem.message
        ));
    }
    lines.join("\n")
}

#[test]
fn pins_are_read_and_bad_lines_told() {
    let text = "# c\nA_VERSION=1.0\n\nb=1\nC_VERSION\nA_VERSION=2\nD_VERSION=\"1\"\n";
    let mut sources = Sources::default();
    let source = sources.add("versions.env", text);
    let (pins, problems) = Pins::parse(source, text);
    assert_eq!(pins.iter().map(|pin| pin.name.as_str()).collect::<Vec<_>>(), ["A_VERSION"]);
    assert_eq!(pins.get("A_VERSION").map(|pin| pin.value.as_str()), Some("1.0"));
    let told: Vec<_> = problems
        .iter()
        .map(|problem| (problem.code, sources.locate(problem.labels[0].span).unwrap()))
        .collect();
    assert_eq!(
        told,
        [
            (SYNTAX, "versions.env:4:1".to_owned()),
            (SYNTAX, "versions.env:5:1".to_owned()),
            (DUPLICATE, "versions.env:6:1".to_owned()),
            (SYNTAX, "versions.env:7:1".to_owned()),
        ]
    );
}

#[test]
fn a_compose_file() {
    let text = r#"services:
  a: { image: "${REGISTRY:-}postgres:${POSTGRES_VERSION}" }
  b:
    image: postgres:17-alpine # image: x:1
    # image: postgres:1
  c: { image: valkey/valkey:8.1, restart: always }
  d:
    image: nginx
    environment: { X: $NO_VERSION, Y: $$SKIPPED_VERSION, my-image: x:1 }
  e: { image: "a:${POSTGRE_VERSION:-15}" }
  f: { image: platform/iam:${KERNEL_TAG:-dev} }
"#;
    insta::assert_snapshot!(check("docker/docker-compose.x.yml", text), @r#"
    POSTGRES_VERSION used at docker/docker-compose.x.yml:2:40
    docker/docker-compose.x.yml:4:21 K-PIN-004 [17-alpine] the version `17-alpine` is stated here and not in `versions.env`
    docker/docker-compose.x.yml:6:29 K-PIN-004 [8.1] the version `8.1` is stated here and not in `versions.env`
    docker/docker-compose.x.yml:8:12 K-PIN-004 [nginx] the image `nginx` has no version, which means `latest`
    docker/docker-compose.x.yml:9:24 K-PIN-003 [NO_VERSION] there is no pin `NO_VERSION`
    docker/docker-compose.x.yml:10:37 K-PIN-004 [15] the version `15` is stated here and not in `versions.env`
    docker/docker-compose.x.yml:10:20 K-PIN-003 [POSTGRE_VERSION] there is no pin `POSTGRE_VERSION`
    "#);
}

#[test]
fn a_dockerfile() {
    let text = r"ARG RUST_VERSION
ARG ALPINE_VERSION=3.20
ARG SERVICE
FROM --platform=linux/amd64 rust:${RUST_VERSION}-alpine AS build
FROM build AS two
FROM alpine:3.21
COPY --from=build /a /a
COPY --from=busybox:1.36 /b /b
FROM scratch
";
    insta::assert_snapshot!(check("docker/Dockerfile.monorepo", text), @r#"
    ALPINE_VERSION used at docker/Dockerfile.monorepo:2:5
    RUST_VERSION used at docker/Dockerfile.monorepo:1:5 docker/Dockerfile.monorepo:4:36
    docker/Dockerfile.monorepo:2:20 K-PIN-004 [3.20] the version `3.20` is stated here and not in `versions.env`
    docker/Dockerfile.monorepo:6:13 K-PIN-004 [3.21] the version `3.21` is stated here and not in `versions.env`
    docker/Dockerfile.monorepo:8:21 K-PIN-004 [1.36] the version `1.36` is stated here and not in `versions.env`
    "#);
}

#[test]
fn files_that_cannot_read_pins() {
    assert_eq!(
        check("rust-toolchain.toml", "[toolchain]\nchannel = \"1.95.0\"\n"),
        "RUST_VERSION used at rust-toolchain.toml:2:12"
    );
    insta::assert_snapshot!(check("rust-toolchain.toml", "channel = \"1.94.0\"\n"), @r#"rust-toolchain.toml:1:12 K-PIN-005 [1.94.0] `channel` is 1.94.0, and RUST_VERSION is 1.95.0"#);
    assert_eq!(check("Cargo.toml", "rust-version = \"1.95\"\n"), "RUST_VERSION used at Cargo.toml:1:17");
    insta::assert_snapshot!(check("Cargo.toml", "rust-version = \"1.9\"\n"), @r#"Cargo.toml:1:17 K-PIN-005 [1.9] `rust-version` is 1.9, and RUST_VERSION is 1.95.0"#);
}

#[test]
fn manifests_and_ci() {
    insta::assert_snapshot!(check("k8s/base/iam.yaml", "      - image: postgres:17\n        image: x/iam:{{ tag }}\n"), @r#"k8s/base/iam.yaml:1:25 K-PIN-004 [17] the version `17` is stated here and not in `versions.env`"#);
    let template = "averageUtilization: {{ pins.ALPINE_VERSION }}\nx: {{ pins.ALPIN_VERSION }}\n";
    insta::assert_snapshot!(check("templates/k8s/workload.yaml.j2", template), @r"
    ALPINE_VERSION used at templates/k8s/workload.yaml.j2:1:29
    templates/k8s/workload.yaml.j2:2:12 K-PIN-003 [ALPIN_VERSION] there is no pin `ALPIN_VERSION`
    ");
    let script = "TOOL_VERSION=2\nrustup toolchain install 1.95.0\necho $TOOL_VERSION ${RUST_VERSION} $OTHER_VERSION 11.95.0\n";
    insta::assert_snapshot!(check(".ci/run", script), @r#"
    RUST_VERSION used at .ci/run:3:22
    .ci/run:2:26 K-PIN-004 [1.95.0] the version `1.95.0` is stated here and not in `versions.env`
    .ci/run:3:37 K-PIN-003 [OTHER_VERSION] there is no pin `OTHER_VERSION`
    "#);
}

#[test]
fn what_nothing_uses_is_told_and_what_is_of_no_interest_is_not_read() {
    let mut sources = Sources::default();
    let source = sources.add("versions.env", PINS);
    let (pins, _) = Pins::parse(source, PINS);
    let checked = pins.check(&[], &sources);
    assert_eq!(checked.diagnostics.len(), 3);
    assert_eq!(checked.diagnostics[0].message, "nothing uses the pin `RUST_VERSION`");
    for path in [
        "src/main.rs",
        "README.md",
        "docker/Dockerfile.monorepo.dockerignore",
        "docker/envoy/bootstrap.yaml",
        "cli/kernel/Cargo.toml",
        "k8s/rendered/staging/iam.yaml",
    ] {
        assert_eq!(Kind::of(path), None, "{path}");
    }
    assert_eq!(Kind::of("docker/feature-flags/Dockerfile"), Some(Kind::Dockerfile));
    assert_eq!(Kind::of("docker/docker-compose.kafka.yaml"), Some(Kind::Compose));
}
