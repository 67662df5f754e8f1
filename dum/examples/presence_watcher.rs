//! Watches who can be reached (presence, RFC 3856), and says on standard output what it is told. Ctrl-C ends it.
//!
//! ```text
//! cargo run -p dum --example presence_watcher -- sip:bob@example.com --from sip:alice@example.com --proxy '<sip:127.0.0.1:5060;lr>'
//! ```
#![forbid(unsafe_code)]

use clap::Parser;
use dum::auth::Credential;
use dum::subscription::{ClientSubscription, ClientSubscriptionHandler, ClientSubscriptionSet, SubscriptionEnd};
use dum::{Application, DialogUsageManager, Dum, DumHandle, DumOptions, EventPackage, Handle};
use rutil::Rng;
use stack::contents::event::{EventDocument as _, Pidf};
use stack::header::{HeaderValue, MediaType, NameAddr};
use stack::message::Message;
use stack::{Stack, TransportSpec};
use std::error::Error;
use std::fmt;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Watches who can be reached. A password is read from SIP_PASSWORD.
#[derive(Debug, Parser)]
struct Args {
    /// Whom to watch: SIP URIs.
    #[arg(required = true)]
    targets: Vec<String>,
    /// Who watches: a SIP URI.
    #[arg(long, default_value = "sip:watcher@localhost")]
    from: String,
    /// By which proxy: <sip:address;lr>.
    #[arg(long)]
    proxy: Option<String>,
    /// Where to listen, over UDP and TCP: a document may be too large for a datagram.
    #[arg(long, default_value = "127.0.0.1:5090")]
    listen: SocketAddr,
}

#[derive(Default)]
struct Watcher {
    sets: Vec<Handle<ClientSubscriptionSet>>,
}

impl Application for Watcher {
    fn client_subscriptions(&mut self, _package: &str) -> Option<&mut dyn ClientSubscriptionHandler> {
        Some(self)
    }
}

impl ClientSubscriptionHandler for Watcher {
    fn on_update_active(&mut self, _: &mut Dum<'_>, _: Handle<ClientSubscription>, notify: &Message) {
        // Nothing is known of somebody who has published nothing: a body is not a must.
        if notify.body().is_empty() {
            return;
        }
        match Pidf::parse(notify.body()) {
            Ok(pidf) => {
                for tuple in &pidf.tuples {
                    say(format_args!("{} by {}: {:?}", pidf.entity, tuple.id, tuple.basic));
                }
            }
            Err(error) => say(format_args!("a document that cannot be read: {error}")),
        }
    }

    fn on_update_pending(&mut self, _: &mut Dum<'_>, _: Handle<ClientSubscription>, notify: &Message) {
        say(format_args!("{}: waits for permission", from(notify)));
    }

    fn on_terminated(
        &mut self,
        _: &mut Dum<'_>,
        _: Handle<ClientSubscription>,
        end: SubscriptionEnd,
        msg: Option<&Message>,
    ) {
        say(format_args!("{}: ended, {end:?}", msg.map_or_else(String::new, from)));
    }

    fn on_failure(
        &mut self,
        _: &mut Dum<'_>,
        _: Handle<ClientSubscriptionSet>,
        end: SubscriptionEnd,
        _: Option<&Message>,
    ) {
        say(format_args!("not subscribed: {end:?}"));
    }
}

/// Who sent a message.
fn from(msg: &Message) -> String {
    msg.header(stack::header::h::FROM).map_or_else(|_| String::new(), |from| from.uri.to_string())
}

fn say(what: fmt::Arguments<'_>) {
    let _ = writeln!(io::stdout(), "{what}");
}

fn address(text: &str) -> Result<NameAddr<'static>, String> {
    NameAddr::parse(text).map(NameAddr::into_owned).map_err(|error| format!("{text}: {error}"))
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let targets = args.targets.iter().map(|target| address(target)).collect::<Result<Vec<_>, _>>()?;
    let (own, proxy) = (address(&args.from)?, args.proxy.as_deref().map(address).transpose()?);
    let (mut builder, mut rng, mut options) = (Stack::builder(), Rng::from_os()?, DumOptions::default());
    options.master.add_package(EventPackage::new("presence").with_type(MediaType::new("application", "pidf+xml")));
    let user = options.master.user_mut();
    let name = own.uri.sip().and_then(|uri| uri.user.as_deref().map(str::to_owned)).unwrap_or_default();
    if let Ok(password) = std::env::var("SIP_PASSWORD") {
        user.set_credentials([Credential::for_any_realm(&name, &password)].into());
    }
    user.set_from(Arc::new(own)).set_outbound_proxy(proxy.map(Arc::new));
    builder.add_transport(TransportSpec::udp(args.listen)).add_transport(TransportSpec::tcp(args.listen));
    let user = builder.register_tu(DialogUsageManager::<Watcher>::tu_options(), move |_| {
        DialogUsageManager::new(Watcher::default(), options.clone(), &mut rng)
    });
    let stack = builder.start()?;
    let watcher = DumHandle::<Watcher>::new(stack.poster(user));
    watcher.command(move |watcher, dum| {
        let profile = dum.master_profile().user().clone();
        for target in &targets {
            let subscribe = dum.make_subscribe(&profile, target, "presence");
            match dum.send_subscribe(&profile, subscribe) {
                Ok(set) => watcher.sets.push(set),
                Err(error) => say(format_args!("{}: {error}", target.uri)),
            }
        }
    })?;
    // SIP runs on the stack's own threads; this one only waits.
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(tokio::signal::ctrl_c())?;
    watcher.command(|watcher, dum| {
        for set in &watcher.sets {
            let _ = set.end(dum);
        }
    })?;
    // As long as it takes the notifiers to answer.
    stack.shutdown(Duration::from_secs(5));
    Ok(())
}
