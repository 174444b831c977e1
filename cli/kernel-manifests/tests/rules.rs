//! The page of each rule: its first example breaks the rule, its last one does not. So each rule is seen to bite, and to
//! let go.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::path::Path;

use kernel_core::source::Sources;
use kernel_manifests::document::parse;
use kernel_manifests::lint::{Finding, RULES, fixed, lint};

/// The findings of a text; nothing else may be wrong with it.
fn findings(text: &str) -> (Vec<Finding>, Sources) {
    let mut sources = Sources::default();
    let source = sources.add("manifest.yaml", text);
    let mut problems = Vec::new();
    let documents = parse(source, text, &mut problems);
    assert!(problems.is_empty(), "{problems:?}\n{text}");
    (lint(&documents), sources)
}

/// The examples of a page.
fn examples(code: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../docs/errors/{code}.md"));
    let page = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(page.starts_with(&format!("# {code}: ")) && page.contains("\n## What to do\n"), "{code}");
    page.split("\n```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

fn told(text: &str, code: &str) -> Vec<String> {
    let (findings, sources) = findings(text);
    let of_rule = findings.iter().filter(|finding| finding.diagnostic.code.0 == code);
    of_rule
        .map(|finding| {
            let place = finding.diagnostic.labels.first().and_then(|label| sources.locate(label.span));
            format!("{} {}", place.expect("every finding has a place"), finding.diagnostic.message)
        })
        .collect()
}

/// The text after as many rounds of fixing as there is something to fix.
fn repaired(text: &str) -> String {
    let mut text = text.to_owned();
    for _ in 0..20 {
        let (findings, sources) = findings(&text);
        let edits: Vec<_> = findings.into_iter().flat_map(|finding| finding.fix).collect();
        match fixed(&edits, &sources).0.into_iter().next() {
            Some((_, new)) => text = new,
            None => return text,
        }
    }
    panic!("there is always something to fix:\n{text}");
}

#[test]
fn rules_are_numbered_without_a_gap() {
    for (index, rule) in RULES.iter().enumerate() {
        assert_eq!(rule.code.0, format!("K-LINT-{:03}", index + 1));
    }
}

#[test]
fn the_first_example_of_each_page_breaks_its_rule_and_the_last_does_not() {
    for rule in &RULES {
        let code = rule.code.0;
        let examples = examples(code);
        assert!(examples.len() >= 2, "{code}");
        assert!(!told(&examples[0], code).is_empty(), "{code} lets this pass:\n{}", examples[0]);
        let good = examples.last().unwrap();
        assert_eq!(told(good, code), Vec::<String>::new(), "{code} refuses this:\n{good}");
    }
}

#[test]
fn the_page_of_the_rules_lists_each_as_it_is() {
    let page =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/lint.md")).unwrap();
    for rule in &RULES {
        let severity = format!("{:?}", rule.severity).to_lowercase();
        let fix = if rule.fixable { "yes" } else { "" };
        let line = format!("| [{0}](errors/{0}.md) | {severity} | {fix} | {1} |", rule.code.0, rule.title);
        assert!(page.contains(&line), "docs/lint.md lacks the line\n{line}");
    }
}

/// Everything that can be fixed is wrong here.
const UNFIXED: &str = r#"# The shop.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web # its name
spec:
  replicas: 3 # how many
  # One at a time.
  strategy:
    rollingUpdate:
      maxUnavailable: 1
  selector:
    matchLabels: { app: web }
  template:
    metadata:
      labels: { app: web }
    spec:
      containers:
        # The server.
        - name: web   # as in the image
          image: web
          ports:
            - containerPort: 8080
        - name: side
          image: side
          env:
            - { name: SHUTDOWN_TIMEOUT, value: "40s" }
---
apiVersion: v1
kind: Service
metadata: { name: web }
spec:
  selector: { app: web }
  ports: [{ port: 80, targetPort: 8080 }]
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: { name: web }
spec:
  scaleTargetRef: { apiVersion: apps/v1, kind: Deployment, name: web }
  minReplicas: 2
  maxReplicas: 10
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: { name: web }
spec:
  maxUnavailable: 0 # not now
  selector: { matchLabels: { app: web } }
"#;

#[test]
fn what_is_fixed_keeps_everything_else_as_it_was() {
    let (before, _) = findings(UNFIXED);
    let fixable: Vec<&str> = RULES.iter().filter(|rule| rule.fixable).map(|rule| rule.code.0).collect();
    for code in &fixable {
        assert!(
            before.iter().any(|finding| finding.diagnostic.code.0 == *code),
            "{code} is not in the example"
        );
    }
    let text = repaired(UNFIXED);
    insta::assert_snapshot!(text);
    let (after, _) = findings(&text);
    let left: Vec<_> = after.iter().filter(|finding| fixable.contains(&finding.diagnostic.code.0)).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_place_that_is_not_surely_understood_is_left_alone() {
    let text = "apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: web }\nspec: { selector: { matchLabels: { app: web } }, \
                template: { metadata: { labels: { app: web } }, spec: { containers: [{ name: web }] } } }\n";
    assert_eq!(repaired(text), text);
}

#[test]
fn an_exception_with_a_reason_holds_for_its_object_alone() {
    let map = |name: &str, note: &str| {
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n{note}data: {{ TOKEN: abc }}\n")
    };
    let note = "  annotations: { kernel.dev/lint-ignore: 'K-LINT-034: public anyway' }\n";
    let both = format!("{}---\n{}", map("a", note), map("b", ""));
    assert_eq!(told(&both, "K-LINT-034").len(), 1);
    let without = note.replace(": public anyway", "");
    assert_eq!(told(&map("a", &without), "K-LINT-034").len(), 1, "no reason, no exception");
    assert_eq!(told(&map("a", &without), "K-LINT-035").len(), 1);
}

#[test]
fn defaults_of_kubernetes_count_as_what_they_are() {
    let rollout = |replicas: u32| {
        let text =
            examples("K-LINT-005")[0].replace("  strategy: { rollingUpdate: { maxUnavailable: 1 } }\n", "");
        told(&text.replace("replicas: 3", &format!("replicas: {replicas}")), "K-LINT-005").len()
    };
    // A quarter of three, rounded down, is none; of four it is one.
    assert_eq!((rollout(3), rollout(4)), (0, 1));
}

#[test]
fn objects_of_a_list_are_looked_at_like_others() {
    let text = "apiVersion: v1\nkind: List\nitems:\n  - apiVersion: v1\n    kind: ConfigMap\n    metadata: { name: a }\n    date: {}\n";
    assert_eq!(told(text, "K-LINT-002").len(), 1);
}

#[test]
fn all_mistakes_of_one_object_are_told_at_their_places() {
    let text = "apiVersion: v1\nkind: Service\nmetadata: { name: a }\nspec:\n  ports:\n    - port: x80\n    - port: [1]\n";
    let places: Vec<String> =
        told(text, "K-LINT-003").iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(places, ["manifest.yaml:6:13", "manifest.yaml:7:7"]);
}

#[test]
fn a_version_that_is_not_served_is_told_and_a_foreign_group_is_not() {
    let object =
        |version: &str, kind: &str| format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{ name: a }}\n");
    assert_eq!(told(&object("policy/v1beta1", "PodDisruptionBudget"), "K-LINT-001").len(), 1);
    assert_eq!(told(&object("extensions/v1beta1", "Ingress"), "K-LINT-001").len(), 1);
    for (version, kind) in
        [("autoscaling/v1", "HorizontalPodAutoscaler"), ("serving.knative.dev/v1", "Service")]
    {
        assert_eq!(told(&object(version, kind), "K-LINT-001"), Vec::<String>::new());
    }
}

#[test]
fn a_field_that_holds_nothing_is_not_there() {
    let text = examples("K-LINT-013")[0].replace("replicas: 3", "replicas: null");
    assert_eq!(told(&text, "K-LINT-013"), Vec::<String>::new());
}

/// Every example with every scalar in turn replaced by what nobody expects there: all of it gives findings or none, and
/// never a panic. What is fixed can be read again.
#[test]
fn no_value_at_any_place_breaks_a_rule_itself() {
    let strange = [
        "9223372036854775807",
        "-9223372036854775808",
        "\"\"",
        "null",
        "[]",
        "{}",
        "[{}]",
        "é",
        "99999999999%",
        "9.9e400",
    ];
    for rule in &RULES {
        for text in examples(rule.code.0) {
            let places: Vec<usize> = text.match_indices(": ").map(|(at, _)| at + 2).collect();
            for (index, start) in places.into_iter().enumerate() {
                let rest = &text[start..];
                let end = rest.find([',', '}', '\n', ']']).map_or(text.len(), |at| start + at);
                let broken = format!("{}{}{}", &text[..start], strange[index % strange.len()], &text[end..]);
                let mut sources = Sources::default();
                let source = sources.add("manifest.yaml", broken.as_str());
                let mut problems = Vec::new();
                let findings = lint(&parse(source, &broken, &mut problems));
                let edits: Vec<_> = findings.into_iter().flat_map(|finding| finding.fix).collect();
                for (_, fixed) in fixed(&edits, &sources).0 {
                    let mut told = Vec::new();
                    parse(source, &fixed, &mut told);
                    assert!(told.len() <= problems.len(), "{told:?}\n{fixed}");
                }
            }
        }
    }
}
