//! `tidemill completions`.

use clap::CommandFactory;
use serde_json::json;
use tidemill::error::{Error, Result};

use crate::{
    args::{Cli, CompletionsArgs},
    exit::Exit,
    settings::Settings,
};

/// `tidemill completions`: the script goes to standard output, from where packages and users put it into its place.
pub fn completions(settings: &Settings, args: CompletionsArgs) -> Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "tidemill", &mut script);
    let script = String::from_utf8(script).map_err(|error| Error::internal(format!("a script of no text: {error}")))?;
    settings.output.result(&json!({ "shell": args.shell.to_string(), "script": script }), || script.clone())?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_gets_a_script_that_knows_the_commands() {
        use clap::ValueEnum;
        for shell in clap_complete::Shell::value_variants() {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "tidemill", &mut script);
            let script = String::from_utf8(script).unwrap();
            assert!(["completions", "import", "on-overdraft"].iter().all(|word| script.contains(word)), "{shell}");
        }
    }
}
