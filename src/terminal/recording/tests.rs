//! Recorder and reader together: what was shown comes back, whatever happens to the disk, the clock and
//! the recorder.

use super::catalog::Catalog;
use super::format::{Event, What};
use super::name::Name;
use super::reader::Reader;
use super::recorder::{About, COALESCE, LINE, RETRY, Recorder, SMALLEST_PART};
use super::shelf::{Folder, Kept, Shelf};
use super::*;
use crate::terminal::filter::{Charset, OutputFilter, fuzz};
use crate::terminal::size::Size;
use proptest::prelude::*;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

const BOUND: u64 = 1 << 20;

fn directory(path: &Path) -> OwnedFd {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).unwrap()
}

fn about() -> About {
    let (agent, terminal) = ("a".to_owned(), "xterm-256color".to_owned());
    About { agent, terminal, size: Size::DEFAULT, bound: BOUND }
}

/// A folder of recordings with the one of the agent `a` in it.
fn folder() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("a");
    std::fs::create_dir(&own).unwrap();
    (folder, own)
}

/// A disk whose room and clock a test decides about, and which writes as much as fits, as real ones do.
struct Disk {
    folder: Folder,
    room: Rc<Cell<usize>>,
    wall: Rc<Cell<u64>>,
}

impl Shelf for Disk {
    type File = OwnedFd;

    fn list(&mut self, agent: &str) -> Result<Vec<Kept>, Errno> {
        self.folder.list(agent)
    }

    fn begin(&mut self, name: &Name, header: &[u8]) -> Result<OwnedFd, Errno> {
        let room = self.room.get().checked_sub(header.len()).ok_or(Errno::NOSPC)?;
        self.room.set(room);
        self.folder.begin(name, header)
    }

    fn append(&mut self, file: &mut OwnedFd, bytes: &[u8]) -> Result<usize, Errno> {
        let fits = bytes.len().min(self.room.get());
        if fits == 0 {
            return Err(Errno::NOSPC);
        }
        self.room.set(self.room.get() - fits);
        self.folder.append(file, &bytes[..fits])
    }

    fn cut(&mut self, file: &mut OwnedFd, length: u64) -> Result<(), Errno> {
        self.folder.cut(file, length)
    }

    fn remove(&mut self, name: &Name) -> Result<(), Errno> {
        self.folder.remove(name)
    }

    fn wall_clock(&self) -> u64 {
        self.wall.get()
    }
}

struct Controls {
    room: Rc<Cell<usize>>,
    wall: Rc<Cell<u64>>,
}

fn disk(path: &Path) -> (Disk, Controls) {
    let controls =
        Controls { room: Rc::new(Cell::new(usize::MAX)), wall: Rc::new(Cell::new(1_700_000_000)) };
    let (room, wall) = (controls.room.clone(), controls.wall.clone());
    (Disk { folder: Folder::new(directory(path)), room, wall }, controls)
}

/// The events of the newest recording in `folder`, its parts one after another.
fn events(folder: &Path) -> Vec<Event> {
    let catalog = Catalog::read(folder, "a").unwrap();
    let mut tape = catalog.tape(catalog.find(None).unwrap()).unwrap();
    let mut found = Vec::new();
    while let Some(event) = tape.next_event().unwrap() {
        found.push(event);
    }
    assert_eq!(tape.cut(), [""; 0]);
    found
}

fn shown(events: &[Event]) -> String {
    let text = |event: &Event| match &event.what {
        What::Output(text) => text.clone(),
        What::Input(_) | What::Marker(_) | What::Resize(_) | What::Exit(_) | What::Unknown(_) => {
            String::new()
        }
    };
    events.iter().map(text).collect()
}

fn filtered(pieces: &[Vec<u8>]) -> String {
    let mut filter = OutputFilter::new(Charset::Utf8);
    let mut out = Vec::new();
    pieces.iter().for_each(|piece| filter.feed(piece, &mut out));
    String::from_utf8(out).unwrap()
}

