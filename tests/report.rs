//! The page of an escape report, as a browser shows it.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]
#![allow(clippy::disallowed_methods, reason = "the tests start the browser")]
#![allow(missing_docs, reason = "tests")]

use cellblock::plan::{WallPlan, WallState};
use cellblock::profile::Wall;
use cellblock::verify::battery;
use cellblock::verify::campaign::{Finding, Verdict};
use cellblock::verify::judge::Outcome;
use cellblock::verify::probe::{Answer, Family, Layer, Probe, wall};
use cellblock::verify::report::{Danger, Header, Matrix, Report, html};
use cellblock::verify::setting::Setting;
use rustix::io::Errno;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long a browser may take, before `CELLBLOCK_TEST_PATIENCE` stretches it.
const DEADLINE: Duration = Duration::from_secs(120);

/// The browser, if it is installed; if not, says that the test is skipped.
fn browser(test: &str) -> Option<PathBuf> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let folders = ["/usr/bin", "/usr/local/bin"];
    let places = folders.iter().flat_map(|folder| names.map(|name| Path::new(folder).join(name)));
    if let Some(found) = places.into_iter().find(|place| place.exists()) {
        return Some(found);
    }
    let listed = |variable: &str, name: &str| {
        std::env::var(variable).unwrap_or_default().split(',').any(|listed| listed.trim() == name)
    };
    let excepted = listed("CELLBLOCK_REQUIRE_EXCEPT", "chromium");
    let required = listed("CELLBLOCK_REQUIRE", "all") && !excepted;
    let required = required || listed("CELLBLOCK_REQUIRE", "chromium");
    assert!(!required, "{test} needs chromium: it is not installed");
    println!("SKIP {test}: needs chromium: it is not installed");
    None
}

fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

/// Probes that nobody makes, so that the page has as many as a real one.
fn made_up() -> Vec<(&'static Family, &'static Probe)> {
    let families = [
        ("network", "the host's network and what listens there"),
        ("processes", "other processes <of the host> & their memory"),
        ("kernel", "settings and interfaces of the kernel that are not for agents at all"),
    ];
    let walls = [Wall::Mount, Wall::Landlock, Wall::Network, Wall::Seccomp, Wall::Pid];
    let probe = |family: usize, number: usize| {
        let layers = [walls[number % 5], walls[(number + family + 1) % 5]];
        let layers = &layers[..1 + number % 2];
        let answers: &'static [Answer] = leak([Answer::Error(Errno::PERM)]);
        let claim = |named: &Wall| wall(*named, answers);
        let name = ["NET", "PROC", "SYS"][family];
        let variant = ["", ".kexec_load", ".io_uring_setup"][number % 3];
        let probe: &'static Probe = leak(Probe {
            id: leak(format!("{name}-{number:02}{variant}")).as_str(),
            title: "reach a service of the host that listens on an abstract <socket>",
            attack: "connect(2) to the name of a socket that a process outside the jail listens on, \
                     with a datagram of 64 KiB & no credentials",
            claims: leak(layers.iter().map(claim).collect::<Vec<_>>()).as_slice(),
            source: "unix(7); Documentation/userspace-api/landlock.rst, \"Scope flags\"",
            ..Probe::NEW
        });
        probe
    };
    let family = |(index, (name, title)): (usize, (&'static str, &'static str))| {
        let family: &'static Family = leak(Family { name, title, probes: &[], jobs: &[] });
        (0..14).map(move |number| (family, probe(index, number)))
    };
    families.into_iter().enumerate().flat_map(family).collect()
}

