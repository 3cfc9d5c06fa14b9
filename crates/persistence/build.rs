//! A new migration file is a reason to build again, which the macro that embeds them cannot say.

#![expect(clippy::print_stdout, reason = "how a build script speaks to cargo")]

fn main() {
    println!("cargo::rerun-if-changed=../../migrations");
}
