use super::*;

fn tally(output: &str) -> String {
    let mut tally = Tally::default();
    for line in output.lines() {
        tally.read(line);
    }
    tally.to_string()
}

#[test]
fn counts_what_cargo_test_prints() {
    let output = "\
     Running unittests src/lib.rs (target/debug/deps/domain-0)
test scope::tests::orders ... ok
test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s
     Running tests/it/main.rs (target/debug/deps/it-0)
test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 9.01s
   Doc-tests domain
test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s";
    assert_eq!(
        tally(output),
        "unit tests: 13 passed, 0 failed, 1 skipped\n\
         stories: 3 passed, 2 failed, 0 skipped\n\
         tests: 16 passed, 2 failed"
    );
}

#[test]
fn counts_what_nextest_prints() {
    let output = "\
        PASS [   0.011s] (1/4) domain scope::tests::orders
        PASS [   2.340s] (2/4) mcp-auth-proxy::it first_connection::a_client_logs_in
        SLOW [> 60.000s] (   ) mcp-auth-proxy::it streams::events_leave_as_they_arrive
        FAIL [  61.000s] (3/4) mcp-auth-proxy::it streams::events_leave_as_they_arrive
     Summary [  61.100s] 3 tests run: 2 passed, 1 failed, 0 skipped";
    assert_eq!(
        tally(output),
        "unit tests: 1 passed, 0 failed, 0 skipped\n\
         stories: 1 passed, 1 failed, 0 skipped\n\
         tests: 2 passed, 1 failed"
    );
}
