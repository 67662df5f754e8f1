//! What the target of a diverted call is told of its way: Diversion (RFC 5806) and History-Info (RFC 7044).

use super::{TargetProcessor, TargetResult};
use crate::config::HistoryInfo;
use crate::forwarding::{write_diversions, write_history};
use crate::proxy::TargetView;
use stack::header::h;
use stack::message::Message;

/// Writes both into the copy for a target that the call was diverted to; History-Info if the caller supports it, or the
/// configuration wants it.
pub(super) struct WriteDiversion;

impl TargetProcessor for WriteDiversion {
    fn name(&self) -> &'static str {
        "diversion"
    }

    fn process(&self, view: &mut TargetView<'_, '_>) -> TargetResult {
        let Some(target) = &view.target else { return TargetResult::Continue };
        let Some(retarget) = target.retarget.as_ref().filter(|retarget| !retarget.diversions.is_empty()) else {
            return TargetResult::Continue;
        };
        write_diversions(view.request, retarget);
        let history = match view.server.config().forwarding.history_info {
            HistoryInfo::Never => false,
            HistoryInfo::Supported => supports_history(view.request),
            HistoryInfo::Always => true,
        };
        if history {
            write_history(view.request, retarget, &target.contact.uri);
        }
        TargetResult::Continue
    }
}

fn supports_history(request: &Message) -> bool {
    request.header(h::SUPPORTEDS).texts().flatten().any(|tag| tag.eq_ignore_ascii_case("histinfo"))
}
