//! `--format`: what it prints is what docker compose prints.

use serde_json::Value;

use crate::{Stack, pins, sorted};

/// The same text for the same format, down to the white space.
pub fn formats_are_docker_composes(stack: &Stack) {
    let lines = [
        "{{.ID}} {{.Names}} {{.Image}} {{.Command}} {{.Project}} {{.Service}} {{.CreatedAt}} {{.State}}",
        r"{{.Health}}|{{.ExitCode}}|{{.Networks}}|{{.Mounts}}|{{.LocalVolumes}}|{{.Size}}\t.",
        "{{json .Publishers}} {{.Publishers}} {{json .Name}}",
        "{{range .Publishers}}{{.PublishedPort}},{{else}}none{{end}}",
        r#"{{if eq .State "running"}}up{{else if .ExitCode}}bad{{else}}down{{end}}"#,
        r#"{{join (split .Name "-") "+"}} {{title .State}} {{pad .Service 1 2}}|{{lower .Name | upper}}"#,
        "{{- .Service -}}   {{/* nothing */}} .",
    ];
    let lines = lines.join(r"\n");
    let table =
        r#"table {{.ID}}\t{{.Label "com.docker.compose.container-number"}}\t{{upper .Name}} {{.Command}}"#;
    for words in [
        &["ps", "-a", "--format", &lines][..],
        &["ps", "-a", "--format", table],
        &["ps", "-a", "--format", r"table {{.Name}}\t{{.State}}\t{{truncate .Image 9}}\t{{.Ports}}"],
        &["ps", "--no-trunc", "--format", table, "web"],
    ] {
        assert_eq!(stack.lines(words), sorted(&stack.compose(words)), "{words:?}");
    }
    for words in [
        &["volumes"][..],
        &["volumes", "-q"],
        &[
            "volumes",
            "--format",
            r#"table {{.Name}}\t{{.Mountpoint}}\t{{.Label "com.docker.compose.volume"}}\t{{.Size}}"#,
        ],
        &["volumes", "--format", "{{.Driver}} {{.Scope}} {{.Links}} {{.Group}}", "web"],
        &["stats", "--no-stream", "--format", "{{.Container}} {{.ID}} {{.Name}} {{.PIDs}}"],
        &["ps", "-q", "--format", "json"],
    ] {
        let ours = match words {
            ["volumes"] => stack.lines(&["volumes", "--format", "table"]),
            _ => stack.lines(words),
        };
        assert_eq!(ours, sorted(&stack.compose(words)), "{words:?}");
    }
    let whole = |text: &str| -> Value { serde_json::from_str(text.trim()).unwrap() };
    let names = |value: &Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
    let words = ["stats", "--no-stream", "--format", "json", "web"];
    let (ours, theirs) = (stack.answer(&words), stack.compose(&words));
    for text in ours.lines() {
        assert_eq!(names(&whole(text)), names(&whole(theirs.lines().next().unwrap())));
    }
    let sorted_by = |text: &str, key: &str| {
        let mut list = whole(text).as_array().unwrap().clone();
        list.sort_by_key(|entry| entry[key].to_string());
        list
    };
    let words = ["images", "--format", "json"];
    assert_eq!(
        sorted_by(&stack.answer(&words), "ContainerName"),
        sorted_by(&stack.compose(&words), "ContainerName")
    );
    assert_eq!(stack.answer(&["images", "-q"]), stack.compose(&["images", "-q"]));
    let filter = format!("name={}", stack.name);
    let words = ["ls", "--all", "--format", "json", "--filter", &filter];
    assert_eq!(whole(&stack.answer(&words)), whole(&stack.compose(&words)));

    let pins = pins();
    let told =
        stack.refusal(&["--env-file", pins.to_str().unwrap(), "ps", "--format", "{{.Nmae}} {{uper .State}}"]);
    for part in ["K-CLI-012", "--format:1:3", "did you mean `Name`?", "did you mean `upper`?", "ExitCode"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let told = stack.refusal(&["stats", "--no-stream", "--format", "jsn"]);
    assert!(told.contains("`jsn` is no format"), "{told}");
}
