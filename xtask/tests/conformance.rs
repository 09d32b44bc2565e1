//! The tables of `docs/conformance.md` and `docs/conformance/` name the tests that show what they
//! say. Each of those tests must be there.
#![cfg(test)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// A row may name no test where what it says begins with one of these.
const WITHOUT_TEST: [&str; 2] = ["**Deviation.**", "**Left to"];

/// Names of tests by the directory of their crate.
type Tests = BTreeMap<String, BTreeSet<String>>;

#[test]
fn every_test_that_the_tables_name_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut tests = Tests::new();
    for directory in subdirectories(&root.join("crates")) {
        let mut names = BTreeSet::new();
        for file in files(&directory, "rs") {
            names.extend(tests_of(&fs::read_to_string(file).unwrap()));
        }
        let name = directory.file_name().unwrap().to_str().unwrap().to_owned();
        tests.insert(name, names);
    }
    let mut pages = files(&root.join("docs/conformance"), "md");
    pages.push(root.join("docs/conformance.md"));
    let mut faults = Vec::new();
    for page in pages {
        let rows = rows(&fs::read_to_string(&page).unwrap());
        let name = page.strip_prefix(root).unwrap().display().to_string();
        if rows.is_empty() {
            faults.push(format!(
                "{name}: it has no table that ends with a column `test`"
            ));
        }
        let of_page = rows.iter().flat_map(|row| faults_of(row, &tests));
        faults.extend(of_page.map(|fault| format!("{name}: {fault}")));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn what_is_not_there_is_told() {
    let source = "#[tokio::test(flavor = \"current_thread\")]\nasync fn it_holds() {}\n\
                  proptest! {\n    #[test]\n    fn it_always_holds(x in 0..1) {}\n}\nfn helper() {}\n\
                  x => \"y\",\nmacro_rules! all {\n    #[test]\n    fn $test() {}\n}\nall! {\n    \
                  it_is_listed => \"file\",\n}\n";
    let names = tests_of(source);
    assert_eq!(
        names,
        ["it_holds", "it_always_holds", "it_is_listed"]
            .map(str::to_owned)
            .into()
    );
    let tests = Tests::from([("domain".to_owned(), names)]);
    let faults = |cell: &str| {
        let page = format!("| § | what we do | test |\n| --- | --- | --- |\n| §1 | x | {cell} |\n");
        faults_of(&rows(&page)[0], &tests)
    };
    assert!(faults("`domain` `it_holds`, `it_always_holds`").is_empty());
    for (cell, told) in [
        ("`domain` `it_held`", "no test `it_held` in crates/domain"),
        ("`domain` `helper`", "no test `helper` in crates/domain"),
        ("`it_holds`", "`it_holds` stands behind no crate"),
        ("`domain`", "it names no test"),
        ("—", "it names no test"),
        ("`domain` `it_holds` | more", "it has 4 cells instead of 3"),
    ] {
        let faults = faults(cell);
        assert!(
            faults.iter().any(|fault| fault.contains(told)),
            "{cell}: {faults:?}"
        );
    }
    let excused =
        "| § | what we do | test |\n| --- | --- | --- |\n| §1 | **Deviation.** No | — |\n";
    assert!(faults_of(&rows(excused)[0], &tests).is_empty());
}

/// A row of a table, with the number of cells that its header has.
struct Row {
    cells: Vec<String>,
    columns: usize,
}

/// The rows of all tables that end with a column `test`.
fn rows(page: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut header: Option<Vec<String>> = None;
    for line in page.lines() {
        let Some(inner) = line
            .strip_prefix('|')
            .and_then(|rest| rest.strip_suffix('|'))
        else {
            header = None;
            continue;
        };
        let cells: Vec<_> = inner
            .split('|')
            .map(|cell| cell.trim().to_owned())
            .collect();
        match &header {
            None => header = Some(cells),
            Some(header) if header.last().is_some_and(|last| last == "test") => {
                if !inner.starts_with(" ---") {
                    let columns = header.len();
                    rows.push(Row { cells, columns });
                }
            }
            Some(_) => {}
        }
    }
    rows
}

fn faults_of(row: &Row, tests: &Tests) -> Vec<String> {
    let place = row
        .cells
        .iter()
        .take(2)
        .cloned()
        .collect::<Vec<_>>()
        .join(" | ");
    let count = row.cells.len();
    if count != row.columns {
        return vec![format!(
            "{place}: it has {count} cells instead of {}",
            row.columns
        )];
    }
    let mut faults = Vec::new();
    let mut home = None;
    let mut named = 0;
    let cell = row.cells.last().unwrap();
    for word in cell.split('`').skip(1).step_by(2) {
        match (tests.get_key_value(word), home) {
            (Some(found), _) => home = Some(found),
            (None, None) => faults.push(format!("{place}: `{word}` stands behind no crate")),
            (None, Some((name, there))) => {
                named += 1;
                if !there.contains(word) {
                    faults.push(format!(
                        "{place}: there is no test `{word}` in crates/{name}"
                    ));
                }
            }
        }
    }
    let said = &row.cells[count - 2];
    let is_excused = WITHOUT_TEST.iter().any(|begin| said.starts_with(begin));
    if named == 0 && !is_excused {
        faults.push(format!("{place}: it names no test"));
    }
    faults
}

/// The functions that are marked as tests, and those that a macro of the file makes of a list.
fn tests_of(source: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut is_marked = false;
    let mut lists_tests = false;
    for line in source.lines().map(str::trim) {
        if let Some((name, _)) = line.split_once(" => \"").filter(|_| lists_tests) {
            names.insert(name.to_owned());
        }
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_marked = true;
            continue;
        }
        let signature = line.strip_prefix("async ").unwrap_or(line);
        if let Some(rest) = signature.strip_prefix("fn ") {
            let name = rest.split(['(', '<']).next().unwrap();
            if is_marked && name.starts_with('$') {
                lists_tests = true;
            } else if is_marked {
                names.insert(name.to_owned());
            }
            is_marked = false;
        }
    }
    names
}

fn subdirectories(directory: &Path) -> Vec<PathBuf> {
    entries(directory).filter(|path| path.is_dir()).collect()
}

/// The files below a directory whose names end so.
fn files(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in entries(directory) {
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|end| end == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn entries(directory: &Path) -> impl Iterator<Item = PathBuf> {
    let read = fs::read_dir(directory).unwrap();
    read.map(|entry| entry.unwrap().path())
}
