//! The life of grants, as seen from outside, under random schedules: several processes over one
//! store, in simulated time; processes that die at any await, a store that fails, is slow, loses
//! answers, or is replaced by a replica that lacks the last rotations; a provider that fails, hangs
//! and ends a session whose refresh token is used twice.
//!
//! Each step is chosen by a seed. `GRANTS_SCHEDULES` says how many seeds are run, `GRANTS_SEED`
//! repeats one. (Who of those that wait for the same goes first is the runtime's choice, so a seed
//! repeats nearly always, not always.)
//!
//! What may end a session: the provider's no to the present refresh token, a revocation, a theft
//! signal, its time; and a second use of a refresh token that nobody could avoid, because the answer to
//! the first was lost on its way, or with a process that died or is cut off from the store.

mod dice;
mod people;
mod provider;
mod scene;
mod shared_store;
mod world;

use std::sync::atomic::Ordering::SeqCst;

use self::{scene::Scene, world::World};

/// Steps of a schedule.
const STEPS: usize = 200;

fn run(seed: u64) -> [u64; 5] {
    in_simulated_time(async {
        let scene = Scene::new(seed);
        let mut world = World::new(&scene);
        world.begin().await;
        for _ in 0..STEPS {
            world.step().await;
            if scene.is_violated() {
                break;
            }
        }
        world.calm_down().await;
        scene.judge();
        let counts = &scene.counts;
        [
            &counts.calls,
            &counts.rotations,
            &counts.refreshes,
            &counts.kills,
            &counts.ends,
        ]
        .map(|count| count.load(SeqCst))
    })
}

fn in_simulated_time<T>(story: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    runtime.unwrap().block_on(story)
}

#[test]
fn under_no_schedule_a_session_ends_without_a_reason_or_outlives_its_end() {
    let schedules = variable("GRANTS_SCHEDULES").unwrap_or(40);
    let seeds = match variable("GRANTS_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..schedules,
    };
    let mut all = [0; 5];
    for seed in seeds {
        for (sum, count) in all.iter_mut().zip(run(seed)) {
            *sum += count;
        }
    }
    let [calls, rotations, refreshes, kills, ends] = all;
    println!(
        "{calls} calls, {rotations} rotations, {refreshes} refreshes, {kills} processes killed, \
         {ends} sessions ended"
    );
    // A schedule in which nothing happens proves nothing.
    assert!(calls > 0 && rotations > 0 && refreshes > 0);
}

#[expect(clippy::disallowed_methods, reason = "a switch of this test alone")]
fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}
