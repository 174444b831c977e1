//! Codes of an authenticator: TOTP of RFC 6238 with HMAC-SHA-1, six digits, thirty seconds.

use std::time::Duration;

use data_encoding::BASE32_NOPAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;

/// How long a code is shown.
pub const PERIOD: Duration = Duration::from_secs(30);

/// Bytes of a secret: as many as the hash has (RFC 4226, section 4, R6).
pub const SECRET_LENGTH: usize = 20;

/// A clock may be wrong by so many steps (RFC 6238, section 5.2).
const TOLERANCE: i64 = 1;

const MODULUS: u32 = 1_000_000;

/// The code of one time step: HOTP of RFC 4226. None only for a secret that no HMAC takes, and it takes every one.
pub fn code_at(secret: &[u8], step: i64) -> Option<String> {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret).ok()?;
    mac.update(&step.to_be_bytes());
    let digest = mac.finalize().into_bytes();
    let offset = usize::from(digest.last()? & 0x0f);
    let word: [u8; 4] = digest.get(offset..offset + 4)?.try_into().ok()?;
    Some(format!("{:06}", (u32::from_be_bytes(word) & 0x7fff_ffff) % MODULUS))
}

/// The time step that a code belongs to, if it is good `at` this second and newer than the last one that was used.
pub fn step_of(secret: &[u8], code: &str, at: i64, last_step: i64) -> Option<i64> {
    let now = at.div_euclid(i64::try_from(PERIOD.as_secs()).ok()?);
    let wanted = svc_kit::Secret::new(code);
    let good = |step: &i64| code_at(secret, *step).is_some_and(|own| wanted.matches(own.as_bytes()));
    (now - TOLERANCE..=now + TOLERANCE).filter(|step| *step > last_step).find(good)
}

/// A secret as people type it in.
pub fn base32(secret: &[u8]) -> String {
    BASE32_NOPAD.encode(secret)
}

/// What an authenticator reads from the picture: the key URI of the usual apps. `issuer` names the platform.
pub fn key_uri(issuer: &str, account: &str, secret: &[u8]) -> String {
    let (issuer, account, secret) = (percent(issuer), percent(account), base32(secret));
    format!(
        "otpauth://totp/{issuer}:{account}?secret={secret}&issuer={issuer}&algorithm=SHA1&digits=6&period=30"
    )
}

fn percent(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_rfc_6238() {
        // Appendix B, SHA1, of whose eight digits the last six are ours.
        let secret = b"12345678901234567890";
        for (second, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(step_of(secret, code, second, -1), Some(second / 30), "{second}");
        }
    }

    #[test]
    fn a_code_is_good_for_a_step_before_and_after_and_once() {
        let (secret, at) = (b"12345678901234567890", 1_234_567_890);
        let step = at / 30;
        let code = |step| code_at(secret, step).unwrap();
        for (offset, good) in [(-2, false), (-1, true), (0, true), (1, true), (2, false)] {
            let found = step_of(secret, &code(step + offset), at, -1);
            assert_eq!(found, good.then_some(step + offset), "{offset}");
        }
        assert_eq!(step_of(secret, &code(step), at, step), None, "used");
        assert_eq!(step_of(secret, &code(step - 1), at, step), None, "older than one that was used");
        for wrong in ["", "12345", "0059244", "005 924", "５９２４００"] {
            assert_eq!(step_of(secret, wrong, at, -1), None, "{wrong}");
        }
    }

    #[test]
    fn the_uri_names_everything_an_app_needs() {
        assert_eq!(
            key_uri("api.example.com", "ada+test@example.com", b"Hello!\xde\xad\xbe\xef"),
            "otpauth://totp/api.example.com:ada%2Btest%40example.com?secret=JBSWY3DPEHPK3PXP\
             &issuer=api.example.com&algorithm=SHA1&digits=6&period=30"
        );
    }
}
