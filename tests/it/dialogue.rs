//! Files whose columns fit no format: asked about on a terminal, refused with the columns and a line to copy elsewhere.

use std::process::Command;

use serde_json::Value;

use super::support::{NOW, binary::Binary, terminal::Terminal};

const LOYALTY: &str = "Customer Mail;Loyalty;Branch\nana@example.com;52,620;North\nben@example.com;100;South\n\
    carl@example.com;1,000;North\ndora@example.com;7;South\n";

/// Down, then Enter: takes the first choice where none is suggested.
const FIRST: &str = "\x1b[B\r";
const ENTER: &str = "\r";

fn on_terminal(binary: &Binary, arguments: &[&str]) -> Terminal {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
    command.current_dir(binary.path("")).args(["--store", "store"]).args(arguments);
    if arguments.first() == Some(&"import") {
        command.args(["--now", NOW]);
    }
    for name in ["STORE", "THREADS", "PROGRESS", "COLOR"] {
        command.env_remove(format!("TIDEMILL_{name}"));
    }
    Terminal::start(command)
}

fn with(content: &str) -> Binary {
    let binary = Binary::new();
    binary.write("loyalty.csv", content);
    binary
}

#[test]
fn answers_become_flags_and_a_format_file_that_read_the_file_alike() {
    let binary = with(LOYALTY);
    let mut terminal = on_terminal(&binary, &["import", "points", "loyalty.csv", "--on-unknown", "create"]);
    terminal.expect("The columns of `loyalty.csv` fit no format");
    terminal.expect("Column 1 of 3: `Customer Mail`");
    terminal.expect("ana@example.com  |  ben@example.com  |  carl@example.com\n");
    terminal.expect("`Customer Mail` holds");
    terminal.answer("email: its header is a usual one, and its values are e-mail addresses", ENTER);
    terminal.expect("Column 2 of 3: `Loyalty`");
    terminal.expect("52,620  |  100  |  1,000\n");
    terminal.answer("amount: its values look like numbers", ENTER);
    terminal.expect("North  |  South\n");
    terminal.answer("nothing: it is ignored", ENTER);
    terminal.expect("How are numbers written?");
    terminal.expect("en: `52,620` is 52620");
    terminal.answer("de: `52,620` is 52.62", FIRST);
    terminal.expect("No column says what its amounts are");
    terminal.answer("reset: each amount becomes the balance", FIRST);
    terminal.expect(
        "  --format tidemill --map \"Customer Mail=email\" --map Loyalty=amount --number-format en --mode add\n",
    );
    terminal.answer("Keep the answers in a format file?", "y");
    terminal.answer("Format file, ending in .toml", ENTER);
    terminal.expect("--format loyalty.toml --mode add\n");
    terminal.answer("Import points from `loyalty.csv` so?", "y");
    let (exit, screen) = terminal.end();
    assert_eq!(exit, Some(0), "{screen}");
    assert!(screen.contains("4 read: 4 applied"), "{screen}");

    let again =
        ["import", "points", "loyalty.csv", "--on-unknown", "create", "--format", "loyalty.toml", "--mode", "add"];
    assert_eq!(binary.run(&again).expect(4).error("code"), "repeated_file");
    let balances = binary.export("balances");
    assert!(balances.contains("ana@example.com,,points,52620,0"), "{balances}");
    // The line reads the same; only its format has another name.
    let line = "import points loyalty.csv --on-unknown create --format tidemill --map";
    let mut arguments: Vec<&str> = line.split(' ').collect();
    arguments.extend(["Customer Mail=email", "--map", "Loyalty=amount", "--number-format", "en", "--mode", "add"]);
    let other = with(LOYALTY);
    assert_eq!(other.run(&arguments).expect(0).json["points"]["credited"], "53727");
    assert_eq!(other.export("balances"), balances);
}

