use super::*;
use crate::testing::{ASKER, FixedResolver, Origin};

async fn refused(origin: &Origin) -> FetchError {
    let fetched = origin.fetcher().fetch(&origin.url("/meta"), ASKER).await;
    fetched.unwrap_err()
}

#[tokio::test]
async fn a_document_is_fetched_by_tls_and_nothing_else_is_told() {
    let origin = Origin::tls().await;
    origin.answers_json("", r#"{"a":1}"#);
    let url = origin.url("/meta?x=y");
    let answer = origin.fetcher().fetch(&url, ASKER).await.unwrap();
    assert_eq!(answer.body, r#"{"a":1}"#);
    let seen = origin.seen();
    let [head] = seen.as_slice() else {
        panic!("{seen:?}")
    };
    assert!(head.starts_with("GET /meta?x=y HTTP/1.1\r\n"), "{head}");
    let mut names: Vec<_> = head
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .map(|(name, _)| name.to_ascii_lowercase())
        .collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "accept",
            "accept-encoding",
            "connection",
            "host",
            "user-agent"
        ]
    );
}

#[tokio::test]
async fn this_machine_is_not_reached_unless_development_says_so() {
    let origin = Origin::tls().await;
    let fetcher = Fetcher::new(&origin.settings(false)).unwrap();
    let fetched = fetcher.fetch(&origin.url("/meta"), ASKER).await;
    assert_eq!(fetched.unwrap_err(), FetchError::NotPublic);
    let by_name = format!("https://localhost:{}/meta", origin.port());
    let fetched = fetcher.fetch(&by_name.parse().unwrap(), ASKER).await;
    assert_eq!(fetched.unwrap_err(), FetchError::Unresolved);
    assert!(origin.seen().is_empty());
}

#[tokio::test]
async fn a_name_that_leads_to_this_machine_is_refused_even_in_development() {
    let origin = Origin::tls().await;
    for address in ["127.0.0.1", "::ffff:127.0.0.1", "10.0.0.1"] {
        let resolver = Box::new(FixedResolver(vec![address.parse().unwrap()]));
        let fetcher = Fetcher::with_resolver(&origin.settings(true), resolver).unwrap();
        let url = format!("https://rebound.example:{}/meta", origin.port());
        let fetched = fetcher.fetch(&url.parse().unwrap(), ASKER).await;
        assert_eq!(fetched.unwrap_err(), FetchError::Unresolved, "{address}");
    }
    assert!(origin.seen().is_empty());
}

#[tokio::test]
async fn whether_an_inner_name_is_taken_cannot_be_found_out() {
    let origin = Origin::tls().await;
    let ask = async |addresses: Vec<IpAddr>| {
        let resolver = Box::new(FixedResolver(addresses));
        let fetcher = Fetcher::with_resolver(&origin.settings(false), resolver).unwrap();
        let url = "https://database.inner.example/meta".parse().unwrap();
        fetcher.fetch(&url, ASKER).await.unwrap_err()
    };
    assert_eq!(ask(vec![[10, 0, 0, 1].into()]).await, ask(Vec::new()).await);
}

