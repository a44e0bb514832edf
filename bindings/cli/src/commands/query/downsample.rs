//! `--downsample`.

use crate::commands::{say_made_of, shown_time};
use crate::error::{CommandError, Outcome};
use crate::print::{Format, Header, printer};
use std::time::Instant;
use tidelog::{Column, Downsample, Downsampled, Points, RowBatch};

/// Reads `minmax:N`, `lttb:N` or `m4:N`.
pub(super) fn parse_downsample(text: &str) -> Result<Downsample, String> {
    let refuse =
        || format!("{text:?} is no way to downsample: write minmax:N, lttb:N or m4:N, as lttb:500");
    let (method, number) = text.split_once(':').ok_or_else(refuse)?;
    let number = number.parse().map_err(|_| refuse())?;
    match method {
        "minmax" => Ok(Downsample::MinMax { points: number }),
        "lttb" => Ok(Downsample::Lttb { points: number }),
        "m4" => Ok(Downsample::M4 { columns: number }),
        _ => Err(refuse()),
    }
}

/// Prints a row per point.
pub(super) fn print(
    mut points: Downsampled,
    format: Format,
    explain: bool,
    begun: Instant,
) -> Result<Outcome, CommandError> {
    let header = Header::new(true, points.fields());
    let fields = points.fields().to_vec();
    let mut printer =
        printer(format, header, std::io::stdout().lock()).map_err(CommandError::Output)?;
    for of_field in points.by_ref() {
        let of_field = of_field?;
        let columns = fields.iter().map(|field| match *field == of_field.field {
            true => of_field.values.clone(),
            false => {
                let mut absent = Column::new(field.kind);
                absent.pad(of_field.times.len());
                absent
            }
        });
        let columns = columns.collect();
        printer.print(&rows(of_field, columns)).map_err(CommandError::Output)?;
    }
    printer.finish(shown_time(begun)).map_err(CommandError::Output)?;
    say_made_of(&points.explain(), explain);
    Ok(Outcome::Done)
}

fn rows(points: Points, columns: Vec<Column>) -> RowBatch {
    let row_devices = vec![0; points.times.len()];
    RowBatch { devices: vec![points.device], row_devices, times: points.times, columns }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_has_a_text() {
        let cases = [
            ("minmax:4", Downsample::MinMax { points: 4 }),
            ("lttb:500", Downsample::Lttb { points: 500 }),
            ("m4:80", Downsample::M4 { columns: 80 }),
        ];
        for (text, method) in cases {
            assert_eq!(parse_downsample(text), Ok(method), "{text}");
            assert!(text.starts_with(method.name()));
        }
        for text in ["", "lttb", "lttb:", "lttb:-1", "lttb:1.5", "mean:5", "500"] {
            assert!(parse_downsample(text).is_err(), "{text}");
        }
    }
}
