//! Tables as comma-separated values (RFC 4180): numbers whole, as they were computed, so that others can compute with them.

use csv::{Terminator, WriterBuilder};

use crate::report::section::Table;
use crate::report::value::Value;

/// `table` with its headings; or what the writer complains of.
pub fn table(table: &Table) -> Result<String, String> {
    let mut writer = WriterBuilder::new().terminator(Terminator::Any(b'\n')).from_writer(Vec::new());
    let headings = table.columns.iter().map(|column| column.title.as_str());
    writer.write_record(headings).map_err(|error| error.to_string())?;
    for row in &table.rows {
        writer.write_record(row.iter().map(Value::exact)).map_err(|error| error.to_string())?;
    }
    let bytes = writer.into_inner().map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::section::Column;
    use crate::report::value::Missing;

    #[test]
    fn numbers_are_whole_text_is_quoted_and_what_is_missing_is_empty() {
        let columns = vec![Column::words("model, or row"), Column::numbers("ms"), Column::numbers("p99")];
        let row = vec!["a \"b\"".into(), Value::figure(12.345678), Value::Missing(Missing::NotMeasured)];
        let text = table(&Table::new(columns, [row])).unwrap();
        assert_eq!(text, "\"model, or row\",ms,p99\n\"a \"\"b\"\"\",12.345678,\n");
    }
}