#[test]
fn what_is_ambiguous_has_no_suggestion_and_what_is_missing_is_asked_for() {
    let binary = with("Customer Mail,North,South\nana@example.com,5,7\nben@example.com,6,8\n");
    let mut terminal =
        on_terminal(&binary, &["import", "points", "loyalty.csv", "--on-unknown", "create", "--mode", "add"]);
    terminal.answer("`Customer Mail` holds", ENTER);
    // Both columns hold numbers, so the cursor stands at `nothing`.
    terminal.answer("`North` holds", ENTER);
    terminal.answer("`South` holds", ENTER);
    terminal.expect("Every row needs amount. Which column holds it?");
    terminal.answer("none: break off", FIRST);
    terminal.expect("--format tidemill --map \"Customer Mail=email\" --map North=amount\n");
    terminal.answer("Keep the answers in a format file?", "n");
    terminal.answer("so?", "y");
    let (exit, screen) = terminal.end();
    assert_eq!(exit, Some(0), "{screen}");
    assert!(binary.export("balances").contains("ben@example.com,,points,6,0"));
}

#[test]
fn ctrl_c_leaves_with_130_the_cursor_back_and_nothing_changed() {
    let binary = with(LOYALTY);
    let mut terminal = on_terminal(&binary, &["import", "points", "loyalty.csv"]);
    terminal.answer("`Customer Mail` holds", ENTER);
    terminal.expect("`Loyalty` holds");
    // Pressed before the question waits for a key it is a signal that only the next key makes known: a person presses again.
    while !terminal.ends_soon() {
        terminal.press("\x03");
    }
    let (exit, raw) = terminal.end_raw();
    assert_eq!(exit, Some(130), "{raw}");
    assert!(raw.contains("stopped while asking for the columns; nothing was changed"), "{raw}");
    let (hidden, shown) = (raw.rfind("\x1b[?25l"), raw.rfind("\x1b[?25h"));
    assert!(hidden < shown, "the cursor is hidden: {raw:?}");
    assert!(!binary.store().exists());
}

#[test]
fn an_import_that_is_not_confirmed_changes_nothing() {
    let binary = with("Kontakt,Punkte\nana@example.com,5\n");
    let mut terminal = on_terminal(&binary, &["import", "points", "loyalty.csv", "--mode", "add"]);
    terminal.answer("`Kontakt` holds", ENTER);
    terminal.answer("`Punkte` holds", ENTER);
    terminal.answer("Keep the answers in a format file?", ENTER);
    terminal.answer("so?", "n");
    let (exit, screen) = terminal.end();
    assert_eq!(exit, Some(4), "{screen}");
    assert!(screen.contains("the import was not confirmed, and nothing was changed"), "{screen}");
    assert!(!binary.store().exists());
}

#[test]
fn a_format_file_is_not_replaced_unless_asked_to() {
    let binary = with("Kontakt,Punkte,Action\nana@example.com,5,Earn\nana@example.com,2,Use\n");
    binary.write("loyalty.toml", "mine");
    let mut terminal = on_terminal(&binary, &["import", "points", "loyalty.csv", "--on-unknown", "create"]);
    terminal.answer("`Kontakt` holds", ENTER);
    terminal.answer("`Punkte` holds", ENTER);
    terminal.answer("`Action` holds", ENTER);
    terminal.answer("What does the operation `earn` mean?", ENTER);
    terminal.answer("What does the operation `use` mean?", ENTER);
    terminal.expect("the answers need a format file");
    terminal.answer("Format file, ending in .toml", ENTER);
    terminal.answer("`loyalty.toml` exists. Replace it?", "n");
    terminal.answer("Format file, ending in .toml", "other.csv\r");
    terminal.expect("must end in `.toml`");
    terminal.answer("Format file, ending in .toml", "kaddra.toml\r");
    terminal.answer("so?", "y");
    let (exit, screen) = terminal.end();
    assert_eq!(exit, Some(0), "{screen}");
    assert_eq!(binary.read("loyalty.toml"), "mine");
    assert!(binary.read("kaddra.toml").contains("earn = \"credit\""));
    assert!(binary.export("balances").contains("ana@example.com,,points,3,0"));
}

