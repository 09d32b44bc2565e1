//! The binary `mcp-auth-proxy`.

mod backup;
mod cli;
mod clock;
mod config;
mod control;
mod demo;
mod dotenv;
mod edge;
mod env;
mod hash_password;
mod import;
mod in_step;
mod listener;
mod log;
mod memory;
mod moving;
mod open_files;
mod private_file;
mod seams;
mod serve;
mod servers;
mod shared_keys;
mod signing_keys;
mod system;
mod terminal;
mod wire;

use std::{process::ExitCode, sync::Arc};

use anyhow::{Context as _, Result};
use domain::time::Clock as _;
use gateway::process::guard;

use crate::{
    cli::{DemoArguments, Flags, Invocation, StatusArguments},
    config::{Config, explain, faults::Warning},
    env::Environment,
    seams::Seams,
    system::{SystemClock, SystemRandom},
};

fn main() -> ExitCode {
    // The guard of an MCP server is this binary too, and must be it before anything else is begun.
    if let Some(code) = guard::enter_if_asked() {
        return code;
    }
    let invocation = match cli::parse(std::env::args_os()) {
        Ok(invocation) => invocation,
        Err(error) => error.exit(),
    };
    match run(invocation) {
        Ok(code) => code,
        Err(error) => {
            terminal::error(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(invocation: Invocation) -> Result<ExitCode> {
    match invocation {
        Invocation::Serve(flags) => serve(&flags),
        Invocation::Demo(arguments) => demo(&arguments),
        Invocation::Config(flags) => {
            let (config, warnings) = config::load(&flags, &Environment::of_process())?;
            terminal::print(&explain::render(&config));
            for warning in warnings {
                terminal::warn(&warning);
            }
            Ok(ExitCode::SUCCESS)
        }
        Invocation::HashPassword => {
            let hashing = hash_password::from_standard_input();
            terminal::print(&runtime()?.block_on(hashing)?);
            Ok(ExitCode::SUCCESS)
        }
        Invocation::Status(arguments) => status(&arguments),
        Invocation::Keys(command) => {
            let (environment, seams) = (Environment::of_process(), Seams::real());
            let doing = signing_keys::command(&command, &environment, &seams);
            terminal::print(runtime()?.block_on(doing)?.expose());
            Ok(ExitCode::SUCCESS)
        }
        Invocation::Import(arguments) => {
            let environment = Environment::of_process();
            let importing = import::command(&arguments, &environment);
            terminal::print(&runtime()?.block_on(importing)?);
            Ok(ExitCode::SUCCESS)
        }
        Invocation::Backup(arguments) => {
            let (environment, clock) = (Environment::of_process(), Arc::new(SystemClock));
            let copying = backup::backup_command(&arguments, &environment, clock);
            terminal::print(&runtime()?.block_on(copying)?);
            Ok(ExitCode::SUCCESS)
        }
        Invocation::Move(arguments) => {
            let (environment, seams) = (Environment::of_process(), Seams::real());
            let moving = moving::command(&arguments, &environment, &seams);
            terminal::print(&runtime()?.block_on(moving)?);
            Ok(ExitCode::SUCCESS)
        }
        Invocation::Restore { arguments, agreed } => {
            let (environment, now) = (Environment::of_process(), SystemClock.now());
            let restored = backup::restore_command(&arguments, agreed, &environment, now)?;
            terminal::print(&restored);
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn serve(flags: &Flags) -> Result<ExitCode> {
    let (config, warnings) = config::load(flags, &Environment::of_process())?;
    begin_log(&config, &warnings)?;
    Ok(logged(runtime()?.block_on(serve::serve(&config, || ()))))
}

fn demo(arguments: &DemoArguments) -> Result<ExitCode> {
    runtime()?.block_on(async {
        let prepared = demo::prepare(arguments, &Environment::of_process(), &SystemRandom).await?;
        begin_log(&prepared.config, &prepared.warnings)?;
        let announce = || terminal::print(prepared.announcement.expose());
        Ok(logged(serve::serve(&prepared.config, announce).await))
    })
}

fn status(arguments: &StatusArguments) -> Result<ExitCode> {
    let environment = Environment::of_process();
    let seams = Seams::real();
    let asking = control::status_command(arguments, &environment, &seams);
    terminal::print(&runtime()?.block_on(asking)?);
    Ok(ExitCode::SUCCESS)
}

fn begin_log(config: &Config, warnings: &[Warning]) -> Result<()> {
    log::init(&config.log)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    Ok(())
}

/// Once there is a log, what went wrong belongs there: it is what operators and routers keep.
fn logged(served: Result<ExitCode>) -> ExitCode {
    served.unwrap_or_else(|error| {
        tracing::error!("stopped: {error:#}");
        ExitCode::FAILURE
    })
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    // Both TLS clients of this process, to the identity provider and to MCP servers, use it.
    // Somebody else's choice can only be the same: there is but one provider in this binary.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the system gives no threads")
}
