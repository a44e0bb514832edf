//! Two namespaces with a TUN each and the relay between; gone when it is dropped.

use crate::Result;
use crate::relay::{Faults, carry};
use std::io::{BufRead, BufReader};
use std::path::Path as Folder;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use tun_rs::{DeviceBuilder, Layer, SyncDevice};

/// The two ends.
pub(crate) const ADDRESSES: [&str; 2] = ["10.78.0.1", "10.78.0.2"];
const DEVICES: [&str; 2] = ["tlossy0", "tlossy1"];

pub(crate) struct Path {
    namespaces: [String; 2],
    /// The relay's threads hold them as well; this says for how long they have to be.
    _devices: [Arc<SyncDevice>; 2],
}

/// What a run moved.
pub(crate) struct Moved {
    pub(crate) bytes: f64,
    pub(crate) seconds: f64,
}

/// A process that ends with its owner.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Path {
    pub(crate) fn new(faults: Faults) -> Result<Self> {
        let namespaces = [0, 1].map(|end| format!("tidelog-lossy-{}-{end}", std::process::id()));
        let device = |name: &str| -> Result<Arc<SyncDevice>> {
            let builder = DeviceBuilder::new().name(name).layer(Layer::L3).tx_queue_len(10_000);
            Ok(Arc::new(builder.packet_information(false).build_sync()?))
        };
        let devices = [device(DEVICES[0])?, device(DEVICES[1])?];
        let path = Path { namespaces, _devices: devices.clone() };
        for (end, own) in path.namespaces.iter().enumerate() {
            let (name, address) = (DEVICES[end], format!("{}/24", ADDRESSES[end]));
            run(&["netns", "add", own])?;
            run(&["link", "set", name, "netns", own])?;
            run(&["-n", own, "address", "add", &address, "dev", name])?;
            run(&["-n", own, "link", "set", name, "mtu", "1500", "up"])?;
            run(&["-n", own, "link", "set", "lo", "up"])?;
        }
        let [one, two] = devices;
        carry(Arc::clone(&one), Arc::clone(&two), faults, 1);
        carry(two, one, faults, 2);
        Ok(path)
    }

    /// Both sides of a role; the side that receives says what it got.
    pub(crate) fn run(&self, role: &str, controller: &str, folder: &Folder) -> Result<Moved> {
        for part in ["a", "b", "written"] {
            let place = folder.join(part);
            let _ = std::fs::remove_dir_all(&place);
            let _ = std::fs::remove_file(&place);
        }
        crate::roles::prepare(role, controller, folder)?;
        let mut receiver = self.start(1, &[role, "receive", controller], folder)?;
        let _sender = self.start(0, &[role, "send", controller], folder)?;
        let out = receiver.0.stdout.take().ok_or("no pipe")?;
        let line = BufReader::new(out).lines().next().ok_or("the receiver said nothing")??;
        let (bytes, seconds) = line.split_once(' ').ok_or("the receiver said something else")?;
        Ok(Moved { bytes: bytes.parse()?, seconds: seconds.parse()? })
    }

    fn start(&self, end: usize, role: &[&str], folder: &Folder) -> Result<Running> {
        let child = Command::new("ip")
            .args(["netns", "exec", &self.namespaces[end]])
            .arg(std::env::current_exe()?)
            .arg("role")
            .args(role)
            .arg(folder)
            .stdout(Stdio::piped())
            .spawn()?;
        Ok(Running(child))
    }
}

impl Drop for Path {
    fn drop(&mut self) {
        for (end, own) in self.namespaces.iter().enumerate() {
            let _ = run(&["-n", own, "link", "del", DEVICES[end]]);
            let _ = run(&["netns", "del", own]);
        }
    }
}

fn run(words: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(words).output()?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("ip {words:?}: {}", String::from_utf8_lossy(&output.stderr)).into()),
    }
}
