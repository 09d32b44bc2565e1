use proptest::prelude::*;

use super::*;

fn target(url: &str, allows_loopback: bool) -> Result<Target, FetchError> {
    Target::new(&Url::parse(url).unwrap(), allows_loopback)
}

#[test]
fn only_https_is_fetched_and_loopback_http_in_development() {
    assert!(target("https://client.example/meta", false).is_ok());
    assert!(target("http://client.example/meta", true).is_err());
    assert!(target("http://127.0.0.1:4711/meta", false).is_err());
    for loopback in [
        "http://127.0.0.1:4711/meta",
        "http://localhost/meta",
        "http://[::1]:4711/meta",
        "https://127.9.9.9/meta",
    ] {
        assert!(target(loopback, true).is_ok(), "{loopback}");
    }
    for other in ["ftp://client.example/", "file:///etc/passwd", "data:,x"] {
        assert!(target(other, true).is_err(), "{other}");
    }
    assert!(target("https://user:word@client.example/", false).is_err());
}

#[test]
fn a_name_leads_to_the_public_internet_only_even_in_development() {
    for allows_loopback in [false, true] {
        let named = target("https://client.example/meta", allows_loopback).unwrap();
        assert!(named.admits("1.1.1.1".parse().unwrap()));
        assert!(!named.admits("127.0.0.1".parse().unwrap()));
        assert!(!named.admits("10.0.0.1".parse().unwrap()));
    }
}

#[test]
fn a_loopback_host_leads_to_this_machine_only() {
    let local = target("http://localhost:4711/meta", true).unwrap();
    assert!(local.admits("127.0.0.1".parse().unwrap()));
    assert!(local.admits("::1".parse().unwrap()));
    assert!(!local.admits("10.0.0.1".parse().unwrap()));
    assert!(!local.admits("1.1.1.1".parse().unwrap()));
}

#[test]
fn the_request_says_what_the_url_says() {
    let target = target("https://client.example:8443/a/b?c=d", false).unwrap();
    assert_eq!(target.path_and_query, "/a/b?c=d");
    assert_eq!(target.authority, "client.example:8443");
    assert_eq!(target.port, 8443);
    assert!(target.is_tls);
}

proptest! {
    /// An address written as the host, in whatever base or length, is judged as an address.
    #[test]
    fn no_spelling_of_an_inner_address_is_admitted(last: u8) {
        for url in [
            format!("https://127.0.0.{last}/"),
            format!("https://0x7f0000{last:02x}/"),
            format!("https://{}/", 0x7f00_0000_u32 + u32::from(last)),
            format!("https://0177.{last}/"),
            format!("https://[::ffff:7f00:{last:x}]/"),
        ] {
            let (Host::Ipv4(_) | Host::Ipv6(_)) = target(&url, false).unwrap().host else {
                return Err(TestCaseError::fail(url));
            };
        }
    }

    /// Whatever is fetched is https to a host without user information, or, where that is allowed,
    /// this machine; and what is asked there is what the URL says.
    #[test]
    fn what_may_be_fetched_says_where_it_leads(
        scheme in "https?|ftp|[a-z]{1,4}",
        user in "(user(:word)?@)?",
        host in "client\\.example|localhost|127\\.0\\.0\\.1|\\[::1\\]|localhost\\.example|[a-z0-9.]{1,8}",
        rest in "(:[0-9]{1,4})?(/[a-z%.]{0,8})?(\\?[a-z=&]{0,6})?(#[a-z]{0,3})?",
        allows_loopback: bool,
    ) {
        let Ok(url) = Url::parse(&format!("{scheme}://{user}{host}{rest}")) else { return Ok(()) };
        let Ok(target) = Target::new(&url, allows_loopback) else { return Ok(()) };
        prop_assert_eq!(user.as_str(), "");
        prop_assert!(target.is_tls || (scheme == "http" && allows_loopback && target.is_loopback));
        prop_assert!(allows_loopback || !target.is_loopback);
        let asked = Url::parse(&format!("{}://{}{}", url.scheme(), target.authority, target.path_and_query)).unwrap();
        let mut expected = url.clone();
        expected.set_fragment(None);
        prop_assert_eq!(asked, expected);
    }
}
