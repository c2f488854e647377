//! Two panels of SVG: speed and memory by size.

use std::fmt::Write;

/// A size in keys, updates a second, bytes of memory a key.
pub(crate) struct Point {
    pub(crate) keys: f64,
    pub(crate) speed: f64,
    pub(crate) memory: f64,
}

/// A contender at one size.
pub(crate) struct Mark {
    pub(crate) name: String,
    pub(crate) point: Point,
}

const WIDTH: f64 = 380.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 70.0;
const TOP: f64 = 50.0;
const COLOURS: [&str; 5] = ["#c2410c", "#15803d", "#7e22ce", "#a16207", "#475569"];

struct Panel<'a> {
    left: f64,
    title: &'a str,
    value: fn(&Point) -> f64,
    goal: Option<f64>,
}

/// `ours` by size, with the marks of others beside it, and `conditions` below.
pub(crate) fn svg(ours: &[Point], others: &[Mark], conditions: &str) -> String {
    let mut out = String::new();
    let (width, height) = (2.0 * (WIDTH + LEFT) + 40.0, HEIGHT + TOP + 80.0);
    out.push_str(&format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
         font-size=\"11\">\n<rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n"
    ));
    let panels = [
        Panel { left: LEFT, title: "durable updates/s with root", value: |point| point.speed, goal: None },
        Panel {
            left: 2.0 * LEFT + WIDTH,
            title: "bytes of memory a key",
            value: |point| point.memory,
            goal: Some(48.0),
        },
    ];
    for panel in &panels {
        draw(&mut out, panel, ours, others);
    }
    let _ = writeln!(out, "<text x=\"{LEFT}\" y=\"{}\" fill=\"#555\">{}</text>", height - 14.0, escape(conditions));
    out.push_str("</svg>\n");
    out
}

fn draw(out: &mut String, panel: &Panel<'_>, ours: &[Point], others: &[Mark]) {
    let points = || ours.iter().chain(others.iter().map(|mark| &mark.point));
    let (least, most) =
        points().fold((f64::MAX, 1.0_f64), |(least, most), point| (least.min(point.keys), most.max(point.keys)));
    let top = points().map(panel.value).chain(panel.goal).fold(1.0, f64::max) * 1.05;
    let span = (most / least).ln().max(0.1);
    let x = |keys: f64| panel.left + (keys / least).ln() / span * WIDTH;
    let y = |value: f64| TOP + HEIGHT * (1.0 - value / top);
    let _ = writeln!(out, "<text x=\"{}\" y=\"{}\" font-size=\"13\">{}</text>", panel.left, TOP - 14.0, panel.title);
    for step in 0..=4 {
        let value = top * f64::from(step) / 4.0;
        let _ = writeln!(
            out,
            "<line x1=\"{0}\" x2=\"{1}\" y1=\"{2}\" y2=\"{2}\" stroke=\"#ddd\"/><text x=\"{3}\" y=\"{4}\" \
             text-anchor=\"end\">{5}</text>",
            panel.left,
            panel.left + WIDTH,
            y(value),
            panel.left - 6.0,
            y(value) + 4.0,
            short(value)
        );
    }
    if let Some(goal) = panel.goal {
        let _ = writeln!(
            out,
            "<line x1=\"{0}\" x2=\"{1}\" y1=\"{2}\" y2=\"{2}\" stroke=\"#999\" stroke-dasharray=\"4 3\"/>",
            panel.left,
            panel.left + WIDTH,
            y(goal)
        );
    }
    let line: Vec<String> =
        ours.iter().map(|point| format!("{:.1},{:.1}", x(point.keys), y((panel.value)(point)))).collect();
    let _ =
        writeln!(out, "<polyline points=\"{}\" fill=\"none\" stroke=\"#1d4ed8\" stroke-width=\"2\"/>", line.join(" "));
    for point in ours {
        let (x, y) = (x(point.keys), y((panel.value)(point)));
        let _ = writeln!(out, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"#1d4ed8\"/>");
        let _ = writeln!(
            out,
            "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            TOP + HEIGHT + 16.0,
            short(point.keys)
        );
    }
    for (mark, colour) in others.iter().zip(COLOURS.iter().cycle()) {
        let (x, y) = (x(mark.point.keys), y((panel.value)(&mark.point)));
        let _ = writeln!(out, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{colour}\"/>");
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\">{}</text>",
            x + 7.0,
            y + 4.0,
            escape(&mark.name)
        );
    }
    let _ = writeln!(out, "<text x=\"{}\" y=\"{}\">keys</text>", panel.left + WIDTH - 22.0, TOP + HEIGHT + 32.0);
}

fn short(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{:.1} M", value / 1e6),
        value if value >= 1e4 => format!("{:.0} k", value / 1e3),
        value => format!("{value:.0}"),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
