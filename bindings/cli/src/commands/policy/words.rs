//! A step of a plan in words.

use crate::time::print_time_shortly;
use tidelog::model::policy::{Action, Round, Step};

pub(super) fn in_words(round: &Round, step: &Step) -> String {
    let Some(window) = round.windows.get(step.window as usize) else { return String::new() };
    let what = match step.action {
        Action::Pull => "rows that the peer has come".to_owned(),
        Action::Push => "rows that are here go".to_owned(),
        Action::Both => "rows come and go".to_owned(),
        Action::Rollups => "rollups are borrowed".to_owned(),
        Action::Defer(until) => {
            let wait = until.saturating_sub(round.now).div_ceil(60_000);
            format!("nothing for {wait} minutes")
        }
        Action::Skip => "nothing until the next comparison".to_owned(),
    };
    let peer = if step.peer == round.peer { "" } else { ", with another peer" };
    format!(
        "{} from {} ({} rows here, {} there): {what}{peer}",
        window.collection,
        print_time_shortly(window.range.first()),
        window.ours.rows,
        window.theirs.rows,
    )
}
