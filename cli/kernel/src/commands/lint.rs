//! `kernel lint`: manifests held to rules of zero downtime and least privilege.

use clap::{Args, ValueEnum};
use kernel_core::diagnostic::Severity;
use kernel_core::exit::ExitCode;
use kernel_manifests::lint::RULES;
use kernel_ops::Failure;
use kernel_ops::lint::{self, LintSettings, Linted};
use kernel_report::{Cell, Table, diagnostics};
use serde_json::{Value, json};

use crate::context::Context;
use crate::output;

const EXAMPLES: &str = "\
Examples:
  kernel lint                      the committed manifests of every environment
  kernel lint staging              those of one
  kernel lint deploy/ extra.yaml   anybody's manifests, as one set
  kubectl kustomize . | kernel lint -
  kernel lint deploy/ --fix        make right what can be without a decision; comments stay
  kernel lint --rules              all rules; `kernel explain CODE` tells more about one";

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct Arguments {
    /// Environments, files or folders; `-` is standard input; without names every environment
    #[arg(value_name = "PATH|ENV")]
    targets: Vec<String>,

    /// Make right what can be without a decision; files that `kernel manifests render` writes stay as they are
    #[arg(long)]
    fix: bool,

    /// List the rules
    #[arg(long, conflicts_with_all = ["targets", "fix"])]
    rules: bool,

    /// The form of the answer
    #[arg(short = 'o', long = "output", value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

/// The form of the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Pictures with carets, for people
    #[default]
    Table,
    /// One JSON document with a `schema`
    Json,
    /// SARIF 2.1.0, for code scanning
    Sarif,
}

/// Looks, and tells what was found. Exits with 2 when something is an error.
pub fn run(context: &mut Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    if arguments.rules {
        output::answer(&rules(context, arguments.format));
        return Ok(ExitCode::Success);
    }
    let settings =
        LintSettings { targets: arguments.targets, fix: arguments.fix, dry_run: context.settings.dry_run };
    let linted = lint::lint(&context.load_settings(), &settings)?;
    for (file, rounds) in &linted.fixed {
        let what = if settings.dry_run { "would change" } else { "changed" };
        output::say(&format!("{what} {file} ({rounds} times looked through)\n"));
    }
    let exit = if linted.has_errors() { ExitCode::Usage } else { ExitCode::Success };
    match arguments.format {
        Format::Json => output::answer(&format!("{:#}\n", as_json(&linted))),
        Format::Sarif => output::answer(&format!("{:#}\n", as_sarif(&linted))),
        Format::Table => {
            let errors = linted.has_errors();
            if !linted.diagnostics.is_empty()
                && (errors || !matches!(context.settings.progress, crate::settings::Progress::Quiet))
            {
                let look = context.settings.conversation;
                output::say(&diagnostics::render(&linted.diagnostics, &linted.sources, look));
            }
            output::answer(&summary(&linted));
        }
    }
    Ok(exit)
}

fn summary(linted: &Linted) -> String {
    let count = |severity| linted.diagnostics.iter().filter(|found| found.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let objects = linted.objects;
    match (errors, warnings, linted.fixable) {
        (0, 0, _) => format!("{objects} objects, no rule broken\n"),
        (_, _, 0) => format!("{objects} objects, {errors} errors, {warnings} warnings\n"),
        (_, _, fixable) => format!(
            "{objects} objects, {errors} errors, {warnings} warnings; `--fix` makes {fixable} of them right\n"
        ),
    }
}

fn as_json(linted: &Linted) -> Value {
    let findings: Vec<Value> =
        linted.diagnostics.iter().map(|found| diagnostics::to_json(found, &linted.sources)).collect();
    let fixed: Vec<&String> = linted.fixed.iter().map(|(file, _)| file).collect();
    json!({
        "schema": "kernel.lint/v1",
        "objects": linted.objects,
        "fixable": linted.fixable,
        "fixed": fixed,
        "findings": findings,
    })
}

/// Source: OASIS SARIF 2.1.0, sections 3.13 to 3.30.
fn as_sarif(linted: &Linted) -> Value {
    let level = |severity| if severity == Severity::Error { "error" } else { "warning" };
    let rules: Vec<Value> = RULES
        .iter()
        .map(|rule| {
            json!({
                "id": rule.code.0,
                "shortDescription": { "text": rule.title },
                "defaultConfiguration": { "level": level(rule.severity) },
            })
        })
        .collect();
    let results: Vec<Value> = linted
        .diagnostics
        .iter()
        .map(|found| {
            let place = found.labels.first().and_then(|label| {
                let source = linted.sources.get(label.span.source)?;
                let (line, column) = linted.sources.position(label.span.source, label.span.start)?;
                let (end_line, end_column) = linted.sources.position(label.span.source, label.span.end)?;
                Some(json!({ "physicalLocation": {
                    "artifactLocation": { "uri": source.name },
                    "region": { "startLine": line, "startColumn": column, "endLine": end_line, "endColumn": end_column },
                } }))
            });
            json!({
                "ruleId": found.code.0,
                "level": level(found.severity),
                "message": { "text": found.message },
                "locations": place.into_iter().collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "columnKind": "unicodeCodePoints",
            "tool": { "driver": { "name": "kernel lint", "rules": rules } },
            "results": results,
        }],
    })
}

fn rules(context: &Context, format: Format) -> String {
    let severity = |severity| if severity == Severity::Error { "error" } else { "warning" };
    if format != Format::Table {
        let rules: Vec<Value> = RULES
            .iter()
            .map(|rule| json!({ "code": rule.code.0, "severity": severity(rule.severity), "title": rule.title, "fixable": rule.fixable }))
            .collect();
        return format!("{:#}\n", json!({ "schema": "kernel.lint-rules/v1", "rules": rules }));
    }
    let mut table = Table::new(["RULE", "SEVERITY", "FIX", "ASKS THAT"]);
    for rule in &RULES {
        let fix = if rule.fixable { "yes" } else { "" };
        table.row([rule.code.0, severity(rule.severity), fix, rule.title].map(Cell::from));
    }
    table.render(context.settings.answer)
}
