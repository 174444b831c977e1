//! The images that the testbed itself puts into the cluster: one program in two versions, and the pod sandbox.
//!
//! Written as archives that containerd imports, without a builder. `tests/testbed/kubernetes/workload` is the program.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::failure::{Failure, because};

/// The image of the pod sandbox. The top-level domain is one that never resolves: no registry can be meant.
pub const SANDBOX: &str = "testbed.invalid/pause:1";

/// The versions of the workload that are in the cluster.
pub const VERSIONS: [&str; 2] = ["1", "2"];

/// Nobody in particular, and not root.
const USER: &str = "10001:10001";

/// The image of the workload in one of [`VERSIONS`]. It serves on port 8080 what its environment and its callers tell
/// it: readiness, liveness and crashes; it runs as an ordinary user; see `tests/testbed/kubernetes/workload/main.go`.
#[must_use]
pub fn image(version: &str) -> String {
    format!("testbed.invalid/workload:{version}")
}

/// Writes the archives of all images into `folder`.
pub(super) fn write_archives(program: &Path, folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let layer = layer(program).map_err(because(format!("packing `{}`", program.display())))?;
    let workloads = VERSIONS.map(|version| (image(version), "serve", version));
    let all = workloads.into_iter().chain([(SANDBOX.to_owned(), "pause", "1")]);
    all.map(|(name, command, version)| {
        let path = folder.join(format!("{command}-{version}.tar"));
        let archive = archive(&layer, &name, command, version);
        let written = archive.and_then(|bytes| std::fs::write(&path, bytes));
        written.map_err(because(format!("writing `{}`", path.display()))).map(|()| path)
    })
    .collect()
}

fn layer(program: &Path) -> std::io::Result<Vec<u8>> {
    let mut layer = tar::Builder::new(Vec::new());
    append(&mut layer, "workload", 0o755, &std::fs::read(program)?)?;
    layer.into_inner()
}

/// The form that `docker save` writes: a list of images, their configuration, their layers.
fn archive(layer: &[u8], name: &str, command: &str, version: &str) -> std::io::Result<Vec<u8>> {
    let configuration = json!({
        "architecture": architecture(),
        "os": "linux",
        "config": {
            "Entrypoint": ["/workload"],
            "Cmd": [command],
            "Env": [format!("VERSION={version}")],
            "User": USER,
            "ExposedPorts": {"8080/tcp": {}},
            "Labels": {"org.opencontainers.image.version": version},
        },
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", hex::encode(Sha256::digest(layer)))]},
    });
    let manifest = json!([{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]);
    let mut archive = tar::Builder::new(Vec::new());
    append(&mut archive, "manifest.json", 0o644, manifest.to_string().as_bytes())?;
    append(&mut archive, "config.json", 0o644, configuration.to_string().as_bytes())?;
    append(&mut archive, "layer.tar", 0o644, layer)?;
    archive.into_inner()
}

fn append(
    archive: &mut tar::Builder<impl Write>,
    name: &str,
    mode: u32,
    content: &[u8],
) -> std::io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_size(content.len() as u64);
    header.set_mode(mode);
    header.set_mtime(0);
    archive.append_data(&mut header, name, content)
}

/// This machine's, as images call it: the program was built here.
const fn architecture() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read;

    use super::*;

    #[test]
    fn an_archive_names_its_image_and_the_digest_of_its_layer() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("program");
        std::fs::write(&program, "x").unwrap();
        let archives = write_archives(&program, folder.path()).unwrap();
        assert_eq!(archives.len(), 3);

        let mut archive = tar::Archive::new(std::fs::File::open(&archives[1]).unwrap());
        let files: BTreeMap<String, Vec<u8>> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let mut entry = entry.unwrap();
                let mut content = Vec::new();
                entry.read_to_end(&mut content).unwrap();
                (entry.path().unwrap().display().to_string(), content)
            })
            .collect();
        let json = |name: &str| serde_json::from_slice::<serde_json::Value>(&files[name]).unwrap();
        assert_eq!(json("manifest.json")[0]["RepoTags"][0], "testbed.invalid/workload:2");
        let digest = format!("sha256:{}", hex::encode(Sha256::digest(&files["layer.tar"])));
        assert_eq!(json("config.json")["rootfs"]["diff_ids"][0], digest);
        assert_eq!(json("config.json")["config"]["User"], "10001:10001");
    }
}
