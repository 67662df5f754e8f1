//! The table `[forwarding]`.

use crate::provisioning::ContactUri;
use serde::Deserialize;

/// When History-Info (RFC 7044) is written into diverted calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HistoryInfo {
    /// Never.
    Never,
    /// When the request says that its sender supports it (`Supported: histinfo`).
    #[default]
    Supported,
    /// Always.
    Always,
}

/// Calls that go to somebody else than their address says.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Forwarding {
    /// How often a call may be diverted, by others too; then it is refused with 482.
    pub max_diversions: u32,
    /// When History-Info is written.
    pub history_info: HistoryInfo,
    /// Whether the proxy follows the redirections (3xx) of users and trusted peers, or sends them back.
    pub follow_redirects: bool,
    /// Where all requests for users go, whoever is registered; none: to the users.
    pub constant_location: Vec<ContactUri>,
}

impl Default for Forwarding {
    fn default() -> Self {
        Forwarding {
            max_diversions: 5,
            history_info: HistoryInfo::default(),
            follow_redirects: false,
            constant_location: Vec::new(),
        }
    }
}
