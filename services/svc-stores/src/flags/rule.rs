//! Flags and their rules, pure: from the text of a file to a variation for a context.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::query::Query;
use super::{Evaluation, FlagContext};

/// A flag of the file.
#[derive(Clone, Debug)]
pub struct Flag {
    variations: BTreeMap<String, Value>,
    targeting: Vec<(Query, Outcome)>,
    default: Outcome,
    bucketing_key: Option<String>,
    disabled: bool,
}

/// What a rule gives.
#[derive(Clone, Debug)]
enum Outcome {
    Variation(String),
    /// Variations with their share in thousandths of a percent, in the order in which buckets are dealt.
    Shares(Vec<(String, u32)>),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct FlagText {
    variations: BTreeMap<String, Value>,
    #[serde(default)]
    targeting: Vec<RuleText>,
    default_rule: RuleText,
    #[serde(default)]
    bucketing_key: Option<String>,
    #[serde(default)]
    disable: bool,
    // For people and for the relay; nothing here depends on them.
    #[serde(default)]
    #[allow(dead_code, reason = "allowed in the file and not used")]
    metadata: Option<Value>,
    #[serde(default)]
    #[allow(dead_code, reason = "allowed in the file and not used")]
    version: Option<Value>,
    #[serde(default)]
    #[allow(dead_code, reason = "allowed in the file and not used")]
    track_events: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleText {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    query: Option<String>,
    #[serde(default)]
    variation: Option<String>,
    #[serde(default)]
    percentage: Option<BTreeMap<String, f64>>,
    #[serde(default)]
    disable: bool,
}

/// Reads a file of flags.
pub(super) fn parse(text: &str) -> Result<BTreeMap<String, Flag>, String> {
    let texts: Option<BTreeMap<String, FlagText>> =
        serde_yaml::from_str(text).map_err(|error| error.to_string())?;
    texts
        .unwrap_or_default()
        .into_iter()
        .map(|(name, text)| {
            let flag = Flag::from_text(text).map_err(|problem| format!("flag `{name}`: {problem}"))?;
            Ok((name, flag))
        })
        .collect()
}

impl Flag {
    fn from_text(text: FlagText) -> Result<Self, String> {
        let mut kinds = text.variations.values().map(std::mem::discriminant);
        let first = kinds.next();
        if kinds.any(|kind| Some(kind) != first) {
            // The relay leaves such a flag out.
            return Err("its variations are not all of one type".to_owned());
        }
        let mut targeting = Vec::new();
        for (index, rule) in text.targeting.iter().enumerate() {
            let name = rule.name.clone().unwrap_or_else(|| format!("number {}", index + 1));
            let wrong = |problem: String| format!("targeting rule `{name}`: {problem}");
            let query = rule.query.as_deref().ok_or_else(|| wrong("it has no `query`".to_owned()))?;
            let query = Query::parse(query).map_err(wrong)?;
            let outcome = outcome(rule, &text.variations).map_err(wrong)?;
            if !rule.disable {
                targeting.push((query, outcome));
            }
        }
        let default = outcome(&text.default_rule, &text.variations)
            .map_err(|problem| format!("defaultRule: {problem}"))?;
        Ok(Self {
            variations: text.variations,
            targeting,
            default,
            bucketing_key: text.bucketing_key,
            disabled: text.disable,
        })
    }

    /// The variation for this context; `None` when the flag is disabled, or buckets are needed and there is no
    /// tenant to find one for.
    pub(super) fn evaluate(&self, name: &str, context: &FlagContext) -> Option<Evaluation> {
        if self.disabled {
            return None;
        }
        let rule = self.targeting.iter().find(|(query, _)| query.holds(context)).map(|(_, outcome)| outcome);
        let variation = match rule.unwrap_or(&self.default) {
            Outcome::Variation(variation) => variation,
            Outcome::Shares(shares) => {
                let key = self.key(context)?;
                let total: u32 = shares.iter().map(|(_, share)| share).sum();
                let bucket = bucket(name, &key, total);
                let mut end = 0;
                let found = shares.iter().find(|(_, share)| {
                    end += share;
                    bucket < end
                });
                &found?.0
            }
        };
        let value = self.variations.get(variation)?;
        Some(Evaluation { variation: variation.clone(), value: value.clone() })
    }

    /// What is hashed: the tenant, or the fact that `bucketingKey` names. Outside of a tenant there are no buckets.
    fn key(&self, context: &FlagContext) -> Option<String> {
        let tenant = context.tenant_id?.to_string();
        match self.bucketing_key.as_deref() {
            None | Some("" | "tenantId" | "targetingKey") => Some(tenant),
            Some(name) => context.attributes.get(name).map(|value| match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            }),
        }
    }
}

fn outcome(rule: &RuleText, variations: &BTreeMap<String, Value>) -> Result<Outcome, String> {
    let known = |variation: &String| {
        if variations.contains_key(variation) {
            Ok(())
        } else {
            let names = variations.keys().cloned().collect::<Vec<_>>().join(", ");
            Err(format!("`{variation}` is no variation; there are {names}"))
        }
    };
    match (&rule.variation, &rule.percentage) {
        (Some(variation), None) => known(variation).map(|()| Outcome::Variation(variation.clone())),
        (None, Some(percentage)) => {
            let mut shares = Vec::new();
            // GO Feature Flag deals buckets in reverse order of the names.
            for (variation, percent) in percentage.iter().rev() {
                known(variation)?;
                if !(0.0..=100.0).contains(percent) {
                    return Err(format!("{percent} % for `{variation}` is not between 0 and 100"));
                }
                #[allow(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "checked to be 0 to 100"
                )]
                shares.push((variation.clone(), (percent * 1000.0).round() as u32));
            }
            let total: u32 = shares.iter().map(|(_, share)| share).sum();
            if total != 100_000 {
                return Err(format!("the percentages add up to {}, not to 100", f64::from(total) / 1000.0));
            }
            Ok(Outcome::Shares(shares))
        }
        _ => Err("give either `variation` or `percentage`".to_owned()),
    }
}

