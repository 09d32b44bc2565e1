//! Hearing of grants that end, on connections of its own: one to each master.
//!
//! A server answers commands of a connection behind everything it has announced there before. So
//! the reply to a beat confirms that all announcements by this server until the beat was sent have
//! been heard. Where several masters hold grants, what counts is what all of them confirm; and who
//! they are is looked up with each beat.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ::redis::{Cmd, PushInfo, PushKind, Value, aio::MultiplexedConnection};
use domain::id::GrantId;
use tokio::{
    sync::Notify,
    task::{JoinHandle, JoinSet},
    time::{Instant, sleep, timeout},
};

use super::{
    link::Link,
    server::Server,
    set,
    topology::{Map, Shard},
};
use crate::Ears;

/// Pause between two beats.
const BEAT: Duration = Duration::from_secs(2);
/// How long a beat may be unanswered. With the pause less than what ears take for certain.
const BEAT_PATIENCE: Duration = Duration::from_millis(1500);
/// How long it may take to learn who the masters are.
const LOOK_PATIENCE: Duration = Duration::from_secs(3);
/// How long a process is taken to run after its last beat.
pub(super) const PROCESS_LIFE: Duration = Duration::from_secs(30);
/// Pause before the server is asked again.
const PAUSE: Duration = Duration::from_millis(500);

/// A task that listens; it ends with this value.
#[derive(Debug)]
pub(super) struct Listening {
    task: JoinHandle<()>,
    process: String,
}

/// What it listens to, and how it beats.
pub(super) struct Listener {
    pub(super) link: Arc<Link>,
    pub(super) channel: String,
    /// The key of the beat. Among several masters each has one with more in its tag.
    pub(super) process: String,
    pub(super) ears: Arc<dyn Ears>,
}

/// A connection that listens to one master.
struct Post {
    server: Arc<Server>,
    key: String,
    connection: MultiplexedConnection,
    is_broken: Arc<AtomicBool>,
}

/// What a new post needs.
#[derive(Clone)]
struct Opening {
    link: Arc<Link>,
    channel: String,
    ears: Arc<dyn Ears>,
    breaks: Arc<Notify>,
}

// === impl Listening ===

impl Listening {
    pub(super) fn start(listener: Listener) -> Self {
        Self {
            process: listener.process.clone(),
            task: tokio::spawn(listener.run()),
        }
    }

    /// Ends it; returns the name under which it beat.
    pub(super) fn stop(&self) -> &str {
        self.task.abort();
        &self.process
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
    }
}

// === impl Listener ===

impl Listener {
    async fn run(self) {
        let opening = Opening {
            link: Arc::clone(&self.link),
            channel: self.channel.clone(),
            ears: Arc::clone(&self.ears),
            breaks: Arc::new(Notify::new()),
        };
        let mut posts = Vec::new();
        let mut was_interrupted = false;
        loop {
            let cause = self
                .listen(&mut posts, &opening, &mut was_interrupted)
                .await;
            // At once, so that no call waits for a store that may be away.
            self.ears.interrupted(false);
            let is_reached = self.link.reaches_all().await;
            if is_reached {
                self.ears.interrupted(true);
            }
            if !was_interrupted {
                was_interrupted = true;
                if is_reached {
                    tracing::warn!(
                        %cause,
                        "nothing is heard of sessions that end; they are looked up again every few \
                         seconds"
                    );
                } else {
                    tracing::warn!(
                        %cause,
                        "the store is away; sessions in memory go on for a while"
                    );
                }
            }
            sleep(PAUSE).await;
        }
    }

    /// Listens until that is interrupted; returns by what. Connections that are whole are kept.
    async fn listen(
        &self,
        posts: &mut Vec<Post>,
        opening: &Opening,
        was_interrupted: &mut bool,
    ) -> String {
        let mut began = false;
        loop {
            let as_of = Instant::now();
            let map = match timeout(LOOK_PATIENCE, self.link.look()).await {
                Ok(Ok(map)) => map,
                Ok(Err(error)) => return self.link.describe(&error),
                Err(_) => return "nobody says who its masters are".to_owned(),
            };
            let is_anew = match self.beat(posts, &map, opening).await {
                Ok(is_anew) => is_anew,
                Err(cause) => return cause,
            };
            if is_anew || !began {
                began = true;
                self.ears.began();
                if *was_interrupted {
                    *was_interrupted = false;
                    tracing::info!("the store is back");
                }
            }
            self.ears.confirmed(as_of.into_std());
            let pause = sleep(BEAT);
            tokio::pin!(pause);
            loop {
                tokio::select! {
                    () = &mut pause => break,
                    () = opening.breaks.notified() => {}
                }
                if posts.iter().any(Post::is_broken) {
                    return "the connection broke".to_owned();
                }
            }
        }
    }

