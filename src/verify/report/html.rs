//! The report as one page that needs nothing else: no other file, no network, no script to be read.
//!
//! Must never: refer to anything outside itself (its own policy forbids the browser, too), or let a
//! text of a finding become markup; [`maud`] escapes every text.

use super::picture::{self, Mark, picture};
use super::{
    Chapter, Counts, Finding, Layer, MEANINGS, Matrix, Outcome, Report, Setting, WallState, advice,
    shown, stopped_by, told,
};
use maud::{DOCTYPE, Markup, PreEscaped, html};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
/// Nothing is loaded from anywhere.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
                      img-src data:; base-uri 'none'; form-action 'none'";

/// `report` as a page.
#[must_use]
pub fn page(report: &Report<'_>) -> String {
    let matrix = Matrix::new(report);
    let title = format!("Escape report: {}", shown(&report.header.subject()).replace('`', ""));
    let has_matrix = !matrix.layers.is_empty();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                link rel="icon" href="data:,";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (top(report, has_matrix))
                main {
                    (families(report))
                    (urgent(report))
                    (dangers(report))
                    @if has_matrix { (matrix_section(report, &matrix)) }
                    @if has_matrix || report.header.peer.is_none() { (walls(report, &matrix)) }
                    (probes(report))
                    (silent(report))
                    (meanings())
                }
                footer { p {
                    "Made by cellblock " (shown(&report.header.version)) ". Every attempt was judged "
                    "from outside: the prober's own word decides nothing."
                } }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string()
}

/// The sign of a verdict, for who does not see its colour.
fn sign(verdict: &str) -> &'static str {
    match verdict {
        "denied" => "✓",
        "escaped" => "✗",
        "hollow" => "◌",
        "unclear" => "?",
        "granted" => "○",
        _ => "–",
    }
}

fn top(report: &Report<'_>, has_matrix: bool) -> Markup {
    let (header, totals) = (report.header, report.totals());
    let class = match (totals.is_fine(), totals.escaped, totals.denied) {
        (true, _, 0) => "doubt",
        (true, _, _) => "good",
        (false, 0, _) => "doubt",
        (false, _, _) => "bad",
    };
    let word = match class {
        "good" => "It holds",
        "bad" => "It does not hold",
        _ => "Not shown to hold",
    };
    let without: Vec<_> = header.without.iter().map(|wall| wall.name()).collect();
    html! {
        header.top {
            p.kind { "Escape report" }
            h1 { (sentence(&header.subject())) }
            div.headline.(class) {
                p.word { (word) }
                p { (sentence(&report.sentence())) "." }
            }
            dl.facts {
                div { dt { "Host" } dd { (shown(&header.host())) } }
                div { dt { "Made" } dd { time datetime=(shown(&header.date)) { (shown(&header.date)) } } }
                div { dt { "Took" } dd { (seconds(header.took.as_secs_f64())) } }
                @if !without.is_empty() {
                    div { dt { "Walls taken away" } dd { (without.join(", ")) } }
                }
                @if !header.only.is_empty() {
                    div { dt { "Only" } dd { (shown(&header.only.join(", "))) } }
                }
            }
            (tiles(totals))
            nav aria-label="Parts of this page" {
                a href="#families" { "Families" }
                @if !totals.is_fine() { a href="#urgent" { "What needs a look" } }
                @if !header.dangers.is_empty() { a href="#dangers" { "What the profile gives away" } }
                @if has_matrix { a href="#matrix" { "Matrix" } a href="#walls" { "Walls" } }
                a href="#probes" { "Probes" }
                a href="#meanings" { "Words" }
            }
        }
    }
}

fn tiles(totals: Counts) -> Markup {
    html! {
        ul.tiles aria-label="Probes by verdict" {
            @for (name, count) in totals.named() {
                li.tile.(name).zero[count == 0] {
                    span.count { (count) }
                    span.name { span aria-hidden="true" { (sign(name)) " " } (name) }
                }
            }
        }
    }
}

fn families(report: &Report<'_>) -> Markup {
    let cells = |counts: Counts| {
        html! {
            td { (counts.probes) }
            @for (name, count) in counts.named() { td.(name).zero[count == 0] { (count) } }
        }
    };
    html! {
        section #families {
            h2 { "Families" }
            div.wide tabindex="0" role="region" aria-label="Probes by family and verdict" {
                table.numbers {
                    thead { tr {
                        th scope="col" { "Family" } th scope="col" { "probes" }
                        @for (name, _) in MEANINGS { th scope="col" { (name) } }
                    } }
                    tbody { @for chapter in report.chapters() { tr {
                        th scope="row" {
                            a href={ "#family-" (chapter.family.name) } { (shown(chapter.family.name)) }
                            " " span.about { (shown(chapter.family.title)) }
                        }
                        (cells(chapter.counts))
                    } } }
                    tfoot { tr { th scope="row" { "All" } (cells(report.totals())) } }
                }
            }
        }
    }
}

