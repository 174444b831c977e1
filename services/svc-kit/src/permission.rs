//! Permissions: whether what somebody was granted covers what is asked for. Pure; the gateway asks it of every call, iam of
//! every role that is made or handed on.
//!
//! A permission is `{module}.{resource}.{action}`. A grant is a permission, or `{module}.*`, `{module}.{resource}.*`, or
//! `*`: everything in a tenant, what modules bring included, but nothing that belongs to the platform's operator.

/// Prefixes of what belongs to the operator.
const RESERVED: [&str; 2] = ["system.", "platform."];

/// What belongs to the operator though tenants have its neighbours.
const OF_THE_OPERATOR: [&str; 4] = ["tenants.block", "tenants.create", "tenants.delete", "users.impersonate"];

/// Whether any of the grants covers a permission, which may itself be a pattern such as `money.*`.
#[must_use]
pub fn covers<'g>(granted: impl IntoIterator<Item = &'g str>, wanted: &str) -> bool {
    granted.into_iter().any(|grant| match grant.strip_suffix('*') {
        _ if grant == wanted => !wanted.is_empty(),
        Some("") => !belongs_to_the_operator(wanted),
        Some(prefix) => prefix.ends_with('.') && wanted.len() > prefix.len() && wanted.starts_with(prefix),
        None => false,
    })
}

/// Whether a permission, or part of what a pattern stands for, is beyond every role of a tenant.
#[must_use]
pub fn belongs_to_the_operator(wanted: &str) -> bool {
    let pattern = wanted.strip_suffix('*');
    RESERVED.iter().any(|prefix| wanted.starts_with(prefix))
        || OF_THE_OPERATOR
            .iter()
            .any(|own| *own == wanted || pattern.is_some_and(|prefix| own.starts_with(prefix)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_cover_what_they_say_and_nothing_beside() {
        let table: &[(&[&str], &str, bool)] = &[
            (&[], "money.wallets.credit", false),
            (&["*"], "money.wallets.credit", true),
            (&["*"], "greeter.items.create", true),
            (&["*"], "money.*", true),
            (&["*"], "system.shutdown", false),
            (&["*"], "platform.anything.at-all", false),
            (&["*"], "users.impersonate", false),
            (&["*"], "tenants.create", false),
            (&["*"], "tenants.list", true),
            (&["*"], "users.*", false),
            (&["*"], "*", true),
            (&["*", "system.*"], "system.shutdown", true),
            (&["users.*"], "users.impersonate", true),
            (&["money.*"], "money.wallets.credit", true),
            (&["money.*"], "money.*", true),
            (&["money.*"], "moneybox.wallets.credit", false),
            (&[""], "", false),
            (&["money.*"], "money.", false),
            (&["money.*"], "money", false),
            (&["money.wallets.*"], "money.wallets.credit", true),
            (&["money.wallets.*"], "money.holds.confirm", false),
            (&["money.wallets.*"], "money.*", false),
            (&["money*"], "money.wallets.credit", false),
            (&["money.wallets.credit"], "money.wallets.credit", true),
            (&["money.wallets.credit"], "money.wallets.debit", false),
            (&["money.wallets.credit"], "money.wallets.credit.all", false),
            (&["MONEY.*"], "money.wallets.credit", false),
            (&[""], "money.wallets.credit", false),
            (&[".*"], "money.wallets.credit", false),
            (&["users.list", "audit.read"], "audit.read", true),
            (&["users.list", "audit.read"], "audit.export", false),
        ];
        for (granted, wanted, expected) in table {
            assert_eq!(covers(granted.iter().copied(), wanted), *expected, "{granted:?} {wanted}");
        }
    }
}
