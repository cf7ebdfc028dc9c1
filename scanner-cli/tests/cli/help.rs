//! Help, colours, completions and manual pages.

use crate::fixture::{Place, nothing, png};

#[test]
fn help_begins_with_five_examples_and_ends_with_the_exit_codes() {
    let place = Place::new();
    for arguments in [&["--help"][..], &["-h"], &["scan", "--help"]] {
        let run = place.run(arguments);
        assert_eq!(run.code, Some(0));
        let text = run.text();
        assert!(text.starts_with("Examples:\n  pairlight "), "{text}");
        let examples = text.lines().skip(1).take_while(|line| line.starts_with("  ")).count();
        assert_eq!(examples, 5, "{text}");
    }
    let run = place.run(&["--help"]);
    let text = run.text();
    for line in ["  4  no code found", "  6  no camera", "130  interrupted (Ctrl-C)"] {
        assert!(text.contains(line), "{line}: {text}");
    }
}

#[test]
fn every_option_in_the_examples_exists() {
    let place = Place::new();
    let run = place.run(&["--help"]);
    let examples = run.text().lines().skip(1).take_while(|line| line.starts_with("  ")).map(str::to_owned);
    for example in examples {
        let command = example.split("  ").find(|part| part.contains("pairlight ")).unwrap();
        let words: Vec<&str> = command.split_whitespace().skip_while(|word| *word != "pairlight").skip(1).collect();
        let help = place.run(&[words[0], "--help"]);
        assert_eq!(help.code, Some(0), "{example}");
        for option in words.iter().filter(|word| word.starts_with("--")) {
            assert!(help.text().contains(option), "{option} in {example}");
        }
    }
}

#[test]
fn colour_follows_the_environment_and_the_option() {
    let place = Place::new();
    place.file("a.png", &png(&nothing()));
    let coloured = |options: &[&str], variables: &[(&str, &str)]| {
        let arguments = [options, &["scan", "a.png"]].concat();
        let output = place.command(&arguments).envs(variables.iter().copied()).output().unwrap();
        assert_eq!(output.status.code(), Some(4));
        output.stderr.contains(&0x1b)
    };
    assert!(!coloured(&[], &[]), "a pipe is not coloured");
    assert!(coloured(&[], &[("CLICOLOR_FORCE", "1")]));
    assert!(!coloured(&[], &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
    assert!(!coloured(&[], &[("CLICOLOR_FORCE", "0")]));
    assert!(coloured(&["--color", "always"], &[("NO_COLOR", "1")]));
    assert!(!coloured(&["--color=never"], &[("CLICOLOR_FORCE", "1")]));
    let usage = |color: &str| place.run(&["--color", color, "nonsense"]).stderr.contains('\u{1b}');
    assert!(usage("always") && !usage("never"), "usage errors follow the option too");
}

#[test]
fn completions_and_manual_pages_know_every_command() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let run = place.run(&["completions", shell]);
        assert_eq!(run.code, Some(0), "{shell}");
        for word in ["scan", "cameras", "record", "keep-going"] {
            assert!(run.text().contains(word), "{shell} does not complete {word}");
        }
    }
    let page = place.run(&["man"]);
    assert!(page.text().contains(".TH pairlight 1") && page.text().contains("130"), "{page:?}");
    let page = place.run(&["man", "scan"]);
    assert!(page.text().contains("keep\\-going"), "{page:?}");
}
