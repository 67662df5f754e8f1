//! The user agent at the command line as a program: [`apps::sip`].
#![forbid(unsafe_code)]

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    apps::sip::main(apps::sip::Args::parse())
}
