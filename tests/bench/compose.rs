//! What loading Compose files costs: `cargo bench --package kernel-compose --bench compose`.
//!
//! The loader alone, in this process; then a process that reads, loads and prints, beside docker compose doing the same
//! where `TEST_DOCKER_COMPOSE_BIN` names it; then files that are made to do harm, each in a process of its own whose
//! peak of memory is read from the system. The first column is processor time, which other work on the machine does not
//! change much; the others are what a person waits for.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, missing_docs)]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use kernel_compose::{FileText, Files, LoadRequest, Loaded, generated_variables, load, render};
use kernel_core::source::Sources;

/// The process that loads one file and says what it cost.
const CHILD: &str = "--load-one-file";

struct Disk;

impl Files for Disk {
    fn read(&self, path: &str) -> FileText {
        std::fs::read_to_string(path).map_or(FileText::Missing, FileText::Text)
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == CHILD) {
        return child(Path::new(&arguments[1]), arguments.get(2).map(Path::new));
    }
    // `cargo test --benches` runs this too, and wants to know only that it starts.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    let folder = std::env::temp_dir().join(format!("kernel-bench-compose-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let stack = root.join("docker/docker-compose.yml");
    let pins = root.join("versions.env");
    let many = folder.join("many.yaml");
    std::fs::write(&many, generated(1_000)).unwrap();

    println!("| file | load, merge and print (processor) | as a process | docker compose |");
    println!("|---|---|---|---|");
    for (name, file, env_file) in [("the full stack", &stack, Some(&pins)), ("1,000 services", &many, None)] {
        let within = median(30, processor_time, || {
            let (loaded, _) = load_file(file, env_file.map(PathBuf::as_path));
            let project = loaded.project.expect("the file is right");
            std::hint::black_box(render::json(&project).to_string());
        });
        let process = median(20, wall_time, || run_child(file, env_file.map(PathBuf::as_path)));
        let reference = std::env::var("TEST_DOCKER_COMPOSE_BIN").ok().map(|program| {
            median(20, wall_time, || {
                let mut command = Command::new(&program);
                command.arg("-f").arg(file).env("INTERNAL_TOKEN", "x").env("POSTGRES_PASSWORD", "x");
                command.args(env_file.map(|path| format!("--env-file={}", path.display())));
                command.args(["config", "--format", "json"]);
                let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
                assert!(status.success() || env_file.is_some());
            })
        });
        let reference = reference.map_or_else(|| "not run".to_owned(), shown);
        println!("| {name} | {} | {} | {reference} |", shown(within), shown(process));
    }

