//! How to make a client register anew, by what is known of it: the redirect URI it asked for and,
//! for those with a browser of their own, the user agent.

use serde::Serialize;
use url::Url;

/// What to do in which program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Cure {
    pub(crate) title: &'static str,
    pub(crate) steps: Vec<Step>,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Step {
    pub(crate) text: &'static str,
    pub(crate) code: Option<String>,
}

/// Programs that can be told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Program {
    Claude,
    ClaudeCode,
    ChatGpt,
    Cursor,
    VsCode,
    McpRemote,
    Inspector,
    Other,
}

impl Cure {
    /// The cure for the program that (probably) asked. The redirect URI is only looked at; nothing
    /// is sent there.
    pub(crate) fn find(redirect_uri: Option<&str>, user_agent: &str, server: &str) -> Self {
        Program::guess(redirect_uri, user_agent).cure(server)
    }
}

// === impl Program ===

impl Program {
    fn guess(redirect_uri: Option<&str>, user_agent: &str) -> Self {
        // Both have a browser built in, which names them.
        if user_agent.contains("Cursor/") {
            return Self::Cursor;
        }
        if user_agent.contains("Code/") && user_agent.contains("Electron/") {
            return Self::VsCode;
        }
        let Some(url) = redirect_uri.and_then(|uri| Url::parse(uri).ok()) else {
            return Self::Other;
        };
        let host = url.host_str().unwrap_or_default();
        let below = |domain: &str| {
            host.strip_suffix(domain)
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        match (url.scheme(), host, url.port(), url.path()) {
            ("cursor", ..) | ("http", "localhost", Some(8787), "/" | "/callback") => Self::Cursor,
            ("vscode" | "vscode-insiders", ..) | ("http", "127.0.0.1", _, "/") => Self::VsCode,
            ("https", ..) if below("cursor.com") => Self::Cursor,
            ("https", ..) if below("vscode.dev") => Self::VsCode,
            ("https", ..) if below("claude.ai") || below("claude.com") => Self::Claude,
            ("https", ..) if below("chatgpt.com") || below("openai.com") => Self::ChatGpt,
            ("http", _, Some(6274), path) if path.starts_with("/oauth/callback") => Self::Inspector,
            ("http", _, _, "/oauth/callback") => Self::McpRemote,
            ("http", _, _, "/callback") => Self::ClaudeCode,
            _ => Self::Other,
        }
    }

    fn cure(self, server: &str) -> Cure {
        let step = |text| Step { text, code: None };
        let run = |text, code: &str| Step {
            text,
            code: Some(code.to_owned()),
        };
        let (title, steps) = match self {
            Self::ClaudeCode => (
                "If you came from Claude Code",
                vec![
                    run("Type this in Claude Code and choose this server:", "/mcp"),
                    step("Choose “Clear authentication”, then “Authenticate”."),
                    run(
                        "If that does not help, remove the server and add it again:",
                        &format!(
                            "claude mcp remove NAME\nclaude mcp add --transport http NAME {server}"
                        ),
                    ),
                ],
            ),
            Self::Claude => (
                "If you came from Claude",
                vec![
                    step("Open Settings, then Connectors."),
                    step("Remove this connector."),
                    run("Add it again with this address:", server),
                ],
            ),
            Self::ChatGpt => (
                "If you came from ChatGPT",
                vec![
                    step("Open Settings, then Apps & Connectors."),
                    step("Delete this connector."),
                    run("Create it again with this address:", server),
                ],
            ),
            Self::Cursor => (
                "If you came from Cursor",
                vec![
                    step("Open Cursor Settings, then Tools & MCP."),
                    step("At this server choose “Logout”, or switch it off and on again."),
                    step(
                        "If that does not help, take the server out of mcp.json, restart Cursor and add it again.",
                    ),
                ],
            ),
            Self::VsCode => (
                "If you came from VS Code",
                vec![
                    run(
                        "Open the command palette (F1) and run:",
                        "Authentication: Remove Dynamic Authentication Providers",
                    ),
                    step("Tick this server's entry and confirm."),
                    run("Start the server again:", "MCP: List Servers"),
                ],
            ),
            Self::McpRemote => (
                "If you came from a client that uses mcp-remote",
                vec![
                    step("Quit the client."),
                    run("Delete what mcp-remote remembers:", "rm -rf ~/.mcp-auth"),
                    step("Start the client again."),
                ],
            ),
            Self::Inspector => (
                "If you came from MCP Inspector",
                vec![
                    step("Open “Open Auth Settings”."),
                    step("Choose “Clear OAuth State”."),
                    step("Connect again."),
                ],
            ),
            Self::Other => (
                "What helps in most clients",
                vec![
                    step(
                        "Log this server out, or clear its authentication, in the client's settings.",
                    ),
                    run(
                        "If there is nothing like that, remove the server from the client and add it again:",
                        server,
                    ),
                    run(
                        "For a client that uses mcp-remote, delete what it remembers and restart the client:",
                        "rm -rf ~/.mcp-auth",
                    ),
                ],
            ),
        };
        Cure { title, steps }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_told_apart_by_where_they_redirect_to() {
        let guess = |uri: &str| Program::guess(Some(uri), "Mozilla/5.0");
        for (uri, program) in [
            ("http://localhost:53211/callback", Program::ClaudeCode),
            ("https://claude.ai/api/mcp/auth_callback", Program::Claude),
            (
                "https://chatgpt.com/connector_platform_oauth_redirect",
                Program::ChatGpt,
            ),
            (
                "cursor://anysphere.cursor-mcp/oauth/callback",
                Program::Cursor,
            ),
            (
                "https://www.cursor.com/agents/mcp/oauth/callback",
                Program::Cursor,
            ),
            ("https://vscode.dev/redirect", Program::VsCode),
            ("https://insiders.vscode.dev/redirect", Program::VsCode),
            ("http://127.0.0.1:33418/", Program::VsCode),
            ("http://localhost:3334/oauth/callback", Program::McpRemote),
            ("http://localhost:6274/oauth/callback", Program::Inspector),
            (
                "http://localhost:6274/oauth/callback/debug",
                Program::Inspector,
            ),
            ("https://notclaude.ai/callback", Program::Other),
            ("not a url", Program::Other),
        ] {
            assert_eq!(guess(uri), program, "{uri}");
        }
        assert_eq!(
            Program::guess(None, "Mozilla/5.0 Cursor/1.7 Electron/34"),
            Program::Cursor
        );
    }

    #[test]
    fn the_cure_names_the_server() {
        let cure = Cure::find(
            Some("http://localhost:1/callback"),
            "",
            "https://mcp.example.com/mcp",
        );
        let codes: Vec<_> = cure
            .steps
            .into_iter()
            .filter_map(|step| step.code)
            .collect();
        assert!(
            codes
                .iter()
                .any(|code| code.contains("https://mcp.example.com/mcp"))
        );
    }
}