/// Bytes as programs write them: anything, and often what means something to a terminal.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..200),
        any::<String>().prop_map(String::into_bytes),
        Just(b"\x1b[?1049h\x1b[31mred\x1b]0;title\x07\x1b[2J".to_vec()),
        Just("é漢🙂".as_bytes()[..5].to_vec()),
        Just(vec![b'x'; 20_000]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_played_is_what_the_filter_lets_through(
        pieces in proptest::collection::vec((piece(), 0u64..100), 0..30)
    ) {
        let (folder, own) = folder();
        let mut now = Instant::now();
        // One part: the next would begin with the screen it is on.
        let mut recorder = Recorder::new(directory(&own), About { bound: 64 << 20, ..about() }, now);
        for (bytes, millis) in &pieces {
            now += Duration::from_millis(*millis);
            recorder.output(now, bytes);
            recorder.turn(now);
        }
        recorder.exit(now, Some(3));
        prop_assert_eq!(recorder.take_trouble(), None);
        let events = events(folder.path());
        let bytes: Vec<_> = pieces.iter().map(|(bytes, _)| bytes.clone()).collect();
        let shown = shown(&events);
        prop_assert_eq!(fuzz::judge(shown.as_bytes()), Ok(()));
        prop_assert_eq!(shown, filtered(&bytes));
        prop_assert_eq!(&events.last().unwrap().what, &What::Exit(3));
        let all: Duration = events.iter().map(|event| event.after).sum();
        let given: u64 = pieces.iter().map(|(_, millis)| millis).sum();
        prop_assert_eq!(all, Duration::from_millis(given));
    }

    #[test]
    fn a_reader_of_anything_ends_and_tells(bytes in proptest::collection::vec(any::<u8>(), 0..500)) {
        let header = b"{\"version\":3,\"term\":{\"cols\":80,\"rows\":24}}\n".to_vec();
        for bytes in [bytes.clone(), [header, bytes].concat()] {
            let Ok(mut reader) = Reader::new("x", bytes.as_slice()) else { continue };
            for _ in 0..=bytes.len() {
                match reader.next_event() {
                    Ok(None) => break,
                    Ok(Some(_)) => {}
                    Err(error) => prop_assert!(error.to_string().starts_with("cannot play x: line ")),
                }
            }
            prop_assert_eq!(reader.next_event(), Ok(None));
        }
    }
}

#[test]
fn small_writes_become_one_line_that_waits_no_longer_than_it_may() {
    let (folder, own) = folder();
    let begin = Instant::now();
    let mut recorder = Recorder::new(directory(&own), about(), begin);
    assert_eq!(recorder.turn(begin), None);
    let at = |millis| begin + Duration::from_millis(millis);
    recorder.output(at(5), b"one ");
    recorder.output(at(10), b"two ");
    assert_eq!(recorder.turn(at(10)), Some(COALESCE - Duration::from_millis(5)));
    assert_eq!(events(folder.path()), []);
    recorder.output(at(44), b"three");
    assert_eq!(recorder.turn(at(45)), None);
    recorder.resize(at(50), Size { columns: 100, rows: 30 });
    recorder.resize(at(51), Size { columns: 100, rows: 30 });
    recorder.marker(at(60), "a\x1b[2J");
    let event = |after, what| Event { after: Duration::from_millis(after), what };
    let expected = [
        event(5, What::Output("one two three".to_owned())),
        event(45, What::Resize(Size { columns: 100, rows: 30 })),
        event(10, What::Marker("a\\x1b[2J".to_owned())),
    ];
    assert_eq!(events(folder.path()), expected);
}

#[test]
fn a_recording_that_is_cut_anywhere_plays_what_is_whole() {
    let (_folder, own) = folder();
    let now = Instant::now();
    let mut recorder = Recorder::new(directory(&own), about(), now);
    for text in ["first é\r\n", "\x1b[31msecond", "third"] {
        recorder.output(now, text.as_bytes());
        recorder.flush();
    }
    recorder.exit(now, Some(0));
    let bytes = std::fs::read(own.join("a.000001.0001.cast")).unwrap();
    let header = bytes.iter().position(|byte| *byte == b'\n').unwrap();
    let file = own.join("cut.cast");
    for length in 0..=bytes.len() {
        std::fs::write(&file, &bytes[..length]).unwrap();
        let Ok(mut reader) = catalog::open(&file) else {
            assert!(length < header, "{length}");
            continue;
        };
        let mut found = 0;
        while reader.next_event().unwrap().is_some() {
            found += 1;
        }
        // A line that lacks its end alone is whole.
        let rest = &bytes[(header + 1).min(length)..length];
        let lines = rest.split(|byte| *byte == b'\n').filter(|line| line.ends_with(b"]"));
        assert_eq!(found, lines.count(), "{length}");
        let is_whole = rest.is_empty() || rest.ends_with(b"\n") || rest.ends_with(b"]");
        assert_eq!(reader.is_cut(), !is_whole, "{length}");
    }
}

fn held(folder: &Path) -> u64 {
    Folder::new(directory(folder)).list("a").unwrap().iter().map(|kept| kept.length).sum()
}

