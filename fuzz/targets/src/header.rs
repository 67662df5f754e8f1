//! The grammar of each header.

use stack::grammar::split_list;
use stack::header::{FreeText, HeaderId, Many, reprint};
use stack::message::Message;

/// The first octet picks the header, the rest is its value. What is read prints on one line to a text that reads and
/// prints the same; an error lies inside the text; inside a message the value is the same as alone.
pub fn header(data: &[u8]) {
    let Some((&first, rest)) = data.split_first() else { return };
    let Some(id) = HeaderId::all().nth(usize::from(first) % (HeaderId::COUNT - 1)) else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    let printed = match reprint(id, text) {
        Ok(printed) => printed,
        Err(error) => {
            assert_eq!(error.header, id.name());
            return assert!(error.offset <= text.len(), "{error} in {text:?}");
        }
    };
    assert!(!printed.contains(['\r', '\n']), "{id:?} {printed:?}");
    assert_eq!(reprint(id, &printed).as_ref(), Ok(&printed), "{id:?} {text:?}");
    let values = in_message(id, &printed);
    if id.is_list() && split_list(text).count() == 1 {
        // One value must not become two when it is written: that would forge a Via or a Route.
        assert_eq!(values, 1, "{id:?} {text:?} {printed:?}");
    }
}

/// Puts the value into a message, takes it out again, and says how many values it has become.
fn in_message(id: HeaderId, printed: &str) -> usize {
    let mut msg = Message::status_line(200, None);
    msg.append_line(id.name(), printed);
    let msg = Message::parse(msg.to_bytes()).expect("what we print is a message");
    let values: Vec<String> = match id.is_list() {
        true => msg.header(Many::<FreeText<'_>>::new(id)).texts().flatten().map(str::to_owned).collect(),
        false => msg.raw_values(id.name()).filter_map(|v| std::str::from_utf8(v).ok()).map(str::to_owned).collect(),
    };
    let expected: Vec<&str> =
        if id.is_list() { split_list(printed).collect() } else { vec![printed.trim_matches([' ', '\t', '\r', '\n'])] };
    if id != HeaderId::CONTENT_LENGTH {
        assert_eq!(values, expected, "{id:?}");
    }
    values.len()
}
