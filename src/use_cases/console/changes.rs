//! What an audit entry changed, field by field.

use std::collections::BTreeMap;

use serde_json::Value;

/// Characters shown of one value.
const MAX_CHARS: usize = 160;
/// Fields that say nothing to a reader of the trail: it names the record and the time itself.
const NOISE: [&str; 4] = ["id", "user_id", "created_at", "updated_at"];

/// One field, before and after; `None` where it was or is empty.
#[derive(Debug, PartialEq, Eq)]
pub struct Changed {
    /// Its path in the record (`profile.display_name`); empty where the record is one value.
    pub field: String,
    pub before: Option<String>,
    pub after: Option<String>,
}

/// The fields in which two states of a record differ, by name.
pub fn changes(before: Option<&Value>, after: Option<&Value>) -> Vec<Changed> {
    let (mut from, mut to) = (BTreeMap::new(), BTreeMap::new());
    flatten("", before.unwrap_or(&Value::Null), &mut from);
    flatten("", after.unwrap_or(&Value::Null), &mut to);
    let mut fields: Vec<&String> = from.keys().chain(to.keys()).collect();
    fields.sort_unstable();
    fields.dedup();
    let changed = |field: &&String| from.get(*field) != to.get(*field);
    fields
        .into_iter()
        .filter(changed)
        .map(|field| Changed { field: field.clone(), before: from.get(field).cloned(), after: to.get(field).cloned() })
        .collect()
}

fn flatten(path: &str, value: &Value, into: &mut BTreeMap<String, String>) {
    match value {
        Value::Null => {}
        Value::Object(fields) => {
            for (name, value) in fields.iter().filter(|(name, _)| !NOISE.contains(&name.as_str())) {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                flatten(&path, value, into);
            }
        }
        other => {
            into.insert(path.to_owned(), short(other));
        }
    }
}

/// A value in one line, shortened.
pub fn short(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Null => "–".into(),
        other => other.to_string(),
    };
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_differs_is_shown() {
        let before = json!({"user_id": "x", "bio": "Mason", "phone": null, "name": "Ann", "updated_at": 1});
        let after = json!({"user_id": "x", "bio": null, "phone": "+41 44", "name": "Ann", "updated_at": 2});

        let found = changes(Some(&before), Some(&after));

        let row = |field: &str, before: Option<&str>, after: Option<&str>| Changed {
            field: field.into(),
            before: before.map(Into::into),
            after: after.map(Into::into),
        };
        assert_eq!(found, [row("bio", Some("Mason"), None), row("phone", None, Some("+41 44"))]);
        let added = json!({"user": {"id": "x", "role": "member"}});
        assert_eq!(changes(None, Some(&added)), [row("user.role", None, Some("member"))]);
        assert_eq!(changes(Some(&json!(3)), None), [row("", Some("3"), None)]);
    }

    #[test]
    fn a_long_value_is_cut_between_characters() {
        assert_eq!(short(&json!("é".repeat(500))).chars().count(), MAX_CHARS + 1);
    }
}
