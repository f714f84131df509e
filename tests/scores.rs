//! How every shipped profile is graded, compared with the text in `tests/scores/`.
//!
//! `UPDATE_GOLDEN=1 cargo test --test scores` writes the texts anew: read the difference before it is
//! committed. Nothing here looks at the machine it runs on.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]
#![allow(missing_docs, reason = "tests")]

use cellblock::cli::score::lines;
use cellblock::host::trust::Trust;
use cellblock::policy::seccomp;
use cellblock::profile::load::Search;
use cellblock::profile::shipped;
use cellblock::score::{Score, Word, score};
use std::path::{Path, PathBuf};

/// The score of a shipped profile, whatever the folders of this machine hold.
fn graded(name: &str) -> Score {
    let search = Search { folders: Vec::new(), here: None, trust: Trust::for_caller(1, 1) };
    let profile = search.load(name).unwrap();
    let find = |name: &str| seccomp::shipped(name).map(str::to_owned);
    score(&profile, &seccomp::load(&profile.seccomp.value, &find).unwrap())
}

fn text(score: &Score) -> String {
    let line = |cells: &Vec<(_, String)>| {
        let cells: Vec<_> = cells.iter().map(|(_, text)| text.as_str()).collect();
        format!("{}\n", cells.join(" ").trim_end())
    };
    lines(score).iter().map(line).collect()
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scores").join(format!("{name}.txt"))
}

#[test]
fn every_score_is_the_one_that_was_read_and_agreed_to() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    for (name, _) in shipped::ALL {
        let found = text(&graded(name));
        if update {
            std::fs::write(golden(name), &found).unwrap();
        }
        let expected = std::fs::read_to_string(golden(name)).unwrap_or_default();
        let hint = "UPDATE_GOLDEN=1 cargo test --test scores writes it anew";
        assert_eq!(found, expected, "{name}\n{hint}");
        assert!(found.lines().all(|line| line.chars().count() <= 80), "{name}");
    }
    for entry in std::fs::read_dir(golden("x").parent().unwrap()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(shipped::find(name).is_some(), "{} is nobody's", path.display());
    }
}

#[test]
fn what_ships_gives_up_little_and_the_least_of_all_the_base() {
    let exposure = |name: &str| graded(name).exposure();
    for (name, _) in shipped::ALL {
        assert!(exposure(name).word() <= Word::Ok, "{name}");
        assert!(*name == "base" || exposure("base") < exposure(name), "{name}");
    }
    assert!(exposure("demo") > exposure("shell"), "it does without two limits");
}
