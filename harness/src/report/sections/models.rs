//! The models, and the fairness manifests side by side.

use std::collections::BTreeSet;

use super::Source;
use crate::plan::{Family, Kind};
use crate::record::Environment;
use crate::report::prose;
use crate::report::section::{Column, MOST_COLUMNS, Section, Table};
use crate::report::value::NOTHING;

pub(super) fn sections(source: &Source<'_>) -> Vec<Section> {
    of(&source.stored.environment).into_iter().collect()
}

/// Those of any kind of run; `None` where it describes no model.
pub(super) fn of(environment: &Environment) -> Option<Section> {
    let section = Section::new("models", "The models, and what could differ between them");
    let has_products = environment.models.iter().any(|row| row.competitor.kind == Kind::Peer);
    (!environment.models.is_empty()).then(|| {
        let section =
            section.table(models(environment)).tables(manifest(environment).in_parts(2, MOST_COLUMNS));
        if has_products { section.table(products(environment)) } else { section }
    })
}

/// The models, a row each.
fn models(environment: &Environment) -> Table {
    let columns = ["model", "family", "unit of work", "summary"].map(Column::words).to_vec();
    let family = |family| match family {
        Family::Threaded => "threaded",
        Family::Async => "async",
        Family::None => NOTHING,
    };
    let rows = environment.models.iter().map(|model| {
        vec![
            prose::row(&model.competitor).into(),
            family(model.family).into(),
            model.unit_of_work.as_str().into(),
            model.summary.as_str().into(),
        ]
    });
    Table::new(columns, rows)
}

/// The products, a row each.
fn products(environment: &Environment) -> Table {
    let settings = ["version", "workers", "equal turns"];
    let columns = std::iter::once("product").chain(settings).map(Column::words).collect();
    let products = environment.models.iter().filter(|row| row.competitor.kind == Kind::Peer);
    let rows = products.map(|product| {
        let setting = |name: &str| product.manifest.get(name).map_or(NOTHING, String::as_str).into();
        std::iter::once(prose::row(&product.competitor).into()).chain(settings.map(setting)).collect()
    });
    Table::new(columns, rows)
}

/// The fairness manifests side by side, and whether the models agree.
fn manifest(environment: &Environment) -> Table {
    let models: Vec<_> = environment.models.iter().filter(|row| row.competitor.kind == Kind::Model).collect();
    let mut columns = vec![Column::words("setting")];
    columns.push(Column::words("equal"));
    columns.extend(models.iter().map(|model| Column::words(prose::row(&model.competitor))));
    let settings: BTreeSet<_> = models.iter().flat_map(|model| model.manifest.keys()).collect();
    let rows = settings.into_iter().map(|setting| {
        let values: Vec<_> = models.iter().map(|model| model.manifest.get(setting)).collect();
        let equal = if values.windows(2).all(|pair| pair[0] == pair[1]) { "yes" } else { "no" };
        let mut row = vec![setting.as_str().into(), equal.into()];
        row.extend(values.into_iter().map(|value| value.map_or(NOTHING, String::as_str).into()));
        row
    });
    Table::new(columns, rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::synthetic::Run;
    use crate::report::render::markdown;

    #[test]
    fn settings_that_differ_between_models_are_marked() {
        let environment = Run::new().models(&["direct", "threads", "mio"]).blocks(0).build().environment;
        insta::assert_snapshot!(markdown::table(&manifest(&environment)), @r###"
| setting | equal | threads | mio |
| --- | --- | --- | --- |
| backlog | yes | 1024 | 1024 |
| nodelay | yes | yes | yes |
| threads | no | threads | mio |
"###);
    }
}
