//! What is mounted into a container.

use serde_json::{Map, Value as Json, json};

use super::{FileKind, Surroundings, bytes, copy, list, text};

/// Plain paths and named volumes go the old way, as text: only that makes a path that is missing. The rest goes as
/// structures.
pub(super) fn mounts(service: &Json, surroundings: &Surroundings<'_>, host: &mut Map<String, Json>) {
    let mut binds: Vec<Json> = Vec::new();
    let mut mounts: Vec<Json> = Vec::new();
    for mount in list(service, "volumes") {
        let target = text(mount, "target").unwrap_or_default();
        let read_only = mount.get("read_only").and_then(Json::as_bool) == Some(true);
        let options = |kind: &str| mount.get(kind).unwrap_or(&Json::Null);
        let as_text = |source: &str| {
            let mut words = vec![if read_only { "ro" } else { "rw" }];
            words.extend(text(options("bind"), "selinux"));
            words.extend(text(options("bind"), "propagation"));
            words.extend((options("volume").get("nocopy") == Some(&Json::Bool(true))).then_some("nocopy"));
            Json::String(format!("{source}:{target}:{}", words.join(",")))
        };
        let mut entry = json!({ "Type": text(mount, "type").unwrap_or_default(), "Target": target });
        if read_only {
            entry["ReadOnly"] = true.into();
        }
        if let Some(consistency) = copy(mount, "consistency") {
            entry["Consistency"] = consistency;
        }
        match (text(mount, "type"), text(mount, "source")) {
            (Some("bind"), Some(source)) => {
                let bind = options("bind");
                let structured = bind.get("create_host_path") == Some(&Json::Bool(false))
                    || text(bind, "propagation").is_some()
                    || text(bind, "recursive").is_some();
                if !structured {
                    binds.push(as_text(source));
                    continue;
                }
                entry["Source"] = source.into();
                entry["BindOptions"] = bind_options(bind);
            }
            (Some("volume"), source) => {
                let volume = options("volume");
                let structured = text(volume, "subpath").is_some() || volume.get("labels").is_some();
                match source {
                    Some(source) if !structured => {
                        binds.push(as_text(&(surroundings.volume_name)(source)));
                        continue;
                    }
                    Some(source) => entry["Source"] = (surroundings.volume_name)(source).into(),
                    None => {}
                }
                entry["VolumeOptions"] = volume_options(volume);
            }
            (Some("tmpfs"), _) => {
                let tmpfs = options("tmpfs");
                let mut settings = Map::new();
                if let Some(size) = bytes(tmpfs, "size") {
                    settings.insert("SizeBytes".to_owned(), size.into());
                }
                if let Some(mode) = copy(tmpfs, "mode") {
                    settings.insert("Mode".to_owned(), mode);
                }
                entry["TmpfsOptions"] = Json::Object(settings);
            }
            (_, source) => {
                if let Some(source) = source {
                    entry["Source"] = source.into();
                }
                if let Some(subpath) = copy(options("image"), "subpath") {
                    entry["ImageOptions"] = json!({ "Subpath": subpath });
                }
            }
        }
        mounts.push(entry);
    }
    for (source, target, kind) in surroundings.mounted_files {
        let taken = mounts.iter().any(|mount| text(mount, "Target") == Some(target));
        if taken {
            continue;
        }
        let mut entry = json!({ "Type": "bind", "Source": source, "Target": target, "ReadOnly": true });
        if *kind == FileKind::Secret {
            entry["BindOptions"] = json!({});
        }
        mounts.push(entry);
    }
    if !binds.is_empty() {
        host.insert("Binds".to_owned(), Json::Array(binds));
    }
    if !mounts.is_empty() {
        host.insert("Mounts".to_owned(), Json::Array(mounts));
    }
}

fn bind_options(bind: &Json) -> Json {
    let mut options = Map::new();
    if let Some(propagation) = copy(bind, "propagation") {
        options.insert("Propagation".to_owned(), propagation);
    }
    if bind.get("create_host_path") == Some(&Json::Bool(true)) {
        options.insert("CreateMountpoint".to_owned(), true.into());
    }
    let recursive = match text(bind, "recursive") {
        Some("disabled") => Some("NonRecursive"),
        Some("writable") => Some("ReadOnlyNonRecursive"),
        Some("readonly") => Some("ReadOnlyForceRecursive"),
        _ => None,
    };
    options.extend(recursive.map(|name| (name.to_owned(), true.into())));
    Json::Object(options)
}

fn volume_options(volume: &Json) -> Json {
    let mut options = Map::new();
    for (from, to) in [("nocopy", "NoCopy"), ("subpath", "Subpath"), ("labels", "Labels")] {
        if let Some(value) = copy(volume, from) {
            options.insert(to.to_owned(), value);
        }
    }
    Json::Object(options)
}
