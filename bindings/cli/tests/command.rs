//! The command as scripts use it: what goes in comes out, shapes of JSON, exit codes.

use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A directory with a store in it.
struct Shell {
    directory: tempfile::TempDir,
}

impl Shell {
    fn new() -> Self {
        Shell { directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Runs in the directory; the first word is the command.
    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_tidelog"))
            .args(arguments)
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    fn code(&self, arguments: &[&str]) -> i32 {
        self.run(arguments).status.code().unwrap()
    }

    fn text(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {told}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.text(arguments)).unwrap()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }
}

fn demo_file(name: &str) -> String {
    format!("{}/demo/{name}", env!("CARGO_MANIFEST_DIR"))
}

const READINGS: &str = "\
device,timestamp_ns,temp,state,count
a,0,1.5,on,1
a,1800000000000,2.5,\"\",2
a,7200000000000,,,
b,0,-0.0,off,9007199254740993
a,7200000000001,90.5,on,4
";

fn with_readings() -> Shell {
    let shell = Shell::new();
    shell.write("readings.csv", READINGS);
    shell.text(&["import", "store", "db.c", "readings.csv"]);
    shell
}

#[test]
fn export_and_import_are_inverse_bit_for_bit() {
    let shell = Shell::new();
    for set in ["tide_gauge", "geolife_gps", "comma_wheel"] {
        let (first, second) = (format!("one.{set}"), format!("two.{set}"));
        shell.text(&["import", "store", &first, &demo_file(&format!("{set}.csv.zst"))]);
        shell.text(&["export", "store", &first, "--out", "first.csv"]);
        shell.text(&["import", "store", &second, "first.csv"]);
        let again = shell.text(&["export", "store", &second]);
        assert!(again == std::fs::read_to_string(shell.path("first.csv")).unwrap(), "{set}");
        let source = std::fs::read(demo_file(&format!("{set}.csv.zst"))).unwrap();
        let source = String::from_utf8(zstd::decode_all(&source[..]).unwrap()).unwrap();
        assert_eq!(again.lines().count(), source.lines().count(), "{set}");
    }
}

#[test]
fn absent_and_empty_stay_apart_and_rows_without_values_stay() {
    let shell = with_readings();
    let expected = "device,timestamp_ns,count,state,temp\n\
                    a,0,1,on,1.5\n\
                    a,1800000000000,2,\"\",2.5\n\
                    a,7200000000000,,,\n\
                    a,7200000000001,4,on,90.5\n\
                    b,0,9007199254740993,off,-0.0\n";
    let sorted_columns = |text: &str| -> Vec<Vec<String>> {
        let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
        let mut order: Vec<usize> = (0..rows[0].len()).collect();
        order[2..].sort_by_key(|column| rows[0][*column]);
        rows.iter().map(|row| order.iter().map(|at| row[*at].to_owned()).collect()).collect()
    };
    assert_eq!(sorted_columns(&shell.text(&["export", "store", "db.c"])), sorted_columns(expected));
    shell.text(&["compact", "store"]);
    assert_eq!(sorted_columns(&shell.text(&["export", "store", "db.c"])), sorted_columns(expected));
}

#[test]
fn rows_with_one_time_merge_or_are_nudged_apart() {
    let shell = Shell::new();
    shell.write("ticks.csv", "device,timestamp_ns,p,q\nx,5,1,\nx,5,2,7\nx,6,3,\nx,5,4,\n");
    shell.text(&["import", "store", "db.last", "ticks.csv"]);
    shell.text(&["import", "store", "db.nudge", "ticks.csv", "--same-time", "nudge"]);
    let csv = |name: &str| {
        shell.text(&["query", "store", name, "--field", "p", "--field", "q", "--format", "csv"])
    };
    assert_eq!(csv("db.last"), "device,timestamp_ns,p,q\nx,5,4,7\nx,6,3,\n");
    assert_eq!(csv("db.nudge"), "device,timestamp_ns,p,q\nx,5,1,\nx,6,2,7\nx,7,3,\nx,8,4,\n");
}

#[test]
fn conditions_order_limit_and_ranges_narrow() {
    let shell = with_readings();
    let times = |arguments: &[&str]| -> Vec<String> {
        let all = [&["query", "store", "db.c", "--format", "csv"][..], arguments].concat();
        let rows = shell.text(&all);
        rows.lines()
            .skip(1)
            .map(|line| line.split(',').take(2).collect::<Vec<_>>().join(" "))
            .collect()
    };
    assert_eq!(times(&["--where", "temp > 2"]), ["a 1800000000000", "a 7200000000001"]);
    assert_eq!(times(&["--where", "state = \"\""]), ["a 1800000000000"]);
    assert_eq!(times(&["--where", "count = 9007199254740993"]), ["b 0"]);
    assert_eq!(times(&["--where", "temp >= 1.5", "--where", "state != on"]), ["a 1800000000000"]);
    assert_eq!(
        times(&["--device", "a", "--order", "desc", "--limit", "2"]),
        ["a 7200000000001", "a 7200000000000"]
    );
    assert_eq!(times(&["--from", "1", "--to", "1970-01-01T02:00:00Z"]), ["a 1800000000000"]);
    assert_eq!(times(&["--device-prefix", "b"]), ["b 0"]);
}

#[test]
fn windows_are_named_by_their_start_and_filled_when_asked() {
    let shell = with_readings();
    let query = |arguments: &[&str]| {
        let common =
            ["query", "store", "db.c", "--device", "a", "--field", "temp", "--format", "csv"];
        shell.text(&[&common[..], &["--every", "1h"], arguments].concat())
    };
    assert_eq!(
        query(&["--agg", "mean,count"]),
        "device,timestamp_ns,temp_mean,temp_count\na,0,2.0,2\na,7200000000000,90.5,1\n"
    );
    assert_eq!(
        query(&["--fill", "null"]),
        "device,timestamp_ns,temp_mean\na,0,2.0\na,3600000000000,\na,7200000000000,90.5\n"
    );
    assert!(query(&["--fill", "previous"]).contains("a,3600000000000,2.0\n"));
    assert!(query(&["--fill", "linear"]).contains("a,3600000000000,46.25\n"));
    assert!(query(&["--fill", "-1"]).contains("a,3600000000000,-1.0\n"));
    let together =
        ["query", "store", "db.c", "--agg", "max", "--field", "temp", "--group-by", "none"];
    let together = shell.text(
        &[&together[..], &["--every", "1d", "--tz", "Europe/Berlin", "--format", "csv"]].concat(),
    );
    assert_eq!(together, "timestamp_ns,temp_max\n-3600000000000,90.5\n");
}

#[test]
fn the_time_in_a_state_is_a_column_of_windows_or_of_the_whole_range() {
    let shell = with_readings();
    let query = |arguments: &[&str]| {
        let common = ["query", "store", "db.c", "--device", "a", "--format", "csv"];
        shell.text(&[&common[..], arguments].concat())
    };
    assert_eq!(
        query(&["--time-in", "state=on"]),
        "device,timestamp_ns,state_in_on\na,0,1800000000000\n"
    );
    let to = ["--to", "1970-01-01T03:00:00Z", "--every", "1h"];
    assert_eq!(
        query(&[&to[..], &["--time-in", "state=on", "--time-in", "state = \"\""]].concat()),
        "device,timestamp_ns,state_in_on,state_in_\n\
         a,0,1800000000000,1800000000000\n\
         a,3600000000000,0,3600000000000\n\
         a,7200000000000,3599999999999,1\n"
    );
    let beside = ["--agg", "count", "--field", "temp", "--time-in", "count=2"];
    assert_eq!(
        query(&[&to[..], &beside].concat()),
        "device,timestamp_ns,temp_count,count_in_2\n\
         a,0,2,1800000000000\na,3600000000000,,3600000000000\na,7200000000000,1,1\n"
    );
    for wrong in ["state", "state>on", "temp=1.5", "none=on", "count=many"] {
        assert_eq!(shell.code(&["query", "store", "db.c", "--time-in", wrong]), 2, "{wrong}");
    }
}

#[test]
fn downsampled_rows_are_rows_of_the_store_and_print_in_every_format() {
    let shell = Shell::new();
    let mut csv = "device,timestamp_ns,flow,on,temp\n".to_owned();
    for (time, temp) in [0.0, 5.0, 1.0, 8.0, 2.0, 0.0, 0.0].into_iter().enumerate() {
        csv.push_str(&format!("a,{time},7,true,{temp:?}\n"));
    }
    shell.write("points.csv", &csv);
    shell.text(&["import", "store", "db.c", "points.csv"]);
    let query = |arguments: &[&str]| {
        shell.text(&[&["query", "store", "db.c", "--format", "csv"][..], arguments].concat())
    };
    assert_eq!(
        query(&["--downsample", "lttb:4"]),
        "device,timestamp_ns,flow,temp\n\
         a,0,7,\na,1,7,\na,3,7,\na,6,7,\n\
         a,0,,0.0\na,1,,5.0\na,3,,8.0\na,6,,0.0\n"
    );
    assert_eq!(
        query(&["--downsample", "m4:2", "--field", "temp", "--from", "1"]),
        "device,timestamp_ns,temp\na,1,5.0\na,2,1.0\na,3,8.0\na,4,2.0\na,5,0.0\na,6,0.0\n"
    );
    let json = ["query", "store", "db.c", "--downsample", "minmax:4", "--field", "temp"];
    let json = shell.text(&[&json[..], &["--where", "temp > 0", "--format", "json"]].concat());
    assert_eq!(json.lines().count(), 4, "{json}");
    for wrong in [
        &["--downsample", "lttb:2"][..],
        &["--downsample", "mean:9"],
        &["--downsample", "lttb:9", "--field", "on"],
        &["--downsample", "lttb:9", "--every", "1h"],
        &["--downsample", "lttb:9", "--limit", "1"],
    ] {
        assert_eq!(shell.code(&[&["query", "store", "db.c"][..], wrong].concat()), 2, "{wrong:?}");
    }
}

#[test]
fn plots_are_drawn_in_braille_one_for_each_device_and_number() {
    let shell = Shell::new();
    let rows = "a,0,1,on,1.5\na,600000000000,3,on,inf\na,1200000000000,2,off,0.5\nb,0,,on,NaN\n";
    shell.write("plots.csv", &format!("device,timestamp_ns,flow,state,temp\n{rows}"));
    shell.text(&["import", "store", "db.c", "plots.csv"]);
    let plot = |arguments: &[&str]| {
        let common = ["plot", "store", "db.c", "--width", "20", "--height", "3"];
        shell.text(&[&common[..], arguments].concat())
    };
    let expected = "\
a  flow
3 ┤     ⢀⡠⠒⠉⠒⠢⠤⣀
  │   ⡠⠒⠁       ⠉⠑⠒⠤
1 ┤⡠⠔⠉
  └─────────────────
   1970-01-01T00:00:00Z
   1970-01-01T00:20:00Z

a  temp
1.5 ┤⠉⠒⠤⢄⣀
    │     ⠉⠒⠢⠤⣀
0.5 ┤          ⠉⠑⠒⠤⣀
    └───────────────
     1970-01-01T00:00:00Z
     1970-01-01T00:20:00Z
";
    assert_eq!(plot(&[]), expected, "infinite values and NaN are left out");
    // Half of the range that is asked for has no points.
    let to = plot(&["--field", "flow", "--to", "1970-01-01T00:40:00Z"]);
    let lines: Vec<&str> = to.lines().collect();
    assert_eq!((lines[1], lines[6]), ("3 ┤   ⡰⠑⠢⣀", "   1970-01-01T00:40:00Z"), "{to}");
    assert_eq!(plot(&["--device", "b"]), "db.c has no numbers here: nothing to draw\n");
    assert_eq!(shell.code(&["plot", "store", "db.c", "--field", "state"]), 2);
    assert_eq!(shell.code(&["plot", "store", "db.none"]), 2);
    let wide = shell.text(&["plot", "store", "db.c", "--field", "flow"]);
    assert_eq!(wide.lines().nth(13).unwrap().chars().count(), 80, "{wide}");
}

#[test]
fn of_many_plots_the_first_are_drawn_and_the_rest_counted() {
    let shell = Shell::new();
    let rows: String = (0..11).map(|device| format!("d{device:02},0,1.5\n")).collect();
    shell.write("many.csv", &format!("device,timestamp_ns,temp\n{rows}"));
    shell.text(&["import", "store", "db.c", "many.csv"]);
    let output = shell.run(&["plot", "store", "db.c"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(told, "8 of 11 charts: choose by --device and --field\n");
    let drawn = String::from_utf8(output.stdout).unwrap();
    assert_eq!(drawn.matches("  temp\n").count(), 8, "{drawn}");
}

#[test]
fn line_protocol_makes_a_collection_of_each_measurement() {
    let shell = Shell::new();
    shell.write("a.lp", "cpu,host=a use=1.5 10\nmem,host=a free=7i 10\ncpu,host=b use=2.5 20\n");
    let printed = shell.json(&["import", "store", "tele.*", "a.lp", "--json"]);
    assert_eq!(printed["rows"], 3);
    let rows = shell.text(&["query", "store", "tele.cpu", "--label", "host=b", "--format", "json"]);
    assert_eq!(rows, "{\"device\":\"cpu,host=b\",\"timestamp_ns\":20,\"fields\":{\"use\":2.5}}\n");
    // A type that the store knows otherwise is one bad line, in a later import too.
    shell.write("b.lp", "cpu,host=a use=1i 30\ncpu,host=a use=3.5 40\n");
    let output = shell.run(&["import", "store", "tele.*", "b.lp", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("b.lp:1: field \"use\" has type f64"));
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&printed["rows"], &printed["rejected"]), (&1.into(), &1.into()));
}

#[test]
fn figures_are_one_json_object_each() {
    let shell = Shell::new();
    shell.write("readings.csv", READINGS);
    let import =
        shell.json(&["import", "store", "db.c", "readings.csv", "--json", "--durability", "os"]);
    assert_eq!(
        (&import["rows"], &import["values"], &import["rejected"]),
        (&5.into(), &12.into(), &0.into())
    );
    assert!(import["seconds"].as_f64().is_some() && import["bytes_on_disk"].as_u64().is_some());
    let info = shell.json(&["info", "store", "--json"]);
    assert_eq!(
        (&info["devices"], &info["rows"], &info["values"]),
        (&2.into(), &5.into(), &12.into())
    );
    assert_eq!(info["time_range"]["last_ns"], 7_200_000_000_001_i64);
    assert_eq!(info["collections"][0]["fields"]["count"], "i64");
    assert_eq!(info["tiers"][0]["tier"], "raw");
    for figure in ["files", "file_bytes", "wal_bytes", "bytes_on_disk"] {
        assert!(info[figure].as_u64().is_some(), "{figure}: {info}");
    }
    assert!(info["memory"]["budget"].as_u64() > Some(0));
    assert_eq!(shell.json(&["groups", "store", "--json"])["groups"].as_array().unwrap().len(), 8);
    let of = shell.json(&["groups", "store", "db.c", "--device", "a", "--json"]);
    assert!(of["devices"][0]["group"].as_u64() < Some(8));
    assert!(shell.json(&["compact", "store", "--json"])["files"].as_u64() >= Some(1));
    let verify = shell.json(&["verify", "store", "--json"]);
    assert_eq!((&verify["clean"], &verify["rows"]), (&true.into(), &5.into()));
    let latest = shell.text(&["latest", "store", "db.c", "--field", "count", "--format", "csv"]);
    assert_eq!(latest, "device,timestamp_ns,count\na,7200000000001,4\nb,0,9007199254740993\n");
}

#[test]
fn deletes_hide_and_need_to_be_meant() {
    let shell = with_readings();
    let rows = || shell.text(&["export", "store", "db.c"]).lines().count() - 1;
    assert_eq!(shell.code(&["delete", "store", "db.c"]), 2);
    assert_eq!(shell.code(&["delete", "store", "db.other", "--all"]), 2);
    assert_eq!(shell.code(&["delete", "store", "other", "--all"]), 2);
    assert_eq!(shell.code(&["delete", "store", "db.c", "--field", "none"]), 2);
    assert_eq!(shell.code(&["delete", "store", "db.c", "--from", "5", "--to", "5"]), 2);
    assert_eq!(rows(), 5);
    shell.text(&["delete", "store", "db.c", "--device", "a", "--to", "1"]);
    assert_eq!(rows(), 4);
    shell.text(&["delete", "store", "db.c", "--field", "temp"]);
    assert!(!shell.text(&["export", "store", "db.c"]).contains("90.5"));
    assert_eq!(rows(), 4);
    shell.text(&["delete", "store", "db", "--all"]);
    assert_eq!(rows(), 0);
    shell.text(&["compact", "store"]);
    assert_eq!(shell.json(&["info", "store", "--json"])["rows"], 0);
}

#[test]
fn exit_codes_tell_what_kind_of_thing_went_wrong() {
    let shell = with_readings();
    shell.write("bad.csv", "device,timestamp_ns,temp\na,soon,1.0\na,99,2.0\n");
    let output = shell.run(&["import", "store", "db.c", "bad.csv"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("bad.csv:2: "), "{output:?}");
    assert_eq!(shell.code(&["import", "store", "db.c", "bad.csv", "--strict"]), 1);
    assert_eq!(shell.code(&["import", "store", "db", "readings.csv"]), 2);
    assert_eq!(
        shell.code(&["import", "store", "db.c", "readings.csv", "--types", "temp=string"]),
        2
    );
    assert_eq!(shell.code(&["import", "fresh", "db.c", "missing.csv"]), 3);
    assert!(!shell.path("fresh").exists(), "a mistyped file must not leave a store behind");
    for wrong in [
        &["query", "store", "db.none"][..],
        &["query", "store", "db.c", "--every", "2mo"],
        &["query", "store", "db.c", "--every", "6h", "--tz", "Europe/Berlin"],
        &["query", "store", "db.c", "--every", "1d", "--tz", "Mars/Olympus"],
        &["query", "store", "db.c", "--where", "temp > hot"],
        &["query", "store", "db.c", "--where", "none > 1"],
        &["query", "store", "db.c", "--agg", "median"],
        &["frobnicate"],
    ] {
        assert_eq!(shell.code(wrong), 2, "{wrong:?}");
    }
    for command in ["info", "compact", "verify", "recover", "adopt"] {
        assert_eq!(shell.code(&[command, "nowhere"]), 3, "{command}");
    }
    assert!(!shell.path("nowhere").exists());
    assert_eq!(shell.code(&["--help"]), 0);
}

#[test]
fn damage_is_found_named_and_recovered_from() {
    let shell = with_readings();
    let file = a_group_file(&shell.path("store"));
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let output = shell.run(&["verify", "store", "--json"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let named = report["damage"][0]["path"].as_str().unwrap();
    assert!(file.ends_with(named), "{report}");
    assert_eq!(shell.code(&["verify", "store"]), 1);
    assert_eq!(shell.code(&["recover", "store"]), 1);
    assert_eq!(shell.code(&["verify", "store"]), 0);
    assert!(shell.path("store/quarantine").is_dir());
}

fn a_group_file(store: &Path) -> PathBuf {
    let groups = (0..8).map(|group| store.join(format!("group-{group:04}/raw")));
    let mut files = groups.filter_map(|raw| raw.read_dir().ok()).flatten();
    files.next().unwrap().unwrap().path()
}

#[test]
fn a_backup_is_a_store_and_can_become_another() {
    let shell = with_readings();
    shell.text(&["backup", "store", "copy"]);
    assert_eq!(shell.text(&["export", "copy", "db.c"]), shell.text(&["export", "store", "db.c"]));
    assert_eq!(shell.code(&["backup", "store", "copy"]), 2);
    let id = |store: &str| shell.json(&["info", store, "--json"])["store_id"].clone();
    assert_eq!(id("copy"), id("store"));
    shell.text(&["adopt", "copy"]);
    assert_ne!(id("copy"), id("store"));
    assert_eq!(shell.text(&["export", "copy", "db.c"]), shell.text(&["export", "store", "db.c"]));
    shell.text(&["retain", "copy", "db.c", "raw=30d,1h=1y"]);
    assert_eq!(shell.json(&["info", "copy", "--json"])["collections"][0]["retention"]["raw"], 30);
}

#[test]
fn what_retention_has_cut_off_is_told_and_answered_from_rollups() {
    let shell = Shell::new();
    let mut rows = String::from("device,timestamp_ns,level\n");
    for minute in (0..8 * 1440).step_by(10) {
        rows += &format!("tank,{},{}\n", minute * 60_000_000_000i64, minute % 97);
    }
    shell.write("levels.csv", &rows);
    shell.text(&["import", "store", "db.c", "levels.csv"]);
    let hourly =
        ["query", "store", "db.c", "--every", "1h", "--agg", "mean,min_time", "--format", "csv"];
    let before = shell.text(&hourly);
    assert_eq!(
        shell.code(&["retain", "store", "db.c", "raw=2d,1h=1d"]),
        2,
        "leaves are made of rows"
    );
    let told = shell.text(&["retain", "store", "db.c", "raw=2d"]);
    assert!(told.contains("raw=2d,1h=forever"), "{told}");
    let output = shell.run(&hourly);
    assert_eq!(String::from_utf8_lossy(&output.stdout), before);
    let note = "note: rows are kept from 1970-01-07T00:00:00Z on; rollups answer for the time before, exactly";
    assert!(String::from_utf8_lossy(&output.stderr).contains(note), "{output:?}");
    let export = shell.run(&["export", "store", "db.c"]);
    assert_eq!(String::from_utf8_lossy(&export.stdout).lines().count(), 1 + 2 * 144);
    assert!(String::from_utf8_lossy(&export.stderr).contains("there is nothing from before"));
    let minutes = ["query", "store", "db.c", "--every", "10m"];
    let output = shell.run(&minutes);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("accept the nearest windows"));
    let nearest = shell.run(&[&minutes[..], &["--nearest", "--explain"]].concat());
    assert!(nearest.status.success());
    assert!(String::from_utf8_lossy(&nearest.stderr).contains("144 of them in the nearest window"));
    let info = shell.json(&["info", "store", "--json"]);
    let collection = &info["collections"][0];
    assert_eq!(
        (&collection["retention"]["raw"], &collection["retention"]["1h"]),
        (&2.into(), &Value::Null)
    );
    assert_eq!(collection["rows_from_ns"], 6 * 86_400_000_000_000i64);
    let code = shell.code(&[
        "delete",
        "store",
        "db.c",
        "--from",
        "1970-01-02T00:10:00Z",
        "--to",
        "1970-01-03T00:00:00Z",
    ]);
    assert_eq!(code, 2, "not whole windows");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let shell = Shell::new();
    shell.text(&["import", "store", "db.c", &demo_file("tide_gauge.csv.zst")]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_tidelog"))
        .args(["export", "store", "db.c"])
        .current_dir(&shell.directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

#[test]
fn stdin_is_read_and_a_writer_elsewhere_does_not_keep_readers_out() {
    let shell = with_readings();
    let mut child = Command::new(env!("CARGO_BIN_EXE_tidelog"))
        .args(["import", "store", "db.other", "-", "--format", "line"])
        .current_dir(&shell.directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Line protocol needs DB.*, which is known before anything is read: the pipe may be closed already.
    let _ = child.stdin.take().unwrap().write_all(b"cpu use=1\n");
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(2));
    let mut child = Command::new(env!("CARGO_BIN_EXE_tidelog"))
        .args(["import", "store", "db.*", "-", "--format", "line"])
        .current_dir(&shell.directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // The importer holds the store once its lock is taken, and waits for its input.
    let locked = (0..500).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        shell.code(&["compact", "store"]) == 3
    });
    assert!(locked, "a second writer is refused");
    assert_eq!(shell.text(&["export", "store", "db.c"]).lines().count(), 6);
    stdin.write_all(b"cpu use=1 5\n").unwrap();
    drop(stdin);
    assert!(child.wait_with_output().unwrap().status.success());
    assert_eq!(
        shell.text(&["query", "store", "db.cpu", "--format", "csv"]),
        "device,timestamp_ns,use\ncpu,5,1.0\n"
    );
}

#[test]
fn the_demo_holds() {
    let shell = Shell::new();
    let demo = shell.json(&["demo", "--json", "--dir", "demo"]);
    assert_eq!(demo["ok"], true, "{demo}");
    assert_eq!(demo["rounds"].as_array().unwrap().len(), 3);
    assert!(demo["rounds"][0]["acknowledged_rows"].as_u64() > Some(0), "{demo}");
    assert!(demo["rows_compared"].as_u64() > Some(50_000), "{demo}");
    if cfg!(feature = "replication") {
        let replicas = &demo["replicas"];
        let catch_up = replicas["catch_up"].as_array().unwrap();
        let differing = |at: usize| catch_up[at]["differing"].as_array().unwrap();
        assert!(differing(0).iter().all(|level| level.as_u64() > Some(0)), "{replicas}");
        assert!(differing(catch_up.len() - 1).iter().all(|level| *level == 0), "{replicas}");
        assert!(replicas["bytes_compared"].as_u64() > Some(0), "{replicas}");
        assert_eq!(shell.code(&["compare", "demo/replicas/a", "demo/replicas/c"]), 0);
    }
    assert_eq!(shell.code(&["demo", "--dir", "demo"]), 2);
    assert_eq!(shell.code(&["verify", "demo/store"]), 0);
}

/// Rollups cross first and answer for the days, then rows, when another policy lets them.
#[cfg(feature = "replication")]
#[test]
fn the_demo_of_a_metered_link_holds() {
    let shell = Shell::new();
    let demo = shell.json(&["demo", "--policy", "metered", "--json", "--dir", "demo"]);
    assert_eq!(demo["ok"], true, "{demo}");
    let figure = |name: &str| demo["replicas"][name].as_u64().unwrap();
    assert!(figure("rollups_borrowed") >= figure("days"), "{demo}");
    assert_eq!(figure("rows_taken"), 8_616, "{demo}");
    assert!(figure("bytes_of_rollups") < figure("bytes_of_rows"), "{demo}");
    assert_eq!(shell.code(&["compare", "demo/replicas/gateway", "demo/replicas/office"]), 0);
}

#[test]
fn compare_names_exactly_what_differs_and_digests_are_of_content_alone() {
    let shell = Shell::new();
    let file = demo_file("tide_gauge.csv.zst");
    let names = ["device", "timestamp_ns"];
    let import = |store: &str| {
        let columns = ["--device-column", names[0], "--time-column", names[1]];
        shell.text(&[&["import", store, "demo.tide_gauge", &file][..], &columns].concat())
    };
    import("a");
    import("b");
    let root = |store: &str| shell.text(&["digest", store, "demo.tide_gauge"]);
    assert_eq!(root("a"), root("b"), "ids, stamps and paths are no content");
    assert_eq!(root("a").trim().len(), 64);
    assert_eq!(shell.code(&["compare", "a", "b"]), 0);
    // A store that was merged into one file, and its rows once more, stay what they are.
    shell.text(&["compact", "b"]);
    import("b");
    assert_eq!(root("a"), root("b"));
    let csv = shell.text(&["export", "a", "demo.tide_gauge"]);
    let lines: Vec<&str> = csv.lines().collect();
    let header = lines[0];
    let field = header.split(',').nth(2).unwrap();
    let cell = |line: &str, at: usize| line.split(',').nth(at).unwrap().to_owned();
    let (changed, deleted) = (lines[1], lines[lines.len() - 1]);
    assert_ne!(cell(changed, 0), cell(deleted, 0), "two devices");
    // One cell changed.
    let row =
        format!("device,timestamp_ns,{field}\n{},{},12345\n", cell(changed, 0), cell(changed, 1));
    shell.write("cell.csv", &row);
    shell.text(&[
        "import",
        "b",
        "demo.tide_gauge",
        "cell.csv",
        "--device-column",
        "device",
        "--time-column",
        "timestamp_ns",
    ]);
    // One row deleted.
    let time: i64 = cell(deleted, 1).parse().unwrap();
    let (from, to) = (time.to_string(), (time + 1).to_string());
    let device = cell(deleted, 0);
    shell.text(&[
        "delete",
        "b",
        "demo.tide_gauge",
        "--device",
        &device,
        "--from",
        &from,
        "--to",
        &to,
    ]);
    let output = shell.run(&["compare", "a", "b", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["equal"], false);
    let found = told["collections"][0]["differences"].as_array().unwrap();
    assert_eq!(found.len(), 2, "{told}");
    let of = |device: &str| found.iter().find(|one| one["device"] == device).unwrap();
    let counts =
        |one: &Value| ["missing", "extra", "mismatched"].map(|what| one[what].as_u64().unwrap());
    assert_eq!(counts(of(&cell(changed, 0))), [0, 0, 1]);
    assert_eq!(counts(of(&device)), [0, 1, 0]);
    // A whole device dropped.
    shell.text(&["delete", "b", "demo.tide_gauge", "--device", &device]);
    let output = shell.run(&["compare", "a", "b", "--json"]);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let found = told["collections"][0]["differences"].as_array().unwrap();
    let rows = lines[1..].iter().filter(|line| cell(line, 0) == device).count() as u64;
    let extra: u64 = found
        .iter()
        .filter(|one| one["device"] == device.as_str())
        .map(|one| one["extra"].as_u64().unwrap())
        .sum();
    assert_eq!(extra, rows, "every row of the device, and no other device but the changed one");
    assert_eq!(found.iter().filter(|one| one["device"] != device.as_str()).count(), 1);
    assert_eq!(
        shell.code(&["digest", "a", "demo.tide_gauge", "--from", "2020-01-01T00:00:00Z"]),
        2
    );
    let series = shell.json(&["digest", "a", "demo.tide_gauge", "--level", "series", "--json"]);
    assert!(series["digests"].as_array().unwrap().len() > 1000);
}
