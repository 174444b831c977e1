//! A Docker Engine of one test's own, which it may end and start again: what others run is not touched by that.
//!
//! It lives in namespaces of its own, below a first process that ends when its standard input does. So nothing of it
//! outlives the test, however that ends: no process, no mount, no bridge, no rule of a packet filter.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::body_full;
use bollard::query_parameters::{
    ImportImageOptions, ListContainersOptionsBuilder, ListImagesOptionsBuilder, ListVolumesOptions,
};
use futures::StreamExt;

/// How long it may take to answer. A restart that follows a kill takes a second, one that follows an orderly end eight.
const PATIENCE: Duration = Duration::from_secs(60);

/// `$1` is the folder, `$2` the program, `$3` the parent of all cgroups. Each line that is read is a signal for the Engine;
/// when it has ended, it is started again.
const SUPERVISOR: &str = r#"
ip link set lo up
start() {
  "$2" --storage-driver overlay2 --exec-opt native.cgroupdriver=cgroupfs --cgroup-parent "$3" --bridge none \
    --default-address-pool base=10.213.0.0/16,size=24 --host "unix://$1/docker.sock" --config-file "$1/daemon.json" \
    --data-root "$1/data" --exec-root "$1/state" --pidfile "$1/docker.pid" >>"$1/log" 2>&1 &
  engine=$!
}
start "$@"
while read -r signal; do
  kill -"$signal" "$engine"
  wait "$engine"
  echo ended
  start "$@"
done
"#;

/// An Engine.
pub struct PrivateEngine {
    folder: tempfile::TempDir,
    cgroups: String,
    child: Child,
    /// Taken when it ends.
    orders: Option<ChildStdin>,
    said: BufReader<ChildStdout>,
    /// An image with a shell that it has.
    pub image: String,
}

impl PrivateEngine {
    /// Starts one that has the testbed's base image. `Err`: why there can't be one here.
    pub async fn start() -> Result<Self, &'static str> {
        let Some(program) = std::env::var_os("TEST_DOCKERD_BIN").map(PathBuf::from) else {
            return Err("TEST_DOCKERD_BIN is not set; `cargo xtask testbed env` has it");
        };
        let Some(others) = std::env::var("DOCKER_HOST").ok().filter(|host| host.starts_with("unix://"))
        else {
            return Err("DOCKER_HOST names no Engine whose image could be taken");
        };
        if !rustix::process::geteuid().is_root() {
            return Err("only root can start an Engine");
        }
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("daemon.json"), "{}\n").unwrap();
        let root = program.ancestors().nth(3).expect("ROOT/usr/sbin/dockerd");
        let own =
            [root.join("usr/sbin"), root.join("usr/bin")].map(|path| path.display().to_string()).join(":");
        let path = format!("{own}:{}", std::env::var("PATH").unwrap_or_default());
        let cgroups = format!("kernel-test-{}", std::process::id());
        let mut child = Command::new("unshare")
            .args(["--mount", "--net", "--pid", "--fork", "--kill-child=KILL", "--mount-proc", "--"])
            // Reaps what an Engine that is killed leaves behind; it would wait for it in vain.
            .arg(root.join("usr/bin/tini-static"))
            .args(["--", "sh", "-c", SUPERVISOR, "sh"])
            .arg(folder.path())
            .arg(&program)
            .arg(format!("/{cgroups}"))
            .env("PATH", path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(folder.path().join("supervisor.log")).unwrap())
            .spawn()
            .unwrap();
        let (orders, said) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        let mut engine = Self { folder, cgroups, child, orders, said, image: String::new() };
        engine.until_it_answers().await;
        engine.image = copy_base(&client(&others), &engine.client()).await;
        Ok(engine)
    }

    /// Where it listens, as `DOCKER_HOST` says it.
    pub fn host(&self) -> String {
        format!("unix://{}/docker.sock", self.folder.path().display())
    }

    /// A client of it.
    pub fn client(&self) -> Docker {
        client(&self.host())
    }

    /// Ends it by a signal and starts it again. Returns when it answers.
    pub async fn restart(&mut self, signal: &str) {
        let orders = self.orders.as_mut().unwrap();
        writeln!(orders, "{signal}").and_then(|()| orders.flush()).unwrap();
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        assert_eq!(line, "ended\n");
        self.until_it_answers().await;
    }

    async fn until_it_answers(&self) {
        let begun = Instant::now();
        let socket = self.folder.path().join("docker.sock");
        while !socket.exists() || self.client().version().await.is_err() {
            assert!(begun.elapsed() < PATIENCE, "it does not answer: {}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn log(&self) -> String {
        ["supervisor.log", "log"]
            .map(|name| std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default())
            .concat()
    }

    /// Everything that it has of anybody, in words.
    pub async fn everything(&self) -> Vec<String> {
        let docker = self.client();
        let options = ListContainersOptionsBuilder::new().all(true).build();
        let containers = docker.list_containers(Some(options)).await.unwrap();
        let names = containers.into_iter().filter_map(|it| it.names?.into_iter().next());
        let mut all: Vec<String> =
            names.map(|name| format!("container {}", name.trim_start_matches('/'))).collect();
        let networks = docker.list_networks(None).await.unwrap().into_iter().filter_map(|it| it.name);
        let own = ["none", "host", "bridge"];
        all.extend(networks.filter(|name| !own.contains(&&**name)).map(|name| format!("network {name}")));
        let volumes =
            docker.list_volumes(None::<ListVolumesOptions>).await.unwrap().volumes.unwrap_or_default();
        all.extend(volumes.into_iter().map(|it| format!("volume {}", it.name)));
        all.sort();
        all
    }
}

impl Drop for PrivateEngine {
    fn drop(&mut self) {
        drop(self.orders.take());
        drop(self.child.wait());
        // Groups of processes that were killed stay, empty.
        let hierarchies = std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
        for group in hierarchies.map(|entry| entry.path()).chain([PathBuf::from("/sys/fs/cgroup")]) {
            remove_groups(&group.join(&self.cgroups));
        }
    }
}

fn remove_groups(group: &Path) {
    let below = std::fs::read_dir(group).into_iter().flatten().flatten().map(|entry| entry.path());
    below.filter(|path| path.is_dir()).for_each(|path| remove_groups(&path));
    drop(std::fs::remove_dir(group));
}

fn client(host: &str) -> Docker {
    Docker::connect_with_unix(host, 120, bollard::API_DEFAULT_VERSION).unwrap()
}

/// Carries the testbed's base image from one Engine to another. Gives its name.
pub async fn copy_base(from: &Docker, to: &Docker) -> String {
    let filters = std::collections::HashMap::from([("reference", vec!["kernel-testbed/base"])]);
    let options = ListImagesOptionsBuilder::new().filters(&filters).build();
    let images = from.list_images(Some(options)).await.unwrap();
    let name =
        images.iter().flat_map(|image| &image.repo_tags).next().expect("an image of the testbed").clone();
    let mut archive = Vec::new();
    let mut pieces = from.export_image(&name).boxed();
    while let Some(piece) = pieces.next().await {
        archive.extend_from_slice(&piece.unwrap());
    }
    let mut answers = to.import_image(ImportImageOptions::default(), body_full(archive.into()), None).boxed();
    while let Some(answer) = answers.next().await {
        let answer = answer.unwrap();
        assert!(answer.error_detail.is_none(), "{answer:?}");
    }
    name
}
