//! Schedules that were found to end a session, step by step.

use super::*;
use crate::simulation::{in_simulated_time, provider::Fate};

/// A user whose identity token is over.
async fn world() -> World {
    world_with_access_life(HOUR).await
}

async fn world_with_access_life(seconds: u64) -> World {
    let scene = Scene::new(0);
    let mut world = World::new(&scene);
    world.settings.access_life = Duration::from_secs(seconds);
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

/// The lease lapsed meanwhile, or is forgotten; but whoever had it may have the answer.
#[test]
fn after_an_outage_nobody_uses_a_token_whose_answer_is_about_to_be_stored() {
    for outage in [6000, 70_000] {
        in_simulated_time(store_away_for(millis(outage)));
    }
}

async fn store_away_for(outage: Duration) {
    let mut world = world().await;
    world.provider.will(Fate::Answers, millis(250));
    world.call_at(0);
    sleep(millis(100)).await;
    world.store.cut_lines();
    for process in &world.processes {
        process.connection.cut();
    }
    sleep(outage).await;
    for process in &world.processes {
        process.connection.mend();
    }
    world.call_at(1);
    world.finish().await;
    assert!(world.refreshes() > 0);
    world.calm_down().await;
    world.scene.judge();
}

/// A replica takes over that does not know the lease, while the question is under way.
#[test]
fn after_a_failover_a_lease_is_taken_back_by_who_had_it() {
    in_simulated_time(async {
        let mut world = world().await;
        world.store.replicate();
        world.provider.will(Fate::Answers, millis(2200));
        world.call_at(0);
        sleep(millis(100)).await;
        world.fail_over();
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

/// Two lines of writes have the same versions then; a process may remember the lost one.
#[test]
fn after_a_failover_that_lost_rotations_a_process_forgets_what_it_remembers() {
    in_simulated_time(async {
        let mut world = world_with_access_life(60).await;
        let (person, lost) = (Arc::clone(&world.people[0]), world.processes[0].clone());
        world.store.replicate();
        for _ in 0..2 {
            assert!(person.rotate(&lost, 0, true).await);
        }
        world.fail_over();
        world.finish().await;
        sleep(millis(1000)).await;
        // As many writes, in which the pads move twice.
        for _ in 0..2 {
            world.scene.skip(100);
            assert!(person.rotate(&world.processes[1], 0, true).await);
        }
        assert_eq!(person.call(&lost, 0).await, Some(true));
        world.calm_down().await;
        world.scene.judge();
    });
}

/// It was moved by another process; one that cannot ask must not take it for over.
#[test]
fn an_end_that_may_have_moved_is_not_believed_while_the_store_is_away() {
    in_simulated_time(async {
        let mut world = world().await;
        let (person, idle) = (Arc::clone(&world.people[0]), world.processes[0].clone());
        assert_eq!(person.call(&idle, 0).await, Some(true));
        // Half an hour before the end that it knows of, and ten minutes after it.
        world.scene.skip(14 * 24 * HOUR - 1800);
        assert!(person.rotate(&world.processes[1], 0, true).await);
        world.scene.skip(2400);
        idle.connection.cut();
        sleep(millis(500)).await;
        assert_eq!(person.call(&idle, 0).await, Some(false));
        world.scene.judge();
        idle.connection.mend();
        sleep(millis(1500)).await;
        assert_eq!(person.call(&idle, 0).await, Some(true));
        world.finish().await;
        world.scene.judge();
    });
}
