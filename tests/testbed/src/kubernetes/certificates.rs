//! The keys and certificates of one cluster: made for it, gone with it.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};

use super::files;
use crate::failure::{Failure, because};

/// How long they are valid. A cluster of the testbed lives for hours; an `up` makes new ones.
const DAYS: i64 = 30;

/// Who a certificate is for, and the names that its holder answers to.
struct Subject<'a> {
    file: &'a str,
    name: &'a str,
    group: Option<&'a str>,
    addresses: &'a [Ipv4Addr],
    names: &'a [&'a str],
}

/// Makes every key and certificate that the cluster needs in `folder`: `NAME.crt` and `NAME.key`.
///
/// The names of users and groups are those that Kubernetes' own RBAC rules are written for.
///
/// # Errors
/// When a file can't be written.
pub(super) fn make(
    folder: &Path,
    node: &str,
    node_address: Ipv4Addr,
    service: Ipv4Addr,
) -> Result<(), Failure> {
    let subject = |file, name, group| Subject { file, name, group, addresses: &[], names: &[] };
    let node_user = format!("system:node:{node}");
    let cluster = Authority::make(folder, "cluster-authority")?;
    for subject in [
        Subject {
            addresses: &[node_address, Ipv4Addr::LOCALHOST, service],
            names: &[
                "localhost",
                "kubernetes",
                "kubernetes.default",
                "kubernetes.default.svc",
                "kubernetes.default.svc.cluster.local",
            ],
            ..subject("api-server", "kube-apiserver", None)
        },
        subject("administrator", "testbed-administrator", Some("system:masters")),
        subject("api-server-to-kubelet", "kube-apiserver-kubelet-client", Some("system:masters")),
        subject("controller-manager", "system:kube-controller-manager", None),
        subject("scheduler", "system:kube-scheduler", None),
        subject("proxy", "system:kube-proxy", None),
        subject("dns", "testbed-dns", None),
        Subject {
            addresses: &[node_address],
            names: &[node],
            ..subject("node", &node_user, Some("system:nodes"))
        },
    ] {
        cluster.sign(folder, &subject)?;
    }
    // The API server vouches with this one for whom it passes on to an extension API server.
    Authority::make(folder, "front-authority")?
        .sign(folder, &subject("front", "front-proxy-client", None))?;
    // What service account tokens are signed and checked with: a key without a certificate.
    let key = key()?;
    files::write_private(&private_key(folder, "service-account"), &key.serialize_pem())?;
    files::write_private(&public_key(folder, "service-account"), &key.public_key_pem())
}

/// Where a certificate of [`make`] is.
pub(super) fn certificate(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.crt"))
}

/// Where the public half of a key without a certificate is.
pub(super) fn public_key(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.pub"))
}

/// Where its key is.
pub(super) fn private_key(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.key"))
}

struct Authority {
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn make(folder: &Path, name: &str) -> Result<Self, Failure> {
        let key = key()?;
        let mut params = params(name, None);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let signed = params.self_signed(&key).map_err(because(format!("signing {name}")))?;
        write(folder, name, &signed.pem(), &key)?;
        Ok(Self { issuer: Issuer::new(params, key) })
    }

    fn sign(&self, folder: &Path, subject: &Subject<'_>) -> Result<(), Failure> {
        let attempted = || format!("signing the certificate of {}", subject.name);
        let key = key()?;
        let mut params = params(subject.name, subject.group);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        for address in subject.addresses {
            params.subject_alt_names.push(SanType::IpAddress(IpAddr::V4(*address)));
        }
        for name in subject.names {
            let name = (*name).try_into().map_err(because(attempted()))?;
            params.subject_alt_names.push(SanType::DnsName(name));
        }
        let signed = params.signed_by(&key, &self.issuer).map_err(because(attempted()))?;
        write(folder, subject.file, &signed.pem(), &key)
    }
}

fn params(name: &str, group: Option<&str>) -> CertificateParams {
    let mut params = CertificateParams::default();
    let mut who = DistinguishedName::new();
    who.push(DnType::CommonName, name);
    if let Some(group) = group {
        who.push(DnType::OrganizationName, group);
    }
    params.distinguished_name = who;
    let midnight = |date: Date| {
        let part = |number: i8| u8::try_from(number).unwrap_or(1);
        rcgen::date_time_ymd(i32::from(date.year()), part(date.month()), part(date.day()))
    };
    let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
    // A day back, for whoever's clock is a little behind.
    params.not_before = midnight(today.saturating_sub(1.day()));
    params.not_after = midnight(today.saturating_add(DAYS.days()));
    params
}

fn key() -> Result<KeyPair, Failure> {
    KeyPair::generate().map_err(because("making a key"))
}

fn write(folder: &Path, name: &str, certificate_text: &str, key: &KeyPair) -> Result<(), Failure> {
    files::write_private(&certificate(folder, name), certificate_text)?;
    files::write_private(&private_key(folder, name), &key.serialize_pem())
}
