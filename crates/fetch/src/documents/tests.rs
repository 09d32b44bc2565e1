use super::*;
use crate::testing::{ASKER, Origin};

/// Documents whose value is their text; one that says `bad` cannot be read.
fn documents(origin: &Origin) -> Documents<String> {
    Documents::new(Arc::new(origin.fetcher()), |_, body| {
        let text = String::from_utf8_lossy(body).into_owned();
        if text.contains("bad") {
            Err("it is bad".to_owned())
        } else {
            Ok(text)
        }
    })
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + seconds)
}

struct Asked<'a> {
    origin: &'a Origin,
    documents: Documents<String>,
}

impl<'a> Asked<'a> {
    fn new(origin: &'a Origin) -> Self {
        Self {
            origin,
            documents: documents(origin),
        }
    }

    async fn at(&self, seconds: u64) -> Result<String, FetchError> {
        let url = self.origin.url("/meta");
        let fetched = self.documents.get(url.as_str(), ASKER, at(seconds)).await?;
        Ok(fetched.value.to_string())
    }

    fn fetches(&self) -> usize {
        self.origin.seen().len()
    }
}

#[tokio::test]
async fn a_document_is_remembered_as_long_as_its_host_says() {
    let origin = Origin::plain().await;
    let asked = Asked::new(&origin);
    origin.answers_json("cache-control: max-age=3600\r\n", "1");
    assert_eq!(asked.at(0).await.unwrap(), "1");
    origin.answers_json("cache-control: max-age=3600\r\n", "2");
    assert_eq!(asked.at(3599).await.unwrap(), "1");
    assert_eq!(asked.at(3600).await.unwrap(), "2");
    assert_eq!(asked.fetches(), 2);
}

#[tokio::test]
async fn what_the_host_says_is_bounded_from_below_and_above() {
    for headers in [
        "",
        "cache-control: no-store\r\n",
        "cache-control: max-age=1\r\n",
    ] {
        let origin = Origin::plain().await;
        let asked = Asked::new(&origin);
        origin.answers_json(headers, "1");
        asked.at(0).await.unwrap();
        asked.at(299).await.unwrap();
        assert_eq!(asked.fetches(), 1, "{headers}");
        asked.at(300).await.unwrap();
        assert_eq!(asked.fetches(), 2, "{headers}");
    }
    let origin = Origin::plain().await;
    let asked = Asked::new(&origin);
    origin.answers_json("cache-control: max-age=99999999\r\n", "1");
    asked.at(0).await.unwrap();
    asked.at(24 * 3600 - 1).await.unwrap();
    assert_eq!(asked.fetches(), 1);
    asked.at(24 * 3600).await.unwrap();
    assert_eq!(asked.fetches(), 2);
}

#[tokio::test]
async fn errors_are_not_remembered() {
    let origin = Origin::plain().await;
    let asked = Asked::new(&origin);
    origin.answers_status("404 Not Found");
    assert_eq!(asked.at(0).await.unwrap_err(), FetchError::Status(404));
    origin.answers_json("", "bad");
    assert_eq!(
        asked.at(0).await.unwrap_err(),
        FetchError::Invalid("it is bad".to_owned())
    );
    origin.answers_json("", "1");
    assert_eq!(asked.at(0).await.unwrap(), "1");
}

#[tokio::test]
async fn a_failing_origin_serves_the_last_good_copy_for_a_day() {
    let origin = Origin::plain().await;
    let asked = Asked::new(&origin);
    origin.answers_json("", "1");
    asked.at(0).await.unwrap();
    origin.answers_status("500 No");
    assert_eq!(asked.at(300).await.unwrap(), "1");
    origin.answers_json("", "bad");
    assert_eq!(asked.at(340).await.unwrap(), "1");
    let fetches = asked.fetches();
    // A failure is not asked for again at each request.
    assert_eq!(asked.at(341).await.unwrap(), "1");
    assert_eq!(asked.fetches(), fetches);
    origin.answers_status("503 No");
    let last = 300 + 24 * 3600 - 1;
    assert_eq!(asked.at(last).await.unwrap(), "1");
    assert_eq!(
        asked.at(last + 1).await.unwrap_err(),
        FetchError::Status(503)
    );
}

