use proptest::prelude::*;

use super::*;

fn uri(text: &str) -> RedirectUri {
    RedirectUri::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn what_real_clients_register_is_accepted() {
    for text in [
        "cursor://anysphere.cursor-mcp/oauth/callback",
        "cursor://anysphere.cursor-retrieval/oauth/user-x/callback",
        "https://www.cursor.com/agents/mcp/oauth/callback",
        "http://localhost:8787",
        "https://vscode.dev/redirect",
        "http://127.0.0.1/",
        "http://127.0.0.1:33418/",
        "http://[::1]:9000/callback",
        "https://claude.ai/api/mcp/auth_callback",
        "vscode://ms-vscode.something/callback",
        "com.example.app:/oauth2redirect",
        "https://chatgpt.com/connector/oauth/ID?a=b",
    ] {
        assert_eq!(uri(text).as_str(), text);
    }
}

#[test]
fn all_else_is_refused_with_its_reason() {
    use InvalidRedirectUri as Invalid;
    for (text, reason) in [
        ("javascript:alert(1)", Invalid::Scheme),
        ("JavaScript://x/%0aalert(1)", Invalid::Scheme),
        ("data:text/html,x", Invalid::Scheme),
        ("file:///etc/passwd", Invalid::Scheme),
        ("blob:https://a/b", Invalid::Scheme),
        ("about:blank", Invalid::Scheme),
        ("vbscript:x", Invalid::Scheme),
        ("ws://localhost/", Invalid::Scheme),
        ("wss://example.com/", Invalid::Scheme),
        ("ftp://example.com/", Invalid::Scheme),
        ("mailto:a@example.com", Invalid::Scheme),
        ("urn:ietf:wg:oauth:2.0:oob", Invalid::Scheme),
        ("http://example.com/", Invalid::PlainHttp),
        ("http://localhost.example.com/", Invalid::PlainHttp),
        ("https://example.com/#fragment", Invalid::Fragment),
        ("https://example.com/#", Invalid::Fragment),
        ("https://claude.ai@example.com/", Invalid::UserInformation),
        ("https://@example.com/", Invalid::UserInformation),
        ("cursor://user@host/", Invalid::UserInformation),
        ("https:example.com/", Invalid::Syntax),
        ("https:///example.com/", Invalid::Syntax),
        ("https://exa mple.com/", Invalid::Character),
        ("https://example.com\\@evil.example/", Invalid::Character),
        ("https://example.com/\n", Invalid::Character),
        ("https://exämple.com/", Invalid::Character),
        ("/callback", Invalid::Syntax),
        ("", Invalid::Syntax),
        ("cursor:callback", Invalid::Opaque),
    ] {
        assert_eq!(RedirectUri::parse(text), Err(reason), "{text}");
    }
    let long = format!("https://example.com/{}", "x".repeat(RedirectUri::MAX_BYTES));
    assert_eq!(RedirectUri::parse(&long), Err(Invalid::TooLong));
}

#[test]
fn the_port_counts_only_off_loopback() {
    assert!(uri("http://127.0.0.1/cb").covers(&uri("http://127.0.0.1:5555/cb")));
    assert!(uri("http://localhost:1/cb").covers(&uri("http://localhost:2/cb")));
    assert!(uri("http://[::1]:1/cb").covers(&uri("http://[::1]/cb")));
    assert!(!uri("http://localhost:1/cb").covers(&uri("http://127.0.0.1:1/cb")));
    assert!(!uri("http://localhost:1/cb").covers(&uri("http://localhost:1/other")));
    assert!(!uri("http://localhost:1/cb").covers(&uri("http://localhost:1/cb?x=1")));
    assert!(!uri("https://example.com/cb").covers(&uri("https://example.com:444/cb")));
    assert!(!uri("https://example.com/cb").covers(&uri("https://example.com/cb/")));
    assert!(uri("cursor://a/b").covers(&uri("cursor://a/b")));
    assert!(!uri("cursor://a/b").covers(&uri("cursor://a:1/b")));
}

#[test]
fn parameters_are_added_behind_a_query_of_its_own() {
    let parameters = [("code", "a b&c"), ("iss", "https://p.example")];
    assert_eq!(
        uri("cursor://h/p").with_parameters(&parameters),
        "cursor://h/p?code=a+b%26c&iss=https%3A%2F%2Fp.example"
    );
    assert!(
        uri("https://h/p?x=1")
            .with_parameters(&parameters)
            .starts_with("https://h/p?x=1&code=")
    );
    assert!(
        uri("https://h/p?")
            .with_parameters(&parameters)
            .starts_with("https://h/p?code=")
    );
}

#[test]
fn a_list_of_hosts_lets_in_what_it_names_and_loopback() {
    let hosts = AllowedRedirectHosts::parse("claude.ai, *.example.com cursor://").unwrap();
    for allowed in [
        "https://claude.ai/x",
        "https://a.example.com/",
        "http://localhost:1/",
        "http://127.0.0.1:1/",
        "cursor://anything/x",
    ] {
        assert!(hosts.permits(&uri(allowed)), "{allowed}");
    }
    for refused in [
        "https://evil.example/",
        "https://xclaude.ai/",
        "https://example.com/",
        "https://notexample.com/",
        "vscode://x/y",
    ] {
        assert!(!hosts.permits(&uri(refused)), "{refused}");
    }
    let all = AllowedRedirectHosts::all();
    assert!(all.permits(&uri("https://evil.example/")));
    // Who may have it is one thing, whom a browser is sent to unasked another.
    assert!(!all.trusts(&uri("https://evil.example/")));
    assert!(all.trusts(&uri("http://localhost:1234/callback")));
    assert!(all.trusts(&uri("cursor://callback")));
    assert_eq!(
        AllowedRedirectHosts::parse("https://a.example/x"),
        Err("https://a.example/x".to_owned())
    );
}

proptest! {
    #[test]
    fn nothing_panics_and_what_is_read_is_kept(text in ".{0,60}") {
        if let Ok(uri) = RedirectUri::parse(&text) {
            prop_assert_eq!(uri.as_str(), text.as_str());
            prop_assert!(uri.covers(&uri));
            prop_assert!(!uri.target().name().is_empty());
        }
    }

    #[test]
    fn no_uri_becomes_a_script(
        scheme in "(?i)(javascript|data|vbscript|file|blob|about)",
        rest in "[ -~]{0,40}",
    ) {
        let text = format!("{scheme}:{rest}");
        prop_assert!(RedirectUri::parse(&text).is_err());
    }

    #[test]
    fn added_parameters_are_read_back(
        tail in "[a-z]{0,5}(\\?[a-z]=[a-z])?",
        value in ".{0,30}",
    ) {
        let uri = RedirectUri::parse(&format!("https://h.example/{tail}")).unwrap();
        let url = Url::parse(&uri.with_parameters(&[("state", &value)])).unwrap();
        let last = url.query_pairs().last().unwrap();
        prop_assert_eq!((&*last.0, &*last.1), ("state", value.as_str()));
    }

    /// One character that two programs could read differently spoils the best URI.
    #[test]
    fn no_odd_character_passes(
        at in 0_usize..24,
        odd in prop::sample::select("\t\n\r \\\"<>^`{|}\u{0}\u{7f}\u{e9}\u{ff0f}\u{202e}".chars().collect::<Vec<_>>()),
    ) {
        let mut text = "https://client.example/c".to_owned();
        text.insert(at, odd);
        prop_assert_eq!(RedirectUri::parse(&text), Err(InvalidRedirectUri::Character));
    }

    /// What a browser would make of it is what was judged: scheme, host, and no user information.
    #[test]
    fn what_is_accepted_leads_where_it_says(
        scheme in "https|http|cursor|com\\.example|[a-z]{1,6}",
        slashes in "/{0,3}",
        authority in "(user(:word)?@)?(client\\.example|localhost|127\\.0\\.0\\.1|\\[::1\\]|[a-z0-9.@:]{0,12})(:[0-9]{1,5})?",
        rest in "[/?#][a-z0-9/?#@%=&.]{0,12}|",
    ) {
        let text = format!("{scheme}:{slashes}{authority}{rest}");
        let Ok(uri) = RedirectUri::parse(&text) else { return Ok(()) };
        let url = Url::parse(&text).unwrap();
        prop_assert_eq!(url.fragment(), None);
        prop_assert_eq!((url.username(), url.password()), ("", None));
        match uri.target() {
            RedirectTarget::Web(host) => {
                prop_assert_eq!(url.scheme(), "https");
                prop_assert_eq!(url.host_str(), Some(host.as_str()));
                prop_assert!(text.to_ascii_lowercase().starts_with("https://"));
            }
            RedirectTarget::Loopback(_) => prop_assert!(is_loopback(&url)),
            RedirectTarget::PrivateUse(scheme) => {
                prop_assert!(!REFUSED_SCHEMES.contains(&scheme.as_str()));
                prop_assert!(!matches!(scheme.as_str(), "https" | "http"));
            }
        }
    }

    /// RFC 8252 §7.3: the port of a loopback host, and nothing else.
    #[test]
    fn a_registered_uri_covers_itself_on_any_loopback_port_and_nothing_more(
        host in "localhost|127\\.0\\.0\\.1|\\[::1\\]|client\\.example",
        path in "/[a-z]{0,6}(\\?[a-z]=[a-z])?",
        ports in any::<(u16, u16)>(),
        other in "/[a-z]{0,6}(\\?[a-z]=[a-z])?",
    ) {
        let scheme = if host == "client.example" { "https" } else { "http" };
        let at = |port: u16, path: &str| uri(&format!("{scheme}://{host}:{port}{path}"));
        let registered = at(ports.0, &path);
        let is_free = host != "client.example" || ports.0 == ports.1;
        prop_assert_eq!(registered.covers(&at(ports.1, &path)), is_free);
        prop_assert_eq!(registered.covers(&at(ports.0, &other)), path == other);
    }
}
