//! The engine against the model.

use proptest::test_runner::TestCaseError;

use super::*;
use crate::{
    contract::steps::{Step, all_reads, for_any_steps},
    model::Model,
};

#[test]
fn any_steps_answer_what_the_model_answers() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (fixture, store) = runtime.block_on(async {
        let fixture = Fixture::new().await;
        let store = fixture.connect().await;
        (fixture, store)
    });
    for_any_steps(48, |steps| {
        runtime.block_on(async {
            fixture.forget_all().await;
            let mut model = Model::new(1000, 1000);
            for step in steps.iter().chain(&all_reads()) {
                let expected = step.at_model(&mut model);
                if let Step::Pass(seconds) = step {
                    fixture.pass(*seconds).await;
                }
                let answered = step.at_store(&store).await;
                let answered = answered.map_err(|error| TestCaseError::fail(error.to_string()))?;
                if !answered.agrees(&expected) {
                    let reason = format!("{step:?} answers {answered:?} instead of {expected:?}");
                    return Err(TestCaseError::fail(reason));
                }
            }
            Ok(())
        })
    });
}
