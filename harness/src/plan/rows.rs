//! The rows of a plan, from the labels that were asked for.

use super::PlanError;
use super::comparisons::reference;
use super::competitor::{Competitor, DIRECT, Kind};

/// Whom a run can measure beside the direct row.
#[derive(Debug, Clone, Copy)]
pub struct Candidates<'a> {
    /// The names of all models.
    pub models: &'a [&'a str],
    /// The products and floors that were asked for and are there.
    pub peers: &'a [Competitor],
}

/// The competitors for a list of labels: all models when none is given, and all peers; always led by the one without a
/// balancer, each once, and with an A/A pair: the replicate of `again`, else of the reference model, else of the first model.
pub fn competitors(
    asked: Option<&str>,
    again: Option<&str>,
    candidates: Candidates<'_>,
) -> Result<Vec<Competitor>, PlanError> {
    let Candidates { models: known, peers } = candidates;
    let asked: Vec<&str> = match asked {
        Some(list) => list.split(',').map(str::trim).collect(),
        None => known.to_vec(),
    };
    let mut all = vec![Competitor::direct()];
    let models = asked.into_iter().map(|label| (label, Competitor::of(label), false));
    let peers_asked = peers.iter().map(|peer| ("", peer.clone(), true));
    let again_asked = again.map(|label| (label, Competitor::of(label), true));
    for (label, competitor, may_be_peer) in models.chain(peers_asked).chain(again_asked) {
        let is_known = match competitor.kind {
            Kind::Direct => !competitor.is_control(),
            Kind::Model => known.contains(&competitor.name.as_str()),
            Kind::Peer | Kind::Floor => may_be_peer && peers.contains(&competitor.as_it_is()),
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
            let reference = reference(&all);
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

    fn labels(asked: Option<&str>, again: Option<&str>, models: &[&str]) -> Result<Vec<String>, PlanError> {
        beside(asked, again, Candidates { models, peers: &[] })
    }

    fn beside(
        asked: Option<&str>,
        again: Option<&str>,
        candidates: Candidates<'_>,
    ) -> Result<Vec<String>, PlanError> {
        Ok(competitors(asked, again, candidates)?.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn peers_stand_after_the_models_and_can_be_measured_twice() {
        let peers = [Competitor::peer("nginx"), Competitor::floor("floor")];
        let candidates = Candidates { models: &["threads", "mio"], peers: &peers };
        assert_eq!(
            beside(Some("mio"), None, candidates).unwrap(),
            ["direct", "mio", "peer:nginx", "floor", "mio#2"]
        );
        assert_eq!(
            beside(Some("mio"), Some("peer:nginx"), candidates).unwrap(),
            ["direct", "mio", "peer:nginx", "floor", "peer:nginx#2"]
        );
        assert_eq!(
            beside(Some("direct"), None, candidates).unwrap(),
            ["direct", "peer:nginx", "floor", "peer:nginx#2"]
        );
        for (models, again) in [("peer:nginx", None), ("floor", None), ("mio", Some("peer:haproxy"))] {
            assert!(beside(Some(models), again, candidates).is_err(), "{models} {again:?}");
        }
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
