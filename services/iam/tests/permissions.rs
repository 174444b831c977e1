//! The grammar of permissions: whatever is asked, nobody gets more by a role than its maker has.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::slice::from_ref;

use iam::domain::{MEMBER, OWNER, Role, check_new_role};
use proptest::prelude::*;
use svc_kit::permission::{belongs_to_the_operator, covers};

const WORDS: &[&str] = &[
    "money",
    "wallets",
    "credit",
    "users",
    "impersonate",
    "tenants",
    "create",
    "block",
    "system",
    "platform",
    "crm",
    "*",
    "",
];

fn path() -> impl Strategy<Value = Vec<&'static str>> {
    prop::collection::vec(prop::sample::select(WORDS), 1..4)
}

/// `*`, a pattern over the beginning of a path, or the path itself: so those of one path meet.
fn at_level(path: &[&str], level: usize) -> String {
    match path.get(..level) {
        Some([]) => "*".to_owned(),
        Some(beginning) if level < path.len() => format!("{}.*", beginning.join(".")),
        _ => path.join("."),
    }
}

/// Mostly of the path, now and then a permission, a pattern, or nearly so, of another.
fn permission(own: Vec<&'static str>) -> impl Strategy<Value = String> {
    let ends = prop::sample::select(vec!["", ".*", "*", "."]);
    prop_oneof![
        3 => (0..4_usize).prop_map(move |level| at_level(&own, level)),
        1 => (path(), ends).prop_map(|(path, end)| path.join(".") + end),
    ]
}

fn permissions(own: Vec<&'static str>) -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(permission(own), 1..4)
}

/// A permission that is asked for, two roles and a permission between them, all mostly of one path.
fn world() -> impl Strategy<Value = (Vec<String>, Vec<String>, [String; 3])> {
    path().prop_flat_map(|path| {
        let three = [(); 3].map(|()| permission(path.clone()));
        (permissions(path.clone()), permissions(path), three)
    })
}

fn granted(permissions: &[String], wanted: &str) -> bool {
    covers(permissions.iter().map(String::as_str), wanted)
}

fn may_make(maker: Role, permissions: &[String]) -> bool {
    check_new_role("Made up", permissions, &[maker]).is_ok()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn what_covers_a_pattern_covers_what_it_covers((_, _, [a, b, c]) in world()) {
        if granted(from_ref(&a), &b) && granted(from_ref(&b), &c) {
            prop_assert!(granted(from_ref(&a), &c), "`{}` covers `{}`, which covers `{}`", a, b, c);
        }
    }

    #[test]
    fn no_role_of_a_tenant_reaches_the_operators((new, _, [wanted, ..]) in world()) {
        if may_make(OWNER(), &new) && belongs_to_the_operator(&wanted) {
            prop_assert!(!granted(&new, &wanted), "{:?} reaches `{}`", new, wanted);
        }
    }

    #[test]
    fn nobody_makes_a_role_that_does_more_than_they_do((own, new, [wanted, ..]) in world()) {
        let maker = Role { permissions: own.clone(), ..MEMBER() };
        if may_make(maker, &new) && granted(&new, &wanted) {
            prop_assert!(granted(&own, &wanted), "{:?} makes {:?}, which does `{}`", own, new, wanted);
        }
    }
}
