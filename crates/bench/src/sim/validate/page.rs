//! Rows for people: as lines, and as the page `docs/lab/validation.md`.

use super::{Bound, Figure, Preset, Row};
use crate::sim::text::size;

pub(crate) fn line(row: &Row) -> String {
    format!(
        "{:4} {:>5} nodes  {:>2} x {:>7}  {:4} {}  {:6}  published {:>8}  simulated {:>8}  ratio {:.2}  {:>9}  {}",
        preset(row.preset),
        row.nodes,
        row.messages,
        size(row.bytes),
        row.publisher,
        if row.before > 0 { "warm" } else { "cold" },
        figure(row.figure),
        value(row, row.published),
        value(row, row.simulated),
        row.ratio,
        bound(row),
        verdict(row),
    )
}

pub(crate) fn page(rows: &[Row]) -> String {
    let mut text = HEAD.to_owned();
    for (preset, head) in [(Preset::Go, GO), (Preset::Rust, RUST)] {
        text += head;
        let seeds = rows.iter().find(|row| row.preset == preset).map_or(0, |row| row.seeds);
        text += &format!("\nSimulated: the median of {seeds} seeds, and the least and the most of one.\n");
        text += "\n| nodes | messages | sent before | publisher | figure | published | simulated | of one seed | ratio | bound | within |\n\
                 |---|---|---|---|---|---|---|---|---|---|---|\n";
        for row in rows.iter().filter(|row| row.preset == preset) {
            text += &format!(
                "| {} | {} x {} | {} | {} | {} | {} | {} | {} to {} | {:.2} | {} | {} |\n",
                row.nodes,
                row.messages,
                size(row.bytes),
                row.before,
                row.publisher,
                figure(row.figure),
                value(row, row.published),
                value(row, row.simulated),
                value(row, row.least),
                value(row, row.most),
                row.ratio,
                bound(row),
                verdict(row),
            );
        }
    }
    text + FOOT
}

fn preset(preset: Preset) -> &'static str {
    match preset {
        Preset::Go => "go",
        Preset::Rust => "rust",
    }
}

fn figure(figure: Figure) -> &'static str {
    match figure {
        Figure::Copies => "copies",
        Figure::P50Ms => "p50",
        Figure::P99Ms => "p99",
    }
}

fn value(row: &Row, value: f64) -> String {
    match row.figure {
        Figure::Copies => format!("{value:.2}"),
        Figure::P50Ms | Figure::P99Ms => format!("{value:.0} ms"),
    }
}

fn bound(row: &Row) -> String {
    match row.bound {
        Some(Bound::Share(share)) => format!("+- {:.0} %", share * 100.0),
        Some(Bound::Grows) => "grows".into(),
        None => String::new(),
    }
}

fn verdict(row: &Row) -> &'static str {
    match row.within {
        Some(true) => "yes",
        Some(false) => "NO",
        None => "",
    }
}

const HEAD: &str = include_str!("head.md");
const GO: &str = include_str!("go.md");
const RUST: &str = include_str!("rust.md");
const FOOT: &str = include_str!("foot.md");
