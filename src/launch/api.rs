//! What the gate needs for the service by a socket, read with the launcher's rights: the gate can open no file.

use super::error::LaunchError;
use super::secrets;
use crate::gate::protocol::{Api, Key};
use crate::host::trust::{self, Trust};
use crate::plan::ApiPlan;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use std::path::Path;

/// The longest file of authorities that is read, in bytes.
const LONGEST_BUNDLE: u64 = 4 << 20;

/// Where distributions keep the authorities that they know.
const BUNDLES: [&str; 5] = [
    // Debian, Alpine, Gentoo, Arch and NixOS.
    "/etc/ssl/certs/ca-certificates.crt",
    // Fedora and its kin.
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    // SUSE.
    "/var/lib/ca-certificates/ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
];

/// The key, and the authorities by which the service's certificate is checked.
pub(super) fn start(plan: &ApiPlan) -> Result<Api, LaunchError> {
    let ApiPlan { upstream, key, header, ca, addresses, .. } = plan;
    let roots = match (upstream.tls, ca) {
        (false, _) => Vec::new(),
        (true, Some(file)) => authorities_in("network.api.ca", file)?,
        (true, None) => authorities_of_host()?,
    };
    Ok(Api {
        upstream: upstream.clone(),
        header: header.clone(),
        key: Key(secrets::key("network.api.key", key)?),
        addresses: addresses.clone(),
        roots: roots.iter().map(|root| STANDARD.encode(root)).collect(),
    })
}

/// Those in a file of PEM (RFC 7468), which `key` of a profile or the configuration names. Who could change it could speak for the service, and be told the key.
pub(super) fn authorities_in(
    key: &str,
    file: &str,
) -> Result<Vec<CertificateDer<'static>>, LaunchError> {
    let what = || format!("cannot use {key}");
    let text = trust::read_bytes(Path::new(file), &Trust::root_only(), LONGEST_BUNDLE)
        .map_err(|error| LaunchError::File { what: what(), error })?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(LaunchError::Unusable(format!("{file} holds no certificate in PEM"))),
        Err(error) => Err(LaunchError::Unusable(format!("{file} is not PEM: {error}"))),
    }
}

/// Those of the host, where distributions keep them. No variable of the environment leads elsewhere: it may come from
/// somebody who may start agents and must not choose who hears the key.
pub(super) fn authorities_of_host() -> Result<Vec<CertificateDer<'static>>, LaunchError> {
    let bundle = BUNDLES.iter().map(Path::new).find(|path| path.is_file());
    let loaded = rustls_native_certs::load_certs_from_paths(bundle, None);
    if loaded.certs.is_empty() {
        let cause = loaded.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
        let hint = "install the package ca-certificates, or name a file by network.api.ca";
        let told = format!("this host has no certificates of authorities{cause}; {hint}");
        return Err(LaunchError::Unusable(told));
    }
    for error in &loaded.errors {
        tracing::debug!(%error, "a certificate of this host is passed over");
    }
    Ok(loaded.certs)
}
