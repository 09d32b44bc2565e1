//! Schedules that were found to end a session, step by step.

use super::*;
use crate::simulation::{in_simulated_time, provider::Fate};

/// A user whose identity token is over.
async fn world() -> World {
    let scene = Scene::new(0);
    let mut world = World::new(&scene);
    world.settings.access_life = Duration::from_secs(HOUR);
    world.begin().await;
    sleep(Duration::from_secs(11)).await;
    world
}

impl World {
    /// The first user calls at a process, beside what goes on.
    fn call_at(&mut self, process: usize) {
        let (person, process) = (Arc::clone(&self.people[0]), self.processes[process].clone());
        self.under_way.spawn(async move {
            person.call(&process, 0).await;
        });
    }

    fn refreshes(&self) -> u64 {
        self.scene.counts.refreshes.load(Ordering::SeqCst)
    }
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The lease lapsed meanwhile; but whoever had it may have the answer.
#[test]
fn after_an_outage_nobody_uses_a_token_whose_answer_is_about_to_be_stored() {
    in_simulated_time(async {
        let mut world = world().await;
        world.provider.will(Fate::Answers, millis(250));
        world.call_at(0);
        sleep(millis(100)).await;
        world.store.cut_lines();
        for process in &world.processes {
            process.connection.cut();
        }
        sleep(millis(6000)).await;
        for process in &world.processes {
            process.connection.mend();
        }
        world.call_at(1);
        world.finish().await;
        assert!(world.refreshes() > 0);
        world.calm_down().await;
        world.scene.judge();
    });
}

/// Somebody else has taken over, and may have used the token.
#[test]
fn who_has_lost_the_lease_does_not_ask_the_provider_again() {
    in_simulated_time(async {
        let mut world = world().await;
        world.provider.will(Fate::Fails, millis(3500));
        world.provider.will(Fate::Answers, millis(10));
        world.call_at(0);
        sleep(millis(100)).await;
        world.processes[0].connection.cut();
        world.call_at(1);
        sleep(millis(6500)).await;
        assert!(world.refreshes() > 0, "the other took over");
        sleep(millis(5000)).await;
        world.processes[0].connection.mend();
        world.finish().await;
        world.scene.judge();
        world.calm_down().await;
        world.scene.judge();
    });
}
