//! The engine against the model, and what is left of it after a machine that died.

use proptest::test_runner::TestCaseError;

use super::{crash::Disk, *};
use crate::{
    contract::steps::{Step, all_reads, for_any_steps},
    model::Model,
};

/// So few that floods come up.
const BOUND: u64 = 3;

/// An engine on a disk of memory.
fn open(disk: &Disk, clock: &Arc<ManualClock>) -> Result<EmbeddedStore, OpenError> {
    let path = PathBuf::from("memory");
    let unusable = |reason: String| OpenError::Unusable {
        path: PathBuf::from("memory"),
        reason,
    };
    let database = Database::builder()
        .set_cache_size(CACHE_BYTES)
        .create_with_backend(disk.clone())
        .map_err(|error| unusable(error.to_string()))?;
    tables::prepare(&database).map_err(|error| unusable(error.to_string()))?;
    let database = Arc::new(database);
    let bounds = Bounds {
        unused_clients: BOUND,
        interactions: BOUND,
    };
    let clock = Arc::clone(clock) as Arc<dyn Clock>;
    let writer = Writer::start(&path, Arc::clone(&database), Arc::clone(&clock), bounds)
        .map_err(|error| unusable(error.to_string()))?;
    Ok(EmbeddedStore {
        path,
        database,
        writer,
        clock,
    })
}

fn model() -> Model {
    let bound = usize::try_from(BOUND).unwrap();
    Model::new(bound, bound)
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(future)
}

/// Both do a step; `Err` where they differ.
async fn compare(
    step: &Step,
    store: &EmbeddedStore,
    clock: &ManualClock,
    model: &mut Model,
) -> Result<(), TestCaseError> {
    if step.is_of_leases() {
        return Ok(());
    }
    let expected = step.at_model(model);
    if let Step::Pass(seconds) = step {
        clock.advance(*seconds);
    }
    let answered = step.at_store(store).await;
    let answered = answered.map_err(|error| TestCaseError::fail(error.to_string()))?;
    if answered.agrees(&expected) {
        return Ok(());
    }
    let reason = format!("{step:?} answers {answered:?} instead of {expected:?}");
    Err(TestCaseError::fail(reason))
}

#[test]
fn any_steps_answer_what_the_model_answers_also_after_reopening() {
    for_any_steps(40, |steps| {
        run(async {
            let (disk, clock, mut model) = (Disk::new(), ManualClock::new(), model());
            let (first, second) = steps.split_at(steps.len() / 2);
            let store = open(&disk, &clock).unwrap();
            for step in first {
                compare(step, &store, &clock, &mut model).await?;
            }
            drop(store);
            let store = open(&disk, &clock).unwrap();
            for step in second.iter().chain(&all_reads()) {
                compare(step, &store, &clock, &mut model).await?;
            }
            Ok(())
        })
    });
}

/// The power goes at any moment: what was flushed is there; of what was written since, any part, in
/// any order, torn anywhere.
#[test]
fn what_was_answered_survives_a_loss_of_power_and_a_step_happens_whole_or_not_at_all() {
    for_any_steps(40, |steps| {
        run(async {
            let (disk, clock, mut model) = (Disk::new(), ManualClock::new(), model());
            let store = open(&disk, &clock).unwrap();
            // Any number that the case brings along.
            let seed = format!("{steps:?}").bytes().fold(7_u64, |seed, byte| {
                seed.wrapping_mul(31).wrapping_add(u64::from(byte))
            });
            disk.fail_after(seed % (20 * steps.len() as u64));
            let mut before = model.clone();
            for step in steps.iter().filter(|step| !step.is_of_leases()) {
                if let Step::Pass(seconds) = step {
                    clock.advance(*seconds);
                }
                before = model.clone();
                let expected = step.at_model(&mut model);
                match step.at_store(&store).await {
                    Ok(answered) => {
                        let reason = format!("{step:?}: {answered:?}, not {expected:?}");
                        before = model.clone();
                        if !answered.agrees(&expected) {
                            return Err(TestCaseError::fail(reason));
                        }
                    }
                    Err(_) => break,
                }
            }
            drop(store);
            let disk = disk.after_loss_of_power(seed);
            let store = open(&disk, &clock).map_err(|error| {
                TestCaseError::fail(format!("it does not open any more: {error}"))
            })?;
            let after = &mut model;
            for step in all_reads() {
                let expected = [step.at_model(&mut before), step.at_model(after)];
                let found = step.at_store(&store).await;
                let found = found.map_err(|error| TestCaseError::fail(error.to_string()))?;
                // Once a difference was seen, it is one of the two from there on.
                let fits = expected.each_ref().map(|expected| found.agrees(expected));
                match fits {
                    [true, true] => {}
                    [true, false] => *after = before.clone(),
                    [false, true] => before = after.clone(),
                    [false, false] => {
                        let reason = format!("{step:?} finds {found:?}, not one of {expected:?}");
                        return Err(TestCaseError::fail(reason));
                    }
                }
            }
            Ok(())
        })
    });
}