#[test]
fn a_file_without_a_header_is_asked_about_by_numbers() {
    let binary = with("ana@example.com,12\nben@example.com,7\n");
    let mut terminal = on_terminal(&binary, &["import", "customers", "loyalty.csv"]);
    terminal.answer("The first row looks like data. Is it, so that the file has no header?", "y");
    terminal.expect("ana@example.com  |  ben@example.com\n");
    terminal.answer("`1` holds", ENTER);
    terminal.answer("`2` holds", ENTER);
    terminal.expect("--no-header --format tidemill-customers --map 1=email\n");
    terminal.answer("Import customers from `loyalty.csv` so?", "y");
    let (exit, screen) = terminal.end();
    assert_eq!(exit, Some(0), "{screen}");
    assert!(screen.contains("2 read: 2 created a customer"), "{screen}");
}

#[test]
fn nothing_is_asked_where_a_program_reads_or_nobody_answers() {
    let binary = with(LOYALTY);
    for flags in [&["--json"][..], &["--quiet"]] {
        let arguments = [&["import", "points", "loyalty.csv"], flags].concat();
        let (exit, screen) = on_terminal(&binary, &arguments).end();
        assert_eq!(exit, Some(2), "{screen}");
        assert!(!screen.contains("holds"), "{screen}");
    }
    let error = binary.run(&["import", "points", "loyalty.csv"]).expect(2);
    assert_eq!(error.error("code"), "columns_unknown");
    assert_eq!(error.json["error"]["job"], Value::Null);
    assert_eq!(
        error.error("message"),
        "no format fits the file's columns: `Customer Mail` may be `email` (its header is a usual one, and its values are \
         e-mail addresses), `Loyalty` may be `amount` (its values look like numbers), `Branch` is not known"
    );
    assert_eq!(
        error.error("hint"),
        "these are guesses, and nothing was read by them; if they are right, add `--format tidemill --map \
         \"Customer Mail=email\" --map Loyalty=amount`, and either `--mode add` or `--mode reset`, which is never guessed; \
         its numbers need `--number-format`"
    );
    assert!(!binary.store().exists());
    for value in ["ana@", "52,620", "North"] {
        assert!(!error.stdout.contains(value) && !error.stderr.contains(value), "{}", error.stdout);
    }
}

#[test]
fn columns_that_a_named_format_lacks_are_guessed_among_those_it_does_not_read() {
    let binary = with("email,punkte\nana@example.com,5\n");
    let error = binary.run(&["import", "points", "loyalty.csv", "--format", "smile", "--mode", "add"]).expect(2);
    assert_eq!(
        error.error("message"),
        "the file has no column `points`, which the format `smile` needs: `email` is `email`, `punkte` may be `amount` \
         (its header is a usual one, and its values are numbers)"
    );
    assert!(error.error("hint").contains("`--format smile --map punkte=amount`"), "{}", error.error("hint"));
    // Without a header the columns are known by their values alone.
    binary.write("bare.csv", "ana@example.com,5\nben@example.com,6\n");
    for flags in [&["--no-header"][..], &[]] {
        let error = binary.run(&[&["import", "points", "bare.csv"], flags].concat()).expect(2);
        let hint = error.error("hint");
        assert!(hint.contains("`--no-header --format tidemill --map 1=email --map 2=amount`"), "{hint}");
        assert!(!error.stdout.contains("ana@"), "{}", error.stdout);
    }
    let line = "import points bare.csv --no-header --format tidemill --map 1=email --map 2=amount --mode add";
    let arguments: Vec<&str> = line.split(' ').chain(["--on-unknown", "create"]).collect();
    assert_eq!(binary.run(&arguments).expect(0).json["points"]["credited"], "11");
}