#[test]
fn a_flood_stays_within_the_bound_and_each_part_can_be_played() {
    let (folder, own) = folder();
    let mut now = Instant::now();
    let mut recorder = Recorder::new(directory(&own), about(), now);
    recorder.output(now, b"\x1b[?1049h");
    assert!(!recorder.take_redraw(), "a session draws its first screen by itself");
    // ESC takes six bytes of JSON: the longest lines there are.
    let flood = b"\x1b7\x1b8".repeat(16 << 10);
    let mut redraws = 0;
    for _ in 0..60 {
        now += Duration::from_millis(1);
        recorder.output(now, &flood);
        assert!(held(&own) <= BOUND, "{}", held(&own));
        redraws += u32::from(recorder.take_redraw());
    }
    assert!(held(&own) > BOUND / 2 && redraws > 8, "{} and {redraws}", held(&own));
    let catalog = Catalog::read(folder.path(), "a").unwrap();
    let recording = catalog.find(None).unwrap();
    assert!(recording.lacks_beginning() && recording.parts.len() > 4);
    for part in &recording.parts {
        assert!(part.length <= SMALLEST_PART);
        let text = std::fs::read_to_string(own.join(part.name.to_string())).unwrap();
        assert!(text.lines().all(|line| line.len() < LINE));
        let mut reader = Reader::new("x", text.as_bytes()).unwrap();
        let first = reader.next_event().unwrap().unwrap();
        assert_eq!(first.what, What::Output(ALTERNATE.to_owned()));
    }
}

#[test]
fn parts_of_one_recording_follow_each_other_without_a_gap() {
    let (folder, own) = folder();
    let begin = Instant::now();
    let mut recorder = Recorder::new(directory(&own), About { bound: 64 << 20, ..about() }, begin);
    let text: String = (0..100_000).map(|number| format!("{number}\r\n")).collect();
    let mut recorded = ALTERNATE.to_owned();
    recorder.output(begin, ALTERNATE.as_bytes());
    recorder.flush();
    for round in 1..=20 {
        recorder.output(begin + Duration::from_secs(round * 3600), text.as_bytes());
        recorded.push_str(&text);
    }
    recorder.exit(begin + Duration::from_secs(20 * 3600), None);
    let catalog = Catalog::read(folder.path(), "a").unwrap();
    assert_eq!(catalog.recordings.len(), 1);
    assert!(catalog.recordings[0].parts.len() >= 2);
    let mut events = events(folder.path());
    let is_beginning = |event: &Event| event.what == What::Output(ALTERNATE.to_owned());
    let parts = catalog.recordings[0].parts.len();
    // The first one is the session's own.
    assert_eq!(events.iter().filter(|event| is_beginning(event)).count(), parts);
    let first = events.remove(0);
    events.retain(|event| !is_beginning(event));
    events.insert(0, first);
    assert_eq!(shown(&events), recorded);
    let summary = catalog.summary(&catalog.recordings[0]).unwrap();
    assert_eq!(summary.time, Duration::from_secs(20 * 3600));
}

#[test]
fn each_session_is_a_recording_and_old_ones_make_room() {
    let (folder, own) = folder();
    for number in 1..=300_u64 {
        let mut recorder = Recorder::new(directory(&own), about(), Instant::now());
        recorder.output(Instant::now(), b"x");
        recorder.exit(Instant::now(), Some(0));
        let catalog = Catalog::read(folder.path(), "a").unwrap();
        assert_eq!(catalog.find(None).unwrap().number, number);
        // Small files count as what they take on a disk.
        assert!(catalog.recordings.len() <= 256);
    }
    let catalog = Catalog::read(folder.path(), "a").unwrap();
    let error = catalog.find(Some(1)).unwrap_err().to_string();
    assert!(error.starts_with("cannot find recording 1 of a: there are "), "{error}");
}

