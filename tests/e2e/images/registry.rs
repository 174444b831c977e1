//! A registry on loopback for a test: the program of Debian's package `docker-registry`, ended with the test.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use kernel_testkit::left_out;

/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// `me:secret`, as `htpasswd -B` writes it.
const PASSWORDS: &str = "me:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n";

/// A registry.
pub struct Registry {
    child: Child,
    folder: tempfile::TempDir,
    /// `127.0.0.1:PORT`.
    pub address: String,
}

impl Registry {
    /// Starts one that lets in everybody, or only `me` with the password `secret`. `None`, and told, where there is no
    /// such program: neither in `TEST_DOCKER_REGISTRY_BIN` nor as `docker-registry` in the search path.
    pub async fn start(test: &str, guarded: bool) -> Option<Self> {
        let Some(program) = program() else {
            left_out(test, "no `docker-registry` (Debian's package, or TEST_DOCKER_REGISTRY_BIN)");
            return None;
        };
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().expect("a folder");
        let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address = address.expect("a free port").to_string();
        let passwords = folder.path().join("passwords");
        std::fs::write(&passwords, PASSWORDS).expect("a file");
        let auth = if guarded {
            format!("auth: {{ htpasswd: {{ realm: tests, path: {} }} }}\n", passwords.display())
        } else {
            String::new()
        };
        let settings = format!(
            "version: 0.1\nlog: {{ level: error }}\nstorage: {{ filesystem: {{ rootdirectory: {}/data }} }}\n\
             http: {{ addr: {address} }}\n{auth}",
            folder.path().display()
        );
        let path = folder.path().join("settings.yml");
        std::fs::write(&path, settings).expect("a file");
        let child = Command::new(program)
            .arg("serve")
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the registry starts");
        let registry = Self { child, folder, address };
        let begun = Instant::now();
        while reqwest::get(format!("http://{}/v2/", registry.address)).await.is_err() {
            assert!(begun.elapsed() < PATIENCE, "the registry does not answer");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Some(registry)
    }

    /// A resource of it as `me`: status, content.
    pub async fn get(&self, path: &str) -> (u16, Vec<u8>) {
        let answer = reqwest::Client::new()
            .get(format!("http://{}/v2/{path}", self.address))
            .basic_auth("me", Some("secret"))
            .header("Accept", "application/vnd.oci.image.manifest.v1+json")
            .send()
            .await
            .expect("it answers");
        (answer.status().as_u16(), answer.bytes().await.expect("a body").to_vec())
    }

    /// A configuration of Docker with the password, as `docker login` writes it.
    pub fn login(&self) -> PathBuf {
        // "me:secret"
        let text = format!(r#"{{"auths":{{"{}":{{"auth":"bWU6c2VjcmV0"}}}}}}"#, self.address);
        let folder = self.folder.path().join("login");
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("config.json"), text).expect("a file");
        folder
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program() -> Option<PathBuf> {
    let said = std::env::var_os("TEST_DOCKER_REGISTRY_BIN").map(PathBuf::from);
    let search = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::env::split_paths(&search).map(|folder| folder.join("docker-registry"));
    said.or_else(|| places.find(|place| place.is_file()))
}