    /// A beat to each master, at once. Returns whether one is listened to anew.
    async fn beat(
        &self,
        posts: &mut Vec<Post>,
        map: &Map,
        opening: &Opening,
    ) -> Result<bool, String> {
        let mut earlier = std::mem::take(posts);
        earlier.retain(|post| !post.is_broken());
        let mut beating = JoinSet::new();
        for shard in &map.shards {
            let post = earlier.iter().position(|post| post.is_at(shard));
            let post = post.map(|index| earlier.swap_remove(index));
            let Some(key) = post
                .as_ref()
                .map(|post| post.key.clone())
                .or_else(|| shard.key_here(&self.process))
            else {
                return Err("a master has no slot for a beat".to_owned());
            };
            let (server, opening) = (Arc::clone(&shard.server), opening.clone());
            beating.spawn(async move {
                let is_new = post.is_none();
                let mut post = match post {
                    Some(post) => post,
                    None => opening.open(server, key).await?,
                };
                post.beat(&opening.link).await?;
                Ok::<_, String>((post, is_new))
            });
        }
        let mut is_anew = false;
        let mut outcome = Ok(());
        while let Some(joined) = beating.join_next().await {
            match joined {
                Ok(Ok((post, is_new))) => {
                    is_anew |= is_new;
                    posts.push(post);
                }
                Ok(Err(cause)) => outcome = Err(cause),
                Err(_) => outcome = Err("its task ended".to_owned()),
            }
        }
        outcome.map(|()| is_anew)
    }
}

// === impl Opening ===

impl Opening {
    async fn open(&self, server: Arc<Server>, key: String) -> Result<Post, String> {
        let is_broken = Arc::new(AtomicBool::new(false));
        let (ears, breaks) = (Arc::clone(&self.ears), Arc::clone(&self.breaks));
        let broken = Arc::clone(&is_broken);
        let connected = server.listen(move |push| {
            if push.kind == PushKind::Disconnection {
                broken.store(true, Ordering::SeqCst);
                breaks.notify_one();
            } else {
                hear(&push, &*ears);
            }
        });
        let describe = |error| self.link.describe(&error);
        let mut connection = connected.await.map_err(describe)?;
        // Also where nothing else is asked at present.
        let greeted = self.link.greet(&server, &mut connection).await;
        greeted.map_err(describe)?;
        let subscribed = connection.subscribe(&self.channel).await;
        subscribed.map_err(describe)?;
        Ok(Post {
            server,
            key,
            connection,
            is_broken,
        })
    }
}

// === impl Post ===

impl Post {
    /// Whether it listens to the master of a shard, and beats there.
    fn is_at(&self, shard: &Shard) -> bool {
        self.server.place == shard.server.place && shard.holds_key(&self.key)
    }

    fn is_broken(&self) -> bool {
        self.is_broken.load(Ordering::SeqCst)
    }

    async fn beat(&mut self, link: &Link) -> Result<(), String> {
        let version = env!("CARGO_PKG_VERSION").as_bytes();
        let beat: Cmd = set(&self.key, version, PROCESS_LIFE);
        let answered = beat.query_async::<()>(&mut self.connection);
        match timeout(BEAT_PATIENCE, answered).await {
            Ok(answer) => answer.map_err(|error| link.describe(&error)),
            Err(_) => Err("it does not answer".to_owned()),
        }
    }
}

fn hear(push: &PushInfo, ears: &dyn Ears) {
    if let (PushKind::Message, [_, Value::BulkString(name)]) = (&push.kind, push.data.as_slice()) {
        let grant = std::str::from_utf8(name).ok().and_then(GrantId::parse);
        if let Some(grant) = grant {
            ears.ended(&grant);
        }
    }
}
