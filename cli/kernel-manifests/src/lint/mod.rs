//! Rules for manifests: no request lost while pods are replaced, and no right more than needed.
//!
//! A rule looks at all objects at once and points at the places that break it. What can be changed without a decision is
//! changed by [`fixed`], in the text as people wrote it.

mod edit;
mod privilege;
mod references;
mod schema;
mod selector;
mod set;
mod zero_downtime;

use kernel_core::diagnostic::{Code, Diagnostic, Severity};
use kernel_core::source::Span;

use crate::document::Document;

pub use edit::{Edit, fixed};
pub use set::Set;

/// The annotation that leaves a rule out for one object: `K-LINT-015: why`, several with `;` between them.
pub const IGNORE: &str = "kernel.dev/lint-ignore";

/// One rule.
pub struct Rule {
    /// Its stable name. The page below `docs/errors/` has an example that breaks it and one that does not.
    pub code: Code,
    /// How bad it is to break it.
    pub severity: Severity,
    /// What it asks for, one sentence.
    pub title: &'static str,
    /// Whether `--fix` can do what it asks for.
    pub fixable: bool,
    check: fn(&Rule, &Set<'_>, &mut Vec<Finding>),
}

/// A place that breaks a rule.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What is wrong and where.
    pub diagnostic: Diagnostic,
    /// What makes it right without a decision, if anything does.
    pub fix: Vec<Edit>,
}

impl Rule {
    fn finding(
        &self,
        message: impl Into<String>,
        span: Span,
        label: &str,
        help: impl Into<String>,
    ) -> Finding {
        let diagnostic = Diagnostic::error(self.code, message).at(span, label).help(help);
        Finding { diagnostic: Diagnostic { severity: self.severity, ..diagnostic }, fix: Vec::new() }
    }
}

impl Finding {
    fn also(mut self, span: Span, label: &str) -> Self {
        self.diagnostic = self.diagnostic.at(span, label);
        self
    }

    fn fix(mut self, edit: Option<Edit>) -> Self {
        self.fix.extend(edit);
        self
    }
}

const fn rule(
    code: &'static str,
    severity: Severity,
    title: &'static str,
    fixable: bool,
    check: fn(&Rule, &Set<'_>, &mut Vec<Finding>),
) -> Rule {
    Rule { code: Code(code), severity, title, fixable, check }
}

use Severity::{Error, Warning};

/// All rules, in the order of their numbers.
pub const RULES: [Rule; 35] = [
    rule("K-LINT-001", Error, "an object has `apiVersion`, `kind` and a name", false, schema::whole),
    rule("K-LINT-002", Error, "an object has only fields that its kind knows", false, schema::fields),
    rule("K-LINT-003", Error, "a value has the type that its field takes", false, schema::types),
    rule("K-LINT-004", Error, "an object stands once", false, schema::once),
    rule(
        "K-LINT-005",
        Error,
        "a rollout takes no pod away before a new one is ready",
        true,
        zero_downtime::rollout,
    ),
    rule("K-LINT-006", Error, "pods that serve say when they are ready", false, zero_downtime::readiness),
    rule(
        "K-LINT-007",
        Error,
        "being ready and being alive are asked differently",
        false,
        zero_downtime::same_probe,
    ),
    rule(
        "K-LINT-008",
        Error,
        "a pod goes on serving until it has left the endpoints",
        true,
        zero_downtime::pre_stop,
    ),
    rule("K-LINT-009", Error, "the drain fits in the grace period", true, zero_downtime::drain),
    rule("K-LINT-010", Warning, "what serves has two pods or more", false, zero_downtime::one_pod),
    rule(
        "K-LINT-011",
        Error,
        "a disruption budget lets pods be evicted",
        true,
        zero_downtime::blocking_budget,
    ),
    rule("K-LINT-012", Warning, "what serves has a disruption budget", false, zero_downtime::no_budget),
    rule(
        "K-LINT-013",
        Error,
        "only one of autoscaler and manifest says how many pods there are",
        true,
        zero_downtime::replicas,
    ),
    rule(
        "K-LINT-014",
        Error,
        "an autoscaler's pods ask for the resource that it measures",
        false,
        zero_downtime::scaler_requests,
    ),
    rule("K-LINT-015", Error, "an autoscaler has a target and a range", false, zero_downtime::scaler_target),
    rule(
        "K-LINT-016",
        Error,
        "all pods and those of a rollout fit in the quota",
        false,
        zero_downtime::quota,
    ),
    rule("K-LINT-017", Warning, "the pods of a service are spread over nodes", false, zero_downtime::spread),
    rule("K-LINT-018", Error, "a workload selects its own pods", false, references::own_pods),
    rule("K-LINT-019", Error, "a Service selects pods", false, references::service_pods),
    rule(
        "K-LINT-020",
        Error,
        "a Service leads to a port that its pods have",
        false,
        references::service_port,
    ),
    rule(
        "K-LINT-021",
        Error,
        "a ConfigMap or Secret that pods need is there, with its key",
        false,
        references::config,
    ),
    rule("K-LINT-022", Error, "a ServiceAccount that pods run as is there", false, references::account),
    rule("K-LINT-023", Error, "a probe asks a port that its container has", false, references::probe_port),
    rule("K-LINT-024", Error, "an image is named by its digest", false, privilege::digest),
    rule("K-LINT-025", Error, "containers do not run as root", false, privilege::root),
    rule(
        "K-LINT-026",
        Error,
        "containers can't write to their root file system",
        false,
        privilege::root_filesystem,
    ),
    rule("K-LINT-027", Error, "containers have no capabilities", false, privilege::capabilities),
    rule("K-LINT-028", Error, "containers have a seccomp profile", true, privilege::seccomp),
    rule(
        "K-LINT-029",
        Error,
        "processes can't get more rights than their container",
        false,
        privilege::escalation,
    ),
    rule(
        "K-LINT-030",
        Error,
        "containers ask for what they need and have a limit of memory",
        false,
        privilege::resources,
    ),
    rule(
        "K-LINT-031",
        Error,
        "pods have no token of the API server, unless they need it",
        false,
        privilege::token,
    ),
    rule("K-LINT-032", Warning, "a policy says whom pods may talk to", false, privilege::policy),
    rule("K-LINT-033", Error, "pods do not reach into their node", false, privilege::node),
    rule(
        "K-LINT-034",
        Error,
        "no secret stands in a variable or a ConfigMap",
        false,
        privilege::plain_secret,
    ),
    rule(
        "K-LINT-035",
        Warning,
        "an exception from a rule names the rule and the reason",
        false,
        schema::exceptions,
    ),
];

/// Everything in these objects that breaks a rule, by place.
#[must_use]
pub fn lint(documents: &[Document]) -> Vec<Finding> {
    let set = Set::of(documents);
    let mut findings = Vec::new();
    for rule in &RULES {
        (rule.check)(rule, &set, &mut findings);
    }
    findings.retain(|finding| !set.excepts(&finding.diagnostic));
    findings.sort_by_key(|finding| {
        let span = finding.diagnostic.labels.first().map(|label| label.span);
        span.map(|span| (span.source, span.start))
    });
    findings
}
