use std::path::Path;

use domain::secret::SecretString;
use serde_json::{Value, json};

use super::Announcement;

fn announcement<'a>(url: &'a str, password: &'a SecretString) -> Announcement<'a> {
    Announcement {
        mcp_url: url,
        password,
        port: 3001,
        moved: false,
        is_public: false,
        has_own_tools: true,
        directory: Path::new("/tmp/mcp-auth-proxy-demo-1000"),
    }
}

fn line_with<'a>(text: &'a str, what: &str) -> &'a str {
    text.lines()
        .find(|line| line.contains(what))
        .unwrap()
        .trim()
}

#[test]
fn each_client_gets_the_line_that_connects_it() {
    let password = SecretString::new("abcd-efgh");
    let text = announcement("http://localhost:3001/mcp", &password).render();
    for line in [
        "claude mcp add --transport http demo http://localhost:3001/mcp",
        "npx -y mcp-remote http://localhost:3001/mcp",
        "npx -y @modelcontextprotocol/inspector@latest --transport http \
         --server-url http://localhost:3001/mcp",
        "cloudflared tunnel --url http://localhost:3001",
        "--port 3001 --base-url https://NAME.trycloudflare.com",
        "password   abcd-efgh",
    ] {
        assert!(
            text.lines().any(|found| found.trim() == line),
            "{line}\n{text}"
        );
    }
    assert!(!text.contains("usual port"));

    let vs_code = line_with(&text, "--add-mcp");
    let argument = vs_code.strip_prefix("code --add-mcp '").unwrap();
    let argument: Value = serde_json::from_str(argument.strip_suffix('\'').unwrap()).unwrap();
    let expected = json!({"name": "demo", "type": "http", "url": "http://localhost:3001/mcp"});
    assert_eq!(argument, expected);

    let cursor: Value = serde_json::from_str(line_with(&text, "mcpServers")).unwrap();
    assert_eq!(
        cursor["mcpServers"]["demo"]["url"],
        "http://localhost:3001/mcp"
    );
}

#[test]
fn a_public_demo_needs_no_tunnel() {
    let password = SecretString::new("abcd-efgh");
    let mut announcement = announcement("https://a.example/mcp", &password);
    announcement.is_public = true;
    announcement.moved = true;
    announcement.has_own_tools = false;
    let text = announcement.render();
    assert!(
        !text.contains("cloudflared") && !text.contains("whoami"),
        "{text}"
    );
    assert!(
        text.contains("custom connector") && text.contains("usual port"),
        "{text}"
    );
}