/// FNV-1a of 32 bits over the flag's name and the key, as GO Feature Flag does.
fn bucket(flag: &str, key: &str, total: u32) -> u32 {
    let hash = flag
        .bytes()
        .chain(key.bytes())
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    hash % total.max(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn rollout(shares: &[(&str, u32)]) -> Flag {
        let variations: String = shares.iter().map(|(name, _)| format!("    {name}: \"{name}\"\n")).collect();
        let percentage: String =
            shares.iter().map(|(name, share)| format!("      {name}: {share}\n")).collect();
        let text = format!("f:\n  variations:\n{variations}  defaultRule:\n    percentage:\n{percentage}");
        parse(&text).unwrap().remove("f").unwrap()
    }

    fn variation(flag: &Flag, tenant: u128) -> String {
        let context = FlagContext::tenant(Uuid::from_u128(tenant));
        flag.evaluate("f", &context).unwrap().variation
    }

    proptest! {
        #[test]
        fn a_tenant_that_has_the_growing_variation_keeps_it(tenant: u128, from in 0_u32..=100, more in 0_u32..=100) {
            let to = (from + more).min(100);
            let before = variation(&rollout(&[("on", from), ("off", 100 - from)]), tenant);
            let after = variation(&rollout(&[("on", to), ("off", 100 - to)]), tenant);
            prop_assert!(before == "off" || after == "on");
        }

        #[test]
        fn so_it_does_among_three(tenant: u128, a in 0_u32..=50, b in 0_u32..=50, more in 0_u32..=50, which in 0_usize..6) {
            // One of the three grows by what one other gives.
            let (grows, gives) = [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)][which];
            let names = ["a", "b", "c"];
            let mut shares = [a, b, 100 - a - b];
            let flag = |shares: [u32; 3]| rollout(&[("a", shares[0]), ("b", shares[1]), ("c", shares[2])]);
            let before = variation(&flag(shares), tenant);
            let more = more.min(shares[gives]);
            shares[grows] += more;
            shares[gives] -= more;
            let after = variation(&flag(shares), tenant);
            prop_assert!(before != names[grows] || after == names[grows]);
        }

        #[test]
        fn nothing_in_a_file_panics(text in "[a-z:{}\\[\\]\" \n%0-9-]{0,200}") {
            let _ = parse(&text);
        }
    }

    #[test]
    fn buckets_are_those_of_fnv_1a() {
        // The published test vector of FNV-1a 32: "foobar" is 0xbf9cf968.
        assert_eq!(bucket("foo", "bar", u32::MAX), 0xbf9c_f968);
    }

    #[test]
    fn a_tenth_is_about_a_tenth() {
        let flag = rollout(&[("on", 10), ("off", 90)]);
        let on = (0..10_000).filter(|tenant| variation(&flag, *tenant) == "on").count();
        assert!((800..1200).contains(&on), "{on} of 10000");
    }

    #[test]
    fn rules_are_tried_in_order_and_the_default_is_last() {
        let text = r#"
beta:
  variations: { enabled: true, disabled: false }
  targeting:
    - { name: staff, query: 'email ew "@septemcore.com"', variation: enabled }
    - { name: paused, query: 'plan eq "free"', variation: enabled, disable: true }
    - { query: 'plan eq "free"', variation: disabled }
  defaultRule: { variation: enabled }
retired: { variations: { a: 1 }, defaultRule: { variation: a }, disable: true }
"#;
        let flags = parse(text).unwrap();
        let of = |context: FlagContext| flags["beta"].evaluate("beta", &context).unwrap().value;
        let nobody = FlagContext::default;
        assert_eq!(of(nobody().with("email", "a@septemcore.com").with("plan", "free")), Value::Bool(true));
        assert_eq!(of(nobody().with("plan", "free")), Value::Bool(false));
        assert_eq!(of(nobody()), Value::Bool(true));
        assert_eq!(flags["retired"].evaluate("retired", &nobody()), None);
        let percent = rollout(&[("on", 50), ("off", 50)]);
        assert_eq!(percent.evaluate("f", &nobody()), None, "no tenant, no bucket");
    }

    #[test]
    fn a_wrong_file_says_where() {
        for (text, part) in [
            (
                "f: { variations: { a: 1 }, defaultRule: { variation: b } }",
                "flag `f`: defaultRule: `b` is no variation",
            ),
            (
                "f: { variations: { a: 1 }, defaultRule: { percentage: { a: 50 } } }",
                "add up to 50, not to 100",
            ),
            (
                "f: { variations: { a: 1, b: x }, defaultRule: { variation: a } }",
                "flag `f`: its variations are not all of one type",
            ),
            ("f: { variations: { a: 1 }, defaultRule: {} }", "either `variation` or `percentage`"),
            ("f: { variations: { a: 1 }, defaultRule: { variation: a }, targetting: [] }", "targetting"),
            (
                "f: { variations: { a: 1 }, targeting: [{ name: x, query: 'a eq', variation: a }], defaultRule: { variation: a } }",
                "targeting rule `x`",
            ),
        ] {
            let problem = parse(text).unwrap_err();
            assert!(problem.contains(part), "{problem}");
        }
        assert!(parse("").unwrap().is_empty());
    }
}
