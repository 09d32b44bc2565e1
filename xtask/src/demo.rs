//! Tries the demo as a newcomer would: starts it, reads the MCP URL, asks there, stops it.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

use crate::run::{run, wait_within};

/// How long the demo may take to end once it was asked to.
const STOP_WITHIN: Duration = Duration::from_secs(30);

/// Starts `command`, with its files below `directory`, and expects a working demo.
pub(crate) fn try_out(mut command: Command, directory: &Path) -> Result<()> {
    if directory.exists() {
        fs::remove_dir_all(directory)?;
    }
    fs::create_dir_all(directory)?;
    println!("$ {command:?}");
    let mut child = command
        .env("TMPDIR", directory)
        .stdout(Stdio::piped())
        .spawn()
        .context("the demo cannot be started")?;
    let asked = ask(&mut child);
    run(Command::new("kill").args(["-TERM", &child.id().to_string()]))?;
    let status = wait_within(&mut child, STOP_WITHIN)?;
    asked?;
    match status {
        Some(status) if status.success() => Ok(()),
        Some(status) => bail!("the demo was asked to stop and ended with {status}"),
        None => bail!("the demo did not stop within {} s", STOP_WITHIN.as_secs()),
    }
}

/// Reads what the demo prints until its MCP URL, and expects a challenge there.
fn ask(child: &mut Child) -> Result<()> {
    let printed = child.stdout.take().context("the output is piped")?;
    let mut lines = BufReader::new(printed).lines();
    let authority = loop {
        let line = lines
            .next()
            .context("the demo ended before it printed an MCP URL")??;
        println!("{line}");
        if let Some(authority) = mcp_authority(&line) {
            break authority;
        }
    };
    // What else it prints is passed on, so that it never waits for a reader.
    std::thread::spawn(move || {
        lines
            .map_while(Result::ok)
            .for_each(|line| println!("{line}"));
    });
    let mut connection = TcpStream::connect(&authority)?;
    connection.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(
        connection,
        "POST /mcp HTTP/1.1\r\nHost: {authority}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    let answer = answer.to_ascii_lowercase();
    if answer.starts_with("http/1.1 401") && answer.contains("resource_metadata=") {
        Ok(())
    } else {
        bail!("the demo does not ask for a token at its MCP URL, but answers:\n{answer}")
    }
}

/// Host and port of the MCP URL in a line, if there is one.
fn mcp_authority(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("http://")?;
    let (authority, path) = rest.split_once('/')?;
    path.starts_with("mcp").then(|| authority.to_owned())
}
