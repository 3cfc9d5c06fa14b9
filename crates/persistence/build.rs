//! A new migration file is a reason to build again, which the macro that embeds them cannot say.

fn main() {
    println!("cargo::rerun-if-changed=../../migrations");
}
