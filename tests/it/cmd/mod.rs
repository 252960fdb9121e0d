//! The binary as a user meets it: the cases in this folder are sessions, each command with what it prints and its exit
//! code. `TRYCMD=overwrite cargo test --release --test it cmd` writes them anew; read the difference before you keep it.

#[test]
fn the_sessions_go_as_they_are_written() {
    trycmd::TestCases::new().case("tests/it/cmd/*.trycmd");
}
