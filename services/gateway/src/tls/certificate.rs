//! The development certificate: self-signed, for this machine only, kept so that a browser has to be told once.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use jiff::{ToSpan as _, Zoned, civil::Date};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, PKCS_ECDSA_P256_SHA256,
    date_time_ymd,
};
use svc_kit::Secret;

use super::TlsError;

/// The certificate in PEM.
pub const CERTIFICATE_FILE: &str = "certificate.pem";
/// Its private key in PEM, readable by its owner only.
pub const KEY_FILE: &str = "key.pem";
/// The day on which it ends. A certificate without this file is somebody's own, and never replaced.
const EXPIRY_FILE: &str = "expires";

/// Browsers refuse longer ones.
const DAYS: i32 = 365;
/// It is renewed so many days before it ends.
const RENEW_BEFORE: i32 = 30;
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// A certificate and its key.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// The certificate in PEM.
    pub certificate_pem: String,
    /// The key in PEM.
    pub key_pem: Secret,
    /// Where it is kept, for messages.
    pub(super) place: String,
}

impl Certificate {
    /// The certificate of the directory, made or renewed where needed; without a directory a new one.
    ///
    /// # Errors
    ///
    /// When the directory cannot be read or written, or holds something else.
    pub fn keep(directory: Option<&Path>) -> Result<Certificate, TlsError> {
        keep(directory, Zoned::now().date()).map_err(|error| TlsError::Certificate {
            place: directory.map_or_else(|| "memory".to_owned(), |directory| directory.display().to_string()),
            problem: error.to_string(),
        })
    }
}

fn keep(directory: Option<&Path>, today: Date) -> io::Result<Certificate> {
    let Some(directory) = directory else { return generate(today).map(|(certificate, _)| certificate) };
    if let Some(certificate) = read(directory, today)? {
        return Ok(certificate);
    }
    let (mut certificate, expires) = generate(today)?;
    certificate.place = directory.display().to_string();
    fs::create_dir_all(directory)?;
    // The expiry goes first and comes last: killed in between, the next start finds a set that it replaces.
    replace(directory, EXPIRY_FILE, "0000-01-01", 0o644)?;
    replace(directory, KEY_FILE, certificate.key_pem.expose(), 0o600)?;
    replace(directory, CERTIFICATE_FILE, &certificate.certificate_pem, 0o644)?;
    replace(directory, EXPIRY_FILE, &expires.to_string(), 0o644)?;
    tracing::info!(directory = certificate.place, %expires, "made a development certificate");
    Ok(certificate)
}

/// What is kept, unless there is nothing or it is about to end.
fn read(directory: &Path, today: Date) -> io::Result<Option<Certificate>> {
    if let Some(expires) = text(&directory.join(EXPIRY_FILE))? {
        let renew =
            expires.trim().parse::<Date>().ok().and_then(|day| day.checked_sub(RENEW_BEFORE.days()).ok());
        if renew.is_none_or(|renew| today >= renew) {
            return Ok(None);
        }
    }
    let (certificate, key) = (text(&directory.join(CERTIFICATE_FILE))?, text(&directory.join(KEY_FILE))?);
    let (Some(certificate_pem), Some(key)) = (certificate, key) else { return Ok(None) };
    Ok(Some(Certificate {
        certificate_pem,
        key_pem: Secret::new(key),
        place: directory.display().to_string(),
    }))
}

fn text(path: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes beside and renames, so that nobody ever sees half a file or a key that others can read.
fn replace(directory: &Path, name: &str, text: &str, mode: u32) -> io::Result<()> {
    let beside = directory.join(format!(".{name}.new"));
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, directory.join(name))
}

fn generate(today: Date) -> io::Result<(Certificate, Date)> {
    let (from, until) = (today.saturating_sub(1.day()), today.saturating_add(DAYS.days()));
    let mut params = CertificateParams::new(NAMES.map(str::to_owned)).map_err(io::Error::other)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "kernel development gateway");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // The type is one of `rcgen`'s dependencies: a closure spares us its name.
    let midnight = |day: Date| {
        date_time_ymd(i32::from(day.year()), day.month().unsigned_abs(), day.day().unsigned_abs())
    };
    (params.not_before, params.not_after) = (midnight(from), midnight(until));
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(io::Error::other)?;
    let certificate = params.self_signed(&key).map_err(io::Error::other)?;
    let certificate = Certificate {
        certificate_pem: certificate.pem(),
        key_pem: Secret::new(key.serialize_pem()),
        place: "memory".to_owned(),
    };
    Ok((certificate, until))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use jiff::civil::date;

    use super::*;

    #[test]
    fn it_is_made_once_kept_and_renewed_in_time() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tls");
        let first = keep(Some(&path), date(2026, 1, 1)).unwrap();
        let second = keep(Some(&path), date(2026, 12, 1)).unwrap();
        assert_eq!(first.certificate_pem, second.certificate_pem, "kept for eleven months");
        let renewed = keep(Some(&path), date(2026, 12, 2)).unwrap();
        assert_ne!(first.certificate_pem, renewed.certificate_pem, "renewed thirty days before its end");
        assert_eq!(fs::read_to_string(path.join(EXPIRY_FILE)).unwrap(), "2027-12-02");
        let mode = fs::metadata(path.join(KEY_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn what_a_kill_left_behind_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let whole = keep(Some(path), date(2026, 1, 1)).unwrap();
        fs::write(path.join(EXPIRY_FILE), "0000-01-01").unwrap();
        fs::write(path.join(".key.pem.new"), "half").unwrap();
        let repaired = keep(Some(path), date(2026, 1, 1)).unwrap();
        assert_ne!(whole.certificate_pem, repaired.certificate_pem);
        super::super::config(&repaired).unwrap();
    }

    #[test]
    fn somebodys_own_certificate_is_never_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let (own, _) = generate(date(2001, 1, 1)).unwrap();
        fs::write(path.join(CERTIFICATE_FILE), &own.certificate_pem).unwrap();
        fs::write(path.join(KEY_FILE), own.key_pem.expose()).unwrap();
        let found = keep(Some(path), date(2026, 1, 1)).unwrap();
        assert_eq!(found.certificate_pem, own.certificate_pem);
    }

    #[test]
    fn garbage_is_reported_with_its_place() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(CERTIFICATE_FILE), "garbage").unwrap();
        fs::write(directory.path().join(KEY_FILE), "garbage").unwrap();
        let found = Certificate::keep(Some(directory.path())).unwrap();
        let error = super::super::config(&found).unwrap_err().to_string();
        assert!(error.contains(&directory.path().display().to_string()), "{error}");
    }
}