/// What is not as it should be, with what to do.
fn urgent(report: &Report<'_>) -> Markup {
    let mut urgent = report.with(&["escaped", "hollow", "unclear"]).peekable();
    html! {
        @if urgent.peek().is_some() {
            section #urgent {
                h2 { "What needs a look" }
                ul.urgent { @for finding in urgent {
                    @let (name, hint) = (finding.verdict.name(), advice(finding, report.header));
                    li.(name) {
                        p { (badge(name)) " " a href={ "#" (finding.probe.id) } { (shown(finding.probe.id)) }
                            ", " (shown(finding.probe.title)) }
                        p { (sentence(finding.verdict.reason().unwrap_or_default())) "." }
                        @if !hint.is_empty() { p { strong { "To do: " } (prose(&hint)) "." } }
                    }
                } }
            }
        }
    }
}

/// What the profile grants by itself.
fn dangers(report: &Report<'_>) -> Markup {
    html! {
        @if !report.header.dangers.is_empty() {
            section #dangers {
                h2 { "What the profile gives away" }
                p { "No escapes: the profile says so. Graded without a jail, as "
                    code { "cellblock check --score" } " does." }
                ul.urgent { @for danger in &report.header.dangers {
                    li.granted {
                        p { strong { (sentence(danger.grade)) } ": " (prose(&danger.place)) ", "
                            (prose(&danger.cause)) "." }
                        @if !danger.hint.is_empty() { p { strong { "To do: " } (prose(&danger.hint)) "." } }
                    }
                } }
            }
        }
    }
}

fn badge(verdict: &str) -> Markup {
    html! { span.badge.(verdict) { span aria-hidden="true" { (sign(verdict)) " " } (verdict) } }
}

fn matrix_section(report: &Report<'_>, matrix: &Matrix<'_>) -> Markup {
    html! {
        section #matrix {
            h2 { "Matrix" }
            @if report.header.matrix {
                p { "Each probe was made behind each wall alone, with every other wall taken away." }
            } @else {
                p { "Each probe was made behind each wall that is said to stop it alone, with every other "
                    "wall taken away; " code { "--matrix" } " tries all walls." }
            }
            figure {
                figcaption {
                    ul.legend { @for mark in Mark::ALL { li {
                        (picture::sign(mark)) span { (mark.meaning()) }
                    } } }
                    p.about { "A pale row shows nothing: the probe was skipped, or the profile grants it." }
                }
                div.pictures { (picture(report, matrix)) }
            }
        }
    }
}

fn walls(report: &Report<'_>, matrix: &Matrix<'_>) -> Markup {
    let idle = matrix.nothing_depends_on();
    let links = |ids: &[&'static str]| {
        html! { @for (index, id) in ids.iter().enumerate() {
            @if index > 0 { ", " } a href={ "#" (id) } { (shown(id)) }
        } }
    };
    html! {
        section #walls {
            h2 { "Walls" }
            @if report.header.matrix && !idle.is_empty() {
                p { "Without any one of these walls every probe would still be stopped by another: "
                    (idle.iter().map(|wall| wall.name()).collect::<Vec<_>>().join(", ")) "." }
            }
            div.wide tabindex="0" role="region" aria-label="What each wall stops" {
                table.walls {
                    thead { tr {
                        th scope="col" { "Wall" } th scope="col" { "In this jail" }
                        th scope="col" { "Stops alone" } th scope="col" { "Nothing else stops" }
                    } }
                    tbody { @for (layer, state) in layers(report, matrix) { tr {
                        @let sole: Vec<_> = matrix.stopped_only_by(layer).map(|it| it.finding.probe.id).collect();
                        th scope="row" { (layer) }
                        td { (prose(&state)) }
                        td.number { @if matrix.was_tried(layer) {
                            (matrix.stopped_by(layer).count())
                        } @else { "–" } }
                        td.ids { (links(&sole)) }
                    } } }
                }
            }
        }
    }
}

