//! Images as a whole: equal input, equal bytes; every digest computed again by somebody else; contents read back.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use kernel_image::{
    Compressed, Description, Digest, Image, Index, Layer, Manifest, Reference, compress, media_type,
    program_layer, shared_layer, write_archive,
};
use oci_spec::image::{Arch, ImageConfiguration, ImageIndex, ImageManifest, MediaType, Os};

const PROGRAM: &[u8] = b"\x7fELF: not really";

fn description(title: &str) -> Description {
    Description {
        title: title.to_owned(),
        version: Some("0.1.0".to_owned()),
        created: "2026-01-02T03:04:05Z".to_owned(),
        licenses: Some("Apache-2.0".to_owned()),
        revision: Some("0123456789abcdef0123456789abcdef01234567".to_owned()),
        source: Some("https://example.org/platform".to_owned()),
    }
}

fn image(title: &str, program: &[u8]) -> Image {
    let program = program_layer(Arc::new(program.to_vec())).unwrap();
    Image::new(&description(title), vec![Arc::new(shared_layer().unwrap()), Arc::new(program)]).unwrap()
}

fn archive(image: &Image) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_archive(image, &["platform-kernel/iam:dev".parse().unwrap()], &mut bytes).unwrap();
    bytes
}

fn compressed(layer: &Layer) -> (Compressed, Vec<u8>) {
    let mut bytes = Vec::new();
    (compress(layer, &mut bytes).unwrap(), bytes)
}

/// The files of an archive by path, with their headers.
fn files(bytes: &[u8]) -> BTreeMap<String, (tar::Header, Vec<u8>)> {
    let mut archive = tar::Archive::new(bytes);
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_string_lossy().into_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        (path, (entry.header().clone(), content))
    });
    entries.collect()
}

#[test]
fn equal_input_gives_equal_bytes() {
    let (one, other) = (image("iam", PROGRAM), image("iam", PROGRAM));
    assert_eq!(one.id(), other.id());
    assert_eq!(archive(&one), archive(&other));
    for (one, other) in one.layers().iter().zip(other.layers()) {
        assert_eq!(compressed(one), compressed(other));
    }
}

#[test]
fn services_share_everything_but_their_program() {
    let (iam, money) = (image("iam", b"iam"), image("money", b"money"));
    assert_eq!(iam.layers()[0].diff_id(), money.layers()[0].diff_id());
    assert_ne!(iam.layers()[1].diff_id(), money.layers()[1].diff_id());
    assert_ne!(iam.id(), money.id());
    assert_eq!(compressed(&iam.layers()[0]), compressed(&money.layers()[0]));
}

#[test]
fn the_archive_holds_what_its_table_of_contents_names() {
    let image = image("iam", PROGRAM);
    let bytes = archive(&image);
    let files = files(&bytes);
    let contents: serde_json::Value = serde_json::from_slice(&files["manifest.json"].1).unwrap();
    let [item] = contents.as_array().unwrap().as_slice() else { panic!("one image: {contents}") };
    assert_eq!(item["RepoTags"], serde_json::json!(["platform-kernel/iam:dev"]));
    let configuration = &files[item["Config"].as_str().unwrap()].1;
    assert_eq!(Digest::of(configuration), image.id());
    let configuration: serde_json::Value = serde_json::from_slice(configuration).unwrap();
    let layers = item["Layers"].as_array().unwrap();
    let diff_ids = configuration["rootfs"]["diff_ids"].as_array().unwrap();
    assert_eq!(layers.len(), 2);
    assert_eq!(layers.len(), diff_ids.len());
    for (path, diff_id) in layers.iter().zip(diff_ids) {
        assert_eq!(Digest::of(&files[path.as_str().unwrap()].1).to_string(), diff_id.as_str().unwrap());
    }
    assert_eq!(files.len(), 4, "nothing else is in it");
}

#[test]
fn the_layers_hold_what_a_service_needs() {
    let image = image("iam", PROGRAM);
    let read = |layer: &Layer| {
        let mut bytes = Vec::new();
        layer.write(&mut bytes).unwrap();
        files(&bytes)
    };
    let mut all = read(&image.layers()[0]);
    let program = read(&image.layers()[1]);
    assert_eq!(program.keys().collect::<Vec<_>>(), ["usr/local/bin/service"]);
    assert_eq!(program["usr/local/bin/service"].1, PROGRAM);
    all.extend(program);

    let text = |path: &str| String::from_utf8(all[path].1.clone()).unwrap();
    assert!(text("etc/passwd").contains("appuser:x:10001:10001:"));
    assert!(text("etc/group").contains("appuser:x:10001:"));
    assert!(text("etc/nsswitch.conf").contains("hosts: files dns"));
    assert!(text("etc/ssl/certs/ca-certificates.crt").starts_with("-----BEGIN CERTIFICATE-----\n"));
    let table: Vec<String> = all
        .iter()
        .map(|(path, (header, _))| {
            assert_eq!(header.mtime().unwrap(), 0, "{path}");
            let (mode, user) = (header.mode().unwrap(), header.uid().unwrap());
            assert_eq!(user, header.gid().unwrap(), "{path}");
            format!("{mode:o} {user} {path}")
        })
        .collect();
    assert_eq!(
        table,
        [
            "755 0 etc/",
            "644 0 etc/group",
            "644 0 etc/nsswitch.conf",
            "644 0 etc/passwd",
            "755 0 etc/ssl/",
            "755 0 etc/ssl/certs/",
            "644 0 etc/ssl/certs/ca-certificates.crt",
            "1777 0 tmp/",
            "755 0 usr/",
            "755 0 usr/local/",
            "755 0 usr/local/bin/",
            "755 0 usr/local/bin/service",
            "755 0 var/",
            "755 0 var/lib/",
            "700 10001 var/lib/platform/",
            "700 10001 var/lib/platform/tls/",
        ]
    );
}

