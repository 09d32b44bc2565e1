use super::*;

fn parse(text: &str) -> RedisAddress {
    RedisAddress::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn place(host: &str, port: u16) -> Place {
    Place {
        host: host.to_owned(),
        port,
    }
}

#[test]
fn a_url_says_host_port_database_and_who_we_are() {
    let address = parse("rediss://proxy:p%40ss%2Fword@keys.example:6380/3");
    assert_eq!(address.places, [place("keys.example", 6380)]);
    assert!(matches!(
        address.arrangement,
        Arrangement::Single { database: 3 }
    ));
    assert_eq!(address.login.username.as_deref(), Some("proxy"));
    let password = Some(SecretString::new("p@ss/word"));
    assert_eq!(address.login.password, password);
    assert!(address.is_tls());

    let plain = parse("valkey://localhost");
    assert_eq!(plain.to_string(), "redis://localhost:6379/0");
    assert!(plain.login == Login::default());
    // As Heroku writes it.
    let heroku = parse("rediss://:p4ssw0rd@ec2-1-2-3-4.compute-1.amazonaws.com:7309");
    assert_eq!(heroku.login.username, None);
    assert_eq!(heroku.login.password, Some(SecretString::new("p4ssw0rd")));
    assert_eq!(parse("redis://[::1]:7000/").places, [place("::1", 7000)]);
}

#[test]
fn sentinels_and_clusters_are_several_hosts() {
    let sentinels = parse("rediss-sentinel://proxy:secret@a,b:5000,[::1]/2?master=main%20one");
    let places = [place("a", 26379), place("b", 5000), place("::1", 26379)];
    assert_eq!(sentinels.places, places);
    assert!(sentinels.is_tls() && sentinels.is_sentinel());
    let shown = "rediss-sentinel://a:26379,b:5000,[::1]:26379/2?master=main one";
    assert_eq!(sentinels.to_string(), shown);
    assert_eq!(
        sentinels.login.password,
        Some(SecretString::new("secret")),
        "at the master"
    );
    let with_login = sentinels.with_sentinel_login(None, Some(SecretString::new("watcher")));
    let passwords: Vec<_> = with_login.passwords().map(SecretString::expose).collect();
    assert_eq!(passwords, ["secret", "watcher"]);

    let cluster = parse("valkeys-cluster://:secret@a,b:7001");
    assert_eq!(cluster.to_string(), "rediss-cluster://a:6379,b:7001");
    assert!(!cluster.is_sentinel());
}

#[test]
fn what_is_no_address_is_refused_with_its_reason() {
    for (text, reason) in [
        ("localhost", InvalidRedisAddress::NoUrl),
        ("http://localhost", InvalidRedisAddress::Scheme),
        ("redis-ring://localhost", InvalidRedisAddress::Scheme),
        ("redis:///0", InvalidRedisAddress::NoHost),
        ("redis://a:70000", InvalidRedisAddress::Port),
        ("redis://a:port", InvalidRedisAddress::Port),
        ("redis://localhost/sessions", InvalidRedisAddress::Database),
        ("redis://localhost/-1", InvalidRedisAddress::Database),
        ("redis://:a#b@localhost", InvalidRedisAddress::NoHost),
        ("redis://localhost?db=1", InvalidRedisAddress::Trailing),
        ("redis://:%ff@localhost", InvalidRedisAddress::Credentials),
        ("redis://a,b", InvalidRedisAddress::Several),
        ("redis-sentinel://a/0", InvalidRedisAddress::NoMaster),
        ("redis-sentinel://a?master=", InvalidRedisAddress::NoMaster),
        ("redis-sentinel://a?name=m", InvalidRedisAddress::NoMaster),
        (
            "redis-sentinel://a?master=m&db=1",
            InvalidRedisAddress::Trailing,
        ),
        ("redis-sentinel://a,?master=m", InvalidRedisAddress::NoHost),
        (
            "redis-sentinel://a/x?master=m",
            InvalidRedisAddress::Database,
        ),
        ("rediss-cluster://a/0", InvalidRedisAddress::ClusterDatabase),
        ("redis-cluster://a?b=c", InvalidRedisAddress::Trailing),
        ("redis-cluster://", InvalidRedisAddress::NoHost),
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