/// What could have come of a probe: made up, of every kind.
fn finding(index: usize, family: &'static Family, probe: &'static Probe) -> Finding {
    let refused = || Outcome::Stopped("EPERM".to_owned());
    let alone = |layer: Layer| match (probe.claim(layer), layer, index % 17) {
        (Some(_), _, 7) => Outcome::Through,
        (Some(claim), ..) => Outcome::Stopped(claim.answers[0].to_string()),
        (None, Layer::Uid, 5) => refused(),
        (None, Layer::Wall(Wall::Disk | Wall::Io), _) => {
            Outcome::NotHere("the profile sets no such limit".to_owned())
        }
        (None, Layer::Wall(Wall::Uts), 3) => Outcome::Unclear("the jail did not start".to_owned()),
        (None, ..) => Outcome::Through,
    };
    let layers = Wall::ALL.into_iter().map(Layer::Wall).chain([Layer::Uid]);
    let alone: Vec<_> = layers.map(|layer| (Setting::Only(layer), alone(layer))).collect();
    let (full, verdict) = match index % 17 {
        4 => (Outcome::Through, Verdict::Escaped("it succeeds".to_owned())),
        7 => (refused(), Verdict::Hollow("`mount` alone lets it through".to_owned())),
        9 => (refused(), Verdict::Unclear("EPERM, which none of its walls says".to_owned())),
        11 => (Outcome::Through, Verdict::Granted("network.mode = \"host\"".to_owned())),
        13 | 14 => {
            let why =
                "this kernel has no such device: /dev/a-device-with-a-rather-long-name".to_owned();
            let cells = vec![(Setting::Control, Outcome::NotHere(why.clone()))];
            let verdict = Verdict::Skipped(why);
            return Finding { family, probe, cells, verdict, took: Duration::from_millis(9) };
        }
        _ => (refused(), Verdict::Denied),
    };
    let control = [(Setting::Control, Outcome::Through)].into_iter();
    let cells = control.chain(alone).chain([(Setting::Full, full)]).collect();
    Finding { family, probe, cells, verdict, took: Duration::from_millis(350) }
}

/// The real probes and made-up ones, with what could have come of them.
fn findings() -> Vec<Finding> {
    let all = battery::all().chain(made_up()).enumerate();
    all.map(|(index, (family, probe))| finding(index, family, probe)).collect()
}

fn header() -> Header {
    let stands = |wall| WallPlan { wall, state: WallState::Stands("as it should".to_owned()) };
    let mut walls: Vec<_> = Wall::ALL.into_iter().map(stands).collect();
    walls[20].state = WallState::NotSet;
    Header {
        profile: "a-profile-with-a-name-of-32-char".to_owned(),
        version: "0.1.0".to_owned(),
        kernel: "6.18.44-an-example".to_owned(),
        machine: "x86_64".to_owned(),
        landlock_abi: Some(7),
        date: "2026-08-20T12:30:00Z".to_owned(),
        took: Duration::from_secs(83),
        walls,
        without: vec![Wall::Uts],
        peer: None,
        only: Vec::new(),
        matrix: true,
        dangers: vec![Danger {
            grade: "high",
            place: "demo.toml:3:9".to_owned(),
            cause: "is `host`: <everything> | that listens".to_owned(),
            hint: "mode = \"none\"".to_owned(),
        }],
    }
}

/// What a browser asked of the network: the first line of each request.
type Asked = Arc<Mutex<Vec<String>>>;

/// A proxy that answers nothing and keeps what it is asked.
fn proxy() -> (u16, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, asked) = (listener.local_addr().unwrap().port(), Asked::default());
    let kept = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut block = [0; 4096];
            let length = stream.read(&mut block).unwrap_or(0);
            let text = String::from_utf8_lossy(&block[..length]).into_owned();
            kept.lock().unwrap().extend(text.lines().next().map(str::to_owned));
            // Whoever asked may be gone.
            drop(stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"));
        }
    });
    (port, asked)
}

/// Shows `page` and gives what `words` make the browser print, and what it asked of the network.
fn show(browser: &Path, page: &Path, words: &[String]) -> (String, Vec<String>) {
    let profile = tempfile::tempdir().unwrap();
    let (port, asked) = proxy();
    let mut command = Command::new(browser);
    command.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
    ]);
    command.args([
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
    ]);
    command.args(["--disable-default-apps", "--disable-extensions", "--hide-scrollbars"]);
    command.arg(format!("--user-data-dir={}", profile.path().display()));
    command.arg(format!("--proxy-server=127.0.0.1:{port}")).arg("--proxy-bypass-list=<-loopback>");
    command.args(words).arg(format!("file://{}", page.display()));
    command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", profile.path());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        stdout.read_to_string(&mut text).map(|_| text)
    });
    let patience = std::env::var("CELLBLOCK_TEST_PATIENCE").map_or(1, |it| it.parse().unwrap());
    let until = Instant::now() + DEADLINE * patience;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() >= until {
            child.kill().unwrap();
            panic!("the browser does not end");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let asked = asked.lock().unwrap().clone();
    (reader.join().unwrap().unwrap(), asked)
}

/// A page that holds `page` in frames of these widths and writes down what becomes of it there.
fn frames(page: &str, widths: &[u32]) -> String {
    let attribute = page.replace('&', "&amp;").replace('"', "&quot;");
    let frame = |width: &u32| {
        format!(
            "<iframe width={width} height=900 style=\"border:0\" srcdoc=\"{attribute}\"></iframe>"
        )
    };
    let frames: String = widths.iter().map(frame).collect();
    let script = include_str!("data/measure.js");
    format!("<!doctype html><meta charset=utf-8><body>{frames}<script>{script}</script>")
}

