//! Puts the pages of `docs/errors/` into the program, so that `kernel explain` needs no file.

use std::path::PathBuf;
use std::{env, error::Error, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or("cargo sets CARGO_MANIFEST_DIR")?)
        .join("../../docs/errors");
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut pages = Vec::new();
    if folder.is_dir() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let code = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            if path.extension().is_some_and(|extension| extension == "md") && code.starts_with("K-") {
                println!("cargo::rerun-if-changed={}", path.display());
                pages.push((code, path.canonicalize()?));
            }
        }
    }
    pages.sort();
    let mut text =
        String::from("/// Every error code with its page, in order.\nconst PAGES: &[(&str, &str)] = &[\n");
    for (code, path) in pages {
        text.push_str(&format!("    ({code:?}, include_str!({:?})),\n", path.display().to_string()));
    }
    text.push_str("];\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    fs::write(out.join("pages.rs"), text)?;
    Ok(())
}
