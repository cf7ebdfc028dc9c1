//! TLS from two files, read again when they change: whoever renews a certificate need not stop the relay.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, Error as TlsError, ServerConfig, SignatureScheme};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::error::RelayError;

/// How often it is looked whether the files have changed.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The certificate of a relay that speaks TLS itself.
#[derive(Clone)]
pub struct Tls {
    files: Arc<Files>,
    certificate: Arc<Certificate>,
    provider: Arc<CryptoProvider>,
}

struct Files {
    chain: PathBuf,
    key: PathBuf,
}

/// What is shown to who connects from now on.
struct Certificate(RwLock<Arc<CertifiedKey>>);

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tls({}, ..)", self.files.chain.display())
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Certificate(..)")
    }
}

impl Certificate {
    fn current(&self) -> Arc<CertifiedKey> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

impl Tls {
    /// Reads a PEM file with the certificate and those between it and a root, in this order, and one with its private key.
    ///
    /// # Errors
    /// [`RelayError::Tls`] when a file cannot be read, holds something else, or the two do not belong together.
    pub fn read(chain: &Path, key: &Path) -> Result<Self, RelayError> {
        let files = Files { chain: chain.to_owned(), key: key.to_owned() };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let certificate = Certificate(RwLock::new(Arc::new(files.load(&provider)?)));
        Ok(Self { files: Arc::new(files), certificate: Arc::new(certificate), provider })
    }

    /// Reads the files again; what was read before stays when they are no good.
    fn reload(&self) -> Result<(), RelayError> {
        let fresh = Arc::new(self.files.load(&self.provider)?);
        *self.certificate.0.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// Follows the files for as long as it is polled.
    pub(crate) async fn follow(self) {
        let mut seen = self.files.stamp().await;
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let now = self.files.stamp().await;
            if now == seen {
                continue;
            }
            seen = now;
            let this = self.clone();
            // Files are read by the blocking threads.
            match tokio::task::spawn_blocking(move || this.reload()).await {
                Ok(Ok(())) => tracing::info!("the certificate was read anew"),
                Ok(Err(error)) => {
                    tracing::warn!(%error, "the certificate changed and cannot be used: the one before stays")
                }
                Err(error) => tracing::warn!(%error, "the certificate was not read"),
            }
        }
    }

    pub(crate) fn acceptor(&self) -> Result<TlsAcceptor, RelayError> {
        let config = ServerConfig::builder_with_provider(self.provider.clone()).with_safe_default_protocol_versions();
        let config = config.map_err(|error| self.files.fault(&self.files.chain, error.to_string()))?;
        let mut config = config.with_no_client_auth().with_cert_resolver(self.certificate.clone());
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// For the relay's call to itself: takes the relay's own certificate and no other, whatever name it is for.
    pub(crate) fn connector_to_itself(&self) -> Result<TlsConnector, RelayError> {
        let config = ClientConfig::builder_with_provider(self.provider.clone()).with_safe_default_protocol_versions();
        let config = config.map_err(|error| self.files.fault(&self.files.chain, error.to_string()))?;
        let own = Own { certificate: self.certificate.clone(), provider: self.provider.clone() };
        let config = config.dangerous().with_custom_certificate_verifier(Arc::new(own)).with_no_client_auth();
        Ok(TlsConnector::from(Arc::new(config)))
    }
}

/// When the files were changed, and how long they are.
type Stamp = [Option<(SystemTime, u64)>; 2];

impl Files {
    async fn stamp(&self) -> Stamp {
        let of = async |path: &Path| {
            let file = tokio::fs::metadata(path).await.ok()?;
            Some((file.modified().ok()?, file.len()))
        };
        [of(&self.chain).await, of(&self.key).await]
    }

    fn fault(&self, path: &Path, reason: String) -> RelayError {
        RelayError::Tls { path: path.to_owned(), reason }
    }

    fn load(&self, provider: &CryptoProvider) -> Result<CertifiedKey, RelayError> {
        let read = |path: &Path| std::fs::read(path).map_err(|error| self.fault(path, error.to_string()));
        let (chain, key) = (read(&self.chain)?, read(&self.key)?);
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&chain).collect();
        let chain = chain.map_err(|error| self.fault(&self.chain, format!("it is no PEM file: {error:?}")))?;
        if chain.is_empty() {
            return Err(self.fault(&self.chain, "it holds no certificate".into()));
        }
        let key = PrivateKeyDer::from_pem_slice(&key);
        let key = key.map_err(|_| self.fault(&self.key, "it holds no private key as PEM".into()))?;
        CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
            TlsError::InconsistentKeys(_) => self.fault(&self.key, "it is not the key of the certificate".into()),
            TlsError::InvalidCertificate(_) => self.fault(&self.chain, error.to_string()),
            other => self.fault(&self.key, other.to_string()),
        })
    }
}

/// Takes one certificate.
#[derive(Debug)]
struct Own {
    certificate: Arc<Certificate>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Own {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        if self.certificate.current().cert.first() == Some(end_entity) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(TlsError::General("this is not the certificate of this relay".into()))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The same as `connect` of a connector, for a name that is not looked at.
pub(crate) async fn connect_to_itself(
    connector: &TlsConnector,
    stream: tokio::net::TcpStream,
) -> io::Result<tokio_rustls::client::TlsStream<tokio::net::TcpStream>> {
    let name = ServerName::try_from("relay.invalid").map_err(io::Error::other)?;
    connector.connect(name, stream).await
}