#[test]
fn two_recorders_at_once_write_two_recordings() {
    let (folder, own) = folder();
    let now = Instant::now();
    let mut both =
        [1, 2].map(|_| Recorder::new(directory(&own), About { bound: BOUND, ..about() }, now));
    for (number, recorder) in both.iter_mut().enumerate() {
        recorder.output(now, format!("session {number}").as_bytes());
        recorder.exit(now, None);
    }
    let catalog = Catalog::read(folder.path(), "a").unwrap();
    assert_eq!(catalog.recordings.iter().map(|one| one.number).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(shown(&events(folder.path())), "session 1");
}

#[test]
fn a_full_disk_ends_nothing_leaves_no_half_line_and_is_told_once() {
    let (folder, own) = folder();
    let begin = Instant::now();
    let at = |millis| begin + Duration::from_millis(millis);
    let (disk, controls) = disk(&own);
    let mut recorder = Recorder::on(disk, about(), begin);
    recorder.output(begin, b"kept");
    recorder.flush();
    controls.room.set(20);
    recorder.output(at(1000), b"\x1b[?1049hlost, as only a part of the line fits");
    recorder.flush();
    assert_eq!(shown(&events(folder.path())), "kept");
    let told = recorder.take_trouble().unwrap();
    assert!(told.starts_with("cannot record a: No space left on device"), "{told}");
    // No try before its time, and none of them makes a file.
    recorder.output(at(2000), b"lost");
    assert_eq!(recorder.turn(at(2000)), Some(COALESCE));
    assert_eq!(recorder.turn(at(2100)), Some(RETRY - Duration::from_millis(1100)));
    assert!(recorder.turn(at(11_000)).is_some());
    assert_eq!((recorder.take_trouble(), recorder.take_redraw()), (None, false));
    assert_eq!(std::fs::read_dir(&own).unwrap().count(), 1);
    controls.room.set(usize::MAX);
    assert_eq!(recorder.turn(at(20_999)), Some(Duration::from_millis(1)));
    assert_eq!(recorder.turn(at(21_000)), None);
    assert!(recorder.take_redraw());
    recorder.output(at(22_000), b"again");
    recorder.exit(at(22_000), Some(0));
    let events = events(folder.path());
    let gap = "20 s were not recorded: No space left on device (os error 28)";
    let whats: Vec<_> = events.iter().map(|event| event.what.clone()).collect();
    let expected = [
        What::Output("kept".to_owned()),
        What::Output(ALTERNATE.to_owned()),
        What::Marker(gap.to_owned()),
        What::Output("again".to_owned()),
        What::Exit(0),
    ];
    assert_eq!(whats, expected);
    let all: Duration = events.iter().map(|event| event.after).sum();
    assert_eq!((all, recorder.missed()), (Duration::from_secs(22), 49));
}

#[test]
fn a_folder_that_takes_no_file_ends_nothing() {
    let (_folder, own) = folder();
    let descriptor = directory(&own);
    std::fs::remove_dir(&own).unwrap();
    let now = Instant::now();
    let mut recorder = Recorder::new(descriptor, about(), now);
    recorder.output(now, b"x");
    recorder.resize(now, Size { columns: 1, rows: 1 });
    assert_eq!(recorder.turn(now), Some(RETRY));
    let told = recorder.take_trouble().unwrap();
    assert!(told.starts_with("cannot record a: No such file or directory"), "{told}");
    recorder.exit(now, Some(0));
    assert_eq!((recorder.turn(now + RETRY * 2), recorder.missed()), (None, 1));
}

#[test]
fn a_clock_that_is_set_changes_nothing_but_the_date() {
    let (folder, own) = folder();
    let begin = Instant::now() + Duration::from_secs(100);
    let (disk, controls) = disk(&own);
    let mut recorder = Recorder::on(disk, about(), begin);
    controls.wall.set(5);
    recorder.output(begin + Duration::from_micros(1_500_001), b"one");
    recorder.flush();
    // An instant from before: what comes late counts as now.
    recorder.output(begin, b"two");
    recorder.flush();
    let flood = vec![b'x'; usize::try_from(SMALLEST_PART).unwrap()];
    recorder.output(begin + Duration::from_secs(90), &flood);
    recorder.exit(begin + Duration::from_secs(90), None);
    let micros: Vec<_> = events(folder.path()).iter().map(|e| e.after.as_micros()).collect();
    assert_eq!((micros[0], micros[1], micros[2]), (1_500_001, 0, 88_499_999));
    let begun = |part| {
        let file = own.join(format!("a.000001.{part:04}.cast"));
        catalog::open(&file).unwrap().header().begun
    };
    assert_eq!((begun(1), begun(2)), (Some(1_700_000_000), Some(5)));
}

#[test]
fn what_an_agent_sends_to_the_terminal_is_harmless_in_the_file_too() {
    let (_folder, own) = folder();
    let now = Instant::now();
    let mut recorder = Recorder::new(directory(&own), about(), now);
    recorder.output(
        now,
        b"a\x1b]52;c;eA==\x07\x1b[6n\x1bP1$r\x1b\\\xc2\x9b2J\x1b[2Jb\n[0,\"x\",\"0\"]\n",
    );
    recorder.exit(now, None);
    let text = std::fs::read_to_string(own.join("a.000001.0001.cast")).unwrap();
    assert_eq!(text.lines().count(), 2);
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
    assert!(!text.contains("52;c") && !text.contains("6n"), "{text}");
}
