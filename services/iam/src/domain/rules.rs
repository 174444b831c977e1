//! What names and passwords must be like.

use super::Broken;

const PASSWORD_MINIMUM: usize = 12;
/// Hashing reads all of it: without a limit a request could keep a core busy.
const PASSWORD_MAXIMUM: usize = 1024;
const NAME_MAXIMUM: usize = 255;
const REASON_MAXIMUM: usize = 500;

/// A password is long; what it is made of is the user's business.
///
/// # Errors
///
/// When it is too short or absurdly long.
pub fn check_password(password: &str) -> Result<(), Broken> {
    if password.chars().count() < PASSWORD_MINIMUM {
        return Err(Broken::new(
            "password",
            "min_length",
            format!("must have at least {PASSWORD_MINIMUM} characters"),
        ));
    }
    if password.len() > PASSWORD_MAXIMUM {
        return Err(Broken::new(
            "password",
            "max_length",
            format!("must have at most {PASSWORD_MAXIMUM} bytes"),
        ));
    }
    Ok(())
}

/// A person's name; it may be empty.
///
/// # Errors
///
/// When it is too long.
pub fn check_name(name: &str) -> Result<(), Broken> {
    if name.chars().count() > NAME_MAXIMUM {
        return Err(Broken::new(
            "name",
            "max_length",
            format!("must have at most {NAME_MAXIMUM} characters"),
        ));
    }
    Ok(())
}

/// The name of an organization.
///
/// # Errors
///
/// When it is empty or too long.
pub fn check_organization(name: &str) -> Result<(), Broken> {
    if name.trim().is_empty() {
        return Err(Broken::new("organization", "required", "must be the name of your organization"));
    }
    if name.chars().count() > NAME_MAXIMUM {
        return Err(Broken::new(
            "organization",
            "max_length",
            format!("must have at most {NAME_MAXIMUM} characters"),
        ));
    }
    Ok(())
}

/// Why somebody does something that is written down.
///
/// # Errors
///
/// When it is empty or too long.
pub fn check_reason(reason: &str) -> Result<(), Broken> {
    if reason.trim().is_empty() || reason.chars().count() > REASON_MAXIMUM {
        let message = format!("must say why, in 1 to {REASON_MAXIMUM} characters");
        return Err(Broken::new("reason", "required", message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_counted_in_characters() {
        assert!(check_password("twelve chars").is_ok());
        assert!(check_password("éééééééééééé").is_ok());
        assert_eq!(check_password("eleven char").unwrap_err().rule, "min_length");
        assert_eq!(check_password(&"x".repeat(1025)).unwrap_err().rule, "max_length");
    }

    #[test]
    fn an_organization_has_a_name() {
        assert!(check_organization("Acme").is_ok());
        assert_eq!(check_organization("  ").unwrap_err().rule, "required");
        assert!(check_name("").is_ok());
        assert!(check_name(&"x".repeat(256)).is_err());
        assert!(check_reason("ticket 7").is_ok());
        assert!(check_reason(" ").is_err() && check_reason(&"x".repeat(501)).is_err());
    }
}
