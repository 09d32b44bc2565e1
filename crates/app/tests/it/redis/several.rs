//! Two proxies on servers that stand together: a master behind sentinels, and a cluster.

use testkit::redis::{Cluster, Watched};

use super::*;

#[tokio::test]
async fn a_failover_behind_sentinels_costs_no_login() -> Result<()> {
    let arguments = ["--min-replicas-to-write", "1"];
    let mut watched = Watched::start(2, 3, &arguments, "").await?;
    let (first, second) = pair(&watched.url(), 3600, &[]).await?;
    let (client, tokens) = first.logged_in("alice").await?;
    let clients = [client.clone(), client.at(&second.http()?)];
    for client in &clients {
        assert_eq!(client.call(&tokens.access, &ping()).await?.status, 200);
    }
    for replica in 1..3 {
        let (master, replica) = (watched.server(0)?, watched.server(replica)?);
        replica.has_copied(master).await?;
    }

    watched.servers()[0].process().kill()?;
    let failover = watched.other_master(0);
    let calls = async {
        for client in clients.iter().cycle() {
            let reply = client.call(&tokens.access, &ping()).await?;
            ensure!(reply.status == 200, "{}: {}", reply.status, reply.text());
        }
        Ok(0)
    };
    // Until another is the master, sessions go on from memory.
    tokio::select! {
        master = failover => master?,
        failed = calls => failed?,
    };
    for client in &clients {
        let refreshed = wait::until("a refresh", SOON, || async {
            let reply = client.refresh(&tokens.refresh).await?;
            ensure!(
                reply.status == 200 || reply.status == 503,
                "{}: {}",
                reply.status,
                reply.text()
            );
            Ok((reply.status == 200).then_some(reply))
        });
        let line = Tokens::of(&refreshed.await?)?;
        assert_eq!(client.call(&line.access, &ping()).await?.status, 200);
    }
    first.logged_in("bob").await?;
    // The old master comes back and takes itself for one for a while.
    watched.servers()[0].start_again().await?;
    revoked_at(&first, &client, &tokens).await?;
    refused_at(&clients[1], &tokens).await
}

#[tokio::test]
async fn an_end_on_a_cluster_is_an_end_at_both() -> Result<()> {
    let mut cluster = Cluster::start(3, 0).await?;
    let (first, second) = pair(&cluster.url(), 3600, &[]).await?;
    let way = second.http()?;
    // Whose records lie with one master and with another.
    for user in ["alice", "bob", "alice", "bob"] {
        let (client, tokens) = first.logged_in(user).await?;
        let there = client.at(&way);
        assert_eq!(there.call(&tokens.access, &ping()).await?.status, 200);
        let line = Tokens::of(&there.refresh(&tokens.refresh).await?)?;
        assert_eq!(client.call(&line.access, &ping()).await?.status, 200);
        revoked_at(&first, &client, &line).await?;
        refused_at(&there, &line).await?;
    }
    for server in cluster.servers() {
        let found = first.witness.found_in(&server.files()?);
        ensure!(found.is_empty(), "secrets stand on a server: {found:?}");
    }
    Ok(())
}
