//! A user agent at the command line, for tests and scripts.
//!
//! Each command starts a stack with a user agent of `dum` on it, does one thing, says how that went, and ends with an exit
//! code that scripts can use (`verdict.rs`). The main thread waits for what the user agent tells it, by a bounded channel,
//! for signals and for time; SIP runs on the stack's threads. `torture` and `parse` need no stack.

mod agent;
mod answer;
mod args;
mod asker;
mod call;
mod credentials;
mod documents;
mod escape;
mod ladder;
mod media;
mod message;
mod options;
mod output;
mod parse;
mod publish;
mod register;
mod subscribe;
mod torture;
mod trace;
mod verdict;
mod wire;

pub use args::Args;

use args::Command;
use output::Output;
use repro::config::Listen;
use stack::transport::TransportType;
use std::future::Future;
use std::net::Ipv4Addr;
use std::process::ExitCode;
use verdict::{Failure, Verdict};

/// Runs a command to its end.
pub fn main(args: Args) -> ExitCode {
    let output = Output { json: args.is_json() };
    let done = match args.command {
        Command::Options(args) => run(options::run(*args, output)),
        Command::Register(args) => run(register::run(*args, output)),
        Command::Call(args) => run(call::run(*args, output)),
        Command::Answer(args) => run(answer::run(*args, &everywhere(), output)),
        Command::Message(args) => run(message::run(*args, &everywhere(), output)),
        Command::Subscribe(args) => run(subscribe::run(*args, output)),
        Command::Publish(args) => run(publish::run(*args, output)),
        Command::Trace(args) => run(trace::run(*args, output)),
        Command::Torture(args) => torture::run(&args, output),
        Command::Parse(args) => parse::run(&args, output),
    };
    let verdict = done.unwrap_or_else(|failure| {
        output.failure(&failure);
        failure.verdict()
    });
    output.result(verdict);
    Output::whole(verdict).into()
}

/// Where who waits for others listens by default.
fn everywhere() -> [Listen; 2] {
    [TransportType::Udp, TransportType::Tcp]
        .map(|kind| Listen { kind, address: (Ipv4Addr::UNSPECIFIED, kind.default_port()).into() })
}

fn run(command: impl Future<Output = Result<Verdict, Failure>>) -> Result<Verdict, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(command)
}
