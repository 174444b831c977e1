//! Recovery codes: what opens an account whose authenticator is lost. Each is good once.

use rand::Rng as _;

/// How many a user has.
pub const RECOVERY_CODES: usize = 10;

const GROUPS: usize = 3;
const GROUP: usize = 4;

/// Crockford's base 32: nothing that people mistake for something else. Twelve of them are 60 bits.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// New codes, written as XXXX-XXXX-XXXX.
pub fn new_codes() -> Vec<String> {
    let mut random = rand::rng();
    let mut letter = || char::from(ALPHABET[random.random_range(0..ALPHABET.len())]);
    let mut group = || (0..GROUP).map(|_| letter()).collect::<String>();
    (0..RECOVERY_CODES).map(|_| (0..GROUPS).map(|_| group()).collect::<Vec<_>>().join("-")).collect()
}

/// What was typed, as a code is kept: without dashes and spaces, in upper case, with letters that look like digits
/// read as those. `None` when it cannot be a recovery code.
pub fn normalized(typed: &str) -> Option<String> {
    let letters = typed.chars().filter(|letter| !matches!(letter, '-' | ' '));
    let code: String = letters
        .map(|letter| match letter.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            other => other,
        })
        .collect();
    let known = code.bytes().all(|byte| ALPHABET.contains(&byte));
    (known && code.len() == GROUPS * GROUP).then_some(code)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn codes_differ_and_can_be_typed_in_any_way() {
        let codes = new_codes();
        assert_eq!(codes.iter().collect::<HashSet<_>>().len(), RECOVERY_CODES);
        for code in &codes {
            assert_eq!(code.len(), 14, "{code}");
            let kept = normalized(code).unwrap();
            assert_eq!(normalized(&code.to_lowercase()), Some(kept.clone()));
            assert_eq!(normalized(&code.replace('-', " ")), Some(kept));
        }
        assert_eq!(normalized("oil0-oil0-oil0").as_deref(), Some("011001100110"));
        for wrong in ["", "123456", "ABCD-EFGH-JKMU", "ABCD-EFGH-JKM", "ABCD-EFGH-JKMNP", "ÄBCD-EFGH-JKMN"] {
            assert_eq!(normalized(wrong), None, "{wrong}");
        }
    }
}