/// What the script wrote down, one value for each frame.
fn measured(dom: &str) -> Vec<serde_json::Value> {
    let text = dom.split("<pre id=\"measured\">").nth(1).unwrap_or_else(|| panic!("{dom:.2000}"));
    let text = text.split("</pre>").next().unwrap();
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    serde_json::from_str(&text).unwrap()
}

#[test]
fn the_page_of_a_report_is_whole_at_every_width_and_asks_nobody() {
    let Some(browser) = browser("the_page_of_a_report_is_whole_at_every_width_and_asks_nobody")
    else {
        return;
    };
    let (header, mut findings) = (header(), findings());
    let report = Report { header: &header, findings: &findings };
    let matrix = Matrix::new(&report);
    let cells = matrix.layers.len() * matrix.rows.len();
    let folder = tempfile::tempdir().unwrap();
    let outer = folder.path().join("frames.html");
    let page = html::page(&report);
    findings.sort_by_key(|finding| finding.probe.id);
    std::fs::write(&outer, frames(&page, &[1280, 480])).unwrap();
    let (dom, asked) = show(&browser, &outer, &["--dump-dom".to_owned()]);
    // For who wants to look at it.
    if let Some(kept) = std::env::var_os("CELLBLOCK_KEEP_REPORT") {
        std::fs::write(kept, &page).unwrap();
    }
    let all = measured(&dom);
    assert_eq!(all.len(), 2);
    for (mut frame, width) in all.into_iter().zip([1280, 480]) {
        let shown = frame["probes"].take();
        assert_eq!(frame["width"], width, "{frame}");
        let number = |name: &str| frame[name].as_u64().unwrap();
        assert!(number("scrollWidth") <= width, "{frame}");
        assert_eq!(frame["beyond"].as_array().unwrap().len(), 0, "{frame}");
        assert_eq!(
            (number("cells"), number("visibleCells")),
            (cells as u64, cells as u64),
            "{frame}"
        );
        assert_eq!(frame["covered"].as_array().unwrap().len(), 0, "{frame}");
        assert!(frame["smallestLetter"].as_f64().unwrap() >= 9.0, "{frame}");
        assert_eq!((number("resources"), number("scrolling")), (0, 0), "{frame}");
        // By family on the page.
        let mut shown = shown.as_array().unwrap().clone();
        shown.sort_by_key(|probe| probe["id"].as_str().unwrap().to_owned());
        assert_eq!(shown.len(), findings.len());
        for (shown, finding) in shown.iter().zip(&findings) {
            assert_eq!(shown["id"], finding.probe.id);
            let text = shown["text"].as_str().unwrap();
            for words in [finding.probe.title, finding.probe.source, finding.verdict.name()] {
                assert!(text.contains(words), "{words}: {text}");
            }
        }
        assert_eq!(frame["afterFilter"], frame["escaped"], "{frame}");
    }
    // The browser itself asks its maker this and that; the page could only ask who it names.
    let host =
        |line: &String| line.split(['/', ' ', ':']).find(|it| it.contains('.')).map(str::to_owned);
    let named: Vec<_> = asked.iter().filter_map(host).filter(|host| page.contains(host)).collect();
    assert_eq!(named, [""; 0]);
}

/// The test above must be able to fail.
#[test]
fn a_page_that_is_broken_would_be_seen() {
    let Some(browser) = browser("a_page_that_is_broken_would_be_seen") else { return };
    let folder = tempfile::tempdir().unwrap();
    let outer = folder.path().join("frames.html");
    let page = "<!doctype html><p style='width:2000px'>wide</p><img src='http://nobody.invalid/x.png'>\
                <svg class=matrix width=10 height=10><use class=cell href='#none'></use></svg>";
    std::fs::write(&outer, frames(page, &[480])).unwrap();
    let (dom, asked) = show(&browser, &outer, &["--dump-dom".to_owned()]);
    let frame = &measured(&dom)[0];
    assert!(frame["scrollWidth"].as_u64().unwrap() >= 2000, "{frame}");
    assert_ne!(frame["beyond"].as_array().unwrap().len(), 0, "{frame}");
    assert_eq!((&frame["cells"], &frame["visibleCells"]), (&1.into(), &0.into()), "{frame}");
    assert_ne!(frame["resources"], 0, "{frame}");
    assert!(asked.iter().any(|line| line.contains("http://nobody.invalid/x.png")), "{asked:?}");
}