/// The walls of the jail, with how each stands, and what else was tried.
fn layers(report: &Report<'_>, matrix: &Matrix<'_>) -> Vec<(Layer, String)> {
    let state = |state: &WallState| match state {
        WallState::Stands(how) => format!("stands: {how}"),
        WallState::Without(why) => format!("away: {why}"),
        WallState::NotInKernel(since) => format!("not in this kernel: {since}"),
        WallState::CannotStand(why) => format!("cannot stand: {why}"),
        WallState::NotSet => "the profile sets no such limit".to_owned(),
    };
    let walls = report.header.walls.iter().map(|it| (Layer::Wall(it.wall), state(&it.state)));
    let fixed = Layer::FIXED.into_iter().filter(|layer| matrix.layers.contains(layer));
    walls.chain(fixed.map(|layer| (layer, "always there".to_owned()))).collect()
}

fn probes(report: &Report<'_>) -> Markup {
    html! {
        section #probes {
            h2 { "Probes" }
            form #filter hidden {
                label { "Find " input type="search" #find autocomplete="off"; }
                fieldset { legend { "Show" }
                    @for (name, count) in report.totals().named() { @if count > 0 {
                        label { input type="checkbox" value=(name) checked; " " (name) }
                    } }
                }
                p #shown role="status" {}
            }
            @for chapter in report.chapters() { (chapter_section(&chapter)) }
        }
    }
}

fn chapter_section(chapter: &Chapter<'_>) -> Markup {
    let family = chapter.family;
    html! {
        section.family id={ "family-" (family.name) } {
            h3 { (capital(&shown(family.title))) " "
                span.about { (chapter.counts.probes) " probes" } }
            @for finding in &chapter.findings { (probe(finding)) }
        }
    }
}

/// Everything about one probe.
fn probe(finding: &Finding) -> Markup {
    let (probe, name) = (finding.probe, finding.verdict.name());
    let reason = finding.verdict.reason();
    html! {
        article.probe.(name) id=(probe.id) data-verdict=(name) {
            h4 { (badge(name)) " " span.id { (shown(probe.id)) } " "
                span.title { (shown(probe.title)) } }
            @if let Some(reason) = reason { p.reason { (sentence(reason)) "." } }
            dl {
                div { dt { "Tried" } dd { (shown(probe.attack)) } }
                @for (setting, outcome) in finding.cells.iter().filter(|(it, _)| is_control(*it)) {
                    div { dt { (in_words(*setting)) } dd { (shown(&told(outcome))) } }
                }
                (alone(finding))
                @for (setting, outcome) in finding.cells.iter().filter(|(it, _)| is_whole(*it)) {
                    div { dt { (in_words(*setting)) } dd {
                        (shown(&told(outcome))) (who_says(finding, *setting))
                    } }
                }
                div { dt { "Source" } dd { (shown(probe.source)) } }
            }
        }
    }
}

fn is_control(setting: Setting) -> bool {
    setting == Setting::Control
}

fn is_whole(setting: Setting) -> bool {
    !is_control(setting) && !matches!(setting, Setting::Only(_))
}

fn in_words(setting: Setting) -> String {
    match setting {
        Setting::Control => "Without a jail".to_owned(),
        Setting::Full => "In the jail".to_owned(),
        Setting::Helper(post) => format!("In the jail, from the place of {}", post.name()),
        Setting::Only(_) | Setting::Peer(_) => capital(&setting.to_string()),
    }
}

/// Which walls of the jail say what stopped it.
fn who_says(finding: &Finding, setting: Setting) -> Markup {
    let by = stopped_by(finding, setting).map(|(_, layers)| layers).unwrap_or_default();
    let is_ours = setting == Setting::Full && !by.is_empty();
    html! { @if is_ours {
        ", as " (by.join(" and ")) @if by.len() > 1 { " say" } @else { " says" }
    } }
}

/// What each wall alone did: those that stop it one by one, the others together.
fn alone(finding: &Finding) -> Markup {
    let cells = || {
        finding.cells.iter().filter_map(|(setting, outcome)| match setting {
            Setting::Only(layer) => Some((layer.name(), outcome)),
            Setting::Control | Setting::Full | Setting::Helper(_) | Setting::Peer(_) => None,
        })
    };
    // The other outcomes as a whole, each with the layers that have it.
    let mut groups: Vec<(&Outcome, Vec<&str>)> = Vec::new();
    for (layer, outcome) in cells().filter(|(_, it)| !matches!(it, Outcome::Stopped(_))) {
        match groups.iter_mut().find(|(known, _)| *known == outcome) {
            Some((_, layers)) => layers.push(layer),
            None => groups.push((outcome, vec![layer])),
        }
    }
    html! {
        @if cells().next().is_some() { div {
            dt { "Behind one wall" }
            dd { ul.chips {
                @for (layer, outcome) in cells() { @if let Outcome::Stopped(said) = outcome {
                    li.stops { (layer) ": " (shown(said)) }
                } }
                @for (outcome, layers) in groups { li.(kind(outcome)) {
                    (shown(&told(outcome))) ": " (layers.join(", "))
                } }
            } }
        } }
    }
}

