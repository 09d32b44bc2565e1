//! Every bad request of the table that the gateway answers.

use domain::resource::Resource;
use testkit::bad_requests::{self, Body, Place, Row, Seen, placeholders};

use crate::harness::{Client, Proxy, Server, base, empty, full, request};

#[tokio::test]
async fn every_bad_request_has_its_exact_answer() {
    let (server, arrived) = Server::recording().await;
    let mut faults = Vec::new();
    let mut sent = 0;
    let sections = bad_requests::ALL.iter();
    for section in sections.filter(|section| section.place == Place::Gateway) {
        for row in section.rows {
            let proxy = Proxy::before(&server.url()).await;
            let seen = send(&proxy, row).await;
            if let Err(fault) = row.check(section.place, &seen) {
                faults.push(fault);
            }
            sent += 1;
        }
    }
    assert!(sent > 10, "only {sent} rows were sent");
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
    assert!(arrived.lock().unwrap().is_empty());
}

async fn send(proxy: &Proxy, row: &Row) -> Seen {
    let body = match row.body {
        Body::Absent => empty(),
        Body::Form(text) | Body::Json(text) | Body::Text(_, text) => full(text),
    };
    let path = fill(proxy, row.path).await;
    let mut call = request(row.method.parse().unwrap(), &path, body);
    for (name, value) in row.headers {
        let value = fill(proxy, value).await;
        let name: http::HeaderName = name.parse().unwrap();
        call.headers_mut().append(name, value.parse().unwrap());
    }
    let answer = Client::connect(proxy.address).await.ask(call).await;
    Seen {
        status: answer.status.as_u16(),
        headers: answer.headers,
        body: answer.body,
    }
}

/// A text with everything in it that it names.
async fn fill(proxy: &Proxy, text: &str) -> String {
    let mut filled = text.to_owned();
    for name in placeholders(text) {
        let token = proxy.token.as_str();
        let value = match name {
            "access token" => token.to_owned(),
            "changed access token" => format!("{}AAAA", &token[..token.len() - 4]),
            "refresh token" => {
                let refresh_token = proxy.issued.refresh_token.as_ref();
                refresh_token.unwrap().expose().to_owned()
            }
            "access token for another server" => {
                proxy.token_for(Resource::at(&base(), "/other")).await
            }
            "revoked access token" => {
                proxy.grants.end(&proxy.issued.grant).await.unwrap();
                token.to_owned()
            }
            unknown => panic!("nobody knows how to make <{unknown}>"),
        };
        filled = filled.replace(&format!("<{name}>"), &value);
    }
    filled
}