    println!("\n| 10 MB of | refused after (processor) | peak memory |");
    println!("|---|---|---|");
    for (name, text) in hostile() {
        let file = folder.join("hostile.yaml");
        std::fs::write(&file, text).unwrap();
        let (time, memory) = run_hostile_child(&file);
        println!("| {name} | {} | {memory} MB |", shown(time));
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

fn load_file(file: &Path, env_file: Option<&Path>) -> (Loaded, Sources) {
    let mut sources = Sources::default();
    let mut add = |path: &Path| {
        let text = std::fs::read_to_string(path).unwrap();
        sources.add(path.display().to_string(), text)
    };
    let files = [add(file)];
    let env_files: Vec<_> = env_file.map(&mut add).into_iter().collect();
    let names = generated_variables(&files, &sources);
    let generated = names.into_iter().map(|name| (name, "made".to_owned())).collect();
    let request = LoadRequest {
        files: &files,
        env_files: &env_files,
        environment: &BTreeMap::new(),
        generated: &generated,
        profiles: &[],
        project_name: None,
        project_directory: file.parent().and_then(Path::to_str).unwrap(),
        reader: &Disk,
    };
    (load(&request, &mut sources), sources)
}

fn child(file: &Path, env_file: Option<&Path>) {
    let (loaded, _) = load_file(file, env_file);
    match loaded.project {
        Some(project) => println!("{}", render::json(&project)),
        None => {
            let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
            let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0 kB");
            let kilobytes: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap_or(0);
            println!("{} {}", processor_time().as_micros(), kilobytes / 1024);
        }
    }
}

fn run_child(file: &Path, env_file: Option<&Path>) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg(CHILD).arg(file).args(env_file).stdout(Stdio::null());
    assert!(command.status().unwrap().success());
}

/// Processor time, and the peak of memory in megabytes.
fn run_hostile_child(file: &Path) -> (Duration, String) {
    let output = Command::new(std::env::current_exe().unwrap()).arg(CHILD).arg(file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    match text.trim().split_once(' ').and_then(|(time, memory)| Some((time.parse().ok()?, memory))) {
        Some((time, memory)) => (Duration::from_micros(time), memory.to_owned()),
        // Extensions are no mistake, so the project was printed.
        None => (Duration::ZERO, "accepted".to_owned()),
    }
}

/// Time that this thread was on a processor; the loader has no other thread.
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(text.split_whitespace().next().and_then(|first| first.parse().ok()).unwrap_or(0))
}

fn wall_time() -> Duration {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

fn median(times: usize, clock: fn() -> Duration, mut work: impl FnMut()) -> Duration {
    work();
    let mut taken: Vec<Duration> = (0..times)
        .map(|_| {
            let started = clock();
            work();
            clock() - started
        })
        .collect();
    taken.sort();
    taken[times / 2]
}

fn shown(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1_000.0)
}

/// A project of so many services that say what services usually say.
fn generated(services: usize) -> String {
    let mut text = "name: generated\nx-common: &common { restart: unless-stopped, logging: { driver: json-file, options: { max-size: 10m } } }\nservices:\n".to_owned();
    for index in 0..services {
        let before = index.saturating_sub(1);
        let _infallible = write!(
            text,
            "  service-{index}:
    <<: *common
    image: registry.example/service-{index}:${{VERSION:-1.{index}}}
    command: [serve, --port, \"8080\"]
    environment:
      NAME: service-{index}
      LEVEL: ${{LEVEL:-info}}
      NEXT: http://service-{before}:8080
      WORKERS: 4
      DEBUG: false
    ports: [\"{}:8080\"]
    volumes: [\"data-{index}:/data\", \"./config/{index}.yaml:/etc/service.yaml:ro\"]
    networks: [backend]
    labels: {{ team: t{}, tier: backend }}
    healthcheck: {{ test: [CMD, wget, -q, http://localhost:8080/health], interval: 10s, timeout: 3s, retries: 5 }}
    deploy: {{ resources: {{ limits: {{ cpus: '0.50', memory: 256M }} }} }}
",
            10_000 + index,
            index % 10,
        );
        if index % 10 != 0 {
            let _infallible =
                writeln!(text, "    depends_on: {{ service-{before}: {{ condition: service_healthy }} }}");
        }
    }
    text.push_str("networks: { backend: { driver: bridge } }\nvolumes:\n");
    for index in 0..services {
        let _infallible = writeln!(text, "  data-{index}: {{}}");
    }
    text
}

/// 10 MB each of what could make a loader slow or large.
fn hostile() -> Vec<(&'static str, String)> {
    const SIZE: usize = 10 << 20;
    let repeated = |start: &str, piece: &str| {
        let mut text = start.to_owned();
        text.push_str(&piece.repeat((SIZE - start.len()) / piece.len()));
        text
    };
    let keys = |indent: &str, value: &str| {
        let mut text = String::with_capacity(SIZE + 64);
        let mut key = 0;
        while text.len() < SIZE {
            let _infallible = writeln!(text, "{indent}k{key}: {value}");
            key += 1;
        }
        text
    };
    let bomb: String = (1..10)
        .map(|level| format!("x-{level}: &a{level} [{}]\n", vec![format!("*a{}", level - 1); 10].join(", ")))
        .collect();
    vec![
        ("unknown attributes", keys("", "1")),
        ("services that are no mappings", format!("services:\n{}", keys("  ", "1"))),
        ("services without an image", format!("services:\n{}", keys("  ", "{ restart: always }"))),
        ("one key again and again", repeated("", "image: a\n")),
        ("items", repeated("x-a:\n", "- a\n")),
        ("open brackets", repeated("x-a: ", "[")),
        ("anchors and aliases of each other", repeated(&format!("x-0: &a0 [a, a]\n{bomb}x-b:\n"), "- *a9\n")),
        (
            "aliases of one large text",
            repeated(&format!("x-a: &a {}\nx-b:\n", "a".repeat(SIZE / 2)), "- *a\n"),
        ),
        (
            "anchors around each other",
            repeated(
                &(0..100).map(|level| format!("- &a{level}\n{}", " ".repeat(level + 1))).collect::<String>(),
                "- a\n",
            ),
        ),
        ("variables that are not set", repeated("services:\n  a:\n    image: ", "$A")),
        ("defaults of defaults", format!("name: {}", repeated("", "${A:-"))),
        ("no YAML at all", repeated("", "\u{7f}}{][\"'%@\n")),
        ("one text without end", repeated("x-a: \"", "\\\\")),
        ("extensions, which are right", keys("x-", "1")),
    ]
}
