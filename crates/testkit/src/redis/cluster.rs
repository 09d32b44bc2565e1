//! Servers that share the slots of a cluster.

use std::{ops::Range, time::Duration};

use anyhow::{Context as _, Result, ensure};

use super::Redis;
use crate::{port::Port, process::START, wait};

/// A cluster. The masters come first, then the replicas: one for each of the first masters.
#[derive(Debug)]
pub struct Cluster {
    servers: Vec<Redis>,
    /// Kept as long as the servers run.
    buses: Vec<Port>,
}

const SLOTS: usize = 16384;
/// How long a promotion may take on a busy machine.
const FAILOVER: Duration = Duration::from_secs(60);

// === impl Cluster ===

impl Cluster {
    /// Starts so many masters, which share the slots evenly, and so many replicas.
    ///
    /// # Errors
    /// If they do not come up and find each other.
    pub async fn start(masters: usize, replicas: usize) -> Result<Self> {
        ensure!(replicas <= masters, "a master has at most one replica");
        let mut cluster = Self {
            servers: Vec::new(),
            buses: Vec::new(),
        };
        for index in 0..masters + replicas {
            let slots = SLOTS * index / masters..SLOTS * (index + 1) / masters;
            cluster.join((index < masters).then_some(slots)).await?;
        }
        cluster.met().await?;
        for index in 0..replicas {
            let id = cluster.id(index).await?;
            let replica = cluster.server(masters + index)?;
            said_ok(replica, &["CLUSTER", "REPLICATE", &id]).await?;
            wait::until("a replica to have its copy", START, || async {
                let status = replica.info("master_link_status").await.ok();
                Ok(status.filter(|status| status == "up"))
            })
            .await?;
        }
        cluster.met().await?;
        Ok(cluster)
    }

    /// Starts one more master, which has no slots yet; returns its index.
    ///
    /// # Errors
    /// If it does not come up and find the others.
    pub async fn add(&mut self) -> Result<usize> {
        self.join(None).await?;
        self.met().await?;
        Ok(self.servers.len() - 1)
    }

    /// Its URL, which names two servers.
    pub fn url(&self) -> String {
        let hosts = self.servers.iter().take(2);
        let hosts: Vec<String> = hosts
            .map(|server| format!("127.0.0.1:{}", server.port()))
            .collect();
        format!("redis-cluster://{}", hosts.join(","))
    }

    /// The servers.
    pub fn servers(&mut self) -> &mut [Redis] {
        &mut self.servers
    }

    /// One of them.
    ///
    /// # Errors
    /// If there is none.
    pub fn server(&self, index: usize) -> Result<&Redis> {
        self.servers.get(index).context("there is none")
    }

    /// Sends a slot, with what lies there, from one master to another, and tells it to all, unless
    /// that is left for later: then whoever asks the first one is sent on.
    ///
    /// # Errors
    /// If they refuse.
    pub async fn move_slot(&self, slot: u16, from: usize, to: usize, tells: bool) -> Result<()> {
        let (there, slot) = (self.server(to)?, slot.to_string());
        let here = self.server(from)?;
        let (from_id, to_id) = (self.id(from).await?, self.id(to).await?);
        let set = ["CLUSTER", "SETSLOT", &slot];
        said_ok(there, &[&set[..], &["IMPORTING", &from_id]].concat()).await?;
        said_ok(here, &[&set[..], &["MIGRATING", &to_id]].concat()).await?;
        let port = there.port().to_string();
        let keys = here
            .command(&["CLUSTER", "GETKEYSINSLOT", &slot, "1000"])
            .await?;
        for key in keys.lines().skip(2).step_by(2) {
            let words = ["MIGRATE", "127.0.0.1", &port, key, "0", "5000"];
            said_ok(here, &words).await?;
        }
        if tells {
            self.tell_slot(&slot, &to_id, to).await?;
        }
        Ok(())
    }

    /// Tells all what [`Cluster::move_slot`] left for later.
    ///
    /// # Errors
    /// If they refuse.
    pub async fn settle_slot(&self, slot: u16, to: usize) -> Result<()> {
        let id = self.id(to).await?;
        self.tell_slot(&slot.to_string(), &id, to).await
    }

    /// Waits until a replica is the master in the place of another.
    ///
    /// # Errors
    /// If it does not become one.
    pub async fn promoted(&self, replica: usize) -> Result<()> {
        let server = self.server(replica)?;
        wait::until("a replica to be promoted", FAILOVER, || async {
            let role = server.info("role").await?;
            Ok((role == "master").then_some(()))
        })
        .await
    }

    /// The new holder first, so that the slot has one at any time.
    async fn tell_slot(&self, slot: &str, id: &str, to: usize) -> Result<()> {
        let words = ["CLUSTER", "SETSLOT", slot, "NODE", id];
        said_ok(self.server(to)?, &words).await?;
        for server in &self.servers {
            if server.info("role").await? == "master" {
                said_ok(server, &words).await?;
            }
        }
        Ok(())
    }

    async fn join(&mut self, slots: Option<Range<usize>>) -> Result<()> {
        let bus = Port::reserve()?;
        let number = bus.number().to_string();
        let arguments = [
            "--cluster-enabled",
            "yes",
            "--cluster-port",
            &number,
            // Two seconds, so that a busy machine is not taken for one that is down.
            "--cluster-node-timeout",
            "2000",
            "--cluster-replica-validity-factor",
            "0",
            "--repl-diskless-sync-delay",
            "0",
        ];
        let server = Redis::start_with(&arguments).await?;
        // Which can be given only to a server that knows no other.
        let epoch = (self.servers.len() + 1).to_string();
        said_ok(&server, &["CLUSTER", "SET-CONFIG-EPOCH", &epoch]).await?;
        if let Some(slots) = slots {
            let (first, last) = (slots.start.to_string(), (slots.end - 1).to_string());
            said_ok(&server, &["CLUSTER", "ADDSLOTSRANGE", &first, &last]).await?;
        }
        if let Some(first) = self.servers.first() {
            let port = server.port().to_string();
            said_ok(first, &["CLUSTER", "MEET", "127.0.0.1", &port, &number]).await?;
        }
        self.servers.push(server);
        self.buses.push(bus);
        Ok(())
    }

    /// Waits until each knows all, and all slots have a master.
    async fn met(&self) -> Result<()> {
        let all = self.servers.len();
        for server in &self.servers {
            wait::until("the cluster to agree", START, || async {
                let info = server.command(&["CLUSTER", "INFO"]).await?;
                let nodes = server.command(&["CLUSTER", "NODES"]).await?;
                let known = nodes.lines().filter(|line| line.contains(" connected"));
                let is_whole = info.contains("cluster_state:ok")
                    && known.count() == all
                    && !nodes.contains("handshake");
                Ok(is_whole.then_some(()))
            })
            .await?;
        }
        Ok(())
    }

    async fn id(&self, index: usize) -> Result<String> {
        let answer = self.server(index)?.command(&["CLUSTER", "MYID"]).await?;
        let id = answer.lines().nth(1).context("it has an id")?;
        Ok(id.to_owned())
    }
}

async fn said_ok(server: &Redis, words: &[&str]) -> Result<()> {
    let answer = server.command(words).await?;
    ensure!(answer.starts_with("+OK"), "{words:?}: {answer}");
    Ok(())
}
