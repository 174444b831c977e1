//! Whether what a user was granted covers what a route asks for.

/// `*` covers everything, `money.*` everything of `money`, `money.wallets.*` everything of its wallets; anything else only
/// itself.
pub fn allows<'g>(granted: impl IntoIterator<Item = &'g str>, required: &str) -> bool {
    granted.into_iter().any(|grant| match grant.strip_suffix('*') {
        Some("") => true,
        Some(prefix) => {
            prefix.ends_with('.') && required.len() > prefix.len() && required.starts_with(prefix)
        }
        None => grant == required,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_cover_what_they_say() {
        let table: &[(&[&str], &str, bool)] = &[
            (&[], "money.wallets.credit", false),
            (&["*"], "money.wallets.credit", true),
            (&["*"], "system.shutdown", true),
            (&["money.*"], "money.wallets.credit", true),
            (&["money.*"], "moneybox.wallets.credit", false),
            (&["money.*"], "money.", false),
            (&["money.*"], "money", false),
            (&["money.wallets.*"], "money.wallets.credit", true),
            (&["money.wallets.*"], "money.holds.confirm", false),
            (&["money*"], "money.wallets.credit", false),
            (&["mon*"], "money.wallets.credit", false),
            (&["money.wallets.credit"], "money.wallets.credit", true),
            (&["money.wallets.credit"], "money.wallets.debit", false),
            (&["money.wallets.credit"], "money.wallets.credit.all", false),
            (&["MONEY.*"], "money.wallets.credit", false),
            (&[""], "money.wallets.credit", false),
            (&[".*"], "money.wallets.credit", false),
            (&["users.list", "audit.read"], "audit.read", true),
            (&["users.list", "audit.read"], "audit.export", false),
        ];
        for (granted, required, allowed) in table {
            assert_eq!(allows(granted.iter().copied(), required), *allowed, "{granted:?} {required}");
        }
    }
}
