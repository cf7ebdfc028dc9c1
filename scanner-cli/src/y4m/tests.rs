//! Round trips, and a table of damaged recordings with the exact words for each.

use super::*;

fn header(width: u32, height: u32, chroma: Chroma) -> Header {
    Header { width, height, rate: (30, 1), chroma }
}

fn frames_of(recording: &[u8]) -> Result<Vec<Vec<u8>>, Y4mError> {
    let mut reader = Y4mReader::new(recording)?;
    let (mut frames, mut luma) = (Vec::new(), Vec::new());
    while let Some(number) = reader.next_frame(&mut luma)? {
        assert_eq!(number, frames.len() as u64);
        frames.push(luma.clone());
    }
    Ok(frames)
}

#[test]
fn what_is_written_is_read_back_in_every_layout_and_odd_sizes() {
    for chroma in [Chroma::C420, Chroma::C422, Chroma::C444, Chroma::Mono] {
        for (width, height) in [(1, 1), (2, 2), (5, 3), (16, 9), (7, 8)] {
            let expected: Vec<Vec<u8>> = (0..3_u8)
                .map(|frame| (0..width * height).map(|at| frame.wrapping_mul(77).wrapping_add(at as u8)).collect())
                .collect();
            let mut writer = Y4mWriter::new(Vec::new(), header(width, height, chroma)).unwrap();
            for luma in &expected {
                writer.write_frame(luma).unwrap();
            }
            assert_eq!(writer.frames(), 3);
            let recording = writer.finish().unwrap();
            let reader = Y4mReader::new(&recording[..]).unwrap();
            assert_eq!(*reader.header(), header(width, height, chroma));
            assert_eq!(frames_of(&recording).unwrap(), expected, "{chroma:?} {width}x{height}");
        }
    }
}

#[test]
fn a_recording_of_another_program_is_read() {
    // As ffmpeg writes it: more fields than we use, parameters on the frame line.
    let mut recording = b"YUV4MPEG2 W2 H2 F30000:1001 Ip A0:0 C420mpeg2 XYSCSS=420MPEG2 XCOLORRANGE=LIMITED\n".to_vec();
    recording.extend_from_slice(b"FRAME Ip\n\x01\x02\x03\x04\x80\x80FRAME\n\x05\x06\x07\x08\x80\x80");
    assert_eq!(frames_of(&recording).unwrap(), [vec![1, 2, 3, 4], vec![5, 6, 7, 8]]);
    assert_eq!(Y4mReader::new(&recording[..]).unwrap().header().rate, (30_000, 1001));
    // Without a C field the layout is 4:2:0.
    assert_eq!(frames_of(b"YUV4MPEG2 W1 H1\nFRAME\n\x09\x80\x80").unwrap(), [vec![9]]);
}

#[test]
fn damaged_recordings_are_refused_with_the_place_and_the_numbers() {
    let long_header = [b"YUV4MPEG2 X".as_slice(), &[b'a'; 600]].concat();
    let table: &[(&[u8], &str)] = &[
        (b"", "not a Y4M recording"),
        (b"\x89PNG\r\n\x1a\n", "not a Y4M recording"),
        (b"YUV4MPEG", "not a Y4M recording"),
        (b"YUV4MPEG2X W1 H1\n", "not a Y4M recording"),
        (b"YUV4MPEG2 W4 \xff\xff\n", "header: the line is"),
        (&long_header, "header: the line is longer than 512 bytes"),
        (b"YUV4MPEG2 H4\n", "header: the width (W) is missing"),
        (b"YUV4MPEG2 W4\n", "header: the height (H) is missing"),
        (b"YUV4MPEG2 W0 H4\n", "header: width is '0'"),
        (b"YUV4MPEG2 W-4 H4\n", "header: width is '-4'"),
        (b"YUV4MPEG2 W4 H99999999999\n", "header: height is '99999999999'"),
        (b"YUV4MPEG2 W4 H4 F30\n", "header: frame rate is '30'"),
        (b"YUV4MPEG2 W4 H4 F30:0\n", "header: frame rate is '30:0'"),
        (b"YUV4MPEG2 W20000 H1\n", "header: 20000x1 is larger than the limit"),
        (b"YUV4MPEG2 W16384 H16384\n", "header: 16384x16384 is larger than the limit"),
        (b"YUV4MPEG2 W4 H4 C420p10\n", "header: colour space '420p10' is not supported"),
        (b"YUV4MPEG2 W4 H4 Cmono16\n", "header: colour space 'mono16' is not supported"),
        (b"YUV4MPEG2 W4 H4 C444alpha\n", "header: colour space '444alpha' is not supported"),
        (b"YUV4MPEG2 W1 H1 Cmono\nFRAME\n\x01FRAM\n", "frame 1: expected FRAME, found 'FRAM'"),
        (b"YUV4MPEG2 W1 H1 Cmono\nFRAMES\n\x01", "frame 0: expected FRAME, found 'FRAMES'"),
        (b"YUV4MPEG2 W2 H2 Cmono\nFRAME\n\x01\x02\x03", "frame 0: 3 of 4 bytes"),
        (b"YUV4MPEG2 W2 H2 C420\nFRAME\n\x01\x02\x03\x04\x80", "frame 0: 5 of 6 bytes"),
        (b"YUV4MPEG2 W8192 H8192 C444\nFRAME\n\x01", "frame 0: 1 of 201326592 bytes"),
    ];
    for (recording, expected) in table {
        let error = frames_of(recording).expect_err(expected);
        assert!(error.to_string().starts_with(expected), "'{error}' should begin with '{expected}'");
    }
}

#[test]
fn a_frame_of_the_wrong_size_is_not_written() {
    let mut writer = Y4mWriter::new(Vec::new(), header(4, 2, Chroma::Mono)).unwrap();
    let error = writer.write_frame(&[0; 7]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    assert_eq!(error.to_string(), "frame 0: 7 luma bytes do not make 4x2");
    assert_eq!(writer.frames(), 0);
}

#[test]
fn a_cut_off_recording_gives_its_whole_frames_first() {
    let mut writer = Y4mWriter::new(Vec::new(), header(3, 3, Chroma::C420)).unwrap();
    writer.write_frame(&[7; 9]).unwrap();
    writer.write_frame(&[8; 9]).unwrap();
    let recording = writer.finish().unwrap();
    let mut reader = Y4mReader::new(&recording[..recording.len() - 1]).unwrap();
    let mut luma = Vec::new();
    assert_eq!(reader.next_frame(&mut luma).unwrap(), Some(0));
    assert_eq!(luma, [7; 9]);
    assert!(matches!(reader.next_frame(&mut luma), Err(Y4mError::Truncated { number: 1, .. })));
}
