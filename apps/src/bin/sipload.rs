//! The load generator as a program: [`apps::sipload`].
#![forbid(unsafe_code)]

use clap::Parser;
use std::process::ExitCode;

/// Many small and short-lived buffers, as in the proxy.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    apps::sipload::main(apps::sipload::Args::parse())
}
