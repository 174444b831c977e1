//! What goes over the wire between the binary and an API server: plain HTTP to `kubectl proxy`, which does the rest.
//! Every request is written down before it goes on, and a test may decide what becomes of it.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It goes on to the API server.
    Passes,
    /// Nobody answers: the connection is closed.
    Dropped,
}

type Decide = dyn Fn(usize, &str) -> Fate + Send + Sync;

/// `kubectl proxy`, ended with the test.
pub struct Proxy {
    child: Child,
    address: SocketAddr,
}

impl Proxy {
    /// Begins to forward to the cluster of `kubeconfig`.
    pub fn start(programs: &Path, kubeconfig: &Path) -> Self {
        let mut child = Command::new(programs.join("kubectl"))
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .args(["proxy", "--port=0"])
            .stdout(Stdio::piped())
            // It tells of every client that hangs up, which here is what is tested.
            .stderr(Stdio::null())
            .spawn()
            .expect("kubectl starts");
        let mut line = String::new();
        let output = child.stdout.take().expect("its output is piped");
        BufReader::new(output).read_line(&mut line).expect("it says where it listens");
        let address = line.rsplit(' ').next().and_then(|word| word.trim().parse().ok());
        Self { child, address: address.unwrap_or_else(|| panic!("no address in `{line}`")) }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A listener before a proxy.
pub struct Wire {
    /// A kubeconfig that leads here.
    pub kubeconfig: PathBuf,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Wire {
    /// Listens, and asks `decide` about each request: its number from 0, and its first line. The kubeconfig is written into
    /// `folder`.
    pub fn before(
        proxy: &Proxy,
        folder: &Path,
        decide: impl Fn(usize, &str) -> Fate + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let kubeconfig = folder.join(format!("wire-{port}.kubeconfig"));
        let text = serde_json::json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "wire",
            "clusters": [{"name": "wire", "cluster": {"server": format!("http://127.0.0.1:{port}")}}],
            "users": [{"name": "wire", "user": {}}],
            "contexts": [{"name": "wire", "context": {"cluster": "wire", "user": "wire"}}],
        });
        std::fs::write(&kubeconfig, text.to_string()).expect("the kubeconfig is written");
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, to, decide) = (Arc::clone(&requests), proxy.address, Arc::new(decide));
        // Ends with the process of the test.
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (seen, decide) = (Arc::clone(&seen), Arc::clone(&decide));
                std::thread::spawn(move || drop(forward(&client, to, &seen, &*decide)));
            }
        });
        Self { kubeconfig, requests }
    }

    /// The first lines of all requests so far.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("no test thread panics here").clone()
    }

    /// Those of them that change something: neither a reading nor a dry run.
    pub fn writes(&self) -> Vec<String> {
        let writes = |line: &String| !line.starts_with("GET ") && !line.contains("dryRun=All");
        self.requests().into_iter().filter(writes).collect()
    }
}

/// One connection, request by request.
fn forward(
    client: &TcpStream,
    to: SocketAddr,
    seen: &Mutex<Vec<String>>,
    decide: &Decide,
) -> std::io::Result<()> {
    let server = TcpStream::connect(to)?;
    let (mut back_from, mut back_to) = (server.try_clone()?, client.try_clone()?);
    let back = std::thread::spawn(move || {
        drop(std::io::copy(&mut back_from, &mut back_to));
        drop(back_to.shutdown(Shutdown::Both));
    });
    let mut requests = BufReader::new(client);
    let ended = loop {
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let begin = head.len();
            if requests.read_line(&mut head)? == 0 || head[begin..].trim().is_empty() {
                break;
            }
            if let Some((name, value)) = head[begin..].split_once(':') {
                match name.to_ascii_lowercase().as_str() {
                    "content-length" => length = value.trim().parse().expect("a length is a number"),
                    "transfer-encoding" => panic!("the client sends in pieces, which this does not know"),
                    _ => {}
                }
            }
        }
        let Some(line) = head.lines().next().map(str::to_owned) else { break Ok(()) };
        let number = {
            let mut seen = seen.lock().expect("no test thread panics here");
            seen.push(line.clone());
            seen.len() - 1
        };
        if decide(number, &line) == Fate::Dropped {
            break Ok(());
        }
        (&server).write_all(head.as_bytes())?;
        std::io::copy(&mut requests.by_ref().take(length), &mut &server)?;
    };
    drop(client.shutdown(Shutdown::Both));
    drop(server.shutdown(Shutdown::Both));
    drop(back.join());
    ended
}
