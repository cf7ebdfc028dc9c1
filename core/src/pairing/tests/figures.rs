//! The figures of the README that a run of these tests gives: a test that gives another fails, so that the two do not drift.

/// The numbers in the second column of a row of the README's table of figures, which begins with `row`.
pub(crate) fn documented(row: &str) -> Vec<usize> {
    // Read when the test runs: a change of the README compiles nothing anew.
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("| ")?.strip_prefix(row));
    let line = line.unwrap_or_else(|| panic!("the README has no row \"{row}\""));
    let value = line.split(" | ").nth(1).unwrap().replace(',', "");
    let numbers = value.split(|c: char| !c.is_ascii_digit()).filter(|number| !number.is_empty());
    numbers.map(|number| number.parse().unwrap()).collect()
}

#[test]
fn numbers_are_read_out_of_a_row() {
    assert_eq!(documented("random schedules of a pairing")[0], 10_000);
}

#[test]
#[should_panic(expected = "the README has no row")]
fn a_row_that_is_gone_is_missed() {
    documented("a figure that nobody gives");
}
