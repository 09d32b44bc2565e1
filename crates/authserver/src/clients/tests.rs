use domain::{client::ClientMetadata, redirect_uri::AllowedRedirectHosts};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::testing::TestServer;

fn client() -> Client {
    let metadata = json!({ "redirect_uris": ["http://127.0.0.1/cb"], "client_name": "Tool" });
    Client {
        id: ClientId::parse("abc").unwrap(),
        issued_at: Timestamp::from_unix(1_000),
        secret_hash: Some([7; 32]),
        metadata: ClientMetadata::parse(
            metadata.as_object().unwrap(),
            &AllowedRedirectHosts::all(),
        )
        .unwrap(),
    }
}

#[test]
fn a_record_is_read_back() {
    let client = client();
    assert_eq!(
        decode(&encode(&client, Some([7; 32])).unwrap()),
        Some(client)
    );
}

#[test]
fn a_record_of_another_format_is_not_guessed_at() {
    let mut record = encode(&client(), None).unwrap();
    record[0] = FORMAT + 1;
    assert_eq!(decode(&record), None);
}

/// Whoever turns metadata documents off wants none of their clients any more.
#[tokio::test]
async fn a_copy_of_a_document_speaks_for_nobody_once_documents_are_off() {
    let server = TestServer::start();
    let clients = &server.server.clients;
    let described = Client {
        id: ClientId::parse("https://client.example/oauth.json").unwrap(),
        ..client()
    };
    for kept in [&described, &client()] {
        clients.register(kept, None).await.unwrap();
    }
    let asker = ClientNetwork::of([192, 0, 2, 1].into());
    let found = async |id| clients.find(id, asker).await.unwrap().is_some();
    assert!(!found(&described.id).await);
    assert!(found(&client().id).await);
}

proptest! {
    /// What is read was written so: junk is no client, and a record that was cut is none.
    #[test]
    fn no_other_bytes_are_a_record(
        bytes in prop::collection::vec(any::<u8>(), 0..100),
        cut in any::<prop::sample::Index>(),
    ) {
        for first in [None, Some(FORMAT)] {
            let junk: Vec<u8> = first.into_iter().chain(bytes.iter().copied()).collect();
            prop_assert_eq!(decode(&junk), None);
        }
        let record = encode(&client(), Some([7; 32])).unwrap();
        prop_assert_eq!(decode(&record[..cut.index(record.len())]), None);
    }
}
