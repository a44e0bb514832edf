//! Configurations, and what is said of those that cannot be.

use super::*;
use proptest::prelude::*;

const A: &str = "tl1-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "tl1-baaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("/etc/tidelog/node.toml"))
}

const NODE: &str = "[node]\nstore = \"data\"\nidentity = \"/keys\"\n";

fn peer(extra: &str) -> String {
    format!(
        "{NODE}[[peer]]\nname = \"b\"\naddress = \"b.plant:7447\"\nfingerprint = \"{A}\"\n{extra}"
    )
}

#[test]
fn the_smallest_configuration_has_the_defaults() {
    let config = parse(NODE).unwrap();
    assert_eq!(config.node.listen, SocketAddr::from(([0, 0, 0, 0], 7447)));
    assert_eq!(config.node.store, Path::new("/etc/tidelog/data"));
    assert_eq!(config.node.identity, Path::new("/keys"));
    assert_eq!((config.node.groups, config.peers.len()), (Selection::All, 0));
    assert_eq!(config.sync, SyncConfig::default());
    let all = parse(&format!("{NODE}[sync]\nwindow = \"all\"\n")).unwrap();
    assert_eq!(all.sync, SyncConfig::default());
}

#[test]
fn everything_that_can_be_said_is_understood() {
    let text = format!(
        r#"
[node]
name = "a"
listen = "[::]:7000"
store = "/var/lib/plant"
identity = "/etc/tidelog"
authority = "ca.crt"
groups = [0, 2]
labels = {{ zone = "a" }}
epoch = 4
epochs = {{ 2 = 5 }}

[[peer]]
name = "b"
address = "[fe80::1]:7447"
fingerprint = ["{A}", "{B}"]
store = "0102030405060708090a0b0c0d0e0f10"
labels = {{ zone = "b", rack = "7" }}
cost = "metered"
groups = [0, 1, 2]
rights = ["replicate"]
databases = ["plant"]

[[peer]]
name = "c"
address = "10.0.0.3:7447"
store = "1102030405060708090a0b0c0d0e0f10"
groups = "all"
rights = "all"

[sync]
anti_entropy = false
interval = "2h"
initial_delay = "1m30s"
startup_timeout = "10s"
window = "30d"
groups_at_once = 3
batch_rows = 1000
batch_bytes = 65536
congestion = "bbr"
scrub = "14d"

[policy]
use = "metered"
raw_hours = "22:00-06:30"
bytes_per_day = 5000000
max_deferral = "3d"
timeout = "500ms"
record = "rounds"
"#
    );
    let config = parse(&text).unwrap();
    let [b, c] = &config.peers[..] else { panic!("two peers") };
    assert_eq!(b.fingerprints.len(), 2);
    assert_eq!(b.labels["rack"], "7");
    let nodes = config.nodes();
    let rights = &nodes[1].rights;
    assert!(rights.allows(Right::Replicate, GroupId(2), "plant"));
    assert!(!rights.allows(Right::Replicate, GroupId(3), "plant"));
    assert!(!rights.allows(Right::Repair, GroupId(2), "plant"));
    assert!(!rights.allows(Right::Replicate, GroupId(2), "other"));
    assert!(c.rights.len() == 3 && c.databases == Selection::All && c.fingerprints.is_empty());
    assert_eq!(config.node.authority.as_deref(), Some(Path::new("/etc/tidelog/ca.crt")));
    assert_eq!([0, 2].map(|group| config.epoch(GroupId(group)).0), [4, 5]);
    let sync = &config.sync;
    assert_eq!(sync.initial_delay, Duration::from_secs(90));
    assert_eq!(sync.startup_timeout, Duration::from_secs(10));
    assert!(!sync.anti_entropy);
    assert_eq!(sync.window, Some(Duration::from_secs(30 * 24 * 3600)));
    assert_eq!((sync.groups_at_once, sync.batch_rows, sync.batch_bytes), (3, 1000, 65536));
    assert_eq!(sync.congestion, Congestion::Bbr);
    assert_eq!(sync.scrub, Duration::from_secs(14 * 86_400));
    let policy = config.policy.as_ref().unwrap();
    assert_eq!(policy.choice, PolicyChoice::Metered);
    assert_eq!((policy.raw_hours.from, policy.raw_hours.to), (22 * 60, 6 * 60 + 30));
    assert_eq!(policy.bytes_per_day, Some(5_000_000));
    assert_eq!(policy.max_deferral, Duration::from_secs(3 * 86_400));
    assert_eq!(policy.timeout, Duration::from_millis(500));
    assert_eq!(policy.record.as_deref(), Some(Path::new("/etc/tidelog/rounds")));
    assert_eq!((b.cost, c.cost, nodes[1].cost), (Cost::Metered, Cost::Free, Cost::Metered));
    let names: Vec<_> = nodes.iter().map(|node| node.name.to_string()).collect();
    assert_eq!(names, ["a", "b", "c"]);
}

