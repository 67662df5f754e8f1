//! A telephone without media: it registers, calls, takes calls, holds and transfers them, sends texts, and says on standard
//! output what happens. A line on standard input is what a key is on a telephone:
//!
//! ```text
//! c URI     calls                      h        holds the call
//! a         answers                    b        takes it back
//! r         refuses                    t URI    transfers it
//! (empty)   hangs up                   m URI TEXT   sends a text
//! q         ends the program, as Ctrl-C does
//! ```
//!
//! With a URI on the command line it calls that, and ends with the call; without one it waits for calls. Exit code 1 if nobody
//! has answered the call, or the registrar has refused us.
//!
//! ```text
//! cargo run -p dum --example softphone -- sip:bob@127.0.0.1:5070 --proxy '<sip:127.0.0.1:5060;lr>' --seconds 5
//! SIP_PASSWORD=wonderland cargo run -p dum --example softphone -- --from sip:alice@example.com --register
//! ```
#![forbid(unsafe_code)]

mod phone;

use clap::Parser;
use dum::auth::Credential;
use dum::{DialogUsageManager, DumHandle, DumOptions};
use phone::{News, Phone, name_addr, say};
use rutil::Rng;
use stack::header::{MediaType, Method, NameAddr};
use stack::{Stack, TransportSpec};
use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;
use std::{env, io, thread};

/// A telephone without media. Lines on standard input are its keys: c URI, a, r, h, b, t URI, m URI TEXT, q; an empty
/// line hangs up. SIP_PASSWORD in the environment answers whoever asks for a password in the domain of --from.
#[derive(Clone, Debug, Parser)]
struct Args {
    /// Whom to call: sip:bob@example.com. Without it, wait for calls.
    #[arg(value_parser = name_addr)]
    target: Option<NameAddr<'static>>,
    /// Who calls, and who is registered.
    #[arg(long, value_parser = name_addr, default_value = "sip:alice@localhost")]
    from: NameAddr<'static>,
    /// Register, so that calls find the way here.
    #[arg(long)]
    register: bool,
    /// The proxy that everything goes to first: <sip:proxy.example.com;lr>.
    #[arg(long, value_parser = name_addr)]
    proxy: Option<NameAddr<'static>>,
    /// Hang up so long after the answer; without it, on Enter alone.
    #[arg(long)]
    seconds: Option<u64>,
    /// Where to listen, over UDP: an address that others reach.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
}

/// What this user agent can do, and who it is.
fn options(args: &Args) -> DumOptions {
    let mut options = DumOptions::default();
    options
        .master
        .add_transfer()
        .add_method(Method::Message)
        .add_mime_type(Method::Message, MediaType::new("text", "plain"));
    // It has one user, so the master profile is his: calls that come are answered by it as well.
    let user = options.master.user_mut();
    user.set_from(Arc::new(args.from.clone())).set_outbound_proxy(args.proxy.clone().map(Arc::new));
    if let (Some(uri), Ok(password)) = (args.from.uri.sip(), env::var("SIP_PASSWORD")) {
        let name = uri.user_decoded().unwrap_or_default();
        let credential = Credential::new(&uri.host.to_string(), &String::from_utf8_lossy(&name), &password);
        user.set_credentials([credential].into());
    }
    options
}

/// Waits for the end, and hangs up when it is time. True if all went well.
fn follow(news: &Receiver<News>, phone: &DumHandle<Phone>, args: &Args) -> Result<bool, Box<dyn Error>> {
    let mut connected = false;
    let mut left = None;
    loop {
        // The time that is left begins with the answer, and the next news end it.
        let next = match left.take() {
            Some(time) => news.recv_timeout(time),
            None => news.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match next {
            Ok(News::Connected) => {
                connected = true;
                left = args.seconds.map(Duration::from_secs);
            }
            Ok(News::Ended) if args.target.is_none() => {}
            Ok(News::Failed) => return Ok(false),
            Ok(News::Ended | News::Quit) => return Ok(connected || args.target.is_none()),
            Err(RecvTimeoutError::Timeout) => phone.command(Phone::hang_up)?,
            Err(RecvTimeoutError::Disconnected) => return Err("the stack has stopped".into()),
        }
    }
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let args = Args::parse();
    if args.listen.ip().is_unspecified() {
        return Err("--listen: others are told this address, so it must be one of this machine, not all".into());
    }
    let (news, receiver) = channel();
    let (mut builder, mut rng) = (Stack::builder(), Rng::from_os()?);
    builder.add_transport(TransportSpec::udp(args.listen));
    let (options, address, told) = (options(&args), args.listen.ip(), news.clone());
    let user = builder.register_tu(DialogUsageManager::<Phone>::tu_options(), move |_| {
        DialogUsageManager::new(Phone::new(told.clone(), address), options.clone(), &mut rng)
    });
    let stack = builder.start()?;
    for transport in stack.transports().iter() {
        say!("listening on udp {}", transport.bound);
    }
    let phone = DumHandle::<Phone>::new(stack.poster(user));
    let (target, register) = (args.target.clone(), args.register);
    phone.command(move |phone, dum| {
        if let Err(error) = phone.begin(dum, register, target.as_ref()) {
            say!("{error}");
            let _ = phone.news.send(News::Failed);
        }
    })?;
    // They end with the program, so that nobody need press a key for that.
    let keys = phone.clone();
    thread::Builder::new().name("keys".into()).spawn(move || {
        for line in io::stdin().lines().map_while(Result::ok) {
            let pressed = keys.command(move |phone, dum| {
                if let Err(error) = phone.key(dum, line.trim()) {
                    say!("{error}");
                }
            });
            if let Err(error) = pressed {
                say!("{error}");
            }
        }
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name("Ctrl-C".into()).spawn(move || {
        let _ = runtime.block_on(tokio::signal::ctrl_c());
        let _ = news.send(News::Quit);
    })?;
    let well = follow(&receiver, &phone, &args)?;
    phone.command(Phone::end)?;
    // As long as it takes the peers to answer.
    stack.shutdown(Duration::from_secs(5));
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
