//! A plot of figures as SVG: one panel for each cost, both axes logarithmic.

use super::figures::Costs;
use std::fmt::Write;

const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 260.0;
const MARGIN: f64 = 52.0;

struct Panel {
    title: &'static str,
    /// What is drawn: a name, a colour, a value for each network.
    lines: Vec<Line>,
}

type Line = (&'static str, &'static str, fn(&Costs) -> f64);

/// The plot of `costs`.
pub(super) fn svg(costs: &[Costs]) -> String {
    let panels = [
        Panel { title: "messages a block", lines: vec![("all lanes", "#1f6fb4", |one| one.messages)] },
        Panel {
            title: "KiB a block",
            lines: vec![("all lanes", "#1f6fb4", |one| one.kib), ("votes", "#d1701f", |one| one.vote_kib)],
        },
        Panel {
            title: "CPU ms a block and node",
            lines: vec![
                ("real signatures", "#1f6fb4", |one| one.cpu_ms_real),
                ("mocked", "#d1701f", |one| one.cpu_ms_mocked),
            ],
        },
    ];
    let whole = WIDTH * 3.0;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {whole} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    let mut left = 0.0;
    for panel in &panels {
        draw(&mut text, panel, costs, left);
        left += WIDTH;
    }
    text.push_str("</svg>\n");
    text
}

#[expect(clippy::cast_precision_loss, reason = "a place on paper")]
fn count(nodes: usize) -> f64 {
    nodes as f64
}

fn draw(text: &mut String, panel: &Panel, costs: &[Costs], left: f64) {
    let values = || panel.lines.iter().flat_map(|(_, _, value)| costs.iter().map(value));
    let low = values().fold(f64::MAX, f64::min).max(1e-6).log10().floor();
    let high = values().fold(0.0, f64::max).max(1e-6).log10().ceil().max(low + 1.0);
    let first = costs.first().map_or(1.0, |one| count(one.nodes)).ln();
    let last = costs.last().map_or(2.0, |one| count(one.nodes)).ln();
    let x = |nodes: f64| left + MARGIN + (nodes.ln() - first) / (last - first) * (WIDTH - MARGIN - 20.0);
    let bottom = HEIGHT - 40.0;
    let y = |value: f64| bottom - (value.max(1e-6).log10() - low) / (high - low) * (bottom - 40.0);
    let middle = left + WIDTH / 2.0;
    let _ =
        writeln!(text, "<text x=\"{middle}\" y=\"18\" text-anchor=\"middle\" font-size=\"13\">{}</text>", panel.title);
    let mut power = low;
    while power <= high {
        let value = 10f64.powf(power);
        let (at, from, to) = (y(value), left + MARGIN, left + WIDTH - 20.0);
        let _ = writeln!(text, "<line x1=\"{from}\" y1=\"{at}\" x2=\"{to}\" y2=\"{at}\" stroke=\"#ddd\"/>");
        let _ = writeln!(text, "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{value}</text>", from - 5.0, at + 4.0);
        power += 1.0;
    }
    for one in costs {
        let at = x(count(one.nodes));
        let _ = writeln!(text, "<text x=\"{at}\" y=\"{}\" text-anchor=\"middle\">{}</text>", bottom + 16.0, one.nodes);
    }
    let _ = writeln!(text, "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">validators</text>", HEIGHT - 8.0);
    for (place, (name, colour, value)) in (0u8..).zip(&panel.lines) {
        let points: Vec<String> =
            costs.iter().map(|one| format!("{:.1},{:.1}", x(count(one.nodes)), y(value(one)))).collect();
        let _ = writeln!(
            text,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            points.join(" ")
        );
        for one in costs {
            let (at, height) = (x(count(one.nodes)), y(value(one)));
            let _ = writeln!(text, "<circle cx=\"{at:.1}\" cy=\"{height:.1}\" r=\"3\" fill=\"{colour}\"/>");
        }
        let (at, height) = (left + MARGIN + 8.0, 38.0 + 14.0 * f64::from(place));
        let _ = writeln!(text, "<text x=\"{at}\" y=\"{height}\" fill=\"{colour}\">{name}</text>");
    }
}