#[test]
fn a_policy_and_its_options_have_to_fit() {
    for (policy, says) in [
        ("use = \"prefer-peer\"", "needs `prefer`"),
        ("use = \"prefer-peer\"\nprefer = \"z\"", "is no peer"),
        ("use = \"metered\"\nprefer = \"b\"", "for the policy `prefer-peer` only"),
        ("use = \"newest-first\"\nraw_hours = \"1:00-2:00\"", "for the policy `metered` only"),
    ] {
        let error = parse(&peer(&format!("[policy]\n{policy}\n"))).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    let config = parse(&peer("[policy]\nuse = \"uplink.wasm\"\n")).unwrap();
    let path = PathBuf::from("/etc/tidelog/uplink.wasm");
    assert_eq!(config.policy.unwrap().choice, PolicyChoice::Component(path));
    let config = parse(&peer("[policy]\nuse = \"prefer-peer\"\nprefer = \"b\"\n")).unwrap();
    assert_eq!(config.policy.unwrap().prefer.as_deref(), Some("b"));
}

#[test]
fn what_cannot_be_is_refused_with_file_line_and_advice() {
    let two = format!("[[peer]]\nname = \"c\"\naddress = \"c:1\"\nfingerprint = \"{A}\"\n");
    for (text, line, says) in [
        (format!("{NODE}lisen = \"0.0.0.0:1\"\n"), 4, "unknown field `lisen`"),
        (format!("{NODE}[snyc]\n"), 4, "unknown field `snyc`"),
        (peer("right = [\"repair\"]\n"), 8, "unknown field `right`"),
        (format!("{NODE}[sync]\nintervall = \"1h\"\n"), 5, "unknown field `intervall`"),
        (format!("{NODE}listen = \"7447\"\n"), 4, "write it as 0.0.0.0:7447"),
        (NODE.replace("store = \"data\"\n", ""), 1, "missing field `store`"),
        (format!("{NODE}[sync]\ninterval = \"5\"\n"), 5, "such as \"30s\""),
        (format!("{NODE}[sync]\ninterval = 5\n"), 5, "invalid type: integer `5`"),
        (format!("{NODE}[sync]\ncongestion = \"reno\"\n"), 5, "write cubic or bbr"),
        (format!("{NODE}[sync]\ninterval = \"10ms\"\n"), 5, "at least \"1s\""),
        (format!("{NODE}[sync]\nwindow = \"5m\"\n"), 5, "window = \"5m\": give \"all\", or"),
        (format!("{NODE}[sync]\nwindow = \"some\"\n"), 5, "window = \"some\": give \"all\", or"),
        (
            format!("{NODE}[sync]\ngroups_at_once = 0\n"),
            5,
            "groups_at_once = 0: give a whole number from 1 to",
        ),
        (
            format!("{NODE}[sync]\nbatch_rows = -1\n"),
            5,
            "batch_rows = -1: give a whole number from 1 to",
        ),
        (
            format!("{NODE}[sync]\nbatch_bytes = 10\n"),
            5,
            "batch_bytes = 10: give a whole number from 4096 to",
        ),
        (format!("{NODE}[sync]\nbatch_bytes = 9000000\n"), 5, "to 8388608"),
        (format!("{NODE}epoch = -1\n"), 4, "epoch = -1: give a whole number from 0"),
        (format!("{NODE}epochs = {{ a = 1 }}\n"), 4, "by the numbers of groups"),
        (format!("{NODE}epochs = {{ 1 = -2 }}\n"), 4, "epochs = -2: give a whole number from 0"),
        (format!("{NODE}[policy]\nuse = \"newst\"\n"), 5, "is no policy: write complete"),
        (format!("{NODE}[policy]\nusing = \"metered\"\n"), 5, "unknown field `using`"),
        (format!("{NODE}[policy]\nuse = \"metered\"\nraw_hours = \"22-6\"\n"), 6, "22:00-06:00"),
        (format!("{NODE}[policy]\nuse = \"metered\"\ntimeout = \"1m\"\n"), 6, "10ms to 10s"),
        (peer("cost = \"dear\"\n"), 8, "write free or metered"),
        (peer("groups = \"some\"\n"), 8, "a list of group numbers"),
        (peer("groups = [-1]\n"), 8, "-1"),
        (peer("rights = [\"read\"]\n"), 8, "replicate, snapshot and repair"),
        (peer("databases = [\"\"]\n"), 8, ""),
        (peer("store = \"xyz\"\n"), 8, "32 hexadecimal digits"),
        (peer("").replace("b.plant:7447", "b.plant"), 6, "write host:port"),
        (peer("").replace("b.plant:7447", "b.plant:0"), 6, "write host:port"),
        (peer("").replace("tl1-", "tl2-"), 7, "begins with `tl1-`"),
        (peer("").replace(A, "tl1-short"), 7, "52 characters"),
        (peer("").replace(&format!("\"{A}\""), "[]"), 7, "give one, or two"),
        (peer("").replace("name = \"b\"", "name = \" \""), 5, "printable characters"),
        (peer("").replace("name = \"b\"", "name = \"self\""), 5, "rename one of them"),
        (peer(&two), 9, "fingerprint tl1-aaaa"),
        (peer(&two.replace(A, B).replace("\"c\"", "\"b\"")), 9, "name b"),
        (peer("").replace(&format!("fingerprint = \"{A}\"\n"), ""), 5, "tidelog pair"),
        ("[node\n".to_owned(), 1, ""),
    ] {
        let error = parse(&text).unwrap_err();
        let said = error.to_string();
        let place = format!("/etc/tidelog/node.toml:{line}: ");
        assert!(said.starts_with(&place) && said.contains(says), "{text}\n{said}");
    }
}

proptest! {
    #[test]
    fn any_text_is_a_configuration_or_refused(text in "\\PC{0,200}", at in 0_usize..300) {
        let _ = parse(&text);
        let mut valid = peer("rights = [\"repair\"]\n[sync]\ninterval = \"1h\"\n");
        let at = at.min(valid.len());
        valid.insert_str(at, &text.chars().take(3).collect::<String>());
        if let Err(error) = parse(&valid) {
            prop_assert!(error.to_string().starts_with("/etc/tidelog/node.toml"));
        }
    }
}
