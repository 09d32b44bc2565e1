use super::{Invocation, parse};

#[test]
fn status_takes_only_what_finds_the_directory() {
    let invocation = parse(["mcp-auth-proxy", "status", "--json", "--data-dir", "/data"]).unwrap();
    let Invocation::Status(arguments) = invocation else {
        panic!("{invocation:?}");
    };
    assert!(arguments.json);
    assert_eq!(
        arguments.flags.value("MCP_AUTH_PROXY_DATA_DIR"),
        Some("/data")
    );
    assert!(parse(["mcp-auth-proxy", "status", "--port", "1"]).is_err());
}

#[test]
fn a_demo_may_start_a_server_and_be_told_where_it_listens() {
    let line = [
        "mcp-auth-proxy",
        "demo",
        "--server",
        "http://localhost:4000/",
        "--",
        "node",
        "-v",
    ];
    let Invocation::Demo(arguments) = parse(line).unwrap() else {
        panic!("no demo");
    };
    assert_eq!(arguments.command, ["node", "-v"]);
    assert_eq!(arguments.server.unwrap().as_str(), "http://localhost:4000/");
}
