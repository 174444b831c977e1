//! What a person has to confirm before it is done.

use kernel_core::object::ObjectAction;
use kernel_core::plan::{Action, Plan, Step, Subject};

/// The steps of a plan after which something is gone, if only for a while: whatever is removed and made anew, and stores
/// that are removed. Jobs are made to be made anew.
#[must_use]
pub fn severe(plan: &Plan) -> Vec<&Step> {
    let is_severe = |step: &&Step| {
        let (Action::Object(action), Subject::Object(name)) = (&step.action, &step.subject) else {
            return false;
        };
        match **action {
            ObjectAction::Replace { .. } => name.kind != "Job",
            ObjectAction::Delete => name.kind == "StatefulSet",
            _ => false,
        }
    };
    plan.steps.iter().filter(is_severe).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kernel_core::name::ProjectName;
    use kernel_core::object::ObjectName;
    use kernel_core::plan::{Cause, StepId};

    use super::*;

    #[test]
    fn what_takes_something_away_is_severe_and_a_job_is_not() {
        let replace = || ObjectAction::Replace { fields: vec!["spec.selector".to_owned()] };
        let actions = [
            ("Deployment", replace()),
            ("Job", replace()),
            ("StatefulSet", ObjectAction::Delete),
            ("ConfigMap", ObjectAction::Delete),
            ("StatefulSet", ObjectAction::Create),
        ];
        let step = |(id, (kind, action)): (u32, (&str, ObjectAction))| Step {
            id: StepId(id),
            subject: Subject::Object(ObjectName {
                group: "apps".to_owned(),
                kind: kind.to_owned(),
                namespace: Some("shop".to_owned()),
                name: "web".to_owned(),
            }),
            action: Action::Object(Box::new(action)),
            cause: Cause::Requested,
            after: Vec::new(),
            deadline: Duration::from_secs(1),
        };
        let steps = (1..).zip(actions).map(step).collect();
        let plan = Plan { schema: Plan::SCHEMA, project: ProjectName::new("shop").unwrap(), steps };
        let found: Vec<u32> = severe(&plan).into_iter().map(|step| step.id.0).collect();
        assert_eq!(found, [1, 3]);
    }
}
