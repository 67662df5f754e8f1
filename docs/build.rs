//! Copies the guides to where `src/lib.rs` includes them from, with their links made for rustdoc: a link to another guide
//! leads to its page, and one to a file of the repository is its text alone. A link to what is not there ends the build.
#![forbid(unsafe_code)]

use std::env;
use std::error::Error;
use std::fs;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let out = env::var("OUT_DIR")?;
    for entry in fs::read_dir(".")? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "md") {
            println!("cargo::rerun-if-changed={}", path.display());
            let page =
                for_rustdoc(&fs::read_to_string(&path)?).map_err(|error| format!("{}: {error}", path.display()))?;
            fs::write(Path::new(&out).join(path.file_name().ok_or("a file has a name")?), page)?;
        }
    }
    Ok(())
}

/// The page with other links. `](` stands in links alone here; what has a scheme or is a place of the same page stays.
fn for_rustdoc(page: &str) -> Result<String, String> {
    let mut pieces = page.split("](");
    let mut done = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (target, rest) = piece.split_once(')').ok_or("a link has no end")?;
        let file = target.split('#').next().unwrap_or_default();
        if target.contains("://") || file.is_empty() {
            done.push_str(&format!("]({piece}"));
            continue;
        }
        if !Path::new(file).exists() {
            return Err(format!("a link leads to {file}, which is not there"));
        }
        match file.strip_suffix(".md").filter(|name| !name.contains('/')) {
            Some(name) => done.push_str(&format!("](crate::{}){rest}", name.replace('-', "_"))),
            None => {
                let open = done.rfind('[').ok_or("a link has no beginning")?;
                done.remove(open);
                // Of a picture as well.
                if done[..open].ends_with('!') {
                    done.remove(open - 1);
                }
                done.push_str(rest);
            }
        }
    }
    Ok(done)
}