#[tokio::test]
async fn a_recovered_origin_is_believed() {
    let origin = Origin::plain().await;
    let asked = Asked::new(&origin);
    origin.answers_json("", "1");
    asked.at(0).await.unwrap();
    origin.answers_status("500 No");
    asked.at(300).await.unwrap();
    origin.answers_json("", "2");
    assert_eq!(asked.at(329).await.unwrap(), "1");
    assert_eq!(asked.at(330).await.unwrap(), "2");
}

#[tokio::test]
async fn many_who_ask_at_once_make_one_fetch_and_share_its_failure() {
    let origin = Origin::plain().await;
    let asked = Asked::new(&origin);
    origin.answers_json("", "1");
    origin.hold(true);
    let all = futures_util::future::join_all((0..50).map(|_| asked.at(0)));
    let release = async {
        origin.is_asked().await;
        origin.hold(false);
    };
    let (answers, ()) = tokio::join!(all, release);
    assert!(answers.iter().all(|answer| answer.as_deref() == Ok("1")));
    assert_eq!(asked.fetches(), 1);

    origin.answers_status("500 No");
    let all = futures_util::future::join_all((0..50).map(|_| async {
        let url = origin.url("/other");
        asked
            .documents
            .get(url.as_str(), ASKER, at(0))
            .await
            .unwrap_err()
    }));
    assert!(
        all.await
            .iter()
            .all(|fault| *fault == FetchError::Status(500))
    );
    assert_eq!(asked.fetches(), 2);
}

#[tokio::test]
async fn who_leaves_does_not_end_the_fetch_of_others() {
    let origin = Origin::plain().await;
    let asked = Asked::new(&origin);
    origin.hold(true);
    let leaver = Box::pin(asked.at(0));
    let stayer = asked.at(0);
    let release = async {
        origin.is_asked().await;
        origin.hold(false);
    };
    // The one who began it goes as soon as the origin was asked.
    let leave = async {
        tokio::select! {
            biased;
            () = origin.is_asked() => {}
            _ = leaver => panic!("answered while held"),
        }
    };
    let ((), stayed, ()) = tokio::join!(leave, stayer, release);
    assert_eq!(stayed.unwrap(), "{}");
    assert_eq!(asked.fetches(), 1);
}

#[tokio::test]
async fn a_newer_one_is_fetched_once_for_what_the_known_one_lacks() {
    let origin = Origin::plain().await;
    let documents = documents(&origin);
    let url = origin.url("/keys");
    origin.answers_json("cache-control: max-age=3600\r\n", "1");
    let known = documents.get(url.as_str(), ASKER, at(0)).await.unwrap();
    let newer = |number, seconds| documents.newer_than(number, url.as_str(), ASKER, at(seconds));
    // Just fetched: another look would bring nothing.
    assert!(newer(known.number, 5).await.unwrap().is_none());
    origin.answers_json("cache-control: max-age=3600\r\n", "2");
    let fetched = newer(known.number, 60).await.unwrap().unwrap();
    assert_eq!(*fetched.value, "2");
    // Who asks late gets what another has fetched.
    let shared = newer(known.number, 61).await.unwrap().unwrap();
    assert_eq!(shared.number, fetched.number);
    assert!(newer(fetched.number, 61).await.unwrap().is_none());
    assert_eq!(origin.seen().len(), 2);
    // A failure leaves what is known as it is, and is not repeated at each request.
    origin.answers_status("500 No");
    assert!(newer(fetched.number, 120).await.is_err());
    assert!(newer(fetched.number, 121).await.unwrap().is_none());
    let still = documents.get(url.as_str(), ASKER, at(122)).await.unwrap();
    assert_eq!(*still.value, "2");
    assert_eq!(origin.seen().len(), 3);
}

#[tokio::test]
async fn a_limit_does_not_hide_what_is_known() {
    let origin = Origin::plain().await;
    let asked = Asked::new(&origin);
    origin.answers_json("", "1");
    asked.at(0).await.unwrap();
    for path in 0..40 {
        let url = origin.url(&format!("/{path}"));
        let _ = asked.documents.get(url.as_str(), ASKER, at(0)).await;
    }
    let fetches = asked.fetches();
    assert_eq!(asked.at(300).await.unwrap(), "1");
    assert_eq!(asked.fetches(), fetches);
}
