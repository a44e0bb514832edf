//! What a damaged store may do.

use crate::Damage;
use crate::sample::{Sample, ask, options};
use std::error::Error;
use std::sync::Arc;
use tidelog_tests::disk::SimDisk;

/// How a damage ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Outcome {
    /// The store did not open and named the file.
    Refused,
    /// All answers were right and nothing was reported: the bytes were not needed.
    Right,
    /// All answers were right and the damage was reported.
    RightReported,
    /// Some questions got an error that names the file, the others the right answer.
    Errors,
    /// Records of the log are lost whole, and reported.
    Lost,
}

#[derive(Default, Debug)]
pub(crate) struct Outcomes {
    states: u64,
    refused: u64,
    right: u64,
    right_and_reported: u64,
    named_by_queries: u64,
    records_lost_and_reported: u64,
}

impl Outcomes {
    pub(crate) fn count(&mut self, outcome: Outcome) {
        self.states += 1;
        *match outcome {
            Outcome::Refused => &mut self.refused,
            Outcome::Right => &mut self.right,
            Outcome::RightReported => &mut self.right_and_reported,
            Outcome::Errors => &mut self.named_by_queries,
            Outcome::Lost => &mut self.records_lost_and_reported,
        } += 1;
    }

    pub(crate) fn add(&mut self, other: &Outcomes) {
        self.states += other.states;
        self.refused += other.refused;
        self.right += other.right;
        self.right_and_reported += other.right_and_reported;
        self.named_by_queries += other.named_by_queries;
        self.records_lost_and_reported += other.records_lost_and_reported;
    }
}

/// Opens the damaged store and asks everything.
pub(crate) fn judge(sample: &Sample, disk: &SimDisk, damage: &Damage) -> Result<Outcome, String> {
    let paths = damage.paths();
    let names = |text: &str| paths.iter().any(|path| text.contains(path));
    let store = match options().open_on(Arc::new(disk.clone())) {
        Ok(store) => store,
        Err(error) => {
            let text = chain(&error);
            return if names(&text) {
                Ok(Outcome::Refused)
            } else {
                Err(format!("opening: {text}"))
            };
        }
    };
    let report = store.open_report().clone();
    let reported = report.damage.iter().any(|(file, _)| names(file));
    if !reported && !report.damage.is_empty() {
        return Err(format!("another file is named: {report:?}"));
    }
    let answers = ask(&store);
    let mut errors = Vec::new();
    for (asked, answer) in &answers {
        let Err(error) = answer else { continue };
        let text = chain(error);
        if !names(&text) {
            return Err(format!("{asked}: {text}; {report:?}"));
        }
        errors.push((asked.clone(), text));
    }
    devices_apart(sample, &paths, &errors)?;
    let fits = |right: &std::collections::BTreeMap<String, Vec<String>>| {
        answers.iter().all(|(asked, answer)| match answer {
            Ok(lines) => right.get(asked) == Some(lines),
            Err(_) => true,
        })
    };
    if fits(&sample.right) {
        return Ok(match (errors.is_empty(), reported) {
            (false, _) => Outcome::Errors,
            (true, true) => Outcome::RightReported,
            (true, false) => Outcome::Right,
        });
    }
    let lost = sample.without.iter().any(fits)
        || (!matches!(damage, Damage::Flip { .. }) && sample.shorter.iter().any(fits));
    if lost && paths.iter().any(|path| path.starts_with("wal/")) {
        return if reported {
            Ok(Outcome::Lost)
        } else {
            Err(format!("lost in silence: {report:?}"))
        };
    }
    let first = answers.iter().find(|(asked, answer)| {
        answer.as_ref().is_ok_and(|lines| sample.right.get(*asked) != Some(lines))
    });
    let asked = first.map(|(asked, _)| asked.as_str()).unwrap_or_default();
    Err(format!("a wrong answer to {asked:?}; {report:?}"))
}

/// A damaged file of one group is no reason for an error about a device of another.
fn devices_apart(
    sample: &Sample,
    paths: &[&str],
    errors: &[(String, String)],
) -> Result<(), String> {
    for (asked, text) in errors {
        if let Some(group) = sample.groups.get(asked) {
            let prefix = format!("group-{group:04}/");
            if !paths.iter().any(|path| path.starts_with(&prefix)) {
                return Err(format!("{asked} is in group {group} and fails: {text}"));
            }
        }
    }
    // One page, index or table belongs to one device, unless it is the table of all.
    let devices: Vec<_> =
        errors.iter().filter(|(asked, _)| sample.groups.contains_key(asked)).collect();
    let whole = |text: &str| text.contains("table") || text.contains("cannot be read");
    if devices.len() > 1 && !devices.iter().all(|(_, text)| whole(text)) {
        return Err(format!("more than one device fails: {devices:?}"));
    }
    Ok(())
}

/// An error and what caused it.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text.push_str(": ");
        text.push_str(&error.to_string());
        next = error.source();
    }
    text
}
