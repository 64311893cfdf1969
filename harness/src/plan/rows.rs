//! The rows of a plan, from the labels that were asked for.

use super::PlanError;
use super::comparisons::REFERENCE;
use super::competitor::{Competitor, DIRECT, Kind};

/// The competitors for a list of labels: `known` models when none is given; always led by the one without a balancer, each
/// once, and with an A/A pair: the replicate of `again`, else of the reference model, else of the first model.
pub fn competitors(
    asked: Option<&str>,
    again: Option<&str>,
    known: &[&str],
) -> Result<Vec<Competitor>, PlanError> {
    let asked: Vec<&str> = match asked {
        Some(list) => list.split(',').map(str::trim).collect(),
        None => known.to_vec(),
    };
    let mut all = vec![Competitor::direct()];
    for label in asked.into_iter().chain(again) {
        let competitor = Competitor::of(label);
        let is_known = match competitor.kind {
            Kind::Direct => !competitor.is_control(),
            Kind::Model => known.contains(&competitor.name.as_str()),
            Kind::Peer => false,
        };
        if !is_known {
            if let Some((model, _)) = label.split_once('+').filter(|(model, _)| known.contains(model)) {
                return Err(PlanError::Slowdown { label: label.to_owned(), model: model.to_owned() });
            }
            let known = [known, &[DIRECT]].concat().join(", ");
            return Err(PlanError::UnknownModel { name: label.to_owned(), known });
        }
        if !all.contains(&competitor) {
            all.push(competitor);
        }
    }
    let paired = match again {
        Some(label) => Some(Competitor::of(label)),
        None => {
            let reference = all.iter().find(|c| c.name == REFERENCE && !c.is_control());
            reference.or_else(|| all.iter().find(|c| !c.is_direct())).cloned()
        }
    };
    if let Some(replicate) = paired.map(|competitor| competitor.again())
        && !all.contains(&replicate)
    {
        all.push(replicate);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(asked: Option<&str>, again: Option<&str>, known: &[&str]) -> Result<Vec<String>, PlanError> {
        Ok(competitors(asked, again, known)?.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn direct_leads_the_rows_whatever_is_asked() {
        let known = ["threads", "mio"];
        assert_eq!(labels(None, None, &known).unwrap(), ["direct", "threads", "mio", "threads#2"]);
        assert_eq!(labels(Some("mio, mio"), None, &known).unwrap(), ["direct", "mio", "mio#2"]);
        assert_eq!(labels(Some("direct"), None, &known).unwrap(), ["direct"]);
    }

    #[test]
    fn every_run_carries_a_pair_and_the_pair_can_be_chosen() {
        let known = ["threads", "mio"];
        assert_eq!(
            labels(Some("threads"), Some("mio"), &known).unwrap(),
            ["direct", "threads", "mio", "mio#2"]
        );
        assert_eq!(
            labels(Some("mio,mio#2,mio+10%"), None, &known).unwrap(),
            ["direct", "mio", "mio#2", "mio+10%"]
        );
        assert!(labels(None, Some("thread"), &known).is_err());
    }

    #[test]
    fn an_unknown_model_is_answered_with_the_known_ones() {
        for asked in ["thread", "", "mio,", "mio#3", "direct+10%", "direct#2"] {
            let error = labels(Some(asked), None, &["threads", "mio"]).unwrap_err();
            assert!(error.to_string().ends_with("threads, mio, direct"), "{error}");
        }
    }

    #[test]
    fn extra_work_out_of_bounds_is_answered_with_the_bounds() {
        for asked in ["mio+0%", "mio+1000000%", "mio+1001%", "mio+-5%", "mio+x%", "mio+10", "mio+0%#2"] {
            let error = labels(Some(asked), None, &["threads", "mio"]).unwrap_err().to_string();
            assert!(error.contains("give 1 to 1000 percent, as in mio+10%"), "{asked}: {error}");
        }
    }
}
