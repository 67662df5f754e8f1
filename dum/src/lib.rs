//! Dialogs over the stack.
//!
//! There are [`Dialog`] with its [`DialogId`], and [`DialogSetId`]: the dialog of RFC 3261 §12 as a value, made of a
//! request and a response, that checks what comes in and makes what goes out. Usages (invite session, subscription,
//! registration and others), the dialog set that holds the forks of a request, handles and the transaction user that
//! dispatches to them are not there yet; nor is anything that sends, receives or waits.
#![forbid(unsafe_code)]

mod dialog;
mod dialog_id;

pub use dialog::{Dialog, DialogError, DialogState, InDialogError, MAX_ROUTES};
pub use dialog_id::{DialogId, DialogSetId};