#[test]
fn a_compressed_layer_is_its_archive_again() {
    let layer = shared_layer().unwrap();
    let (told, bytes) = compressed(&layer);
    assert_eq!(told, Compressed { digest: Digest::of(&bytes), size: bytes.len() as u64 });
    // RFC 1952: deflate, no optional fields, no time, no system.
    assert_eq!(bytes[..4], [0x1f, 0x8b, 8, 0]);
    assert_eq!(bytes[4..8], [0; 4]);
    assert_eq!(bytes[9], 255);
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(bytes.as_slice()).read_to_end(&mut unpacked).unwrap();
    assert_eq!(Digest::of(&unpacked), layer.diff_id());
}

#[test]
fn the_oci_specification_s_own_types_read_everything() {
    let image = image("iam", PROGRAM);
    let configuration: ImageConfiguration = serde_json::from_slice(image.configuration()).unwrap();
    assert_eq!((configuration.architecture(), configuration.os()), (&Arch::Amd64, &Os::Linux));
    assert_eq!(configuration.created().as_deref(), Some("2026-01-02T03:04:05Z"));
    assert_eq!(configuration.rootfs().typ(), "layers");
    assert_eq!(configuration.rootfs().diff_ids().len(), 2);
    assert_eq!(configuration.history().as_ref().map(Vec::len), Some(2), "one for each layer");
    let runtime = configuration.config().as_ref().unwrap();
    assert_eq!(runtime.user().as_deref(), Some("10001:10001"));
    assert_eq!(runtime.entrypoint().as_deref().unwrap(), ["/usr/local/bin/service"]);
    assert_eq!(runtime.exposed_ports().as_deref().unwrap(), ["8080/tcp"]);
    let labels = runtime.labels().as_ref().unwrap();
    for (name, value) in [
        ("title", "iam"),
        ("version", "0.1.0"),
        ("created", "2026-01-02T03:04:05Z"),
        ("licenses", "Apache-2.0"),
        ("revision", "0123456789abcdef0123456789abcdef01234567"),
        ("source", "https://example.org/platform"),
    ] {
        assert_eq!(labels[&format!("org.opencontainers.image.{name}")], value);
    }

    let layers: Vec<Compressed> = image.layers().iter().map(|layer| compressed(layer).0).collect();
    let json = Manifest::new(&image, &layers).to_json().unwrap();
    let manifest: ImageManifest = serde_json::from_slice(&json).unwrap();
    assert_eq!(manifest.schema_version(), 2);
    assert_eq!(manifest.media_type(), &Some(MediaType::ImageManifest));
    assert_eq!(manifest.config().media_type(), &MediaType::ImageConfig);
    assert_eq!(manifest.config().digest().to_string(), image.id().to_string());
    assert_eq!(manifest.config().size(), image.configuration().len() as u64);
    for (descriptor, layer) in manifest.layers().iter().zip(&layers) {
        assert_eq!(descriptor.media_type(), &MediaType::ImageLayerGzip);
        assert_eq!(
            (descriptor.digest().to_string(), descriptor.size()),
            (layer.digest.to_string(), layer.size)
        );
    }

    let name: Reference = "ghcr.io/acme/platform-kernel/iam:1".parse().unwrap();
    let mut index = Index::default();
    index.set(&name, Digest::of(&json), json.len() as u64);
    let index: ImageIndex = serde_json::from_slice(&serde_json::to_vec(&index).unwrap()).unwrap();
    let [descriptor] = index.manifests().as_slice() else { panic!("one image") };
    assert_eq!(descriptor.media_type(), &MediaType::from(media_type::MANIFEST));
    assert_eq!(descriptor.platform().as_ref().unwrap().architecture(), &Arch::Amd64);
    let annotations = descriptor.annotations().as_ref().unwrap();
    assert_eq!(annotations["org.opencontainers.image.ref.name"], "1");
}
