//! TLS configurations.

use std::sync::Arc;

/// What TLS sessions begin with.
#[derive(Clone, Debug)]
pub struct TlsContext {
    server: Arc<rustls::ServerConfig>,
    client: Arc<rustls::ClientConfig>,
}

impl TlsContext {
    /// A context of configurations that a test has made.
    #[cfg(test)]
    pub(super) fn of(server: rustls::ServerConfig, client: rustls::ClientConfig) -> Self {
        TlsContext { server: Arc::new(server), client: Arc::new(client) }
    }
    /// For accepted connections.
    pub fn server(&self) -> Arc<rustls::ServerConfig> {
        self.server.clone()
    }
    /// For connections that we open.
    pub fn client(&self) -> Arc<rustls::ClientConfig> {
        self.client.clone()
    }
}