fn kind(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Stopped(_) => "stops",
        Outcome::Through => "through",
        Outcome::NotHere(_) => "absent",
        Outcome::Unclear(_) => "unclear",
    }
}

/// What was not tried, by reason.
fn silent(report: &Report<'_>) -> Markup {
    let skipped = report.skipped();
    html! {
        @if !skipped.is_empty() {
            section #skipped {
                h2 { "Skipped" }
                dl.reasons { @for (reason, findings) in skipped { div {
                    dt { (sentence(reason)) }
                    dd { @for (index, finding) in findings.iter().enumerate() {
                        @if index > 0 { ", " }
                        a href={ "#" (finding.probe.id) } { (shown(finding.probe.id)) }
                    } }
                } } }
            }
        }
    }
}

fn meanings() -> Markup {
    html! {
        section #meanings {
            h2 { "Words" }
            dl.reasons {
                @for (name, meaning) in MEANINGS { div { dt { (badge(name)) } dd { (meaning) "." } } }
            }
        }
    }
}

/// A text in which words between backticks are code, beginning with a capital.
fn sentence(text: &str) -> Markup {
    prose(&capital(text))
}

/// A text in which words between backticks are code.
fn prose(text: &str) -> Markup {
    let text = shown(text);
    let paired = text.matches('`').count().is_multiple_of(2);
    html! {
        @if !paired { (text) } @else { @for (index, part) in text.split('`').enumerate() {
            @if index % 2 == 0 { (part) } @else { code { (part) } }
        } }
    }
}

/// `text` with a capital, unless it begins with something that is no word.
fn capital(text: &str) -> String {
    let first = text.split([' ', ',', ':']).next().unwrap_or_default();
    let mut chars = text.chars();
    match chars.next() {
        Some(letter) if first.chars().all(char::is_alphabetic) => {
            letter.to_uppercase().chain(chars).collect()
        }
        Some(_) | None => text.to_owned(),
    }
}

fn seconds(seconds: f64) -> String {
    format!("{seconds:.1} s")
}

#[cfg(test)]
mod tests {
    use super::super::Cell;
    use super::super::testing::{NASTY, findings, header};
    use super::*;

    fn written() -> String {
        let (header, findings) = (header(), findings());
        page(&Report { header: &header, findings: &findings })
    }

    #[test]
    fn the_page_needs_nothing_from_anywhere() {
        let page = written();
        for reference in ["http://", "https://", "//cdn", "url(", "@import", " src=", "<iframe"] {
            // As a text that is shown, escaped, it refers to nothing.
            let page = page.replace("&lt;script src=", "");
            assert!(!page.contains(reference), "{reference}");
        }
        let links = page.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
        for link in links {
            assert!(link.starts_with('#') || link == "data:,", "{link}");
        }
    }

    fn shown_in_html(text: &str) -> String {
        html! { (shown(text)) }.into_string()
    }

    #[test]
    fn no_text_becomes_markup() {
        let page = written();
        assert_eq!(page.matches("<script").count(), 1);
        assert!(
            page.contains(&shown_in_html(NASTY)) && page.contains("read &lt;b&gt;a file&lt;/b&gt;")
        );
        assert!(!page.contains("<b>") && !page.contains('\u{1b}') && !page.contains('\u{202e}'));
    }

    #[test]
    fn every_probe_has_its_article_and_every_link_leads_somewhere() {
        let page = written();
        for finding in findings() {
            assert!(
                page.contains(&format!(" id=\"{}\"", finding.probe.id)),
                "{}",
                finding.probe.id
            );
        }
        let links = page.split("href=\"#").skip(1).map(|rest| rest.split('"').next().unwrap());
        for link in links {
            assert_eq!(page.matches(&format!("id=\"{link}\"")).count(), 1, "{link}");
        }
    }

    #[test]
    fn a_cell_stands_for_each_probe_and_layer() {
        let (header, findings) = (header(), findings());
        let report = Report { header: &header, findings: &findings };
        let matrix = Matrix::new(&report);
        let cells = page(&report).matches("<use class=\"cell\"").count();
        assert_eq!(cells, matrix.rows.len() * matrix.layers.len());
        assert!(Cell::ALL.iter().all(|cell| page(&report).contains(cell.meaning())));
    }
}