#[tokio::test]
async fn development_reaches_plain_http_by_address_and_by_name() {
    let origin = Origin::plain().await;
    let fetcher = origin.fetcher();
    assert!(fetcher.fetch(&origin.url("/"), ASKER).await.is_ok());
    let by_name = format!("http://localhost:{}/", origin.port());
    let fetched = fetcher.fetch(&by_name.parse().unwrap(), ASKER).await;
    assert!(fetched.is_ok(), "{fetched:?}");
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused() {
    let origin = Origin::tls().await;
    let settings = FetchSettings {
        allows_loopback: true,
        ca_certificates: Vec::new(),
    };
    let fetcher = Fetcher::new(&settings).unwrap();
    let fault = fetcher.fetch(&origin.url("/"), ASKER).await.unwrap_err();
    assert!(matches!(fault, FetchError::Tls(_)), "{fault}");
    assert!(fault.is_passing());
}

#[tokio::test]
async fn no_redirect_is_followed() {
    let origin = Origin::tls().await;
    origin.answers("HTTP/1.1 302 Found\r\nlocation: /other\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(refused(&origin).await, FetchError::Redirect(302));
    assert_eq!(origin.seen().len(), 1);
}

#[tokio::test]
async fn only_200_is_a_document() {
    let origin = Origin::tls().await;
    for (status, is_passing) in [
        (404, false),
        (410, false),
        (403, true),
        (429, true),
        (500, true),
        (503, true),
    ] {
        origin.answers_status(&format!("{status} No"));
        let fault = refused(&origin).await;
        assert_eq!(fault, FetchError::Status(status));
        assert_eq!(fault.is_passing(), is_passing, "{status}");
    }
    origin.answers("HTTP/1.1 204 No\r\ncontent-type: application/json\r\n\r\n");
    assert_eq!(refused(&origin).await, FetchError::Status(204));
}

#[tokio::test]
async fn only_json_is_read() {
    let origin = Origin::tls().await;
    let served_as = |kind: &str| {
        let kind = if kind.is_empty() {
            String::new()
        } else {
            format!("content-type: {kind}\r\n")
        };
        origin.answers(format!(
            "HTTP/1.1 200 OK\r\n{kind}content-length: 2\r\n\r\n{{}}"
        ));
    };
    for kind in [
        "",
        "text/html",
        "text/plain",
        "application/+json",
        "text/x+json",
    ] {
        served_as(kind);
        assert_eq!(refused(&origin).await, FetchError::ContentType, "{kind}");
    }
    for kind in [
        "application/json",
        "Application/JSON; charset=utf-8",
        "application/jwk-set+json",
    ] {
        served_as(kind);
        let fetched = origin.fetcher().fetch(&origin.url("/"), ASKER).await;
        assert!(fetched.is_ok(), "{kind}: {fetched:?}");
    }
}

#[tokio::test]
async fn nothing_longer_than_the_bound_is_read() {
    let origin = Origin::tls().await;
    let fits = format!("\"{}\"", "x".repeat(exchange::MAX_BODY_BYTES - 2));
    origin.answers_json("", &fits);
    let fetched = origin.fetcher().fetch(&origin.url("/"), ASKER).await;
    assert_eq!(fetched.unwrap().body.len(), exchange::MAX_BODY_BYTES);
    let long = "x".repeat(exchange::MAX_BODY_BYTES + 1);
    origin.answers_json("", &long);
    assert_eq!(refused(&origin).await, FetchError::TooLarge);
    // Without a length beforehand.
    origin.answers(format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{long}"
    ));
    assert_eq!(refused(&origin).await, FetchError::TooLarge);
    let header = "y".repeat(32 << 10);
    origin.answers_json(&format!("x-long: {header}\r\n"), "{}");
    assert!(matches!(refused(&origin).await, FetchError::Connection(_)));
}

#[tokio::test]
async fn what_breaks_off_or_is_no_http_is_an_error() {
    let origin = Origin::tls().await;
    origin
        .answers("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{");
    assert!(matches!(refused(&origin).await, FetchError::Connection(_)));
    origin.answers("220 mail.example ESMTP\r\n");
    assert!(matches!(refused(&origin).await, FetchError::Connection(_)));
    origin.answers("");
    assert!(matches!(refused(&origin).await, FetchError::Connection(_)));
    origin.answers(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n{}",
    );
    assert!(matches!(refused(&origin).await, FetchError::Invalid(_)));
}

#[tokio::test]
async fn a_silent_host_costs_three_seconds() {
    let origin = Origin::plain().await;
    origin.hold(true);
    let fetcher = origin.fetcher();
    let url = origin.url("/");
    let mut fetching = Box::pin(fetcher.fetch(&url, ASKER));
    tokio::select! {
        () = origin.is_asked() => {}
        answer = &mut fetching => panic!("{answer:?}"),
    }
    // From here on time leaps to whatever is waited for next.
    tokio::time::pause();
    let began = tokio::time::Instant::now();
    assert_eq!(fetching.await.unwrap_err(), FetchError::Timeout);
    assert!(began.elapsed() < WITHIN + Duration::from_secs(1));
}

#[tokio::test]
async fn one_network_cannot_make_it_fetch_without_end() {
    let origin = Origin::plain().await;
    let fetcher = origin.fetcher();
    let url = origin.url("/");
    let mut refused = None;
    for _ in 0..40 {
        if let Err(fault) = fetcher.fetch(&url, ASKER).await {
            refused = Some(fault);
            break;
        }
    }
    let Some(FetchError::Busy { retry_after }) = refused else {
        panic!("{refused:?}")
    };
    assert!(retry_after >= Duration::from_secs(1));
    let other = "198.51.100.9".parse().unwrap();
    assert!(fetcher.fetch(&url, other).await.is_ok());
}

#[tokio::test]
async fn one_host_is_not_asked_without_end_whoever_makes_it() {
    let origin = Origin::plain().await;
    let fetcher = origin.fetcher();
    let url = origin.url("/");
    let mut served = 0;
    for last in 0..90_u8 {
        let asker = IpAddr::from([198, 51, 100, last]);
        served += usize::from(fetcher.fetch(&url, asker).await.is_ok());
    }
    assert!((60..70).contains(&served), "{served}");
}
