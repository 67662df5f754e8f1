//! Proxy and registrar.
