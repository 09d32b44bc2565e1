//! What is typed or pasted to connect each client: for the page, the demo and the guide alike.

use std::{borrow::Cow, collections::BTreeMap};

use serde::Serialize;
use serde_json::json;

/// What connects each client to an MCP endpoint.
#[derive(Clone, Debug)]
pub struct ConnectLines {
    name: String,
    url: String,
}

/// The file that Cursor and many others read.
#[derive(Serialize)]
struct Servers<'a, T> {
    #[serde(rename = "mcpServers")]
    servers: BTreeMap<&'a str, T>,
}

/// A server that is a program to be started.
#[derive(Serialize)]
struct Program<'a> {
    command: &'static str,
    args: [&'a str; 3],
}

// === impl ConnectLines ===

impl ConnectLines {
    /// For the endpoint at `url`, which the clients will list under `name`.
    pub fn new(name: &str, url: &str) -> Self {
        Self {
            name: name.to_owned(),
            url: url.to_owned(),
        }
    }

    /// A command.
    pub fn claude_code(&self) -> String {
        let (name, url) = self.words();
        format!("claude mcp add --transport http {name} {url}")
    }

    /// A command.
    pub fn vs_code(&self) -> String {
        format!("code --add-mcp {}", quoted(&self.vs_code_entry()))
    }

    /// What VS Code is told, as JSON.
    pub(super) fn vs_code_entry(&self) -> String {
        json!({ "name": self.name, "type": "http", "url": self.url }).to_string()
    }

    /// The content of `~/.cursor/mcp.json`, in one line.
    pub fn cursor(&self) -> String {
        let entry = json!({ "url": self.url });
        serde_json::to_string(&self.servers(entry)).unwrap_or_default()
    }

    /// The same, as a file looks.
    pub(super) fn cursor_file(&self) -> String {
        self.file(json!({ "url": self.url }))
    }

    /// Two commands, to be given one after the other.
    pub fn codex(&self) -> [String; 2] {
        let (name, url) = self.words();
        [
            format!("codex mcp add {name} --url {url}"),
            format!("codex mcp login {name}"),
        ]
    }

    /// A command.
    pub fn gemini(&self) -> String {
        let (name, url) = self.words();
        format!("gemini mcp add --transport http {name} {url}")
    }

    /// A command, for clients that only start programs.
    pub fn mcp_remote(&self) -> String {
        let Program { command, args } = self.program();
        let words: Vec<_> = args.into_iter().map(quoted).collect();
        format!("{command} {}", words.join(" "))
    }

    /// The same, as such a client's file has it.
    pub(super) fn mcp_remote_file(&self) -> String {
        self.file(self.program())
    }

    /// A command.
    pub fn inspector(&self) -> String {
        let url = quoted(&self.url);
        format!("npx -y @modelcontextprotocol/inspector@latest --transport http --server-url {url}")
    }

    fn words(&self) -> (Cow<'_, str>, Cow<'_, str>) {
        (quoted(&self.name), quoted(&self.url))
    }

    fn program(&self) -> Program<'_> {
        Program {
            command: "npx",
            args: ["-y", "mcp-remote", &self.url],
        }
    }

    fn servers<T>(&self, entry: T) -> Servers<'_, T> {
        Servers {
            servers: BTreeMap::from([(self.name.as_str(), entry)]),
        }
    }

    fn file<T: Serialize>(&self, entry: T) -> String {
        serde_json::to_string_pretty(&self.servers(entry)).unwrap_or_default()
    }
}

/// As one word for a shell.
fn quoted(text: &str) -> Cow<'_, str> {
    let is_plain =
        |character: char| character.is_ascii_alphanumeric() || "-._~:/%@".contains(character);
    if text.chars().all(is_plain) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(format!("'{}'", text.replace('\'', r"'\''")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUIDE: &str = include_str!("../../../../../docs/guides/clients.md");

    #[test]
    fn the_guide_tells_the_same_lines() {
        let lines = ConnectLines::new("my-server", "https://proxy.example/mcp");
        let [add, login] = lines.codex();
        for line in [
            lines.claude_code(),
            lines.vs_code(),
            lines.cursor(),
            add,
            login,
            lines.gemini(),
            lines.mcp_remote(),
            lines.inspector(),
        ] {
            assert!(GUIDE.contains(&format!("`{line}`")), "{line}");
        }
    }

    #[test]
    fn no_text_can_leave_its_quotes() {
        assert_eq!(
            quoted("http://localhost:3001/mcp"),
            "http://localhost:3001/mcp"
        );
        assert_eq!(quoted("a'; rm b"), r"'a'\''; rm b'");
        let lines = ConnectLines::new("demo", "http://localhost:3001/$(x)");
        assert_eq!(
            lines.mcp_remote(),
            "npx -y mcp-remote 'http://localhost:3001/$(x)'"
        );
    }
}
