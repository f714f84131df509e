//! The report for continuous integration: JUnit's XML, as Jenkins, GitLab and others read it.
//!
//! A suite for each family, a case for each probe. An escape and a hollow wall are failures, what is
//! unclear is an error, and what was skipped or granted is a skip with its reason: neither shows that
//! anything holds.

use super::{Chapter, Counts, Finding, Header, Report, advice, shown, told};
use crate::verify::campaign::Verdict;
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};
use std::io;
use std::time::Duration;

type Xml = Writer<Vec<u8>>;

/// `report` as XML.
///
/// # Errors
/// None that can come to be: it is written to memory.
pub fn text(report: &Report<'_>) -> io::Result<String> {
    let mut xml = Writer::new_with_indent(Vec::new(), b' ', 2);
    xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let header = report.header;
    let name = format!("cellblock verify {}", header.profile);
    let suites = element(&mut xml, "testsuites", &name, report.totals());
    suites.with_attribute(("time", seconds(header.took).as_str())).write_inner_content(|xml| {
        report.chapters().iter().try_for_each(|chapter| suite(xml, chapter, header))
    })?;
    let mut bytes = xml.into_inner();
    bytes.push(b'\n');
    String::from_utf8(bytes).map_err(io::Error::other)
}

/// An element with the counts that all readers know.
fn element<'x>(
    xml: &'x mut Xml,
    tag: &'static str,
    name: &str,
    counts: Counts,
) -> quick_xml::writer::ElementWriter<'x, Vec<u8>> {
    let numbers = [
        ("tests", counts.probes),
        ("failures", counts.escaped + counts.hollow),
        ("errors", counts.unclear),
        ("skipped", counts.granted + counts.skipped),
    ];
    let numbers = numbers.map(|(name, count)| (name, count.to_string()));
    let numbers = numbers.iter().map(|(name, count)| (*name, count.as_str()));
    xml.create_element(tag).with_attribute(("name", shown(name).as_str())).with_attributes(numbers)
}

fn suite(xml: &mut Xml, chapter: &Chapter<'_>, header: &Header) -> io::Result<()> {
    let took = chapter.findings.iter().map(|finding| finding.took).sum();
    // Without an offset, as the schema of most readers wants it.
    let date = header.date.trim_end_matches('Z');
    element(xml, "testsuite", chapter.family.name, chapter.counts)
        .with_attribute(("time", seconds(took).as_str()))
        .with_attribute(("timestamp", date))
        .write_inner_content(|xml| {
            properties(xml, chapter, header)?;
            chapter.findings.iter().try_for_each(|finding| case(xml, finding, header))
        })
        .map(drop)
}

fn properties(xml: &mut Xml, chapter: &Chapter<'_>, header: &Header) -> io::Result<()> {
    let without: Vec<_> = header.without.iter().map(|wall| wall.name()).collect();
    let all = [
        ("family", chapter.family.title.to_owned()),
        ("subject", header.subject()),
        ("host", header.host()),
        ("cellblock", header.version.clone()),
        ("without", without.join(" ")),
    ];
    let known = all.iter().filter(|(_, value)| !value.is_empty());
    xml.create_element("properties")
        .write_inner_content(|xml| {
            for (name, value) in known {
                let property = xml.create_element("property").with_attribute(("name", *name));
                property.with_attribute(("value", shown(value).as_str())).write_empty()?;
            }
            Ok(())
        })
        .map(drop)
}

fn case(xml: &mut Xml, finding: &Finding, header: &Header) -> io::Result<()> {
    let name = format!("{} {}", finding.probe.id, finding.probe.title);
    let class = format!("cellblock.verify.{}", finding.family.name);
    let case = xml
        .create_element("testcase")
        .with_attribute(("classname", class.as_str()))
        .with_attribute(("name", shown(&name).as_str()))
        .with_attribute(("time", seconds(finding.took).as_str()));
    let verdict = &finding.verdict;
    let tag = match verdict {
        Verdict::Denied => return case.write_empty().map(drop),
        Verdict::Escaped(_) | Verdict::Hollow(_) => "failure",
        Verdict::Unclear(_) => "error",
        Verdict::Granted(_) | Verdict::Skipped(_) => "skipped",
    };
    let message = format!("{}: {}", verdict.name(), verdict.reason().unwrap_or_default());
    case.write_inner_content(|xml| {
        let told = xml.create_element(tag).with_attribute(("message", shown(&message).as_str()));
        if tag == "skipped" {
            return told.write_empty().map(drop);
        }
        let told = told.with_attribute(("type", verdict.name()));
        told.write_text_content(BytesText::new(&body(finding, header))).map(drop)
    })
    .map(drop)
}

