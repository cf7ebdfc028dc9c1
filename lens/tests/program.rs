//! The program as a person runs it.

use std::process::Command;

#[test]
fn a_shot_is_a_picture_of_the_size_that_a_phone_takes() {
    let folder = std::env::temp_dir().join(format!("pairlight-lens-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("shot.png");
    let run = Command::new(env!("CARGO_BIN_EXE_pairlight-lens"))
        .args(["shoot", "--text", "HELLO", "--out"])
        .arg(&file)
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let picture = image::open(&file).unwrap().into_luma8();
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(picture.width() >= 640 && picture.height() >= 480);
    let (dark, light) = picture.pixels().fold((255, 0), |(low, high), pixel| (low.min(pixel[0]), high.max(pixel[0])));
    assert!(dark < 100 && light > 150, "a code has dark and light: {dark} to {light}");
}
