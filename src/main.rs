//! The command line: parse, run one command, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    ashlar::commands::run()
}
