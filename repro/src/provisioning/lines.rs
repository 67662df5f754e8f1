//! JSON lines, as `repro import` reads and `repro export` writes them: one record a line, with its kind.

use super::{Place, ProvisioningError, Records, Row};
use serde_json::{Map, Value};

/// Reads records from JSON lines; empty lines count as none. `file` names the text in errors.
///
/// # Errors
/// The first line that is no record, or has the key of one before.
pub fn read_lines(text: &str, file: &str) -> Result<(Records, Vec<Row>), ProvisioningError> {
    let (mut records, mut rows) = (Records::default(), Vec::new());
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let place = Place::File { file: file.into(), line: number + 1 };
        let wrong = |what: &str| ProvisioningError::new(&place, "", "", "kind", what);
        let mut fields: Map<String, Value> = serde_json::from_str(line).map_err(|error| {
            ProvisioningError::new(&place, "", "", "line", &format!("{error}: expected a JSON object"))
        })?;
        let Some(Value::String(kind)) = fields.remove("kind") else {
            return Err(wrong(&format!("expected \"kind\", one of {}", Records::KINDS.join(", "))));
        };
        rows.push(records.add(&kind, Value::Object(fields), place)?);
    }
    records.unique()?;
    Ok((records, rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_and_written() {
        let text = "{\"kind\":\"domain\",\"name\":\"h\"}\n\n{\"aor\":\"a@h\",\"kind\":\"user\"}\n";
        let (records, rows) = read_lines(text, "x").unwrap();
        assert_eq!((records.len(), records.users[0].place.to_string().as_str()), (2, "x:3"));
        let lines: Vec<String> = rows.iter().map(Row::json_line).collect();
        assert_eq!(lines, ["{\"kind\":\"domain\",\"name\":\"h\"}", "{\"kind\":\"user\",\"aor\":\"a@h\"}"]);
    }

    #[test]
    fn errors_name_the_line() {
        for (text, expected) in [
            ("\n{", "x:2: line: EOF while parsing an object"),
            ("[]", "x:1: line: invalid type: sequence"),
            ("{\"aor\":\"a@h\"}", "x:1: kind: expected \"kind\", one of user, domain"),
            ("{\"kind\":\"usr\"}", "x:1: usr: expected one of user, domain"),
            (
                "{\"kind\":\"user\",\"aor\":\"a@h\"}\n{\"kind\":\"user\",\"aor\":\"a@H\"}",
                "x:2: user a@h: is also in x:1",
            ),
            ("{\"kind\":\"user\"}", "x:1: user: missing field `aor`"),
        ] {
            let error = read_lines(text, "x").unwrap_err().to_string();
            assert!(error.starts_with(expected), "{text}: {error}");
        }
    }
}
