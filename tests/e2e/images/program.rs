//! The service of the image tests: asks for its health as ours do, and says what it sees of its container.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("healthcheck") => std::process::exit(i32::from(!healthy())),
        Some("look") => look(&arguments[1..]),
        _ => serve(),
    }
}

fn serve() {
    let listener = TcpListener::bind("0.0.0.0:8080").expect("the port is free");
    for stream in listener.incoming() {
        let Ok(mut stream) = stream else { continue };
        let mut request = [0; 1024];
        let _ = stream.read(&mut request);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
}

fn healthy() -> bool {
    let Ok(mut stream) = TcpStream::connect("127.0.0.1:8080") else { return false };
    let mut answer = String::new();
    stream.write_all(b"GET /health/ready HTTP/1.1\r\nHost: x\r\n\r\n").is_ok()
        && stream.read_to_string(&mut answer).is_ok()
        && answer.starts_with("HTTP/1.1 200")
}

fn look(names: &[String]) {
    let status = std::fs::read_to_string("/proc/self/status").expect("what the process is");
    for line in status.lines().filter(|line| ["Uid:", "Gid:", "CapEff:"].iter().any(|name| line.starts_with(name))) {
        println!("{}", line.split_whitespace().take(2).collect::<Vec<_>>().join(" "));
    }
    for place in ["/probe", "/tmp/probe", "/var/lib/platform/probe"] {
        println!("write {place}: {}", File::create(place).is_ok());
    }
    let authorities = std::fs::read_to_string("/etc/ssl/certs/ca-certificates.crt").unwrap_or_default();
    println!("authorities: {}", authorities.matches("BEGIN CERTIFICATE").count());
    for name in names {
        let found = (name.as_str(), 80).to_socket_addrs().is_ok_and(|mut addresses| addresses.next().is_some());
        println!("resolve {name}: {found}");
    }
}
