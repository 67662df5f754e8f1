//! Whether a peer's certificate is good: its chain by RFC 5280 (rustls-webpki does that), its names by RFC 5922.
//!
//! rustls's own verifiers would match names as HTTPS does, wildcards included, and know neither `sip` URIs nor the
//! extended key usage of SIP domains (RFC 5924).

use super::names::Names;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, OtherError, RootCertStore, SignatureScheme};
use std::sync::Arc;
use webpki::{EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeId, KeyPurposeIdIter};

/// Checks chains of certificates.
#[derive(Clone, Debug)]
pub(super) struct Chains {
    pub(super) roots: Arc<RootCertStore>,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
}

/// What a certificate may be for when it says so: id-kp-serverAuth, id-kp-clientAuth, id-kp-sipDomain and any
/// (RFC 5280 §4.2.1.12, RFC 5924 §4).
const SERVER_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];
const CLIENT_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 2];
const SIP_DOMAIN: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 20];
const ANY: &[u8] = &[0x55, 0x1d, 0x25, 0];

/// A server's certificate.
const OF_SERVER: Usages = Usages(&[SERVER_AUTH, SIP_DOMAIN, ANY]);
/// A client's. A proxy is server and client with one certificate, and public CAs give it id-kp-serverAuth alone.
const OF_CLIENT: Usages = Usages(&[CLIENT_AUTH, SERVER_AUTH, SIP_DOMAIN, ANY]);

/// Extended key usages of which a certificate must have one, unless it has none at all.
#[derive(Clone, Copy)]
struct Usages(&'static [&'static [u8]]);

impl ExtendedKeyUsageValidator for Usages {
    fn validate(&self, usages: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        let mut restricted = false;
        for usage in usages {
            let usage = usage?;
            if self.0.iter().any(|oid| KeyPurposeId::new(oid) == usage) {
                return Ok(());
            }
            restricted = true;
        }
        #[allow(deprecated)] // The new variant names one usage that is missing; here any of several would do.
        if restricted { Err(webpki::Error::RequiredEkuNotFound) } else { Ok(()) }
    }
}

impl Chains {
    /// Whether a certificate leads to a CA that is trusted, is valid `now` and may be used for one of `usages`.
    fn verify(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
        usages: Usages,
    ) -> Result<(), rustls::Error> {
        let certificate = EndEntityCert::try_from(end_entity).map_err(refusal)?;
        let (algorithms, roots) = (self.algorithms.all, &self.roots.roots);
        let verified = certificate.verify_for_usage(algorithms, roots, intermediates, now, usages, None, None);
        verified.map(drop).map_err(refusal)
    }
}

/// What the peer (an alert) and the log are told.
fn refusal(error: webpki::Error) -> rustls::Error {
    use webpki::Error as E;
    let why = match error {
        E::BadDer | E::BadDerTime | E::TrailingData(_) => CertificateError::BadEncoding,
        E::CertExpired { time, not_after } => CertificateError::ExpiredContext { time, not_after },
        E::CertNotValidYet { time, not_before } => CertificateError::NotValidYetContext { time, not_before },
        E::InvalidCertValidity => CertificateError::Expired,
        E::UnknownIssuer => CertificateError::UnknownIssuer,
        E::InvalidSignatureForPublicKey => CertificateError::BadSignature,
        #[allow(deprecated)] // As above.
        E::RequiredEkuNotFound => CertificateError::InvalidPurpose,
        other => CertificateError::Other(OtherError(Arc::new(other))),
    };
    why.into()
}

/// Verifies servers that we connect to (RFC 5922 §7.3).
#[derive(Debug)]
pub(super) struct SipServerVerifier {
    pub(super) chains: Chains,
    pub(super) accept_common_name: bool,
}

impl ServerCertVerifier for SipServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.chains.verify(end_entity, intermediates, now, OF_SERVER)?;
        let names = Names::read(end_entity).map_err(|_| CertificateError::BadEncoding)?;
        if names.matches(server_name, self.accept_common_name) {
            return Ok(ServerCertVerified::assertion());
        }
        let (expected, presented) = (server_name.to_owned(), names.hosts(self.accept_common_name));
        Err(CertificateError::NotValidForNameContext { expected, presented }.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.chains.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.chains.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chains.algorithms.supported_schemes()
    }
}

/// Verifies clients that connect to us (RFC 5922 §7.4). Who they are is told to whoever asks
/// ([`super::TlsContext::peer_identities`]): what they may do is not decided by a handshake.
#[derive(Debug)]
pub(super) struct SipClientVerifier {
    pub(super) chains: Chains,
    /// The CAs that are trusted, for the client to choose its certificate by.
    pub(super) subjects: Vec<DistinguishedName>,
    pub(super) required: bool,
}

impl ClientCertVerifier for SipClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.required
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.subjects
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.chains.verify(end_entity, intermediates, now, OF_CLIENT)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.chains.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.chains.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chains.algorithms.supported_schemes()
    }
}
