//! Development tasks: `cargo xtask test` runs everything that a change has to pass, `cargo xtask docs` builds the
//! documentation, `cargo xtask pictures` makes the pictures of the web page in `docs/pictures`.

mod args;
mod run;
mod steps;
mod tools;

use std::env;
use std::process::ExitCode;

fn main() -> ExitCode {
    let steps: Vec<_> = steps::STEPS.iter().map(|s| s.name).collect();
    let peers: Vec<_> = tools::PEERS.iter().map(|p| p.program).collect();
    let known = args::Known { steps: &steps, peers: &peers };
    match args::parse(env::args().skip(1), &known) {
        Ok(args::Command::Help) => {
            println!("{}", args::usage(&known));
            ExitCode::SUCCESS
        }
        Ok(args::Command::Docs) => run::docs(),
        Ok(args::Command::Pictures) => run::pictures(),
        Ok(args::Command::Test(plan)) => run::test(&plan),
        Err(error) => {
            eprintln!("{error}\n\n{}", args::usage(&known));
            ExitCode::from(2)
        }
    }
}
