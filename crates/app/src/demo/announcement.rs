//! What a demo tells the newcomer: who logs in, and the line for each client.

use std::{fmt::Write as _, path::Path};

use authserver::pages::ConnectLines;
use domain::secret::SecretString;

use super::directory::USER;

/// What is told.
#[derive(Debug)]
pub(super) struct Announcement<'a> {
    /// The URL that clients are given.
    pub(super) mcp_url: &'a str,
    /// The password of the demo's user; printed, since nobody else knows it.
    pub(super) password: &'a SecretString,
    /// Where the demo listens.
    pub(super) port: u16,
    /// Whether that is another port than people expect.
    pub(super) moved: bool,
    /// Whether the MCP URL can be reached from elsewhere.
    pub(super) is_public: bool,
    /// Whether the small MCP server of our own stands behind.
    pub(super) has_own_tools: bool,
    /// Where everything is kept.
    pub(super) directory: &'a Path,
}

// === impl Announcement ===

impl Announcement<'_> {
    /// The text, with a line break at its end.
    pub(super) fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a `String` does not fail.
        _ = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        let url = self.mcp_url;
        writeln!(text, "\nMCP Auth Proxy, the demo. Ctrl-C ends it.\n")?;
        writeln!(text, "  MCP URL    {url}")?;
        writeln!(text, "  user       {USER}")?;
        writeln!(text, "  password   {}\n", self.password.expose())?;
        if self.moved {
            writeln!(
                text,
                "The usual port is in use, so this demo listens at {}; clients that know the \
                 other one\nhave to be connected anew.\n",
                self.port
            )?;
        }
        writeln!(
            text,
            "Connect a client; it opens a browser, where you log in as that user:\n"
        )?;
        for (client, line) in connect_lines(url) {
            writeln!(text, "  {client}\n    {line}\n")?;
        }
        if self.has_own_tools {
            writeln!(
                text,
                "Then let it call `whoami`: it shows who the MCP server is told is calling.\n"
            )?;
        }
        self.write_cloud(text)?;
        writeln!(
            text,
            "Clients and logins are kept in {}\nfor the next demo; `--fresh` forgets them.\n",
            self.directory.display()
        )
    }

    fn write_cloud(&self, text: &mut String) -> std::fmt::Result {
        if self.is_public {
            return writeln!(
                text,
                "claude.ai and ChatGPT: add the MCP URL as a custom connector.\n"
            );
        }
        writeln!(
            text,
            "claude.ai, the connectors of Claude Desktop, and ChatGPT come from their own \
             network: they\nneed public https on port 443. A tunnel gives that:\n\n    \
             cloudflared tunnel --url http://localhost:{port}\n\nThen end this demo and start it \
             again with the name that the tunnel prints:\n\n    \
             --port {port} --base-url https://NAME.trycloudflare.com\n",
            port = self.port
        )
    }
}

/// Each client with what to type for it.
fn connect_lines(url: &str) -> [(&'static str, String); 5] {
    let lines = ConnectLines::new("demo", url);
    [
        ("Claude Code (then /mcp in a session)", lines.claude_code()),
        ("VS Code", lines.vs_code()),
        ("Cursor, in ~/.cursor/mcp.json", lines.cursor()),
        (
            "mcp-remote, for clients that only start programs",
            lines.mcp_remote(),
        ),
        ("MCP Inspector (Node 22.19 or newer)", lines.inspector()),
    ]
}

#[cfg(test)]
mod tests;
