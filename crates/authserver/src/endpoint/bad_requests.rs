//! Every bad request of the table, sent to a whole authorization server.

mod scene;

use std::collections::HashMap;

use axum::{body::Body, http::Request};
use domain::{redirect_uri::AllowedRedirectHosts, secret::SecretString};
use testkit::bad_requests::{self, Body as RowBody, Place, Row, Seen, Setting};

use self::scene::Scene;
use crate::{
    Registration,
    testing::{Setup, TestServer},
};

/// One server for each way to set one up, made when it is first needed.
#[derive(Default)]
struct Servers(HashMap<Setting, TestServer>);

#[tokio::test]
async fn every_bad_request_has_its_exact_answer() {
    let mut servers = Servers::default();
    let mut faults = Vec::new();
    let mut sent = 0;
    for section in bad_requests::ALL {
        if !matches!(section.place, Place::Machines | Place::Pages) {
            continue;
        }
        for row in section.rows {
            let seen = send(servers.of(row.setting), row).await;
            if let Err(fault) = row.check(section.place, &seen) {
                faults.push(format!("{}: {fault}", section.title));
            }
            sent += 1;
        }
    }
    assert!(sent > 100, "only {sent} rows were sent");
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}

/// Sends a row with everything in it made anew.
async fn send(server: &TestServer, row: &Row) -> Seen {
    let mut scene = Scene::new(server);
    let uri = scene.fill(row.path).await;
    let mut request = Request::builder().method(row.method).uri(uri);
    for (name, value) in row.headers {
        request = request.header(*name, scene.fill(value).await);
    }
    let body = match row.body.content() {
        None => Body::empty(),
        Some((kind, text)) => {
            request = request.header(RowBody::HEADER, kind);
            Body::from(scene.fill(text).await)
        }
    };
    let request = request.body(body).unwrap();
    if row.setting == Setting::StoreAway {
        server.store.set_away(true);
        // Nobody waits for the patience that the server has.
        tokio::time::pause();
    }
    let answer = server.send(request).await;
    if row.setting == Setting::StoreAway {
        tokio::time::resume();
        server.store.set_away(false);
    }
    Seen {
        status: answer.status,
        headers: answer.headers,
        body: answer.body,
    }
}

// === impl Servers ===

impl Servers {
    fn of(&mut self, setting: Setting) -> &TestServer {
        self.0
            .entry(setting)
            .or_insert_with(|| TestServer::with(&setup(setting)))
    }
}

fn setup(setting: Setting) -> Setup {
    let usual = Setup::default();
    match setting {
        Setting::Usual | Setting::StoreAway => usual,
        Setting::TwoServers => Setup {
            paths: &["/a", "/b"],
            ..usual
        },
        Setting::Management => Setup {
            registration: Registration {
                management: true,
                initial_token: None,
            },
            ..usual
        },
        Setting::ClosedRegistration => Setup {
            registration: Registration {
                management: false,
                initial_token: Some(SecretString::new("the-initial-access-token")),
            },
            ..usual
        },
        Setting::NoDevices => Setup {
            device_flow: false,
            ..usual
        },
        Setting::PushedOnly => Setup {
            require_pushed_requests: true,
            ..usual
        },
        Setting::FewHosts => Setup {
            redirect_hosts: AllowedRedirectHosts::parse("allowed.example").unwrap(),
            ..usual
        },
        Setting::Exhausted => Setup {
            requests: Some(0),
            ..usual
        },
        Setting::BehindRouter => panic!("the edge answers this"),
    }
}
