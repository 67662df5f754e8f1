//! The behaviour of the proxy and registrar as its neighbours see it on the wire, in virtual time: scripts of what each
//! phone sends and what must reach it, octet for octet through the stack. The names are those of reSIProcate's suite for
//! its proxy, which is the check-list; `checklist.txt` says for each which test plays it, or why none does.

mod checklist;
mod dialogs;
mod fixture;
mod forks;

mod non_invites;
mod phone;
mod registrations;
mod steps;
mod strange;

use fixture::play;
