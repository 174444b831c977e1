//! Podman's socket, which speaks Docker's API: a real Podman of Debian's packages, in namespaces of its own that end with
//! the test. It has no systemd, so nobody runs health checks there but `kernel`.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use bollard::Docker;

use crate::private_engine::copy_base;
use kernel_testkit::left_out;

/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// `$1` is the folder, `$2` the root of the packages. Its settings are looked for below `/etc`: a copy, whose changes are in
/// the folder. It ends when the standard input does.
const SERVICE: &str = r#"
set -e
ip link set lo up
# crun wants the one or the other version of control groups.
umount /sys/fs/cgroup/unified 2>/dev/null || true
mount -t tmpfs none /run
mkdir "$1/upper" "$1/work"
mount -t overlay overlay -o "lowerdir=/etc,upperdir=$1/upper,workdir=$1/work" /etc
mkdir -p /etc/containers /etc/ld.so.conf.d
cp "$2/etc/containers/policy.json" /etc/containers/
echo "$2/usr/lib/$(uname -m)-linux-gnu" >/etc/ld.so.conf.d/podman.conf
ldconfig
"$2/usr/bin/podman" --root "$1/root" --runroot "$1/run" --tmpdir "$1/tmp" --storage-driver overlay \
  system service --time 0 "unix://$1/podman.sock" &
cat
"#;

const COMPOSE: &str = r#"
services:
  db:
    image: IMAGE
    command: [sh, -c, "trap 'exit 0' TERM; echo db is up; while :; do sleep 0.1; done"]
    healthcheck: { test: [CMD, "true"], interval: 10s }
    volumes: [data:/data, /anonymous]
  job: { image: IMAGE, command: [sh, -c, echo the job is done] }
  web:
    image: IMAGE
    command: [sh, -c, "trap 'exit 0' TERM; while :; do sleep 0.1; done"]
    depends_on: { db: { condition: service_healthy }, job: { condition: service_completed_successfully } }
    configs: [{ source: text, target: /text }]
    networks: [default, other]
configs: { text: { content: hello } }
networks: { other: }
volumes: { data: }
"#;

struct Podman {
    folder: tempfile::TempDir,
    child: Child,
    image: String,
}

impl Podman {
    /// `Err`: why there can't be one here.
    async fn start() -> Result<Self, &'static str> {
        let Some(root) = std::env::var_os("TEST_PODMAN_ROOT").map(PathBuf::from) else {
            return Err("TEST_PODMAN_ROOT is not set; `cargo xtask testbed env` has it on Debian bookworm");
        };
        let Some(others) = std::env::var("DOCKER_HOST").ok().filter(|host| host.starts_with("unix://"))
        else {
            return Err("DOCKER_HOST names no Engine whose image could be taken");
        };
        if !rustix::process::geteuid().is_root() {
            return Err("only root can start it here");
        }
        let folder = tempfile::tempdir().unwrap();
        let (here, there) = (folder.path().display(), root.display());
        std::fs::write(
            folder.path().join("containers.conf"),
            format!(
                "[containers]\nseccomp_profile = \"{there}/usr/share/containers/seccomp.json\"\n\
                 apparmor_profile = \"unconfined\"\ninit_path = \"{there}/usr/bin/catatonit\"\n\
                 [engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\nruntime = \"crun\"\n\
                 conmon_path = [\"{there}/usr/bin/conmon\"]\nhelper_binaries_dir = [\"{there}/usr/lib/podman\"]\n\
                 [engine.runtimes]\ncrun = [\"{there}/usr/bin/crun\"]\n\
                 [network]\nnetwork_backend = \"netavark\"\nnetwork_config_dir = \"{here}/networks\"\n"
            ),
        )
        .unwrap();
        let child = Command::new("unshare")
            .args(["--mount", "--net", "--pid", "--fork", "--kill-child=KILL", "--mount-proc", "--"])
            .arg(root.join("usr/bin/catatonit"))
            .args(["--", "sh", "-c", SERVICE, "sh"])
            .args([folder.path(), &root])
            .env("CONTAINERS_CONF", folder.path().join("containers.conf"))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let mut podman = Self { folder, child, image: String::new() };
        let begun = Instant::now();
        while !podman.folder.path().join("podman.sock").exists() || podman.client().version().await.is_err() {
            let log = std::fs::read_to_string(podman.folder.path().join("log")).unwrap();
            assert!(begun.elapsed() < PATIENCE, "it does not answer: {log}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let others = Docker::connect_with_unix(&others, 120, bollard::API_DEFAULT_VERSION).unwrap();
        podman.image = copy_base(&others, &podman.client()).await;
        Ok(podman)
    }

    fn host(&self) -> String {
        format!("unix://{}/podman.sock", self.folder.path().display())
    }

    fn client(&self) -> Docker {
        Docker::connect_with_unix(&self.host(), 120, bollard::API_DEFAULT_VERSION).unwrap()
    }

    fn run(&self, project: &tempfile::TempDir, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kernel"));
        command
            .current_dir(project.path())
            .env("HOME", project.path())
            .env_remove("XDG_STATE_HOME")
            .env("DOCKER_HOST", self.host())
            .args(["--progress", "plain", "--project-name", "podman", "--engine", "docker"])
            .args(arguments);
        let output = command.output().unwrap();
        assert!(
            output.status.success(),
            "{arguments:?}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        output
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        drop(self.child.wait());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn podman_is_an_engine_too() {
    let podman = match Podman::start().await {
        Ok(podman) => podman,
        Err(why) => return left_out("podman_is_an_engine_too", why),
    };
    let project = tempfile::tempdir().unwrap();
    // Podman looks for the registry of a name that names none.
    let image = format!("docker.io/{}", podman.image);
    std::fs::write(project.path().join("compose.yaml"), COMPOSE.replace("IMAGE", &image)).unwrap();
    let said = |arguments: &[&str]| {
        let output = podman.run(&project, arguments);
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat()
    };
    said(&["up"]);
    let states = said(&["ps", "-o", "json"]);
    assert_eq!(states.matches("\"state\": \"ready\"").count(), 2, "{states}");
    assert!(said(&["up"]).contains("nothing to do"));
    assert!(said(&["logs", "job"]).contains("the job is done"));
    assert_eq!(said(&["exec", "-T", "web", "cat", "/text"]), "hello");
    said(&["pause", "db"]);
    said(&["unpause", "db"]);
    // Only what changed is replaced.
    let changed = COMPOSE
        .replace("hello", "hello again")
        .replace("configs: [", "environment: { A: b }\n    configs: [");
    std::fs::write(project.path().join("compose.yaml"), changed.replace("IMAGE", &image)).unwrap();
    let plan = said(&["up", "--dry-run"]);
    assert!(plan.contains("service web: create container") && !plan.contains("service db: create"), "{plan}");
    said(&["up"]);
    assert_eq!(said(&["exec", "-T", "web", "cat", "/text"]), "hello again");
    said(&["down", "--volumes"]);
    let docker = podman.client();
    let all = bollard::query_parameters::ListContainersOptionsBuilder::new().all(true).build();
    assert_eq!(docker.list_containers(Some(all)).await.unwrap(), []);
    let volumes = docker.list_volumes(None::<bollard::query_parameters::ListVolumesOptions>).await.unwrap();
    assert_eq!(volumes.volumes.unwrap_or_default(), []);
}
