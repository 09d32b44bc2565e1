use proptest::prelude::*;

use super::*;

#[test]
fn each_fault_has_its_name() {
    use InvalidBaseUrl as Invalid;
    for (text, expected) in [
        ("http://proxy.example", Invalid::PlainHttp),
        ("http://localhost.example", Invalid::PlainHttp),
        ("ftp://proxy.example", Invalid::Scheme("ftp".to_owned())),
        ("https://proxy.example?a", Invalid::Extra),
        ("https://proxy.example/#a", Invalid::Extra),
        ("https://user@proxy.example", Invalid::Extra),
        ("https://:word@proxy.example", Invalid::Extra),
    ] {
        assert_eq!(BaseUrl::parse(text), Err(expected), "{text}");
    }
    for text in ["", "proxy.example", "/prefix", "https://"] {
        let refused = BaseUrl::parse(text).unwrap_err();
        assert!(matches!(refused, Invalid::Syntax(_)), "{text}: {refused}");
    }
}

proptest! {
    /// RFC 8414 §2: one spelling of the issuer, from which everything else is made.
    #[test]
    fn an_issuer_has_one_spelling(
        host in "[a-z]{1,8}\\.example(:[0-9]{2,4})?",
        path in "(/[a-z0-9]{1,5}){0,3}",
        slashes in "/{0,3}",
        space in " {0,2}",
    ) {
        let base = BaseUrl::parse(&format!("{space}https://{host}{path}{slashes}{space}")).unwrap();
        prop_assert!(!base.issuer().ends_with('/'));
        prop_assert_eq!(BaseUrl::parse(base.issuer()).unwrap(), base.clone());
        prop_assert_eq!(base.prefix(), &path);
        prop_assert_eq!(base.join("/auth"), format!("{}/auth", base.issuer()));
        prop_assert_eq!(format!("{}{path}", base.origin()), base.issuer());
    }

    #[test]
    fn no_text_is_more_than_a_base(text in "(https?|ftp)://[a-z.@:0-9]{0,14}[a-z/?#@ ]{0,8}|.{0,40}") {
        let Ok(base) = BaseUrl::parse(&text) else { return Ok(()) };
        let url = base.as_url();
        prop_assert!(url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url)));
        prop_assert_eq!((url.query(), url.fragment(), url.password()), (None, None, None));
        prop_assert!(base.issuer().starts_with(&base.origin()));
    }
}
