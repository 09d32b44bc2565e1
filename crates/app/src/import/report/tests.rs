use super::*;

fn client(name: &str) -> ClientId {
    ClientId::parse(name).unwrap()
}

fn report() -> Report {
    let mut report = Report {
        clients: 5,
        grants: 3,
        ..Report::default()
    };
    let metadata = UnfitClient::Metadata("redirect_uris: at least one is needed".to_owned());
    for taken in [
        Ok(TakenOver::WithItsSession),
        Ok(TakenOver::Before),
        Err(Unfit::OtherUser),
        Err(Unfit::OtherUser),
        Err(Unfit::Absent),
    ] {
        report.token(TokenKind::Access, taken);
    }
    for taken in [
        Ok(TakenOver::IntoItsSession),
        Err(Unfit::Client(metadata.clone())),
    ] {
        report.token(TokenKind::Refresh, taken);
    }
    report.fates = BTreeMap::from([
        (
            client("a"),
            ClientFate::Taken {
                left_out: vec!["logo_uri: is wrong".to_owned()],
            },
        ),
        (client("b"), ClientFate::Unfit(metadata)),
        (client("c"), ClientFate::Before),
    ]);
    report
}

#[test]
fn a_person_reads_counts_and_reasons() {
    let expected = "\
found: 5 clients, 3 grants, 4 access tokens, 2 refresh tokens
sessions begun here: 1
access tokens: 1 taken over, 1 before, 2 left behind
  2: another user has logged in through the same client since
refresh tokens: 1 taken over, 0 before, 1 left behind
  1: its client cannot be taken over: redirect_uris: at least one is needed
clients: 1 taken over, 1 before, 1 to register anew, 2 without a live session
  a, without logo_uri: is wrong
  b has to register anew: redirect_uris: at least one is needed
";
    assert_eq!(report().text(false), expected);
    let dry = report().text(true);
    assert!(dry.contains("1 to be taken over"), "{dry}");
    assert!(dry.ends_with("Nothing was written.\n"), "{dry}");
}

#[test]
fn a_program_reads_the_same() {
    let report: Value = serde_json::from_str(&report().json(false)).unwrap();
    let expected = json!({
        "dry_run": false,
        "found": { "clients": 5, "grants": 3, "access_tokens": 4, "refresh_tokens": 2 },
        "sessions_begun": 1,
        "access_tokens": { "taken_over": 1, "before": 1, "left_behind": { "other_user": 2 } },
        "refresh_tokens": { "taken_over": 1, "before": 0, "left_behind": { "unfit_client": 1 } },
        "clients": {
            "taken_over": 1,
            "before": 1,
            "without_session": 2,
            "unfit": { "b": "redirect_uris: at least one is needed" },
            "left_out": { "a": ["logo_uri: is wrong"] },
        },
    });
    assert_eq!(report, expected);
}
