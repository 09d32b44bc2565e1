use super::*;

fn parse(text: &str) -> RedisAddress {
    RedisAddress::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn a_url_says_host_port_database_and_who_we_are() {
    let address = parse("rediss://proxy:p%40ss%2Fword@keys.example:6380/3");
    assert_eq!(address.host, "keys.example");
    assert_eq!((address.port, address.database), (6380, 3));
    assert_eq!(address.username.as_deref(), Some("proxy"));
    assert_eq!(address.password, Some(SecretString::new("p@ss/word")));
    assert!(address.is_tls());

    let plain = parse("valkey://localhost");
    assert_eq!((plain.port, plain.database), (6379, 0));
    assert_eq!((plain.username, plain.password), (None, None));
    assert!(!plain.is_tls);
    // As Heroku writes it.
    let heroku = parse("rediss://:p4ssw0rd@ec2-1-2-3-4.compute-1.amazonaws.com:7309");
    assert_eq!(heroku.username, None);
    assert_eq!(heroku.password, Some(SecretString::new("p4ssw0rd")));
    assert_eq!(parse("redis://[::1]:7000/").host, "::1");
}

#[test]
fn what_is_no_address_is_refused_with_its_reason() {
    for (text, reason) in [
        ("localhost", InvalidRedisAddress::NoUrl),
        ("http://localhost", InvalidRedisAddress::Scheme),
        ("redis:///0", InvalidRedisAddress::NoHost),
        ("redis://localhost/sessions", InvalidRedisAddress::Database),
        ("redis://localhost/-1", InvalidRedisAddress::Database),
        ("redis://:a#b@localhost", InvalidRedisAddress::NoHost),
        ("redis://localhost?db=1", InvalidRedisAddress::Trailing),
        ("redis://:%ff@localhost", InvalidRedisAddress::Credentials),
        ("redis-sentinel://a/0", InvalidRedisAddress::NotSingle),
        ("rediss-cluster://a", InvalidRedisAddress::NotSingle),
    ] {
        assert_eq!(RedisAddress::parse(text).err(), Some(reason), "{text}");
    }
}

#[test]
fn nobody_reads_who_we_are_in_an_address() {
    let address = parse("redis://proxy:hunter2hunter2@[::1]:7000/1");
    for shown in [address.to_string(), format!("{address:?}")] {
        assert!(shown.contains("redis://[::1]:7000/1"), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
