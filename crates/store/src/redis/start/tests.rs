use super::*;

fn info(lines: &str) -> Info {
    Info::parse(&lines.replace('\n', "\r\n"))
}

const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);

fn address() -> RedisAddress {
    RedisAddress::parse("redis://keys.example").unwrap()
}

#[test]
fn a_server_that_keeps_sessions_has_no_fault() {
    let good = info(
        "# Server\nredis_version:7.0.15\nrole:master\nmaxmemory_policy:noeviction\naof_enabled:1\n\
         used_memory:1\nmaxmemory:0\ncluster_enabled:0",
    );
    good.judge(&address()).unwrap();
    assert_eq!(good.faults(NOW), Vec::<String>::new());
    assert_eq!(good.server_version(), "Redis 7.0.15");
}

#[test]
fn what_loses_sessions_is_said_with_what_to_do() {
    let bad = info(
        "redis_version:7.2.0\nmaxmemory_policy:volatile-lru\naof_enabled:0\nconnected_slaves:0\n\
         used_memory:81\nmaxmemory:100",
    );
    let faults = bad.faults(NOW).join("\n");
    for part in ["`volatile-lru`", "`noeviction`", "appendonly", "80 %"] {
        assert!(faults.contains(part), "{part}: {faults}");
    }
    let replicated = "redis_version:7.2.0\naof_enabled:0\nconnected_slaves:1";
    let faults = info(replicated).faults(NOW).join("\n");
    assert!(faults.contains("`min-replicas-to-write 1`"), "{faults}");
    let guarded = info(&format!("{replicated}\nmin_slaves_good_slaves:1"));
    assert_eq!(guarded.faults(NOW), Vec::<String>::new());
}

#[test]
fn a_master_that_nothing_can_replace_is_said_where_something_should() {
    let alone = info("redis_version:7.2.0\nconnected_slaves:0");
    for (url, is_said) in [
        ("redis://a", false),
        ("redis-sentinel://a?master=m", true),
        ("redis-cluster://a", true),
    ] {
        let address = RedisAddress::parse(url).unwrap();
        assert_eq!(
            alone.cannot_be_replaced(&address).is_some(),
            is_said,
            "{url}"
        );
    }
}

#[test]
fn servers_that_cannot_be_used_are_refused() {
    for (lines, expected) in [
        ("redis_version:6.2.14", "Redis 6.2.14"),
        (
            "redis_version:7.2.4\nvalkey_version:7.0.0",
            "Valkey 7.0.0; needed is Redis 7.0 or newer, or Valkey 7.2",
        ),
        ("redis_version:7.2.4\nrole:slave", "name its master"),
        (
            "redis_version:7.2.4\ncluster_enabled:1",
            "part of a cluster; name it by `redis-cluster://`",
        ),
        (
            "redis_version:7.2.4\nredis_mode:sentinel",
            "a sentinel; name it by `redis-sentinel://`",
        ),
    ] {
        let error = info(lines).judge(&address()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    info("redis_version:7.2.4\nvalkey_version:8.1.0")
        .judge(&address())
        .unwrap();
}

#[test]
fn clocks_that_are_apart_are_said() {
    let at = |micros: u64| {
        let server = info(&format!("aof_enabled:1\nserver_time_usec:{micros}"));
        server.faults(NOW).len()
    };
    assert_eq!(at(1_800_000_001_900_000), 0);
    assert_eq!(at(1_800_000_002_000_000), 1);
    assert_eq!(at(1_799_999_990_000_000), 1);
}
