//! An Engine behind a real `sshd` on loopback, by the machine's own `ssh`.
//!
//! The server runs in a mount namespace in which `/etc/passwd` has the user that it needs and `/run` is empty: nothing of
//! the machine is changed by it.

use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use kernel_testkit::left_out;

use crate::{Stack, all};

/// Anything that is waited for may take so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// `$1` is the folder, `$2` the program, `$3` the Engine's socket.
const SERVER: &str = r#"
set -e
touch "$1/engine.sock"
mount --bind "$3" "$1/engine.sock"
mount --bind "$1/passwd" /etc/passwd
mount -t tmpfs none /run
mkdir -m 755 /run/sshd
exec "$2" -D -e -f "$1/sshd_config"
"#;

/// Marks what `kernel` starts.
const MARK: &str = "KERNEL_TEST_SSH";

struct Server {
    folder: tempfile::TempDir,
    child: Child,
    port: u16,
}

impl Server {
    /// `Err`: why there can't be one here.
    fn start() -> Result<Self, &'static str> {
        let Some(program) = std::env::var_os("TEST_SSHD_BIN").map(PathBuf::from) else {
            return Err("TEST_SSHD_BIN is not set; `cargo xtask testbed env` has it");
        };
        let Some(engine) = std::env::var("DOCKER_HOST").ok().filter(|host| host.starts_with("unix://"))
        else {
            return Err("DOCKER_HOST names no Engine's socket");
        };
        if !rustix::process::geteuid().is_root() {
            return Err("only root can start a server");
        }
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["host", "key", "stranger"] {
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(path(name))
                .status();
            assert!(made.unwrap().success());
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let shown = folder.path().display();
        // A home without anybody's settings for a shell, and the user that the server needs.
        let users = format!("root:x:0:0::{shown}:/bin/sh\nsshd:x:64999:65534::/run/sshd:/usr/sbin/nologin\n");
        std::fs::write(path("passwd"), users).unwrap();
        std::fs::write(
            path("sshd_config"),
            format!(
                "ListenAddress 127.0.0.1\nPort {port}\nHostKey {shown}/host\nAuthorizedKeysFile {shown}/key.pub\n\
                 PermitRootLogin prohibit-password\nPasswordAuthentication no\nUsePAM no\nStrictModes no\nPidFile none\n"
            ),
        )
        .unwrap();
        // ssh looks for its settings in the home of the user, whatever the environment says.
        for (name, key) in [("bin", "key"), ("stranger-bin", "stranger")] {
            std::fs::write(
                path(&format!("{key}_config")),
                format!(
                    "Host *\n  IdentityFile {shown}/{key}\n  IdentitiesOnly yes\n  UserKnownHostsFile {shown}/known\n  \
                     StrictHostKeyChecking accept-new\n"
                ),
            )
            .unwrap();
            std::fs::create_dir(path(name)).unwrap();
            let wrapper = path(name).join("ssh");
            let text = format!("#!/bin/sh\nPATH=${{PATH#*:}} exec ssh -F '{shown}/{key}_config' \"$@\"\n");
            std::fs::write(&wrapper, text).unwrap();
            std::fs::set_permissions(&wrapper, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let root = program.ancestors().nth(3).expect("ROOT/usr/sbin/sshd");
        let mut child = Command::new("unshare")
            .args([
                "--mount",
                "--pid",
                "--fork",
                "--kill-child=KILL",
                "--mount-proc",
                "--",
                "sh",
                "-c",
                SERVER,
                "sh",
            ])
            .arg(folder.path())
            .arg(&program)
            .arg(engine.trim_start_matches("unix://"))
            .env("LD_LIBRARY_PATH", libraries(root))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(path("log")).unwrap())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let log = || std::fs::read_to_string(folder.path().join("log")).unwrap();
            assert!(
                child.try_wait().unwrap().is_none() && begun.elapsed() < PATIENCE,
                "no server: {}",
                log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(Self { folder, child, port })
    }

    /// The address of the Engine, for `kernel`.
    fn address(&self) -> String {
        format!("ssh://root@127.0.0.1:{}{}/engine.sock", self.port, self.folder.path().display())
    }

    /// A run of `kernel` that gets there by the `ssh` of this folder.
    fn command(&self, stack: &Stack, programs: &str, address: &str, arguments: &[&str]) -> Command {
        let mut command = stack.command(arguments);
        let path = std::env::var("PATH").unwrap();
        command
            .env("PATH", format!("{}:{path}", self.folder.path().join(programs).display()))
            .env("DOCKER_HOST", address)
            .env("TMPDIR", stack.folder.path().join("temporary"))
            .env(MARK, self.port.to_string());
        command
    }

    /// The processes of ssh that `kernel` has started.
    fn clients(&self) -> Vec<i32> {
        let mark = format!("{MARK}={}", self.port);
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let is_ours = |id: &i32| {
            let read = |name: &str| std::fs::read(format!("/proc/{id}/{name}")).unwrap_or_default();
            read("comm") == b"ssh\n"
                && read("environ").split(|byte| *byte == 0).any(|entry| entry == mark.as_bytes())
        };
        ids.filter(is_ours).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn libraries(root: &Path) -> String {
    let folders = std::fs::read_dir(root.join("usr/lib")).into_iter().flatten().flatten();
    folders.map(|entry| entry.path().display().to_string()).collect::<Vec<_>>().join(":")
}

fn told(output: &Output) -> String {
    format!("{}\n{}", output.status, String::from_utf8_lossy(&output.stderr))
}

#[test]
fn an_engine_behind_ssh_is_used_like_any_other() {
    let test = "an_engine_behind_ssh_is_used_like_any_other";
    let server = match Server::start() {
        Ok(server) => server,
        Err(why) => return left_out(test, why),
    };
    let Some(stack) = Stack::new(test, "ssh") else { return };
    std::fs::create_dir(stack.folder.path().join("temporary")).unwrap();
    let run = |arguments: &[&str]| {
        let output = server.command(&stack, "bin", &server.address(), arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", told(&output));
        output
    };
    run(&["up", "--engine", "docker"]);
    assert_eq!(stack.states(), all("ready"));
    assert!(told(&run(&["up", "--engine", "docker"])).contains("nothing to do"));
    assert!(String::from_utf8_lossy(&run(&["logs", "db"]).stdout).contains("db is up"));

    // The way is cut while a service is waited for: it is opened again.
    let slow = crate::COMPOSE
        .replace("\"true\"", "test, -e, /tmp/ready")
        .replace("    volumes: [data:/data]", "    volumes: [data:/data]\n    environment: { NEW: \"1\" }");
    std::fs::write(stack.folder.path().join("compose.yaml"), slow).unwrap();
    let mut command = server.command(&stack, "bin", &server.address(), &["up", "--engine", "docker"]);
    let up = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let exec = ["exec", "-T", "db", "sh", "-c", "test -n \"$NEW\""];
    let begun = Instant::now();
    while server.clients().is_empty() || !stack.run(&exec).status.success() {
        assert!(begun.elapsed() < PATIENCE, "the new container does not run");
        std::thread::sleep(Duration::from_millis(50));
    }
    for client in server.clients() {
        let id = rustix::process::Pid::from_raw(client).unwrap();
        let _gone_already = rustix::process::kill_process(id, rustix::process::Signal::KILL);
    }
    stack.kernel(&["exec", "-T", "db", "touch", "/tmp/ready"]);
    let output = up.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", told(&output));
    assert!(told(&output).contains("it answers again"), "{}", told(&output));

    run(&["down", "--volumes"]);
    assert_eq!(stack.states(), []);
    assert_eq!(server.clients(), [] as [i32; 0], "every ssh ends with the command that started it");
    let left = std::fs::read_dir(stack.folder.path().join("temporary")).unwrap().count();
    assert_eq!(left, 0, "no socket is left");

    // Who is not let in, what is not there, and what is no Engine.
    let nowhere = server.address().replace("/engine.sock", "/nothing");
    for (programs, address, expected) in [
        ("stranger-bin", server.address(), "Permission denied"),
        ("bin", format!("ssh://root@127.0.0.1:1{}", "/x"), "Connection refused"),
        ("bin", nowhere, "start Docker there"),
    ] {
        let output =
            server.command(&stack, programs, &address, &["ps", "--engine", "docker"]).output().unwrap();
        let told = told(&output);
        assert!(
            !output.status.success() && told.contains("K-DOCKER-001") && told.contains(expected),
            "{told}"
        );
    }
}