/// What was tried, what each attempt came to, and what to do.
fn body(finding: &Finding, header: &Header) -> String {
    let attempts = finding.cells.iter().map(|(setting, it)| format!("{setting}: {}", told(it)));
    let tried = [format!("tried: {}", finding.probe.attack)].into_iter();
    let source = [format!("source: {}", finding.probe.source)].into_iter();
    let hint = Some(advice(finding, header)).filter(|advice| !advice.is_empty());
    let hint = hint.map(|hint| format!("hint: {hint}"));
    let lines = tried.chain(attempts).chain(source).chain(hint);
    lines.map(|line| shown(&line)).collect::<Vec<_>>().join("\n")
}

fn seconds(duration: Duration) -> String {
    format!("{:.3}", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{findings, header};
    use super::*;
    use quick_xml::Reader;
    use std::collections::BTreeMap;

    /// Each element's name, attributes and text, as a reader of XML finds them.
    fn read(text: &str) -> Vec<(String, BTreeMap<String, String>, String)> {
        let mut reader = Reader::from_str(text);
        let mut found: Vec<(String, BTreeMap<_, _>, String)> = Vec::new();
        loop {
            match reader.read_event().unwrap() {
                Event::Start(element) | Event::Empty(element) => {
                    let attributes = element.attributes().map(|attribute| {
                        let attribute = attribute.unwrap();
                        let value = quick_xml::escape::unescape(&attribute.value).unwrap();
                        (attribute.key.as_ref().to_owned(), value.into_owned())
                    });
                    let name = element.name().as_ref().to_owned();
                    found.push((name, attributes.collect(), String::new()));
                }
                Event::Text(text) => {
                    found.last_mut().into_iter().for_each(|it| it.2.push_str(&text));
                }
                Event::Eof => return found,
                Event::End(_)
                | Event::CData(_)
                | Event::Comment(_)
                | Event::Decl(_)
                | Event::PI(_)
                | Event::DocType(_)
                | Event::GeneralRef(_) => {}
            }
        }
    }

    #[test]
    fn what_is_written_is_read_back_by_a_reader_of_xml() {
        let (header, findings) = (header(), findings());
        let text = text(&Report { header: &header, findings: &findings }).unwrap();
        let found = read(&text);
        let count = |name: &str| found.iter().filter(|(it, ..)| it == name).count();
        let counts =
            ["testsuites", "testsuite", "testcase", "failure", "error", "skipped"].map(count);
        assert_eq!(counts, [1, 2, findings.len(), 2, 1, 3], "{text}");
        let all = &found.iter().find(|(name, ..)| name == "testsuites").unwrap().1;
        let numbers = ["tests", "failures", "errors", "skipped"].map(|name| all[name].as_str());
        assert_eq!(numbers, [findings.len().to_string().as_str(), "2", "1", "3"]);
        assert_eq!(
            (all["name"].as_str(), all["time"].as_str()),
            ("cellblock verify demo", "12.345")
        );
        let cases = found.iter().filter(|(name, ..)| name == "testcase");
        let first = cases.clone().next().unwrap();
        assert_eq!(first.1["classname"], "cellblock.verify.files");
        assert_eq!(first.1["name"], "FS-01.secret read <b>a file</b>");
    }

    #[test]
    fn no_text_breaks_the_xml() {
        let (header, findings) = (header(), findings());
        let text = text(&Report { header: &header, findings: &findings }).unwrap();
        // XML 1.0 has no other control characters, and no noncharacters, not even as references.
        let allowed = |c: char| c == '\n' || !c.is_control() && c != '\u{ffff}';
        assert!(text.chars().all(allowed) && !text.contains("&#0;") && !text.contains("&#x1b"));
        let found = read(&text);
        let error = found.iter().find(|(name, ..)| name == "error").unwrap();
        let message = &error.1["message"];
        assert!(message.starts_with("unclear: <script src=x>\"'&]]> \\x1b[31m\\x00"), "{message}");
        assert!(!text.contains("<script"));
    }
}
