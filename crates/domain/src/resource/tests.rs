use proptest::prelude::*;

use super::*;

fn resource(base: &str, path: &str) -> Resource {
    Resource::at(&BaseUrl::parse(base).unwrap(), path)
}

#[test]
fn the_forms_that_clients_send_name_it() {
    let mcp = resource("https://proxy.example/team", "/mcp");
    for form in [
        "https://proxy.example/team/mcp",
        "https://proxy.example/team/mcp/",
        "https://PROXY.example:443/team/mcp?session=1",
        "https://proxy.example/team/mcp/sse",
    ] {
        assert!(mcp.is_named_by(form), "{form}");
    }
}

#[test]
fn nothing_else_names_it() {
    let mcp = resource("https://proxy.example/team", "/mcp");
    for form in [
        "https://proxy.example/team",
        "https://proxy.example/mcp",
        "https://proxy.example/team/mcp2",
        "https://proxy.example/team/MCP",
        "https://proxy.example/team/mcp/../admin",
        "https://proxy.example/team/mcp/%2e%2e/admin",
        "https://proxy.example/team/mcp#x",
        "https://user@proxy.example/team/mcp",
        "http://proxy.example/team/mcp",
        "https://proxy.example.evil.example/team/mcp",
        "https://proxy.example:8443/team/mcp",
        "/team/mcp",
        "",
    ] {
        assert!(!mcp.is_named_by(form), "{form}");
    }
}

#[test]
fn at_the_root_the_origin_names_it() {
    let root = resource("https://proxy.example", "/");
    assert_eq!(root.as_str(), "https://proxy.example");
    for form in [
        "https://proxy.example",
        "https://proxy.example/",
        "https://proxy.example/a",
    ] {
        assert!(root.is_named_by(form), "{form}");
    }
    assert!(!root.is_named_by("https://proxy.example.evil.example/"));
}

#[test]
fn the_well_known_path_is_inserted_before_the_resources_own() {
    assert_eq!(
        resource("https://proxy.example:8443/prefix", "/mcp").metadata_url(),
        "https://proxy.example:8443/.well-known/oauth-protected-resource/prefix/mcp"
    );
    assert_eq!(
        resource("https://proxy.example", "/").metadata_url(),
        "https://proxy.example/.well-known/oauth-protected-resource"
    );
}

proptest! {
    /// A name is the resource, or lies below it: whatever it is, nothing else than what a URL
    /// parser reads out of it counts.
    #[test]
    fn what_names_a_resource_lies_at_it_or_below(
        indicator in "(https://proxy\\.example(:443|:8443)?|http://proxy\\.example|https://other\\.example)(/team)?(/mcp)?[a-z0-9/.%@?#\\\\]{0,16}",
    ) {
        let mcp = resource("https://proxy.example/team", "/mcp");
        let read = Url::parse(&indicator).ok().filter(|url| url.fragment().is_none());
        let lies_there = read.is_some_and(|url| {
            let is_plain = url.username().is_empty() && url.password().is_none();
            let segments: Vec<_> = url.path().split('/').skip(1).take(2).collect();
            is_plain
                && url.origin().ascii_serialization() == "https://proxy.example"
                && segments == ["team", "mcp"]
        });
        prop_assert_eq!(mcp.is_named_by(&indicator), lies_there, "{}", indicator);
    }

    #[test]
    fn any_text_can_be_asked_for(indicator in ".{0,80}") {
        let mcp = resource("https://proxy.example", "/mcp");
        let begins_so = indicator.trim_start().to_ascii_lowercase().starts_with("https:");
        prop_assert!(!mcp.is_named_by(&indicator) || begins_so);
    }
}
